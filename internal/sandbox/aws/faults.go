package aws

import "time"

// Faults is what goes wrong at one account, beside the faults that are the same
// for all vendors. The zero Faults is none.
type Faults struct {
	// Delay is how long IAM shows what was before a change.
	Delay time.Duration
	// FailCopies is how many copies are answered with 200 and then an error.
	FailCopies int
}

// failCopy reports whether this copy fails after its answer has begun.
func (h *Handler) failCopy() bool {
	return h.Strikes(func(f *Faults) bool {
		fails := f.FailCopies > 0
		if fails {
			f.FailCopies--
		}
		return fails
	})
}
