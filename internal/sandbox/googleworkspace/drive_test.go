package googleworkspace

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

const ownerFields = "fields=nextPageToken,incompleteSearch,files(id,name,mimeType,parents,driveId,owners(emailAddress,permissionId),size,md5Checksum,sha256Checksum,createdTime,modifiedTime," +
	"lastModifyingUser(emailAddress),trashed,trashedTime,shared,webViewLink,headRevisionId,version,inheritedPermissionsDisabled,permissions(id,type,role,emailAddress,domain," +
	"allowFileDiscovery,expirationTime,deleted,pendingOwner,view,permissionDetails))"

// Every file appears once in the organization: at its owner, or in its drive.
func TestDriveEnumeration(t *testing.T) {
	t.Parallel()
	r := newDriveRig(t, quiet())
	seen := map[string]int{}
	var accounts []*org.Account
	r.state(func(s *org.State) { accounts = s.Accounts[app] })
	skipped := 0
	for _, a := range accounts {
		if !listed(a) {
			continue
		}
		first := r.as(a.N, "drive.metadata.readonly").get("files?corpora=user&q='me' in owners&spaces=drive&pageSize=50&" + ownerFields)
		if first.status != 200 {
			require.Contains(t, []string{"domainPolicy", "authError"}, first.reason())
			skipped++
			continue
		}
		for _, f := range r.as(a.N, "drive.metadata.readonly").all("files?corpora=user&q='me' in owners&spaces=drive&pageSize=50&"+ownerFields, "files") {
			seen[f["id"].(string)]++
			require.Equal(t, a.Login, f["owners"].([]any)[0].(object)["emailAddress"])
			require.NotEmpty(t, f["permissions"])
			if strings.HasPrefix(f["mimeType"].(string), "application/vnd.google-apps.") {
				require.NotContains(t, f, "md5Checksum")
			} else {
				require.Contains(t, f, "sha256Checksum")
				require.IsType(t, "", f["size"])
			}
		}
	}
	require.Positive(t, skipped)
	admin := r.as(0, "drive.readonly")
	require.Len(t, admin.ok("drives?useDomainAdminAccess=true").list("drives"), 10, "by default ten")
	drives := admin.all("drives?useDomainAdminAccess=true&pageSize=3", "drives")
	require.Greater(t, len(drives), 10)
	unreadable := 0
	for _, d := range drives {
		id := d["id"].(string)
		subject := -1
		for _, p := range admin.all("files/"+id+"/permissions?supportsAllDrives=true&useDomainAdminAccess=true&pageSize=2&fields=nextPageToken,permissions(id,type,role,emailAddress,domain,deleted,permissionDetails)", "permissions") {
			for _, a := range accounts {
				if p["type"] == "user" && p["emailAddress"] == a.Login && a.Status == org.Active {
					subject = a.N
				}
			}
		}
		if subject < 0 {
			r.state(func(s *org.State) { // as a member of a group
				subject = (&truth{h: r.h, s: s}).reader(s.Docs.Corpora[s.Docs.All[r.h.docN(s, id)].Corpus])
			})
		}
		if subject < 0 {
			unreadable++
			continue
		}
		c := r.as(subject, "drive.metadata.readonly")
		for _, f := range c.all("files?corpora=drive&driveId="+id+"&includeItemsFromAllDrives=true&supportsAllDrives=true&pageSize=1000&fields=nextPageToken,files(id,driveId,permissions,permissionIds,hasAugmentedPermissions,owners)", "files") {
			seen[f["id"].(string)]++
			require.Equal(t, id, f["driveId"])
			require.NotContains(t, f, "permissions")
			require.NotContains(t, f, "owners")
			if has(f, "hasAugmentedPermissions") {
				direct := 0
				for _, p := range c.all("files/"+f["id"].(string)+"/permissions?supportsAllDrives=true&pageSize=100&fields=nextPageToken,permissions(id,type,role,emailAddress,permissionDetails)", "permissions") {
					for _, x := range p["permissionDetails"].([]any) {
						if !has(x.(object), "inherited") {
							direct++
						} else {
							require.NotEmpty(t, x.(object)["inheritedFrom"])
						}
					}
				}
				require.Positive(t, direct)
			}
		}
	}
	require.Positive(t, unreadable)

	rows := r.sandbox.Truth(app, "acme")
	want := map[string]int{}
	for i := range rows.Files {
		if f := &rows.Files[i]; f.Kind != "container" {
			want[f.FileID]++
		}
	}
	require.Equal(t, want, seen)
	r.sandbox.NoViolations()
}

func TestDriveListing(t *testing.T) {
	t.Parallel()
	r := newDriveRig(t, quiet())
	c := r.as(r.users()[0])
	all := c.all("files?q='me' in owners&pageSize=7", "files")
	for _, f := range all {
		for k := range f {
			require.Contains(t, []string{"kind", "id", "name", "mimeType"}, k, "without fields")
		}
	}
	count := func(q string) int {
		t.Helper()
		return len(c.all("files?pageSize=1000&q="+url.QueryEscape("'me' in owners and "+q), "files"))
	}
	require.Equal(t, len(all), count("trashed=true")+count("trashed = false"), "the trash is in it")
	folder := "mimeType = 'application/vnd.google-apps.folder'"
	require.Equal(t, len(all), count(folder)+count("not "+folder))
	require.Equal(t, count(folder), count("(mimeType contains 'application/vnd.google-apps.f' and mimeType!='application/vnd.google-apps.form')"))
	require.Equal(t, len(all), count("modifiedTime > '2026-08-01T00:00:00'")+count("modifiedTime <= '2026-08-01T00:00:00Z'"))
	require.Equal(t, len(all), count("visibility='anyoneWithLink'")+count("visibility!='anyoneWithLink'"))
	root := c.ok("files/root?fields=id,name,parents").body
	require.NotContains(t, root, "parents")
	require.Equal(t, count("'root' in parents"), count("'"+root["id"].(string)+"' in parents"))
	require.Positive(t, count("'root' in parents"))
	names := c.all("files?pageSize=5&orderBy=folder,name desc&q='me' in owners&fields=nextPageToken,files(name,mimeType)", "files")
	require.Len(t, names, len(all))

	for _, bad := range []string{"files?q=name", "files?q=name = x", "files?corpora=drive", "files?corpora=domain", "files?orderBy=size", "files?pageSize=0", "files?includeItemsFromAllDrives=true"} {
		c.refused(c.get(bad), 400, "invalid")
	}
	c.refused(c.get("files?fields=files(id,nothing)"), 400, "invalidParameter")
	r.sandbox.NoViolations()
	c.refused(c.get("files?useDomainAdminAccess=true"), 400, "badRequest")
	c.refused(c.get("changes/startPageToken?useDomainAdminAccess=true"), 400, "badRequest")
	require.Len(t, r.sandbox.Violations(), 2)

	page := c.ok("files?q='me' in owners&pageSize=5").body["nextPageToken"].(string)
	c.refused(c.get("files?q=trashed=false&pageSize=5&pageToken="+page), 400, "invalid")
	r.sandbox.Fake.Advance(7 * time.Hour)
	c = r.as(c.account)
	c.refused(c.get("files?q='me' in owners&pageSize=5&pageToken="+page), 400, "invalid")
}

// Who may see and do what.
func TestDriveAccess(t *testing.T) {
	t.Parallel()
	r := newDriveRig(t, quiet())
	users := r.users()
	a, b := r.as(users[1]), r.as(users[2])
	made := a.do(http.MethodPost, "files?fields=id,ownedByMe,permissions", object{"name": "secret.txt"})
	require.Equal(t, 200, made.status, made.text)
	id := made.body["id"].(string)
	b.refused(b.get("files/"+id), 404, "notFound")
	narrow := r.as(users[1], "drive.file")
	narrow.refused(narrow.get("files/"+id), 404, "notFound")
	require.Empty(t, narrow.ok("files").list("files"))

	_, drive, member := r.drive("organizer")
	r.change(func(s *org.State) { s.Accounts[app][member].Status = org.Suspended })
	m := r.as(member)
	require.NotEmpty(t, m.ok("files?q='me' in owners").list("files"), "My Drive of who is suspended")
	m.refused(m.get("files?corpora=drive&driveId="+drive+"&includeItemsFromAllDrives=true&supportsAllDrives=true"), 404, "notFound")
	require.Empty(t, m.ok("drives").list("drives"))
	r.change(func(s *org.State) { s.Accounts[app][member].Status = org.Active })
	require.NotEmpty(t, m.ok("drives").list("drives"))
	m.refused(m.get("files/"+drive), 404, "notFound")
	require.Equal(t, drive, m.ok("files/" + drive + "?supportsAllDrives=true").body["id"])

	meta := r.as(member, "drive.metadata.readonly")
	no := meta.get("drives")
	meta.refused(no, 403, "insufficientPermissions")
	require.Contains(t, no.head.Get("WWW-Authenticate"), "insufficient_scope")
	require.Contains(t, no.text, "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
	meta.refused(meta.do(http.MethodDelete, "files/"+id, nil), 403, "insufficientPermissions")
	b.refused(b.get("drives?useDomainAdminAccess=true"), 403, "noListTeamDrivesAdministratorPrivilege")
	b.refused(b.get("files/"+drive+"/permissions?useDomainAdminAccess=true&supportsAllDrives=true"), 403, "insufficientAdministratorPrivileges")
	b.refused(b.get("about"), 400, "required")
	require.Equal(t, r.email(users[2]), b.ok("about?fields=user").body["user"].(object)["emailAddress"])

	r.h.SetFaults(Faults{Disabled: []string{"drive"}})
	a.refused(a.get("files"), 403, "accessNotConfigured")
	r.h.SetFaults(Faults{DriveFaults: DriveFaults{Units: 110}})
	d := r.as(users[len(users)-1])
	require.Equal(t, 200, d.get("files").status)
	require.Contains(t, []int{403, 429}, d.get("files").status)
	require.Contains(t, []string{"userRateLimitExceeded", "rateLimitExceeded"}, d.get("files").reason())
}

func TestDriveTruthJoins(t *testing.T) {
	t.Parallel()
	o := quiet()
	o.EventsPerDay, o.People = 0, 60
	r := newDriveRig(t, o)
	rows := r.sandbox.Truth(app, "acme")
	files := map[string]bool{}
	for i := range rows.Files {
		f := &rows.Files[i]
		require.False(t, files[f.FileID], f.FileID)
		files[f.FileID] = true
		for _, alias := range f.AliasIDs {
			files[alias] = true
		}
	}
	sharing := map[string]int{}
	for i := range rows.Files {
		f := &rows.Files[i]
		sharing[f.Sharing]++
		if f.Kind != "container" {
			require.True(t, files[f.ContainerID])
			require.True(t, f.ParentID == "" || files[f.ParentID] || f.OwnerID != "", "a folder that nobody lists")
		}
	}
	for _, v := range []string{"private", "internal", "external", "public"} {
		require.Positive(t, sharing[v], v)
	}
	ids := map[string]bool{}
	for i := range rows.Accounts {
		ids[rows.Accounts[i].AccountID] = true
	}
	for i := range rows.Groups {
		ids[rows.Groups[i].GroupID] = true
	}
	kinds := map[string]int{}
	seen := map[string]bool{}
	for i := range rows.FilePermissions {
		p := &rows.FilePermissions[i]
		kinds[p.GranteeKind]++
		require.True(t, files[p.FileID])
		require.False(t, seen[p.FileID+p.PermissionID], "%+v", p)
		seen[p.FileID+p.PermissionID] = true
		if len(ids) > 0 && p.GranteeKind == "account" && strings.HasSuffix(p.GranteeEmail, "@acme.example") || len(ids) > 0 && p.GranteeKind == "group" {
			require.True(t, ids[p.GranteeID], "%+v", p)
		}
	}
	for _, k := range []string{"account", "group", "domain", "anyone", "link"} {
		require.Positive(t, kinds[k], k)
	}
	require.True(t, slices.ContainsFunc(rows.Files, func(f schemas.File) bool { return f.Trashed == schemas.Some(true) && f.TrashedAt != 0 }))
}
