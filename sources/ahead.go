package sources

import (
	"context"
	"fmt"
	"iter"
	"runtime/debug"
)

// Ahead yields what read yields, and has the next page read while the last is
// at work: for logs with much to catch up on. A page must stay as it is until
// the one after the next is read, so two memories are enough. When it returns,
// read has returned.
func Ahead(ctx context.Context, read func(context.Context) iter.Seq2[*Page, error]) iter.Seq2[*Page, error] {
	return func(yield func(*Page, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		type result struct {
			page *Page
			err  error
		}
		results := make(chan result)
		var panicked any
		go func() {
			defer close(results)
			defer func() {
				if p := recover(); p != nil {
					panicked = fmt.Sprintf("%v\n%s", p, debug.Stack())
				}
			}()
			for page, err := range read(ctx) {
				select {
				case results <- result{page, err}:
				case <-ctx.Done():
					return
				}
			}
		}()
		defer func() {
			stop()
			for range results { // until read has returned
			}
		}()
		for {
			r, ok := <-results
			switch {
			case !ok && panicked != nil:
				panic(panicked)
			case !ok && ctx.Err() != nil:
				yield(nil, context.Cause(ctx))
				return
			case !ok:
				return
			case !yield(r.page, r.err):
				return
			}
		}
	}
}
