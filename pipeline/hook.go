package pipeline

import (
	"context"
	"encoding/hex"
	"io"
	"iter"

	"weir/internal/fault"
	"weir/sources"
)

// HookKey returns the secret from which an instance's hook is made: random, and
// the same for as long as the state remembers the instance.
func (p *Pipeline) HookKey(ctx context.Context, instance string) (key [32]byte, err error) {
	text, err := p.state.Meta(ctx, metaHook+instance)
	if err != nil {
		return key, err
	}
	if text != "" {
		if n, err := hex.Decode(key[:], []byte(text)); err != nil || n != len(key) {
			return key, fault.New(fault.Permanent, "state: the key of the hook of %s is damaged", instance)
		}
		return key, nil
	}
	if _, err := io.ReadFull(p.rand, key[:]); err != nil {
		return key, err
	}
	return key, p.committer.update(ctx, func(tx Tx) error { return tx.SetMeta(metaHook+instance, hex.EncodeToString(key[:])) })
}

const lanesAtOnce = 1000

// Lanes are those that a stream's last listings showed.
func (p *Pipeline) Lanes(ctx context.Context, id StreamID) iter.Seq2[sources.Lane, error] {
	return func(yield func(sources.Lane, error) bool) {
		for after := ""; ; {
			lanes, err := p.state.LanesAfter(ctx, id, after, lanesAtOnce)
			if err != nil {
				yield(sources.Lane{}, err)
				return
			}
			for _, l := range lanes {
				if !yield(l, nil) {
					return
				}
				after = l.ID
			}
			if len(lanes) < lanesAtOnce {
				return
			}
		}
	}
}
