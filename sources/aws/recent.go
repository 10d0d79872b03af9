package aws

import (
	"context"
	"regexp"
	"sync"
	"time"

	"weir/sources"
)

// dayFolder is a folder to list between sweeps.
type dayFolder struct {
	prefix string
	today  bool
	after  string // key
}

// recent lists the folders of the days in which files appear now, the newest
// day first.
func (s *session) recent(ctx context.Context, l listing, yield func(*sources.LanePage, error) bool) error {
	started := s.env.Clock.Now().UTC()
	roots, err := s.findRoots(ctx)
	if err != nil {
		return err
	}
	days := []time.Time{started, started.AddDate(0, 0, -1)}
	if started.Hour() == 23 {
		days = append([]time.Time{started.AddDate(0, 0, 1)}, days...) // this clock may be behind
	}
	var folders []dayFolder
	for i, day := range days {
		for _, r := range roots {
			switch {
			case r.dated:
				folders = append(folders, dayFolder{prefix: r.prefix + day.Format(dayLayout) + "/", today: day.Equal(started)})
			case i == 0:
				folders = append(folders, dayFolder{prefix: r.prefix})
			}
		}
	}
	s.forget(started)
	return s.listAll(ctx, folders, func(f dayFolder, r *listed) error {
		known := s.seen(f.prefix).known
		var newest time.Time
		for objects := range r.pages {
			fresh := without(s.choose(l, objects), func(o object) bool { return o.modified.Before(known) })
			if len(fresh) > 0 {
				if err := s.give(yield, l, fresh, time.Time{}); err != nil {
					return err
				}
			}
			s.remember(f.prefix, objects[len(objects)-1].key)
			for _, o := range objects {
				if o.modified.After(newest) && o.modified.Before(started) {
					newest = o.modified
				}
			}
		}
		if r.err == nil && r.after == "" {
			s.rememberWhole(f.prefix, newest.Add(-lookBehind))
		}
		return r.err
	})
}

// listed is the listing of one folder, under way.
type listed struct {
	after string
	pages chan []object
	err   error // once pages is closed
}

// listAll lists folders, several at a time, and hands them over in their order.
func (s *session) listAll(ctx context.Context, folders []dayFolder, take func(dayFolder, *listed) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	ahead := make(chan *listed, parallel)
	wg.Go(func() {
		defer close(ahead)
		for _, f := range folders {
			r := &listed{after: f.after, pages: make(chan []object, 1)}
			if f.today {
				r.after = resumeKey(s.seen(f.prefix).newest)
			}
			select {
			case ahead <- r:
			case <-ctx.Done():
				return
			}
			wg.Go(func() {
				defer close(r.pages)
				r.err = s.store.list(ctx, f.prefix, r.after, func(objects []object) error {
					select {
					case r.pages <- append([]object(nil), objects...):
						return nil
					case <-ctx.Done():
						return context.Cause(ctx)
					}
				})
			})
		}
	})
	i := 0
	for r := range ahead {
		if err := take(folders[i], r); err != nil {
			return err
		}
		i++
	}
	if i < len(folders) {
		return context.Cause(ctx)
	}
	return nil
}

// folderSeen is what this session has handed over of a day's folder.
type folderSeen struct {
	newest string // key
	// known is the time, by the store's clock, before which the last listing
	// from the folder's beginning has shown all.
	known time.Time
}

func (s *session) seen(folder string) folderSeen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.folders[folder]
}

func (s *session) remember(folder, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.folders[folder]
	f.newest = max(f.newest, key)
	s.folders[folder] = f
}

func (s *session) rememberWhole(folder string, known time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.folders[folder]
	f.known = known
	s.folders[folder] = f
}

// forget drops the folders of days that are not listed any more.
func (s *session) forget(now time.Time) {
	oldest := now.AddDate(0, 0, -1).Format(dayLayout)
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.folders {
		if m := dayInKey.FindStringSubmatch(f); m != nil && m[1] < oldest {
			delete(s.folders, f)
		}
	}
}

var keyTime = regexp.MustCompile(`_(\d{8}T\d{4})Z_[^/]*$`)

// resumeKey is the key after which a day's folder need be listed: that of a
// file lookBehind older than the newest seen.
func resumeKey(newest string) string {
	m := keyTime.FindStringSubmatchIndex(newest)
	if m == nil {
		return ""
	}
	t, err := time.Parse("20060102T1504", newest[m[2]:m[3]])
	if err != nil {
		return ""
	}
	return newest[:m[2]] + t.Add(-lookBehind).Format("20060102T1504")
}
