package pipeline

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"weir/internal/testclock"
	"weir/schemas"
	"weir/sinks"
	"weir/sources"
)

// The state stays as big as what it must remember: streams of all shapes run for
// many days, and in the last third of them no kind takes more than in the
// second. WEIR_DAYS and WEIR_STREAMS are how many.
//
//	WEIR_DAYS=30 WEIR_STREAMS=200 go test ./pipeline -run TestManyDays -v -timeout 60m
func TestManyDays(t *testing.T) {
	notUnderRace(t)
	days, streams, every, keep := 12, 9, 4*time.Hour, 24*time.Hour
	if v := os.Getenv("WEIR_DAYS"); v != "" {
		var err error
		days, err = strconv.Atoi(v)
		require.NoError(t, err)
		streams, err = strconv.Atoi(os.Getenv("WEIR_STREAMS"))
		require.NoError(t, err)
		every, keep = 3*time.Hour, 8*24*time.Hour
	} else {
		t.Parallel()
	}
	const day = 24 * time.Hour
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	dir, clock := t.TempDir(), testclock.Fast(start, 50)
	sink := &entitySink{memorySink: *newMemorySink(), drop: true}
	o := Options{
		DataDir: dir, Clock: clock, Rand: rand.Reader, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
		Tables: []*schemas.Table{schemas.ByName("activities"), schemas.ByName("accounts"), schemas.ByName("collection_runs")},
		Sinks:  []SinkOptions{{Name: "lake", Sink: sink, Batching: sinks.Batching{TargetSize: 1 << 20, MaxDelay: 5 * time.Second, LateDelay: 5 * time.Second}}},
	}
	var runs []StreamOptions
	for i := range streams {
		name := fmt.Sprintf("acme-%03d", i)
		o.Instances = append(o.Instances, name)
		s := StreamOptions{ID: StreamID{name, "activities"}, App: "aws", Every: every, Parallel: 2}
		switch i % 3 {
		case 0:
			s.ID.Stream, s.App, s.Stream = "accounts", "okta", changingAccounts(clock, 300)
		case 1:
			s.Stream = steadyLog(clock, name, keep)
		default:
			s.Stream = hourlyFiles(clock, name, keep)
		}
		if i%3 != 0 {
			o.Logs = append(o.Logs, LedgerStream{ID: s.ID, Info: s.Stream.Info})
		}
		runs = append(runs, s)
	}
	p, err := Open(t.Context(), o)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context()))
	var all []*StreamRun
	for _, s := range runs {
		run, err := p.NewStreamRun(s)
		require.NoError(t, err)
		require.NoError(t, run.takeUpLedger(t.Context()))
		if run.scan != nil {
			require.NoError(t, run.scan.load(t.Context()))
		}
		all = append(all, run)
	}
	round := func(ctx context.Context, run *StreamRun) error {
		if run.scan != nil {
			_, err := run.scan.pass(ctx)
			return err
		}
		err := run.round(ctx)
		if err == nil && run.Stream.Past != nil {
			err = run.pastOnce(ctx)
		}
		return err
	}
	var samples []map[string]int64
	var kinds []string
	for d := 1; d <= days; d++ {
		for end := start.Add(time.Duration(d) * day); clock.Now().Before(end); clock.Skip(every) {
			g, ctx := errgroup.WithContext(t.Context())
			g.SetLimit(16)
			for _, run := range all {
				g.Go(func() error { return round(ctx, run) })
			}
			require.NoError(t, g.Wait())
		}
		sizes, err := p.State().Size(t.Context())
		require.NoError(t, err)
		sample := map[string]int64{}
		kinds = kinds[:0]
		for _, k := range sizes {
			sample[k.Kind] = k.Bytes
			kinds = append(kinds, k.Kind)
		}
		for _, f := range []string{StateFile, StateFile + "-wal"} {
			info, err := os.Stat(filepath.Join(dir, f))
			require.NoError(t, err)
			sample[f] = info.Size()
			kinds = append(kinds, f)
		}
		samples = append(samples, sample)
		if d%5 == 0 {
			t.Logf("day %d: state.db %d kB", d, sample[StateFile]>>10)
		}
	}
	var polls, rows int64
	for _, run := range all {
		polls += run.Stats.Pages.Load()
		rows += run.Stats.Rows.Load()
	}
	require.NoError(t, p.Drain(t.Context()))
	require.NoError(t, p.Close())

	t.Logf("%d streams, %d days, %d pages, %d rows; %d MB resident", streams, days, polls, rows, residentBytes(t)>>20)
	for _, k := range kinds {
		var line strings.Builder
		for d := 4; d < days; d += 5 {
			fmt.Fprintf(&line, "  day %2d %8.1f kB", d+1, float64(samples[d][k])/1e3)
		}
		t.Logf("  %-24s%s", k, line.String())
	}
	highest := func(k string, from, to int) (n int64) {
		for _, s := range samples[from:to] {
			n = max(n, s[k])
		}
		return n
	}
	for _, k := range kinds {
		if k == "free" {
			continue // a share of the file, which is looked at
		}
		const slack = 128 << 10 // pages half full
		second, third := highest(k, days/3, 2*days/3), highest(k, 2*days/3, days)
		require.LessOrEqual(t, third, second+second/5+slack, k)
	}
	require.Positive(t, rows)
	require.LessOrEqual(t, highest(StateFile+"-wal", 0, days), int64(64<<20))
}

// steadyLog is a log in which something happens every six minutes, some of it
// late.
func steadyLog(clock *testclock.Clock, name string, keep time.Duration) sources.Stream {
	const step = 6 * time.Minute
	began := clock.Now()
	between := func(from, to time.Time) *schemas.Rows {
		rows, now := &schemas.Rows{}, clock.Now()
		for at := from.Truncate(step); at.Before(to); at = at.Add(step) {
			n := at.UnixMilli() / step.Milliseconds()
			if seen := at.Add(time.Duration(n%10/9) * 40 * time.Minute); at.Before(from) || seen.After(now) {
				continue
			}
			id := fmt.Sprintf("%s-%d", name, n)
			rows.Activities = append(rows.Activities, schemas.Activity{EventID: id, Time: schemas.Time(at.UnixMilli()), Raw: id})
		}
		return rows
	}
	return sources.Stream{
		Info: sources.StreamInfo{Name: "activities", Tables: []string{"activities"}, Back: true, Lateness: time.Hour, Keep: keep},
		Past: func(_ context.Context, from, to time.Time, _ sources.Cursor) iter.Seq2[*sources.LanePage, error] {
			return func(yield func(*sources.LanePage, error) bool) {
				id := fmt.Sprintf("%s%d-%d", sources.PastLane, from.UnixMilli(), to.UnixMilli())
				yield(&sources.LanePage{Lanes: []sources.Lane{{ID: id, Once: true}}, Complete: true}, nil)
			}
		},
		Read: func(_ context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
			return func(yield func(*sources.Page, error) bool) {
				if span, past := strings.CutPrefix(l.ID, sources.PastLane); past {
					var a, b int64
					_, _ = fmt.Sscanf(span, "%d-%d", &a, &b)
					yield(&sources.Page{Rows: between(time.UnixMilli(a), time.UnixMilli(b)), Next: "end"}, nil)
					return
				}
				from, now := began, clock.Now()
				p := &sources.Page{Next: sources.Cursor(fmt.Sprint(now.UnixMilli())), Watermark: schemas.Time(now.UnixMilli())}
				if ms, err := strconv.ParseInt(string(c), 10, 64); err == nil {
					from = time.UnixMilli(ms)
				} else {
					p.Since = schemas.Time(began.UnixMilli())
				}
				p.Rows = between(from, now)
				yield(p, nil)
			}
		},
	}
}

// hourlyFiles is a log as files, one an hour, listed for half the time that read
// ones are remembered.
func hourlyFiles(clock *testclock.Clock, name string, keep time.Duration) sources.Stream {
	began := clock.Now()
	return sources.Stream{
		Info: sources.StreamInfo{Name: "activities", Tables: []string{"activities"}, Lateness: time.Hour, Keep: keep},
		Lanes: func(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error] {
			return func(yield func(*sources.LanePage, error) bool) {
				now := clock.Now().Truncate(time.Hour)
				p := &sources.LanePage{Complete: true, Since: schemas.Time(began.UnixMilli()), CoveredTo: schemas.Time(now.UnixMilli())}
				for at := now; at.After(now.Add(-keep/2)) && !at.Before(began); at = at.Add(-time.Hour) {
					p.Lanes = append(p.Lanes, sources.Lane{ID: fmt.Sprintf("%s/%d.json.gz", name, at.UnixMilli()), Hint: "v1", Once: true})
				}
				slices.Reverse(p.Lanes)
				yield(p, nil)
			}
		},
		Read: func(_ context.Context, l sources.Lane, _ sources.Cursor) iter.Seq2[*sources.Page, error] {
			return func(yield func(*sources.Page, error) bool) {
				var ms int64
				_, _ = fmt.Sscanf(strings.TrimPrefix(l.ID, name+"/"), "%d", &ms)
				rows := &schemas.Rows{}
				for i := range 20 {
					id := fmt.Sprintf("%s-%d-%d", name, ms, i)
					rows.Activities = append(rows.Activities, schemas.Activity{EventID: id, Time: schemas.Time(ms), Raw: id})
				}
				yield(&sources.Page{Rows: rows, Next: "end"}, nil)
			}
		},
	}
}

// changingAccounts lists n accounts of which some come, go and change.
func changingAccounts(clock *testclock.Clock, n int) sources.Stream {
	return sources.Stream{
		Info: sources.StreamInfo{Name: "accounts", Shape: sources.Scan, Tables: []string{"accounts"}, Keyset: true},
		Read: func(context.Context, sources.Lane, sources.Cursor) iter.Seq2[*sources.Page, error] {
			return func(yield func(*sources.Page, error) bool) {
				hour := int(clock.Now().Unix() / 3600 / 12)
				rows := &schemas.Rows{}
				for i := range n {
					k := hour/n*n + i // another name now and then, one at a time
					if i > hour%n {
						k -= n
					}
					rows.Accounts = append(rows.Accounts, schemas.Account{AccountID: fmt.Sprintf("u%08d", k), Login: fmt.Sprintf("u%d-%d", i, (hour+i)/200), Raw: strconv.Itoa(k)})
				}
				yield(&sources.Page{Rows: rows, Next: "end"}, nil)
			}
		},
	}
}
