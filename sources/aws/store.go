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
	"weir/sources"
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
	// requests returns how many requests listing has taken since it was last asked.
	requests() int64
	// identity returns whom the place takes the credentials for.
	identity(ctx context.Context) (sources.Identity, error)
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
	size int64  // -1: unknown
	etag string // S3's; "" none
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
	case r.read > maxFileBytes:
		return n, fmt.Errorf("it holds more than %d bytes", int64(maxFileBytes))
	case errors.Is(err, io.EOF) && r.size >= 0 && r.read < r.size:
		err = fmt.Errorf("%d of %d bytes received: %w", r.read, r.size, io.ErrUnexpectedEOF)
		r.err = err
	case err != nil && !errors.Is(err, io.EOF):
		r.err = err
	}
	return n, err
}

// dirStore is a local directory. Links in it are not followed. It is opened
// anew for each use: it may be replaced, or mounted, at any time.
type dirStore struct {
	dir    string
	clock  clockwork.Clock
	settle time.Duration
}

func openDir(dir string, clock clockwork.Clock, settle time.Duration) (*dirStore, error) {
	d := &dirStore{dir, clock, settle}
	root, err := d.root()
	if err != nil {
		return nil, err
	}
	return d, root.Close()
}

func (d *dirStore) root() (*os.Root, error) {
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return nil, fmt.Errorf("cloudtrail.url: %w", err)
	}
	return root, nil
}

func (d *dirStore) location() string { return d.dir }

func (d *dirStore) identity(context.Context) (sources.Identity, error) {
	return sources.Identity{Name: "the user that runs Weir", Kind: sources.IdentityService}, nil
}

func (d *dirStore) requests() int64 { return 0 }

func readDir(root *os.Root, prefix string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(root.FS(), path.Clean(prefix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

func (d *dirStore) folders(_ context.Context, prefix string) (names []string, files bool, err error) {
	root, err := d.root()
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = root.Close() }()
	entries, err := readDir(root, prefix)
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
	root, err := d.root()
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	w := &dirWalk{ctx: ctx, root: root, after: after, page: page}
	above, err := w.stat(".", arrival{})
	for i := range len(prefix) - 1 {
		if err == nil && prefix[i] == '/' {
			above, err = w.stat(prefix[:i], above)
		}
	}
	if err == nil {
		err = w.folder(prefix, above)
	}
	if err != nil {
		return err
	}
	if len(w.objects) > 0 {
		return page(w.objects)
	}
	return nil
}

// dirWalk is one listing of a directory.
type dirWalk struct {
	ctx     context.Context //nolint:containedctx // lives as long as the call
	root    *os.Root
	after   string
	objects []object
	page    func([]object) error
}

// arrival is what tells when a folder came to where it is. A folder that is
// moved brings its files as they were: only its own time of change, and its
// parent's time of modification, show it.
type arrival struct {
	modified time.Time // of the folder
	moved    time.Time // the latest move of it, or of one above
}

func (w *dirWalk) stat(name string, above arrival) (arrival, error) {
	info, err := w.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return above, nil
	}
	if err != nil {
		return above, err
	}
	a := arrival{info.ModTime(), above.moved}
	// The two times of one move may lie a tick of the kernel's clock apart.
	if c := changed(info); c.After(a.modified) && c.Sub(above.modified) < time.Second && c.After(a.moved) {
		a.moved = c
	}
	return a, nil
}

func (w *dirWalk) folder(prefix string, above arrival) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	here := above
	if prefix != "" {
		var err error
		if here, err = w.stat(path.Clean(prefix), above); err != nil {
			return err
		}
	}
	entries, err := readDir(w.root, prefix)
	if err != nil {
		return err
	}
	// In the order of keys, a folder stands where its slash puts it.
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	for _, e := range entries {
		key := prefix + sortName(e)
		if e.IsDir() {
			if key > w.after || strings.HasPrefix(w.after, key) {
				if err := w.folder(key, here); err != nil {
					return err
				}
			}
			continue
		}
		if key <= w.after || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		o := object{key, fileTag(info), changed(info)}
		if here.moved.After(o.modified) {
			o.modified = here.moved
		}
		if w.objects = append(w.objects, o); len(w.objects) == listPage {
			if err := w.page(w.objects); err != nil {
				return err
			}
			w.objects = w.objects[:0]
		}
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
	root, err := d.root()
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	f, err := root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if left, _ := readDir(root, path.Dir(key)); len(left) == 0 {
			return nil, fmt.Errorf("opening %s: its folder is gone; is the place mounted? %w", key, err)
		}
		return nil, fault.New(fault.BadData, "it is gone: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fault.New(fault.Forbidden, "opening %s: %w: let the user that Weir runs as read it", key, err)
	case err != nil:
		return nil, fmt.Errorf("opening %s: %w", key, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fault.New(fault.BadData, "it is no regular file")
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
