package aws

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources"
)

// memStore is a bucket in memory, whose objects have the times a test gives them.
type memStore struct {
	mu      sync.Mutex
	objects map[string]object
	page    int
	lists   []string // "prefix > after" of each listing
	fail    string   // a prefix that cannot be listed
	active  atomic.Int32
}

func (m *memStore) location() string { return "bucket" }

func (m *memStore) identity(context.Context) (sources.Identity, error) {
	return sources.Identity{}, nil
}
func (m *memStore) requests() int64 { return 1 }

func (m *memStore) put(key string, modified time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[key] = object{key, "tag", modified}
}

func (m *memStore) folders(_ context.Context, prefix string) (names []string, files bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.objects {
		rest, ok := strings.CutPrefix(key, prefix)
		if name, _, below := strings.Cut(rest, "/"); ok && below {
			names = append(names, prefix+name+"/")
		} else if ok {
			files = true
		}
	}
	slices.Sort(names)
	return slices.Compact(names), files, nil
}

func (m *memStore) list(_ context.Context, prefix, after string, page func([]object) error) error {
	m.active.Add(1)
	defer m.active.Add(-1)
	m.mu.Lock()
	m.lists = append(m.lists, prefix+" > "+after)
	var all []object
	for key, o := range m.objects {
		if strings.HasPrefix(key, prefix) && key > after {
			all = append(all, o)
		}
	}
	fail := m.fail
	m.mu.Unlock()
	if fail != "" && prefix == fail {
		return errors.New("the store fails")
	}
	slices.SortFunc(all, func(a, b object) int { return strings.Compare(a.key, b.key) })
	for c := range slices.Chunk(all, m.page) {
		if err := page(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *memStore) open(context.Context, string) (*reader, error) {
	return nil, errors.New("not to be read")
}

var listNow = time.Date(2026, 10, 15, 12, 0, 0, 0, time.UTC)

// openMem opens a session on a bucket in memory.
func openMem(t *testing.T, m *memStore, clock clockwork.Clock, since string) *session {
	t.Helper()
	if m.objects == nil {
		m.objects, m.page = map[string]object{}, 1000
	}
	s := openTest(t, (&url.URL{Scheme: "file", Path: t.TempDir()}).String(), clock)
	var err error
	s.since, err = parseSince(since, clock.Now())
	require.NoError(t, err)
	s.store, s.base, s.place = m, "bucket", "place"
	return s
}

// logKey is the key of a file named after the given time, under the given day.
func logKey(day, named time.Time, suffix string) string {
	return logs + day.Format(dayLayout) + "/111111111111_CloudTrail_us-east-1_" + named.Format("20060102T1504Z") + "_" + suffix + ".json.gz"
}

func bases(lanes []sources.Lane) (out []string) {
	for _, l := range lanes {
		b := path.Base(l.ID)
		out = append(out, strings.TrimSuffix(b[strings.LastIndexByte(b, '_')+1:], ".json.gz"))
	}
	return out
}

func TestPolls(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClockAt(listNow)
	m := &memStore{}
	s := openMem(t, m, clock, "")
	yesterday := listNow.AddDate(0, 0, -1)
	for i := range 20 {
		at := yesterday.Add(time.Duration(i) * time.Hour)
		m.put(logKey(at, at, fmt.Sprintf("old%d", i)), at)
	}
	lanes, c := listAll(t, s, "")
	require.Len(t, lanes, 20)

	// The first poll shows today and yesterday whole, later ones what is new.
	clock.Advance(time.Minute)
	lanes, c = listAll(t, s, c)
	require.Len(t, lanes, 20)
	clock.Advance(time.Minute)
	lanes, c = listAll(t, s, c)
	require.Equal(t, []string{"old18", "old19", "old10", "old11"}, bases(lanes), "of the last hour of each")

	// Out of order: today by less than an hour, yesterday by any time.
	newest := yesterday.Add(19 * time.Hour)
	m.put(logKey(listNow, newest.Add(-50*time.Minute), "unordered"), clock.Now())
	m.put(logKey(yesterday, yesterday, "late"), clock.Now())
	m.put(logKey(listNow, listNow, "new"), clock.Now())
	clock.Advance(time.Minute)
	lanes, c = listAll(t, s, c)
	require.Subset(t, bases(lanes), []string{"unordered", "late", "new"})

	// Nothing changed, nothing listed; and after midnight, today is the new day.
	clock.Advance(12 * time.Hour)
	m.put(logKey(clock.Now(), clock.Now(), "tomorrow"), clock.Now())
	lanes, c = listAll(t, s, c)
	require.Contains(t, bases(lanes), "tomorrow")
	require.NotContains(t, bases(lanes), "old0")
	m.put(logKey(listNow.AddDate(0, 0, -9), listNow, "verylate"), clock.Now())
	lanes, _ = listAll(t, s, c)
	require.NotContains(t, bases(lanes), "verylate")
	clock.Advance(12 * time.Hour)
	lanes, _ = listAll(t, s, c)
	require.Contains(t, bases(lanes), "verylate", "the sweep is due")
}

// The last hour of a day lists the next day too: our clock may be behind.
func TestPollTomorrow(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClockAt(listNow.Add(11*time.Hour + 30*time.Minute))
	m := &memStore{}
	s := openMem(t, m, clock, "")
	m.put(logKey(listNow, listNow, "a"), listNow)
	_, c := listAll(t, s, "")
	m.put(logKey(listNow.AddDate(0, 0, 1), listNow.AddDate(0, 0, 1), "b"), clock.Now())
	lanes, _ := listAll(t, s, c)
	require.Contains(t, bases(lanes), "b")
}

// What was listed but not taken is listed again.
func TestPageNotTaken(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClockAt(listNow)
	m := &memStore{}
	s := openMem(t, m, clock, "")
	m.put(logKey(listNow, listNow.Add(-6*time.Hour), "first"), listNow)
	_, c := listAll(t, s, "")
	for i := range 300 {
		at := listNow.Add(time.Duration(i-300) * time.Minute)
		m.put(logKey(listNow, at, fmt.Sprintf("f%d", i)), at)
	}
	m.page = 10
	for range 3 { // the state cannot be written for a while
		clock.Advance(time.Minute)
		pages := 0
		for _, err := range s.lanes(t.Context(), c) {
			require.NoError(t, err)
			if pages++; pages == 2 {
				break
			}
		}
		require.Zero(t, m.active.Load(), "a listing that was left goes on")
	}
	clock.Advance(time.Minute)
	lanes, _ := listAll(t, s, c)
	require.GreaterOrEqual(t, len(lanes), 290)
	require.Contains(t, bases(lanes), "f20")
}

// A long sweep keeps no new file waiting.
func TestPollsWithinSweep(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClockAt(listNow)
	m := &memStore{}
	s := openMem(t, m, clock, "")
	m.page = 10
	for i := range 400 {
		at := listNow.AddDate(-1, 0, 0)
		m.put(logKey(at, at, fmt.Sprintf("old%d", i)), at)
	}
	m.put(logKey(listNow, listNow, "fresh"), listNow)
	var order []string
	var complete *sources.LanePage
	for page, err := range s.lanes(t.Context(), "") {
		require.NoError(t, err)
		order = append(order, bases(page.Lanes)...)
		clock.Advance(20 * time.Second)
		if page.Complete {
			complete = page
		}
	}
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(order))), 401)
	require.Less(t, slices.Index(order, "fresh"), 60)
	require.Equal(t, listNow.Add(-coveredLag).UnixMilli(), int64(complete.CoveredTo))
	require.NotContains(t, string(complete.Next), "sweep\"")
}

// Folders of many accounts and regions, listed several at a time, come in order.
func TestManyRoots(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClockAt(listNow)
	m := &memStore{}
	s := openMem(t, m, clock, "")
	var want []string
	for account := range 40 {
		for _, region := range []string{"eu-west-1", "us-east-1", "us-gov-west-1"} {
			key := fmt.Sprintf("AWSLogs/o-exampleorg/%012d/CloudTrail/%s/%s/f.json.gz", account, region, listNow.Format(dayLayout))
			m.put(key, listNow)
			want = append(want, key)
		}
	}
	_, c := listAll(t, s, "")
	lanes, c := listAll(t, s, c)
	got := make([]string, 0, len(lanes))
	for _, l := range lanes {
		got = append(got, l.ID)
	}
	require.Equal(t, want, got)

	// One that fails ends the listing, which then is not complete.
	m.fail = "AWSLogs/o-exampleorg/000000000020/CloudTrail/eu-west-1/" + listNow.Format(dayLayout) + "/"
	var failed error
	for page, err := range s.lanes(t.Context(), c) {
		if err != nil {
			failed = err
			break
		}
		require.False(t, page.Complete)
	}
	require.ErrorContains(t, failed, "the store fails")
	require.Zero(t, m.active.Load())
}

// A new account is found within the hour.
func TestNewAccount(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClockAt(listNow)
	m := &memStore{}
	s := openMem(t, m, clock, "")
	m.put(logKey(listNow, listNow, "a"), listNow)
	_, c := listAll(t, s, "")
	m.put("AWSLogs/222222222222/CloudTrail/eu-west-1/"+listNow.Format(dayLayout)+"/x_b.json.gz", listNow)
	clock.Advance(time.Hour)
	lanes, _ := listAll(t, s, c)
	require.Contains(t, bases(lanes), "b")
}

// since bounds what a sweep lists, and may be widened later.
func TestSinceWidened(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClockAt(listNow)
	m := &memStore{}
	for _, day := range []int{-100, -50, -5} {
		at := listNow.AddDate(0, 0, day)
		m.objects, m.page = orMap(m.objects), 1000
		m.put(logKey(at, at, fmt.Sprintf("d%d", -day)), at)
	}
	s := openMem(t, m, clock, "10d")
	lanes, c := listAll(t, s, "")
	require.Equal(t, []string{"d5"}, bases(lanes))
	require.Contains(t, m.lists, logs+" > "+logs+"2026/10/05", "older days are not even listed")

	clock.Advance(48 * time.Hour)
	lanes, c = listAll(t, openMem(t, m, clock, "60d"), c)
	require.Equal(t, []string{"d50"}, bases(lanes), "what was left out, and only that")
	lanes, c = listAll(t, openMem(t, m, clock, "60d"), c)
	require.Empty(t, lanes)
	lanes, c = listAll(t, openMem(t, m, clock, ""), c)
	require.Equal(t, []string{"d100"}, bases(lanes))
	lanes, _ = listAll(t, openMem(t, m, clock, "10d"), c)
	require.Empty(t, lanes)
}

func orMap(m map[string]object) map[string]object {
	if m == nil {
		return map[string]object{}
	}
	return m
}

// Another place under the same instance is listed whole.
func TestPlaceChanged(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClockAt(listNow)
	old := listNow.AddDate(-1, 0, 0)
	m := &memStore{}
	s := openMem(t, m, clock, "")
	m.put(logKey(old, old, "a"), old)
	_, c := listAll(t, s, "")
	s = openMem(t, m, clock, "")
	lanes, _ := listAll(t, s, c)
	require.Empty(t, lanes)
	s = openMem(t, m, clock, "")
	s.place = "another"
	lanes, _ = listAll(t, s, c)
	require.Len(t, lanes, 1)
	lanes, _ = listAll(t, s, "not a cursor")
	require.Len(t, lanes, 1)
}

// A clock that was ahead, and then put right, hides nothing.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	m := &memStore{}
	s := openMem(t, m, clockwork.NewFakeClockAt(listNow.AddDate(4, 0, 0)), "")
	_, c := listAll(t, s, "")
	m.put(logKey(listNow, listNow, "a"), listNow)
	lanes, _ := listAll(t, openMem(t, m, clockwork.NewFakeClockAt(listNow), ""), c)
	require.Len(t, lanes, 1)
}

// A place that is empty all of a sudden is no complete listing.
func TestPlaceEmpty(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClockAt(listNow)
	m := &memStore{}
	s := openMem(t, m, clock, "")
	_, c := listAll(t, s, "") // nothing there yet is fine
	m.put(logKey(listNow, listNow, "a"), listNow)
	_, c = listAll(t, s, c)
	clear(m.objects)
	for page, err := range openMem(t, m, clock, "").lanes(t.Context(), c) {
		require.Nil(t, page)
		require.Equal(t, fault.Transient, fault.Of(err))
		require.ErrorContains(t, err, "is it mounted")
	}
}

// Below a region there are no folders of years: all is listed at each poll.
func TestPollsBelowRegion(t *testing.T) {
	t.Parallel()
	for _, below := range []string{"", "2026", "2026/10", "2026/10/15"} {
		dir := t.TempDir()
		put(t, dir, logs+"2026/10/15/a.json", nil)
		clock := clockwork.NewFakeClockAt(listNow)
		s := openTest(t, "file://"+filepath.Join(dir, filepath.FromSlash(logs), below), clock)
		_, c := listAll(t, s, "")
		put(t, dir, logs+"2026/10/15/x_b.json.gz", nil)
		clock.Advance(time.Minute)
		lanes, _ := listAll(t, s, c)
		require.Contains(t, bases(lanes), "b", below)
	}
}

func TestWhatIsPassedOver(t *testing.T) {
	t.Parallel()
	m := &memStore{}
	s := openMem(t, m, clockwork.NewFakeClockAt(listNow), "")
	day := listNow.Format(dayLayout)
	for _, key := range []string{
		"loose_a.json", "sub/loose_b.json.gz", "111111111111/CloudTrail/us-east-1/" + day + "/x_c.json.gz",
		"sub/.partial/d.json", "sub/e.json.gz.part", "sub/f.json~", "sub/g.tmp", ".h.json",
		"111111111111/CloudTrail-Aggregated/us-east-1/" + day + "/i.json.gz", "111111111111/CloudTrail-Digest/us-east-1/" + day + "/j.json.gz",
		"111111111111/vpcflowlogs/us-east-1/" + day + "/k.json.gz", "111111111111/CloudTrail/us-east-1/" + day + "/.rsync/l.json.gz",
		strings.Repeat("x", sources.MaxLaneID) + ".json",
	} {
		m.put(key, listNow)
	}
	lanes, c := listAll(t, s, "")
	require.ElementsMatch(t, []string{"a.json", "b", "c"}, bases(lanes), "each once")
	lanes, _ = listAll(t, s, c)
	require.Len(t, lanes, 3)
}

// A folder moved into the tree brings files that are older than the last sweep.
func TestMovedFolder(t *testing.T) {
	t.Parallel()
	dir, aside := t.TempDir(), t.TempDir()
	put(t, dir, logs+"2026/10/01/a.json", nil)
	put(t, aside, "222222222222/CloudTrail/us-east-1/2024/01/01/x_b.json.gz", nil)
	put(t, aside, "222222222222/CloudTrail/us-east-1/2024/01/02/x_c.json.gz", nil)
	known := listing{Swept: time.Now().Add(time.Second).Add(sweepMargin).UnixMilli()}
	time.Sleep(time.Until(time.UnixMilli(known.Swept).Add(-sweepMargin + 20*time.Millisecond)))
	require.NoError(t, os.Rename(filepath.Join(aside, "222222222222"), filepath.Join(dir, "AWSLogs/222222222222")))

	s := openTest(t, "file://"+dir, clockwork.NewRealClock())
	roots, err := s.findRoots(t.Context())
	require.NoError(t, err)
	require.Len(t, roots, 2)
	var fresh []string
	for _, r := range roots {
		require.NoError(t, s.store.list(t.Context(), r.prefix, "", func(objects []object) error {
			for _, o := range objects {
				if !known.shown(o) {
					fresh = append(fresh, path.Base(o.key))
				}
			}
			return nil
		}))
	}
	require.Equal(t, []string{"x_b.json.gz", "x_c.json.gz"}, fresh)

	// New permissions are no move.
	require.NoError(t, os.Chmod(filepath.Join(dir, filepath.FromSlash(logs)), 0o700))
	require.NoError(t, s.store.list(t.Context(), logs, "", func(objects []object) error {
		require.True(t, known.shown(objects[0]))
		return nil
	}))
}

// A directory that is replaced is seen as it is now; what has gone from it is
// parked, unless its folder has gone too.
func TestReplacedDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "trail")
	put(t, dir, logs+"2026/10/01/a.json", []byte(logFile(0, 1)))
	s := openTest(t, "file://"+dir, clockwork.NewRealClock())
	lanes, c := listAll(t, s, "")
	require.Len(t, lanes, 1)
	require.NoError(t, os.RemoveAll(dir))
	_, _, _, err := readAll(t, s, lanes[0], "")
	require.Equal(t, fault.Transient, fault.Of(err))
	for _, err := range s.lanes(t.Context(), c) {
		require.Equal(t, fault.Transient, fault.Of(err))
		require.ErrorContains(t, err, "no such file")
	}
	put(t, dir, "AWSLogs/README", nil)
	_, _, _, err = readAll(t, s, lanes[0], "")
	require.Equal(t, fault.Transient, fault.Of(err))
	require.ErrorContains(t, err, "is the place mounted")
	put(t, dir, logs+"2026/10/01/b.json", []byte(logFile(1, 1)))
	_, _, _, err = readAll(t, s, lanes[0], "")
	require.Equal(t, fault.BadData, fault.Of(err))
	_, err = open(t.Context(), s.env, &Config{CloudTrail: CloudTrail{URL: "file:///nowhere/at/all"}})
	require.ErrorContains(t, err, "cloudtrail.url")
}

func FuzzCursors(f *testing.F) {
	f.Add(`{"v":1,"swept":1,"sweep":2,"root":"AWSLogs/","after":"x"}`, "1:5")
	f.Add(`{"v":1,"place":"p","from":"2026/01/01","begin":"9"}`, "1:-5")
	f.Fuzz(func(t *testing.T, listing, file string) {
		m := &memStore{}
		s := openMem(t, m, clockwork.NewFakeClockAt(listNow), "30d")
		m.put(logKey(listNow, listNow, "a"), listNow)
		for page, err := range s.lanes(t.Context(), sources.Cursor(listing)) {
			if err == nil {
				require.LessOrEqual(t, len(page.Next), sources.MaxCursor)
			}
		}
		if n, err := parseCursor(sources.Cursor(file)); err == nil {
			require.GreaterOrEqual(t, n, int64(0))
		}
	})
}

func TestSpanOfFile(t *testing.T) {
	t.Parallel()
	s := &session{}
	from, to := s.spanOf(sources.Lane{ID: "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/31/111122223333_CloudTrail_eu-west-1_20260131T2355Z_abcdefghijklmnop.json.gz"})
	at := time.Date(2026, 1, 31, 23, 55, 0, 0, time.UTC)
	require.Equal(t, at.Add(-time.Hour).UnixMilli(), int64(from))
	require.Equal(t, at.Add(15*time.Minute).UnixMilli(), int64(to))
	for _, id := range []string{"", "a/b.json", "AWSLogs/1_CloudTrail_x_20261331T2355Z_a.json.gz"} {
		from, to = s.spanOf(sources.Lane{ID: id})
		require.Zero(t, from+to, id)
	}
}
