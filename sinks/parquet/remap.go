package parquet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"weir/internal/durable"
	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

// remapFile says, in the root that a re-mapping writes, what it is of.
const remapFile = "remap.json"

type remapOrigin struct {
	ID   string `json:"id"`
	From string `json:"from"` // the root whose rows these are
}

// remap is one re-mapping at work: part by part, in their order, into another
// root. A part keeps its id, its place in the chain and its batches; only in
// which day's file its rows are may change. What needs no change is linked.
type remap struct {
	s, to   *sink
	r       *sinks.Remap
	tables  []*schemas.Table
	builder *schemas.Builder
}

var _ sinks.Remapper = (*sink)(nil)

// Remap implements sinks.Remapper.
func (s *sink) Remap(ctx context.Context, r *sinks.Remap) error {
	m := &remap{s: s, r: r, builder: schemas.NewBuilder(r.Table)}
	if r.DryRun {
		return m.look(ctx)
	}
	if err := m.open(ctx); err != nil {
		return err
	}
	if err := m.follow(ctx); err != nil {
		return err
	}
	release, err := r.Alone()
	if err != nil {
		r.Log("%s holds all parts up to now. The agent is running (%v): stop it and call this again, to bring over the rest and let the sink move", r.Path, err)
		return nil
	}
	defer release()
	if err := m.follow(ctx); err != nil {
		return err
	}
	if err := m.takeOver(ctx); err != nil {
		return err
	}
	r.Log("%s holds everything, and is the sink's own: set its path to that directory before the agent starts again", r.Path)
	return nil
}

// look shows all rows, and writes nothing.
func (m *remap) look(ctx context.Context) error {
	marks, err := ReadMarks(m.s.root, m.r.Table.Name)
	if err != nil {
		return err
	}
	for _, mark := range marks {
		for _, f := range mark.Files {
			if !m.inSpan(f) {
				continue
			}
			if err := m.read(ctx, f, func([]schemas.Envelope, *schemas.Rows) error { return nil }); err != nil {
				return err
			}
		}
	}
	return nil
}

// inSpan says whether a file may hold rows of the span.
func (m *remap) inSpan(f MarkFile) bool { return f.MaxTime >= m.r.From && f.MinTime < m.r.To }

// open prepares the new root, or refuses one of something else.
func (m *remap) open(ctx context.Context) error {
	if m.r.Path == "" {
		return fault.New(fault.Permanent, "a Parquet sink's files never change: say with --to-path which new directory gets the rows made anew")
	}
	to, err := filepath.Abs(m.r.Path)
	if err != nil {
		return err
	}
	if inside(to, m.s.root) || inside(m.s.root, to) {
		return fault.New(fault.Permanent, "%s and %s lie in one another: a reader of one would see rows twice", to, m.s.root)
	}
	c := m.s.config
	c.Path = to
	m.to = newSink(c, sinks.Env{Version: m.s.version})
	origin := remapOrigin{m.r.ID, m.s.root}
	name := filepath.Join(to, weirDir, remapFile)
	switch b, err := os.ReadFile(name); {
	case err == nil:
		var found remapOrigin
		if err := json.Unmarshal(b, &found); err != nil || found != origin {
			return fault.New(fault.Permanent, "%s holds another re-mapping (%s of %s, this is %s of %s): the span, the configuration or the version is another. Remove that directory, or give another one", to, found.ID, found.From, origin.ID, origin.From)
		}
	case errors.Is(err, fs.ErrNotExist):
		entries, err := os.ReadDir(to)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if e.Name() != weirDir {
				return fault.New(fault.Permanent, "%s is not empty: a re-mapping needs a directory of its own", to)
			}
		}
		if err := m.to.makeDir(filepath.Join(to, weirDir)); err != nil {
			return err
		}
		b, err := json.Marshal(origin)
		if err != nil {
			return err
		}
		if err := durable.WriteFile(name, append(b, '\n'), durable.Points{}); err != nil {
			return err
		}
	default:
		return err
	}
	for _, t := range schemas.Tables() {
		m.tables = append(m.tables, t)
		if c := t.Snapshot(); c != nil {
			m.tables = append(m.tables, c)
		}
	}
	return m.to.Prepare(ctx, m.tables)
}

func inside(dir, root string) bool {
	rel, err := filepath.Rel(root, dir)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// follow brings over all parts that are marked and not there yet.
func (m *remap) follow(ctx context.Context) error {
	for _, t := range m.tables {
		marks, err := ReadMarks(m.s.root, t.Name)
		if err != nil {
			return err
		}
		for _, mark := range marks {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := m.part(ctx, t, mark); err != nil {
				return fmt.Errorf("part %s of %s: %w", mark.Part, t.Name, err)
			}
		}
	}
	return nil
}

func (m *remap) part(ctx context.Context, t *schemas.Table, mark Mark) error {
	switch done, err := readMark(m.to.markFile(t.Name, mark.Part)); {
	case err == nil:
		return m.there(mark, done)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	touched := false
	for _, f := range mark.Files {
		touched = touched || t == m.r.Table && m.inSpan(f)
	}
	if !touched {
		return m.link(mark)
	}
	return m.remake(ctx, mark)
}

// there checks a part that an earlier call has brought over.
func (m *remap) there(old, done Mark) error {
	if !done.samePart(old) {
		return fault.New(fault.Permanent, "%s holds it with other batches", m.to.root)
	}
	for _, f := range done.Files {
		info, err := os.Stat(m.to.file(f))
		if err != nil {
			return err
		}
		if info.Size() != f.Bytes {
			return fault.New(fault.Permanent, "%s has %d bytes, its mark says %d", m.to.file(f), info.Size(), f.Bytes)
		}
	}
	return nil
}

// link brings a part over as it is.
func (m *remap) link(mark Mark) error {
	for _, f := range mark.Files {
		to := m.to.file(f)
		if err := m.to.makeDir(filepath.Dir(to)); err != nil {
			return err
		}
		err := os.Link(m.s.file(f), to)
		switch {
		case errors.Is(err, fs.ErrExist):
			err = check(to, f) // an earlier call's, whose mark was not written
		case err != nil: // another file system
			err = m.copy(mark, f)
		}
		if err == nil {
			err = durable.SyncDir(filepath.Dir(to))
		}
		if err != nil {
			return err
		}
	}
	return m.to.writeMark(mark)
}

func (m *remap) copy(mark Mark, f MarkFile) (err error) {
	in, err := os.Open(m.s.file(f))
	if err != nil {
		return err
	}
	defer in.Close()
	out, tmp, err := m.to.create(mark.Part, "copy", fileSuffix, durable.Points{Write: failpoint.PartWrite, Sync: failpoint.PartSync, Rename: failpoint.PartRename})
	if err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(out, sum), in); err != nil {
		return errors.Join(err, m.to.discard(out, tmp))
	}
	if hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return errors.Join(damaged(m.s.file(f)), m.to.discard(out, tmp))
	}
	defer m.to.live.Delete(tmp)
	return out.Publish(m.to.file(f))
}

func damaged(name string) error {
	return fault.New(fault.Permanent, "%s is damaged: its content has not the SHA-256 that its mark says", name)
}

// check compares a file with its mark.
func check(name string, f MarkFile) error {
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, in); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return damaged(name)
	}
	return nil
}

// takeOver gives the new root what is of the sink and not of a part: which days
// are complete, and who writes it.
func (m *remap) takeOver(ctx context.Context) error {
	days := filepath.Join(m.s.root, weirDir, "days")
	entries, err := os.ReadDir(days)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), markSuffix) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(days, e.Name()))
		if err != nil {
			return err
		}
		to := filepath.Join(m.to.root, weirDir, "days")
		if err := m.to.makeDir(to); err != nil {
			return err
		}
		if err := durable.WriteFile(filepath.Join(to, e.Name()), b, durable.Points{}); err != nil {
			return err
		}
	}
	mine, err := m.s.Owner(ctx)
	if err != nil {
		return err
	}
	have, err := m.to.Owner(ctx)
	if err != nil || have.Equal(mine) {
		return err
	}
	return m.to.SetOwner(ctx, have, mine)
}
