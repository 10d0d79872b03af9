package googleworkspace

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"weir/internal/sandbox/org"
)

// roleView is a role as the directory tells (5.4).
func (c *call) roleView(d *org.RoleDef) object {
	var privileges []object
	for _, p := range d.Permits {
		service, name, _ := strings.Cut(p, " ")
		privileges = append(privileges, object{"serviceId": service, "privilegeName": name})
	}
	return object{
		"kind": "admin#directory#role", "etag": c.h.etag("role", d.N), "roleId": c.long(c.h.roleID(d.N)), c.h.facts.RoleName: d.Name, "roleDescription": d.Description,
		"isSystemRole": d.N < len(org.GoogleRoles), "isSuperAdminRole": d.N == org.GoogleSuperAdmin, "rolePrivileges": privileges,
	}
}

// long is an int64 as the vendor writes it: as text.
func (c *call) long(text string) any {
	if c.h.facts.LongText {
		return text
	}
	return json.Number(text)
}

func (c *call) roles() *failure {
	if f := c.ofCustomer(c.args[0]); f != nil {
		return f
	}
	all := slices.Clone(c.s.RoleDefs[app])
	key := func(d *org.RoleDef) string { return c.h.roleID(d.N) }
	slices.SortFunc(all, func(a, b *org.RoleDef) int { return cmp.Compare(key(a), key(b)) })
	page, next, f := list(c, &listing{name: "roles", size: c.h.facts.Roles, sizeName: "maxResults"}, all, key, c.roleView)
	if f != nil {
		return f
	}
	return c.send(c.put(object{"kind": "admin#directory#roles", "etag": c.h.etag("roles")}, "items", page, next))
}

func (c *call) theRole(id string) *org.RoleDef {
	if n := c.h.number("role", id, len(c.s.RoleDefs[app]), c.h.roleID); n >= 0 {
		return c.s.RoleDefs[app][n]
	}
	return nil
}

func (c *call) role() *failure {
	if f := c.ofCustomer(c.args[0]); f != nil {
		return f
	}
	d := c.theRole(c.args[1])
	if d == nil {
		return notFound("roleId")
	}
	return c.send(c.roleView(d))
}

// privileges answers GET /customer/{customer}/roles/ALL/privileges.
func (c *call) privileges() *failure {
	if f := c.ofCustomer(c.args[0]); f != nil {
		return f
	}
	seen, out := map[string]bool{}, []object{}
	for _, d := range c.s.RoleDefs[app] {
		for _, p := range d.Permits {
			if service, name, _ := strings.Cut(p, " "); !seen[p] {
				seen[p] = true
				out = append(out, object{"kind": "admin#directory#privilege", "etag": c.h.etag(p), "serviceId": service, "serviceName": "admin", "privilegeName": name, "isOuScopable": strings.HasPrefix(name, "USERS_")})
			}
		}
	}
	return c.send(object{"kind": "admin#directory#privileges", "etag": c.h.etag("privileges"), "items": out})
}

// held says whether an assignment is there: its holder is too, and its time is not
// over.
func held(s *org.State, r *org.RoleGrant) bool {
	if !r.Gone.IsZero() || !r.Until.IsZero() && s.Over(r.Until) {
		return false
	}
	switch r.Holder.Kind {
	case org.AccountRef:
		return listed(s.Accounts[app][r.Holder.N])
	case org.GroupRef:
		return s.Groups[app][r.Holder.N].Gone.IsZero()
	default:
	}
	return s.Integrations[app][r.Holder.N].Gone.IsZero()
}

// holderID is the id of who holds a role.
func (h *Handler) holderID(r org.Ref) string {
	switch r.Kind {
	case org.AccountRef:
		return h.userID(r.N)
	case org.GroupRef:
		return h.groupID(r.N)
	default:
	}
	return h.serviceID(r.N)
}

// securityGroups is the condition of some assignments.
const securityGroups = "!api.getAttribute('cloudidentity.googleapis.com/groups.labels', []).hasAny(['groups.security']) && resource.type == 'cloudidentity.googleapis.com/Group'"

// conditionOf is an assignment's: some of those for groups have one.
func conditionOf(r *org.RoleGrant) string {
	if r.RoleN == 1 && r.ScopeN < 0 {
		return securityGroups
	}
	return ""
}

func (c *call) assignmentView(r *org.RoleGrant) object {
	f := &c.h.facts
	v := object{
		"kind": "admin#directory#roleAssignment", "etag": c.h.etag("assignment", r.N), "roleAssignmentId": c.long(c.h.assignmentID(r.N)), "roleId": c.long(c.h.roleID(r.RoleN)),
		f.AssignedTo: c.h.holderID(r.Holder), f.AssigneeType: "user", f.ScopeType: "CUSTOMER",
	}
	if r.Holder.Kind == org.GroupRef {
		v[f.AssigneeType] = "group"
	}
	if !f.LowerAssignee || r.N%3 == 1 { // the case is no matter
		v[f.AssigneeType] = strings.ToUpper(v[f.AssigneeType].(string))
	}
	if r.ScopeN > 0 {
		v[f.ScopeType], v[f.UnitOf] = "ORG_UNIT", strings.TrimPrefix(c.h.unitID(r.ScopeN), "id:")
	}
	if cond := conditionOf(r); cond != "" {
		v["condition"] = cond
	}
	if !r.Until.IsZero() {
		v["expirationDetails"] = object{"expireTime": stamp(r.Until)}
	}
	return v
}

// assignments answers GET /customer/{customer}/roleassignments.
func (c *call) assignments() *failure {
	if f := c.ofCustomer(c.args[0]); f != nil {
		return f
	}
	user, indirect := c.q.Get("userKey"), c.q.Get("includeIndirectRoleAssignments") == "true"
	if indirect && user == "" {
		return invalid("Invalid Input: includeIndirectRoleAssignments")
	}
	holders := map[org.Ref]bool{}
	if user != "" {
		r, ok := c.holderByKey(user)
		if !ok {
			return notFound("userKey")
		}
		holders[r] = true
		for _, g := range c.s.Groups[app] {
			if indirect && r.Kind == org.AccountRef && g.Gone.IsZero() && g.Has(r.N) {
				holders[org.Ref{Kind: org.GroupRef, N: g.N}] = true
			}
		}
	}
	role := c.q.Get("roleId")
	if role != "" && c.theRole(role) == nil {
		return notFound("roleId")
	}
	var all []*org.RoleGrant
	for _, r := range c.s.Roles[app] {
		if held(c.s, r) && (user == "" || holders[r.Holder]) && (role == "" || c.h.roleID(r.RoleN) == role) {
			all = append(all, r)
		}
	}
	key := func(r *org.RoleGrant) string { return c.h.assignmentID(r.N) }
	slices.SortFunc(all, func(a, b *org.RoleGrant) int { return cmp.Compare(key(a), key(b)) })
	page, next, f := list(c, &listing{name: "roleassignments", size: c.h.facts.Assignments, sizeName: "maxResults"}, all, key, c.assignmentView)
	if f != nil {
		return f
	}
	return c.send(c.put(object{"kind": "admin#directory#roleAssignments", "etag": c.h.etag("assignments", c.now)}, "items", page, next))
}

// holderByKey finds who a role may be given to: a user, a group or a service
// account.
func (c *call) holderByKey(key string) (org.Ref, bool) {
	if a := c.h.accountByKey(c.s, key); a != nil {
		return org.Ref{Kind: org.AccountRef, N: a.N}, true
	}
	if g := c.h.group(c.s, key); g != nil {
		return org.Ref{Kind: org.GroupRef, N: g.N}, true
	}
	for _, in := range c.s.Integrations[app] {
		if in.Kind == org.ServiceAccount && in.Gone.IsZero() && c.h.serviceID(in.N) == key {
			return org.Ref{Kind: org.IntegrationRef, N: in.N}, true
		}
	}
	return org.Ref{}, false
}

func (c *call) theAssignment() *org.RoleGrant {
	if n := c.h.number("role assignment", c.args[1], len(c.s.Roles[app]), c.h.assignmentID); n >= 0 && held(c.s, c.s.Roles[app][n]) {
		return c.s.Roles[app][n]
	}
	return nil
}

func (c *call) assignment() *failure {
	if f := c.ofCustomer(c.args[0]); f != nil {
		return f
	}
	r := c.theAssignment()
	if r == nil {
		return notFound("roleAssignmentId")
	}
	return c.send(c.assignmentView(r))
}

// insertAssignment answers POST /customer/{customer}/roleassignments.
func (c *call) insertAssignment() *failure {
	if f := c.ofCustomer(c.args[0]); f != nil {
		return f
	}
	var in struct {
		RoleID                           json.RawMessage
		AssignedTo, ScopeType, OrgUnitID string
	}
	if f := c.read(&in); f != nil {
		return f
	}
	d := c.theRole(numeral(in.RoleID))
	holder, ok := c.holderByKey(in.AssignedTo)
	unit := -1
	switch {
	case d == nil:
		return notFound("roleId")
	case !ok || strings.Contains(in.AssignedTo, "@"):
		return invalid("Invalid Input: assignedTo")
	case in.ScopeType == "ORG_UNIT":
		for _, u := range c.s.ResourceSets[app] {
			if strings.TrimPrefix(c.h.unitID(u.N), "id:") == strings.TrimPrefix(in.OrgUnitID, "id:") {
				unit = u.N
			}
		}
		if unit < 0 {
			return invalid("Invalid Input: orgUnitId")
		}
	case in.ScopeType != "CUSTOMER":
		return invalid("Invalid Input: scopeType")
	}
	for _, r := range c.s.Roles[app] {
		if held(c.s, r) && r.Holder == holder && r.RoleN == d.N && r.ScopeN == unit {
			return refuse(http.StatusConflict, "duplicate", "Role assignment already exists for the role")
		}
	}
	return c.send(c.assignmentView(c.s.GrantGoogleRole(c.act(), holder, d.N, unit)))
}

// deleteAssignment answers DELETE /customer/{customer}/roleassignments/{id}.
func (c *call) deleteAssignment() *failure {
	if f := c.ofCustomer(c.args[0]); f != nil {
		return f
	}
	r := c.theAssignment()
	if r == nil {
		return notFound("roleAssignmentId")
	}
	if r.RoleN == org.GoogleSuperAdmin && c.lastSuper() {
		return refuse(http.StatusBadRequest, "failedPrecondition", "The last super administrator cannot be removed.")
	}
	c.s.RevokeRole(app, c.act(), r)
	return c.empty()
}

func (c *call) lastSuper() bool {
	n := 0
	for _, r := range c.s.Roles[app] {
		if r.RoleN == org.GoogleSuperAdmin && held(c.s, r) {
			n++
		}
	}
	return n < 2
}

// makeAdmin answers POST /users/{userKey}/makeAdmin.
func (c *call) makeAdmin() *failure {
	a, f := c.target()
	if f != nil {
		return f
	}
	var in struct{ Status *bool }
	if f := c.read(&in); f != nil {
		return f
	}
	if in.Status == nil {
		return invalid("Invalid Input: status")
	}
	super := (*org.RoleGrant)(nil)
	for _, r := range c.s.Roles[app] {
		if held(c.s, r) && r.RoleN == org.GoogleSuperAdmin && r.Holder == (org.Ref{Kind: org.AccountRef, N: a.N}) {
			super = r
		}
	}
	switch {
	case *in.Status && super == nil:
		c.s.GrantGoogleRole(c.act(), org.Ref{Kind: org.AccountRef, N: a.N}, org.GoogleSuperAdmin, -1)
	case !*in.Status && super != nil && c.lastSuper():
		return refuse(http.StatusBadRequest, "failedPrecondition", "The last super administrator cannot be removed.")
	case !*in.Status && super != nil:
		c.s.RevokeRole(app, c.act(), super)
	}
	return c.empty()
}
