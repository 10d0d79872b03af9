package microsoft365

import (
	"time"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

// services are the products' names; a workload without one keeps its own.
var services = map[string]string{
	"CRM": "Dynamics 365 CRM", "MicrosoftFlow": "Power Automate", "PowerBI": "Power BI", "SkypeForBusiness": "Skype for Business", "MicrosoftTeams": "Teams", "Yammer": "Viva Engage",
	workloadEntra: "Entra ID",
}

func serviceOf(workload string) string {
	if s := services[workload]; s != "" {
		return s
	}
	return workload
}

// feedActivities appends the events that the Management Activity API has told of.
// choice: what it has of the week before the sandbox began, and since; where real
// records are replayed there is no truth but they themselves.
func (t *truth) feedActivities() {
	h := t.h
	if h.recording != nil {
		return
	}
	oldest := h.feed.oldest()
	for _, app := range []string{org.Microsoft365, org.OfficeLog} {
		for _, e := range t.s.Timeline[app] {
			l := logged{app, e}
			if contentOf(l) == "" || !t.told(l, oldest) {
				continue
			}
			if app == org.OfficeLog {
				t.rows.Activities = append(t.rows.Activities, t.officeActivity(l))
			} else {
				t.rows.Activities = append(t.rows.Activities, t.entraActivity(l))
			}
		}
	}
}

// told says whether a blob with the event is, or was, there to be read.
func (t *truth) told(e logged, oldest time.Time) bool {
	at, again := t.h.feed.available(t.h.seed, e)
	for _, when := range []time.Time{at, again} {
		if !when.IsZero() && !when.Before(oldest) && !when.After(t.s.Now) && !t.h.feed.lost(contentOf(e), when) {
			return true
		}
	}
	return false
}

// meaning is what a kind of work means in the schema's terms.
type meaning struct {
	access          string
	class, activity int32
}

const other = 99 // an activity that OCSF has no name for

var meanings = map[org.Verb]meaning{
	org.FileRead: {"read", schemas.ClassFileHosting, 14}, org.FileDownload: {"read", schemas.ClassFileHosting, 2}, org.FilePreview: {"read", schemas.ClassFileHosting, 9},
	org.FileUpload: {"write", schemas.ClassFileHosting, 1}, org.FileEdit: {"write", schemas.ClassFileHosting, 3}, org.FileRename: {"write", schemas.ClassFileHosting, 5},
	org.FileMove: {"write", schemas.ClassFileHosting, 7}, org.FileTrash: {"write", schemas.ClassFileHosting, 4}, org.FolderCreate: {"write", schemas.ClassFileHosting, other},
	org.FileRestore: {"write", schemas.ClassFileHosting, 8}, org.FileCopy: {"write", schemas.ClassFileHosting, 6},
	org.InheritanceBreak: {"write", schemas.ClassFileHosting, other}, org.InheritanceReset: {"write", schemas.ClassFileHosting, other},
	org.FileShare: {"write", schemas.ClassFileHosting, 12}, org.FileUnshare: {"write", schemas.ClassFileHosting, 13}, org.LinkAnyone: {"write", schemas.ClassFileHosting, 12},
	org.LinkCompany: {"write", schemas.ClassFileHosting, 12}, org.LinkPeople: {"write", schemas.ClassFileHosting, 12}, org.LinkRemove: {"write", schemas.ClassFileHosting, 13},
	org.SitePermission: {"write", schemas.ClassGroupManagement, 3}, org.PageView: {"read", schemas.ClassWebResources, 2}, org.SiteSearch: {"read", schemas.ClassWebResources, 5},
	org.ListView: {"read", schemas.ClassWebResources, 2}, org.CommentAdd: {"write", schemas.ClassWebResources, 1},

	org.MailRead: {"read", schemas.ClassAPIActivity, 2}, org.MailSend: {"write", schemas.ClassAPIActivity, 3}, org.MailDelete: {"write", schemas.ClassAPIActivity, 4},
	org.MailRule: {"write", schemas.ClassAPIActivity, 1}, org.MailDelegate: {"write", schemas.ClassAPIActivity, 1}, org.MailboxUpkeep: {"write", schemas.ClassAPIActivity, 3},

	org.TeamSession: {"read", schemas.ClassWebResources, 2}, org.TeamMessage: {"write", schemas.ClassWebResources, 3}, org.TeamMemberAdd: {"write", schemas.ClassGroupManagement, 3},
	org.TeamPolicy: {"write", schemas.ClassEntityManagement, 3}, org.ReportView: {"read", schemas.ClassWebResources, 2}, org.ReportExport: {"read", schemas.ClassWebResources, 7},
	org.FlowCreate: {"write", schemas.ClassAPIActivity, 1}, org.AppLaunch: {"write", schemas.ClassAPIActivity, 3}, org.PlatformPolicy: {"write", schemas.ClassAPIActivity, 1},
	org.RecordRead: {"read", schemas.ClassDatastoreActivity, 4}, org.RecordChange: {"write", schemas.ClassDatastoreActivity, 2}, org.SkypeCommand: {"write", schemas.ClassAPIActivity, 3},
	org.CommunityPost: {"write", schemas.ClassWebResources, 1}, org.OfficeOpen: {"read", schemas.ClassAPIActivity, 2}, org.AssistantAsk: {"unknown", schemas.ClassAPIActivity, other},
	org.FormView: {"read", schemas.ClassWebResources, 2}, org.AlertRaised: {"read", schemas.ClassDetectionFinding, 1}, org.ThreatFound: {"read", schemas.ClassDetectionFinding, 1},
	org.QuarantineFree: {"write", schemas.ClassAPIActivity, 3}, org.SearchStarted: {"read", schemas.ClassAPIActivity, 2}, org.NewWork: {"read", schemas.ClassAPIActivity, 2},
	// choice: a policy's match is an alert: nobody did it.
	org.LeakInFile: {"read", schemas.ClassDetectionFinding, 1}, org.LeakInMail: {"read", schemas.ClassDetectionFinding, 1}, org.LeakAtEndpoint: {"read", schemas.ClassDetectionFinding, 1},
}

// isAdmin says whether records of a type are by administrators (8).
func isAdmin(record, user int) bool {
	switch record {
	case 1, 8, 18, 23, 57, 87, 106, 256, 288:
		return true
	}
	return user == userAdmin || user == userCenter
}

// happened are the workloads that log only what happened, or that it did. Of the
// others' records without a ResultStatus nobody knows (8).
var happened = map[string]bool{
	workloadSharePoint: true, workloadOneDrive: true, "MicrosoftTeams": true, "MicrosoftFlow": true, "PowerApps": true, "MicrosoftForms": true, "Yammer": true, "PowerBI": true,
}

func (t *truth) officeActivity(e logged) schemas.Activity {
	h, s := t.h, t.s
	w := workOf(s, e.Event)
	m := meanings[e.Verb]
	a := schemas.Activity{
		EventID: h.recordID(e), Time: atSecond(e.At), Kind: "user", Action: w.operation, Access: m.access,
		Outcome: "unknown", Service: serviceOf(w.workload), ClassUID: m.class, ActivityID: m.activity, SeverityID: schemas.SeverityInformational,
	}
	switch {
	case m.class == schemas.ClassDetectionFinding:
		a.Kind = "alert"
		if e.Verb != org.ThreatFound { // whose record does not tell
			a.SeverityID = map[string]int32{"Informational": schemas.SeverityInformational, "Low": schemas.SeverityLow, "Medium": schemas.SeverityMedium, "High": schemas.SeverityHigh}[alertSeverity(h.seed, e)]
		}
	case e.Verb == org.MailRule: // of one's own mailbox
	case isAdmin(w.record, w.user):
		a.Kind = "admin"
	}
	if happened[w.workload] || a.Kind == "alert" || w.workload == workloadExchange {
		a.Outcome, a.StatusID = "success", schemas.StatusSuccess
	}
	t.officeActor(&a, e, w)
	t.officeTargets(&a, e, w)
	t.officeChanges(&a, e)
	if ip := canonical(e.Client.IP); ip != "" {
		a.SrcIP, a.IPs = ip, []string{ip}
	}
	switch {
	case e.Work.Site >= 0 && w.content == contentSharePoint:
		a.UserAgent, a.ScopeID = e.Client.UserAgent, h.siteURL(s, e.Work.Site)
	case w.workload == "CRM":
		a.ScopeID = h.crm()
	case w.record == 2 || w.record == 3 || w.record == 50:
		a.UserAgent = clientOfMail
	}
	switch {
	case e.Session == "":
	case w.content == contentSharePoint:
		a.SessionID, a.ClientAppID, a.ClientAppName = h.sessionOf(e), h.appID(org.SharePointAPI), s.Integrations[org.Microsoft365][org.SharePointAPI].Label
		a.RequestID = h.guid("correlation", e.N)
	case w.record == 2 || w.record == 3 || w.record == 50:
		a.SessionID = h.sessionOf(e)
	}
	return a
}

// clientOfMail is what people read mail with.
const clientOfMail = "Client=OWA;Action=ViaProxy"

// officeChanges are what a command was given, but for what it is about; and what
// was renamed, moved or granted.
func (t *truth) officeChanges(a *schemas.Activity, e logged) {
	add := func(name, old, now string) {
		a.ChangeNames, a.ChangeOld, a.ChangeNew = append(a.ChangeNames, name), append(a.ChangeOld, old), append(a.ChangeNew, now)
	}
	for _, p := range e.Work.Params {
		if p.Name != "Identity" {
			add(p.Name, p.Old, p.New)
		}
	}
	switch x := e.Work; {
	case x.NewName != "":
		d := t.s.Office.Drives[x.Drive]
		if x.NewName != x.Name {
			add("FileName", x.Name, x.NewName)
		}
		if x.NewPath != x.Path {
			add("RelativeUrl", relative(d, x.Path), relative(d, x.NewPath))
		}
	case e.Verb == org.SitePermission:
		add("Group", "", x.Grantee.Name)
	case e.Verb == org.TeamMemberAdd && x.Grantee.To != "":
		add("Role", "", "1")
	}
}

// officeActor: choice: where the record has no id of the directory, the actor's id
// is what else the vendor calls them by.
func (t *truth) officeActor(a *schemas.Activity, e logged, w work) {
	a.ActorID, a.ActorName = t.h.userKey(t.s, e.Event, w), t.h.userID(t.s, e.Event, w)
	a.ActorEmail, a.ActorKind = homeOf(a.ActorName), personKind(a.ActorName)
	if e.Actor.Kind == org.AccountRef && w.content == contentSharePoint {
		a.ActorID = t.h.puid(e.Actor.N) // whichever form of the number the record has
	}
	switch {
	case e.Actor.Kind == org.IntegrationRef: // choice: the key tells that it is an app, by SharePoint's own id; the name is one of all apps
		in := t.s.Integrations[org.Microsoft365][e.Actor.N]
		a.ActorID, a.RequestID = apiApps[org.SharePointAPI], t.h.guid("correlation", e.N)
		a.ActorKind, a.ClientAppID, a.ClientAppName = "service", t.h.appID(in.N), in.Label
	case e.Actor.Kind == org.SystemRef || w.user == userSystem:
		a.ActorKind = "system"
	}
	if m := e.Work.Mailbox; m >= 0 && (w.record == 2 || w.record == 3 || w.record == 50) && m != e.Actor.N {
		a.EffectiveID = t.s.Accounts[org.Microsoft365][m].Login
		a.EffectiveName = a.EffectiveID
	}
}

func (t *truth) officeTargets(a *schemas.Activity, e logged, w work) {
	add := func(id, name, kind string) {
		a.TargetIDs, a.TargetNames, a.TargetKinds = append(a.TargetIDs, id), append(a.TargetNames, name), append(a.TargetKinds, kind)
	}
	h, s, m := t.h, t.s, meanings[e.Verb]
	object := h.objectOf(s, e.Event)
	switch x := e.Work; {
	case m.class == schemas.ClassDetectionFinding:
		t.found(e, object, add)
	case x.Drive >= 0:
		kind := "file"
		if x.Folder {
			kind = "folder"
		}
		add(h.uniqueID(x.Drive, x.Item), x.Name, kind)
	case x.Site >= 0:
		add(h.guid("web", x.Site), object, "site")
	case w.record == 2 || w.record == 3 || w.record == 50:
		subject := x.Thing
		if w.record == 50 {
			subject = "" // of what was read, only the ids are told
		}
		add(h.messageID(s, e), subject, "message")
		owner := s.Accounts[org.Microsoft365][x.Mailbox].Login
		add(owner, owner, "account")
	case x.Group >= 0:
		if p := x.Grantee; e.Verb == org.TeamMemberAdd && p.To != "" {
			acct := s.Accounts[org.Microsoft365][p.Account]
			add(acct.Login, nameOf(s, acct), "account")
		}
		g := s.Groups[org.Microsoft365][x.Group]
		add(h.groupID(g.N), g.Name, "group")
	case w.workload == "CRM":
		add(h.guid("record of "+x.Thing, 0), "account", "record")
	case e.Verb == org.MailRule:
		add(object, x.Thing, "policy")
	case e.Verb == org.MailDelegate || e.Verb == org.MailboxUpkeep:
		add(object, object, "account")
		if e.Verb == org.MailDelegate { // who is let in
			who := s.Accounts[org.Microsoft365][e.Actor.N].Login
			add(who, who, "account")
		}
	case object != "":
		add(object, object, "other")
	}
	if name, kind := h.granteeOf(s, &e.Work.Grantee); name != "" && e.Work.Site >= 0 {
		if kind == "Group" {
			add(h.groupID(e.Work.Grantee.Group), "", "group")
		} else {
			add(name, name, "account")
		}
	}
	firstTarget(a)
}

// found adds what a policy or a protection has found, then the policy.
func (t *truth) found(e logged, object string, add func(id, name, kind string)) {
	switch x := e.Work; e.Verb {
	case org.LeakInFile:
		add(t.h.uniqueID(x.Drive, x.Item), x.Name, "file")
	case org.LeakInMail:
		add(t.h.messageID(t.s, e), "Re: "+x.Thing, "message")
	case org.LeakAtEndpoint:
	default:
		if object != "" {
			add(object, "", "other")
		}
	}
	if e.Verb != org.ThreatFound {
		add(t.h.policyOf(e.Work.Thing), e.Work.Thing, "policy")
	}
}
