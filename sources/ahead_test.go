package sources_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/sources"
)

// numbered yields pages numbered by their cursors, in two memories, then err.
// began gets the number of each page before it is made.
func numbered(n int, began chan<- int, err error) func(context.Context) iter.Seq2[*sources.Page, error] {
	return func(ctx context.Context) iter.Seq2[*sources.Page, error] {
		return func(yield func(*sources.Page, error) bool) {
			var memory [2]sources.Page
			for i := range n {
				select {
				case began <- i:
				case <-ctx.Done():
					yield(nil, context.Cause(ctx))
					return
				}
				p := &memory[i%2]
				p.Next = sources.Cursor(rune('a' + i))
				if !yield(p, nil) {
					return
				}
			}
			if err != nil {
				yield(nil, err)
			}
		}
	}
}

// While a page is at work the next one is made, and no other.
func TestAhead(t *testing.T) {
	t.Parallel()
	const pages = 5
	failed := errors.New("failed")
	began := make(chan int, pages)
	got, made := "", 0
	var last error
	for p, err := range sources.Ahead(t.Context(), numbered(pages, began, failed)) {
		if last = err; err != nil {
			continue
		}
		for got += string(p.Next); made <= len(got) && made < pages; made++ {
			require.Equal(t, made, <-began)
		}
		require.Equal(t, string(rune('a'+len(got)-1)), string(p.Next), "a page at work was overwritten")
	}
	require.Equal(t, "abcde", got)
	require.Equal(t, failed, last)
}

// Who stops in between leaves nothing behind.
func TestAheadStops(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	read := func(ctx context.Context) iter.Seq2[*sources.Page, error] {
		return func(yield func(*sources.Page, error) bool) {
			defer close(ended)
			for p, err := range numbered(1000, make(chan int, 1000), nil)(ctx) {
				if !yield(p, err) {
					return
				}
			}
		}
	}
	for _, err := range sources.Ahead(t.Context(), read) {
		require.NoError(t, err)
		break
	}
	select {
	case <-ended:
	default:
		t.Fatal("it still reads")
	}
}

func TestAheadCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	began := make(chan int) // nobody takes the second number
	go func() {
		<-began
		cancel(stopped)
	}()
	var last error
	for _, err := range sources.Ahead(ctx, numbered(1000, began, nil)) {
		last = err
	}
	require.Equal(t, stopped, last)
}

func TestAheadPanics(t *testing.T) {
	t.Parallel()
	read := func(context.Context) iter.Seq2[*sources.Page, error] {
		return func(func(*sources.Page, error) bool) { panic("no such page") }
	}
	require.Panics(t, func() {
		for _, err := range sources.Ahead(t.Context(), read) {
			require.NoError(t, err)
			t.Error("there is no page")
		}
	})
}
