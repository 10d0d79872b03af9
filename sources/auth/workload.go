package auth

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jonboulle/clockwork"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// MetadataURL is where machines at Google Cloud ask who they are.
const MetadataURL = "http://metadata.google.internal"

const cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"

// NewMetadata returns the tokens of the service account that this machine or
// workload at Google Cloud runs as, by the metadata server (connectors/gcp.md
// 3.1). It makes no request.
func NewMetadata(base *httpx.Base, clock clockwork.Clock, baseURL string) (*Tokens, error) {
	flavor := http.Header{"Metadata-Flavor": {"Google"}}
	client, err := base.Client(httpx.Config{BaseURL: cmp.Or(baseURL, MetadataURL), Header: flavor, MaxBody: 1 << 20, Timeout: 10 * time.Second})
	if err != nil {
		return nil, err
	}
	return Cached(func(ctx context.Context) (Token, error) {
		r, err := client.Do(ctx, &httpx.Request{
			Path: httpx.P("/computeMetadata/v1/instance/service-accounts/default/token"), Query: url.Values{"scopes": {cloudPlatform}},
		})
		if err != nil {
			return Token{}, err
		}
		if r.Header.Get("Metadata-Flavor") != "Google" {
			return Token{}, fault.New(fault.Transient, "%s: something other than the metadata server answers", r.Endpoint)
		}
		return bearer(base, clock, r)
	}, CacheOptions{Clock: clock}), nil
}

// bearer reads an answer that is a bearer token.
func bearer(base *httpx.Base, clock clockwork.Clock, r *httpx.Response) (Token, error) {
	var body struct {
		Access  string `json:"access_token"`
		Expires int64  `json:"expires_in"`
	}
	if err := httpx.Decode(r, &body); err != nil {
		return Token{}, err
	}
	if body.Access == "" || strings.ContainsFunc(body.Access, notInHeader) || body.Expires <= 0 {
		return Token{}, fault.New(fault.Transient, "%s: the answer is no token", r.Endpoint)
	}
	base.Redact(body.Access)
	return Token{Access: body.Access, Type: "Bearer", Expires: clock.Now().Add(time.Duration(min(body.Expires, 1e6)) * time.Second)}, nil
}

// Federation is Google's Workload Identity Federation: a token of another
// issuer's, exchanged (connectors/gcp.md 3.2).
type Federation struct {
	HTTP  *httpx.Base
	Clock clockwork.Clock
	// Config returns the credential configuration that Google gives out, JSON,
	// whose source is a file or a URL.
	Config func() (string, error)
}

// federation is a credential configuration.
type federation struct {
	Type        string `json:"type"`
	Audience    string `json:"audience"`
	TokenType   string `json:"subject_token_type"`
	TokenURL    string `json:"token_url"`
	Impersonate string `json:"service_account_impersonation_url"`
	Source      struct {
		File    string            `json:"file"`
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers"`
		Format  struct {
			Type  string `json:"type"`
			Field string `json:"subject_token_field_name"`
		} `json:"format"`
		Environment string         `json:"environment_id"`
		Executable  jsontext.Value `json:"executable"`
		Certificate jsontext.Value `json:"certificate"`
	} `json:"credential_source"`
}

// federated exchanges tokens.
type federated struct {
	Federation
	config      *federation
	endpoint    *endpoint
	source      *httpx.Client // nil: a file
	impersonate *httpx.Client // nil: the exchanged token is used
	sourcePath  httpx.Path
	sourceQuery string
	personPath  httpx.Path
}

// NewFederation returns an authorizer. It makes no request, but reads the
// configuration, so that a wrong one shows at once.
func NewFederation(c Federation) (*Tokens, error) {
	text, err := c.Config()
	if err != nil {
		return nil, fault.New(fault.Auth, "the credential configuration: %w", err)
	}
	f := &federated{Federation: c, config: &federation{}}
	if json.Unmarshal([]byte(text), f.config) != nil || f.config.Type != "external_account" || f.config.Audience == "" || f.config.TokenType == "" {
		return nil, fault.New(fault.Auth, `the credential configuration: want the JSON that Google gives out, with "type":"external_account", audience and subject_token_type`)
	}
	if (f.config.Source.File == "") == (f.config.Source.URL == "") || f.config.Source.Environment != "" || f.config.Source.Executable != nil || f.config.Source.Certificate != nil {
		return nil, fault.New(fault.Auth, "the credential configuration: credential_source must be a file or a url; AWS, executables and certificates are not supported")
	}
	if f.endpoint, err = newEndpoint(c.HTTP, f.config.TokenURL); err != nil {
		return nil, err
	}
	if f.config.Source.URL != "" {
		header := http.Header{}
		for k, v := range f.config.Source.Headers {
			header.Set(k, v)
		}
		if f.source, f.sourcePath, f.sourceQuery, err = c.at(f.config.Source.URL, header, nil); err != nil {
			return nil, err
		}
	}
	exchanged := Cached(f.exchange, CacheOptions{Clock: c.Clock})
	if f.config.Impersonate == "" {
		return exchanged, nil
	}
	if f.impersonate, f.personPath, _, err = c.at(f.config.Impersonate, nil, exchanged); err != nil {
		return nil, err
	}
	return Cached(f.person, CacheOptions{Clock: c.Clock}), nil
}

// at returns a client for one URL.
func (c *Federation) at(address string, header http.Header, a httpx.Authorizer) (*httpx.Client, httpx.Path, string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(u.Path, "{}%") {
		return nil, httpx.Path{}, "", fault.New(fault.Auth, "the credential configuration: %.100q is no URL that can be asked", address)
	}
	client, err := c.HTTP.Client(httpx.Config{BaseURL: u.Scheme + "://" + u.Host, Header: header, Auth: a, MaxBody: 1 << 20, Timeout: 30 * time.Second})
	return client, httpx.P(cmp.Or(u.Path, "/")), u.RawQuery, err
}

// exchange gives the other issuer's token for one of Google's.
func (f *federated) exchange(ctx context.Context) (Token, error) {
	subject, err := f.subject(ctx)
	if err != nil {
		return Token{}, err
	}
	a, err := f.endpoint.ask(ctx, url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "audience": {f.config.Audience}, "scope": {cloudPlatform},
		"requested_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		"subject_token_type":   {f.config.TokenType}, "subject_token": {subject},
	}, http.Header{}, true, []string{subject})
	if err != nil {
		return Token{}, err
	}
	tok := Token{Access: a.access, Type: "Bearer", Expires: f.Clock.Now().Add(time.Hour)}
	if a.life > 0 {
		tok.Expires = f.Clock.Now().Add(a.life)
	}
	return tok, nil
}

// subject reads the other issuer's token, which is replaced where it stands.
func (f *federated) subject(ctx context.Context) (string, error) {
	s := &f.config.Source
	var text []byte
	if f.source == nil {
		var err error
		if text, err = os.ReadFile(s.File); err != nil {
			return "", fault.New(fault.Auth, "the credential configuration's token: %w", err)
		}
	} else {
		r, err := f.source.Do(ctx, &httpx.Request{Path: f.sourcePath, RawQuery: f.sourceQuery})
		if err != nil {
			return "", err
		}
		text = r.Body
	}
	token := strings.TrimSpace(string(text))
	if s.Format.Type == "json" {
		var members map[string]jsontext.Value
		token = ""
		if json.Unmarshal(text, &members) == nil && json.Unmarshal(members[s.Format.Field], &token) != nil {
			token = ""
		}
	}
	if token == "" {
		return "", fault.New(fault.Auth, "the credential configuration's source holds no token")
	}
	return token, nil
}

// person gives the exchanged token for one of a service account's.
func (f *federated) person(ctx context.Context) (Token, error) {
	r, err := f.impersonate.Do(ctx, &httpx.Request{
		Method: http.MethodPost, Path: f.personPath, Idempotent: true,
		Body: []byte(`{"scope":["` + cloudPlatform + `"],"lifetime":"3600s","delegates":[]}`),
	})
	if err != nil {
		return Token{}, err
	}
	var body struct {
		Access  string    `json:"accessToken"`
		Expires time.Time `json:"expireTime"`
	}
	if err := httpx.Decode(r, &body); err != nil {
		return Token{}, err
	}
	if body.Access == "" || strings.ContainsFunc(body.Access, notInHeader) {
		return Token{}, fault.New(fault.Transient, "%s: the answer is no token", r.Endpoint)
	}
	f.HTTP.Redact(body.Access)
	expires := r.LocalTime(body.Expires)
	if body.Expires.IsZero() {
		expires = f.Clock.Now().Add(time.Hour)
	}
	return Token{Access: body.Access, Type: "Bearer", Expires: expires}, nil
}
