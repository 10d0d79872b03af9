// Package schemas declares Weir's tables, once. The row structs in tables.go
// are the declaration: their fields are the columns, their tags the column
// names, kinds and documentation. From them come the Arrow schema, the batches,
// the ClickHouse DDL and the reference docs.
// Only this package builds Arrow.
//
// A new column is one line in tables.go, then `make generate`. Raise Version
// with it: batches already spooled under an older version are delivered in
// today's schema, the new columns holding their defaults.
package schemas

import "time"

// Version numbers the set of columns below. It is written into every batch.
const Version = 1

// Time is milliseconds since 1970-01-01 UTC; 0 is unknown and becomes NULL.
type Time int64

// String writes it in RFC 3339.
func (t Time) String() string {
	return time.UnixMilli(int64(t)).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// Opt is a value that may be unknown. The zero Opt is unknown.
type Opt[T bool | int32 | int64] struct {
	Value T
	Known bool
}

// Some returns a known value.
func Some[T bool | int32 | int64](v T) Opt[T] { return Opt[T]{Value: v, Known: true} }

// Envelope holds the columns that all rows of one batch share. The version
// column is Version for the batch's first row and grows by one a row.
type Envelope struct {
	App, Instance, Tenant string
	ObservedAt            Time
	Version               int64
	BatchID               string
	DeliveredAt           Time // only of rows read back from ClickHouse
}
