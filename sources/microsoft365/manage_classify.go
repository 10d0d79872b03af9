package microsoft365

import (
	"strings"

	"weir/schemas"
)

// Values of RecordType that the mapping depends on.
const (
	typeExchangeAdmin = 1
	typeDirectory     = 8
	typeSignInOld     = 9
	typeSignIn        = 15
)

// operation is what an operation's name, its workload and RecordType tell.
type operation struct {
	action, kind, access string
	class, activity      int32
	happened             bool // the workload logs only what happened
}

// adminTypes are RecordTypes of administration.
var adminTypes = map[int]bool{1: true, 8: true, 18: true, 23: true, 57: true, 87: true, 106: true, 256: true, 288: true}

// alertTypes are RecordTypes of what a policy or a protection has found.
var alertTypes = map[int]bool{
	11: true, 13: true, 33: true, 63: true, 107: true, // DLP
	28: true, 41: true, 47: true, // Threat Intelligence: mail, links, files
	40: true, 98: true, 294: true, // Security & Compliance, Cloud App Security, Entra risks
}

// happenedOnly are workloads that log only what happened, and say so by no
// ResultStatus.
var happenedOnly = map[string]bool{
	"SharePoint": true, "OneDrive": true, "MicrosoftTeams": true, "MicrosoftFlow": true, "PowerApps": true,
	"MicrosoftForms": true, "MicrosoftStream": true, "Yammer": true,
}

func classifyOperation(k operationKey) operation {
	// Entra ends its operations with a period, or blanks.
	o := operation{action: strings.TrimSuffix(strings.TrimSpace(k.name), "."), kind: "user", happened: happenedOnly[k.workload]}
	o.access = operationAccess(o.action)
	switch {
	case alertTypes[k.recordType], strings.HasPrefix(o.action, "DlpRule"), strings.HasPrefix(o.action, "Alert") && k.workload == "SecurityComplianceCenter":
		o.kind, o.access, o.class, o.activity = "alert", "read", schemas.ClassDetectionFinding, alertActivity(o.action)
		o.happened = true
		return o
	case k.recordType == typeSignIn, k.recordType == typeSignInOld:
		o.kind, o.access, o.class, o.activity = "signin", "read", schemas.ClassAuthentication, 1
		if o.action == "UserLoggedOff" || o.action == "UserLoggedOut" {
			o.activity = 2
		}
		return o
	case adminTypes[k.recordType]:
		o.kind = "admin"
	}
	o.class, o.activity = schemas.ClassAPIActivity, apiActivity(o.action, o.access)
	switch k.workload {
	case "AzureActiveDirectory":
		o.directory()
	case "SharePoint", "OneDrive":
		o.sharePoint(k.recordType)
	case "MicrosoftTeams":
		o.teams()
	case "Yammer", "VivaEngage", "MicrosoftForms", "MicrosoftStream", "Planner":
		o.class, o.activity = schemas.ClassWebResources, webActivity(o.action, o.access)
	case "PowerBI":
		o.powerBI()
	case "CRM":
		o.class, o.activity = schemas.ClassDatastoreActivity, datastoreActivity(o.action, o.access)
	}
	return o
}

func alertActivity(action string) int32 {
	switch {
	case strings.Contains(action, "Updated"):
		return 2
	case strings.Contains(action, "Closed"), strings.Contains(action, "Resolved"), action == "DlpRuleUndo":
		return 3
	}
	return 1
}

// word is how an operation's name begins, ends or goes on, and what it means.
type word struct {
	part, access string
}

// starts are tried first: a verb in front tells more than one behind.
var starts = []word{
	{"Get", "read"},
	{"Search", "read"},
	{"Aggregate", "read"},
	{"Validate", "read"},
	{"List", "read"}, // ListViewed, and below: ListUpdated
	{"View", "read"},
	{"Read", "read"},
	{"Test-", "read"},
	{"Export", "read"},
	{"Download", "read"},
	{"Print", "read"},
	{"Analyze", "read"},
	{"Retrieve", "read"},
}

var ends = []word{
	{"Viewed", "read"},
	{"ViewedExtended", "read"},
	{"Accessed", "read"},
	{"AccessedExtended", "read"},
	{"Previewed", "read"},
	{"Downloaded", "read"},
	{"Opened", "read"},
	{"DownloadedFull", "read"},
	{"Performed", "read"}, // SearchQueryPerformed
	{"Initiated", "read"}, // SearchQueryInitiated
	{"InitiatedExchange", "read"},
	{"InitiatedSharePoint", "read"},
	{"Signaled", "read"}, // ClientViewSignaled
	{"Prefetched", "read"},
	{"PageViewedExtended", "read"},
	{"Bind", "read"}, // FolderBind, MessageBind
	{"MailboxLogin", "read"},
	{"SessionStarted", "read"},
	{"Exported", "read"},
	{"Read", "read"},
	{"Listed", "read"},
	{"Searched", "read"},
}

// changing are parts of names of operations that change something.
var changing = []string{
	"Create", "Add", "New", "Update", "Modif", "Set", "Change", "Edit", "Rename", "Move", "Copied", "Copy", "Upload", "Delete", "Remove",
	"Revoke", "Grant", "Enable", "Disable", "Install", "Assign", "Reset", "Restore", "Recycle", "Send", "Sent", "Share", "Sharing", "Broken",
	"Approve", "Deny", "Accept", "Start", "Stop", "Put", "Publish", "Lock", "Check", "Consent", "Invite", "Invitation", "Apply", "Applied",
	"Post", "Import", "Register", "Purge", "Block", "Release", "Suspend", "Cancel", "Complete", "Link", "Save", "Turn", "Transfer", "Join", "Launch", "Run",
}

// operationAccess says whether an operation changes anything, by its name.
func operationAccess(name string) string {
	for _, w := range ends {
		if strings.HasSuffix(name, w.part) {
			return w.access
		}
	}
	for _, part := range changing {
		if i := strings.Index(name, part); i > 0 && strings.HasPrefix(name, "List") || i == 0 && part != "Set" || i == 0 && !strings.HasPrefix(name, "Settings") {
			return "write"
		}
	}
	for _, w := range starts {
		if strings.HasPrefix(name, w.part) {
			return w.access
		}
	}
	for _, part := range changing {
		if strings.Contains(name, part) {
			return "write"
		}
	}
	return "unknown"
}

// apiActivity is the OCSF API Activity of an operation.
func apiActivity(name, access string) int32 {
	switch {
	case access == "read":
		return 2
	case startsWith(name, "New", "Create", "Add", "Install", "Import"), strings.HasSuffix(name, "Created"), strings.HasSuffix(name, "Added"):
		return 1
	case startsWith(name, "Remove", "Delete", "HardDelete", "SoftDelete", "Uninstall", "Purge"), strings.HasSuffix(name, "Deleted"), strings.HasSuffix(name, "Removed"):
		return 4
	case access == "write":
		return 3
	}
	return schemas.ActivityOther
}

func startsWith(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// activity is a class and an activity of OCSF 1.3.
type activity struct{ class, id int32 }

// directory classes an operation on Entra's objects as Entra's own log has it.
// Here the category is missing: the name tells it.
func (o *operation) directory() {
	c := classifyEntra(entraActivity{category: directoryCategory(o.action), name: o.action})
	o.access, o.class, o.activity = c.access, c.class, c.activity
}

func directoryCategory(name string) string {
	name = strings.ToLower(name)
	switch {
	case hasWord(name, "group"):
		return "GroupManagement"
	case hasAny(name, "application", "service principal"):
		return "ApplicationManagement"
	case hasWord(name, "user"), hasWord(name, "account"), hasAny(name, "password", "license", "stsrefreshtoken"):
		return "UserManagement"
	}
	return ""
}

// entityActivity is the OCSF Entity Management of an operation.
func entityActivity(name string) int32 {
	switch {
	case startsWith(name, "Enable"):
		return 8
	case startsWith(name, "Disable"):
		return 9
	}
	if id := apiActivity(name, "write"); id != schemas.ActivityOther {
		return id
	}
	return 3
}

// fileActivities are SharePoint's and OneDrive's operations on files and what
// is shared, by the end of their names, the first that fits.
var fileActivities = []struct {
	part string
	id   int32
}{
	{"Uploaded", 1},
	{"UploadedFull", 1},
	{"UploadedPartial", 1},
	{"Downloaded", 2},
	{"DownloadedFull", 2},
	{"DownloadedPartial", 2},
	{"Modified", 3},
	{"ModifiedExtended", 3},
	{"CheckedIn", 11},
	{"CheckedOut", 10},
	{"LinkDeleted", 13},
	{"Deleted", 4},
	{"DeletedFirstStageRecycleBin", 4},
	{"DeletedSecondStageRecycleBin", 4},
	{"Recycled", 4},
	{"Renamed", 5},
	{"Copied", 6},
	{"Moved", 7},
	{"Restored", 8},
	{"Previewed", 9},
	{"Accessed", 14},
	{"AccessedExtended", 14},
	{"SharingSet", 12},
	{"LinkCreated", 12},
	{"AddedToSecureLink", 12},
	{"InvitationCreated", 12},
	{"InvitationAccepted", 12},
	{"SharingRevoked", 13},
	{"LinkRemoved", 13},
	{"RemovedFromSecureLink", 13},
	{"InvitationRevoked", 13},
}

// siteActivities are SharePoint's operations on sites, groups and rights.
var siteActivities = map[string]activity{
	"AddedToGroup": {schemas.ClassGroupManagement, 3}, "UserAddedToGroup": {schemas.ClassGroupManagement, 3}, "RemovedFromGroup": {schemas.ClassGroupManagement, 4},
	"GroupAdded": {schemas.ClassGroupManagement, 6}, "GroupRemoved": {schemas.ClassGroupManagement, 5}, "GroupUpdated": {schemas.ClassGroupManagement, schemas.ActivityOther},
	"SiteCollectionAdminAdded": {schemas.ClassUserAccess, 1}, "SiteAdminChangeRequest": {schemas.ClassUserAccess, 1}, "SiteCollectionAdminRemoved": {schemas.ClassUserAccess, 2},
	"PermissionLevelAdded": {schemas.ClassEntityManagement, 1}, "PermissionLevelModified": {schemas.ClassEntityManagement, 3}, "PermissionLevelRemoved": {schemas.ClassEntityManagement, 4},
	"SiteCollectionCreated": {schemas.ClassEntityManagement, 1}, "SiteDeleted": {schemas.ClassEntityManagement, 4}, "SharingPolicyChanged": {schemas.ClassEntityManagement, 3},
}

// Values of RecordType of SharePoint that tell files from pages and lists.
const (
	typeSharePointFile    = 6
	typeSharePointSharing = 14
)

func (o *operation) sharePoint(recordType int) {
	if a, ok := siteActivities[o.action]; ok {
		o.class, o.activity = a.class, a.id
		return
	}
	isFile := startsWith(o.action, "File", "Folder", "Sharing", "Shared", "SecureLink", "AnonymousLink", "CompanyLink", "AccessInvitation", "AddedToSecureLink", "RemovedFromSecureLink")
	if !isFile && recordType != typeSharePointFile && recordType != typeSharePointSharing {
		o.class, o.activity = schemas.ClassWebResources, webActivity(o.action, o.access)
		if strings.HasSuffix(o.action, "PolicyChanged") || strings.HasSuffix(o.action, "SettingChanged") || strings.HasPrefix(o.action, "Site") {
			o.class, o.activity = schemas.ClassEntityManagement, entityActivity(o.action)
		}
		return
	}
	o.class, o.activity = schemas.ClassFileHosting, schemas.ActivityOther
	for _, f := range fileActivities {
		if strings.HasSuffix(o.action, f.part) {
			o.activity = f.id
			return
		}
	}
}

// teamActivities are Teams' operations on who is in a team, and on apps.
var teamActivities = map[string]activity{
	"TeamCreated": {schemas.ClassGroupManagement, 6}, "TeamDeleted": {schemas.ClassGroupManagement, 5}, "MemberAdded": {schemas.ClassGroupManagement, 3},
	"MemberRemoved": {schemas.ClassGroupManagement, 4}, "MemberRoleChanged": {schemas.ClassGroupManagement, 1},
	"AppInstalled": {schemas.ClassApplicationLifecycle, 1}, "BotAddedToTeam": {schemas.ClassApplicationLifecycle, 1}, "AppUninstalled": {schemas.ClassApplicationLifecycle, 2},
	"BotRemovedFromTeam": {schemas.ClassApplicationLifecycle, 2}, "AppUpgraded": {schemas.ClassApplicationLifecycle, 8}, "AppPublishedToCatalog": {schemas.ClassApplicationLifecycle, 1},
	"AppUpdatedInCatalog": {schemas.ClassApplicationLifecycle, 8}, "AppDeletedFromCatalog": {schemas.ClassApplicationLifecycle, 2},
}

func (o *operation) teams() {
	switch a, ok := teamActivities[o.action]; {
	case ok:
		o.class, o.activity = a.class, a.id
	case strings.Contains(o.action, "Setting"), strings.HasPrefix(o.action, "Channel"), strings.Contains(o.action, "Policy"):
		o.class, o.activity = schemas.ClassEntityManagement, entityActivity(o.action)
	default:
		o.class, o.activity = schemas.ClassWebResources, webActivity(o.action, o.access)
	}
}

func (o *operation) powerBI() {
	if strings.Contains(o.action, "Dataset") || strings.Contains(o.action, "SemanticModel") || strings.Contains(o.action, "Query") {
		o.class, o.activity = schemas.ClassDatastoreActivity, datastoreActivity(o.action, o.access)
		return
	}
	o.class, o.activity = schemas.ClassWebResources, webActivity(o.action, o.access)
}

// webActivity is the OCSF Web Resources Activity of an operation.
func webActivity(name, access string) int32 {
	switch {
	case strings.HasPrefix(name, "Search"), strings.HasSuffix(name, "Searched"):
		return 5
	case strings.Contains(name, "Import"):
		return 6
	case strings.Contains(name, "Export"):
		return 7
	case strings.Contains(name, "Share"):
		return 8
	}
	return apiActivity(name, access)
}

// datastoreActivity is the OCSF Datastore Activity of an operation.
func datastoreActivity(name, access string) int32 {
	switch {
	case strings.Contains(name, "Query"), strings.Contains(name, "RetrieveMultiple"):
		return 4
	case access == "read":
		return 1
	}
	switch apiActivity(name, access) {
	case 1:
		return 6
	case 3:
		return 2
	case 4:
		return 7
	}
	return schemas.ActivityOther
}
