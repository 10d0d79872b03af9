package github

import (
	"net/netip"
	"slices"
	"strings"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

// activities tells the rows that the audit log shows now, of include=all,
// oldest first.
func (t truth) activities() {
	if t.flavour.Free {
		return
	}
	f := t.h.facts
	web, git := int64(0), int64(0)
	if !t.flavour.GHES {
		web, git = t.s.Now.Add(-f.WebRetention).UnixMilli(), t.s.Now.Add(-f.GitRetention).UnixMilli()
	}
	for _, e := range t.s.Timeline[org.GitHub] {
		from := web
		if isGit(e) {
			from = git
		}
		if e.At.UnixMilli() >= from {
			r := t.h.row(t.s, e, t.flavour)
			t.rows.Activities = append(t.rows.Activities, t.activity(&r))
		}
	}
}

func (t truth) activity(r *auditRow) schemas.Activity {
	a := schemas.Activity{
		EventID: t.eventID(r), Time: schemas.Time(r.at), Kind: activityKind(r.action), Action: r.action, Access: access(r),
		Outcome: "success", StatusID: schemas.StatusSuccess, SeverityID: schemas.SeverityInformational, ActorName: r.actor, ActorKind: actorKind(r),
		Country: r.country, UserAgent: r.userAgent,
		ClassUID: class(r.action), ActivityID: ocsfActivity[r.action],
		ScopeID: r.org,
	}
	if failed(r.action) {
		a.Outcome, a.StatusID, a.SeverityID = "failure", schemas.StatusFailure, schemas.SeverityLow
	}
	app, isApp := strings.CutSuffix(r.actor, "[bot]")
	// choice: a login stands for an account whose id is not told; an App, which has
	// no account among the organization's, is always named by its login.
	if a.ActorID = r.actor; r.actorID != 0 && !isApp {
		a.ActorID = itoa(r.actorID)
	}
	if strings.Contains(r.nameID, "@") {
		a.ActorEmail = strings.ToLower(r.nameID)
	}
	if addr, err := netip.ParseAddr(r.ip); err == nil { // SCHEMA.md: canonical
		a.SrcIP = addr.String()
		a.IPs = []string{a.SrcIP}
	}
	if r.requestID {
		a.RequestID = requestID(t.h.seed, uint64(r.n))
	}
	if r.tokenID != 0 {
		a.CredentialID = either(strings.HasPrefix(r.access, "Fine-grained"), "pat:", "token:") + itoa(r.tokenID)
	}
	switch {
	case r.oauthID != 0:
		a.ClientAppID = itoa(r.oauthID)
	case r.integration != "":
		a.ClientAppID = r.integration
	case isApp:
		a.ClientAppID = app // choice: an App acts under its own login
	}
	a.ClientAppName = firstOf(r.oauthApp, firstOf(r.integration, r.access))
	t.targets(r, &a)
	change := func(name, old, to string) {
		if old != "" || to != "" {
			a.ChangeNames = append(a.ChangeNames, name)
			a.ChangeOld = append(a.ChangeOld, old)
			a.ChangeNew = append(a.ChangeNew, to)
		}
	}
	// choice: pairs of a field and its previous value are changes; so is what was
	// given without one before.
	change("visibility", r.oldVisibility, r.visibility)
	change("permission", r.oldPermission, r.permission)
	return a
}

// eventID of a row: the document's, or else a hash of the fields that the sheet
// names, as the row writes them.
func (t truth) eventID(r *auditRow) string {
	if !r.noID {
		id := t.h.docID(r.n)
		return string(id[:])
	}
	number := func(n int64, told bool) string {
		if !told {
			return ""
		}
		return itoa(n)
	}
	transport := map[string]string{"http": "1", "ssh": "2"}[r.transport]
	return schemas.HashID(itoa(t.h.millis(r.at)), r.action, number(r.actorID, r.actor != "" && r.actorID != 0), number(r.userID, r.userID != 0 || r.git),
		r.repo, r.org, r.userAgent, transport)
}

// targets in the sheet's order. choice: the organization is a target where the
// row names no other.
func (t truth) targets(r *auditRow, a *schemas.Activity) {
	add := func(id, name, kind string) {
		a.TargetIDs, a.TargetNames, a.TargetKinds = append(a.TargetIDs, id), append(a.TargetNames, name), append(a.TargetKinds, kind)
	}
	if r.user != "" {
		// choice: a login of which no id is known stands for it.
		id := r.user
		if r.userID != 0 {
			id = itoa(r.userID)
		}
		add(id, r.user, "account")
	}
	if r.repo != "" {
		// choice: git rows have no repo_id: the full name, an alias of the container.
		id := r.repo
		if !r.git {
			id = itoa(r.repoID)
		}
		add(id, r.repo, "repository")
	}
	if r.team != "" {
		team := r.org + "/" + r.team
		add(team, team, "group")
	}
	if r.blocked != "" {
		add(r.blocked, r.blocked, "account")
	}
	if r.hookID != 0 {
		add(itoa(r.hookID), "", "other")
	}
	if r.integration != "" {
		add(r.integration, r.integration, "app") // choice: the slug, an alias of the app
	}
	if r.oauthApp != "" {
		add(itoa(r.oauthID), r.oauthApp, "app")
	}
	if len(a.TargetIDs) == 0 {
		add(itoa(r.orgID), r.org, "org")
	}
	a.TargetID, a.TargetName, a.TargetKind = a.TargetIDs[0], a.TargetNames[0], a.TargetKinds[0]
	a.TargetCount = int32(len(a.TargetIDs))
}

// ocsfActivity is what each action is within its class, by OCSF 1.3.
var ocsfActivity = map[string]int32{
	// Authentication: 1 Logon.
	"org.sso_response": 1, "user.login": 1, "user.failed_login": 1,
	// Account Change: 1 Create, 2 Enable, 5 Disable, 6 Delete, 99 other.
	"user.create": 1, "org.add_member": 1, "user.unsuspend": 2, "user.suspend": 5, "user.destroy": 6, "org.remove_member": 6, "external_identity.update": 99,
	// User Access Management: 1 Assign, 2 Revoke.
	"org.update_member": 1, "repo.update_member": 1, "organization_role.assign": 1, "organization_role.revoke": 2, "repo.add_member": 1, "repo.remove_member": 2,
	// Group Management: 1 Assign and 2 Revoke privileges, 3 Add User, 4 Remove User, 5 Delete, 6 Create, 99 other.
	"team.create": 6, "team.update": 99, "team.destroy": 5, "team.add_member": 3, "team.remove_member": 4, "team.add_repository": 1, "team.remove_repository": 2,
	"team.promote_maintainer": 99, "team.demote_maintainer": 99, "team.update_repository_permission": 1,
	// Application Lifecycle: 1 Install, 2 Remove, 6 Enable, 7 Disable, 8 Update.
	"integration_installation.create": 1, "integration_installation.version_updated": 8, "integration_installation.suspend": 7, "integration_installation.destroy": 2,
	"org.oauth_app_access_approved": 6, "oauth_application.update": 8, "org.oauth_app_access_blocked": 7, "org.oauth_app_access_denied": 7,
	"personal_access_token.access_granted": 1, "personal_access_token.access_revoked": 2, "org_credential_authorization.grant": 1, "org_credential_authorization.revoke": 2,
	"personal_access_token.request_denied": 99, "oauth_authorization.create": 1, "oauth_authorization.destroy": 2,
	// File Hosting: 1 Upload, 2 Download.
	"git.push": 1, "git.clone": 2, "git.fetch": 2, "repo.download_zip": 2,
	// Entity Management: 1 Create, 3 Update, 4 Delete, 8 Enable, 9 Disable.
	"repo.create": 1, "repo.destroy": 4, "repo.access": 3, "repo.archived": 9, "protected_branch.create": 1, "protected_branch.rejected_ref_update": 3,
	"public_key.delete": 4, "org.cancel_invitation": 4, "org.block_user": 3, "org.unblock_user": 3, "repo.unarchived": 8,
	"public_key.create": 1, "hook.create": 1, "org.invite_member": 1, "org.remove_outside_collaborator": 4, "org.enable_two_factor_requirement": 8,
	// API Activity: 3 Update, 4 Delete.
	"pull_request.merge": 3, "repository_invitation.cancel": 4,
}

func hasAny(s string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}

func activityKind(action string) string {
	switch {
	case strings.HasSuffix(action, ".sso_response"), hasAny(action, "user.login", "user.failed_login"):
		return "signin"
	case hasAny(action, "git.", "pull_request", "issue", "workflows.", "codespaces."), action == "repo.download_zip":
		return "user"
	default:
		return "admin"
	}
}

func failed(action string) bool {
	return strings.HasSuffix(action, "_failure") || strings.HasSuffix(action, ".failed_login") || strings.HasSuffix(action, ".rejected_ref_update")
}

// access: choice: operation_type tells; of git rows the action does; a sign-in
// is neither.
func access(r *auditRow) string {
	switch {
	case r.operation == "create" || r.operation == "modify" || r.operation == "remove" || r.action == "git.push":
		return "write"
	case r.operation == "access" || r.git:
		return "read"
	default:
		return "unknown"
	}
}

// actorKind: choice: without an actor, git rows are strangers', others the
// system's.
func actorKind(r *auditRow) string {
	switch {
	case r.actor == "" && r.git:
		return "anonymous"
	case r.actor == "" && strings.HasSuffix(r.action, ".failed_login"):
		return "anonymous"
	case r.actor == "":
		return "system"
	case r.bot:
		return "bot"
	case strings.Contains(r.access, "GitHub App"):
		return "service"
	default:
		return "human"
	}
}

// class is the sheet's table, read from the special to the general.
func class(action string) int32 {
	switch {
	case activityKind(action) == "signin", strings.HasPrefix(action, "user.two_factor_"):
		return schemas.ClassAuthentication
	case hasAny(action, "user.", "external_identity.", "two_factor_authentication."), action == "org.add_member", action == "org.remove_member":
		return schemas.ClassAccountChange
	case hasAny(action, "role.", "organization_role."),
		slices.Contains([]string{"org.update_member", "repo.add_member", "repo.update_member", "repo.remove_member", "business.add_admin"}, action):
		return schemas.ClassUserAccess
	case hasAny(action, "team."):
		return schemas.ClassGroupManagement
	case hasAny(action, "integration", "oauth_application.", "oauth_authorization.", "org.oauth_app_access_", "personal_access_token.", "org_credential_authorization."):
		return schemas.ClassApplicationLifecycle
	case hasAny(action, "git."), action == "repo.download_zip":
		return schemas.ClassFileHosting
	case hasAny(action, "org.", "hook.", "protected_branch.", "repository_ruleset.", "public_key."),
		slices.Contains([]string{"repo.create", "repo.destroy", "repo.rename", "repo.transfer", "repo.access", "repo.archived", "repo.unarchived"}, action):
		return schemas.ClassEntityManagement
	default:
		return schemas.ClassAPIActivity
	}
}
