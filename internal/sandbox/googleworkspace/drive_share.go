package googleworkspace

import (
	"net/http"
	"time"

	"weir/internal/sandbox/org"
)

// permissionBody is what a write of a permission sends.
type permissionBody struct {
	Type, Role, EmailAddress, Domain string
	AllowFileDiscovery               bool
	ExpirationTime                   *time.Time
	PendingOwner                     *bool
}

// mayShare refuses who may not change a permission of a doc; nil: the subject may.
// Everybody may give up their own.
func (c *driveCall) mayShare(n int32, g *org.DocGrant) *failure {
	if g != nil && g.Account == c.me.N {
		return nil
	}
	if c.domainOf(n) {
		return nil
	}
	x := &c.s.Docs.All[n]
	need := "writer"
	switch {
	case x.Parent < 0 && x.Owner < 0:
		need = "organizer"
	case x.Owner < 0 && x.Kind == org.FolderDoc:
		need = "fileOrganizer"
	}
	if org.DocRank(c.role(n)) < org.DocRank(need) {
		return insufficientFilePermissions(c.h.fileID(c.s, n))
	}
	return nil
}

// domainOf says whether the subject acts as an administrator of the domain on a
// shared drive itself.
func (c *driveCall) domainOf(n int32) bool {
	return c.flag("useDomainAdminAccess") && c.s.Docs.IsRoot(n) && c.corpus(n).Shared()
}

func (c *driveCall) createPermission(m mask) *failure {
	n, f := c.forPermissions()
	if f != nil {
		return f
	}
	var in permissionBody
	if f := c.read(&in); f != nil {
		return f
	}
	g, f := c.grantee(&in)
	if f != nil {
		return f
	}
	if g.Role == "owner" {
		return c.transfer(m, n, &g)
	}
	if f := c.mayShare(n, nil); f != nil {
		return f
	}
	if f := c.fits(n, &g); f != nil {
		return f
	}
	if f := c.expires(&g, in.ExpirationTime); f != nil {
		return f
	}
	id := c.h.permissionID(&g)
	if p := c.held(n, id); p == nil || org.DocRank(p.role) < org.DocRank(g.Role) || p.direct(n) != nil && p.role != "owner" {
		c.s.GrantDoc(c.act(), n, g)
	}
	return c.reply(m, c.permissionView(n, c.held(n, id)))
}

func (c *driveCall) held(n int32, id string) *permission {
	perms := c.permissions(n)
	for i := range perms {
		if perms[i].id == id {
			return &perms[i]
		}
	}
	return nil
}

// fits says whether a role can be given at a doc.
func (c *driveCall) fits(n int32, g *org.DocGrant) *failure {
	x := &c.s.Docs.All[n]
	shared, root := x.Owner < 0, x.Parent < 0
	switch {
	case root && !shared:
		return refuse(http.StatusForbidden, "cannotShareRootFolder", "The root folder cannot be shared.")
	case (g.Role == "organizer" || g.Role == "fileOrganizer") && !shared, g.Role == "organizer" && !root:
		return refuse(http.StatusForbidden, "invalidRole", "The role %s can only be given in shared drives.", g.Role)
	case root && (g.To == org.ToAnyone || g.To == org.ToDomain):
		return refuse(http.StatusForbidden, "invalidSharingRequest", "A member of a shared drive is a user or a group.")
	case g.To == org.ToAnyone && g.Findable && g.Role != "reader":
		return refuse(http.StatusForbidden, "publishOutNotPermitted", "Items that anyone can find can only be read.")
	}
	return nil
}

// expires sets when a grant ends.
func (c *driveCall) expires(g *org.DocGrant, at *time.Time) *failure {
	if at == nil {
		return nil
	}
	if (g.To != org.ToUser && g.To != org.ToGroup) || !at.After(c.s.Now) || at.After(c.s.Now.AddDate(1, 0, 0)) {
		return refuse(http.StatusForbidden, "invalidExpirationTime", "Expiration dates can be set for users and groups only, within a year from now.")
	}
	g.Expires = at.UnixMilli()
	return nil
}

// transfer gives a doc to another owner.
func (c *driveCall) transfer(m mask, n int32, g *org.DocGrant) *failure {
	x := &c.s.Docs.All[n]
	switch {
	case !c.flag("transferOwnership"):
		return refuse(c.h.facts.TransferStatus, "forbidden", "The transferOwnership parameter must be enabled when the permission role is 'owner'.")
	case c.q.Get("sendNotificationEmail") == "false":
		return refuse(http.StatusBadRequest, "invalid", "The sendNotificationEmail parameter must not be disabled for ownership transfers.")
	case x.Owner < 0:
		return refuse(http.StatusForbidden, "ownershipChangeNotPermitted", "Items in a shared drive have no owner.")
	case x.Parent < 0:
		return refuse(http.StatusForbidden, "ownershipChangeNotPermitted", "The root folder cannot be given away.")
	case int(x.Owner) != c.me.N:
		return insufficientFilePermissions(c.args[0])
	case g.To != org.ToUser:
		return invalid("The owner is a user.")
	case g.Account < 0:
		return refuse(http.StatusForbidden, c.h.facts.CrossDomain, "Ownership cannot be transferred outside of the current domain.")
	}
	to := c.s.Accounts[app][g.Account]
	if c.s.Docs.Mine(to.N) == nil || to.Status == org.Suspended {
		return refuse(http.StatusForbidden, "ownershipChangeNotPermitted", "The new owner cannot own files.")
	}
	if to.N != c.me.N {
		c.s.OwnDoc(c.act(), n, to.N, c.flag("moveToNewOwnersRoot"))
	}
	return c.reply(m, c.permissionView(n, c.held(n, c.h.userPermissionID(to.N))))
}

// toChange finds the permission that a path names, of a doc of which it may be
// changed: what is only inherited is changed where it comes from.
func (c *driveCall) toChange() (int32, *permission, *org.Held, *failure) {
	n, f := c.forPermissions()
	if f != nil {
		return -1, nil, nil, f
	}
	p, f := c.thePermission(n)
	if f != nil {
		return -1, nil, nil, f
	}
	if f := c.mayShare(n, &p.all[0].DocGrant); f != nil {
		return -1, nil, nil, f
	}
	h := p.direct(n)
	if h == nil {
		return -1, nil, nil, c.inherited(n)
	}
	return n, p, h, nil
}

// inherited is why a permission cannot be changed here.
func (c *driveCall) inherited(n int32) *failure {
	reason := c.h.facts.Inherited
	if c.corpus(n).Shared() {
		reason = c.h.facts.InheritedShared
	}
	return refuse(http.StatusForbidden, reason, "Cannot modify a permission that is inherited.")
}

func (c *driveCall) updatePermission(m mask) *failure {
	var in permissionBody
	if f := c.read(&in); f != nil {
		return f
	}
	if in.Role == "owner" {
		n, f := c.open(c.args[0])
		if f != nil {
			return f
		}
		p, f := c.thePermission(n)
		if f != nil {
			return f
		}
		g := p.all[0].DocGrant
		return c.transfer(m, n, &g)
	}
	n, p, h, f := c.toChange()
	if f != nil {
		return f
	}
	g := h.DocGrant
	if in.Role != "" {
		g.Role = in.Role
	}
	switch least := inheritedRank(n, p); {
	case h.Role == "owner":
		return refuse(http.StatusForbidden, c.h.facts.OwnerStays, "The owner of a file cannot be changed so.")
	case org.DocRank(g.Role) < 0:
		return invalid("The specified role is invalid or not supported.")
	case org.DocRank(g.Role) < least:
		return c.inherited(n)
	}
	if f := c.fits(n, &g); f != nil {
		return f
	}
	if c.flag("removeExpiration") {
		g.Expires = 0
	}
	if f := c.expires(&g, in.ExpirationTime); f != nil {
		return f
	}
	if g != h.DocGrant {
		c.s.GrantDoc(c.act(), n, g)
	}
	return c.reply(m, c.permissionView(n, c.held(n, p.id)))
}

// inheritedRank is the most that a permission inherits; -1: nothing.
func inheritedRank(n int32, p *permission) int {
	best := -1
	for i := range p.all {
		if p.all[i].At != n && !p.all[i].Shut {
			best = max(best, org.DocRank(p.all[i].Role))
		}
	}
	return best
}

func (c *driveCall) deletePermission(mask) *failure {
	n, _, h, f := c.toChange()
	if f != nil {
		return f
	}
	if h.Role == "owner" {
		return refuse(http.StatusForbidden, c.h.facts.OwnerStays, "The owner of a file cannot be removed.")
	}
	c.s.RevokeDoc(c.act(), n, h.DocGrant)
	return c.nothing()
}
