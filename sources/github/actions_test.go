package github_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/sandbox"
	sandboxgithub "weir/internal/sandbox/github"
	"weir/internal/sandbox/org"
	"weir/internal/sourcetest"
	"weir/schemas"
	"weir/sources"
)

type target = sourcetest.ActionTarget

// act is an owner's.
func act(s *org.State) *org.Act {
	all := s.Accounts[org.GitHub]
	owner := slices.IndexFunc(all, func(a *org.Account) bool { return a.Owner && a.Gone.IsZero() })
	return &org.Act{At: s.Now, Actor: org.Ref{Kind: org.AccountRef, N: all[owner].N}, Client: &org.Client{IP: "198.51.100.7"}}
}

// blockSomebody blocks somebody who has done something, for somebody to be let
// in again.
func blockSomebody(s *org.State) {
	for _, e := range s.Timeline[org.GitHub] {
		if e.Actor.Kind != org.AccountRef {
			continue
		}
		if a := s.Accounts[org.GitHub][e.Actor.N]; !a.Owner && a.Gone.IsZero() && a.Status == org.Active {
			s.Block(act(s), a)
			return
		}
	}
}

// sendOutside makes members outside collaborators.
func sendOutside(s *org.State) {
	n := 0
	for _, a := range s.Accounts[org.GitHub] {
		if !a.Outside && !a.Owner && a.Gone.IsZero() && a.Status == org.Active && n < 3 {
			s.Convert(act(s), a)
			n++
		}
	}
}

// blocked are those that the log tells of: no table has them.
func blocked(truth *schemas.Rows) (out []target) {
	logins := map[string]bool{}
	for i := range truth.Activities {
		if a := &truth.Activities[i]; a.Action == "org.block_user" {
			logins[a.TargetName], logins[a.TargetID] = true, true // the log has no id
		}
	}
	for i := range truth.Activities {
		if a := &truth.Activities[i]; logins[a.ActorName] && a.ActorID != "" {
			out = append(out, target{ID: a.ActorID})
		}
	}
	return out
}

// accounts are people of a kind and status: no owners, and nobody with a role.
func accounts(kind, status string) func(*schemas.Rows) []target {
	return func(truth *schemas.Rows) (out []target) {
		for i := range truth.Accounts {
			if a := &truth.Accounts[i]; a.Kind == kind && a.Status == status && !a.IsAdmin.Value {
				out = append(out, target{ID: a.AccountID})
			}
		}
		return out
	}
}

func noAccount(truth *schemas.Rows, t target) bool {
	return !slices.ContainsFunc(truth.Accounts, func(a schemas.Account) bool { return a.AccountID == t.ID })
}

// isInvited reports whether an account that was a member has an invitation.
func isInvited(truth *schemas.Rows, t target) bool {
	return noAccount(truth, t) && slices.ContainsFunc(truth.Accounts, func(a schemas.Account) bool { return a.Status == "invited" })
}

func teamMembers(truth *schemas.Rows) (out []target) {
	for _, m := range truth.GroupMembers {
		if m.MemberKind == "account" {
			out = append(out, target{ID: m.MemberID, Params: map[string]string{"group": m.GroupID}})
		}
	}
	return out
}

func noMember(truth *schemas.Rows, t target) bool {
	return !slices.ContainsFunc(truth.GroupMembers, func(m schemas.GroupMember) bool {
		return m.MemberID == t.ID && m.GroupID == t.Params["group"]
	})
}

func grants(prefix string, kinds ...string) func(*schemas.Rows) []target {
	return func(truth *schemas.Rows) (out []target) {
		for i := range truth.AppGrants {
			if g := &truth.AppGrants[i]; strings.HasPrefix(g.GrantID, prefix) && (len(kinds) == 0 || slices.Contains(kinds, g.Kind)) {
				out = append(out, target{ID: g.GrantID})
			}
		}
		return out
	}
}

func noGrant(truth *schemas.Rows, t target) bool {
	return !slices.ContainsFunc(truth.AppGrants, func(g schemas.AppGrant) bool { return g.GrantID == t.ID })
}

// signedIn are members with credentials that are authorized for single sign-on.
func signedIn(truth *schemas.Rows) (out []target) {
	for i := range truth.Accounts {
		a := &truth.Accounts[i]
		if !a.IsAdmin.Value && a.Status == "active" && slices.ContainsFunc(truth.AppGrants, func(g schemas.AppGrant) bool { return g.PrincipalID == a.Login }) {
			out = append(out, target{ID: a.AccountID})
		}
	}
	return out
}

func signedOut(truth *schemas.Rows, t target) bool {
	i := slices.IndexFunc(truth.Accounts, func(a schemas.Account) bool { return a.AccountID == t.ID })
	return i >= 0 && !slices.ContainsFunc(truth.AppGrants, func(g schemas.AppGrant) bool { return g.PrincipalID == truth.Accounts[i].Login })
}

func isPublic(truth *schemas.Rows, repo string) bool {
	return slices.ContainsFunc(truth.Files, func(f schemas.File) bool { return f.FileID == repo && f.Kind == "container" && f.Sharing == "public" })
}

// permissions are accesses of a kind to public repositories: which a token
// without the scope repo still sees.
func permissions(kind string, as func(repo string, p *schemas.FilePermission) target) func(*schemas.Rows) []target {
	return func(truth *schemas.Rows) (out []target) {
		for i := range truth.FilePermissions {
			if p := &truth.FilePermissions[i]; p.GranteeKind == kind && isPublic(truth, p.FileID) {
				out = append(out, as(strings.TrimSuffix(p.FileID, ":"), p))
			}
		}
		return out
	}
}

func shared(repo string, p *schemas.FilePermission) target {
	return target{ID: repo, Params: map[string]string{"permission": p.PermissionID}}
}

func deployKey(repo string, p *schemas.FilePermission) target {
	return target{ID: p.PermissionID, Params: map[string]string{"repository": repo}}
}

func notShared(truth *schemas.Rows, t target) bool {
	return !slices.ContainsFunc(truth.FilePermissions, func(p schemas.FilePermission) bool {
		return p.FileID == t.ID+":" && p.PermissionID == t.Params["permission"]
	})
}

func noKey(truth *schemas.Rows, t target) bool {
	return !slices.ContainsFunc(truth.FilePermissions, func(p schemas.FilePermission) bool { return p.PermissionID == t.ID })
}

func rolesHeld(truth *schemas.Rows) (out []target) {
	for i := range truth.Privileges {
		if p := &truth.Privileges[i]; p.PrincipalKind == "account" && p.Via == "direct" && strings.HasPrefix(p.RoleID, "orgrole:") {
			out = append(out, target{ID: p.PrincipalID, Params: map[string]string{"role": p.RoleID}})
		}
	}
	return out
}

func noRole(truth *schemas.Rows, t target) bool {
	return !slices.ContainsFunc(truth.Privileges, func(p schemas.Privilege) bool {
		return p.PrincipalID == t.ID && p.RoleID == t.Params["role"] && p.Via == "direct"
	})
}

func publicRepositories(truth *schemas.Rows) (out []target) {
	for i := range truth.Files {
		if f := &truth.Files[i]; f.Kind == "container" && f.Sharing == "public" {
			out = append(out, target{ID: strings.TrimSuffix(f.FileID, ":")})
		}
	}
	return out
}

func notPublic(truth *schemas.Rows, t target) bool {
	return !slices.ContainsFunc(publicRepositories(truth), func(o target) bool { return o.ID == t.ID })
}

func files(truth *schemas.Rows) (out []target) {
	for i := range truth.Files {
		if f := &truth.Files[i]; f.Kind == "file" && isPublic(truth, f.ContainerID) {
			out = append(out, target{ID: f.FileID})
		}
	}
	return out
}

func noFile(truth *schemas.Rows, t target) bool {
	return !slices.ContainsFunc(truth.Files, func(f schemas.File) bool { return f.FileID == t.ID })
}

// actionCases are the cases with a token: one for each action and target. Those
// for GitHub Apps alone (fine-grained tokens, apps) are appCases.
func actionCases() []sourcetest.ActionCase {
	account, credential, repository, file := sources.TargetAccount, sources.TargetCredential, sources.TargetRepository, sources.TargetFile
	// A key, and access, that are given back are other rows than before.
	keys := map[string][]string{"file_permissions": {"permission_id", "grantee_id", "last_used_at"}}
	return []sourcetest.ActionCase{
		{Name: "make private", Action: sources.MakePrivate, Kind: repository, Candidates: publicRepositories, Effect: notPublic, Event: "repo.access", Scope: "repo"},
		{Name: "block", Action: sources.SuspendUser, Kind: account, Candidates: accounts("guest", "active"), Effect: noAccount, Back: noAccount, Event: "org.block_user", Scope: "admin:org"},
		{Name: "unblock", Action: sources.UnsuspendUser, Kind: account, Candidates: blocked, Prepare: blockSomebody, Event: "org.unblock_user", Scope: "admin:org"},
		{Name: "sign out", Action: sources.SignOutUser, Kind: account, Candidates: signedIn, Effect: signedOut, Event: "org_credential_authorization.revoke", Scope: "admin:org"},
		{Name: "remove a member", Action: sources.RemoveMember, Kind: account, Candidates: accounts("human", "active"), Effect: noAccount, Event: "org.remove_member", Scope: "admin:org", Back: isInvited},
		{Name: "remove an outside collaborator", Action: sources.RemoveMember, Kind: account, Candidates: accounts("guest", "active"), Effect: noAccount, Prepare: sendOutside, Event: "org.remove_outside_collaborator", Scope: "admin:org"},
		{Name: "cancel an invitation", Action: sources.RemoveMember, Kind: account, Candidates: accounts("human", "invited"), Effect: noAccount, Event: "org.cancel_invitation", Scope: "admin:org"},
		{Name: "leave a team", Action: sources.RemoveMember, Kind: account, Candidates: teamMembers, Effect: noMember, Event: "team.remove_member", Scope: "admin:org"},
		{Name: "a token", Action: sources.RevokeGrant, Kind: credential, Candidates: grants("token:"), Effect: noGrant, Event: "org_credential_authorization.revoke", Scope: "admin:org"},
		{Name: "an SSH key", Action: sources.RevokeGrant, Kind: credential, Candidates: grants("cred:", "ssh_key"), Effect: noGrant, Event: "org_credential_authorization.revoke", Scope: "admin:org"},
		{Name: "a deploy key", Action: sources.RevokeKey, Kind: credential, Candidates: permissions("link", deployKey), Effect: noKey, Event: "public_key.delete", Scope: "repo", Changed: keys},
		{Name: "a collaborator", Action: sources.RemoveSharing, Kind: repository, Candidates: permissions("account", shared), Effect: notShared, Event: "repo.remove_member", Scope: "repo"},
		{Name: "a team", Action: sources.RemoveSharing, Kind: repository, Candidates: permissions("group", shared), Effect: notShared, Event: "team.remove_repository", Scope: "admin:org"},
		{Name: "a role", Action: sources.RemovePrivilege, Kind: account, Candidates: rolesHeld, Effect: noRole, Event: "organization_role.revoke", Scope: "admin:org"},
		// Commits by the API show in no audit log.
		{Name: "overwrite", Action: sources.OverwriteFile, Kind: file, Candidates: files, Free: true, Scope: "repo"},
		{Name: "delete", Action: sources.TrashFile, Kind: file, Candidates: files, Effect: noFile, Free: true, Scope: "repo"},
	}
}

// appCases are the cases that take a GitHub App, with permissions to write; to
// uninstall, also one that is installed on the enterprise.
func appCases() []sourcetest.ActionCase {
	return []sourcetest.ActionCase{
		{Name: "a fine-grained token", Action: sources.RevokeGrant, Kind: sources.TargetCredential, Candidates: grants("pat:"), Effect: noGrant, Event: "personal_access_token.access_revoked"},
		{Name: "an app", Action: sources.DisableApp, Kind: sources.TargetApp, Candidates: installedApps, Effect: noApp, Event: "integration_installation.destroy"},
	}
}

func installedApps(truth *schemas.Rows) (out []target) {
	for i := range truth.Apps {
		out = append(out, target{ID: truth.Apps[i].AppID})
	}
	return out
}

func noApp(truth *schemas.Rows, t target) bool {
	return !slices.ContainsFunc(truth.Apps, func(a schemas.App) bool { return a.AppID == t.ID })
}

// run runs the cases, and holds the connector to have no other actions than
// theirs: some take a token, some an App.
func run(t *testing.T, f sourcetest.Fixture, cases []sourcetest.ActionCase) {
	c := *f.Connector
	c.Actions = slices.DeleteFunc(slices.Clone(c.Actions), func(i sources.ActionInfo) bool {
		return !slices.ContainsFunc(cases, func(c sourcetest.ActionCase) bool { return c.Action == i.Action })
	})
	f.Connector = &c
	sourcetest.RunActions(t, f, cases)
}

func TestActions(t *testing.T) {
	t.Parallel()
	f := withToken()
	f.Config += "files: {trees: true}\n"
	f.Vendor.New = func(t *sandbox.Tenant) sandbox.Handler {
		h := sandboxgithub.New(t, sandboxgithub.Default())
		h.SetFlavour(sandboxgithub.Flavour{Trees: true})
		return h
	}
	run(t, f, actionCases())
}

// TestActionsOfApp has a GitHub App do what only one can. It is installed on the
// enterprise as well.
func TestActionsOfApp(t *testing.T) {
	t.Parallel()
	f := fixture()
	f.Vendor.New = func(t *sandbox.Tenant) sandbox.Handler {
		h := sandboxgithub.New(t, sandboxgithub.Default())
		h.SetFlavour(sandboxgithub.Flavour{App: true})
		return h
	}
	f.Settings = func(t testing.TB, tenant *sandbox.Tenant) string {
		may := sandboxgithub.AppPermissions()
		may["organization_personal_access_tokens"], may["enterprise_organization_installations"] = "write", "write"
		text := asAppWith(t, tenant, may)
		id := tenant.Handler().(*sandboxgithub.Handler).InstallationID(&sandboxgithub.App{ID: appID})
		return text + fmt.Sprintf("actions: {enterprise: acme-enterprise, enterprise_installation_id: \"%d\"}\n", id)
	}
	run(t, f, appCases())
}

// Each action has a case, of a token or of an App.
func TestActionsHaveCases(t *testing.T) {
	t.Parallel()
	cases := append(actionCases(), appCases()...)
	for _, a := range withToken().Connector.Actions {
		for _, k := range a.Targets {
			require.True(t, slices.ContainsFunc(cases, func(c sourcetest.ActionCase) bool { return c.Action == a.Action && c.Kind == k.Kind }), "%s on %s", a.Action, k.Kind)
		}
	}
}

// TestActionNeedsPermission has an App that may only read refused.
func TestActionNeedsPermission(t *testing.T) {
	t.Parallel()
	f := fixture()
	site := f.NewSite(t, sourcetest.SiteOptions{People: 20})
	session := site.Session().(sources.Governor)
	r := sources.ActionRequest{ID: "x", Action: sources.MakePrivate, Kind: sources.TargetRepository, Target: publicRepositories(site.Truth())[0].ID}
	p, err := session.Plan(t.Context(), r)
	require.NoError(t, err)
	_, err = session.Do(t.Context(), p.Steps[0])
	require.Equal(t, fault.Forbidden, fault.Of(err), "%v", err)
	require.ErrorContains(t, err, "administration:write")
	for _, a := range f.Connector.Actions {
		require.Equal(t, fault.Forbidden, fault.Of(session.Probe(t.Context(), sources.CapabilityActions+string(a.Action))), a.Action)
	}
}
