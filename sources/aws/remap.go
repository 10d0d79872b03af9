package aws

import (
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/schemas"
	"weir/sources"
)

// remapper implements sources.Mapper: a record holds all of its row.
type remapper struct{ *mapper }

func newRemapper(setting.Struct) (sources.Mapper, error) { return remapper{newMapper()}, nil }

// Map implements sources.Mapper.
func (m remapper) Map(_ sources.MapInput, raw string, rows *schemas.Rows) error {
	if !validJSON(raw) {
		return fault.New(fault.BadData, "the record is no JSON")
	}
	rows.Activities = append(rows.Activities, schemas.Activity{})
	if reason := m.mapRecord(&rows.Activities[len(rows.Activities)-1], raw); reason != "" {
		rows.Activities = rows.Activities[:len(rows.Activities)-1]
		return fault.New(fault.BadData, "%s", reason)
	}
	return nil
}

// Reset implements sources.Mapper.
func (m remapper) Reset() { m.reset() }

func validJSON(raw string) bool {
	return jsontext.Value(unsafe.Slice(unsafe.StringData(raw), len(raw))).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}
