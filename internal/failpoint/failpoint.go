// Package failpoint lets tests kill the process, or make a step fail, at named
// points of every durable step. Without the build tag "failpoint" it is empty.
//
// With the tag, WEIR_FAILPOINT holds "name=effect@n" entries separated by
// commas: at the n-th hit of name (n defaults to 1) the effect happens. Effects:
// kill (SIGKILL to itself), error (an I/O error), full (ENOSPC). "n+" means the
// n-th and every later hit.
package failpoint

// Names of the points, in the order a row meets them.
const (
	StateCopy   = "state.copy"   // before a copy of an older state is in place
	Listing     = "listing"      // while lanes are listed
	Fetch       = "fetch"        // while a page is read
	ScanBegin   = "scan.begin"   // before a round's beginning is committed
	ScanRemove  = "scan.remove"  // before removals are committed
	ScanEnd     = "scan.end"     // before a round's end is committed
	SpoolWrite  = "spool.write"  // while a segment is written
	SpoolSync   = "spool.sync"   // before its fsync
	SpoolRename = "spool.rename" // before its rename
	StateCommit = "state.commit" // before the state transaction commits
	StateDone   = "state.done"   // after it
	PartPlan    = "part.plan"    // before a part's list is committed
	PartWrite   = "part.write"   // while a part is written to a sink
	PartSync    = "part.sync"    // before a part's fsync
	PartRename  = "part.rename"  // before a part becomes visible
	PartMark    = "part.mark"    // before its mark is written
	PartAck     = "part.ack"     // before the state learns that it is delivered
	SpoolFree   = "spool.free"   // before delivered segments are removed
)
