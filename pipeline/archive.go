package pipeline

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"weir/internal/durable"
	"weir/internal/fault"
)

const exportTries = 5 // while an agent delivers, a segment may go between two looks

// Exported says what an archive of a state holds.
type Exported struct {
	StateID    string
	Generation int64
	Segments   int
	Secrets    int
	Bytes      int64
}

// Export writes an archive of the data directory to file: the state, the spool
// segments that sinks are still owed, and the vault, whose secrets stay sealed.
// An agent may run meanwhile: the state is copied as of one moment.
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
	// On the same volume, for a segment to be kept by a second name.
	aside := filepath.Join(dataDir, "export-"+rand.Text()[:8])
	if err := os.Mkdir(aside, 0o700); err != nil {
		return out, fmt.Errorf("exporting: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	names, err := s.copyAside(ctx, filepath.Join(dataDir, "spool"), aside)
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
	w := tar.NewWriter(f)
	add := func(name, from string) {
		if err == nil {
			var n int64
			n, err = addFile(w, name, from)
			out.Bytes += n
		}
	}
	add(StateFile, filepath.Join(aside, StateFile))
	for _, n := range names {
		add("spool/"+n, filepath.Join(aside, n))
	}
	for _, n := range secrets {
		add(n, filepath.Join(dataDir, filepath.FromSlash(n)))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return out, errors.Join(fmt.Errorf("exporting to %s: %w", file, err), f.Discard())
	}
	out.StateID, out.Generation, out.Segments, out.Secrets = s.id, s.gen, len(names), len(secrets)
	if err := f.Publish(file); err != nil {
		return out, fmt.Errorf("exporting to %s: %w", file, err)
	}
	return out, nil
}

// copyAside copies the state into aside, and links the segments that the copy
// refers to there. It returns their names.
func (s *sqliteState) copyAside(ctx context.Context, spool, aside string) (names []string, err error) {
	file := filepath.Join(aside, StateFile)
	for range exportTries {
		if err := link(spool, aside); err != nil {
			return nil, err
		}
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := s.copier(ctx, file); err != nil {
			return nil, err
		}
		if err := link(spool, aside); err != nil {
			return nil, err
		}
		copied, err := openSQLite(file, "ro")
		if err != nil {
			return nil, err
		}
		segments, err := copied.Segments(ctx)
		if err := errors.Join(err, copied.Close()); err != nil {
			return nil, err
		}
		names = names[:0]
		missing := ""
		for name := range segments {
			names = append(names, name+segmentSuffix)
			if _, err := os.Stat(filepath.Join(aside, name+segmentSuffix)); err != nil {
				missing = name
			}
		}
		if missing == "" {
			slices.Sort(names)
			return names, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("spool segment %s was delivered while the state was copied: %w", missing, context.Cause(ctx))
		}
	}
	return nil, fault.New(fault.Transient, "segments of the spool go faster than they are copied: try again")
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

// link gives every segment in spool a second name in aside.
func link(spool, aside string) error {
	entries, err := os.ReadDir(spool)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), segmentSuffix) {
			continue
		}
		e := os.Link(filepath.Join(spool, e.Name()), filepath.Join(aside, e.Name()))
		if e != nil && !errors.Is(e, fs.ErrExist) && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// vaultFiles lists the sealed secrets, relative to the data directory.
func vaultFiles(dataDir string) (out []string, err error) {
	root := filepath.Join(dataDir, "vault")
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

func addFile(w *tar.Writer, name, from string) (int64, error) {
	f, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Size: info.Size(), Mode: 0o600, ModTime: info.ModTime(), Format: tar.FormatPAX}); err != nil {
		return 0, err
	}
	return io.Copy(w, f)
}

// Names that an archive may hold.
var archived = regexp.MustCompile(`^(state\.db|spool/[0-9a-f-]{36}\.seg|vault/[a-z0-9][a-z0-9_-]{0,62}/[a-z0-9][a-z0-9_-]{0,62})$`)

// Import unpacks an archive into a data directory that holds no state. The state
// comes last: an import cut short is no state, and may be repeated.
func Import(ctx context.Context, file, dataDir string) (out Exported, err error) {
	if err := durable.MkdirAll(dataDir); err != nil {
		return out, fmt.Errorf("data_dir: %w", err)
	}
	unlock, err := lockDir(dataDir)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if _, err := os.Stat(filepath.Join(dataDir, StateFile)); err == nil {
		return out, fault.New(fault.Permanent, "%s holds a state already: import into an empty data_dir", dataDir)
	}
	f, err := os.Open(file)
	if err != nil {
		return out, fmt.Errorf("importing: %w", err)
	}
	defer f.Close()
	// An import cut short, or a state lost, may have left some.
	if err := errors.Join(os.RemoveAll(filepath.Join(dataDir, "spool")), removeWAL(dataDir)); err != nil {
		return out, fmt.Errorf("importing: %w", err)
	}
	aside := filepath.Join(dataDir, StateFile+".import")
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return out, fault.New(fault.Permanent, "importing: %s is damaged, or no archive of `weir state export`: %w", file, err)
		}
		if !archived.MatchString(h.Name) || h.Typeflag != tar.TypeReg {
			return out, fault.New(fault.Permanent, "importing: %s holds %q, which no state has", file, h.Name)
		}
		to := filepath.Join(dataDir, filepath.FromSlash(path.Clean(h.Name)))
		switch {
		case h.Name == StateFile:
			to = aside
		case strings.HasPrefix(h.Name, "spool/"):
			out.Segments++
		default:
			out.Secrets++
		}
		out.Bytes += h.Size
		if err := extract(r, to); err != nil {
			return out, fmt.Errorf("importing %s: %w", h.Name, err)
		}
	}
	s, err := openSQLite(aside, "ro")
	if err != nil {
		return out, err
	}
	if err := errors.Join(s.load(ctx, aside), s.Close()); err != nil {
		return out, fmt.Errorf("importing: %s holds no whole state: %w", file, err)
	}
	out.StateID, out.Generation = s.id, s.gen
	if err := durable.Rename(aside, filepath.Join(dataDir, StateFile), ""); err != nil {
		return out, fmt.Errorf("importing: %w", err)
	}
	return out, nil
}

func extract(r io.Reader, to string) error {
	if err := durable.MkdirAll(filepath.Dir(to)); err != nil {
		return err
	}
	d, err := durable.Create(to+tmpSuffix, durable.Points{})
	if err != nil {
		return err
	}
	if _, err := io.Copy(d, r); err != nil {
		return errors.Join(err, d.Discard())
	}
	return d.Publish(to)
}

func removeWAL(dataDir string) error {
	var errs []error
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(filepath.Join(dataDir, StateFile+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
