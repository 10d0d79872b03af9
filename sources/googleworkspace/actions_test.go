package googleworkspace_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/sourcetest"
	"weir/schemas"
	"weir/sources"
	"weir/sources/googleworkspace"
)

type actionTarget = sourcetest.ActionTarget

// plainAccounts are people's accounts of a status that hold no admin role.
func plainAccounts(status string) func(*schemas.Rows) []actionTarget {
	return func(truth *schemas.Rows) (out []actionTarget) {
		for i := range truth.Accounts {
			if a := &truth.Accounts[i]; a.Status == status && a.Kind == "human" && !a.IsAdmin.Value {
				out = append(out, actionTarget{ID: a.AccountID})
			}
		}
		return out
	}
}

func statusIs(status string) func(*schemas.Rows, actionTarget) bool {
	return func(truth *schemas.Rows, t actionTarget) bool {
		return slices.ContainsFunc(truth.Accounts, func(a schemas.Account) bool { return a.AccountID == t.ID && a.Status == status })
	}
}

// members are accounts in groups.
func members(truth *schemas.Rows) (out []actionTarget) {
	plain := plainAccounts("active")(truth)
	for i := range truth.GroupMembers {
		m := &truth.GroupMembers[i]
		if slices.ContainsFunc(plain, func(t actionTarget) bool { return t.ID == m.MemberID }) {
			out = append(out, actionTarget{ID: m.MemberID, Params: map[string]string{"group": m.GroupID}})
		}
	}
	return out
}

func noMember(truth *schemas.Rows, t actionTarget) bool {
	return !slices.ContainsFunc(truth.GroupMembers, func(m schemas.GroupMember) bool { return m.MemberID == t.ID && m.GroupID == t.Params["group"] })
}

// rolesHeld are roles of people's own: of super administrators, or the others.
func rolesHeld(super bool) func(*schemas.Rows) []actionTarget {
	return func(truth *schemas.Rows) (out []actionTarget) {
		for i := range truth.Privileges {
			p := &truth.Privileges[i]
			if p.PrincipalKind == "account" && p.Via == "direct" && strings.HasPrefix(p.RoleName, "_SEED_ADMIN") == super {
				out = append(out, actionTarget{ID: p.PrincipalID, Params: map[string]string{"role": p.RoleID, "scope": p.Scope}})
			}
		}
		return out
	}
}

func noRole(truth *schemas.Rows, t actionTarget) bool {
	return !slices.ContainsFunc(truth.Privileges, func(p schemas.Privilege) bool {
		return p.PrincipalID == t.ID && p.RoleID == t.Params["role"] && p.Scope == t.Params["scope"]
	})
}

func grantsOf(kind string) func(*schemas.Rows) []actionTarget {
	return func(truth *schemas.Rows) (out []actionTarget) {
		for i := range truth.AppGrants {
			if g := &truth.AppGrants[i]; g.Kind == kind && g.PrincipalKind == "account" {
				out = append(out, actionTarget{ID: g.GrantID, Params: map[string]string{"account": g.PrincipalID}})
			}
		}
		return out
	}
}

func noGrant(truth *schemas.Rows, t actionTarget) bool {
	return !slices.ContainsFunc(truth.AppGrants, func(g schemas.AppGrant) bool { return g.GrantID == t.ID })
}

// granters are accounts that have granted something, those with most first.
func granters(truth *schemas.Rows) (out []actionTarget) {
	count := map[string]int{}
	for i := range truth.AppGrants {
		g := &truth.AppGrants[i]
		if count[g.PrincipalID]++; count[g.PrincipalID] == 1 {
			out = append(out, actionTarget{ID: g.PrincipalID})
		}
	}
	slices.SortStableFunc(out, func(a, b actionTarget) int { return count[b.ID] - count[a.ID] })
	return out
}

func noGrants(truth *schemas.Rows, t actionTarget) bool {
	return !slices.ContainsFunc(truth.AppGrants, func(g schemas.AppGrant) bool { return g.PrincipalID == t.ID })
}

func accountCases() []sourcetest.ActionCase {
	account, credential := sources.TargetAccount, sources.TargetCredential
	const scopes = "https://www.googleapis.com/auth/admin.directory."
	given := map[string][]string{"privileges": {"privilege_id", "raw"}}
	return []sourcetest.ActionCase{
		{Name: "suspend", Action: sources.SuspendUser, Kind: account, Candidates: plainAccounts("active"), Effect: statusIs("suspended"), Event: "SUSPEND_USER", Scope: scopes + "user"},
		{Name: "unsuspend", Action: sources.UnsuspendUser, Kind: account, Candidates: plainAccounts("suspended"), Effect: statusIs("active"), Event: "UNSUSPEND_USER", Scope: scopes + "user"},
		{Name: "sign out", Action: sources.SignOutUser, Kind: account, Candidates: plainAccounts("active"), Event: "RESET_SIGNIN_COOKIES", Scope: scopes + "user.security", Again: true},
		{Name: "reset password", Action: sources.ResetPassword, Kind: account, Candidates: plainAccounts("active"), Event: "CHANGE_PASSWORD", Scope: scopes + "user", Again: true},
		{Name: "expire password", Action: sources.ExpirePassword, Kind: account, Candidates: plainAccounts("active"), Event: "CHANGE_PASSWORD_ON_NEXT_LOGIN", Scope: scopes + "user"},
		{Name: "leave a group", Action: sources.RemoveMember, Kind: account, Candidates: members, Effect: noMember, Event: "REMOVE_GROUP_MEMBER", Scope: scopes + "group.member"},
		{Name: "a grant", Action: sources.RevokeGrant, Kind: credential, Candidates: grantsOf("token"), Effect: noGrant, Event: "REVOKE_3LO_TOKEN", Scope: scopes + "user.security"},
		{Name: "an app password", Action: sources.RevokeGrant, Kind: credential, Candidates: grantsOf("app_password"), Effect: noGrant, Event: "REVOKE_ASP", Scope: scopes + "user.security"},
		{Name: "all grants", Action: sources.RevokeGrant, Kind: account, Candidates: granters, Effect: noGrants, Event: "REVOKE_3LO_TOKEN", Scope: scopes + "user.security"},
		{Name: "an admin role", Action: sources.RemovePrivilege, Kind: account, Candidates: rolesHeld(false), Effect: noRole, Event: "UNASSIGN_ROLE", Scope: scopes + "rolemanagement", Changed: given},
		{Name: "super administrator", Action: sources.RemovePrivilege, Kind: account, Candidates: rolesHeld(true), Effect: noRole, Event: "REVOKE_ADMIN_PRIVILEGE", Scope: scopes + "user", Changed: given},
	}
}

func TestActionCases(t *testing.T) {
	t.Parallel()
	cases := actionCases()
	for _, a := range googleworkspace.Connector.Actions {
		for _, target := range a.Targets {
			require.True(t, slices.ContainsFunc(cases, func(c sourcetest.ActionCase) bool { return c.Action == a.Action && c.Kind == target.Kind }), "%s on %s", a.Action, target.Kind)
		}
	}
}
