package googleworkspace

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/internal/sandbox/sandboxtest"
)

// rig is a client of one customer, as the first administrator with all scopes.
type rig struct {
	*testing.T
	s      *sandboxtest.Sandbox
	h      *Handler
	base   string
	bearer string
}

func newRig(t *testing.T, o sandbox.Options) *rig {
	if o.Vendors == nil {
		o.Vendors = []sandbox.Vendor{Vendor()}
	}
	s := sandboxtest.Start(t, o)
	tenant := s.Tenant(org.GoogleWorkspace, "acme")
	r := &rig{T: t, s: s, h: tenant.Handler().(*Handler), base: tenant.Base}
	r.bearer = r.as(r.h.Subject())
	return r
}

// state looks at the organization.
func (r *rig) state(fn func(s *org.State)) { r.h.t.World.View(fn) }

// claims are an assertion's of the agent's service account, about now.
func (r *rig) claims(sub string, scopes ...string) object {
	iss := ""
	r.state(func(s *org.State) { iss = r.h.serviceEmail(s, s.Integrations[app][org.GoogleAgent]) })
	for i := range scopes {
		scopes[i] = scopeURL(scopes[i])
	}
	now := r.s.Clock.Now().Unix()
	c := object{"iss": iss, "scope": strings.Join(scopes, " "), "aud": r.base + "/token", "iat": now, "exp": now + 3600}
	if sub != "" {
		c["sub"] = sub
	}
	return c
}

// sign makes an assertion.
func (r *rig) sign(key *rsa.PrivateKey, claims object) string {
	raw, err := json.Marshal(claims)
	require.NoError(r.T, err)
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT","kid":"`+keyID+`"}`)) + "." + base64.RawURLEncoding.EncodeToString(raw)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	require.NoError(r.T, err)
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// as takes a token for acting as somebody.
func (r *rig) as(sub string, scopes ...string) string {
	r.Helper()
	if len(scopes) == 0 {
		scopes = append(scopes, delegated...)
	}
	a := r.assert(r.claims(sub, scopes...))
	require.Equal(r.T, 200, a.status, a.text)
	return a.body["access_token"].(string)
}

func (r *rig) assert(claims object) answer {
	r.Helper()
	return r.token(url.Values{"grant_type": {r.h.facts.GrantType}, "assertion": {r.sign(sandboxKey(), claims)}})
}

func (r *rig) token(form url.Values) answer {
	r.Helper()
	return r.do(http.MethodPost, r.base+"/token", strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
}

// answer is what came back.
type answer struct {
	status int
	head   http.Header
	text   string
	body   object
}

// reason is the first error's.
func (a answer) reason() string {
	e, _ := a.body["error"].(object)
	list, _ := e["errors"].([]any)
	if len(list) == 0 {
		return a.text
	}
	return list[0].(object)["reason"].(string)
}

func (a answer) list(name string) (list []object) {
	values, _ := a.body[name].([]any)
	for _, v := range values {
		list = append(list, v.(object))
	}
	return list
}

// is says whether a member is true.
func is(v object, name string) bool {
	b, _ := v[name].(bool)
	return b
}

func (a answer) next() string { s, _ := a.body["nextPageToken"].(string); return s }

func (r *rig) do(method, address string, body io.Reader, head ...string) answer {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, address, body)
	require.NoError(r.T, err)
	req.Header.Set("User-Agent", "test/1 (gzip)")
	req.Header.Set("Authorization", "Bearer "+r.bearer)
	for i := 0; i < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	client := *r.s.HTTP.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	require.NoError(r.T, err)
	defer func() { require.NoError(r.T, resp.Body.Close()) }()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(r.T, err)
	a := answer{status: resp.StatusCode, head: resp.Header, text: string(raw)}
	if bytes.HasPrefix(raw, []byte("{")) {
		require.NoError(r.T, json.Unmarshal(raw, &a.body), a.text)
	}
	return a
}

// get reads below the base; what begins without a slash is of the directory.
func (r *rig) get(what string, head ...string) answer {
	r.Helper()
	return r.do(http.MethodGet, r.at(what), nil, head...)
}

func (r *rig) at(what string) string {
	if !strings.HasPrefix(what, "/") {
		what = directory + what
	}
	return r.base + strings.ReplaceAll(what, " ", "%20")
}

// send writes below the base, as JSON.
func (r *rig) send(method, what string, body any, head ...string) answer {
	r.Helper()
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		require.NoError(r.T, err)
		in = bytes.NewReader(raw)
	}
	return r.do(method, r.at(what), in, append([]string{"Content-Type", "application/json"}, head...)...)
}

// all follows a list to its end.
func (r *rig) all(what, name string) (list []object) {
	r.Helper()
	sep := "?"
	if strings.Contains(what, "?") {
		sep = "&"
	}
	for token := ""; ; {
		at := what
		if token != "" {
			at += sep + "pageToken=" + url.QueryEscape(token)
		}
		a := r.get(at)
		require.Equal(r.T, 200, a.status, "%s: %s", at, a.text)
		list = append(list, a.list(name)...)
		if token = a.next(); token == "" {
			return list
		}
	}
}

// accounts are those that fit.
func (r *rig) accounts(fits func(s *org.State, a *org.Account) bool) (list []*org.Account) {
	r.state(func(s *org.State) {
		for _, a := range s.Accounts[app] {
			if fits(s, a) {
				copied := *a
				list = append(list, &copied)
			}
		}
	})
	require.NotEmpty(r.T, list)
	return list
}

// plain is an active account of somebody who is no administrator.
func (r *rig) plain() *org.Account {
	return r.accounts(func(s *org.State, a *org.Account) bool {
		super, some := s.GoogleAdmin(a)
		return a.Status == org.Active && !super && !some && !a.Outside
	})[0]
}

// report reads a whole report from a while ago until now.
func (r *rig) report(name string, since time.Duration) []object {
	r.Helper()
	from := url.QueryEscape(stamp(r.s.Clock.Now().Add(-since)))
	return r.all("/admin/reports/v1/activity/users/all/applications/"+name+"?startTime="+from, "items")
}

// unlimited has nothing throttled.
func (r *rig) unlimited() {
	r.h.SetFaults(Faults{Limits: map[string]int{"directory": -1, "reports": -1, "filter": -1}})
}
