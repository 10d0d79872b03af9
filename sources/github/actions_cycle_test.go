package github

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/secret"
	"weir/sources"
)

// asApp has a session pass for one of a GitHub App, whose token the forge takes.
func asApp(s *session) {
	s.cfg.Auth = Auth{ClientID: "Iv1.weir", PrivateKey: secret.New("none")}
}

// uninstalls has a session pass for one of an App that is installed on the
// enterprise.
func uninstalls(s *session) {
	asApp(s)
	s.cfg.Actions.Enterprise, s.enterprise = "acme-inc", s.rest
}

// inCloud makes it GitHub.com for all that the code asks, without its limits.
func inCloud(s *session) { s.urls.server = false }

func withSCIM(c *Config) { c.Enterprise, c.Actions.SCIM = "acme-inc", true }

// cycleCase is an action that is planned, done, repeated and undone.
type cycleCase struct {
	name   string
	config func(*Config)
	as     func(*session)
	change func(*forge)
	server bool
	action sources.Action
	kind   sources.TargetKind
	target string
	params map[string]string
	// effect tells whether the organization shows the effect.
	effect func(*forge) bool
	right  string // that a refusal names
	writes string // the request that writes, as it is sent
	noUndo bool
	back   func(*forge) bool // nil: what was before is there again
}

func cycleCases() []cycleCase {
	account, credential, repository, file := sources.TargetAccount, sources.TargetCredential, sources.TargetRepository, sources.TargetFile
	permission := func(id string) map[string]string { return map[string]string{paramPermission: id} }
	return []cycleCase{
		{
			name: "remove a member", as: inCloud, action: sources.RemoveMember, kind: account, target: "2", effect: func(f *forge) bool { return f.roles["hubot"] == "" && f.pending["hubot"] == "" },
			right: "admin:org", writes: "DELETE /orgs/octo-corp/memberships/hubot", back: func(f *forge) bool { return f.pending["hubot"] == "member" },
		},
		{
			name: "cancel a membership that is pending", action: sources.RemoveMember, kind: account, target: "7", effect: func(f *forge) bool { return f.pending["pending"] == "" },
			right: "members:write", writes: "DELETE /orgs/octo-corp/memberships/pending", noUndo: true,
		},
		{
			name: "cancel an invitation", action: sources.RemoveMember, kind: account, target: "invitation:70", effect: func(f *forge) bool { return f.invited["70"] == "" },
			right: "admin:org", writes: "DELETE /orgs/octo-corp/invitations/70", noUndo: true,
		},
		{
			name: "remove an outside collaborator", action: sources.RemoveMember, kind: account, target: "3", effect: func(f *forge) bool { return !f.outside["eve"] },
			right: "admin:org", writes: "DELETE /orgs/octo-corp/outside_collaborators/eve", noUndo: true,
		},
		{
			name: "leave a team", action: sources.RemoveMember, kind: account, target: "2", params: map[string]string{paramGroup: "50"}, effect: func(f *forge) bool { return f.team["hubot"] == "" },
			right: "admin:org", writes: "DELETE /orgs/octo-corp/teams/crew/memberships/hubot", back: func(f *forge) bool { return f.team["hubot"] == "maintainer" },
		},
		{
			name: "block", as: inCloud, action: sources.SuspendUser, kind: account, target: "3", effect: func(f *forge) bool { return f.blocked["eve"] },
			right: "organization_user_blocking:write", writes: "PUT /orgs/octo-corp/blocks/eve",
		},
		{
			name: "unblock", as: inCloud, action: sources.UnsuspendUser, kind: account, target: "6", effect: func(f *forge) bool { return !f.blocked["blocked"] },
			right: "admin:org", writes: "DELETE /orgs/octo-corp/blocks/blocked",
		},
		{
			name: "suspend on a server", server: true, action: sources.SuspendUser, kind: account, target: "2", effect: func(f *forge) bool { return f.suspended["hubot"] },
			right: "site_admin", writes: "PUT /users/hubot/suspended",
		},
		{
			name: "unsuspend on a server", server: true, action: sources.UnsuspendUser, kind: account, target: "2", effect: func(f *forge) bool { return !f.suspended["hubot"] },
			change: func(f *forge) { f.suspended["hubot"] = true }, right: "site_admin", writes: "DELETE /users/hubot/suspended",
		},
		{
			name: "suspend a managed user", as: inCloud, config: withSCIM, action: sources.SuspendUser, kind: account, target: "2", effect: func(f *forge) bool { return !f.scim["s-2"] },
			right: "scim:enterprise", writes: "PATCH /scim/v2/enterprises/acme-inc/Users/s-2",
		},
		{
			name: "suspend a server's managed user", server: true, config: func(c *Config) { c.Actions.SCIM = true }, action: sources.SuspendUser, kind: account, target: "2", effect: func(f *forge) bool { return !f.scim["s-2"] },
			right: "scim:enterprise", writes: "PATCH /scim/v2/Users/s-2",
		},
		{
			name: "sign out", as: inCloud, action: sources.SignOutUser, kind: account, target: "2", effect: func(f *forge) bool { return len(f.creds) == 1 },
			right: "organization_administration:write", writes: "POST /orgs/octo-corp/credential-authorizations/hubot/revoke", noUndo: true,
		},
		{
			name: "revoke a token", as: inCloud, action: sources.RevokeGrant, kind: credential, target: "token:231", effect: func(f *forge) bool { return f.creds["31"] == "" },
			right: "admin:org", writes: "DELETE /orgs/octo-corp/credential-authorizations/31", noUndo: true,
		},
		{
			name: "revoke an SSH key", as: inCloud, action: sources.RevokeGrant, kind: credential, target: "cred:32", effect: func(f *forge) bool { return f.creds["32"] == "" },
			right: "admin:org", writes: "DELETE /orgs/octo-corp/credential-authorizations/32", noUndo: true,
		},
		{
			name: "revoke a fine-grained token", as: asApp, action: sources.RevokeGrant, kind: credential, target: "pat:441", effect: func(f *forge) bool { return f.pats["41"] == "" },
			right: "organization_personal_access_tokens:write", writes: "POST /orgs/octo-corp/personal-access-tokens/41", noUndo: true,
		},
		{
			name: "uninstall an app", as: uninstalls, action: sources.DisableApp, kind: sources.TargetApp, target: "911", effect: func(f *forge) bool { return f.apps["11"] == "" },
			right: "enterprise_organization_installations:write", writes: "DELETE /enterprises/acme-inc/apps/organizations/octo-corp/installations/11", noUndo: true,
		},
		{
			name: "delete a deploy key", action: sources.RevokeKey, kind: credential, target: "link:100", params: map[string]string{paramRepository: "500"}, effect: func(f *forge) bool { return len(f.keys) == 0 },
			right: "administration:write", writes: "DELETE /repos/octo-corp/api/keys/100", back: func(f *forge) bool { return f.keys["1001"] == "ssh-ed25519 AAAAC3Nza deploy@host" },
		},
		{
			name: "delete a server's token", server: true, action: sources.RevokeKey, kind: credential, target: "token:61", effect: func(f *forge) bool { return len(f.tokens) == 0 },
			right: "site_admin", writes: "DELETE /admin/tokens/61", noUndo: true,
		},
		{
			name: "remove a collaborator", action: sources.RemoveSharing, kind: repository, target: "500", params: permission("account:2"), effect: func(f *forge) bool { return f.access["hubot"] == "" },
			right: "repo", writes: "DELETE /repos/octo-corp/api/collaborators/hubot", back: func(f *forge) bool { return f.access["hubot"] == "write" },
		},
		{
			name: "remove an outside collaborator's access", action: sources.RemoveSharing, kind: repository, target: "500", params: permission("account:3"), effect: func(f *forge) bool { return f.access["eve"] == "" && f.asked["1001"] == "" },
			right: "repo", writes: "DELETE /repos/octo-corp/api/collaborators/eve", back: func(f *forge) bool { return f.asked["1001"] == "eve" },
		},
		{
			name: "remove a team", action: sources.RemoveSharing, kind: repository, target: "500", params: permission("group:50"), effect: func(f *forge) bool { return f.teamRepo == "" },
			right: "admin:org", writes: "DELETE /orgs/octo-corp/teams/crew/repos/octo-corp/api", back: func(f *forge) bool { return f.teamRepo == "push" },
		},
		{
			name: "cancel a repository's invitation", action: sources.RemoveSharing, kind: repository, target: "500", params: permission("invitation:90"), effect: func(f *forge) bool { return len(f.asked) == 0 },
			right: "repo", writes: "DELETE /repos/octo-corp/api/invitations/90", noUndo: true,
		},
		{
			name: "make private", action: sources.MakePrivate, kind: repository, target: "500", effect: func(f *forge) bool { return f.repo == "private" },
			right: "administration:write", writes: "PATCH /repos/octo-corp/api", back: func(f *forge) bool { return f.repo == "public" },
		},
		{
			name: "take a role away", action: sources.RemovePrivilege, kind: account, target: "2", params: map[string]string{paramRole: "orgrole:80"}, effect: func(f *forge) bool { return f.assigned["hubot"] == "" },
			right: "admin:org", writes: "DELETE /orgs/octo-corp/organization-roles/users/hubot/80",
		},
		{
			name: "overwrite a file", action: sources.OverwriteFile, kind: file, target: "500:README.md", effect: func(f *forge) bool { return f.files["README.md"] == string(note("r1")) },
			right: "contents:write", writes: "PUT /repos/octo-corp/api/contents/README.md", back: func(f *forge) bool { return f.files["README.md"] == "hello\n" },
		},
		{
			name: "delete a file", action: sources.TrashFile, kind: file, target: "500:docs/a b#1.txt", effect: func(f *forge) bool { return f.files["docs/a b#1.txt"] == "" },
			right: "contents:write", writes: "DELETE /repos/octo-corp/api/contents/docs/a%20b%231.txt", back: func(f *forge) bool { return f.files["docs/a b#1.txt"] == "inner\n" },
		},
	}
}

// start makes the case's forge and a session on it.
func (c *cycleCase) start(t testing.TB) (*forge, *session) {
	f := newForge(t)
	f.server = c.server
	if c.change != nil {
		c.change(f)
	}
	var change []func(*Config)
	if c.config != nil {
		change = append(change, c.config)
	}
	s := f.open(t, change...)
	if c.as != nil {
		c.as(s)
	}
	return f, s
}

func (c *cycleCase) request() sources.ActionRequest {
	return sources.ActionRequest{ID: "r1", Action: c.action, Kind: c.kind, Target: c.target, Params: c.params}
}

func (c *cycleCase) shows(f *forge) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return c.effect(f)
}

func wrote(asked []string) (out []string) {
	for _, a := range asked {
		if !strings.HasPrefix(a, "GET ") && !strings.HasSuffix(a, "graphql") {
			out = append(out, a)
		}
	}
	return out
}

// Every action is refused, lost, done, repeated and undone; each time the check
// tells what is so.
func TestActionCycles(t *testing.T) {
	t.Parallel()
	var seen []sources.Action
	for _, c := range cycleCases() {
		seen = append(seen, c.action)
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, s := c.start(t)
			p := c.plans(t, f, s)
			st := p.Steps[0]
			check := func() sources.Outcome {
				t.Helper()
				o, err := s.Check(t.Context(), st, sources.Receipt{})
				require.NoError(t, err)
				return o
			}
			do := func(set func()) error {
				t.Helper()
				f.change(set)
				n := f.writes()
				_, err := s.Do(t.Context(), st)
				require.Equal(t, n+1, f.writes(), "one write")
				return err
			}
			require.Equal(t, sources.NotDone, check())
			err := do(func() { f.refuse = true })
			require.Equal(t, fault.Forbidden, fault.Of(err), "%v", err)
			require.ErrorContains(t, err, c.right)
			require.Equal(t, sources.NotDone, check())
			require.Equal(t, fault.Transient, fault.Of(do(func() { f.lose = "request" })))
			require.Equal(t, sources.NotDone, check())
			f.requests()
			require.Equal(t, fault.Transient, fault.Of(do(func() { f.lose = "answer" })))
			require.Equal(t, []string{c.writes}, wrote(f.requests()))
			require.Equal(t, sources.Done, check())
			require.True(t, c.shows(f))
			if err := do(func() {}); c.action == sources.OverwriteFile { // the SHA to replace is the current one's no more
				require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
			} else {
				require.NoError(t, err, "what is so already")
			}
			require.Equal(t, sources.Done, check())
			if again, err := s.Plan(t.Context(), c.request()); err == nil {
				require.Empty(t, again.Steps, "nothing is left to do")
			} else {
				require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
			}
			c.undo(t, f, s, p)
		})
	}
	for _, a := range actions {
		require.NoError(t, a.Validate())
		require.Contains(t, seen, a.Action)
	}
}

// plans plans the case, twice alike and without a write.
func (c *cycleCase) plans(t *testing.T, f *forge, s *session) *sources.Plan {
	t.Helper()
	r := c.request()
	require.NoError(t, declared(c.action).Check(&r))
	p, err := s.Plan(t.Context(), r)
	require.NoError(t, err)
	require.NoError(t, p.Validate(r))
	require.Len(t, p.Steps, 1)
	require.NotEmpty(t, p.Before)
	again, err := s.Plan(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, p, again)
	require.Zero(t, f.writes())
	require.False(t, c.shows(f))
	require.Equal(t, c.noUndo, p.NoUndo != "" || declared(c.action).NoUndo != "")
	return p
}

func (c *cycleCase) undo(t *testing.T, f *forge, s *session, p *sources.Plan) {
	t.Helper()
	e := sources.Effect{Request: c.request(), Before: p.Before, Steps: []sources.StepDone{{Step: p.Steps[0]}}}
	back, err := s.Undo(t.Context(), e)
	if c.noUndo {
		require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
		return
	}
	require.NoError(t, err)
	require.NoError(t, back.Validate(e.Request))
	require.Len(t, back.Steps, 1)
	o, err := s.Check(t.Context(), back.Steps[0], sources.Receipt{})
	require.NoError(t, err)
	require.Equal(t, sources.NotDone, o)
	_, err = s.Do(t.Context(), back.Steps[0])
	require.NoError(t, err)
	o, err = s.Check(t.Context(), back.Steps[0], sources.Receipt{})
	require.NoError(t, err)
	require.Equal(t, sources.Done, o)
	require.False(t, c.shows(f), "the effect is taken back")
	require.True(t, c.back == nil || c.back(f))
	again, err := s.Undo(t.Context(), e)
	require.NoError(t, err)
	require.Empty(t, again.Steps)
}

// Ids that would be another request, or nobody's, are refused before anything is
// asked for by them, whoever made the plan.
func TestHostileIDs(t *testing.T) {
	t.Parallel()
	for _, c := range cycleCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, s := c.start(t)
			plan := func(r sources.ActionRequest) error {
				_, err := s.Plan(t.Context(), r)
				return err
			}
			for _, bad := range []string{"/", "/../1", "?x=1", "#x", "%2f", "\x00", "\n", "\u202e", "*", " or true", `"`, ";"} {
				r := c.request()
				r.Target += bad
				require.Equal(t, fault.BadData, fault.Of(plan(r)), "%q", r.Target)
				for name, v := range c.params {
					r := c.request()
					r.Params = map[string]string{name: v + bad}
					require.Equal(t, fault.BadData, fault.Of(plan(r)), "%q", r.Params)
				}
			}
			r := c.request()
			r.Target = strings.NewReplacer("1", "9", "2", "9", "3", "9", "5", "9", "6", "9", "7", "9").Replace(c.target)
			if r.Target == "999" { // which the forge knows
				r.Target = "998"
			}
			require.Equal(t, fault.BadData, fault.Of(plan(r)), "nobody's: %s", r.Target)
			require.Empty(t, wrote(f.requests()))
		})
	}
}

// A login that another account has by now, and a repository's or team's name,
// are never written to.
func TestRenamedIsNotWritten(t *testing.T) {
	t.Parallel()
	for _, c := range cycleCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, s := c.start(t)
			p := c.plans(t, f, s)
			a, _, err := decodeStep(p.Steps[0])
			require.NoError(t, err)
			switch {
			case a.Login != "" && a.Op != opDeactivate && a.Op != opRevoke:
				f.change(func() { f.logins[a.Account], f.logins["999"] = "renamed", a.Login })
			case a.Repository != "":
				f.json("GET /repos/"+repoName, `{"id":501,"full_name":"octo-corp/api","default_branch":"main"}`)
			default:
				t.Skip("it is written by its own id")
			}
			_, err = s.Do(t.Context(), p.Steps[0])
			require.Error(t, err)
			require.Zero(t, f.writes())
			if slices.Contains([]string{opLeave, opBlock, opUnblock, opRevokeAll}, a.Op) { // which are looked up by login
				o, err := s.Check(t.Context(), p.Steps[0], sources.Receipt{})
				require.NoError(t, err)
				require.Equal(t, sources.Unknown, o)
			}
		})
	}
}

// Undoing leaves alone what a person has changed since.
func TestUndoLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	changes := map[string]func(*forge){
		"make private":          func(f *forge) { f.repo = "internal" },
		"remove a collaborator": func(f *forge) { f.access["hubot"] = "admin" },
		"remove a team":         func(f *forge) { f.teamRepo = "admin" },
		"overwrite a file":      func(f *forge) { f.files["README.md"] = "mine\n" },
		"delete a file":         func(f *forge) { f.files["docs/a b#1.txt"] = "mine\n" },
	}
	for _, c := range cycleCases() {
		change := changes[c.name]
		if change == nil {
			continue
		}
		delete(changes, c.name)
		f, s := c.start(t)
		p := c.plans(t, f, s)
		_, err := s.Do(t.Context(), p.Steps[0])
		require.NoError(t, err)
		f.change(func() { change(f) })
		_, err = s.Undo(t.Context(), sources.Effect{Request: c.request(), Before: p.Before, Steps: []sources.StepDone{{Step: p.Steps[0]}}})
		require.Equal(t, fault.Permanent, fault.Of(err), "%s: %v", c.name, err)
	}
	require.Empty(t, changes)
}
