package okta

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/sandbox/org"
)

// API tokens that every organization takes, or does not.
const (
	TokenValid   = "sandbox-token"
	TokenExpired = "sandbox-token-expired"
	TokenZone    = "sandbox-token-zone" // pinned to a network zone that nobody calls from
)

// Client is an OAuth 2.0 client registered at the organization. The zero values
// of its options are those of a service app with keys.
type Client struct {
	ID           string
	Keys         []Key
	Secret       string // for the authorization code; client_credentials takes keys only
	Scopes       []string
	DPoP         bool     // dpop_bound_access_tokens
	RedirectURIs []string // of a web app: it may use the authorization code
	Rotate       bool     // a refresh token is replaced when it is used
}

// authority knows clients and tokens.
type authority struct {
	h *Handler

	mu       sync.Mutex
	clients  map[string]*Client
	access   map[string]*access
	codes    map[string]*code
	refresh  map[string]*refreshToken
	families map[int]bool // refused
	used     map[string]time.Time
	serial   int
}

// access is an access token.
type access struct {
	client string
	scopes []string
	until  time.Time
	jkt    string // thumbprint of the key it is bound to; "" a bearer token
}

// principal is who a request comes from.
type principal struct {
	client string   // for limits
	scopes []string // of an OAuth token
	oauth  bool
	user   int // the account behind it, -1 none
}

func newAuthority(h *Handler) *authority {
	return &authority{
		h: h, clients: map[string]*Client{}, access: map[string]*access{}, codes: map[string]*code{}, refresh: map[string]*refreshToken{},
		families: map[int]bool{}, used: map[string]time.Time{},
	}
}

// AddClient registers an OAuth 2.0 client, or replaces it.
func (h *Handler) AddClient(c Client) {
	h.auth.mu.Lock()
	defer h.auth.mu.Unlock()
	h.auth.clients[c.ID] = &c
}

func (a *authority) expire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.access {
		t.until = time.Time{}
	}
}

// check returns whom the request's credentials belong to, or answers.
func (a *authority) check(c *call, _ *Faults) *principal {
	f := &a.h.facts
	scheme, token, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	switch {
	case token == "":
	case scheme == f.Schemes["api"]:
		return a.checkAPIToken(c, token)
	case scheme == f.Schemes["bearer"], scheme == f.Schemes["dpop"]:
		return a.checkAccess(c, scheme, token)
	}
	a.h.violate("no credentials", c.r.URL.Path)
	a.h.fail(c, f.StatusUnauthorized, f.ErrToken, "Invalid token provided")
	return nil
}

func (a *authority) checkAPIToken(c *call, token string) *principal {
	f := &a.h.facts
	if token != TokenValid {
		// Also for a token used from outside its network zone: the sheet has no
		// word on what the vendor answers then.
		a.h.fail(c, f.StatusUnauthorized, f.ErrToken, "Invalid token provided")
		return nil
	}
	// A scenario's expire_token leaves it alone: nobody could make a new one.
	who := &principal{client: "SSWS", user: -1}
	a.h.t.World.View(func(s *org.State) { who.user = tokenOwner(s) })
	return who
}

// tokenOwner is the account that the sandbox's API token belongs to: a machine's.
func tokenOwner(s *org.State) int {
	for _, a := range s.Accounts[org.Okta] {
		if s.People[a.Person].Service && a.Status == org.Active && a.Gone.IsZero() {
			return a.N
		}
	}
	return -1
}

func (a *authority) checkAccess(c *call, scheme, token string) *principal {
	f := &a.h.facts
	a.mu.Lock()
	t := a.access[token]
	var until time.Time
	if t != nil {
		if a.h.t.TokenExpired(c.r) {
			t.until = time.Time{}
		}
		until = t.until
	}
	a.mu.Unlock()
	if t == nil || !c.now.Before(until) {
		c.w.Header().Set("WWW-Authenticate", scheme+` error="invalid_token", error_description="The access token is invalid or has expired."`)
		a.h.fail(c, f.StatusUnauthorized, f.ErrToken, "Invalid token provided")
		return nil
	}
	switch {
	case t.jkt == "" && scheme == f.Schemes["dpop"]:
		a.oauthError(c, http.StatusBadRequest, "invalid_request", "The access token is not bound to a key.")
		return nil
	case t.jkt != "" && scheme != f.Schemes["dpop"]:
		a.h.violate("bound token without proof", c.r.URL.Path)
		a.oauthError(c, http.StatusBadRequest, "invalid_request", "The access token is bound to a key: use the DPoP scheme.")
		return nil
	case t.jkt != "":
		ath := sha256.Sum256([]byte(token))
		jkt, problem := a.proof(c, base64.RawURLEncoding.EncodeToString(ath[:]), nil)
		if problem == "" && jkt != t.jkt {
			problem = "The DPoP proof was made with another key."
		}
		if problem != "" {
			a.oauthError(c, http.StatusBadRequest, "invalid_dpop_proof", problem)
			return nil
		}
	}
	return &principal{client: t.client, scopes: t.scopes, oauth: true, user: -1}
}

// allowed tells whether the caller may use the route, or answers.
func (a *authority) allowed(c *call, faults *Faults) bool {
	f := &a.h.facts
	in := func(list []string) func(string) bool {
		return func(s string) bool { return slices.Contains(list, s) }
	}
	need := slices.DeleteFunc(strings.Fields(c.route.scope), in(faults.MissingScopes))
	switch {
	case slices.ContainsFunc(need, in(faults.MissingRoles)), len(need) == 0 && !c.who.oauth:
		a.h.fail(c, f.StatusDenied, f.ErrDenied, "You do not have permission to perform the requested action")
		return false
	case !c.who.oauth:
		return true
	case !slices.ContainsFunc(need, func(s string) bool { return granted(c.who.scopes, s) }):
		c.w.Header().Set("WWW-Authenticate", fmt.Sprintf(`%s error="insufficient_scope", error_description="The access token provided does not contain the required scopes.", scope=%q`, f.Schemes["bearer"], c.route.scope))
		a.h.fail(c, f.StatusDenied, f.ErrDenied, "You do not have permission to perform the requested action",
			"The access token provided does not contain the required scopes.")
		return false
	}
	return true
}

// granted tells whether scopes hold one; .manage includes .read.
func granted(scopes []string, need string) bool {
	return slices.Contains(scopes, need) || slices.Contains(scopes, strings.TrimSuffix(need, ".read")+".manage")
}

// proof checks the request's DPoP proof (RFC 9449) and returns its key's
// thumbprint, or what is wrong. ath is empty at the token endpoint, where nonce
// decides whether the nonce will do.
func (a *authority) proof(c *call, ath string, nonce func(string) bool) (jkt, problem string) {
	f := &a.h.facts
	list := c.r.Header.Values("DPoP")
	if len(list) == 0 {
		return "", "The DPoP proof JWT header is missing."
	}
	if len(list) > 1 {
		return "", "There is more than one DPoP proof."
	}
	j, err := parseJWS(list[0])
	if err != nil || j.header.Typ != "dpop+jwt" {
		return "", "The DPoP proof is not a valid JWT of type dpop+jwt."
	}
	key, jkt, err := publicKey(j.header.JWK)
	if err != nil || j.verify(key) != nil {
		return "", "The signature of the DPoP proof is not valid."
	}
	url := a.h.t.Base + c.r.URL.Path
	if f.HTUQuery && c.r.URL.RawQuery != "" {
		url += "?" + c.r.URL.RawQuery
	}
	cl := &j.claims
	switch {
	case cl.HTM != c.r.Method:
		return "", "htm does not match the request's method."
	case cl.HTU != url:
		return "", "htu does not match the request's URL."
	case cl.ATH != ath:
		return "", "ath does not match the access token."
	case cl.JTI == "" || cl.Iat == nil:
		return "", "jti and iat are required."
	}
	age := c.now.Sub(time.Unix(int64(*cl.Iat), 0))
	if age > f.ProofAge || age < -f.ProofAge {
		return "", "The DPoP proof is too old, or from the future."
	}
	if nonce != nil && !nonce(cl.Nonce) {
		return "", useNonce
	}
	if !a.once("dpop/"+jkt+"/"+cl.JTI, c.now) {
		return "", "The jti of the DPoP proof has been used."
	}
	return jkt, ""
}

const useNonce = "Authorization server requires nonce in DPoP proof."

// once tells whether something that may be used once is used for the first time.
func (a *authority) once(what string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.used[what]; ok {
		return false
	}
	if len(a.used) > 1<<16 { // what is older is refused for its age
		for k, t := range a.used {
			if now.Sub(t) > 2*a.h.facts.AssertionMax {
				delete(a.used, k)
			}
		}
	}
	a.used[what] = now
	return true
}

func (a *authority) oauthError(c *call, status int, code, description string) {
	c.status = status
	b := appendMember(append(c.body[:0], '{'), "error", code)
	c.body = append(appendMember(b, "error_description", description), '}')
}
