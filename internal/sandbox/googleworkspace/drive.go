package googleworkspace

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/sandbox/org"
)

// driveState is what a customer's Drive keeps.
type driveState struct {
	driveMark [32]byte // what ids of files are made with

	uploadsMu sync.Mutex
	uploads   map[string]*upload
	uploaded  int

	transfers transfers
}

// newDrive makes the state, before the first request.
func (h *Handler) newDrive() {
	h.driveMark = h.hash("drive", 0)
	h.uploads = map[string]*upload{}
}

// driveCall is a call to Drive.
type driveCall struct {
	*call
	me       *org.Account
	idle     bool // the subject is suspended or archived
	narrow   bool // the token is for files that the client made: there are none
	anyDrive bool // of a method that knows no supportsAllDrives
	raw      []byte
}

// driveRoute is a method of Drive's.
type driveRoute struct {
	method  string
	pattern []string // below /drive/v3 or /upload/drive/v3; "*" stands for any one segment
	upload  bool
	cost    int // in units
	scopes  []string
	params  string // that it knows, beside those of all
	fields  resource
	serve   func(*driveCall, mask) *failure
}

// Costs in units (6).
const (
	costGet = iota
	costList
	costDownload
	costEdit
	costOther
)

// Scopes that open methods (3.5, and the discovery document).
var (
	scopesRead    = []string{"drive", "drive.readonly", "drive.metadata", "drive.metadata.readonly", "drive.file"}
	scopesContent = []string{"drive", "drive.readonly", "drive.file"}
	scopesWrite   = []string{"drive", "drive.file"}
	scopesChange  = []string{"drive", "drive.file", "drive.metadata"}
	scopesDrives  = []string{"drive", "drive.readonly"}
)

// Parameters that all methods know.
const commonParams = " fields alt prettyPrint quotaUser key access_token oauth_token callback $.xgafv uploadType upload_protocol upload_id "

const (
	listParams   = "corpora corpus driveId includeItemsFromAllDrives includeLabels includePermissionsForView includeTeamDriveItems orderBy pageSize pageToken q spaces supportsAllDrives supportsTeamDrives teamDriveId"
	getParams    = "acknowledgeAbuse includeLabels includePermissionsForView supportsAllDrives supportsTeamDrives"
	updateParams = "addParents enforceSingleParent includeLabels includePermissionsForView keepRevisionForever ocrLanguage removeParents supportsAllDrives supportsTeamDrives useContentAsIndexableText"
	createParams = "enforceSingleParent ignoreDefaultVisibility includeLabels includePermissionsForView keepRevisionForever ocrLanguage supportsAllDrives supportsTeamDrives useContentAsIndexableText"
	changeParams = "driveId includeCorpusRemovals includeItemsFromAllDrives includeLabels includePermissionsForView includeRemoved includeTeamDriveItems pageSize pageToken restrictToMyDrive spaces supportsAllDrives supportsTeamDrives teamDriveId"
	permParams   = "includePermissionsForView pageSize pageToken supportsAllDrives supportsTeamDrives useDomainAdminAccess"
	sharePamams  = "emailMessage enforceExpansiveAccess enforceSingleParent moveToNewOwnersRoot sendNotificationEmail supportsAllDrives supportsTeamDrives transferOwnership useDomainAdminAccess"
)

var driveRoutes []driveRoute

func init() {
	on := func(method, pattern string, cost int, scopes []string, params string, fields resource, serve func(*driveCall, mask) *failure) {
		upload := strings.HasPrefix(pattern, "upload:")
		driveRoutes = append(driveRoutes, driveRoute{method, strings.Split(strings.TrimPrefix(pattern, "upload:"), "/"), upload, cost, scopes, params, fields, serve})
	}
	const get, post, patch, del = http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
	none := resource{}
	on(get, "about", costGet, scopesRead, "", aboutMe, (*driveCall).about)
	on(get, "files", costList, scopesRead, listParams, fileList, (*driveCall).listFiles)
	on(post, "files", costEdit, scopesWrite, createParams, oneFile, (*driveCall).createFile)
	on(get, "files/*", costGet, scopesRead, getParams, oneFile, (*driveCall).getFile)
	on(patch, "files/*", costEdit, scopesChange, updateParams, oneFile, (*driveCall).updateFile)
	on(del, "files/*", costEdit, scopesWrite, "enforceSingleParent supportsAllDrives supportsTeamDrives", none, (*driveCall).deleteFile)
	on(post, "files/*/watch", costOther, scopesRead, getParams, none, (*driveCall).watchFile)
	on(get, "files/*/permissions", costList, scopesRead, permParams, permList, (*driveCall).listPermissions)
	on(post, "files/*/permissions", costEdit, scopesWrite, sharePamams, onePerm, (*driveCall).createPermission)
	on(get, "files/*/permissions/*", costGet, scopesRead, "supportsAllDrives supportsTeamDrives useDomainAdminAccess", onePerm, (*driveCall).getPermission)
	on(patch, "files/*/permissions/*", costEdit, scopesWrite, "enforceExpansiveAccess removeExpiration supportsAllDrives supportsTeamDrives transferOwnership useDomainAdminAccess", onePerm, (*driveCall).updatePermission)
	on(del, "files/*/permissions/*", costEdit, scopesWrite, "enforceExpansiveAccess supportsAllDrives supportsTeamDrives useDomainAdminAccess", none, (*driveCall).deletePermission)
	on(get, "files/*/revisions", costList, scopesRead, "pageSize pageToken", revisionList, (*driveCall).listRevisions)
	on(get, "files/*/revisions/*", costGet, scopesRead, "acknowledgeAbuse", oneRevision, (*driveCall).getRevision)
	on(patch, "files/*/revisions/*", costEdit, scopesWrite, "", oneRevision, (*driveCall).updateRevision)
	on(del, "files/*/revisions/*", costEdit, scopesWrite, "", none, (*driveCall).deleteRevision)
	on(get, "drives", costList, scopesDrives, "pageSize pageToken q useDomainAdminAccess", driveList, (*driveCall).listDrives)
	on(get, "drives/*", costGet, scopesDrives, "useDomainAdminAccess", oneDrive, (*driveCall).getDrive)
	on(get, "changes", costList, scopesRead, changeParams, changeList, (*driveCall).listChanges)
	on(get, "changes/startPageToken", costGet, scopesRead, "driveId supportsAllDrives supportsTeamDrives teamDriveId", startToken, (*driveCall).startPageToken)
	on(post, "changes/watch", costOther, scopesRead, changeParams, none, (*driveCall).watchChanges)
	on(post, "channels/stop", costOther, scopesRead, "", none, (*driveCall).stopChannel)
	on(post, "upload:files", costEdit, scopesWrite, createParams, oneFile, (*driveCall).uploadNew)
	on(patch, "upload:files/*", costEdit, scopesWrite, updateParams, oneFile, (*driveCall).uploadTo)
	on(http.MethodPut, "upload:files", costOther, scopesWrite, createParams, oneFile, (*driveCall).resume)
	on(http.MethodPut, "upload:files/*", costOther, scopesWrite, updateParams, oneFile, (*driveCall).resume)
}

func (rt *driveRoute) match(path []string) bool {
	if len(path) != len(rt.pattern) {
		return false
	}
	for i, p := range rt.pattern {
		if p != path[i] && (p != "*" || path[i] == "") {
			return false
		}
	}
	return true
}

// driveRouteOf finds the method that a request is for, with what its stars stand for.
func driveRouteOf(r *http.Request) (*driveRoute, []string) {
	path, upload := strings.CutPrefix(r.URL.Path, "/upload")
	path, ok := strings.CutPrefix(path, "/drive/v3/")
	if !ok {
		return nil, nil
	}
	at := strings.Split(path, "/")
	for i := range driveRoutes {
		rt := &driveRoutes[i]
		if rt.upload != upload || rt.method != r.Method || !rt.match(at) {
			continue
		}
		var args []string
		for j, p := range rt.pattern {
			if p == "*" {
				args = append(args, at[j])
			}
		}
		return rt, args
	}
	return nil, nil
}

// drive answers a request below /drive/v3/ or /upload/drive/v3/.
func (h *Handler) drive(c *call) *failure {
	rt, args := driveRouteOf(c.r)
	if rt == nil {
		h.t.Violate("no such endpoint", c.r.Method+" "+c.r.URL.Path)
		return &failure{status: http.StatusNotFound, plain: "Not Found"}
	}
	prefix := ""
	if rt.upload {
		prefix = "/upload"
	}
	if rt.method != http.MethodGet {
		c.r.Pattern = rt.method + " " + prefix + "/drive/v3/" + strings.Join(rt.pattern, "/")
	}
	c.args = args
	if f := c.enabled("drive"); f != nil {
		return f
	}
	d := &driveCall{call: c}
	d.anyDrive = !slices.Contains(strings.Fields(rt.params), "supportsAllDrives")
	media := c.q.Get("alt") == "media"
	scopes, cost := rt.scopes, d.units(rt.cost)
	if media {
		scopes, cost = scopesContent, d.units(costDownload)
	}
	if f := c.need(scopes...); f != nil {
		return f
	}
	d.narrow = !slices.ContainsFunc(c.who.scopes, func(s string) bool { return s != "drive.file" && slices.Contains(scopes, s) })
	if f := d.spend(cost); f != nil {
		return f
	}
	for name := range c.q {
		if !strings.Contains(commonParams, " "+name+" ") && !slices.Contains(strings.Fields(rt.params), name) {
			h.t.Violate("no such parameter", c.r.URL.Path+"?"+name)
			return refuse(http.StatusBadRequest, "badRequest", "Invalid JSON payload received. Unknown name %q: Cannot bind query parameter. Field %q could not be found in request message.", name, name)
		}
	}
	m, f := c.wanted(rt.fields)
	if f != nil {
		return f
	}
	if f := d.readBody(rt.upload); f != nil {
		return f
	}
	return c.within(func() *failure {
		if f := d.enter(); f != nil {
			return f
		}
		return rt.serve(d, m)
	})
}

// enter finds who the subject is, and whether Drive is on for them.
func (c *driveCall) enter() *failure {
	if c.me = c.subject(); c.me == nil {
		return refuse(http.StatusForbidden, "domainPolicy", "The domain administrators have disabled Drive apps.")
	}
	c.idle = c.me.Status != org.Active
	if c.s.Docs.Mine(c.me.N) == nil { // no licence: the vendor words it in several ways
		if c.me.N%2 == 0 {
			return refuse(http.StatusForbidden, "domainPolicy", "The domain administrators have disabled Drive apps.")
		}
		return refuse(c.h.facts.NoServiceStatus, "authError", "Active session is invalid. Error code: 4")
	}
	return nil
}

// domainAdmin refuses who may not look at all shared drives as an administrator.
func (c *driveCall) domainAdmin(reason string) *failure {
	if c.super() || c.may(nil, "SERVICES_ALL") {
		return nil
	}
	return refuse(http.StatusForbidden, reason, "The domain administrator access is not granted to the user.")
}

// reply answers with what is wanted of an object.
func (c *driveCall) reply(m mask, v object) *failure {
	sendJSON(c.w, http.StatusOK, m.of(v))
	return nil
}

// nothing answers with nothing, which is success.
func (c *driveCall) nothing() *failure {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// paged answers a page of entries by their places.
func paged(c *call, l *listing, n int, view func(i int) object) (page []object, next string, f *failure) {
	size, f := c.sized(l)
	if f != nil {
		return nil, "", f
	}
	x, f := c.page(l)
	if f != nil {
		return nil, "", f
	}
	page = []object{}
	end := min(x.at+size, n)
	for i := min(x.at, n); i < end; i++ {
		page = append(page, view(i))
	}
	if end < n {
		x.at = end
		next = c.next(l, x)
	}
	return page, next, nil
}

// units are what a request costs (6).
func (c *driveCall) units(cost int) int {
	f := &c.h.facts.DriveFacts
	return []int{f.GetUnits, f.ListUnits, f.DownloadUnits, f.EditUnits, f.OtherUnits}[cost]
}

// spend counts units against the limits of the project and of the subject.
func (c *driveCall) spend(units int) *failure {
	f, faults := &c.h.facts.DriveFacts, c.h.Faults()
	user := f.UserUnits
	if faults.Units != 0 {
		user = faults.Units
	}
	project := c.h.limits.take("drive "+c.who.client, c.now, units, time.Minute)
	today := c.h.limits.take("drive day "+c.who.client, c.now, units, day)
	mine := c.h.limits.take("drive "+c.who.client+" "+itoa(c.who.subject), c.now, units, time.Minute)
	usage := func(status int, reason, message string) *failure {
		return &failure{status: status, domain: "usageLimits", reason: reason, message: message}
	}
	switch {
	case today > f.DayUnits:
		return usage(http.StatusForbidden, "dailyLimitExceeded", "Daily Limit Exceeded")
	case user >= 0 && mine > user && mine%2 == 0, project > f.ProjectUnits:
		return usage(http.StatusTooManyRequests, "rateLimitExceeded", "Rate Limit Exceeded")
	case user >= 0 && mine > user:
		return usage(http.StatusForbidden, c.h.facts.UserRate, "User rate limit exceeded.")
	}
	return nil
}

func (c *driveCall) about(m mask) *failure {
	if c.q.Get("fields") == "" {
		return refuse(http.StatusBadRequest, "required", "The 'fields' parameter is required for this method.")
	}
	return c.reply(m, object{"kind": "drive#about", "user": c.userView(c.me.N), "storageQuota": object{"usage": "0", "usageInDrive": "0"}, "maxUploadSize": "5242880000000", "canCreateDrives": true})
}
