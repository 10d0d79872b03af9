package aws

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// How files are found:
//
// A sweep lists everything below every region's folder. It is done at first
// contact, at each start, and every sweep_every. A later sweep passes over files
// that last changed before the one before it began, less sweepMargin: those it
// has seen. So a file is found however old the day is it comes under, and done
// files need not be remembered for longer than sweeps can show them again.
//
// In between, each poll lists the folders of today and yesterday.
const (
	sweepMargin = 24 * time.Hour
	coveredLag  = 15 * time.Minute // CloudTrail delivers within about five minutes, without a promise
	rootsEvery  = time.Hour
	lookBehind  = 60 * time.Minute // files of one day land out of order by less
	maxDepth    = 8
	besideDepth = 2
	// keepDone outlasts what a sweep may list again: sweep_every, at most three
	// days, and the margin, twice over.
	keepDone = 8 * 24 * time.Hour
)

// listing is the listing cursor.
type listing struct {
	V     int    `json:"v"`
	Swept int64  `json:"swept,omitempty"` // start of the last complete sweep, milliseconds
	Sweep int64  `json:"sweep,omitempty"` // start of the sweep under way
	Root  string `json:"root,omitempty"`  // where it is
	After string `json:"after,omitempty"` // the last key it has shown
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

// known is the time before which every file has been listed.
func (l listing) known() time.Time {
	if l.Swept == 0 {
		return time.Time{}
	}
	return time.UnixMilli(l.Swept).Add(-sweepMargin)
}

var errStop = errors.New("stop")

// lanes lists log files as Once lanes.
func (s *session) lanes(ctx context.Context, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		l, err := parseListing(c)
		if err != nil {
			l = listing{V: listingVersion} // a full sweep loses nothing
		}
		if s.sweepDue(l) {
			err = s.sweep(ctx, l, yield)
		} else {
			err = s.recent(ctx, l, yield)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

func (s *session) sweepDue(l listing) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.swept || l.Sweep != 0 || s.env.Clock.Now().Sub(time.UnixMilli(l.Swept)) >= s.cfg.CloudTrail.SweepEvery
}

func (s *session) sweep(ctx context.Context, l listing, yield func(*sources.LanePage, error) bool) error {
	if l.Sweep == 0 {
		l.Sweep, l.Root, l.After = s.env.Clock.Now().UnixMilli(), "", ""
	}
	started, known := time.UnixMilli(l.Sweep), l.known()
	roots, err := s.findRoots(ctx)
	if err != nil {
		return err
	}
	for _, root := range roots {
		if root < l.Root {
			continue
		}
		if root > l.Root {
			l.Root, l.After = root, s.firstKey(root)
		}
		err := s.store.list(ctx, root, l.After, func(objects []object) error {
			l.After = objects[len(objects)-1].key
			page := &sources.LanePage{Next: l.cursor(), Requests: 1}
			for _, o := range objects {
				s.remember(o.key)
				if s.wanted(o) && !o.modified.Before(known) {
					page.Lanes = append(page.Lanes, lane(o))
				}
			}
			return give(yield, page)
		})
		if err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.swept = true
	s.mu.Unlock()
	l = listing{V: listingVersion, Swept: l.Sweep}
	return give(yield, &sources.LanePage{Next: l.cursor(), Complete: true, CoveredTo: covered(started)})
}

// recent lists the folders of the days in which files appear now.
func (s *session) recent(ctx context.Context, l listing, yield func(*sources.LanePage, error) bool) error {
	started, known := s.env.Clock.Now().UTC(), l.known()
	roots, err := s.findRoots(ctx)
	if err != nil {
		return err
	}
	days := []time.Time{started, started.AddDate(0, 0, -1)}
	if started.Hour() == 23 {
		days = append(days, started.AddDate(0, 0, 1))
	}
	for _, root := range roots {
		folders := make([]string, 0, 3)
		for _, day := range days {
			folders = append(folders, root+day.Format("2006/01/02/"))
		}
		if s.isFlat(root) {
			folders = []string{root}
		}
		for _, folder := range folders {
			err := s.store.list(ctx, folder, s.resume(folder), func(objects []object) error {
				page := &sources.LanePage{Next: l.cursor(), Requests: 1}
				for _, o := range objects {
					s.remember(o.key)
					if s.wanted(o) && !o.modified.Before(known) {
						page.Lanes = append(page.Lanes, lane(o))
					}
				}
				return give(yield, page)
			})
			if err != nil {
				return err
			}
		}
	}
	return give(yield, &sources.LanePage{Next: l.cursor(), Complete: true, CoveredTo: covered(started)})
}

func give(yield func(*sources.LanePage, error) bool, page *sources.LanePage) error {
	if !yield(page, nil) {
		return errStop
	}
	return nil
}

func lane(o object) sources.Lane { return sources.Lane{ID: o.key, Hint: o.tag, Once: true} }

func covered(listed time.Time) schemas.Time {
	return schemas.Time(listed.Add(-coveredLag).UnixMilli())
}

// findRoots returns the folders that hold years: one for each account, region
// and kind of log, and those of other layouts that directly hold files. They
// are looked for anew every hour.
func (s *session) findRoots(ctx context.Context) ([]string, error) {
	now := s.env.Clock.Now()
	s.mu.Lock()
	roots, rooted := s.roots, s.rooted
	s.mu.Unlock()
	if len(roots) > 0 && now.Sub(rooted) < rootsEvery {
		return roots, nil
	}
	found := map[string]bool{} // and whether days are folders in it
	if err := s.explore(ctx, "", 0, maxDepth, found); err != nil {
		return nil, err
	}
	roots = slices.Sorted(maps.Keys(found))
	s.mu.Lock()
	s.roots, s.rooted, s.dated = roots, now, found
	s.mu.Unlock()
	return roots, nil
}

var (
	numberFolder = regexp.MustCompile(`^\d{4}$|^\d{2}$`)
	logFolder    = regexp.MustCompile(`^CloudTrail(-Insight)?$`)
)

// explore walks down from the configured place to the folders that hold years.
// Beside a folder AWSLogs, only other trails' AWSLogs are looked for, within
// besideDepth levels: a bucket may hold much else.
func (s *session) explore(ctx context.Context, prefix string, depth, searchTo int, found map[string]bool) error {
	if depth > maxDepth {
		return nil
	}
	folders, files, err := s.store.folders(ctx, prefix)
	if err != nil {
		return err
	}
	name := path.Base(prefix)
	inLogs := strings.Contains("/"+prefix, "/CloudTrail/") || strings.Contains("/"+prefix, "/CloudTrail-Insight/") || logFolder.MatchString(path.Base(s.store.location()))
	searching, dated := searchTo < maxDepth, false
	var next []string
	logs := ""
	for _, f := range folders {
		switch child := path.Base(f); {
		case numberFolder.MatchString(child):
			files, dated = true, true // years, months or days: all below belongs to this root
		case strings.HasPrefix(child, "CloudTrail") && !logFolder.MatchString(child), strings.HasPrefix(child, "."):
			// Digests, and kinds of log that are no audit records.
		case accountID.MatchString(name) && !logFolder.MatchString(child):
			// Another service's logs beside CloudTrail's.
		case child == "AWSLogs":
			logs = f
		default:
			next = append(next, f)
		}
	}
	if files && logs == "" && !searching {
		found[prefix] = dated
		if inLogs {
			return nil
		}
	}
	if logs != "" {
		if err := s.explore(ctx, logs, depth+1, maxDepth, found); err != nil {
			return err
		}
		searchTo = min(searchTo, depth+besideDepth)
	}
	if depth >= searchTo {
		return nil
	}
	for _, f := range next {
		if err := s.explore(ctx, f, depth+1, searchTo, found); err != nil {
			return err
		}
	}
	return nil
}

// isFlat says whether a root holds files without folders for days.
func (s *session) isFlat(root string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.dated[root]
}

// wanted says whether an object may be a log file of the days to collect.
func (s *session) wanted(o object) bool {
	base := path.Base(o.key)
	if strings.HasPrefix(base, ".") || !strings.HasSuffix(base, ".json.gz") && !strings.HasSuffix(base, ".json") {
		return false
	}
	if strings.Contains(o.key, "CloudTrail-Digest") || len(o.key) > sources.MaxLaneID {
		return false
	}
	if s.since.IsZero() {
		return true
	}
	if m := dayFolder.FindStringSubmatch(o.key); m != nil {
		return m[1] >= s.since.Format("2006/01/02")
	}
	return !o.modified.Before(s.since)
}

var dayFolder = regexp.MustCompile(`(?:^|/)(\d{4}/\d{2}/\d{2})/`)

// firstKey is where a sweep of a root begins: before the first day to collect.
func (s *session) firstKey(root string) string {
	if s.since.IsZero() || path.Base(root) != path.Base(strings.TrimRight(root, "/0123456789")) {
		return ""
	}
	return root + s.since.AddDate(0, 0, -1).Format("2006/01/02/~")
}

// remember keeps the newest key of each day, for resume.
func (s *session) remember(key string) {
	folder := path.Dir(key) + "/"
	if !dayFolder.MatchString(folder) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if key > s.newest[folder] {
		s.newest[folder] = key
		if len(s.newest) > 4*max(64, len(s.roots)) {
			s.forget()
		}
	}
}

// forget drops days that recent does not list any more.
func (s *session) forget() {
	oldest := s.env.Clock.Now().UTC().AddDate(0, 0, -2).Format("2006/01/02")
	for f := range s.newest {
		if m := dayFolder.FindStringSubmatch(f); m != nil && m[1] < oldest {
			delete(s.newest, f)
		}
	}
}

var keyTime = regexp.MustCompile(`_(\d{8}T\d{4})Z_[^/]*$`)

// resume is the key after which a day's folder need be listed: that of a file
// lookBehind older than the newest seen.
func (s *session) resume(folder string) string {
	s.mu.Lock()
	key := s.newest[folder]
	s.mu.Unlock()
	m := keyTime.FindStringSubmatchIndex(key)
	if m == nil {
		return ""
	}
	t, err := time.Parse("20060102T1504", key[m[2]:m[3]])
	if err != nil {
		return ""
	}
	return key[:m[2]] + t.Add(-lookBehind).Format("20060102T1504")
}
