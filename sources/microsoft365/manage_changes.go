package microsoft365

import (
	"strings"

	"weir/internal/rawjson"
	"weir/schemas"
)

// changes sets what changed: a cmdlet's parameters, changed properties, what
// was shared, renamed or granted.
func (m *auditMapper) changes(a *schemas.Activity, r *auditRecord) {
	l := &m.lists
	if a.Access != "read" {
		parameters(l, r.parameters)
	}
	properties(l, r.modified)
	if a.Access != "read" {
		eventData(l, r.eventData)
	}
	if r.destName != "" && r.destName != r.sourceName {
		l.Change("FileName", r.sourceName, r.destName)
	}
	if r.destURL != "" && r.destURL != r.sourceURL {
		l.Change("RelativeUrl", r.sourceURL, r.destURL)
	}
	if r.oldLabel != "" && r.label != r.oldLabel {
		l.Change("SensitivityLabelId", r.oldLabel, r.label)
	}
	if r.destFolder != "" {
		l.Change("Folder", folderPath(r.folder), folderPath(r.destFolder))
	}
	folderRights(l, r.item)
	if r.newValue != "" || r.oldValue != "" { // Teams' settings
		l.Change(r.name, r.oldValue, r.newValue)
	}
	for e := rawjson.Elements(r.members); ; {
		v, ok := e.Next()
		if !ok {
			break
		}
		if role := rawjson.Text(rawjson.Member(v, "Role")); role != "" {
			l.Change("Role", "", role)
		}
	}
	l.SetChanges(a)
}

// parameters adds those of a cmdlet, but for the ones that name what it is
// about, or how it is to run.
func parameters(l *schemas.Lists, v string) {
	if s := rawjson.Text(v); s != "" { // -Name "Default policy" -TeamsLocation ("ALL")
		l.Change("Parameters", "", s)
		return
	}
	for e := rawjson.Elements(v); ; {
		p, ok := e.Next()
		if !ok {
			return
		}
		name := rawjson.Text(rawjson.Member(p, "Name"))
		switch name {
		case "Identity", "DomainController", "ErrorAction", "WarningAction":
			continue
		}
		l.Change(name, "", rawjson.Text(rawjson.Member(p, "Value")))
	}
}

// properties adds changed properties, but for those that say what else the
// record says.
func properties(l *schemas.Lists, v string) {
	for e := rawjson.Elements(v); ; {
		p, ok := e.Next()
		if !ok {
			return
		}
		if name := rawjson.Text(p); name != "" { // some workloads name them only
			l.Change(name, "", "")
			continue
		}
		name := rawjson.Text(rawjson.Member(p, "Name"))
		switch name {
		case "Included Updated Properties", "ActorId.ServicePrincipalNames", "TargetId.ServicePrincipalNames", "SPN":
			continue
		}
		before, after := innerValue(rawjson.Member(p, "OldValue")), innerValue(rawjson.Member(p, "NewValue"))
		if before == "" && after == "" {
			continue
		}
		l.Change(name, before, after)
	}
}

// eventData adds the elements of SharePoint's XML, one after the other:
// <Permissions granted>Contribute</Permissions granted>.
func eventData(l *schemas.Lists, s string) {
	for {
		_, rest, ok := strings.Cut(s, "<")
		if !ok {
			return
		}
		name, rest, ok := strings.Cut(rest, ">")
		if !ok {
			return
		}
		value, rest, ok := strings.Cut(rest, "</")
		if !ok {
			return
		}
		_, s, _ = strings.Cut(rest, ">")
		if name = strings.TrimSpace(name); name != "" && !strings.Contains(value, "<") {
			l.Change(name, "", value)
		}
	}
}

// folderRights adds the rights given on a mailbox's folder.
func folderRights(l *schemas.Lists, item string) {
	if rights := rawjson.Text(rawjson.Member(rawjson.Member(item, "ParentFolder"), "MemberRights")); rights != "" {
		l.Change("MemberRights", "", rights)
	}
}
