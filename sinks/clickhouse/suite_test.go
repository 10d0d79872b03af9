package clickhouse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"weir/internal/clickhousetest"
	"weir/internal/rowtest"
	"weir/internal/sinktest"
	"weir/schemas"
	"weir/sinks"
)

type place struct {
	server   *clickhousetest.Server
	database string
}

func (p place) Open(t testing.TB) sinks.Sink { return openSink(t, config(p.server, p.database)) }

func (p place) Read(t testing.TB, table *schemas.Table) (out []rowtest.Row) {
	var columns []string
	for _, c := range table.Columns {
		name := schemas.QuoteClickHouse(c.Name)
		if c.Type == schemas.Millis {
			name = fmt.Sprintf("toUnixTimestamp64Milli(%s) AS %s", name, name)
		}
		columns = append(columns, name)
	}
	answer := p.server.Query(t, fmt.Sprintf("SELECT %s FROM %s.%s SETTINGS output_format_json_quote_64bit_integers = 0 FORMAT JSONEachRow",
		strings.Join(columns, ", "), p.database, table.ClickHouseName()))
	d := json.NewDecoder(bytes.NewBufferString(answer))
	d.UseNumber()
	for d.More() {
		row := rowtest.Row{}
		require.NoError(t, d.Decode(&row))
		for name, v := range row {
			switch v := v.(type) {
			case json.Number:
				n, err := v.Int64()
				require.NoError(t, err)
				row[name] = n
			case []any:
				list := []string{}
				for _, s := range v {
					list = append(list, s.(string))
				}
				row[name] = list
			}
		}
		out = append(out, row)
	}
	return out
}

func (p place) Break(t testing.TB) func() {
	p.server.Kill()
	return func() { p.server.Restart(t) }
}

func TestSuite(t *testing.T) {
	server := clickhousetest.Start(t)
	var n atomic.Int64
	sinktest.Run(t, sinktest.Fixture{New: func(testing.TB) sinktest.Place {
		return place{server, fmt.Sprintf("suite%d", n.Add(1))}
	}, Own: []goleak.Option{goleak.IgnoreAnyFunction("os/exec.(*Cmd).Start.gowrap1"), goleak.IgnoreAnyFunction("os/exec.(*Cmd).Start.func2"), goleak.IgnoreAnyFunction("os/exec.(*Cmd).watchCtx")}})
}
