package aws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jonboulle/clockwork"

	"weir/internal/fault"
)

// store is where the log files are: a bucket or a directory. Keys are relative
// to the configured URL and use slashes.
type store interface {
	// location names the place, for finding ids in its path.
	location() string
	// folders returns the sub-folders of prefix, each ending in a slash, and
	// whether there are files in it. prefix is "" or ends in a slash.
	folders(ctx context.Context, prefix string) (names []string, files bool, err error)
	// list calls page with the files below prefix whose keys are after the
	// given one, in the order of their keys, up to 1,000 at a time.
	list(ctx context.Context, prefix, after string, page func([]object) error) error
	// open opens a file as it is now.
	open(ctx context.Context, key string) (*reader, error)
}

// object is one file.
type object struct {
	key      string
	tag      string // changes whenever the content does
	modified time.Time
}

// reader is an open file.
type reader struct {
	body io.Reader
	tag  string
	size int64 // -1: unknown
	read int64
	err  error // of the transport, not of the content
	// unchanged returns an error if the file has been changed since it was opened.
	unchanged func() error
	close     func() error
}

// Read implements io.Reader, telling a cut transport from the file's end.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.read += int64(n)
	switch {
	case errors.Is(err, io.EOF) && r.size >= 0 && r.read < r.size:
		err = fmt.Errorf("%d of %d bytes received: %w", r.read, r.size, io.ErrUnexpectedEOF)
		r.err = err
	case err != nil && !errors.Is(err, io.EOF):
		r.err = err
	}
	return n, err
}

// dirStore is a local directory. Links that lead out of it are not followed.
type dirStore struct {
	dir    string
	root   *os.Root
	clock  clockwork.Clock
	settle time.Duration
}

func openDir(dir string, clock clockwork.Clock, settle time.Duration) (*dirStore, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cloudtrail.url: %w", err)
	}
	return &dirStore{dir, root, clock, settle}, nil
}

func (d *dirStore) location() string { return d.dir }

func (d *dirStore) readDir(prefix string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(d.root.FS(), path.Clean(strings.TrimSuffix(prefix, "/")))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

func (d *dirStore) folders(_ context.Context, prefix string) (names []string, files bool, err error) {
	entries, err := d.readDir(prefix)
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, prefix+e.Name()+"/")
		} else {
			files = true
		}
	}
	return names, files, err
}

func (d *dirStore) list(ctx context.Context, prefix, after string, page func([]object) error) error {
	var objects []object
	var walk func(prefix string) error
	walk = func(prefix string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := d.readDir(prefix)
		if err != nil {
			return err
		}
		// In the order of keys, a folder stands where its slash puts it.
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(sortName(a), sortName(b)) })
		for _, e := range entries {
			key := prefix + sortName(e)
			if e.IsDir() {
				if key > after || strings.HasPrefix(after, key) {
					if err := walk(key); err != nil {
						return err
					}
				}
				continue
			}
			if key <= after || !e.Type().IsRegular() {
				continue
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			objects = append(objects, object{key, fileTag(info), changed(info)})
			if len(objects) == listPage {
				if err := page(objects); err != nil {
					return err
				}
				objects = objects[:0]
			}
		}
		return nil
	}
	if err := walk(prefix); err != nil {
		return err
	}
	if len(objects) > 0 {
		return page(objects)
	}
	return nil
}

func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}

// changed is when a file's content or name last changed: copies may keep the
// time of modification, never that of the change.
func changed(info fs.FileInfo) time.Time {
	t := info.ModTime()
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if c := time.Unix(st.Ctim.Unix()); c.After(t) {
			return c
		}
	}
	return t
}

func fileTag(info fs.FileInfo) string {
	inode := uint64(0)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = st.Ino
	}
	return fmt.Sprintf("%d-%d-%d", info.ModTime().UnixNano(), info.Size(), inode)
}

func (d *dirStore) open(_ context.Context, key string) (*reader, error) {
	f, err := d.root.Open(key)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", key, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fault.New(fault.BadData, "%s is no regular file", key)
	}
	if err == nil {
		if age := d.clock.Since(info.ModTime()); age >= 0 && age < d.settle {
			err = fault.After(fault.Transient, d.settle-age, "%s is still being written", key)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	tag := fileTag(info)
	unchanged := func() error {
		info, err := f.Stat()
		if err == nil && fileTag(info) != tag {
			err = fault.After(fault.Transient, d.settle, "%s was changed while it was read", key)
		}
		return err
	}
	return &reader{body: f, tag: tag, size: info.Size(), unchanged: unchanged, close: f.Close}, nil
}
