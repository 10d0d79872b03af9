package github

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
)

// Every fact is flipped, and every flip shows in some answer.
func TestFlips(t *testing.T) {
	t.Parallel()
	s := fixture()
	line := s.Timeline[org.GitHub]
	var older []*org.Event
	for i, like := range line[len(line)-30:] {
		e := *like
		e.N, e.At = 1000+i, start.Add(-time.Duration(31-i)*day)
		older = append(older, &e)
	}
	s.Timeline[org.GitHub] = append(older, line...)
	s.Repos = append(s.Repos, &org.Repo{N: 2, Name: "empty", Visibility: "private", Branch: "main", Created: start.Add(-day)})
	s.Repos[0].Files = []org.Blob{{Path: "a/b", Mode: "100644", Hash: "1"}, {Path: "a/c", Mode: "100644", Hash: "2"}, {Path: "d", Mode: "100644", Hash: "3"}}
	want := answers(t, s, Default())
	flipped := map[string]bool{}
	for _, flip := range Flips() {
		facts := Default()
		flip.Apply(&facts)
		a, b := reflect.ValueOf(Default()), reflect.ValueOf(facts)
		for i := range a.NumField() {
			if !a.Field(i).Equal(b.Field(i)) {
				flipped[a.Type().Field(i).Name] = true
			}
		}
		if want == answers(t, s, facts) { // too long to be shown
			t.Errorf("no answer shows that %s", flip.Name)
		}
	}
	for i := range reflect.TypeFor[Facts]().NumField() {
		require.True(t, flipped[reflect.TypeFor[Facts]().Field(i).Name], reflect.TypeFor[Facts]().Field(i).Name)
	}
	require.GreaterOrEqual(t, len(Flips()), 20)
}

// answers asks for everything, in all flavours, and returns what comes.
func answers(t *testing.T, s *org.State, facts Facts) string {
	var out strings.Builder
	fresh := func(f Flavour) *rig {
		r := &rig{t: t, clock: clockwork.NewFakeClockAt(start), token: "sandbox-token"}
		tenant := &sandbox.Tenant{App: org.GitHub, Name: "acme", Base: "http://127.0.0.1:1/github/acme", Clock: r.clock}
		r.h = newHandler(tenant, facts, func(fn func(*org.State)) { fn(s) })
		r.h.violate = func(string, string) {}
		r.h.SetFlavour(f)
		return r
	}
	note := func(w *httptest.ResponseRecorder) *httptest.ResponseRecorder {
		out.WriteString(http.StatusText(w.Code) + w.Header().Get("Link") + w.Header().Get("Retry-After") + w.Header().Get("X-RateLimit-Limit") + w.Body.String() + "\n")
		return w
	}
	r := fresh(Flavour{})
	for _, target := range []string{
		"/orgs/acme", "/orgs/acme/members", "/orgs/acme/members?per_page=2", "/orgs/acme/members?page=1&per_page=1", "/orgs/acme/members?role=admin", "/orgs/acme/invitations",
		"/orgs/acme/memberships/ada-acme", "/orgs/acme/teams", "/orgs/acme/teams/platform/members", "/orgs/acme/organization-roles", "/repos/acme/core/collaborators?affiliation=direct",
		"/repos/acme/empty/git/trees/main", "/repos/acme/site/git/trees/main?recursive=0", "/orgs/acme/installations", "/orgs/acme/credential-authorizations?per_page=1",
		"/orgs/acme/personal-access-tokens", "/orgs/acme/audit-log", "/orgs/acme/audit-log?include=all&per_page=100", "/orgs/acme/audit-log?include=git&phrase=created:>2020-01-01",
		"/orgs/acme/audit-log?phrase=created:>=" + start.Add(-24*time.Hour+30*time.Minute).Format(time.RFC3339), "/orgs/acme/audit-log?after=x", "/rate_limit",
	} {
		note(r.get(target))
	}
	note(r.get("/orgs/acme/organization-roles/" + itoa(r.h.id(kindRole, 0)) + "/users"))
	for u, n := "/orgs/acme/audit-log?order=asc&per_page=3", 0; u != "" && n < 30; n++ {
		u = next(note(r.get(u)))
	}
	note(r.get("/user", "Authorization", "Bearer wrong"))
	note(r.request(http.MethodPost, "/graphql", body(strings.Replace(membersQuery, "first: 10", "first: 11", 1), object{"org": "acme"})))
	note(fresh(Flavour{EMU: true}).get("/orgs/acme/invitations"))
	note(fresh(Flavour{Free: true}).get("/orgs/acme/audit-log"))

	limits := fresh(Flavour{})
	limits.h.SetTrouble(Trouble{SecondaryEvery: 2})
	note(limits.get("/user"))
	note(limits.get("/user"))

	many := fresh(Flavour{})
	for range 12 {
		note(many.get("/user"))
	}
	r = fresh(Flavour{})
	tokens := []string{}
	for range 2 {
		w := r.get("/login/oauth/authorize?client_id=" + OAuthClientID + "&redirect_uri=http%3A%2F%2Fx%2F&scope=a+b")
		u, err := url.Parse(w.Header().Get("Location"))
		require.NoError(t, err)
		r.clock.Advance(time.Second)
		form := url.Values{"client_id": {OAuthClientID}, "client_secret": {OAuthClientSecret}, "code": u.Query()["code"], "redirect_uri": {"http://x/"}}.Encode()
		tokens = append(tokens, str(decode[object](t, note(r.request(http.MethodPost, "/login/oauth/access_token", form)))["access_token"]))
		note(r.request(http.MethodPost, "/login/oauth/access_token", form))
	}
	for _, r.token = range tokens {
		note(r.get("/user"))
	}
	r = fresh(Flavour{})
	_, sign := r.app()
	now := r.clock.Now()
	r.token = sign(now, now.Add(9*time.Minute), "RS256")
	w := r.get("/orgs/acme/installation")
	out.WriteString(http.StatusText(w.Code))
	if w.Code == 200 {
		r.token = r.mint(r.token)
		r.clock.Advance(time.Minute)
		out.WriteString(http.StatusText(r.get("/orgs/acme").Code))
	}
	r.token = sign(now.Add(30*time.Minute), now.Add(9*time.Minute), "RS256")
	out.WriteString(http.StatusText(r.get("/app").Code))
	return out.String()
}

func str(v any) string {
	s, _ := v.(string)
	return s
}
