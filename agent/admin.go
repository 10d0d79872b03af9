package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// serveAdmin serves health and metrics. There is nothing to control here, and
// nothing secret.
//
//	/healthz  200 while the process works
//	/readyz   200 once every sink is prepared and no stream is stopped
//	/metrics  Prometheus
func (a *Agent) serveAdmin() (stop func() error, err error) {
	addr := a.Config.Agent.Listen
	if addr == "" || a.Once {
		return func() error { return nil }, nil
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr) //nolint:forbidigo // closed by stop
	if err != nil {
		return nil, fmt.Errorf("agent.listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	a.Log.Info("serving health and metrics", "address", l.Addr().String())
	return func() error {
		err := srv.Close()
		if e := <-done; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}, nil
}

func (a *Agent) ready(w http.ResponseWriter, _ *http.Request) {
	var problems []string
	for _, s := range a.Pipeline.SinkStatus() {
		switch {
		case s.Error != nil:
			problems = append(problems, fmt.Sprintf("sink %s: %v", s.Name, s.Error))
		case !s.Prepared:
			problems = append(problems, fmt.Sprintf("sink %s: not prepared yet", s.Name))
		}
	}
	for _, s := range a.streams {
		if err := s.Err(); err != nil {
			problems = append(problems, fmt.Sprintf("stream %s: %v", s.ID, err))
		}
	}
	if reason := a.Pipeline.Waiting(); reason != "" {
		problems = append(problems, "sources wait: "+reason)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if len(problems) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		for _, p := range problems {
			fmt.Fprintln(w, p)
		}
		return
	}
	fmt.Fprintln(w, "ready")
}
