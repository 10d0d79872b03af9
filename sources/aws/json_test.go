package aws

import (
	"bytes"
	"encoding/json"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/demodata"
	"weir/internal/secret"
	"weir/schemas"
	"weir/sources"
)

func secretOf(ref string) secret.Secret { return secret.New(ref) }

// lanesFresh lists as a session just opened does.
func (s *session) lanesFresh(t testing.TB, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	s.mu.Lock()
	s.swept = false
	s.mu.Unlock()
	return s.lanes(t.Context(), c)
}

func FuzzMap(f *testing.F) {
	files, err := filepath.Glob("testdata/records/*.json")
	require.NoError(f, err)
	for _, name := range files {
		b, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if !json.Valid([]byte(raw)) {
			return
		}
		var a schemas.Activity
		m := newMapper()
		if m.mapRecord(&a, raw) != "" {
			return
		}
		checkEnums(t, &a)
		require.Len(t, a.TargetNames, len(a.TargetIDs))
		require.Len(t, a.ChangeNew, len(a.ChangeNames))
		require.LessOrEqual(t, len(a.TargetIDs), schemas.MaxTargets)
	})
}

func FuzzReadFile(f *testing.F) {
	f.Add([]byte(logFile(0, 3)))
	f.Add(gz(logFile(0, 3)))
	f.Add(gz(logFile(0, 3))[:60])
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		put(t, dir, "f.json", b)
		s := openTest(t, (&url.URL{Scheme: "file", Path: dir}).String(), clockwork.NewRealClock())
		for page, err := range s.read(t.Context(), sources.Lane{ID: "f.json"}, "") {
			if err == nil {
				require.NotNil(t, page.Rows)
			}
		}
	})
}

// Mapping makes no garbage: its strings are the page's.
func TestMapAllocates(t *testing.T) {
	files, err := filepath.Glob("testdata/records/*.json")
	require.NoError(t, err)
	m := newMapper()
	var a schemas.Activity
	for _, f := range files {
		raw, err := os.ReadFile(f)
		require.NoError(t, err)
		record := string(bytes.TrimSpace(raw))
		limit := 0
		if name := filepath.Base(f); name != "iam_user_attach_policy.json" && name != "assumed_role_sso.json" {
			// An address or a value that is not written as it is meant.
			limit = 1 + bytes.Count(raw, []byte(`\"`))
		}
		got := testing.AllocsPerRun(100, func() {
			m.reset()
			m.mapRecord(&a, record)
		})
		require.LessOrEqual(t, got, float64(limit), f)
	}
}

func BenchmarkReadFile(b *testing.B) {
	dir := b.TempDir()
	_, err := demodata.WriteBench(dir, 1, 2000, 1)
	require.NoError(b, err)
	s := openTest(b, "file://"+dir, clockwork.NewRealClock())
	lanes, _ := listAll(b, s, "")
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range s.read(b.Context(), lanes[0], "") {
			require.NoError(b, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/record")
}

func BenchmarkMap(b *testing.B) {
	raw, err := os.ReadFile("testdata/records/iam_user_attach_policy.json")
	require.NoError(b, err)
	record := string(bytes.TrimSpace(raw))
	m := newMapper()
	var a schemas.Activity
	b.ReportAllocs()
	b.SetBytes(int64(len(record)))
	for b.Loop() {
		m.reset()
		m.mapRecord(&a, record)
	}
}
