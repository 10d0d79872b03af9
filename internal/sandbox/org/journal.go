package org

import (
	"math/rand/v2"
	"slices"
	"time"
)

// journal is what keeps the vendors' logs, and names that are taken.
type journal struct {
	log     Log
	rand    *rand.Rand
	cloud   *rand.Rand // of AWS: it changes nothing in the other logs
	entra   *rand.Rand // of Microsoft365, likewise
	office  *rand.Rand // of OfficeLog, likewise
	google  *rand.Rand // of GoogleWorkspace, likewise
	now     int64      // Unix milliseconds
	count   map[string]int
	pending queue[entry] // not yet seen
	later   queue[func(at time.Time)]
	events  []Event // room for the next events: one by one they would cost the collector dearly
	refs    []Ref

	emails, handles, repos map[string]bool
	invitations, keys      int
}

// entry is an event of an app.
type entry struct {
	app string
	*Event
}

func newJournal(r, cloud *rand.Rand, l Log) *journal {
	if l.LateMax <= 0 {
		l.LateMax = time.Hour
	}
	return &journal{log: l, rand: r, cloud: cloud, count: map[string]int{}, emails: map[string]bool{}, handles: map[string]bool{}, repos: map[string]bool{}}
}

// Act is who does something, when, and from where.
type Act struct {
	At      time.Time
	Actor   Ref
	Client  *Client
	Session string
	MFA     bool
	Via     Ref
}

// event starts an event that the act makes.
func (a *Act) event(v Verb) Event {
	return Event{At: a.At, Verb: v, Actor: a.Actor, Client: a.Client, Session: a.Session, MFA: a.MFA, Via: a.Via}
}

// do records what the act did to targets.
func (s *State) do(app string, a *Act, v Verb, targets ...Ref) {
	e := a.event(v)
	s.record(app, &e, targets...)
}

// record lets the app's log show an event when its time comes.
func (s *State) record(app string, e *Event, targets ...Ref) {
	j := s.journal
	if len(j.events) == 0 {
		j.events = make([]Event, 512)
	}
	ev := &j.events[0]
	j.events = j.events[1:]
	*ev = *e
	if len(targets) > 0 {
		if len(j.refs) < len(targets) {
			j.refs = make([]Ref, 1024)
		}
		ev.Targets = j.refs[:len(targets):len(targets)]
		j.refs = j.refs[len(targets):]
		copy(ev.Targets, targets)
	}
	ev.N = j.count[app]
	j.count[app]++
	ev.Seen = ev.At
	ev.Outside = app == GitHub && ev.Actor.Kind == AccountRef && s.Accounts[GitHub][ev.Actor.N].Outside
	r := j.rand
	switch app {
	case AWS:
		r = j.cloud
	case Microsoft365:
		r = j.entra
	case OfficeLog:
		r = j.office
	case GoogleWorkspace:
		r = j.google
	}
	if l := &j.log; l.Late > 0 || l.OutOfOrder > 0 || l.Duplicates > 0 {
		switch d := r.Float64(); {
		case d < l.Late:
			d := r.Float64()
			if !l.LateEvenly {
				d *= d
			}
			ev.Seen = ev.At.Add(time.Duration(d * float64(l.LateMax))).Truncate(time.Millisecond)
		case d < l.Late+l.OutOfOrder:
			ev.Seen = ev.At.Add(time.Duration(r.IntN(20000)) * time.Millisecond)
		}
		if r.Float64() < l.Duplicates {
			again := *ev
			again.Again = true
			again.Seen = ev.Seen.Add(time.Duration(r.IntN(600_000)) * time.Millisecond)
			j.pending.push(again.Seen.UnixMilli(), entry{app, &again})
		}
	}
	if at := ev.Seen.UnixMilli(); at > j.now || j.pending.due(at) {
		j.pending.push(at, entry{app, ev})
		return
	}
	s.show(app, ev)
}

// Later has something happen so much later than now: also while life stands
// still.
func (s *State) Later(d time.Duration, do func(at time.Time)) {
	s.journal.later.push(s.Now.Add(d).UnixMilli(), do)
}

// flush has happen what is due until now, and shows what has become visible.
func (s *State) flush(now int64) {
	j := s.journal
	for j.later.due(now) {
		s.Now = time.UnixMilli(j.later.heap[0].at).UTC()
		j.later.pop()(s.Now)
	}
	for j.pending.due(now) {
		e := j.pending.pop()
		s.show(e.app, e.Event)
	}
	j.now = now
}

func (s *State) show(app string, e *Event) {
	s.Events[app] = append(s.Events[app], e)
	if e.Again {
		return
	}
	line := s.Timeline[app]
	i := len(line)
	for i > 0 && before(e, line[i-1]) {
		i--
	}
	s.Timeline[app] = slices.Insert(line, i, e)
}

func before(a, b *Event) bool {
	if c := a.At.Compare(b.At); c != 0 {
		return c < 0
	}
	return a.N < b.N
}

// SeenSince returns the sequence number of the first event that became visible
// at or after a time; len(s.Events[app]) if there is none.
func (s *State) SeenSince(app string, t time.Time) int {
	i, _ := slices.BinarySearchFunc(s.Events[app], t, func(e *Event, t time.Time) int {
		if e.Seen.Before(t) {
			return -1
		}
		return 1
	})
	return i
}

// HappenedSince returns the place in s.Timeline[app] of the first event at or
// after a time.
func (s *State) HappenedSince(app string, t time.Time) int {
	i, _ := slices.BinarySearchFunc(s.Timeline[app], t, func(e *Event, t time.Time) int {
		if e.At.Before(t) {
			return -1
		}
		return 1
	})
	return i
}

// queue holds things in order of time; those of one time in the order in which
// they came.
type queue[T any] struct {
	heap []queued[T]
	seq  uint64
}

type queued[T any] struct {
	at    int64
	seq   uint64
	value T
}

func (q *queue[T]) due(now int64) bool { return len(q.heap) > 0 && q.heap[0].at <= now }

func (q *queue[T]) less(i, k int) bool {
	a, b := &q.heap[i], &q.heap[k]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (q *queue[T]) push(at int64, v T) {
	q.seq++
	q.heap = append(q.heap, queued[T]{at, q.seq, v})
	for i := len(q.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !q.less(i, up) {
			return
		}
		q.heap[i], q.heap[up] = q.heap[up], q.heap[i]
		i = up
	}
}

func (q *queue[T]) pop() T {
	top := q.heap[0].value
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap[last] = queued[T]{}
	q.heap = q.heap[:last]
	for i := 0; ; {
		k := 2*i + 1
		if k >= last {
			return top
		}
		if k+1 < last && q.less(k+1, k) {
			k++
		}
		if !q.less(k, i) {
			return top
		}
		q.heap[i], q.heap[k] = q.heap[k], q.heap[i]
		i = k
	}
}
