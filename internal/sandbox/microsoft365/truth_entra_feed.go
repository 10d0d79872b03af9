package microsoft365

import (
	"strconv"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

// entraMeanings are the OCSF class and activity of the directory's events.
var entraMeanings = map[org.Verb]meaning{
	org.AccountCreate: {"write", schemas.ClassAccountChange, 1}, org.AccountUpdate: {"write", schemas.ClassAccountChange, other}, org.AccountSuspend: {"write", schemas.ClassAccountChange, 5},
	org.AccountUnsuspend: {"write", schemas.ClassAccountChange, 2}, org.AccountRemove: {"write", schemas.ClassAccountChange, 6}, org.AccountDelete: {"write", schemas.ClassAccountChange, 6},
	org.PasswordReset: {"write", schemas.ClassAccountChange, 4}, org.PasswordChange: {"write", schemas.ClassAccountChange, 3}, org.AccountRestore: {"write", schemas.ClassAccountChange, 2},
	org.GroupCreate: {"write", schemas.ClassGroupManagement, 6}, org.GroupUpdate: {"write", schemas.ClassGroupManagement, other}, org.GroupDelete: {"write", schemas.ClassGroupManagement, 5},
	org.GroupAddMember: {"write", schemas.ClassGroupManagement, 3}, org.GroupRemoveMember: {"write", schemas.ClassGroupManagement, 4},
	org.RoleGrantVerb: {"write", schemas.ClassUserAccess, 1}, org.RoleRevokeVerb: {"write", schemas.ClassUserAccess, 2},
	org.IntegrationAdd: {"write", schemas.ClassApplicationLifecycle, 1}, org.IntegrationUpdate: {"write", schemas.ClassApplicationLifecycle, 8},
	org.IntegrationRemove: {"write", schemas.ClassApplicationLifecycle, 2},
	org.GrantIssue:        {"write", schemas.ClassUserAccess, 1}, org.GrantRevoke: {"write", schemas.ClassUserAccess, 2},
	org.SessionsClear: {"write", schemas.ClassAccountChange, other}, org.IntegrationRestore: {"write", schemas.ClassApplicationLifecycle, other}, org.PolicyUpdate: {"write", schemas.ClassEntityManagement, 3},
}

// targetKinds are the schema's words for what the directory holds.
var targetKinds = map[string]string{
	"User": "account", "Group": "group", "Role": "role", "ServicePrincipal": "app", "Policy": "policy",
}

// entraActivity is what the Management Activity API tells of an event of the
// directory. The directory's own logs tell it too, under another id.
func (t *truth) entraActivity(e logged) schemas.Activity {
	h, s := t.h, t.s
	a := schemas.Activity{
		EventID: h.recordID(e), Time: atSecond(e.At), Kind: "admin", Action: auditOf(s, e.Event).name, Access: "write", Outcome: "success", StatusID: schemas.StatusSuccess,
		Service: "Entra ID", SeverityID: schemas.SeverityInformational, RequestID: h.guid("correlation", e.N),
	}
	if ip := canonical(e.Client.IP); ip != "" {
		a.SrcIP, a.IPs = ip, []string{ip}
	}
	add := func(id, name, kind string) {
		a.TargetIDs, a.TargetNames, a.TargetKinds = append(a.TargetIDs, id), append(a.TargetNames, name), append(a.TargetKinds, kind)
	}
	if isPersonsSignIn(e.Event) {
		t.stsActivity(&a, e)
		add(h.appID(resourceOfLogin), "", "app")
	} else {
		m := entraMeanings[e.Verb]
		a.ClassUID, a.ActivityID = m.class, m.activity
		if isOwnerAdded(e.Event) {
			a.ActivityID = 1
		}
		actor := h.actorOf(s, e.Event)
		a.ActorID, a.ActorName, a.ActorKind = actor.id, actor.name, "human"
		if actor.kind == "User" {
			a.ActorEmail, a.ActorKind = homeOf(actor.name), personKind(actor.name)
		} else {
			a.ActorKind, a.ClientAppID, a.ClientAppName = "service", actor.other, actor.name
		}
		if byOneself(e.Event) {
			a.Kind = "user"
		}
		a.UserAgent = e.Client.UserAgent
		for _, x := range h.auditTargets(s, e.Event) {
			add(x.id, x.name+x.login, targetKinds[x.kind])
			for _, c := range x.changes {
				a.ChangeNames, a.ChangeOld, a.ChangeNew = append(a.ChangeNames, c.Name), append(a.ChangeOld, c.Old), append(a.ChangeNew, c.New)
			}
		}
	}
	firstTarget(&a)
	return a
}

func (t *truth) stsActivity(a *schemas.Activity, e logged) {
	a.Kind, a.Action, a.Access, a.ClassUID, a.ActivityID = "signin", "UserLoggedIn", "read", schemas.ClassAuthentication, 1
	a.RequestID = t.h.signInID(e.Event)
	a.ActorKind = "unknown" // choice: that a name is not available is no name
	if e.Actor.Kind == org.AccountRef {
		login := t.s.Accounts[org.Microsoft365][e.Actor.N].Login
		a.ActorID, a.ActorName, a.ActorEmail, a.ActorKind = t.h.accountID(e.Actor.N), login, homeOf(login), personKind(login)
	}
	if e.Failed {
		a.Action, a.Outcome, a.StatusID, a.SeverityID = "UserLoginFailed", "failure", schemas.StatusFailure, schemas.SeverityLow
		failed := failureOf(e.Event)
		a.ErrorCode, a.Reason = strconv.Itoa(failed.number), failed.text
	}
	a.UserAgent, a.ClientAppID = e.Client.UserAgent, t.h.appID(e.Via.N)
	if e.Session != "" {
		a.SessionID = t.h.sessionOf(e)
	}
}

// firstTarget fills the columns of the primary target from the lists.
func firstTarget(a *schemas.Activity) {
	if a.TargetCount = int32(len(a.TargetIDs)); a.TargetCount > 0 {
		a.TargetID, a.TargetName, a.TargetKind = a.TargetIDs[0], a.TargetNames[0], a.TargetKinds[0]
	}
}
