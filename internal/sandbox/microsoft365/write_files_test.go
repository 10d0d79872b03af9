package microsoft365

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/schemas"
)

// The vendor's hash, of contents whose hash is known.
func TestQuickXorHash(t *testing.T) {
	t.Parallel()
	require.Equal(t, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", quickXorHash(nil))
	require.Equal(t, "SgAAAAAAAAAAAAAAAQAAAAAAAAA=", quickXorHash([]byte{0x4a}))
}

// aFile returns a drive of a site and a file in it.
func (r *rig) aFile() (d *org.Drive, n int) {
	r.state(func(s *org.State) {
		for _, x := range s.Office.Drives {
			for i := range x.Items {
				if it := &x.Items[i]; d == nil && !x.Locked && x.Owner < 0 && x.N%7 != 3 && i > 0 && !it.Folder && it.Trashed == 0 && it.Sharing == nil && it.Version == 1 {
					d, n = x, i
				}
			}
		}
	})
	require.NotNil(r.T, d)
	return d, n
}

func (r *rig) itemPath(d *org.Drive, n int) string {
	return "drives/" + r.h.driveID(d.N) + "/items/" + r.h.itemID(d.N, n)
}

func (r *rig) fileRow(d *org.Drive, n int) *schemas.File {
	for _, f := range r.truth().Files {
		if f.FileID == r.h.driveID(d.N)+"/"+r.h.itemID(d.N, n) {
			return &f
		}
	}
	return nil
}

// worked requires that the records tell a change as the agent's doing.
func (r *rig) worked(operation string) {
	r.Helper()
	r.state(func(s *org.State) {
		log := s.Timeline[org.OfficeLog]
		e := logged{org.OfficeLog, log[len(log)-1]}
		v := r.h.record(s, &r.h.facts.OfficeFacts, e)
		require.Equal(r.T, operation, v["Operation"])
		require.Equal(r.T, "app@sharepoint", v["UserId"])
		require.Equal(r.T, ClientID, v["ApplicationId"])
		a := (&truth{r.h, s, nil}).officeActivity(e)
		require.Equal(r.T, operation, a.Action)
		require.Equal(r.T, "service", a.ActorKind)
		require.Equal(r.T, ClientID, a.ClientAppID)
	})
}

func TestOverwrite(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{}).frozen()
	d, n := r.aFile()
	path := r.itemPath(d, n)
	before := r.get(path).body
	text := "This file was taken away."
	a := r.write(http.MethodPut, path+"/content", text, "Content-Type", "text/plain", "If-Match", before["eTag"].(string))
	require.Equal(t, 200, a.status, a.text)
	require.InDelta(t, len(text), a.body["size"], 0)
	require.Equal(t, quickXorHash([]byte(text)), a.body["file"].(object)["hashes"].(object)["quickXorHash"])
	require.Equal(t, "Security Agent", a.body["lastModifiedBy"].(object)["application"].(object)["displayName"])
	require.Equal(t, quickXorHash([]byte(text)), r.fileRow(d, n).Hash)
	require.Empty(t, r.fileRow(d, n).ModifiedBy)
	r.worked("FileModified")
	require.Equal(t, 412, r.write(http.MethodPut, path+"/content", text, "If-Match", before["eTag"].(string)).status)

	versions := r.get(path + "/versions").value()
	require.Equal(t, []any{"2.0", "1.0"}, []any{versions[0]["id"], versions[1]["id"]})
	require.Equal(t, before["size"], versions[1]["size"])
	require.Equal(t, 400, r.write(http.MethodPost, path+"/versions/2.0/restoreVersion", nil).status)
	require.Equal(t, 404, r.write(http.MethodPost, path+"/versions/9.0/restoreVersion", nil).status)
	require.Equal(t, 204, r.write(http.MethodPost, path+"/versions/1.0/restoreVersion", nil).status)
	after := r.get(path).body
	require.Equal(t, before["size"], after["size"])
	require.Equal(t, before["file"], after["file"])
	require.Len(t, r.get(path+"/versions").value(), 3)

	r.h.SetFaults(Faults{OfficeFaults: OfficeFaults{BusyFiles: 1}})
	require.Equal(t, 423, r.write(http.MethodPut, path+"/content", text).status)
	require.Empty(t, r.s.Violations())
}

func TestMoveAndTrash(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{}).frozen()
	d, n := r.aFile()
	path := r.itemPath(d, n)
	old := d.Items[n].Name
	root := r.h.itemID(d.N, 0)
	_, link := r.all("drives/" + r.h.driveID(d.N) + "/root" + "/delta?token=latest")
	a := r.write(http.MethodPatch, path, object{"name": "quarantined.bin", "parentReference": object{"id": root}})
	require.Equal(t, 200, a.status, a.text)
	require.Equal(t, "quarantined.bin", a.body["name"])
	require.Equal(t, root, a.body["parentReference"].(object)["id"])
	require.Equal(t, "quarantined.bin", r.fileRow(d, n).Path)
	r.worked("FileRenamed")
	require.Equal(t, 200, r.write(http.MethodPatch, path, object{"name": "quarantined.bin"}).status, "again")
	other := object{"parentReference": object{"driveId": r.h.driveID((d.N + 1) % 3), "id": r.h.itemID((d.N+1)%3, 0)}}
	require.Equal(t, 400, r.write(http.MethodPatch, path, other).status, "another drive")
	require.Equal(t, 400, r.write(http.MethodPatch, path, object{"parentReference": object{"id": "root"}}).status)
	changed, _ := r.all(link)
	require.Equal(t, r.h.itemID(d.N, n), changed[0]["id"])

	require.Equal(t, 412, r.write(http.MethodDelete, path, nil, "If-Match", `"{X},1"`).status)
	require.Equal(t, 204, r.write(http.MethodDelete, path, nil).status)
	r.worked("FileRecycled")
	require.Equal(t, "itemNotFound", r.get(path).code())
	require.Equal(t, 404, r.write(http.MethodDelete, path, nil).status)
	require.Nil(t, r.fileRow(d, n))
	require.NotEqual(t, "quarantined.bin", old)
	require.Empty(t, r.s.Violations())
}

func TestCopy(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{}).frozen()
	d, n := r.aFile()
	to := 0
	if d.N == 0 {
		to = 1
	}
	body := object{"name": "kept.bin", "parentReference": object{"driveId": r.h.driveID(to), "id": r.h.itemID(to, 0)}}
	a := r.write(http.MethodPost, r.itemPath(d, n)+"/copy", body)
	require.Equal(t, 202, a.status, a.text)
	monitor := a.head.Get("Location")
	watch := func() answer {
		bearer := r.bearer
		defer func() { r.bearer = bearer }()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, monitor, nil)
		require.NoError(t, err)
		req.Header.Set("User-Agent", "test/1")
		resp, err := r.s.HTTP.Client().Do(req)
		require.NoError(t, err)
		defer func() { require.NoError(t, resp.Body.Close()) }()
		return readAnswer(t, resp)
	}
	require.Equal(t, "inProgress", watch().body["status"])
	r.s.Fake.Advance(CopyTakes + time.Second)
	done := watch()
	require.Equal(t, "completed", done.body["status"], done.text)
	copied := r.get("drives/" + r.h.driveID(to) + "/items/" + done.body["resourceId"].(string))
	original := r.get(r.itemPath(d, n))
	require.Equal(t, original.body["size"], copied.body["size"])
	require.Equal(t, original.body["file"], copied.body["file"])
	r.worked("FileCopied")
	require.Equal(t, 409, r.write(http.MethodPost, r.itemPath(d, n)+"/copy", body).status)
	require.Empty(t, r.s.Violations())
	r.get(monitor)
	require.Len(t, r.s.Violations(), 1, "a token was given away")
}

func TestSharing(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{}).frozen()
	d, n := r.aFile()
	path := r.itemPath(d, n)
	id, _ := r.user(plainUser)
	inherited := len(r.get(path + "/permissions").value())
	a := r.write(http.MethodPost, path+"/invite", object{"recipients": []object{{"objectId": id}, {"email": "someone@elsewhere.example"}}, "roles": []string{"read"}, "requireSignIn": true})
	require.Equal(t, 200, a.status, a.text)
	require.Len(t, a.value(), 2)
	r.worked("AccessInvitationCreated")
	link := r.write(http.MethodPost, path+"/createLink", object{"type": "view", "scope": "anonymous"})
	require.Equal(t, 201, link.status, link.text)
	r.worked("AnonymousLinkCreated")
	require.Equal(t, "public", r.fileRow(d, n).Sharing)
	require.Equal(t, link.body["id"], r.write(http.MethodPost, path+"/createLink", object{"type": "view", "scope": "anonymous"}).body["id"], "there is one")
	for _, p := range append(a.value(), link.body) {
		require.Equal(t, 204, r.write(http.MethodDelete, path+"/permissions/"+p["id"].(string), nil).status)
		require.Equal(t, 404, r.write(http.MethodDelete, path+"/permissions/"+p["id"].(string), nil).status)
	}
	r.worked("AnonymousLinkRemoved")
	left := r.get(path + "/permissions").value()
	require.Len(t, left, inherited)
	require.Equal(t, 400, r.write(http.MethodDelete, path+"/permissions/"+left[0]["id"].(string), nil).status, "it is inherited")
	again := r.write(http.MethodPost, path+"/createLink", object{"type": "view", "scope": "anonymous"})
	require.NotEqual(t, link.body["id"], again.body["id"])
	require.Empty(t, r.s.Violations())
}

// SharePoint's own API wants a certificate.
func TestSharePoint(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{}).frozen()
	d, n := r.aFile()
	var site string
	r.state(func(s *org.State) { site = r.base + "/sharepoint/" + s.Office.Sites[d.Site].Path })
	if site[len(site)-1] != '/' {
		site += "/"
	}
	graph := r.bearer
	token := func(cert bool) {
		r.state(func(s *org.State) {
			r.bearer, _ = r.h.auth.issue(r.h.auth.client(ClientID), "https://acme.sharepoint.com", cert, s.Now)
		})
	}
	recycle := site + "_api/web/GetFileById('" + r.h.uniqueID(d.N, n) + "')/recycle()"
	require.Equal(t, 401, r.write(http.MethodPost, recycle, nil).status)
	token(false)
	a := r.write(http.MethodPost, recycle, nil)
	require.Equal(t, 401, a.status)
	require.Equal(t, "Unsupported app only token.", a.body["error_description"])
	token(true)
	a = r.write(http.MethodPost, recycle, nil, "Accept", "application/json;odata=nometadata")
	require.Equal(t, 200, a.status, a.text)
	row := a.body["value"].(string)
	require.NotEqual(t, r.h.uniqueID(d.N, n), row)
	r.worked("FileRecycled")
	require.Nil(t, r.fileRow(d, n))
	require.Equal(t, 404, r.write(http.MethodPost, recycle, nil).status)
	require.True(t, slices.ContainsFunc(r.s.Requests(), func(e sandbox.Endpoint) bool {
		return e.Endpoint == "POST /sharepoint/_api/web/GetFileById/recycle" && e.Status == 404
	}))
	name := d.Items[n].Name
	bin := r.get(site + "_api/site/RecycleBin?$filter=LeafName%20eq%20'" + name + "'").value()
	require.Len(t, bin, 1)
	require.Equal(t, row, bin[0]["Id"])

	restore := site + "_api/site/RecycleBin/RestoreByIds"
	require.Equal(t, 400, r.write(http.MethodPost, restore, object{"ids": []string{r.h.uniqueID(d.N, n)}}).status)
	require.Equal(t, 200, r.write(http.MethodPost, restore, object{"ids": []string{row}}).status)
	r.worked("FileRestored")
	require.NotNil(t, r.fileRow(d, n))
	require.Equal(t, 400, r.write(http.MethodPost, restore, object{"ids": []string{row}}).status, "it left the bin")

	var url string
	r.state(func(s *org.State) { url = r.h.serverRelative(s, d, d.Path(n)) })
	roles := site + "_api/web/GetFileByServerRelativePath(DecodedUrl='" + url + "')/ListItemAllFields/"
	graphed := func() []object {
		bearer := r.bearer
		defer func() { r.bearer = bearer }()
		r.bearer = graph
		return r.get(r.itemPath(d, n) + "/permissions").value()
	}
	before := graphed()
	require.NotEmpty(t, before)
	require.Equal(t, 200, r.write(http.MethodPost, roles+"breakroleinheritance(false)", nil).status)
	r.worked("SharingInheritanceBroken")
	require.Empty(t, graphed())
	require.Equal(t, 200, r.write(http.MethodPost, roles+"resetroleinheritance", nil).status)
	r.worked("SharingInheritanceReset")
	require.Equal(t, before, graphed())
	require.Empty(t, r.s.Violations())
	require.Equal(t, 404, r.write(http.MethodPost, site+"_api/web/lists", nil).status)
	require.Len(t, r.s.Violations(), 1)
}

// Paths within a batch may be escaped.
func TestBatchEscapes(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{}).frozen()
	d, n := r.aFile()
	path := "/drives/b%21" + r.h.driveID(d.N)[2:] + "/items/" + r.h.itemID(d.N, n)
	a := r.write(http.MethodPost, "$batch", object{"requests": []object{{"id": "1", "method": "GET", "url": path}, {"id": "2", "method": "DELETE", "url": path, "dependsOn": []string{"1"}}}})
	for _, x := range a.body["responses"].([]any) {
		require.Equal(t, map[any]float64{"1": 200, "2": 204}[x.(object)["id"]], x.(object)["status"])
	}
	require.Nil(t, r.fileRow(d, n))
}

// A file is found by its name in a folder.
func TestItemByName(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{})
	d, n := r.aFile()
	folder := r.itemPath(d, int(d.Items[n].Parent))
	a := r.get(folder + ":/" + url.PathEscape(d.Items[n].Name))
	require.Equal(t, http.StatusOK, a.status, a.text)
	require.Equal(t, r.h.itemID(d.N, n), a.body["id"])
	require.Equal(t, "itemNotFound", r.get(folder+":/no-such-name").code())
	require.Equal(t, http.StatusBadRequest, r.get(folder+"/thumbnails").status)
}
