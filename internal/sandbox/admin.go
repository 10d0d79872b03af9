package sandbox

import (
	_ "embed"
	"html/template"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"weir/internal/sandbox/org"
	"weir/internal/setting"
	"weir/schemas"
)

//go:embed page.html
var pageHTML string

var page = template.Must(template.New("page").Parse(pageHTML))

// admin answers below /_sandbox/.
func (s *Server) admin(w http.ResponseWriter, r *http.Request) {
	what := strings.TrimPrefix(r.URL.Path, "/_sandbox")
	if what == "/clock" {
		s.moveClock(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "want GET", http.StatusMethodNotAllowed)
		return
	}
	for _, name := range s.o.Tenants {
		for _, v := range s.o.Vendors {
			if _, err := s.tenant(v.App, name, "http://"+r.Host); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
	}
	if table, ok := strings.CutPrefix(what, "/truth/"); ok {
		s.serveTruth(w, r, table)
		return
	}
	switch what {
	case "", "/":
		s.servePage(w)
	case "/violations":
		ndjson(w, s.Violations())
	case "/requests":
		ndjson(w, s.Requests())
	default:
		http.NotFound(w, r)
	}
}

func ndjson[T any](w http.ResponseWriter, list []T) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	for _, v := range list {
		if err := json.MarshalWrite(w, v); err != nil {
			return // the client is gone
		}
		_, _ = io.WriteString(w, "\n")
	}
}

// serveTruth writes a table of all tenants, or of those that the query selects.
func (s *Server) serveTruth(w http.ResponseWriter, r *http.Request, name string) {
	t := schemas.ByName(name)
	if t == nil || name == schemas.TableCollectionRuns {
		http.Error(w, "no such table", http.StatusNotFound)
		return
	}
	q := r.URL.Query()
	if app, tenant := q.Get("app"), q.Get("tenant"); app != "" && tenant != "" {
		if _, err := s.tenant(app, tenant, "http://"+r.Host); err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	s.each(func(tenant *Tenant) {
		for key, v := range map[string]string{"app": tenant.App, "tenant": tenant.Name, "instance": tenant.Instance()} {
			if want := q.Get(key); want != "" && want != v {
				return
			}
		}
		rows := s.Truth(tenant)
		_ = schemas.WriteRowsJSON(w, t, rows, tenant.App, tenant.Instance(), notTold...) // the client may be gone
	})
}

// notTold are columns that are no truth: they come to be by collecting.
var notTold = []string{"change", "changed_fields", "removed_reason", "not_asked", "scan_id", "raw"}

// Truth returns all that is true of a tenant now.
func (s *Server) Truth(t *Tenant) *schemas.Rows {
	t.World.Advance(s.now())
	rows := new(schemas.Rows)
	t.World.View(func(st *org.State) { t.handler.Truth(st, rows) })
	return rows
}

// Tenant returns a tenant, and makes it if need be. The root is the server's
// URL.
func (s *Server) Tenant(app, name, root string) (*Tenant, error) { return s.tenant(app, name, root) }

// moveClock lets virtual time pass, where the sandbox owns it.
func (s *Server) moveClock(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		http.Error(w, "want POST", http.StatusMethodNotAllowed)
		return
	}
	c, ok := s.o.Clock.(interface{ Advance(time.Duration) })
	if !ok {
		http.Error(w, "the sandbox runs on the real clock: start it with --clock fake", http.StatusConflict)
		return
	}
	d, err := setting.ParseDuration(r.URL.Query().Get("advance"))
	if err != nil || d > 366*24*time.Hour {
		http.Error(w, "advance: want a duration of at most a year, such as 1h", http.StatusBadRequest)
		return
	}
	c.Advance(d)
	ndjson(w, []struct {
		Now time.Time `json:"now"`
	}{{s.now()}})
}

type pageRow struct {
	App, Name, Instance                     string
	People, Accounts, Groups, Repos, Grants int
	Events                                  int
	Violations, Requests, Faults            int64
}

func (s *Server) servePage(w http.ResponseWriter) {
	data := struct {
		Now, Started  time.Time
		Scenario, Doc string
		People        int
		Seed          uint64
		Tenants       []pageRow
		More          int
		Tables        []*schemas.Table
		Broken        int64
		Apps          []string
	}{Now: s.now(), Started: s.started, Scenario: s.o.Scenario.Name, Doc: s.o.Scenario.Doc, People: s.o.People, Seed: s.o.Seed}
	for _, t := range schemas.Tables() {
		if t.Name != schemas.TableCollectionRuns {
			data.Tables = append(data.Tables, t)
		}
	}
	for _, v := range s.o.Vendors {
		data.Apps = append(data.Apps, v.App)
	}
	counts := map[[2]string]*pageRow{}
	s.each(func(t *Tenant) {
		if len(data.Tenants) >= 200 {
			data.More++
			return
		}
		t.World.Advance(s.now())
		row := pageRow{App: t.App, Name: t.Name, Instance: t.Instance()}
		t.World.View(func(st *org.State) {
			row.People, row.Accounts, row.Groups, row.Grants, row.Events = len(st.People), len(st.Accounts[t.App]), len(st.Groups[t.App]), len(st.Grants[t.App]), len(st.Events[t.App])
			switch t.App {
			case org.GitHub:
				row.Repos = len(st.Repos)
			case org.AWS:
				row.Accounts = len(st.Cloud.Users)
				for _, u := range st.Cloud.Users {
					row.Grants += len(u.Keys)
				}
			}
		})
		data.Tenants = append(data.Tenants, row)
	})
	for i := range data.Tenants {
		counts[[2]string{data.Tenants[i].App, data.Tenants[i].Name}] = &data.Tenants[i]
	}
	s.booksMu.Lock()
	data.Broken = s.broken
	for e, n := range s.endpoints {
		if row := counts[[2]string{e.App, e.Tenant}]; row != nil {
			row.Requests += n
			if e.Fault != "" {
				row.Faults += n
			}
		}
	}
	for _, v := range s.violations {
		if row := counts[[2]string{v.App, v.Tenant}]; row != nil {
			row.Violations++
		}
	}
	s.booksMu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_ = page.Execute(w, data) // the client may be gone
}
