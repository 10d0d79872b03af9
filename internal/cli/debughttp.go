package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/alecthomas/kong"
)

// maxDebugHTTP is the size at which the file of exchanges is put aside; one is
// kept.
const maxDebugHTTP = 64 << 20

// debugHTTP is the flag --debug-http, whose value may be left out.
type debugHTTP struct {
	on   bool
	file string
}

// Decode implements kong.MapperValue.
func (d *debugHTTP) Decode(ctx *kong.DecodeContext) error {
	d.on = true
	if ctx.Scan.Peek().Type == kong.FlagValueToken {
		return ctx.Scan.PopValueInto("file", &d.file)
	}
	return nil
}

// IsBool implements kong.BoolMapperValue: the flag may stand alone.
func (*debugHTTP) IsBool() bool { return true }

// open returns the writer of exchanges, or nil when they are not wanted. It says
// where they go.
func (d *debugHTTP) open(dataDir string, say io.Writer) (*rotatingFile, error) {
	if !d.on {
		return nil, nil
	}
	name := d.file
	if name == "" {
		name = filepath.Join(dataDir, "debug-http.log")
		if err := os.MkdirAll(dataDir, 0o700); err != nil {
			return nil, fmt.Errorf("--debug-http: %w", err)
		}
	}
	f := &rotatingFile{name: name, limit: maxDebugHTTP, say: say}
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("--debug-http: %w", err)
	}
	fmt.Fprintf(say, "every HTTP exchange with a vendor goes to %s, secrets removed; it holds what was collected\n", name)
	return f, nil
}

// rotatingFile is a file that only its owner reads, of a bounded size. When it
// is full it becomes name.1, and the one before is gone.
type rotatingFile struct {
	name  string
	limit int64
	say   io.Writer // is told once that writing fails

	mu     sync.Mutex
	f      *os.File
	size   int64
	failed bool
	whole  bool // a regular file, and no terminal or pipe
}

func (r *rotatingFile) open() error {
	f, err := os.OpenFile(r.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		if r.whole = info.Mode().IsRegular(); r.whole {
			err = f.Chmod(0o600) // it may be older than this flag
		}
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r.f, r.size = f, info.Size()
	return nil
}

// Write implements io.Writer. A failure is told once; it stops no collection.
func (r *rotatingFile) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.write(p)
	if err != nil && !r.failed {
		fmt.Fprintln(r.say, "--debug-http: exchanges are not recorded any more:", err)
	}
	r.failed = err != nil
	return len(p), err
}

func (r *rotatingFile) write(p []byte) error {
	if r.whole && r.size > 0 && r.size+int64(len(p)) > r.limit {
		if err := r.f.Close(); err != nil {
			return err
		}
		if err := os.Rename(r.name, r.name+".1"); err != nil {
			return err
		}
		if err := r.open(); err != nil {
			return err
		}
	}
	n, err := r.f.Write(p)
	r.size += int64(n)
	return err
}

// Close closes the file.
func (r *rotatingFile) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.f.Close()
}
