package googleworkspace

import (
	"strings"

	"weir/internal/sandbox/org"
)

// Types of the events of the application admin (8).
const (
	userSettings  = "USER_SETTINGS"
	groupSettings = "GROUP_SETTINGS"
	adminSettings = "DELEGATED_ADMIN_SETTINGS"
	warning       = "account_warning"
)

// one is an item of one event.
func one(name, kind, verb string, params ...org.Param) item {
	return item{app: name, events: []org.ReportEvent{{Type: kind, Name: verb, Params: params}}}
}

func pair(name string, value any) org.Param { return org.Param{Name: name, Value: value} }

// items are what the audit log has of an event: none, one, or the same fact in two
// applications. They depend on nothing that changes.
func (h *Handler) items(s *org.State, e *org.Event) []item {
	if e.Report != nil {
		return []item{{app: e.Report.App, events: e.Report.Events, failed: e.Report.Failed}}
	}
	if list := h.driveItems(s, e); list != nil {
		return list
	}
	if len(e.Targets) == 0 {
		return nil
	}
	switch e.Targets[0].Kind {
	case org.AccountRef:
		if list := accountItems(e, s.Accounts[app][e.Targets[0].N]); list != nil {
			return list
		}
	case org.PolicyRef:
		c := e.Changes[0]
		return []item{one("admin", "APPLICATION_SETTINGS", "CHANGE_APPLICATION_SETTING",
			pair("APPLICATION_NAME", "Drive and Docs"), pair("SETTING_NAME", c.Name), pair("OLD_VALUE", c.Old), pair("NEW_VALUE", c.New), pair("ORG_UNIT_NAME", s.Name))}
	default:
	}
	switch e.Verb {
	case org.GroupCreate, org.GroupUpdate, org.GroupDelete, org.GroupAddMember, org.GroupRemoveMember:
		return h.groupItems(s, e)
	case org.RoleGrantVerb, org.RoleRevokeVerb:
		return h.roleItems(s, e)
	case org.GrantIssue, org.GrantRevoke:
		return h.grantItems(s, e)
	default:
	}
	return nil
}

// accountVerbs are what is done to a user, in the words of the application admin.
var accountVerbs = map[org.Verb]string{
	org.AccountUnsuspend: "UNSUSPEND_USER", org.AccountArchive: "ARCHIVE_USER", org.AccountUnarchive: "UNARCHIVE_USER", org.AccountRemove: "DELETE_USER", org.AccountRestore: "UNDELETE_USER",
	org.PasswordReset: "CHANGE_PASSWORD", org.SessionsClear: "RESET_SIGNIN_COOKIES", org.BackupCodesEnd: "DELETE_2SV_SCRATCH_CODES", org.SecondFactorsEnd: "TURN_OFF_2_STEP_VERIFICATION",
}

// accountItems are what happens with an account.
func accountItems(e *org.Event, a *org.Account) []item {
	email := pair("USER_EMAIL", a.Login)
	switch e.Verb {
	case org.SignIn:
		return []item{signInItem(e, a)}
	case org.SignOut:
		return []item{one("login", "login", "logout", pair("login_type", "google_password"))}
	case org.ThreatDetected:
		return []item{one("login", warning, e.Reason, pair("affected_email_address", a.Login), pair("login_timestamp", e.At.UnixMicro()))}
	case org.PasswordChange:
		return twins("password_change", "password_edit")
	case org.MFAEnroll:
		return twins("2sv_change", "2sv_enroll")
	case org.AccountCreate:
		return []item{{app: "admin", events: []org.ReportEvent{
			{Type: userSettings, Name: "CREATE_USER", Params: []org.Param{email}},
			{Type: "LICENSES_SETTINGS", Name: "USER_LICENSE_ASSIGNMENT", Params: []org.Param{email, pair("PRODUCT_NAME", "Google Workspace"), pair("NEW_VALUE", "Business Plus")}},
		}}}
	case org.AccountSuspend:
		if e.Actor.Kind == org.SystemRef {
			return []item{one("login", warning, "account_disabled_generic", pair("affected_email_address", a.Login))}
		}
		return []item{one("admin", userSettings, "SUSPEND_USER", email)}
	case org.PasswordForce:
		return []item{one("admin", userSettings, "CHANGE_PASSWORD_ON_NEXT_LOGIN", email, pair("OLD_VALUE", e.Changes[0].Old), pair("NEW_VALUE", e.Changes[0].New))}
	case org.OrgUnitMove:
		return []item{one("admin", userSettings, "MOVE_USER_TO_ORG_UNIT", email, pair("ORG_UNIT_NAME", e.Changes[0].Old), pair("NEW_VALUE", e.Changes[0].New))}
	case org.AccountUpdate:
		it := item{app: "admin"}
		for _, c := range e.Changes { // one event for each
			it.events = append(it.events, org.ReportEvent{Type: userSettings, Name: "CHANGE_USER_ORGANIZATION", Params: []org.Param{email, pair("OLD_VALUE", c.Old), pair("NEW_VALUE", c.New)}})
		}
		return []item{it}
	default:
	}
	if word := accountVerbs[e.Verb]; word != "" {
		return []item{one("admin", userSettings, word, email)}
	}
	return nil
}

// twins are one fact that two applications tell (8).
func twins(kind, name string) []item {
	return []item{one("login", kind, name), one("user_accounts", kind, name)}
}

// signInItem is a sign-in: with a second factor its verification comes before it.
func signInItem(e *org.Event, a *org.Account) item {
	methods := []string{"password"}
	params := []org.Param{pair("login_type", "google_password"), pair("login_challenge_method", methods), pair("is_suspicious", e.Risk == "high")}
	if e.Failed {
		return one("login", "login", "login_failure", append(params, pair("login_failure_type", e.Reason))...)
	}
	it := one("login", "login", "login_success", params...)
	if e.Risk == "medium" {
		it.events = append([]org.ReportEvent{{Type: "login", Name: "login_challenge", Params: []org.Param{
			pair("login_challenge_method", []string{"idv_preregistered_phone"}), pair("login_challenge_status", "Challenge Passed."), pair("login_type", "google_password"),
		}}}, it.events...)
	}
	if e.MFA && len(a.Login)%2 == 0 {
		it.events = append([]org.ReportEvent{{Type: "login", Name: "login_verification", Params: []org.Param{
			pair("is_second_factor", true), pair("login_challenge_method", []string{"google_prompt"}), pair("login_type", "google_password"),
		}}}, it.events...)
	}
	return it
}

// nameOf is the address of who is in a group or holds a role.
func (h *Handler) nameOf(s *org.State, r org.Ref) string {
	if r.Kind == org.IntegrationRef {
		return h.serviceEmail(s, s.Integrations[app][r.N])
	}
	return h.memberEmail(s, r)
}

func (h *Handler) groupItems(s *org.State, e *org.Event) []item {
	g := s.Groups[app][e.Targets[len(e.Targets)-1].N]
	email := pair("GROUP_EMAIL", groupEmail(s, g))
	switch e.Verb {
	case org.GroupCreate:
		return []item{one("admin", groupSettings, "CREATE_GROUP", email)}
	case org.GroupDelete:
		return []item{one("admin", groupSettings, "DELETE_GROUP", email)}
	case org.GroupUpdate:
		return []item{one("admin", groupSettings, "CHANGE_GROUP_DESCRIPTION", email, pair("OLD_VALUE", e.Changes[0].Old), pair("NEW_VALUE", e.Changes[0].New))}
	case org.GroupAddMember:
		it := one("admin", groupSettings, "ADD_GROUP_MEMBER", email, pair("USER_EMAIL", h.nameOf(s, e.Targets[0])))
		if e.Text != org.GroupMember { // a second event tells what the member is
			it.events = append(it.events, org.ReportEvent{Type: groupSettings, Name: "UPDATE_GROUP_MEMBER", Params: []org.Param{email, pair("USER_EMAIL", h.nameOf(s, e.Targets[0])), pair("NEW_VALUE", strings.ToUpper(e.Text)), pair("OLD_VALUE", "MEMBER")}})
		}
		return []item{it}
	default:
		return []item{one("admin", groupSettings, "REMOVE_GROUP_MEMBER", email, pair("USER_EMAIL", h.nameOf(s, e.Targets[0])))}
	}
}

func (h *Handler) roleItems(s *org.State, e *org.Event) []item {
	r := s.Roles[app][e.Targets[1].N]
	who := pair("USER_EMAIL", h.nameOf(s, r.Holder))
	if r.Holder.Kind == org.GroupRef {
		who.Name = "GROUP_EMAIL"
	}
	if r.RoleN == org.GoogleSuperAdmin {
		verb := "GRANT_ADMIN_PRIVILEGE"
		if e.Verb == org.RoleRevokeVerb {
			verb = "REVOKE_ADMIN_PRIVILEGE"
		}
		return []item{one("admin", userSettings, verb, who)}
	}
	verb := "ASSIGN_ROLE"
	if e.Verb == org.RoleRevokeVerb {
		verb = "UNASSIGN_ROLE"
	}
	params := []org.Param{pair("ROLE_NAME", r.Role), pair("ROLE_ID", h.roleID(r.RoleN)), who}
	if r.ScopeN > 0 {
		params = append(params, pair("ORG_UNIT_NAME", s.ResourceSets[app][r.ScopeN].Name))
	}
	return []item{one("admin", adminSettings, verb, params...)}
}

// grantItems are what people let clients do. Who makes or ends an app password for
// themselves is in no log.
func (h *Handler) grantItems(s *org.State, e *org.Event) []item {
	g := s.Grants[app][e.Targets[0].N]
	a := s.Accounts[app][g.Account]
	own := e.Actor == org.Ref{Kind: org.AccountRef, N: a.N} && e.Via.Kind == ""
	if g.Kind == org.GrantAppPassword {
		if e.Verb == org.GrantIssue || own {
			return nil
		}
		return []item{one("admin", userSettings, "REVOKE_ASP", pair("USER_EMAIL", a.Login), pair("ASP_ID", itoa(g.N+1)))}
	}
	in := s.Integrations[app][g.Integration]
	if !own && e.Verb == org.GrantRevoke {
		return []item{one("admin", userSettings, "REVOKE_3LO_TOKEN", pair("USER_EMAIL", a.Login), pair("OAUTH2_APP_ID", h.clientID(in)), pair("OAUTH2_APP_NAME", in.Label))}
	}
	verb, scopes := "authorize", e.Changes[0].New
	if e.Verb == org.GrantRevoke {
		verb, scopes = "revoke", e.Changes[0].Old
	}
	list := scopeURLs(strings.Fields(scopes))
	var data [][]org.Param
	for _, sc := range list {
		data = append(data, []org.Param{pair("scope_name", sc), pair("product_bucket", []string{"OTHER"})})
	}
	return []item{one("token", "auth", verb, pair("client_id", h.clientID(in)), pair("app_name", in.Label), pair("client_type", strings.ToUpper(in.Kind)), pair("scope", list), pair("scope_data", data))}
}
