package parquet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

func TestLayoutAndMark(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := open(t, root)
	p := threeDays(t, 1, "")
	r := deliver(t, s, p)
	require.Equal(t, 5, r.Files)
	require.False(t, r.Repeat)

	marks, err := ReadMarks(root, "activities")
	require.NoError(t, err)
	require.Len(t, marks, 1)
	m := marks[0]
	require.Equal(t, p.Rows, m.Rows)
	require.Equal(t, schemas.Version, m.SchemaVersion)
	for i, b := range p.Batches {
		require.Equal(t, MarkBatch{b.ID, b.Instance, b.Rows}, m.Batches[i])
	}
	var paths []string
	var size int64
	for _, f := range m.Files {
		paths = append(paths, f.Path)
		b, err := os.ReadFile(filepath.Join(root, f.Path))
		require.NoError(t, err)
		sum := sha256.Sum256(b)
		require.Equal(t, hex.EncodeToString(sum[:]), f.SHA256)
		require.EqualValues(t, len(b), f.Bytes)
		size += f.Bytes
		require.LessOrEqual(t, f.MinTime, f.MaxTime)
		require.Equal(t, dayOf(f.MinTime), dayOf(f.MaxTime))
		require.Contains(t, f.Path, "/dt="+fileSlice{date: dayOf(f.MinTime)}.day()+"/")

		r, err := file.NewParquetReader(bytes.NewReader(b))
		require.NoError(t, err)
		require.Equal(t, f.Rows, r.NumRows())
		meta := r.MetaData()
		require.Equal(t, p.ID, *meta.KeyValueMetadata().FindValue("weir.part"))
		require.Equal(t, fmt.Sprint(f.Rows), *meta.KeyValueMetadata().FindValue("weir.rows"))
		require.Equal(t, "activities", *meta.KeyValueMetadata().FindValue("weir.table"))
		require.Nil(t, meta.KeyValueMetadata().FindValue("ARROW:schema"))
		require.Equal(t, "weir version 1.2.3", meta.GetCreatedBy())
	}
	require.Equal(t, size, r.Bytes)
	want := func(app string, d int) string {
		return "activities/app=" + app + "/dt=" + day(d) + "/" + p.ID + ".parquet"
	}
	require.Equal(t, []string{want("aws", 0), want("aws", 1), want("aws", 2), want("okta", 0), want("okta", 1)}, paths)
	require.Len(t, visible(t, root), 5+1, "nothing else is there")
	entries, err := os.ReadDir(filepath.Join(root, tmpDir))
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestSameBytesEveryTime(t *testing.T) {
	t.Parallel()
	var first map[string]string
	for range 4 {
		root := t.TempDir()
		deliver(t, open(t, root), threeDays(t, 1, ""))
		if first == nil {
			first = visible(t, root)
		}
		require.Equal(t, first, visible(t, root))
	}
}

// A process that dies after any number of steps is followed by one that stages
// and commits the part anew: what was visible stays as it was, the rest comes.
func TestDiesAnywhere(t *testing.T) {
	t.Parallel()
	whole := t.TempDir()
	deliver(t, open(t, whole), threeDays(t, 1, ""))
	want := visible(t, whole)
	for steps := range 7 { // five files, then the mark
		root := t.TempDir()
		p := threeDays(t, 1, "")
		staged, err := open(t, root).Stage(t.Context(), p)
		require.NoError(t, err)
		st, ok := staged.(*stagedPart)
		require.True(t, ok)
		for i := range min(steps, 5) {
			require.NoError(t, st.publish(i))
		}
		if steps == 6 {
			require.NoError(t, st.s.writeMark(st.mark))
		}
		before := inodes(t, root)

		var loads atomic.Int64
		for i := range p.Batches {
			load := p.Batches[i].Load
			p.Batches[i].Load = func() (schemas.Encoded, error) { loads.Add(1); return load() }
		}
		s := open(t, root)
		r := deliver(t, s, p)
		require.Equal(t, steps == 6, r.Repeat)
		require.Equal(t, want, tree(t, root), "after %d steps", steps)
		after := inodes(t, root)
		for name, inode := range before {
			require.Equal(t, inode, after[name], "%s was written again", name)
		}
		if steps == 6 {
			require.Zero(t, loads.Load(), "a marked part is not encoded again")
		}
		require.True(t, deliver(t, s, p).Repeat)
		require.Equal(t, want, tree(t, root))
	}
}

// inodes tells a file from another one with the same bytes.
func inodes(t *testing.T, root string) map[string]uint64 {
	out := map[string]uint64{}
	for name := range visible(t, root) {
		info, err := os.Stat(filepath.Join(root, name))
		require.NoError(t, err)
		st, ok := info.Sys().(*syscall.Stat_t)
		require.True(t, ok)
		out[name] = st.Ino
	}
	return out
}

func TestCommitAgain(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := open(t, root)
	p := threeDays(t, 1, "")
	// Something in the way of the third file fails the first attempt.
	staged, err := s.Stage(t.Context(), p)
	require.NoError(t, err)
	app := filepath.Join(root, "activities", "app=aws")
	require.NoError(t, os.Mkdir(app, 0o700))
	obstacle := filepath.Join(app, "dt="+day(2))
	require.NoError(t, os.WriteFile(obstacle, nil, 0o600))
	_, err = staged.Commit(t.Context())
	require.Error(t, err)
	require.Equal(t, fault.Transient, fault.Of(err))
	require.NoError(t, os.Remove(obstacle))
	r, err := staged.Commit(t.Context())
	require.NoError(t, err)
	require.Equal(t, 5, r.Files)
	marks, err := ReadMarks(root, "activities")
	require.NoError(t, err)
	require.Equal(t, p.Rows, marks[0].Rows)
}

func TestTwoStagedAtOnce(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := open(t, root)
	p := threeDays(t, 1, "")
	a, err := s.Stage(t.Context(), p)
	require.NoError(t, err)
	b, err := s.Stage(t.Context(), p)
	require.NoError(t, err)
	_, err = a.Commit(t.Context())
	require.NoError(t, err)
	before := inodes(t, root)
	_, err = b.Commit(t.Context())
	require.NoError(t, err, "files that appeared meanwhile are verified")
	after := inodes(t, root)
	for name := range before {
		if strings.HasSuffix(name, fileSuffix) {
			require.Equal(t, before[name], after[name])
		}
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := open(t, root)
	staged, err := s.Stage(t.Context(), threeDays(t, 1, ""))
	require.NoError(t, err)
	require.NoError(t, staged.Discard())
	require.Empty(t, tree(t, root))
	require.NoError(t, staged.Discard())
}

func TestForeignFileInTheWay(t *testing.T) {
	t.Parallel()
	other := t.TempDir()
	deliver(t, open(t, other), &newBuilder(t, "activities", 2, "").add("aws", events(1, 5, 0)).part)
	b, err := os.ReadFile(filepath.Join(other, "activities", "app=aws", "dt="+day(0), partID(2)+fileSuffix))
	require.NoError(t, err)
	for name, content := range map[string][]byte{"another part": b, "not Parquet": []byte("hello"), "empty": {}, "cut off": b[:len(b)/2]} {
		root := t.TempDir()
		s := open(t, root)
		p := &newBuilder(t, "activities", 1, "").add("aws", events(1, 5, 0)).part
		final := filepath.Join(root, "activities", "app=aws", "dt="+day(0), p.ID+fileSuffix)
		require.NoError(t, os.MkdirAll(filepath.Dir(final), 0o700))
		staged, err := s.Stage(t.Context(), p)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(final, content, 0o600))
		_, err = staged.Commit(t.Context())
		require.ErrorContains(t, err, "Somebody else writes this directory", name)
		require.Equal(t, fault.Permanent, fault.Of(err))
		_, err = s.Stage(t.Context(), p)
		require.Equal(t, fault.Permanent, fault.Of(err), name)
		got, err := os.ReadFile(final)
		require.NoError(t, err)
		require.Equal(t, content, append([]byte{}, got...), "it is left alone")
	}
}

func TestForeignMark(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := open(t, root)
	p := threeDays(t, 1, "")
	deliver(t, s, p)
	other := *p
	other.Batches = append([]sinks.Batch{}, p.Batches...)
	other.Batches[0].ID = "another"
	_, err := s.Stage(t.Context(), &other)
	require.ErrorContains(t, err, "is marked already, with other batches")
	require.Equal(t, fault.Permanent, fault.Of(err))
}

func TestBatchesThatLie(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(b *sinks.Batch){
		"holds 40 rows, the state says 41": func(b *sinks.Batch) { b.Rows = 41 },
		"decoding a batch of activities":   func(b *sinks.Batch) { b.Load = func() (schemas.Encoded, error) { return schemas.Encoded{}, nil } },
		"no such segment": func(b *sinks.Batch) {
			b.Load = func() (schemas.Encoded, error) {
				return schemas.Encoded{}, fault.New(fault.Permanent, "no such segment")
			}
		},
		"the app": func(b *sinks.Batch) { b.App = "../aws" },
	} {
		root := t.TempDir()
		p := threeDays(t, 1, "")
		f(&p.Batches[0])
		_, err := open(t, root).Stage(t.Context(), p)
		require.ErrorContains(t, err, name)
		require.Equal(t, fault.Permanent, fault.Of(err), name)
		require.Empty(t, tree(t, root), "nothing stays aside")
	}
}

func TestStageStops(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	p := threeDays(t, 1, "")
	load := p.Batches[3].Load
	p.Batches[3].Load = func() (schemas.Encoded, error) {
		cancel()
		return load()
	}
	_, err := open(t, root).Stage(ctx, p)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, tree(t, root))
}

// A folder that a retention job removes is made again.
func TestFolderRemoved(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := open(t, root)
	deliver(t, s, threeDays(t, 1, ""))
	require.NoError(t, os.RemoveAll(filepath.Join(root, "activities", "app=aws")))
	p := threeDays(t, 2, partID(1))
	staged, err := s.Stage(t.Context(), p)
	require.NoError(t, err)
	if _, err = staged.Commit(t.Context()); err != nil {
		require.Equal(t, fault.Transient, fault.Of(err))
		require.NoError(t, staged.Discard())
		deliver(t, s, p)
	}
	marks, err := ReadMarks(root, "activities")
	require.NoError(t, err)
	require.Len(t, marks, 2)
	require.True(t, deliver(t, s, threeDays(t, 1, "")).Repeat, "a marked part does not come back")
}

// A file that was damaged since it was marked is an error to whoever reads it
// again, and nothing of it is taken.
func TestDamagedFileIsNotRead(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	lake := open(t, root)
	p := threeDays(t, 1, "")
	deliver(t, lake, p)
	marks, err := ReadMarks(root, "activities")
	require.NoError(t, err)
	name := lake.file(marks[0].Files[0])
	whole, err := os.ReadFile(name)
	require.NoError(t, err)
	read := func() (rows int, err error) {
		one := lake.ReadPart(t.Context(), p.Table, p.ID, func(string, *schemas.Chunk) error {
			rows++
			return nil
		})
		_, two := lake.Held(t.Context(), sinks.HeldQuery{Table: p.Table}, func(sinks.HeldRow) error {
			rows++
			return nil
		})
		if one == nil || two == nil {
			return rows, nil
		}
		return rows, one
	}
	rows, err := read()
	require.NoError(t, err)
	require.Positive(t, rows)
	for at := 0; at < len(whole); at += 1 + len(whole)/50 {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x55
		for _, content := range [][]byte{damaged, whole[:at]} {
			require.NoError(t, os.WriteFile(name, content, 0o600))
			rows, err := read()
			require.ErrorContains(t, err, name, at)
			require.Equal(t, fault.Permanent, fault.Of(err))
			require.Zero(t, rows)
			// Nor does it end the process where nobody looks first.
			_ = readFile(t.Context(), name, nil, readRows, func(arrow.RecordBatch) error { return nil })
		}
	}
	require.NoError(t, os.WriteFile(name, whole, 0o600))
	require.NoError(t, os.Remove(name))
	_, err = read()
	require.ErrorContains(t, err, name)
}
