// Package microsoft365 renders an organization as Microsoft's Graph, with its
// directory (Entra), the Management Activity API and the token endpoint of its
// identity platform, as the contract sheet describes them. What the sheet says is
// in facts.go, what goes wrong on demand in faults.go.
//
// It is written from the sheet alone, apart from the connector, so that a
// misreading of either shows.
package microsoft365

import (
	"encoding/json"
	"fmt"
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

// Vendor is Microsoft 365.
func Vendor() sandbox.Vendor {
	return sandbox.Vendor{App: org.Microsoft365, New: func(t *sandbox.Tenant) sandbox.Handler { return New(t, Default()) }, Replay: replay}
}

// Unlimited is Vendor without quotas, with which collecting much takes as long as
// the agent does.
func Unlimited() sandbox.Vendor {
	const plenty = 1 << 30
	f := Default()
	f.Units, f.ReportRequests, f.RiskRequests = [3]int{plenty, plenty, plenty}, plenty, plenty
	f.UnitsPerMinute, f.UnitsDay, f.FeedPerMinute = plenty, plenty, plenty
	v := Vendor()
	v.New = func(t *sandbox.Tenant) sandbox.Handler { return New(t, f) }
	return v
}

// Handler is one tenant. It is safe for concurrent use.
type Handler struct {
	sandbox.Faulty[Faults]

	t        *sandbox.Tenant
	facts    Facts
	seed     uint64 // of the organization
	tenantID string
	domain   string // of the organization's addresses
	auth     *authority
	limits   *limiter
	requests atomic.Uint64
	steps    atomic.Uint64 // of batches

	idsMu sync.Mutex
	known map[string]map[string]int // by kind: numbers by id

	*office
	notices *notices
}

// New returns a tenant with other facts than the vendor's: for tests. Vendor's has
// the Default ones.
func New(t *sandbox.Tenant, f Facts) *Handler {
	h := &Handler{t: t, facts: f, limits: &limiter{}, known: map[string]map[string]int{}}
	t.World.View(func(s *org.State) { h.seed, h.domain = mix(s.Seed^hashOf(s.Name)), s.Domain })
	h.tenantID = h.guid("tenant", 0)
	h.auth = newAuthority(h)
	h.office, h.notices = newOffice(t), newNotices()
	return h
}

// Config returns the settings of an instance that uses the client secret.
func (h *Handler) Config(base string) string {
	return fmt.Sprintf("app: microsoft365\ntenant_id: %q\nlogin_base_url: %q\ngraph_base_url: %q\nmanage_base_url: %q\nsharepoint_base_url: %q\nauth: {client_id: %q, client_secret: %q}\nfiles: {domains: [%q]}\n",
		h.tenantID, base+"/login", base+"/graph", base+"/manage", base+"/sharepoint", ClientID, ClientSecret, h.domain)
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
	t.directoryLogs()
	t.files()
	t.feedActivities()
}

type truth struct {
	h    *Handler
	s    *org.State
	rows *schemas.Rows
}

func (h *Handler) graphBase() string  { return h.t.Base + "/graph" }
func (h *Handler) manageBase() string { return h.t.Base + "/manage" }

// object is a JSON object.
type object = map[string]any

// call is one request to Graph that is being answered.
type call struct {
	h     *Handler
	w     http.ResponseWriter
	r     *http.Request
	q     url.Values
	s     *org.State
	who   *access
	roles []string // that the app has now
	beta  bool
	path  string   // below the version
	args  []string // what the route's stars stand for
	depth int      // 1: within a batch
	body  []byte   // of what is no GET
}

// failure is an error of Graph's.
type failure struct {
	status        int
	code, message string
	inner         string
}

func refuse(status int, code, format string, a ...any) *failure {
	return &failure{status: status, code: code, message: fmt.Sprintf(format, a...)}
}

func sendJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json;odata.metadata=minimal;charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that went away is no concern of the vendor's
}

func (c *call) send(v any) { sendJSON(c.w, http.StatusOK, v) }

// ServeHTTP answers a request to one of the tenant's hosts.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := h.requests.Add(1)
	w.Header().Set("request-id", h.guid("request", int(n)))
	w.Header().Set("Date", h.t.Clock.Now().UTC().Format(http.TimeFormat))
	if strings.HasPrefix(r.UserAgent(), "Go-http-client") || r.UserAgent() == "" {
		h.t.Violate("no user agent of its own", r.URL.Path)
	}
	host, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch host {
	case "login":
		h.login(w, r, rest)
	case "graph":
		h.serveGraph(w, r, rest)
	case "sharepoint":
		h.serveSharePoint(w, r)
	case "manage":
		h.serveManage(w, r, "/"+rest)
	default:
		http.NotFound(w, r)
	}
}

// serveGraph answers a request below Graph's host.
func (h *Handler) serveGraph(w http.ResponseWriter, r *http.Request, rest string) {
	version, path, _ := strings.Cut(rest, "/")
	c := &call{h: h, w: w, r: r, beta: version == "beta", path: path}
	if version != "v1.0" && !c.beta {
		c.fail(refuse(http.StatusBadRequest, "BadRequest", "Invalid version: %s", version))
		return
	}
	var err error
	if c.q, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		c.fail(refuse(http.StatusBadRequest, "BadRequest", "The query could not be read."))
		return
	}
	var f *failure
	if c.who, f = h.auth.check(r, apiGraph); f != nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="", authorization_uri="`+h.t.Base+`/login/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000"`)
		c.fail(f)
		return
	}
	c.roles = h.auth.rolesNow(c.who, r)
	look := h.t.World.View
	if r.Method != http.MethodGet {
		if c.body, f = readBody(r); f != nil {
			c.fail(f)
			return
		}
		if c.path != batchPath || batchWrites(c.body) {
			look = h.t.World.Change
			defer h.notices.poke()
		}
	}
	if c.path == "subscriptions" || strings.HasPrefix(c.path, "subscriptions/") {
		if f := c.subscriptions(); f != nil {
			c.fail(f)
		}
		return
	}
	look(func(s *org.State) {
		c.s = s
		c.answer()
	})
}

// answer finds the route and lets it answer. The state is held.
func (c *call) answer() {
	rt, f := c.find()
	if f == nil {
		f = c.admit(rt)
	}
	if f == nil && len(rt.roles) > 0 && !c.mayAny(rt.roles) {
		f = c.h.denied(rt)
	}
	if f == nil {
		f = rt.serve(c)
	}
	if f != nil {
		c.fail(f)
	}
}

// mayAny says whether the app has any of some permissions.
func (c *call) mayAny(need []string) bool {
	for _, r := range c.roles {
		for _, n := range need {
			if r == n {
				return true
			}
		}
	}
	return false
}

// denied is the answer to an app without the permission: other services word it
// otherwise.
func (h *Handler) denied(rt *route) *failure {
	if rt.bucket == bucketReports {
		return refuse(http.StatusForbidden, h.facts.NoReportPermission, "Calling principal does not have required MSGraph permissions %s", rt.roles[0])
	}
	return refuse(http.StatusForbidden, h.facts.NoPermission, "Insufficient privileges to complete the operation.")
}

// fail answers with an error.
func (c *call) fail(f *failure) {
	inner := object{"date": c.h.t.Clock.Now().UTC().Format("2006-01-02T15:04:05"), "request-id": c.w.Header().Get("request-id"), "client-request-id": c.w.Header().Get("request-id")}
	if f.inner != "" {
		inner["code"] = f.inner
	}
	sendJSON(c.w, f.status, object{"error": object{"code": f.code, "message": f.message, "innerError": inner}})
}

// Throttled refuses a request that has not been counted, as too many.
func (h *Handler) Throttled(w http.ResponseWriter, r *http.Request) {
	if ofFeed(r) {
		h.throttleFeed(w, r)
		return
	}
	w.Header().Set("Retry-After", stormRetry)
	if isLogin(r) {
		h.loginError(w, &problem{http.StatusTooManyRequests, "temporarily_unavailable", 90055, "The request was throttled."})
		return
	}
	c := &call{h: h, w: w, r: r}
	c.fail(h.tooMany())
}

func isLogin(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/login/") }

// stormRetry is when to come again after a refusal out of the blue, in seconds.
const stormRetry = "5.128"

// Failed answers with another error.
func (h *Handler) Failed(w http.ResponseWriter, r *http.Request, status int) {
	if ofFeed(r) {
		breakFeed(w, status)
		return
	}
	if isLogin(r) {
		h.loginError(w, &problem{status, "temporarily_unavailable", 90033, "A transient error has occurred. Please try again."})
		return
	}
	code := map[int]string{
		http.StatusUnauthorized: h.facts.BadToken, http.StatusForbidden: h.facts.NoPermission, http.StatusNotFound: h.facts.NoResource,
		http.StatusServiceUnavailable: "serviceNotAvailable", http.StatusInternalServerError: "generalException",
	}[status]
	if code == "" {
		code = "UnknownError"
	}
	c := &call{h: h, w: w, r: r}
	c.fail(refuse(status, code, "%s", http.StatusText(status)))
}

// MaxConcurrent is how many requests a client may have open: the sheet's advice,
// eight for the directory and eight for files, and four for blobs.
func (h *Handler) MaxConcurrent() int { return 24 }

func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}
