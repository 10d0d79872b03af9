package googleworkspace

import (
	"strings"

	"weir/schemas"
)

// activityKey is what an event's classification depends on.
type activityKey struct{ application, kind, name string }

// activityClass is what an event's name tells. Names are never filtered: the
// vendor adds to them, and writes some acts under an old and a new name.
type activityClass struct {
	kind, access    string
	class, activity int32
	app             bool // the client named is what was acted on, not only with
}

// maxActivityClasses bounds the memory of names seen; the documentation has some
// 2,000.
const maxActivityClasses = 1 << 13

// Values of access.
const (
	activityReads   = "read"
	activityWrites  = "write"
	activityUnknown = "unknown"
)

// class returns what a name tells.
func (m *activityMapper) class(k activityKey) activityClass {
	if c, ok := m.classes[k]; ok {
		return c
	}
	k = activityKey{strings.Clone(k.application), strings.Clone(k.kind), strings.Clone(k.name)}
	c := classifyActivity(k)
	if len(m.classes) < maxActivityClasses {
		m.classes[k] = c
	}
	return c
}

func classifyActivity(k activityKey) activityClass {
	c := activityClass{kind: kindOfActivity(k), class: classOfActivity(k)}
	verb := verbOf(k.name)
	c.access, c.activity = verb.access, activityID(c.class, k, verb)
	switch {
	case c.class == schemas.ClassAuthentication, c.class == schemas.ClassWebResources, k.application == "access_evaluation":
		c.access = activityReads
	case k.application == "token":
		c.app = k.name != "activity"
		if k.name == "activity" || k.name == "deny" || k.name == "request" { // what was called is not told; nothing was granted
			c.access = activityUnknown
		}
	case c.class == schemas.ClassFileHosting && k.kind == "acl_change":
		c.access = activityWrites
	case c.class == schemas.ClassAccountChange && strings.HasSuffix(k.kind, "_change"):
		c.access = activityWrites
	case strings.HasSuffix(k.kind, "_warning") && c.activity == schemas.ActivityOther:
		c.access = activityUnknown
	case k.application == "admin" && c.access == activityUnknown:
		c.access = activityWrites
	}
	return c
}

// kindOfActivity is the family of an event, in the words of the schema: what the
// contract calls system is an alert here.
func kindOfActivity(k activityKey) string {
	switch {
	case k.kind == "account_warning", k.kind == "attack_warning", strings.HasPrefix(k.name, "rule_"):
		return "alert"
	}
	switch k.application {
	case "login", "saml", "context_aware_access", "access_evaluation":
		return "signin"
	case "ldap":
		if strings.HasPrefix(k.name, "bind_") {
			return "signin"
		}
	case "admin", "groups_enterprise", "mobile", "rules", "chrome", "directory_sync", "data_migration", "vault":
		return "admin"
	}
	return "user"
}

// accountTypes are types of events of login, and of user_accounts, that are
// about an account itself.
var accountTypes = map[string]bool{
	"account_warning": true, "attack_warning": true, "2sv_change": true, "password_change": true, "recovery_info_change": true,
	"titanium_change": true, "email_forwarding_change": true, "blocked_sender_change": true,
}

// classOfActivity is the contract's table of OCSF classes.
func classOfActivity(k activityKey) int32 {
	switch k.application {
	case "login", "user_accounts":
		switch {
		case accountTypes[k.kind]:
			return schemas.ClassAccountChange
		case k.application == "login" && k.kind == "login":
			return schemas.ClassAuthentication
		}
	case "saml":
		return schemas.ClassAuthentication
	case "ldap":
		switch {
		case strings.HasPrefix(k.name, "bind_"):
			return schemas.ClassAuthentication
		case strings.HasPrefix(k.name, "search_"):
			return schemas.ClassDatastoreActivity
		}
	case "admin":
		return classOfAdmin(k)
	case "gcp":
		if k.kind == "CLOUD_OSLOGIN" {
			return schemas.ClassAccountChange
		}
	case "token":
		switch k.name {
		case "authorize", "revoke", "deny", "request":
			return schemas.ClassUserAccess
		}
	case "groups", "groups_enterprise":
		return schemas.ClassGroupManagement
	case "mobile", "chrome", "meet_hardware":
		return schemas.ClassEntityManagement
	case "drive":
		if k.kind == "access" || k.kind == "acl_change" {
			return schemas.ClassFileHosting
		}
	case "data_studio":
		return schemas.ClassFileHosting
	case "takeout":
		return schemas.ClassDatastoreActivity
	case "context_aware_access":
		return schemas.ClassWebResources
	}
	return schemas.ClassAPIActivity
}

func classOfAdmin(k activityKey) int32 {
	switch k.name {
	case "GRANT_ADMIN_PRIVILEGE", "REVOKE_ADMIN_PRIVILEGE", "AUTHORIZE_API_CLIENT_ACCESS", "REMOVE_API_CLIENT_ACCESS":
		return schemas.ClassUserAccess
	case "ADD_APPLICATION", "REMOVE_APPLICATION":
		return schemas.ClassApplicationLifecycle
	}
	switch {
	case k.kind == "DELEGATED_ADMIN_SETTINGS":
		return schemas.ClassUserAccess
	case k.kind == "SECURITY_SETTINGS" && strings.HasSuffix(k.name, "_OAUTH2_APPS"):
		return schemas.ClassApplicationLifecycle
	case k.kind == "USER_SETTINGS":
		return schemas.ClassAccountChange
	case k.kind == "GROUP_SETTINGS":
		return schemas.ClassGroupManagement
	case strings.HasSuffix(k.kind, "_SETTINGS"):
		return schemas.ClassEntityManagement
	}
	return schemas.ClassAPIActivity
}

// activityVerb is what a word of an event's name says was done. Numbers are ids
// of OCSF's Entity Management, of which other classes have the first four.
type activityVerb struct {
	access string
	id     int32
}

var (
	verbNone   = activityVerb{activityUnknown, schemas.ActivityOther}
	verbCreate = activityVerb{activityWrites, 1}
	verbRead   = activityVerb{activityReads, 2}
	verbUpdate = activityVerb{activityWrites, 3}
	verbDelete = activityVerb{activityWrites, 4}
)

// activityVerbs are the words that tell, in lower case. The first one in a name
// counts.
var activityVerbs = map[string]activityVerb{
	"create": verbCreate, "created": verbCreate, "add": verbCreate, "added": verbCreate, "assign": verbCreate, "grant": verbCreate, "authorize": verbCreate,
	"insert": verbCreate, "import": verbCreate, "invite": verbCreate, "upload": verbCreate, "copy": verbCreate, "undelete": verbCreate, "send": verbCreate, "post": verbCreate,
	"generate": verbCreate,

	"view": verbRead, "viewed": verbRead, "download": verbRead, "downloaded": verbRead, "print": verbRead, "preview": verbRead, "get": verbRead, "list": verbRead,
	"search": verbRead, "export": verbRead, "prefetch": verbRead, "sync": verbRead, "email": verbNone, "read": verbRead, "query": verbRead,

	"change": verbUpdate, "changed": verbUpdate, "edit": verbUpdate, "edited": verbUpdate, "update": verbUpdate, "updated": verbUpdate, "toggle": verbUpdate, "rename": verbUpdate,
	"turn": verbUpdate, "set": verbUpdate, "reset": verbUpdate, "modify": verbUpdate, "untrash": verbUpdate, "publish": verbUpdate,
	"suspend": {activityWrites, 12}, "unsuspend": {activityWrites, 13}, "archive": {activityWrites, 12}, "unarchive": {activityWrites, 13}, "move": {activityWrites, 5},
	"enable": {activityWrites, 8}, "enabled": {activityWrites, 8}, "disable": {activityWrites, 9}, "disabled": {activityWrites, 9},
	"enroll": {activityWrites, 6}, "enrolled": {activityWrites, 6}, "unenroll": {activityWrites, 7},

	"delete": verbDelete, "deleted": verbDelete, "remove": verbDelete, "removed": verbDelete, "revoke": verbDelete, "unassign": verbDelete, "trash": verbDelete,
}

// verbOf finds the word of a name that tells what was done.
func verbOf(name string) activityVerb {
	if strings.HasPrefix(name, "access_item_") {
		return verbRead
	}
	for rest := strings.ToLower(name); rest != ""; {
		var word string
		word, rest, _ = strings.Cut(rest, "_")
		if v, ok := activityVerbs[word]; ok {
			return v
		}
	}
	return verbNone
}

// accountActivities is the OCSF Account Change by the beginning of a name in
// lower case, the first that fits.
var accountActivities = []struct {
	prefix string
	id     int32
}{
	{"create_user", 1},
	{"undelete_user", 2},
	{"unsuspend_user", 2},
	{"unarchive_user", 2},
	{"change_password_on_next_login", 4},
	{"change_password", 3},
	{"password_edit", 3},
	{"suspend_user", 5},
	{"archive_user", 5},
	{"account_disabled", 5},
	{"delete_user", 6},
	{"delete_posix_account", 6},
	{"2sv_enroll", 10},
	{"passkey_enrolled", 10},
	{"2sv_disable", 11},
	{"passkey_removed", 11},
	{"turn_off_2_step_verification", 11},
}

// fileActivitiesByName is the OCSF File Hosting Activity of what is done to
// items of Drive.
var fileActivitiesByName = map[string]int32{
	"upload": 1, "create": 1, "download": 2, "edit": 3, "delete": 4, "trash": 4, "rename": 5, "copy": 6, "move": 7, "add_to_folder": 7, "remove_from_folder": 7,
	"untrash": 8, "preview": 9, "email_as_attachment": 12, "view": 14, "print": 14, "access_item_content": 14, "prefetch_item_content": 14, "sync_item_content": 15,
}

// activityID is the OCSF activity within a class.
func activityID(class int32, k activityKey, verb activityVerb) int32 {
	name := strings.ToLower(k.name)
	switch class {
	case schemas.ClassAccountChange:
		for _, a := range accountActivities {
			if strings.HasPrefix(name, a.prefix) {
				return a.id
			}
		}
	case schemas.ClassAuthentication:
		switch {
		case name == "logout":
			return 2
		case strings.HasPrefix(name, "login_"), strings.HasPrefix(name, "bind_"):
			return 1
		}
	case schemas.ClassEntityManagement:
		if verb.id == schemas.ActivityOther && strings.HasSuffix(k.kind, "_SETTINGS") {
			return 3
		}
		return verb.id
	case schemas.ClassUserAccess:
		switch verb {
		case verbCreate:
			return 1
		case verbDelete:
			return 2
		}
	case schemas.ClassGroupManagement:
		return groupActivity(name, verb)
	case schemas.ClassApplicationLifecycle:
		return appActivity(name)
	case schemas.ClassAPIActivity:
		if verb.id <= 4 {
			return verb.id
		}
		if verb.access == activityWrites {
			return 3
		}
	case schemas.ClassDatastoreActivity:
		switch {
		case k.application == "ldap":
			return 4
		case verb == verbRead:
			return 1
		}
	case schemas.ClassFileHosting:
		if id, ok := fileActivitiesByName[name]; ok {
			return id
		}
		if k.kind == "acl_change" {
			return 12
		}
	}
	return schemas.ActivityOther
}

// groupActivity tells a group from its members.
func groupActivity(name string, verb activityVerb) int32 {
	member := strings.Contains(name, "member") || strings.Contains(name, "_user")
	switch {
	case verb == verbCreate && member:
		return 3
	case verb == verbDelete && member:
		return 4
	case verb == verbCreate && strings.Contains(name, "group"):
		return 6
	case verb == verbDelete && strings.Contains(name, "group"):
		return 5
	}
	return schemas.ActivityOther
}

func appActivity(name string) int32 {
	switch {
	case name == "add_application":
		return 1
	case name == "remove_application":
		return 2
	case strings.HasPrefix(name, "add_to_trusted"), strings.HasPrefix(name, "remove_from_blocked"):
		return 6
	case strings.HasPrefix(name, "add_to_blocked"), strings.HasPrefix(name, "remove_from_trusted"):
		return 7
	}
	return schemas.ActivityOther
}
