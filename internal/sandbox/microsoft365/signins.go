package microsoft365

import (
	"time"

	"weir/internal/sandbox/org"
)

// Kinds of sign-ins.
const (
	interactive     = "interactiveUser"
	nonInteractive  = "nonInteractiveUser"
	byApp           = "servicePrincipal"
	byManaged       = "managedIdentity"
	resourceOfLogin = org.GraphAPI
)

func signInType(s *org.State, e *org.Event) string {
	switch {
	case e.Verb == org.TokenRefresh:
		return nonInteractive
	case e.Verb == org.AppSignIn && s.Integrations[org.Microsoft365][e.Actor.N].Kind == "ManagedIdentity":
		return byManaged
	case e.Verb == org.AppSignIn:
		return byApp
	}
	return interactive
}

func isSignIn(e *org.Event) bool {
	return e.Verb == org.SignIn || e.Verb == org.TokenRefresh || e.Verb == org.AppSignIn
}

// signInFailure is a failure as the identity platform numbers it.
type signInFailure struct {
	number int
	text   string
}

var signInFailures = map[string]signInFailure{
	"INVALID_CREDENTIALS": {50126, "Error validating credentials due to invalid username or password."},
	"MFA_REQUIRED":        {50074, "Strong Authentication is required."}, // an interruption, no failure
	"ACCOUNT_DISABLED":    {50057, "User account is disabled."},
	"UNKNOWN_USER":        {50034, "The user account does not exist in the directory."},
	"INVALID_SECRET":      {7000215, "Invalid client secret is provided."},
}

func failureOf(e *org.Event) signInFailure {
	if !e.Failed {
		return signInFailure{text: "Other."}
	}
	if f, ok := signInFailures[e.Reason]; ok {
		return f
	}
	return signInFailures["INVALID_CREDENTIALS"]
}

// risk is the level as it is known now: records are written again when it becomes
// known. That of what was before the tenant began is known when it does.
func (h *Handler) risk(s *org.State, e *org.Event) string {
	if e.Risk == "" || e.RiskAt.After(s.Now) && !e.At.Before(h.feed.began) {
		return "none"
	}
	return e.Risk
}

func toSecond(t time.Time) time.Time { return t.Truncate(time.Second) }

// signIns is the log of sign-ins (5.5). Version 1.0 has the interactive ones.
func (c *call) signIns() *failure {
	if f := c.premium(); f != nil {
		return f
	}
	f := &c.h.facts
	return c.log(&logKind{
		timeName: f.SignInTime, attributes: signAttribute, page: f.SignIns, shown: toSecond, verbs: isSignIn, view: c.signInView,
		values: func(e *org.Event, name string) string {
			v, _ := c.signInView(e)[name].(string)
			return v
		},
	})
}

// riskyUsers are those who have signed in at a risk that is known.
func (c *call) riskyUsers() *failure {
	if f := c.premium(); f != nil {
		return f
	}
	f, s := &c.h.facts, c.s
	last := map[int]*org.Event{}
	for _, e := range s.Timeline[org.Microsoft365] {
		if isSignIn(e) && c.h.risk(s, e) != "none" && e.Actor.Kind == org.AccountRef {
			last[e.Actor.N] = e
		}
	}
	return c.list(Page{100, 500}, len(s.Accounts[org.Microsoft365]), func(i int) object {
		e, a := last[i], s.Accounts[org.Microsoft365][i]
		if e == nil || !present(a) {
			return nil
		}
		return object{
			f.ID: c.h.accountID(i), f.PrincipalName: a.Login, "userDisplayName": c.h.displayName(s, a), "riskLevel": c.h.risk(s, e), "riskState": "atRisk", "riskDetail": "none",
			"riskLastUpdatedDateTime": stamp(e.RiskAt), "isDeleted": false, "isProcessing": false,
		}
	})
}

// appOfLogin is the app that somebody signed in to, or the app itself that did.
func appOfLogin(e *org.Event) int {
	if e.Actor.Kind == org.IntegrationRef {
		return e.Actor.N
	}
	return max(0, e.Via.N)
}

func (h *Handler) deviceOf(e *org.Event) string {
	if e.Actor.Kind != org.AccountRef || e.Actor.N%2 == 1 || e.Client.Device != "Computer" {
		return ""
	}
	return h.guid("device of", e.Actor.N)
}

func (h *Handler) signInID(e *org.Event) string { return h.guid("sign-in", e.N) }

func (h *Handler) sessionID(e *org.Event) string {
	if e.Actor.Kind != org.AccountRef {
		return ""
	}
	return h.guid("session", e.Actor.N*1000+int(e.At.Unix()/86400%1000))
}

func (c *call) signInView(e *org.Event) object {
	h, f, s := c.h, &c.h.facts, c.s
	kind := signInType(s, e)
	app := s.Integrations[org.Microsoft365][appOfLogin(e)]
	resource := s.Integrations[org.Microsoft365][resourceOfLogin]
	fail := failureOf(e)
	level := h.risk(s, e)
	state := "none"
	if level != "none" {
		state = "atRisk"
	}
	v := object{
		f.ID: h.signInID(e), f.SignInTime: stamp(e.At), "userDisplayName": "", "userPrincipalName": "", "userId": "", f.AppID: h.appID(app.N), "appDisplayName": app.Label,
		"ipAddress": e.Client.IP, "clientAppUsed": "Browser", "correlationId": h.guid("correlation", e.N), "conditionalAccessStatus": "notApplied", "isInteractive": kind == interactive,
		"riskDetail": "none", "riskLevelAggregated": level, f.RiskLevel: level, "riskState": state, "riskEventTypes_v2": []string{}, "resourceDisplayName": resource.Label,
		"resourceId": h.appID(resource.N), f.SignInStatus: object{"errorCode": fail.number, "failureReason": fail.text, "additionalDetails": nil},
		"deviceDetail":                     object{"deviceId": h.deviceOf(e), "displayName": "", "operatingSystem": "Windows10", "browser": "Edge", "isCompliant": false, "isManaged": false, "trustType": ""},
		"location":                         object{"city": e.Client.City, "state": "", "countryOrRegion": e.Client.CountryCode, "geoCoordinates": object{"altitude": nil, "latitude": nil, "longitude": nil}},
		"appliedConditionalAccessPolicies": []object{}, "userAgent": e.Client.UserAgent, "servicePrincipalId": "", "servicePrincipalName": nil,
		"homeTenantId": h.tenantID, "resourceTenantId": h.tenantID,
	}
	switch e.Actor.Kind {
	case org.AccountRef:
		a := s.Accounts[org.Microsoft365][e.Actor.N]
		v["userId"], v["userPrincipalName"], v["userDisplayName"] = h.accountID(a.N), a.Login, h.displayName(s, a)
	case org.IntegrationRef:
		v["servicePrincipalId"], v["servicePrincipalName"] = h.servicePrincipalID(app.N), app.Label
	default:
		v["userPrincipalName"], v["userDisplayName"] = e.Text, e.Text
	}
	if c.beta {
		requirement := "singleFactorAuthentication"
		if e.MFA {
			requirement = "multiFactorAuthentication"
		}
		v[f.SignInTypes], v["sessionId"], v["authenticationRequirement"], v["autonomousSystemNumber"] = []string{kind}, text(h.sessionID(e)), requirement, e.Client.ASN
		v["uniqueTokenIdentifier"], v["originalRequestId"], v["clientCredentialType"], v["incomingTokenType"] = h.guid("token", e.N), h.signInID(e), "none", "none"
		v["crossTenantAccessType"], v["authenticationDetails"] = "none", []object{}
	}
	return v
}
