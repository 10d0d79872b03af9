package microsoft365

import (
	"cmp"
	"strconv"

	"weir/internal/rawjson"
	"weir/schemas"
)

// interactiveUser is the kind of sign-in that v1.0 lists, and does not name.
const interactiveUser = "interactiveUser"

// signIn is what is read of a signIn: values as written, and texts.
type signIn struct {
	id, at, correlation, session                      string
	userID, upn, userName, userType                   string
	principalID, principalName, credential            string
	appID, appName                                    string
	resourceID, resourcePrincipal, resourceName       string
	ip, seenIP, asn, userAgent                        string
	types, status, device, location, risk, mfaDemands string
}

func parseSignIn(raw string) (r signIn) {
	for f := rawjson.Members(raw); ; {
		name, v, ok := f.Next()
		if !ok {
			return r
		}
		switch name {
		case "id":
			r.id = rawjson.Text(v)
		case "createdDateTime":
			r.at = rawjson.Text(v)
		case "correlationId":
			r.correlation = rawjson.Text(v)
		case "sessionId":
			r.session = rawjson.Text(v)
		case "userId":
			r.userID = rawjson.Text(v)
		case "userPrincipalName":
			r.upn = rawjson.Text(v)
		case "userDisplayName":
			r.userName = rawjson.Text(v)
		case "userType":
			r.userType = rawjson.Text(v)
		case "servicePrincipalId":
			r.principalID = rawjson.Text(v)
		case "servicePrincipalName":
			r.principalName = rawjson.Text(v)
		case "servicePrincipalCredentialKeyId":
			r.credential = rawjson.Text(v)
		case "appId":
			r.appID = rawjson.Text(v)
		case "appDisplayName":
			r.appName = rawjson.Text(v)
		case "resourceId":
			r.resourceID = rawjson.Text(v)
		case "resourceServicePrincipalId":
			r.resourcePrincipal = rawjson.Text(v)
		case "resourceDisplayName":
			r.resourceName = rawjson.Text(v)
		case "ipAddress":
			r.ip = rawjson.Text(v)
		case "ipAddressFromResourceProvider":
			r.seenIP = rawjson.Text(v)
		case "autonomousSystemNumber":
			r.asn = rawjson.Text(v)
		case "userAgent":
			r.userAgent = rawjson.Text(v)
		case "authenticationRequirement":
			r.mfaDemands = rawjson.Text(v)
		case "riskLevelDuringSignIn":
			r.risk = rawjson.Text(v)
		case "signInEventTypes":
			r.types = v
		case "status":
			r.status = v
		case "deviceDetail":
			r.device = v
		case "location":
			r.location = v
		}
	}
}

// signIn maps one signIn, whose JSON syntax has been checked. Strings of the row
// alias raw. A reason tells why the record could not be mapped.
func (m *entraMapper) signIn(a *schemas.Activity, raw, tenant string) (reason string) {
	*a = schemas.Activity{
		Raw: raw, ScopeID: tenant, Service: entraService, Kind: "signin", Access: entraReads,
		ClassUID: schemas.ClassAuthentication, ActivityID: 1,
	}
	if raw == "" || raw[0] != '{' {
		return "the record is no JSON object"
	}
	r := parseSignIn(raw)
	if r.id == "" {
		return "the record has no id"
	}
	a.EventID, a.Time, a.RequestID = r.id, parseTime(text(r.at)), r.id // the id is that of the request
	types := rawjson.Elements(r.types)
	kind, _ := types.Next()
	a.Action = cmp.Or(rawjson.Text(kind), interactiveUser)
	signInOutcome(a, &r)
	a.SeverityID = riskSeverity(r.risk)
	switch {
	case r.userID == "" && r.upn == "" && r.principalID != "":
		a.ActorID, a.ActorName, a.ActorKind = r.principalID, cmp.Or(r.principalName, r.appName), "service"
		a.CredentialID, a.MFA = r.credential, schemas.Opt[bool]{} // no app has a second factor
	default:
		entraPerson(a, r.userID, r.upn, r.userName, r.userType)
	}
	m.source(a, r.ip, r.seenIP)
	a.Country, a.City = rawjson.Text(rawjson.Member(r.location, "countryOrRegion")), rawjson.Text(rawjson.Member(r.location, "city"))
	if n, err := strconv.ParseInt(r.asn, 10, 64); r.asn != "" && err == nil && n > 0 {
		a.ASN = schemas.Some(n)
	}
	a.UserAgent, a.SessionID = r.userAgent, cmp.Or(r.session, r.correlation)
	a.DeviceID = rawjson.Text(rawjson.Member(r.device, "deviceId"))
	a.ClientAppID, a.ClientAppName = r.appID, r.appName
	m.lists.Begin()
	if r.resourceID != nobodyID { // what stands there for no resource
		m.lists.Target(cmp.Or(r.resourcePrincipal, r.resourceID), r.resourceName, "app")
	}
	m.lists.SetTargets(a)
	return ""
}

// Error codes of sign-ins that are not over: Entra asks for more.
const (
	askedForMFA    = "50074"
	needsMFA       = "50076"
	staySignedIn   = "50140"
	noSessionYet   = "50058"
	noErrorCode    = "0"
	demandsMFA     = "multiFactorAuthentication"
	demandsOneOnly = "singleFactorAuthentication"
)

// signInOutcome sets how it ended, and whether a second factor was given.
func signInOutcome(a *schemas.Activity, r *signIn) {
	a.ErrorCode = rawjson.Text(rawjson.Member(r.status, "errorCode"))
	a.Reason = rawjson.Text(rawjson.Member(r.status, "failureReason"))
	switch a.ErrorCode {
	case noErrorCode:
		a.Outcome, a.StatusID = "success", schemas.StatusSuccess
		a.ErrorCode, a.Reason = "", "" // "Other."
		switch r.mfaDemands {
		case demandsMFA:
			a.MFA = schemas.Some(true)
		case demandsOneOnly:
			a.MFA = schemas.Some(false)
		}
	case askedForMFA, needsMFA, staySignedIn, noSessionYet, "":
		a.Outcome, a.StatusID = "unknown", schemas.StatusUnknown
	default:
		a.Outcome, a.StatusID = "failure", schemas.StatusFailure
	}
}

// riskSeverity is the severity by the risk that Entra saw. Without a licence for
// it, it is hidden.
func riskSeverity(level string) int32 {
	switch level {
	case "low":
		return schemas.SeverityLow
	case "medium":
		return schemas.SeverityMedium
	case "high":
		return schemas.SeverityHigh
	}
	return schemas.SeverityInformational
}
