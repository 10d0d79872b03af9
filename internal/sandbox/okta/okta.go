// Package okta renders an organization as the Okta Admin Management API, its
// System Log and its OAuth 2.0 server, as the contract sheet describes them.
// What the sheet says is in facts.go, what goes wrong on demand in faults.go.
//
// It is written from the sheet alone, apart from the connector, so that a
// misreading of either shows.
package okta

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
)

// Vendor is Okta.
func Vendor() sandbox.Vendor {
	return sandbox.Vendor{App: org.Okta, New: func(t *sandbox.Tenant) sandbox.Handler { return New(t, Default()) }}
}

// Handler is one Okta organization. It is safe for concurrent use.
type Handler struct {
	sandbox.Faulty[Faults]

	t      *sandbox.Tenant
	facts  Facts
	links  string // scheme, host and path that links lead to
	limits *limiter
	auth   *authority

	violate func(rule, detail string)

	seed     uint64 // of the organization
	requests atomic.Uint64

	mu    sync.Mutex
	polls map[string]time.Time // cursors given with short pages of the log, and when
}

// New returns an organization's API with other facts than the vendor's: for
// tests. Vendor's has the Default ones.
func New(t *sandbox.Tenant, f Facts) *Handler {
	h := &Handler{t: t, facts: f, links: t.Base, limits: newLimiter(f), violate: t.Violate, polls: map[string]time.Time{}}
	h.auth = newAuthority(h)
	t.World.View(func(s *org.State) { h.seed = seedOf(s) })
	return h
}

// SetLinks has links lead to another scheme, host and path than the tenant's:
// that of a custom domain, say.
func (h *Handler) SetLinks(base string) { h.links = strings.TrimSuffix(base, "/") }

// Config returns the settings of an instance that uses the API token.
func (h *Handler) Config(base string) string {
	return fmt.Sprintf("app: okta\nbase_url: %q\nauth: {token: %q}\nservice_user_types: [Service]\n", base, TokenValid)
}

// route is one path of the API.
type route struct {
	method  string
	pattern []string // "*" stands for any one segment
	bucket  string
	scope   string // OAuth scopes, of which any will do; "" none is needed
	open    bool   // no credential is needed
	write   bool   // it changes the organization
	serve   func(*Handler, *call)
}

// Routes of reading, and of writing (write.go). Other methods of their paths are
// answered with 405. The sheet has no scope for listing clients: that of apps
// will do too.
var routes = append([]route{
	get("/api/v1/logs", bucketLogs, "okta.logs.read", (*Handler).logs),

	get("/api/v1/users", bucketUsers, "okta.users.read", (*Handler).users),
	get("/api/v1/users/*", bucketUser, "okta.users.read", (*Handler).user),
	get("/api/v1/users/*/factors", bucketOther, "okta.users.read", (*Handler).userFactors),
	get("/api/v1/users/*/groups", bucketOther, "okta.users.read", (*Handler).userGroups),
	get("/api/v1/users/*/roles", bucketOther, "okta.roles.read", (*Handler).userRoles),
	get("/api/v1/users/*/grants", bucketOther, "okta.users.read", (*Handler).userGrants),
	get("/api/v1/users/*/clients", bucketOther, "okta.users.read", (*Handler).userClients),
	get("/api/v1/users/*/clients/*/tokens", bucketOther, "okta.users.read", (*Handler).userTokens),
	get("/api/v1/users/*/clients/*/grants", bucketOther, "okta.users.read", (*Handler).userClientGrants),

	get("/api/v1/groups", bucketGroups, "okta.groups.read", (*Handler).groups),
	get("/api/v1/groups/*", bucketGroup, "okta.groups.read", (*Handler).group),
	get("/api/v1/groups/*/users", bucketOther, "okta.groups.read", (*Handler).groupUsers),
	get("/api/v1/groups/*/owners", bucketOther, "okta.groups.read", (*Handler).groupOwners),
	get("/api/v1/groups/*/roles", bucketOther, "okta.roles.read", (*Handler).groupRoles),

	get("/api/v1/iam/assignees/users", bucketOther, "okta.roles.read", (*Handler).assignees),
	get("/api/v1/iam/roles", bucketOther, "okta.roles.read", (*Handler).customRoles),
	get("/api/v1/iam/roles/*", bucketOther, "okta.roles.read", (*Handler).customRole),
	get("/api/v1/iam/roles/*/permissions", bucketOther, "okta.roles.read", (*Handler).permissions),
	get("/api/v1/iam/resource-sets", bucketOther, "okta.roles.read", (*Handler).resourceSets),
	get("/api/v1/iam/resource-sets/*", bucketOther, "okta.roles.read", (*Handler).resourceSet),
	get("/api/v1/iam/resource-sets/*/bindings", bucketOther, "okta.roles.read", (*Handler).bindings),
	get("/api/v1/iam/resource-sets/*/bindings/*/members", bucketOther, "okta.roles.read", (*Handler).bindingMembers),

	get("/api/v1/apps", bucketApps, "okta.apps.read", (*Handler).apps),
	get("/api/v1/apps/*", bucketApps, "okta.apps.read", (*Handler).app),
	get("/api/v1/apps/*/grants", bucketApps, "okta.appGrants.read", (*Handler).appGrants),
	get("/api/v1/apps/*/tokens", bucketApps, "okta.apps.read", (*Handler).appTokens),
	get("/api/v1/apps/*/users", bucketApps, "okta.apps.read", (*Handler).appUsers),

	get("/api/v1/api-tokens", bucketOther, "okta.apiTokens.read", (*Handler).apiTokens),
	get("/api/v1/api-tokens/*", bucketOther, "okta.apiTokens.read", (*Handler).apiToken),
	get("/api/v1/meta/types/user", bucketOther, "okta.userTypes.read", (*Handler).userTypes),
	get("/api/v1/org", bucketOther, "okta.orgs.read", (*Handler).org),
	get("/integrations/api/v1/api-services", bucketOther, "okta.oauthIntegrations.read", (*Handler).services),
	get("/integrations/api/v1/api-services/*", bucketOther, "okta.oauthIntegrations.read", (*Handler).service),

	get("/oauth2/v1/clients", bucketClients, "okta.clients.read okta.apps.read", (*Handler).clients),
	get("/oauth2/v1/clients/*", bucketClients, "okta.clients.read okta.apps.read", (*Handler).client),
	get("/oauth2/v1/clients/*/roles", bucketClients, "okta.roles.read", (*Handler).clientRoles),

	{method: http.MethodGet, pattern: segments("/.well-known/openid-configuration"), open: true, serve: (*Handler).metadata},
	{method: http.MethodGet, pattern: segments("/oauth2/v1/keys"), open: true, serve: (*Handler).keys},
	{method: http.MethodGet, pattern: segments("/oauth2/v1/authorize"), open: true, serve: (*Handler).authorize},
	{method: http.MethodPost, pattern: segments("/oauth2/v1/token"), open: true, serve: (*Handler).token},
}, writes...)

func get(pattern, bucket, scope string, serve func(*Handler, *call)) route {
	return route{method: http.MethodGet, pattern: segments(pattern), bucket: bucket, scope: scope, serve: serve}
}

// call is one request being answered.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	route *route
	args  []string // what the route's stars stand for
	query url.Values
	now   time.Time
	who   *principal // nil on open routes

	seed   uint64
	s      *org.State // while the route's func runs
	status int
	body   []byte
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := h.begin(w, r)
	h.answer(c)
	c.send()
}

// begin starts an answer.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request) *call {
	c := &call{w: w, r: r, now: h.t.Clock.Now().UTC(), seed: h.seed, status: http.StatusOK}
	n := h.requests.Add(1)
	w.Header().Set("X-Okta-Request-Id", id(c.seed, kindTransaction, -int(n)))
	w.Header().Set("Date", c.now.Format(http.TimeFormat))
	return c
}

func (c *call) set(body []byte) { c.body = body }

func (c *call) send() {
	if len(c.body) > 0 {
		c.w.Header().Set("Content-Type", "application/json")
	}
	c.w.WriteHeader(c.status)
	_, _ = c.w.Write(c.body) // a client that went away is no concern of the vendor's
	if cap(c.body) >= largeBody {
		bodies.Put(&c.body)
	}
}

// Throttled refuses a request that has not been counted, as too many.
func (h *Handler) Throttled(w http.ResponseWriter, r *http.Request) {
	c := h.begin(w, r)
	h.quota(c, verdict{limited: true, limit: h.facts.Limits[bucketOther], reset: c.now.Add(stormReset)})
	h.fail(c, h.facts.StatusRate, h.facts.ErrRate, rateSummary)
	c.send()
}

// stormReset is when to come again after a refusal out of the blue.
const stormReset = 5 * time.Second

// Failed answers with another error.
func (h *Handler) Failed(w http.ResponseWriter, r *http.Request, status int) {
	c := h.begin(w, r)
	code := h.facts.ErrTimeout
	switch status {
	case http.StatusUnauthorized:
		code = h.facts.ErrToken
	case http.StatusForbidden:
		code = h.facts.ErrDenied
	case http.StatusNotFound:
		code = h.facts.ErrNotFound
	case http.StatusServiceUnavailable:
		code = h.facts.ErrReadOnly
	default:
		if status < 500 {
			code = h.facts.ErrBadRequest
		}
	}
	h.fail(c, status, code, http.StatusText(status))
	c.send()
}

// MaxConcurrent is how many requests the vendor answers at one time.
func (h *Handler) MaxConcurrent() int { return h.facts.Concurrent }

func (h *Handler) answer(c *call) {
	f := h.Faults()
	f.MissingScopes = slices.Concat(f.MissingScopes, h.t.MissingScopes(c.r))
	if c.r.Header.Get("Content-Length") == "" && len(c.r.TransferEncoding) == 0 && (c.r.Method == http.MethodPost || c.r.Method == http.MethodPut) {
		h.fail(c, http.StatusLengthRequired, h.facts.ErrBadRequest, "Length Required")
		return
	}
	if !h.find(c) {
		return
	}
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		h.fail(c, http.StatusBadRequest, h.facts.ErrBadRequest, "The query string could not be read.")
		return
	}
	c.query = q
	h.manners(c)
	client := c.r.RemoteAddr
	if !c.route.open {
		if c.who = h.auth.check(c, &f); c.who == nil {
			return
		}
		client = c.who.client
	}
	if c.route.bucket != bucketNone {
		done, ok := h.admit(c, client, &f)
		defer done()
		if !ok {
			return
		}
	}
	if c.route.scope != "" && !h.auth.allowed(c, &f) {
		return
	}
	if f.LogTimeoutAbove > 0 && c.route.bucket == bucketLogs && h.limit(c, h.facts.Logs) > f.LogTimeoutAbove {
		h.fail(c, http.StatusInternalServerError, h.facts.ErrTimeout, "Internal Server Error")
		return
	}
	within := h.t.World.View
	if c.route.write {
		within = h.t.World.Change
	}
	within(func(s *org.State) {
		c.s = s
		c.route.serve(h, c)
		c.s = nil
	})
}

// find looks the request's route up, and answers when there is none.
func (h *Handler) find(c *call) bool {
	path := segments(c.r.URL.Path)
	known := false
	for i := range routes {
		rt := &routes[i]
		if !match(rt.pattern, path) {
			continue
		}
		known = true
		if rt.method != c.r.Method {
			continue
		}
		c.route = rt
		for j, p := range rt.pattern {
			if p == "*" {
				c.args = append(c.args, path[j])
			}
		}
		return true
	}
	if c.r.Method != http.MethodGet {
		h.violate("no such endpoint to write to", c.r.Method+" "+c.r.URL.Path)
	}
	if known {
		h.fail(c, http.StatusMethodNotAllowed, h.facts.ErrMethod, "The endpoint does not support the provided HTTP method")
	} else {
		h.fail(c, http.StatusNotFound, h.facts.ErrNotFound, "Not found: Resource not found: "+c.r.URL.Path)
	}
	return false
}

// manners notes what a well-behaved client would have sent. The sandbox notes
// what is missing whatever the vendor.
func (h *Handler) manners(c *call) {
	if strings.HasPrefix(c.r.UserAgent(), "Go-http-client") {
		h.violate("no user agent of its own", c.r.URL.Path)
	}
	if c.r.Header.Get("Accept") == "" && !c.route.open {
		h.violate("no accept", c.r.URL.Path)
	}
}

// admit counts the request against the limits, and answers when it is over one.
// The returned func is to be called when the request is over.
func (h *Handler) admit(c *call, client string, f *Faults) (func(), bool) {
	v := h.limits.take(client, c.route.bucket, c.now, f.Limits)
	for _, rule := range v.broken {
		h.violate(rule, client+" at "+c.r.URL.Path)
	}
	h.quota(c, v)
	done := func() { h.limits.done(client, c.route.bucket, v) }
	if !v.ok {
		h.fail(c, h.facts.StatusRate, h.facts.ErrRate, rateSummary)
	}
	return done, v.ok
}

const rateSummary = "API call exceeded rate limit due to too many requests."

// quota tells what remains of a bucket.
func (h *Handler) quota(c *call, v verdict) {
	if !v.limited {
		return
	}
	reset := v.reset.Unix()
	if h.facts.ResetMillis {
		reset *= 1000
	}
	c.w.Header().Set(h.facts.LimitHeader, strconv.Itoa(v.limit))
	c.w.Header().Set(h.facts.RemainingHeader, strconv.Itoa(v.remaining))
	c.w.Header().Set(h.facts.ResetHeader, strconv.FormatInt(reset, 10))
}

// fail answers with an error in the management API's shape.
func (h *Handler) fail(c *call, status int, code, summary string, causes ...string) {
	c.status = status
	b := []byte{'{'}
	b = appendMember(b, "errorCode", code)
	b = appendMember(b, "errorSummary", summary)
	b = appendMember(b, "errorLink", code)
	b = appendMember(b, "errorId", "oae"+c.w.Header().Get("X-Okta-Request-Id")[3:])
	b = append(appendName(b, "errorCauses"), '[')
	for i, s := range causes {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendMember(append(b, '{'), "errorSummary", s), '}')
	}
	c.set(append(b, ']', '}'))
}

func (h *Handler) notFound(c *call, what string) {
	h.fail(c, http.StatusNotFound, h.facts.ErrNotFound, "Not found: Resource not found: "+what)
}

func segments(path string) []string { return strings.Split(strings.Trim(path, "/"), "/") }

func match(pattern, path []string) bool {
	if len(pattern) != len(path) {
		return false
	}
	for i, p := range pattern {
		if p != path[i] && (p != "*" || path[i] == "") {
			return false
		}
	}
	return true
}
