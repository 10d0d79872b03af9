package microsoft365

import (
	"cmp"
	"strings"

	"weir/internal/rawjson"
	"weir/schemas"
)

// Values of UserType.
const (
	userAdmin            = 2
	userDCAdmin          = 3 // Microsoft's own
	userSystem           = 4
	userApplication      = 5
	userServicePrincipal = 6
	userCustomPolicy     = 7
	userSystemPolicy     = 8
	userGuest            = 10
)

// actor sets who did it. Entra's records list the forms of an identity under
// Actor: there the object id is, under which the account is known.
func actor(a *schemas.Activity, r *auditRecord) {
	var id, name, app, appName string
	isService := false
	for e := rawjson.Elements(r.actor); ; {
		v, ok := e.Next()
		if !ok {
			break
		}
		s, typ := rawjson.Text(rawjson.Member(v, "ID")), rawjson.Text(rawjson.Member(v, "Type"))
		kind, object, isObject := strings.Cut(s, "_")
		switch {
		case isObject && isObjectID(object) && (kind == "User" || kind == "ServicePrincipal"):
			id, isService = object, kind == "ServicePrincipal"
		case typ == "0" && isObjectID(s):
			id = cmp.Or(id, s)
		case typ == "1":
			appName = cmp.Or(appName, s)
		case typ == "2" && isObjectID(s) && s != id:
			app = cmp.Or(app, s)
		}
	}
	if app == id {
		app = ""
	}
	if name = r.userID; name == "Not Available" {
		name = ""
	}
	switch {
	case isObjectID(r.userKey):
		id = cmp.Or(id, r.userKey)
	case isObjectID(r.userID):
		id = cmp.Or(id, r.userID)
	}
	if r.actor != "" && !isAddress(r.userID) && appName != "" {
		name = appName // "Microsoft Teams Services" for ServicePrincipal_8526512e-...
	}
	a.ActorID = cmp.Or(id, keyOf(r.userKey, r.userID))
	a.ActorName = name
	if isAddress(r.userID) {
		a.ActorEmail = strings.ToLower(cmp.Or(homeAddress(r.userID), r.userID)) // of a guest, that at home
	}
	a.ActorKind = actorKind(r, isService)
	if r.recordType == typeDirectory {
		a.ClientAppID = cmp.Or(a.ClientAppID, app)
		if app != "" {
			a.ClientAppName = cmp.Or(a.ClientAppName, appName)
		}
	}
}

// keyOf is one form of the several in which workloads write a person's key
// (10032001266C162C, 10032001266C162C@acme.onmicrosoft.com,
// i:0h.f|membership|10032001266c162c@live.com): the PUID, upper-case; else
// whatever names the actor.
func keyOf(key, user string) string {
	s := key
	if i := strings.LastIndexByte(s, '|'); i >= 0 {
		app, isApp := strings.CutPrefix(s[:i], "i:0i.t|")
		if app, _, _ = strings.Cut(app, "|"); isApp && isObjectID(app) {
			return app // i:0i.t|00000003-0000-0ff1-ce00-000000000000|app@sharepoint
		}
		s = s[i+1:]
	}
	s, _, _ = strings.Cut(s, "@")
	if isPUID(s) {
		return strings.ToUpper(s)
	}
	switch key {
	case "", "Not Available", "S-1-0-0", "NOT-FOUND":
		switch user {
		case "Not Available", "NOT-FOUND", "Unknown", "Certificate":
			return ""
		}
		return user
	}
	return key
}

// isPUID says whether s is a passport id: 16 hexadecimal digits, the first one 1.
func isPUID(s string) bool {
	if len(s) != 16 || s[0] != '1' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return true
}

func actorKind(r *auditRecord, isService bool) string {
	user := r.userID
	switch {
	case hasPrefixFold(user, `NT AUTHORITY\`), hasPrefixFold(user, `NT SERVICE\`), hasPrefixFold(user, `SHAREPOINT\system`),
		hasPrefixFold(user, `Microsoft\`), user == "S-1-5-18", r.userType == userSystem && !isService,
		r.userType == userCustomPolicy, r.userType == userSystemPolicy, strings.HasSuffix(user, "@support.onmicrosoft.com"):
		return "system"
	case isService, hasPrefixFold(user, "ServicePrincipal_"), user == "app@sharepoint", r.userType == userServicePrincipal,
		hasSuffixFold(user, ".prod.outlook.com"), r.userType == userApplication && !isAddress(user):
		return "service"
	case r.userType == userGuest, strings.Contains(user, "#EXT#"), strings.Contains(user, "#ext#"), strings.Contains(user, "urn:spo:guest"):
		return "guest"
	case strings.EqualFold(user, "anonymous"), strings.HasPrefix(user, "urn:spo:anon"):
		return "anonymous"
	case isAddress(user), isObjectID(user), isObjectID(r.userKey):
		return "human"
	case r.userType == userDCAdmin:
		return "system"
	case strings.HasSuffix(r.userKey, "PartnerUser"):
		return "service" // FfoServicePartnerUser
	}
	return "unknown"
}

// effective sets whose mailbox was used, when another's, or in whose name mail
// was sent.
func effective(a *schemas.Activity, r *auditRecord) {
	owner := cmp.Or(r.sendAs, r.sendOnBehalf, r.mailboxOwner)
	if owner == "" || strings.EqualFold(owner, r.userID) {
		return
	}
	a.EffectiveID, a.EffectiveName = owner, owner
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}
