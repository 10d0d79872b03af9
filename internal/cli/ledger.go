package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"weir/agent"
	"weir/configs"
	"weir/internal/setting"
	"weir/pipeline"
)

type ledgerCmd struct {
	configFlag
	Instance string `arg:"" optional:"" help:"Only this instance."`
	Stream   string `placeholder:"NAME" help:"Only this stream."`
	From     string `placeholder:"TIME" help:"A time (2026-01-31T08:00:00Z), a day (2026-01-31, UTC), or how long ago (36h, 7d). Without it: since collection began."`
	To       string `placeholder:"TIME" help:"The same; without it: now."`
	Closed   bool   `help:"List days, and which of them are complete."`
	JSON     bool   `name:"json" help:"Print JSON."`
}

// errMissing ends a ledger that is not complete.
var errMissing = errors.New("something is missing: see above")

// maxDays is how many days weir ledger --closed goes back.
const maxDays = 400

// Run implements the command.
func (r *ledgerCmd) Run(c *console) error {
	ctx := context.Background() //nolint:forbidigo // this is the root
	now := c.clock.Now().UTC()
	within, err := r.within(now)
	if err != nil {
		return usageError{err}
	}
	cfg, st, err := r.state(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	streams := logStreams(cfg, r.Instance, r.Stream)
	if len(streams) == 0 {
		return usageError{errors.New("no such stream of events is configured: a ledger is kept of streams of events, not of scans")}
	}
	if r.Closed {
		return r.days(ctx, c, st, streams, within, now)
	}
	var ledgers []pipeline.StreamLedger
	for _, s := range streams {
		l, err := pipeline.Ledger(ctx, st, s, within, now)
		if err != nil {
			return err
		}
		ledgers = append(ledgers, l)
	}
	if r.JSON {
		err = writeLedgerJSON(c.out, ledgers)
	} else {
		err = writeLedger(c.out, ledgers)
	}
	if err == nil && slices.ContainsFunc(ledgers, func(l pipeline.StreamLedger) bool { return !l.Complete }) {
		err = errMissing
	}
	return err
}

// logStreams returns the enabled streams of events.
func logStreams(cfg *configs.Config, instance, stream string) (out []pipeline.LedgerStream) {
	for _, inst := range cfg.Instances {
		for _, l := range agent.LedgerStreams(inst) {
			if (instance == "" || instance == inst.Name) && (stream == "" || stream == l.ID.Stream) {
				out = append(out, l)
			}
		}
	}
	return out
}

func (r *ledgerCmd) within(now time.Time) (s pipeline.Span, err error) {
	if s.From, err = parseWhen("--from", r.From, now); err != nil {
		return s, err
	}
	if s.To, err = parseWhen("--to", r.To, now); err != nil {
		return s, err
	}
	end := s.To
	if end.IsZero() {
		end = now
	}
	if !s.From.IsZero() && !s.From.Before(end) {
		return s, fmt.Errorf("--from is %s, which is not before the end, %s", stamp(s.From), stamp(end))
	}
	return s, nil
}

func writeLedger(w io.Writer, ledgers []pipeline.StreamLedger) error {
	var b strings.Builder
	missing, holes := 0, 0
	for _, l := range ledgers {
		holes += len(l.Missing)
		if !l.Complete {
			missing++
		}
	}
	if missing > 0 {
		fmt.Fprintf(&b, "YES: something is missing, or may be: %d spans in %d of %d streams\n", holes, missing, len(ledgers))
	} else {
		fmt.Fprintf(&b, "NO: nothing is missing in %d streams%s\n", len(ledgers), openFrom(ledgers))
	}
	for _, l := range ledgers {
		fmt.Fprintf(&b, "\n%s, %s to %s\n", l.StreamID, stamp(l.Asked.From), stamp(l.Asked.To))
		for _, s := range l.Covered {
			fmt.Fprintf(&b, "  complete    %s to %s\n", stamp(s.From), stamp(s.To))
		}
		for _, h := range l.Missing {
			fmt.Fprintf(&b, "  %-11s %s to %s: %s\n", holeWord(h), stamp(h.From), stamp(h.To), h.Reason)
			when := ""
			if !h.When.IsZero() {
				when = " (" + stamp(h.When) + ")"
			}
			fmt.Fprintf(&b, "              %s%s\n", h.Does, when)
		}
		if !l.Open.Empty() {
			fmt.Fprintf(&b, "  not closed  %s to %s: what happens now, or may still come\n", stamp(l.Open.From), stamp(l.Open.To))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// openFrom words from when on streams are not closed.
func openFrom(ledgers []pipeline.StreamLedger) string {
	var first time.Time
	for _, l := range ledgers {
		if !l.Open.Empty() && (first.IsZero() || l.Open.From.Before(first)) {
			first = l.Open.From
		}
	}
	if first.IsZero() {
		return ""
	}
	return " before " + stamp(first) + "; what is later is not closed yet"
}

func holeWord(h pipeline.LedgerHole) string {
	if h.State == pipeline.HoleLost {
		return "lost"
	}
	return "missing"
}

type ledgerJSON struct {
	Missing bool               `json:"missing"`
	Streams []streamLedgerJSON `json:"streams"`
}

type streamLedgerJSON struct {
	Instance  string     `json:"instance"`
	Stream    string     `json:"stream"`
	From      time.Time  `json:"from"`
	To        time.Time  `json:"to"`
	Complete  bool       `json:"complete"`
	Covered   []spanJSON `json:"covered"`
	Holes     []holeJSON `json:"holes"`
	NotClosed *spanJSON  `json:"not_closed,omitempty"`
}

type spanJSON struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

type holeJSON struct {
	spanJSON
	Class  string             `json:"class"`
	Reason string             `json:"reason"`
	State  pipeline.HoleState `json:"state"`
	Since  *time.Time         `json:"since,omitempty"`
	Does   string             `json:"does"`
	When   *time.Time         `json:"when,omitempty"`
}

func writeLedgerJSON(w io.Writer, ledgers []pipeline.StreamLedger) error {
	known := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	out := ledgerJSON{}
	for _, l := range ledgers {
		s := streamLedgerJSON{
			Instance: l.Instance, Stream: l.Stream, From: l.Asked.From, To: l.Asked.To, Complete: l.Complete,
			Covered: []spanJSON{}, Holes: []holeJSON{},
		}
		for _, v := range l.Covered {
			s.Covered = append(s.Covered, spanJSON(v))
		}
		for _, h := range l.Missing {
			s.Holes = append(s.Holes, holeJSON{spanJSON(h.Span), h.Class, h.Reason, h.State, known(h.Since), h.Does, known(h.When)})
		}
		if !l.Open.Empty() {
			s.NotClosed = &spanJSON{l.Open.From, l.Open.To}
		}
		out.Missing = out.Missing || !l.Complete
		out.Streams = append(out.Streams, s)
	}
	return writeJSON(w, out)
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// days lists the days that have ended.
func (r *ledgerCmd) days(ctx context.Context, c *console, st pipeline.State, streams []pipeline.LedgerStream, within pipeline.Span, now time.Time) error {
	ledgers, err := pipeline.ReadDayLedgers(ctx, st, streams)
	if err != nil {
		return err
	}
	days := pipeline.Days(ledgers, now, maxDays)
	days = slices.DeleteFunc(days, func(d pipeline.Day) bool {
		return !within.From.IsZero() && d.Date < within.From.Format(time.DateOnly) || !within.To.IsZero() && d.Date >= within.To.Format(time.DateOnly)
	})
	incomplete := slices.ContainsFunc(days, func(d pipeline.Day) bool { return !d.Complete })
	if r.JSON {
		type dayJSON struct {
			pipeline.Day
			Closed bool `json:"closed"`
		}
		out := []dayJSON{}
		for _, d := range days {
			out = append(out, dayJSON{d, d.Closed})
		}
		err = writeJSON(c.out, out)
	} else {
		err = writeDays(c.out, days)
	}
	if err == nil && incomplete {
		err = errMissing
	}
	return err
}

func writeDays(w io.Writer, days []pipeline.Day) error {
	if len(days) == 0 {
		_, err := fmt.Fprintln(w, "no day has ended yet")
		return err
	}
	t := newTable(w, "day", "complete", "what is missing")
	for _, d := range days {
		word := "yes"
		if !d.Complete {
			word = "no"
		}
		if !d.Closed {
			word = "not closed"
		}
		var missing []string
		for _, inst := range slices.Sorted(maps.Keys(d.Streams)) {
			for _, s := range slices.Sorted(maps.Keys(d.Streams[inst])) {
				if why := d.Streams[inst][s]; why != pipeline.DayCovered {
					missing = append(missing, inst+"/"+s+": "+why)
				}
			}
		}
		t.AppendRow(table.Row{d.Date, word, strings.Join(missing, "\n")})
	}
	t.Render()
	return nil
}

// health prints how each stream fares, and why.
func (c *console) health(ctx context.Context, cfg *configs.Config, st pipeline.State) error {
	now := c.clock.Now()
	t := newTable(c.out, "instance", "stream", "health", "event to delivery (p50, p99)", "why")
	t.SetColumnConfigs([]table.ColumnConfig{{Name: "why", WidthMax: 100}})
	for _, inst := range cfg.Instances {
		for _, info := range inst.StreamInfos() {
			s := inst.Streams[info.Name]
			if !inst.Enabled || !s.Enabled {
				continue
			}
			in, err := pipeline.ReadHealth(ctx, st, pipeline.StreamID{Instance: inst.Name, Stream: info.Name}, info, s.Every, s.FullEvery)
			if err != nil {
				return err
			}
			h := in.Judge(now)
			lag := "-"
			if in.Lag.Rows > 0 {
				lag = setting.FormatDuration(in.Lag.P50.Round(time.Second/10)) + ", " + setting.FormatDuration(in.Lag.P99.Round(time.Second/10))
			}
			t.AppendRow(table.Row{inst.Name, info.Name, string(h.Color), lag, h.Reason})
		}
	}
	if t.Length() > 0 {
		t.Render()
		fmt.Fprintln(c.out)
	}
	return nil
}
