package microsoft365

import (
	"strings"

	"weir/schemas"
)

// entraActivity is what the class of a directoryAudit depends on. The vendor's
// list of activities is long, not complete and changes: nothing is filtered by
// it, and what is not in a table is told by its words.
type entraActivity struct{ service, category, name string }

// entraClass is what an activity's name tells.
type entraClass struct {
	kind, access    string
	class, activity int32
	severity        int32
	own             bool // "user" instead when people do it to their own account
}

// Values of access.
const (
	entraReads  = "read"
	entraWrites = "write"
)

// classOf returns what an activity tells.
func (m *entraMapper) classOf(k entraActivity) entraClass {
	if c, ok := m.activities[k]; ok {
		return c
	}
	k = entraActivity{strings.Clone(k.service), strings.Clone(k.category), strings.Clone(k.name)}
	c := classifyEntra(k)
	if len(m.activities) < maxEntraActivities {
		m.activities[k] = c
	}
	return c
}

// entraVerb is how names of activities begin, and what they are in the classes
// that have an id for it.
type entraVerb struct {
	prefix                              string
	account, access, group, entity, app int32
}

// entraVerbs are looked through in order. Restoring brings back what was
// deleted: a creation, where a class has no id of its own.
var entraVerbs = []entraVerb{
	{"hard delete", 6, 2, 5, 4, 2},
	{"delete", 6, 2, 5, 4, 2},
	{"remove", 6, 2, 5, 4, 2},
	{"revoke", 99, 2, 99, 4, 2},
	{"unlink", 99, 2, 99, 4, 2},
	{"unset", 99, 2, 99, 3, 8},
	{"unregister", 11, 2, 99, 7, 2},
	{"add", 1, 1, 6, 1, 1},
	{"create", 1, 1, 6, 1, 1},
	{"pre-create", 1, 1, 6, 1, 1},
	{"invite", 1, 1, 6, 1, 1},
	{"viral user creation", 1, 1, 6, 1, 1},
	{"restore", 2, 1, 6, 1, 8},
	{"consent", 99, 1, 99, 1, 1},
	{"grant", 99, 1, 1, 1, 1},
	{"assign", 99, 1, 1, 3, 8},
	{"approve", 99, 1, 99, 3, 8},
	{"register", 10, 1, 99, 6, 1},
	{"enable", 2, 1, 99, 8, 6},
	{"disable", 5, 2, 99, 9, 7},
}

// classifyEntra is the contract's list of classes by family: accounts with their
// passwords and second factors, roles and consent, groups, apps; policies,
// settings and all other objects of the directory are entities.
func classifyEntra(k entraActivity) entraClass {
	name := strings.ToLower(strings.TrimSpace(k.name))
	name = strings.TrimPrefix(name, "bulk ")
	c := entraClass{kind: "admin", access: entraAccess(name), severity: schemas.SeverityInformational}
	verb := entraVerb{"", 99, 99, 99, 3, 8}
	for _, v := range entraVerbs {
		if strings.HasPrefix(name, v.prefix) {
			verb = v
			break
		}
	}
	category := strings.ReplaceAll(k.category, " ", "") // "Application Management" too
	switch {
	case isEntraAlert(name):
		c.kind, c.access, c.class, c.activity, c.severity = "alert", entraReads, schemas.ClassDetectionFinding, 1, schemas.SeverityMedium
	case hasAny(name, entraAccessWords...):
		c.class, c.activity = schemas.ClassUserAccess, verb.access
		c.own = strings.HasPrefix(name, "consent ")
		if hasAny(name, "requested", "canceled", "denied", "request expired") || c.access == entraReads {
			c.activity = schemas.ActivityOther // nothing was given or taken yet
		}
	case hasAny(name, entraFactors...):
		c.class, c.activity, c.own = schemas.ClassAccountChange, factorActivity(name), true
	case category == "GroupManagement" && !hasAny(name, " pim"), hasWord(name, "group") && hasAny(name, "member", "owner"):
		c.class, c.activity = schemas.ClassGroupManagement, groupActivity(name, verb.group)
	case category == "ApplicationManagement" && hasAny(name, "application", "service principal", "verified publisher", "external secrets"):
		c.class, c.activity = schemas.ClassApplicationLifecycle, verb.app
		if hasAny(name, "credentials", "policy", "publisher") {
			c.activity = 8 // of an app that goes on
		}
	case category == "UserManagement" && !hasAny(name, "access review", "business flow", "policy template", "feature value"),
		hasAny(name, "compromised", "dismissuser"):
		c.class, c.activity, c.own = schemas.ClassAccountChange, accountActivity(name, verb.account), true
	default:
		c.class, c.activity = schemas.ClassEntityManagement, verb.entity
	}
	switch {
	case c.access == entraReads && c.class == schemas.ClassEntityManagement:
		c.activity = 2
	case c.access == entraReads && c.class != schemas.ClassDetectionFinding:
		c.activity = schemas.ActivityOther
	}
	return c
}

// isEntraAlert tells what warns of a threat.
func isEntraAlert(name string) bool {
	return strings.HasPrefix(name, "trigger") && strings.HasSuffix(name, "pim alert") ||
		strings.HasPrefix(name, "fraud reported") || strings.HasPrefix(name, "suspicious activity reported")
}

// Parts of names that tell of rights, and of second factors.
var (
	entraAccessWords = []string{
		"member to role", "member from role", "role assignment", "roleassignment", "member in pim", "role removal", "role update", "role approval",
		"consent", "permission grant", "permissions grant", "permissiongrant", "access package assignment", "user access package", "pim activation",
		"owner to application", "owner from application", "owner to service principal", "owner from service principal",
	}
	entraFactors = []string{
		"strong authentication", "security info", "fido2", "passkey", "passwordless", "windows hello", "platform credential", "oath token", "totp",
	}
	entraReadWords = []string{"get ", "download ", "read ", "reveal ", "retrieve ", "validate ", "check ", "evaluate ", "export ", "dsr export", "refresh pim alert"}
)

// entraAccess says whether an activity changes anything.
func entraAccess(name string) string {
	for _, w := range entraReadWords {
		if strings.HasPrefix(name, w) {
			return entraReads
		}
	}
	if _, verb, ok := strings.Cut(name, "_"); ok && (strings.HasPrefix(verb, "get") || strings.HasPrefix(verb, "is") || strings.Contains(verb, "validate") || strings.HasPrefix(verb, "evaluate")) {
		return entraReads // Group_GetMembers, Features_IsFeatureEnabledAsync
	}
	return entraWrites
}

func factorActivity(name string) int32 {
	switch {
	case hasAny(name, "delete", "remove", "disable"):
		return 11
	case hasAny(name, "registered", "add ", "enable", "register ", "create "):
		return 10
	}
	return schemas.ActivityOther
}

func accountActivity(name string, verb int32) int32 {
	switch {
	case hasAny(name, "application password", "license", "app role", "user manager"):
		return schemas.ActivityOther
	case hasAny(name, "reset password", "password reset", "reset user password", "set user password", "force change user password"):
		return 4
	case hasAny(name, "change user password", "change password", "password change"):
		return 3
	case strings.HasPrefix(name, "unlock"):
		return 2
	}
	return verb
}

// groupActivity tells members and owners of a group from the group itself.
func groupActivity(name string, verb int32) int32 {
	in := hasAny(name, "member")
	owner := hasAny(name, "owner")
	switch {
	case hasAny(name, "group setting", "label", "license", "lifecycle management", "pending request"), strings.Contains(name, "lifecyclepolicies"):
		return schemas.ActivityOther
	case hasAny(name, "add", "import") && in:
		return 3
	case hasAny(name, "remove") && in:
		return 4
	case hasAny(name, "add") && owner, hasAny(name, "add app role"):
		return 1
	case hasAny(name, "remove") && owner, hasAny(name, "remove app role"):
		return 2
	case hasAny(name, "group_create"):
		return 6
	case hasAny(name, "group_delete"):
		return 5
	case hasAny(name, "group"):
		return verb
	}
	return schemas.ActivityOther
}

func hasAny(s string, parts ...string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

// hasWord tells a word from the beginning of another.
func hasWord(s, word string) bool {
	for w := range strings.FieldsSeq(s) {
		if w == word {
			return true
		}
	}
	return false
}

// ownDoing says that a person has done what people may do for themselves:
// changed the own account, or agreed to an app for oneself alone.
func ownDoing(a *schemas.Activity) bool {
	if a.ActorKind != "human" && a.ActorKind != "guest" {
		return false
	}
	if a.ClassUID == schemas.ClassAccountChange {
		return a.ActorID != "" && a.ActorID == a.TargetID
	}
	for i, name := range a.ChangeNames {
		if name == "ConsentContext.IsAdminConsent" {
			return strings.EqualFold(a.ChangeNew[i], "false")
		}
	}
	return false
}
