package okta

import (
	"weir/sources"
)

// Forms of the vendor's ids: a prefix that tells the kind, 20 characters.
const (
	idUser        = `00u[0-9A-Za-z]{17}`
	idGroup       = `00g[0-9A-Za-z]{17}`
	idApp         = `0oa[0-9A-Za-z]{17}`
	idAPIToken    = grantAPIKey + `:00T[0-9A-Za-z]{17}`
	idGrant       = grantConsent + `:oag[0-9A-Za-z]{17}|` + grantToken + `:oar[0-9A-Za-z]{17}|` + grantInstallation + `:0oa[0-9A-Za-z]{17}`
	idRole        = `[A-Z][A-Z_]{2,63}|cr[0-9A-Za-z]{18}`
	idResourceSet = `iam[0-9A-Za-z]{17}`
)

// Scopes that writes need. A token has them with auth.manage only.
const (
	manageUsers        = "okta.users.manage"
	manageGroups       = "okta.groups.manage"
	manageRoles        = "okta.roles.manage"
	manageApps         = "okta.apps.manage"
	manageAppGrants    = "okta.appGrants.manage"
	manageAPITokens    = "okta.apiTokens.manage"
	manageIntegrations = "okta.oauthIntegrations.manage"
)

var manageScopes = []string{manageUsers, manageGroups, manageRoles, manageApps, manageAppGrants, manageAPITokens, manageIntegrations}

var (
	onAccount = sources.ActionTarget{Kind: sources.TargetAccount, ID: idUser, Doc: "accounts.account_id"}

	limitSuspend  = "A suspended account keeps its groups, roles and apps. One that a directory (AD, LDAP) masters must be disabled there too."
	limitSessions = "Sessions within apps go on, and access tokens already issued are valid to their end wherever they are checked offline."
	limitMastered = "The password of an account that is mastered elsewhere is not Okta's: Okta refuses, or the directory's password stays."
	limitHigher   = "Nobody can act on an account with higher privileges than the agent's own: super administrators need a super administrator."
)

// actions are what can be changed at Okta (connectors/okta.md 9). Deactivating
// users and unassigning apps lose data at the vendor and are not among them.
var actions = []sources.ActionInfo{
	{
		Action: sources.SuspendUser, Doc: "suspends the user; only active ones can be", Targets: []sources.ActionTarget{onAccount},
		Scopes: granting(manageUsers, "okta.users.lifecycle.suspend and .unsuspend"), Limits: []string{limitSuspend, limitHigher},
	},
	{
		Action: sources.UnsuspendUser, Doc: "lets a suspended user in again", Targets: []sources.ActionTarget{onAccount},
		Scopes: granting(manageUsers, "okta.users.lifecycle.unsuspend and .suspend"), Limits: []string{limitHigher},
	},
	{
		Action: sources.SignOutUser, Doc: "ends the user's sessions at Okta, the refresh and access tokens issued by it, and remembered devices", Targets: []sources.ActionTarget{onAccount},
		Scopes: append(granting(manageUsers, "okta.users.lifecycle.clearSessions"), "to see the effect: the OAuth scope okta.logs.read, and a role that may view the System Log"),
		NoUndo: "ended sessions and tokens do not come back: people sign in again",
		Limits: []string{limitSessions, limitHigher}, Delay: signOutDelay,
	},
	{
		Action: sources.ResetPassword, Doc: "voids the password, ends sessions, and has Okta mail a link for setting another; the agent never sees the link", Targets: []sources.ActionTarget{onAccount},
		Scopes: granting(manageUsers, "okta.users.credentials.resetPassword"), NoUndo: "the old password does not come back: the person sets another by the mailed link",
		Limits: []string{"Whoever reads the account's mailbox can set the password.", limitMastered, limitHigher},
	},
	{
		Action: sources.ExpirePassword, Doc: "has the user set another password at the next sign-in; no temporary password is made", Targets: []sources.ActionTarget{onAccount},
		Scopes: granting(manageUsers, "okta.users.credentials.expirePassword"), NoUndo: "the person sets another password",
		Limits: []string{"Whoever knows the old password can still set the new one. Sessions go on: see sign_out_user.", limitMastered, limitHigher},
	},
	{
		Action: sources.RemoveMember, Doc: "removes the user from a group that Okta itself keeps (OKTA_GROUP)", Targets: []sources.ActionTarget{onAccount},
		Params: []sources.ActionParam{{Name: "group", Doc: "groups.group_id", Required: true, Pattern: idGroup}},
		Scopes: granting(manageGroups, "okta.groups.members.manage"),
		Limits: []string{"A group rule may add the user again.", "Who owns the group goes on owning it.", "Apps and roles held through the group are lost; data that apps delete then does not come back with the membership."},
	},
	{
		Action: sources.RevokeGrant, Doc: "revokes a consent, an app's scope, a refresh token or an API service integration; or, of an account, all its consents and refresh tokens",
		Targets: []sources.ActionTarget{
			{Kind: sources.TargetCredential, ID: idGrant, Doc: "app_grants.grant_id of a consent, token or installation"},
			{Kind: sources.TargetAccount, ID: idUser, Doc: "accounts.account_id"},
		},
		Params: []sources.ActionParam{
			{Name: "app", Doc: "app_grants.app_id; needed with a token, and a consent of an administrator", Pattern: idApp},
			{Name: "account", Doc: "app_grants.principal_id; needed with a person's consent", Pattern: idUser},
		},
		Scopes: append(granting(manageUsers, "none is known that is enough"), "by what is revoked, to an app too: "+manageApps+" (tokens), "+manageAppGrants+" (scopes of apps), "+manageIntegrations+" (integrations)"),
		Limits: []string{"Only an app's scope can be granted again by undoing; consents, tokens and integrations need a person.", "Access tokens already issued are valid to their end wherever they are checked offline.", "The app may be granted the same again."},
	},
	{
		Action: sources.DisableApp, Doc: "deactivates an app: nobody signs in to it through Okta, and its tokens are void", Targets: []sources.ActionTarget{{Kind: sources.TargetApp, ID: idApp, Doc: "apps.app_id, not of an API service integration"}},
		Scopes: granting(manageApps, "okta.apps.manage"), Risky: true,
		Limits: []string{"Everybody who uses the app is shut out.", "Sessions within the app go on.", "When it is activated again, Okta works through all group assignments: that takes long in large organizations."},
	},
	{
		Action: sources.RevokeKey, Doc: "deletes an API token (SSWS)", Targets: []sources.ActionTarget{{Kind: sources.TargetCredential, ID: idAPIToken, Doc: "app_grants.grant_id of an api_key"}},
		Scopes: granting(manageAPITokens, "none is known that is enough"), Risky: true, NoUndo: "a deleted API token does not come back: whatever uses it needs another",
		Limits: []string{"Its owner may make another."},
	},
	{
		Action: sources.RemovePrivilege, Doc: "takes an administrator role away that the user holds directly", Targets: []sources.ActionTarget{onAccount},
		Params: []sources.ActionParam{
			{Name: "role", Doc: "privileges.role_id: the type of a standard role, or the id of a custom one", Required: true, Pattern: idRole},
			{Name: "resource_set", Doc: "privileges.scope, of a custom role: only there", Pattern: idResourceSet},
		},
		Scopes: []string{"to an app, the OAuth scope " + manageRoles + " and the role Super Administrator", "to the owner of an API token, that role"},
		Limits: []string{"A role that is held through a group stays: use remove_member.", "A role that was limited to some groups or apps cannot be given back as it was."},
	},
}

// granting words how to allow an action.
func granting(scope, permission string) []string {
	role := "an administrator role that may do it (custom role permission: " + permission + ")"
	read := " and, to read the target, those of accounts, groups and privileges"
	return []string{"to an app, with auth.manage, the OAuth scope " + scope + " and " + role + read, "to the owner of an API token, that role" + read}
}
