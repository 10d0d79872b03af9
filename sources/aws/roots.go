package aws

import (
	"context"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	rootsEvery  = time.Hour
	maxDepth    = 8
	besideDepth = 2
	// parallel bounds the requests that one listing has under way: 400 accounts
	// in 17 regions are 6,800 folders.
	parallel = 16
)

// root is a folder that holds log files.
type root struct {
	prefix string
	dated  bool // its files are in folders by year, month and day
}

// place is a folder to look into.
type place struct {
	prefix          string
	depth, searchTo int
}

// findRoots returns the folders that hold years: one for each account, region
// and kind of log, and those of other layouts that directly hold files, in the
// order of their names, none below another. They are looked for anew every hour.
func (s *session) findRoots(ctx context.Context) ([]root, error) {
	now := s.env.Clock.Now()
	s.mu.Lock()
	roots, rooted := s.roots, s.rooted
	s.mu.Unlock()
	if len(roots) > 0 && now.Sub(rooted) < rootsEvery {
		return roots, nil
	}
	roots = nil
	for level := []place{{searchTo: maxDepth}}; len(level) > 0; {
		next := make([][]place, len(level))
		found := make([]*root, len(level))
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(parallel)
		for i, p := range level {
			g.Go(func() (err error) {
				found[i], next[i], err = s.explore(gctx, p)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		for _, r := range found {
			if r != nil {
				roots = append(roots, *r)
			}
		}
		level = slices.Concat(next...)
	}
	slices.SortFunc(roots, func(a, b root) int { return strings.Compare(a.prefix, b.prefix) })
	roots = outermost(roots)
	s.mu.Lock()
	s.roots, s.rooted = roots, now
	s.mu.Unlock()
	return roots, nil
}

// outermost drops roots below another one without days, whose listing shows
// their files too. The roots are sorted.
func outermost(roots []root) []root {
	kept := roots[:0]
	for _, r := range roots {
		if slices.ContainsFunc(kept, func(k root) bool { return !k.dated && strings.HasPrefix(r.prefix, k.prefix) }) {
			continue
		}
		kept = append(kept, r)
	}
	return kept
}

var (
	yearFolder   = regexp.MustCompile(`^\d{4}$`)
	numberFolder = regexp.MustCompile(`^\d{4}$|^\d{2}$`)
	logFolder    = regexp.MustCompile(`^CloudTrail(-Insight)?$`)
)

// explore looks into one folder on the way down from the configured place: is
// it a root, and which of its folders to look into next. Beside a folder
// AWSLogs, only other trails' AWSLogs are looked for, within besideDepth
// levels: a bucket may hold much else.
func (s *session) explore(ctx context.Context, p place) (found *root, next []place, err error) {
	folders, files, err := s.store.folders(ctx, p.prefix)
	if err != nil {
		return nil, nil, err
	}
	var logs, others []string
	dated := false
	for _, f := range folders {
		switch child := path.Base(f); {
		case numberFolder.MatchString(child):
			// Years, or months or days where the place is below a year: all
			// there is belongs to this root.
			files, dated = true, dated || yearFolder.MatchString(child)
		case s.foreign(f):
		case child == "AWSLogs":
			logs = append(logs, f)
		default:
			others = append(others, f)
		}
	}
	if files && len(logs) == 0 && p.searchTo == maxDepth {
		found = &root{p.prefix, dated}
		if s.inLogs(p.prefix) {
			return found, nil, nil
		}
	}
	searchTo := p.searchTo
	if len(logs) > 0 {
		searchTo = min(searchTo, p.depth+besideDepth)
	}
	if p.depth >= maxDepth {
		return found, nil, nil
	}
	for _, f := range logs {
		next = append(next, place{f, p.depth + 1, maxDepth})
	}
	if p.depth < searchTo {
		for _, f := range others {
			next = append(next, place{f, p.depth + 1, searchTo})
		}
	}
	return found, next, nil
}

// inLogs says whether a folder is CloudTrail's, or below it.
func (s *session) inLogs(prefix string) bool {
	for part := range strings.SplitSeq(s.store.location()+"/"+prefix, "/") {
		if logFolder.MatchString(part) {
			return true
		}
	}
	return false
}

// foreign says whether a path below the configured place leads away from log
// files: to what is hidden, to digests and kinds of log that are no audit
// records, to another service's logs beside CloudTrail's.
func (s *session) foreign(key string) bool {
	above := s.base
	for {
		part, rest, ok := strings.Cut(key, "/")
		switch {
		case strings.HasPrefix(part, "."):
			return true
		case !ok:
			return false // the file itself
		case strings.HasPrefix(part, "CloudTrail-") && !logFolder.MatchString(part):
			return true
		case accountID.MatchString(above) && !logFolder.MatchString(part) && !numberFolder.MatchString(part):
			return true
		}
		above, key = part, rest
	}
}
