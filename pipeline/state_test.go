package pipeline

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/schemas"
	"weir/sources"
)

type ctxT = context.Context

func TestStateGenerations(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var id string
	for gen := int64(1); gen <= 3; gen++ {
		st, err := OpenState(t.Context(), dir)
		require.NoError(t, err)
		if id == "" {
			id = st.ID()
		}
		require.Equal(t, id, st.ID())
		require.Equal(t, gen, st.Generation())
		require.NoError(t, st.Close())
	}
	info, err := os.Stat(filepath.Join(dir, StateFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	st, err := ReadState(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, int64(3), st.Generation(), "looking changes nothing")
	require.NoError(t, st.Close())
}

func TestStateNewerOrDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	st, err := OpenState(t.Context(), dir)
	require.NoError(t, err)
	require.NoError(t, st.Close())
	db, err := sql.Open("sqlite", filepath.Join(dir, StateFile))
	require.NoError(t, err)
	_, err = db.Exec("PRAGMA user_version = 99")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	_, err = OpenState(t.Context(), dir)
	require.ErrorContains(t, err, "has format 99, this Weir knows 2: run the newer version that wrote it")

	broken := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(broken, StateFile), []byte("this is no database, but long enough to be taken for one ................................................"), 0o600))
	_, err = OpenState(t.Context(), broken)
	require.ErrorContains(t, err, "is damaged")
	_, err = ReadState(t.Context(), t.TempDir())
	require.ErrorContains(t, err, "no state in")
}

// A state of the format before is copied, and then used as it is.
func TestStateOfFormat1(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, StateFile)
	db, err := sql.Open("sqlite", file)
	require.NoError(t, err)
	schema, _, found := strings.Cut(sqliteSchema, "-- Scans:")
	require.True(t, found)
	_, err = db.Exec(schema + `; INSERT INTO meta VALUES ('state_id', 'me'), ('generation', '7'); INSERT INTO listings VALUES ('acme', 'activities', 'here'); PRAGMA user_version = 1`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	st, err := OpenState(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, "me", st.ID())
	require.Equal(t, int64(8), st.Generation())
	cursor, err := st.Listing(t.Context(), StreamID{"acme", "activities"})
	require.NoError(t, err)
	require.Equal(t, sources.Cursor("here"), cursor)
	_, err = st.Scan(t.Context(), scanStream)
	require.NoError(t, err)
	require.NoError(t, st.Close())

	db, err = sql.Open("sqlite", file+".format1")
	require.NoError(t, err)
	var format, generation string
	require.NoError(t, db.QueryRow("PRAGMA user_version").Scan(&format))
	require.NoError(t, db.QueryRow("SELECT value FROM meta WHERE key = 'generation'").Scan(&generation))
	require.Equal(t, "1 7", format+" "+generation)
	require.NoError(t, db.Close())
	info, err := os.Stat(file + ".format1")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestLanesStartAgainUnderAnotherHint(t *testing.T) {
	t.Parallel()
	st := testState(t)
	now := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	update := func(fn func(Tx) error) { require.NoError(t, st.Update(t.Context(), fn)) }
	lane := sources.Lane{ID: "file", Hint: "etag1", Once: true}
	list := func(l sources.Lane) {
		update(func(tx Tx) error { return tx.AddLanes(testStream, []sources.Lane{l}, now) })
	}
	due := func() []LaneState {
		l, err := st.DueLanes(t.Context(), testStream, now.Add(time.Hour), now.Add(2*time.Hour), 10)
		require.NoError(t, err)
		return l
	}
	list(lane)
	require.Len(t, due(), 1)
	done := LaneState{StreamID: testStream, Lane: lane, Cursor: "1:5", Status: LaneDone, Due: now}
	update(func(tx Tx) error { return tx.SetLane(done) })
	require.Empty(t, due())
	list(lane)
	require.Empty(t, due(), "listed again, not read again")
	changed := lane
	changed.Hint = "etag2"
	list(changed)
	require.Len(t, due(), 1)
	require.Empty(t, due()[0].Cursor)
	update(func(tx Tx) error { return tx.SetLane(done) }) // of the reading under the old hint
	require.Len(t, due(), 1, "the new content is still to be read")
	done.Lane = changed
	update(func(tx Tx) error { return tx.SetLane(done) })
	update(func(tx Tx) error {
		n, err := tx.ForgetLanes(testStream, now.Add(time.Second))
		require.Equal(t, int64(1), n)
		return err
	})
}

// A segment is free only when every sink has all its batches.
func TestSegmentsAreFreedLast(t *testing.T) {
	t.Parallel()
	st := testState(t)
	now := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	batches := []*Batch{{ID: "b1"}, {ID: "b2"}}
	require.NoError(t, st.Update(t.Context(), func(tx Tx) error {
		if err := tx.AddSegment("seg", 100); err != nil {
			return err
		}
		for _, b := range batches {
			b.Segment, b.Table, b.Rows, b.Created, b.SchemaVersion = "seg", "activities", 1, now, schemas.Version
			if err := tx.AddBatch(b, []string{"lake", "warehouse"}); err != nil {
				return err
			}
		}
		return nil
	}))
	n := int64(0)
	deliver := func(sink string, b *Batch) (freed []string) {
		n++
		id := sink + b.ID
		require.NoError(t, st.Update(t.Context(), func(tx Tx) error {
			return tx.AddPart(PartState{ID: id, Sink: sink, Table: "activities", N: n, Rows: 1, Created: now}, []Batch{*b})
		}))
		open, err := st.OpenParts(t.Context(), sink, "activities")
		require.NoError(t, err)
		require.Len(t, open, 1)
		require.NoError(t, st.Update(t.Context(), func(tx Tx) (err error) {
			freed, err = tx.FinishPart(id, now)
			return err
		}))
		require.Error(t, st.Update(t.Context(), func(tx Tx) error {
			_, err := tx.FinishPart(id, now)
			return err
		}), "a part is finished once")
		return freed
	}
	require.Empty(t, deliver("lake", batches[0]))
	require.Empty(t, deliver("warehouse", batches[1]))
	require.Empty(t, deliver("lake", batches[1]))
	segments, err := st.Segments(t.Context())
	require.NoError(t, err)
	require.Len(t, segments, 1)
	require.Equal(t, []string{"seg"}, deliver("warehouse", batches[0]))
	segments, err = st.Segments(t.Context())
	require.NoError(t, err)
	require.Empty(t, segments)
}

func TestSpoolDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := openSpool(dir, map[string]int64{})
	require.NoError(t, err)
	b := &Batch{ID: "b1"}
	size, err := s.write("seg", []spooled{{Batch: b, Encoded: schemas.Encoded{Head: []byte("head"), Body: []byte("body")}}})
	require.NoError(t, err)
	got, err := s.load(b)
	require.NoError(t, err)
	require.Equal(t, "headbody", string(got.Head)+string(got.Body))

	name := filepath.Join(dir, "seg"+segmentSuffix)
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	content[len(content)-1] ^= 1
	require.NoError(t, os.WriteFile(name, content, 0o600))
	_, err = s.load(b)
	require.ErrorContains(t, err, "is damaged: its checksum does not match")
	require.NoError(t, os.Truncate(name, 10))
	_, err = s.load(b)
	require.Error(t, err)

	// Unknown segments are of an interrupted commit; one that is not there is told
	// by who needs it.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "orphan"+segmentSuffix), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "half"+tmpSuffix), nil, 0o600))
	_, err = openSpool(dir, map[string]int64{"seg": size})
	require.NoError(t, err)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	s, err = openSpool(dir, map[string]int64{"seg": size, "lost": 5})
	require.NoError(t, err)
	require.Equal(t, size, s.bytes.Load())
	_, err = s.load(&Batch{ID: "b2", Segment: "lost"})
	require.ErrorContains(t, err, "lost.seg is damaged: the file is missing")
}

// What is not needed any more is given back to the file system.
func TestShrink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	st, err := OpenState(t.Context(), dir)
	require.NoError(t, err)
	ctx, now := t.Context(), time.Now()
	require.NoError(t, st.Update(ctx, func(tx Tx) error {
		for hour := range int64(100) {
			if err := tx.AddSeen(testStream, hour, make([]byte, 100*1024), now); err != nil {
				return err
			}
		}
		return nil
	}))
	pages := func() (n, free int64) {
		s := st.(*sqliteState)
		require.NoError(t, s.read.QueryRowContext(ctx, `SELECT page_count, freelist_count FROM pragma_page_count(), pragma_freelist_count()`).Scan(&n, &free))
		return n, free
	}
	full, _ := pages()
	require.NoError(t, st.Update(ctx, func(tx Tx) error {
		for hour := range int64(90) {
			if err := tx.ForgetSeen(testStream, hour); err != nil {
				return err
			}
		}
		return nil
	}))
	n, free := pages()
	require.Equal(t, full, n)
	require.Greater(t, free, full*8/10)
	require.NoError(t, st.Update(ctx, Tx.Shrink))
	n, free = pages()
	require.LessOrEqual(t, n, full/2)
	require.LessOrEqual(t, free, n)
	require.NoError(t, st.Close())
	info, err := os.Stat(filepath.Join(dir, StateFile))
	require.NoError(t, err)
	require.Less(t, info.Size(), full*4096/2)
}
