package googleworkspace

import (
	"context"
	"net/url"
	"slices"
	"time"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/sources"
	"weir/sources/httpx"
)

// Actions is what actions need to know.
type Actions struct {
	Quarantine Quarantine `key:"quarantine" doc:"where quarantine_file keeps files"`
}

func defaultActions() Actions { return Actions{} }

func (a *Actions) validate() []setting.KeyError { return a.Quarantine.validate("actions.quarantine") }

// governing is what actions keep in a session.
type governing struct{}

func (g *governing) init() {}

// Forms of the vendor's ids. None of them holds what could end a path, a query or
// a filter.
const (
	numberForm = `[0-9]{1,32}` // of users, of roles, of role assignments
	groupForm  = `[A-Za-z0-9]{8,64}`
	grantForm  = `[0-9a-f]{32}`
	unitForm   = `(id:)?[A-Za-z0-9_-]{4,64}`
)

// Delays of what was written.
const (
	directoryDelay = 2 * time.Minute  // until the Directory API shows it for certain
	logDelay       = 15 * time.Minute // until the log does: a couple of minutes by the documentation
)

var (
	onAccount = sources.ActionTarget{Kind: sources.TargetAccount, ID: numberForm, Doc: "accounts.account_id"}

	readTarget = "to read the target: the scopes " + scopeUsers + ", " + scopeGroups + " and " + scopeRoles + ", and an admin subject who may read users, groups and admin roles"
	readEvents = "to see the effect: the scope " + scopeReports + ", and the privilege Reports"

	limitAdmins   = "Google lets only a super administrator act on administrators: the subject (auth.subject) must be one."
	limitProvider = "Who signs in through another identity provider has the password there: it is not touched."
	limitTokens   = "Access tokens already issued may be valid to their end, about an hour."
)

// howScopes says where a scope is granted.
const howScopes = ", authorized for the service account's client id (domain-wide delegation); or, with client_id, asked for with auth.manage"

// granting words how to allow an action.
func granting(scope, privilege string) []string {
	return []string{"the scope " + scope + howScopes, "for the admin subject, the privilege " + privilege, readTarget}
}

// accountActions are what can be done to people's accounts. Deleting them, and
// turning two-step verification off, are not among them.
var accountActions = []sources.ActionInfo{
	{
		Action: sources.SuspendUser, Doc: "suspends the user", Targets: []sources.ActionTarget{onAccount}, Delay: directoryDelay,
		Scopes: granting(scopeUsersWrite, "Users > Update > Suspend users"),
		Limits: []string{"Grants and app passwords come back into force with the account: revoke them first, for Google shows none of a suspended account.", limitAdmins},
	},
	{
		Action: sources.UnsuspendUser, Doc: "lets a suspended user in again", Targets: []sources.ActionTarget{onAccount}, Delay: directoryDelay,
		Scopes: granting(scopeUsersWrite, "Users > Update > Suspend users"),
		Limits: []string{"Whom Google itself has suspended it may refuse to let in (adminCannotUnsuspend).", limitAdmins},
	},
	{
		Action: sources.SignOutUser, Doc: "ends the user's sessions in browsers and on devices (resets the sign-in cookies)", Targets: []sources.ActionTarget{onAccount}, Delay: logDelay,
		Scopes: append(granting(scopeSecurity, "User Security Management"), readEvents),
		NoUndo: "ended sessions do not come back: people sign in again",
		Limits: []string{"What apps were granted goes on: see revoke_grant.", "That it is done only the log shows, minutes later.", limitAdmins},
	},
	{
		Action: sources.ResetPassword, Doc: "sets a random password that nobody keeps, to be changed at the next sign-in", Targets: []sources.ActionTarget{onAccount}, Delay: logDelay,
		Scopes: append(granting(scopeUsersWrite, "Users > Update > Reset password"), readEvents),
		NoUndo: "the old password does not come back: an administrator, or the recovery options, set another",
		Limits: []string{"Nobody knows the new password: the person needs recovery options, or an administrator.", "How far it ends sessions Google does not say: see sign_out_user.", limitProvider, limitAdmins},
	},
	{
		Action: sources.ExpirePassword, Doc: "has the user set another password at the next sign-in", Targets: []sources.ActionTarget{onAccount}, Delay: directoryDelay,
		Scopes: granting(scopeUsersWrite, "Users > Update > Force password change"),
		Limits: []string{"Whoever knows the old password can still set the new one. Sessions go on: see sign_out_user.", limitProvider, limitAdmins},
	},
	{
		Action: sources.RemoveMember, Doc: "removes a user from a group; undone, with the role held there", Targets: []sources.ActionTarget{onAccount}, Delay: directoryDelay,
		Params: []sources.ActionParam{{Name: "group", Doc: "groups.group_id", Required: true, Pattern: groupForm}},
		Scopes: granting(scopeMembers, "Groups"),
		Limits: []string{"Members of dynamic groups follow from a rule: Google refuses to remove them.", "Who is in the group through another group stays in it. Members from outside are no accounts, and are not removed.", "A directory synchronization may add the user again."},
	},
	{
		Action: sources.RevokeGrant, Doc: "revokes what a user has granted to an app, or an app password; or, of an account, all of both", First: true, Delay: directoryDelay,
		Targets: []sources.ActionTarget{
			{Kind: sources.TargetCredential, ID: grantForm, Doc: "app_grants.grant_id"},
			onAccount,
		},
		Params: []sources.ActionParam{{Name: "account", Doc: "app_grants.principal_id; needed with a grant", Pattern: numberForm}},
		Scopes: granting(scopeSecurity, "User Security Management"),
		NoUndo: "grants and app passwords need their person to come back",
		Limits: []string{"Of a suspended account Google neither shows nor revokes any.", "Backup codes, and what an administrator has installed or delegated for the whole domain, stay.", "The person may grant the same again.", limitTokens},
	},
}

// privilegeActions come last in the vocabulary.
var privilegeActions = []sources.ActionInfo{
	{
		Action: sources.RemovePrivilege, Doc: "takes an admin role away that the user holds directly; of a super administrator, the super administrator flag", Targets: []sources.ActionTarget{onAccount}, Delay: directoryDelay,
		Params: []sources.ActionParam{
			{Name: "role", Doc: "privileges.role_id", Required: true, Pattern: numberForm + `|` + superAdmin},
			{Name: "scope", Doc: "privileges.scope: only there; without, wherever it is held", Pattern: atCustomer + `|` + atUnit + unitForm},
		},
		Scopes: []string{"the scope " + scopeRolesWrite + howScopes, "of super administrators also: the scope " + scopeUsersWrite, "an admin subject who is a super administrator", readTarget},
		Limits: []string{"A role that is held through a group stays: use remove_member.", "Roles of service accounts are not taken away."},
	},
}

// actions are what can be changed at Google Workspace, in the order of the
// vocabulary. An app cannot be blocked through any API.
var actions = slices.Concat(accountActions, fileActions, privilegeActions)

// actionScopes are those that an action's writes, and its checks, need.
var actionScopes = map[sources.Action][]string{
	sources.SuspendUser: {scopeUsersWrite}, sources.UnsuspendUser: {scopeUsersWrite}, sources.SignOutUser: {scopeSecurity, scopeReports}, sources.ResetPassword: {scopeUsersWrite, scopeReports},
	sources.ExpirePassword: {scopeUsersWrite}, sources.RemoveMember: {scopeMembers}, sources.RevokeGrant: {scopeSecurity}, sources.RemovePrivilege: {scopeRolesWrite, scopeUsersWrite},
}

// probeAction tells whether an action can be expected to work: what plans read,
// and a token for what it writes. Nothing is written: a privilege that only
// writes ask for shows when it is tried.
func (s *session) probeAction(ctx context.Context, a sources.Action) error {
	if slices.ContainsFunc(fileActions, func(i sources.ActionInfo) bool { return i.Action == a }) {
		return s.probeFileAction(ctx, a)
	}
	scopes, ok := actionScopes[a]
	if !ok {
		return fault.New(fault.Permanent, "google_workspace has no action %q", a)
	}
	for _, scope := range append([]string{scopeUsers, scopeGroups, scopeRoles}, scopes...) {
		if err := s.probeScope(ctx, scope); err != nil {
			return naming(err, scope)
		}
	}
	return nil
}

// probeScope reads as little as can be, with a token for a scope.
func (s *session) probeScope(ctx context.Context, scope string) error {
	r := &httpx.Request{Query: url.Values{"maxResults": {"1"}}}
	switch scope {
	case scopeUsers, scopeUsersWrite:
		r.Path, r.Query = httpx.P(pathUsers), s.all(r.Query)
	case scopeGroups:
		r.Path, r.Query = httpx.P(pathGroups), s.all(r.Query)
	case scopeRoles, scopeRolesWrite:
		r.Path = httpx.P(pathRoles, s.cfg.Customer)
	case scopeReports:
		r.Path = httpx.P(pathAdminLog)
	default: // of somebody, or some group
		path, list, member := pathTokens, httpx.P(pathUsers), "users"
		reading := scopeUsers
		if scope == scopeMembers {
			path, list, member, reading = pathMembers, httpx.P(pathGroups), "groups", scopeGroups
		} else {
			r.Query.Set("query", "isSuspended=false")
		}
		resp, err := s.admin(reading).Do(ctx, &httpx.Request{Path: list, Query: s.all(r.Query)})
		if err != nil {
			return err
		}
		for raw, err := range httpx.ElementsIf(resp, member) {
			var one struct {
				ID string `json:"id"`
			}
			if err == nil {
				err = decode(raw, &one)
			}
			if err != nil {
				return err
			}
			r.Path, r.Query = httpx.P(path, one.ID), nil
		}
		if r.Path == (httpx.Path{}) {
			return nil // nobody is there to try it on
		}
	}
	_, err := s.admin(scope).Do(ctx, r)
	if isGone(err) {
		return nil
	}
	return err
}
