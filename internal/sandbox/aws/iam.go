package aws

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"weir/internal/sandbox/org"
)

var iamCalls = map[string]queryCall{
	"GetUser":              {serve: (*call).getUser},
	"ListUsers":            {serve: (*call).listUsers},
	"GetUserPolicy":        {serve: (*call).getUserPolicy},
	"ListUserPolicies":     {serve: (*call).listUserPolicies},
	"PutUserPolicy":        {write: true, serve: (*call).putUserPolicy},
	"DeleteUserPolicy":     {write: true, serve: (*call).deleteUserPolicy},
	"ListAccessKeys":       {serve: (*call).listAccessKeys},
	"GetAccessKeyLastUsed": {serve: (*call).accessKeyLastUsed},
	"UpdateAccessKey":      {write: true, serve: (*call).updateAccessKey},
	"DeleteAccessKey":      {write: true, serve: (*call).deleteAccessKey},
	"GetLoginProfile":      {serve: (*call).getLoginProfile},
	"CreateLoginProfile":   {write: true, serve: (*call).createLoginProfile},
	"UpdateLoginProfile":   {write: true, serve: (*call).updateLoginProfile},
	"DeleteLoginProfile":   {write: true, serve: (*call).deleteLoginProfile},
	"GetRole":              {serve: (*call).getRole},
	"GetRolePolicy":        {serve: (*call).getRolePolicy},
	"PutRolePolicy":        {write: true, serve: (*call).putRolePolicy},
	"DeleteRolePolicy":     {write: true, serve: (*call).deleteRolePolicy},

	"GetAccountAuthorizationDetails": {serve: (*call).authorizationDetails},
}

// freshLogin is how long a new password cannot be changed.
const freshLogin = 10 * time.Second

// Bounds of what a user's or a role's inline policies have together.
const (
	maxUserPolicies = 2048
	maxRolePolicies = 10240
)

var entityName = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)

func invalid(param string) *failure {
	return refuse(http.StatusBadRequest, "ValidationError", "The specified value for %s is invalid.", param)
}

func missing(what, name string) *failure {
	return refuse(http.StatusNotFound, "NoSuchEntity", "The %s with name %s cannot be found.", what, name)
}

// user returns the user that the request names.
func (c *call) user() (*org.CloudUser, *failure) {
	name := c.form.Get("UserName")
	if !entityName.MatchString(name) {
		return nil, invalid("userName")
	}
	if u := c.s.Cloud.User(name); u != nil {
		return u, nil
	}
	return nil, missing("user", name)
}

// role returns the role that the request names.
func (c *call) role() (*org.CloudRole, *failure) {
	name := c.form.Get("RoleName")
	if !entityName.MatchString(name) {
		return nil, invalid("roleName")
	}
	if r := c.s.Cloud.Role(name); r != nil {
		return r, nil
	}
	return nil, missing("role", name)
}

func (c *call) userXML(u *org.CloudUser) string {
	out := text("Path", "/") + text("UserName", u.Name) + text("UserId", id(c.h.seed, prefixUser, u.N)) + text("Arn", c.h.userARN(u)) + text("CreateDate", stamp(u.Created))
	if u.Login != nil && !u.Login.Used.IsZero() {
		out += text("PasswordLastUsed", stamp(u.Login.Used))
	}
	return out
}

// tags are a user's: the address of the person behind it.
func (c *call) tags(u *org.CloudUser) string {
	if u.Person < 0 {
		return "<Tags/>"
	}
	return element("Tags", element("member", text("Key", "email")+text("Value", c.s.People[u.Person].Email)))
}

func (c *call) getUser() (string, *failure) {
	u, f := c.user()
	if f != nil {
		return "", f
	}
	u = c.seenUser(u)
	return element("User", c.userXML(u)+c.tags(u)), nil
}

// page cuts a list as Marker and MaxItems have it. It gives fewer than asked for,
// as the vendor may.
func (c *call) page(n, usual int) (from, to int, more string, f *failure) {
	if m := c.form.Get("Marker"); m != "" {
		b, err := base64.RawURLEncoding.DecodeString(m)
		if from, _ = strconv.Atoi(string(b)); err != nil || from <= 0 || from > n || c.h.t.CursorExpired(c.r) {
			return 0, 0, "", invalid("marker")
		}
	}
	size := usual
	if v := c.form.Get("MaxItems"); v != "" {
		if size = limit(v, 1000); size < 1 {
			return 0, 0, "", invalid("maxItems")
		}
	}
	size -= size / 8
	if to = min(n, from+size); to == n {
		return from, to, text("IsTruncated", "false"), nil
	}
	return from, to, text("IsTruncated", "true") + text("Marker", base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(to)))), nil
}

func (c *call) listUsers() (string, *failure) {
	all := c.s.Cloud.Users
	from, to, more, f := c.page(len(all), 100)
	if f != nil {
		return "", f
	}
	out := ""
	for _, u := range all[from:to] {
		out += element("member", c.userXML(c.seenUser(u)))
	}
	return more + element("Users", out), nil
}

func (c *call) getUserPolicy() (string, *failure) {
	u, f := c.user()
	if f != nil {
		return "", f
	}
	return c.policyXML("UserName", u.Name, c.seenUser(u).Policies)
}

// policyXML is a policy, whose document is encoded as in an address.
func (c *call) policyXML(holder, name string, list []org.InlinePolicy) (string, *failure) {
	p := c.form.Get("PolicyName")
	i := org.Policy(list, p)
	if i < 0 {
		return "", refuse(http.StatusNotFound, "NoSuchEntity", "The policy with name %s cannot be found.", p)
	}
	return text(holder, name) + text("PolicyName", p) + text("PolicyDocument", escape(list[i].Document, false)), nil
}

func (c *call) listUserPolicies() (string, *failure) {
	u, f := c.user()
	if f != nil {
		return "", f
	}
	out := ""
	for _, p := range c.seenUser(u).Policies {
		out += text("member", p.Name)
	}
	return text("IsTruncated", "false") + element("PolicyNames", out), nil
}

// putPolicy returns a list with the request's policy in it.
func (c *call) putPolicy(list []org.InlinePolicy, most int) ([]org.InlinePolicy, *failure) {
	p := org.InlinePolicy{Name: c.form.Get("PolicyName"), Document: c.form.Get("PolicyDocument")}
	if !entityName.MatchString(p.Name) {
		return nil, invalid("policyName")
	}
	if _, ok := parsePolicy(p.Document); !ok {
		return nil, refuse(http.StatusBadRequest, "MalformedPolicyDocument", "Syntax errors in policy.")
	}
	list = slices.DeleteFunc(slices.Clone(list), func(x org.InlinePolicy) bool { return x.Name == p.Name })
	list = append(list, p)
	size := 0
	for _, x := range list {
		size += len(x.Document)
	}
	if size > most {
		return nil, refuse(http.StatusConflict, "LimitExceeded", "Maximum policy size of %d bytes exceeded", most)
	}
	return list, nil
}

// dropPolicy returns a list without the policy that the request names.
func (c *call) dropPolicy(list []org.InlinePolicy) ([]org.InlinePolicy, *failure) {
	name := c.form.Get("PolicyName")
	i := org.Policy(list, name)
	if i < 0 {
		return nil, refuse(http.StatusNotFound, "NoSuchEntity", "The policy with name %s cannot be found.", name)
	}
	return slices.Delete(slices.Clone(list), i, i+1), nil
}

func (c *call) putUserPolicy() (string, *failure) {
	u, f := c.user()
	if f != nil {
		return "", f
	}
	list, f := c.putPolicy(u.Policies, maxUserPolicies)
	if f == nil {
		c.changeUser(u)
		u.Policies = list
	}
	return "", f
}

func (c *call) deleteUserPolicy() (string, *failure) {
	u, f := c.user()
	if f != nil {
		return "", f
	}
	list, f := c.dropPolicy(u.Policies)
	if f == nil {
		c.changeUser(u)
		u.Policies = list
	}
	return "", f
}

func status(active bool) string {
	if active {
		return "Active"
	}
	return "Inactive"
}

func (c *call) listAccessKeys() (string, *failure) {
	u, f := c.user()
	if f != nil {
		return "", f
	}
	out := ""
	for _, k := range c.seenUser(u).Keys {
		out += element("member", text("UserName", u.Name)+text("AccessKeyId", id(c.h.seed, prefixKey, k.N))+text("Status", status(k.Active))+text("CreateDate", stamp(k.Created)))
	}
	return text("IsTruncated", "false") + element("AccessKeyMetadata", out), nil
}

// key returns the place of the access key that the request names.
func (c *call) key(u *org.CloudUser) (int, *failure) {
	name := c.form.Get("AccessKeyId")
	i := slices.IndexFunc(u.Keys, func(k org.AccessKey) bool { return id(c.h.seed, prefixKey, k.N) == name })
	if i < 0 {
		return 0, refuse(http.StatusNotFound, "NoSuchEntity", "The Access Key with id %s cannot be found.", name)
	}
	return i, nil
}

func (c *call) accessKeyLastUsed() (string, *failure) {
	for _, u := range c.s.Cloud.Users {
		if i, f := c.key(u); f == nil {
			k := u.Keys[i]
			if k.LastUsed.IsZero() {
				return text("UserName", u.Name) + element("AccessKeyLastUsed", text("Region", "N/A")+text("ServiceName", "N/A")), nil
			}
			return text("UserName", u.Name) + element("AccessKeyLastUsed", text("LastUsedDate", stamp(k.LastUsed))+text("Region", org.CloudRegion)+text("ServiceName", k.Service)), nil
		}
	}
	// The vendor does not say no such entity here.
	return "", refuse(http.StatusForbidden, "AccessDenied", "User is not authorized to perform: iam:GetAccessKeyLastUsed on resource: access key %s", c.form.Get("AccessKeyId"))
}

func (c *call) updateAccessKey() (string, *failure) {
	if !c.form.Has("UserName") {
		c.h.t.Violate("no user name", "UpdateAccessKey")
	}
	u, f := c.user()
	if f != nil {
		return "", f
	}
	i, f := c.key(u)
	switch to := c.form.Get("Status"); {
	case f != nil:
		return "", f
	case to != "Active" && to != "Inactive":
		return "", invalid("status")
	}
	c.changeUser(u)
	u.Keys[i].Active = c.form.Get("Status") == "Active"
	return "", nil
}

func (c *call) deleteAccessKey() (string, *failure) {
	u, f := c.user()
	if f != nil {
		return "", f
	}
	i, f := c.key(u)
	if f != nil {
		return "", f
	}
	if u.Keys[i].Active {
		c.h.t.Violate("active key deleted", c.form.Get("AccessKeyId")) // it cannot be undone
	}
	c.changeUser(u)
	u.Keys = slices.Delete(slices.Clone(u.Keys), i, i+1)
	return "", nil
}

func noLogin(u *org.CloudUser) *failure {
	return refuse(http.StatusNotFound, "NoSuchEntity", "Login Profile for User %s cannot be found.", u.Name)
}

func loginXML(u *org.CloudUser) string {
	return element("LoginProfile", text("UserName", u.Name)+text("CreateDate", stamp(u.Login.Created))+text("PasswordResetRequired", flag(u.Login.Reset)))
}

func (c *call) getLoginProfile() (string, *failure) {
	u, f := c.user()
	if f != nil {
		return "", f
	}
	if u = c.seenUser(u); u.Login == nil {
		return "", noLogin(u)
	}
	return loginXML(u), nil
}

func (c *call) createLoginProfile() (string, *failure) {
	u, f := c.user()
	switch {
	case f != nil:
		return "", f
	case c.form.Get("Password") == "":
		return "", invalid("password")
	case u.Login != nil:
		return "", refuse(http.StatusConflict, "EntityAlreadyExists", "Login Profile for user %s already exists.", u.Name)
	}
	c.changeUser(u)
	u.Login = &org.Login{Created: c.now, Reset: c.form.Get("PasswordResetRequired") == "true"}
	return loginXML(u), nil
}

// settled returns a user whose password can be changed.
func (c *call) settled() (*org.CloudUser, *failure) {
	u, f := c.user()
	switch {
	case f != nil:
		return nil, f
	case u.Login == nil:
		return nil, noLogin(u)
	case c.now.Sub(u.Login.Created) < freshLogin:
		return nil, refuse(http.StatusConflict, "EntityTemporarilyUnmodifiable", "Login Profile for User %s cannot be modified while login profile is being created.", u.Name)
	}
	return u, nil
}

func (c *call) updateLoginProfile() (string, *failure) {
	u, f := c.settled()
	if f != nil {
		return "", f
	}
	c.changeUser(u)
	login := *u.Login
	if c.form.Has("PasswordResetRequired") {
		login.Reset = c.form.Get("PasswordResetRequired") == "true"
	}
	u.Login = &login
	return "", nil
}

func (c *call) deleteLoginProfile() (string, *failure) {
	u, f := c.settled()
	if f != nil {
		return "", f
	}
	c.changeUser(u)
	u.Login = nil
	return "", nil
}

func (c *call) roleXML(r *org.CloudRole) string {
	return text("Path", r.Path) + text("RoleName", r.Name) + text("RoleId", id(c.h.seed, prefixRole, r.N)) + text("Arn", c.h.roleARN(r)) +
		text("CreateDate", stamp(r.Created)) + text("AssumeRolePolicyDocument", escape(c.h.trust(r), false))
}

// trust is the document that says who may take a role on.
func (h *Handler) trust(r *org.CloudRole) string {
	if r.Trusts == "agent" {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + h.iamARN("user/"+org.AgentUser) +
			`"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"` + r.ExternalID + `"}}}]}`
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + r.Trusts + `"},"Action":"sts:AssumeRole"}]}`
}

func (c *call) getRole() (string, *failure) {
	r, f := c.role()
	if f != nil {
		return "", f
	}
	return element("Role", c.roleXML(c.seenRole(r))+text("MaxSessionDuration", strconv.Itoa(sessionMax))), nil
}

func (c *call) getRolePolicy() (string, *failure) {
	r, f := c.role()
	if f != nil {
		return "", f
	}
	return c.policyXML("RoleName", r.Name, c.seenRole(r).Policies)
}

// modifiable returns a role that can be changed.
func (c *call) modifiable() (*org.CloudRole, *failure) {
	r, f := c.role()
	if f == nil && r.Unmodifiable {
		return nil, refuse(http.StatusBadRequest, "UnmodifiableEntity", "Cannot perform the operation on the protected role '%s' - this role is only modifiable by AWS", r.Name)
	}
	return r, f
}

func (c *call) putRolePolicy() (string, *failure) {
	r, f := c.modifiable()
	if f != nil {
		return "", f
	}
	list, f := c.putPolicy(r.Policies, maxRolePolicies)
	if f == nil {
		c.changeRole(r)
		r.Policies = list
	}
	return "", f
}

func (c *call) deleteRolePolicy() (string, *failure) {
	r, f := c.modifiable()
	if f != nil {
		return "", f
	}
	list, f := c.dropPolicy(r.Policies)
	if f == nil {
		c.changeRole(r)
		r.Policies = list
	}
	return "", f
}

// authorizationDetails lists users, then roles.
func (c *call) authorizationDetails() (string, *failure) {
	wanted := func(kind string) bool {
		for i := 1; c.form.Has("Filter.member." + strconv.Itoa(i)); i++ {
			if c.form.Get("Filter.member."+strconv.Itoa(i)) == kind {
				return true
			}
		}
		return !c.form.Has("Filter.member.1")
	}
	var users []*org.CloudUser
	var roles []*org.CloudRole
	if wanted("User") {
		users = c.s.Cloud.Users
	}
	if wanted("Role") {
		roles = c.s.Cloud.Roles
	}
	from, to, more, f := c.page(len(users)+len(roles), 100)
	if f != nil {
		return "", f
	}
	var userList, roleList string
	for i := from; i < to; i++ {
		if i < len(users) {
			u := c.seenUser(users[i])
			userList += element("member", c.userXML(u)+"<GroupList/>"+attachedXML(u.Attached)+policiesXML("UserPolicyList", u.Policies)+c.tags(u))
			continue
		}
		r := c.seenRole(roles[i-len(users)])
		used := ""
		if !r.LastUsed.IsZero() {
			used = element("RoleLastUsed", text("LastUsedDate", stamp(r.LastUsed))+text("Region", org.CloudRegion))
		}
		roleList += element("member", c.roleXML(r)+attachedXML(r.Attached)+policiesXML("RolePolicyList", r.Policies)+used)
	}
	return more + element("UserDetailList", userList) + "<GroupDetailList/>" + element("RoleDetailList", roleList) + "<Policies/>", nil
}

func attachedXML(names []string) string {
	out := ""
	for _, n := range names {
		out += element("member", text("PolicyName", n)+text("PolicyArn", policyARN(n)))
	}
	return element("AttachedManagedPolicies", out)
}

func policiesXML(name string, list []org.InlinePolicy) string {
	out := ""
	for _, p := range list {
		out += element("member", text("PolicyName", p.Name)+text("PolicyDocument", escape(p.Document, false)))
	}
	return element(name, out)
}
