// Package sources is the contract between Weir and its connectors: what a
// connector declares, how it lists lanes, and how it yields pages of rows.
//
// A connector knows schemas, this package and the HTTP layer, and nothing else:
// no Arrow, no sinks, no agent, no other connector. It owns no goroutine that
// outlives a call. It never sleeps, retries, counts or logs: it returns an
// error with a class (package fault), and whoever runs it decides.
package sources

import (
	"context"
	"iter"
	"time"

	"github.com/jonboulle/clockwork"

	"weir/internal/setting"
	"weir/schemas"
)

// Connector is what Weir knows of an app without credentials. Adding an app is
// one package that has one of these, and one line in sources/registry.
type Connector struct {
	App     string                // value of the app column, and of `app:` in the configuration
	Title   string                // the vendor's own name of it
	Streams []StreamInfo          // all it can collect
	Config  func() setting.Struct // the connector's part of an instance's configuration, new, holding the defaults
	Open    func(ctx context.Context, env Env, cfg setting.Struct) (Session, error)
}

// Env is what a session gets from the agent.
type Env struct {
	Instance string
	Clock    clockwork.Clock
}

// Session is one instance's open connection. It holds only immutable settings
// and clients, and is safe for concurrent use.
type Session interface {
	// Tenant returns the vendor's own id of the organization, or "" while it
	// cannot be known yet. It is pinned: another id later stops the instance.
	Tenant(ctx context.Context) (string, error)
	// Streams returns the streams this session can run, in the order of
	// Connector.Streams.
	Streams() []Stream
}

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
	Tables   []string      // the tables it fills
	Every    time.Duration // default interval between polls
	Lateness time.Duration // how long after it happened an event may still appear
	Keep     time.Duration // how long done Once lanes and seen ids are kept: as long as the listing may show a lane again, and more
	Mutable  bool          // the vendor rewrites records under their id
	Doc      string        // what it collects, in a sentence
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

// Lane is the smallest thing with a cursor: a whole stream, an account and
// region, a drive, one log file.
type Lane struct {
	ID   string // unique within the stream, stable
	Hint string // what Read needs beside the ID (etag, size, url); another hint than last time starts a Once lane again
	Once bool   // finite: done at its last page, and kept as done for StreamInfo.Keep
}

// Stream is one kind of collection of an open session.
type Stream struct {
	Info StreamInfo

	// Lanes lists the stream's lanes, page by page, from a listing cursor. A
	// lane that is listed again is not read again, unless it is no Once lane
	// or its Hint changed. nil: the stream is one lane with ID "".
	Lanes func(ctx context.Context, c Cursor) iter.Seq2[*LanePage, error]

	// Read yields a lane's pages from a cursor. The Next of any page, given to
	// a later call, resumes after that page. After a yielded error the sequence
	// ends; pages yielded before it stand.
	//
	// A page and all its rows belong to the connector again when the loop body
	// returns: buffers may be reused.
	Read func(ctx context.Context, l Lane, c Cursor) iter.Seq2[*Page, error]
}

// LanePage is one page of a listing.
type LanePage struct {
	Lanes    []Lane
	Next     Cursor // where the next listing, or this one when it is cut short, goes on
	Complete bool   // the listing has shown everything there is now
	// CoveredTo is, on the complete page, the time before which everything has
	// been listed, but for the stream's Lateness. Zero: unknown.
	CoveredTo schemas.Time
	Requests  int64
}

// Page is what one read of a lane gave.
type Page struct {
	Rows     *schemas.Rows // never nil; strings may alias the page's buffer
	Rejected []Reject      // records that could not be mapped
	Next     Cursor
	More     bool // false: caught up, or, in a Once lane, done
	// Watermark is the time before which this lane is complete, where the
	// vendor's order proves it. Zero: unknown.
	Watermark schemas.Time
	Requests  int64
	Bytes     int64 // received, as transferred
}

// Reject is a record that was received but could not be mapped. It is kept
// whole as a dead letter; its neighbours are delivered.
type Reject struct {
	Ref    string // where it stands: the record's number, or its id
	Reason string
	Raw    string // the record's bytes, secrets removed
}
