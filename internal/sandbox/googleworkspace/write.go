package googleworkspace

import (
	"net/http"
	"strings"

	"weir/internal/sandbox/org"
)

// update is what of a user can be changed: what is absent stays, by PUT too (9).
type update struct {
	Suspended                 *bool
	Archived                  *bool
	ChangePasswordAtNextLogin *bool
	Password                  *string
	OrgUnitPath               *string
}

// updateUser answers PUT and PATCH /users/{userKey}.
func (c *call) updateUser() *failure {
	a, f := c.target()
	if f != nil {
		return f
	}
	var in update
	if f := c.read(&in); f != nil {
		return f
	}
	if f := c.mayUpdate(a, &in); f != nil {
		return f
	}
	unit := -1
	if in.OrgUnitPath != nil {
		for _, u := range c.s.ResourceSets[app] {
			if strings.EqualFold(u.Name, *in.OrgUnitPath) {
				unit = u.N
			}
		}
		if unit < 0 {
			return invalid("Invalid Input: INVALID_OU_ID")
		}
	}
	if in.Password != nil && (len(*in.Password) < 8 || len(*in.Password) > 100) {
		return invalid("Invalid Password")
	}
	if in.Suspended != nil && !*in.Suspended && a.Status == org.Suspended && a.Reason != org.SuspendedByAdmin {
		return refuse(http.StatusForbidden, "adminCannotUnsuspend", "Admin cannot unsuspend the user.")
	}
	c.lag(a)
	x := c.act()
	switch {
	case in.Suspended == nil:
	case *in.Suspended && a.Status != org.Suspended:
		c.s.SuspendGoogle(x, a, org.SuspendedByAdmin)
	case !*in.Suspended && a.Status == org.Suspended:
		c.s.UnsuspendGoogle(x, a)
	}
	if in.Archived != nil && *in.Archived != (a.Status == org.Archived) && a.Status != org.Suspended {
		c.s.ArchiveGoogle(x, a, *in.Archived)
	}
	if in.Password != nil {
		c.s.SetGooglePassword(x, a, org.PasswordReset)
	}
	if in.ChangePasswordAtNextLogin != nil {
		c.s.ForceGooglePassword(x, a, *in.ChangePasswordAtNextLogin)
	}
	if unit >= 0 && unit != a.OrgUnit {
		c.s.MoveToUnit(x, a, unit)
	}
	return c.send(c.h.userView(c.s, a))
}

// mayUpdate refuses what who calls may not do to a user. An administrator can be
// changed only by one who may do all.
func (c *call) mayUpdate(a *org.Account, in *update) *failure {
	ok := !c.above(a) && c.who.subject != a.N
	if in.Suspended != nil {
		ok = ok && c.may(a, "USERS_SUSPEND", "USERS_ALL")
	}
	if in.Password != nil {
		ok = ok && c.may(a, "USERS_RESET_PASSWORD", "USERS_ALL")
	}
	if in.ChangePasswordAtNextLogin != nil {
		ok = ok && c.may(a, "USERS_FORCE_PASSWORD_CHANGE", "USERS_ALL")
	}
	if in.Archived != nil || in.OrgUnitPath != nil {
		ok = ok && c.may(a, "USERS_ALL")
	}
	if !ok || !c.may(a, "USERS_RETRIEVE", "USERS_ALL") {
		return notAuthorized()
	}
	return nil
}

// deleteUser answers DELETE /users/{userKey}.
func (c *call) deleteUser() *failure {
	a, f := c.target()
	if f != nil {
		return f
	}
	if !c.may(a, "USERS_ALL") || c.above(a) || c.who.subject == a.N {
		return notAuthorized()
	}
	c.s.Remove(app, c.act(), a)
	return c.empty()
}

// undeleteUser answers POST /users/{userKey}/undelete: by the numeric id alone.
func (c *call) undeleteUser() *failure {
	a := c.h.account(c.s, c.args[0])
	if a == nil || listed(a) || !a.Gone.IsZero() || c.s.Now.Sub(a.StatusChanged) > org.GoogleDeletedKept {
		return notFound("userKey")
	}
	if !c.may(nil, "USERS_ALL") {
		return notAuthorized()
	}
	var in struct{ OrgUnitPath string }
	if f := c.read(&in); f != nil {
		return f
	}
	for _, u := range c.s.ResourceSets[app] {
		if strings.EqualFold(u.Name, in.OrgUnitPath) || in.OrgUnitPath == "" && u.N == 0 {
			c.s.UndeleteGoogle(c.act(), a, u.N)
			return c.empty()
		}
	}
	return invalid("Invalid Input: INVALID_OU_ID")
}
