package pipeline

import (
	"context"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"weir/schemas"
	"weir/sources"
)

// manyAccounts is a lane of n accounts in pages of a thousand.
func manyAccounts(n int) sources.Stream {
	return sources.Stream{
		Info: sources.StreamInfo{Name: "accounts", Shape: sources.Scan, Tables: []string{"accounts"}},
		Read: func(_ context.Context, _ sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
			return func(yield func(*sources.Page, error) bool) {
				from, _ := strconv.Atoi(string(c))
				for ; from < n; from += 1000 {
					rows := &schemas.Rows{}
					for i := from; i < from+1000; i++ {
						login := "person" + strconv.Itoa(i) + "@acme.example"
						rows.Accounts = append(rows.Accounts, schemas.Account{
							AccountID: "00u" + strconv.Itoa(i*7919), Login: login, Email: login, Emails: []string{login}, DisplayName: "Person " + strconv.Itoa(i),
							Status: "active", Kind: "human", CreatedAt: 1_700_000_000_000, LastLoginAt: 1_750_000_000_000, Raw: `{"profile":{"login":"` + login + `"},"status":"ACTIVE"}`,
						})
					}
					if !yield(&sources.Page{Rows: rows, Next: sources.Cursor(strconv.Itoa(from + 1000)), More: from+1000 < n}, nil) {
						return
					}
				}
			}
		},
	}
}

// BenchmarkUnchanged scans accounts of which none has changed: WEIR_ROWS of them,
// a million unless set.
func BenchmarkUnchanged(b *testing.B) {
	n := 1_000_000
	if v, err := strconv.Atoi(os.Getenv("WEIR_ROWS")); err == nil {
		n = v
	}
	s := newScanSite(b, "one")
	s.clock = clockwork.NewRealClock()
	s.sinks["one"].drop = true
	s.round(manyAccounts(n))
	s.sinks["one"].drop = false
	info, err := os.Stat(filepath.Join(s.dir, StateFile))
	require.NoError(b, err)
	var size KindSize
	st, err := ReadState(b.Context(), s.dir)
	require.NoError(b, err)
	kinds, err := st.Size(b.Context())
	require.NoError(b, err)
	require.NoError(b, st.Close())
	for _, k := range kinds {
		if k.Kind == "baselines" {
			size = k
		}
	}
	b.ResetTimer()
	for b.Loop() {
		run := s.round(manyAccounts(n))
		require.EqualValues(b, n, run.Stats.Seen.Load())
		require.Zero(b, run.Stats.Rows.Load())
	}
	require.Empty(b, s.sinks["one"].take("accounts"))
	var usage unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &usage))
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(usage.Maxrss)/1024, "MB-max-rss")
	b.ReportMetric(float64(info.Size())/float64(n), "disk-B/row")
	b.ReportMetric(float64(size.Bytes)/float64(n), "told-B/row")
}
