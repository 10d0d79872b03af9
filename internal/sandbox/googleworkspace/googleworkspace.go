// Package googleworkspace renders an organization as one customer of Google
// Workspace: its Directory, its audit reports, its Drive and the token endpoint,
// as the contract sheet describes them. What the sheet says is in facts.go, what
// goes wrong on demand in faults.go.
//
// It is written from the sheet alone, apart from the connector, so that a
// misreading of either shows.
package googleworkspace

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/schemas"
)

// app is the organization's key of this vendor.
const app = org.GoogleWorkspace

const day = 24 * time.Hour

// Vendor is Google Workspace.
func Vendor() sandbox.Vendor {
	return sandbox.Vendor{App: app, New: func(t *sandbox.Tenant) sandbox.Handler { return New(t, Default()) }}
}

// Handler is one customer. It is safe for concurrent use.
type Handler struct {
	sandbox.Faulty[Faults]

	t        *sandbox.Tenant
	facts    Facts
	seed     uint64 // of the organization
	customer string // its id
	began    time.Time
	auth     *authority
	limits   *limiter
	reports  *reports
	channels *channels
	requests atomic.Uint64
	stale    stale
	index    index

	idsMu sync.Mutex
	known map[string]map[string]int // by kind: numbers by id

	driveState
}

// New returns a customer with other facts than the vendor's: for tests. Vendor's
// has the Default ones.
func New(t *sandbox.Tenant, f Facts) *Handler {
	h := &Handler{t: t, facts: f, limits: &limiter{}, known: map[string]map[string]int{}, began: t.Clock.Now().UTC()}
	t.World.View(func(s *org.State) { h.seed = mix(s.Seed ^ hashOf(s.Name)) })
	h.customer = "C0" + letters(h.hash("customer", 0), 7)
	h.auth, h.reports, h.channels = newAuthority(h), newReports(), newChannels()
	h.newDrive()
	return h
}

// Config returns the settings of an instance that acts as the first administrator
// by the agent's service account.
func (h *Handler) Config(base string) string {
	return fmt.Sprintf("app: google_workspace\ncustomer: %q\nbase_url: %q\nauth: {credentials: '%s', subject: %q}\n", h.customer, base, h.Credentials(org.GoogleAgent, base), h.Subject())
}

// Subject is the address of the administrator that the agent acts as.
func (h *Handler) Subject() (login string) {
	h.t.World.View(func(s *org.State) { login = s.Accounts[app][0].Login })
	return login
}

// Truth appends what is true now, by the sheet's section 8. Where the sheet and
// SCHEMA.md leave a choice, "choice:" says what was chosen.
func (h *Handler) Truth(s *org.State, rows *schemas.Rows) {
	t := &truth{h, s, rows}
	t.accounts()
	t.groups()
	t.privileges()
	t.apps()
	t.grants()
	t.activities()
	t.drive()
}

type truth struct {
	h    *Handler
	s    *org.State
	rows *schemas.Rows
}

// object is a JSON object.
type object = map[string]any

// call is one request to an API that is being answered.
type call struct {
	h    *Handler
	w    http.ResponseWriter
	r    *http.Request
	q    url.Values
	s    *org.State // while it is answered; it may be changed, unless the request is a GET
	who  *access    // whose token came along
	now  time.Time
	args []string // what the route's stars stand for, unescaped
	body []byte   // of what is no GET; nil where the route reads it itself
}

// read reads the body as JSON into v.
func (c *call) read(v any) *failure {
	if len(c.body) == 0 {
		return nil
	}
	if err := json.Unmarshal(c.body, v); err != nil {
		return refuse(http.StatusBadRequest, "parseError", "Parse Error")
	}
	return nil
}

// send answers with an object, of which fields= may leave less.
func (c *call) send(v object) *failure {
	mask, ok := parseFields(c.q.Get("fields"))
	if !ok {
		return refuse(http.StatusBadRequest, "invalidParameter", "Invalid field selection %s", c.q.Get("fields"))
	}
	sendJSON(c.w, http.StatusOK, mask.of(v))
	return nil
}

// empty answers with nothing, which is success.
func (c *call) empty() *failure {
	status := c.h.facts.EmptyStatus
	if other := c.h.Faults().EmptyStatus; other != 0 {
		status = other
	}
	c.w.WriteHeader(status)
	return nil
}

func sendJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that went away is no concern of the vendor's
}

// ServeHTTP answers a request to any of the vendor's hosts, whose paths do not
// overlap.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.requests.Add(1)
	w.Header().Set("Date", h.t.Clock.Now().UTC().Format(http.TimeFormat))
	h.manners(r)
	if h.open(w, r) {
		return
	}
	c := &call{h: h, w: w, r: r, now: h.t.Clock.Now().UTC()}
	if f := c.answer(); f != nil {
		c.fail(f)
	}
	if r.Method != http.MethodGet {
		h.channels.poke()
	}
}

// manners notes what a well-behaved client would have sent (4).
func (h *Handler) manners(r *http.Request) {
	switch agent := r.UserAgent(); {
	case agent == "" || strings.HasPrefix(agent, "Go-http-client"):
		h.t.Violate("no user agent of its own", r.URL.Path)
	case !strings.Contains(agent, "gzip") && isAPI(r.URL.Path):
		h.t.Violate("gzip", "a User-Agent without gzip gets no compressed answers: "+r.URL.Path)
	}
}

// isAPI tells paths that want a token from the rest.
func isAPI(path string) bool {
	return strings.HasPrefix(path, "/admin/") || strings.HasPrefix(path, "/drive/") || strings.HasPrefix(path, "/upload/") || strings.HasPrefix(path, "/v1beta1/")
}

// maxBody bounds what is read of a request's body, but for uploads.
const maxBody = 1 << 20

// answer answers a request that needs a token.
func (c *call) answer() *failure {
	h := c.h
	var err error
	if c.q, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return refuse(http.StatusBadRequest, "badRequest", "Bad Request")
	}
	var f *failure
	if c.who, f = h.auth.check(c.r); f != nil {
		return f
	}
	drive := strings.HasPrefix(c.r.URL.Path, "/drive/") || strings.HasPrefix(c.r.URL.Path, "/upload/")
	if c.r.Method != http.MethodGet && !drive {
		if c.body, err = io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody)); err != nil {
			return refuse(http.StatusBadRequest, "badRequest", "Bad Request")
		}
	}
	if drive {
		return h.drive(c)
	}
	look := h.t.World.View
	if c.r.Method != http.MethodGet {
		look = h.t.World.Change
	}
	look(func(s *org.State) {
		c.s = s
		f = c.route()
		c.s = nil
	})
	return f
}

// within runs fn with the state: one that may change unless the request is a GET.
func (c *call) within(fn func() *failure) (f *failure) {
	look := c.h.t.World.View
	if c.r.Method != http.MethodGet {
		look = c.h.t.World.Change
	}
	look(func(s *org.State) {
		c.s = s
		f = fn()
		c.s = nil
	})
	return f
}

// MaxConcurrent is how many requests a client may have open: the sheet's advice,
// four for reports, eight each for the directory and Drive, ten for tokens.
func (h *Handler) MaxConcurrent() int { return 30 }
