// Package sandbox serves the vendors' APIs over a pretend organization: to try
// detections and configurations on, and to prove that what Weir collects is
// what happened. It can hurt on demand: faults come from a scenario.
//
// A tenant is one organization at one app, reached below
// http://ADDR/<app>/<tenant>. Tenants of one name are one organization. They
// are made when they are first asked for.
package sandbox

import (
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jonboulle/clockwork"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

// Vendor renders organizations through one app's API. There is one package for
// each: sandbox/aws, sandbox/github, sandbox/microsoft365, sandbox/okta.
type Vendor struct {
	App string
	New func(t *Tenant) Handler
	// Replay opens a directory of real records, in the vendor's own form, which
	// tenants then serve in the place of what the organization's life leaves in
	// the log of their kind: New finds what it returns in Tenant.Replay. nil: the
	// vendor replays nothing.
	Replay func(dir string) (any, error)
}

// Handler is one tenant's API. Its requests' paths are those below the tenant's
// base URL. The sandbox has let the world advance to now, and has applied the
// scenario's general faults (storms, cut bodies, HTML), before it is called.
type Handler interface {
	http.Handler
	// Truth appends all that is true now to rows, in SCHEMA.md's terms: every
	// column that the vendor's API tells, but no envelope and no raw. It is
	// written from the organization and the vendor's sheet, not by the
	// connector's code.
	Truth(s *org.State, rows *schemas.Rows)
	// Config returns the settings of an instance that connects to the tenant,
	// as YAML lines without indent: "app: okta", "base_url: ...".
	Config(base string) string
}

// A Throttler is a Handler that refuses a request in the vendor's words for too
// many requests, with the headers that tell when to come again.
type Throttler interface {
	Throttled(w http.ResponseWriter, r *http.Request)
}

// A Failer is a Handler that answers with another error status in the shape of
// the vendor's errors.
type Failer interface {
	Failed(w http.ResponseWriter, r *http.Request, status int)
}

// A Limiter is a Handler whose vendor bounds the requests at one time. More are
// a violation; without a limit it is 100.
type Limiter interface {
	MaxConcurrent() int
}

// A Closer is a Handler that does something by itself, as calling its clients:
// Close ends that, and returns when it has ended.
type Closer interface {
	Close()
}

// Tenant is one organization at one app.
type Tenant struct {
	App, Name string
	Base      string // URL of the tenant, without a trailing slash
	World     *org.World
	Clock     clockwork.Clock
	Scenario  *Scenario
	Replay    any // what the vendor's Replay returned; nil: nothing is replayed

	server  *Server
	handler Handler
	taken   atomic.Pointer[[]string]
	faults  []*faultState
}

// Instance is the name of the tenant's instance in what --print-config writes.
func (t *Tenant) Instance() string { return t.Name + "-" + t.App }

// Violate records that a client broke a rule of the vendor's: GET
// /_sandbox/violations lists them.
func (t *Tenant) Violate(rule, detail string) {
	if t.server != nil {
		t.server.violate(t, rule, detail)
	}
}

// TokenExpired reports whether the scenario has the token that comes with this
// request expire now. Whoever asks must refuse that very token from then on.
func (t *Tenant) TokenExpired(r *http.Request) bool { return decided(r).expires(ExpireToken) }

// CursorExpired reports whether the scenario has the cursor that comes with
// this request expire. Ask only if there is one.
func (t *Tenant) CursorExpired(r *http.Request) bool { return decided(r).expires(ExpireCursor) }

// MissingScopes returns the scopes that the scenario, or TakeScopes, has taken
// away for now, from all credentials.
func (t *Tenant) MissingScopes(r *http.Request) []string {
	missing := decided(r).missing
	if taken := t.taken.Load(); taken != nil {
		missing = append(slices.Clone(missing), *taken...)
	}
	return missing
}

// TakeScopes takes scopes away from all credentials, until it is called again.
func (t *Tenant) TakeScopes(scopes ...string) { t.taken.Store(&scopes) }

// Lag returns how much later than at once the scenario has what this request
// changes be seen. Ask only where the vendor is eventually consistent.
func (t *Tenant) Lag(r *http.Request) time.Duration {
	if f := decided(r).find(Lag); f != nil {
		return f.For
	}
	return 0
}

// Real is the clock of what takes real time, as that of clients that sign by it.
func (t *Tenant) Real() clockwork.Clock {
	if t.server == nil {
		return clockwork.NewRealClock()
	}
	return t.server.o.Real
}

// Handler returns the vendor's rendering.
func (t *Tenant) Handler() Handler { return t.handler }
