// Package fault classes errors, so that whoever may retry knows what an error
// means without knowing who returned it.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Class says what can be done about an error.
type Class string

const (
	Transient   Class = "transient"      // try again later; the class of every error that has none
	Throttled   Class = "throttled"      // the vendor asks to wait: no failure
	Auth        Class = "auth"           // the credentials are refused: the instance stops until they change
	Forbidden   Class = "forbidden"      // a right is missing: the stream stops, the others go on
	NotLicensed Class = "not_licensed"   // the vendor's plan lacks it: the stream stops, the others go on
	Expired     Class = "cursor_expired" // the cursor is no longer known: start again, leave a gap record
	BadData     Class = "bad_data"       // the object will not get better: park it, go on with the rest
	Permanent   Class = "permanent"      // nothing but a person can help
)

// Fault is an error with a class.
type Fault struct {
	Class      Class
	RetryAfter time.Duration // for Throttled and Transient: not before; 0 = the caller's own backoff
	Err        error
}

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// New classes an error made from format and args, which may wrap with %w.
func New(c Class, format string, args ...any) error {
	return &Fault{Class: c, Err: fmt.Errorf(format, args...)}
}

// After is New with a time before which a retry is pointless.
func After(c Class, d time.Duration, format string, args ...any) error {
	return &Fault{Class: c, RetryAfter: d, Err: fmt.Errorf(format, args...)}
}

// Of returns the class of the outermost Fault in err's chain, else Transient.
func Of(err error) Class {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f.Class
	}
	return Transient
}

// RetryAfter returns the wait asked for by the outermost Fault in err's chain.
func RetryAfter(err error) time.Duration {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f.RetryAfter
	}
	return 0
}
