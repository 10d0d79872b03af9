// Package github serves the pretend organization through GitHub's APIs: REST,
// GraphQL and the consent pages, as api.github.com does for an Enterprise Cloud
// organization with SAML single sign-on.
//
// A tenant's name chooses its flavour: ghes-… is GitHub Enterprise Server
// (ghes-old-… a version whose team members carry no role), emu-… has managed
// users, free-… a plan without an audit log.
package github

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/schemas"
)

// Vendor is GitHub.
func Vendor() sandbox.Vendor {
	return sandbox.Vendor{App: org.GitHub, New: func(t *sandbox.Tenant) sandbox.Handler { return New(t, Default()) }}
}

// TokenValid is a token of an owner, with all scopes that reading and writing
// need.
const TokenValid = "sandbox-token"

// Flavour is what product and plan a tenant is.
type Flavour struct {
	GHES    bool // Enterprise Server: below /api/v3, no limits, no single sign-on credentials
	OldGHES bool // team members carry no role
	EMU     bool // managed users: no invitations
	Free    bool // no audit log
	// NoSourceIP: the owners have not enabled the disclosure of addresses.
	NoSourceIP bool
	// App: a GitHub App is the collector, to which alone fine-grained tokens are
	// told.
	App bool
	// Trees: what files are in repositories is part of the truth.
	Trees bool
}

// Trouble is what goes wrong at this vendor, beside what the sandbox's scenario
// does to every answer. The zero Trouble is none.
type Trouble struct {
	MissingScopes []string // taken from all tokens: classic scopes, or an App's permissions ("members", "members:read")
	// TokenRequests is how many requests an installation token lives, at most;
	// 0: all its hour.
	TokenRequests  int
	SAML           bool // tokens are not authorized for single sign-on
	PartialResults bool // data is missing silently, but for a header
	IPBlocked      bool
	OAuthBlocked   bool          // the organization restricts OAuth apps
	SecondaryEvery int           // every so many requests the secondary limit hits; 0: never
	SecondaryMute  bool          // it says no retry-after
	SecondaryWait  time.Duration // retry-after; 0: Facts.SecondaryWait
	HostileLinks   bool          // Link leads to another host
	CursorsExpired bool          // cursors of the audit log are refused
	// Lag is how much later what is written takes effect.
	Lag time.Duration
	// Otherwise: where the documentation leaves open how a repetition is answered,
	// the less likely answer comes.
	Otherwise bool
	LDAPSync  bool // a directory suspends users, nobody else
	TeamSync  bool // the identity provider decides who is in teams
}

// Handler is one tenant's GitHub. It is safe for concurrent use.
type Handler struct {
	tenant *sandbox.Tenant
	facts  Facts
	seed   uint64
	view   func(func(*org.State))
	change func(func(*org.State)) // as view, for what writes
	mux    *http.ServeMux
	// violate records that a client broke a rule.
	violate func(rule, detail string)

	trouble sandbox.Faulty[Trouble]

	mu       sync.Mutex
	flavour  Flavour
	tokens   map[string]*principal
	apps     []App
	codes    map[string]consent
	minted   int // tokens and codes so far
	quotas   map[string]*quota
	cursors  map[uint64]struct{} // of the audit log, as handed out
	limited  int                 // requests seen, for Trouble.SecondaryEvery
	requests uint64
	born     sync.Map       // by repository's number: whether it was public at first
	blobs    sync.Map       // ids of contents, by what they are made from
	history  sync.Map       // contents that writes have replaced, by id
	writing  map[string]int // writes of contents under way, by repository
	inFlight atomic.Int32
}

// New returns the API of a tenant.
func New(t *sandbox.Tenant, facts Facts) *Handler {
	h := newHandler(t, facts, t.World.View)
	h.change = t.World.Change
	return h
}

func newHandler(t *sandbox.Tenant, facts Facts, view func(func(*org.State))) *Handler {
	h := &Handler{
		tenant: t, facts: facts, view: view, change: view, violate: t.Violate,
		flavour: Flavour{
			GHES:    strings.HasPrefix(t.Name, "ghes-"),
			OldGHES: strings.HasPrefix(t.Name, "ghes-old-"),
			EMU:     strings.HasPrefix(t.Name, "emu-"),
			Free:    strings.HasPrefix(t.Name, "free-"),
		},
		tokens: map[string]*principal{}, codes: map[string]consent{},
		quotas: map[string]*quota{}, cursors: map[uint64]struct{}{}, writing: map[string]int{},
	}
	view(func(s *org.State) { h.seed = s.Seed ^ hashName(s.Name) })
	h.routes()
	h.AddToken(Token{Value: TokenValid, Scopes: h.allScopes()})
	return h
}

// SetFlavour changes what product and plan the tenant is.
func (h *Handler) SetFlavour(f Flavour) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flavour = f
}

// SetTrouble changes what goes wrong.
func (h *Handler) SetTrouble(t Trouble) {
	h.trouble.SetFaults(t)
}

// Config implements sandbox.Handler.
func (h *Handler) Config(base string) string {
	return h.Connection(base) + "auth: {token: " + TokenValid + "}\n"
}

// Connection is Config without credentials.
func (h *Handler) Connection(base string) string {
	api, graph := base, base+"/graphql"
	if h.settings().GHES {
		api, graph = base+"/api/v3", base+"/api/graphql"
	}
	var login string
	h.view(func(s *org.State) { login = s.Name })
	return "app: github\nbase_url: " + api + "\ngraphql_url: " + graph + "\nweb_url: " + base +
		"\norg: " + login + "\n"
}

// Truth implements sandbox.Handler.
func (h *Handler) Truth(s *org.State, rows *schemas.Rows) {
	t := truth{h: h, s: s, rows: rows, flavour: h.settings()}
	t.accounts()
	t.groups()
	t.privileges()
	t.files()
	t.apps()
	t.grants()
	t.activities()
}

func (h *Handler) settings() Flavour {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.flavour
}

func (h *Handler) now() time.Time { return h.tenant.Clock.Now() }

// enterprise returns the slug of the enterprise that owns the organization.
func enterprise(s *org.State) string { return s.Name + "-enterprise" }
