package ids

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
)

func TestIDsGrow(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	m := NewMaker(clock, rand.Reader)
	last := ""
	for i := range 20_000 {
		if i%1000 == 999 {
			clock.Advance(time.Duration(i%3-1) * time.Millisecond) // forward, still, back
		}
		id := m.New()
		require.Greater(t, id, last)
		last = id
		u, err := uuid.Parse(id)
		require.NoError(t, err)
		require.EqualValues(t, 7, u.Version())
		require.Equal(t, uuid.RFC4122, u.Variant())
	}
}

func TestIDCarriesItsTime(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	u := uuid.MustParse(NewMaker(clock, rand.Reader).New())
	sec, _ := u.Time().UnixTime()
	require.InDelta(t, clock.Now().Unix(), sec, 1)
}
