package microsoft365

import (
	"strings"
	"time"
)

// Faults is what goes wrong at one tenant, beside the faults that are the same for
// all vendors. The zero Faults is none.
type Faults struct {
	OfficeFaults

	MissingRoles []string // permissions that are not granted any more, also to tokens that exist
	Free         bool     // no premium licence: no sign-ins, no activity of users
	NoPIM        bool     // no licence for roles in time
	Units        int      // other resource units of the directory, in a window; < 0 none are counted
	Reports      int      // other requests to logs and reports, in a window; < 0 none are counted
	TokenLife    time.Duration
	BrokenBatch  int // every so many-th request in batches is throttled; 0 none
	GrantLag     time.Duration
	// PlainStale has an old delta token answered with 400, and without a link to
	// begin anew, as the vendor has announced once.
	PlainStale bool
}

// free says whether the tenant has no premium licence: by its name, or for now.
func (h *Handler) free() bool { return strings.HasPrefix(h.t.Name, "free-") || h.Faults().Free }

// noPIM says whether it has no licence for roles in time.
func (h *Handler) noPIM() bool { return h.free() || h.Faults().NoPIM }

// kept is how long the logs are.
func (h *Handler) kept() time.Duration {
	if h.free() {
		return min(h.facts.LogKept, 7*day)
	}
	return h.facts.LogKept
}

// ExpireTokens ends all access tokens now: in the middle of somebody's paging,
// say.
func (h *Handler) ExpireTokens() { h.auth.expire() }
