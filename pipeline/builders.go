package pipeline

import (
	"runtime"
	"sync"

	"weir/schemas"
)

// builders makes batches, as many at the same time as there are processors. A
// builder keeps the memory of its largest batch: shared, there are a few of
// them, however many streams there are.
type builders struct {
	slots chan struct{}

	mu   sync.Mutex
	free map[*schemas.Table][]*schemas.Builder
}

func newBuilders() *builders {
	return &builders{slots: make(chan struct{}, runtime.GOMAXPROCS(0)), free: map[*schemas.Table][]*schemas.Builder{}}
}

// encode is schemas.Builder.Encode.
func (b *builders) encode(t *schemas.Table, env schemas.Envelope, rows *schemas.Rows, index []int32) (schemas.Encoded, error) {
	b.slots <- struct{}{}
	defer func() { <-b.slots }()
	builder := b.take(t)
	e, err := builder.Encode(env, rows, index)
	b.mu.Lock()
	b.free[t] = append(b.free[t], builder)
	b.mu.Unlock()
	return e, err
}

func (b *builders) take(t *schemas.Table) *schemas.Builder {
	b.mu.Lock()
	defer b.mu.Unlock()
	free := b.free[t]
	if len(free) == 0 {
		return schemas.NewBuilder(t)
	}
	builder := free[len(free)-1]
	b.free[t] = free[:len(free)-1]
	return builder
}
