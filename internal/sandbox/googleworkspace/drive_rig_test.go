package googleworkspace

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/internal/sandbox/sandboxtest"
)

// driveRig is a client of one customer's Drive.
type driveRig struct {
	*testing.T
	sandbox *sandboxtest.Sandbox
	h       *Handler
	base    string
	tokens  map[string]string // by account and scope
}

func newDriveRig(t *testing.T, o sandbox.Options) *driveRig {
	o.Vendors = []sandbox.Vendor{Vendor()}
	s := sandboxtest.Start(t, o)
	tenant := s.Tenant(org.GoogleWorkspace, "acme")
	return &driveRig{T: t, sandbox: s, h: tenant.Handler().(*Handler), base: tenant.Base, tokens: map[string]string{}}
}

// quiet is an organization in which nothing happens.
func quiet() sandbox.Options { return sandbox.Options{EventsPerDay: -1, Files: 800} }

func (r *driveRig) state(fn func(s *org.State))  { r.h.t.World.View(fn) }
func (r *driveRig) change(fn func(s *org.State)) { r.h.t.World.Change(fn) }

// as returns a client that acts as an account.
func (r *driveRig) as(account int, scopes ...string) *driveClient {
	if len(scopes) == 0 {
		scopes = []string{"drive"}
	}
	r.h.auth.mu.Lock()
	defer r.h.auth.mu.Unlock()
	return &driveClient{driveRig: r, account: account, token: r.h.auth.issue(access{client: "client", service: org.GoogleAgent, subject: account, scopes: scopes})}
}

// users are accounts that have a My Drive and work; the first may do all.
func (r *driveRig) users() (list []int) {
	r.state(func(s *org.State) {
		for _, a := range s.Accounts[app] {
			if a.Status == org.Active && s.Docs.Mine(a.N) != nil {
				list = append(list, a.N)
			}
		}
	})
	return list
}

func (r *driveRig) email(account int) (login string) {
	r.state(func(s *org.State) { login = s.Accounts[app][account].Login })
	return login
}

type driveClient struct {
	*driveRig
	account int
	token   string
}

type driveAnswer struct {
	status int
	head   http.Header
	text   string
	body   object
}

func (a driveAnswer) reason() string {
	e, _ := a.body["error"].(object)
	if e == nil {
		return a.text
	}
	return e["errors"].([]any)[0].(object)["reason"].(string)
}

func (a driveAnswer) list(name string) (list []object) {
	for _, v := range a.body[name].([]any) {
		list = append(list, v.(object))
	}
	return list
}

func (c *driveClient) do(method, path string, body any, head ...string) driveAnswer {
	c.Helper()
	var raw io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		raw = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		require.NoError(c.T, err)
		raw = bytes.NewReader(text)
	}
	if !strings.HasPrefix(path, "http") {
		if !strings.HasPrefix(path, "/") {
			path = "/drive/v3/" + path
		}
		path = c.base + path
	}
	req, err := http.NewRequestWithContext(c.Context(), method, strings.ReplaceAll(path, " ", "%20"), raw)
	require.NoError(c.T, err)
	req.Header.Set("User-Agent", "test/1 (gzip)")
	req.Header.Set("Authorization", "Bearer "+c.token)
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	resp, err := c.sandbox.HTTP.Client().Do(req)
	require.NoError(c.T, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(c.T, err)
	require.NoError(c.T, resp.Body.Close())
	a := driveAnswer{status: resp.StatusCode, head: resp.Header, text: string(text)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		require.NoError(c.T, json.Unmarshal(text, &a.body), a.text)
	}
	return a
}

func (c *driveClient) get(path string) driveAnswer {
	c.Helper()
	return c.do(http.MethodGet, path, nil)
}

// ok is get that must succeed.
func (c *driveClient) ok(path string) driveAnswer {
	c.Helper()
	a := c.get(path)
	require.Equal(c.T, 200, a.status, "%s: %s", path, a.text)
	return a
}

// refused requires a failure.
func (c *driveClient) refused(a driveAnswer, status int, reason string) {
	c.Helper()
	require.Equal(c.T, status, a.status, a.text)
	require.Equal(c.T, reason, a.reason(), a.text)
}

// all follows a list to its end.
func (c *driveClient) all(path, name string) (list []object) {
	c.Helper()
	token := ""
	for {
		next := path
		if token != "" {
			next += "&pageToken=" + token
		}
		a := c.ok(next)
		list = append(list, a.list(name)...)
		if token, _ = a.body["nextPageToken"].(string); token == "" {
			return list
		}
	}
}

// drive is a shared drive with an active member by name of a role.
func (r *driveRig) drive(role string) (n int32, id string, member int) {
	member = -1
	r.state(func(s *org.State) {
		for _, k := range s.Docs.Corpora {
			if !k.Shared() || s.Docs.All[k.Root].Sharing == nil || len(k.Docs) < 3 {
				continue
			}
			for _, g := range s.Docs.All[k.Root].Sharing.Grants {
				if g.Account >= 0 && g.Role == role && s.Accounts[app][g.Account].Status == org.Active && s.Docs.Mine(g.Account) != nil && member < 0 {
					n, id, member = k.Root, r.h.fileID(s, k.Root), g.Account
				}
			}
		}
	})
	require.GreaterOrEqual(r.T, member, 0, "a shared drive with a member of role %s", role)
	return n, id, member
}
