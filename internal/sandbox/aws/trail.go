package aws

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/sandbox/org"
)

// deliverEvery is how often the trail delivers: what it has seen by then.
const deliverEvery = 5 * time.Minute

// delivered is when a file with an event is there.
func delivered(e *org.Event) time.Time { return e.Seen.Truncate(deliverEvery).Add(deliverEvery) }

// trail is the bucket with the log files. They are made from the events when the
// bucket is next looked at, and never change.
type trail struct {
	mu   sync.Mutex
	next int // event
	b    *org.Bucket
}

// bucket returns the bucket as it is now: it is replaced, not changed.
func (t *trail) bucket(h *Handler, s *org.State) *org.Bucket {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.b == nil {
		t.b = &org.Bucket{Name: s.Cloud.Trail, Region: org.CloudRegion, Created: s.Born, NoACLs: true, Block: &org.PublicBlock{BlockACLs: true, IgnoreACLs: true, BlockPolicy: true, RestrictBuckets: true}}
	}
	events := s.Events[org.AWS]
	var files []*org.Object
	for t.next < len(events) && !delivered(events[t.next]).After(s.Now) {
		at := delivered(events[t.next])
		byRegion := map[string][]*org.Event{}
		for ; t.next < len(events) && delivered(events[t.next]).Equal(at); t.next++ {
			e := events[t.next]
			byRegion[e.Call.Region] = append(byRegion[e.Call.Region], e)
		}
		for region, list := range byRegion {
			files = append(files, h.file(s, region, at, list))
		}
	}
	if len(files) > 0 {
		b := *t.b
		b.Objects = slices.Concat(b.Objects, files)
		slices.SortFunc(b.Objects, func(a, b *org.Object) int { return strings.Compare(a.Key, b.Key) })
		t.b = &b
	}
	return t.b
}

// file is a log file: with the events that one delivery has from one region.
func (h *Handler) file(s *org.State, region string, at time.Time, events []*org.Event) *org.Object {
	key := fmt.Sprintf("AWSLogs/%s/%s/CloudTrail/%s/%s/%s_CloudTrail_%s_%s_%s.json.gz", h.organization, h.account, region, at.Format("2006/01/02"),
		h.account, region, at.Format("20060102T1504Z"), hexOf(h.seed, "file "+region, events[0].N, 16))
	text := []byte(`{"Records":[`)
	for i, e := range events {
		if i > 0 {
			text = append(text, ',')
		}
		text = h.appendRecord(text, s, e)
	}
	text = append(text, "]}"...)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(text) // a Buffer never fails
	_ = z.Close()
	return &org.Object{Key: key, Versions: []*org.Version{{N: -1, Body: b.Bytes(), Type: "application/json", Modified: at, Meta: nil}}}
}
