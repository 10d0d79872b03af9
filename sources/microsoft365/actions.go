package microsoft365

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/sources"
)

// Actions is what actions need to know.
type Actions struct {
	Quarantine Quarantine `key:"quarantine" doc:"where quarantine_file keeps copies: a folder of a site that nobody but governance may open"`
}

// Quarantine is a folder of a drive.
type Quarantine struct {
	Drive  string `key:"drive" doc:"id of the drive (files.container_id)" example:"b!0a1b2c3d4e5f60718293a4b5c6d7e8f9"`
	Folder string `key:"folder" doc:"id of the folder in it; not the root" example:"01ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"`
}

// Forms of the vendor's ids.
const (
	guidForm  = `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`
	grantForm = `[A-Za-z0-9_-]{16,128}`
	driveForm = `[A-Za-z0-9!_-]{8,128}`
	itemForm  = `[A-Za-z0-9!_-]{8,128}` // root, an alias, is shorter
)

var (
	validDrive = regexp.MustCompile(`\A` + driveForm + `\z`)
	validItem  = regexp.MustCompile(`\A` + itemForm + `\z`)
)

func (a *Actions) validate() (errs []setting.KeyError) {
	q := &a.Quarantine
	if (q.Drive == "") != (q.Folder == "") || q.Drive != "" && !validDrive.MatchString(q.Drive) {
		errs = append(errs, setting.KeyError{Key: "actions.quarantine.drive", Found: q.Drive, Accepted: "the id of a drive, and with it folder"})
	}
	if q.Folder != "" && !validItem.MatchString(q.Folder) {
		errs = append(errs, setting.KeyError{Key: "actions.quarantine.folder", Found: q.Folder, Accepted: "the id of a folder, not its name, and not root"})
	}
	return errs
}

var (
	onAccount = sources.ActionTarget{Kind: sources.TargetAccount, ID: guidForm, Doc: "accounts.account_id"}
	onFile    = []sources.ActionTarget{{Kind: sources.TargetFile, ID: driveForm + `/` + itemForm, Doc: "files.file_id of a file"}}

	limitAdmins   = "Entra lets the app act on administrators only with a role of its own that is as high: User Administrator for most, Privileged Authentication Administrator for all."
	limitSynced   = "Of an account that is synchronized from Active Directory the next synchronization may undo it: do it there too."
	limitTokens   = "Access tokens already issued are valid to their end, about an hour, wherever continuous access evaluation does not end them."
	limitVersions = "Who may open the file may open its older versions."
	limitCopies   = "What has been copied, downloaded or synchronized before is out of reach."
	limitLabels   = "A file under a record label, or a retention policy, may be refused; a policy may keep a copy all the same."

	readAccounts = "to read the target: User.Read.All, Application.Read.All, GroupMember.Read.All, RoleManagement.Read.Directory, and with Entra ID P2 RoleEligibilitySchedule.Read.Directory"
	readFiles    = "to read the file, its owner and its permissions: Files.Read.All, Sites.Read.All, User.Read.All, Application.Read.All, GroupMember.Read.All, RoleManagement.Read.Directory; Sites.FullControl.All where permissions come incomplete"
	restFiles    = "with a certificate (auth.certificate), of the API SharePoint: Sites.FullControl.All"
)

var passwordScopes = []string{ofGraph(mayPassword), "to the app's service principal, the Entra role User Administrator, or Privileged Authentication Administrator to act on administrators", readAccounts}

// ofGraph words application permissions of Microsoft Graph.
func ofGraph(permission string) string { return "Microsoft Graph application permission " + permission }

// actions are what can be changed at Microsoft 365. Deleting accounts, apps and
// what is in the recycle bin loses data at the vendor, and is not among them.
var actions = []sources.ActionInfo{
	{
		Action: sources.SuspendUser, Doc: "blocks the user's sign-in (accountEnabled)", Targets: []sources.ActionTarget{onAccount},
		Scopes: []string{ofGraph(mayEnableUsers), readAccounts}, Limits: []string{"Sessions and tokens go on to their end: see sign_out_user.", limitSynced, limitAdmins},
	},
	{
		Action: sources.UnsuspendUser, Doc: "allows the user's sign-in again", Targets: []sources.ActionTarget{onAccount},
		Scopes: []string{ofGraph(mayEnableUsers), readAccounts}, Limits: []string{limitSynced, limitAdmins},
	},
	{
		Action: sources.SignOutUser, Doc: "ends the user's sessions and refresh tokens, in browsers and apps", Targets: []sources.ActionTarget{onAccount},
		Scopes: []string{ofGraph(maySignOut), readAccounts}, NoUndo: "ended sessions and tokens do not come back: people sign in again",
		Limits: []string{limitTokens, "Of a guest the sessions in the home tenant go on.", limitAdmins}, Delay: sessionDelay,
	},
	{
		Action: sources.ResetPassword, Doc: "sets a random password that nobody keeps, to be changed at the next sign-in", Targets: []sources.ActionTarget{onAccount},
		Scopes: passwordScopes,
		NoUndo: "the old password does not come back: an administrator, or self-service, sets another", Delay: sessionDelay,
		Limits: []string{"Nobody knows the new password: the person needs self-service password reset or an administrator.", "Passwords of guests, and of accounts whose domain is federated, are kept elsewhere.", limitSynced, limitTokens},
	},
	{
		Action: sources.ExpirePassword, Doc: "has the user set another password at the next sign-in (forceChangePasswordNextSignIn)", Targets: []sources.ActionTarget{onAccount},
		Scopes: passwordScopes, NoUndo: "the person sets another password", Delay: sessionDelay,
		Limits: []string{
			"Whoever knows the old password can still set the new one. Sessions go on: see sign_out_user.",
			"Microsoft documents the flag together with a new password only. Where Entra takes it alone and does nothing, reading it back shows that, and the action fails: then there is reset_password.",
			"Passwords of guests, and of accounts whose domain is federated, are kept elsewhere.", limitSynced,
		},
	},
	{
		Action: sources.RemoveMember, Doc: "removes a user or service principal from a group", Targets: []sources.ActionTarget{onAccount},
		Params: []sources.ActionParam{{Name: "group", Doc: "groups.group_id", Required: true, Pattern: guidForm}},
		Scopes: []string{ofGraph(mayMembers), "of a group that directory roles can be assigned to: " + ofGraph(mayRoles), readAccounts},
		Limits: []string{"Groups with a membership rule, of Active Directory, and of Exchange (distribution lists) are refused.", "Who owns the group goes on owning it.", "Teams may take hours to follow."},
	},
	{
		Action: sources.RevokeGrant, Doc: "revokes a delegated grant or an application permission; or, of an account, all that it has consented to",
		Targets: []sources.ActionTarget{
			{Kind: sources.TargetCredential, ID: grantForm, Doc: "app_grants.grant_id"},
			onAccount,
		},
		Params: []sources.ActionParam{{Name: "app", Doc: "app_grants.app_id; needed with an application permission (app_grants.kind app_role), and not taken for a consent", Pattern: guidForm}},
		Scopes: []string{"of delegated grants: " + ofGraph(mayDelegated) + " and Directory.Read.All", "of application permissions: " + ofGraph(mayAppRoles), readAccounts},
		Limits: []string{limitTokens + " End the user's sessions, or disable the app, too.", "Somebody may consent again. What is given back by undoing may have another id."},
	},
	{
		Action: sources.DisableApp, Doc: "blocks an app (enterprise application): nobody signs in to it, and it gets no tokens", Targets: []sources.ActionTarget{{Kind: sources.TargetApp, ID: guidForm, Doc: "apps.app_id, which is the service principal's object id"}},
		Scopes: []string{ofGraph(mayApps), readAccounts}, Risky: true,
		Limits: []string{"Everybody who uses the app is shut out.", limitTokens},
	},
	{
		Action: sources.QuarantineFile, Doc: "copies a file to the quarantine, puts a note in its place, and ends its sharing; or moves it to a quarantine in the same drive", Targets: onFile,
		Params: []sources.ActionParam{{Name: "mode", Doc: "copy, or move: where actions.quarantine is in the file's own drive", Default: modeCopy, Enum: []string{modeCopy, modeMove}}},
		Scopes: []string{ofGraph(mayFiles), readFiles, "to end what the file inherits: " + restFiles}, Delay: copyDelay,
		Limits: []string{limitVersions + " Without a certificate those are all who may open its folder.", "The library's owners and administrators keep their access.", limitCopies, limitLabels, "A link that undoing makes again has a new address; links for some people, and with a password, are not made again."},
	},
	{
		Action: sources.RestoreFile, Doc: "takes a file out of the recycle bin, or goes back to an older version", Targets: onFile,
		Params: []sources.ActionParam{
			{Name: "bin", Doc: "id in the site's recycle bin", Pattern: `[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`},
			{Name: "name", Doc: "the file's name when it was deleted; bin or name is needed for a file in the recycle bin", Pattern: `[^/\\]{1,255}`},
			{Name: "version", Doc: "id of an older version, of a file that is there: its content becomes the current one", Pattern: `[0-9]{1,9}\.[0-9]{1,9}`},
		},
		Scopes: []string{"to go back to a version: " + ofGraph(mayFiles), "to take it out of the recycle bin: " + restFiles, readFiles},
		Limits: []string{"The recycle bin keeps a file for 93 days.", "Sharing that quarantine_file has ended comes back by undoing that, not by this."},
	},
	{
		Action: sources.TrashFile, Doc: "puts a file into the site's recycle bin", Targets: onFile,
		Scopes: []string{ofGraph(mayFiles), "to undo: " + restFiles, readFiles},
		Limits: []string{"The recycle bin keeps a file for 93 days; the site's people may restore it.", limitCopies, limitLabels},
	},
	{
		Action: sources.OverwriteFile, Doc: "puts a short note in a file's place; of a file with one version a copy is kept in the quarantine first", Targets: onFile,
		Scopes: []string{ofGraph(mayFiles), readFiles}, Delay: copyDelay,
		Limits: []string{limitVersions, limitCopies, limitLabels},
	},
	{
		Action: sources.RemoveSharing, Doc: "takes public links, external people, one permission, or all direct permissions but the owner's from a file", Targets: onFile,
		Params: []sources.ActionParam{
			{Name: "who", Doc: "public: links for anybody; external: those, guests, and addresses of other domains than the drive owner's; all: every direct permission but the owner's", Default: whoPublic, Enum: []string{whoPublic, whoExternal, whoAll}},
			{Name: "permission", Doc: "file_permissions.permission_id: only this one", Pattern: `[A-Za-z0-9_=+.,:!-]{1,512}`},
		},
		Scopes: []string{ofGraph(mayFiles), readFiles},
		Limits: []string{"What the file inherits from its folder, library or site stays: see make_private.", "A link that undoing makes again has a new address; links for some people, and with a password, are not made again.", limitCopies},
	},
	{
		Action: sources.MakePrivate, Doc: "leaves a file to its owners alone: ends every direct permission, and has it inherit none", Targets: onFile,
		Scopes: []string{ofGraph(mayFiles), "where the file inherits permissions: " + restFiles, readFiles},
		Limits: []string{"The site's administrators keep their access.", "A link that undoing makes again has a new address; links for some people, and with a password, are not made again.", limitCopies},
	},
	{
		Action: sources.RemovePrivilege, Doc: "takes a directory role away that a user or service principal holds directly", Targets: []sources.ActionTarget{onAccount},
		Params: []sources.ActionParam{
			{Name: "role", Doc: "privileges.role_id", Required: true, Pattern: guidForm},
			{Name: "scope", Doc: "privileges.scope: only there; without, wherever it is held", Pattern: `/|/administrativeUnits/` + guidForm + `|/` + guidForm},
		},
		Scopes: []string{ofGraph(mayRoles), readAccounts},
		Limits: []string{"A role that is held through a group stays: use remove_member.", "Who is eligible for the role (Privileged Identity Management) may activate it again.", "Roles of Exchange, and administrators of SharePoint sites, are not looked at."},
	},
}

// wider are permissions that have others in them.
var wider = map[string][]string{
	mayEnableUsers: {"User.ReadWrite.All", "Directory.ReadWrite.All"},
	maySignOut:     {"User.ReadWrite.All", "Directory.ReadWrite.All"},
	mayPassword:    {"User.ReadWrite.All", "Directory.ReadWrite.All"},
	mayMembers:     {"Group.ReadWrite.All", "Directory.ReadWrite.All"},
	mayApps:        {"Directory.ReadWrite.All"},
	mayDelegated:   {"Directory.ReadWrite.All"},
	mayFiles:       {"Sites.ReadWrite.All", "Sites.Manage.All", "Sites.FullControl.All"},
}

// bare is a permission's name, without the words about it.
func bare(permission string) string {
	name, _, _ := strings.Cut(permission, " ")
	return name
}

// actionPermissions are those of Graph that an action's writes need.
var actionPermissions = map[sources.Action][]string{
	sources.SuspendUser: {mayEnableUsers}, sources.UnsuspendUser: {mayEnableUsers}, sources.SignOutUser: {maySignOut}, sources.ResetPassword: {mayPassword}, sources.ExpirePassword: {mayPassword},
	sources.RemoveMember: {mayMembers}, sources.RemovePrivilege: {mayRoles}, sources.RevokeGrant: {mayDelegated, mayAppRoles}, sources.DisableApp: {mayApps},
	sources.QuarantineFile: {mayFiles}, sources.RestoreFile: {mayFiles}, sources.TrashFile: {mayFiles}, sources.OverwriteFile: {mayFiles},
	sources.RemoveSharing: {mayFiles}, sources.MakePrivate: {mayFiles},
}

// probeAction tells whether an action can be expected to work: permissions in
// the app's token, and reading what plans read. Nothing is written: what a role
// of Entra's would refuse shows when it is tried.
func (s *session) probeAction(ctx context.Context, a sources.Action) error {
	permissions, ok := actionPermissions[a]
	if !ok {
		return fault.New(fault.Permanent, "microsoft365 has no action %q", a)
	}
	if err := s.lacks(ctx, permissions); err != nil {
		return err
	}
	if _, err := s.ownPrincipal(ctx); err != nil {
		return err
	}
	switch {
	case a == sources.QuarantineFile && s.cfg.Actions.Quarantine.Drive == "":
		return fault.New(fault.Permanent, "microsoft365: set actions.quarantine: where files in quarantine are kept")
	case a == sources.MakePrivate && !s.certified():
		return fault.New(fault.Forbidden, "microsoft365: permissions that a file inherits end by SharePoint's REST API alone: set auth.certificate and auth.private_key")
	case slices.ContainsFunc(actions, func(i sources.ActionInfo) bool { return i.Action == a && i.Targets[0].Kind == sources.TargetFile }):
		return nil
	}
	return s.Probe(ctx, "accounts/is_admin")
}
