package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/fault"
)

// room holds the sources back while the spool is full or the disk nearly is.
// Sinks go on: they are what makes room.
type room struct {
	p             *Pipeline
	dir           string
	limit, margin int64

	mu      sync.Mutex
	checked time.Time
	free    int64
	tight   string // why sources wait; "" when they do not
}

const (
	roomCheck = time.Second
	roomWait  = 500 * time.Millisecond
)

func newRoom(p *Pipeline, dir string, limit, margin int64) *room {
	return &room{p: p, dir: dir, limit: limit, margin: margin}
}

// wait blocks while there is no room for another page.
func (r *room) wait(ctx context.Context) error {
	var since time.Time
	for {
		reason := r.reason()
		if reason == "" {
			return nil
		}
		now := r.p.clock.Now()
		if since.IsZero() {
			since = now
		}
		if r.p.patience > 0 && now.Sub(since) >= r.p.patience {
			return fmt.Errorf("sources wait: %s", reason)
		}
		select {
		case <-r.p.clock.After(roomWait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// reason says why sources must wait, "" when they need not.
func (r *room) reason() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	reason := ""
	if now := r.p.clock.Now(); r.checked.IsZero() || elapsed(now, r.checked, roomCheck) {
		r.checked = now
		var st unix.Statfs_t
		if err := unix.Statfs(r.dir, &st); err == nil {
			r.free = int64(st.Bavail) * st.Bsize
		} else {
			r.free = r.margin
		}
	}
	spooled := r.p.spool.bytes.Load()
	switch {
	case r.limit > 0 && spooled >= r.limit:
		reason = fmt.Sprintf("the spool holds %d MB, its limit is %d MB: a sink does not keep up", spooled>>20, r.limit>>20)
	case r.free < r.margin:
		reason = fmt.Sprintf("the disk of data_dir has %d MB free, min_free is %d MB", r.free>>20, r.margin>>20)
	}
	if reason != "" && r.tight == "" {
		r.p.log.Warn("sources wait; nothing is lost, they go on where they are", "reason", reason)
	}
	if reason == "" && r.tight != "" {
		r.p.log.Info("sources go on")
	}
	r.tight = reason
	return reason
}

// Network file systems keep neither locks nor fsync's promise.
var networkFS = map[int64]string{0x6969: "NFS", 0x517b: "SMB", 0xff534d42: "CIFS", 0xfe534d42: "SMB2"}

// lockDir makes this process the only agent on a data directory.
func lockDir(dir string) (unlock func() error, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil, fmt.Errorf("data_dir %s: %w", dir, err)
	}
	if name, ok := networkFS[int64(st.Type)]; ok {
		return nil, fault.New(fault.Permanent, "data_dir %s is on a network file system (%s), which keeps neither locks nor fsync's promise: use a local disk", dir, name)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		err = errors.Join(err, f.Close())
		return nil, fault.New(fault.Permanent, "data_dir %s is in use by another agent: %w", dir, err)
	}
	return f.Close, nil
}
