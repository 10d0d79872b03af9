package org

import "fmt"

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
		one("saml", "login", "login_success", Param{"application_name", "Wiki"}, Param{"initiated_by", "idp"}, Param{"user_agent", x.Client.UserAgent}, Param{"orgunit_path", e.ResourceSets[GoogleWorkspace][a.OrgUnit].Name})
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
