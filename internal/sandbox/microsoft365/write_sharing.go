package microsoft365

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// deletePermission takes away what is granted at the item itself.
func (c *call) deletePermission() *failure {
	d, n, f := c.placeToChange()
	if f != nil {
		return f
	}
	grants, at := d.Effective(n)
	i := slices.IndexFunc(grants, func(p org.Permission) bool { return c.h.permissionID(d.N, &p) == c.args[2] })
	switch {
	case i < 0:
		return noItem()
	case at[i] != n:
		return invalid("The permission is inherited: it can be deleted where it was given.")
	case n == 0 && grants[i].Role == "owner":
		return refuse(http.StatusForbidden, "accessDenied", "The owner of a drive cannot be removed.")
	}
	c.s.Unshare(c.h.act(c.s, c.who, c.r), d, n, grants[i].N)
	return c.done()
}

// rolesOf are the words for roles that may be asked for.
var rolesOf = map[string]string{"read": "read", "write": "write"}

// expiryOf reads when a permission is to end.
func (c *call) expiryOf(text string) (time.Time, *failure) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || !t.After(c.s.Now) {
		return time.Time{}, invalid("expirationDateTime is no time to come.")
	}
	return t.UTC(), nil
}

// invite gives people a right on an item.
func (c *call) invite() *failure {
	d, n, f := c.placeToChange()
	if f != nil {
		return f
	}
	var in struct {
		Recipients         []struct{ Email, ObjectID, Alias string }
		Roles              []string
		RequireSignIn      bool
		SendInvitation     bool
		ExpirationDateTime string
	}
	if f := c.sent(&in); f != nil {
		return f
	}
	if len(in.Recipients) == 0 || len(in.Roles) != 1 || rolesOf[in.Roles[0]] == "" {
		return invalid("recipients and one of the roles read and write are required.")
	}
	expires, f := c.expiryOf(in.ExpirationDateTime)
	if f != nil {
		return f
	}
	var grants []org.Permission
	for _, to := range in.Recipients {
		p := org.Permission{To: org.ToAccount, Account: -1, Group: -1, Role: in.Roles[0], Expires: expires}
		holder, known := c.holderOf(to.ObjectID)
		a := c.byAddress(to.Email)
		switch {
		case known && holder.Kind == org.AccountRef:
			p.Account = holder.N
		case known && holder.Kind == org.GroupRef:
			p.To, p.Group = org.ToGroup, holder.N
		case a != nil:
			p.Account = a.N
		case to.ObjectID == "" && strings.Contains(to.Email, "@"):
			p.Email = to.Email
		default:
			return invalid("One of the recipients could not be resolved.")
		}
		grants = append(grants, p)
	}
	value := []object{}
	x := c.h.act(c.s, c.who, c.r)
	for _, p := range grants {
		p = c.s.Share(x, d, n, p, org.FileShare)
		value = append(value, c.permissionView(d, n, n, &p))
	}
	c.page(value, func(object) {})
	return nil
}

// byAddress returns the user with an address, or principal name.
func (c *call) byAddress(address string) *org.Account {
	for _, a := range c.s.Accounts[org.Microsoft365] {
		if present(a) && address != "" && (strings.EqualFold(a.Login, address) || strings.EqualFold(mailOf(c.s.People[a.Person]), address)) {
			return a
		}
	}
	return nil
}

// linkVerbs tell of links, by their scope.
var linkVerbs = map[string]org.Verb{"anonymous": org.LinkAnyone, "organization": org.LinkCompany, "users": org.LinkPeople}

// createLink makes a link to an item, or returns the one of that kind that there
// is.
func (c *call) createLink() *failure {
	d, n, f := c.placeToChange()
	if f != nil {
		return f
	}
	var in struct{ Type, Scope, Password, ExpirationDateTime string }
	if f := c.sent(&in); f != nil {
		return f
	}
	role := map[string]string{"view": "read", "edit": "write"}[in.Type]
	if in.Scope == "" {
		in.Scope = "organization"
	}
	if role == "" || linkVerbs[in.Scope] == "" {
		return invalid("The sandbox makes links of the types view and edit, for anonymous, organization and users.")
	}
	expires, f := c.expiryOf(in.ExpirationDateTime)
	if f != nil {
		return f
	}
	p := org.Permission{To: org.ToLink, Account: -1, Group: -1, Role: role, Scope: in.Scope, Expires: expires, Password: in.Password != ""}
	if s := d.Items[n].Sharing; s != nil && in.Scope != "users" {
		for _, old := range s.Grants {
			if old.To == p.To && old.Role == p.Role && old.Scope == p.Scope && old.Expires.Equal(p.Expires) && old.Password == p.Password {
				return c.one(c.permissionView(d, n, n, &old))
			}
		}
	}
	p = c.s.Share(c.h.act(c.s, c.who, c.r), d, n, p, linkVerbs[in.Scope])
	return c.made(c.permissionView(d, n, n, &p))
}
