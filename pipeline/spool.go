package pipeline

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"weir/internal/durable"
	"weir/internal/failpoint"
	"weir/schemas"
)

// segmentMagic begins every segment. The batches follow, head then body, at the
// offsets the state holds.
const segmentMagic = "WEIRSEG1"

const (
	spoolDir      = "spool" // within the data directory
	segmentSuffix = ".seg"
	tmpSuffix     = ".tmp"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var spoolPoints = durable.Points{Write: failpoint.SpoolWrite, Sync: failpoint.SpoolSync, Rename: failpoint.SpoolRename}

// spool keeps committed batches on disk until every sink has them.
type spool struct {
	dir   string
	bytes atomic.Int64

	mu    sync.Mutex
	sizes map[string]int64
}

// openSpool opens the spool in dir: segments the state does not know are from
// an interrupted commit and are removed; one that is missing is found out by the
// deliveries that need it.
func openSpool(dir string, known map[string]int64) (*spool, error) {
	if err := durable.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("opening spool: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("opening spool: %w", err)
	}
	s := &spool{dir: dir, sizes: known}
	found := map[string]bool{}
	for _, e := range entries {
		name, isSegment := strings.CutSuffix(e.Name(), segmentSuffix)
		if _, ok := known[name]; isSegment && ok {
			found[name] = true
			continue
		}
		if isSegment || strings.HasSuffix(e.Name(), tmpSuffix) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return nil, fmt.Errorf("opening spool: %w", err)
			}
		}
	}
	for name, n := range known {
		if found[name] {
			s.bytes.Add(n)
		} else {
			s.sizes[name] = 0
		}
	}
	return s, nil
}

// spooled is a batch on its way into the spool.
type spooled struct {
	*Batch
	schemas.Encoded
	to []string // the sinks it is for; nil: all
}

// goesTo reports whether a batch is for a sink.
func (b spooled) goesTo(sink string) bool { return b.to == nil || slices.Contains(b.to, sink) }

// write makes one durable segment of the batches and sets their places.
func (s *spool) write(name string, batches []spooled) (size int64, err error) {
	f, err := durable.Create(filepath.Join(s.dir, name+tmpSuffix), spoolPoints)
	if err != nil {
		return 0, fmt.Errorf("writing spool: %w", err)
	}
	size = int64(len(segmentMagic))
	_, err = f.WriteString(segmentMagic)
	for _, b := range batches {
		if err != nil {
			break
		}
		b.Segment, b.Offset = name, size
		b.HeadLen, b.BodyLen, b.Batch.Plain = int64(len(b.Head)), int64(len(b.Body)), b.Encoded.Plain
		b.CRC = crc32.Update(crc32.Checksum(b.Head, castagnoli), castagnoli, b.Body)
		if _, err = f.Write(b.Head); err == nil {
			_, err = f.Write(b.Body)
		}
		size += b.Bytes()
	}
	if err != nil {
		return 0, errors.Join(fmt.Errorf("writing spool: %w", err), f.Discard())
	}
	if err := f.Publish(filepath.Join(s.dir, name+segmentSuffix)); err != nil {
		_ = s.remove(name) // renamed, perhaps, and its directory not synced
		return 0, fmt.Errorf("writing spool: %w", err)
	}
	return size, nil
}

// remove deletes a segment that the state will not refer to.
func (s *spool) remove(name string) error {
	return os.Remove(filepath.Join(s.dir, name+segmentSuffix))
}

// added counts a segment once the state knows it.
func (s *spool) added(name string, size int64) {
	s.mu.Lock()
	s.sizes[name] = size
	s.mu.Unlock()
	s.bytes.Add(size)
}

// load reads a batch and verifies its checksum.
func (s *spool) load(b *Batch) (schemas.Encoded, error) {
	name := filepath.Join(s.dir, b.Segment+segmentSuffix)
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return schemas.Encoded{}, newDamage(b, name, errMissing)
	}
	if err != nil {
		return schemas.Encoded{}, fmt.Errorf("reading spool: %w", err)
	}
	defer f.Close()
	buf := make([]byte, b.Bytes())
	if _, err := f.ReadAt(buf, b.Offset); errors.Is(err, io.EOF) {
		return schemas.Encoded{}, newDamage(b, name, errShort)
	} else if err != nil {
		return schemas.Encoded{}, fmt.Errorf("reading spool: batch %s in %s: %w", b.ID, name, err)
	}
	if crc32.Checksum(buf, castagnoli) != b.CRC {
		return schemas.Encoded{}, newDamage(b, name, errChecksum)
	}
	return schemas.Encoded{Head: buf[:b.HeadLen:b.HeadLen], Body: buf[b.HeadLen:]}, nil
}

// free removes segments that no sink needs.
func (s *spool) free(names []string) error {
	var errs []error
	for _, name := range names {
		if err := failpoint.Hit(failpoint.SpoolFree); err != nil {
			errs = append(errs, err)
			continue
		}
		err := os.Remove(filepath.Join(s.dir, name+segmentSuffix))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		s.mu.Lock()
		s.bytes.Add(-s.sizes[name])
		delete(s.sizes, name)
		s.mu.Unlock()
	}
	return errors.Join(errs...)
}
