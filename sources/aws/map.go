package aws

import (
	"strings"
	"time"

	"weir/internal/rawjson"
	"weir/schemas"
)

const maxProduct = 64

// mapper turns records into rows. It owns the memory of the rows' lists until
// reset. Not for concurrent use.
type mapper struct {
	lists   schemas.Lists
	actions map[[2]string]string // service and name to action
}

// maxActions bounds the memory of actions seen; AWS has some 15,000 calls.
const maxActions = 1 << 15

func newMapper() *mapper { return &mapper{actions: map[[2]string]string{}} }

func (m *mapper) reset() { m.lists.Reset() }

// action joins a call's service and name.
func (m *mapper) action(service, name string) string {
	if a, ok := m.actions[[2]string{service, name}]; ok {
		return a
	}
	short := strings.TrimSuffix(service, ".amazonaws.com")
	a := short + ":" + name
	if len(m.actions) < maxActions {
		m.actions[[2]string{strings.Clone(service), strings.Clone(name)}] = a
	}
	return a
}

// mapRecord maps one record, whose JSON syntax has been checked. Strings of the
// row alias raw. A reason tells why the record could not be mapped.
func (m *mapper) mapRecord(a *schemas.Activity, raw string) (reason string) {
	*a = schemas.Activity{Raw: raw}
	if raw == "" || raw[0] != '{' {
		return "a record is no JSON object"
	}
	r := parseRecord(raw)
	if r.eventID == "" {
		return "the record has no eventID"
	}
	a.EventID, a.Time = r.eventID, parseTime(r.eventTime)
	insight := r.insightDetails != ""
	if insight {
		r.eventSource, r.eventName = rawjson.Text(rawjson.Member(r.insightDetails, "eventSource")), rawjson.Text(rawjson.Member(r.insightDetails, "eventName"))
	}
	a.Action = m.action(r.eventSource, r.eventName)
	a.Service, a.Region, a.UserAgent, a.RequestID = r.eventSource, r.awsRegion, r.userAgent, r.requestID
	a.ErrorCode, a.Reason = r.errorCode, r.errorMessage
	switch r.readOnly {
	case "true":
		a.Access = "read"
	case "false":
		a.Access = "write"
	default:
		a.Access = "unknown"
	}
	m.source(a, r.sourceIPAddress)
	id := parseIdentity(r.userIdentity)
	a.ScopeID = r.recipientAccountID
	if a.ScopeID == "" {
		a.ScopeID = id.accountID
	}
	actor(a, &r, &id)
	a.ClientAppName = product(r.userAgent)
	if a.ClientAppName == "" {
		a.ClientAppName = id.invokedBy
	}
	a.Outcome, a.StatusID = "success", schemas.StatusSuccess
	if failed(&r) {
		a.Outcome, a.StatusID = "failure", schemas.StatusFailure
	}
	skip := m.targets(a, &r)
	if a.Access == "write" || r.addendum != "" {
		m.changes(a, &r, skip)
	}
	classify(a, &r, insight)
	return ""
}

// parseTime reads an RFC 3339 time; 0 when it is none.
func parseTime(s string) schemas.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0
	}
	return schemas.Time(t.UnixMilli())
}

// source sets where the call came from: an address, or a service's name.
func (m *mapper) source(a *schemas.Activity, s string) {
	ip, ok := schemas.CanonicalIP(s)
	if !ok {
		a.SrcHost = s
		return
	}
	a.SrcIP, a.IPs = ip, m.lists.Keep(ip)
}

// product is the first word of a user agent, without its version.
func product(agent string) string {
	agent = strings.TrimLeft(agent, "[ ")
	if strings.HasPrefix(agent, "AWS Internal") {
		return "AWS Internal"
	}
	if i := strings.IndexAny(agent, "/ ;,("); i >= 0 {
		agent = agent[:i]
	}
	if len(agent) > maxProduct {
		return ""
	}
	return strings.TrimRight(agent, "]")
}

// failed says whether the call did not do what it asked for.
func failed(r *record) bool {
	if r.errorCode != "" {
		return true
	}
	// Sign-ins and service events tell under their own name.
	if r.eventSource == "signin.amazonaws.com" && rawjson.Text(rawjson.Member(r.responseElements, r.eventName)) == "Failure" {
		return true
	}
	return rawjson.Text(rawjson.Member(r.serviceEventDetails, r.eventName)) == "Failure"
}

// actor sets who authenticated, and whose rights were used when another's.
func actor(a *schemas.Activity, r *record, id *identity) {
	a.ActorID, a.ActorName, a.ActorKind = id.principalID, id.userName, "unknown"
	switch id.typ {
	case "Root":
		a.ActorKind = "human"
		a.ActorID = first(id.principalID, id.accountID)
		a.ActorName = first(id.userName, "root")
	case "IAMUser":
		a.ActorName = first(id.userName, tail(id.arn))
		if id.hasSession || r.eventType == "AwsConsoleSignIn" {
			a.ActorKind = "human" // a console or MFA session; a bare key may be anybody's
		}
	case "AssumedRole":
		assumedRole(a, id)
	case "Role":
		a.ActorKind = "service"
		a.ActorName = first(id.userName, tail(id.arn))
	case "FederatedUser":
		a.ActorKind = "human"
		a.ActorName = first(id.userName, tail(id.arn), id.principalID)
		a.EffectiveID, a.EffectiveName = id.issuerARN, id.issuerName
	case "SAMLUser", "WebIdentityUser":
		a.ActorKind = "human"
		a.ActorName = first(id.userName, id.principalID)
	case "IdentityCenterUser":
		a.ActorKind = "human"
		a.ActorID = first(id.onBehalfOf, id.principalID)
		a.ActorName = first(id.userName, visible(rawjson.Text(rawjson.Member(r.additionalEventData, "UserName"))))
	case "AWSAccount":
		if id.accountID == "ANONYMOUS_PRINCIPAL" {
			a.ActorKind, a.ActorName = "anonymous", "anonymous"
			break
		}
		a.ActorID = first(id.principalID, id.accountID)
		a.ActorName = first(id.userName, id.accountID)
	case "AWSService", "":
		service(a, r, id)
	}
	if a.ActorID == "" && a.ActorName == "" {
		a.ActorName = first(id.arn, id.accountID, id.invokedBy, r.sourceIPAddress, r.eventSource)
	}
	if strings.IndexByte(a.ActorName, '@') > 0 {
		a.ActorEmail = strings.ToLower(a.ActorName)
	}
	if strings.HasPrefix(id.accessKeyID, "AKIA") {
		a.CredentialID = id.accessKeyID
	} else {
		a.SessionID = first(id.accessKeyID, id.signInSessionARN, id.credentialID)
	}
	switch first(id.mfa, rawjson.Text(rawjson.Member(r.additionalEventData, "MFAUsed"))) {
	case "true", "Yes":
		a.MFA = schemas.Some(true)
	case "false", "No":
		a.MFA = schemas.Some(false)
	}
}

// assumedRole maps a role's session. The session's name tells who is behind it.
func assumedRole(a *schemas.Activity, id *identity) {
	_, session, _ := strings.Cut(id.principalID, ":")
	a.ActorName = first(session, tail(id.arn))
	a.EffectiveID, a.EffectiveName = id.issuerARN, id.issuerName
	switch {
	case strings.HasPrefix(id.issuerName, "AWSReservedSSO_"), id.sourceIdentity != "":
		a.ActorKind = "human"
	case strings.Contains(id.issuerARN, "/aws-service-role/"), strings.HasPrefix(session, "i-"),
		id.ec2RoleDelivery != "", id.federatedProvider != "", id.invokedBy != "":
		a.ActorKind = "service"
	case strings.IndexByte(session, '@') > 0:
		a.ActorKind = "human"
	}
}

// service maps calls that AWS itself makes.
func service(a *schemas.Activity, r *record, id *identity) {
	a.ActorKind = "system"
	name := id.invokedBy
	if name == "" && r.insightDetails != "" {
		name = "cloudtrail.amazonaws.com"
	}
	a.ActorID = first(id.principalID, name)
	a.ActorName = first(name, id.userName)
	if strings.HasPrefix(r.eventName, "AssumeRole") {
		if role := rawjson.Text(rawjson.Member(r.requestParameters, "roleArn")); role != "" {
			a.EffectiveID, a.EffectiveName = role, tail(role)
		}
	}
}

func first(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}

// tail is the last part of an ARN or path: the name.
func tail(arn string) string {
	if i := strings.LastIndexAny(arn, "/:"); i >= 0 && i+1 < len(arn) {
		return arn[i+1:]
	}
	return arn
}
