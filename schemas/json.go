package schemas

import (
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// WriteRowsJSON writes a table's rows as NDJSON: app and instance, then the
// row's own columns in their order, but for those in skip. What is unknown is
// null; times are RFC 3339 with milliseconds in UTC.
func WriteRowsJSON(w io.Writer, t *Table, r *Rows, app, instance string, skip ...string) error {
	const flushAt = 64 << 10
	head := appendString(append([]byte(nil), `{"app":`...), app)
	head = appendString(append(head, `,"instance":`...), instance)
	columns := slices.DeleteFunc(slices.Clone(t.Columns[len(envelope):]), func(c Column) bool { return slices.Contains(skip, c.Name) })
	names := make([][]byte, len(columns))
	for i, c := range columns {
		names[i] = append(appendString([]byte{','}, c.Name), ':')
	}
	base, n := r.slice(t)
	var out []byte
	for i := range n {
		out = append(out, head...)
		for j := range columns {
			c := &columns[j]
			out = append(out, names[j]...)
			switch {
			case c.Type == String:
				out = appendString(out, *at[string](base, t.rowSize, c.offset, i))
			case c.Type == List:
				out = append(out, '[')
				for k, v := range *at[[]string](base, t.rowSize, c.offset, i) {
					if k > 0 {
						out = append(out, ',')
					}
					out = appendString(out, v)
				}
				out = append(out, ']')
			case c.Type == Int32:
				out = strconv.AppendInt(out, int64(*at[int32](base, t.rowSize, c.offset, i)), 10)
			case c.Type == Int64 && !c.Nullable:
				out = strconv.AppendInt(out, *at[int64](base, t.rowSize, c.offset, i), 10)
			case c.Type == Int64:
				if v := at[Opt[int64]](base, t.rowSize, c.offset, i); v.Known {
					out = strconv.AppendInt(out, v.Value, 10)
				} else {
					out = append(out, "null"...)
				}
			case c.Type == Bool:
				if v := at[Opt[bool]](base, t.rowSize, c.offset, i); v.Known {
					out = strconv.AppendBool(out, v.Value)
				} else {
					out = append(out, "null"...)
				}
			case c.Type == Millis:
				if v := *at[Time](base, t.rowSize, c.offset, i); v != 0 {
					out = append(time.UnixMilli(int64(v)).UTC().AppendFormat(append(out, '"'), "2006-01-02T15:04:05.000Z"), '"')
				} else {
					out = append(out, "null"...)
				}
			}
		}
		out = append(out, '}', '\n')
		if len(out) >= flushAt || i == n-1 {
			if _, err := w.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	return nil
}

// appendString appends a JSON string. Bytes that are no UTF-8 are replaced.
func appendString(out []byte, s string) []byte {
	out, _ = jsontext.AppendQuote(out, s) // it has replaced what it complains of
	return out
}
