// Package registry lists every type of sink, one line each.
package registry

import (
	"weir/sinks"
	"weir/sinks/clickhouse"
	"weir/sinks/parquet"
)

// All are the sink drivers of this build, in alphabetical order.
var All = []*sinks.Driver{
	clickhouse.Driver,
	parquet.Driver,
}
