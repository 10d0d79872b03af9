package googleworkspace

import (
	"bytes"
	"crypto/md5" //nolint:gosec // the vendor's checksum
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/org"
)

func (c *driveClient) post(path string, body any) driveAnswer {
	c.Helper()
	return c.do(http.MethodPost, path, body)
}

func (c *driveClient) patch(path string, body any) driveAnswer {
	c.Helper()
	return c.do(http.MethodPatch, path, body)
}

func (c *driveClient) del(path string) driveAnswer {
	c.Helper()
	return c.do(http.MethodDelete, path, nil)
}

// make makes a file, or folder, and returns its id.
func (c *driveClient) make(body object) string {
	c.Helper()
	a := c.post("files?supportsAllDrives=true", body)
	require.Equal(c.T, 200, a.status, a.text)
	return a.body["id"].(string)
}

const folderType = "application/vnd.google-apps.folder"

// share lets somebody do something with a file, and returns the permission's id.
func (c *driveClient) share(id string, body object) string {
	c.Helper()
	a := c.post("files/"+id+"/permissions?supportsAllDrives=true&sendNotificationEmail=false", body)
	require.Equal(c.T, 200, a.status, a.text)
	return a.body["id"].(string)
}

func toEmail(email, role string) object {
	return object{"type": "user", "role": role, "emailAddress": email}
}

func TestDrivePermissions(t *testing.T) {
	t.Parallel()
	r := newDriveRig(t, quiet())
	users := r.users()
	a, b := r.as(users[1]), r.as(users[2])
	folder := a.make(object{"name": "folder", "mimeType": folderType})
	file := a.make(object{"name": "file.txt", "parents": []string{folder}})
	pid := a.share(folder, toEmail(r.email(users[2]), "commenter"))
	perms := a.ok("files/" + file + "/permissions?fields=permissions(id,role,permissionDetails)").list("permissions")
	require.Len(t, perms, 2)
	require.Equal(t, true, perms[1]["permissionDetails"].([]any)[0].(object)["inherited"])
	a.refused(a.del("files/"+file+"/permissions/"+pid), 403, "cannotModifyInheritedPermission")
	a.refused(a.patch("files/"+file+"/permissions/"+pid, object{"role": "reader"}), 403, "cannotModifyInheritedPermission")
	own := perms[0]["id"].(string)
	a.refused(a.del("files/"+file+"/permissions/"+own), 403, "cannotRemoveOwner")
	a.refused(a.del("files/"+file+"/permissions/123"), 404, "permissionNotFound")
	b.refused(b.post("files/"+file+"/permissions", toEmail("x@partner.example", "reader")), 403, "insufficientFilePermissions")
	link := a.share(file, object{"type": "anyone", "role": "reader"})
	require.Equal(t, "anyoneWithLink", link)
	require.Equal(t, 204, a.del("files/"+file+"/permissions/"+link).status)
	a.refused(a.del("files/"+file+"/permissions/"+link), 404, "permissionNotFound")

	// Access is never narrower than what is inherited.
	a.share(file, toEmail(r.email(users[2]), "writer"))
	require.Equal(t, "writer", a.ok("files/" + file + "/permissions/" + pid).body["role"])
	a.refused(a.patch("files/"+file+"/permissions/"+pid, object{"role": "reader"}), 403, "cannotModifyInheritedPermission")
	require.Equal(t, 204, a.del("files/"+file+"/permissions/"+pid).status)
	require.Equal(t, "commenter", a.ok("files/" + file + "/permissions/" + pid).body["role"])
	require.Equal(t, 200, a.patch("files/"+folder, object{"inheritedPermissionsDisabled": true}).status)
	sub := a.make(object{"name": "closed", "mimeType": folderType, "parents": []string{folder}})
	require.Equal(t, 200, b.get("files/"+sub).status)
	require.Equal(t, 200, a.patch("files/"+sub, object{"inheritedPermissionsDisabled": true}).status)
	b.refused(b.get("files/"+sub), 404, "notFound")
	shut := a.ok("files/" + sub + "/permissions?fields=permissions(id,view,inheritedPermissionsDisabled)").list("permissions")[1]
	require.Equal(t, "metadata", shut["view"])
	a.refused(a.patch("files/"+file, object{"inheritedPermissionsDisabled": true}), 403, "inheritedPermissionsDisabledNotPermitted")
	require.Equal(t, 204, b.del("files/"+folder+"/permissions/"+pid).status, "one's own")
	soon := r.sandbox.Clock.Now().Add(48 * time.Hour)
	ends := toEmail("guest@partner.example", "reader")
	ends["expirationTime"] = soon.Format(time.RFC3339)
	pid = a.share(file, ends)
	require.NotEmpty(t, a.ok("files/" + file + "/permissions/" + pid + "?fields=*").body["expirationTime"])
	r.sandbox.Fake.Advance(49 * time.Hour)
	a = r.as(users[1])
	a.refused(a.get("files/"+file+"/permissions/"+pid), 404, "permissionNotFound")

	_, drive, organizer := r.drive("organizer")
	o := r.as(organizer)
	const all = "?supportsAllDrives=true"
	inside := o.make(object{"name": "inside", "parents": []string{drive}})
	member := o.ok("files/" + inside + "/permissions" + all + "&fields=*").list("permissions")[0]
	o.refused(o.del("files/"+inside+"/permissions/"+member["id"].(string)+all), 403, "cannotModifyInheritedTeamDrivePermission")
	o.refused(o.post("files/"+inside+"/permissions"+all+"&transferOwnership=true", toEmail(r.email(users[2]), "owner")), 403, "ownershipChangeNotPermitted")
	admin := r.as(0)
	last := admin.ok("files/" + drive + "/permissions" + all + "&useDomainAdminAccess=true&fields=*").list("permissions")
	require.Equal(t, "member", last[0]["permissionDetails"].([]any)[0].(object)["permissionType"])
	added := admin.post("files/"+drive+"/permissions"+all+"&useDomainAdminAccess=true", toEmail(r.email(0), "organizer"))
	require.Equal(t, 200, added.status, added.text)
	require.Equal(t, 204, admin.del("files/"+drive+"/permissions/"+added.body["id"].(string)+all+"&useDomainAdminAccess=true").status)
	r.sandbox.NoViolations()
}

func TestDriveQuarantine(t *testing.T) {
	t.Parallel()
	r := newDriveRig(t, quiet())
	users := r.users()
	a, b, keeper := r.as(users[1]), r.as(users[2]), r.as(users[3])
	folder := a.make(object{"name": "folder", "mimeType": folderType})
	file := a.make(object{"name": "file.txt", "parents": []string{folder}})
	root := a.ok("files/root?fields=id").body["id"].(string)
	a.share(folder, toEmail(r.email(users[2]), "writer"))
	a.refused(a.patch("files/"+file, object{"parents": []string{root}}), 403, "fieldNotWritable")
	a.refused(a.patch("files/"+file+"?addParents=root", object{}), 403, "cannotAddParent")
	moved := a.patch("files/"+file+"?addParents=root&removeParents="+folder+"&fields=parents,permissions(id)", object{})
	require.Equal(t, []any{root}, moved.body["parents"], moved.text)
	require.Len(t, moved.body["permissions"], 1, "what was inherited is left behind")
	b.refused(b.get("files/"+file), 404, "notFound")

	give := "files/" + file + "/permissions?transferOwnership=true&moveToNewOwnersRoot=true&supportsAllDrives=true"
	to := toEmail(r.email(users[3]), "owner")
	a.refused(a.post("files/"+file+"/permissions?supportsAllDrives=true", to), 403, "forbidden")
	a.refused(a.post(give+"&sendNotificationEmail=false", to), 400, "invalid")
	a.refused(a.post(give, toEmail("x@partner.example", "owner")), 403, "ownershipChangeAcrossDomainNotPermitted")
	b.refused(b.post(give, to), 404, "notFound")
	require.Equal(t, 200, a.post(give, to).status)
	f := keeper.ok("files/" + file + "?fields=owners,parents,permissions(id,role,emailAddress)").body
	require.Equal(t, r.email(users[3]), f["owners"].([]any)[0].(object)["emailAddress"])
	require.Equal(t, []any{keeper.ok("files/root?fields=id").body["id"]}, f["parents"])
	require.Len(t, f["permissions"], 2)
	old := f["permissions"].([]any)[1].(object)
	require.Equal(t, "writer", old["role"])
	require.Equal(t, r.email(users[1]), old["emailAddress"])
	require.Equal(t, 204, keeper.del("files/"+file+"/permissions/"+old["id"].(string)).status)
	a.refused(a.get("files/"+file), 404, "notFound")
	require.Equal(t, 200, keeper.post(give, toEmail(r.email(users[1]), "owner")).status, "and back")
	require.Equal(t, 200, a.get("files/"+file).status)

	// Trash.
	a.share(file, toEmail(r.email(users[2]), "writer"))
	b.refused(b.patch("files/"+file, object{"trashed": true}), 403, "insufficientFilePermissions")
	for range 2 {
		require.Equal(t, true, a.patch("files/"+file+"?fields=trashed,explicitlyTrashed", object{"trashed": true}).body["explicitlyTrashed"])
	}
	require.Equal(t, false, a.patch("files/"+file+"?fields=trashed", object{"trashed": false}).body["trashed"])
	require.Equal(t, 200, a.patch("files/"+file, object{"trashed": true}).status)
	r.sandbox.Fake.Advance(org.TrashKept + time.Hour)
	a = r.as(users[1])
	a.refused(a.patch("files/"+file, object{"trashed": false}), 404, "notFound")

	// Shared drives.
	_, drive, organizer := r.drive("organizer")
	_, _, writer := r.drive("writer")
	o, w := r.as(organizer), r.as(writer)
	inside := o.make(object{"name": "inside", "parents": []string{drive}})
	require.Equal(t, 200, w.get("files/"+drive+"?supportsAllDrives=true").status)
	o.refused(o.patch("files/"+inside, object{"trashed": true}), 404, "notFound")
	trashed := o.patch("files/"+inside+"?supportsAllDrives=true&fields=trashed,trashedTime,trashingUser", object{"trashed": true}).body
	require.NotEmpty(t, trashed["trashedTime"])
	require.NotEmpty(t, trashed["trashingUser"])
	lock := o.patch("files/"+o.make(object{"name": "locked.txt"})+"?fields=id,contentRestrictions", object{"contentRestrictions": []object{{"readOnly": true, "ownerRestricted": true, "reason": "evidence"}}})
	require.Equal(t, "evidence", lock.body["contentRestrictions"].([]any)[0].(object)["reason"], lock.text)
	o.refused(o.do(http.MethodPatch, "/upload/drive/v3/files/"+lock.body["id"].(string)+"?uploadType=media", []byte("x")), 403, "contentRestricted")
	require.NotContains(t, o.patch("files/"+lock.body["id"].(string)+"?fields=contentRestrictions", object{"contentRestrictions": []object{{"readOnly": false}}}).body, "contentRestrictions")
	r.sandbox.NoViolations()
}

func TestDriveContent(t *testing.T) {
	t.Parallel()
	r := newDriveRig(t, quiet())
	a := r.as(r.users()[1])
	sum := func(data []byte) string { s := md5.Sum(data); return hex.EncodeToString(s[:]) } //nolint:gosec // as above
	const fields = "&fields=id,md5Checksum,headRevisionId,size,name"
	var file string
	r.state(func(s *org.State) { // a file that was there
		for _, n := range s.Docs.Owned(a.account) {
			if x := &s.Docs.All[n]; x.Kind == org.BlobDoc && x.Lock == nil && !s.Docs.InTrash(n) {
				file = r.h.fileID(s, n)
			}
		}
	})
	before := a.get("files/" + file + "?alt=media")
	require.Equal(t, sum([]byte(before.text)), a.ok("files/" + file + "?fields=md5Checksum").body["md5Checksum"])

	up := "/upload/drive/v3/files/" + file + "?supportsAllDrives=true" + fields + "&uploadType="
	put := a.do(http.MethodPatch, up+"media", []byte("new content"), "Content-Type", "text/plain")
	require.Equal(t, sum([]byte("new content")), put.body["md5Checksum"], put.text)
	require.Equal(t, "new content", a.get("files/"+file+"?alt=media").text)
	revisions := a.ok("files/" + file + "/revisions?fields=revisions(id,md5Checksum,keepForever,size)").list("revisions")
	require.Len(t, revisions, 2)
	require.Equal(t, put.body["headRevisionId"], revisions[1]["id"])
	old := "files/" + file + "/revisions/" + revisions[0]["id"].(string)
	require.Equal(t, before.text, a.get(old+"?alt=media").text)
	require.Equal(t, true, a.patch(old+"?fields=keepForever", object{"keepForever": true}).body["keepForever"])
	a.refused(a.del("files/"+file+"/revisions/"+revisions[1]["id"].(string)), 403, "cannotDeleteOnlyRevision")

	meta := "--b\r\nContent-Type: application/json\r\n\r\n{\"name\":\"multi.txt\"}\r\n--b\r\nContent-Type: text/plain\r\n\r\nboth\r\n--b--"
	multi := a.do(http.MethodPost, "/upload/drive/v3/files?uploadType=multipart"+fields, []byte(meta), "Content-Type", "multipart/related; boundary=b")
	require.Equal(t, []any{"multi.txt", sum([]byte("both"))}, []any{multi.body["name"], multi.body["md5Checksum"]}, multi.text)

	big := bytes.Repeat([]byte("0123456789abcdef"), 40_000)
	begun := a.do(http.MethodPatch, up+"resumable", []byte(`{"name":"big.txt"}`), "X-Upload-Content-Type", "text/plain", "X-Upload-Content-Length", fmt.Sprint(len(big)))
	require.Equal(t, 200, begun.status, begun.text)
	at := begun.head.Get("Location")
	require.NotEmpty(t, at)
	asked := a.do(http.MethodPut, at, []byte{}, "Content-Range", fmt.Sprintf("bytes */%d", len(big)))
	require.Equal(t, 308, asked.status)
	require.Empty(t, asked.head.Get("Range"))
	part := a.do(http.MethodPut, at, big[:chunkUnit], "Content-Range", fmt.Sprintf("bytes 0-%d/%d", chunkUnit-1, len(big)))
	require.Equal(t, 308, part.status, part.text)
	require.Equal(t, fmt.Sprintf("bytes=0-%d", chunkUnit-1), part.head.Get("Range"))
	whole := a.do(http.MethodPut, at, big[chunkUnit:], "Content-Range", fmt.Sprintf("bytes %d-%d/%d", chunkUnit, len(big)-1, len(big)))
	require.Equal(t, 200, whole.status, whole.text)
	require.Equal(t, []any{sum(big), "big.txt", fmt.Sprint(len(big))}, []any{whole.body["md5Checksum"], whole.body["name"], whole.body["size"]})
	require.Equal(t, 404, a.do(http.MethodPut, strings.Replace(at, "upload_id=", "upload_id=x", 1), []byte("x")).status)

	r.sandbox.Fake.Advance(31 * 24 * time.Hour)
	a = r.as(a.account)
	require.Len(t, a.ok("files/"+file+"/revisions").list("revisions"), 2, "the one in between is purged, the first is kept")
	doc := a.make(object{"name": "text", "mimeType": "application/vnd.google-apps.document"})
	a.refused(a.get("files/"+doc+"?alt=media"), 403, "fileNotDownloadable")
	a.refused(a.do(http.MethodPatch, "/upload/drive/v3/files/"+doc+"?uploadType=media", []byte{1}, "Content-Type", "application/pdf"), 400, "badRequest")
	require.Equal(t, 200, a.do(http.MethodPatch, "/upload/drive/v3/files/"+doc+"?uploadType=media", []byte("text"), "Content-Type", "text/plain").status)
	metaOnly := r.as(a.account, "drive.metadata.readonly")
	metaOnly.refused(metaOnly.get("files/"+file+"?alt=media"), 403, "insufficientPermissions")
}
