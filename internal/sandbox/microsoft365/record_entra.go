package microsoft365

import (
	"strconv"
	"strings"

	"weir/internal/sandbox/org"
)

// entraContent is the content type of an event of the directory: what its log has,
// and people's sign-ins, with or without them.
func entraContent(e *org.Event) string {
	if audits[e.Verb].name == "" && !isPersonsSignIn(e) {
		return ""
	}
	return contentEntra
}

// isPersonsSignIn tells them from those of apps, which are in the directory's own
// log alone.
func isPersonsSignIn(e *org.Event) bool { return isSignIn(e) && e.Verb != org.AppSignIn }

const notAvailable = "Not Available"

// identity is one object as the Actor and Target lists have it: in four entries or
// more, that are all the same one.
type identity struct {
	kind, id, name, other string // other: the number or app id beside it
}

func (i identity) entries() []object {
	out := []object{{"ID": i.kind + "_" + i.id, "Type": 2}, {"ID": i.id, "Type": 2}, {"ID": i.kind, "Type": 2}}
	switch {
	case i.kind == "User" && i.other != "":
		out = append(out, object{"ID": i.name, "Type": 5}, object{"ID": i.other, "Type": 3})
	case i.kind == "User":
		out = append(out, object{"ID": i.name, "Type": 5})
	case i.other != "":
		out = append(out, object{"ID": i.name, "Type": 1}, object{"ID": i.other, "Type": 2})
	default:
		out = append(out, object{"ID": i.name, "Type": 1})
	}
	return out
}

// actorOf is who did something in the directory: a person, or an app.
func (h *Handler) actorOf(s *org.State, e *org.Event) identity {
	if e.Actor.Kind == org.AccountRef {
		return identity{"User", h.accountID(e.Actor.N), s.Accounts[org.Microsoft365][e.Actor.N].Login, h.puid(e.Actor.N)}
	}
	in := s.Integrations[org.Microsoft365][max(0, e.Actor.N)]
	return identity{"ServicePrincipal", h.servicePrincipalID(in.N), in.Label, h.appID(in.N)}
}

// entraRecord is a record about an event of the directory.
func (h *Handler) entraRecord(s *org.State, f *OfficeFacts, e logged) object {
	v := object{
		f.CreationTime: e.At.Format("2006-01-02T15:04:05"), f.RecordID: h.recordID(e), "OrganizationId": h.tenantID, "RecordType": 8, "UserType": userRegular, "Version": 1,
		"Workload": workloadEntra, "ResultStatus": "Success", "AzureActiveDirectoryEventType": 1, "ActorContextId": h.tenantID, "TargetContextId": h.tenantID,
		"InterSystemsId": h.guid("correlation", e.N), "IntraSystemId": h.guid("intra "+e.app, e.N), "SupportTicketId": "",
	}
	if isPersonsSignIn(e.Event) {
		h.stsFields(s, e, v)
		return v
	}
	actor := h.actorOf(s, e.Event)
	v["Operation"], v["Actor"] = auditOf(s, e.Event).name+f.Period, actor.entries() // trap 17
	v["UserId"], v["UserKey"] = actor.name, strings.ToLower(actor.other)+"@"+s.Domain
	if actor.kind != "User" {
		v["UserId"], v["UserKey"], v["UserType"] = actor.kind+"_"+actor.id, notAvailable, userSystem
	}
	if e.Client.IP != "" {
		v["ClientIP"], v["ActorIpAddress"] = clientIP(h.seed, e, work{}), clientIP(h.seed, e, work{})
	}
	v["ExtendedProperties"] = []object{{"Name": "additionalDetails", "Value": `{"User-Agent":"` + e.Client.UserAgent + `"}`}}
	targets, list, properties := h.auditTargets(s, e.Event), []object{}, []object{}
	for i, t := range targets {
		if i == 0 || t.kind != "Role" && t.kind != "Group" { // what somebody enters stands among the changes alone
			list = append(list, identity{t.kind, t.id, t.name + t.login, ""}.entries()...)
		}
		for _, c := range t.changes {
			properties = append(properties, object{"Name": c.Name, "OldValue": c.Old, "NewValue": c.New})
		}
	}
	v["Target"], v["ModifiedProperties"] = list, properties
	if len(targets) > 0 {
		v["ObjectId"] = targets[0].name + targets[0].login
	}
	return v
}

// stsFields are those of a sign-in. Of somebody who does not exist the record does
// not tell the name that was tried (11.7).
func (h *Handler) stsFields(s *org.State, e logged, v object) {
	v["RecordType"], v["Operation"], v["ErrorNumber"] = 15, "UserLoggedIn", "0"
	v["IntraSystemId"] = h.signInID(e.Event) // the request, as the log of sign-ins calls it
	id, login := notAvailable, notAvailable
	if e.Actor.Kind == org.AccountRef {
		id, login = h.accountID(e.Actor.N), s.Accounts[org.Microsoft365][e.Actor.N].Login
	}
	v["UserKey"], v["UserId"], v["Actor"] = id, login, []object{{"ID": id, "Type": 0}, {"ID": login, "Type": 5}}
	if e.Failed {
		failed := failureOf(e.Event)
		v["Operation"], v["ErrorNumber"], v["LogonError"] = "UserLoginFailed", strconv.Itoa(failed.number), failed.text
		if noise(h.seed, "sts", e, 2) == 0 {
			v["ResultStatus"] = "Succeeded" // which does not mean that the login did
		}
	}
	v["ClientIP"], v["ActorIpAddress"] = clientIP(h.seed, e, work{}), clientIP(h.seed, e, work{})
	resource := h.appID(resourceOfLogin)
	v["ObjectId"], v["Target"], v["ApplicationId"] = resource, []object{{"ID": resource, "Type": 0}}, h.appID(e.Via.N)
	v["ExtendedProperties"] = []object{{"Name": "ResultStatusDetail", "Value": v["ResultStatus"]}, {"Name": "UserAgent", "Value": e.Client.UserAgent}, {"Name": "RequestType", "Value": "OAuth2:Authorize"}}
	v["ModifiedProperties"] = []object{}
	devices := []object{{"Name": "OS", "Value": "Windows 10"}}
	if e.Session != "" {
		devices = append(devices, object{"Name": "SessionId", "Value": h.sessionOf(e)})
	}
	v["DeviceProperties"] = devices
}
