package aws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"regexp"
	"time"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// How files are found:
//
// A sweep lists everything below every root. It is done at first contact, at
// each start, and every sweep_every. A later sweep passes over files that last
// changed before the one before it began, less sweepMargin: those it has seen.
// So a file is found however old the day is it comes under, and done files need
// not be remembered for longer than sweeps can show them again.
//
// In between, and every minute while a sweep goes on, the folders of today and
// yesterday are listed.
const (
	sweepMargin = 24 * time.Hour
	coveredLag  = 15 * time.Minute // CloudTrail delivers within about five minutes, without a promise
	pollEvery   = time.Minute
	saveEvery   = 16 // pages of a sweep without anything new, until its place is kept
	// lookBehind is by how much the files of one day land out of the order of
	// their names, and by how much clocks may differ.
	lookBehind = 60 * time.Minute
	// keepDone outlasts what a sweep may list again: sweep_every, at most three
	// days, and the margin, twice over. Between its rounds nothing is forgotten,
	// so the length of a sweep, or of a time out of service, does not count.
	keepDone = 2 * (maxSweepEvery + sweepMargin)
)

// listing is the listing cursor.
type listing struct {
	V     int    `json:"v"`
	Place string `json:"place,omitempty"` // hash of where the files are
	From  string `json:"from,omitempty"`  // first day that sweeps have covered, "" for all
	Swept int64  `json:"swept,omitempty"` // start of the last complete sweep, milliseconds
	Sweep int64  `json:"sweep,omitempty"` // start of the sweep under way
	Begin string `json:"begin,omitempty"` // the first day it covers
	Root  string `json:"root,omitempty"`  // where it is
	After string `json:"after,omitempty"` // the last key it has shown
	Roots int    `json:"roots,omitempty"` // that were there last time
}

const listingVersion = 1

func parseListing(c sources.Cursor) (l listing, err error) {
	if c == "" {
		return listing{V: listingVersion}, nil
	}
	if err := json.Unmarshal([]byte(c), &l); err != nil || l.V != listingVersion {
		return listing{}, fault.New(fault.Expired, "listing cursor %.80q is not of version %d", c, listingVersion)
	}
	return l, nil
}

func (l listing) cursor() sources.Cursor {
	b, err := json.Marshal(l)
	if err != nil {
		panic(err) // a struct of strings and numbers
	}
	return sources.Cursor(b)
}

// shown says whether earlier sweeps have shown an object, as it is now.
func (l listing) shown(o object) bool {
	if l.Swept == 0 || !o.modified.Before(time.UnixMilli(l.Swept).Add(-sweepMargin)) {
		return false
	}
	return l.From == "" || dayOf(o) >= l.From
}

var errStop = errors.New("stop")

// lanes lists log files as Once lanes.
func (s *session) lanes(ctx context.Context, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		if err := s.listLanes(ctx, s.takeUp(c), yield); err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

func (s *session) listLanes(ctx context.Context, l listing, yield func(*sources.LanePage, error) bool) error {
	started := s.env.Clock.Now()
	roots, err := s.findRoots(ctx)
	if err != nil {
		return err
	}
	if len(roots) == 0 && l.Roots > 0 {
		// No finding, but a place that is not mounted, say.
		return fault.New(fault.Transient, "cloudtrail.url: no log files in %s any more, where %d folders held some; is it mounted, and still the right place?", s.store.location(), l.Roots)
	}
	l.Roots = len(roots)
	if s.sweepDue(l) {
		return s.sweep(ctx, l, roots, yield)
	}
	if err := s.recent(ctx, l, yield); err != nil {
		return err
	}
	return s.give(yield, l, nil, started)
}

// takeUp returns where the listing goes on. Where the cursor is of another
// place, of a time to come, or unknown, everything is listed anew, which loses
// nothing.
func (s *session) takeUp(c sources.Cursor) listing {
	l, err := parseListing(c)
	ahead := time.UnixMilli(max(l.Swept, l.Sweep)).Sub(s.env.Clock.Now()) // this clock has been set back
	if err != nil || l.Place != "" && l.Place != s.place || ahead > lookBehind {
		l = listing{V: listingVersion}
	}
	l.Place = s.place
	if l.Sweep != 0 && l.Begin > s.firstDay() {
		l.Sweep, l.Begin, l.Root, l.After = 0, "", "", "" // it left out what is now asked for
	}
	return l
}

// placeHash tells one place from another.
func placeHash(l location) string {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%q %q %q %q", l.dir, l.endpoint, l.bucket, l.prefix)
	return fmt.Sprintf("%016x", h.Sum64())
}

func (s *session) sweepDue(l listing) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.swept || l.Sweep != 0 || l.From > s.firstDay() ||
		s.env.Clock.Now().Sub(time.UnixMilli(l.Swept)) >= s.cfg.CloudTrail.SweepEvery
}

func (s *session) sweep(ctx context.Context, l listing, roots []root, yield func(*sources.LanePage, error) bool) error {
	clock := s.env.Clock
	if l.Sweep == 0 {
		l.Sweep, l.Begin, l.Root, l.After = clock.Now().UnixMilli(), s.firstDay(), "", ""
	}
	started := time.UnixMilli(l.Sweep)
	// What is new now must not wait for the end of a long sweep.
	var polled time.Time
	pause := pollEvery
	poll := func() error {
		began := clock.Now()
		if began.Sub(polled) < pause {
			return nil
		}
		err := s.recent(ctx, l, yield)
		polled = clock.Now()
		pause = max(pollEvery, polled.Sub(began))
		return err
	}
	if l.Swept == 0 {
		polled = clock.Now() // at first contact, the oldest first
	}
	unsaved := 0 // pages whose end no cursor tells yet
	for _, r := range roots {
		if r.prefix < l.Root {
			continue
		}
		if r.prefix > l.Root || l.After == "" {
			l.Root, l.After = r.prefix, s.firstKey(r)
		}
		err := s.store.list(ctx, r.prefix, l.After, func(objects []object) error {
			if err := poll(); err != nil {
				return err
			}
			l.After = objects[len(objects)-1].key
			chosen := s.choose(l, objects)
			if unsaved++; len(chosen) == 0 && unsaved < saveEvery {
				return nil
			}
			unsaved = 0
			return s.give(yield, l, chosen, time.Time{})
		})
		if err != nil {
			return err
		}
	}
	l = listing{V: listingVersion, Place: l.Place, From: s.coveredFrom(l), Swept: l.Sweep, Roots: l.Roots}
	// Whoever takes the last page need not ask for more: it is told before. Were
	// the page lost, its cursor would be too, and the sweep taken up again.
	s.mu.Lock()
	s.swept = true
	s.mu.Unlock()
	return s.give(yield, l, nil, started)
}

// coveredFrom is the first day that sweeps have covered once this one is
// complete.
func (s *session) coveredFrom(l listing) string {
	if l.Swept == 0 {
		return l.Begin
	}
	return min(l.From, l.Begin)
}

// choose returns the objects that may be log files of the days to collect, and
// that no earlier sweep has shown.
func (s *session) choose(l listing, objects []object) []object {
	return without(objects, func(o object) bool { return !s.wanted(o) || l.shown(o) })
}

func without(objects []object, drop func(object) bool) []object {
	var kept []object
	for _, o := range objects {
		if !drop(o) {
			kept = append(kept, o)
		}
	}
	return kept
}

// give yields a page of the listing; complete is, for its last page, when the
// listing began.
func (s *session) give(yield func(*sources.LanePage, error) bool, l listing, objects []object, complete time.Time) error {
	page := &sources.LanePage{Next: l.cursor(), Requests: s.store.requests()}
	for _, o := range objects {
		page.Lanes = append(page.Lanes, sources.Lane{ID: laneID(o.key), Hint: o.tag, Once: true})
	}
	if !complete.IsZero() {
		page.Complete = true
		page.CoveredTo = schemas.Time(complete.Add(-coveredLag).UnixMilli())
		if first, err := time.Parse(dayLayout, l.From); err == nil {
			page.Since = schemas.Time(first.UnixMilli())
		}
	}
	if !yield(page, nil) {
		return errStop
	}
	return nil
}

// wanted says whether an object may be a log file of the days to collect.
func (s *session) wanted(o object) bool {
	if !isLogFile(o.key) || len(o.key) >= sources.MaxLaneID || s.foreign(o.key) {
		return false
	}
	return dayOf(o) >= s.firstDay()
}

const dayLayout = "2006/01/02"

// firstDay is the first day to collect; "" for all.
func (s *session) firstDay() string {
	if s.since.IsZero() {
		return ""
	}
	return s.since.Format(dayLayout)
}

var dayInKey = regexp.MustCompile(`(?:^|/)(\d{4}/\d{2}/\d{2})/`)

// dayOf is the day under which an object lies; without such a folder, the day
// of its last change.
func dayOf(o object) string {
	if m := dayInKey.FindStringSubmatch(o.key); m != nil {
		return m[1]
	}
	return o.modified.UTC().Format(dayLayout)
}

// spanOf says what a file may hold, from the time in its name: events come to
// their file within coveredLag, as far as anybody tells, here taken four times.
func (s *session) spanOf(l sources.Lane) (from, to schemas.Time) {
	m := timeInKey.FindStringSubmatch(l.ID)
	if m == nil {
		return 0, 0
	}
	named, err := time.Parse("20060102T1504Z", m[1])
	if err != nil {
		return 0, 0
	}
	return schemas.Time(named.Add(-4 * coveredLag).UnixMilli()), schemas.Time(named.Add(coveredLag).UnixMilli())
}

var timeInKey = regexp.MustCompile(`_(\d{8}T\d{4}Z)_`)

// firstKey is where a sweep of a root begins: before the first day to collect.
func (s *session) firstKey(r root) string {
	if s.since.IsZero() || !r.dated {
		return ""
	}
	return r.prefix + s.firstDay()
}
