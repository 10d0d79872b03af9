package pipeline

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/rowtest"
	"weir/schemas"
	"weir/sources"
)

// What happens when something in data_dir is damaged: each has an outcome that
// says what to do, and loses nothing that is not lost already.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, name string, content []byte) {
		require.NoError(t, os.WriteFile(name, content, 0o600))
	}
	cut := func(t *testing.T, name string) {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(name, info.Size()/2))
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, file string)
		says   string // "": it starts
	}{
		"missing, and the spool holds rows": {func(t *testing.T, f string) { require.NoError(t, os.Remove(f)) }, "is missing or empty, and the spool beside it holds rows"},
		"empty":                             {func(t *testing.T, f string) { write(t, f, nil) }, "is missing or empty, and the spool beside it holds rows"},
		"truncated":                         {cut, "is damaged"},
		"another file": {func(t *testing.T, f string) {
			write(t, f, []byte("this is no database, but it is long enough to be taken for one, if only for a moment ........"))
		}, "is damaged"},
		"a page overwritten, after a crash": {overwritePage, "is damaged"},
		"newer": {func(t *testing.T, f string) {
			db, err := sql.Open("sqlite", f)
			require.NoError(t, err)
			_, err = db.Exec("PRAGMA user_version = 99")
			require.NoError(t, err)
			require.NoError(t, db.Close())
		}, "run the newer version that wrote it"},
		"journal missing": {func(t *testing.T, f string) { _ = os.Remove(f + "-wal") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &lakes{t: t, dir: t.TempDir(), clock: clockwork.NewRealClock()}
			book := &logbook{}
			for i := range 200 {
				book.add(fmt.Sprint(i), fmt.Sprint("raw ", i), time.Now())
			}
			l.run([]string{"lake", "slow"}, []string{"slow"}, false, book.stream("activities"))
			file := filepath.Join(l.data(), StateFile)
			before, err := filepath.Glob(filepath.Join(l.data(), "spool", "*"))
			require.NoError(t, err)
			c.damage(t, file)
			st, err := OpenState(t.Context(), l.data())
			if c.says == "" {
				require.NoError(t, err)
				require.NoError(t, st.Close())
				return
			}
			require.ErrorContains(t, err, c.says)
			if c.says != "run the newer version that wrote it" {
				require.ErrorContains(t, err, "weir state import")
				require.ErrorContains(t, err, "weir state reconcile")
			}
			after, err := filepath.Glob(filepath.Join(l.data(), "spool", "*"))
			require.NoError(t, err)
			require.Equal(t, before, after, "nothing is thrown away")
		})
	}
}

// overwritePage damages pages behind the first, and leaves a journal as a crash
// does.
func overwritePage(t *testing.T, file string) {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	require.NoError(t, err)
	info, err := f.Stat()
	require.NoError(t, err)
	for at := int64(4096); at < info.Size(); at += 4096 {
		_, err = f.WriteAt([]byte("damaged damaged damaged"), at)
		require.NoError(t, err)
	}
	require.NoError(t, f.Close())
	require.NoError(t, os.WriteFile(file+"-wal", []byte("what a crash left"), 0o600))
}

// A damaged segment of the spool costs its own rows, which are named; everything
// else is delivered, and segments that nobody knows are removed.
func TestDamagedSpool(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, segment string){
		"missing":     func(t *testing.T, s string) { require.NoError(t, os.Remove(s)) },
		"cut short":   func(t *testing.T, s string) { require.NoError(t, os.Truncate(s, 20)) },
		"a bit flips": flipBit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &lakes{t: t, dir: t.TempDir(), clock: clockwork.NewRealClock()}
			acme := StreamID{"acme", "activities"}
			ledger := LedgerStream{ID: acme, Info: sources.StreamInfo{Name: "activities"}}
			l.o.Logs = []LedgerStream{ledger}
			book := &logbook{}
			at := time.Now().Truncate(time.Hour)
			missing := func() []LedgerHole {
				st, err := ReadState(t.Context(), l.data())
				require.NoError(t, err)
				defer st.Close()
				got, err := Ledger(t.Context(), st, ledger, NewSpan(at, at.Add(100*time.Millisecond)), time.Now())
				require.NoError(t, err)
				return got.Missing
			}
			more := func(from, to int) {
				for i := from; i < to; i++ {
					book.add(fmt.Sprint(i), fmt.Sprint("raw ", i), at.Add(time.Duration(i)*time.Millisecond))
				}
			}
			both := []string{"lake", "slow"}
			more(0, 50)
			l.run(both, []string{"slow"}, false, book.stream("activities"))
			more(50, 100)
			l.run(both, []string{"slow"}, false, book.stream("activities"))
			st, err := ReadState(t.Context(), l.data())
			require.NoError(t, err)
			pending, err := st.Pending(t.Context(), Queue{Sink: "slow", Table: "activities"}, 10)
			require.NoError(t, err)
			require.NoError(t, st.Close())
			require.Len(t, pending, 2)
			damage(t, filepath.Join(l.data(), "spool", pending[0].Segment+segmentSuffix))
			orphan := filepath.Join(l.data(), "spool", "0190b2c0-0000-7000-8000-000000000000"+segmentSuffix)
			require.NoError(t, os.WriteFile(orphan, []byte("x"), 0o600))
			found, err := CheckState(t.Context(), l.data())
			require.NoError(t, err)
			require.NotEmpty(t, found)
			require.Contains(t, found[0], "50 rows of activities of acme")

			l.run(both, nil, true)
			rows, err := rowtest.LakeLog(t.Context(), l.path("slow"), schemas.ByName("activities"), "acme")
			require.NoError(t, err)
			require.Len(t, rows, 50, "the other segment's")
			require.NoFileExists(t, orphan)
			st, err = ReadState(t.Context(), l.data())
			require.NoError(t, err)
			dead, err := st.DeadLetters(t.Context(), 10)
			require.NoError(t, err)
			require.NotEmpty(t, dead)
			var reasons string
			for _, d := range dead {
				require.Equal(t, kindBatch, d.Kind)
				reasons += d.Reason + "\n"
			}
			require.Contains(t, reasons, "50 rows of activities of acme, of "+at.UTC().Format(timeFormat))
			require.Contains(t, reasons, "did not reach sink slow")
			segments, err := st.Segments(t.Context())
			require.NoError(t, err)
			require.Empty(t, segments)
			require.NoError(t, st.Close())
			found, err = CheckState(t.Context(), l.data())
			require.NoError(t, err)
			require.Empty(t, found)

			// The ledger tells, and is not talked out of it by another reading.
			lost := NewSpan(at, at.Add(50*time.Millisecond))
			covers := func() {
				st, err := OpenState(t.Context(), l.data())
				require.NoError(t, err)
				require.NoError(t, st.Update(t.Context(), func(tx Tx) error { return tx.Cover(acme, NewSpan(at.Add(-time.Hour), at.Add(time.Hour)), time.Now()) }))
				require.NoError(t, st.Close())
			}
			covers()
			holes := missing()
			require.Len(t, holes, 1)
			require.Equal(t, lost, holes[0].Span)
			require.Equal(t, ClassSpool, holes[0].Class)
			require.Contains(t, holes[0].Does, "reconcile")

			// Reconciled and read again, as from the beginning: all is there, once.
			p, err := l.open(both)
			require.NoError(t, err)
			_, err = p.Reconcile(t.Context(), []StreamTables{{StreamID: StreamID{"acme", "activities"}, Tables: []string{"activities"}}}, true)
			require.NoError(t, err)
			require.NoError(t, p.state.Update(t.Context(), func(tx Tx) error {
				return tx.SetLane(LaneState{StreamID: StreamID{"acme", "activities"}, Lane: sources.Lane{}})
			}))
			due, err := Owed(t.Context(), p.state, acme, 0, time.Now().Add(time.Hour))
			require.NoError(t, err)
			require.Equal(t, []Span{lost}, due)
			require.NoError(t, p.Close())
			l.run(both, nil, true, book.stream("activities"))
			covers()
			require.Empty(t, missing())
			truth := map[string]int{}
			for i := range 100 {
				truth[fmt.Sprint("raw ", i)]++
			}
			l.requireEvents("lake", truth)
			l.requireEvents("slow", truth)
		})
	}
}

func flipBit(t *testing.T, name string) {
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	for i := 100; i < len(b); i += 100 {
		b[i] ^= 1
	}
	require.NoError(t, os.WriteFile(name, b, 0o600))
}

// A copy made while an agent works goes on elsewhere, whole; what it does not
// know is refused, and a name taken is too.
func TestExportImportRename(t *testing.T) {
	t.Parallel()
	l := &lakes{t: t, dir: t.TempDir(), clock: clockwork.NewRealClock()}
	book := &logbook{}
	truth := map[string]int{}
	for i := range 120 {
		book.add(fmt.Sprint(i), fmt.Sprint("raw ", i), time.Now())
		truth[fmt.Sprint("raw ", i)]++
	}
	both := []string{"lake", "slow"}
	l.run(both, []string{"slow"}, false, book.stream("activities"))
	p, err := l.open(both, "slow") // an agent at work
	require.NoError(t, err)
	file := filepath.Join(l.dir, "state.tar")
	require.NoError(t, os.MkdirAll(filepath.Join(l.data(), "vault", "acme"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(l.data(), "vault", "acme", "token"), []byte("sealed"), 0o600))
	out, err := Export(t.Context(), l.data(), file)
	require.NoError(t, err)
	require.Positive(t, out.Segments)
	require.Equal(t, 1, out.Secrets)
	require.NoError(t, p.Close())
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	_, err = Import(t.Context(), file, l.data())
	require.ErrorContains(t, err, "holds a state already")
	require.NoError(t, os.RemoveAll(l.data()))
	require.NoError(t, os.WriteFile(file+".bad", []byte("no archive"), 0o600))
	_, err = Import(t.Context(), file+".bad", l.data())
	require.ErrorContains(t, err, "is damaged, or no archive")
	_, err = Import(t.Context(), file, l.data())
	require.NoError(t, err)
	sealed, err := os.ReadFile(filepath.Join(l.data(), "vault", "acme", "token"))
	require.NoError(t, err)
	require.Equal(t, "sealed", string(sealed))
	l.run(both, nil, true, book.stream("activities"))
	l.requireEvents("lake", truth)
	l.requireEvents("slow", truth)

	still := func() error { return nil }
	require.ErrorContains(t, RenameInstance(t.Context(), l.data(), "nobody", "acme2", still), `knows no instance "nobody"`)
	require.NoError(t, RenameInstance(t.Context(), l.data(), "acme", "acme2", still))
	require.ErrorContains(t, RenameInstance(t.Context(), l.data(), "acme2", "acme2", still), "already")
	st, err := ReadState(t.Context(), l.data())
	require.NoError(t, err)
	n, err := st.LaneCounts(t.Context(), StreamID{"acme2", "activities"})
	require.NoError(t, err)
	require.EqualValues(t, 1, n.Open)
	known, err := st.Instances(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"acme2"}, known)
	require.NoError(t, st.Close())
}
