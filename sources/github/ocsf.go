package github

import (
	"strconv"
	"strings"

	"weir/schemas"
)

func isGit(action string) bool { return strings.HasPrefix(action, "git.") }

// isSignIn tells the few events that are sign-ins.
func isSignIn(action string) bool {
	return strings.HasSuffix(action, ".sso_response") || strings.HasPrefix(action, "user.login") || action == "user.failed_login"
}

// isUse tells what people do with repositories from how they are administered.
func isUse(category, action string) bool {
	switch category {
	case "git", "workflows", "codespaces":
		return true
	}
	return strings.HasPrefix(category, "pull_request") || strings.HasPrefix(category, "issue") || action == "repo.download_zip"
}

// classifyEvent sets kind, access and the OCSF columns.
func classifyEvent(a *schemas.Activity, w *wireAudit) {
	category, verb, _ := strings.Cut(a.Action, ".")
	switch {
	case isSignIn(a.Action):
		a.Kind = "signin"
	case isUse(category, a.Action):
		a.Kind = "user"
	default:
		a.Kind = "admin"
	}
	a.Access = access(a, w, verb)
	a.SeverityID = schemas.SeverityInformational
	if a.Outcome == "failure" {
		a.SeverityID = schemas.SeverityLow
	}
	a.ClassUID = class(category, verb, a.Action)
	a.ActivityID = activity(a, verb, w)
}

// access tells reads from writes: the log is of changes, but for a few.
func access(a *schemas.Activity, w *wireAudit, verb string) string {
	switch {
	case a.Kind == "signin":
		return "unknown"
	case a.Action == "git.clone", a.Action == "git.fetch", strings.Contains(verb, "download"), w.Operation == "access":
		return "read"
	case a.Action == "api.request":
		switch w.RequestMethod {
		case "GET", "HEAD":
			return "read"
		case "":
			return "unknown"
		}
	}
	return "write"
}

// class is the OCSF class of an action.
func class(category, verb, action string) int32 {
	switch {
	case isSignIn(action), category == "user" && strings.HasPrefix(verb, "two_factor_") && !strings.Contains(verb, "abled"):
		return schemas.ClassAuthentication
	case action == "org.update_member", action == "business.add_admin", category == "role", category == "organization_role",
		action == "repo.add_member", action == "repo.update_member", action == "repo.remove_member":
		return schemas.ClassUserAccess
	case category == "user", category == "external_identity", category == "two_factor_authentication",
		action == "org.add_member", action == "org.remove_member":
		return schemas.ClassAccountChange
	case category == "team":
		return schemas.ClassGroupManagement
	case strings.HasPrefix(category, "integration"), category == "oauth_application", category == "oauth_authorization",
		category == "personal_access_token", category == "org_credential_authorization", category == "org" && strings.HasPrefix(verb, "oauth_app_access_"):
		return schemas.ClassApplicationLifecycle
	case category == "git", action == "repo.download_zip":
		return schemas.ClassFileHosting
	case category == "org", category == "hook", category == "protected_branch", category == "repository_ruleset", category == "public_key",
		category == "repo" && repoEntity[verb]:
		return schemas.ClassEntityManagement
	}
	return schemas.ClassAPIActivity
}

// repoEntity are the verbs that change a repository as a whole.
var repoEntity = map[string]bool{
	"create": true, "destroy": true, "rename": true, "transfer": true, "access": true, "archived": true, "unarchived": true,
}

// verbs maps the beginning of an action's verb to what it does.
type verbs []struct {
	prefix   string
	activity int32
}

func (v verbs) of(verb string) int32 {
	for _, e := range v {
		if strings.HasPrefix(verb, e.prefix) {
			return e.activity
		}
	}
	return schemas.ActivityOther
}

var (
	accountVerbs = verbs{
		{"create", 1},
		{"add", 1},
		{"provision", 1},
		{"unsuspend", 2},
		{"enable", 10},
		{"disable", 11},
		{"two_factor_enabled", 10},
		{"two_factor_disabled", 11},
		{"suspend", 5},
		{"delete", 6},
		{"destroy", 6},
		{"remove", 6},
		{"deprovision", 6},
		{"forgot_password", 4},
		{"change_password", 3},
		{"reset_password", 4},
	}
	accessVerbs = verbs{{"add", 1}, {"create", 1}, {"assign", 1}, {"grant", 1}, {"update", 1}, {"remove", 2}, {"revoke", 2}, {"destroy", 2}, {"delete", 2}, {"unassign", 2}}
	groupVerbs  = verbs{
		{"add_member", 3},
		{"remove_member", 4},
		{"create", 6},
		{"destroy", 5},
		{"delete", 5},
		{"add_repository", 1},
		{"update_repository_permission", 1},
		{"remove_repository", 2},
	}
	entityVerbs = verbs{
		{"create", 1},
		{"add", 1},
		{"invite", 1},
		{"destroy", 4},
		{"delete", 4},
		{"remove", 4},
		{"cancel", 4},
		{"transfer", 5},
		{"enable", 8},
		{"unarchived", 8},
		{"disable", 9},
		{"archived", 9},
	}
	appVerbs = verbs{
		{"create", 1},
		{"install", 1},
		{"destroy", 2},
		{"delete", 2},
		{"uninstall", 2},
		{"remove", 2},
		{"revoke", 2},
		{"deauthorize", 2},
		{"unsuspend", 6},
		{"suspend", 7},
		{"oauth_app_access_approved", 6},
		{"oauth_app_access_denied", 7},
		{"update", 8},
		{"grant", 1},
		{"access_granted", 1},
		{"access_revoked", 2},
		{"repositories_", 8},
		{"repository_", 8},
		{"change", 8},
	}
	apiVerbs = verbs{
		{"create", 1},
		{"add", 1},
		{"open", 1},
		{"publish", 1},
		{"destroy", 4},
		{"delete", 4},
		{"remove", 4},
		{"download", 2},
		{"access", 2},
		{"read", 2},
	}
	operations = map[string]int32{"create": 1, "access": 2, "modify": 3, "remove": 4}
	methods    = map[string]int32{"GET": 2, "HEAD": 2, "POST": 1, "PUT": 3, "PATCH": 3, "DELETE": 4}
	fileVerbs  = map[string]int32{"git.push": 1, "git.clone": 2, "git.fetch": 2, "repo.download_zip": 2}
)

// activity is the OCSF activity of an action within its class.
func activity(a *schemas.Activity, verb string, w *wireAudit) int32 {
	switch a.ClassUID {
	case schemas.ClassAuthentication:
		return 1
	case schemas.ClassAccountChange:
		return accountVerbs.of(verb)
	case schemas.ClassUserAccess:
		return accessVerbs.of(verb)
	case schemas.ClassGroupManagement:
		return groupVerbs.of(verb)
	case schemas.ClassApplicationLifecycle:
		return appVerbs.of(verb)
	case schemas.ClassFileHosting:
		if id, ok := fileVerbs[a.Action]; ok {
			return id
		}
		return schemas.ActivityOther
	case schemas.ClassEntityManagement:
		if id := entityVerbs.of(verb); id != schemas.ActivityOther {
			return id
		}
		return 3
	}
	if id, ok := methods[string(w.RequestMethod)]; ok {
		return id
	}
	if id := apiVerbs.of(verb); id != schemas.ActivityOther {
		return id
	}
	if id, ok := operations[string(w.Operation)]; ok {
		return id
	}
	return 3
}

// exponent reads a number that is written with a fraction or an exponent, as
// GitHub's cursors do: 1.664383359927e+12. 0 when it is none.
func exponent(s scalar) int64 {
	f, err := strconv.ParseFloat(string(s), 64)
	if err != nil || !(f > 0 && f < 1<<53) {
		return 0
	}
	return int64(f)
}
