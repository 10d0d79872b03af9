package googleworkspace

import (
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"

	"weir/internal/fault"
	"weir/internal/rawjson"
	"weir/internal/setting"
	"weir/schemas"
	"weir/sources"
)

// remapper implements sources.Mapper: an event's record holds all of its row; an
// alert does not name its tenant, which is the envelope's.
type remapper struct{ *activityMapper }

func newRemapper(setting.Struct) (sources.Mapper, error) { return remapper{newActivityMapper()}, nil }

// Map implements sources.Mapper.
func (m remapper) Map(in sources.MapInput, raw string, rows *schemas.Rows) error {
	if !validRecord(raw) {
		return fault.New(fault.BadData, "the record is no JSON")
	}
	if in.Stream == streamAlerts || in.Stream == "" && rawjson.Member(raw, "alertId") != "" {
		var a schemas.Activity
		if reason := m.mapAlert(&a, raw, in.Tenant); reason != "" {
			return fault.New(fault.BadData, "%s", reason)
		}
		rows.Activities = append(rows.Activities, a)
		return nil
	}
	before, why := len(rows.Activities), ""
	m.mapItem(raw, rows, func(reason string) { why = reason })
	if why != "" || len(rows.Activities) == before {
		rows.Activities = rows.Activities[:before]
		return fault.New(fault.BadData, "%s", why)
	}
	return nil
}

// Reset implements sources.Mapper.
func (m remapper) Reset() { m.reset() }

// validRecord checks a record's syntax, which the mapping relies on.
func validRecord(raw string) bool {
	return jsontext.Value(unsafe.Slice(unsafe.StringData(raw), len(raw))).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}
