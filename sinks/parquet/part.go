package parquet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/internal/durable"
	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

// filesAtOnce is how many files of a part are written at a time. Each holds up
// to one row group, compressed.
const filesAtOnce = 2

// stagedPart is a part whose files lie aside, complete and on the disk.
type stagedPart struct {
	s      *sink
	mark   Mark
	tmp    []string // by mark.Files; "" when the file is visible already
	repeat bool     // its mark is there: all is done
}

// Stage implements sinks.Sink: it writes the part's files aside.
func (s *sink) Stage(ctx context.Context, p *sinks.Part) (sinks.Staged, error) {
	st := &stagedPart{s: s, mark: newMark(p)}
	switch m, err := readMark(s.markFile(p.Table.Name, p.ID)); {
	case err == nil && m.samePart(st.mark):
		st.mark, st.repeat = m, true
		return st, nil
	case err == nil:
		return nil, fault.New(fault.Permanent, "part %s of %s is marked already, with other batches than its plan has: somebody else writes this directory", p.ID, p.Table.Name)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	slices, err := split(p)
	if err != nil {
		return nil, fmt.Errorf("writing part %s of %s: %w", p.ID, p.Table.Name, err)
	}
	st.mark.Files, st.tmp = make([]MarkFile, len(slices)), make([]string, len(slices))
	g, each := errgroup.WithContext(ctx)
	g.SetLimit(filesAtOnce)
	for i, sl := range slices {
		g.Go(func() (err error) {
			st.mark.Files[i], st.tmp[i], err = s.stageFile(each, p, sl)
			return err
		})
	}
	if err := cmp.Or(g.Wait(), ctx.Err()); err != nil {
		return nil, errors.Join(fmt.Errorf("writing part %s of %s: %w", p.ID, p.Table.Name, err), st.Discard())
	}
	return st, nil
}

// stageFile writes one file aside, unless it is visible already.
func (s *sink) stageFile(ctx context.Context, p *sinks.Part, sl fileSlice) (mf MarkFile, tmp string, err error) {
	mf = MarkFile{Path: path.Join(p.Table.Name, "app="+sl.app, "dt="+sl.day(), p.ID+fileSuffix), Rows: sl.rows}
	if err := verify(s.file(mf), p.ID, &mf); !errors.Is(err, fs.ErrNotExist) {
		return mf, "", err
	}
	f, tmp, err := s.create(p.ID, sl.app+"-"+sl.day(), fileSuffix, durable.Points{Write: failpoint.PartWrite, Sync: failpoint.PartSync})
	if err != nil {
		return mf, "", err
	}
	if err = s.encode(ctx, f, p, sl, &mf); err == nil {
		err = f.Sync()
	}
	if err != nil {
		return mf, "", errors.Join(err, s.discard(f, tmp))
	}
	return mf, tmp, f.Close()
}

func (s *sink) file(mf MarkFile) string { return filepath.Join(s.root, filepath.FromSlash(mf.Path)) }

// Commit implements sinks.Staged: it makes the files visible and marks the
// part.
func (st *stagedPart) Commit(context.Context) (r sinks.Receipt, err error) {
	defer func() {
		if err != nil {
			st.s.made.Clear() // a folder may have been removed by others
			err = fmt.Errorf("publishing part %s of %s: %w", st.mark.Part, st.mark.Table, err)
		}
	}()
	if st.repeat {
		// Whoever wrote the mark may have died before its name was durable.
		return sinks.Receipt{Repeat: true}, durable.SyncDir(st.s.marksDir(st.mark.Table))
	}
	for i, f := range st.mark.Files {
		if err := st.publish(i); err != nil {
			return r, err
		}
		r.Bytes += f.Bytes
		r.Files++
	}
	return r, st.s.writeMark(st.mark)
}

// publish gives one file its final name.
func (st *stagedPart) publish(i int) error {
	final := st.s.file(st.mark.Files[i])
	if err := st.s.makeDir(filepath.Dir(final)); err != nil {
		return err
	}
	switch err := verify(final, st.mark.Part, &st.mark.Files[i]); {
	case err == nil:
		// An earlier attempt may have died before the name was durable.
		return errors.Join(st.drop(i), durable.SyncDir(filepath.Dir(final)))
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case st.tmp[i] == "":
		return fmt.Errorf("%s was there, and has been removed by somebody", final) // the next Stage writes it again
	}
	if err := durable.Rename(st.tmp[i], final, failpoint.PartRename); err != nil {
		return err
	}
	st.s.live.Delete(st.tmp[i])
	st.tmp[i] = ""
	return nil
}

func (s *sink) writeMark(m Mark) error {
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	f, tmp, err := s.create(m.Part, "mark", markSuffix, durable.Points{Write: failpoint.PartMark, Sync: failpoint.MarkSync, Rename: failpoint.MarkRename})
	if err != nil {
		return err
	}
	if _, err := f.Write(append(b, '\n')); err != nil {
		return errors.Join(err, s.discard(f, tmp))
	}
	defer s.live.Delete(tmp)
	return f.Publish(s.markFile(m.Table, m.Part))
}

// Discard implements sinks.Staged. Files that are visible stay.
func (st *stagedPart) Discard() error {
	var errs []error
	for i := range st.tmp {
		errs = append(errs, st.drop(i))
	}
	return errors.Join(errs...)
}

// drop removes one file that lies aside, if it still does.
func (st *stagedPart) drop(i int) error {
	tmp := st.tmp[i]
	if tmp == "" {
		return nil
	}
	st.tmp[i] = ""
	st.s.live.Delete(tmp)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// fileSlice is what one file of a part holds.
type fileSlice struct {
	app   string
	date  int64 // days since 1970
	rows  int64
	spans []span
}

// span is consecutive rows of a batch.
type span struct {
	batch    int
	from, to int64
}

func (f fileSlice) day() string {
	return time.Unix(f.date*86_400, 0).UTC().Format(time.DateOnly)
}

// split sorts a part's rows into files. Batches of one day, nearly all, are
// not opened for it.
func split(p *sinks.Part) ([]fileSlice, error) {
	type key struct {
		app string
		day int64
	}
	var out []fileSlice
	index := map[key]int{}
	add := func(b int, day, from, to int64) {
		k := key{p.Batches[b].App, day}
		i, ok := index[k]
		if !ok {
			i = len(out)
			index[k] = i
			out = append(out, fileSlice{app: k.app, date: day})
		}
		out[i].rows += to - from
		out[i].spans = append(out[i].spans, span{b, from, to})
	}
	for i, b := range p.Batches {
		if b.App == "" || strings.ContainsAny(b.App, "/\\\x00") {
			return nil, fault.New(fault.Permanent, "batch %s has the app %q", b.ID, b.App)
		}
		if b.Rows == 0 {
			continue
		}
		first, last := dayOf(b.MinTime), dayOf(b.MaxTime)
		if first == last {
			add(i, first, 0, b.Rows)
			continue
		}
		if err := splitDays(p, i, add); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b fileSlice) int { return cmp.Or(cmp.Compare(a.app, b.app), cmp.Compare(a.date, b.date)) })
	return out, nil
}

func dayOf(t schemas.Time) int64 { return int64(t) / 86_400_000 }
