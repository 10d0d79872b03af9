package aws

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"weir/internal/fault"
	"weir/sources"
)

// pastListing is the cursor of a listing of the past.
type pastListing struct {
	V      int    `json:"v"`
	Place  string `json:"place"`            // hash of where the files are
	Folder string `json:"folder,omitempty"` // where it is
	After  string `json:"after,omitempty"`  // the last key it has shown there
}

// past implements sources.Stream.Past: the files that hold the events of a span,
// by their names. A file lies under the day on which it was written, and its
// name tells when, which is after what it tells of, by lookBehind at most.
// `since` bounds the live stream alone.
func (s *session) past(ctx context.Context, from, to time.Time, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		if err := s.listPast(ctx, from.UTC(), to.UTC(), c, yield); err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

func (s *session) listPast(ctx context.Context, from, to time.Time, c sources.Cursor, yield func(*sources.LanePage, error) bool) error {
	at := pastListing{V: listingVersion, Place: s.place}
	var last pastListing
	if c != "" && json.Unmarshal([]byte(c), &last) == nil && last.V == listingVersion && last.Place == s.place {
		at = last
	}
	roots, err := s.findRoots(ctx)
	if err != nil {
		return err
	}
	if len(roots) == 0 {
		return fault.New(fault.Transient, "cloudtrail.url: no log files in %s; is it mounted, and the right place?", s.store.location())
	}
	folders := pastFolders(roots, from, to)
	if i := slices.IndexFunc(folders, func(f dayFolder) bool { return f.prefix == at.Folder }); i >= 0 {
		folders = folders[i:]
		folders[0].after = at.After
	}
	give := func(lanes []sources.Lane, complete bool) error {
		b, err := json.Marshal(at)
		if err != nil {
			return err
		}
		if !yield(&sources.LanePage{Lanes: lanes, Next: sources.Cursor(b), Complete: complete, Requests: s.store.requests()}, nil) {
			return errStop
		}
		return nil
	}
	err = s.listAll(ctx, folders, func(f dayFolder, r *listed) error {
		for objects := range r.pages {
			var lanes []sources.Lane
			for _, o := range objects {
				if s.holdsPast(o, from, to) {
					lanes = append(lanes, sources.Lane{ID: sources.PastLane + laneID(o.key), Hint: o.tag, Once: true})
				}
			}
			at.Folder, at.After = f.prefix, objects[len(objects)-1].key
			if len(lanes) > 0 {
				if err := give(lanes, false); err != nil {
					return err
				}
			}
		}
		return r.err
	})
	if err != nil {
		return err
	}
	return give(nil, true)
}

// pastFolders are the folders in which events of a span may be, the newest day
// first.
func pastFolders(roots []root, from, to time.Time) (folders []dayFolder) {
	first := from.Truncate(24 * time.Hour)
	for day := to.Add(lookBehind).Truncate(24 * time.Hour); !day.Before(first); day = day.AddDate(0, 0, -1) {
		for _, r := range roots {
			if r.dated {
				folders = append(folders, dayFolder{prefix: r.prefix + day.Format(dayLayout) + "/"})
			}
		}
	}
	for _, r := range roots {
		if !r.dated {
			folders = append(folders, dayFolder{prefix: r.prefix})
		}
	}
	return folders
}

// holdsPast says whether an object may be a log file with events of a span.
func (s *session) holdsPast(o object, from, to time.Time) bool {
	if !isLogFile(o.key) || len(sources.PastLane)+1+len(o.key) > sources.MaxLaneID || s.foreign(o.key) {
		return false
	}
	if m := keyTime.FindStringSubmatch(path.Base(o.key)); m != nil {
		if written, err := time.Parse("20060102T1504", m[1]); err == nil {
			return !written.Before(from.Add(-lookBehind)) && written.Before(to.Add(lookBehind))
		}
	}
	// It may have been copied long after, but not written before.
	return !o.modified.Before(from)
}

func isLogFile(key string) bool {
	return strings.HasSuffix(key, ".json.gz") || strings.HasSuffix(key, ".json")
}

// laneID is the id of a file's lane: its key, but for one that would look like a
// lane of the past.
func laneID(key string) string {
	if strings.HasPrefix(key, sources.PastLane) {
		return "/" + key
	}
	return key
}

// keyOf is the key of a lane's file, of the past or not.
func keyOf(l sources.Lane) string {
	id := strings.TrimPrefix(l.ID, sources.PastLane)
	return strings.TrimPrefix(id, "/")
}
