package okta_test

import (
	"slices"
	"strings"
	"testing"

	sandboxokta "weir/internal/sandbox/okta"
	"weir/internal/sandbox/org"
	"weir/internal/sourcetest"
	"weir/schemas"
	"weir/sources"
)

type actionTarget = sourcetest.ActionTarget

// plainAccounts are people's active accounts that hold no role.
func plainAccounts(truth *schemas.Rows) (out []actionTarget) {
	for i := range truth.Accounts {
		if a := &truth.Accounts[i]; a.Status == "active" && a.Kind == "human" && !a.IsAdmin.Value {
			out = append(out, actionTarget{ID: a.AccountID})
		}
	}
	return out
}

func accountsWith(status string) func(*schemas.Rows) []actionTarget {
	return func(truth *schemas.Rows) (out []actionTarget) {
		for i := range truth.Accounts {
			if a := &truth.Accounts[i]; a.Status == status {
				out = append(out, actionTarget{ID: a.AccountID})
			}
		}
		return out
	}
}

func statusIs(status string) func(*schemas.Rows, actionTarget) bool {
	return func(truth *schemas.Rows, t actionTarget) bool {
		i := slices.IndexFunc(truth.Accounts, func(a schemas.Account) bool { return a.AccountID == t.ID })
		return i >= 0 && truth.Accounts[i].Status == status
	}
}

func members(truth *schemas.Rows) (out []actionTarget) {
	plain := plainAccounts(truth)
	for _, m := range truth.GroupMembers {
		g := slices.IndexFunc(truth.Groups, func(g schemas.Group) bool { return g.GroupID == m.GroupID })
		if m.Role == "member" && truth.Groups[g].Kind == "OKTA_GROUP" && slices.ContainsFunc(plain, func(t actionTarget) bool { return t.ID == m.MemberID }) {
			out = append(out, actionTarget{ID: m.MemberID, Params: map[string]string{"group": m.GroupID}})
		}
	}
	return out
}

func noMember(truth *schemas.Rows, t actionTarget) bool {
	return !slices.ContainsFunc(truth.GroupMembers, func(m schemas.GroupMember) bool {
		return m.MemberID == t.ID && m.GroupID == t.Params["group"] && m.Role == "member"
	})
}

func rolesHeld(custom bool) func(*schemas.Rows) []actionTarget {
	return func(truth *schemas.Rows) (out []actionTarget) {
		for i := range truth.Privileges {
			p := &truth.Privileges[i]
			if p.PrincipalKind != "account" || p.Via != "direct" || p.RoleID == "SUPER_ADMIN" || custom != (p.ScopeKind == "resource_set") {
				continue
			}
			params := map[string]string{"role": p.RoleID}
			if custom {
				params["resource_set"] = p.Scope
			}
			out = append(out, actionTarget{ID: p.PrincipalID, Params: params})
		}
		return out
	}
}

func noRole(truth *schemas.Rows, t actionTarget) bool {
	return !slices.ContainsFunc(truth.Privileges, func(p schemas.Privilege) bool {
		return p.PrincipalID == t.ID && p.RoleID == t.Params["role"] && p.Via == "direct"
	})
}

// grantsOf are grants whose id begins so and whose principal is of a kind.
func grantsOf(prefix, principal, param string) func(*schemas.Rows) []actionTarget {
	return func(truth *schemas.Rows) (out []actionTarget) {
		for i := range truth.AppGrants {
			g := &truth.AppGrants[i]
			if !strings.HasPrefix(g.GrantID, prefix) || g.PrincipalKind != principal {
				continue
			}
			t := actionTarget{ID: g.GrantID}
			switch param {
			case "app":
				t.Params = map[string]string{"app": g.AppID}
			case "account":
				t.Params = map[string]string{"account": g.PrincipalID}
			}
			out = append(out, t)
		}
		return out
	}
}

func noGrant(truth *schemas.Rows, t actionTarget) bool {
	return !slices.ContainsFunc(truth.AppGrants, func(g schemas.AppGrant) bool { return g.GrantID == t.ID })
}

func noGrantsOfAccount(truth *schemas.Rows, t actionTarget) bool {
	return !slices.ContainsFunc(truth.AppGrants, func(g schemas.AppGrant) bool { return g.PrincipalID == t.ID && g.Kind != "api_key" })
}

func activeApps(truth *schemas.Rows) (out []actionTarget) {
	for i := range truth.Apps {
		if a := &truth.Apps[i]; a.Status == "active" && a.Kind != "API_SERVICE" {
			out = append(out, actionTarget{ID: a.AppID})
		}
	}
	return out
}

// grantScope has an administrator grant an app a scope.
func grantScope(s *org.State) {
	for _, in := range s.Integrations[org.Okta] {
		if in.Active && in.Gone.IsZero() && in.Kind == "OPENID_CONNECT" {
			s.WidenIntegration(org.Okta, &org.Act{At: s.Now, Client: &org.Client{}}, in, "okta.groups.read")
			return
		}
	}
}

func inactiveApp(truth *schemas.Rows, t actionTarget) bool {
	i := slices.IndexFunc(truth.Apps, func(a schemas.App) bool { return a.AppID == t.ID })
	return i >= 0 && truth.Apps[i].Status == "inactive"
}

func actionCases() []sourcetest.ActionCase {
	account, credential := sources.TargetAccount, sources.TargetCredential
	return []sourcetest.ActionCase{
		{Name: "suspend", Action: sources.SuspendUser, Kind: account, Candidates: plainAccounts, Effect: statusIs("suspended"), Event: "user.lifecycle.suspend", Scope: "okta.users.manage"},
		{Name: "unsuspend", Action: sources.UnsuspendUser, Kind: account, Candidates: accountsWith("suspended"), Effect: statusIs("active"), Event: "user.lifecycle.unsuspend", Scope: "okta.users.manage"},
		{Name: "sign out", Action: sources.SignOutUser, Kind: account, Candidates: plainAccounts, Event: "user.session.clear", Scope: "okta.users.manage", Again: true},
		{Name: "reset password", Action: sources.ResetPassword, Kind: account, Candidates: plainAccounts, Event: "user.account.reset_password", Scope: "okta.users.manage"},
		{Name: "expire password", Action: sources.ExpirePassword, Kind: account, Candidates: plainAccounts, Event: "user.account.expire_password", Scope: "okta.users.manage"},
		{Name: "leave a group", Action: sources.RemoveMember, Kind: account, Candidates: members, Effect: noMember, Event: "group.user_membership.remove", Scope: "okta.groups.manage"},
		{
			Name: "a consent of a person", Action: sources.RevokeGrant, Kind: credential, Candidates: grantsOf("consent:", "account", "account"), Effect: noGrant,
			Event: "app.oauth2.as.consent.revoke", Scope: "okta.users.manage",
		},
		{
			Name: "a scope of an app", Action: sources.RevokeGrant, Kind: credential, Candidates: grantsOf("consent:", "app", "app"), Effect: noGrant,
			Event: "app.oauth2.admin.consent.revoke", Scope: "okta.appGrants.manage", Changed: map[string][]string{"app_grants": {"grant_id", "created_at"}},
			Prepare: grantScope,
		},
		{Name: "a refresh token", Action: sources.RevokeGrant, Kind: credential, Candidates: grantsOf("token:", "account", "app"), Effect: noGrant, Event: "app.oauth2.token.revoke", Scope: "okta.apps.manage"},
		{Name: "all grants of a person", Action: sources.RevokeGrant, Kind: account, Candidates: plainAccounts, Effect: noGrantsOfAccount, Event: "app.oauth2.token.revoke", Scope: "okta.users.manage"},
		{Name: "an integration", Action: sources.RevokeGrant, Kind: credential, Candidates: grantsOf("installation:", "app", ""), Effect: noGrant, Event: "integration.api_service.lifecycle.revoke", Scope: "okta.oauthIntegrations.manage"},
		{Name: "disable an app", Action: sources.DisableApp, Kind: sources.TargetApp, Candidates: activeApps, Effect: inactiveApp, Event: "application.lifecycle.deactivate", Scope: "okta.apps.manage"},
		{Name: "an API token", Action: sources.RevokeKey, Kind: credential, Candidates: grantsOf("api_key:", "account", ""), Effect: noGrant, Event: "system.api_token.revoke", Scope: "okta.apiTokens.manage"},
		{
			Name: "a standard role", Action: sources.RemovePrivilege, Kind: account, Candidates: rolesHeld(false), Effect: noRole, Event: "user.account.privilege.revoke", Scope: "okta.roles.manage",
			Changed: map[string][]string{"privileges": {"assigned_at"}},
		},
		{
			Name: "a custom role", Action: sources.RemovePrivilege, Kind: account, Candidates: rolesHeld(true), Effect: noRole, Event: "user.account.privilege.revoke", Scope: "okta.roles.manage",
			Changed: map[string][]string{"privileges": {"assigned_at"}},
		},
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	f := fixture()
	f.Secrets = append(f.Secrets, sandboxokta.LinkSecret)
	sourcetest.RunActions(t, f, actionCases())
}
