package microsoft365

import (
	"net/netip"
	"strconv"
	"strings"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

// serviceEntra is what the directory's own logs are of.
const serviceEntra = "Entra ID"

// auditMeanings are the OCSF class and activity of what the directory logs.
var auditMeanings = map[org.Verb][2]int32{
	org.AccountCreate: {schemas.ClassAccountChange, 1}, org.AccountUnsuspend: {schemas.ClassAccountChange, 2}, org.PasswordChange: {schemas.ClassAccountChange, 3},
	org.PasswordReset: {schemas.ClassAccountChange, 4}, org.AccountSuspend: {schemas.ClassAccountChange, 5}, org.AccountRemove: {schemas.ClassAccountChange, 6},
	org.AccountDelete: {schemas.ClassAccountChange, 6}, org.AccountUpdate: {schemas.ClassAccountChange, schemas.ActivityOther}, org.AccountRestore: {schemas.ClassAccountChange, schemas.ActivityOther},
	org.RoleGrantVerb: {schemas.ClassUserAccess, 1}, org.RoleRevokeVerb: {schemas.ClassUserAccess, 2}, org.GrantIssue: {schemas.ClassUserAccess, 1}, org.GrantRevoke: {schemas.ClassUserAccess, 2},
	org.GroupAddMember: {schemas.ClassGroupManagement, 3}, org.GroupRemoveMember: {schemas.ClassGroupManagement, 4}, org.GroupDelete: {schemas.ClassGroupManagement, 5},
	org.GroupCreate: {schemas.ClassGroupManagement, 6}, org.GroupUpdate: {schemas.ClassGroupManagement, schemas.ActivityOther},
	org.IntegrationAdd: {schemas.ClassApplicationLifecycle, 1}, org.IntegrationRemove: {schemas.ClassApplicationLifecycle, 2}, org.IntegrationUpdate: {schemas.ClassApplicationLifecycle, 8},
	org.SessionsClear: {schemas.ClassAccountChange, schemas.ActivityOther}, org.IntegrationRestore: {schemas.ClassApplicationLifecycle, schemas.ActivityOther},
	org.PolicyUpdate: {schemas.ClassEntityManagement, 3},
}

// auditKinds are the schema's words for types of targets.
var auditKinds = map[string]string{"User": "account", "Group": "group", "Role": "role", "ServicePrincipal": "app", "Policy": "policy"}

// directoryLogs are the activities of the directory's two logs, as far back as
// they are kept.
func (t *truth) directoryLogs() {
	line := t.s.Timeline[org.Microsoft365]
	for _, e := range line[t.s.HappenedSince(org.Microsoft365, t.s.Now.Add(-t.h.kept())):] {
		switch {
		case isSignIn(e) && t.h.free():
		case isSignIn(e):
			t.rows.Activities = append(t.rows.Activities, t.signIn(e))
		case audits[e.Verb].name != "":
			t.rows.Activities = append(t.rows.Activities, t.audit(e))
		}
	}
}

// from fills what is known of the client's address.
func from(a *schemas.Activity, ip string) {
	if x, err := netip.ParseAddr(ip); err == nil {
		a.SrcIP = x.Unmap().String()
		a.IPs = []string{a.SrcIP}
	}
}

func mailLike(s string) string {
	if strings.Contains(s, "@") {
		return strings.ToLower(s)
	}
	return ""
}

func (t *truth) audit(e *org.Event) schemas.Activity {
	h, s := t.h, t.s
	a := schemas.Activity{
		EventID: h.auditID(e), Time: schemas.Time(auditTime(e.At).UnixMilli()), Kind: "admin", Action: auditOf(s, e).name, Access: "write", Outcome: "success",
		StatusID: schemas.StatusSuccess, SeverityID: schemas.SeverityInformational, SessionID: h.guid("correlation", e.N), Service: serviceEntra, UserAgent: e.Client.UserAgent,
		ClassUID: auditMeanings[e.Verb][0], ActivityID: auditMeanings[e.Verb][1], RequestID: h.guid("correlation", e.N), ScopeID: h.tenantID,
	}
	if isOwnerAdded(e) {
		a.ActivityID = 1
	}
	if e.Actor.Kind == org.AccountRef {
		login := s.Accounts[org.Microsoft365][e.Actor.N].Login
		a.ActorID, a.ActorName, a.ActorEmail, a.ActorKind = h.accountID(e.Actor.N), login, homeOf(login), personKind(login)
		if byOneself(e) {
			a.Kind = "user"
		}
		from(&a, e.Client.IP)
	} else {
		in := s.Integrations[org.Microsoft365][max(0, e.Actor.N)]
		a.ActorID, a.ActorName, a.ActorKind = h.servicePrincipalID(in.N), in.Label, "service"
		a.ClientAppID, a.ClientAppName = h.appID(in.N), in.Label
	}
	for _, x := range h.auditTargets(s, e) {
		a.TargetIDs, a.TargetNames, a.TargetKinds = append(a.TargetIDs, x.id), append(a.TargetNames, x.name+x.login), append(a.TargetKinds, auditKinds[x.kind])
		for _, c := range x.changes {
			// choice: the JSON in the strings is read: a text without its quotes, a
			// list of one value as that.
			a.ChangeNames, a.ChangeOld, a.ChangeNew = append(a.ChangeNames, c.Name), append(a.ChangeOld, c.Old), append(a.ChangeNew, c.New)
		}
	}
	if a.TargetCount = int32(len(a.TargetIDs)); a.TargetCount > 0 {
		a.TargetID, a.TargetName, a.TargetKind = a.TargetIDs[0], a.TargetNames[0], a.TargetKinds[0]
	}
	return a
}

// byOneself says that somebody did what people may do for themselves.
func byOneself(e *org.Event) bool {
	return e.Verb == org.PasswordChange && len(e.Targets) > 0 && e.Targets[0] == e.Actor
}

// isOwnerAdded tells a group's owners from its members: they are given rights.
func isOwnerAdded(e *org.Event) bool { return e.Verb == org.GroupAddMember && e.Text == "owner" }

// guestMark is in the names of accounts that are at home elsewhere.
const guestMark = "#EXT#"

func personKind(login string) string {
	if strings.Contains(strings.ToUpper(login), guestMark) {
		return "guest"
	}
	return "human"
}

// homeOf is the address that a name is: a guest's is made of the one at home,
// bob_fabrikam.com#EXT#@contoso.onmicrosoft.com.
func homeOf(login string) string {
	i := strings.Index(strings.ToUpper(login), guestMark)
	if i < 0 {
		return mailLike(login)
	}
	at := strings.LastIndexByte(login[:i], '_')
	return strings.ToLower(login[:at] + "@" + login[at+1:i])
}

// Interruptions of a sign-in, which are no failures.
var interruptions = map[int]bool{50140: true, 50074: true, 50076: true, 50058: true}

// signIn is what the beta version tells, of all kinds of sign-ins.
func (t *truth) signIn(e *org.Event) schemas.Activity {
	h, s := t.h, t.s
	app, resource := s.Integrations[org.Microsoft365][appOfLogin(e)], s.Integrations[org.Microsoft365][resourceOfLogin]
	a := schemas.Activity{
		EventID: h.signInID(e), Time: schemas.Time(toSecond(e.At).UnixMilli()), Kind: "signin", Action: signInType(s, e), Access: "read", Outcome: "success", StatusID: schemas.StatusSuccess,
		Country: e.Client.CountryCode, City: e.Client.City, UserAgent: e.Client.UserAgent, SessionID: h.sessionID(e), DeviceID: h.deviceOf(e), ClientAppID: h.appID(app.N),
		ClientAppName: app.Label, Service: serviceEntra, ClassUID: schemas.ClassAuthentication, ActivityID: 1, RequestID: h.signInID(e), ScopeID: h.tenantID,
		SeverityID: map[string]int32{"none": schemas.SeverityInformational, "low": schemas.SeverityLow, "medium": schemas.SeverityMedium, "high": schemas.SeverityHigh}[h.risk(s, e)],
		// choice: what was signed in to is the target.
		TargetID: h.appID(resource.N), TargetName: resource.Label, TargetKind: "app", TargetIDs: []string{h.appID(resource.N)}, TargetNames: []string{resource.Label}, TargetKinds: []string{"app"}, TargetCount: 1,
	}
	if a.SessionID == "" {
		a.SessionID = h.guid("correlation", e.N)
	}
	if e.Client.ASN != 0 {
		a.ASN = schemas.Some(e.Client.ASN)
	}
	from(&a, e.Client.IP)
	if e.Failed {
		f := failureOf(e)
		// choice: the number is the code, and stands not in the text again.
		a.ErrorCode, a.Reason, a.Outcome, a.StatusID = strconv.Itoa(f.number), f.text, "failure", schemas.StatusFailure
		if interruptions[f.number] {
			a.Outcome, a.StatusID = "unknown", 0
		}
	}
	switch e.Actor.Kind {
	case org.AccountRef:
		x := s.Accounts[org.Microsoft365][e.Actor.N]
		a.ActorID, a.ActorName, a.ActorEmail, a.ActorKind = h.accountID(x.N), h.displayName(s, x), homeOf(x.Login), personKind(x.Login)
	case org.IntegrationRef:
		a.ActorID, a.ActorName, a.ActorKind = h.servicePrincipalID(app.N), app.Label, "service"
	default:
		a.ActorName, a.ActorEmail, a.ActorKind = e.Text, homeOf(e.Text), "anonymous" // choice: whoever tried a name that no account has
	}
	if e.Actor.Kind != org.IntegrationRef && !e.Failed {
		a.MFA = schemas.Some(e.MFA) // choice: by authenticationRequirement, which is met where it succeeded
	}
	return a
}
