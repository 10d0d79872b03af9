package googleworkspace

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/sandboxtest"
	"weir/internal/spectest"
)

// TestDriveSpec holds what Drive answers against Google's own discovery document.
func TestDriveSpec(t *testing.T) {
	t.Parallel()
	spec := spectest.LoadDiscovery(t, nil, spectest.GoogleDrive, spectest.GoogleDataTransfer)
	r := newDriveRig(t, quiet())
	server := httptest.NewServer(spec.Wrap("/google_workspace/acme", r.sandbox.Server))
	t.Cleanup(server.Close)
	r.sandbox = &sandboxtest.Sandbox{Server: r.sandbox.Server, HTTP: server, Fake: r.sandbox.Fake, Clock: r.sandbox.Clock}
	r.base = server.URL + "/google_workspace/acme"

	_, drive, organizer := r.drive("organizer")
	for _, account := range []int{0, organizer} {
		c := r.as(account)
		c.all("files?pageSize=1000&q='me' in owners&fields=*", "files")
		c.ok("about?fields=*")
		c.ok("drives?fields=*")
	}
	o := r.as(organizer)
	const all = "supportsAllDrives=true"
	o.ok("drives/" + drive)
	for i, f := range o.all("files?corpora=drive&driveId="+drive+"&includeItemsFromAllDrives=true&"+all+"&pageSize=1000&fields=*", "files") {
		o.ok("files/" + f["id"].(string) + "/permissions?fields=*&" + all)
		if i < 5 {
			o.ok("files/" + f["id"].(string) + "?fields=*&" + all)
		}
	}
	token := o.start("")
	folder := o.make(object{"name": "folder", "mimeType": folderType})
	file := o.make(object{"name": "x.txt", "parents": []string{folder}})
	p := o.share(file, toEmail("x@partner.example", "reader"))
	require.Equal(t, 200, o.patch("files/"+file+"/permissions/"+p+"?fields=*", object{"role": "writer"}).status)
	require.Equal(t, 200, o.patch("files/"+file+"?addParents=root&removeParents="+folder, object{"name": "y.txt", "trashed": true}).status)
	require.Equal(t, 200, o.do(http.MethodPatch, "/upload/drive/v3/files/"+file+"?uploadType=media&fields=*", []byte("new"), "Content-Type", "text/plain").status)
	for _, v := range o.ok("files/" + file + "/revisions?fields=*").list("revisions") {
		o.ok("files/" + file + "/revisions/" + v["id"].(string) + "?fields=*")
		require.Equal(t, 200, o.patch("files/"+file+"/revisions/"+v["id"].(string), object{"keepForever": true}).status)
	}
	o.ok("changes?pageToken=" + token + changeFlags + "&fields=*")
	body := object{"id": "channel", "type": "web_hook", "address": server.URL + "/hook", "token": "word"}
	open := o.post("changes/watch?pageToken="+token, body)
	require.Equal(t, 200, open.status, open.text)
	require.Equal(t, 204, o.post("channels/stop", object{"id": "channel", "resourceId": open.body["resourceId"]}).status)
	require.Equal(t, 204, o.del("files/"+file+"/permissions/"+p).status)
	require.Equal(t, 204, o.del("files/"+file).status)
	users := r.users()
	admin := r.as(0, "admin.datatransfer")
	admin.ok("/admin/datatransfer/v1/applications")
	begun := admin.post("/admin/datatransfer/v1/transfers", object{"oldOwnerUserId": r.h.userID(users[1]), "newOwnerUserId": r.h.userID(users[2]), "applicationDataTransfers": []object{
		{"applicationId": "55656082996", "applicationTransferParams": []object{{"key": "PRIVACY_LEVEL", "value": []string{"PRIVATE", "SHARED"}}}},
	}})
	require.Equal(t, 200, begun.status, begun.text)
	admin.ok("/admin/datatransfer/v1/transfers/" + begun.body["id"].(string))
	admin.ok("/admin/datatransfer/v1/transfers")
	spec.Report(t)
}
