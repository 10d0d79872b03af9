package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/cespare/xxhash/v2"

	"weir/internal/failpoint"
	"weir/sinks"
)

const (
	dayEvery = time.Minute // between looks at which days have closed
	markDays = 400         // how far back
)

// dayKeeper tells a sink which days are complete, once it has all that is told.
type dayKeeper struct {
	s       *sinkRun
	marker  sinks.DayMarker
	known   map[string]int64 // what the sink was told, as hashes
	pending map[string]dayWord
}

// dayWord is what a sink is to be told of a day.
type dayWord struct {
	hash  int64
	batch int64 // the newest there was when it was decided; the sink must have it
	mark  sinks.DayMark
}

// newDayKeeper returns the keeper of a sink; nil for one that is told nothing.
func newDayKeeper(s *sinkRun) *dayKeeper {
	m, ok := s.sink.(sinks.DayMarker)
	if !ok {
		return nil
	}
	return &dayKeeper{s: s, marker: m, pending: map[string]dayWord{}}
}

// run looks now and then until ctx ends.
func (k *dayKeeper) run(ctx context.Context) error {
	for {
		k.lookAndLog(ctx)
		select {
		case <-k.s.p.clock.After(dayEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (k *dayKeeper) lookAndLog(ctx context.Context) {
	if err := k.look(ctx); err != nil && ctx.Err() == nil {
		k.s.p.log.Warn("could not tell the sink which days are complete; trying again", "sink", k.s.name, "error", err)
	}
}

// look decides anew what is to be said of each day, and says it where the sink
// has what it is about.
func (k *dayKeeper) look(ctx context.Context) (err error) {
	p, st := k.s.p, k.s.p.state
	if k.known == nil {
		if k.known, err = st.DayMarks(ctx, k.s.name); err != nil {
			return err
		}
	}
	// The order matters: what was covered when the ledgers were read has its rows
	// in batches up to the last.
	ledgers, err := ReadDayLedgers(ctx, st, p.logs)
	if err != nil {
		return err
	}
	last, err := st.LastBatch(ctx)
	if err != nil {
		return err
	}
	now := p.clock.Now().UTC().Truncate(time.Millisecond)
	for _, d := range Days(ledgers, now, markDays) {
		if !d.Closed {
			if _, told := k.known[d.Date]; !told {
				continue
			}
		}
		content, err := json.Marshal(d)
		if err != nil {
			return err
		}
		hash := int64(xxhash.Sum64(content))
		switch {
		case k.known[d.Date] == hash:
			delete(k.pending, d.Date)
		case k.pending[d.Date].hash != hash:
			k.pending[d.Date] = dayWord{hash, last, sinks.DayMark{Date: d.Date, ClosedAt: now, Complete: d.Complete, Instances: d.Streams}}
		}
	}
	if len(k.pending) == 0 {
		return nil
	}
	return k.tell(ctx)
}

func (k *dayKeeper) tell(ctx context.Context) error {
	st := k.s.p.state
	owed, err := st.OwedSince(ctx, k.s.name)
	if err != nil {
		return err
	}
	// Read after what is owed: a part that is delivered between the two is one
	// more than needed.
	parts, err := st.DeliveredParts(ctx, k.s.name)
	if err != nil {
		return err
	}
	for date, w := range k.pending {
		if owed != 0 && owed <= w.batch {
			continue
		}
		w.mark.LastParts = parts
		if e := k.marker.MarkDay(ctx, w.mark); e != nil {
			err = errors.Join(err, e)
			continue
		}
		e := k.s.p.committer.update(ctx, func(tx Tx) error {
			if err := failpoint.Hit(failpoint.DayTold); err != nil {
				return err
			}
			return tx.SetDayMark(k.s.name, date, w.hash)
		})
		if e != nil {
			return errors.Join(err, e)
		}
		k.known[date] = w.hash
		delete(k.pending, date)
	}
	return err
}
