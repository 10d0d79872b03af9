package googleworkspace

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// AmbientToken is what a workload has that may have assertions signed.
const AmbientToken = "sandbox-ambient-token"

// consent is what somebody has consented to: by a code first, by a refresh token
// then.
type consent struct {
	subject             int
	scopes              []string
	redirect, challenge string
	expires             time.Time // of a code
	dead                bool
}

// problem is an error of the token endpoint (3.6).
type problem struct {
	status            int
	code, description string
}

func (p *problem) send(w http.ResponseWriter) {
	sendJSON(w, p.status, object{"error": p.code, "error_description": p.description})
}

var (
	unauthorizedClient = &problem{401, "unauthorized_client", "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested."}
	unknownSubject     = &problem{400, "invalid_grant", "Invalid email or User ID"}
	badTimes           = &problem{400, "invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."}
	badSignature       = &problem{400, "invalid_grant", "Invalid JWT Signature."}
	noAccount          = &problem{400, "invalid_grant", "Invalid grant: account not found"}
	revoked            = &problem{400, "invalid_grant", "Token has been expired or revoked."}
	reauth             = &problem{400, "invalid_grant", "reauth related error (invalid_rapt)"}
	restricted         = &problem{403, "access_denied", "Account restricted"}
	badClient          = &problem{401, "invalid_client", "The OAuth client was not found."}
	noScope            = &problem{400, "invalid_scope", "Invalid OAuth scope or ID token audience provided: empty or missing scope not allowed."}
	badCode            = &problem{400, "invalid_grant", "Malformed auth code."}
)

// open answers what needs no token of the customer's; false: the path does.
func (h *Handler) open(w http.ResponseWriter, r *http.Request) bool {
	path := r.URL.Path
	switch {
	case path == "/token" && r.Method == http.MethodPost:
		h.token(w, r)
	case path == "/revoke" && r.Method == http.MethodPost:
		h.revoke(w, r)
	case path == "/o/oauth2/v2/auth" && r.Method == http.MethodGet:
		h.consentPage(w, r)
	case strings.HasPrefix(path, "/v1/projects/-/serviceAccounts/") && strings.HasSuffix(path, ":signJwt") && r.Method == http.MethodPost:
		h.signFor(w, r, strings.TrimSuffix(strings.TrimPrefix(path, "/v1/projects/-/serviceAccounts/"), ":signJwt"))
	case strings.HasPrefix(path, "/computeMetadata/v1/instance/service-accounts/") && strings.HasSuffix(path, "/token"):
		if r.Header.Get("Metadata-Flavor") != "Google" {
			http.Error(w, "Missing Metadata-Flavor:Google header.", http.StatusForbidden)
			return true
		}
		w.Header().Set("Metadata-Flavor", "Google")
		sendJSON(w, http.StatusOK, object{"access_token": AmbientToken, "expires_in": 3599, "token_type": "Bearer"})
	default:
		return false
	}
	return true
}

func form(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		return nil, false
	}
	v, err := url.ParseQuery(string(raw))
	return v, err == nil
}

// token is the token endpoint.
func (h *Handler) token(w http.ResponseWriter, r *http.Request) {
	v, ok := form(w, r)
	if !ok {
		(&problem{400, "invalid_request", "The body could not be read."}).send(w)
		return
	}
	var answer object
	var p *problem
	switch v.Get("grant_type") {
	case h.facts.GrantType, "assertion":
		answer, p = h.byAssertion(r, v.Get("assertion"))
	case "authorization_code":
		answer, p = h.byCode(v)
	case "refresh_token":
		answer, p = h.byRefresh(v)
	default:
		p = &problem{400, "unsupported_grant_type", "Invalid grant_type: " + v.Get("grant_type")}
	}
	if p != nil {
		p.send(w)
		return
	}
	sendJSON(w, http.StatusOK, answer)
}

// byAssertion gives a token to a service account, which acts as somebody or itself.
func (h *Handler) byAssertion(r *http.Request, assertion string) (object, *problem) {
	c, signed, err := parseJWT(assertion)
	if err != nil {
		return nil, &problem{400, "invalid_grant", "Invalid JWT: " + err.Error()}
	}
	f := h.Faults()
	if !signed || f.KeyDeleted {
		return nil, badSignature
	}
	if c.Aud != tokenURI && c.Aud != h.t.Base+"/token" && !strings.HasSuffix(c.Aud, "/token") {
		return nil, &problem{400, "invalid_grant", "Invalid JWT: Failed audience check. The right audience is " + tokenURI}
	}
	now := float64(h.t.Clock.Now().Unix())
	if c.Iat == nil || c.Exp == nil || *c.Exp-*c.Iat > h.facts.AssertionLife.Seconds() || *c.Exp <= now || *c.Iat > now+300 {
		return nil, badTimes
	}
	scopes := strings.Fields(c.Scope)
	if len(scopes) == 0 {
		return nil, noScope
	}
	for i := range scopes {
		scopes[i] = scopeName(scopes[i])
	}
	sub := c.Sub
	if sub == "" {
		sub = c.Prn
	}
	x := access{service: -1, subject: -1, scopes: scopes}
	var p *problem
	h.t.World.View(func(s *org.State) { p = h.actAs(s, r, &x, c.Iss, sub, f) })
	if p != nil {
		return nil, p
	}
	h.auth.mu.Lock()
	defer h.auth.mu.Unlock()
	return h.given(h.auth.issue(x)), nil
}

// actAs says who a token is of: of a service account of the company's, and whom it
// may act as.
func (h *Handler) actAs(s *org.State, r *http.Request, x *access, iss, sub string, f Faults) *problem {
	for _, in := range s.Integrations[app] {
		if in.Kind == org.ServiceAccount && in.Gone.IsZero() && h.serviceEmail(s, in) == iss {
			x.service, x.client = in.N, h.serviceID(in.N)
		}
	}
	missing := h.auth.missing(r)
	switch {
	case x.service < 0:
		return noAccount
	case sub == "":
		return nil // it acts for itself: what its roles allow
	case x.service != org.GoogleAgent || slices.ContainsFunc(x.scopes, func(sc string) bool { return !slices.Contains(delegated, sc) || slices.Contains(missing, sc) }):
		return unauthorizedClient
	case slices.ContainsFunc(f.Restricted, func(a string) bool { return strings.EqualFold(a, sub) }):
		return restricted
	}
	a := h.accountByKey(s, sub)
	if a == nil || !strings.Contains(sub, "@") {
		return unknownSubject
	}
	x.subject = a.N
	return nil
}

func (h *Handler) given(token string) object {
	return object{"access_token": token, "expires_in": int(h.auth.life() / time.Second), "token_type": h.facts.TokenType}
}

func isClient(v url.Values) bool {
	return v.Get("client_id") == OAuthClientID && v.Get("client_secret") == OAuthClientSecret
}

// byCode exchanges a code.
func (h *Handler) byCode(v url.Values) (object, *problem) {
	if !isClient(v) {
		return nil, badClient
	}
	a := h.auth
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.codes[v.Get("code")]
	delete(a.codes, v.Get("code"))
	sum := sha256.Sum256([]byte(v.Get("code_verifier")))
	switch {
	case c == nil || !h.t.Clock.Now().Before(c.expires):
		return nil, badCode
	case v.Get("redirect_uri") != c.redirect:
		return nil, &problem{400, "redirect_uri_mismatch", "Bad Request"}
	case c.challenge != "" && base64.RawURLEncoding.EncodeToString(sum[:]) != c.challenge:
		return nil, &problem{400, "invalid_grant", "Invalid code verifier."}
	}
	answer := h.given(a.issue(access{client: OAuthClientID, service: -1, subject: c.subject, scopes: c.scopes}))
	a.serial++
	refresh := "1//sandbox" + itoa(a.serial) + letters(h.hash("refresh token", a.serial), 24)
	a.refresh[refresh] = c
	answer["refresh_token"], answer["scope"] = refresh, scopeList(c.scopes)
	return answer, nil
}

func scopeList(scopes []string) string {
	out := make([]string, len(scopes))
	for i, s := range scopes {
		out[i] = scopeURL(s)
	}
	return strings.Join(out, " ")
}

// byRefresh gives a new access token; the refresh token stays.
func (h *Handler) byRefresh(v url.Values) (object, *problem) {
	if !isClient(v) {
		return nil, badClient
	}
	f, a := h.Faults(), h.auth
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.refresh[v.Get("refresh_token")]
	switch {
	case c == nil || c.dead || f.Revoked:
		return nil, revoked
	case f.Rapt:
		return nil, reauth
	}
	answer := h.given(a.issue(access{client: OAuthClientID, service: -1, subject: c.subject, scopes: c.scopes}))
	answer["scope"] = scopeList(c.scopes)
	if h.facts.Rotates {
		a.serial++
		again := "1//sandbox" + itoa(a.serial) + letters(h.hash("refresh token", a.serial), 24)
		delete(a.refresh, v.Get("refresh_token"))
		a.refresh[again], answer["refresh_token"] = c, again
	}
	return answer, nil
}

// revoke ends a consent, by any of its tokens.
func (h *Handler) revoke(w http.ResponseWriter, r *http.Request) {
	v, _ := form(w, r)
	token := v.Get("token")
	if token == "" {
		token = r.URL.Query().Get("token")
	}
	h.auth.mu.Lock()
	defer h.auth.mu.Unlock()
	switch c, t := h.auth.refresh[token], h.auth.tokens[token]; {
	case c != nil && !c.dead:
		c.dead = true
	case t != nil && !t.dead:
		t.dead = true
	default:
		(&problem{400, "invalid_token", "Token expired or revoked"}).send(w)
		return
	}
	sendJSON(w, http.StatusOK, object{})
}

// consentPage is where a person consents, at once: the first administrator, or who
// login_hint names. The answer may be asked for with decision=deny, and fewer
// scopes with granted=.
func (h *Handler) consentPage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || redirect.Host == "" || q.Get("client_id") != OAuthClientID {
		http.Error(w, "Error 400: invalid_request", http.StatusBadRequest)
		return
	}
	back := redirect.Query()
	if state := q.Get("state"); state != "" {
		back.Set("state", state)
	}
	subject := 0
	h.t.World.View(func(s *org.State) {
		if a := h.accountByKey(s, q.Get("login_hint")); a != nil {
			subject = a.N
		}
	})
	switch {
	case q.Get("response_type") != "code" || q.Get("code_challenge") != "" && q.Get("code_challenge_method") != "S256":
		back.Set("error", "invalid_request")
	case q.Get("decision") == "deny":
		back.Set("error", "access_denied")
	default:
		scopes := strings.Fields(q.Get("scope"))
		if q.Has("granted") {
			scopes = strings.Fields(q.Get("granted"))
		}
		for i := range scopes {
			scopes[i] = scopeName(scopes[i])
		}
		if q.Get("access_type") != "offline" {
			h.t.Violate("consent", "without access_type=offline there is no refresh token")
		}
		h.auth.mu.Lock()
		h.auth.serial++
		code := "4/sandbox" + itoa(h.auth.serial)
		h.auth.codes[code] = &consent{subject: subject, scopes: scopes, redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"), expires: h.t.Clock.Now().Add(10 * time.Minute)}
		h.auth.mu.Unlock()
		back.Set("code", code)
		back.Set("scope", scopeList(scopes))
	}
	redirect.RawQuery = back.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound)
}

// signFor signs an assertion for a workload that may have that done (3.2).
func (h *Handler) signFor(w http.ResponseWriter, r *http.Request, email string) {
	if r.Header.Get("Authorization") != "Bearer "+AmbientToken {
		h.sendFailure(w, badCredentials())
		return
	}
	var in struct {
		Payload   string   `json:"payload"`
		Delegates []string `json:"delegates"`
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil || json.Unmarshal(raw, &in) != nil || !json.Valid([]byte(in.Payload)) {
		h.sendFailure(w, refuse(http.StatusBadRequest, "badRequest", "Invalid JSON payload received."))
		return
	}
	known := false
	h.t.World.View(func(s *org.State) {
		for _, x := range s.Integrations[app] {
			known = known || x.Kind == org.ServiceAccount && h.serviceEmail(s, x) == email
		}
	})
	if !known {
		h.sendFailure(w, refuse(http.StatusForbidden, "forbidden", "Permission 'iam.serviceAccounts.signJwt' denied on resource (or it may not exist)."))
		return
	}
	signed, err := signJWT(in.Payload)
	if err != nil {
		panic(fmt.Errorf("signing: %w", err)) // the key is good
	}
	sendJSON(w, http.StatusOK, object{"keyId": keyID, "signedJwt": signed})
}
