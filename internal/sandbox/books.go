package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Violation is a rule that a client broke.
type Violation struct {
	Time   time.Time `json:"time"`
	App    string    `json:"app"`
	Tenant string    `json:"tenant"`
	Rule   string    `json:"rule"`
	Detail string    `json:"detail"`
}

// Endpoint counts the answers of one endpoint.
type Endpoint struct {
	App      string `json:"app"`
	Tenant   string `json:"tenant"`
	Endpoint string `json:"endpoint"` // the vendor's pattern, or the path with * for ids
	Status   int    `json:"status"`   // 0: the connection was cut before an answer
	Fault    Kind   `json:"fault,omitempty"`
	Count    int64  `json:"count"`
}

// books are what the sandbox noted of its clients.
type books struct {
	booksMu    sync.Mutex
	violations []Violation // the first maxViolations
	broken     int64       // all violations
	endpoints  map[Endpoint]int64
}

func (s *Server) violate(t *Tenant, rule, detail string) {
	if len(detail) > 500 {
		detail = detail[:500]
	}
	v := Violation{Time: s.o.Clock.Now().UTC(), App: t.App, Tenant: t.Name, Rule: rule, Detail: strings.ToValidUTF8(detail, "?")}
	s.booksMu.Lock()
	defer s.booksMu.Unlock()
	s.broken++
	if len(s.violations) < maxViolations {
		s.violations = append(s.violations, v)
	}
}

// Violations returns what clients did wrong, oldest first: at most 10,000.
func (s *Server) Violations() []Violation {
	s.booksMu.Lock()
	defer s.booksMu.Unlock()
	return slices.Clone(s.violations)
}

func (s *Server) count(t *Tenant, r *http.Request, status int, d *decision) {
	e := Endpoint{App: t.App, Tenant: t.Name, Endpoint: r.Pattern, Status: status, Fault: d.kind()}
	if e.Endpoint == "" {
		e.Endpoint = r.Method + " " + generalize(r.URL.Path)
	}
	s.booksMu.Lock()
	defer s.booksMu.Unlock()
	if s.endpoints == nil {
		s.endpoints = map[Endpoint]int64{}
	}
	if _, known := s.endpoints[e]; !known && len(s.endpoints) >= maxEndpoints {
		e.Endpoint = "other"
	}
	s.endpoints[e]++
}

// Requests returns how often each endpoint answered what.
func (s *Server) Requests() (out []Endpoint) {
	s.booksMu.Lock()
	for e, n := range s.endpoints {
		e.Count = n
		out = append(out, e)
	}
	s.booksMu.Unlock()
	slices.SortFunc(out, func(a, b Endpoint) int {
		for _, c := range []int{strings.Compare(a.App, b.App), strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Endpoint, b.Endpoint), a.Status - b.Status} {
			if c != 0 {
				return c
			}
		}
		return strings.Compare(string(a.Fault), string(b.Fault))
	})
	return out
}

// generalize puts * for what looks like an id in a path.
func generalize(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if version := len(p) == 2 && p[0] == 'v'; len(p) > 24 || strings.ContainsAny(p, "0123456789%") && !version && p != "oauth2" {
			parts[i] = "*"
		}
	}
	if len(parts) > 12 {
		parts = append(parts[:12], "...")
	}
	return strings.Join(parts, "/")
}
