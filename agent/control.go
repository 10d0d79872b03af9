package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"weir/agent/govern"
	"weir/internal/fault"
	"weir/pipeline"
)

// ControlSocket is the name of the control socket within the data directory.
const ControlSocket = "control.sock"

const (
	controlTime   = 30 * time.Second
	maxControl    = 64 << 10 // bytes of a request or an answer
	maxSocketPath = 107      // bytes of a unix socket's path
)

// ErrNoAgent says that no agent listens in a data directory.
var ErrNoAgent = errors.New("no agent is running")

// ScanDecision is the body of POST /scan.
type ScanDecision struct {
	Instance string            `json:"instance"`
	Stream   string            `json:"stream"`
	Decision pipeline.Decision `json:"decision"`
}

// serveControl serves what operators may tell a running agent: HTTP on a unix
// socket in the data directory, for the agent's own user and root.
//
//	POST /scan       a ScanDecision
//	POST /backfill   a Backfill; the answer is the task
//	POST /past       a PastOrder; the answer is the task
//	POST /deadletter a DeadRequest
//	POST /sinks      a SinkCommand
//	POST /hold       a Hold, for as long as the connection lasts
func (a *Agent) serveControl() (stop func() error, err error) {
	none := func() error { return nil }
	path := filepath.Join(a.Config.Agent.DataDir, ControlSocket)
	// The directory is locked: a socket that is there is of an agent that ended.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if len(path) > maxSocketPath {
		a.Log.Warn("the path of data_dir is too long for a control socket: commands to a running agent will not work", "path", path)
		return none, nil
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", path) //nolint:forbidigo // closed by stop
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), l.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /scan", a.decideScan)
	mux.HandleFunc("POST /backfill", a.takeBackfill)
	mux.HandleFunc("POST /past", a.takePastOrder)
	mux.HandleFunc("POST /deadletter", a.actOnDead)
	mux.HandleFunc("POST /sinks", a.commandSink)
	mux.HandleFunc("POST /hold", a.hold)
	a.serveActions(mux)
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: controlTime,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if uid, err := peer(c); err == nil {
				ctx = context.WithValue(ctx, peerKey{}, uid)
			}
			return ctx
		},
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ownOnly{l, a.Log}) }()
	return func() error {
		err := srv.Close()
		if e := <-done; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}, nil
}

// ownOnly accepts connections of this process's user and of root.
type ownOnly struct {
	net.Listener
	log *slog.Logger
}

func (l ownOnly) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, err := peer(c)
		if err == nil && (uid == 0 || int(uid) == os.Getuid()) {
			return c, nil
		}
		l.log.Warn("a connection to the control socket was refused", "uid", uid, "error", err)
		_ = c.Close()
	}
}

// peer returns the user at the other end of a unix socket, as the kernel says.
func peer(c net.Conn) (uid uint32, err error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, fmt.Errorf("%T is no unix socket", c)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var cerr error
	err = raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, cerr); err != nil {
		return 0, err
	}
	return cred.Uid, nil
}

// told reads the body of a request of the control socket; what is none of its
// kind it answers.
func told(w http.ResponseWriter, r *http.Request, what string, into any) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControl))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		http.Error(w, govern.Plain("the request is no "+what+": "+err.Error()), http.StatusBadRequest)
		return false
	}
	return true
}

func (a *Agent) decideScan(w http.ResponseWriter, r *http.Request) {
	var d ScanDecision
	if !told(w, r, "decision", &d) {
		return
	}
	id := pipeline.StreamID{Instance: d.Instance, Stream: d.Stream}
	if err := a.Pipeline.Decide(r.Context(), id, d.Decision); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	a.Log.Info("held removals were decided", "instance", d.Instance, "stream", d.Stream, "decision", d.Decision)
	for _, s := range a.streams {
		if run := s.Running(); s.ID == id && run != nil {
			run.Wake()
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// DecideScan tells the agent that runs on a data directory what a person says of
// a stream's held removals; ErrNoAgent when none runs.
func DecideScan(ctx context.Context, dataDir string, d ScanDecision) error {
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return control(ctx, dataDir, "/scan", body)
}

func control(ctx context.Context, dataDir, path string, body []byte) error {
	_, err := ask(ctx, dataDir, path, body)
	return err
}

// call sends a body to the agent that runs on a data directory; ErrNoAgent when
// none runs. end closes the answer, and the connection.
func call(ctx context.Context, dataDir, path string, body []byte) (resp *http.Response, end func(), err error) {
	socket := filepath.Join(dataDir, ControlSocket)
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://agent"+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	resp, err = (&http.Client{Transport: tr}).Do(req)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return nil, nil, ErrNoAgent
	case err != nil:
		return nil, nil, fault.New(fault.Transient, "%s: %w", socket, err)
	}
	return resp, func() {
		_ = resp.Body.Close()
		tr.CloseIdleConnections()
	}, nil
}

// ask posts a request to the agent that runs on a data directory and returns its
// answer.
func ask(ctx context.Context, dataDir, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, controlTime)
	defer cancel()
	resp, end, err := call(ctx, dataDir, path, body) //nolint:bodyclose // end closes it
	if err != nil {
		return nil, err
	}
	defer end()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxControl))
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusNoContent:
		return answer, nil
	case http.StatusGone:
		return nil, fmt.Errorf("%s%w", strings.TrimSuffix(strings.TrimSpace(string(answer)), pipeline.ErrPastHeld.Error()), pipeline.ErrPastHeld)
	}
	return nil, errors.New(strings.TrimSpace(string(answer)))
}
