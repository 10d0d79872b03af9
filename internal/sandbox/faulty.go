package sandbox

import "sync"

// Faulty is what goes wrong at one tenant, in its vendor's own terms, beside the
// faults that are the same for all vendors. It is safe for concurrent use.
type Faulty[T any] struct {
	mu     sync.Mutex
	faults T
}

// Faults returns what goes wrong now.
func (f *Faulty[T]) Faults() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.faults
}

// SetFaults replaces what goes wrong.
func (f *Faulty[T]) SetFaults(v T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = v
}

// Strikes asks whether a fault strikes; fn may use it up.
func (f *Faulty[T]) Strikes(fn func(*T) bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fn(&f.faults)
}
