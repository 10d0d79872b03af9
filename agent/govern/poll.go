package govern

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"weir/internal/fault"
	"weir/pipeline"
	"weir/schemas"
	"weir/sinks"
)

// pollState is how far the control tables have been read.
type pollState struct {
	Requests, Approvals tablePlace
	// Told are, by reason and who made them, the rows answered together, in one
	// entry of the log: those up to a place.
	Told map[string]sinks.ControlPlace
}

// tablePlace is how far one table has been read: again and again from a while
// before its newest row on, for a row may become visible late.
type tablePlace struct {
	Newest schemas.Time       // received_at of the newest row seen
	Before schemas.Time       // Newest when the reading last began anew: it begins next a while before
	GoOn   sinks.ControlPlace // where the reading was left; zero: it came to the end
}

const (
	lookBack  = 5 * time.Minute
	pollPage  = 1000
	pollPages = 10 // of one table in one poll: the next goes on there

	// MaxAnswers bounds the rows that are refused or ignored with an entry of the
	// log each, of one principal in one poll, or of one action: more share one.
	MaxAnswers = 100
)

func (r *Runner) loadPoll(ctx context.Context) error {
	text, err := r.o.Store.Meta(ctx, metaPoll)
	if err != nil {
		return err
	}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &r.poll); err != nil {
			return fmt.Errorf("the state's place in the control tables is damaged: %w", err)
		}
	}
	if r.poll.Told == nil {
		r.poll.Told = map[string]sinks.ControlPlace{}
	}
	r.polledAs = text
	return nil
}

func (r *Runner) pollOnce(ctx context.Context) {
	if r.o.Control == nil {
		return
	}
	if err := r.Poll(ctx); err != nil && ctx.Err() == nil {
		r.o.Log.Error("the control tables cannot be read; trying again", "sink", r.config.Control, "error", text(err.Error()))
	}
}

// Poll reads what is new in the control tables: a bounded number of rows, the
// next poll goes on where this one stops.
func (r *Runner) Poll(ctx context.Context) error {
	together := map[string]int{}
	refused := map[string]int{}
	requests, err := sweep(ctx, r, r.poll.Requests, r.o.Control.Requests, func(row schemas.ActionRow) (sinks.ControlPlace, error) {
		at := sinks.ControlPlace{ReceivedAt: row.ReceivedAt, ID: row.ID, Row: row.RowHash}
		return at, r.takeIn(ctx, row, at, together, refused)
	})
	if err != nil {
		return err
	}
	if err := r.polled(ctx, func(p *pollState) *tablePlace { return &p.Requests }, requests, "rejected", "requests", together); err != nil {
		return err
	}
	clear(together)
	approvals, err := sweep(ctx, r, r.poll.Approvals, r.o.Control.Approvals, func(d schemas.ApprovalRow) (sinks.ControlPlace, error) {
		at := sinks.ControlPlace{ReceivedAt: d.ReceivedAt, ID: d.ActionID, Row: d.RowHash}
		return at, r.hear(ctx, d, at, together)
	})
	if err != nil {
		return err
	}
	return r.polled(ctx, func(p *pollState) *tablePlace { return &p.Approvals }, approvals, "decision_ignored", "decisions", together)
}

// read is what one poll has read of a table.
type read struct {
	tablePlace
	last sinks.ControlPlace
}

// sweep goes on reading a table, row by row.
func sweep[R any](ctx context.Context, r *Runner, at tablePlace, page func(context.Context, sinks.ControlPlace, int) ([]R, error), take func(R) (sinks.ControlPlace, error)) (done read, err error) {
	done.tablePlace, done.last = at, at.GoOn
	if done.last == (sinks.ControlPlace{}) { // never before what max_age lets run
		oldest := schemas.Time(r.o.Clock.Now().Add(-r.config.MaxAge).UnixMilli())
		done.last.ReceivedAt = max(oldest, at.Before-schemas.Time(lookBack.Milliseconds()))
		done.Before = at.Newest
	}
	for range pollPages {
		rows, err := page(ctx, done.last, pollPage)
		if err != nil {
			return done, err
		}
		for _, row := range rows {
			if done.last, err = take(row); err != nil {
				return done, err
			}
		}
		if len(rows) > 0 {
			done.Newest = max(done.Newest, done.last.ReceivedAt)
		}
		if len(rows) < pollPage {
			done.GoOn = sinks.ControlPlace{}
			return done, nil
		}
	}
	done.GoOn = done.last
	return done, nil
}

// takeIn submits a row, unless it is one of many that are answered together.
func (r *Runner) takeIn(ctx context.Context, row schemas.ActionRow, at sinks.ControlPlace, together, refused map[string]int) error {
	by := r.dbUser(row.DBUser)
	who := quoted(by.name())
	switch {
	case by.Principal == "":
		r.count(together, "no principal of the configuration: "+who, at)
		return nil
	case !validID(row.ID):
		r.count(together, "an id that is none: "+who, at)
		return nil
	}
	if _, known, err := r.o.Store.Action(ctx, row.ID); err != nil {
		return err
	} else if known {
		_, err := r.Submit(ctx, row, by)
		return err
	}
	full, bad := "too many open requests: "+who, fmt.Sprintf("after %d that were refused: %s", MaxAnswers, who)
	if at.Compare(r.poll.Told[full]) <= 0 || at.Compare(r.poll.Told[bad]) <= 0 {
		return nil // it has been answered
	}
	open, err := r.o.Store.ActionsOpen(ctx, by.name())
	switch {
	case err != nil:
		return err
	case open >= int64(r.config.MaxPending):
		r.count(together, full, at)
		return nil
	case refused[by.name()] >= MaxAnswers:
		r.count(together, bad, at)
		return nil
	}
	a, err := r.Submit(ctx, row, by)
	switch {
	case err == errDropped: //nolint:errorlint // it is never wrapped
		r.count(together, "an id that was used long ago: "+who, at)
		return nil
	case err == nil && a.State == Rejected:
		refused[by.name()]++
	}
	return err
}

// hear takes a decision in. One about no action known has nothing that could
// remember it, and is counted.
func (r *Runner) hear(ctx context.Context, d schemas.ApprovalRow, at sinks.ControlPlace, together map[string]int) error {
	by := r.dbUser(d.DBUser)
	if by.Principal == "" {
		r.count(together, "no principal of the configuration: "+quoted(by.name()), at)
		return nil
	}
	parts := []string{"weir action decision 1", d.ActionID, d.RequestHash, d.PlanHash, d.Decision, d.Reason, d.DBUser, fmt.Sprint(d.ReceivedAt)}
	if d.Signature != "" {
		parts = append(parts, d.Signature)
	}
	_, err := r.decideOnce(ctx, d, by, sum(parts...))
	if err == errNoAction { //nolint:errorlint // it is never wrapped
		r.count(together, "there is no such action: "+quoted(by.name()), at)
		return nil
	}
	if fault.Of(err) == fault.BadData {
		return nil // it is in the log
	}
	return err
}

// count counts a row that is answered together with others, once.
func (r *Runner) count(together map[string]int, group string, at sinks.ControlPlace) {
	if at.Compare(r.poll.Told[group]) > 0 {
		together[group]++
	}
}

// polled remembers how far a table has been read, and tells of the rows
// answered together.
func (r *Runner) polled(ctx context.Context, place func(*pollState) *tablePlace, done read, what, of string, together map[string]int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, group := range slices.Sorted(maps.Keys(together)) {
		e := event{Event: what, by: Caller{Via: r.config.Control}}
		e.Detail = fmt.Sprintf("%d %s up to %s: %s", together[group], of, instant(done.last.ReceivedAt).Format(time.RFC3339Nano), group)
		if err := r.commit(ctx, nil, e); err != nil {
			return err
		}
		r.poll.Told[group] = done.last
	}
	for group, at := range r.poll.Told {
		if instant(at.ReceivedAt).Add(r.config.MaxAge).Before(r.o.Clock.Now()) {
			delete(r.poll.Told, group) // older rows are not read any more
		}
	}
	*place(&r.poll) = done.tablePlace
	data, err := json.Marshal(r.poll)
	if err != nil || string(data) == r.polledAs {
		return err
	}
	if err := r.o.Commit(ctx, "", "", nil, func(tx pipeline.Tx) error { return tx.SetMeta(metaPoll, string(data)) }); err != nil {
		return err
	}
	r.polledAs = string(data)
	return nil
}
