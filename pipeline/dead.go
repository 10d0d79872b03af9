package pipeline

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"weir/internal/buildinfo"
	"weir/internal/durable"
	"weir/internal/fault"
	"weir/schemas"
)

// Dead letters are kept whole: small ones in the state, big ones as files of
// their own, compressed, in data_dir/dead.
const (
	deadDir     = "dead"
	deadSuffix  = ".zst"
	maxDeadText = 16 << 10 // bytes of a dead letter that the state holds
	maxDead     = 1 << 30  // bytes of a dead letter, uncompressed
	keepDropped = 90 * 24 * time.Hour
)

// deadBox is where dead letters are put. They may take up to limit bytes: what
// would need one more has to wait.
type deadBox struct {
	dir   string
	limit int64 // 0: none

	mu    sync.Mutex
	bytes int64
}

// full is why no more dead letters may be kept; nil when they may.
func (b *deadBox) full() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit == 0 || b.bytes < b.limit {
		return nil
	}
	return fault.New(fault.Transient, "dead letters take %d MB, dead_limit is %d MB: what cannot be taken has to wait. Look at `weir deadletter list`, and replay or drop some", b.bytes>>20, b.limit>>20)
}

func (b *deadBox) add(n int64) {
	b.mu.Lock()
	b.bytes += n
	b.mu.Unlock()
}

// size is what a dead letter counts for the limit.
func (d *DeadLetter) size() int64 { return d.Bytes + int64(len(d.Reason)) + 200 }

// openDead removes files that no dead letter is in: those of an interrupted
// commit.
func openDead(ctx context.Context, st State, dataDir string, limit int64) (*deadBox, error) {
	b := &deadBox{dir: filepath.Join(dataDir, deadDir), limit: limit}
	if err := durable.MkdirAll(b.dir); err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	known, err := st.DeadFiles(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	for _, e := range entries {
		ours := strings.HasSuffix(e.Name(), deadSuffix) || strings.HasSuffix(e.Name(), tmpSuffix)
		if ours && !known[e.Name()] {
			if err := os.Remove(filepath.Join(b.dir, e.Name())); err != nil {
				return nil, fmt.Errorf("dead letters: %w", err)
			}
		}
	}
	b.bytes, err = st.DeadBytes(ctx)
	return b, err
}

// keep completes a dead letter and puts its bytes into a file, if they are many:
// before the transaction that names it. It refuses when there is no more room.
func (b *deadBox) keep(d *DeadLetter) error {
	if err := b.full(); err != nil {
		return err
	}
	d.Weir, d.SchemaVersion, d.Bytes = buildinfo.Version(), schemas.Version, int64(len(d.Raw))
	if len(d.Raw) > maxDeadText {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return err
		}
		data := w.EncodeAll([]byte(d.Raw), nil)
		if err := errors.Join(w.Close(), durable.WriteFile(filepath.Join(b.dir, d.ID+deadSuffix), data, durable.Points{})); err != nil {
			return fmt.Errorf("keeping a dead letter: %w", err)
		}
		d.File, d.Raw, d.Bytes = d.ID+deadSuffix, "", int64(len(data))
	}
	b.add(d.size())
	return nil
}

// gone removes the file of a dead letter that the state does not know any more.
func (b *deadBox) gone(d DeadLetter) error {
	b.add(-d.size())
	if d.File == "" {
		return nil
	}
	err := os.Remove(filepath.Join(b.dir, d.File))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// giveUpDead removes the files of dead letters that the state does not know.
func (p *Pipeline) giveUpDead(letters []DeadLetter) {
	for _, d := range letters {
		if err := p.dead.gone(d); err != nil {
			p.log.Warn("could not remove the file of a dead letter; it is removed at the next start", "error", err)
		}
	}
}

// LoadDead returns a dead letter with its bytes, wherever they are.
func LoadDead(ctx context.Context, st State, dataDir, id string) (DeadLetter, error) {
	d, err := st.DeadLetter(ctx, id)
	if err != nil || d.File == "" {
		return d, err
	}
	name := filepath.Join(dataDir, deadDir, d.File)
	data, err := os.ReadFile(name)
	if err != nil {
		return d, fmt.Errorf("reading a dead letter: %w", err)
	}
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDead))
	if err != nil {
		return d, err
	}
	defer r.Close()
	raw, err := r.DecodeAll(data, nil)
	if err != nil {
		return d, fault.New(fault.Permanent, "dead letter %s is damaged: %w", name, err)
	}
	d.Raw = string(raw)
	return d, nil
}

// packDead makes one text of encoded rows, unpackDead the rows of it.
func packDead(e schemas.Encoded) string {
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(e.Head)))
	return string(append(append(out, e.Head...), e.Body...))
}

func unpackDead(raw string) (schemas.Encoded, error) {
	if len(raw) >= 4 {
		if n := int64(binary.LittleEndian.Uint32([]byte(raw[:4]))); n <= int64(len(raw)-4) {
			return schemas.Encoded{Head: []byte(raw[4 : 4+n]), Body: []byte(raw[4+n:])}, nil
		}
	}
	return schemas.Encoded{}, fault.New(fault.Permanent, "these are no rows: %d bytes", len(raw))
}

// DeadRows returns the rows of a DeadPart as a JSON array.
func DeadRows(d DeadLetter) ([]byte, error) {
	c, err := deadChunk(d)
	if err != nil {
		return nil, err
	}
	defer c.Release()
	return c.JSON()
}

// deadChunk decodes the rows of a DeadPart.
func deadChunk(d DeadLetter) (*schemas.Chunk, error) {
	t := tableOf(d.Table)
	if t == nil {
		return nil, fault.New(fault.Permanent, "dead letter %s: there is no table %q", d.ID, d.Table)
	}
	e, err := unpackDead(d.Raw)
	if err != nil {
		return nil, err
	}
	return schemas.DecodeChunk(t, e)
}

// tableOf is schemas.ByName that knows the tables of snapshots, too.
func tableOf(name string) *schemas.Table {
	if base, ok := strings.CutSuffix(name, schemas.SnapshotSuffix); ok {
		if t := schemas.ByName(base); t != nil {
			return t.Snapshot()
		}
	}
	return schemas.ByName(name)
}
