package microsoft365

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/internal/sandbox/sandboxtest"
	"weir/schemas"
)

const (
	allPrefers = "deltashowremovedasdeleted, deltatraversepermissiongaps, deltashowsharingchanges, hierarchicalsharing"
	selectAll  = "$select=id,name,size,eTag,cTag,createdDateTime,lastModifiedDateTime,createdBy,lastModifiedBy,parentReference,file,folder,root,shared,deleted,webUrl,sharepointIds"
)

type filesReader struct {
	t      *testing.T
	s      *sandboxtest.Sandbox
	h      *Handler
	prefer string
}

func readFiles(t *testing.T, o sandbox.Options) *filesReader {
	o.Vendors = []sandbox.Vendor{Vendor()}
	s := sandboxtest.Start(t, o)
	return &filesReader{t, s, s.Tenant(org.Microsoft365, "acme").Handler().(*Handler), allPrefers}
}

func (r *filesReader) get(what string) (int, http.Header, object) {
	r.t.Helper()
	if !strings.HasPrefix(what, "http") {
		what = r.s.URL + "/microsoft365/acme/graph/v1.0/" + what
	}
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, what, nil)
	require.NoError(r.t, err)
	if r.prefer != "" {
		req.Header.Set("Prefer", r.prefer)
	}
	bearer(r.t, r.h, req, "https://graph.microsoft.com")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	var body object
	require.NoError(r.t, json.NewDecoder(resp.Body).Decode(&body))
	return resp.StatusCode, resp.Header, body
}

// list follows a listing to its end and returns its delta link.
func (r *filesReader) list(what string) (value []object, delta string) {
	r.t.Helper()
	for what != "" {
		status, _, body := r.get(what)
		require.Equal(r.t, 200, status, "%v", body)
		for _, v := range body["value"].([]any) {
			value = append(value, v.(object))
		}
		what, _ = body["@odata.nextLink"].(string)
		delta, _ = body["@odata.deltaLink"].(string)
	}
	return value, delta
}

// rootOf is the path of a drive's root folder.
func rootOf(drive string) string { return "drives/" + drive + "/root" }

func code(body object) string { return body["error"].(object)["code"].(string) }

// What a client reads by sites, drives, delta and permissions is what is true.
func TestFilesAreTheTruth(t *testing.T) {
	t.Parallel()
	r := readFiles(t, sandbox.Options{People: 40, Files: 600})
	r.h.facts.SitesPage, r.h.facts.DeltaPage, r.h.facts.UnitsPerMinute = 7, 20, 1_000_000
	truth := r.s.Truth(org.Microsoft365, "acme")
	files := map[string]*schemas.File{}
	for i := range truth.Files {
		files[truth.Files[i].FileID] = &truth.Files[i]
	}
	require.Len(t, files, len(truth.Files), "ids are unique")
	permissions := map[string]*schemas.FilePermission{}
	for i := range truth.FilePermissions {
		p := &truth.FilePermissions[i]
		permissions[p.FileID+"|"+p.PermissionID] = p
	}
	require.Len(t, permissions, len(truth.FilePermissions))

	found, granted, locked := map[string]bool{}, map[string]bool{}, 0
	sites, _ := r.list("sites/getAllSites?$top=3")
	for _, site := range sites {
		found[site["id"].(string)] = true
		status, _, _ := r.get("sites/" + site["id"].(string) + "/drives")
		if status == 423 {
			locked++
			continue
		}
		drives, _ := r.list("sites/" + site["id"].(string) + "/drives")
		for _, d := range drives {
			drive := d["id"].(string)
			found[drive] = true
			require.Equal(t, d["name"], files[drive].Name)
			items, _ := r.list(rootOf(drive) + "/delta?" + selectAll)
			for _, item := range items {
				id := drive + "/" + item["id"].(string)
				if item["root"] != nil {
					id = drive
				} else {
					f := files[id]
					require.NotNil(t, f, "%v is true", item)
					found[id] = true
					require.Equal(t, f.Name, item["name"])
					require.Equal(t, f.WebURL, item["webUrl"])
					require.Equal(t, f.AliasIDs[0], item["sharepointIds"].(object)["listItemUniqueId"])
					require.Equal(t, f.Kind == "file", item["file"] != nil)
				}
				if item["shared"] == nil {
					continue
				}
				list, _ := r.list("drives/" + drive + "/items/" + item["id"].(string) + "/permissions")
				for _, p := range list {
					if p["inheritedFrom"] == nil {
						granted[id+"|"+p["id"].(string)] = true
					}
				}
			}
		}
	}
	for id, f := range files {
		require.True(t, found[id], "%s %s", f.Kind, f.Path)
	}
	require.Len(t, found, len(files))
	for id := range permissions {
		require.True(t, granted[id], id)
	}
	require.Len(t, granted, len(permissions))
	require.Positive(t, locked)
	kinds := map[string]bool{}
	for _, p := range permissions {
		kinds[p.GranteeKind+p.LinkScope] = true
	}
	for _, k := range []string{"account", "group", "service", "anyoneanonymous", "domainorganization", "linkusers"} {
		require.True(t, kinds[k], k)
	}
	sharing := map[string]bool{}
	for _, f := range files {
		sharing[f.Sharing] = true
	}
	require.Len(t, sharing, 5)
	r.s.NoViolations()
}

// A delta tells what changed since, as often as it did.
func TestDelta(t *testing.T) {
	t.Parallel()
	r := readFiles(t, sandbox.Options{EventsPerDay: -1})
	w := r.s.World("acme")
	drive, item := "", ""
	w.View(func(*org.State) { drive, item = r.h.driveID(0), r.h.itemID(0, 1) })
	_, link := r.list(rootOf(drive) + "/delta?" + selectAll)
	_, latest := r.list(rootOf(drive) + "/delta?token=latest&" + selectAll)
	again, link := r.list(link)
	require.Empty(t, again)
	uploaded := ""
	w.Change(func(s *org.State) {
		x := &org.Act{At: s.Now, Actor: org.Ref{Kind: org.AccountRef}, Client: &org.Client{}}
		d := s.Office.Drives[0]
		uploaded = r.h.itemID(0, s.Upload(x, d, 0, org.Item{Name: "new.txt"}))
		n := r.h.itemN(d, uploaded)
		s.Edit(x, d, n, 5)
		s.Share(x, d, 1, org.Permission{To: org.ToLink, Account: -1, Group: -1, Role: "read", Scope: "anonymous"}, org.LinkAnyone)
	})
	r.prefer = "deltashowremovedasdeleted"
	status, head, body := r.get(link)
	require.Equal(t, 410, status, "another set of Prefer values")
	require.Equal(t, "resyncRequired", code(body))
	require.Contains(t, head.Get("Location"), "/delta?")
	r.prefer = allPrefers
	changed, next := r.list(link)
	require.Len(t, changed, 3, "the upload, the edit, the link")
	require.Equal(t, uploaded, changed[0]["id"])
	require.InDelta(t, 5, changed[1]["size"], 0)
	require.Equal(t, item, changed[2]["id"])
	require.Equal(t, "True", changed[2]["@microsoft.graph.sharedChanged"])
	require.Equal(t, object{"scope": "anonymous"}, changed[2]["shared"])
	fromLatest, _ := r.list(latest)
	require.Equal(t, changed, fromLatest)
	w.Change(func(s *org.State) {
		x := &org.Act{At: s.Now, Actor: org.Ref{Kind: org.AccountRef}, Client: &org.Client{}}
		s.Trash(x, s.Office.Drives[0], r.h.itemN(s.Office.Drives[0], uploaded))
	})
	gone, _ := r.list(next)
	require.Len(t, gone, 1)
	require.Equal(t, object{"state": "deleted"}, gone[0]["deleted"])
	require.NotContains(t, gone[0], "name")
	status, _, body = r.get("drives/" + drive + "/items/" + uploaded)
	require.Equal(t, 404, status)
	require.Equal(t, "itemNotFound", code(body))

	r.h.SetFaults(Faults{OfficeFaults: OfficeFaults{ResyncDeltas: true}})
	status, head, body = r.get(next)
	require.Equal(t, 410, status)
	require.Contains(t, body["error"].(object)["innerError"].(object)["code"], "resyncChanges")
	fresh, _ := r.list(head.Get("Location"))
	require.NotEmpty(t, fresh, "the link begins anew")
	r.s.NoViolations()

	r.prefer = "" // changes of permissions do not show
	r.h.SetFaults(Faults{})
	_, link = r.list(rootOf(drive) + "/delta")
	w.Change(func(s *org.State) {
		x := &org.Act{At: s.Now, Actor: org.Ref{Kind: org.AccountRef}, Client: &org.Client{}}
		s.Share(x, s.Office.Drives[0], 1, org.Permission{To: org.ToLink, Account: -1, Group: -1, Role: "read", Scope: "organization"}, org.LinkCompany)
	})
	unseen, _ := r.list(link)
	require.Empty(t, unseen)
	r.prefer = "deltashowsharingchanges"
	r.get(rootOf(drive) + "/delta")
	require.Equal(t, "prefer", r.s.Violations()[0].Rule)
}

func TestDrivesOfPeople(t *testing.T) {
	t.Parallel()
	r := readFiles(t, sandbox.Options{People: 60, EventsPerDay: -1})
	r.h.facts.UnitsPerMinute = 1_000_000
	answers := map[int]int{}
	r.s.World("acme").View(func(s *org.State) {
		for _, a := range s.Accounts[org.Microsoft365] {
			status, _, body := r.get("users/" + r.h.accountID(a.N) + "/drive")
			answers[status]++
			switch d := s.Office.DriveOf(a.N); {
			case d < 0:
				require.Equal(t, 404, status)
			case s.Office.Drives[d].Locked:
				require.Equal(t, 423, status)
				require.Equal(t, "resourceLocked", code(body))
			default:
				require.Equal(t, r.h.driveID(d), body["id"])
			}
		}
	})
	require.Len(t, answers, 3, "%v", answers)
	status, _, _ := r.get("drives/b!nothing/root")
	require.Equal(t, 404, status)
	status, _, _ = r.get("drives/" + r.h.driveID(0) + "/items/01AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	require.Equal(t, 404, status)
	status, _, _ = r.get(rootOf(r.h.driveID(0)) + "/delta?token=made-up")
	require.Equal(t, 400, status)
}

// Permissions of several items come in one batch, each at its own cost.
func TestPermissionsInBatch(t *testing.T) {
	t.Parallel()
	r := readFiles(t, sandbox.Options{EventsPerDay: -1})
	r.h.facts.UnitsPerMinute = 7
	path := "/drives/" + r.h.driveID(0) + "/items/" + r.h.itemID(0, 0) + "/permissions"
	body := `{"requests":[{"id":"1","method":"GET","url":"` + path + `"},{"id":"2","method":"GET","url":"` + path + `"}]}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.s.URL+"/microsoft365/acme/graph/v1.0/$batch", strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	bearer(t, r.h, req, "https://graph.microsoft.com")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	var answer struct {
		Responses []struct {
			ID      string
			Status  int
			Headers map[string]string
			Body    object
		}
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	require.Len(t, answer.Responses, 2)
	for _, a := range answer.Responses {
		if a.ID == "1" {
			require.Equal(t, 200, a.Status)
			require.Len(t, a.Body["value"], 3)
		} else {
			require.Equal(t, 429, a.Status)
			require.NotEmpty(t, a.Headers["Retry-After"])
		}
	}
}

func TestSitesDelta(t *testing.T) {
	t.Parallel()
	r := readFiles(t, sandbox.Options{EventsPerDay: -1})
	all, link := r.list("sites/delta?$top=3")
	searched, _ := r.list("sites?search=*")
	require.Equal(t, searched, all)
	none, _ := r.list(link)
	require.Empty(t, none)
	_, latest := r.list("sites/delta?$deltatoken=latest")
	none, _ = r.list(latest)
	require.Empty(t, none)
}

// Requests cost units: what is too much is refused, and told when to come again.
func TestResourceUnits(t *testing.T) {
	t.Parallel()
	r := readFiles(t, sandbox.Options{EventsPerDay: -1})
	r.h.facts.UnitsPerMinute = 20
	path := "drives/" + r.h.driveID(0) + "/items/" + r.h.itemID(0, 0) + "/permissions"
	for i := range 4 {
		status, head, _ := r.get(path)
		require.Equal(t, 200, status)
		require.Equal(t, i == 3, head.Get("RateLimit-Limit") != "", "above 80 %")
	}
	refused := map[int]int{}
	for range 4 {
		status, head, _ := r.get(path)
		refused[status]++
		require.NotEmpty(t, head.Get("Retry-After"))
	}
	require.Equal(t, map[int]int{429: 3, 503: 1}, refused)
	r.s.Fake.Advance(time.Minute)
	status, _, _ := r.get(path)
	require.Equal(t, 200, status)
}
