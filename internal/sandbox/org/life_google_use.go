package org

import "fmt"

// useDrive is something that a person does with a file.
func (e *googleLife) useDrive(x *Act, a *Account) {
	id := fmt.Sprintf("1doc%08d", e.r.IntN(400))
	owner := e.Accounts[GoogleWorkspace][(len(id)*7+e.r.IntN(8))%len(e.Accounts[GoogleWorkspace])]
	title := pick(e.r, words) + ".pdf"
	params := func(primary bool, more ...Param) []Param {
		return append([]Param{
			{"primary_event", primary}, {"billable", true}, {"doc_id", id}, {"doc_title", title}, {"doc_type", "pdf"}, {"owner", owner.Login}, {"visibility", "private"}, {"owner_is_shared_drive", false},
		}, more...)
	}
	switch d := e.r.IntN(10); {
	case d < 5:
		e.Report(x, "drive", []ReportEvent{{"access", "view", params(true)}})
	case d < 7:
		e.Report(x, "drive", []ReportEvent{{"access", "edit", params(true)}})
	case d < 8:
		e.Report(x, "drive", []ReportEvent{{"access", "download", params(true)}})
	default:
		to := GoogleContact(e.r.IntN(GoogleContacts))
		change := []Param{{"target_user", to}, {"old_value", []string{"none"}}, {"new_value", []string{"can_view"}}, {"visibility_change", "external"}, {"old_visibility", "private"}}
		e.Report(x, "drive", []ReportEvent{
			{"acl_change", "change_user_access", params(true, change...)},
			{"acl_change", "change_acl_editors", params(false, Param{"new_value", []string{"editors_can_share"}}, Param{"old_value", []string{"owner_only"}})},
		})
	}
}

// useOther is what a person does in the other applications.
func (e *googleLife) useOther(x *Act, a *Account) {
	n := e.r.IntN(100000)
	event := fmt.Sprintf("evt%05d", n)
	one := func(app, kind, name string, params ...Param) {
		e.Report(x, app, []ReportEvent{{kind, name, params}})
	}
	switch d := e.r.IntN(24); {
	case d < 6:
		e.Report(x, "calendar", []ReportEvent{
			{"event_change", "create_event", []Param{{"event_id", event}, {"event_title", "Planning"}, {"organizer_calendar_id", a.Login}, {"calendar_id", a.Login}}},
			{"event_change", "add_event_guest", []Param{{"event_id", event}, {"event_guest", GoogleContact(n % GoogleContacts)}, {"calendar_id", a.Login}}},
		})
	case d < 10:
		one("meet", "call", "call_ended", Param{"meeting_code", event}, Param{"duration_seconds", int64(n % 3600)}, Param{"is_external", n%9 == 0}, Param{"ip_address", x.Client.IP})
	case d < 14:
		one("chat", "user_action", "message_posted", Param{"room_id", event}, Param{"attachment_hash", nil}, Param{"timestamp_ms", x.At.UnixMilli()})
		if d == 13 {
			ev := x.event(Reported)
			ev.Report = &Report{App: "chat", Failed: "Blocked by a rule", Events: []ReportEvent{{"user_action", "attachment_upload", []Param{{"room_id", event}}}}}
			e.record(GoogleWorkspace, &ev)
		}
	case d < 16:
		one("saml", "login", "login_success", Param{"application_name", "Wiki"}, Param{"initiated_by", "idp"}, Param{"orgunit_path", e.ResourceSets[GoogleWorkspace][a.OrgUnit].Name})
	case d < 17:
		one("saml", "login", "login_failure", Param{"application_name", "Wiki"}, Param{"failure_type", "failure_app_not_enabled_for_user"}, Param{"initiated_by", "sp"})
	case d < 19:
		g := e.Groups[GoogleWorkspace][1+n%8]
		one("groups", "moderator_action", "change_info_setting", Param{"group_email", g.Slug + "@" + e.Domain}, Param{"info_setting", "description"}, Param{"old_value", "a"}, Param{"new_value", "b"})
	case d < 20:
		one("takeout", "user_takeout", "STARTED_USER_TAKEOUT", Param{"job_id", event}, Param{"products_requested", []string{"drive", "mail"}})
	case d < 21:
		one("keep", "user_action", "edited_note_content", Param{"note_name", "notes/" + event}, Param{"owner_email", a.Login})
	case d < 22:
		one("context_aware_access", "CONTEXT_AWARE_ACCESS_USER_EVENT", "ACCESS_DENY_EVENT", Param{"CAA_APPLICATION", "DRIVE"}, Param{"CAA_DEVICE_ID", event})
	case d < 23:
		one("rules", "action_complete_type", "action_complete", Param{"rule_name", "Card numbers"}, Param{"severity", "HIGH"}, Param{"resource_id", event}, Param{"application", "DRIVE"})
	default:
		one("gmail", "delivery", "delivery", Param{"event_info", []string{"x"}})
	}
}
