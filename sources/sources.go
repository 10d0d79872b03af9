// Package sources is the contract between Weir and its connectors: what a
// connector declares, how it lists lanes, and how it yields pages of rows.
//
// A connector knows schemas, this package, the HTTP layer (sources/httpx) and
// the ways to authenticate (sources/auth), and nothing else: no Arrow, no
// sinks, no agent, no other connector. It owns no goroutine that outlives a
// call. It never sleeps, retries, counts or logs: it returns an error with a
// class (package fault), and whoever runs it decides.
package sources

import (
	"context"
	"iter"
	"time"

	"github.com/jonboulle/clockwork"

	"weir/internal/setting"
	"weir/schemas"
	"weir/sources/auth"
	"weir/sources/httpx"
)

// Connector is what Weir knows of an app without credentials. Adding an app is
// one package that has one of these, and one line in sources/registry.
type Connector struct {
	App          string       // value of the app column, and of `app:` in the configuration
	Title        string       // the vendor's own name of it
	Streams      []StreamInfo // all it can collect
	Capabilities []Capability // what an instance's credentials may allow, in the order of the docs
	Hosts        []Host       // where requests go, for firewalls
	Limits       []string     // the vendor's limits and gaps an operator should know, a sentence each
	Actions      []ActionInfo // what it can change at the vendor, in the order of ActionWords; its sessions are then a Governor
	Notifies     string       // what the vendor tells a hook of, in a sentence; its sessions are then a Listener. "": nothing

	Config func() setting.Struct // the connector's part of an instance's configuration, new, holding the defaults
	Open   func(ctx context.Context, env Env, cfg setting.Struct) (Session, error)

	// Adjust returns a stream's declaration as an instance of that configuration
	// has it; its session's stream has the same. nil: as in Streams.
	Adjust func(cfg setting.Struct, info StreamInfo) StreamInfo

	// Mapper returns a new Mapper of the connector's log streams, for an
	// instance of that configuration, of which it reads no secret. nil: rows of
	// the app cannot be made anew.
	Mapper func(cfg setting.Struct) (Mapper, error)

	// Consent describes how a person grants access in a browser (`weir
	// connect`), as the configuration asks; nil, nil when its credentials need
	// no consent. A nil func: the app has none.
	Consent func(env Env, cfg setting.Struct) (*auth.Consent, error)
}

// Capability is something that credentials may or may not allow. A stream's own
// capability has the stream's name; parts of it are named "stream/part".
type Capability struct {
	Name    string
	Doc     string   // what works with it, in a sentence
	Scopes  []string // what to grant, in the vendor's words, one way a line: "OAuth scope read:audit_log"
	Where   string   // where to grant it
	Edition string   // the vendor's edition it needs; "" any
}

// CapabilityOrganization names the capability of reading the organization's
// own id, where that needs a right.
const CapabilityOrganization = "organization"

// CapabilityActions begins the name by which Session.Probe is asked whether an
// action of Connector.Actions can be expected to work: "actions/suspend_user".
// Nothing is written to find out.
const CapabilityActions = "actions/"

// Host is a place that the connector sends requests to.
type Host struct{ Name, For string }

// Env is what a session gets from the agent.
type Env struct {
	Instance string
	Clock    clockwork.Clock
	HTTP     *httpx.Base // makes clients that obey the instance's proxy and CA, are counted and dumped
	Vault    auth.Vault  // tokens granted by consent, encrypted at rest
}

// Session is one instance's open connection. It holds only immutable settings
// and clients, and is safe for concurrent use. Opening one makes no request.
type Session interface {
	// Tenant returns the vendor's own id of the organization, or "" while it
	// cannot be known yet. It is pinned: another id later stops the instance.
	Tenant(ctx context.Context) (string, error)
	// Identity returns whom the vendor takes the credentials for. It is asked
	// before each round of a scan.
	Identity(ctx context.Context) (Identity, error)
	// Probe makes the cheapest request that shows whether the credentials
	// allow a capability. nil: it works. fault.Forbidden: a scope or role is
	// missing, which the error names. fault.NotLicensed: the vendor's plan
	// lacks it. Any other error: it is failing.
	Probe(ctx context.Context, capability string) error
	// Streams returns the streams this session can run, in the order of
	// Connector.Streams.
	Streams() []Stream
}

// Identity is whom the vendor takes the credentials for.
type Identity struct {
	ID, Name string
	Kind     IdentityKind
	Roles    []string // roles or scopes held, sorted; what it may see depends on them
}

// IdentityKind says what sort of identity credentials belong to.
type IdentityKind string

// Kinds of identities. A person's credentials end with the person's account.
const (
	IdentityApp     IdentityKind = "app"
	IdentityService IdentityKind = "service"
	IdentityPerson  IdentityKind = "person"
	IdentityUnknown IdentityKind = "unknown"
)

// Shape says how a stream collects.
type Shape string

const (
	Log  Shape = "log"  // events, polled with cursors
	Scan Shape = "scan" // lists what exists
)

// StreamInfo declares a stream.
type StreamInfo struct {
	Name     string        // "activities"
	Shape    Shape         //
	Tables   []string      // the tables it fills; an entity table is filled by one stream only
	Every    time.Duration // default interval between polls; of a scan with a Delta, between deltas
	Lateness time.Duration // how long after it happened an event may still appear
	Keep     time.Duration // how long done Once lanes and seen ids are kept: as long as the listing may show a lane again, and more
	// Retention is how long the vendor keeps records: what is older cannot be
	// had any more. Zero: for ever, or as long as somebody else decides.
	Retention time.Duration
	WholeFor  time.Duration // how long it keeps all of them, where it drops a part before the rest; 0: Retention
	Mutable   bool          // the vendor rewrites records under their id
	Off       bool          // not collected unless the configuration enables it
	Doc       string        // what it collects, in a sentence

	// Of logs.
	Back      bool // the vendor can be asked for the past: the stream has a Past
	ShowsLate bool // reading on brings what comes late: windows of time need not be read again

	// Of scans.
	FullEvery time.Duration // default interval between complete rounds, where there is a Delta or lanes with a Hint; else 0: every round is complete
	Keyset    bool          // the listing cannot skip a row that exists, so one complete round without a key proves it gone; else two are needed
	Disjoint  bool          // a key is always shown by the same lane, so that a lane that is refused hides no row of another
	Shared    []string      // tables of a Disjoint stream for which that is not so: several lanes show the same key
	Mapping   int           // version of the mapping: rows that differ under another version are "remapped", not "updated"
}

// Cursor is a place in a listing or a lane: opaque to everybody but its
// connector, versioned, at most MaxCursor bytes. "" is the beginning.
type Cursor string

// Bounds of what a connector may hand over.
const (
	MaxCursor = 4 << 10
	MaxHint   = 1 << 10
	MaxLaneID = 1 << 10
)

// PastLane begins the ids of the lanes that Stream.Past lists.
const PastLane = "past/"

// Lane is the smallest thing with a cursor: a whole stream, an account and
// region, a drive, one log file.
type Lane struct {
	ID string // unique within the stream, stable
	// Hint is what Read needs beside the ID (etag, size, url), or what tells
	// that the lane's content has changed. Another hint than last time starts
	// a Once lane again. A scan's lane whose hint is not empty and the same as
	// at its last complete reading is not read again until FullEvery has
	// passed: its rows stand.
	Hint string
	Once bool // finite: done at its last page, and kept as done for StreamInfo.Keep
}

// Stream is one kind of collection of an open session.
type Stream struct {
	Info StreamInfo

	// Lanes lists the stream's lanes, page by page, from a listing cursor. A
	// lane that is listed again is not read again, unless it is no Once lane
	// or its Hint changed. nil: the stream is one lane with ID "".
	//
	// A scan's listing begins at "" in every round; what a complete listing
	// does not show any more is gone, with all its rows.
	Lanes func(ctx context.Context, c Cursor) iter.Seq2[*LanePage, error]

	// Span says, of a Once lane, what span the events in it may be of, as far as
	// its ID tells; nil, or zeros: what its listing covers.
	Span func(l Lane) (from, to schemas.Time)

	// Read yields a lane's pages from a cursor. The Next of any page, given to
	// a later call, resumes after that page. After a yielded error the sequence
	// ends; pages yielded before it stand.
	//
	// A scan's lane is read from "" in every round, to a page without More: then
	// it has shown all that exists in it.
	//
	// A page and all its rows belong to the connector again when the loop body
	// returns: buffers may be reused.
	Read func(ctx context.Context, l Lane, c Cursor) iter.Seq2[*Page, error]

	// Past, of a log, lists Once lanes that together hold every event of
	// [from,to) that the vendor still has, by the event's time, those of the
	// newest events first where the vendor allows. They may hold events from
	// outside. Their ids start with PastLane and say, with the hint, all that
	// Read needs beside the cursor; a listing cursor belongs to the same from
	// and to, and CoveredTo is not used. Several listings, and lanes of the
	// live stream, may be read at the same time. nil: the stream cannot look
	// back.
	Past func(ctx context.Context, from, to time.Time, c Cursor) iter.Seq2[*LanePage, error]

	// Delta, of a scan, yields what changed in a lane since a cursor: the Delta
	// of the last page of a complete Read, or the Next of an earlier Delta. An
	// error of class fault.Expired has the lane read anew. nil: there is no
	// such feed.
	Delta func(ctx context.Context, l Lane, c Cursor) iter.Seq2[*Page, error]

	// Ask, of a scan, asks the vendor for one row by its key (the key columns
	// after instance, in the table's order). nil: the vendor cannot be asked.
	Ask func(ctx context.Context, table string, key []string) (Answer, error)
}

// Answer says what the vendor knows of a row that a round did not show.
type Answer string

// Answers.
const (
	Exists      Answer = "exists"
	Deleted     Answer = "deleted"
	SoftDeleted Answer = "soft_deleted"
	Unsure      Answer = "unsure" // cannot be told: also for tables that cannot be asked for
)

// LanePage is one page of a listing.
type LanePage struct {
	Lanes    []Lane
	Next     Cursor // where the next listing, or this one when it is cut short, goes on
	Complete bool   // the listing has shown everything there is now
	// CoveredTo is, on the complete page, the time before which everything has
	// been listed that may still come, the stream's Lateness included. Zero:
	// unknown.
	CoveredTo schemas.Time
	// Since is, on the complete page, the time from which everything has been
	// listed, now or before. Zero: from the beginning.
	Since    schemas.Time
	Requests int64
}

// Page is what one read of a lane gave.
type Page struct {
	Rows     *schemas.Rows // never nil; strings may alias the page's buffer
	Rejected []Reject      // records that could not be mapped
	Next     Cursor
	More     bool // false: caught up, or, in a Once lane, done
	// Watermark is the time before which this lane is complete, where the
	// vendor's order proves it: whatever still comes is later, the stream's
	// Lateness included. Zero: unknown.
	Watermark schemas.Time
	// Since is, on the first page of a reading that began anew, the time it
	// reads from. Zero, where the cursor was "": from the beginning; elsewhere:
	// it goes on where it was.
	Since schemas.Time
	// Unseen says, of a scan's lane, why what exists in it cannot be seen though
	// the credentials are good, as of one user whose service is off. It is no
	// failure: the lane counts as read, and its rows stand.
	Unseen string
	// Gone are rows that a delta or the vendor says do not exist any more.
	Gone []Gone
	// Delta is, on the last page of a scan lane's Read, where its Delta begins.
	Delta Cursor
	// Requests and Bytes count what did not go through httpx, which counts by
	// itself.
	Requests int64
	Bytes    int64 // received, as transferred
}

// Gone names a row that does not exist any more.
type Gone struct {
	Table  string
	Key    []string // the key columns after instance, in the table's order
	Reason string   // removed_reason: deleted access_lost soft_deleted unknown
	// Own: it counts only where this lane showed the row last. For logs of what
	// one of many readers sees: what leaves that may be another's.
	Own bool
}

// Reject is a record that was received but could not be mapped. It is kept
// whole as a dead letter; its neighbours are delivered.
type Reject struct {
	Ref    string // where it stands: the record's number, or its id
	Reason string
	Raw    string // the record's bytes, secrets removed
}
