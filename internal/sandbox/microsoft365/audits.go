package microsoft365

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// audited is how the directory's log tells of a verb.
type audited struct {
	name, category, operation string
}

var audits = map[org.Verb]audited{
	org.AccountCreate:  {"Add user", "UserManagement", "Add"},
	org.AccountUpdate:  {"Update user", "UserManagement", "Update"},
	org.AccountSuspend: {"Disable account", "UserManagement", "Update"}, org.AccountUnsuspend: {"Enable account", "UserManagement", "Update"},
	org.AccountRemove: {"Delete user", "UserManagement", "Delete"}, org.AccountDelete: {"Hard Delete user", "UserManagement", "Delete"},
	org.AccountRestore: {"Restore user", "UserManagement", "Update"},
	org.PasswordReset:  {"Reset user password", "UserManagement", "Update"}, org.PasswordChange: {"Change user password", "UserManagement", "Update"},
	org.GroupCreate: {"Add group", "GroupManagement", "Add"}, org.GroupUpdate: {"Update group", "GroupManagement", "Update"}, org.GroupDelete: {"Delete group", "GroupManagement", "Delete"},
	org.GroupAddMember: {"Add member to group", "GroupManagement", "Assign"}, org.GroupRemoveMember: {"Remove member from group", "GroupManagement", "Unassign"},
	org.RoleGrantVerb: {"Add member to role", "RoleManagement", "Assign"}, org.RoleRevokeVerb: {"Remove member from role", "RoleManagement", "Unassign"},
	org.IntegrationAdd: {"Add service principal", "ApplicationManagement", "Add"}, org.IntegrationUpdate: {"Update service principal", "ApplicationManagement", "Update"},
	org.IntegrationRemove: {"Remove service principal", "ApplicationManagement", "Delete"},
	org.GrantIssue:        {"Add delegated permission grant", "ApplicationManagement", "Assign"}, org.GrantRevoke: {"Remove delegated permission grant", "ApplicationManagement", "Unassign"},
	org.SessionsClear:      {"Update StsRefreshTokenValidFrom Timestamp", "UserManagement", "Update"},
	org.IntegrationRestore: {"Restore service principal", "ApplicationManagement", "Update"},
	org.PolicyUpdate:       {"Update policy", "Policy", "Update"},
}

// auditOf is how an event is told. What is granted may be a role of an app's.
func auditOf(s *org.State, e *org.Event) audited {
	a := audits[e.Verb]
	if isOwnerAdded(e) {
		a.name = "Add owner to group"
	}
	if (e.Verb == org.GrantIssue || e.Verb == org.GrantRevoke) && s.Grants[org.Microsoft365][e.Targets[0].N].Kind == org.GrantAppRole {
		a.name = "Add app role assignment to service principal"
		if e.Verb == org.GrantRevoke {
			a.name = "Remove app role assignment from service principal"
		}
	}
	return a
}

// auditTime is as exact as the log: to a ten-millionth of a second.
func auditTime(t time.Time) time.Time { return t.Add(537400 * time.Nanosecond) }

const exactStamp = "2006-01-02T15:04:05.0000000Z"

// auditID is what the log calls an event.
func (h *Handler) auditID(e *org.Event) string {
	return fmt.Sprintf("Directory_%s_%s_%d", h.guid("audit", e.N), strings.ToUpper(h.guid("audit mark", e.N)[:5]), e.N)
}

// auditTarget is one object that an event is about.
type auditTarget struct {
	id, kind    string
	name, login string // one of both
	groupType   string
	changes     []org.Change
}

// auditTargets are those of an event, the primary first. What was entered, a group
// or a role, stands as a target and among the changes of who entered it.
func (h *Handler) auditTargets(s *org.State, e *org.Event) []auditTarget {
	var list []auditTarget
	for _, r := range e.Targets {
		t := auditTarget{}
		switch r.Kind {
		case org.AccountRef:
			t = auditTarget{id: h.accountID(r.N), kind: "User", login: s.Accounts[org.Microsoft365][r.N].Login}
		case org.GroupRef:
			g := s.Groups[org.Microsoft365][r.N]
			t = auditTarget{id: h.groupID(r.N), kind: "Group", name: g.Name, groupType: "azureAD"}
			if g.Kind == org.Unified {
				t.groupType = "unifiedGroups"
			}
		case org.RoleRef:
			role := s.Roles[org.Microsoft365][r.N].Role
			t = auditTarget{id: h.roleID(role), kind: "Role", name: role}
		case org.IntegrationRef:
			t = auditTarget{id: h.servicePrincipalID(r.N), kind: "ServicePrincipal", name: s.Integrations[org.Microsoft365][r.N].Label}
		case org.PolicyRef:
			t = auditTarget{id: h.guid("policy", r.N), kind: "Policy", name: r.Name}
		default:
			continue // a grant: its app or holder follows
		}
		list = append(list, t)
	}
	if len(list) > 0 {
		list[0].changes = h.auditChanges(s, e, list)
	}
	return list
}

// propertyNames are the directory's words for what changes about a person.
var propertyNames = map[string]string{"title": "JobTitle", "department": "Department", "familyName": "Surname", "manager": "Manager", "description": "Description"}

func (h *Handler) auditChanges(s *org.State, e *org.Event, list []auditTarget) (changes []org.Change) {
	for _, c := range e.Changes {
		if name := propertyNames[c.Name]; name != "" {
			c.Name = name
		}
		changes = append(changes, c)
	}
	switch e.Verb {
	case org.AccountSuspend:
		changes = append(changes, org.Change{Name: "AccountEnabled", Old: "true", New: "false"})
	case org.AccountUnsuspend:
		changes = append(changes, org.Change{Name: "AccountEnabled", Old: "false", New: "true"})
	case org.GroupAddMember, org.RoleGrantVerb, org.GroupRemoveMember, org.RoleRevokeVerb:
		for _, t := range list[1:] {
			for _, c := range []org.Change{{Name: t.kind + ".ObjectID", New: t.id}, {Name: t.kind + ".DisplayName", New: t.name}} {
				if e.Verb == org.GroupRemoveMember || e.Verb == org.RoleRevokeVerb {
					c.Old, c.New = c.New, ""
				}
				changes = append(changes, c)
			}
		}
	case org.GrantIssue, org.GrantRevoke:
		for i := range changes {
			changes[i].Name = "DelegatedPermissionGrant.Scope"
			if s.Grants[org.Microsoft365][e.Targets[0].N].Kind == org.GrantAppRole {
				changes[i].Name = "AppRole.Value"
			}
		}
	default:
	}
	return changes
}

// quoted is a value as modifiedProperties have it: JSON in a string. Booleans are
// in a list.
func (h *Handler) quoted(v string) any {
	switch {
	case v == "":
		return nil
	case !h.facts.QuotedValues:
		return v
	case v == "true" || v == "false":
		return "[" + v + "]"
	}
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // it is a string
	}
	return string(raw)
}

// directoryAudits is the log of what was changed (5.4).
func (c *call) directoryAudits() *failure {
	f := &c.h.facts
	return c.log(&logKind{
		timeName: f.AuditTime, attributes: auditAttribute, page: f.Audits, shown: auditTime,
		verbs:  func(e *org.Event) bool { return audits[e.Verb].name != "" },
		values: c.auditValue, view: c.auditView,
	})
}

func (c *call) auditValue(e *org.Event, name string) string {
	switch name {
	case "activityDisplayName":
		return auditOf(c.s, e).name
	case "loggedByService":
		return "Core Directory"
	case "correlationId":
		return c.h.guid("correlation", e.N)
	}
	if e.Actor.Kind == org.AccountRef {
		return c.h.accountID(e.Actor.N)
	}
	return ""
}

func (c *call) auditView(e *org.Event) object {
	h, f := c.h, &c.h.facts
	a := auditOf(c.s, e)
	targets := []object{}
	for _, t := range h.auditTargets(c.s, e) {
		properties := []object{}
		for _, ch := range t.changes {
			properties = append(properties, object{"displayName": ch.Name, "oldValue": h.quoted(ch.Old), "newValue": h.quoted(ch.New)})
		}
		targets = append(targets, object{
			f.ID: t.id, "displayName": text(t.name), "type": t.kind, "userPrincipalName": text(t.login), "groupType": text(t.groupType), "modifiedProperties": properties,
		})
	}
	by := object{"user": nil, "app": nil}
	if e.Actor.Kind == org.AccountRef {
		by["user"] = object{f.ID: h.accountID(e.Actor.N), "displayName": nil, f.PrincipalName: c.s.Accounts[org.Microsoft365][e.Actor.N].Login, "ipAddress": text(e.Client.IP)}
	} else {
		in := c.s.Integrations[org.Microsoft365][max(0, e.Actor.N)]
		by["app"] = object{f.AppID: h.appID(in.N), "displayName": in.Label, "servicePrincipalId": h.servicePrincipalID(in.N), "servicePrincipalName": nil}
	}
	details := []object{}
	if e.Client.UserAgent != "" {
		details = append(details, object{"key": "User-Agent", "value": e.Client.UserAgent})
	}
	return object{
		f.ID: h.auditID(e), "category": a.category, "correlationId": h.guid("correlation", e.N), f.Result: "success", "resultReason": "", f.AuditAction: a.name,
		f.AuditTime: auditTime(e.At).Format(exactStamp), "loggedByService": "Core Directory", "operationType": a.operation, f.Initiator: by, f.Targets: targets, "additionalDetails": details,
	}
}
