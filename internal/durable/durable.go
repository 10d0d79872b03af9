// Package durable writes files that are either whole and on the disk, or not
// there at all.
package durable

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"weir/internal/failpoint"
)

// Points names the fail points of one kind of file; an empty name is no point.
type Points struct{ Write, Sync, Rename string }

// File is a file being written aside. Write to it, then Publish or Discard it.
type File struct {
	*bufio.Writer
	f      *os.File
	points Points
}

// Create opens a new file at tmp, replacing what an interrupted write left
// there. Its mode is 0600.
func Create(tmp string, points Points) (*File, error) {
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	d := &File{f: f, points: points}
	d.Writer = bufio.NewWriterSize(writer{d}, 256<<10)
	return d, nil
}

type writer struct{ d *File }

func (w writer) Write(p []byte) (int, error) {
	if err := hit(w.d.points.Write); err != nil {
		n, _ := w.d.f.Write(p[:len(p)/2])
		return n, err
	}
	return w.d.f.Write(p)
}

// Sync flushes and fsyncs. After a failed fsync the kernel may have dropped the
// data: the file must be written again under a new name, never synced again.
func (d *File) Sync() error {
	if err := d.Flush(); err != nil {
		return fmt.Errorf("writing %s: %w", d.f.Name(), err)
	}
	if err := hit(d.points.Sync); err != nil {
		return fmt.Errorf("syncing %s: %w", d.f.Name(), err)
	}
	if err := d.f.Sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", d.f.Name(), err)
	}
	return nil
}

// Close closes a synced file and leaves it aside, for Rename to publish.
func (d *File) Close() error { return d.f.Close() }

// Publish syncs the file, gives it its final name, and syncs the directory.
func (d *File) Publish(final string) error {
	err := d.Sync()
	if err = errors.Join(err, d.f.Close()); err != nil {
		return errors.Join(err, os.Remove(d.f.Name()))
	}
	if err := Rename(d.f.Name(), final, d.points.Rename); err != nil {
		if e := os.Remove(d.f.Name()); !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
		return err
	}
	return nil
}

// Discard closes and removes the file.
func (d *File) Discard() error { return errors.Join(d.f.Close(), os.Remove(d.f.Name())) }

// Rename gives a synced file its final name and syncs the directory.
func Rename(tmp, final, point string) error {
	if err := hit(point); err != nil {
		return fmt.Errorf("renaming %s: %w", tmp, err)
	}
	if err := os.Rename(tmp, final); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(final))
}

// WriteFile publishes data under final.
func WriteFile(final string, data []byte, points Points) error {
	d, err := Create(final+".tmp", points)
	if err != nil {
		return err
	}
	if _, err := d.Write(data); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", final, err), d.Discard())
	}
	return d.Publish(final)
}

// MkdirAll makes a directory, mode 0700, and syncs every parent it changed.
func MkdirAll(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return SyncDir(parent)
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func hit(point string) error {
	if point == "" {
		return nil
	}
	return failpoint.Hit(point)
}

var _ io.Writer = (*File)(nil)
