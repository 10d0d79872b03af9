package pipeline

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/schemas"
	"weir/sinks"
)

func keepLetter(t *testing.T, p *Pipeline, d DeadLetter) DeadLetter {
	t.Helper()
	d.ID, d.At, d.StreamID = p.ids.New(), time.Now(), testStream
	require.NoError(t, p.dead.keep(&d))
	require.NoError(t, p.committer.update(t.Context(), func(tx Tx) error { return tx.AddDeadLetter(d) }))
	return d
}

func actOn(t *testing.T, p *Pipeline, a DeadAction, f DeadFilter, m MapRecord) (done, failed []string) {
	t.Helper()
	got, err := p.ActOnDead(t.Context(), a, f, m)
	require.NoError(t, err)
	for _, r := range got {
		if r.Error == "" {
			done = append(done, r.Done)
		} else {
			failed = append(failed, r.Error)
		}
	}
	return done, failed
}

// What a person asks for and cannot be done is told, and holds nobody up: the
// agent goes on collecting and delivering.
func TestDeclinedChange(t *testing.T) {
	t.Parallel()
	sink := newMemorySink()
	p := openOn(t, t.TempDir(), clockwork.NewRealClock(), Options{}, map[string]sinks.Sink{"lake": sink})
	d := keepLetter(t, p, DeadLetter{Kind: DeadRow, Lane: "of an API", Raw: "{}"})
	done, failed := actOn(t, p, Recollect, DeadFilter{}, nil)
	require.Empty(t, done)
	require.Len(t, failed, 1)
	require.Contains(t, failed[0], "no longer known")

	// With others, whose changes are made all the same.
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			err := p.do(t.Context(), &change{apply: func(tx Tx) error {
				if i%2 == 0 {
					return tx.ForgetDropped("never dropped")
				}
				return tx.SetMeta(fmt.Sprint("other ", i), "made")
			}})
			if i%2 == 0 {
				require.ErrorContains(t, err, "not there any more") //nolint:testifylint // the others are waited for
				return
			}
			require.NoError(t, err) //nolint:testifylint // as above
		})
	}
	wg.Wait()
	for i := range 10 {
		v, err := p.state.Meta(t.Context(), fmt.Sprint("other ", 2*i+1))
		require.NoError(t, err)
		require.Equal(t, "made", v)
	}
	_, err := runOnce(t, p, fakeLanes{lanes: 2, pages: 2, rows: 10}.stream())
	require.NoError(t, err)
	require.NoError(t, p.Drain(t.Context()))
	requireExact(t, sink, 40)
	_, err = p.state.DeadLetter(t.Context(), d.ID)
	require.NoError(t, err, "it stays")
	require.NoError(t, p.Close())
}

// Two persons replay the same letters at the same time: each row comes once.
func TestReplayedByTwo(t *testing.T) {
	t.Parallel()
	picky := &pickySink{memorySink: newMemorySink(), refuse: func(id string) bool { return id == "0-0-1" || id == "1-0-2" }}
	p := openOn(t, t.TempDir(), clockwork.NewRealClock(), Options{}, map[string]sinks.Sink{"picky": picky})
	_, err := runOnce(t, p, fakeLanes{lanes: 2, pages: 1, rows: 10}.stream())
	require.NoError(t, err)
	require.NoError(t, p.Drain(t.Context()))
	requireExact(t, picky.memorySink, 18)
	picky.set(func(string) bool { return false })
	letters, err := p.state.FindDead(t.Context(), DeadFilter{})
	require.NoError(t, err)
	require.Len(t, letters, 2)
	var wg sync.WaitGroup
	for range 4 {
		for _, l := range letters {
			wg.Go(func() { _ = p.replayPart(t.Context(), l.ID) })
		}
	}
	wg.Wait()
	require.NoError(t, p.Drain(t.Context()))
	requireExact(t, picky.memorySink, 20)
	require.NoError(t, p.Close())
}

// A record that is mapped to several rows, one of which is refused again, stays
// whole: none of its rows counts as sent.
func TestReplayRefusedAgain(t *testing.T) {
	t.Parallel()
	sink := newMemorySink()
	p := openOn(t, t.TempDir(), clockwork.NewRealClock(), Options{}, map[string]sinks.Sink{"lake": sink})
	_, err := runOnce(t, p, fakeLanes{lanes: 1, pages: 1, rows: 5}.stream())
	require.NoError(t, err)
	keepLetter(t, p, DeadLetter{Kind: DeadRow, Lane: "l", Raw: "{}"})
	mapped := func(second string) MapRecord {
		return func(DeadLetter, string) (*schemas.Rows, error) {
			at := schemas.Time(time.Now().UnixMilli())
			return &schemas.Rows{Activities: []schemas.Activity{{EventID: "first", Raw: "{}", Time: at}, {EventID: second, Raw: "{}", Time: at}}}, nil
		}
	}
	_, failed := actOn(t, p, Replay, DeadFilter{}, mapped(""))
	require.Len(t, failed, 1)
	require.Contains(t, failed[0], "refused again")
	done, failed := actOn(t, p, Replay, DeadFilter{}, mapped("second"))
	require.Empty(t, failed)
	require.Equal(t, []string{"mapped anew"}, done)
	require.NoError(t, p.Drain(t.Context()))
	requireExact(t, sink, 7)
	require.NoError(t, p.Close())
}
