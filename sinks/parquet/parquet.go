// Package parquet is the sink that writes a directory of Parquet files:
//
//	<path>/<table>/app=<app>/dt=<YYYY-MM-DD>/<part id>.parquet
//	<path>/_weir/parts/<table>/<part id>.json   the part's mark
//	<path>/_weir/owner.json                     who writes here
//	<path>/_tmp/                                files not visible yet
//
// dt is the row's day in UTC. A part is one file for each app and day in it. A
// file appears whole, and then never changes, vanishes or appears twice.
package parquet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"weir/internal/durable"
	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/internal/setting"
	"weir/schemas"
	"weir/sinks"
)

// Driver is the Parquet sink's driver.
var Driver = &sinks.Driver{
	Type: "parquet",
	Doc:  "a local directory of Parquet files",
	Config: func() sinks.Config {
		return &Config{Parts: sinks.Batching{TargetSize: 128e6, MaxDelay: 5 * time.Minute, LateDelay: time.Hour}}
	},
	Open: func(_ context.Context, env sinks.Env, cfg sinks.Config) (sinks.Sink, error) {
		c, ok := cfg.(*Config)
		if !ok {
			return nil, fault.New(fault.Permanent, "parquet: configuration of type %T", cfg)
		}
		return &sink{root: filepath.Clean(c.Path), env: env}, nil
	},
}

// Config is the sink's part of the configuration.
type Config struct {
	Path  string         `key:"path,required" doc:"directory to write to; better not on the volume of data_dir" example:"/srv/lake"`
	Parts sinks.Batching `key:",inline"`
}

// Batching implements sinks.Config.
func (c *Config) Batching() sinks.Batching { return c.Parts }

// Validate implements setting.Struct.
func (c *Config) Validate() []setting.KeyError {
	errs := c.Parts.Validate()
	if c.Path != "" && !filepath.IsAbs(c.Path) {
		errs = append(errs, setting.KeyError{Key: "path", Found: c.Path, Accepted: "an absolute directory"})
	}
	return errs
}

const (
	tmpDir  = "_tmp"
	weirDir = "_weir"
	suffix  = ".parquet"
)

type sink struct {
	root    string
	env     sinks.Env
	attempt atomic.Int64 // makes temporary names differ
}

var _ sinks.Sink = (*sink)(nil)

// Prepare implements sinks.Sink: it makes the folders and removes what earlier
// processes left aside.
func (s *sink) Prepare(_ context.Context, tables []*schemas.Table) error {
	if err := s.refuseForeign(tables); err != nil {
		return err
	}
	dirs := []string{filepath.Join(s.root, tmpDir)}
	for _, t := range tables {
		dirs = append(dirs, filepath.Join(s.root, t.Name), s.marksDir(t.Name))
	}
	for _, d := range dirs {
		if err := durable.MkdirAll(d); err != nil {
			return fmt.Errorf("preparing %s: %w", s.root, err)
		}
	}
	left, err := os.ReadDir(dirs[0])
	if err != nil {
		return fmt.Errorf("preparing %s: %w", s.root, err)
	}
	for _, e := range left {
		if err := os.Remove(filepath.Join(dirs[0], e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("preparing %s: %w", s.root, err)
		}
	}
	return nil
}

// refuseForeign refuses a directory that holds tables Weir did not write.
func (s *sink) refuseForeign(tables []*schemas.Table) error {
	if _, err := os.Stat(filepath.Join(s.root, weirDir, "parts")); err == nil {
		return nil
	}
	for _, t := range tables {
		entries, err := os.ReadDir(filepath.Join(s.root, t.Name))
		if err == nil && len(entries) > 0 {
			return fault.New(fault.Permanent, "%s holds files, and no %s/parts beside them: Weir did not write them, or its marks were removed. Give the sink a directory of its own", filepath.Join(s.root, t.Name), weirDir)
		}
	}
	return nil
}

func (s *sink) ownerFile() string { return filepath.Join(s.root, weirDir, "owner.json") }

// Owner implements sinks.Sink.
func (s *sink) Owner(context.Context) (o sinks.Owner, err error) {
	b, err := os.ReadFile(s.ownerFile())
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err != nil {
		return o, fmt.Errorf("reading the sink's owner: %w", err)
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return o, fault.New(fault.Permanent, "%s is damaged: %w", s.ownerFile(), err)
	}
	return o, nil
}

// SetOwner implements sinks.Sink.
func (s *sink) SetOwner(ctx context.Context, old, new sinks.Owner) error {
	if err := durable.MkdirAll(filepath.Join(s.root, weirDir)); err != nil {
		return fmt.Errorf("writing the sink's owner: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(s.root, weirDir, "owner.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("writing the sink's owner: %w", err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("writing the sink's owner: %w", err)
	}
	now, err := s.Owner(ctx)
	if err != nil {
		return err
	}
	if !now.Equal(old) {
		return sinks.ErrOwnerChanged
	}
	b, err := json.Marshal(new)
	if err != nil {
		return err
	}
	return durable.WriteFile(s.ownerFile(), b, durable.Points{})
}

// Close implements sinks.Sink.
func (s *sink) Close() error { return nil }

// stagedPart is a part whose files lie aside, complete and on the disk.
type stagedPart struct {
	s       *sink
	mark    Mark
	tmp     []string // by mark.Files; "" when the file is visible already
	repeat  bool
	renamed bool
}

// Stage implements sinks.Sink: it writes the part's files aside.
func (s *sink) Stage(ctx context.Context, p *sinks.Part) (sinks.Staged, error) {
	if m, err := readMark(s.markFile(p.Table.Name, p.ID)); err == nil {
		if m.Rows != p.Rows || m.Part != p.ID {
			return nil, fault.New(fault.Permanent, "the mark of part %s says %d rows, its plan %d: somebody else wrote it", p.ID, m.Rows, p.Rows)
		}
		return &stagedPart{s: s, mark: m, repeat: true}, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	slices, err := split(p)
	if err != nil {
		return nil, err
	}
	st := &stagedPart{s: s, mark: newMark(p), tmp: make([]string, len(slices))}
	st.mark.Files = make([]MarkFile, len(slices))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for i, sl := range slices {
		g.Go(func() (err error) {
			st.mark.Files[i], st.tmp[i], err = s.stageFile(ctx, p, sl)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(fmt.Errorf("writing part %s of %s: %w", p.ID, p.Table.Name, err), st.Discard())
	}
	return st, nil
}

// stageFile writes one file aside, unless it is visible already.
func (s *sink) stageFile(ctx context.Context, p *sinks.Part, sl fileSlice) (MarkFile, string, error) {
	rel := filepath.Join(p.Table.Name, "app="+sl.app, "dt="+sl.day(), p.ID+suffix)
	final := filepath.Join(s.root, rel)
	mf := MarkFile{Path: filepath.ToSlash(rel), Rows: sl.rows}
	if _, err := os.Stat(final); err == nil {
		err := verify(final, p.ID, &mf)
		return mf, "", err
	}
	tmp := filepath.Join(s.root, tmpDir, fmt.Sprintf("%s-%s-%s-%d%s", p.ID, sl.app, sl.day(), s.attempt.Add(1), suffix))
	f, err := durable.Create(tmp, durable.Points{Write: failpoint.PartWrite, Sync: failpoint.PartSync})
	if err != nil {
		return mf, "", err
	}
	if err := encode(ctx, f, s.env.Version, p, sl, &mf); err != nil {
		return mf, "", errors.Join(err, f.Discard())
	}
	if err := f.Sync(); err != nil {
		return mf, "", errors.Join(err, f.Discard())
	}
	return mf, tmp, f.Close()
}

// Commit implements sinks.Staged: it makes the files visible and marks the part.
func (st *stagedPart) Commit(context.Context) (sinks.Receipt, error) {
	r := sinks.Receipt{Repeat: st.repeat}
	if st.repeat {
		return r, nil
	}
	for i, f := range st.mark.Files {
		r.Bytes += f.Bytes
		r.Files++
		if st.tmp[i] == "" {
			continue
		}
		final := filepath.Join(st.s.root, filepath.FromSlash(f.Path))
		if err := durable.MkdirAll(filepath.Dir(final)); err != nil {
			return r, err
		}
		if _, err := os.Lstat(final); err == nil {
			return r, fault.New(fault.Permanent, "%s is there already, and this part has not written it: somebody else writes this directory", final)
		}
		if err := durable.Rename(st.tmp[i], final, failpoint.PartRename); err != nil {
			return r, fmt.Errorf("part %s: %w", st.mark.Part, err)
		}
		st.tmp[i] = ""
	}
	b, err := json.MarshalIndent(st.mark, "", " ")
	if err != nil {
		return r, err
	}
	if err := durable.WriteFile(st.s.markFile(st.mark.Table, st.mark.Part), append(b, '\n'), durable.Points{Write: failpoint.PartMark}); err != nil {
		return r, fmt.Errorf("marking part %s: %w", st.mark.Part, err)
	}
	return r, nil
}

// Discard implements sinks.Staged. Files that are visible stay.
func (st *stagedPart) Discard() error {
	var errs []error
	for _, tmp := range st.tmp {
		if tmp == "" {
			continue
		}
		if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *sink) marksDir(table string) string {
	return filepath.Join(s.root, weirDir, "parts", table)
}

func (s *sink) markFile(table, part string) string {
	return filepath.Join(s.marksDir(table), part+".json")
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
	var out []fileSlice
	index := map[string]int{}
	add := func(b int, day, from, to int64) {
		app := p.Batches[b].App
		key := fmt.Sprintf("%s/%d", app, day)
		i, ok := index[key]
		if !ok {
			i = len(out)
			index[key] = i
			out = append(out, fileSlice{app: app, date: day})
		}
		out[i].rows += to - from
		out[i].spans = append(out[i].spans, span{b, from, to})
	}
	for i, b := range p.Batches {
		if strings.ContainsAny(b.App, "/\\") || b.App == "" || b.App == ".." {
			return nil, fault.New(fault.Permanent, "batch %s has the app %q", b.ID, b.App)
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
	return out, nil
}

func dayOf(t schemas.Time) int64 { return int64(t) / 86_400_000 }
