package sandbox

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jonboulle/clockwork"

	"weir/internal/sandbox/org"
)

// Options says what a server serves.
type Options struct {
	Vendors []Vendor
	Clock   clockwork.Clock // of everything the organizations do
	Seed    uint64
	People  int           // of each organization
	History time.Duration // of events before the start
	// EventsPerDay is as in org.Options.
	EventsPerDay float64
	Files        int       // of each organization, as in org.Options
	Scenario     *Scenario // nil: none
	Tenants      []string  // names to show from the start; others are made when they are asked for
	// Replay has a vendor's tenants serve the real records of a directory, by app.
	Replay map[string]string
	// Real measures what takes real time: slow answers. nil: the real clock.
	Real clockwork.Clock
}

// Bounds of what a client can make the sandbox hold.
const (
	maxTenants    = 1000
	maxViolations = 10_000
	maxEndpoints  = 5_000
)

// Server is the sandbox. It is an http.Handler.
type Server struct {
	o       Options
	started time.Time
	vendors map[string]Vendor
	replays map[string]any // by app

	mu      sync.Mutex
	worlds  map[string]*world
	tenants map[string]*Tenant // by app/name

	running sync.Map // *Tenant to *atomic.Int64

	books
}

// world is an organization that is made once, by whoever comes first.
type world struct {
	once sync.Once
	*org.World
}

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,38}$`)

// New makes a server. It makes no organization yet.
func New(o Options) (*Server, error) {
	if o.Scenario == nil {
		o.Scenario = &Scenario{Name: "none"}
	}
	if o.Real == nil {
		o.Real = clockwork.NewRealClock()
	}
	s := &Server{o: o, started: o.Clock.Now().UTC().Truncate(time.Second), vendors: map[string]Vendor{}, replays: map[string]any{}, worlds: map[string]*world{}, tenants: map[string]*Tenant{}}
	for _, v := range o.Vendors {
		s.vendors[v.App] = v
	}
	for _, name := range o.Tenants {
		if !validName.MatchString(name) {
			return nil, fmt.Errorf("tenant %q: want small letters, digits and -, at most 39", name)
		}
	}
	for app, dir := range o.Replay {
		v, ok := s.vendors[app]
		if !ok {
			return nil, fmt.Errorf("replay %s: there is no such app", app)
		}
		if v.Replay == nil {
			return nil, fmt.Errorf("replay %s: the sandbox replays no records of this app", app)
		}
		records, err := v.Replay(dir)
		if err != nil {
			return nil, fmt.Errorf("replay %s: %w", app, err)
		}
		s.replays[app] = records
	}
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	app, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case app == "_sandbox":
		s.admin(w, r)
		return
	case app == "":
		http.Redirect(w, r, "/_sandbox/", http.StatusSeeOther)
		return
	}
	name, _, _ := strings.Cut(rest, "/")
	t, err := s.tenant(app, name, "http://"+r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	prefix := "/" + app + "/" + name
	inner := new(http.Request)
	*inner = *r
	u := *r.URL
	inner.URL = &u
	u.Path = strings.TrimPrefix(u.Path, prefix)
	if u.RawPath = strings.TrimPrefix(u.RawPath, prefix); u.Path == "" {
		u.Path = "/"
	}
	s.serve(t, w, inner)
}

// serve answers one request to a tenant.
func (s *Server) serve(t *Tenant, w http.ResponseWriter, r *http.Request) {
	t.World.Advance(s.now())
	n, _ := s.running.LoadOrStore(t, new(atomic.Int64))
	running := n.(*atomic.Int64)
	defer running.Add(-1)
	s.checkProtocol(t, r, running.Add(1))

	// Whoever answers, a proxy's error page too, has the virtual time.
	w.Header().Set("Date", s.o.Clock.Now().UTC().Format(http.TimeFormat))
	d := s.decide(t, r)
	rec := &recorder{ResponseWriter: w}
	r = r.WithContext(context.WithValue(r.Context(), decisionKey{}, d))
	cut := false
	defer func() {
		s.count(t, r, rec.status, d) // also when the connection is cut, which is a panic
		if cut {
			reset(rec)
		}
	}()
	cut = d.apply(s, t, rec, r)
	if rec.status == 0 && !d.has(Drop) && !d.has(Lost) {
		rec.status = http.StatusOK
	}
}

// checkProtocol records what no HTTP client may do, whatever the vendor.
func (s *Server) checkProtocol(t *Tenant, r *http.Request, running int64) {
	if r.UserAgent() == "" {
		t.Violate("no user agent", r.Method+" "+r.URL.Path)
	}
	if (r.Method == http.MethodPost || r.Method == http.MethodPut) && r.Header.Get("Content-Length") == "" && len(r.TransferEncoding) == 0 && r.ProtoMajor == 1 {
		t.Violate("no content length", r.Method+" "+r.URL.Path)
	}
	limit := 100
	if l, ok := t.handler.(Limiter); ok {
		limit = l.MaxConcurrent()
	}
	if running > int64(limit) {
		t.Violate("too many at once", strconv.FormatInt(running, 10)+" requests, allowed are "+strconv.Itoa(limit))
	}
}

// now is the virtual time, to the second: many requests see one state.
func (s *Server) now() time.Time { return s.o.Clock.Now().UTC().Truncate(time.Second) }

// tenant returns a tenant, and makes it if need be.
func (s *Server) tenant(app, name, root string) (*Tenant, error) {
	v, ok := s.vendors[app]
	if !ok {
		return nil, fmt.Errorf("no such app: %.40q", app)
	}
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("no such tenant: %.60q: want small letters, digits and -, at most 39", name)
	}
	key := app + "/" + name
	s.mu.Lock()
	t := s.tenants[key]
	if t == nil {
		if len(s.tenants) >= maxTenants {
			s.mu.Unlock()
			return nil, fmt.Errorf("there are %d tenants already", maxTenants)
		}
		t = &Tenant{App: app, Name: name, Base: root + "/" + key, Clock: s.o.Clock, Scenario: s.o.Scenario, Replay: s.replays[app], server: s}
		for i := range s.o.Scenario.Faults {
			if f := &s.o.Scenario.Faults[i]; matchName(f.App, app) && matchName(f.Tenant, name) {
				t.faults = append(t.faults, newFaultState(f, s.o.Seed, uint64(i), key))
			}
		}
		s.tenants[key] = t
	}
	w := s.world(name)
	s.mu.Unlock()
	w.make(s, name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.handler == nil {
		t.World = w.World
		t.handler = v.New(t)
	}
	return t, nil
}

// World returns an organization as it is now, and makes it if need be.
func (s *Server) World(name string) (*org.World, error) {
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("no such organization: %.60q", name)
	}
	s.mu.Lock()
	w := s.world(name)
	s.mu.Unlock()
	w.make(s, name)
	w.Advance(s.now())
	return w.World, nil
}

// world returns the place of an organization; s.mu is held.
func (s *Server) world(name string) *world {
	if s.worlds[name] == nil {
		s.worlds[name] = new(world)
	}
	return s.worlds[name]
}

func (w *world) make(s *Server, name string) {
	w.once.Do(func() {
		w.World = org.New(org.Options{
			Name: name, Seed: s.o.Seed, People: s.o.People, Now: s.started, History: s.o.History, EventsPerDay: s.o.EventsPerDay, Files: s.o.Files, Log: s.o.Scenario.Log,
		})
	})
}

// Close ends what tenants do by themselves, and returns when it has ended. What is
// asked of the server after that may not be answered whole.
func (s *Server) Close() {
	s.each(func(t *Tenant) {
		if c, ok := t.handler.(Closer); ok {
			c.Close()
		}
	})
}

// each calls fn for every tenant there is, in order of app and name.
func (s *Server) each(fn func(*Tenant)) {
	s.mu.Lock()
	list := make([]*Tenant, 0, len(s.tenants))
	for _, t := range s.tenants {
		if t.handler != nil {
			list = append(list, t)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b *Tenant) int { return strings.Compare(a.App+"/"+a.Name, b.App+"/"+b.Name) })
	for _, t := range list {
		fn(t)
	}
}

// Config returns a complete configuration of an agent that collects all that
// the named tenants have. The root is the server's URL; state and lake are
// below dir.
func (s *Server) Config(root, dir string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, `# Collects from a sandbox: weir sandbox
agent:
  data_dir: %q
sinks:
  lake: {type: parquet, path: %q}
instances:
`, path.Join(dir, "data"), path.Join(dir, "lake"))
	for _, name := range s.o.Tenants {
		for _, v := range s.o.Vendors {
			t, err := s.tenant(v.App, name, root)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, "  %s:\n", t.Instance())
			for line := range strings.Lines(strings.TrimRight(t.handler.Config(t.Base), "\n") + "\n") {
				if b.WriteString("    "); strings.TrimSpace(line) == "" {
					line = "\n"
				}
				b.WriteString(line)
			}
		}
	}
	return b.String(), nil
}
