package microsoft365

import (
	"net/http"
	"slices"
	"strings"
)

// route is one path of Graph's.
type route struct {
	method  string
	pattern []string // "*" stands for any one segment
	bucket  string
	units   int      // it costs, before what the query adds or saves
	roles   []string // any of these will do
	serve   func(*call) *failure
}

// Buckets of the limits (6).
const (
	bucketDirectory = "directory"
	bucketReports   = "reports"
	bucketFiles     = "files"
	bucketRisks     = "risks"
	bucketNone      = ""
)

// Permissions that let an app read: the least that the sheet names (3.6). A wider
// one does not open what a narrower one does, so that each can be missed alone.
var (
	readUsers     = []string{"User.Read.All"}
	readGroups    = []string{"GroupMember.Read.All"}
	readRoles     = []string{"RoleManagement.Read.Directory"}
	readActive    = []string{"RoleAssignmentSchedule.Read.Directory"}
	readEligible  = []string{"RoleEligibilitySchedule.Read.Directory"}
	readApps      = []string{"Application.Read.All"}
	readGrants    = []string{"Directory.Read.All"}
	readAuditLogs = []string{"AuditLog.Read.All"}
	readRisks     = []string{"IdentityRiskyUser.ReadWrite.All"}
	readTenant    = []string{"User.Read.All", "Directory.Read.All"}
)

var routes []route

func init() { // they call what looks them up: a batch does
	routes = []route{
		get("users", 2, readUsers, (*call).users),
		get("users/delta", 1, readUsers, (*call).usersDelta),
		get("users/*", 1, readUsers, (*call).user),
		get("users/*/manager", 1, readUsers, (*call).manager),
		get("directory/deletedItems/microsoft.graph.user", 1, readUsers, (*call).deletedUsers),
		get("directory/deletedItems/graph.user", 1, readUsers, (*call).deletedUsers),
		get("directory/deletedItems/microsoft.graph.group", 1, readGroups, (*call).deletedGroups),

		get("groups", 1, readGroups, (*call).groups),
		get("groups/delta", 1, readGroups, (*call).groupsDelta),
		get("groups/*", 1, readGroups, (*call).group),
		get("groups/*/members", 3, readGroups, (*call).groupMembers),
		get("groups/*/owners", 3, readGroups, (*call).groupOwners),
		get("groups/*/transitiveMembers", 5, readGroups, (*call).groupTransitive),

		get("servicePrincipals", 1, readApps, (*call).servicePrincipals),
		get("servicePrincipals/delta", 1, readApps, (*call).servicePrincipalsDelta),
		get("servicePrincipals/*", 1, readApps, (*call).servicePrincipal),
		get("servicePrincipals/*/appRoleAssignedTo", 2, readApps, (*call).appRoleAssignedTo),
		get("applications", 1, readApps, (*call).applications),
		get("oauth2PermissionGrants", 2, readGrants, (*call).permissionGrants),
		get("oauth2PermissionGrants/delta", 1, readGrants, (*call).permissionGrantsDelta),
		get("oauth2PermissionGrants/*", 1, readGrants, (*call).permissionGrant),
		get("organization", 1, readTenant, (*call).organization),

		get("roleManagement/directory/roleDefinitions", 1, readRoles, (*call).roleDefinitions),
		get("roleManagement/directory/roleAssignments", 1, readRoles, (*call).roleAssignments),
		get("roleManagement/directory/roleAssignmentScheduleInstances", 1, readActive, (*call).activeRoles),
		get("roleManagement/directory/roleEligibilityScheduleInstances", 1, readEligible, (*call).eligibleRoles),

		report("auditLogs/directoryAudits", (*call).directoryAudits),
		report("auditLogs/signIns", (*call).signIns),
		report("reports/authenticationMethods/userRegistrationDetails", (*call).registrationDetails),

		{http.MethodGet, segments("identityProtection/riskyUsers"), bucketRisks, 0, readRisks, (*call).riskyUsers},

		{method: http.MethodPost, pattern: segments(batchPath), bucket: bucketNone, serve: (*call).batch},
	}
	routes = slices.Concat(routes, holderRoutes(), fileRoutes(), directoryWrites(), fileWrites())
}

func get(pattern string, units int, roles []string, serve func(*call) *failure) route {
	return route{http.MethodGet, segments(pattern), bucketDirectory, units, roles, serve}
}

func report(pattern string, serve func(*call) *failure) route {
	return route{http.MethodGet, segments(pattern), bucketReports, 0, readAuditLogs, serve}
}

func segments(path string) []string { return strings.Split(strings.Trim(path, "/"), "/") }

func match(pattern, path []string) bool {
	if len(pattern) != len(path) {
		return false
	}
	for i, p := range pattern {
		if p != path[i] && (p != "*" || path[i] == "") {
			return false
		}
	}
	return true
}

// find looks the request's route up. Of several the first fits: "users/delta"
// before "users/*".
func (c *call) find() (*route, *failure) {
	path := segments(c.path)
	known := false
	for i := range routes {
		rt := &routes[i]
		if !match(rt.pattern, path) {
			continue
		}
		known = true
		if rt.method != c.r.Method {
			continue
		}
		c.args = nil
		for j, p := range rt.pattern {
			if p == "*" {
				c.args = append(c.args, path[j])
			}
		}
		if rt.method != http.MethodGet {
			c.r.Pattern = rt.method + " /graph/v1.0/" + strings.Join(rt.pattern, "/")
		}
		return rt, nil
	}
	if c.r.Method != http.MethodGet {
		c.h.t.Violate("no such endpoint to write to", c.r.Method+" "+c.r.URL.Path)
	}
	if known {
		return nil, refuse(http.StatusMethodNotAllowed, c.h.facts.BadRequest, "Specified HTTP method is not allowed for the request target.")
	}
	return nil, refuse(http.StatusNotFound, "ResourceNotFound", "Resource not found for the segment '%s'.", path[0])
}

// cost is how many units a request takes of the directory's bucket (6).
func (c *call) cost(rt *route) int {
	n := rt.units
	if c.q.Has("$select") {
		n--
	}
	if c.q.Has("$expand") {
		n++
	}
	if top := c.q.Get("$top"); len(top) == 1 || len(top) == 2 && top < "20" {
		n--
	}
	return max(n, 1)
}

// option returns the words of a list in the query: those of $select.
func (c *call) option(name string) []string {
	if c.q.Get(name) == "" {
		return nil
	}
	list := strings.Split(c.q.Get(name), ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// chosen leaves of an object what is selected; the id and annotations stay.
func (c *call) chosen(v object, selected []string) object {
	if len(selected) == 0 {
		return v
	}
	for k := range v {
		if k != c.h.facts.ID && k[0] != '@' && !slices.Contains(selected, k) && !slices.Contains(selected, strings.TrimSuffix(k, c.h.facts.MembersDelta)) {
			delete(v, k)
		}
	}
	return v
}
