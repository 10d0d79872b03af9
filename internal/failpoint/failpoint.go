// Package failpoint lets tests kill the process, or make a step fail, at named
// points of every durable step. Without the build tag "failpoint" it is empty.
//
// With the tag, WEIR_FAILPOINT holds "name=effect@n" entries separated by
// commas: at the n-th hit of name (n defaults to 1) the effect happens. Effects:
// kill (SIGKILL to itself), error (an I/O error), full (ENOSPC). "n+" means the
// n-th and every later hit.
package failpoint

import "slices"

// Names of the points, in the order a row meets them.
const (
	StateOpen   = "state.open"   // before a start's own commit to the state
	StateCopy   = "state.copy"   // before a copy of an older state is in place
	SinkOwner   = "sink.owner"   // before a sink's owner record is written
	OwnerWrite  = "owner.write"  // while an owner record's file is written
	OwnerSync   = "owner.sync"   // before its fsync
	OwnerRename = "owner.rename" // before its rename
	SinkClaim   = "sink.claim"   // a sink is owned, and the state does not know it
	SinkPrepare = "sink.prepare" // before a sink's tables or folders are made
	VaultWrite  = "vault.write"  // while a secret is written
	VaultSync   = "vault.sync"   // before its fsync
	VaultRename = "vault.rename" // before its rename
	TenantPin   = "tenant.pin"   // before an instance's organization is committed
	Listing     = "listing"      // while lanes are listed
	LanesAdd    = "lanes.add"    // before lanes are committed
	Fetch       = "fetch"        // while a page is read
	SeenAdd     = "seen.add"     // before event ids are committed
	DeadAdd     = "dead.add"     // before a dead letter is committed
	RunAdd      = "run.add"      // before a row of collection_runs is committed
	PastAdd     = "past.add"     // before a sweep, repair or backfill is committed
	PastBegin   = "past.begin"   // before a window's beginning is committed
	PastRead    = "past.read"    // before it is known to have been read
	PastEnd     = "past.end"     // before the end of a sweep, repair or backfill is committed
	ScanBegin   = "scan.begin"   // before a round's beginning is committed
	ScanRows    = "scan.rows"    // before what is known of rows is committed
	ScanRemove  = "scan.remove"  // before removals are committed
	ScanEnd     = "scan.end"     // before a round's end is committed
	Decide      = "decide"       // before a person's decision is committed
	DecideDone  = "decide.done"  // before it is known to be carried out
	Upkeep      = "upkeep"       // before what is old is forgotten
	SpoolWrite  = "spool.write"  // while a segment is written
	SpoolSync   = "spool.sync"   // before its fsync
	SpoolRename = "spool.rename" // before its rename
	StateCommit = "state.commit" // before the state transaction commits
	StateDone   = "state.done"   // after it
	PartPlan    = "part.plan"    // before a part's list is committed
	PartWrite   = "part.write"   // while a part is written to a sink
	PartSync    = "part.sync"    // before a part's fsync
	PartRename  = "part.rename"  // before a part becomes visible
	PartMark    = "part.mark"    // while its mark is written
	MarkSync    = "mark.sync"    // before the mark's fsync
	MarkRename  = "mark.rename"  // before its rename
	InsertSent  = "insert.sent"  // a server has all of an insert, and has not answered
	InsertDone  = "insert.done"  // it has answered, and nobody has heard it
	PartCount   = "part.count"   // before a sink's rows are counted
	PartRepair  = "part.repair"  // before missing rows are inserted
	PartAck     = "part.ack"     // before the state learns that it is delivered
	PartHalve   = "part.halve"   // before the halves of a refused part are committed
	PartAside   = "part.aside"   // before a refused row is a dead letter
	FillPart    = "fill.part"    // before rows copied from another sink are committed
	SpoolFree   = "spool.free"   // before delivered segments are removed
	DayWrite    = "day.write"    // while it is written that a day is complete
	DayRename   = "day.rename"   // before that becomes visible
	DayTold     = "day.told"     // before the state learns that a sink knows it

	// Of governance.
	ActionLog  = "action.log"  // before an entry of the action log, and what it tells of, is committed
	ActionTold = "action.told" // after it
	StepSend   = "step.send"   // a step's beginning is committed, and nothing is sent
	StepSent   = "step.sent"   // the vendor has answered, and nobody has heard it

	// Of weir remap.
	RemapTable  = "remap.table"  // before a table beside the live one is made
	RemapCopy   = "remap.copy"   // before a month's rows are linked
	RemapWrite  = "remap.write"  // before rows made anew are written
	RemapAttach = "remap.attach" // before a month joins the table to be swapped in
	RemapSwap   = "remap.swap"   // before the swap
	RemapDrop   = "remap.drop"   // before a table is removed
	RemapDone   = "remap.done"   // before the swapped table loses its mark
)

// All returns every point of an agent. A name that is not among them is none: tests with
// the build tag panic at it, and the crash rounds fail over one never met.
func All() []string { return slices.Clone(all) }

// OfRemap returns the points of weir remap, which no crash round of an agent
// meets: its own tests do.
func OfRemap() []string { return slices.Clone(ofRemap) }

// OfActions returns the points of governance, which has crash rounds of its own.
func OfActions() []string { return slices.Clone(ofActions) }

var ofActions = []string{ActionLog, ActionTold, StepSend, StepSent}

var ofRemap = []string{RemapTable, RemapCopy, RemapWrite, RemapAttach, RemapSwap, RemapDrop, RemapDone}

var all = []string{
	StateOpen, StateCopy, SinkOwner, OwnerWrite, OwnerSync, OwnerRename, SinkClaim, SinkPrepare, VaultWrite, VaultSync, VaultRename, TenantPin,
	Listing, LanesAdd, Fetch, SeenAdd, DeadAdd, RunAdd, PastAdd, PastBegin, PastRead, PastEnd, ScanBegin, ScanRows, ScanRemove, ScanEnd, Decide, DecideDone, Upkeep,
	SpoolWrite, SpoolSync, SpoolRename, StateCommit, StateDone, PartPlan, PartWrite, PartSync, PartRename, PartMark, MarkSync, MarkRename,
	InsertSent, InsertDone, PartCount, PartRepair, PartAck, PartHalve, PartAside, FillPart, SpoolFree, DayWrite, DayRename, DayTold,
}
