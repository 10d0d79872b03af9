package microsoft365

import (
	"sync/atomic"
	"time"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
)

// office is a tenant's half beside its directory: files, and what the Management
// Activity API tells.
type office struct {
	feed      *feed
	recording *recording // that the feed serves instead; nil: none
	refusals  atomic.Int64
	jobs      copies
}

// replay opens real records for the feeds of all tenants.
func replay(dir string) (any, error) { return openRecording(dir) }

// newOffice makes it. What is to be replayed comes from openRecording.
func newOffice(t *sandbox.Tenant) *office {
	o := &office{feed: newFeed(t.Clock.Now().UTC().Truncate(time.Second))}
	if r, ok := t.Replay.(*recording); ok {
		o.recording = r
		o.feed.play(r)
	}
	return o
}

// OfficeFaults are what goes wrong with files and activities, beside the faults
// that are the same for all vendors.
type OfficeFaults struct {
	AuditOff     bool          // the unified audit log is off
	WarmUp       time.Duration // for so long a new subscription has no content
	BrokenBlobs  int           // every so many-th blob cannot be read; 0 all can
	BrokenUntil  time.Time     // and until when; zero: for ever
	ResyncDeltas bool          // no delta token is known any more, but those that begin an enumeration
	BusyFiles    int           // every so many-th item of a drive cannot be changed: somebody has it open; 0 all can
	BusyUntil    time.Time     // and until when; zero: for ever
}

// resync says whether a delta token, with its place in an enumeration or -1, is
// no longer known.
func (f OfficeFaults) resync(at int) bool { return f.ResyncDeltas && at != 0 }

// blobFails says whether a blob cannot be read now.
func (h *Handler) blobFails(b *blob) bool {
	f := h.Faults()
	return f.BrokenBlobs > 0 && (f.BrokenUntil.IsZero() || h.t.Clock.Now().Before(f.BrokenUntil)) && b.number%f.BrokenBlobs == 0
}

// refreshFeed makes the blobs that are due; feed.mu is held.
func (h *Handler) refreshFeed(s *org.State) {
	if h.recording == nil {
		h.feed.refresh(h.seed, s)
	}
}

// recordID is a record's Id.
func (h *Handler) recordID(e logged) string { return h.guid("record "+e.app, e.N) }

// contentOf is the content type that an event is told in; "": it is not told.
func contentOf(e logged) string {
	if e.app == org.Microsoft365 {
		return entraContent(e.Event)
	}
	return works[e.Verb].content
}

// record is an event as the Management Activity API tells it.
func (h *Handler) record(s *org.State, f *OfficeFacts, e logged) object {
	if e.app == org.Microsoft365 {
		return h.entraRecord(s, f, e)
	}
	return h.officeRecord(s, f, e)
}
