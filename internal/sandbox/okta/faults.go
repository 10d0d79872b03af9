package okta

import "time"

// Faults is what goes wrong at one organization, beside the faults that are the
// same for all vendors. The zero Faults is none.
type Faults struct {
	Limits        map[string]int // other rate limits, by bucket (the paths of section 6); < 0 none
	MissingScopes []string       // not granted any more, also to tokens that exist
	MissingRoles  []string       // scopes of whose endpoints the admin role was taken away
	RefuseAfter   int            // so many cursors of the System Log are refused
	CursorLife    time.Duration  // cursors of the System Log older than this are refused; 0 none
	SearchLag     time.Duration  // how long the index behind search lacks what was written
	// LogTimeoutAbove is the limit above which a query of the System Log takes
	// too long; 0: none does.
	LogTimeoutAbove int
}

// ExpireTokens ends all OAuth access tokens now: in the middle of somebody's
// paging, say.
func (h *Handler) ExpireTokens() { h.auth.expire() }

// refuseCursor tells whether a cursor of the System Log is refused though the
// vendor made it.
func (h *Handler) refuseCursor(age time.Duration) bool {
	return h.Strikes(func(f *Faults) bool {
		if f.CursorLife > 0 && age > f.CursorLife {
			return true
		}
		refuses := f.RefuseAfter > 0
		if refuses {
			f.RefuseAfter--
		}
		return refuses
	})
}
