package microsoft365

import (
	"cmp"
	"slices"
	"strings"

	"weir/internal/rawjson"
	"weir/schemas"
)

// auditMapper turns records of the Management Activity API into rows. It owns
// the memory of the rows' lists until reset. Not for concurrent use.
type auditMapper struct {
	lists      schemas.Lists
	operations map[operationKey]operation
}

// operationKey is what an operation's classification depends on.
type operationKey struct {
	workload, name string
	recordType     int
}

// maxOperations bounds the memory of operations seen; the documentation names
// some 2,000.
const maxOperations = 1 << 14

func newAuditMapper() *auditMapper { return &auditMapper{operations: map[operationKey]operation{}} }

func (m *auditMapper) reset() { m.lists.Reset() }

// operation returns what an operation's name tells.
func (m *auditMapper) operation(r *auditRecord) operation {
	key := operationKey{r.workload, r.operation, r.recordType}
	if o, ok := m.operations[key]; ok {
		return o
	}
	key.workload, key.name = strings.Clone(key.workload), strings.Clone(key.name)
	o := classifyOperation(key)
	if len(m.operations) < maxOperations {
		m.operations[key] = o
	}
	return o
}

// mapRecord maps one record, whose JSON syntax has been checked. Strings of the
// row alias raw. A reason tells why the record could not be mapped.
func (m *auditMapper) mapRecord(a *schemas.Activity, raw string) (reason string) {
	*a = schemas.Activity{Raw: raw}
	if raw == "" || raw[0] != '{' {
		return "a record is no JSON object"
	}
	r := parseAudit(raw)
	switch {
	case r.id == "":
		return "the record has no Id"
	case r.operation == "":
		return "the record has no Operation"
	}
	o := m.operation(&r)
	a.EventID, a.Time = r.id, parseAuditTime(r.time)
	a.Action, a.Access, a.Kind = o.action, o.access, o.kind
	a.ClassUID, a.ActivityID, a.SeverityID = o.class, o.activity, schemas.SeverityInformational
	a.Service = service(r.workload)
	a.ScopeID = cmp.Or(strings.TrimSuffix(r.siteURL, "/"), r.organization)
	m.lists.Begin()
	m.source(a, &r)
	client(a, &r)
	actor(a, &r)
	effective(a, &r)
	outcome(a, &r, o)
	m.targets(a, &r)
	m.changes(a, &r)
	m.kind(a, &r, o)
	return ""
}

// services is the product's name by the record's Workload.
var services = map[string]string{
	"AzureActiveDirectory": "Entra ID", "Exchange": "Exchange", "SharePoint": "SharePoint", "OneDrive": "OneDrive",
	"MicrosoftTeams": "Teams", "PowerBI": "Power BI", "MicrosoftFlow": "Power Automate", "CRM": "Dynamics 365 CRM",
	"SkypeForBusiness": "Skype for Business", "Yammer": "Viva Engage", "VivaEngage": "Viva Engage",
	"Office": "Office", "Office365": "Office", "OfficeNative": "Office",
}

// service names a workload; one that is not known keeps its own word.
func service(workload string) string { return cmp.Or(services[workload], workload) }

// source sets the client's addresses, the first being the sender's.
func (m *auditMapper) source(a *schemas.Activity, r *auditRecord) {
	var ips [maxAddresses]string
	n := 0
	for _, s := range [...]string{r.clientIP, r.actorIP, r.clientIPAddress} {
		for s != "" {
			var one string
			one, s, _ = strings.Cut(s, ",")
			one = strings.TrimSpace(one)
			ip, ok := schemas.CanonicalIP(one)
			switch {
			case ok && n < maxAddresses && !slices.Contains(ips[:n], ip):
				ips[n] = ip
				n++
			case !ok && a.SrcHost == "" && one != "" && one != "null" && one != "<null>":
				a.SrcHost = one
			}
		}
	}
	if n > 0 {
		a.SrcIP, a.IPs = ips[0], m.lists.Keep(ips[:n]...)
	}
}

// maxAddresses bounds the addresses of one record.
const maxAddresses = 16

// client sets what the caller used: program, app, session, device.
func client(a *schemas.Activity, r *auditRecord) {
	a.SessionID = r.sessionID
	var accessID, accessName, accessRequest string
	for f := rawjson.Members(r.access); ; {
		name, v, ok := f.Next()
		if !ok {
			break
		}
		switch name {
		case "AADSessionId":
			a.SessionID = cmp.Or(rawjson.Text(v), a.SessionID)
		case "ClientAppId":
			accessID = rawjson.Text(v)
		case "ClientAppName":
			accessName = rawjson.Text(v)
		case "CorrelationId":
			accessRequest = rawjson.Text(v)
		}
	}
	for e := rawjson.Elements(r.device); ; {
		v, ok := e.Next()
		if !ok {
			break
		}
		switch rawjson.Text(rawjson.Member(v, "Name")) {
		case "Id":
			a.DeviceID = rawjson.Text(rawjson.Member(v, "Value"))
		case "SessionId":
			a.SessionID = cmp.Or(a.SessionID, rawjson.Text(rawjson.Member(v, "Value")))
		}
	}
	a.ClientAppID = cmp.Or(accessID, r.applicationID, r.clientAppID, r.appID, r.aadAppID)
	a.ClientAppName = cmp.Or(accessName, r.applicationName, r.clientProcess, r.clientApplication)
	a.UserAgent = r.userAgent
	if a.UserAgent == "" && r.extended != "" {
		if a.UserAgent = named(r.extended, "UserAgent"); a.UserAgent == "" {
			a.UserAgent = rawjson.Text(rawjson.Member(named(r.extended, "additionalDetails"), "User-Agent"))
		}
	}
	a.UserAgent = cmp.Or(a.UserAgent, r.clientInfo)
	switch r.recordType {
	case typeSignIn, typeSignInOld:
		a.RequestID = r.intraSystemID // the id of the sign-in in Entra's own log
	default:
		a.RequestID = cmp.Or(r.correlationID, r.interSystemsID, accessRequest, r.clientRequestID)
	}
}

// outcome sets how it ended. A sign-in tells by its operation: its ResultStatus
// says that the request was answered.
func outcome(a *schemas.Activity, r *auditRecord, o operation) {
	a.ErrorCode = cmp.Or(r.errorCode, r.errorNumber)
	if a.ErrorCode == "0" {
		a.ErrorCode = ""
	}
	switch status := r.resultStatus; {
	case r.operation == "UserLoginFailed":
		a.Outcome = "failure"
	case r.operation == "UserLoggedIn":
		a.Outcome = "success"
	case strings.EqualFold(status, "success"), strings.EqualFold(status, "succeeded"), strings.EqualFold(status, "true"):
		a.Outcome = "success"
	case strings.EqualFold(status, "failed"), strings.EqualFold(status, "failure"), strings.EqualFold(status, "false"), strings.EqualFold(status, "partiallysucceeded"):
		a.Outcome = "failure"
	case r.isSuccess == "true":
		a.Outcome = "success"
	case r.isSuccess == "false":
		a.Outcome = "failure"
	case status == "" && o.happened:
		a.Outcome = "success"
	default:
		a.Outcome = "unknown"
	}
	switch a.Outcome {
	case "success":
		a.StatusID = schemas.StatusSuccess
		a.Reason = r.logonError
	case "failure":
		a.StatusID = schemas.StatusFailure
		a.Reason = cmp.Or(r.logonError, failureOf(r.modified), notSuccess(named(r.extended, "ResultStatusDetail")), r.resultStatus)
		if o.kind == "signin" {
			a.SeverityID = schemas.SeverityLow
		}
	}
}

// failureOf finds the error that Entra writes among what changed.
func failureOf(modified string) string {
	for e := rawjson.Elements(modified); ; {
		v, ok := e.Next()
		if !ok {
			return ""
		}
		if strings.HasPrefix(rawjson.Text(rawjson.Member(v, "Name")), "MethodExecutionResult") {
			return rawjson.Text(rawjson.Member(v, "NewValue"))
		}
	}
}

func notSuccess(s string) string {
	if s == "Success" {
		return ""
	}
	return s
}

// severities is the OCSF severity by an alert's own word.
var severities = map[string]int32{
	"Informational": schemas.SeverityInformational, "Low": schemas.SeverityLow, "Medium": schemas.SeverityMedium,
	"High": schemas.SeverityHigh, "Critical": schemas.SeverityCritical,
}

// kind sets the family of the event where the operation alone does not tell.
func (m *auditMapper) kind(a *schemas.Activity, r *auditRecord, o operation) {
	switch {
	case o.kind == "alert":
		a.SeverityID = cmp.Or(severities[r.severity], worstRule(r.policyDetails), a.SeverityID)
	case o.kind == "signin":
	case ownMailbox(a, r), ownAccount(a, r):
		a.Kind = "user"
	case r.userType == userAdmin, r.userType == userDCAdmin:
		a.Kind = "admin"
	}
}

// worstRule is the highest severity among the rules that a document broke.
func worstRule(policies string) (worst int32) {
	for e := rawjson.Elements(policies); ; {
		policy, ok := e.Next()
		if !ok {
			return worst
		}
		for rules := rawjson.Elements(rawjson.Member(policy, "Rules")); ; {
			rule, ok := rules.Next()
			if !ok {
				break
			}
			worst = max(worst, severities[rawjson.Text(rawjson.Member(rule, "Severity"))])
		}
	}
}

// ownMailbox says that a person has changed the person's own mailbox.
func ownMailbox(a *schemas.Activity, r *auditRecord) bool {
	if r.recordType != typeExchangeAdmin || a.ActorKind != "human" && a.ActorKind != "guest" {
		return false
	}
	owner, _, isRule := strings.Cut(r.objectID, `\`) // "joey\Financial Reporting"
	if !isRule {
		owner = r.objectID[strings.LastIndexByte(r.objectID, '/')+1:]
	} else {
		owner = owner[strings.LastIndexByte(owner, '/')+1:]
	}
	alias, _, _ := strings.Cut(r.userID, "@")
	return owner != "" && (strings.EqualFold(owner, r.userID) || strings.EqualFold(owner, alias))
}

// ownAccount says that a person has done for the own account what people may:
// changed the password, agreed to an app.
func ownAccount(a *schemas.Activity, r *auditRecord) bool {
	if r.recordType != typeDirectory {
		return false
	}
	switch a.Action {
	case "Change user password":
		return a.ActorID != "" && a.ActorID == a.TargetID
	case "Consent to application":
		for i, name := range a.ChangeNames {
			if name == "ConsentContext.IsAdminConsent" {
				return strings.EqualFold(a.ChangeNew[i], "false")
			}
		}
	}
	return false
}
