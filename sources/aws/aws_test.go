package aws

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Records of every kind of identity and family, mapped.
func TestMapGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/records/*.json")
	require.NoError(t, err)
	require.Greater(t, len(files), 15)
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".json"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(f)
			require.NoError(t, err)
			var a schemas.Activity
			require.Empty(t, newMapper().mapRecord(&a, strings.TrimSpace(string(raw))))
			checkEnums(t, &a)
			a.Raw = ""
			got, err := json.MarshalIndent(a, "", " ")
			require.NoError(t, err)
			golden := strings.TrimSuffix(f, ".json") + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got)+"\n")
		})
	}
}

func TestMapRefuses(t *testing.T) {
	t.Parallel()
	for raw, reason := range map[string]string{`[]`: "no JSON object", `""`: "no JSON object", `{}`: "no eventID", `{"eventID":7}`: "", `{"eventID":null}`: "no eventID"} {
		var a schemas.Activity
		got := newMapper().mapRecord(&a, raw)
		if reason == "" {
			require.Empty(t, got)
			continue
		}
		require.Contains(t, got, reason)
	}
}

func TestCanonicalIP(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "192.0.2.1:443": "192.0.2.1", "[2001:db8::1]:443": "2001:db8::1", "[2001:db8::1]": "2001:db8::1", "2001:DB8::1": "2001:db8::1",
		"fe80::1%eth0": "fe80::1", "::ffff:192.0.2.1": "192.0.2.1", "rds.amazonaws.com": "", "AWS Internal": "", "": "", "ec2.amazonaws.com": "", "face.example.com": "",
	} {
		got, ok := schemas.CanonicalIP(in)
		require.Equal(t, want, got, in)
		require.Equal(t, want != "", ok, in)
	}
}

func gz(content string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(content))
	_ = z.Close()
	return b.Bytes()
}

func logFile(from, n int) string {
	var r []string
	for i := range n {
		r = append(r, fmt.Sprintf(`{"eventID":"e%d","eventTime":"2026-10-01T00:00:00Z","eventSource":"ec2.amazonaws.com","eventName":"RunInstances","pad":"%s"}`, from+i, strings.Repeat("x", 300)))
	}
	return `{"Records":[` + strings.Join(r, ",") + `]}`
}

func put(t testing.TB, dir, key string, content []byte) string {
	name := filepath.Join(dir, filepath.FromSlash(key))
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, content, 0o644))
	return name
}

// readAll returns a file's event ids, the cursors after each page, and how it ended.
func readAll(t testing.TB, s *session, l sources.Lane, c sources.Cursor) (ids []string, cursors []sources.Cursor, rejected int, err error) {
	t.Helper()
	for page, e := range s.read(t.Context(), l, c) {
		if e != nil {
			return ids, cursors, rejected, e
		}
		for _, a := range page.Rows.Activities {
			ids = append(ids, strings.Clone(a.EventID))
		}
		rejected += len(page.Rejected)
		cursors = append(cursors, page.Next)
		if !page.More {
			return ids, cursors, rejected, nil
		}
	}
	t.Fatal("the sequence ended with more to come")
	return nil, nil, 0, nil
}

// From the cursor of any page the rest of the file follows.
func TestResumeFromAnyPage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "a.json.gz", gz(logFile(0, 3456)))
	s := openTest(t, "file://"+dir, clockwork.NewRealClock())
	lanes, _ := listAll(t, s, "")
	require.Len(t, lanes, 1)
	all, cursors, _, err := readAll(t, s, lanes[0], "")
	require.NoError(t, err)
	require.Len(t, all, 3456)
	require.Greater(t, len(cursors), 3)
	for _, c := range cursors {
		var n int
		_, err := fmt.Sscanf(string(c), "1:%d", &n)
		require.NoError(t, err)
		rest, _, _, err := readAll(t, s, lanes[0], c)
		require.NoError(t, err)
		require.Equal(t, all[n:], append([]string{}, rest...))
	}
	// Another content than the cursor's is read from its beginning.
	changed := lanes[0]
	changed.Hint = "other"
	again, _, _, err := readAll(t, s, changed, cursors[0])
	require.NoError(t, err)
	require.Len(t, again, 3456)
	_, _, _, err = readAll(t, s, lanes[0], "9:1")
	require.Equal(t, fault.Expired, fault.Of(err))
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	whole := gz(logFile(0, 2500))
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-6] ^= 0xff // the checksum
	for name, c := range map[string]struct {
		file   string
		bytes  []byte
		rows   int // that are delivered all the same, at least
		reason string
	}{
		"cut":            {"a.json.gz", whole[:len(whole)*2/3], 1, "cut short after record"},
		"checksum":       {"a.json.gz", flipped, 2500, "damaged after record 2500"},
		"no gzip":        {"a.json.gz", []byte("plain text"), 0, "no CloudTrail log file"},
		"no JSON":        {"a.json", []byte("plain text"), 0, "no CloudTrail log file"},
		"another object": {"a.json", []byte(`{"a":[1,2]}`), 0, `no "Records"`},
		"digest":         {"a.json", []byte(`{"digestVersion":1,"logFiles":[{}]}`), 0, `no "Records"`},
		"an array":       {"a.json", []byte(`[{"Records":[]}]`), 0, "no JSON object"},
		"empty":          {"a.json", nil, 0, "no CloudTrail log file"},
		"empty gzip":     {"a.json.gz", gz(""), 0, "no CloudTrail log file"},
		"more after":     {"a.json", []byte(logFile(0, 3) + "{}"), 3, "more after the end"},
		"bad syntax":     {"a.json", []byte(`{"Records":[{"eventID":"a"},{"eventID":nope}]}`), 1, "damaged after record 1"},
		"huge record":    {"a.json.gz", gz(`{"Records":[{"eventID":"a"},{"eventID":"` + strings.Repeat("x", maxRecordBytes+1<<20) + `"}]}`), 1, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			put(t, dir, c.file, c.bytes)
			s := openTest(t, "file://"+dir, clockwork.NewRealClock())
			lanes, _ := listAll(t, s, "")
			require.Len(t, lanes, 1)
			ids, _, _, err := readAll(t, s, lanes[0], "")
			require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
			require.ErrorContains(t, err, c.reason)
			require.GreaterOrEqual(t, len(ids), c.rows)
		})
	}
}

func TestGoodFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file     string
		bytes    []byte
		rows     int
		rejected int
	}{
		"plain":            {"a.json", []byte(logFile(0, 3)), 3, 0},
		"no records":       {"a.json.gz", gz(`{"Records":[]}`), 0, 0},
		"more keys":        {"a.json", []byte(`{"a":{"Records":[1]},"Records":[{"eventID":"x"}],"b":[2]}` + "\n"), 1, 0},
		"bad rows between": {"a.json", []byte(`{"Records":[{"eventID":"x"},7,{"no":1},null,{"eventID":"y"}]}`), 2, 3},
		"wrong name":       {"a.json", gz(logFile(0, 5)), 5, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			put(t, dir, c.file, c.bytes)
			s := openTest(t, "file://"+dir, clockwork.NewRealClock())
			lanes, _ := listAll(t, s, "")
			ids, _, rejected, err := readAll(t, s, lanes[0], "")
			require.NoError(t, err)
			require.Len(t, ids, c.rows)
			require.Equal(t, c.rejected, rejected)
		})
	}
}

// A file still being written is left until it is stable.
func TestHalfCopiedFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := put(t, dir, "a.json.gz", gz(logFile(0, 5)))
	clock := clockwork.NewFakeClockAt(time.Now())
	s := openTest(t, "file://"+dir, clock)
	s.store.(*dirStore).settle = 2 * time.Second
	lanes, _ := listAll(t, s, "")
	require.NoError(t, os.Chtimes(name, clock.Now(), clock.Now()))
	_, _, _, err := readAll(t, s, lanes[0], "")
	require.Equal(t, fault.Transient, fault.Of(err))
	require.ErrorContains(t, err, "still being written")
	require.Positive(t, fault.RetryAfter(err))
	clock.Advance(2 * time.Second)
	ids, _, _, err := readAll(t, s, lanes[0], "")
	require.NoError(t, err)
	require.Len(t, ids, 5)

	// Changed while it is read: what was read stands, the lane is not done.
	big := put(t, dir, "b.json.gz", gz(logFile(0, 5000)))
	clock.Advance(time.Hour)
	for page, err := range s.read(t.Context(), sources.Lane{ID: "b.json.gz"}, "") {
		if err != nil {
			require.Equal(t, fault.Transient, fault.Of(err))
			require.ErrorContains(t, err, "was changed while it was read")
			return
		}
		require.True(t, page.More)
		require.NoError(t, os.Truncate(big, 100_000_000))
	}
	t.Fatal("a changed file was taken as done")
}

const (
	logs   = "AWSLogs/111111111111/CloudTrail/us-east-1/"
	orgLog = "AWSLogs/o-exampleorg/222222222222/CloudTrail/eu-west-1/"
)

func TestListing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	body := gz(logFile(0, 1))
	now := time.Date(2026, 10, 15, 12, 0, 0, 0, time.UTC)
	old := logs + "2024/03/01/111111111111_CloudTrail_us-east-1_20240301T0000Z_a.json.gz"
	today := orgLog + "2026/10/15/222222222222_CloudTrail_eu-west-1_20261015T1100Z_b.json.gz"
	for _, k := range []string{
		old, today, "AWSLogs/111111111111/CloudTrail-Digest/us-east-1/2026/10/15/d.json.gz", "AWSLogs/111111111111/elasticloadbalancing/us-east-1/2026/10/15/e.json.gz",
		"AWSLogs/111111111111/Config/x.json", "other/app.json", logs + "2026/10/15/.hidden.json.gz", logs + "2026/10/15/notes.txt",
		"AWSLogs/111111111111/CloudTrail-Insight/us-east-1/2026/10/15/111111111111_CloudTrail-Insight_us-east-1_20261015T1100Z_i.json.gz",
	} {
		put(t, dir, k, body)
	}
	ids := func(lanes []sources.Lane) (out []string) {
		for _, l := range lanes {
			out = append(out, filepath.Base(l.ID))
		}
		return out
	}
	clock := clockwork.NewFakeClockAt(now)
	s := openTest(t, "file://"+dir, clock)
	lanes, cursor := listAll(t, s, "")
	require.ElementsMatch(t, []string{filepath.Base(old), filepath.Base(today), "111111111111_CloudTrail-Insight_us-east-1_20261015T1100Z_i.json.gz"}, ids(lanes))
	tenant, err := s.Tenant(t.Context())
	require.NoError(t, err)
	require.Equal(t, "o-exampleorg", tenant)

	// Between sweeps only today and yesterday are looked at.
	late := logs + "2024/03/01/111111111111_CloudTrail_us-east-1_20240301T0005Z_late.json.gz"
	put(t, dir, late, body)
	fresh := orgLog + "2026/10/15/222222222222_CloudTrail_eu-west-1_20261015T1159Z_c.json.gz"
	put(t, dir, fresh, body)
	clock.Advance(time.Minute)
	lanes, cursor = listAll(t, s, cursor)
	require.Contains(t, ids(lanes), filepath.Base(fresh))
	require.NotContains(t, ids(lanes), filepath.Base(late))

	// The next sweep, or a restart, finds the late one; what was there long
	// before the last sweep is not listed again.
	future := time.Now().Add(10 * 24 * time.Hour)
	clock = clockwork.NewFakeClockAt(future)
	s = openTest(t, "file://"+dir, clock)
	lanes, cursor = listAll(t, s, cursor)
	require.Contains(t, ids(lanes), filepath.Base(late))
	lanes, _ = listAll(t, openTest(t, "file://"+dir, clockwork.NewFakeClockAt(future.Add(time.Hour))), cursor)
	require.Empty(t, lanes, "all changed long before the last sweep")
}

// Whatever folder the url points at, the same files are found.
func TestListingDepths(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, logs+"2026/10/01/f1.json.gz", gz(logFile(0, 1)))
	put(t, dir, logs+"2026/10/02/f2.json", []byte(logFile(1, 1)))
	at := dir
	for _, part := range append([]string{""}, strings.Split(logs, "/")[:4]...) {
		at = filepath.Join(at, part)
		lanes, _ := listAll(t, openTest(t, "file://"+at, clockwork.NewRealClock()), "")
		require.Len(t, lanes, 2, at)
	}
	day := filepath.Join(at, "2026/10/01")
	lanes, _ := listAll(t, openTest(t, "file://"+day, clockwork.NewRealClock()), "")
	require.Len(t, lanes, 1)
}

// A sweep that was cut short goes on after any page.
func TestSweepResumes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 2500 {
		put(t, dir, fmt.Sprintf("%s2026/10/%02d/f%04d.json", logs, 1+i/500, i), nil)
	}
	put(t, dir, orgLog+"2026/10/01/g.json", nil)
	s := openTest(t, "file://"+dir, clockwork.NewRealClock())
	all, _ := listAll(t, s, "")
	require.Len(t, all, 2501)
	var cursors []sources.Cursor
	seen := 0
	for page, err := range s.lanesFresh(t, "") {
		require.NoError(t, err)
		seen += len(page.Lanes)
		cursors = append(cursors, page.Next)
		if !page.Complete {
			rest, _ := listAll(t, openTest(t, "file://"+dir, clockwork.NewRealClock()), page.Next)
			require.Equal(t, len(all)-seen, len(rest))
			for i := range rest {
				require.Equal(t, all[seen+i], rest[i])
			}
		}
	}
	require.Greater(t, len(cursors), 3)
}

func TestSince(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, day := range []string{"2026/09/30", "2026/10/01", "2026/10/02"} {
		put(t, dir, logs+day+"/f.json", nil)
	}
	cfg := Connector.Config().(*Config)
	cfg.CloudTrail.URL, cfg.CloudTrail.Since = "file://"+dir, "2026-10-01"
	s, err := open(t.Context(), sources.Env{Clock: clockwork.NewRealClock()}, cfg)
	require.NoError(t, err)
	lanes, _ := listAll(t, s.(*session), "")
	require.Len(t, lanes, 2)
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"http://x", "s3:///x", "file://host/x", "file:relative", "s3://b/p?regio=x", "s3://b/?endpoint=nope", "s3://b/?path_style=maybe", "file:///x?y=1"} {
		cfg := Connector.Config().(*Config)
		cfg.CloudTrail.URL = u
		errs := cfg.Validate()
		require.Len(t, errs, 1, u)
		require.Equal(t, "cloudtrail.url", errs[0].Key)
	}
	cfg := Connector.Config().(*Config)
	cfg.CloudTrail = CloudTrail{URL: "file:///x", Since: "yesterday", BucketOwner: "1", SweepEvery: time.Second, Settle: -1}
	require.Len(t, cfg.Validate(), 4)
}

// A link that leads out of the directory is not followed.
func TestLinksStayInside(t *testing.T) {
	t.Parallel()
	outside, dir := t.TempDir(), t.TempDir()
	target := put(t, outside, "secret.json", []byte(logFile(0, 1)))
	put(t, dir, logs+"2026/10/01/f.json", []byte(logFile(1, 1)))
	link := filepath.Join(dir, filepath.FromSlash(logs), "2026/10/01/link.json")
	require.NoError(t, os.Symlink(target, link))
	s := openTest(t, "file://"+dir, clockwork.NewRealClock())
	lanes, _ := listAll(t, s, "")
	require.Len(t, lanes, 1)
	_, _, _, err := readAll(t, s, sources.Lane{ID: logs + "2026/10/01/link.json"}, "")
	require.Error(t, err)
}
