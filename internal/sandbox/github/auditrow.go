package github

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"weir/internal/sandbox/org"
)

// auditRow is what a row of the audit log says. Zero fields are left out.
type auditRow struct {
	at    int64 // Unix milliseconds
	n     int   // of the event
	git   bool
	noID  bool
	sso   bool
	org   string
	orgID int64

	action, operation string
	actor             string
	actorID           int64
	bot               bool
	nameID            string // of the actor at the identity provider
	ip, country       string
	userAgent         string
	access            string // programmatic access: the sort of token
	tokenID           int64
	hashedToken       string
	tokenScopes       []string
	requestID         bool

	user          string
	userID        int64
	blocked       string
	team          string // slug
	repo          string // with the owner
	repoID        int64
	public        bool
	visibility    string
	oldVisibility string
	permission    string
	oldPermission string
	name          string // of a role, an app, a branch
	integration   string
	oauthApp      string
	oauthID       int64
	hookID        int64
	keyTitle      string
	pullRequest   string
	transport     string
	businessID    int64
	business      string
}

// row describes an event as the audit log tells it. It depends only on what
// never changes: a row stays as it is.
func (h *Handler) row(s *org.State, e *org.Event, f Flavour) auditRow {
	r := auditRow{
		at: e.At.UnixMilli(), n: e.N, git: isGit(e), noID: h.noID(e.N),
		org: s.Name, orgID: h.id(kindAccount, orgNumber),
		userAgent: e.Client.UserAgent, country: e.Client.CountryCode,
	}
	for _, t := range e.Targets {
		h.target(s, &r, t)
	}
	h.actor(s, &r, e)
	h.act(s, &r, e, f)
	for _, c := range e.Changes {
		switch c.Name {
		case "visibility":
			r.visibility, r.oldVisibility = c.New, c.Old
		case "role", "permission":
			r.permission, r.oldPermission = c.New, c.Old
			if r.team != "" && r.repo != "" {
				r.permission, r.oldPermission = permissionOf(c.New), permissionOf(c.Old)
			}
		}
	}
	if r.git {
		r.transport = "http"
		if e.Via.Kind == org.GrantRef && s.Grants[org.GitHub][e.Via.N].Credential == "SSH key" {
			r.transport = "ssh"
		}
		// Public repositories are cloned by strangers, too.
		if r.public && e.Verb != org.GitPush && e.N%5 == 0 {
			r.actor, r.actorID, r.bot, r.nameID, r.ip = "", 0, false, "", ""
			r.access, r.tokenID, r.hashedToken, r.tokenScopes = "", 0, "", nil
		}
	}
	if r.git || r.sso {
		r.business, r.businessID = enterprise(s), h.id(kindBusiness, 1)
	} else {
		r.nameID = "" // others do not tell it
	}
	// Owners see addresses of members that act on what is not public.
	if e.Actor.Kind == org.AccountRef && r.actor != "" && !f.NoSourceIP && !r.public && !e.Outside {
		r.ip = e.Client.IP
	}
	return r
}

func (h *Handler) target(s *org.State, r *auditRow, t org.Ref) {
	switch t.Kind {
	case org.AccountRef:
		a := s.Accounts[org.GitHub][t.N]
		r.user, r.userID = a.Login, h.id(kindAccount, a.N)
	case org.GroupRef:
		r.team = s.Groups[org.GitHub][t.N].Slug
	case org.RepoRef:
		repo := s.Repos[t.N]
		r.repo, r.repoID = s.Name+"/"+repo.Name, h.id(kindRepo, repo.N)
		r.public = h.bornPublic(repo)
	case org.RoleRef:
		r.name = s.Roles[org.GitHub][t.N].Role
	case org.IntegrationRef:
		i := s.Integrations[org.GitHub][t.N]
		r.name = i.Name
		if i.Kind == "oauth_app" {
			r.oauthApp, r.oauthID = i.Name, h.oauthAppID(i.N)
		} else {
			r.integration = i.Name
		}
	case org.GrantRef:
		g := s.Grants[org.GitHub][t.N]
		if g.Account >= 0 {
			a := s.Accounts[org.GitHub][g.Account]
			r.user, r.userID = a.Login, h.id(kindAccount, a.N)
		}
	case org.KeyRef:
		r.keyTitle = t.Name
	default: // the organization stands in every row
	}
}

func (h *Handler) actor(s *org.State, r *auditRow, e *org.Event) {
	switch e.Actor.Kind {
	case org.AccountRef:
		a := s.Accounts[org.GitHub][e.Actor.N]
		r.actor, r.actorID = a.Login, h.id(kindAccount, a.N)
		if p := s.People[a.Person]; !e.Outside && signsOn(a, p) {
			r.nameID = samlName(p)
		}
	case org.IntegrationRef:
		i := s.Integrations[org.GitHub][e.Actor.N]
		r.actor, r.bot = i.Name+"[bot]", true
		r.access = "GitHub App server-to-server token"
		if !r.git { // git rows of bots tell no id
			r.actorID = h.id(kindAccount, botNumber-i.N)
		}
	default: // anonymous, or GitHub itself
		r.actor = e.Actor.Name
		if strings.HasSuffix(r.actor, "[bot]") { // an App that is not among the organization's
			r.bot, r.access = true, "GitHub App server-to-server token"
		}
	}
	if e.Via.Kind != org.GrantRef {
		return
	}
	g := s.Grants[org.GitHub][e.Via.N]
	switch {
	case g.Kind == org.GrantPAT:
		r.access = "Fine-grained personal access token"
	case g.Credential == "SSH key":
		return
	case g.Credential == "OAuth app token":
		r.access = "OAuth access token"
	case g.Credential == "GitHub app token":
		r.access = "GitHub App user-to-server token"
	default:
		r.access = "Personal access token (classic)"
	}
	r.tokenID, r.tokenScopes, r.requestID = h.id(kindToken, g.N), g.Scopes, true
	r.hashedToken = h.hashedToken(g.N)
}

// hashedToken looks like base64 of a SHA-256.
func (h *Handler) hashedToken(n int) string {
	var b [32]byte
	for i := range 4 {
		binary.BigEndian.PutUint64(b[8*i:], (h.seed^uint64(n+1))*(0x9e3779b97f4a7c15+uint64(i)<<7))
	}
	return base64.StdEncoding.EncodeToString(b[:])
}

// act finds the action.
func (h *Handler) act(s *org.State, r *auditRow, e *org.Event, f Flavour) {
	set := func(action, operation string) { r.action, r.operation = action, operation }
	team := r.team != ""
	switch e.Verb {
	case org.SignIn:
		switch {
		case e.Failed:
			set("user.failed_login", "authentication")
			if r.actor == "" {
				r.user = e.Text
			}
		case f.GHES:
			set("user.login", "authentication")
		default:
			set("org.sso_response", "authentication")
			r.sso = true
		}
	case org.AccountCreate:
		if f.GHES {
			set("user.create", "create")
		} else {
			set("org.add_member", "create")
		}
	case org.AccountActivate:
		set("org.add_member", "create")
	case org.AccountUpdate:
		set("external_identity.update", "modify")
	case org.AccountSuspend:
		set("user.suspend", "modify")
	case org.AccountUnsuspend:
		set("user.unsuspend", "modify")
	case org.AccountRemove:
		set("org.remove_member", "remove")
	case org.OutsideRemove:
		set("org.remove_outside_collaborator", "remove")
	case org.InviteCancel:
		set("org.cancel_invitation", "remove")
	case org.MemberBlock, org.MemberUnblock:
		set("org.block_user", "create")
		if e.Verb == org.MemberUnblock {
			set("org.unblock_user", "remove")
		}
		r.blocked, r.user, r.userID = r.user, "", 0
	case org.AccountDelete:
		set("user.destroy", "remove")
	case org.MemberInvite:
		set("org.invite_member", "create")
	case org.MemberRole:
		set("org.update_member", "modify")

	case org.GroupCreate:
		set("team.create", "create")
	case org.GroupUpdate:
		set("team.update", "modify")
	case org.GroupDelete:
		set("team.destroy", "remove")
	case org.GroupAddMember:
		set("team.add_member", "create")
	case org.GroupRemoveMember:
		set("team.remove_member", "remove")
	case org.TeamRole:
		set(either(e.Changes[0].New == "maintainer", "team.promote_maintainer", "team.demote_maintainer"), "modify")

	case org.RoleGrantVerb:
		set("organization_role.assign", "create")
	case org.RoleRevokeVerb:
		set("organization_role.revoke", "remove")

	case org.IntegrationAdd:
		set(either(r.oauthApp != "", "org.oauth_app_access_approved", "integration_installation.create"), "create")
	case org.IntegrationUpdate:
		set(either(r.oauthApp != "", "oauth_application.update", "integration_installation.version_updated"), "modify")
	case org.IntegrationSuspend:
		set(either(r.oauthApp != "", "org.oauth_app_access_blocked", "integration_installation.suspend"), "modify")
	case org.IntegrationRemove:
		set(either(r.oauthApp != "", "org.oauth_app_access_denied", "integration_installation.destroy"), "remove")

	case org.GrantIssue, org.GrantRevoke:
		h.grantAct(s, e, set)

	case org.RepoCreate:
		set("repo.create", "create")
	case org.RepoDelete:
		set("repo.destroy", "remove")
	case org.RepoVisibility:
		set("repo.access", "modify")
	case org.RepoArchive:
		set("repo.archived", "modify")
	case org.RepoUnarchive:
		set("repo.unarchived", "modify")
	case org.RepoChangeAccess:
		set(either(team, "team.update_repository_permission", "repo.update_member"), "modify")
	case org.RepoCancelInvite:
		set("repository_invitation.cancel", "remove")
	case org.KeyRemove:
		set("public_key.delete", "remove")
	case org.RequestDeny:
		set("personal_access_token.request_denied", "modify")
	case org.RepoAddAccess:
		set(either(team, "team.add_repository", "repo.add_member"), "create")
	case org.RepoRemoveAccess:
		set(either(team, "team.remove_repository", "repo.remove_member"), "remove")
	case org.RepoDownload:
		set("repo.download_zip", "access")
	case org.BranchProtection:
		set("protected_branch.create", "create")
		r.name = e.Text
	case org.KeyAdd:
		set("public_key.create", "create")
	case org.HookCreate:
		set("hook.create", "create")
		r.hookID = h.id(kindHook, e.N)
	case org.GitClone:
		set("git.clone", "")
	case org.GitFetch:
		set("git.fetch", "")
	case org.GitPush:
		set("git.push", "")
		if e.Failed {
			set("protected_branch.rejected_ref_update", "modify")
		}
	case org.PullRequestMerge:
		set("pull_request.merge", "modify")
		r.pullRequest = e.Text
	case org.TwoFactorRequired:
		set("org.enable_two_factor_requirement", "modify")
	default:
		set("org."+string(e.Verb), "modify")
	}
}

func (h *Handler) grantAct(s *org.State, e *org.Event, set func(action, operation string)) {
	issue := e.Verb == org.GrantIssue
	operation := either(issue, "create", "remove")
	switch s.Grants[org.GitHub][e.Targets[0].N].Kind {
	case org.GrantPAT:
		set(either(issue, "personal_access_token.access_granted", "personal_access_token.access_revoked"), operation)
	case org.GrantCredential:
		set(either(issue, "org_credential_authorization.grant", "org_credential_authorization.revoke"), operation)
	default:
		set(either(issue, "oauth_authorization.create", "oauth_authorization.destroy"), operation)
	}
}

func either(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// bornPublic tells whether a repository was public when it was first looked at:
// a past row does not change with the repository.
func (h *Handler) bornPublic(r *org.Repo) bool {
	if v, ok := h.born.Load(r.N); ok {
		return v.(bool)
	}
	v, _ := h.born.LoadOrStore(r.N, r.Visibility == "public")
	return v.(bool)
}

// auditRow appends a row.
func (w *writer) auditRow(h *Handler, r *auditRow) {
	f := &h.facts
	w.open('{')
	w.int(f.AuditTimeField, h.millis(r.at))
	if !r.noID {
		id := h.docID(r.n)
		w.comma()
		w.b = append(w.b, '"')
		w.b = append(w.b, f.AuditIDField...)
		w.b = append(w.b, `":"`...)
		w.b = append(w.b, id[:]...)
		w.b = append(w.b, '"')
	}
	w.str("action", r.action)
	if r.actor != "" {
		w.str(f.AuditActorField, r.actor)
		if r.actorID != 0 {
			w.int("actor_id", r.actorID)
		}
		if !r.git || r.bot {
			w.bool("actor_is_bot", r.bot)
		}
	}
	if r.ip != "" {
		w.str("actor_ip", r.ip)
	}
	if r.country != "" {
		w.b = append(w.b, `,"actor_location":{"`...)
		w.b = append(w.b, f.CountryField...)
		w.b = append(w.b, `":"`...)
		w.b = append(w.b, r.country...)
		w.b = append(w.b, `"}`...)
	}
	if r.business != "" {
		w.str("business", r.business)
		w.int("business_id", r.businessID)
	}
	if !r.git || f.GitCreatedAt {
		w.int("created_at", h.millis(r.at))
	}
	if r.git || r.sso {
		w.str("external_identity_nameid", r.nameID)
	}
	if r.sso {
		w.str("external_identity_username", r.nameID)
		w.str("issuer", "https://idp."+r.org+".example")
	}
	if r.operation != "" {
		w.str("operation_type", r.operation)
	}
	w.str("org", r.org)
	w.int("org_id", r.orgID)
	if r.access != "" {
		w.str("programmatic_access_type", r.access)
	}
	if r.tokenID != 0 {
		w.int("token_id", r.tokenID)
		w.str("hashed_token", r.hashedToken)
		w.key("token_scopes")
		w.b = append(w.b, '"')
		for i, s := range r.tokenScopes {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			w.b = append(w.b, s...)
		}
		w.b = append(w.b, '"')
	}
	if r.requestID {
		w.str("request_id", requestID(h.seed, uint64(r.n)))
	}
	w.auditTargets(r)
	w.str("user_agent", r.userAgent)
	w.close('}')
}

func (w *writer) auditTargets(r *auditRow) {
	if r.user != "" {
		w.str("user", r.user)
	}
	if r.userID != 0 || r.git {
		w.int("user_id", r.userID)
	}
	if r.team != "" {
		w.key("team")
		w.b = append(w.b, '"')
		w.b = append(w.b, r.org...)
		w.b = append(w.b, '/')
		w.b = append(w.b, r.team...)
		w.b = append(w.b, '"')
	}
	if r.blocked != "" {
		w.str("blocked_user", r.blocked)
	}
	if r.repo != "" {
		w.str("repo", r.repo)
		if r.git {
			w.str("repository", r.repo)
			w.bool("repository_public", r.public)
		} else {
			w.int("repo_id", r.repoID)
		}
	}
	for _, f := range [...][2]string{
		{"visibility", r.visibility},
		{"previous_visibility", r.oldVisibility},
		{"permission", r.permission},
		{"old_permission", r.oldPermission},
		{"name", r.name},
		{"integration", r.integration},
		{"oauth_application", r.oauthApp},
		{"title", r.keyTitle},
		{"pull_request_id", r.pullRequest},
	} {
		if f[1] != "" {
			w.str(f[0], f[1])
		}
	}
	if r.oauthID != 0 {
		w.int("oauth_application_id", r.oauthID)
	}
	if r.hookID != 0 {
		w.int("hook_id", r.hookID)
	}
	if r.transport != "" {
		w.int("transport_protocol", map[bool]int64{true: 1, false: 2}[r.transport == "http"])
		w.str("transport_protocol_name", r.transport)
	}
}

// requestID makes GitHub's five groups of hexadecimal digits.
func requestID(seed, n uint64) string {
	x := xxhash.Sum64(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, seed), n))
	s := strconv.FormatUint(x|1<<63, 16)
	return s[:4] + ":" + s[4:9] + ":" + s[9:12] + ":" + s[12:14] + ":" + s[14:]
}

func (h *Handler) requestID() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests++
	return requestID(h.seed, h.requests)
}

func hashName(s string) uint64 { return xxhash.Sum64String(s) }
