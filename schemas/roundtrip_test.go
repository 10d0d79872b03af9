package schemas

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/stretchr/testify/require"
)

// Random rows of every table come back as they were, in the order asked for.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, table := range Tables() {
		t.Run(table.Name, func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(1, 2))
			builder := NewBuilder(table)
			for range 20 {
				rows := &Rows{}
				slice := reflect.ValueOf(rows).Elem().Field(table.rows)
				n := rnd.IntN(70)
				for range n {
					row := reflect.New(slice.Type().Elem()).Elem()
					fill(rnd, row)
					slice.Set(reflect.Append(slice, row))
				}
				index := make([]int32, rnd.IntN(n+1))
				for i, j := range rnd.Perm(n)[:len(index)] {
					index[i] = int32(j)
				}
				e, err := builder.Encode(testEnvelope, rows, index)
				require.NoError(t, err)
				rec, err := Decode(table, e)
				require.NoError(t, err)
				require.EqualValues(t, len(index), rec.NumRows())
				for k, i := range index {
					for c, want := range values(slice.Index(int(i))) {
						c += len(envelope)
						require.Equal(t, want, read(rec.Column(c), k), "%s of row %d", table.Columns[c].Name, i)
					}
				}
				rec.Release()
			}
		})
	}
}

// texts that break encoders.
var texts = []string{"", "plain", `{"a": "\u0000", "b": [1, 2]}`, "\x00", "日本語", "\ufffd", "\xff", "ab\xc3", strings.Repeat("0123456789abcde\n", 4096)}

// fill gives every field of a row a random value.
func fill(rnd *rand.Rand, row reflect.Value) {
	text := func() string { return texts[rnd.IntN(len(texts))] }
	for i := range row.NumField() {
		switch f := row.Field(i).Addr().Interface().(type) {
		case *Diff:
			fill(rnd, row.Field(i))
		case *string:
			*f = text()
		case *[]string:
			for range rnd.IntN(4) {
				*f = append(*f, text())
			}
		case *int32:
			*f = rnd.Int32() - 1<<30
		case *int64:
			*f = rnd.Int64() - 1<<62
		case *Time:
			*f = Time(rnd.Int64N(3)) * 1_700_000_000_000
		case *Opt[bool]:
			*f = Opt[bool]{Known: rnd.IntN(2) == 0}
			f.Value = f.Known && rnd.IntN(2) == 0
		case *Opt[int64]:
			*f = Opt[int64]{Known: rnd.IntN(2) == 0, Value: rnd.Int64()}
		default:
			panic(row.Type().Field(i).Name)
		}
	}
}

// values are a row's fields as a reader of the batch should see them.
func values(row reflect.Value) (out []any) {
	valid := func(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
	for i := range row.NumField() {
		switch f := row.Field(i).Interface().(type) {
		case Diff:
			out = append(out, values(row.Field(i))...)
		case string:
			out = append(out, valid(f))
		case []string:
			list := []string{}
			for _, s := range f {
				list = append(list, valid(s))
			}
			out = append(out, list)
		case Time:
			notNull := strings.Contains(row.Type().Field(i).Tag.Get("col"), ",notnull")
			out = append(out, known(notNull || f != 0, int64(f)))
		case Opt[bool]:
			out = append(out, known(f.Known, f.Value))
		case Opt[int64]:
			out = append(out, known(f.Known, f.Value))
		default:
			out = append(out, f)
		}
	}
	return out
}

func known(ok bool, v any) any {
	if !ok {
		return nil
	}
	return v
}

func read(c arrow.Array, i int) any {
	if c.IsNull(i) {
		return nil
	}
	switch c := c.(type) {
	case *array.String:
		return c.Value(i)
	case *array.List:
		list := []string{}
		from, to := c.ValueOffsets(i)
		for k := from; k < to; k++ {
			list = append(list, c.ListValues().(*array.String).Value(int(k)))
		}
		return list
	case *array.Int32:
		return c.Value(i)
	case *array.Int64:
		return c.Value(i)
	case *array.Timestamp:
		return int64(c.Value(i))
	case *array.Boolean:
		return c.Value(i)
	}
	panic(c.DataType().String())
}

func TestEncodeWrongIndex(t *testing.T) {
	t.Parallel()
	table := ByName("files")
	rows := &Rows{Files: make([]File, 2)}
	for _, index := range [][]int32{{2}, {0, -1}} {
		_, err := NewBuilder(table).Encode(testEnvelope, rows, index)
		require.ErrorContains(t, err, "encoding files: no row")
	}
	e, err := NewBuilder(table).Encode(testEnvelope, rows, []int32{1, 1, 0}) // a row may be named twice
	require.NoError(t, err)
	rec, err := Decode(table, e)
	require.NoError(t, err)
	defer rec.Release()
	require.EqualValues(t, 3, rec.NumRows())
}
