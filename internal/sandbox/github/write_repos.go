package github

import (
	"net/http"
	"slices"

	"weir/internal/sandbox/org"
)

// levelIn returns what the token may do in a repository, as a place in
// repoRoles; -1 nothing. What an App may, its permissions have told.
func (c *call) levelIn(r *org.Repo) int {
	a := c.account()
	if a == nil || c.owner() {
		return len(repoRoles) - 1
	}
	level := -1
	if r.Visibility == "public" {
		level = 0
	}
	if isMember(c.s, a) {
		level = max(level, slices.Index(repoRoles, c.h.facts.BasePermission))
	}
	for _, v := range r.Access {
		switch {
		case v.Invited:
		case v.Holder.Kind == org.AccountRef && v.Holder.N == a.N:
			level = max(level, slices.Index(repoRoles, v.Role))
		case v.Holder.Kind == org.GroupRef:
			if g := c.teamOf(v.Holder.N); g != nil && slices.ContainsFunc(c.effective(g), func(b belongs) bool { return b.account == a }) {
				level = max(level, slices.Index(repoRoles, v.Role))
			}
		}
	}
	return level
}

// repoTo returns the path's repository, in which the token's user has a role;
// nil after it has answered.
func (c *call) repoTo(role string) *org.Repo {
	r := c.pathRepo()
	if r == nil {
		return nil
	}
	switch level := c.levelIn(r); {
	case level < 0:
		c.notFound()
		return nil
	case level < slices.Index(repoRoles, role):
		c.fail(http.StatusForbidden, "Must have "+role+" rights to Repository.")
		return nil
	}
	return r
}

func (c *call) readOnly(r *org.Repo) bool {
	if r.Archived {
		c.fail(http.StatusForbidden, "Repository was archived so is read-only.")
	}
	return r.Archived
}

// roleOf returns the role of a permission's name.
func roleOf(permission string) (string, bool) {
	if i := slices.Index(repoPermissions, permission); i >= 0 {
		return repoRoles[i], true
	}
	return "", false
}

// patchRepo is PATCH /repos/{owner}/{repo}, of which visibility and archived are
// known.
func (c *call) patchRepo() {
	r := c.repoTo("admin")
	var body struct {
		Visibility *string
		Private    *bool
		Archived   *bool
	}
	if r == nil || !c.sent(&body) {
		return
	}
	after := *r
	switch {
	case body.Visibility != nil:
		after.Visibility = *body.Visibility
	case body.Private != nil && *body.Private == (r.Visibility == "public"):
		after.Visibility = either(*body.Private, "private", "public")
	}
	if body.Archived != nil {
		after.Archived = *body.Archived
	}
	switch {
	case !slices.Contains([]string{"private", "internal", "public"}, after.Visibility),
		body.Visibility != nil && (after.Visibility == "public" && c.flavour.EMU || after.Visibility == "internal" && c.flavour.Free):
		c.invalid("Repository", "visibility", "invalid", "visibility is not included in the list")
		return
	case after.Archived && (body.Archived == nil || after.Visibility != r.Visibility) && c.readOnly(r):
		return
	}
	c.settle(0, func(x *org.Act) {
		if !alive(r.Created, r.Gone, c.s) {
			return
		}
		if r.Archived && !after.Archived {
			c.s.Unarchive(x, r)
		}
		if r.Visibility != after.Visibility {
			c.s.SetVisibility(x, r, after.Visibility)
		}
		if !r.Archived && after.Archived {
			c.s.Archive(x, r)
		}
	})
	c.repoOf(&after)
}

// addCollaborator is PUT /repos/{owner}/{repo}/collaborators/{username}: who is
// no member is invited.
func (c *call) addCollaborator() {
	r := c.repoTo("admin")
	var body struct{ Permission string }
	if r == nil || !c.sent(&body) {
		return
	}
	a := c.find(c.path("username"))
	role, ok := roleOf(firstOf(body.Permission, "push"))
	switch {
	case !ok:
		c.invalid("Repository", "permission", "invalid", "permission is not one of pull, triage, push, maintain, admin")
		return
	case a == nil || a.Status == org.Invited:
		c.notFound()
		return
	case a.Blocked:
		c.invalid("Repository", "user", "unprocessable", "The user is blocked by the organization.")
		return
	}
	grant := org.Access{Holder: org.Ref{Kind: org.AccountRef, N: a.N}, Role: role, Outside: a.Outside}
	in := slices.ContainsFunc(r.Access, func(v org.Access) bool { return v.Holder == grant.Holder })
	grant.Invited = a.Outside && !in
	c.grantAccess(r, grant)
	c.done()
	if grant.Invited {
		c.status = http.StatusCreated
		if i := slices.IndexFunc(r.Access, func(v org.Access) bool { return v.Holder == grant.Holder }); i >= 0 {
			grant = r.Access[i]
		}
		c.object("", func() { c.repoInvitation(r, grant) })
	}
}

// removeCollaborator is DELETE /repos/{owner}/{repo}/collaborators/{username}.
func (c *call) removeCollaborator() {
	r := c.repoTo("admin")
	if r == nil {
		return
	}
	a := c.known(c.path("username"))
	if a == nil {
		c.notFound()
		return
	}
	holder := org.Ref{Kind: org.AccountRef, N: a.N}
	c.settle(0, func(x *org.Act) {
		if slices.ContainsFunc(r.Access, func(v org.Access) bool { return v.Holder == holder && !v.Invited }) {
			c.s.RemoveAccess(x, r, holder)
		}
	})
	c.done()
}

// cancelRepoInvitation is DELETE /repos/{owner}/{repo}/invitations/{id}.
func (c *call) cancelRepoInvitation() {
	r := c.repoTo("admin")
	if r == nil {
		return
	}
	for _, v := range r.Access {
		if v.Invited && v.Holder.Kind == org.AccountRef && itoa(c.h.id(kindRepoInvitation, v.N)) == c.path("id") {
			c.settle(0, func(x *org.Act) { c.s.CancelAccess(x, r, v.Holder) })
			c.done()
			return
		}
	}
	c.notFound()
}

// addKey is POST /repos/{owner}/{repo}/keys.
func (c *call) addKey() {
	var body struct {
		Title    string
		Key      string
		ReadOnly bool `json:"read_only"`
	}
	r := c.repoTo("admin")
	if r == nil || !c.sent(&body) {
		return
	}
	by := c.account()
	if body.Key == "" || by == nil {
		c.invalid("PublicKey", "key", "missing_field", "key can't be blank")
		return
	}
	c.s.AddKey(c.act(), r, body.Title, body.ReadOnly, by)
	added := &r.Keys[len(r.Keys)-1]
	added.Key = body.Key
	c.status = http.StatusCreated
	c.deployKey(r, *added)
}

// removeKey is DELETE /repos/{owner}/{repo}/keys/{id}.
func (c *call) removeKey() {
	r := c.repoTo("admin")
	if r == nil {
		return
	}
	for _, k := range r.Keys {
		if itoa(c.h.keyID(&k)) == c.path("id") {
			c.settle(0, func(x *org.Act) { c.s.RemoveKey(x, r, k.N) })
			c.done()
			return
		}
	}
	c.notFound()
}
