package schemas

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// Rows of every table, each with an envelope of its own, are read back and
// encoded again as they were.
func TestReadBack(t *testing.T) {
	t.Parallel()
	for _, table := range Tables() {
		for _, table := range []*Table{table, table.WithDelivered()} {
			rnd := rand.New(rand.NewPCG(3, 4))
			rows := &Rows{}
			slice := reflect.ValueOf(rows).Elem().Field(table.rows)
			var env []Envelope
			for i := range 50 {
				row := reflect.New(slice.Type().Elem()).Elem()
				fill(rnd, row)
				slice.Set(reflect.Append(slice, row))
				e := Envelope{App: "aws", Instance: texts[i%3], Tenant: "t", ObservedAt: Time(i), Version: rnd.Int64(), BatchID: texts[i%5]}
				if table.Columns[len(envelope)].Name == DeliveredAt {
					e.DeliveredAt = Time(rnd.Int64N(1 << 40))
				}
				env = append(env, e)
			}
			e, err := NewBuilder(table).EncodeEach(env, rows, nil)
			require.NoError(t, err)
			rec, err := Decode(table, e)
			require.NoError(t, err)
			t.Cleanup(rec.Release)
			back := &Rows{}
			got, err := table.ReadBack(rec, back, nil)
			require.NoError(t, err)
			require.Equal(t, env, got)
			require.Equal(t, 50, back.Len(table))
			for i := range 50 {
				table.Differences(rows, i, back, i, func(c *Column) { t.Errorf("%s.%s of row %d differs", table.Name, c.Name, i) })
			}
			// And every column is looked at.
			differ := map[string]bool{}
			for i := range 49 {
				table.Differences(rows, i, back, i+1, func(c *Column) { differ[c.Name] = true })
			}
			for _, c := range table.Columns {
				require.Equal(t, !isEnvelope(&c), differ[c.Name], "%s.%s", table.Name, c.Name)
				require.NotEmpty(t, table.Text(rows, 0, &c))
			}
		}
	}
}

func TestPlausible(t *testing.T) {
	t.Parallel()
	const observed = Time(1_700_000_000_000)
	f := func(in, want Time) {
		t.Helper()
		require.Equal(t, want, in.Plausible(observed))
	}
	f(0, observed)
	f(946_684_799_999, observed)
	f(946_684_800_000, 946_684_800_000)
	f(observed+86_400_000, observed+86_400_000)
	f(observed+86_400_001, observed)
}
