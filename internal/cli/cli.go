// Package cli is Weir's command line.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/jonboulle/clockwork"
	"golang.org/x/term"

	"weir/configs"
	"weir/internal/buildinfo"
	"weir/pipeline"
	sinkregistry "weir/sinks/registry"
	sourceregistry "weir/sources/registry"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// console is where a command speaks.
type console struct {
	out, err io.Writer
	clock    clockwork.Clock
}

type commands struct {
	Run        runCmd        `cmd:"" help:"Collect and deliver, until stopped."`
	Check      checkCmd      `cmd:"" help:"Check the configuration."`
	Connect    connectCmd    `cmd:"" help:"Have a person grant an instance access, in a browser."`
	Status     statusCmd     `cmd:"" help:"Show what the state in data_dir holds, also while an agent runs."`
	Ledger     ledgerCmd     `cmd:"" help:"Tell whether anything is missing, and which days are complete."`
	State      stateCmd      `cmd:"" help:"Check, copy, put back and mend the state in data_dir."`
	Scan       scanCmd       `cmd:"" help:"Look at scans, and decide on removals that are held."`
	Actions    actionsCmd    `cmd:"" help:"Ask for, approve, look at and take back changes at vendors."`
	Backfill   backfillCmd   `cmd:"" help:"Collect a stretch of a stream's past: weir backfill INSTANCE --stream S --from T. Also list, stop, resume, drop."`
	Deadletter deadletterCmd `cmd:"" help:"Look at what could not be taken, take it up again, or give it up."`
	Sinks      sinksCmd      `cmd:"" help:"Look at sinks, bring them what they lack, or give up what they are owed."`
	Remap      remapCmd      `cmd:"" help:"Make delivered rows anew from the records they carry, with today's mapping; no vendor is called."`
	Schema     schemaCmd     `cmd:"" help:"Print the tables' schema."`
	Demo       demoCmd       `cmd:"" help:"Collect from a pretended Okta, GitHub and CloudTrail into Parquet, and ask five questions; needs no account."`
	Sandbox    sandboxCmd    `cmd:"" help:"Serve the vendors' APIs over pretend organizations, to try things on."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// configFlag is the flag of every command that reads the configuration.
type configFlag struct {
	Config string `short:"c" default:"weir.yaml" env:"WEIR_CONFIG" placeholder:"FILE" help:"Configuration file (${default})."`
}

func (f configFlag) load() (*configs.Config, error) {
	cfg, err := configs.Load(f.Config, os.Environ(), sourceregistry.All, sinkregistry.All)
	if err != nil {
		return nil, usageError{err}
	}
	return cfg, nil
}

// usageError is a fault of the command line or the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Main runs the command in args and returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	var cmd commands
	exited := -1
	parser, err := kong.New(&cmd, kong.Name("weir"), kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }),
		kong.Description("Weir collects accounts, activities, files and app grants of SaaS and cloud apps and delivers them exactly once to Parquet and ClickHouse."),
		kong.UsageOnError(), kong.Vars{"scenarios": scenarioNames()}, kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		panic(err) // the declaration above is wrong
	}
	k, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintln(stderr, "weir:", err)
		return exitUsage
	}
	err = k.Run(&console{out: stdout, err: stderr, clock: clockwork.NewRealClock()})
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, usage.Error())
		return exitUsage
	}
	fmt.Fprintln(stderr, "weir:", err)
	if errors.Is(err, pipeline.ErrSinkOwed) {
		return exitUsage
	}
	return exitFailed
}

// signals returns a context that ends at the first SIGINT or SIGTERM. The
// second stops the process at once.
func (c *console) signals() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // this is the root
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-ch:
		case <-ctx.Done():
			return
		}
		fmt.Fprintln(c.err, "stopping; once more to stop at once")
		cancel()
		<-ch
		os.Exit(exitFailed)
	}()
	return ctx, cancel
}

// logger returns the agent's log as the configuration asks.
func (c *console) logger(a configs.Agent) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(a.LogLevel)) // checked by the configuration
	o := &slog.HandlerOptions{Level: level}
	if a.LogFormat == "text" || a.LogFormat == "auto" && isTerminal(c.err) {
		return slog.New(slog.NewTextHandler(c.err, o))
	}
	return slog.New(slog.NewJSONHandler(c.err, o))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// limitMemory sets the runtime's soft limit, unless GOMEMLIMIT does.
func limitMemory(bytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes)
	}
}

type versionCmd struct{}

func (versionCmd) Run(c *console) error {
	_, err := fmt.Fprintf(c.out, "weir %s %s %s/%s\n", buildinfo.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
