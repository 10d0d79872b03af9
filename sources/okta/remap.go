package okta

import (
	"unsafe"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/schemas"
	"weir/sources"
)

// remapper implements sources.Mapper. An event does not name its organization:
// that is the tenant.
type remapper struct{ page *logPage }

func newRemapper(setting.Struct) (sources.Mapper, error) { return remapper{newLogPage()}, nil }

// Map implements sources.Mapper.
func (m remapper) Map(in sources.MapInput, raw string, rows *schemas.Rows) error {
	e := &m.page.event
	e.reset()
	// The event's strings alias raw, which the decoder only reads.
	if err := json.Unmarshal(unsafe.Slice(unsafe.StringData(raw), len(raw)), e, decodeOptions); err != nil {
		return fault.New(fault.BadData, "it has an unexpected shape: %w", err)
	}
	rows.Activities = append(rows.Activities, schemas.Activity{})
	if reason := m.page.mapper.event(&rows.Activities[len(rows.Activities)-1], e, in.Tenant, raw); reason != "" {
		rows.Activities = rows.Activities[:len(rows.Activities)-1]
		return fault.New(fault.BadData, "%s", reason)
	}
	return nil
}

// Reset implements sources.Mapper.
func (m remapper) Reset() { m.page.mapper.reset() }
