package microsoft365

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources"
)

func on(a sources.Action, kind sources.TargetKind, target string, params ...string) sources.ActionRequest {
	r := sources.ActionRequest{ID: "r1", Action: a, Kind: kind, Target: target, Params: map[string]string{}}
	for i := 0; i+1 < len(params); i += 2 {
		r.Params[params[i]] = params[i+1]
	}
	return r
}

func onUser(a sources.Action, id string, params ...string) sources.ActionRequest {
	return on(a, sources.TargetAccount, id, params...)
}

func onTestFile(a sources.Action, params ...string) sources.ActionRequest {
	return on(a, sources.TargetFile, testDrive+"/"+testFile, params...)
}

func outcomeOf(t *testing.T, s *session, st sources.Step, r sources.Receipt) sources.Outcome {
	t.Helper()
	o, err := s.Check(t.Context(), st, r)
	require.NoError(t, err)
	return o
}

// plan plans twice, which must be equal.
func plan(t *testing.T, s *session, r sources.ActionRequest) *sources.Plan {
	t.Helper()
	p, err := s.Plan(t.Context(), r)
	require.NoError(t, err)
	again, err := s.Plan(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, p, again)
	require.NoError(t, p.Validate(r))
	return p
}

// carry takes the steps of a plan. Of each the request is lost first, then the
// answer: each time the check tells.
func carry(t *testing.T, f *forge, s *session, p *sources.Plan) (done []sources.StepDone) {
	t.Helper()
	for _, st := range p.Steps {
		require.Equal(t, sources.NotDone, outcomeOf(t, s, st, sources.Receipt{}), st.Name)
		for _, lose := range []string{"request", "answer"} {
			f.change(func() { f.lose = lose })
			wrote := len(f.writes())
			_, err := s.Do(t.Context(), st)
			require.Equal(t, fault.Transient, fault.Of(err), "%s: %v", st.Name, err)
			require.Len(t, f.writes(), wrote+1, "%s is sent once", st.Name)
			if lose == "request" {
				require.Equal(t, sources.NotDone, outcomeOf(t, s, st, sources.Receipt{}), st.Name)
			}
		}
		f.finish()
		require.Equal(t, sources.Done, outcomeOf(t, s, st, sources.Receipt{}), st.Name)
		done = append(done, sources.StepDone{Step: st})
	}
	return done
}

// finish has the copies that are under way arrive.
func (f *forge) finish() {
	f.change(func() {
		for _, c := range f.copies {
			c()
		}
		f.copies = nil
	})
}

func undo(t *testing.T, f *forge, s *session, r sources.ActionRequest, p *sources.Plan, done []sources.StepDone) *sources.Plan {
	t.Helper()
	e := sources.Effect{Request: r, Before: p.Before, Steps: done}
	back, err := s.Undo(t.Context(), e)
	require.NoError(t, err)
	require.NoError(t, back.Validate(r))
	require.NotEmpty(t, back.Steps)
	carry(t, f, s, back)
	again, err := s.Undo(t.Context(), e)
	require.NoError(t, err)
	require.Empty(t, again.Steps, "what is undone is not undone again")
	return back
}

func TestDeclarations(t *testing.T) {
	t.Parallel()
	for _, a := range actions {
		require.NoError(t, a.Validate())
		require.NotEmpty(t, a.Limits, a.Action)
		require.Contains(t, actionPermissions, a.Action)
	}
	require.Len(t, actionPermissions, len(actions))
}

// What has another form than an id is refused before anything is asked.
func TestHostileIDs(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(true)
	f.change(func() {
		f.answer = func(_ http.ResponseWriter, r *http.Request) bool {
			t.Errorf("asked %s", r.URL)
			return false
		}
	})
	for _, bad := range []string{"/", "/$ref", "?x=1", "#x", "%2f", "/../" + ada, "' or true", `"`, "\x00", ";", "\u202e", "\n", "*", "')/recycle()"} {
		for _, r := range []sources.ActionRequest{
			onUser(sources.SuspendUser, ada+bad), onUser(sources.RemoveMember, ada, "group", plainGroup+bad), onUser(sources.RemovePrivilege, ada, "role", helpdesk+bad),
			on(sources.DisableApp, sources.TargetApp, otherSP+bad), on(sources.RevokeGrant, sources.TargetCredential, "grant-delegated-0001"+bad),
			onTestFile(sources.RemoveSharing, "permission", "p-bob"+bad), on(sources.TrashFile, sources.TargetFile, testDrive+"/"+testFile+bad),
			onTestFile(sources.RestoreFile, "version", "1.0"+bad), onTestFile(sources.RestoreFile, "bin", id(1)+bad),
		} {
			_, err := s.Plan(t.Context(), r)
			require.Equal(t, fault.BadData, fault.Of(err), "%q: %v", bad, err)
		}
	}
	for _, bad := range []string{testDrive + "/root", testDrive, testFile, testDrive + "//" + testFile, "me/drive"} {
		_, err := s.Plan(t.Context(), on(sources.TrashFile, sources.TargetFile, bad))
		require.Equal(t, fault.BadData, fault.Of(err), "%q: %v", bad, err)
	}
	require.Equal(t, "'o''brien@contoso.com'", odata("o'brien@contoso.com"))
}

// Who is done to is known by all names; the last administrator and the agent
// itself are told.
func TestSubjects(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(false)
	subject := func(id string) sources.Subject { return plan(t, s, onUser(sources.SuspendUser, id)).Target }
	require.Equal(t, sources.Subject{
		Kind: sources.TargetAccount, ID: ada, Name: "ada@contoso.com", Aliases: []string{"ada@contoso.com"}, Logins: []string{"ada@contoso.com"},
		Emails: []string{"ada@contoso.com", "ada@old.contoso.com"}, Groups: sortedUnique([]string{dynamic, onPrem, plainGroup, "dynamic", "onprem", "plain"}),
		Roles: []string{helpdesk, "Helpdesk"}, Privileged: true,
	}, subject(ada))
	require.True(t, subject(bob).Privileged, "a role through a group")
	require.Contains(t, subject(bob).Roles, "Helpdesk")
	require.False(t, subject(synced).Privileged)
	require.False(t, subject(root1).LastAdmin)
	f.change(func() { f.users[root2]["accountEnabled"] = false })
	require.True(t, subject(root1).LastAdmin, "the other cannot sign in")
	f.change(func() {
		f.roles = append(f.roles, object{"id": "assignment-9", "principalId": assignable, "roleDefinitionId": globalAdmin, "directoryScopeId": "/"})
	})
	require.False(t, subject(root1).LastAdmin, "another is one through a group")
	f.change(func() { f.members[assignable] = nil })
	require.True(t, subject(root1).LastAdmin)
	for sp, self := range map[string]bool{ownSP: true, otherSP: false, graphSP: true} {
		require.Equal(t, self, plan(t, s, on(sources.DisableApp, sources.TargetApp, sp)).Target.Self, sp)
	}
	require.True(t, plan(t, s, on(sources.RevokeGrant, sources.TargetCredential, "grant-delegated-0003")).Target.Self, "the agent's own grant")
	require.Contains(t, strings.Join(plan(t, s, onUser(sources.SuspendUser, synced)).Limits, " "), "Active Directory")
	_, err := s.Plan(t.Context(), onUser(sources.SuspendUser, id(99)))
	require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
	_, err = s.Plan(t.Context(), onUser(sources.SuspendUser, otherSP))
	require.ErrorContains(t, err, "disable_app")
	f.change(func() { f.users[ada]["id"] = bob })
	_, err = s.Plan(t.Context(), onUser(sources.SuspendUser, ada))
	require.Equal(t, fault.BadData, fault.Of(err), "another was returned: %v", err)
}

// Each action is done, whatever gets lost, and taken back.
func TestDirectoryActions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		r     sources.ActionRequest
		wrote string // the last write
		stays bool
	}{
		"suspend":             {r: onUser(sources.SuspendUser, synced), wrote: `PATCH /graph/v1.0/users/` + synced + ` {"accountEnabled":false}`},
		"sign out":            {r: onUser(sources.SignOutUser, synced), wrote: `POST /graph/v1.0/users/` + synced + `/revokeSignInSessions `, stays: true},
		"expire a password":   {r: onUser(sources.ExpirePassword, synced), wrote: `PATCH /graph/v1.0/users/` + synced + ` {"passwordProfile":{"forceChangePasswordNextSignIn":true}}`, stays: true},
		"leave a group":       {r: onUser(sources.RemoveMember, ada, "group", plainGroup), wrote: `DELETE /graph/v1.0/groups/` + plainGroup + `/members/` + ada + `/$ref `},
		"a role":              {r: onUser(sources.RemovePrivilege, ada, "role", helpdesk), wrote: `DELETE /graph/v1.0/roleManagement/directory/roleAssignments/assignment-4 `},
		"a consent":           {r: on(sources.RevokeGrant, sources.TargetCredential, "grant-delegated-0001"), wrote: `DELETE /graph/v1.0/oauth2PermissionGrants/grant-delegated-0001 `},
		"an app's permission": {r: on(sources.RevokeGrant, sources.TargetCredential, "grant-application-01", "app", otherSP), wrote: `DELETE /graph/v1.0/servicePrincipals/` + graphSP + `/appRoleAssignedTo/grant-application-01 `},
		"all consents":        {r: onUser(sources.RevokeGrant, bob), wrote: `DELETE /graph/v1.0/oauth2PermissionGrants/grant-delegated-0001 `},
		"an app":              {r: on(sources.DisableApp, sources.TargetApp, otherSP), wrote: `PATCH /graph/v1.0/servicePrincipals/` + otherSP + ` {"accountEnabled":false}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newForge(t)
			s := f.open(false)
			p := plan(t, s, c.r)
			require.NotEmpty(t, p.Steps)
			done := carry(t, f, s, p)
			wrote := f.writes()
			require.Equal(t, c.wrote, wrote[len(wrote)-1])
			for _, st := range p.Steps { // once more does no harm
				if _, err := s.Do(t.Context(), st); err != nil {
					require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
				}
				require.Equal(t, sources.Done, outcomeOf(t, s, st, sources.Receipt{}))
			}
			if c.stays {
				_, err := s.Undo(t.Context(), sources.Effect{Request: c.r, Before: p.Before, Steps: done})
				require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
				return
			}
			if again, err := s.Plan(t.Context(), c.r); err == nil {
				require.Empty(t, again.Steps, "nothing is left to do")
			} else {
				require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
			}
			undo(t, f, s, c.r, p, done)
		})
	}
}

// The password is made for one request, and stands nowhere else.
func TestResetPassword(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(false)
	p := plan(t, s, onUser(sources.ResetPassword, bob))
	r1, err := s.Do(t.Context(), p.Steps[0])
	require.NoError(t, err)
	_, err = s.Do(t.Context(), p.Steps[0])
	require.NoError(t, err)
	require.Equal(t, sources.Done, outcomeOf(t, s, p.Steps[0], r1))
	var passwords []string
	for _, w := range f.writes() {
		_, raw, _ := strings.Cut(w, " {")
		var in struct {
			Profile struct {
				Force    bool   `json:"forceChangePasswordNextSignIn"`
				Password string `json:"password"`
			} `json:"passwordProfile"`
		}
		require.NoError(t, json.Unmarshal([]byte("{"+raw), &in))
		require.True(t, in.Profile.Force)
		require.Greater(t, len(in.Profile.Password), 40)
		require.NotContains(t, string(encode(p))+string(encode(r1)), in.Profile.Password)
		passwords = append(passwords, in.Profile.Password)
	}
	require.Len(t, slices.Compact(passwords), 2, "each is another")
}

// Groups whose members are not Entra's to change are refused.
func TestRemoveMemberRefused(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(false)
	for group, words := range map[string]string{dynamic: "rule", onPrem: "Active Directory"} {
		_, err := s.Plan(t.Context(), onUser(sources.RemoveMember, ada, "group", group))
		require.Equal(t, fault.Permanent, fault.Of(err))
		require.ErrorContains(t, err, words)
	}
	p := plan(t, s, onUser(sources.RemoveMember, bob, "group", assignable))
	require.True(t, p.Also[0].Privileged, "a group that holds roles")
	require.Empty(t, plan(t, s, onUser(sources.RemoveMember, root1, "group", plainGroup)).Steps, "no member")
}

// What a person has granted since is left alone.
func TestRegrantLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(false)
	r := on(sources.RevokeGrant, sources.TargetCredential, "grant-delegated-0001")
	p := plan(t, s, r)
	require.Contains(t, string(p.Before), `"scope":" User.Read Mail.Read"`)
	done := carry(t, f, s, p)
	f.change(func() {
		f.grants = append(f.grants, object{"id": "grant-delegated-0001", "clientId": otherSP, "consentType": "Principal", "principalId": bob, "resourceId": graphSP, "scope": "User.Read"})
	})
	require.Equal(t, sources.Done, outcomeOf(t, s, p.Steps[0], sources.Receipt{}), "another grant is another's doing")
	_, err := s.Undo(t.Context(), sources.Effect{Request: r, Before: p.Before, Steps: done})
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
}

// How refusals of a write are told from what may have been done.
func TestWriteIsRefused(t *testing.T) {
	t.Parallel()
	for code, c := range map[string]struct {
		status int
		class  fault.Class
		words  string
	}{
		"Authorization_RequestDenied": {403, fault.Forbidden, mayEnableUsers},
		"TooManyRequests":             {429, fault.Throttled, ""},
		"resourceLocked":              {423, fault.Throttled, "locked"},
		"resourceModified":            {412, fault.Permanent, "changed meanwhile"},
		"quotaLimitReached":           {507, fault.Permanent, "full"},
		"generalException":            {500, fault.Transient, ""},
		"Request_BadRequest":          {400, fault.BadData, ""},
	} {
		f := newForge(t)
		s := f.open(false)
		p := plan(t, s, onUser(sources.SuspendUser, synced))
		f.change(func() {
			f.answer = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPatch {
					refuse(w, c.status, code)
				}
				return r.Method == http.MethodPatch
			}
		})
		_, err := s.Do(t.Context(), p.Steps[0])
		require.Equal(t, c.class, fault.Of(err), "%s: %v", code, err)
		require.ErrorContains(t, err, c.words)
	}
}

func TestFindAccounts(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(false)
	find := func(email string) []sources.Found {
		t.Helper()
		out, err := s.FindAccounts(t.Context(), email)
		require.NoError(t, err)
		return out
	}
	require.Equal(t, []sources.Found{{ID: ada, Verified: true}}, find("ada@contoso.com"))
	require.Equal(t, []sources.Found{{ID: ada, Verified: true}}, find("ada@old.contoso.com"))
	require.Equal(t, []sources.Found{{ID: guest}}, find("guest@fabrikam.com"), "who has not accepted")
	require.Empty(t, find("o'brien@contoso.com"))
	f.change(func() {
		f.users[guest]["externalUserState"] = "Accepted"
		f.users[bob]["otherMails"] = []string{"Ceo@contoso.com"}
	})
	require.Equal(t, []sources.Found{{ID: guest, Verified: true}}, find("guest@fabrikam.com"))
	require.Equal(t, []sources.Found{{ID: bob}}, find("ceo@contoso.com"), "what somebody typed proves nothing")
	trace, err := s.Trace(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{ownSP}, trace.Actors)
	require.Equal(t, []string{testApp}, trace.Clients)
}

// Who may activate a role is privileged, as is everybody where that is not told;
// an assignment that ends is not given back without an end.
func TestEligibleRoles(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(false)
	f.change(func() {
		f.pim = []object{{"id": "i1", "principalId": synced, "roleDefinitionId": globalAdmin, "directoryScopeId": "/"}}
	})
	p := plan(t, s, onUser(sources.SuspendUser, synced))
	require.True(t, p.Target.Privileged)
	require.Contains(t, p.Target.Roles, "Global Administrator")
	require.False(t, p.Target.LastAdmin, "not one yet")
	f.change(func() {
		f.pim = []object{{"id": "i2", "principalId": ada, "roleDefinitionId": helpdesk, "directoryScopeId": "/administrativeUnits/" + id(61), "endDateTime": "2026-09-01T00:00:00Z"}}
	})
	require.Contains(t, plan(t, s, onUser(sources.RemovePrivilege, ada, "role", helpdesk)).NoUndo, "without an end")
	f.change(func() { f.noPIM = true })
	p = plan(t, s, onUser(sources.SuspendUser, synced))
	require.True(t, p.Target.Privileged)
	require.Contains(t, limitsOf(p), "RoleEligibilitySchedule.Read.Directory")
	require.Contains(t, limitsOf(plan(t, s, onUser(sources.RemovePrivilege, ada, "role", helpdesk))), "could not be read")
}

// Checking tries what plans read, and looks into the token; nothing is written.
func TestProbeActions(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.granted = []string{maySignOut, "Sites.FullControl.All", "Directory.ReadWrite.All"}
	s := f.open(false)
	for a, words := range map[sources.Action]string{
		sources.SignOutUser: "", sources.SuspendUser: "", sources.TrashFile: "", sources.QuarantineFile: "",
		sources.RemovePrivilege: mayRoles, sources.RevokeGrant: mayAppRoles, sources.MakePrivate: "auth.certificate", sources.ExpirePassword: "", sources.RevokeKey: "no action",
	} {
		err := s.Probe(t.Context(), sources.CapabilityActions+string(a))
		if words == "" {
			require.NoError(t, err, a)
			continue
		}
		require.ErrorContains(t, err, words)
	}
	_, err := s.Plan(t.Context(), onUser(sources.RemovePrivilege, ada, "role", helpdesk))
	require.Equal(t, fault.Forbidden, fault.Of(err), "%v", err)
	s.cfg.Actions.Quarantine = Quarantine{}
	require.ErrorContains(t, s.Probe(t.Context(), "actions/quarantine_file"), "actions.quarantine")
	require.Empty(t, f.writes())
	for _, q := range []Quarantine{{Drive: testVault}, {Folder: testFolder}, {Drive: testVault, Folder: "root"}, {Drive: "a/b?c=12345", Folder: testFolder}} {
		require.NotEmpty(t, (&Actions{Quarantine: q}).validate(), q)
	}
	require.Empty(t, (&Actions{Quarantine: Quarantine{Drive: testVault, Folder: testFolder}}).validate())
}
