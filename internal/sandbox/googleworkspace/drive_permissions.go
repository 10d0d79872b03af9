package googleworkspace

import (
	"net/http"
	"slices"
	"strings"

	"weir/internal/sandbox/org"
)

// permission is what somebody holds at a doc, by all ways together: an entry has
// one id for each whom it is to.
type permission struct {
	id   string
	role string // the most
	all  []org.Held
	shut bool // no way is open
}

// permissions are those of a doc: its owner's, its own and what it inherits. The
// nearest come first.
func (c *driveCall) permissions(n int32) (list []permission) {
	for _, h := range c.s.Reaching(n) {
		id := c.h.permissionID(&h.DocGrant)
		i := slices.IndexFunc(list, func(p permission) bool { return p.id == id })
		if i < 0 {
			list = append(list, permission{id: id, shut: true})
			i = len(list) - 1
		}
		p := &list[i]
		p.all = append(p.all, h)
		p.shut = p.shut && h.Shut
		if org.DocRank(h.Role) > org.DocRank(p.role) {
			p.role = h.Role
		}
	}
	return list
}

// direct is what of a permission is written at the doc itself; nil: nothing is.
func (p *permission) direct(n int32) *org.Held {
	for i := range p.all {
		if p.all[i].At == n {
			return &p.all[i]
		}
	}
	return nil
}

// permissionView is a permission as a list has it.
func (c *driveCall) permissionView(n int32, p *permission) object {
	s, g := c.s, &p.all[0].DocGrant
	v := object{"kind": "drive#permission", "id": p.id, "type": g.To, "role": p.role}
	switch g.To {
	case org.ToAnyone:
		v[c.h.facts.Discovery] = g.Findable
	case org.ToDomain:
		v[c.h.facts.Discovery], v["domain"], v["displayName"] = g.Findable, g.Domain, g.Domain
	default:
		c.granteeView(g, v)
		v["pendingOwner"] = false
	}
	if g.Expires != 0 {
		v[c.h.facts.Expiration] = msTime(g.Expires)
	}
	if g.View != "" {
		v["view"] = g.View
	}
	if p.shut { // of a closed folder no more than the name is seen
		v["view"], v["inheritedPermissionsDisabled"] = "metadata", true
	}
	shared := c.corpus(n).Shared()
	details := []object{}
	for _, h := range p.all {
		x := object{"permissionType": "file", "role": h.Role, c.h.facts.IsInherited: h.At != n}
		if shared && s.Docs.IsRoot(h.At) {
			x["permissionType"] = "member"
		}
		if h.At != n && shared {
			x["inheritedFrom"] = c.h.fileID(s, h.At)
		}
		details = append(details, x)
	}
	v[c.h.facts.Details] = details
	return v
}

// granteeView names who a permission is to. Of who is deleted no address is told.
func (c *driveCall) granteeView(g *org.DocGrant, v object) {
	s := c.s
	v["deleted"] = false
	switch {
	case g.Account >= 0:
		a := s.Accounts[app][g.Account]
		p := s.People[a.Person]
		if !listed(a) {
			v["deleted"] = true
			return
		}
		v["emailAddress"], v["displayName"] = a.Login, p.Given+" "+p.Family
	case g.Group >= 0:
		group := s.Groups[app][g.Group]
		if !group.Gone.IsZero() {
			v["deleted"] = true
			return
		}
		v["emailAddress"], v["displayName"] = groupEmail(s, group), group.Name
	default:
		v["emailAddress"], v["displayName"] = g.Email, g.Email
	}
}

var permissionPages = listing{name: "permissions", sizeName: "pageSize", size: Page{100, 100}}

// forPermissions opens a doc whose permissions are asked for: as somebody who may
// open it, or an administrator of the domain, whose right ends at shared drives
// themselves.
func (c *driveCall) forPermissions() (int32, *failure) {
	if c.flag("useDomainAdminAccess") {
		n := c.h.docN(c.s, c.args[0])
		if n < 0 || !c.s.Docs.IsRoot(n) || !c.corpus(n).Shared() {
			return c.open(c.args[0]) // it counts for shared drives only
		}
		if f := c.domainAdmin("insufficientAdministratorPrivileges"); f != nil {
			return -1, f
		}
		if !c.flag("supportsAllDrives") {
			return -1, noFile(c.args[0])
		}
		return n, nil
	}
	return c.open(c.args[0])
}

func (c *driveCall) listPermissions(m mask) *failure {
	n, f := c.forPermissions()
	if f != nil {
		return f
	}
	if !c.flag("useDomainAdminAccess") && c.role(n) == "reader" && !c.corpus(n).Shared() {
		return insufficientFilePermissions(c.args[0])
	}
	size := Page{100, 100}
	if !c.corpus(n).Shared() { // all at once, unless a size is set
		size.Default = 1 << 20
	}
	l := permissionPages
	l.size = size
	perms := c.permissions(n)
	page, next, f := paged(c.call, &l, len(perms), func(i int) object { return c.permissionView(n, &perms[i]) })
	if f != nil {
		return f
	}
	out := object{"kind": "drive#permissionList", "permissions": page}
	if next != "" {
		out["nextPageToken"] = next
	}
	return c.reply(m, out)
}

// thePermission finds the one that a path names.
func (c *driveCall) thePermission(n int32) (*permission, *failure) {
	perms := c.permissions(n)
	for i := range perms {
		if perms[i].id == c.args[1] {
			return &perms[i], nil
		}
	}
	return nil, refuse(http.StatusNotFound, c.h.facts.NoPermission, "Permission not found: %s.", c.args[1])
}

func (c *driveCall) getPermission(m mask) *failure {
	n, f := c.forPermissions()
	if f != nil {
		return f
	}
	p, f := c.thePermission(n)
	if f != nil {
		return f
	}
	return c.reply(m, c.permissionView(n, p))
}

// grantee makes a grant of what a request sends.
func (c *driveCall) grantee(in *permissionBody) (org.DocGrant, *failure) {
	g := org.DocGrant{To: in.Type, Account: -1, Group: -1, Role: in.Role}
	if org.DocRank(in.Role) < 0 {
		return g, invalid("The specified role is invalid or not supported.")
	}
	switch in.Type {
	case org.ToUser, org.ToGroup:
		email := strings.ToLower(strings.TrimSpace(in.EmailAddress))
		if !strings.Contains(email, "@") {
			return g, invalid("The specified emailAddress is invalid or not applicable for the given permission type.")
		}
		if a := c.h.accountByKey(c.s, email); a != nil {
			g.To, g.Account = org.ToUser, a.N
			return g, nil
		}
		if group := c.h.group(c.s, email); group != nil {
			g.To, g.Group = org.ToGroup, group.N
			return g, nil
		}
		if _, domain, _ := strings.Cut(email, "@"); slices.Contains(domains(c.s), domain) {
			return g, refuse(http.StatusBadRequest, "invalidSharingRequest", "Bad Request. User message: \"Sorry, the items were successfully shared but emails could not be sent to %s.\"", email)
		}
		g.Email = email
	case org.ToDomain:
		if g.Domain = strings.ToLower(in.Domain); g.Domain == "" {
			return g, invalid("The domain is missing.")
		}
		g.Findable = in.AllowFileDiscovery
	case org.ToAnyone:
		g.Findable = in.AllowFileDiscovery
	default:
		return g, invalid("The permission type field is required.")
	}
	return g, nil
}
