package github

import (
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
		Time: schemas.Time(r.at), Kind: activityKind(r.action), Action: r.action, Access: access(r),
		Outcome: "success", StatusID: schemas.StatusSuccess, ActorName: r.actor, ActorKind: actorKind(r),
		SrcIP: r.ip, Country: r.country, UserAgent: r.userAgent,
		ClassUID: class(r.action),
		// choice: the scope's name, repository before organization.
		ScopeID: firstOf(r.repo, r.org),
	}
	if !r.noID {
		id := t.h.docID(r.n)
		a.EventID = string(id[:])
	}
	if failed(r.action) {
		a.Outcome, a.StatusID = "failure", schemas.StatusFailure
	}
	if r.actor != "" && r.actorID != 0 {
		a.ActorID = itoa(r.actorID)
	}
	if strings.Contains(r.nameID, "@") {
		a.ActorEmail = strings.ToLower(r.nameID)
	}
	if r.ip != "" {
		a.IPs = []string{r.ip}
	}
	if r.requestID {
		a.RequestID = requestID(t.h.seed, uint64(r.n))
	}
	if r.oauthID != 0 {
		a.ClientAppID = itoa(r.oauthID)
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
		slices.Contains([]string{"repo.create", "repo.destroy", "repo.rename", "repo.transfer", "repo.access", "repo.archived"}, action):
		return schemas.ClassEntityManagement
	default:
		return schemas.ClassAPIActivity
	}
}
