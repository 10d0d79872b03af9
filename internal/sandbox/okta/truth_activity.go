package okta

import (
	"net/netip"
	"slices"
	"strings"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

// activities appends the events that the log still keeps.
func (t *truth) activities() {
	f := &t.h.facts
	oldest := t.s.Now.Add(-f.Retention)
	for _, e := range t.s.Timeline[org.Okta] {
		if !e.Seen.Before(oldest) {
			t.rows.Activities = append(t.rows.Activities, t.activity(e))
		}
	}
}

func (t *truth) activity(e *org.Event) schemas.Activity {
	s, f := t.s, &t.h.facts
	v := verbOf(s, e)
	a := schemas.Activity{
		EventID: string(appendUUID(nil, seedOf(s), e.N)), Time: ms(e.At), Action: v.event, Reason: reason(e),
		SessionID: e.Session, ScopeID: t.id(kindOrg, 0),
		// choice: the transaction is what the vendor calls a request.
		RequestID: t.id(kindTransaction, e.N),
	}
	switch result(f, e) {
	case "SUCCESS", "ALLOW":
		a.Outcome, a.StatusID = "success", schemas.StatusSuccess
	default:
		a.Outcome, a.StatusID = "failure", schemas.StatusFailure
	}
	switch severity(v, e) {
	case "WARN":
		a.SeverityID = schemas.SeverityMedium
	default:
		a.SeverityID = schemas.SeverityInformational
	}
	t.actor(&a, e)
	t.where(&a, e)
	if e.Verb == org.MFAVerify && !e.Failed {
		a.MFA = schemas.Some(true) // choice: a second factor given, told by nothing else
	}
	for _, x := range appendTargets(nil, s, e) {
		t.target(&a, &x)
	}
	a.TargetCount = int32(len(a.TargetIDs))
	if a.TargetCount > 0 {
		a.TargetID, a.TargetName, a.TargetKind = a.TargetIDs[0], a.TargetNames[0], a.TargetKinds[0]
		// Changes stand at a target: without one the log tells none.
		for _, c := range e.Changes {
			a.ChangeNames = append(a.ChangeNames, c.Name)
			a.ChangeOld = append(a.ChangeOld, c.Old)
			a.ChangeNew = append(a.ChangeNew, c.New)
		}
	}
	classify(&a, v.event)
	t.client(&a, e)
	return a
}

func (t *truth) actor(a *schemas.Activity, e *org.Event) {
	s := t.s
	switch e.Actor.Kind {
	case org.AccountRef:
		acc := s.Accounts[org.Okta][e.Actor.N]
		a.ActorID, a.ActorName, a.ActorKind = t.id(kindUser, acc.N), fullName(s.People[acc.Person]), "human"
		a.ActorEmail = address(acc.Login)
	case org.IntegrationRef:
		a.ActorID, a.ActorName, a.ActorKind = t.id(kindApp, e.Actor.N), s.Integrations[org.Okta][e.Actor.N].Label, "service"
	case org.AnonymousRef:
		// choice: "unknown" in place of an id and a name is none; who tried
		// nobody's login is anonymous.
		a.ActorKind, a.ActorEmail = "anonymous", address(e.Text)
	default:
		a.ActorID, a.ActorName, a.ActorKind, a.ActorEmail = "system", "Okta System", "system", "system@okta.com"
	}
}

// address is what holds an @.
func address(s string) string {
	if strings.Contains(s, "@") {
		return strings.ToLower(s)
	}
	return ""
}

// canonical writes an address in its one canonical form.
func canonical(ip string) string { return netip.MustParseAddr(ip).Unmap().String() }

// where fills in where the request came from and what it was made with.
func (t *truth) where(a *schemas.Activity, e *org.Event) {
	s := t.s
	if c := visible(e); c != nil {
		a.SrcIP = canonical(c.IP)
		a.IPs = []string{a.SrcIP}
		if e.N%16 == 3 {
			a.IPs = append(a.IPs, "198.51.100.9") // the proxy
		}
		if c.Country != "" {
			a.Country, a.City = c.Country, c.City
		}
		if c.ASN != 0 {
			a.ASN = schemas.Some(c.ASN)
		}
		a.UserAgent = c.UserAgent
	}
	// choice: a token's id is a credential_id and no client_app_id: SCHEMA.md
	// has a column for each.
	if e.Via.Kind == org.GrantRef && s.Grants[org.Okta][e.Via.N].Kind == org.GrantAPIToken {
		a.CredentialID = prefixAPIToken + t.id(kindAPIToken, e.Via.N)
	}
}

// client fills in the app that was used. choice: the OAuth client, whose name the
// record has where it is the actor or a target; else, for sign-ins, the app
// signed in to, so that it joins.
func (t *truth) client(a *schemas.Activity, e *org.Event) {
	apps := t.s.Integrations[org.Okta]
	n := clientApp(e)
	if visible(e) == nil {
		n = -1
	}
	if n >= 0 {
		a.ClientAppID = t.id(kindApp, n)
		if a.ActorID == a.ClientAppID || slices.Contains(a.TargetIDs, a.ClientAppID) {
			a.ClientAppName = apps[n].Label
		}
		return
	}
	for _, r := range e.Targets {
		if r.Kind == org.IntegrationRef && a.Kind == "signin" {
			a.ClientAppID, a.ClientAppName = t.id(kindApp, r.N), apps[r.N].Label
			return
		}
	}
}

func (t *truth) target(a *schemas.Activity, x *target) {
	name := x.name
	if name == "" {
		name = x.alt
	}
	is, kind := string(x.appendID(nil, seedOf(t.s))), "other"
	switch x.typ {
	case typeUser:
		kind = "account"
	case typeGroup:
		kind = "group"
	case typeApp, typeClient:
		kind = "app"
	case typeRole:
		kind = "role"
	case typePolicy:
		kind = "policy"
	case typeOrg:
		kind = "org"
	case typeToken:
		kind, is = "credential", prefixAPIToken+is // choice: as app_grants calls it, so that they join
	case typeRefresh:
		kind, is = "credential", prefixRefresh+is
	case typeConsent:
		kind, is = "credential", prefixConsent+is
	case typeAppUser:
		// choice: a user's profile in an app stands for the account, which is
		// named once.
		kind, is = "account", t.id(kindUser, x.n&(1<<20-1))
	}
	if slices.Contains(a.TargetIDs, is) {
		return
	}
	a.TargetIDs = append(a.TargetIDs, is)
	a.TargetNames = append(a.TargetNames, name)
	a.TargetKinds = append(a.TargetKinds, kind)
}

// classify fills in kind, access and the OCSF ids.
//
// choice: activity ids are those of OCSF 1.3 that fit the verb, else 99. access
// is read for sign-ins and alerts, which change nothing that is administered,
// and write for the rest.
func classify(a *schemas.Activity, event string) {
	has := func(p string) bool { return strings.HasPrefix(event, p) }
	ends := func(p string) bool { return strings.HasSuffix(event, p) }
	set := func(kind string, class, activity int32) { a.Kind, a.ClassUID, a.ActivityID = kind, class, activity }
	pick := func(pairs ...any) int32 {
		for i := 0; i < len(pairs); i += 2 {
			if ends(pairs[i].(string)) {
				return int32(pairs[i+1].(int))
			}
		}
		return schemas.ActivityOther
	}
	a.Access = "write"
	switch {
	case event == "user.session.clear":
		// choice: an administrator's deed, as the sheet has it: sessions end.
		set("admin", schemas.ClassAuthentication, 2)
	case has("user.session."), has("user.authentication."):
		set("signin", schemas.ClassAuthentication, pick(".start", 1, ".end", 2, ".sso", 1, ".auth_via_mfa", 1))
		a.Access = "read"
	case has("user.account.privilege."):
		set("admin", schemas.ClassUserAccess, pick(".grant", 1, ".revoke", 2))
	case has("user.lifecycle."), has("user.account."), has("user.mfa.factor."):
		kind := "user"
		if a.ActorID != a.TargetID {
			kind = "admin"
		}
		set(kind, schemas.ClassAccountChange, pick(".create", 1, "lifecycle.activate", 2, ".unsuspend", 2, ".suspend", 5, ".deactivate", 5,
			".delete.initiated", 6, ".update_password", 3, ".reset_password", 4, ".expire_password", 4, ".lock", 9, "factor.activate", 10))
	case has("app.oauth2.client.privilege."):
		set("admin", schemas.ClassUserAccess, pick(".grant", 1, ".revoke", 2))
	case has("group.user_membership."), has("group.lifecycle."), has("group.privilege."), has("group.profile."):
		// choice: group.profile.* belongs to its neighbours.
		set("admin", schemas.ClassGroupManagement, pick("membership.add", 3, "membership.remove", 4, ".delete", 5, ".create", 6, "privilege.grant", 1, "privilege.revoke", 2))
	case has("application.user_membership."):
		set("admin", schemas.ClassUserAccess, pick(".add", 1, ".remove", 2))
	case has("application.lifecycle."), has("app.oauth2.client.lifecycle."), has("integration.api_service.lifecycle."):
		// choice: integration.api_service.* belongs to application.lifecycle.*.
		set("admin", schemas.ClassApplicationLifecycle, pick(".create", 1, ".authorize", 1, ".update", 8, ".deactivate", 7, ".activate", 6, ".delete", 2, ".revoke", 2))
	case has("app.oauth2."), has("system.api_token."):
		kind := "admin"
		if strings.Contains(event, ".grant") && !strings.Contains(event, ".admin.") {
			kind = "user" // choice: what an admin grants is admin
		}
		set(kind, schemas.ClassAPIActivity, pick(".create", 1, ".grant", 1, ".grant.refresh_token", 1, ".revoke", 4))
	case has("policy."):
		set("admin", schemas.ClassEntityManagement, pick(".update", 3))
	case has("security.threat."):
		// choice: kind alert, which SCHEMA.md has where the sheet says system.
		set("alert", schemas.ClassDetectionFinding, 1)
		a.Access = "read"
	case has("system.org.rate_limit."):
		set("admin", schemas.ClassAPIActivity, schemas.ActivityOther)
		a.Access = "read" // choice: a warning changes nothing
	default:
		// choice: the sheet's kind system is no kind of SCHEMA.md's.
		set("admin", schemas.ClassAPIActivity, schemas.ActivityOther)
	}
}
