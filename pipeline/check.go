package pipeline

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"weir/internal/fault"
)

// CheckState looks for damage in a state and its spool, and changes nothing. It
// returns what it found, a sentence each. An agent may run meanwhile.
func CheckState(ctx context.Context, dataDir string) (found []string, err error) {
	st, err := ReadState(ctx, dataDir)
	if fault.Of(err) == fault.Permanent {
		return []string{err.Error()}, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	s, ok := st.(*sqliteState)
	if !ok {
		return nil, fmt.Errorf("state of type %T", st)
	}
	lines, err := query(ctx, s.read, scanOne[string], `PRAGMA quick_check(20)`)
	if err != nil {
		return nil, damaged(filepath.Join(dataDir, StateFile), err)
	}
	for _, l := range lines {
		if l != "ok" {
			found = append(found, StateFile+": "+l)
		}
	}
	letters, err := s.FindDead(ctx, DeadFilter{})
	if err != nil {
		return append(found, err.Error()), nil //nolint:nilerr // it is what was looked for
	}
	for _, d := range letters {
		if d.File == "" {
			continue
		}
		// One that is not known any more was replayed or dropped meanwhile.
		if _, err := LoadDead(ctx, s, dataDir, d.ID); err != nil && !isDeclined(err) {
			if _, e := s.DeadLetter(ctx, d.ID); !isDeclined(e) {
				found = append(found, fmt.Sprintf("dead letter %s: %v", d.ID, err))
			}
		}
		if ctx.Err() != nil {
			return found, context.Cause(ctx)
		}
	}
	batches, err := s.batches(ctx)
	if err != nil {
		return append(found, err.Error()), nil //nolint:nilerr // it is what was looked for
	}
	sp := &spool{dir: filepath.Join(dataDir, spoolDir)}
	for i := range batches {
		if _, err := sp.load(&batches[i]); err != nil {
			if still, e := s.batchThere(ctx, batches[i].Seq); e == nil && !still {
				continue // delivered meanwhile
			}
			found = append(found, lost(batches[i])+": "+err.Error())
		}
		if ctx.Err() != nil {
			return found, context.Cause(ctx)
		}
	}
	return found, nil
}

func (s *sqliteState) batches(ctx context.Context) ([]Batch, error) {
	return query(ctx, s.read, func(r *sql.Rows) (Batch, error) { return scanBatch(r) }, `SELECT `+batchColumns+` FROM batches b ORDER BY b.seq`)
}

func (s *sqliteState) batchThere(ctx context.Context, seq int64) (there bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM batches WHERE seq = ?)`, seq).Scan(&there)
	return there, err
}

// lost words what a batch held.
func lost(b Batch) string {
	return fmt.Sprintf("%d rows of %s of %s, of %s to %s", b.Rows, b.Table, b.Instance, time.UnixMilli(int64(b.MinTime)).UTC().Format(timeFormat), time.UnixMilli(int64(b.MaxTime)).UTC().Format(timeFormat))
}

const timeFormat = "2006-01-02T15:04:05Z"

// DataFiles sums the files of a data directory by what they are.
func DataFiles(dataDir string) (out []KindSize, err error) {
	kinds := []string{StateFile, StateFile + "-wal", spoolDir, deadDir, vaultDir, "other"}
	sums := map[string]*KindSize{}
	for _, k := range kinds {
		sums[k] = &KindSize{Kind: k}
	}
	err = filepath.WalkDir(dataDir, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone meanwhile
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dataDir, name)
		if err != nil {
			return err
		}
		kind, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
		k := sums[kind]
		if k == nil {
			k = sums["other"]
		}
		k.Rows++
		k.Bytes += info.Size()
		return nil
	})
	for _, k := range kinds {
		if sums[k].Rows > 0 {
			out = append(out, *sums[k])
		}
	}
	return out, err
}
