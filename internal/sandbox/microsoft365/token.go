package microsoft365

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // thumbprints are made with it
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// problem is an error of the token endpoint's.
type problem struct {
	status  int
	name    string // invalid_client
	number  int    // of AADSTS
	message string
}

// login answers a request to the identity platform. The path is below its host.
func (h *Handler) login(w http.ResponseWriter, r *http.Request, path string) {
	tenant, rest, _ := strings.Cut(path, "/")
	switch {
	case rest == "oauth2/v2.0/token" || rest == "oauth2/token":
		if r.Method != http.MethodPost {
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		answer, p := h.token(r, tenant, rest == "oauth2/token")
		if p != nil {
			h.loginError(w, p)
			return
		}
		w.Header().Set("Cache-Control", "no-store, no-cache")
		sendJSON(w, http.StatusOK, answer)
	case rest == "v2.0/adminconsent" && r.Method == http.MethodGet:
		h.adminConsent(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (h *Handler) loginError(w http.ResponseWriter, p *problem) {
	now := h.t.Clock.Now().UTC()
	trace := h.guid("trace", int(h.requests.Load()))
	sendJSON(w, p.status, object{
		"error": p.name, "error_description": fmt.Sprintf("AADSTS%d: %s Trace ID: %s Timestamp: %s", p.number, p.message, trace, now.Format("2006-01-02 15:04:05Z")),
		"error_codes": []int{p.number}, "timestamp": now.Format("2006-01-02 15:04:05Z"), "trace_id": trace, "correlation_id": trace,
		"error_uri": fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", p.number),
	})
}

// token gives a token, by version 1 or 2 of the endpoint.
func (h *Handler) token(r *http.Request, tenant string, v1 bool) (object, *problem) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	form, err2 := url.ParseQuery(string(raw))
	if err != nil || err2 != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil, &problem{400, "invalid_request", 900144, "The request body must be form-encoded."}
	}
	known, usable := false, true
	h.t.World.View(func(s *org.State) {
		known = h.tenant(s, tenant)
		for _, in := range s.Integrations[org.Microsoft365] {
			if h.appID(in.N) == form.Get("client_id") {
				usable = in.Active && in.Gone.IsZero()
			}
		}
	})
	switch {
	case tenant == "common" || tenant == "organizations":
		return nil, &problem{400, "invalid_request", 9001023, "The grant type is not supported over the /common or /consumers endpoints. Please use the /organizations or tenant-specific endpoint."}
	case !known:
		return nil, &problem{400, "invalid_request", 90002, "Tenant '" + tenant + "' not found."}
	case form.Get("grant_type") != "client_credentials":
		return nil, &problem{400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type."}
	}
	client := h.auth.client(form.Get("client_id"))
	switch {
	case client == nil:
		return nil, &problem{400, "unauthorized_client", 700016, "Application with identifier '" + form.Get("client_id") + "' was not found in the directory."}
	case client.Disabled || !usable:
		return nil, &problem{400, "unauthorized_client", 7000112, "Application is disabled."}
	}
	cert := form.Get("client_assertion") != ""
	if cert {
		if p := h.assertion(r, client, form); p != nil {
			return nil, p
		}
	} else if secret := form.Get("client_secret"); secret == "" || secret != client.Secret {
		return nil, &problem{401, "invalid_client", 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID."}
	} else if client.SecretExpired {
		return nil, &problem{401, "invalid_client", 7000222, "The provided client secret keys for app are expired."}
	}
	audience, p := h.audience(form, v1)
	if p != nil {
		return nil, p
	}
	now := h.t.Clock.Now().UTC()
	text, life := h.auth.issue(client, audience, cert, now)
	seconds := int(life / time.Second)
	if !v1 {
		return object{"token_type": h.facts.TokenType, "expires_in": seconds, "ext_expires_in": seconds, "access_token": text}, nil
	}
	return object{
		"token_type": h.facts.TokenType, "expires_in": strconv.Itoa(seconds), "ext_expires_in": strconv.Itoa(seconds), "expires_on": strconv.FormatInt(now.Add(life).Unix(), 10),
		"not_before": strconv.FormatInt(now.Unix(), 10), "resource": audience, "access_token": text,
	}, nil
}

// audience is what a token is asked for.
func (h *Handler) audience(form url.Values, v1 bool) (string, *problem) {
	audience := form.Get("resource")
	if !v1 {
		scopes := strings.Fields(form.Get("scope"))
		for _, s := range scopes {
			if !strings.HasSuffix(s, "/.default") {
				return "", &problem{400, "invalid_scope", 1002012, "The provided value for scope " + s + " is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier."}
			}
		}
		if len(scopes) > 1 {
			return "", &problem{400, "invalid_scope", 700022, "The provided value for the input parameter scope is not valid because it contains more than one resource."}
		}
		if len(scopes) == 1 {
			audience = strings.TrimSuffix(scopes[0], "/.default")
		}
	}
	switch {
	case audience == "":
		return "", &problem{400, "invalid_request", 900144, "The request body must contain the following parameter: 'scope'."}
	case apiOf(audience) == "":
		return "", &problem{400, "invalid_resource", 500011, "The resource principal named " + audience + " was not found in the tenant."}
	}
	return audience, nil
}

// assertion checks what a client proves itself with instead of a secret (3.3).
func (h *Handler) assertion(r *http.Request, client *Client, form url.Values) *problem {
	bad := func(message string) *problem { return &problem{401, "invalid_client", 50012, message} }
	if form.Get("client_assertion_type") != h.facts.AssertionType {
		return &problem{400, "invalid_request", 900144, "The client_assertion_type is not supported."}
	}
	parts := strings.Split(form.Get("client_assertion"), ".")
	if len(parts) != 3 {
		return bad("The client assertion is not a JWT.")
	}
	var head struct {
		Alg, X5t string
		X5t256   string `json:"x5t#S256"`
	}
	var claims struct {
		Aud, Iss, Sub, Jti string
		Nbf, Exp           int64
	}
	if !decode(parts[0], &head) || !decode(parts[1], &claims) {
		return bad("The client assertion could not be read.")
	}
	i := slices.IndexFunc(client.Certificates, func(c Certificate) bool {
		s1, s256 := sha1.Sum(c.DER), sha256.Sum256(c.DER) //nolint:gosec // as above
		return head.Alg == "PS256" && thumbprint(head.X5t256, s256[:]) || head.Alg == "RS256" && (thumbprint(head.X5t, s1[:]) || thumbprint(head.X5t256, s256[:]))
	})
	if i < 0 {
		return &problem{401, "invalid_client", 700027, "The certificate with identifier used to sign the client assertion is not registered on application."}
	}
	public, ok := client.Certificates[i].Public.(*rsa.PublicKey)
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if !ok || err != nil || !signed(public, head.Alg, parts[0]+"."+parts[1], signature) {
		return bad("Client assertion contains an invalid signature.")
	}
	now := h.t.Clock.Now()
	exp, nbf := time.Unix(claims.Exp, 0), time.Unix(claims.Nbf, 0)
	switch {
	case !h.endpoint(r, claims.Aud):
		return bad("Client assertion audience claim does not match Realm issuer. The audience must be the token endpoint.")
	case claims.Iss != client.ID || claims.Sub != client.ID:
		return bad("Client assertion issuer and subject must be the application's id.")
	case claims.Jti == "":
		return bad("Client assertion has no jti.")
	case !now.Before(exp) || nbf.After(now.Add(5*time.Minute)) || exp.Sub(nbf) > h.facts.AssertionAge:
		return &problem{401, "invalid_client", 700024, "Client assertion is not within its valid time range."}
	}
	return nil
}

// endpoint says whether an audience is the token endpoint's URL: the sandbox's, or
// that of the cloud it stands for.
func (h *Handler) endpoint(r *http.Request, audience string) bool {
	path := strings.TrimPrefix(r.URL.Path, "/login")
	for _, base := range []string{
		h.t.Base + "/login", "https://login.microsoftonline.com", "https://login.microsoftonline.us", "https://login.partner.microsoftonline.cn", "https://login.chinacloudapi.cn",
	} {
		if audience == base+path {
			return true
		}
	}
	return false
}

func decode(part string, v any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(raw, v) == nil
}

// thumbprint says whether a header names a certificate: in base64url, or in the
// base64 that Microsoft's own library for Go writes.
func thumbprint(text string, sum []byte) bool {
	return text != "" && (text == base64.RawURLEncoding.EncodeToString(sum) || text == base64.StdEncoding.EncodeToString(sum) || text == base64.URLEncoding.EncodeToString(sum))
}

func signed(key *rsa.PublicKey, alg, text string, signature []byte) bool {
	sum := sha256.Sum256([]byte(text))
	if alg == "PS256" {
		return rsa.VerifyPSS(key, crypto.SHA256, sum[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	}
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
}

// adminConsent is the page where an administrator consents: here they do at once.
func (h *Handler) adminConsent(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || back.Host == "" {
		h.loginError(w, &problem{400, "invalid_request", 50011, "The redirect URI is missing or wrong."})
		return
	}
	answer := back.Query()
	if h.auth.client(q.Get("client_id")) == nil {
		answer.Set("error", "unauthorized_client")
		answer.Set("error_description", "AADSTS700016: Application was not found in the directory.")
	} else {
		answer.Set("tenant", h.tenantID)
		answer.Set("admin_consent", "True")
	}
	if s := q.Get("state"); s != "" {
		answer.Set("state", s)
	}
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}
