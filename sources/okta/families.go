package okta

import (
	"strings"

	"weir/schemas"
)

// eventType is what the name of an event's type tells.
type eventType struct {
	action, kind, access string
	class, activity      int32
	self                 bool // "user" instead when people do it to their own account
	changes              bool // its targets tell what changed
	mfa                  bool // a success is a second factor given
}

// eventType returns what a type tells. Types are never filtered: the vendor's
// own pages disagree on their names, and new ones come.
func (m *mapper) eventType(name string) eventType {
	if t, ok := m.types[name]; ok {
		return t
	}
	name = strings.Clone(name)
	t := classifyType(name)
	if len(m.types) < maxTypes {
		m.types[name] = t
	}
	return t
}

// family is a set of event types: those with a prefix, of which "/" at the end
// asks for the whole name.
type family struct {
	prefixes   string // separated by spaces
	kind       string
	access     string // "" by the verb
	class      int32
	activities map[string]int32 // by the last part of the name; others are ActivityOther
	self       bool
}

// Activities by the last part of a type's name, per OCSF 1.3 class.
var (
	accountVerbs = map[string]int32{
		"create": 1, "activate": 2, "reactivate": 2, "unsuspend": 2, "update_password": 3, "reset_password": 4, "expire_password": 4,
		"deactivate": 5, "suspend": 5, "initiated": 6, "completed": 6, "delete": 6, "lock": 9, "lock_by_admin": 9, "enroll": 10,
	}
	factorVerbs = map[string]int32{"activate": 10, "enroll": 10, "deactivate": 11, "unenroll": 11, "reset_all": 11}
	accessVerbs = map[string]int32{"grant": 1, "add": 1, "assign": 1, "create": 1, "revoke": 2, "remove": 2, "unassign": 2, "delete": 2}
	memberVerbs = map[string]int32{"add": 3, "remove": 4}
	groupVerbs  = map[string]int32{"create": 6, "delete": 5}
	rightVerbs  = map[string]int32{"grant": 1, "revoke": 2}
	appVerbs    = map[string]int32{"create": 1, "authorize": 1, "delete": 2, "revoke": 2, "activate": 6, "deactivate": 7, "update": 8}
	apiVerbs    = map[string]int32{"create": 1, "grant": 1, "add": 1, "read": 2, "update": 3, "revoke": 4, "delete": 4, "remove": 4}
	entityVerbs = map[string]int32{"create": 1, "add": 1, "read": 2, "update": 3, "delete": 4, "remove": 4, "activate": 10, "deactivate": 11}
	logonVerbs  = map[string]int32{"start": 1, "access_admin_app": 1, "sso": 1, "end": 2, "expire": 2, "clear": 2, "universal_logout": 2}
)

// families are looked through in order. The contract's table, with the words of
// the schema: system is a kind of actor, and what tells of a threat an alert.
var families = []family{
	{"security.threat. security.request.blocked user.risk. user.account.report_suspicious_activity_by_enduser", "alert", reads, schemas.ClassDetectionFinding, map[string]int32{"": 1}, false},
	{"user.session.clear/", "admin", writes, schemas.ClassAuthentication, logonVerbs, false},
	{"user.authentication.universal_logout", "signin", writes, schemas.ClassAuthentication, logonVerbs, false},
	{"user.session.start user.session.end user.session.expire user.session.access_admin_app policy.evaluate_sign_on", "signin", reads, schemas.ClassAuthentication, logonVerbs, false},
	{"user.authentication.", "signin", reads, schemas.ClassAuthentication, map[string]int32{"": 1}, false},
	{"user.account.privilege. app.oauth2.client.privilege. iam.", "admin", writes, schemas.ClassUserAccess, accessVerbs, false},
	{"user.mfa.factor. user.credential.enroll", "admin", writes, schemas.ClassAccountChange, factorVerbs, true},
	{"user.lifecycle. user.account.update_ user.account.lock user.account.unlock user.account.reset_password user.account.expire_password", "admin", writes, schemas.ClassAccountChange, accountVerbs, true},
	{"group.user_membership.", "admin", writes, schemas.ClassGroupManagement, memberVerbs, false},
	{"group.lifecycle. group.profile.", "admin", writes, schemas.ClassGroupManagement, groupVerbs, false},
	{"group.privilege.", "admin", writes, schemas.ClassGroupManagement, rightVerbs, false},
	{"application.user_membership. group.application_assignment.", "admin", writes, schemas.ClassUserAccess, accessVerbs, false},
	{"application.lifecycle. app.oauth2.client.lifecycle. integration.api_service.", "admin", writes, schemas.ClassApplicationLifecycle, appVerbs, false},
	{"app.oauth2.admin.consent.", "admin", writes, schemas.ClassAPIActivity, apiVerbs, false},
	{"system.api_token.", "admin", writes, schemas.ClassAPIActivity, apiVerbs, false},
	{"system.log_stream. policy. zone. event_hook. security.trusted_origin.", "admin", writes, schemas.ClassEntityManagement, entityVerbs, false},
	{"system.org.rate_limit.", "admin", reads, schemas.ClassAPIActivity, nil, false},
	{"user.import.", "admin", writes, schemas.ClassAPIActivity, apiVerbs, false},
	{"system. core.", "admin", "", schemas.ClassAPIActivity, apiVerbs, false},
	{"user.", "user", "", schemas.ClassAPIActivity, apiVerbs, false},
	{"", "admin", "", schemas.ClassAPIActivity, apiVerbs, false},
}

// Values of access.
const (
	reads  = "read"
	writes = "write"
)

func classifyType(name string) eventType {
	t := eventType{action: name}
	verb := name[strings.LastIndexByte(name, '.')+1:]
	if isTokenOrConsent(name) {
		t.kind, t.class, t.activity = "user", schemas.ClassAPIActivity, activity(apiVerbs, verb)
		switch { // what was granted may stand after the verb
		case strings.Contains(name, ".grant"):
			t.activity = 1
		case strings.Contains(name, ".revoke"):
			t.kind, t.activity = "admin", 4
		}
		t.access = writes
	} else {
		f := familyOf(name)
		t.kind, t.access, t.class, t.self, t.activity = f.kind, f.access, f.class, f.self, activity(f.activities, verb)
	}
	if t.access == "" {
		t.access = map[int32]string{1: writes, 2: reads, 3: writes, 4: writes, schemas.ActivityOther: "unknown"}[t.activity]
	}
	t.changes = t.kind == "admin" || t.kind == "user"
	t.mfa = name == "user.authentication.auth_via_mfa"
	return t
}

// isTokenOrConsent tells of what people grant to apps, or take from them again.
func isTokenOrConsent(name string) bool {
	return strings.HasPrefix(name, "app.oauth2.") && (strings.Contains(name, "token") || strings.Contains(name, "consent")) &&
		!strings.HasPrefix(name, "app.oauth2.client.") && !strings.HasPrefix(name, "app.oauth2.admin.")
}

func familyOf(name string) *family {
	for i := range families {
		for prefix := range strings.SplitSeq(families[i].prefixes, " ") {
			if whole, ok := strings.CutSuffix(prefix, "/"); ok && name == whole || !ok && strings.HasPrefix(name, prefix) {
				return &families[i]
			}
		}
	}
	return &families[len(families)-1]
}

// activity returns a verb's activity id. The entry "" is for all other verbs.
func activity(verbs map[string]int32, verb string) int32 {
	if id, ok := verbs[verb]; ok {
		return id
	}
	if id, ok := verbs[""]; ok {
		return id
	}
	return schemas.ActivityOther
}

// targetKind maps a target's type.
func targetKind(t text) string {
	switch t {
	case "User", "AppUser":
		return "account"
	case "UserGroup", "AppGroup":
		return "group"
	case "AppInstance", "PublicClientApp", "ConfidentialClientApp":
		return "app"
	case "ROLE", "Role", "CustomRole":
		return "role"
	case "Token", "access_token", "refresh_token", "id_token", "AuthenticatorEnrollment":
		return "credential"
	case "Device":
		return "device"
	case "Session":
		return "session"
	case "Org":
		return "org"
	case "Domain":
		return "domain"
	}
	switch {
	case strings.HasSuffix(string(t), "ClientApp"):
		return "app"
	case strings.Contains(string(t), "Token"):
		return "credential"
	case strings.HasPrefix(string(t), "Policy"), strings.HasSuffix(string(t), "Policy"), strings.HasSuffix(string(t), "Rule"):
		return "policy"
	}
	return "other"
}

// Kinds of grants.
const (
	grantConsent      = "consent"
	grantToken        = "token"
	grantAPIKey       = "api_key"
	grantInstallation = "installation"
)

// grantID is the id of an app_grants row: the vendor's, with the kind before it.
func grantID(kind, id string) string {
	if id == "" {
		return ""
	}
	return kind + ":" + id
}

// credentialID is the app_grants id of a credential, whose kind the vendor's
// id begins with.
func credentialID(id string) string {
	switch {
	case strings.HasPrefix(id, "00T"):
		return grantID(grantAPIKey, id)
	case strings.HasPrefix(id, "oar"):
		return grantID(grantToken, id)
	case strings.HasPrefix(id, "oag"):
		return grantID(grantConsent, id)
	}
	return id
}
