package microsoft365

import (
	"strings"

	"weir/internal/rawjson"
)

// nobodyID stands for the id of an object that does not exist.
const nobodyID = "00000000-0000-0000-0000-000000000000"

// isObjectID tells ids of Entra's objects from other keys.
func isObjectID(s string) bool { return isGUID(s) && s != nobodyID }

// directoryKinds is target_kind by the type of one of Entra's objects: in its own
// log; in the records of the Management Activity API, the word before an
// object's id, and before ".ObjectID" in what changed.
var directoryKinds = map[string]string{
	"User": "account", "Contact": "account", "ExternalUserProfile": "account", "PendingExternalUserProfile": "account",
	"Group": "group",
	"Role":  "role", "RoleDefinition": "role", "AppRole": "role", "AppRoleAssignment": "role",
	"ServicePrincipal": "app", "Application": "app", "App": "app",
	"Device": "device", "DeviceTemplate": "device",
	"Policy": "policy", "ConditionalAccessPolicy": "policy", "PermissionGrantPolicy": "policy",
	"Domain":    "domain",
	"Directory": "org", "Company": "org", "Tenant": "org", "AdministrativeUnit": "org",
	"OAuth2PermissionGrant": "credential", "Credential": "credential", "Key": "credential",
}

// innerValue reads a value that is JSON within a string. The commonest, a string
// without escapes of its own, needs no unescaping.
func innerValue(v string) string {
	const quote = `"\"`
	if inner, ok := strings.CutPrefix(v, quote); ok {
		if inner, ok = strings.CutSuffix(inner, `\""`); ok && strings.IndexByte(inner, '\\') < 0 {
			return inner
		}
	}
	return innerText(rawjson.Text(v))
}

// innerText reads a value that is JSON within a string: a string's content; of a
// list of one scalar, that; other values as they stand.
func innerText(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || s == "null" {
		return ""
	}
	switch s[0] {
	case '"':
		if len(s) < 2 || s[len(s)-1] != '"' {
			return s
		}
		return rawjson.Text(s)
	case '[':
		e := rawjson.Elements(s)
		one, ok := e.Next()
		if !ok {
			if strings.TrimSpace(s[1:]) == "]" {
				return ""
			}
			return s
		}
		if _, more := e.Next(); more || one[0] == '{' || one[0] == '[' || s[len(s)-1] != ']' {
			return s
		}
		return innerText(one)
	}
	return s
}
