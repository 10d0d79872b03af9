package googleworkspace

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
)

const changeFlags = "&includeRemoved=true&supportsAllDrives=true&includeItemsFromAllDrives=true"

// since tells what changed, by the names of files, or "-" and the id; and where to
// go on.
func (c *driveClient) since(token, flags string) (told []string, next string) {
	c.Helper()
	for page := token; ; {
		a := c.ok("changes?pageSize=2&pageToken=" + page + changeFlags + flags +
			"&fields=nextPageToken,newStartPageToken,changes(changeType,time,removed,fileId,driveId,file(name,trashed,driveId),drive(id,name))")
		for _, x := range a.list("changes") {
			switch {
			case has(x, "removed") && x["changeType"] == "drive":
				told = append(told, "-drive "+x["driveId"].(string))
			case has(x, "removed"):
				require.NotContains(c.T, x, "file")
				told = append(told, "-"+x["fileId"].(string))
			case x["changeType"] == "drive":
				told = append(told, "drive "+x["drive"].(object)["id"].(string))
			default:
				told = append(told, x["file"].(object)["name"].(string))
			}
		}
		more, start := a.body["nextPageToken"], a.body["newStartPageToken"]
		require.NotEqual(c.T, more == nil, start == nil, "one or the other")
		if more == nil {
			return told, start.(string)
		}
		page = more.(string)
	}
}

func (c *driveClient) start(flags string) string {
	c.Helper()
	return c.ok("changes/startPageToken?supportsAllDrives=true" + flags).body["startPageToken"].(string)
}

func TestDriveChanges(t *testing.T) {
	t.Parallel()
	r := newDriveRig(t, quiet())
	users := r.users()
	a, b := r.as(users[1]), r.as(users[2])
	at, bt := a.start(""), b.start("")
	require.NotEqual(t, at, bt, "each log has its own numbers")
	told, _ := a.since(at, "")
	require.Empty(t, told)
	folder := a.make(object{"name": "folder", "mimeType": folderType})
	x := a.make(object{"name": "x", "parents": []string{folder}})
	y := a.make(object{"name": "y", "parents": []string{folder}})
	require.Equal(t, 200, a.patch("files/"+x, object{"name": "x2"}).status)
	told, at = a.since(at, "")
	require.Equal(t, []string{"folder", "y", "x2"}, told, "the latest of each, the oldest first")

	bt = b.start("")
	pid := a.share(folder, toEmail(r.email(users[2]), "writer"))
	told, at = a.since(at, "")
	require.Equal(t, []string{"folder"}, told, "what is in it has no entry")
	told, bt = b.since(bt, "")
	require.Equal(t, []string{"folder"}, told)
	require.Equal(t, 200, b.get("files/"+y).status)
	require.Equal(t, 204, a.del("files/"+folder+"/permissions/"+pid).status)
	told, bt = b.since(bt, "")
	require.Equal(t, []string{"-" + folder}, told, "access was lost")
	told, at = a.since(at, "")
	require.Equal(t, []string{"folder"}, told)
	pid = a.share(folder, toEmail(r.email(users[2]), "reader"))
	told, _ = b.since(bt, "&restrictToMyDrive=true")
	require.Empty(t, told)
	told, bt = b.since(bt, "")
	require.Equal(t, []string{"folder"}, told, "and came back")

	require.Equal(t, 200, a.patch("files/"+folder, object{"trashed": true}).status)
	told, at = a.since(at, "")
	require.Equal(t, []string{"folder", "x2", "y"}, told, "the trash takes all")
	require.Equal(t, 204, a.del("files/"+folder).status)
	told, _ = a.since(at, "")
	require.ElementsMatch(t, []string{"-" + folder, "-" + x, "-" + y}, told)
	told, _ = b.since(bt, "")
	require.ElementsMatch(t, []string{"-" + folder, "-" + x, "-" + y}, told)
	_ = pid

	// Shared drives.
	_, drive, organizer := r.drive("organizer")
	o := r.as(organizer)
	d := "&driveId=" + drive
	dt, ot := o.start(d), o.start("")
	inside := o.make(object{"name": "inside", "parents": []string{drive}})
	told, dt = o.since(dt, d)
	require.Equal(t, []string{"inside"}, told)
	told, ot = o.since(ot, "")
	require.Equal(t, []string{"inside"}, told, "and in the log of who sees it")
	require.Equal(t, 200, o.patch("files/"+inside+"?supportsAllDrives=true&addParents=root&removeParents="+drive, object{}).status)
	told, dt = o.since(dt, d)
	require.Equal(t, []string{"-" + inside}, told, "it went elsewhere")
	told, _ = o.since(ot, "")
	require.Equal(t, []string{"inside"}, told)
	admin := r.as(0)
	const all = "?supportsAllDrives=true&useDomainAdminAccess=true"
	require.Equal(t, 200, admin.post("files/"+drive+"/permissions"+all, toEmail("new@partner.example", "reader")).status)
	told, dt = o.since(dt, d)
	require.Equal(t, []string{"drive " + drive}, told)
	ot = o.start("")
	for _, p := range admin.ok("files/" + drive + "/permissions" + all + "&fields=permissions(id,emailAddress)").list("permissions") {
		if p["emailAddress"] == r.email(organizer) {
			require.Equal(t, 204, admin.del("files/"+drive+"/permissions/"+p["id"].(string)+all).status)
		}
	}
	if told, _ = o.since(ot, ""); len(told) > 0 { // unless a group is a member too
		require.Equal(t, []string{"-drive " + drive}, told)
		o.refused(o.get("changes?pageToken="+dt+changeFlags+d), 404, "notFound")
	}

	a.refused(a.get("changes?pageToken=1"), 400, "invalid")
	a.refused(a.get("changes"), 400, "required")
	r.h.SetFaults(Faults{DriveFaults: DriveFaults{StaleChanges: 410}})
	require.Equal(t, 410, a.get("changes?pageToken="+at).status)
	r.sandbox.NoViolations()
}

// What changes tell, taken together, is what a listing tells.
func TestDriveChangesAreComplete(t *testing.T) {
	t.Parallel()
	r := newDriveRig(t, sandbox.Options{Files: 300, EventsPerDay: 100})
	account := r.users()[1]
	c := r.as(account)
	const fields = "files(id,name,trashed,parents,permissions(id,role))"
	snapshot := func() map[string]object {
		out := map[string]object{}
		for _, f := range r.as(account).all("files?pageSize=1000&q='me' in owners&fields=nextPageToken,"+fields, "files") {
			out[f["id"].(string)] = f
		}
		return out
	}
	token, have := c.start(""), snapshot()
	for range 5 {
		r.sandbox.Fake.Advance(24 * time.Hour)
		c = r.as(account)
		for {
			a := c.ok("changes?pageSize=7&pageToken=" + token + "&fields=nextPageToken,newStartPageToken,changes(removed,fileId,file(id,name,trashed,parents,ownedByMe,permissions(id,role)))")
			for _, x := range a.list("changes") {
				f, _ := x["file"].(object)
				if f == nil || !has(f, "ownedByMe") {
					delete(have, x["fileId"].(string))
					continue
				}
				delete(f, "ownedByMe")
				have[x["fileId"].(string)] = f
			}
			if next, ok := a.body["nextPageToken"].(string); ok {
				token = next
				continue
			}
			token = a.body["newStartPageToken"].(string)
			break
		}
		for id, f := range snapshot() {
			require.Contains(t, have, id)
			require.Equal(t, f["name"], have[id]["name"])
			require.Equal(t, f["trashed"], have[id]["trashed"])
			if have[id]["parents"] != nil && f["parents"] != nil { // a folder that was opened, or closed, tells nothing of what is in it
				require.Equal(t, f["parents"], have[id]["parents"])
			}
		}
		now := snapshot()
		for id := range have {
			require.Contains(t, now, id)
		}
	}
}

// driveTold is what a receiver got.
type driveTold struct {
	head http.Header
	body string
}

func TestDrivePush(t *testing.T) {
	t.Parallel()
	r := newDriveRig(t, quiet())
	users := r.users()
	a, b := r.as(users[1]), r.as(users[2])
	var mu sync.Mutex
	got := map[string][]driveTold{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		raw, err := io.ReadAll(req.Body)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			id := req.Header.Get("X-Goog-Channel-ID")
			got[id] = append(got[id], driveTold{req.Header.Clone(), string(raw)})
		}
	}))
	t.Cleanup(receiver.Close)
	states := func(id string) (list []string) {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range got[id] {
			list = append(list, m.head.Get("X-Goog-Resource-State"))
		}
		return slices.Compact(list)
	}
	reach := func(id string, want ...string) {
		t.Helper()
		require.Eventually(t, func() bool { return slices.Equal(want, states(id)) }, 5*time.Second, 5*time.Millisecond, "%s: %v", id, states(id))
	}
	body := func(id string) object {
		return object{"id": id, "type": "web_hook", "address": receiver.URL + "/hook", "token": "word", "expiration": r.sandbox.Clock.Now().Add(30 * 24 * time.Hour).UnixMilli()}
	}
	file := a.make(object{"name": "x"})
	for client, id := range map[*driveClient]string{a: "mine", b: "other"} {
		open := client.post("changes/watch?pageToken="+client.start("")+"&supportsAllDrives=true&includeItemsFromAllDrives=true", body(id))
		require.Equal(t, 200, open.status, open.text)
		require.Equal(t, "api#channel", open.body["kind"])
		ms, err := strconv.ParseInt(open.body["expiration"].(string), 10, 64)
		require.NoError(t, err)
		require.Equal(t, r.sandbox.Clock.Now().Add(7*24*time.Hour).UnixMilli(), ms, "shorter than asked for")
	}
	watch := a.post("files/"+file+"/watch", body("file"))
	require.Equal(t, 200, watch.status, watch.text)
	reach("mine", "sync")
	reach("file", "sync")
	require.Equal(t, 200, a.patch("files/"+file, object{"name": "y"}).status)
	reach("mine", "sync", "change")
	reach("file", "sync", "update")
	require.Equal(t, 200, a.patch("files/"+file, object{"trashed": true}).status)
	reach("file", "sync", "update", "trash")
	reach("other", "sync")
	mu.Lock()
	first, second := got["mine"][0], got["mine"][1]
	require.Equal(t, []string{"word", "1", ""}, []string{first.head.Get("X-Goog-Channel-Token"), first.head.Get("X-Goog-Message-Number"), first.body})
	require.JSONEq(t, `{"kind":"drive#changes"}`, second.body)
	require.Equal(t, "properties", got["file"][1].head.Get("X-Goog-Changed"))
	mu.Unlock()
	stop := object{"id": "file", "resourceId": watch.body["resourceId"]}
	require.Equal(t, 204, a.post("channels/stop", stop).status)
	a.refused(a.post("channels/stop", stop), 404, "notFound")
	a.refused(a.post("changes/watch?pageToken="+a.start(""), object{"id": "z", "type": "web_hook", "address": "http://partner.example/hook"}), 400, "push.webhookUrlNotHttps")
	r.sandbox.NoViolations()
}

func TestDriveTransfer(t *testing.T) {
	t.Parallel()
	r := newDriveRig(t, quiet())
	users := r.users()
	from, to := users[1], users[2]
	count := func(account int) int { return len(r.as(account).all("files?pageSize=1000&q='me' in owners", "files")) }
	all, had := count(from), count(to)
	admin := r.as(0, "admin.datatransfer")
	const path = "/admin/datatransfer/v1/transfers"
	send := object{"oldOwnerUserId": r.h.userID(from), "newOwnerUserId": r.h.userID(to), "applicationDataTransfers": []object{
		{"applicationId": "55656082996", "applicationTransferParams": []object{{"key": "PRIVACY_LEVEL", "value": []string{"PRIVATE", "SHARED"}}}},
	}}
	begun := admin.post(path, send)
	require.Equal(t, 200, begun.status, begun.text)
	require.Equal(t, "inProgress", begun.body["overallTransferStatusCode"])
	r.sandbox.Fake.Advance(5 * time.Minute)
	require.Equal(t, "completed", admin.ok(path + "/" + begun.body["id"].(string)).body["overallTransferStatusCode"])
	require.Zero(t, count(from))
	require.Equal(t, all+had+1, count(to), "and a folder")
	other := r.as(to, "admin.datatransfer")
	require.Equal(t, 403, other.post(path, send).status)
	send["newOwnerUserId"] = "1"
	require.Equal(t, 404, admin.post(path, send).status)
}
