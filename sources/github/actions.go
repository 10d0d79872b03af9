package github

import (
	"time"

	"weir/sources"
)

// Forms of the vendor's ids.
const (
	idNumber     = `[1-9][0-9]{0,18}`
	idAccount    = idNumber + `|` + prefixInvitation + idNumber
	idGrant      = `(?:token|cred|pat|pat:grant):` + idNumber
	idKey        = `(?:link|token):` + idNumber
	idPermission = `(?:account|group|invitation):` + idNumber
	idRole       = prefixRole + idNumber
	idFile       = idNumber + `:[^/].*`
)

// Prefixes of ids in tables.
const (
	prefixInvitation = "invitation:"
	prefixRole       = "orgrole:"
)

// Parameters.
const (
	paramGroup      = "group"
	paramRole       = "role"
	paramRepository = "repository"
	paramPermission = "permission"
)

const (
	revokeDelay = 10 * time.Minute // GitHub revokes all of a user's credentials in the background
	accessDelay = time.Minute      // access is worked through in the background
)

// right is what a write takes: the scope of an owner's OAuth or classic token,
// or an App's permission; "" that way there is none.
type right struct{ scope, permission string }

var (
	rightMembers   = right{"admin:org", "members:write"}
	rightRoles     = right{"admin:org", "members:write"}
	rightBlocks    = right{"admin:org", "organization_user_blocking:write"}
	rightOrg       = right{"admin:org", "organization_administration:write"}
	rightPATs      = right{"", "organization_personal_access_tokens:write"}
	rightTeamRepos = right{"admin:org", "administration:write"}
	rightRepo      = right{"repo", "administration:write"}
	rightContents  = right{"repo", "contents:write"}
	rightSite      = right{"site_admin", ""}
	rightSCIM      = right{"scim:enterprise", ""}
	rightUninstall = right{"", "enterprise_organization_installations:write"}
)

func (r right) token() string { return "OAuth or classic token scope " + r.scope + ", of an owner" }
func (r right) app() string   { return "App permission " + r.permission }

// String tells what to grant.
func (r right) String() string {
	switch {
	case r.scope == "":
		return "the " + r.app()
	case r.permission == "":
		return "a token with the scope " + r.scope
	}
	return "an owner's token with the scope " + r.scope + ", or the " + r.app()
}

// readAccount is what reading an account takes, with all that protects it.
const readAccount = "; to read the account, as accounts, accounts/sso, groups and repositories/roles"

// granting words how to allow an action; also: what it takes beside the write.
func granting(r right, also string) []string { return []string{r.token() + also, r.app() + also} }

var (
	onAccount    = []sources.ActionTarget{{Kind: sources.TargetAccount, ID: idNumber, Doc: "accounts.account_id"}}
	onRepository = []sources.ActionTarget{{Kind: sources.TargetRepository, ID: idNumber, Doc: "the repository's numeric id: files.file_id of a container, without the colon"}}
	onFile       = []sources.ActionTarget{{Kind: sources.TargetFile, ID: idFile, Doc: "files.file_id of a file: the repository's id, a colon, the path on the default branch"}}

	inRepository = sources.ActionParam{Name: paramRepository, Doc: "the repository's numeric id; needed with a deploy key", Pattern: idNumber}

	inWorkflows = "; of files below .github/workflows also the scope workflow, or the permission workflows:write"

	limitHistory   = "The old content stays in the repository's history, in clones and in forks: treat secrets in it as known."
	limitProtected = "Where a branch protection or ruleset forbids pushing to the default branch, GitHub refuses."
	limitMode      = "An executable file may come back without its mode."
	limitFork      = "A private fork that the person made of the repository is deleted, and does not come back."
	limitTeams     = "Membership through an enterprise team stays."
	limitAgain     = "The person may authorize a credential again."
	limitWeb       = "Sessions at github.com go on: no API ends them."
)

// actions are what can be changed at GitHub (connectors/github.md 9). Deleting
// users, SCIM identities and repositories is for good and not among them.
var actions = []sources.ActionInfo{
	{
		Action:  sources.SuspendUser,
		Doc:     "blocks the account from the organization (GitHub.com); suspends it on the whole server (Enterprise Server); deactivates its SCIM identity (actions.scim)",
		Targets: onAccount,
		Scopes: append(granting(rightBlocks, readAccount),
			"Enterprise Server: token scope site_admin, of a site administrator",
			"with actions.scim: token scope scim:enterprise, of the enterprise's setup user"),
		Limits: []string{
			"GitHub.com: members cannot be blocked, only others, such as outside collaborators: see remove_member. Blocked, they lose access to the organization's repositories, issues assigned to them and stars; unblocking does not give it back.",
			"Accounts of Enterprise Managed Users cannot be blocked: the identity provider suspends them, or actions.scim.",
			"Enterprise Server: refused where LDAP keeps the accounts.",
			"SCIM: GitHub warns that writes beside the identity provider break provisioning; login and addresses of a suspended account are obfuscated.",
			limitWeb,
		},
	},
	{
		Action:  sources.UnsuspendUser,
		Doc:     "unblocks the account (GitHub.com), or lets it in again on the server (Enterprise Server)",
		Targets: onAccount,
		Scopes:  append(granting(rightBlocks, readAccount), "Enterprise Server: token scope site_admin, of a site administrator"),
		Limits: []string{
			"Access to repositories that was lost by blocking is not given back.",
			"An account that was suspended by SCIM has lost its login and addresses: undo that action, or have the identity provider do it.",
		},
	},
	{
		Action:  sources.SignOutUser,
		Doc:     "takes the organization's single sign-on authorization from all of the account's tokens and keys (GitHub.com with SAML)",
		Targets: onAccount,
		Scopes:  granting(rightOrg, readAccount+"; to list credentials, as app_grants/credentials"),
		NoUndo:  "credentials do not come back: the person authorizes them again",
		Limits:  []string{limitWeb, limitAgain, "Fine-grained tokens that were not authorized for single sign-on, and deploy keys, go on: see revoke_grant and revoke_key."},
		Delay:   revokeDelay,
	},
	{
		Action: sources.RemoveMember,
		Doc:    "removes the account from the organization, or from one of its teams; cancels an invitation",
		Targets: []sources.ActionTarget{{
			Kind: sources.TargetAccount, ID: idAccount, Doc: "accounts.account_id: of a member, of an outside collaborator, or invitation: and its id",
		}},
		Params: []sources.ActionParam{{Name: paramGroup, Doc: "groups.group_id of the team to leave; without it, the organization", Pattern: idNumber}},
		Scopes: granting(rightMembers, readAccount),
		Limits: []string{
			limitTeams,
			"Undone, a member of the organization is invited again, and has to accept: teams, roles and access to repositories do not come back with that.",
			"Private forks of the organization's repositories are deleted, and do not come back.",
			"A team whose members an identity provider keeps cannot be left.",
		},
		Risky: true, Delay: accessDelay,
	},
	{
		Action:  sources.RevokeGrant,
		Doc:     "revokes a fine-grained token's access to the organization, or the single sign-on authorization of one token or SSH key",
		Targets: []sources.ActionTarget{{Kind: sources.TargetCredential, ID: idGrant, Doc: "app_grants.grant_id of a token, consent or SSH key"}},
		Scopes: []string{
			"tokens and keys authorized for single sign-on: " + rightOrg.token() + readAccount, "the same: " + rightOrg.app() + readAccount,
			"fine-grained tokens, with a GitHub App only: " + rightPATs.app() + readAccount,
		},
		NoUndo: "the person authorizes the credential, or requests access, again",
		Limits: []string{limitAgain, "The token or key itself lives on, for whatever else it reaches.", "GitHub Apps: see disable_app."},
	},
	{
		Action:  sources.DisableApp,
		Doc:     "uninstalls a GitHub App from the organization",
		Targets: []sources.ActionTarget{{Kind: sources.TargetApp, ID: idNumber, Doc: "apps.app_id"}},
		Scopes: []string{
			"a GitHub App that is installed on the enterprise, too (actions.enterprise and actions.enterprise_installation_id), with the " + rightUninstall.app() + "; to list installations, as app_grants",
		},
		NoUndo: "an owner installs the app again, and whoever runs it sets it up",
		Risky:  true,
		Limits: []string{"Everything that works through the app stops.", "OAuth apps that members authorized are no GitHub Apps: no API ends them for others."},
	},
	{
		Action:  sources.RevokeKey,
		Doc:     "deletes a deploy key; on Enterprise Server, also anybody's token",
		Targets: []sources.ActionTarget{{Kind: sources.TargetCredential, ID: idKey, Doc: "file_permissions.permission_id of a deploy key (link: and its id); on Enterprise Server also token: and its id, as a site administrator's list has it"}},
		Params:  []sources.ActionParam{inRepository},
		Scopes:  append(granting(rightRepo, ""), "a server's tokens: token scope site_admin, of a site administrator"),
		Risky:   true,
		Limits: []string{
			"Undone, a deploy key has another id. A token does not come back.",
			"The same key may also be somebody's SSH key.",
		},
	},
	{
		Action: sources.TrashFile, Doc: "deletes a file, by a commit to the default branch", Targets: onFile,
		Scopes: granting(rightContents, inWorkflows),
		Limits: []string{limitHistory, limitProtected, limitMode, "Other branches keep the file.", "A file of more than 10 MiB is not put back by undoing."},
	},
	{
		Action: sources.OverwriteFile, Doc: "puts a short note in a file's place, by a commit to the default branch", Targets: onFile,
		Scopes: granting(rightContents, inWorkflows),
		Limits: []string{limitHistory, limitProtected, "Other branches keep their own content.", "A file of more than 10 MiB is not put back by undoing."},
	},
	{
		Action: sources.RemoveSharing, Doc: "takes a repository from one collaborator or team, or cancels one invitation to it", Targets: onRepository,
		Params: []sources.ActionParam{{Name: paramPermission, Doc: "file_permissions.permission_id of a collaborator (account:) or team (group:), or invitation: and its id", Required: true, Pattern: idPermission}},
		Scopes: []string{rightRepo.token() + " (of a team also " + rightTeamRepos.scope + ")" + readAccount, rightRepo.app() + readAccount},
		Limits: []string{
			limitFork,
			"Access by the base permission, through a team, or as an owner stays.",
			"Deploy keys: see revoke_key. What is public or internal: see make_private.",
			"Undone, somebody outside the organization is invited again, and has to accept. A cancelled invitation does not come back.",
		},
		Delay: accessDelay,
	},
	{
		Action: sources.MakePrivate, Doc: "makes a public or internal repository private", Targets: onRepository,
		Scopes: granting(rightRepo, ""),
		Limits: []string{
			"Forks of a public repository stay public, as repositories of their own.",
			"Stars and watchers that are lost do not come back when it is made public again.",
			"What was public has been copied, maybe: treat secrets in it as known.",
		},
	},
	{
		Action: sources.RemovePrivilege, Doc: "takes an organization role away that the account holds directly", Targets: onAccount,
		Params: []sources.ActionParam{{Name: paramRole, Doc: "privileges.role_id of an organization role: orgrole: and its id", Required: true, Pattern: idRole}},
		Scopes: granting(rightRoles, readAccount),
		Limits: []string{"A role that is held through a team stays: use remove_member with the team.", "Ownership of the organization is no such role: see remove_member."},
	},
}
