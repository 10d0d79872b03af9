package pipeline

import (
	"archive/tar"
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
	"regexp"
	"strings"

	"weir/internal/durable"
	"weir/internal/fault"
)

// Names that an archive may hold.
var archived = regexp.MustCompile(`^(manifest\.json|state\.db|spool/[0-9a-f-]{36}\.seg|dead/[0-9a-f-]{36}\.zst|vault/[a-z0-9][a-z0-9_-]{0,62}/[a-z0-9][a-z0-9_-]{0,62})$`)

// maxManifest bounds a manifest, in bytes.
const maxManifest = 256 << 20

// Import unpacks an archive into a data directory that holds no state. All of it
// is unpacked aside and proved whole first: one that is refused, or cut short by
// a kill, changes nothing, and may be repeated. The state comes last. Secrets that
// are there stay: they are newer than the copy's.
func Import(ctx context.Context, file, dataDir string) (out Exported, err error) {
	if err := durable.MkdirAll(dataDir); err != nil {
		return out, fmt.Errorf("data_dir: %w", err)
	}
	unlock, err := lockDir(dataDir)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if info, err := os.Stat(filepath.Join(dataDir, StateFile)); err == nil && info.Size() > 0 {
		return out, fault.New(fault.Permanent, "%s holds a state already: import into an empty data_dir", dataDir)
	}
	aside, done, err := asideDir(dataDir, "import-")
	if err != nil {
		return out, fmt.Errorf("importing: %w", err)
	}
	defer func() { err = errors.Join(err, done()) }()
	m, err := unpackArchive(ctx, file, aside)
	if err != nil {
		return out, fmt.Errorf("importing %s: %w", file, err)
	}
	if out, err = restore(ctx, aside, m); err != nil {
		return out, fmt.Errorf("importing %s: %w", file, err)
	}
	if err := m.publish(aside, dataDir); err != nil {
		return out, fmt.Errorf("importing %s: %w; the import may be repeated", file, err)
	}
	return out, nil
}

// unpackArchive writes an archive's files into aside, and proves them by its manifest.
func unpackArchive(ctx context.Context, file, aside string) (m manifest, err error) {
	f, err := os.Open(file)
	if err != nil {
		return m, err
	}
	defer f.Close()
	got := map[string]archivedFile{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		switch {
		case ctx.Err() != nil:
			return m, context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return m, m.compare(got)
		case err != nil:
			return m, fault.New(fault.Permanent, "it is damaged, or no archive of `weir state export`: %w", err)
		case !archived.MatchString(h.Name) || h.Typeflag != tar.TypeReg:
			return m, fault.New(fault.Permanent, "it holds %q, which no state has", h.Name)
		case h.Name == manifestFile:
			if err := json.NewDecoder(io.LimitReader(r, maxManifest)).Decode(&m); err != nil {
				return m, fault.New(fault.Permanent, "it is damaged: its %s: %w", manifestFile, err)
			}
			continue
		}
		if got[h.Name], err = extract(r, filepath.Join(aside, filepath.FromSlash(h.Name))); err != nil {
			return m, err
		}
	}
}

// compare proves that what was unpacked is what was packed.
func (m manifest) compare(got map[string]archivedFile) error {
	if m.Files == nil {
		return fault.New(fault.Permanent, "it was cut short: nothing was imported")
	}
	for name, want := range m.Files {
		if got[name] != want {
			return fault.New(fault.Permanent, "it is damaged: %s is not what was exported; nothing was imported", name)
		}
	}
	for name := range got {
		if _, ok := m.Files[name]; !ok {
			return fault.New(fault.Permanent, "it is damaged: %s was not exported; nothing was imported", name)
		}
	}
	return nil
}

// restore sees that an unpacked state is one that this Weir can read, and whole,
// and pauses governance in it.
func restore(ctx context.Context, aside string, m manifest) (out Exported, err error) {
	if _, ok := m.Files[StateFile]; !ok {
		return out, fault.New(fault.Permanent, "it holds no state")
	}
	file := filepath.Join(aside, StateFile)
	s, err := openSQLite(file, "rwc")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.load(ctx, file); err != nil {
		return out, err
	}
	names, err := s.files(ctx)
	if err != nil {
		return out, err
	}
	if missing := missingIn(aside, names); missing != "" {
		return out, fault.New(fault.Permanent, "its state needs %s, which it does not hold", missing)
	}
	out = m.sum(s)
	return out, s.Update(ctx, func(tx Tx) error {
		return tx.PauseGovernance("the state was imported from a copy: look at weir actions list, then weir actions resume")
	})
}

// publish gives the files their places, the state's last.
func (m manifest) publish(aside, dataDir string) error {
	dirs := map[string]bool{}
	for name := range m.Files {
		if name == StateFile {
			continue
		}
		to := filepath.Join(dataDir, filepath.FromSlash(name))
		if strings.HasPrefix(name, vaultDir+"/") {
			if _, err := os.Stat(to); err == nil {
				continue
			}
		}
		dir := filepath.Dir(to)
		if err := durable.MkdirAll(dir); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(aside, filepath.FromSlash(name)), to); err != nil {
			return err
		}
		dirs[dir] = true
	}
	for dir := range dirs {
		if err := durable.SyncDir(dir); err != nil {
			return err
		}
	}
	// A journal without its state is of no use, and would spoil this one.
	if err := removeWAL(dataDir); err != nil {
		return err
	}
	return durable.Rename(filepath.Join(aside, StateFile), filepath.Join(dataDir, StateFile), "")
}

// extract writes a file, durably, and sums it up.
func extract(r io.Reader, to string) (a archivedFile, err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return a, err
	}
	d, err := durable.Create(to, durable.Points{})
	if err != nil {
		return a, err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(d, sum), r)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fault.New(fault.Permanent, "it was cut short: %w", err)
	}
	if err == nil {
		err = d.Sync()
	}
	if err != nil {
		return a, errors.Join(err, d.Discard())
	}
	return archivedFile{n, hex.EncodeToString(sum.Sum(nil))}, d.Close()
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
