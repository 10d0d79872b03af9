package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"

	"weir/internal/sandbox"
	"weir/internal/sandbox/all"
	"weir/internal/setting"
)

type sandboxCmd struct {
	Listen       string            `default:"127.0.0.1:8490" placeholder:"ADDR" help:"Where to listen (${default}). Anybody who reaches it can read everything and move its clock."`
	AllowRemote  bool              `help:"Allow an address that other machines can reach."`
	People       int               `default:"200" help:"People of each organization, at most 100000 (${default})."`
	Files        int               `placeholder:"N" help:"Files that each organization keeps at Microsoft 365, and at Google, about, at most 5000000 (six for each person)."`
	Seed         uint64            `default:"1" help:"The same seed makes the same organizations (${default})."`
	Scenario     string            `default:"none" placeholder:"NAME|FILE" help:"What goes wrong: ${scenarios}, or a YAML file (${default})."`
	Tenants      []string          `default:"acme" placeholder:"NAME" help:"Organizations to begin with (${default}); others are made when they are asked for."`
	History      string            `default:"30d" help:"How far the events reach back (${default})."`
	EventsPerDay float64           `default:"8" help:"Events of a person on a working day, about (${default}); less than 0: nothing happens."`
	Clock        string            `default:"real" enum:"real,fake" help:"real, or fake: time stands still but for POST /_sandbox/clock?advance=1h (${default})."`
	Speed        float64           `default:"1" help:"How fast the real clock runs (${default})."`
	Now          string            `placeholder:"TIME" help:"Time at the start, RFC 3339 (the real time)."`
	Replay       map[string]string `placeholder:"APP=DIR" mapsep:"none" help:"Serve the real records of a directory instead of made-up ones, for apps that can: microsoft365."`
	PrintConfig  bool              `help:"Print the configuration of an agent that collects everything from the sandbox, and exit."`
}

// Run implements the command.
func (r *sandboxCmd) Run(c *console) error {
	s, err := r.server(c)
	if err != nil {
		return usageError{fmt.Errorf("weir: sandbox: %w", err)}
	}
	if r.PrintConfig {
		dir, err := filepath.Abs("weir-sandbox")
		if err != nil {
			return err
		}
		text, err := s.Config("http://"+r.Listen, dir)
		if err == nil {
			_, err = fmt.Fprint(c.out, text)
		}
		return err
	}
	defer s.Close()
	ctx, stop := c.signals()
	defer stop()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", r.Listen)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	h := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	go func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if h.Shutdown(ctx) != nil {
			_ = h.Close()
		}
	}()
	fmt.Fprintf(c.err, "The sandbox is at http://%s/_sandbox/\n", l.Addr())
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// server makes the sandbox that the flags describe.
func (r *sandboxCmd) server(c *console) (*sandbox.Server, error) {
	host, _, err := net.SplitHostPort(r.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: want HOST:PORT: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) && !r.AllowRemote {
		return nil, fmt.Errorf("--listen %s can be reached from other machines: say --allow-remote if that is wanted", r.Listen)
	}
	if r.People < 1 || r.People > 100_000 {
		return nil, errors.New("--people: want 1 to 100000")
	}
	history, err := setting.ParseDuration(r.History)
	if err != nil {
		return nil, fmt.Errorf("--history: %w", err)
	}
	if r.EventsPerDay > 1000 {
		return nil, errors.New("--events-per-day: want at most 1000")
	}
	if r.Files < 0 || r.Files > 5_000_000 {
		return nil, errors.New("--files: want 0 to 5000000")
	}
	scenario, err := sandbox.LoadScenario(r.Scenario)
	if err != nil {
		return nil, err
	}
	if err := scenario.Check(all.Vendors); err != nil {
		return nil, err
	}
	clock, err := r.clock(c.clock)
	if err != nil {
		return nil, err
	}
	return sandbox.New(sandbox.Options{
		Vendors: all.Vendors, Clock: clock, Seed: r.Seed, People: r.People, History: history, EventsPerDay: r.EventsPerDay, Files: r.Files,
		Scenario: scenario, Tenants: r.Tenants, Replay: r.Replay, Real: c.clock,
	})
}

func (r *sandboxCmd) clock(real clockwork.Clock) (clockwork.Clock, error) {
	start := real.Now()
	if r.Now != "" {
		t, err := time.Parse(time.RFC3339, r.Now)
		if err != nil {
			return nil, fmt.Errorf("--now: want a time such as 2026-09-01T12:00:00Z: %w", err)
		}
		start = t
	}
	switch {
	case r.Speed < 0 || r.Speed > 100_000:
		return nil, errors.New("--speed: want 0 to 100000")
	case r.Clock == "fake" && r.Speed != 1:
		return nil, errors.New("--speed: a fake clock has none")
	case r.Clock == "fake":
		return clockwork.NewFakeClockAt(start), nil
	case r.Speed == 1 && r.Now == "":
		return real, nil
	}
	return &fastClock{Clock: real, began: real.Now(), start: start, speed: r.Speed}, nil
}

// fastClock tells a time that runs faster than the real one. Its timers do not.
type fastClock struct {
	clockwork.Clock
	began, start time.Time
	speed        float64
}

func (c *fastClock) Now() time.Time {
	return c.start.Add(time.Duration(float64(c.Clock.Since(c.began)) * c.speed))
}

func (c *fastClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }
func (c *fastClock) Until(t time.Time) time.Duration { return t.Sub(c.Now()) }

// scenarioNames are for the help.
func scenarioNames() string { return strings.Join(sandbox.Builtin(), ", ") }
