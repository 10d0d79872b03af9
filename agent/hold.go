package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"

	"weir/internal/fault"
	"weir/pipeline"
)

// maxHold is how long deliveries are held at most: whoever holds them may hang.
const maxHold = 5 * time.Minute

const held = "held"

// Hold is the body of POST /hold.
type Hold struct {
	Sink  string `json:"sink"`
	Table string `json:"table"`
}

// hold keeps deliveries to a sink's table back for as long as the connection
// lasts: whoever asked for it and is killed holds nothing any more.
func (a *Agent) hold(w http.ResponseWriter, r *http.Request) {
	var h Hold
	if !told(w, r, "hold", &h) {
		return
	}
	c := http.NewResponseController(w)
	err := errors.Join(c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{}))
	var release func()
	if err == nil {
		release, err = a.Pipeline.Hold(r.Context(), h.Sink, h.Table)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	defer release()
	if _, err := fmt.Fprintln(w, held); err != nil || c.Flush() != nil {
		return
	}
	select {
	case <-r.Context().Done():
	case <-a.Pipeline.Failure().Done():
	case <-a.Clock.After(maxHold):
		a.Log.Warn("deliveries were held for too long; they go on", "sink", h.Sink, "table", h.Table, "held_for", maxHold)
	}
}

// HoldSink keeps the agent of a data directory from writing a sink's table, or,
// where none runs, one from starting, until release is called or ctx ends. It
// waits until a part that is on its way has arrived.
func HoldSink(ctx context.Context, clock clockwork.Clock, dataDir string, h Hold) (release func(), err error) {
	const attempts = 20
	for i := 0; ; i++ {
		if release, err = holdRunning(ctx, dataDir, h); !errors.Is(err, ErrNoAgent) {
			return release, err
		}
		unlock, err := pipeline.HoldOffline(dataDir)
		if err == nil {
			return func() { _ = unlock() }, nil
		}
		if i == attempts { // one that starts, or stops, just now is neither there nor not
			return nil, err
		}
		select {
		case <-clock.After(250 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func holdRunning(ctx context.Context, dataDir string, h Hold) (release func(), err error) {
	body, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	resp, end, err := call(ctx, dataDir, "/hold", body) //nolint:bodyclose // held open: the hold lasts as long; end closes it
	if err != nil {
		cancel()
		return nil, err
	}
	line, err := bufio.NewReader(io.LimitReader(resp.Body, maxControl)).ReadString('\n')
	if err == nil && resp.StatusCode == http.StatusOK && strings.TrimSpace(line) == held {
		return func() {
			cancel()
			end()
		}, nil
	}
	cancel()
	end()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Transient, "%s: %w", filepath.Join(dataDir, ControlSocket), err)
	}
	return nil, fault.New(fault.Permanent, "the running agent does not hold its deliveries: %s", strings.TrimSpace(line))
}
