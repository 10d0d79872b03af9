package microsoft365

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/testclock"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// graph is a scripted Graph: answers by path, $batch taken apart.
type graph struct {
	t      *testing.T
	server *httptest.Server
	mu     sync.Mutex
	answer map[string]string // by path and query's token
	status map[string]int
	prefer []string
	asked  []string
}

func newGraph(t *testing.T) *graph {
	g := &graph{t: t, answer: map[string]string{}, status: map[string]int{}}
	g.server = httptest.NewServer(g)
	t.Cleanup(g.server.Close)
	return g
}

func (g *graph) find(path string) (int, string) {
	g.asked = append(g.asked, path)
	if s := g.status[path]; s != 0 {
		return s, `{"error":{"code":"accessDenied","message":"no"}}`
	}
	if a, ok := g.answer[path]; ok {
		return http.StatusOK, strings.ReplaceAll(a, "BASE", g.server.URL)
	}
	return http.StatusNotFound, `{"error":{"code":"itemNotFound","message":"none"}}`
}

func (g *graph) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	path := strings.TrimPrefix(r.URL.Path, "/v1.0")
	if path != "/$batch" {
		if token := r.URL.Query().Get("token"); token != "" {
			path += "?" + token
		}
		if strings.Contains(path, "/delta") {
			g.prefer = append(g.prefer, r.Header.Get("Prefer"))
		}
		status, body := g.find(path)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
		return
	}
	var in struct {
		Requests []struct{ ID, Method, URL string } `json:"requests"`
	}
	if json.UnmarshalRead(r.Body, &in, json.MatchCaseInsensitiveNames(true)) != nil || len(in.Requests) > 20 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var out struct {
		Responses []map[string]any `json:"responses"`
	}
	for _, q := range in.Requests {
		p, _, _ := strings.Cut(q.URL, "?")
		status, body := g.find(strings.NewReplacer("%21", "!", "%2C", ",").Replace(p))
		out.Responses = append(out.Responses, map[string]any{"id": q.ID, "status": status, "body": jsontext.Value(body)})
	}
	slices.Reverse(out.Responses) // in any order
	require.NoError(g.t, json.MarshalWrite(w, out))
}

func (g *graph) library(domains ...string) *library {
	base, err := httpx.New(httpx.Options{Instance: "test", Clock: testclock.Fast(feedNoon, 50), Wall: clockwork.NewRealClock(), UserAgent: "weir/test"})
	require.NoError(g.t, err)
	g.t.Cleanup(base.Close)
	client, err := base.Client(httpx.Config{BaseURL: g.server.URL, Classify: classify, Bucket: bucketOf, Buckets: buckets})
	require.NoError(g.t, err)
	return &library{s: &session{graph: client}, domains: domains}
}

const (
	siteID  = "contoso.sharepoint.com,5a58bb09-1fba-41c1-8125-69da264370a0,9f2ec1da-0be4-4a74-9254-973f0add78fd"
	driveID = "b!CbtYWrofwUGBJWnaJkNwoNrBLp_kC3RKklSXPwrdeP0"
)

// contoso is a drive with a folder in a folder, and every kind of sharing.
func contoso(t *testing.T) *graph {
	g := newGraph(t)
	g.answer["/sites/getAllSites"] = `{"value":[{"id":"` + siteID + `","displayName":"Sales","webUrl":"https://contoso.sharepoint.com/sites/Sales","createdDateTime":"2026-01-01T00:00:00Z"}]}`
	g.answer["/sites/"+siteID+"/drives"] = `{"value":[{"id":"` + driveID + `"}]}`
	g.answer["/drives/"+driveID] = `{"id":"` + driveID + `","name":"Documents","driveType":"business","webUrl":"https://contoso.sharepoint.com/d","owner":{"user":{"id":"u1","email":"Ada@contoso.com"}},"quota":{"used":7}}`
	g.answer["/drives/"+driveID+"/root/delta"] = `{"@odata.nextLink":"BASE/v1.0/drives/` + driveID + `/root/delta?token=p2","value":[
 {"id":"R","name":"root","root":{},"folder":{}},
 {"id":"F1","name":"Plans","folder":{"childCount":1},"parentReference":{"id":"R"},"createdBy":{"user":{"id":"u1"}},"lastModifiedBy":{"user":{"id":"u1"}}},
 {"id":"I1","name":"old name","size":3,"parentReference":{"id":"F1"}},
 {"id":"I1","name":"a.docx","size":4,"eTag":"\"{1},2\"","file":{"mimeType":"text/x","hashes":{"quickXorHash":"q="}},"parentReference":{"id":"F1"},"lastModifiedBy":{"user":{"id":"u2"}},"shared":{"scope":"anonymous"},"sharepointIds":{"listItemUniqueId":"1a52bbc5-1502-4cd9-b6fa-1bf0216afd6b"}}]}`
	g.answer["/drives/"+driveID+"/root/delta?p2"] = `{"@odata.deltaLink":"BASE/v1.0/drives/` + driveID + `/root/delta?token=d1","value":[
 {"id":"I2","name":"b.txt","file":{},"parentReference":{"id":"X"},"shared":{}},
 {"id":"I3","name":"c.txt","file":{},"parentReference":{"id":"R"},"@microsoft.graph.sharedChanged":"True"},
 {"id":"I4","deleted":{"state":"deleted"}},{"id":"I5"}]}`
	g.answer["/drives/"+driveID+"/items/X"] = `{"id":"X","name":"In & out","parentReference":{"id":"F0","path":"/drives/x/root:/Plans/Q%201"}}`
	g.answer["/drives/"+driveID+"/items/R/permissions"] = `{"value":[{"id":"o","roles":["owner"],"grantedToV2":{"user":{"id":"u1","email":"ada@contoso.com"}}}]}`
	g.answer["/drives/"+driveID+"/items/I1/permissions"] = `{"value":[{"id":"l","roles":["read"],"link":{"type":"view","scope":"anonymous"},"expirationDateTime":"0001-01-01T00:00:00Z"},
 {"id":"i","roles":["write"],"inheritedFrom":{"id":"F1"},"grantedToV2":{"user":{"id":"u9"}}}]}`
	g.answer["/drives/"+driveID+"/items/I2/permissions"] = `{"value":[{"id":"g","roles":["write"],"grantedToV2":{"siteUser":{"id":"7","loginName":"i:0#.f|membership|eve_fabrikam.com#ext#@contoso.onmicrosoft.com"}}},
 {"id":"s","roles":["read"],"grantedToV2":{"siteGroup":{"id":"4","displayName":"Visitors"}},"expirationDateTime":"2026-06-01T00:00:00Z"}]}`
	g.answer["/drives/"+driveID+"/items/I3/permissions"] = `{"value":[{"id":"d","roles":["read"],"link":{"type":"view","scope":"organization"}}]}`
	return g
}

// readLane reads a lane to its end.
func readLane(t *testing.T, seq func(func(*sources.Page, error) bool)) (rows schemas.Rows, gone []sources.Gone, last sources.Page, rejected int, err error) {
	t.Helper()
	for page, e := range seq {
		if e != nil {
			return rows, gone, last, rejected, e
		}
		require.LessOrEqual(t, len(page.Next), sources.MaxCursor)
		rows.Files = append(rows.Files, page.Rows.Files...)
		rows.FilePermissions = append(rows.FilePermissions, page.Rows.FilePermissions...)
		gone = append(gone, page.Gone...)
		rejected += len(page.Rejected)
		last = *page
	}
	return rows, gone, last, rejected, nil
}

func TestFilesRound(t *testing.T) {
	t.Parallel()
	g := contoso(t)
	l := g.library()
	var lanes []sources.Lane
	complete := false
	for page, err := range l.lanes(t.Context(), "") {
		require.NoError(t, err)
		lanes, complete = append(lanes, page.Lanes...), page.Complete
	}
	require.True(t, complete)
	require.Equal(t, []sources.Lane{{ID: laneSites}, {ID: driveID, Hint: siteID}}, lanes)

	rows, _, _, _, err := readLane(t, l.read(t.Context(), lanes[0], ""))
	require.NoError(t, err)
	require.Equal(t, siteID, rows.Files[0].FileID)
	require.Equal(t, []string{"5a58bb09-1fba-41c1-8125-69da264370a0", "9f2ec1da-0be4-4a74-9254-973f0add78fd", "https://contoso.sharepoint.com/sites/Sales"}, rows.Files[0].AliasIDs)

	rows, gone, last, rejected, err := readLane(t, l.read(t.Context(), lanes[1], ""))
	require.NoError(t, err)
	require.Equal(t, 1, rejected, "an item without a name")
	require.Equal(t, []sources.Gone{{Table: "files", Key: []string{driveID + "/I4"}, Reason: "soft_deleted"}}, gone)
	got := map[string]schemas.File{}
	for _, f := range rows.Files {
		got[f.FileID] = f
		table := schemas.ByName("files")
		for name, v := range map[string]string{"kind": f.Kind, "sharing": f.Sharing, "container_kind": f.ContainerKind} {
			require.Contains(t, table.Column(name).Enum, v)
		}
	}
	require.Len(t, got, 5)
	drive, folder, a, b, c := got[driveID], got[driveID+"/F1"], got[driveID+"/I1"], got[driveID+"/I2"], got[driveID+"/I3"]
	require.Equal(t, []string{"container", "folder", "file", "file", "file"}, []string{drive.Kind, folder.Kind, a.Kind, b.Kind, c.Kind})
	require.Equal(t, []string{siteID, driveID, driveID + "/F1", driveID + "/X", driveID}, []string{drive.ParentID, folder.ParentID, a.ParentID, b.ParentID, c.ParentID})
	require.Equal(t, []string{"", "Plans", "Plans/a.docx", "Plans/Q 1/In & out/b.txt", "c.txt"}, []string{drive.Path, folder.Path, a.Path, b.Path, c.Path})
	require.Equal(t, []string{"private", "private", "public", "external", "internal"}, []string{drive.Sharing, folder.Sharing, a.Sharing, b.Sharing, c.Sharing})
	require.Equal(t, []string{driveID + "/R"}, drive.AliasIDs, "its row is its root folder's")
	require.Equal(t, []string{"u1", "u1", "u1"}, []string{drive.OwnerID, a.OwnerID, b.OwnerID})
	require.Equal(t, []string{"1a52bbc5-1502-4cd9-b6fa-1bf0216afd6b"}, a.AliasIDs)
	require.Equal(t, "quickxor q= text/x u2", a.HashAlgorithm+" "+a.Hash+" "+a.MimeType+" "+a.ModifiedBy)
	require.Equal(t, schemas.Some(int64(4)), a.Size)
	require.Equal(t, []string{"modified_by"}, b.NotAsked)
	var grants []string
	for _, p := range rows.FilePermissions {
		require.Contains(t, schemas.ByName("file_permissions").Column("grantee_kind").Enum, p.GranteeKind)
		grants = append(grants, strings.Join([]string{strings.TrimPrefix(p.FileID, driveID), p.PermissionID, p.GranteeKind, p.GranteeID, p.GranteeEmail, p.Role, p.LinkScope}, " "))
	}
	require.Equal(t, []string{
		" o account u1 ada@contoso.com owner ", "/I1 l anyone   read anonymous",
		"/I2 g account 7 eve_fabrikam.com#ext#@contoso.onmicrosoft.com write ", "/I2 s group 4  read ", "/I3 d domain   read organization",
	}, grants, "what comes from a folder above is written there")
	require.Zero(t, rows.FilePermissions[1].ExpiresAt, "the year 0001 is none")
	require.NotZero(t, rows.FilePermissions[3].ExpiresAt)
	for _, p := range g.prefer {
		require.Equal(t, prefer.Get("Prefer"), p, "a token is bound to it")
	}
	require.NotContains(t, g.asked, "/drives/"+driveID+"/items/F1/permissions", "what is not shared is not asked for")

	// The delta goes on from there, and asks for folders it has not seen.
	g.mu.Lock()
	g.answer["/drives/"+driveID+"/root/delta?d1"] = `{"@odata.deltaLink":"BASE/v1.0/drives/` + driveID + `/root/delta?token=d2","value":[{"id":"I9","name":"new.txt","file":{},"parentReference":{"id":"F1"}}]}`
	g.answer["/drives/"+driveID+"/items/F1"] = `{"id":"F1","name":"Plans","parentReference":{"id":"R","path":"/drives/x/root:"}}`
	g.mu.Unlock()
	rows, _, next, _, err := readLane(t, l.delta(t.Context(), lanes[1], last.Delta))
	require.NoError(t, err)
	require.Len(t, rows.Files, 1)
	require.Equal(t, "Plans/new.txt", rows.Files[0].Path)
	require.Contains(t, string(next.Next), "d2")

	// A token that is known no more begins the drive anew.
	g.status["/drives/"+driveID+"/root/delta?d2"] = http.StatusGone
	_, _, _, _, err = readLane(t, l.delta(t.Context(), lanes[1], next.Next))
	require.Equal(t, fault.Expired, fault.Of(err))
}

// A drive whose permissions may not all be asked for shows its files, and is
// not taken for read whole: what is not shown is not gone.
func TestFilesPermissionsDenied(t *testing.T) {
	t.Parallel()
	g := contoso(t)
	g.status["/drives/"+driveID+"/items/I1/permissions"] = http.StatusForbidden
	rows, _, last, _, err := readLane(t, g.library().read(t.Context(), sources.Lane{ID: driveID, Hint: siteID}, ""))
	require.Equal(t, fault.Forbidden, fault.Of(err))
	require.True(t, last.More)
	i := slices.IndexFunc(rows.Files, func(f schemas.File) bool { return f.Name == "a.docx" })
	require.Equal(t, "unknown", rows.Files[i].Sharing)
	require.Equal(t, []string{"sharing"}, rows.Files[i].NotAsked)
	require.Len(t, rows.Files, 5)
	_, _, _, _, err = readLane(t, g.library().read(t.Context(), sources.Lane{ID: driveID, Hint: siteID}, last.Next))
	require.Equal(t, fault.Forbidden, fault.Of(err))
}

func TestFilesAsk(t *testing.T) {
	t.Parallel()
	l := contoso(t).library()
	for key, want := range map[string]sources.Answer{driveID: sources.Exists, driveID + "/X": sources.Exists, driveID + "/none": sources.Deleted, "a,b,c": sources.Deleted} {
		got, err := l.ask(t.Context(), "files", []string{key})
		require.NoError(t, err)
		require.Equal(t, want, got, key)
	}
}

// The organization's own addresses tell who is outside.
func TestAudience(t *testing.T) {
	t.Parallel()
	ref := &driveRef{owner: "u1", person: "u1", domains: []string{"contoso.com"}}
	for raw, want := range map[string]string{
		`{"link":{"scope":"anonymous"}}`:                        "public",
		`{"link":{"scope":"organization"}}`:                     "internal",
		`{"link":{"scope":"users"}}`:                            "internal",
		`{"grantedToV2":{"user":{"id":"u1"}}}`:                  "private",
		`{"grantedToV2":{"user":{"id":"u2"}}}`:                  "internal",
		`{"grantedToV2":{"group":{"id":"g"}}}`:                  "internal",
		`{"invitation":{"email":"eve@fabrikam.com"}}`:           "external",
		`{"invitation":{"email":"Bob@Contoso.com"}}`:            "internal",
		`{"grantedToV2":{"user":{"email":"eve@fabrikam.com"}}}`: "external",
		`{"grantedToV2":{"user":{"email":"ann@contoso.com"}}}`:  "external", // whom the directory does not know
		`{"grantedToV2":{"user":{"id":"u3"},"siteUser":{"loginName":"i:0#.f|membership|eve_fabrikam.com#ext#@contoso.com"}}}`:                       "external",
		`{"link":{"scope":"users"},"grantedToIdentitiesV2":[{"user":{"id":"u2","email":"bob@contoso.com"}},{"user":{"email":"eve@fabrikam.com"}}]}`: "external",
		`{"grantedToV2":{"siteUser":{"loginName":"i:0#.f|membership|urn:spo:guest#eve@fabrikam.com"}}}`:                                             "external",
	} {
		var w wirePermission
		require.NoError(t, decode([]byte(raw), &w))
		require.Equal(t, want, sharingWords[audience(&w, ref)], raw)
	}
}
