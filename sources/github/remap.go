package github

import (
	"github.com/go-json-experiment/json/jsontext"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/schemas"
	"weir/sources"
)

// remapper implements sources.Mapper: an event of the audit log, of the web or
// of Git, holds all of its row.
type remapper struct{ auditMapper }

func newRemapper(setting.Struct) (sources.Mapper, error) { return &remapper{}, nil }

// Map implements sources.Mapper.
func (m *remapper) Map(_ sources.MapInput, raw string, rows *schemas.Rows) error {
	rows.Activities = append(rows.Activities, schemas.Activity{})
	if reason := m.event(&rows.Activities[len(rows.Activities)-1], jsontext.Value(raw)); reason != "" {
		rows.Activities = rows.Activities[:len(rows.Activities)-1]
		return fault.New(fault.BadData, "%s", reason)
	}
	return nil
}

// Reset implements sources.Mapper.
func (m *remapper) Reset() { m.reset() }
