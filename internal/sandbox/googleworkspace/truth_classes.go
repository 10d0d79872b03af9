package googleworkspace

import (
	"slices"
	"strings"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

// meaning is what an event means in the schema's terms.
type meaning struct {
	class, activity int32
	access          string
}

const other = schemas.ActivityOther

// meaningOf is an event's, by its application, type and name (8).
func meaningOf(name string, e *org.ReportEvent) meaning {
	switch name {
	case "login":
		if e.Type == "login" {
			return signing(e)
		}
		return accountMeaning(e)
	case "saml":
		return signing(e)
	case "user_accounts":
		return accountMeaning(e)
	case "admin":
		return adminMeaning(e)
	case "token":
		switch e.Name {
		case "authorize":
			return meaning{schemas.ClassUserAccess, 1, "write"}
		case "revoke":
			return meaning{schemas.ClassUserAccess, 2, "write"}
		case "activity":
			return meaning{schemas.ClassAPIActivity, other, "unknown"}
		}
		return meaning{schemas.ClassUserAccess, other, "unknown"}
	case "groups", "groups_enterprise":
		return meaning{schemas.ClassGroupManagement, other, "write"}
	case "drive":
		return driveMeaning(e)
	case "takeout":
		return meaning{schemas.ClassDatastoreActivity, other, "unknown"}
	case "context_aware_access":
		return meaning{schemas.ClassWebResources, other, "read"}
	}
	return wordMeaning(e)
}

func signing(e *org.ReportEvent) meaning {
	if e.Name == "logout" {
		return meaning{schemas.ClassAuthentication, 2, "read"}
	}
	return meaning{schemas.ClassAuthentication, 1, "read"}
}

// accountActivities are OCSF's activities of what changes an account.
var accountActivities = map[string]int32{
	"CREATE_USER": 1, "UNSUSPEND_USER": 2, "UNDELETE_USER": 2, "UNARCHIVE_USER": 2, "CHANGE_PASSWORD": 3, "password_edit": 3, "CHANGE_PASSWORD_ON_NEXT_LOGIN": 4, "SUSPEND_USER": 5,
	"ARCHIVE_USER": 5, "DELETE_USER": 6, "2sv_enroll": 10, "2sv_disable": 11, "TURN_OFF_2_STEP_VERIFICATION": 11, "passkey_enrolled": 10, "passkey_removed": 11,
}

func accountMeaning(e *org.ReportEvent) meaning {
	m := meaning{schemas.ClassAccountChange, other, "write"}
	if n, ok := accountActivities[e.Name]; ok {
		m.activity = n
	}
	switch {
	case strings.HasPrefix(e.Name, "account_disabled_"):
		m.activity = 5
	case e.Type == warning && m.activity == other:
		m.access = "unknown" // nothing was changed, for all that is known
	}
	return m
}

func adminMeaning(e *org.ReportEvent) meaning {
	switch {
	case e.Name == "GRANT_ADMIN_PRIVILEGE" || e.Name == "ASSIGN_ROLE":
		return meaning{schemas.ClassUserAccess, 1, "write"}
	case e.Name == "REVOKE_ADMIN_PRIVILEGE" || e.Name == "UNASSIGN_ROLE":
		return meaning{schemas.ClassUserAccess, 2, "write"}
	case e.Type == userSettings:
		return accountMeaning(e)
	case e.Type == groupSettings:
		n, ok := map[string]int32{"ADD_GROUP_MEMBER": 3, "REMOVE_GROUP_MEMBER": 4, "DELETE_GROUP": 5, "CREATE_GROUP": 6}[e.Name]
		if !ok {
			n = other
		}
		return meaning{schemas.ClassGroupManagement, n, "write"}
	}
	return meaning{schemas.ClassEntityManagement, 3, "write"}
}

// driveActivities are OCSF's activities of what is done with files.
var driveActivities = map[string]meaning{
	"view": {activity: 14, access: "read"}, "print": {activity: 14, access: "read"}, "preview": {activity: 9, access: "read"}, "download": {activity: 2, access: "read"},
	"upload": {activity: 1, access: "write"}, "create": {activity: 1, access: "write"}, "edit": {activity: 3, access: "write"}, "copy": {activity: 6, access: "write"},
	"rename": {activity: 5, access: "write"}, "move": {activity: 7, access: "write"}, "trash": {activity: 4, access: "write"}, "delete": {activity: 4, access: "write"},
	"untrash": {activity: 8, access: "write"},
}

func driveMeaning(e *org.ReportEvent) meaning {
	m, ok := driveActivities[e.Name]
	if !ok {
		m = meaning{activity: 12, access: "write"} // who may do what with it
	}
	m.class = schemas.ClassFileHosting
	return m
}

// words tell what an event does whose application says no more, by the first that
// its name has.
var words6003 = []struct {
	words    []string
	activity int32
	access   string
}{
	{[]string{"create", "add", "upload"}, 1, "write"}, {[]string{"edit", "edited", "change", "update"}, 3, "write"}, {[]string{"delete", "remove"}, 4, "write"}, {[]string{"view", "read", "list"}, 2, "read"},
}

func wordMeaning(e *org.ReportEvent) meaning {
	for _, part := range strings.Split(strings.ToLower(e.Name), "_") {
		for _, w := range words6003 {
			if slices.Contains(w.words, part) {
				return meaning{schemas.ClassAPIActivity, w.activity, w.access}
			}
		}
	}
	return meaning{schemas.ClassAPIActivity, other, "unknown"}
}
