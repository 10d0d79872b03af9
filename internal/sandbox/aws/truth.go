package aws

import (
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

// Truth appends what is true now, by the sheet's section 8. Where the sheet and
// SCHEMA.md leave a choice, "choice:" says what was chosen.
func (h *Handler) Truth(s *org.State, rows *schemas.Rows) {
	t := truth{h: h, s: s, rows: rows}
	for _, u := range s.Cloud.Users {
		t.account(u)
	}
	for _, b := range s.Cloud.Buckets {
		t.bucket(b)
	}
	for _, e := range s.Timeline[org.AWS] {
		if !delivered(e).After(s.Now) { // not before does the log show it
			rows.Activities = append(rows.Activities, t.activity(e))
		}
	}
}

type truth struct {
	h    *Handler
	s    *org.State
	rows *schemas.Rows
}

func ms(x time.Time) schemas.Time {
	if x.IsZero() {
		return 0
	}
	return schemas.Time(x.UnixMilli())
}

// seconds is a time as documents of IAM have it.
func seconds(x time.Time) schemas.Time { return ms(x.Truncate(time.Second)) }

func admin(u *org.CloudUser) bool { return slices.Contains(u.Attached, "AdministratorAccess") }

// DenyAll is the name of the policy that suspends a user.
const DenyAll = "WeirDenyAll"

func (t *truth) account(u *org.CloudUser) {
	is := id(t.h.seed, prefixUser, u.N)
	row := schemas.Account{
		AccountID: is, AliasIDs: []string{t.h.userARN(u)}, Login: u.Name, DisplayName: u.Name, Status: "active", Kind: "service",
		IsAdmin: schemas.Some(admin(u)), MFAEnabled: schemas.Some(u.MFA), CreatedAt: seconds(u.Created), OrgUnit: t.h.account,
	}
	if u.Person >= 0 {
		row.Email = strings.ToLower(t.s.People[u.Person].Email)
		row.Emails = []string{row.Email}
	}
	var used time.Time // of a key
	active := false
	for _, k := range u.Keys {
		active = active || k.Active
		if k.LastUsed.After(used) {
			used = k.LastUsed
		}
	}
	if u.Login != nil {
		row.Kind, used = "human", u.Login.Used
	}
	row.LastLoginAt = seconds(used)
	switch {
	case org.Policy(u.Policies, DenyAll) >= 0:
		row.Status = "suspended"
	case u.Login == nil && !active:
		row.Status = "disabled"
	}
	t.rows.Accounts = append(t.rows.Accounts, row)

	var scopes []string
	for _, p := range u.Attached {
		scopes = append(scopes, p)
		t.privilege(is, policyARN(p), p, schemas.Some(permits(p, "iam:PutUserPolicy")))
	}
	for _, p := range u.Policies {
		scopes = append(scopes, p.Name)
		t.privilege(is, "inline:"+p.Name, p.Name, schemas.Opt[bool]{})
	}
	for _, k := range u.Keys {
		row := schemas.AppGrant{
			GrantID: id(t.h.seed, prefixKey, k.N), Kind: "access_key", AppName: "access key of " + u.Name, PrincipalID: is, PrincipalKind: "account",
			Scopes: scopes, Consent: "admin", Status: "active", HighPrivilege: schemas.Some(admin(u)), CreatedAt: seconds(k.Created), LastUsedAt: seconds(k.LastUsed),
		}
		if !k.Active {
			row.Status = "disabled"
		}
		t.rows.AppGrants = append(t.rows.AppGrants, row)
	}
}

func (t *truth) privilege(principal, role, name string, privileged schemas.Opt[bool]) {
	row := schemas.Privilege{
		PrincipalID: principal, PrincipalKind: "account", RoleID: role, RoleName: name, Scope: t.h.account, ScopeKind: "account", // choice: scope_kind
		Via: "direct", State: "active", Privileged: privileged,
	}
	row.PrivilegeID = schemas.HashID(row.PrincipalID, row.RoleID, row.Scope, row.Via, row.ViaID, row.Condition)
	t.rows.Privileges = append(t.rows.Privileges, row)
}

// bucket appends a bucket's objects. Those in the trash are there too.
func (t *truth) bucket(b *org.Bucket) {
	t.policy(b)
	for _, o := range b.Objects {
		v := o.Current()
		row := schemas.File{
			FileID: "s3://" + b.Name + "/" + o.Key, Kind: "file", Name: lastPart(o.Key), Path: o.Key, ContainerID: b.Name, ContainerName: b.Name, ContainerKind: "bucket",
			OwnerID: t.h.account, CreatedAt: seconds(o.Versions[0].Modified), ModifiedAt: seconds(v.Modified), Trashed: schemas.Some(v.Marker), Sharing: t.sharing(b, v),
		}
		if i := strings.LastIndexByte(o.Key, '/'); i >= 0 {
			row.ParentID = "s3://" + b.Name + "/" + o.Key[:i+1]
		}
		if b.Versioning != "" {
			row.Revision = t.h.versionID(v)
		}
		if v.Marker {
			row.TrashedAt = seconds(v.Modified)
		} else {
			row.Size, row.MimeType = schemas.Some(int64(len(v.Body))), v.Type
			row.Hash, row.HashAlgorithm = strings.Trim(etag(v.Body), `"`), "etag"
			if !b.NoACLs {
				t.permissions(row.FileID, v.ACL)
			}
		}
		t.rows.Files = append(t.rows.Files, row)
	}
}

// sharing is the widest audience. choice: an access list's grant to another
// account is external, as a policy's.
func (t *truth) sharing(b *org.Bucket, v *org.Version) string {
	p := blocks(t.s, b)
	acl := v.ACL
	if b.NoACLs {
		acl = nil
	}
	if publicACL(acl) && !p.IgnoreACLs || publicPolicy(b.Policy) && !p.RestrictBuckets {
		return "public"
	}
	if slices.ContainsFunc(acl, func(g org.ACLGrant) bool { return g.Grantee != org.CloudOwner && !strings.HasPrefix(g.Grantee, "http") }) {
		return "external"
	}
	if doc, ok := parsePolicy(b.Policy); ok {
		for _, s := range doc.Statement {
			if s.Effect == "Allow" && slices.ContainsFunc(principals(s.Principal), func(who string) bool { return who != "*" && !strings.Contains(who, t.h.account) }) {
				return "external"
			}
		}
	}
	return "private"
}

func (t *truth) permissions(file string, list []org.ACLGrant) {
	for _, g := range list {
		row := schemas.FilePermission{FileID: file, GranteeID: t.h.canonical(g.Grantee), GranteeKind: "account", Role: g.Right}
		if strings.HasPrefix(g.Grantee, "http") {
			row.GranteeKind = "anyone"
		}
		row.PermissionID = schemas.HashID(file, row.GranteeID, row.Role)
		t.rows.FilePermissions = append(t.rows.FilePermissions, row)
	}
}

// policy appends what a bucket's policy allows, of the bucket as a whole.
func (t *truth) policy(b *org.Bucket) {
	doc, ok := parsePolicy(b.Policy)
	if !ok {
		return
	}
	for _, s := range doc.Statement {
		if s.Effect != "Allow" {
			continue
		}
		for _, who := range principals(s.Principal) {
			row := schemas.FilePermission{FileID: "s3://" + b.Name, GranteeID: who, GranteeKind: "account", Role: strings.Join(s.Action, ",")}
			if who == "*" {
				row.GranteeKind = "anyone"
			}
			row.PermissionID = schemas.HashID(row.FileID, row.GranteeID, row.Role)
			t.rows.FilePermissions = append(t.rows.FilePermissions, row)
		}
	}
}
