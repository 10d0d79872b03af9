package org

import (
	"sync"
	"time"
)

// Options says what organization to make.
type Options struct {
	Name    string
	Seed    uint64
	People  int           // employees at Now, about; outside people and service identities come on top
	Now     time.Time     // the virtual clock's time at the beginning
	History time.Duration // of events before Now; entities are older
	// EventsPerDay is how many events a person makes on a working day, about.
	EventsPerDay float64
}

// World is an organization that lives. It is safe for concurrent use.
type World struct {
	mu sync.RWMutex
	s  State
}

// New makes an organization with its history.
func New(o Options) *World {
	w := &World{s: State{Name: o.Name, Domain: o.Name + ".example", Seed: o.Seed, Now: o.Now, Born: o.Now}}
	return w
}

// View runs fn on the state, which must not change or keep it.
func (w *World) View(fn func(*State)) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	fn(&w.s)
}

// Advance lets life go on until now.
func (w *World) Advance(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.s.Now = now
}
