package microsoft365

import (
	"net/http"
	"strings"

	"weir/internal/sandbox/org"
)

func (c *call) roleDefinitions() *failure {
	f := &c.h.facts
	return c.list(Page{500, 500}, len(org.EntraRoles), func(i int) object {
		name := org.EntraRoles[i]
		return object{
			f.ID: c.h.roleID(name), "displayName": name, "description": name, "isBuiltIn": true, "isEnabled": true, "templateId": c.h.roleID(name), "resourceScopes": []string{"/"}, "version": "1",
		}
	})
}

// roleHeld says whether a role is held now: not one that ended, or whose holder is
// not there any more.
func roleHeld(s *org.State, r *org.RoleGrant) bool {
	return r.Gone.IsZero() && there(s, r.Holder) && (r.Until.IsZero() || !s.Over(r.Until))
}

// scopeOf is where a role holds.
func (h *Handler) scopeOf(r *org.RoleGrant) string {
	if r.ScopeN >= 0 {
		return "/administrativeUnits/" + h.guid("administrative unit", r.ScopeN)
	}
	return "/"
}

// roleView is what all kinds of assignments have.
func (c *call) roleView(id string, holder org.Ref, r *org.RoleGrant) object {
	f := &c.h.facts
	principal, _ := c.h.objectID(holder)
	return object{f.ID: id, f.Principal: principal, f.RoleDefinition: c.h.roleID(r.Role), f.DirectoryScope: c.h.scopeOf(r), "appScopeId": nil}
}

// expandRole adds the principal, or the role, to assignments that are asked for
// with it: one of both can be.
func (c *call) expandRole() (func(v object, holder org.Ref, r *org.RoleGrant), *failure) {
	f := &c.h.facts
	switch e := c.q.Get("$expand"); {
	case e == "":
		return func(object, org.Ref, *org.RoleGrant) {}, nil
	case e == "principal" || strings.HasPrefix(e, "principal("):
		return func(v object, holder org.Ref, _ *org.RoleGrant) { v["principal"] = c.objectView(holder) }, nil
	case e == "roleDefinition" || strings.HasPrefix(e, "roleDefinition("):
		return func(v object, _ org.Ref, r *org.RoleGrant) {
			v["roleDefinition"] = object{f.ID: c.h.roleID(r.Role), "displayName": r.Role, "templateId": c.h.roleID(r.Role), "isBuiltIn": true}
		}, nil
	}
	return nil, refuse(http.StatusBadRequest, f.BadRequest, "Only one of principal and roleDefinition can be expanded.")
}

// roleAssignments are the roles that are in force. The log knows when they were
// given; this does not tell.
func (c *call) roleAssignments() *failure {
	expand, f := c.expandRole()
	if f != nil {
		return f
	}
	keep, f := c.eqFilter(c.h.facts.Principal, c.h.facts.RoleDefinition)
	if f != nil {
		return f
	}
	roles := c.s.Roles[org.Microsoft365]
	return c.list(Page{500, 500}, len(roles), func(i int) object {
		r := roles[i]
		if !roleHeld(c.s, r) || r.Eligible {
			return nil
		}
		v := c.roleView(c.h.assignmentID(i), r.Holder, r)
		v["condition"] = nil
		if !keep(v) {
			return nil
		}
		expand(v, r.Holder, r)
		return v
	}, "principal", "roleDefinition")
}

// eqFilter reads a filter of one of some properties by eq.
func (c *call) eqFilter(names ...string) (func(object) bool, *failure) {
	s := c.q.Get("$filter")
	if s == "" {
		return func(object) bool { return true }, nil
	}
	for _, name := range names {
		if rest, ok := strings.CutPrefix(s, name+" eq '"); ok {
			return func(v object) bool { return v[name] == strings.TrimSuffix(rest, "'") }, nil
		}
	}
	return nil, refuse(http.StatusBadRequest, c.h.facts.BadRequest, "Unsupported Query.")
}

func (c *call) activeRoles() *failure   { return c.instances(false) }
func (c *call) eligibleRoles() *failure { return c.instances(true) }

// instance is a role in time: as it was given, or as a member of a group has it.
type instance struct {
	r      *org.RoleGrant
	holder org.Ref
	group  bool
}

// instancesOf lists the roles that are in force, or can be activated.
func instancesOf(s *org.State, eligible bool) (list []instance) {
	for _, r := range s.Roles[org.Microsoft365] {
		if !roleHeld(s, r) || r.Eligible != eligible {
			continue
		}
		list = append(list, instance{r, r.Holder, false})
		if r.Holder.Kind != org.GroupRef {
			continue
		}
		for _, m := range membersOf(s, s.Groups[org.Microsoft365][r.Holder.N], "member") {
			if m.Kind == org.AccountRef {
				list = append(list, instance{r, m, true})
			}
		}
	}
	return list
}

// timed says whether a role was given for a time, or to be activated. One that was
// given for good has the assignment's id as an instance too, and no beginning.
func timed(r *org.RoleGrant) bool { return r.Eligible || !r.Until.IsZero() }

func (h *Handler) instanceID(x instance) string {
	switch {
	case x.group:
		return h.guid("role instance of "+h.assignmentID(x.r.N), x.holder.N)
	case !timed(x.r):
		return h.assignmentID(x.r.N)
	}
	return h.guid("role instance", x.r.N)
}

// instances are assignments with their times (PIM).
func (c *call) instances(eligible bool) *failure {
	f := &c.h.facts
	if c.h.noPIM() {
		return refuse(http.StatusForbidden, "AadPremiumLicenseRequired", "The tenant needs to have Microsoft Entra ID P2 or Microsoft Entra ID Governance license.")
	}
	expand, bad := c.expandRole()
	if bad != nil {
		return bad
	}
	keep, bad := c.eqFilter(f.Principal, f.RoleDefinition)
	if bad != nil {
		return bad
	}
	list := instancesOf(c.s, eligible)
	return c.list(Page{500, 500}, len(list), func(i int) object {
		x := list[i]
		v := c.roleView(c.h.instanceID(x), x.holder, x.r)
		v[f.StartTime], v[f.EndTime], v[f.MemberType] = nil, stamp(x.r.Until), "Direct"
		if timed(x.r) {
			v[f.StartTime] = stamp(x.r.Assigned)
		}
		if x.group {
			v[f.MemberType] = "Group"
		}
		if !eligible {
			v["assignmentType"] = "Assigned"
			v["roleAssignmentOriginId"] = c.h.assignmentID(x.r.N)
		}
		if !keep(v) {
			return nil
		}
		expand(v, x.holder, x.r)
		return v
	}, "principal", "roleDefinition")
}

// adminsOf are the accounts and apps that hold a role now, themselves or through a
// group.
func adminsOf(s *org.State) map[org.Ref]bool {
	admins := map[org.Ref]bool{}
	for _, x := range instancesOf(s, false) {
		admins[x.holder] = true
	}
	return admins
}
