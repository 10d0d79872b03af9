package httpx

import (
	"net/http"
	"sync"
	"time"
)

// skewKept is how long a measure of the vendor's clock counts: between this and
// twice as long.
const skewKept = 5 * time.Minute

// skew is how far the vendor's clock is ahead of the agent's, by Date headers.
// Whole seconds and the answer's way make each of them tell too little, never
// too much: the most that any told is the best.
type skew struct {
	mu         sync.Mutex
	best, last time.Duration // of this span, and of the one before
	since      time.Time     // start of this span; zero: nothing is known
	hadLast    bool
}

// measure takes in an answer's Date and returns the best estimate. An answer
// without one gives 0, unknown.
func (s *skew) measure(h http.Header, at time.Time) time.Duration {
	date, err := http.ParseTime(h.Get("Date"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		return 0
	}
	told := date.Sub(at)
	switch {
	case s.since.IsZero() || told < s.estimate()-defaultTimeout: // no answer takes so long: a clock was set
		s.best, s.since, s.hadLast = told, at, false
	case at.Sub(s.since) > skewKept || at.Before(s.since):
		s.last, s.hadLast = s.best, at.Sub(s.since) < 2*skewKept
		s.best, s.since = told, at
	default:
		s.best = max(s.best, told)
	}
	return s.estimate()
}

func (s *skew) estimate() time.Duration {
	if s.hadLast {
		return max(s.best, s.last)
	}
	return s.best
}

// provenSkew is how far a vendor's clock must be ahead of the agent's, when its
// answer to a request sent and answered at these times is dated so: a slow answer
// proves nothing.
func provenSkew(date, sent, answered time.Time) time.Duration {
	switch {
	case date.After(answered):
		return date.Sub(answered)
	case date.Add(time.Second).Before(sent): // dates are whole seconds
		return date.Add(time.Second).Sub(sent)
	}
	return 0
}
