package microsoft365

import (
	"strconv"
	"strings"
	"time"

	"weir/internal/rawjson"
	"weir/schemas"
)

// auditRecord is a record of the Management Activity API: its top level, lists
// and objects as written. Which members there are depends on the workload.
//
// Source: Office 365 Management Activity API schema, common and per workload.
type auditRecord struct {
	id, time, operation, workload, resultStatus, userID, userKey, objectID string
	recordType, userType                                                   int // -1 where the record has none

	clientIP, actorIP, clientIPAddress                            string
	userAgent, clientInfo, clientProcess, clientApplication       string
	sessionID, correlationID, interSystemsID, intraSystemID       string
	clientRequestID                                               string
	applicationID, applicationName, clientAppID, appID, aadAppID  string
	access                                                        string // AppAccessContext
	errorCode, errorNumber, logonError, isSuccess                 string
	actor, target, extended, device, modified, parameters         string
	mailboxOwner, logonType, sendAs, sendOnBehalf                 string
	item, affected, folders, folder, destFolder                   string
	itemType, site, webID, siteURL, listID, listTitle, listItemID string
	sourceName, sourceURL, destName, destURL                      string
	grantee, granteeType, eventData, label, oldLabel              string
	members, name, oldValue, newValue                             string
	severity, alertEntity, entityType, policyID, data             string
	policyDetails, sharePointMeta, exchangeMeta, endpointMeta     string
	organization                                                  string // of Dynamics: the environment
	pairs                                                         [maxPairs]pair
	npairs                                                        int
}

// pair is an object that a record names by members of its own.
type pair struct {
	object, kind string
	id, name     string
}

// holds says that an object is where others are.
func (p *pair) holds() bool {
	switch p.object {
	case "team", "channel", "chat", "group", "workspace":
		return true
	}
	return false
}

const maxPairs = 8

// pairMembers says which members of which records name objects, by id or name.
var pairMembers = map[string]struct {
	object, kind string
	name         bool
}{
	"AADGroupId": {"team", "group", false}, "TeamGuid": {"team", "group", false}, "TeamName": {"team", "group", true},
	"ChannelGuid": {"channel", "container", false}, "ChannelName": {"channel", "container", true},
	"ChatThreadId": {"chat", "container", false}, "ChatName": {"chat", "container", true},
	"AddOnGuid": {"addon", "app", false}, "AddOnName": {"addon", "app", true},
	"MessageId":   {"message", "message", false},
	"WorkspaceId": {"workspace", "container", false}, "WorkSpaceName": {"workspace", "container", true},
	"ReportId": {"report", "record", false}, "ReportName": {"report", "record", true},
	"DatasetId": {"dataset", "record", false}, "DatasetName": {"dataset", "record", true},
	"DashboardId": {"dashboard", "record", false}, "DashboardName": {"dashboard", "record", true},
	"DataflowId": {"dataflow", "record", false}, "DataflowName": {"dataflow", "record", true},
	"EntityId": {"entity", "record", false}, "EntityName": {"entity", "record", true},
	"FormId": {"form", "record", false}, "FormName": {"form", "record", true},
	"FileId": {"file", "file", false}, "FileName": {"file", "file", true},
	"GroupName": {"group", "group", true}, "FlowDetailsUrl": {"flow", "record", false},
	"PlanId": {"plan", "record", false}, "TaskId": {"task", "record", false},
	"TargetYammerUserId": {"person", "account", false}, "TargetUserId": {"person", "account", true},
}

func parseAudit(raw string) (r auditRecord) {
	r.recordType, r.userType = -1, -1
	for f := rawjson.Members(raw); ; {
		name, v, ok := f.Next()
		if !ok {
			return r
		}
		switch name {
		case "Id":
			r.id = rawjson.Text(v)
		case "CreationTime":
			r.time = rawjson.Text(v)
		case "Operation":
			r.operation = rawjson.Text(v)
		case "Workload":
			r.workload = rawjson.Text(v)
		case "RecordType":
			r.recordType = smallNumber(v)
		case "UserType":
			r.userType = smallNumber(v)
		case "ResultStatus":
			r.resultStatus = rawjson.Text(v)
		case "UserId":
			r.userID = rawjson.Text(v)
		case "UserKey":
			r.userKey = rawjson.Text(v)
		case "ObjectId":
			r.objectID = rawjson.Text(v)
		case "ClientIP":
			r.clientIP = rawjson.Text(v)
		case "ActorIpAddress":
			r.actorIP = rawjson.Text(v)
		case "ClientIPAddress":
			r.clientIPAddress = rawjson.Text(v)
		case "UserAgent":
			r.userAgent = rawjson.Text(v)
		case "ClientInfoString":
			r.clientInfo = rawjson.Text(v)
		case "ClientProcessName":
			r.clientProcess = rawjson.Text(v)
		case "ClientApplication":
			r.clientApplication = rawjson.Text(v)
		case "SessionId":
			r.sessionID = rawjson.Text(v)
		case "CorrelationId":
			r.correlationID = rawjson.Text(v)
		case "InterSystemsId":
			r.interSystemsID = rawjson.Text(v)
		case "IntraSystemId", "IntraSystemsId":
			r.intraSystemID = rawjson.Text(v)
		case "ClientRequestId":
			r.clientRequestID = rawjson.Text(v)
		case "ApplicationId":
			r.applicationID = rawjson.Text(v)
		case "ApplicationDisplayName":
			r.applicationName = rawjson.Text(v)
		case "ClientAppId":
			r.clientAppID = rawjson.Text(v)
		case "AppId":
			r.appID = rawjson.Text(v)
		case "AadAppId":
			r.aadAppID = rawjson.Text(v)
		case "AppAccessContext":
			r.access = v
		case "ErrorCode":
			r.errorCode = rawjson.Text(v)
		case "ErrorNumber":
			r.errorNumber = rawjson.Text(v)
		case "LogonError":
			r.logonError = rawjson.Text(v)
		case "IsSuccess":
			r.isSuccess = rawjson.Text(v)
		case "Actor":
			r.actor = v
		case "Target":
			r.target = v
		case "ExtendedProperties":
			r.extended = v
		case "DeviceProperties":
			r.device = v
		case "ModifiedProperties":
			r.modified = v
		case "Parameters":
			r.parameters = v
		case "MailboxOwnerUPN":
			r.mailboxOwner = rawjson.Text(v)
		case "LogonType":
			r.logonType = rawjson.Text(v)
		case "SendAsUserSmtp":
			r.sendAs = rawjson.Text(v)
		case "SendOnBehalfOfUserSmtp":
			r.sendOnBehalf = rawjson.Text(v)
		case "Item":
			r.item = v
		case "AffectedItems":
			r.affected = v
		case "Folders":
			r.folders = v
		case "Folder":
			r.folder = v
		case "DestFolder":
			r.destFolder = v
		case "ItemType":
			r.itemType = rawjson.Text(v)
		case "Site":
			r.site = rawjson.Text(v)
		case "WebId":
			r.webID = rawjson.Text(v)
		case "SiteUrl":
			r.siteURL = rawjson.Text(v)
		case "ListId":
			r.listID = rawjson.Text(v)
		case "ListTitle":
			r.listTitle = rawjson.Text(v)
		case "ListItemUniqueId":
			r.listItemID = rawjson.Text(v)
		case "SourceFileName":
			r.sourceName = rawjson.Text(v)
		case "SourceRelativeUrl":
			r.sourceURL = rawjson.Text(v)
		case "DestinationFileName":
			r.destName = rawjson.Text(v)
		case "DestinationRelativeUrl":
			r.destURL = rawjson.Text(v)
		case "TargetUserOrGroupName":
			r.grantee = rawjson.Text(v)
		case "TargetUserOrGroupType":
			r.granteeType = rawjson.Text(v)
		case "EventData":
			r.eventData = rawjson.Text(v)
		case "SensitivityLabelId":
			r.label = rawjson.Text(v)
		case "OldSensitivityLabelId":
			r.oldLabel = rawjson.Text(v)
		case "Members":
			r.members = v
		case "Name":
			r.name = rawjson.Text(v)
		case "OldValue":
			r.oldValue = rawjson.Text(v)
		case "NewValue":
			r.newValue = rawjson.Text(v)
		case "Severity":
			r.severity = rawjson.Text(v)
		case "AlertEntityId":
			r.alertEntity = rawjson.Text(v)
		case "EntityType":
			r.entityType = rawjson.Text(v)
		case "PolicyId":
			r.policyID = rawjson.Text(v)
		case "Data":
			r.data = rawjson.Text(v)
		case "PolicyDetails":
			r.policyDetails = v
		case "SharePointMetaData":
			r.sharePointMeta = v
		case "ExchangeMetaData":
			r.exchangeMeta = v
		case "EndpointMetaData":
			r.endpointMeta = v
		case "CrmOrganizationUniqueName":
			r.organization = rawjson.Text(v)
		default:
			if m, ok := pairMembers[name]; ok {
				r.addPair(m.object, m.kind, rawjson.Text(v), m.name)
			}
		}
	}
}

func (r *auditRecord) addPair(object, kind, v string, isName bool) {
	if v == "" {
		return
	}
	i := 0
	for i < r.npairs && r.pairs[i].object != object {
		i++
	}
	if i == r.npairs {
		if i == maxPairs {
			return
		}
		r.pairs[i].object, r.pairs[i].kind = object, kind
		r.npairs++
	}
	switch p := &r.pairs[i]; {
	case isName:
		p.name = v
	case p.id == "" || isObjectID(v) && !isObjectID(p.id): // the group's own id before its thread's
		p.id = v
	}
}

// smallNumber reads an enumeration, which some exports write as a string; -1
// when it is none.
func smallNumber(v string) int {
	n, err := strconv.Atoi(strings.TrimSpace(rawjson.Text(v)))
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// parseAuditTime reads a time in UTC, which the API writes without a zone; 0
// when it is none.
func parseAuditTime(s string) schemas.Time {
	t, err := time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(s, "Z")) // it takes fractions too
	if err != nil {
		if t, err = time.Parse(time.RFC3339, s); err != nil {
			return 0
		}
	}
	return schemas.Time(t.UnixMilli())
}

// isAddress says whether a name is written as an e-mail address.
func isAddress(s string) bool {
	i := strings.LastIndexByte(s, '@')
	return i > 0 && i+1 < len(s) && !strings.ContainsAny(s, " \t\\|/")
}

// named returns a property of a list of {Name, Value}.
func named(list, name string) string {
	for e := rawjson.Elements(list); ; {
		v, ok := e.Next()
		if !ok {
			return ""
		}
		if rawjson.Text(rawjson.Member(v, "Name")) == name {
			return rawjson.Text(rawjson.Member(v, "Value"))
		}
	}
}
