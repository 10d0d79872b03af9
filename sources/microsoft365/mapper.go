package microsoft365

import (
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"

	"weir/internal/fault"
	"weir/internal/rawjson"
	"weir/internal/setting"
	"weir/schemas"
	"weir/sources"
)

// remapper implements sources.Mapper, by the stream that read a record.
type remapper struct {
	entra *entraMapper
	audit *auditMapper
}

func newRemapper(setting.Struct) (sources.Mapper, error) {
	return remapper{newEntraMapper(), newAuditMapper()}, nil
}

// Map implements sources.Mapper.
func (m remapper) Map(in sources.MapInput, raw string, rows *schemas.Rows) error {
	if !validRecord(raw) {
		return fault.New(fault.BadData, "the record is no JSON")
	}
	stream := in.Stream
	if stream == "" {
		stream = streamOf(raw)
	}
	switch stream {
	case streamAudits:
		return mapKept(m.entra.audit, in.Tenant, raw, rows)
	case streamSignIns:
		return mapKept(m.entra.signIn, in.Tenant, raw, rows)
	case streamActivities:
		return m.audit.mapKept(raw, rows)
	}
	return fault.New(fault.BadData, "the record is of no log of Microsoft 365's")
}

// Reset implements sources.Mapper.
func (m remapper) Reset() {
	m.entra.reset()
	m.audit.reset()
}

// mapKept makes a kept record of Entra's into its row. It does not name its
// tenant: that is the envelope's.
func mapKept(record func(a *schemas.Activity, raw, tenant string) string, tenant, raw string, rows *schemas.Rows) error {
	var a schemas.Activity
	if reason := record(&a, raw, tenant); reason != "" {
		return fault.New(fault.BadData, "%s", reason)
	}
	rows.Activities = append(rows.Activities, a)
	return nil
}

// validRecord checks a record's syntax, which the mapping relies on.
func validRecord(raw string) bool {
	return jsontext.Value(unsafe.Slice(unsafe.StringData(raw), len(raw))).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// streamOf tells by a record's members which log it is of; "" none.
func streamOf(raw string) string {
	for f := rawjson.Members(raw); ; {
		name, _, ok := f.Next()
		if !ok {
			return ""
		}
		switch name {
		case "activityDisplayName", "activityDateTime", "initiatedBy":
			return streamAudits
		case "createdDateTime", "appDisplayName", "resourceDisplayName", "servicePrincipalId":
			return streamSignIns
		case "RecordType", "Operation", "OrganizationId":
			return streamActivities
		}
	}
}
