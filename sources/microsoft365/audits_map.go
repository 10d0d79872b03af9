package microsoft365

import (
	"cmp"
	"strings"

	"weir/internal/rawjson"
	"weir/schemas"
)

// entraMapper turns records of Entra's two logs into rows. It owns the memory of
// the rows' lists until reset. Not for concurrent use.
type entraMapper struct {
	lists      schemas.Lists
	activities map[entraActivity]entraClass
}

// maxEntraActivities bounds the memory of activities seen; the vendor's list has
// some 800.
const maxEntraActivities = 1 << 13

func newEntraMapper() *entraMapper {
	return &entraMapper{activities: map[entraActivity]entraClass{}}
}

func (m *entraMapper) reset() { m.lists.Reset() }

// entraService is the value of service in rows of both logs.
const entraService = "Entra ID"

// directoryAudit is what is read of a directoryAudit: values as written, and
// texts.
type directoryAudit struct {
	id, at, activity, category, service string
	result, reason, correlation         string
	user, app, targets, details         string
}

func parseDirectoryAudit(raw string) (r directoryAudit) {
	for f := rawjson.Members(raw); ; {
		name, v, ok := f.Next()
		if !ok {
			return r
		}
		switch name {
		case "id":
			r.id = rawjson.Text(v)
		case "activityDateTime":
			r.at = rawjson.Text(v)
		case "activityDisplayName":
			r.activity = rawjson.Text(v)
		case "category":
			r.category = rawjson.Text(v)
		case "loggedByService":
			r.service = rawjson.Text(v)
		case "result":
			r.result = rawjson.Text(v)
		case "resultReason":
			r.reason = rawjson.Text(v)
		case "correlationId":
			r.correlation = rawjson.Text(v)
		case "initiatedBy":
			r.user, r.app = rawjson.Member(v, "user"), rawjson.Member(v, "app")
		case "targetResources":
			r.targets = v
		case "additionalDetails":
			r.details = v
		}
	}
}

// audit maps one directoryAudit, whose JSON syntax has been checked. Strings of
// the row alias raw. A reason tells why the record could not be mapped.
func (m *entraMapper) audit(a *schemas.Activity, raw, tenant string) (reason string) {
	*a = schemas.Activity{Raw: raw, ScopeID: tenant, Service: entraService}
	if raw == "" || raw[0] != '{' {
		return "the record is no JSON object"
	}
	r := parseDirectoryAudit(raw)
	switch {
	case r.id == "":
		return "the record has no id"
	case strings.TrimSpace(r.activity) == "":
		return "the record has no activityDisplayName"
	}
	c := m.classOf(entraActivity{r.service, r.category, r.activity})
	a.EventID, a.Time, a.Action = r.id, parseTime(text(r.at)), strings.TrimSpace(r.activity)
	a.Kind, a.Access, a.ClassUID, a.ActivityID = c.kind, c.access, c.class, c.activity
	a.SeverityID = c.severity
	a.Reason, a.SessionID, a.RequestID = r.reason, r.correlation, r.correlation
	switch r.result {
	case "success":
		a.Outcome, a.StatusID = "success", schemas.StatusSuccess
	case "failure", "timeout":
		a.Outcome, a.StatusID = "failure", schemas.StatusFailure
	default:
		a.Outcome, a.StatusID = "unknown", schemas.StatusUnknown
	}
	m.auditActor(a, &r)
	a.UserAgent = detail(r.details, "User-Agent")
	m.auditTargets(a, &r)
	if c.own && ownDoing(a) {
		a.Kind = "user"
	}
	return ""
}

// auditActor sets who did it: a person, or an app by its service principal.
// Both, where an app acted for a person.
func (m *entraMapper) auditActor(a *schemas.Activity, r *directoryAudit) {
	var id, name, upn, userType, ip string
	for f := rawjson.Members(r.user); ; {
		member, v, ok := f.Next()
		if !ok {
			break
		}
		switch member {
		case "id":
			id = rawjson.Text(v)
		case "displayName":
			name = rawjson.Text(v)
		case "userPrincipalName":
			upn = rawjson.Text(v)
		case "userType":
			userType = rawjson.Text(v)
		case "ipAddress":
			ip = rawjson.Text(v)
		}
	}
	m.source(a, ip, "")
	var principal, appID, appName string
	for f := rawjson.Members(r.app); ; {
		member, v, ok := f.Next()
		if !ok {
			break
		}
		switch member {
		case "servicePrincipalId":
			principal = rawjson.Text(v)
		case "appId":
			appID = rawjson.Text(v)
		case "displayName":
			appName = rawjson.Text(v)
		case "servicePrincipalName":
			appName = cmp.Or(appName, rawjson.Text(v))
		}
	}
	a.ClientAppID, a.ClientAppName = appID, appName
	switch {
	case id != "" && id != nobodyID || upn != "":
		entraPerson(a, id, upn, name, userType)
	default:
		a.ActorID, a.ActorName = cmp.Or(principal, appID), appName
		a.ActorKind = "service"
		if a.ActorID == "" {
			a.ActorKind = "system" // one of Entra's own services: no account has it
		}
	}
	if r.service == provisioning {
		a.ActorKind = "system"
	}
}

// provisioning is the service that synchronizes accounts with other directories.
const provisioning = "Account Provisioning"

// syncAccount is the name of the accounts as which directories of the
// organization's own network are synchronized.
const syncAccount = "On-Premises Directory Synchronization Service Account"

// entraPerson sets an actor that is a user.
func entraPerson(a *schemas.Activity, id, upn, name, userType string) {
	if id != nobodyID {
		a.ActorID = id
	}
	home := homeAddress(upn)
	a.ActorName, a.ActorEmail = cmp.Or(name, upn), strings.ToLower(home)
	switch {
	case a.ActorID == "":
		a.ActorKind = "anonymous" // somebody who tried a name that no account has
	case strings.EqualFold(userType, "guest"), home != upn && home != "":
		a.ActorKind = "guest"
	case name == syncAccount:
		a.ActorKind = "service"
	case strings.HasSuffix(upn, "@support.onmicrosoft.com"):
		a.ActorKind = "system"
	default:
		a.ActorKind = "human"
	}
}

// homeAddress returns the e-mail address that a user principal name is or, as a
// guest's (ada_fabrikam.com#EXT#@contoso.onmicrosoft.com), was made from; "" for
// names that are none.
func homeAddress(upn string) string {
	i := strings.LastIndexByte(upn, '#') - len(guestMark) + 1
	if i <= 0 || !strings.EqualFold(upn[i:i+len(guestMark)], guestMark) {
		return address(text(upn))
	}
	at := strings.LastIndexByte(upn[:i], '_') // no domain has one
	if at <= 0 {
		return ""
	}
	return address(text(upn[:at] + "@" + upn[at+1:i]))
}

const guestMark = "#EXT#"

// source sets the addresses of a request: the client's, and the one that the
// resource saw.
func (m *entraMapper) source(a *schemas.Activity, client, seen string) {
	var ips [2]string
	n := 0
	for _, s := range [...]string{client, seen} {
		ip, ok := schemas.CanonicalIP(s)
		switch {
		case ok && (n == 0 || ips[0] != ip):
			ips[n] = ip
			n++
		case !ok && s != "null" && s != "<null>" && a.SrcHost == "":
			a.SrcHost = s
		}
	}
	if n > 0 {
		a.SrcIP, a.IPs = ips[0], m.lists.Keep(ips[:n]...)
	}
}

// detail returns an entry of additionalDetails.
func detail(details, key string) string {
	for e := rawjson.Elements(details); ; {
		v, ok := e.Next()
		if !ok {
			return ""
		}
		if rawjson.Text(rawjson.Member(v, "key")) == key {
			return rawjson.Text(rawjson.Member(v, "value"))
		}
	}
}

// related are objects that a change names: the group or role that somebody was
// added to.
type related struct{ id, name, template string }

// auditTargets sets what was acted on, and what changed of it.
func (m *entraMapper) auditTargets(a *schemas.Activity, r *directoryAudit) {
	l := &m.lists
	l.Begin()
	var group, role related
	for e := rawjson.Elements(r.targets); ; {
		v, ok := e.Next()
		if !ok {
			break
		}
		var id, name, upn, kind, properties string
		for f := rawjson.Members(v); ; {
			member, v, ok := f.Next()
			if !ok {
				break
			}
			switch member {
			case "id":
				id = rawjson.Text(v)
			case "displayName":
				name = rawjson.Text(v)
			case "userPrincipalName":
				upn = rawjson.Text(v)
			case "type":
				kind = directoryKinds[rawjson.Text(v)]
			case "modifiedProperties":
				properties = v
			}
		}
		l.Target(id, cmp.Or(name, upn), cmp.Or(kind, "other"))
		m.gather(properties, &group, &role)
	}
	m.relate(group, "group")
	m.relate(role, "role")
	l.SetTargets(a)
	l.SetChanges(a)
}

// relate adds an object that only a change names, or its name to a target that
// has none. A role is known by its template's id, which assignments have too.
func (m *entraMapper) relate(r related, kind string) {
	known := cmp.Or(r.template, r.id)
	if known == "" {
		return
	}
	if r.id != "" {
		m.lists.RenameTarget(r.id, known)
	}
	m.lists.Target(known, r.name, kind)
}

// gather adds modifiedProperties, whose values are JSON within strings.
func (m *entraMapper) gather(properties string, group, role *related) {
	for e := rawjson.Elements(properties); ; {
		v, ok := e.Next()
		if !ok {
			return
		}
		var name, old, now string
		for f := rawjson.Members(v); ; {
			member, v, ok := f.Next()
			if !ok {
				break
			}
			switch member {
			case "displayName":
				name = rawjson.Text(v)
			case "oldValue":
				old = innerValue(v)
			case "newValue":
				now = innerValue(v)
			}
		}
		switch name {
		case "", "Included Updated Properties", "ActorId.ServicePrincipalNames", "TargetId.ServicePrincipalNames":
			continue // what the record says elsewhere
		}
		if old == "" && now == "" {
			continue
		}
		m.lists.Change(name, old, now)
		switch value := cmp.Or(now, old); name { // the old one, where it was taken away
		case "Group.ObjectID":
			group.id = value
		case "Group.DisplayName":
			group.name = value
		case "Role.ObjectID":
			role.id = value
		case "Role.DisplayName":
			role.name = value
		case "Role.TemplateId":
			role.template = value
		}
	}
}
