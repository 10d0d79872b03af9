package googleworkspace

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Buckets of the limits (6).
const (
	bucketDirectory = "directory"
	bucketReports   = "reports"
)

// route is one path of an API.
type route struct {
	method  string
	pattern string // below the host; "*" stands for one segment
	bucket  string
	scopes  []string // of which one will do
	needs   []string // privileges of which one will do; nil: a matter of the func
	serve   func(*call) *failure
}

// Scopes and privileges of groups of routes.
var (
	readUsers   = []string{"admin.directory.user.readonly", "admin.directory.user"}
	writeUsers  = []string{"admin.directory.user"}
	security    = []string{"admin.directory.user.security"}
	readGroups  = []string{"admin.directory.group.readonly", "admin.directory.group"}
	readMembers = []string{"admin.directory.group.member.readonly", "admin.directory.group.readonly", "admin.directory.group.member", "admin.directory.group"}
	editMembers = []string{"admin.directory.group.member", "admin.directory.group"}
	readRoles   = []string{"admin.directory.rolemanagement.readonly", "admin.directory.rolemanagement"}
	writeRoles  = []string{"admin.directory.rolemanagement"}
	readUnits   = []string{"admin.directory.orgunit.readonly", "admin.directory.orgunit"}
	readDomains = []string{"admin.directory.domain.readonly", "admin.directory.domain"}
	readMyself  = []string{"admin.directory.customer.readonly", "admin.directory.customer"}
	readAudit   = []string{"admin.reports.audit.readonly"}

	mayReadUsers  = []string{"USERS_RETRIEVE", "USERS_ALL"}
	maySecure     = []string{"USER_SECURITY_ALL"}
	mayReadGroups = []string{"GROUPS_RETRIEVE", "GROUPS_ALL"}
	mayGroups     = []string{"GROUPS_ALL"}
	mayUnits      = []string{"ORGANIZATION_UNITS_RETRIEVE", "USERS_ALL", "USERS_RETRIEVE"}
	maySuper      = []string{"SUPER"} // which only the role that may do all has
)

const (
	directory = "/admin/directory/v1/"
	reporting = "/admin/reports/v1/"
)

var routes []route

func init() { // they call what looks them up
	users, groups, customer := directory+"users", directory+"groups", directory+"customer/*"
	of := func(method, pattern string, scopes, needs []string, serve func(*call) *failure) route {
		return route{method, pattern, bucketDirectory, scopes, needs, serve}
	}
	get := func(pattern string, scopes, needs []string, serve func(*call) *failure) route {
		return of(http.MethodGet, pattern, scopes, needs, serve)
	}
	routes = []route{
		get(users, readUsers, mayReadUsers, (*call).users),
		of(http.MethodPost, users+"/watch", readUsers, mayReadUsers, (*call).watchUsers),
		get(users+"/*", readUsers, nil, (*call).user),
		of(http.MethodPut, users+"/*", writeUsers, nil, (*call).updateUser),
		of(http.MethodPatch, users+"/*", writeUsers, nil, (*call).updateUser),
		of(http.MethodDelete, users+"/*", writeUsers, nil, (*call).deleteUser),
		of(http.MethodPost, users+"/*/undelete", writeUsers, nil, (*call).undeleteUser),
		of(http.MethodPost, users+"/*/makeAdmin", writeUsers, maySuper, (*call).makeAdmin),
		of(http.MethodPost, users+"/*/signOut", security, nil, (*call).signOut),
		of(http.MethodPost, users+"/*/verificationCodes/invalidate", security, nil, (*call).endCodes),
		of(http.MethodPost, users+"/*/twoStepVerification/turnOff", security, nil, (*call).endFactors),
		get(users+"/*/tokens", security, maySecure, (*call).tokens),
		get(users+"/*/tokens/*", security, maySecure, (*call).oneToken),
		of(http.MethodDelete, users+"/*/tokens/*", security, nil, (*call).deleteToken),
		get(users+"/*/asps", security, maySecure, (*call).asps),
		get(users+"/*/asps/*", security, maySecure, (*call).asp),
		of(http.MethodDelete, users+"/*/asps/*", security, nil, (*call).deleteAsp),
		get(users+"/*/verificationCodes", security, maySecure, (*call).codes),

		get(groups, readGroups, mayReadGroups, (*call).groups),
		get(groups+"/*", readGroups, mayReadGroups, (*call).oneGroup),
		get(groups+"/*/members", readMembers, mayReadGroups, (*call).members),
		get(groups+"/*/members/*", readMembers, mayReadGroups, (*call).member),
		get(groups+"/*/hasMember/*", readMembers, mayReadGroups, (*call).hasMember),
		of(http.MethodPost, groups+"/*/members", editMembers, mayGroups, (*call).insertMember),
		of(http.MethodDelete, groups+"/*/members/*", editMembers, mayGroups, (*call).deleteMember),

		get(customer+"/roles/ALL/privileges", readRoles, maySuper, (*call).privileges),
		get(customer+"/roles", readRoles, maySuper, (*call).roles),
		get(customer+"/roles/*", readRoles, maySuper, (*call).role),
		get(customer+"/roleassignments", readRoles, maySuper, (*call).assignments),
		get(customer+"/roleassignments/*", readRoles, maySuper, (*call).assignment),
		of(http.MethodPost, customer+"/roleassignments", writeRoles, maySuper, (*call).insertAssignment),
		of(http.MethodDelete, customer+"/roleassignments/*", writeRoles, maySuper, (*call).deleteAssignment),

		get(customer+"/orgunits", readUnits, mayUnits, (*call).units),
		get(customer+"/domains", readDomains, mayUnits, (*call).domains),
		get(customer+"/domainaliases", readDomains, mayUnits, (*call).domainAliases),
		get(directory+"customers/*", readMyself, nil, (*call).self),
		of(http.MethodPost, "/admin/directory_v1/channels/stop", readUsers, nil, (*call).stopChannel),

		get("/v1beta1/alerts", []string{"apps.alerts"}, []string{"REPORTS_ACCESS"}, (*call).listAlerts),
		get("/v1beta1/alerts/*", []string{"apps.alerts"}, []string{"REPORTS_ACCESS"}, (*call).oneAlert),

		{http.MethodGet, reporting + "activity/users/*/applications/*", bucketReports, readAudit, nil, (*call).activities},
		{http.MethodPost, reporting + "activity/users/*/applications/*/watch", bucketReports, readAudit, nil, (*call).watchActivities},
		{http.MethodPost, "/admin/reports_v1/channels/stop", bucketReports, readAudit, nil, (*call).stopChannel},
	}
	routes = append(routes, transferRoutes()...)
}

// match says whether a path fits a pattern, and what its stars stand for.
func match(pattern string, path []string) (args []string, ok bool) {
	for i := range path {
		var want string
		want, pattern, _ = strings.Cut(pattern, "/")
		switch {
		case want == "*" && path[i] != "":
			arg, err := url.PathUnescape(path[i])
			if err != nil {
				return nil, false
			}
			args = append(args, arg)
		case want != path[i]:
			return nil, false
		}
		if pattern == "" && i < len(path)-1 {
			return nil, false
		}
	}
	return args, pattern == ""
}

// route finds what the request asks for, and lets it be answered. The state is
// held.
func (c *call) route() *failure {
	path := strings.Split(strings.TrimPrefix(c.r.URL.EscapedPath(), "/"), "/")
	known := false
	for i := range routes {
		rt := &routes[i]
		args, ok := match(strings.TrimPrefix(rt.pattern, "/"), path)
		if !ok {
			continue
		}
		known = true
		if rt.method != c.r.Method {
			continue
		}
		c.args = args
		if rt.method != http.MethodGet {
			c.r.Pattern = rt.method + " " + rt.pattern
		}
		return c.serve(rt)
	}
	if c.r.Method != http.MethodGet {
		c.h.t.Violate("no such endpoint to write to", c.r.Method+" "+c.r.URL.Path)
	}
	if known {
		return refuse(http.StatusMethodNotAllowed, "httpMethodNotAllowed", "Method Not Allowed")
	}
	return refuse(http.StatusNotFound, "notFound", "Not Found")
}

func (c *call) serve(rt *route) *failure {
	if f := c.enabled("admin"); f != nil {
		return f
	}
	limit := c.h.facts.DirectoryRate
	if rt.bucket == bucketReports {
		limit = c.h.facts.ReportsRate
	}
	if f := c.admit(rt.bucket, limit, 1); f != nil {
		return f
	}
	if f := c.need(rt.scopes...); f != nil {
		return f
	}
	if rt.needs != nil && !c.may(nil, rt.needs...) {
		return notAuthorized()
	}
	return rt.serve(c)
}

// ofCustomer checks a customer that is named: by its id or as one's own, which a
// service account by itself has not (3.3).
func (c *call) ofCustomer(name string) *failure {
	switch {
	case name == "my_customer" && c.who.subject < 0:
		return invalid("Invalid Input")
	case name == "my_customer" || name == c.h.customer:
		return nil
	case strings.HasPrefix(name, "C"):
		return notAuthorized()
	}
	return invalid("Invalid Input: customer")
}

// inDomains checks customer= or domain=, of which one is needed, and returns the
// domain, if it is that.
func (c *call) inDomains() (domain string, f *failure) {
	domain = c.q.Get("domain")
	switch {
	case c.q.Has("customer"):
		return "", c.ofCustomer(c.q.Get("customer"))
	case domain == "" && c.h.facts.CustomerNeeded && !c.q.Has("userKey"):
		return "", refuse(http.StatusBadRequest, "badRequest", "Bad Request")
	case domain != "" && !slices.Contains(domains(c.s), strings.ToLower(domain)):
		return "", refuse(http.StatusNotFound, "notFound", "Domain not found.")
	}
	return strings.ToLower(domain), nil
}

// put adds a list to an answer: none, if it is empty.
func (c *call) put(answer object, name string, list []object, next string) object {
	if len(list) > 0 || !c.h.facts.EmptyOmitted {
		answer[name] = list
	}
	if next != "" {
		answer[c.h.facts.NextPage] = next
	}
	return answer
}
