// Package parquet is the sink that writes a directory of Parquet files:
//
//	<path>/<table>/app=<app>/dt=<YYYY-MM-DD>/<part id>.parquet
//	<path>/_weir/parts/<table>/<part id>.json   the part's mark
//	<path>/_weir/owner.json                     who writes here
//	<path>/_weir/days/<dt>.json                 whether that day is complete
//	<path>/_tmp/                                files not visible yet
//
// dt is the row's day in UTC. A part is one file for each app and day in it. A
// file appears whole, and then never changes, vanishes or appears twice. The
// mark follows once all files of its part are there.
package parquet

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
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
		return &Config{
			RawColumns: true, Snapshots: 7 * 24 * time.Hour,
			Parts: sinks.Batching{TargetSize: 128e6, MaxDelay: 5 * time.Minute, LateDelay: time.Hour},
		}
	},
	Open: func(_ context.Context, env sinks.Env, cfg sinks.Config) (sinks.Sink, error) {
		c, ok := cfg.(*Config)
		if !ok {
			return nil, fault.New(fault.Permanent, "parquet: configuration of type %T", cfg)
		}
		return newSink(*c, env), nil
	},
}

// Config is the sink's part of the configuration.
type Config struct {
	Path          string         `key:"path,required" doc:"directory to write to; better not on the volume of data_dir" example:"/srv/lake"`
	RawColumns    bool           `key:"raw_columns" doc:"write the column raw, the vendor's own record"`
	GroupReadable bool           `key:"group_readable" doc:"let the directory's group read what is written: files 0640, folders 0750, instead of 0600 and 0700"`
	Snapshots     time.Duration  `key:"snapshot_every" doc:"how often all rows of the entity tables are written to <table>_snapshot; 0s: never"`
	Parts         sinks.Batching `key:",inline"`
}

var _ sinks.Snapshotter = (*Config)(nil)

// SnapshotEvery implements sinks.Snapshotter.
func (c *Config) SnapshotEvery() time.Duration { return c.Snapshots }

// Batching implements sinks.Config.
func (c *Config) Batching() sinks.Batching { return c.Parts }

// Validate implements setting.Struct.
func (c *Config) Validate() []setting.KeyError {
	errs := c.Parts.Validate()
	if c.Snapshots < 0 || c.Snapshots > 366*24*time.Hour || c.Snapshots > 0 && c.Snapshots < time.Hour {
		errs = append(errs, setting.KeyError{Key: "snapshot_every", Found: setting.FormatDuration(c.Snapshots), Accepted: "0s, or a duration from 1h to 366d"})
	}
	if c.Path != "" && !filepath.IsAbs(c.Path) {
		errs = append(errs, setting.KeyError{Key: "path", Found: c.Path, Accepted: "an absolute directory"})
	}
	return errs
}

const (
	tmpDir     = "_tmp"
	weirDir    = "_weir"
	fileSuffix = ".parquet"
	markSuffix = ".json"
)

type sink struct {
	config  Config
	root    string
	version string // of Weir
	run     string // makes the temporary names of this process its own
	attempt atomic.Int64
	live    sync.Map // temporary files in use, by path
	made    sync.Map // folders known to be durable, by path
}

var _ sinks.Sink = (*sink)(nil)

func newSink(c Config, env sinks.Env) *sink {
	return &sink{config: c, root: filepath.Clean(c.Path), version: env.Version, run: rand.Text()[:8]}
}

// Prepare implements sinks.Sink: it makes the folders and removes what earlier
// processes left aside.
func (s *sink) Prepare(_ context.Context, tables []*schemas.Table) error {
	if err := s.refuseForeign(tables); err != nil {
		return err
	}
	tmp := filepath.Join(s.root, tmpDir)
	dirs := []string{tmp}
	for _, t := range tables {
		dirs = append(dirs, s.marksDir(t.Name), filepath.Join(s.root, t.Name))
	}
	for _, d := range dirs {
		if err := s.makeDir(d); err != nil {
			s.made.Clear()
			return fmt.Errorf("preparing %s: %w", s.root, err)
		}
	}
	left, err := os.ReadDir(tmp)
	if err != nil {
		return fmt.Errorf("preparing %s: %w", s.root, err)
	}
	for _, e := range left {
		name := filepath.Join(tmp, e.Name())
		if _, used := s.live.Load(name); used || !ours(e.Name()) {
			continue
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
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
		return o, fault.New(fault.Permanent, "%s is damaged: %w; put a copy back, or move it away and run `weir state reconcile --take-over`", s.ownerFile(), err)
	}
	return o, nil
}

// SetOwner implements sinks.Sink. A lock makes the comparison and the writing
// one step for every process on this machine.
func (s *sink) SetOwner(ctx context.Context, old, new sinks.Owner) error {
	unlock, err := s.lockOwner()
	if err != nil {
		return fmt.Errorf("writing the sink's owner: %w", err)
	}
	defer unlock()
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
	return durable.WriteFile(s.ownerFile(), append(b, '\n'), durable.Points{Write: failpoint.OwnerWrite, Sync: failpoint.OwnerSync, Rename: failpoint.OwnerRename})
}

func (s *sink) lockOwner() (unlock func(), err error) {
	if err := s.makeDir(filepath.Join(s.root, weirDir)); err != nil {
		s.made.Clear()
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(s.root, weirDir, "owner.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// Close implements sinks.Sink.
func (s *sink) Close() error { return nil }

func (s *sink) ownerFile() string { return filepath.Join(s.root, weirDir, "owner.json") }

func (s *sink) marksDir(table string) string {
	return filepath.Join(s.root, weirDir, "parts", table)
}

func (s *sink) markFile(table, part string) string {
	return filepath.Join(s.marksDir(table), part+markSuffix)
}

// create opens a new file aside. Its name is never used again: after a failed
// fsync a file is given up.
func (s *sink) create(part, what, suffix string, points durable.Points) (f *durable.File, tmp string, err error) {
	tmp = filepath.Join(s.root, tmpDir, fmt.Sprintf("%s-%s-%s-%d%s", part, what, s.run, s.attempt.Add(1), suffix))
	s.live.Store(tmp, true)
	if f, err = durable.Create(tmp, points); err != nil {
		s.live.Delete(tmp)
		return nil, "", err
	}
	if s.config.GroupReadable {
		if err := os.Chmod(tmp, 0o640); err != nil {
			return nil, "", errors.Join(err, s.discard(f, tmp))
		}
	}
	return f, tmp, nil
}

// discard gives up a file being written.
func (s *sink) discard(f *durable.File, tmp string) error {
	s.live.Delete(tmp)
	return f.Discard()
}

// ours reports whether create made such a name.
func ours(name string) bool {
	return len(name) > 36 && uuid.Validate(name[:36]) == nil && (strings.HasSuffix(name, fileSuffix) || strings.HasSuffix(name, markSuffix) || strings.HasSuffix(name, spoolSuffix))
}

// makeDir makes a folder and sees to it that its name and all those up to the
// root are durable: once a process, for an earlier one may have died after
// making a folder and before syncing the one above.
func (s *sink) makeDir(dir string) error {
	if _, ok := s.made.Load(dir); ok {
		return nil
	}
	up := filepath.Dir(dir)
	if dir != s.root {
		if err := s.makeDir(up); err != nil {
			return err
		}
	} else if _, err := os.Stat(dir); err == nil {
		return nil // the operator's; the folder above may not even be readable
	} else if err := durable.MkdirAll(up); err != nil {
		return err
	}
	if err := s.mkdir(dir); err != nil {
		return err
	}
	if err := durable.SyncDir(up); err != nil {
		return err
	}
	s.made.Store(dir, true)
	return nil
}

func (s *sink) mkdir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil || !s.config.GroupReadable {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	return os.Chmod(dir, info.Mode()&fs.ModeSetgid|0o750) // a set-group-id bit comes from the folder above
}
