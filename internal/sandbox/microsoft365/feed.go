package microsoft365

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/sandbox/org"
)

// blobEvery is how often what has been logged becomes available.
const blobEvery = 5 * time.Minute

// logged is an event of one of the organization's two logs at Microsoft 365: of
// the directory, or of the office.
type logged struct {
	app string
	*org.Event
}

// feed is the Management Activity API's content: blobs, made from the events when
// somebody next looks, which never change.
type feed struct {
	mu      sync.Mutex
	began   time.Time      // of the tenant
	next    map[string]int // event of each log
	waiting map[time.Time]map[string][]logged
	blobs   map[string][]*blob // by content type, in the order of creation
	byID    map[string]*blob
	subs    map[string]*subscription
}

// blob is one piece of content.
type blob struct {
	kind    string
	id      string
	number  int // of its content type
	created time.Time
	events  []logged
	span    *span // of a recording; it has no events
}

// subscription is a content type's state: absent until it is first started.
type subscription struct {
	enabled bool
	by      string    // who disabled it; "" nobody
	started time.Time // last
	stopped []stop
}

// stop is when a subscription was not there: what became available then is lost.
type stop struct{ from, to time.Time }

// noise is a number below n that belongs to an event, drawn for a purpose: the
// world's own randomness must not depend on who looks.
func noise(seed uint64, purpose string, e logged, n int) int {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s/%s/%d", seed, purpose, e.app, e.N)
	return int(h.Sum64() % uint64(n))
}

// available is when the feed shows an event: minutes after the log does, for some
// more than an hour. A few come a second time, as old as days (5.6, 11.2). What
// was logged before the tenant began has all come when it does: of a life that
// stands still, the feed has nothing more to tell.
func (f *feed) available(seed uint64, e logged) (at, again time.Time) {
	lag := time.Duration(noise(seed, "lag", e, 600)) * time.Second
	if noise(seed, "slow", e, 20) == 0 {
		lag = time.Duration(noise(seed, "lag", e, 90)) * time.Minute
	}
	at = e.Seen.Add(lag).Truncate(blobEvery).Add(blobEvery)
	if noise(seed, "again", e, 40) == 0 {
		again = at.Add(time.Duration(1+noise(seed, "later", e, 120)) * time.Hour)
	}
	if e.Seen.Before(f.began) {
		at = earlier(at, f.ready())
		if !again.IsZero() {
			again = earlier(again, f.ready())
		}
	}
	return at, again
}

func newFeed(now time.Time) *feed {
	return &feed{
		began: now, next: map[string]int{}, waiting: map[time.Time]map[string][]logged{}, blobs: map[string][]*blob{}, byID: map[string]*blob{}, subs: map[string]*subscription{},
	}
}

// ready is when the last of what was logged before the tenant began became
// available.
func (f *feed) ready() time.Time { return f.began.Add(-time.Second) }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// oldest is before when there is nothing: what is about to expire when the tenant
// begins is left out, so that all there is can be collected.
func (f *feed) oldest() time.Time { return f.began.Add(-7*24*time.Hour + time.Hour) }

// play has the feed serve a recording, and nothing else: as many blobs as there
// are, spread over the five days before the tenant began.
func (f *feed) play(r *recording) {
	const reach = 5 * 24 * time.Hour
	for kind, spans := range r.blobs {
		for i := range spans {
			at := f.began.Add(-reach + reach*time.Duration(i)/time.Duration(len(spans))).Truncate(time.Second)
			f.add(&blob{kind: kind, created: at, span: &spans[i]}, at.Add(-time.Minute))
		}
	}
}

// add makes a blob available.
func (f *feed) add(b *blob, from time.Time) {
	n := len(f.blobs[b.kind])
	low := strings.ToLower(strings.ReplaceAll(b.kind, ".", "_"))
	stamp := func(t time.Time) string { return t.Format("20060102150405") + fmt.Sprintf("%09d", n) }
	b.number = n
	b.id = stamp(from) + "$" + stamp(b.created) + "$" + low + "$" + strings.ReplaceAll(b.kind, ".", "_") + "$na0030"
	f.blobs[b.kind] = append(f.blobs[b.kind], b)
	f.byID[b.id] = b
}

// refresh makes the blobs that are due.
func (f *feed) refresh(seed uint64, s *org.State) {
	oldest := f.oldest()
	for _, app := range []string{org.Microsoft365, org.OfficeLog} {
		events := s.Events[app]
		for ; f.next[app] < len(events); f.next[app]++ {
			e := logged{app, events[f.next[app]]}
			kind := contentOf(e)
			if kind == "" {
				continue
			}
			at, again := f.available(seed, e)
			for _, t := range []time.Time{at, again} {
				if t.IsZero() || t.Before(oldest) {
					continue
				}
				if f.waiting[t] == nil {
					f.waiting[t] = map[string][]logged{}
				}
				f.waiting[t][kind] = append(f.waiting[t][kind], e)
			}
		}
	}
	var due []time.Time
	for t := range f.waiting {
		if !t.After(s.Now) {
			due = append(due, t)
		}
	}
	slices.SortFunc(due, time.Time.Compare)
	for _, t := range due {
		for _, kind := range contentTypes {
			f.pack(seed, kind, t, f.waiting[t][kind])
		}
		delete(f.waiting, t)
	}
}

// pack groups what becomes available at one time into blobs, in no order.
func (f *feed) pack(seed uint64, kind string, at time.Time, events []logged) {
	slices.SortStableFunc(events, func(a, b logged) int { return noise(seed, "order", a, 1000) - noise(seed, "order", b, 1000) })
	i := 0
	for part := range slices.Chunk(events, recordsPerBlob) {
		created := at.Add(time.Duration(i) * time.Second) // they are not all there at once
		if at.Equal(f.ready()) {
			created = at
		}
		f.add(&blob{kind: kind, created: created, events: slices.Clone(part)}, at.Add(-blobEvery))
		i++
	}
}

// between lists a content type's blobs of a window, but for what was lost.
func (f *feed) between(facts *OfficeFacts, kind string, from, to, now time.Time) (out []*blob) {
	sub := f.subs[kind]
	for _, b := range f.blobs[kind] {
		if b.created.Before(from) || b.created.After(to) || b.created.After(now) || facts.HalfOpen && b.created.Equal(to) {
			continue
		}
		if !sub.lost(b.created) {
			out = append(out, b)
		}
	}
	return out
}

// lost says whether what became available at a time did so while the subscription
// was stopped.
func (s *subscription) lost(at time.Time) bool {
	return slices.ContainsFunc(s.stopped, func(s stop) bool { return at.After(s.from) && (s.to.IsZero() || at.Before(s.to)) })
}

// lost is the same of a content type.
func (f *feed) lost(kind string, at time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	sub := f.subs[kind]
	return sub != nil && sub.lost(at)
}
