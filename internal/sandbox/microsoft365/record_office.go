package microsoft365

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"weir/internal/sandbox/org"
)

// work is how the Management Activity API tells of a kind of work (5.6.1).
type work struct {
	record    int
	workload  string // "" that of the site: SharePoint or OneDrive
	operation string
	folder    string // the operation, where it is about a folder
	content   string
	user      int // UserType
}

const (
	userRegular = 0
	userAdmin   = 2
	userCenter  = 3 // an administrator of the vendor's
	userSystem  = 4
)

// Workloads of files, which the site decides.
const (
	workloadSharePoint = "SharePoint"
	workloadOneDrive   = "OneDrive"
	workloadEntra      = "AzureActiveDirectory"
	workloadExchange   = "Exchange"
)

// newRecordType is one that no documentation has.
const newRecordType = 9999

var works = map[org.Verb]work{
	org.FileRead:         {record: 6, operation: "FileAccessed", content: contentSharePoint},
	org.FileDownload:     {record: 6, operation: "FileDownloaded", content: contentSharePoint},
	org.FilePreview:      {record: 6, operation: "FilePreviewed", content: contentSharePoint},
	org.FileUpload:       {record: 6, operation: "FileUploaded", content: contentSharePoint},
	org.FileEdit:         {record: 6, operation: "FileModified", content: contentSharePoint},
	org.FileRename:       {record: 6, operation: "FileRenamed", folder: "FolderRenamed", content: contentSharePoint},
	org.FileMove:         {record: 6, operation: "FileMoved", folder: "FolderMoved", content: contentSharePoint},
	org.FileTrash:        {record: 6, operation: "FileRecycled", folder: "FolderRecycled", content: contentSharePoint},
	org.FolderCreate:     {record: 6, operation: "FolderCreated", content: contentSharePoint},
	org.FileRestore:      {record: 6, operation: "FileRestored", folder: "FolderRestored", content: contentSharePoint},
	org.FileCopy:         {record: 6, operation: "FileCopied", content: contentSharePoint},
	org.FileShare:        {record: 14, operation: "SharingSet", content: contentSharePoint},
	org.FileUnshare:      {record: 14, operation: "SharingRevoked", content: contentSharePoint},
	org.LinkAnyone:       {record: 14, operation: "AnonymousLinkCreated", content: contentSharePoint},
	org.LinkCompany:      {record: 14, operation: "CompanyLinkCreated", content: contentSharePoint},
	org.LinkPeople:       {record: 14, operation: "AddedToSecureLink", content: contentSharePoint},
	org.LinkRemove:       {record: 14, operation: "SharingLinkDeleted", content: contentSharePoint},
	org.InheritanceBreak: {record: 14, operation: "SharingInheritanceBroken", content: contentSharePoint},
	org.InheritanceReset: {record: 14, operation: "SharingInheritanceReset", content: contentSharePoint},
	org.SitePermission:   {record: 14, operation: "AddedToGroup", content: contentSharePoint},
	org.PageView:         {record: 4, operation: "PageViewed", content: contentSharePoint},
	org.SiteSearch:       {record: 102, operation: "SearchQueryPerformed", content: contentSharePoint},
	org.ListView:         {record: 36, operation: "ListViewed", content: contentSharePoint},
	org.CommentAdd:       {record: 37, operation: "CommentCreated", content: contentSharePoint},

	org.MailRead:      {record: 50, workload: workloadExchange, operation: "MailItemsAccessed", content: contentExchange},
	org.MailSend:      {record: 2, workload: workloadExchange, operation: "Send", content: contentExchange},
	org.MailDelete:    {record: 3, workload: workloadExchange, operation: "SoftDelete", content: contentExchange},
	org.MailRule:      {record: 1, workload: workloadExchange, operation: "New-InboxRule", content: contentExchange, user: userAdmin},
	org.MailDelegate:  {record: 1, workload: workloadExchange, operation: "Add-MailboxPermission", content: contentExchange, user: userAdmin},
	org.MailboxUpkeep: {record: 1, workload: workloadExchange, operation: "Set-Mailbox", content: contentExchange, user: userCenter},

	org.TeamSession:    {record: 25, workload: "MicrosoftTeams", operation: "TeamsSessionStarted", content: contentGeneral},
	org.TeamMessage:    {record: 25, workload: "MicrosoftTeams", operation: "MessageSent", content: contentGeneral},
	org.TeamMemberAdd:  {record: 25, workload: "MicrosoftTeams", operation: "MemberAdded", content: contentGeneral},
	org.TeamPolicy:     {record: 57, workload: "MicrosoftTeams", operation: "TeamsTenantSettingChanged", content: contentGeneral, user: userAdmin},
	org.ReportView:     {record: 20, workload: "PowerBI", operation: "ViewReport", content: contentGeneral},
	org.ReportExport:   {record: 20, workload: "PowerBI", operation: "ExportReport", content: contentGeneral},
	org.FlowCreate:     {record: 30, workload: "MicrosoftFlow", operation: "CreateFlow", content: contentGeneral},
	org.AppLaunch:      {record: 45, workload: "PowerApps", operation: "LaunchPowerApp", content: contentGeneral},
	org.PlatformPolicy: {record: 187, workload: "PowerPlatform", operation: "CreateDlpPolicy", content: contentGeneral, user: userAdmin},
	org.RecordRead:     {record: 21, workload: "CRM", operation: "RetrieveMultiple", content: contentGeneral},
	org.RecordChange:   {record: 21, workload: "CRM", operation: "Update", content: contentGeneral},
	org.SkypeCommand:   {record: 23, workload: "SkypeForBusiness", operation: "Set-CsTenantFederationConfiguration", content: contentGeneral, user: userAdmin},
	org.CommunityPost:  {record: 22, workload: "Yammer", operation: "MessageCreated", content: contentGeneral},
	org.OfficeOpen:     {record: 70, workload: "Office", operation: "FileOpened", content: contentGeneral},
	org.AssistantAsk:   {record: 261, workload: "Copilot", operation: "CopilotInteraction", content: contentGeneral},
	org.FormView:       {record: 66, workload: "MicrosoftForms", operation: "ViewForm", content: contentGeneral},
	org.AlertRaised:    {record: 40, workload: "SecurityComplianceCenter", operation: "AlertTriggered", content: contentGeneral, user: userSystem},
	org.ThreatFound:    {record: 28, workload: "ThreatIntelligence", operation: "TIMailData", content: contentGeneral, user: userSystem},
	org.QuarantineFree: {record: 65, workload: "Quarantine", operation: "QuarantineReleaseMessage", content: contentGeneral, user: userAdmin},
	org.SearchStarted:  {record: 24, workload: "SecurityComplianceCenter", operation: "SearchStarted", content: contentGeneral, user: userAdmin},
	org.NewWork:        {record: newRecordType, workload: "NovaBoards", operation: "NovaBoardOpened", content: contentGeneral},

	org.LeakInFile:     {record: 11, operation: "DlpRuleMatch", content: contentDLP, user: userSystem},
	org.LeakInMail:     {record: 13, workload: workloadExchange, operation: "DlpRuleMatch", content: contentDLP, user: userSystem},
	org.LeakAtEndpoint: {record: 63, workload: "Endpoint", operation: "DlpRuleMatch", content: contentDLP, user: userSystem},
}

// linkRemovals are what the removal of some links is called.
var linkRemovals = map[string]string{"anonymous": "AnonymousLinkRemoved", "organization": "CompanyLinkRemoved"}

// workOf is how an event of the office is told.
func workOf(s *org.State, e *org.Event) work {
	w := works[e.Verb]
	if w.workload == "" {
		if w.workload = workloadSharePoint; e.Work.Site >= 0 && s.Office.Sites[e.Work.Site].Personal >= 0 {
			w.workload = workloadOneDrive
		}
	}
	if e.Work.Folder && w.folder != "" {
		w.operation = w.folder
	}
	if name := linkRemovals[e.Work.Grantee.Scope]; e.Verb == org.LinkRemove && name != "" {
		w.operation = name
	}
	if e.Verb == org.FileShare && e.Work.Grantee.Account < 0 && e.Work.Grantee.Email != "" {
		w.operation = "AccessInvitationCreated"
	}
	return w
}

// appUser is the name that all apps act by at sites.
const appUser = "app@sharepoint"

const vendorUser = `NT AUTHORITY\SYSTEM (Microsoft.Exchange.ServiceHost)`

// userKey is one of the forms in which records name who did it: most are not the
// id in the directory.
func (h *Handler) userKey(s *org.State, e *org.Event, w work) string {
	if e.Actor.Kind == org.SystemRef {
		switch w.record {
		case 1:
			return vendorUser
		case 40:
			return "SecurityComplianceAlerts"
		}
		return "ThreatIntel"
	}
	if e.Actor.Kind == org.IntegrationRef {
		return "i:0i.t|" + apiApps[org.SharePointAPI] + "|" + appUser
	}
	a := s.Accounts[org.Microsoft365][e.Actor.N]
	puid := h.puid(a.N)
	switch {
	case w.content == contentDLP:
		return "DlpAgent"
	case w.content == contentSharePoint:
		return "i:0h.f|membership|" + strings.ToLower(puid) + "@live.com"
	case w.workload == workloadExchange:
		return puid
	case w.record == 24 || w.record == 65:
		return a.Login
	}
	return h.accountID(a.N)
}

// puid is an account's other number.
func (h *Handler) puid(n int) string {
	sum := h.hash("puid", n)
	return fmt.Sprintf("10032001%X", sum[:4])
}

// userID is who did it, by name.
func (h *Handler) userID(s *org.State, e *org.Event, w work) string {
	if e.Actor.Kind == org.SystemRef {
		return h.userKey(s, e, w)
	}
	if e.Actor.Kind == org.IntegrationRef {
		return appUser
	}
	return s.Accounts[org.Microsoft365][e.Actor.N].Login
}

// clientIP is an address in one of the shapes that records have (11.6).
func clientIP(seed uint64, e logged, w work) string {
	ip := e.Client.IP
	if ip == "" {
		return ""
	}
	v6 := strings.Contains(ip, ":")
	switch shape := noise(seed, "address", e, 8); {
	case w.workload == workloadExchange && shape < 3 && v6:
		return "[" + ip + "]:" + strconv.Itoa(40000+shape)
	case w.workload == workloadExchange && shape < 3:
		return ip + ":" + strconv.Itoa(40000+shape)
	case shape == 3 && !v6:
		return "::ffff:" + ip
	}
	return ip
}

// canonical is an address without what records add to it.
func canonical(ip string) string {
	if a, err := netip.ParseAddr(ip); err == nil {
		return a.Unmap().String()
	}
	return ""
}

// objectOf is what the record's ObjectId names: a file's, a site's or a library's
// address, a mailbox, or a thing by its name.
func (h *Handler) objectOf(s *org.State, e *org.Event) string {
	w := e.Work
	switch {
	case w.Drive >= 0:
		return h.plainURL(s, s.Office.Drives[w.Drive], w.Path, w.Name)
	case e.Verb == org.PageView:
		return h.siteURL(s, w.Site) + "/SitePages/Home.aspx"
	case w.Site >= 0:
		return h.siteURL(s, w.Site)
	case e.Verb == org.AlertRaised:
		return h.guid("alert", e.N)
	case e.Verb == org.RecordRead || e.Verb == org.RecordChange || e.Verb == org.LeakAtEndpoint:
		return "" // members of their own tell
	case e.Verb == org.MailRule:
		return s.Accounts[org.Microsoft365][w.Mailbox].Login + `\` + w.Thing
	case e.Verb == org.MailDelegate || e.Verb == org.MailboxUpkeep:
		return s.Accounts[org.Microsoft365][w.Mailbox].Login
	case w.Mailbox >= 0 || w.Group >= 0 || e.Verb == org.TeamSession:
		return ""
	}
	return w.Thing
}

// plainURL is an item's address as the audit log has it: not escaped.
func (h *Handler) plainURL(s *org.State, d *org.Drive, folder, name string) string {
	u := h.siteURL(s, d.Site) + "/" + relative(d, folder)
	if name != "" {
		u += "/" + name
	}
	return u
}

// relative is a folder's place below the site.
func relative(d *org.Drive, folder string) string {
	if folder == "" {
		return library(d)
	}
	return library(d) + "/" + folder
}

func extension(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[i+1:]
	}
	return ""
}

// officeRecord is a record about an event of the office.
func (h *Handler) officeRecord(s *org.State, f *OfficeFacts, e logged) object {
	w := workOf(s, e.Event)
	v := object{
		f.CreationTime: e.At.Format("2006-01-02T15:04:05"), f.RecordID: h.recordID(e), "Operation": w.operation, "OrganizationId": h.tenantID, "RecordType": w.record,
		"UserKey": h.userKey(s, e.Event, w), "UserType": w.user, "Version": 1, "Workload": w.workload, "UserId": h.userID(s, e.Event, w),
	}
	if noise(h.seed, "strings", e, 20) == 0 { // numbers come as strings now and then (11.6)
		v["RecordType"], v["UserType"] = strconv.Itoa(w.record), strconv.Itoa(w.user)
	}
	if ip := clientIP(h.seed, e, w); ip != "" {
		v["ClientIP"] = ip
	}
	if o := h.objectOf(s, e.Event); o != "" {
		v["ObjectId"] = o
	}
	if e.Session != "" && w.content == contentSharePoint {
		v["AppAccessContext"] = object{"AADSessionId": h.sessionOf(e), "ClientAppId": h.appID(org.SharePointAPI), "ClientAppName": s.Integrations[org.Microsoft365][org.SharePointAPI].Label, "CorrelationId": h.guid("correlation", e.N)}
	}
	if e.Actor.Kind == org.IntegrationRef {
		in := s.Integrations[org.Microsoft365][e.Actor.N]
		v["ApplicationId"], v["ApplicationDisplayName"] = h.appID(in.N), in.Label
		v["AppAccessContext"] = object{"ClientAppId": h.appID(in.N), "ClientAppName": in.Label, "CorrelationId": h.guid("correlation", e.N)}
	}
	if e.Work.Site >= 0 && w.content == contentSharePoint {
		h.siteFields(s, e.Event, w, v)
	}
	if e.Work.Mailbox >= 0 {
		h.mailFields(s, e, w, v)
	}
	if e.Work.Group >= 0 {
		g := s.Groups[org.Microsoft365][e.Work.Group]
		v["TeamName"], v["TeamGuid"], v["AADGroupId"] = g.Name, "19:"+strings.ReplaceAll(h.guid("team", g.N), "-", "")+"@thread.tacv2", h.groupID(g.N)
	}
	switch e.Verb {
	case org.TeamMemberAdd:
		if a := e.Work.Grantee.Account; e.Work.Grantee.To != "" {
			acct := s.Accounts[org.Microsoft365][a]
			v["Members"] = []object{{"DisplayName": nameOf(s, acct), "Role": 1, "UPN": acct.Login}}
		}
	case org.AlertRaised:
		v["AlertId"], v["Name"], v["Severity"], v["Category"], v["Status"] = h.guid("alert", e.N), e.Work.Thing, alertSeverity(h.seed, e), "DataLossPrevention", "Active"
		v["PolicyId"] = h.policyOf(e.Work.Thing)
	case org.LeakInFile, org.LeakInMail, org.LeakAtEndpoint:
		h.leakFields(s, e, v)
	case org.ReportView, org.ReportExport:
		v["IsSuccess"] = true
	case org.RecordRead, org.RecordChange:
		v["EntityId"], v["EntityName"], v["CrmOrganizationUniqueName"] = h.guid("record of "+e.Work.Thing, 0), "account", h.crm()
	default:
	}
	if list := params(e.Event); list != nil {
		v["Parameters"] = list
	}
	if e.Verb == org.TeamPolicy {
		p := e.Work.Params[0]
		v["ModifiedProperties"] = []object{{"Name": p.Name, "OldValue": p.Old, "NewValue": p.New}}
	}
	return v
}

// crm is the environment in which customer records are.
func (h *Handler) crm() string { return "unq" + h.guid("crm", 0)[:8] }

// policyOf is the id of a policy that goes by a name.
func (h *Handler) policyOf(name string) string { return h.guid("policy "+name, 0) }

// leakFields are those of a policy's match: what was matched is in an object for
// each workload.
func (h *Handler) leakFields(s *org.State, e logged, v object) {
	v["PolicyDetails"] = []object{{
		"PolicyId": h.policyOf(e.Work.Thing), "PolicyName": e.Work.Thing, "Rules": []object{{"RuleName": e.Work.Thing, "Severity": alertSeverity(h.seed, e)}},
	}}
	v["IncidentId"] = h.guid("incident", e.N)
	switch e.Verb {
	case org.LeakInFile:
		d := s.Office.Drives[e.Work.Drive]
		v["SharePointMetaData"] = object{
			"UniqueID": h.uniqueID(d.N, e.Work.Item), "FileName": e.Work.Name, "FilePathUrl": h.objectOf(s, e.Event), "SiteCollectionGuid": h.siteGUID(d.Site),
			"SiteCollectionUrl": h.siteURL(s, d.Site), "From": h.userID(s, e.Event, work{}), "FileOwner": h.userID(s, e.Event, work{}),
		}
	case org.LeakInMail:
		v["ExchangeMetaData"] = object{"MessageID": h.messageID(s, e), "Subject": "Re: " + e.Work.Thing, "From": h.userID(s, e.Event, work{}), "RecipientCount": 1}
	default:
	}
}

// messageID is the one by which mail systems know a message.
func (h *Handler) messageID(s *org.State, e logged) string {
	return "<" + h.guid("message", e.N) + "@" + s.Domain + ">"
}

// params are what a command was given.
func params(e *org.Event) (out []object) {
	if e.Verb == org.TeamPolicy {
		return nil
	}
	for _, p := range e.Work.Params {
		out = append(out, object{"Name": p.Name, "Value": p.New})
	}
	return out
}

// alertSeverity is one of the vendor's four words.
func alertSeverity(seed uint64, e logged) string {
	return []string{"Informational", "Low", "Medium", "High"}[noise(seed, "severity", e, 4)]
}

func (h *Handler) sessionOf(e logged) string { return h.guid("session "+e.Session, 0) }

// siteFields are those of what happens at a site (5.6).
func (h *Handler) siteFields(s *org.State, e *org.Event, w work, v object) {
	v["Site"], v["SiteUrl"], v["WebId"], v["EventSource"], v["UserAgent"], v["ItemType"] = h.siteGUID(e.Work.Site), h.siteURL(s, e.Work.Site)+"/", h.guid("web", e.Work.Site), "SharePoint", e.Client.UserAgent, "Web"
	if w.record == 4 {
		v["ItemType"] = "Page"
	}
	if e.Work.Drive >= 0 {
		d := s.Office.Drives[e.Work.Drive]
		v["ListId"], v["ListItemUniqueId"], v["ItemType"] = h.guid("list", d.N), h.uniqueID(d.N, e.Work.Item), "File"
		if e.Work.Folder {
			v["ItemType"] = "Folder"
		}
		v["SourceRelativeUrl"], v["SourceFileName"] = relative(d, e.Work.Path), e.Work.Name
		if !e.Work.Folder {
			v["SourceFileExtension"] = extension(e.Work.Name)
		}
		if e.Work.NewName != "" {
			v["DestinationRelativeUrl"], v["DestinationFileName"] = relative(d, e.Work.NewPath), e.Work.NewName
		}
	}
	if name, kind := h.granteeOf(s, &e.Work.Grantee); name != "" {
		v["TargetUserOrGroupName"], v["TargetUserOrGroupType"] = name, kind
	}
	if e.Work.Grantee.To == org.ToLink {
		v["UniqueSharingId"] = h.permissionID(e.Work.Drive, &e.Work.Grantee)
	}
	if e.Verb == org.SitePermission {
		v["EventData"] = "<Group>" + e.Work.Grantee.Name + "</Group>"
	}
}

// granteeOf names who was given a permission, as records do. A link is for nobody
// by name.
func (h *Handler) granteeOf(s *org.State, p *org.Permission) (name, kind string) {
	switch {
	case p.To == org.ToAccount && p.Account < 0:
		return p.Email, "Guest"
	case p.To == org.ToAccount:
		return s.Accounts[org.Microsoft365][p.Account].Login, "Member"
	case p.To == org.ToGroup:
		return h.claimOf(s.Groups[org.Microsoft365][p.Group]), "Group"
	}
	return "", ""
}

// claimOf is how SharePoint calls a group of the directory.
func (h *Handler) claimOf(g *org.Group) string {
	if g.Kind == org.Unified {
		return "c:0o.c|federateddirectoryclaimprovider|" + h.groupID(g.N)
	}
	return "c:0t.c|tenant|" + h.groupID(g.N)
}

// mailFields are those of what happens in a mailbox.
func (h *Handler) mailFields(s *org.State, e logged, w work, v object) {
	owner := s.Accounts[org.Microsoft365][e.Work.Mailbox]
	switch w.record {
	case 1:
		v["ResultStatus"], v["ExternalAccess"], v["OriginatingServer"] = "True", e.Actor.Kind == org.SystemRef, "PR0P000MB0000 (15.20.9999.001)"
		return
	case 2, 3, 50:
		v["ResultStatus"] = "Succeeded"
	default:
		return
	}
	v["MailboxOwnerUPN"], v["MailboxGuid"], v["ClientInfoString"], v["SessionId"] = owner.Login, h.guid("mailbox", owner.N), "Client=OWA;Action=ViaProxy", h.sessionOf(e)
	v["LogonType"], v["InternalLogonType"], v["ExternalAccess"] = 0, 0, false
	if e.Actor.N != owner.N {
		v["LogonType"] = 2 // a delegate
	}
	if ip, ok := v["ClientIP"]; ok { // records name it twice, or by this name alone
		v["ClientIPAddress"] = ip
		if w.record == 50 {
			delete(v, "ClientIP")
		}
	}
	if w.record == 50 {
		v["OperationCount"], v["Folders"] = 1, []object{{"Path": `\Inbox`, "FolderItems": []object{{"InternetMessageId": h.messageID(s, e)}}}}
		return
	}
	message := object{"Subject": e.Work.Thing, "InternetMessageId": h.messageID(s, e), "ParentFolder": object{"Path": `\Sent Items`}}
	if w.record == 3 { // of a group of messages
		v["AffectedItems"], v["Folder"] = []object{message}, message["ParentFolder"]
		return
	}
	v["Item"] = message
}
