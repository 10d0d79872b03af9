package microsoft365

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/internal/sandbox/sandboxtest"
)

// rig is a client of one tenant, with all permissions.
type rig struct {
	*testing.T
	s      *sandboxtest.Sandbox
	h      *Handler
	base   string
	bearer string
}

func newRig(t *testing.T, o sandbox.Options) *rig {
	o.Vendors = []sandbox.Vendor{Vendor()}
	s := sandboxtest.Start(t, o)
	tenant := s.Tenant(org.Microsoft365, "acme")
	r := &rig{T: t, s: s, h: tenant.Handler().(*Handler), base: tenant.Base}
	r.login()
	return r
}

// state looks at the organization.
func (r *rig) state(fn func(s *org.State)) { r.h.t.World.View(fn) }

// login takes a new token.
func (r *rig) login() {
	r.Helper()
	a := r.token(url.Values{"grant_type": {"client_credentials"}, "client_id": {ClientID}, "client_secret": {ClientSecret}, "scope": {"https://graph.microsoft.com/.default"}})
	require.Equal(r.T, 200, a.status, a.text)
	r.bearer = a.body["access_token"].(string)
}

// token asks for a token by version 2.
func (r *rig) token(form url.Values) answer { return r.tokenAt("oauth2/v2.0/token", form) }

func (r *rig) tokenAt(path string, form url.Values) answer {
	r.Helper()
	return r.do(http.MethodPost, r.base+"/login/"+r.h.tenantID+"/"+path, strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
}

// answer is what came back.
type answer struct {
	status int
	head   http.Header
	text   string
	body   object
}

func (a answer) code() string { return a.body["error"].(object)["code"].(string) }

func (a answer) value() (list []object) {
	for _, v := range a.body["value"].([]any) {
		list = append(list, v.(object))
	}
	return list
}

func (a answer) next() string  { s, _ := a.body["@odata.nextLink"].(string); return s }
func (a answer) delta() string { s, _ := a.body["@odata.deltaLink"].(string); return s }

func (r *rig) do(method, address string, body io.Reader, head ...string) answer {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, address, body)
	require.NoError(r.T, err)
	req.Header.Set("User-Agent", "test/1")
	req.Header.Set("Authorization", "Bearer "+r.bearer)
	for i := 0; i < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	resp, err := r.s.HTTP.Client().Do(req)
	require.NoError(r.T, err)
	defer func() { require.NoError(r.T, resp.Body.Close()) }()
	return readAnswer(r.T, resp)
}

func readAnswer(t *testing.T, resp *http.Response) answer {
	t.Helper()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	a := answer{status: resp.StatusCode, head: resp.Header, text: string(raw)}
	if bytes.HasPrefix(raw, []byte("{")) {
		require.NoError(t, json.Unmarshal(raw, &a.body), a.text)
	}
	return a
}

// get reads below version 1.0, or beta/..., or a whole address.
func (r *rig) get(what string, head ...string) answer {
	r.Helper()
	switch {
	case strings.HasPrefix(what, "http"):
	case strings.HasPrefix(what, "beta/"):
		what = r.base + "/graph/" + what
	default:
		what = r.base + "/graph/v1.0/" + what
	}
	return r.do(http.MethodGet, strings.ReplaceAll(what, " ", "%20"), nil, head...)
}

// all follows a list to its end.
func (r *rig) all(what string) (list []object, delta string) {
	r.Helper()
	for what != "" {
		a := r.get(what)
		require.Equal(r.T, 200, a.status, "%s: %s", what, a.text)
		list = append(list, a.value()...)
		what, delta = a.next(), a.delta()
	}
	return list, delta
}

// unlimited has nothing throttled.
func (r *rig) unlimited() { r.h.SetFaults(Faults{Units: -1, Reports: -1}) }
