package googleworkspace

import "time"

// Faults is what goes wrong at one customer, beside the faults that are the same
// for all vendors. The zero Faults is none.
type Faults struct {
	DriveFaults

	Unauthorized []string // scopes that the administrator has not authorized for the agent
	Disabled     []string // APIs that are not enabled in the project: "admin", "drive"
	Restricted   []string // addresses that nobody may act as
	NoPrivilege  []string // privileges that were taken from everybody, as REPORTS_ACCESS
	TokenLife    time.Duration
	KeyDeleted   bool                     // the service account's key
	Revoked      bool                     // all refresh tokens
	Rapt         bool                     // session control wants the person again
	Limits       map[string]int           // other rate limits, by "directory", "reports", "filter"; < 0 none
	Unlicensed   []string                 // applications of reports
	Late         map[string]time.Duration // how much later than it would an application's log shows what happens; "": all
	EmptyStatus  int                      // of answers without a body: 200 or 204
	ChannelLife  time.Duration            // channels get this life at most, whatever was asked for
	Alerts       bool                     // the Alert Center has something to tell
	ListsLag     time.Duration            // how long lists of users show what was before a write
}

// ExpireTokens ends all access tokens now: in the middle of somebody's paging,
// say.
func (h *Handler) ExpireTokens() { h.auth.expire() }
