package googleworkspace

import (
	"cmp"
	"strings"

	"weir/internal/rawjson"
)

// activityTargets gathers what was acted on, in the order of importance. People
// and groups are known by their addresses: records hold no more of them.
func (m *activityMapper) activityTargets(it *activityItem, e *activityEvent, p *activityParameters, c activityClass) {
	l := &m.lists
	if p.docID != "" {
		l.Target(p.docID, p.docTitle, docKind(p.docType))
	}
	m.person(p.user)
	m.person(p.affected)
	m.person(p.targetUser)
	if g := strings.ToLower(p.group); g != "" {
		l.Target(g, g, "group")
	}
	l.Target(p.roleID, p.roleName, "role")
	l.Target(p.appID, p.appName, "app")
	if c.app { // what was granted, refused or taken away
		l.Target(p.clientID, p.clientName, "app")
	}
	l.Target(p.orgUnit, p.orgUnit, "org")
	l.Target(p.domain, p.domain, "domain")
	l.Target(p.targetDomain, p.targetDomain, "domain")
	l.Target(p.deviceID, "", "device")
	l.Target(p.driveID, "", "drive")
	if l.Targets() == 0 {
		m.namedResources(it, e)
	}
}

func (m *activityMapper) person(address string) {
	if address = strings.ToLower(address); address != "" {
		m.lists.Target(address, address, "account")
	}
}

func docKind(docType string) string {
	switch docType {
	case "folder":
		return "folder"
	case "shared_drive":
		return "drive"
	}
	return "file"
}

// namedResources adds the resources that an event names by their ids.
func (m *activityMapper) namedResources(it *activityItem, e *activityEvent) {
	for ids := rawjson.Elements(e.resourceIDs); ; {
		v, ok := ids.Next()
		if !ok {
			return
		}
		id := rawjson.Text(v)
		title, kind := it.resource(id)
		m.lists.Target(id, title, kind)
	}
}

// resource is what the item says of a resource.
func (it *activityItem) resource(id string) (title, kind string) {
	for l := rawjson.Elements(it.resources); ; {
		v, ok := l.Next()
		if !ok {
			return "", "other"
		}
		if rawjson.Text(rawjson.Member(v, "id")) == id {
			return rawjson.Text(rawjson.Member(v, "title")), resourceKind(rawjson.Text(rawjson.Member(v, "type")))
		}
	}
}

// resourceKind is the kind of a resource by the vendor's word, whose spelling is
// in no list of its.
func resourceKind(word string) string {
	switch word = strings.ToLower(word); {
	case strings.Contains(word, "document"), strings.Contains(word, "file"):
		return "file"
	case strings.Contains(word, "mail"), strings.Contains(word, "message"):
		return "message"
	}
	return "other"
}

// activityChanges gathers what changed: a setting, who can see a document, what
// was granted.
func (m *activityMapper) activityChanges(e *activityEvent, p *activityParameters) {
	l := &m.lists
	if before, after := m.joined(p.oldValue), m.joined(p.newValue); before != "" || after != "" {
		l.Change(cmp.Or(p.setting, e.name), before, after)
	}
	if p.oldVisibility != "" && p.oldVisibility != p.visibility {
		l.Change("visibility", p.oldVisibility, p.visibility)
	}
	if gone, come := m.joined(p.removedRole), m.joined(p.addedRole); gone != "" || come != "" {
		l.Change("role", gone, come)
	}
	if scopes := m.joined(p.scopes); scopes != "" {
		switch e.name {
		case "authorize", "AUTHORIZE_API_CLIENT_ACCESS":
			l.Change("scope", "", scopes)
		case "revoke", "REMOVE_API_CLIENT_ACCESS":
			l.Change("scope", scopes, "")
		}
	}
	if p.forwarding != "" {
		l.Change("email_forwarding_destination_address", "", p.forwarding)
	}
	if p.aside { // it follows from another event: one act, several events
		l.Change("primary_event", "", "false")
	}
}
