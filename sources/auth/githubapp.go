package auth

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
	"github.com/jonboulle/clockwork"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// GitHubApp is an installation of a GitHub App (connectors/github.md 3.2).
type GitHubApp struct {
	HTTP    *httpx.Base
	Clock   clockwork.Clock
	BaseURL string      // of the REST API: "https://api.github.com"
	Header  http.Header // of every request: Accept, X-GitHub-Api-Version
	// ClientID is the App's client id, or its numeric App id.
	ClientID string
	// Key returns the App's private key, resolved at each token request: RSA,
	// as PEM.
	Key func() (string, error)
	// InstallationID is the installation's id; "": that of Organization.
	InstallationID string
	Organization   string // its login; needed without InstallationID
	// Classify classes answers of the API other than 401, 404 and those below
	// 400; nil: httpx.Classify.
	Classify func(*httpx.Response) error
}

const (
	appJWTBack   = 60 * time.Second // iat lies back, for clocks that differ
	appJWTLife   = 9 * time.Minute
	installEarly = 10 * time.Minute // of the hour that an installation token lasts
)

// NewGitHubApp returns an authorizer. It makes no request, but reads the key,
// so that a wrong one shows at once.
//
// Token.Permissions are the installation's, and repository_selection: which
// repositories it reaches, all or selected.
func NewGitHubApp(c GitHubApp) (*Tokens, error) {
	client, err := c.HTTP.Client(httpx.Config{BaseURL: c.BaseURL, Header: c.Header, MaxBody: 1 << 20, Timeout: 30 * time.Second, Classify: func(r *httpx.Response) error {
		switch {
		case r.Status < 400, r.Status == http.StatusUnauthorized, r.Status == http.StatusNotFound:
			return nil // installation tells what it means
		case c.Classify != nil:
			return c.Classify(r)
		}
		return httpx.Classify(r)
	}})
	if err != nil {
		return nil, err
	}
	if c.InstallationID == "" && c.Organization == "" {
		return nil, fault.New(fault.Permanent, "a GitHub App needs the installation's id, or the organization it is installed in")
	}
	if _, err := c.key(); err != nil {
		return nil, err
	}
	i := &installation{GitHubApp: c, client: client, id: c.InstallationID}
	return Cached(i.mint, CacheOptions{Clock: c.Clock, Early: installEarly}), nil
}

func (c *GitHubApp) key() (*signingKey, error) {
	key, err := loadKey(c.Key, "RS256")
	if err != nil {
		return nil, fmt.Errorf("the GitHub App's key: %w", err)
	}
	return key, nil
}

type installation struct {
	GitHubApp
	client *httpx.Client

	mu   sync.Mutex
	id   string // "" until it is found
	slug string // "" until it is told
}

func (i *installation) mint(ctx context.Context) (Token, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.id == "" {
		if err := i.find(ctx); err != nil {
			return Token{}, err
		}
	}
	r, err := i.call(ctx, http.MethodPost, httpx.P("/app/installations/{installation_id}/access_tokens", i.id))
	if err != nil {
		return Token{}, err
	}
	if r.Status == http.StatusNotFound {
		id := i.id
		i.id = i.InstallationID // it may have been installed anew
		return Token{}, fault.New(fault.Auth, "the GitHub App %s has no installation %s: it was removed, or belongs to another App", i.ClientID, id)
	}
	var body struct {
		Token       string                    `json:"token"`
		ExpiresAt   time.Time                 `json:"expires_at"`
		Permissions map[string]jsontext.Value `json:"permissions"`
		Selection   string                    `json:"repository_selection"` // all selected
	}
	if err := httpx.Decode(r, &body); err != nil {
		return Token{}, err
	}
	if body.Token == "" || strings.ContainsFunc(body.Token, notInHeader) {
		return Token{}, fault.New(fault.BadData, "%s: the answer holds no token", r.Endpoint)
	}
	i.HTTP.Redact(body.Token)
	if i.slug == "" {
		i.slug = i.name(ctx)
	}
	tok := Token{Access: body.Token, Type: "Bearer", Expires: i.local(r, body.ExpiresAt), Permissions: map[string]string{}, Slug: i.slug}
	for name, v := range body.Permissions {
		var level string
		if json.Unmarshal(v, &level) == nil {
			tok.Permissions[name] = level
		}
	}
	if body.Selection != "" {
		tok.Permissions["repository_selection"] = body.Selection
	}
	return tok, nil
}

// local is a time of the vendor's by the agent's clock.
func (i *installation) local(r *httpx.Response, at time.Time) time.Time {
	if at.IsZero() {
		return i.Clock.Now().Add(time.Hour)
	}
	return at.Add(-r.Skew)
}

// name asks what the App is called in addresses. A token is good without it.
func (i *installation) name(ctx context.Context) string {
	r, err := i.call(ctx, http.MethodGet, httpx.P("/app"))
	if err != nil || r.Status != http.StatusOK {
		return ""
	}
	var body struct {
		Slug string `json:"slug"`
	}
	if httpx.Decode(r, &body) != nil {
		return ""
	}
	return body.Slug
}

// find looks up the organization's installation.
func (i *installation) find(ctx context.Context) error {
	r, err := i.call(ctx, http.MethodGet, httpx.P("/orgs/{org}/installation", i.Organization))
	if err != nil {
		return err
	}
	if r.Status == http.StatusNotFound {
		return fault.New(fault.Auth, "the GitHub App %s is not installed in the organization %s: an owner installs it from the App's page", i.ClientID, i.Organization)
	}
	var body struct {
		ID          int64     `json:"id"`
		SuspendedAt time.Time `json:"suspended_at"`
	}
	if err := httpx.Decode(r, &body); err != nil {
		return err
	}
	if !body.SuspendedAt.IsZero() {
		return fault.New(fault.Auth, "the GitHub App %s is suspended in the organization %s since %s: an owner unsuspends it in the organization's settings",
			i.ClientID, i.Organization, body.SuspendedAt.Format(time.DateOnly))
	}
	if body.ID <= 0 {
		return fault.New(fault.BadData, "%s: the answer holds no id", r.Endpoint)
	}
	i.id = strconv.FormatInt(body.ID, 10)
	return nil
}

// call makes a request as the App. One that the App's JWT is refused in is made
// again by the vendor's clock, where that differs.
func (i *installation) call(ctx context.Context, method string, p httpx.Path) (*httpx.Response, error) {
	var skew time.Duration
	for attempt := 1; ; attempt++ {
		key, err := i.key()
		if err != nil {
			return nil, err
		}
		now := i.Clock.Now().Add(skew)
		token, err := key.sign("", jwt.MapClaims{"iat": now.Add(-appJWTBack).Unix(), "exp": now.Add(appJWTLife).Unix(), "iss": i.ClientID})
		if err != nil {
			return nil, err
		}
		r, err := i.client.Do(ctx, &httpx.Request{Method: method, Path: p, Idempotent: true, Header: http.Header{"Authorization": {"Bearer " + token}}})
		switch {
		case err != nil:
			return nil, err
		case r.Status != http.StatusUnauthorized:
			return r, nil
		case attempt == 1 && r.Skew.Abs() >= skewMatters:
			skew = r.Skew
		default:
			return nil, fault.New(fault.Auth, "%s: GitHub refuses the App's own credentials%s: check the client id %s, its private key and this machine's clock", r.Endpoint, i.HTTP.Scrub(message(r, token)), i.ClientID)
		}
	}
}

// message is what GitHub says of an error, for an error of ours.
func message(r *httpx.Response, secrets ...string) string {
	var body struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(r.Body, &body) != nil || body.Message == "" {
		return ""
	}
	return " (" + clean(body.Message, secrets) + ")"
}
