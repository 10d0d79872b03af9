package microsoft365

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/schemas"
)

// mapped maps one record, to which an id and an operation are added.
func mapped(t *testing.T, operation, members string) schemas.Activity {
	t.Helper()
	var a schemas.Activity
	raw := `{"Id":"1","CreationTime":"2026-05-01T00:03:19","Operation":"` + operation + `",` + members + `}`
	require.True(t, validRecord(raw), raw)
	require.Empty(t, newAuditMapper().mapRecord(&a, raw))
	checkActivity(t, &a)
	return a
}

// A workload is one readable word; one that is not known keeps its own.
func TestAuditServices(t *testing.T) {
	t.Parallel()
	for workload, want := range map[string]string{
		"CRM": "Dynamics 365 CRM", "Exchange": "Exchange", "Office": "Office", "OneDrive": "OneDrive", "MicrosoftFlow": "Power Automate", "PowerBI": "Power BI",
		"SharePoint": "SharePoint", "SkypeForBusiness": "Skype for Business", "MicrosoftTeams": "Teams", "Yammer": "Viva Engage", "AzureActiveDirectory": "Entra ID", "Brandnew": "Brandnew",
	} {
		require.Equal(t, want, mapped(t, "x", `"Workload":"`+workload+`","RecordType":9999`).Service)
	}
}

func TestAuditOutcome(t *testing.T) {
	t.Parallel()
	for members, want := range map[string]string{
		`"ResultStatus":"TRUE"`: "success", `"ResultStatus":"Succeeded"`: "success", `"ResultStatus":"PartiallySucceeded"`: "failure", `"ResultStatus":"False"`: "failure",
		`"ResultStatus":""`: "unknown", `"Workload":"MicrosoftTeams","ResultStatus":""`: "success", `"Workload":"OneDrive"`: "success", `"Workload":"CRM"`: "unknown",
		`"Workload":"PowerBI","IsSuccess":true`: "success", `"Workload":"PowerBI","IsSuccess":false`: "failure", `"ResultStatus":"InProgress"`: "unknown",
	} {
		require.Equal(t, want, mapped(t, "x", members).Outcome, members)
	}
}

// One person is one actor, however a workload writes the key.
func TestAuditActors(t *testing.T) {
	t.Parallel()
	const guid = "9d8001cb-a159-4252-a3a1-c2dc689f322a"
	for members, want := range map[string]string{
		`"UserKey":"10032001266C162C","UserId":"Joey@acme.com"`:                                            "10032001266C162C human joey@acme.com",
		`"UserKey":"i:0h.f|membership|10032001266c162c@live.com","UserId":"joey@acme.com"`:                 "10032001266C162C human joey@acme.com",
		`"UserKey":"10032001266C162C@acme.onmicrosoft.com","UserId":"joey@acme.com"`:                       "10032001266C162C human joey@acme.com",
		`"UserKey":"` + guid + `","UserId":"joey@acme.com"`:                                                guid + " human joey@acme.com",
		`"UserKey":"x","UserId":"joey@acme.com","Actor":[{"ID":"User_` + guid + `","Type":2}]`:             guid + " human joey@acme.com",
		`"UserKey":"x","UserId":"eve_fabrikam.com#EXT#@acme.onmicrosoft.com"`:                              "x guest eve@fabrikam.com",
		`"UserKey":"x","UserId":"joey@acme.com","UserType":"10"`:                                           "x guest joey@acme.com",
		`"UserId":"NT AUTHORITY\\SYSTEM (w3wp)","UserKey":"NT AUTHORITY\\SYSTEM (w3wp)","UserType":3`:      `NT AUTHORITY\SYSTEM (w3wp) system `,
		`"UserKey":"S-1-0-0","UserId":"SHAREPOINT\\system"`:                                                `SHAREPOINT\system system `,
		`"UserKey":"Not Available","UserId":"ServicePrincipal_` + guid + `","UserType":6`:                  "ServicePrincipal_" + guid + " service ",
		`"UserKey":"i:0i.t|00000003-0000-0ff1-ce00-000000000000|app@sharepoint","UserId":"app@sharepoint"`: "00000003-0000-0ff1-ce00-000000000000 service app@sharepoint",
		`"UserId":"anonymous","UserKey":"anonymous"`:                                                       "anonymous anonymous ",
		`"UserKey":"Not Available","UserId":"Not Available"`:                                               " unknown ",
	} {
		a := mapped(t, "x", members)
		require.Equal(t, want, a.ActorID+" "+a.ActorKind+" "+a.ActorEmail, members)
	}
}

// Addresses lose ports, brackets and what is none.
func TestAuditSource(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]string{
		"203.0.113.7:12345": "203.0.113.7", "[fd00::1]:443": "fd00::1", "::ffff:203.0.113.7": "203.0.113.7", "2001:DB8::1": "2001:db8::1", "null": "", "<null>": "", "": "",
		"203.0.113.7, 10.0.0.1": "203.0.113.7 10.0.0.1", "EXCH01": "/EXCH01",
	} {
		a := mapped(t, "x", `"ClientIP":"`+ip+`","ActorIpAddress":"`+ip+`"`)
		got := strings.Join(a.IPs, " ")
		if a.SrcHost != "" {
			got += "/" + a.SrcHost
		}
		require.Equal(t, want, got, ip)
	}
}

// What a rule of data loss prevention finds is an alert of the worst severity,
// about the document and the policy.
func TestAuditDLP(t *testing.T) {
	t.Parallel()
	a := mapped(t, "DlpRuleMatch", `"RecordType":11,"Workload":"SharePoint","UserKey":"DlpAgent","UserId":"ada@acme.com","UserType":4,
		"SharePointMetaData":{"UniqueID":"1a52bbc5-1502-4cd9-b6fa-1bf0216afd6b","FileName":"cards.xlsx","FilePathUrl":"https://acme.sharepoint.com/cards.xlsx"},
		"PolicyDetails":[{"PolicyId":"p1","PolicyName":"Cards","Rules":[{"RuleName":"few","Severity":"Low"},{"RuleName":"many","Severity":"High"}]}]`)
	require.Equal(t, "alert", a.Kind)
	require.Equal(t, schemas.ClassDetectionFinding, a.ClassUID)
	require.Equal(t, schemas.SeverityHigh, a.SeverityID)
	require.Equal(t, []string{"1a52bbc5-1502-4cd9-b6fa-1bf0216afd6b", "p1"}, a.TargetIDs)
	require.Equal(t, []string{"cards.xlsx", "Cards"}, a.TargetNames)
	require.Equal(t, []string{"file", "policy"}, a.TargetKinds)
}

// A delegate acts with the rights of the mailbox's owner.
func TestAuditMailbox(t *testing.T) {
	t.Parallel()
	a := mapped(t, "SendAs", `"RecordType":2,"Workload":"Exchange","ResultStatus":"Succeeded","UserId":"eve@acme.com","MailboxOwnerUPN":"ada@acme.com","LogonType":2,"Item":{"InternetMessageId":"<m1>","Subject":"hello"}`)
	require.Equal(t, "ada@acme.com", a.EffectiveID)
	require.Equal(t, []string{"message", "account"}, a.TargetKinds)
	require.Equal(t, []string{"<m1>", "ada@acme.com"}, a.TargetIDs)
	items := strings.TrimSuffix(strings.Repeat(`{"InternetMessageId":"<N>"},`, 1), ",")
	for i := range 70 {
		items += `,{"InternetMessageId":"<` + strings.Repeat("x", i+1) + `>"}`
	}
	a = mapped(t, "MailItemsAccessed", `"RecordType":50,"Workload":"Exchange","UserId":"ada@acme.com","MailboxOwnerUPN":"ada@acme.com","Folders":[{"FolderItems":[`+items+`]}]`)
	require.EqualValues(t, 72, a.TargetCount)
	require.Len(t, a.TargetIDs, schemas.MaxTargets)
	require.Equal(t, "ada@acme.com", a.TargetIDs[schemas.MaxTargets-1], "the mailbox is not lost among its messages")
	require.Equal(t, "read", a.Access)
}

// Records that are none are rejected with a reason.
func TestAuditRejects(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"", "7", "[]", "{}", `{"Id":"1"}`, `{"Operation":"x"}`} {
		var a schemas.Activity
		require.NotEmpty(t, newAuditMapper().mapRecord(&a, raw), raw)
	}
}

func TestOperationAccess(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"FileAccessed": "read", "FileDownloaded": "read", "SearchQueryPerformed": "read", "ListViewed": "read", "ListUpdated": "write", "Get-Mailbox": "read", "Set-Mailbox": "write",
		"New-InboxRule": "write", "HardDelete": "write", "MailItemsAccessed": "read", "MessageSent": "write", "ViewReport": "read", "ExportReport": "read", "Add member to role": "write",
		"FolderBind": "read", "SoftDelete": "write", "AnonymousLinkUsed": "write", "Whatever": "unknown",
	} {
		require.Equal(t, want, operationAccess(name), name)
	}
}
