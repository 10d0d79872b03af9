package govern

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"weir/pipeline"
)

const (
	pruneEvery = time.Hour
	pruneAtMax = 1000 // actions, and entries, dropped at once
)

// base is the last entry of the log that the state has dropped: what follows is
// chained to it.
type base struct {
	Seq  int64
	Hash string
}

func loadBase(ctx context.Context, store Store) (b base, err error) {
	text, err := store.Meta(ctx, metaBase)
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), &b)
	}
	return b, err
}

func (r *Runner) pruneOnce(ctx context.Context) {
	if err := r.Prune(ctx); err != nil && ctx.Err() == nil {
		r.o.Log.Error("old actions cannot be dropped; trying again", "error", text(err.Error()))
	}
}

// Prune drops actions that have been final for longer than they are kept, and
// the beginning of the log, up to the first entry that is young, or of an action
// that is still there. The log says so, with the hash it goes on from.
func (r *Runner) Prune(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.o.Clock.Now().Add(-r.config.Keep)
	if err := r.o.Commit(ctx, "", "", nil, func(tx pipeline.Tx) error { return tx.DropOwnWrites(before) }); err != nil {
		return err
	}
	ids, err := r.o.Store.OldActions(ctx, before, pruneAtMax)
	if err != nil {
		return err
	}
	last, err := r.oldEntries(ctx, before)
	if err != nil || len(ids) == 0 && last.Seq == 0 {
		return err
	}
	e := event{Event: "pruned", Detail: fmt.Sprintf("%d actions older than governance.keep are dropped from the state", len(ids))}
	if last.Seq > 0 {
		e.Detail += fmt.Sprintf(", and the log up to entry %d, %s", last.Seq, last.Hash)
	}
	return r.commit(ctx, nil, e, func(tx pipeline.Tx) error {
		for _, id := range ids {
			if err := tx.DropAction(id); err != nil {
				return err
			}
		}
		if last.Seq == 0 {
			return nil
		}
		data, err := json.Marshal(last)
		if err != nil {
			return err
		}
		if err := tx.SetMeta(metaBase, string(data)); err != nil {
			return err
		}
		return tx.DropActionEntries(last.Seq)
	})
}

// oldEntries returns the last entry of those that can be dropped; the zero one
// when none can.
func (r *Runner) oldEntries(ctx context.Context, before time.Time) (last base, err error) {
	kept, err := r.o.Store.OldestEntry(ctx)
	if err != nil {
		return last, err
	}
	entries, err := r.o.Store.ActionEntries(ctx, "", 1, pruneAtMax)
	if err != nil {
		return last, err
	}
	for _, data := range entries {
		var e entry
		if err := json.Unmarshal(data.Data, &e); err != nil {
			return last, fmt.Errorf("entry %d is damaged: %w", data.Seq, err)
		}
		if e.Seq >= r.head.Seq || kept > 0 && e.Seq >= kept || !instant(e.At).Before(before) {
			break
		}
		last = base{e.Seq, e.Hash}
	}
	return last, nil
}
