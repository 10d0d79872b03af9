package org

import (
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Options says what organization to make.
type Options struct {
	Name    string
	Seed    uint64
	People  int           // employees, about; outside people and service identities come on top
	Now     time.Time     // the virtual clock's time at the beginning
	History time.Duration // of events before Now; entities are older
	// EventsPerDay is how many events a person makes on a working day, about. 0
	// is DefaultEventsPerDay. Less than 0: nothing ever happens.
	EventsPerDay float64
	Files        int // that are kept at Microsoft 365, and at Google, about; 0: FilesPerPerson for each of the people
	Log          Log
}

// DefaultEventsPerDay is what people make when nothing else is asked for.
const DefaultEventsPerDay = 8

// Log says how the vendors' logs show what happens. Shares are from 0 to 1. The
// zero Log shows each event once and at once. But for Equal, it changes nothing
// in what happens.
type Log struct {
	Late       float64       // share of the events that are seen late
	LateMax    time.Duration // by how much at most; 0: one hour
	LateEvenly bool          // as many very late as a little; else most are a little
	OutOfOrder float64       // share of the events that are seen up to 20 seconds late, after younger ones
	Duplicates float64       // share of the events that are shown a second time, up to 10 minutes later
	Equal      float64       // share of the actions that happen in the same millisecond as the one before
}

// World is an organization that lives. It is safe for concurrent use.
type World struct {
	mu   sync.RWMutex
	s    State
	life *life
	held bool         // life stands still
	now  atomic.Int64 // of the state, Unix milliseconds: Advance need not lock to see that nothing is due
}

// New makes an organization with its history.
func New(o Options) *World {
	if o.EventsPerDay == 0 {
		o.EventsPerDay = DefaultEventsPerDay
	}
	w := &World{s: newState(o)}
	build(&w.s, o)
	w.life = newLife(&w.s, o)
	w.life.advance(o.Now)
	w.now.Store(w.s.Now.UnixMilli())
	return w
}

// View runs fn on the state, which must not change or keep it.
func (w *World) View(fn func(*State)) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	fn(&w.s)
}

// Change runs fn on the state, which it may change by State's methods.
func (w *World) Change(fn func(*State)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn(&w.s)
	w.life.flush()
}

// Advance lets life go on until now. It makes no difference to what happens
// whether this is one step or many. A time in the past is no step.
func (w *World) Advance(now time.Time) {
	if now.UnixMilli() <= w.now.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held {
		w.life.wait(now)
	} else {
		w.life.advance(now)
	}
	w.now.Store(w.s.Now.UnixMilli())
}

// Freeze has life stand still: nothing more happens, and what has happened
// becomes visible in the logs when it is due. Thaw lets it go on from there.
func (w *World) Freeze() { w.hold(true) }

// Thaw ends Freeze.
func (w *World) Thaw() { w.hold(false) }

func (w *World) hold(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !on:
		w.s.Frozen = time.Time{}
	case !w.held:
		w.s.Frozen = w.s.Now
	}
	w.held = on
}

// Over reports whether a time has come at which something ends of itself. It does
// not come while life stands still.
func (s *State) Over(t time.Time) bool {
	if s.Frozen.IsZero() {
		return !t.After(s.Now)
	}
	return !t.After(s.Frozen)
}

func newState(o Options) State {
	now := o.Now.UTC().Truncate(time.Millisecond)
	s := State{
		Name: o.Name, Domain: o.Name + ".example", Seed: o.Seed, Now: now, Since: now.Add(-max(o.History, 0)),
		Accounts: map[string][]*Account{}, Groups: map[string][]*Group{}, Roles: map[string][]*RoleGrant{},
		Integrations: map[string][]*Integration{}, Grants: map[string][]*Grant{}, RoleDefs: map[string][]*RoleDef{},
		ResourceSets: map[string][]*ResourceSet{}, Events: map[string][]*Event{}, Timeline: map[string][]*Event{},
		accountOf: map[string][]int32{Okta: nil, GitHub: nil, Microsoft365: nil, GoogleWorkspace: nil},
	}
	s.journal = newJournal(source(o, "journal"), source(o, "cloud log"), o.Log)
	s.journal.entra = source(o, "entra log")
	s.journal.office = source(o, "office log")
	s.journal.google = source(o, "google log")
	return s
}

// source returns randomness of its own for one purpose, so that what one part
// draws changes nothing in the others.
func source(o Options, purpose string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(o.Name + "/" + purpose)) // never fails
	return rand.New(rand.NewPCG(o.Seed, h.Sum64()))
}
