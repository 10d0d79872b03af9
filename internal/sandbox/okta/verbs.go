package okta

import "weir/internal/sandbox/org"

// verb is how the log tells of something: names are those of the vendor's
// catalog of event types.
type verb struct {
	event, legacy, message string
	severity               string // "" INFO
}

var (
	verbUnknown = verb{event: "system.unknown", message: "Unknown"}

	verbs = map[org.Verb]verb{
		org.SignIn:            {event: "user.session.start", legacy: "core.user_auth.login_success", message: "User login to Okta"},
		org.SignOut:           {event: "user.session.end", legacy: "core.user_auth.logout_success", message: "User logout from Okta"},
		org.SSO:               {event: "user.authentication.sso", message: "User single sign on to app"},
		org.MFAVerify:         {event: "user.authentication.auth_via_mfa", message: "Authentication of user via MFA"},
		org.MFAEnroll:         {event: "user.mfa.factor.activate", message: "Activate factor or authenticator enrollment for user"},
		org.PasswordChange:    {event: "user.account.update_password", message: "User update password for Okta"},
		org.PasswordReset:     {event: "user.account.reset_password", message: "Fired when the user's Okta password is reset"},
		org.AccountLock:       {event: "user.account.lock", message: "Max sign in attempts exceeded", severity: "WARN"},
		org.AccountUnlock:     {event: "user.account.unlock", message: "Unlock Okta account"},
		org.AccountCreate:     {event: "user.lifecycle.create", message: "Create Okta user"},
		org.AccountActivate:   {event: "user.lifecycle.activate", message: "Activate Okta user"},
		org.AccountUpdate:     {event: "user.account.update_profile", message: "Update user profile for Okta"},
		org.AccountSuspend:    {event: "user.lifecycle.suspend", message: "Suspend Okta user"},
		org.AccountUnsuspend:  {event: "user.lifecycle.unsuspend", message: "Unsuspend Okta user"},
		org.AccountRemove:     {event: "user.lifecycle.deactivate", message: "Deactivate Okta user"},
		org.AccountDelete:     {event: "user.lifecycle.delete.initiated", message: "Delete Okta user"},
		org.GroupCreate:       {event: "group.lifecycle.create", message: "Create Okta group"},
		org.GroupUpdate:       {event: "group.profile.update", message: "Update Okta group profile"},
		org.GroupDelete:       {event: "group.lifecycle.delete", message: "Delete Okta group"},
		org.GroupAddMember:    {event: "group.user_membership.add", message: "Add user to group membership"},
		org.GroupRemoveMember: {event: "group.user_membership.remove", message: "Remove user from group membership"},
		org.AppAssign:         {event: "application.user_membership.add", message: "Add user to application membership"},
		org.AppUnassign:       {event: "application.user_membership.remove", message: "Remove user's application membership"},
		org.SessionsClear:     {event: "user.session.clear", message: "Clear user session"},
		org.PasswordExpire:    {event: "user.account.expire_password", message: "Expire the user's password"},
		org.AppResume:         {event: "application.lifecycle.activate", message: "Activate application"},
		org.PolicyUpdate:      {event: "policy.lifecycle.update", message: "Update policy"},
		org.ThreatDetected:    {event: "security.threat.detected", message: "Request from suspicious actor", severity: "WARN"},
		org.RateLimitWarned:   {event: "system.org.rate_limit.warning", message: "Rate limit warning", severity: "WARN"},
	}

	roleVerbs = map[org.RefKind][2]verb{ // grant, revoke
		org.AccountRef:     {{event: "user.account.privilege.grant", message: "Grant user privilege"}, {event: "user.account.privilege.revoke", message: "Revoke user privilege"}},
		org.GroupRef:       {{event: "group.privilege.grant", message: "Grant group privilege"}, {event: "group.privilege.revoke", message: "Revoke group privilege"}},
		org.IntegrationRef: {{event: "app.oauth2.client.privilege.grant", message: "Grant OAuth 2.0 client privilege"}, {event: "app.oauth2.client.privilege.revoke", message: "Revoke OAuth 2.0 client privilege"}},
	}

	grantVerbs = map[string][2]verb{ // issue, revoke
		org.GrantAPIToken: {{event: "system.api_token.create", message: "Create API token"}, {event: "system.api_token.revoke", message: "Revoke API token"}},
		org.GrantConsent:  {{event: "app.oauth2.as.consent.grant", message: "User granted consent to app"}, {event: "app.oauth2.as.consent.revoke", message: "Consent revoked"}},
		org.GrantRefresh:  {{event: "app.oauth2.token.grant.refresh_token", message: "OAuth2 refresh token is granted"}, {event: "app.oauth2.token.revoke", message: "OAuth2 token revocation request"}},
		org.GrantScope:    {{event: "app.oauth2.admin.consent.grant", message: "Grant OAuth2 scopes to app"}, {event: "app.oauth2.admin.consent.revoke", message: "Revoke OAuth2 scopes of app"}},
	}

	appVerbs = map[org.Verb][2]verb{ // an app, an API service integration
		org.IntegrationAdd:     {{event: "application.lifecycle.create", message: "Create application"}, {event: "integration.api_service.lifecycle.authorize", message: "Authorize API service integration"}},
		org.IntegrationUpdate:  {{event: "application.lifecycle.update", message: "Update application"}, {event: "app.oauth2.client.lifecycle.update", message: "Update OAuth client"}},
		org.IntegrationSuspend: {{event: "application.lifecycle.deactivate", message: "Deactivate application"}, {event: "app.oauth2.client.lifecycle.deactivate", message: "Deactivate OAuth client"}},
		org.IntegrationRemove:  {{event: "application.lifecycle.delete", message: "Delete application"}, {event: "integration.api_service.lifecycle.revoke", message: "Revoke API service integration"}},
	}
)

// verbOf returns how the log tells of an event.
func verbOf(s *org.State, e *org.Event) verb {
	if v, ok := verbs[e.Verb]; ok {
		return v
	}
	if len(e.Targets) == 0 {
		return verbUnknown
	}
	first := e.Targets[0]
	var pair [2]verb
	second := false
	switch e.Verb {
	case org.RoleGrantVerb, org.RoleRevokeVerb:
		pair, second = roleVerbs[first.Kind], e.Verb == org.RoleRevokeVerb
	case org.GrantIssue, org.GrantRevoke:
		pair, second = grantVerbs[s.Grants[org.Okta][first.N].Kind], e.Verb == org.GrantRevoke
	case org.IntegrationAdd, org.IntegrationUpdate, org.IntegrationSuspend, org.IntegrationRemove: // AppResume is of apps alone
		pair, second = appVerbs[e.Verb], s.Integrations[org.Okta][first.N].Kind == apiService
	default:
		return verbUnknown
	}
	if second {
		return pair[1]
	}
	return pair[0]
}

// target is one object that the log names.
type target struct {
	kind kind
	n    int
	id   string // where it is not made from kind and n
	typ  string
	alt  string // alternateId; "" null
	name string
}

// Types of targets.
const (
	typeUser    = "User"
	typeGroup   = "UserGroup"
	typeApp     = "AppInstance"
	typeAppUser = "AppUser"
	typeClient  = "PublicClientApp"
	typeRole    = "ROLE"
	typeToken   = "Token"
	typeRefresh = "refresh_token"
	typeConsent = "ConsentGrant"
	typePolicy  = "Policy"
	typeOrg     = "Org"
)

// appendTargets returns the targets of an event, in the vendor's order.
func appendTargets(list []target, s *org.State, e *org.Event) []target {
	if (e.Verb == org.AppAssign || e.Verb == org.AppUnassign) && len(e.Targets) == 2 {
		// The user's profile in the app comes first.
		a, in := e.Targets[0], e.Targets[1]
		u := refTarget(s, a)
		return append(list, target{kind: kindAppUser, n: in.N<<20 | a.N, typ: typeAppUser, alt: u.alt, name: u.name}, refTarget(s, in), u)
	}
	for _, r := range e.Targets {
		if r.Kind == org.GrantRef && !listed(s, s.Grants[org.Okta][r.N]) {
			continue
		}
		list = append(list, refTarget(s, r))
	}
	return list
}

// listed tells whether the API has a place for a grant: an API service
// integration's scopes are properties of it.
func listed(s *org.State, g *org.Grant) bool {
	return g.Kind != org.GrantScope || s.Integrations[org.Okta][g.Integration].Kind != apiService
}

func refTarget(s *org.State, r org.Ref) target {
	switch r.Kind {
	case org.AccountRef:
		a := s.Accounts[org.Okta][r.N]
		return target{kind: kindUser, n: r.N, typ: typeUser, alt: a.Login, name: fullName(s.People[a.Person])}
	case org.GroupRef:
		return target{kind: kindGroup, n: r.N, typ: typeGroup, alt: "unknown", name: s.Groups[org.Okta][r.N].Name}
	case org.RoleRef:
		g := s.Roles[org.Okta][r.N]
		if g.RoleN >= 0 {
			return target{kind: kindRole, n: g.RoleN, typ: typeRole, name: roleLabel(s, g)}
		}
		return target{id: g.Role, typ: typeRole, name: roleLabel(s, g)}
	case org.IntegrationRef:
		in := s.Integrations[org.Okta][r.N]
		if in.Kind == apiService {
			return target{kind: kindApp, n: r.N, typ: typeClient, name: in.Label}
		}
		return target{kind: kindApp, n: r.N, typ: typeApp, alt: in.Label, name: in.Label}
	case org.GrantRef:
		g := s.Grants[org.Okta][r.N]
		t := target{kind: grantKind(g), n: r.N, typ: typeConsent, name: g.Name}
		switch g.Kind {
		case org.GrantAPIToken:
			t.typ = typeToken
		case org.GrantRefresh:
			t.typ, t.name = typeRefresh, "Refresh Token"
		default:
			if len(g.Scopes) > 0 {
				t.name = g.Scopes[0]
			}
		}
		return t
	case org.PolicyRef:
		return target{kind: kindPolicy, n: r.N, typ: typePolicy, alt: "unknown", name: r.Name}
	default:
		return target{kind: kindOrg, typ: typeOrg, name: s.Name}
	}
}
