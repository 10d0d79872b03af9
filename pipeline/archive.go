package pipeline

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"weir/internal/durable"
	"weir/internal/fault"
)

const exportTries = 5 // while an agent delivers, a segment may go between two looks

// Exported says what an archive of a state holds.
type Exported struct {
	StateID    string
	Generation int64
	Segments   int
	Letters    int // files of dead letters
	Secrets    int
	Bytes      int64
}

// manifestFile ends an archive: an archive without it was cut short.
const manifestFile = "manifest.json"

// manifest tells the other files of an archive.
type manifest struct {
	Files map[string]archivedFile `json:"files"`
}

type archivedFile struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Export writes an archive of the data directory to file: the state, the spool
// segments that sinks are still owed, the files of dead letters, and the vault,
// whose secrets stay sealed. An agent may run meanwhile: the state is copied as
// of one moment.
func Export(ctx context.Context, dataDir, file string) (out Exported, err error) {
	st, err := ReadState(ctx, dataDir)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	s, ok := st.(*sqliteState)
	if !ok {
		return out, fault.New(fault.Permanent, "this state cannot be exported")
	}
	// On the same volume, for a file to be kept by a second name.
	aside, done, err := asideDir(dataDir, "export-")
	if err != nil {
		return out, fmt.Errorf("exporting: %w", err)
	}
	defer func() { err = errors.Join(err, done()) }()
	names, err := s.copyAside(ctx, dataDir, aside)
	if err != nil {
		return out, fmt.Errorf("exporting: %w", err)
	}
	secrets, err := vaultFiles(dataDir)
	if err != nil {
		return out, fmt.Errorf("exporting: %w", err)
	}
	f, err := durable.Create(file+tmpSuffix, durable.Points{})
	if err != nil {
		return out, fmt.Errorf("exporting: %w", err)
	}
	w := archiveWriter{Writer: tar.NewWriter(f), m: manifest{Files: map[string]archivedFile{}}}
	err = w.addAll(ctx, aside, append([]string{StateFile}, names...))
	if err == nil {
		err = w.addAll(ctx, dataDir, secrets)
	}
	if err == nil {
		err = w.end()
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return out, errors.Join(fmt.Errorf("exporting to %s: %w", file, err), f.Discard())
	}
	out = w.m.sum(s)
	if err := f.Publish(file); err != nil {
		return out, fmt.Errorf("exporting to %s: %w", file, err)
	}
	return out, nil
}

// asideDir makes a directory for what is copied or unpacked, and removes those of
// processes that were killed. It is locked while it is used.
func asideDir(dataDir, prefix string) (dir string, done func() error, err error) {
	left, err := filepath.Glob(filepath.Join(dataDir, prefix+"*"))
	if err != nil {
		return "", nil, err
	}
	for _, old := range left {
		if lock, err := flockDir(old); err == nil {
			if err := errors.Join(os.RemoveAll(old), lock.Close()); err != nil {
				return "", nil, err
			}
		}
	}
	dir = filepath.Join(dataDir, prefix+rand.Text()[:8])
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", nil, err
	}
	lock, err := flockDir(dir)
	if err != nil {
		return "", nil, errors.Join(err, os.Remove(dir))
	}
	return dir, func() error { return errors.Join(os.RemoveAll(dir), lock.Close()) }, nil
}

func flockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// linked are the folders whose files are copied by a second name, and the ends
// of those files' names.
var linked = map[string]string{spoolDir: segmentSuffix, deadDir: deadSuffix}

// copyAside copies the state into aside, and links the files that the copy
// refers to there. It returns their names, relative to aside.
func (s *sqliteState) copyAside(ctx context.Context, dataDir, aside string) (names []string, err error) {
	for dir := range linked {
		if err := os.Mkdir(filepath.Join(aside, dir), 0o700); err != nil {
			return nil, err
		}
	}
	file, missing := filepath.Join(aside, StateFile), ""
	for range exportTries {
		if err := link(dataDir, aside); err != nil {
			return nil, err
		}
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := s.copier(ctx, file); err != nil {
			return nil, err
		}
		if err := link(dataDir, aside); err != nil {
			return nil, err
		}
		copied, err := openSQLite(file, "ro")
		if err != nil {
			return nil, err
		}
		names, err = copied.files(ctx)
		if err := errors.Join(err, copied.Close()); err != nil {
			return nil, err
		}
		missing = missingIn(aside, names)
		if missing == "" {
			return names, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s went while the state was copied: %w", missing, context.Cause(ctx))
		}
	}
	return nil, fault.New(fault.Transient, "%s is missing, or files go faster than they are copied: try again; when it stays so, the data directory is damaged (`weir state check`, `weir deadletter list`)", missing)
}

// copier copies the state as of now to a new file.
func (s *sqliteState) copier(ctx context.Context, file string) error {
	conn, err := s.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// The copy is another file: that this one must not be written stays true.
	if _, err := conn.ExecContext(ctx, `PRAGMA query_only = 0`); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, `VACUUM INTO ?`, file); err != nil {
		return fmt.Errorf("copying the state: %w", err)
	}
	return syncFile(file)
}

// files lists the files that the state refers to, relative to the data directory.
func (s *sqliteState) files(ctx context.Context) (names []string, err error) {
	segments, err := s.Segments(ctx)
	if err != nil {
		return nil, err
	}
	letters, err := s.DeadFiles(ctx)
	if err != nil {
		return nil, err
	}
	for name := range segments {
		names = append(names, path.Join(spoolDir, name+segmentSuffix))
	}
	for name := range letters {
		names = append(names, path.Join(deadDir, name))
	}
	slices.Sort(names)
	return names, nil
}

// missingIn returns a name that is not in a directory; "" when all are.
func missingIn(dir string, names []string) string {
	for _, n := range names {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(n))); err != nil {
			return n
		}
	}
	return ""
}

// link gives every file in the linked folders a second name in aside.
func link(dataDir, aside string) error {
	var errs []error
	for dir, suffix := range linked {
		entries, err := os.ReadDir(filepath.Join(dataDir, dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), suffix) {
				continue
			}
			err := os.Link(filepath.Join(dataDir, dir, e.Name()), filepath.Join(aside, dir, e.Name()))
			if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// vaultDir is where the vault keeps sealed secrets within the data directory.
const vaultDir = "vault"

// vaultFiles lists the sealed secrets, relative to the data directory.
func vaultFiles(dataDir string) (out []string, err error) {
	root := filepath.Join(dataDir, vaultDir)
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == root {
			return nil
		}
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") || strings.HasSuffix(d.Name(), tmpSuffix) {
			return err
		}
		rel, err := filepath.Rel(dataDir, name)
		out = append(out, filepath.ToSlash(rel))
		return err
	})
	return out, err
}

// archiveWriter writes files and sums them up.
type archiveWriter struct {
	*tar.Writer
	m manifest
}

// addAll adds files of a directory, up to the first that fails.
func (w *archiveWriter) addAll(ctx context.Context, dir string, names []string) error {
	for _, n := range names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := w.add(n, filepath.Join(dir, filepath.FromSlash(n))); err != nil {
			return err
		}
	}
	return nil
}

func (w *archiveWriter) add(name, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Size: info.Size(), Mode: 0o600, ModTime: info.ModTime(), Format: tar.FormatPAX}); err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), f)
	w.m.Files[name] = archivedFile{n, hex.EncodeToString(sum.Sum(nil))}
	return err
}

// end writes the manifest.
func (w *archiveWriter) end() error {
	b, err := json.Marshal(w.m)
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: manifestFile, Size: int64(len(b)), Mode: 0o600, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// sum says what the files are.
func (m manifest) sum(s *sqliteState) Exported {
	out := Exported{StateID: s.id, Generation: s.gen}
	for name, f := range m.Files {
		out.Bytes += f.Bytes
		switch dir, _, _ := strings.Cut(name, "/"); dir {
		case spoolDir:
			out.Segments++
		case deadDir:
			out.Letters++
		case vaultDir:
			out.Secrets++
		}
	}
	return out
}
