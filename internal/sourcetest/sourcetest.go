package sourcetest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"weir/internal/fault"
	"weir/internal/rowtest"
	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/schemas"
	"weir/sources"
)

// Fixture is what the suite needs of a connector.
type Fixture struct {
	Connector *sources.Connector
	Vendor    sandbox.Vendor
	Config    string // YAML lines of the instance, beside the sandbox's own
	// Settings are YAML lines of an instance that connects to a tenant, in
	// place of the sandbox's own; nil: those.
	Settings func(t testing.TB, tenant *sandbox.Tenant) string
	// Scopes are the scopes, in the sandbox's words, that a stream, or a part of
	// one, needs and no other stream does, by capability: taking them away must
	// stop that stream alone.
	Scopes map[string][]string
	// Unjoined are references of activities that name no entity, with the
	// reason, by "column kind": "target role".
	Unjoined map[string]string
	// Recent are YAML lines of the configuration that have the logs begin an hour
	// ago; needed where one looks back.
	Recent string
	// Secrets are texts of the configuration that nobody may see.
	Secrets []string
	// Words are members of the vendor's records that hold words of its own, to
	// which it may add.
	Words []string
	// Lists are members of the vendor's answers that hold records, beside
	// "value".
	Lists []string
	// Listings tells the requests whose answers list what holds records, files
	// say: a bad entry there costs all that it would have led to.
	Listings func(*http.Request) bool
	// Wrap, unless nil, sees what reaches the sandbox: it holds it against a
	// specification.
	Wrap func(http.Handler) http.Handler
	// Reads tells, of requests that are no GET, those that change nothing. It
	// leaves the body as it was.
	Reads func(*http.Request) bool
	// LogLag is how long the vendor's log takes to show what was done.
	LogLag time.Duration
	// Speed of the clock, where actions are tried; 0: the suite's.
	Speed int
	// Skip are tests that this connector is exempt from, with the reason.
	Skip map[string]string
}

// Scenarios are the sandbox's built-in ones that the suite collects under.
func Scenarios() []string {
	var out []string
	for _, name := range sandbox.Builtin() {
		if name != "none" && name != "missing_scope" { // which has a test of its own
			out = append(out, name)
		}
	}
	return out
}

// underRace are the tests that exercise everything that runs side by side. The
// others show the race detector nothing new, and take it half an hour.
var underRace = []string{"collects the truth, and nothing the second time", "cancelling is quick and leaves nothing behind", "the truth under mixed"}

// NotUnderRace skips a test that is run without the race detector.
func NotUnderRace(t testing.TB) {
	t.Helper()
	if raceEnabled {
		t.Skip("run without the race detector, by make test too")
	}
}

type test struct {
	name string
	run  func(*testing.T, *Fixture)
}

// Run runs the suite, or those of its tests that are named.
func Run(t *testing.T, f Fixture, only ...string) {
	tests := []test{
		{"declares what it is", declares},
		{"collects the truth, and nothing the second time", collects},
		{"a page read twice is the same", pages},
		{"any page's cursor resumes", resumes},
		{"life goes on", lives},
		{"late events arrive, once", late},
		{"the past is collected, once", backfills},
		{"a new sink gets the whole present state", newSink},
		{"a scope taken away stops its stream alone, removes nobody, and comes back", scopes},
		{"a listing cut short removes nobody", cutShort},
		{"an instance that reaches another organization is refused", repointed},
		{"refused credentials", refused},
		{"what is no JSON is tried again", nonsense},
		{"unknown fields and values are taken", unknown},
		{"a record that cannot be mapped costs no neighbour", malformed},
		{"cancelling is quick and leaves nothing behind", cancels},
		{"secrets stay secret", secrets},
		{"activities join their entities", joins},
		{"activities are made anew from their records", remaps},
	}
	for _, s := range Scenarios() {
		tests = append(tests, test{"the truth under " + s, func(t *testing.T, f *Fixture) { under(t, f, s) }})
	}
	for name, reason := range f.Skip {
		require.True(t, slices.ContainsFunc(tests, func(x test) bool { return x.name == name }), "no such test to skip: %q", name)
		require.NotEmpty(t, reason)
	}
	for _, name := range only {
		require.True(t, slices.ContainsFunc(tests, func(x test) bool { return x.name == name }), "no such test: %q", name)
	}
	for _, x := range tests {
		if len(only) > 0 && !slices.Contains(only, x.name) {
			continue
		}
		t.Run(x.name, func(t *testing.T) {
			if reason, ok := f.Skip[x.name]; ok {
				t.Skip("exempt: " + reason)
			}
			if !slices.Contains(underRace, x.name) {
				NotUnderRace(t)
			}
			x.run(t, &f)
		})
	}
}

// tables are those that the connector fills.
func (f *Fixture) tables() (out []*schemas.Table) {
	for _, t := range schemas.Tables() {
		for _, s := range f.Connector.Streams {
			if slices.Contains(s.Tables, t.Name) && !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
	}
	return out
}

const few = 60 // people, where more would show nothing more

func declares(t *testing.T, f *Fixture) {
	c := f.Connector
	require.NotEmpty(t, c.Title)
	require.NotEmpty(t, c.Hosts)
	require.NotEmpty(t, c.Limits)
	filled := map[string]string{}
	capabilities := map[string]bool{}
	for _, k := range c.Capabilities {
		require.False(t, capabilities[k.Name], k.Name)
		capabilities[k.Name] = true
		require.NotEmpty(t, k.Doc, k.Name)
		require.NotEmpty(t, k.Scopes, k.Name)
		require.NotEmpty(t, k.Where, k.Name)
		stream, _, _ := strings.Cut(k.Name, "/")
		require.True(t, k.Name == sources.CapabilityOrganization || slices.ContainsFunc(c.Streams, func(s sources.StreamInfo) bool { return s.Name == stream }), "%s: no such stream", k.Name)
	}
	for _, s := range c.Streams {
		require.NotEmpty(t, s.Doc, s.Name)
		require.True(t, capabilities[s.Name], "%s: a stream needs a capability of its name", s.Name)
		require.NotZero(t, s.Every, s.Name)
		require.NotEmpty(t, s.Tables, s.Name)
		for _, name := range s.Tables {
			table := schemas.ByName(name)
			require.NotNil(t, table, name)
			require.Equal(t, s.Shape == sources.Scan, table.Entity, "%s fills %s", s.Name, name)
			if table.Entity {
				require.Empty(t, filled[name], "%s is filled by two streams", name)
				filled[name] = s.Name
			}
		}
		if s.Shape == sources.Log {
			require.NotZero(t, s.Keep, s.Name)
		}
	}
	site := f.NewSite(t, SiteOptions{People: few})
	session := site.Session()
	var names []string
	for _, s := range session.Streams() {
		names = append(names, s.Info.Name)
		require.NotNil(t, s.Read)
	}
	var declared []string
	for _, s := range c.Streams {
		declared = append(declared, s.Name)
	}
	require.Subset(t, declared, names)
	tenant, err := session.Tenant(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, tenant)
	id, err := session.Identity(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, id.Name+id.ID)
	for _, k := range c.Capabilities {
		require.NoError(t, session.Probe(t.Context(), k.Name), k.Name)
	}
	site.polite()
}

func collects(t *testing.T, f *Fixture) {
	site := f.NewSite(t, SiteOptions{People: 200})
	site.Once()
	site.Equal("lake")
	site.polite()
	events, changes := len(site.Log("lake", schemas.TableActivities)), site.changes("lake")
	require.Positive(t, changes["added"])
	site.Once()
	require.Len(t, site.Log("lake", schemas.TableActivities), events)
	require.Equal(t, changes, site.changes("lake"), "nothing changed, so nothing is written")
	site.polite()
}

func under(t *testing.T, f *Fixture, scenario string) {
	site := f.NewSite(t, SiteOptions{People: 200, Scenario: scenario})
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := site.Run(t.Context(), site.Config(), true)
		diff := site.Compare("lake")
		if err == nil && len(diff) == 0 {
			break
		}
		// A single run gives up on a lane after some attempts; the next goes on.
		if time.Now().After(deadline) {
			t.Fatalf("%v\n%s\n%s", err, strings.Join(diff, "\n"), site.tail())
		}
	}
	require.Zero(t, site.changes("lake")["removed"])
	site.polite()
}

// readAll reads every lane of every stream to its end, calling page with each.
func readAll(ctx context.Context, session sources.Session, page func(s sources.Stream, l sources.Lane, from sources.Cursor, p *sources.Page) error) error {
	for _, s := range session.Streams() {
		lanes := []sources.Lane{{}}
		if s.Lanes != nil {
			lanes = nil
			for p, err := range s.Lanes(ctx, "") {
				if err != nil {
					return fmt.Errorf("%s: listing: %w", s.Info.Name, err)
				}
				lanes = append(lanes, p.Lanes...)
				if p.Complete {
					break
				}
			}
		}
		for _, l := range lanes {
			from := sources.Cursor("")
			for p, err := range s.Read(ctx, l, "") {
				if err != nil {
					return fmt.Errorf("%s: lane %q: %w", s.Info.Name, l.ID, err)
				}
				if err := page(s, l, from, p); err != nil {
					return err
				}
				from = p.Next
				if !p.More {
					break
				}
			}
		}
	}
	return nil
}

// rowsOf are a page's rows, for comparing.
func rowsOf(f *Fixture, p *sources.Page) (out []rowtest.Row) {
	for _, t := range f.tables() {
		out = append(out, rowtest.List(t, p.Rows)...)
	}
	return out
}

func pages(t *testing.T, f *Fixture) {
	site := f.NewSite(t, SiteOptions{People: few})
	session := site.Session()
	n := 0
	require.NoError(t, readAll(t.Context(), session, func(s sources.Stream, l sources.Lane, from sources.Cursor, p *sources.Page) error {
		require.NotNil(t, p.Rows)
		require.LessOrEqual(t, len(p.Next), sources.MaxCursor)
		if n++; n%7 != 1 && n > 20 { // each costs a request
			return nil
		}
		want, next, more := rowsOf(f, p), p.Next, p.More
		for again, err := range session.Streams()[indexOf(session, s)].Read(t.Context(), l, from) {
			require.NoError(t, err)
			require.Equal(t, want, rowsOf(f, again), "%s, lane %q, cursor %q", s.Info.Name, l.ID, from)
			if s.Info.Shape == sources.Scan && from != "" { // a first page's may hold when the reading began
				require.Equal(t, next, again.Next)
			}
			require.Equal(t, more, again.More)
			break
		}
		return nil
	}))
}

func indexOf(session sources.Session, s sources.Stream) int {
	return slices.IndexFunc(session.Streams(), func(x sources.Stream) bool { return x.Info.Name == s.Info.Name })
}

// resumes reads every lane with a new session after each page.
func resumes(t *testing.T, f *Fixture) {
	site := f.NewSite(t, SiteOptions{People: few})
	session := site.Session()
	want, got := map[string]int{}, map[string]int{}
	note := func(n map[string]int, s sources.Stream, p *sources.Page) {
		for _, r := range rowsOf(f, p) {
			n[s.Info.Name+fmt.Sprint(r)]++
		}
	}
	lanes := map[string][]sources.Lane{}
	require.NoError(t, readAll(t.Context(), session, func(s sources.Stream, l sources.Lane, _ sources.Cursor, p *sources.Page) error {
		note(want, s, p)
		if have := lanes[s.Info.Name]; len(have) == 0 || have[len(have)-1] != l {
			lanes[s.Info.Name] = append(have, l)
		}
		return nil
	}))
	for _, s := range session.Streams() {
		for _, l := range lanes[s.Info.Name] {
			for from, more := sources.Cursor(""), true; more; {
				other := site.Session().Streams()[indexOf(session, s)]
				for p, err := range other.Read(t.Context(), l, from) {
					require.NoError(t, err, "%s, lane %q, cursor %q", s.Info.Name, l.ID, from)
					note(got, s, p)
					from, more = p.Next, p.More
					break
				}
			}
		}
	}
	require.NotEmpty(t, want)
	if !maps.Equal(want, got) {
		for k, n := range want {
			require.Equal(t, n, got[k], "times that this row came: %.500s", k)
		}
		require.Len(t, got, len(want))
	}
}

// lives lets the organization live while the agent runs, and then holds still.
func lives(t *testing.T, f *Fixture) {
	site := f.NewSite(t, SiteOptions{People: 200, Speed: 2000})
	site.Once()
	site.Tenant.World.Thaw()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	cfg := site.Config()
	go func() { done <- site.Run(ctx, cfg, false) }()
	<-site.Clock.After(2 * time.Hour)
	site.Tenant.World.Freeze()
	<-site.Clock.After(2 * time.Hour)
	cancel()
	require.NoError(t, <-done)
	site.Once() // deltas are polled often, complete rounds seldom
	site.fullRound()
	site.Equal("lake")
	n := site.changes("lake")
	require.Positive(t, n["updated"])
	require.Zero(t, n["snapshot"])
	site.polite()
}

// fullRound lets enough time pass for complete rounds to be due, twice, and
// collects: what is gone is gone for certain then.
func (s *Site) fullRound() {
	for range 2 {
		s.Clock.Skip(25 * time.Hour)
		s.Once()
	}
}

func late(t *testing.T, f *Fixture) {
	site := f.NewSite(t, SiteOptions{People: 200, Scenario: "late", Speed: 400, Events: 200, History: 12 * time.Hour})
	site.Once()
	site.Tenant.World.Thaw() // for what is to come late
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	cfg := site.Config()
	from := site.Clock.Now()
	go func() { done <- site.Run(ctx, cfg, false) }()
	<-site.Clock.After(90 * time.Minute)
	site.Tenant.World.Freeze()
	<-site.Clock.After(40 * time.Minute) // all has come
	site.Clock.Skip(24 * time.Hour)
	<-site.Clock.After(2 * time.Hour) // and a day's sweep has passed
	cancel()
	require.NoError(t, <-done)
	some := 0
	site.Tenant.World.View(func(s *org.State) {
		for _, e := range s.Events[f.Connector.App] {
			if e.At.After(from) && e.Seen.Sub(e.At) > 2*time.Minute {
				some++
			}
		}
	})
	require.Positive(t, some, "some were late")
	site.Once()
	site.fullRound() // what is gone shows after two
	site.Equal("lake")
	site.polite()
}

func newSink(t *testing.T, f *Fixture) {
	site := f.NewSite(t, SiteOptions{People: few})
	site.Once()
	require.NoError(t, site.Run(t.Context(), site.Config("lake", "second"), true), site.tail())
	truth := site.Truth()
	for _, table := range f.tables() {
		if !table.Entity {
			continue
		}
		want, err := rowtest.ByKey(table, truth)
		require.NoError(t, err)
		got, err := rowtest.Lake(t.Context(), site.Lake("second"), table, site.Instance())
		require.NoError(t, err)
		require.Empty(t, rowtest.Diff(table, want, got, 5))
		for _, r := range got {
			require.Equal(t, "snapshot", r["change"])
		}
	}
	require.Zero(t, site.changes("lake")["snapshot"], "the first sink has all of it")
}

func scopes(t *testing.T, f *Fixture) {
	require.NotEmpty(t, f.Scopes)
	site := f.NewSite(t, SiteOptions{People: few})
	site.Once()
	for _, capability := range sortedKeys(f.Scopes) {
		stream, _, _ := strings.Cut(capability, "/")
		site.Tenant.TakeScopes(f.Scopes[capability]...)
		err := site.Run(t.Context(), site.Config(), true)
		require.Error(t, err, "%s is refused", capability)
		require.Equal(t, fault.Forbidden, fault.Of(site.Session().Probe(t.Context(), capability)), capability)
		for _, s := range f.Connector.Streams {
			if other := s.Name; other != stream {
				require.NotContains(t, err.Error(), site.Instance()+"/"+other+":", "only %s is refused", stream)
			}
		}
		require.Contains(t, err.Error(), site.Instance()+"/"+stream)
		site.Equal("lake")
		site.Tenant.TakeScopes()
		site.Once()
		require.NoError(t, site.Session().Probe(t.Context(), capability))
	}
	site.fullRound()
	site.Equal("lake")
	require.Zero(t, site.changes("lake")["removed"])
}

// cutShort breaks every listing after its first page, for some rounds.
func cutShort(t *testing.T, f *Fixture) {
	site := f.NewSite(t, SiteOptions{People: 200, History: 12 * time.Hour}) // younger than any log forgets
	site.Once()
	for range 3 {
		var n atomic.Int64
		site.Wrap(func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1)%4 == 0 || isLaterPage(r) {
					http.Error(w, "Server Error", http.StatusBadGateway)
					return
				}
				h.ServeHTTP(w, r)
			})
		})
		site.Clock.Skip(25 * time.Hour)
		_ = site.Run(t.Context(), site.Config(), true) // some of it fails
		require.Zero(t, site.changes("lake")["removed"])
	}
	site.Wrap(nil)
	site.fullRound()
	site.Equal("lake")
	require.Zero(t, site.changes("lake")["removed"])
}

func isLaterPage(r *http.Request) bool {
	q := r.URL.Query()
	return q.Has("after") || q.Has("pageToken") || q.Has("page") && q.Get("page") != "1"
}

// repointed has an instance lead to another organization of the same vendor's.
func repointed(t *testing.T, f *Fixture) {
	site := f.NewSite(t, SiteOptions{People: few, History: time.Hour})
	site.Once()
	events, changes := len(site.Log("lake", schemas.TableActivities)), site.changes("lake")
	settings := site.config
	other, err := site.Sandbox.Tenant(f.Connector.App, "globex", site.URL)
	require.NoError(t, err)
	site.config = other.Handler().Config(other.Base)
	if f.Settings != nil {
		site.config = f.Settings(t, other)
	}
	for range 2 {
		err = site.Run(t.Context(), site.Config(), true)
		require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
		require.ErrorContains(t, err, "give the other organization an instance of its own")
	}
	require.Len(t, site.Log("lake", schemas.TableActivities), events)
	require.Equal(t, changes, site.changes("lake"), "nothing of the other one is collected, nothing is removed")
	site.config = settings
	site.Once()
	site.Equal("lake")
}

func refused(t *testing.T, f *Fixture) {
	site := f.NewSite(t, SiteOptions{People: few, Wrap: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for name := range r.Header {
				if strings.EqualFold(name, "Authorization") {
					r.Header.Set(name, r.Header.Get(name)+"x")
				}
			}
			h.ServeHTTP(w, r)
		})
	}})
	err := site.Run(t.Context(), site.Config(), true)
	require.Error(t, err)
	if _, err = site.Session().Identity(t.Context()); err != nil { // or it makes no request
		require.Equal(t, fault.Auth, fault.Of(err), "%v", err)
	}
	err = readAll(t.Context(), site.Session(), func(sources.Stream, sources.Lane, sources.Cursor, *sources.Page) error { return nil })
	require.Equal(t, fault.Auth, fault.Of(err), "%v", err)
}

func nonsense(t *testing.T, f *Fixture) {
	for what, answer := range map[string]func(http.ResponseWriter){
		"a login page": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html><body>Sign in</body></html>")
		},
		"half a list":    func(w http.ResponseWriter) { fmt.Fprint(w, `[{"id":"x"`) },
		"nothing":        func(http.ResponseWriter) {},
		"bad gateway":    func(w http.ResponseWriter) { http.Error(w, "Server Error", http.StatusBadGateway) },
		"a cut body":     func(w http.ResponseWriter) { w.Header().Set("Content-Length", "1000"); fmt.Fprint(w, `[]`) },
		"unavailability": func(w http.ResponseWriter) { http.Error(w, "", http.StatusServiceUnavailable) },
	} {
		var calls atomic.Int64
		site := f.NewSite(t, SiteOptions{People: few})
		session := site.Session()
		_, err := session.Tenant(t.Context())
		require.NoError(t, err)
		site.Wrap(func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				answer(w)
			})
		})
		for _, s := range session.Streams() {
			seen := false
			if s.Lanes != nil {
				for _, err := range s.Lanes(t.Context(), "") {
					seen = true
					if err != nil {
						require.Equal(t, fault.Transient, fault.Of(err), "%s: %s: %v", what, s.Info.Name, err)
					}
					break
				}
			} else {
				for _, err := range s.Read(t.Context(), sources.Lane{}, "") {
					seen = true
					require.Equal(t, fault.Transient, fault.Of(err), "%s: %s: %v", what, s.Info.Name, err)
					break
				}
			}
			require.True(t, seen, "%s: %s said nothing", what, s.Info.Name)
		}
		require.Positive(t, calls.Load())
	}
}

func cancels(t *testing.T, f *Fixture) {
	site := f.NewSite(t, SiteOptions{People: few})
	site.Once()
	before := goleak.IgnoreCurrent()
	for _, after := range []int64{1, 3, 9} {
		ctx, cancel := context.WithCancel(t.Context())
		var n atomic.Int64
		hung := make(chan struct{})
		release := make(chan struct{})
		site.Wrap(func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) == after {
					close(hung)
				}
				if n.Load() >= after {
					select {
					case <-r.Context().Done():
					case <-release:
					}
					return
				}
				h.ServeHTTP(w, r)
			})
		})
		done := make(chan error, 1)
		session := site.Session()
		go func() {
			done <- readAll(ctx, session, func(sources.Stream, sources.Lane, sources.Cursor, *sources.Page) error { return nil })
		}()
		<-hung
		cancelled := time.Now()
		cancel()
		err := <-done
		require.Error(t, err)
		require.Less(t, time.Since(cancelled), 500*time.Millisecond)
		close(release)
	}
	site.Wrap(nil)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	require.NoError(t, goleak.Find(before, goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("net/http.(*conn).serve")))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
