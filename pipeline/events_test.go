package pipeline

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"weir/schemas"
	"weir/sinks"
	"weir/sinks/parquet"
	"weir/sources"
)

// Events by the million go through one process, all their ids inside the window
// in which they are remembered: memory stays flat. WEIR_EVENTS is how many;
// WEIR_EVENTS_PLOT names an SVG to draw, and a CSV beside it.
//
//	WEIR_EVENTS=10000000 WEIR_EVENTS_PLOT=$PWD/docs/memory.svg go test ./pipeline -run TestManyEvents -v -timeout 60m
func TestManyEvents(t *testing.T) {
	notUnderRace(t)
	events := 100_000
	if v := os.Getenv("WEIR_EVENTS"); v != "" {
		n, err := strconv.Atoi(v)
		require.NoError(t, err)
		events = n
	} else {
		t.Parallel()
	}
	dir, clock := t.TempDir(), clockwork.NewRealClock()
	cfg := parquet.Driver.Config().(*parquet.Config)
	cfg.Path = filepath.Join(dir, "lake")
	lake, err := parquet.Driver.Open(t.Context(), sinks.Env{Name: "lake", Version: "test", Clock: clock}, cfg)
	require.NoError(t, err)
	p, err := Open(t.Context(), Options{
		DataDir: filepath.Join(dir, "data"), Clock: clock, Rand: rand.Reader, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), SpoolLimit: 64 << 20,
		Tables: []*schemas.Table{schemas.ByName("activities"), schemas.ByName("collection_runs")},
		Sinks:  []SinkOptions{{Name: "lake", Sink: lake, Batching: sinks.Batching{TargetSize: 16 << 20, MaxDelay: 5 * time.Second, LateDelay: 5 * time.Second}}},
	})
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context()))

	const lanes, perPage, window = 8, 1000, 7 * 24 * time.Hour
	began := time.Now()
	stream := &manyEvents{lanes: lanes, pages: events / lanes / perPage, rows: perPage, from: began.Add(-window), span: window}
	run, err := p.NewStreamRun(StreamOptions{ID: testStream, App: "aws", Stream: stream.stream(), Every: time.Minute, Parallel: 4, Once: true})
	require.NoError(t, err)
	var samples []memorySample
	done := make(chan error, 1)
	go func() {
		for range 2 { // the second time each is known
			if err := run.Run(t.Context()); err != nil {
				done <- err
				return
			}
			stream.hint.Add(1)
		}
		done <- p.Drain(context.WithoutCancel(t.Context()))
	}()
	tick := time.NewTicker(max(100*time.Millisecond, time.Duration(events)*time.Second/10_000_000))
	defer tick.Stop()
	for running := true; running; {
		select {
		case err := <-done:
			require.NoError(t, err)
			running = false
		case <-tick.C:
			samples = append(samples, memorySample{time.Since(began), run.Stats.Rows.Load() + run.Stats.Duplicates.Load(), residentBytes(t)})
		}
	}
	total := int64(lanes * stream.pages * perPage)
	require.Equal(t, total, run.Stats.Rows.Load())
	require.Equal(t, total, run.Stats.Duplicates.Load())
	sizes, err := p.State().Size(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Close())
	marks, err := parquet.ReadMarks(cfg.Path, "activities")
	require.NoError(t, err)
	var delivered int64
	for _, m := range marks {
		delivered += m.Rows
	}
	require.Equal(t, total, delivered)

	file, err := os.Stat(filepath.Join(dir, "data", StateFile))
	require.NoError(t, err)
	var highest int64
	for _, s := range samples {
		highest = max(highest, s.bytes)
	}
	t.Logf("%d events, each twice, in %s: %d MB resident at most, state.db %d MB", total, time.Since(began).Round(time.Second), highest>>20, file.Size()>>20)
	for _, k := range sizes {
		t.Logf("  %-20s %9d  %6.1f MB", k.Kind, k.Rows, float64(k.Bytes)/1e6)
	}
	if events >= 1_000_000 {
		require.Less(t, highest, int64(256<<20), "resident")
		require.Less(t, file.Size(), int64(events)*20, "20 bytes an event")
	}
	if plot := os.Getenv("WEIR_EVENTS_PLOT"); plot != "" {
		plotMemory(t, plot, samples)
	}
}

// manyEvents is lanes that bring events in the order of their times.
type manyEvents struct {
	lanes, pages, rows int
	from               time.Time
	span               time.Duration
	hint               atomic.Int64 // another one has every lane read anew
}

func (m *manyEvents) stream() sources.Stream {
	return sources.Stream{
		Info: sources.StreamInfo{Name: "activities", Tables: []string{"activities"}, Keep: 8 * 24 * time.Hour},
		Lanes: func(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error] {
			return func(yield func(*sources.LanePage, error) bool) {
				p := &sources.LanePage{Complete: true, CoveredTo: 1}
				for i := range m.lanes {
					p.Lanes = append(p.Lanes, sources.Lane{ID: strconv.Itoa(i), Hint: fmt.Sprint(m.hint.Load()), Once: true})
				}
				yield(p, nil)
			}
		},
		Read: func(_ context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
			return func(yield func(*sources.Page, error) bool) {
				from, _ := strconv.Atoi(string(c))
				var rows schemas.Rows
				for p := from; p < m.pages; p++ {
					rows.Reset()
					for r := range m.rows {
						id := fmt.Sprintf("event-%s-%08d-%04d", l.ID, p, r)
						at := m.from.Add(m.span / time.Duration(m.pages*m.rows) * time.Duration(p*m.rows+r))
						rows.Activities = append(rows.Activities, schemas.Activity{
							EventID: id, Time: schemas.Time(at.UnixMilli()), Action: "GetObject", Kind: "user", ActorID: "actor-" + strconv.Itoa(r%100), SrcIP: "192.0.2.1",
							Raw: `{"eventID":"` + id + `","eventName":"GetObject","userAgent":"aws-cli/2.17","requestParameters":{"bucketName":"example","key":"a/b/c"}}`,
						})
					}
					if !yield(&sources.Page{Rows: &rows, Next: sources.Cursor(strconv.Itoa(p + 1)), More: p+1 < m.pages}, nil) {
						return
					}
				}
			}
		},
	}
}

type memorySample struct {
	at     time.Duration
	events int64
	bytes  int64
}

// residentBytes is what the kernel counts of this process.
func residentBytes(t testing.TB) int64 {
	b, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	require.NoError(t, err)
	return n << 10
}

// plotMemory draws the samples, and writes them beside the drawing.
func plotMemory(t testing.TB, name string, samples []memorySample) {
	const width, height, left, bottom = 760, 300, 60, 40
	last := samples[len(samples)-1]
	most := int64(256 << 20)
	var line, csv bytes.Buffer
	csv.WriteString("seconds,events,resident_bytes\n")
	for _, s := range samples {
		fmt.Fprintf(&csv, "%.1f,%d,%d\n", s.at.Seconds(), s.events, s.bytes)
		fmt.Fprintf(&line, "%.1f,%.1f ", left+float64(width-left-10)*float64(s.events)/float64(last.events), float64(height-bottom)-float64(height-bottom-10)*float64(s.bytes)/float64(most))
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12"><rect width="100%%" height="100%%" fill="white"/>`, width, height)
	for mb := int64(0); mb <= 256; mb += 64 {
		y := float64(height-bottom) - float64(height-bottom-10)*float64(mb<<20)/float64(most)
		fmt.Fprintf(&out, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ccc"/><text x="%d" y="%.1f" text-anchor="end">%d MB</text>`, left, width-10, y, y, left-6, y+4, mb)
	}
	for i := range 5 {
		x := left + float64(width-left-10)*float64(i)/4
		fmt.Fprintf(&out, `<text x="%.1f" y="%d" text-anchor="middle">%.1f million</text>`, x-float64(i)*8, height-bottom+18, float64(last.events)*float64(i)/4e6)
	}
	fmt.Fprintf(&out, `<text x="%d" y="%d" text-anchor="middle">events read; the second half are known</text>`, (left+width)/2, height-4)
	fmt.Fprintf(&out, `<polyline fill="none" stroke="#06c" stroke-width="1.5" points="%s"/></svg>`+"\n", bytes.TrimSpace(line.Bytes()))
	require.NoError(t, os.WriteFile(name, out.Bytes(), 0o644))
	require.NoError(t, os.WriteFile(strings.TrimSuffix(name, ".svg")+".csv", csv.Bytes(), 0o644))
}
