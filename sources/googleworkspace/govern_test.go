package googleworkspace

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
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

func grant(user, client string) sources.ActionRequest {
	return on(sources.RevokeGrant, sources.TargetCredential, schemas.HashID(user, client), "account", user)
}

func outcomeOf(t *testing.T, s *session, st sources.Step) sources.Outcome {
	t.Helper()
	o, err := s.Check(t.Context(), st, sources.Receipt{})
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
		require.Equal(t, sources.NotDone, outcomeOf(t, s, st), st.Name)
		for _, lose := range []string{"request", "answer"} {
			f.change(func() { f.lose = lose })
			wrote := len(f.writes())
			_, err := s.Do(t.Context(), st)
			require.Equal(t, fault.Transient, fault.Of(err), "%s: %v", st.Name, err)
			require.Len(t, f.writes(), wrote+1, "%s is sent once", st.Name)
			if lose == "request" {
				require.Equal(t, sources.NotDone, outcomeOf(t, s, st), st.Name)
			}
		}
		require.Equal(t, sources.Done, outcomeOf(t, s, st), st.Name)
		done = append(done, sources.StepDone{Step: st})
	}
	return done
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
	for _, a := range slices.Concat(accountActions, privilegeActions) {
		require.NoError(t, a.Validate())
		require.NotEmpty(t, a.Limits, a.Action)
		require.Contains(t, actionScopes, a.Action)
	}
	require.Len(t, actionScopes, len(accountActions)+len(privilegeActions))
	words := sources.ActionWords()
	at := func(a sources.Action) int {
		return slices.IndexFunc(words, func(w sources.ActionWord) bool { return w.Action == a })
	}
	require.True(t, slices.IsSortedFunc(actions, func(a, b sources.ActionInfo) int { return at(a.Action) - at(b.Action) }), "in the order of the vocabulary")
}

// What has another form than an id is refused before anything is asked.
func TestHostileIDs(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open()
	f.change(func() {
		f.answer = func(_ http.ResponseWriter, r *http.Request) bool {
			t.Errorf("asked %s", r.URL)
			return false
		}
	})
	for _, bad := range []string{"/", "/signOut", "?x=1", "#x", "%2f", "/../" + ben, " or true", `"`, "'", "\x00", ";", "\u202e", "\n", "*", ",", "@example.com"} {
		for _, r := range []sources.ActionRequest{
			onUser(sources.SuspendUser, ana+bad), onUser(sources.RemoveMember, ana, "group", team+bad), onUser(sources.RemovePrivilege, ben, "role", helpRole+bad),
			onUser(sources.RemovePrivilege, ben, "role", helpRole, "scope", "customer"+bad), onUser(sources.RemovePrivilege, ben, "role", helpRole, "scope", "orgunit:03ph8a2z"+bad),
			on(sources.RevokeGrant, sources.TargetCredential, schemas.HashID(ana, crm)+bad, "account", ana),
			on(sources.RevokeGrant, sources.TargetCredential, schemas.HashID(ana, crm), "account", ana+bad),
		} {
			_, err := s.Plan(t.Context(), r)
			require.Equal(t, fault.BadData, fault.Of(err), "%q: %v", bad, err)
		}
	}
	for _, id := range []string{"ana@example.com", "me", "my_customer", "..", "all"} {
		_, err := s.Plan(t.Context(), onUser(sources.SignOutUser, id))
		require.Equal(t, fault.BadData, fault.Of(err), "%q: %v", id, err)
	}
}

// Who is done to is known by all names; the last administrator and the agent
// itself are told.
func TestActionSubjects(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.page = 1
	s := f.open()
	subject := func(id string) sources.Subject { return plan(t, s, onUser(sources.SuspendUser, id)).Target }
	require.Equal(t, sources.Subject{
		Kind: sources.TargetAccount, ID: ana, Name: "ana@example.com", Logins: []string{"ana@example.com", "ana.alias@example.com", "ana@example.test-google-a.com"},
		Emails: []string{"ana.alias@example.com", "ana@example.com", "ana@example.test-google-a.com", "ana@home.test"},
		Groups: []string{inner, outer, team, "inner", "inner@example.com", "outer", "outer@example.com", "team", "team@example.com"},
	}, subject(ana))
	require.True(t, subject(ben).Privileged)
	require.Equal(t, []string{helpRole, "Help desk"}, subject(ben).Roles)
	require.Equal(t, []string{superRole, superAdmin, "super_admin"}, subject(root1).Roles)
	require.Equal(t, []string{superAdmin, "super_admin"}, subject(root2).Roles, "by the flag alone")
	require.True(t, subject(weir).Self)
	require.False(t, subject(root1).Self)
	f.change(func() {
		f.roles = append(f.roles, object{"roleAssignmentId": "9", "roleId": helpRole, "assignedTo": team, "scopeType": "CUSTOMER"})
	})
	require.True(t, subject(ana).Privileged, "a role through a group")
	require.Contains(t, subject(ana).Roles, "Help desk")
	require.True(t, plan(t, s, onUser(sources.RemoveMember, ana, "group", team)).Also[0].Privileged)

	require.False(t, subject(root1).LastAdmin)
	for column := range map[string]bool{"suspended": true, "archived": true} {
		f.change(func() { f.users[root2][column] = true })
		require.True(t, subject(root1).LastAdmin, "the other is %s", column)
		require.False(t, subject(root2).LastAdmin, "root1 can sign in")
		f.change(func() { f.users[root2][column] = false })
	}
	f.change(func() {
		f.users[root2]["suspended"] = true
		f.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("query") != "isAdmin=true" {
				return false
			}
			f.list(w, r, "admin#directory#users", "users", []object{{"id": root1, "isAdmin": true}, {"id": root2, "isAdmin": true}})
			return true
		}
	})
	require.True(t, subject(root1).LastAdmin, "the list is behind")
	f.change(func() { f.users[root1]["suspended"], f.answer = true, nil })
	require.True(t, subject(root1).LastAdmin)
	require.False(t, plan(t, s, onUser(sources.UnsuspendUser, root1)).Target.LastAdmin, "it gets one more")
	f.change(func() { f.users[ana]["id"] = ben })
	_, err := s.Plan(t.Context(), onUser(sources.SuspendUser, ana))
	require.Equal(t, fault.BadData, fault.Of(err), "another was returned: %v", err)
	_, err = s.Plan(t.Context(), onUser(sources.SuspendUser, "999"))
	require.Equal(t, fault.BadData, fault.Of(err), "nobody: %v", err)
	require.Empty(t, f.writes())
	require.Equal(t, []string{agentSubject}, slices.Compact(f.subjects))
}

// Where admin roles may not be read, who is none by the flags is taken for an
// administrator all the same, and who is one is not acted on at all.
func TestUnreadableRoles(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.noRoles = true
	s := f.open()
	p := plan(t, s, onUser(sources.SuspendUser, ana))
	require.True(t, p.Target.Privileged)
	require.Contains(t, strings.Join(p.Limits, " "), scopeRoles)
	_, err := s.Plan(t.Context(), onUser(sources.SuspendUser, root1))
	require.Equal(t, fault.Forbidden, fault.Of(err))
	require.ErrorContains(t, err, scopeRoles)
	_, err = s.Plan(t.Context(), onUser(sources.RemovePrivilege, ana, "role", helpRole))
	require.Equal(t, fault.Forbidden, fault.Of(err), "nothing is taken away unseen: %v", err)
}

// Each action is done, whatever gets lost, and taken back.
func TestAccountActions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		r     sources.ActionRequest
		wrote string // the last write
		back  string // the last write of undoing; "" it stays
		again bool   // it is never as it would be
	}{
		"suspend":           {r: onUser(sources.SuspendUser, ana), wrote: `PUT /users/101 {"suspended":true}`, back: `PUT /users/101 {"suspended":false}`},
		"unsuspend":         {r: onUser(sources.UnsuspendUser, held), wrote: `PUT /users/103 {"suspended":false}`, back: `PUT /users/103 {"suspended":true}`},
		"sign out":          {r: onUser(sources.SignOutUser, ana), wrote: `POST /users/101/signOut `, again: true},
		"expire":            {r: onUser(sources.ExpirePassword, ana), wrote: `PUT /users/101 {"changePasswordAtNextLogin":true}`, back: `PUT /users/101 {"changePasswordAtNextLogin":false}`},
		"leave a group":     {r: onUser(sources.RemoveMember, ana, "group", team), wrote: `DELETE /groups/01team0000000/members/101 `, back: `POST /groups/01team0000000/members {"email":"ana@example.com","role":"MANAGER"}`},
		"a grant":           {r: grant(ana, crm), wrote: `DELETE /users/101/tokens/1234-abc.apps.googleusercontent.com `},
		"an app password":   {r: grant(ana, "asp:7"), wrote: `DELETE /users/101/asps/7 `},
		"all grants":        {r: onUser(sources.RevokeGrant, ana), wrote: `DELETE /users/101/tokens/77-def.apps.googleusercontent.com `},
		"a role everywhere": {r: onUser(sources.RemovePrivilege, ben, "role", helpRole), wrote: `DELETE /customer/C03az79cb/roleassignments/3 `, back: `POST /customer/C03az79cb/roleassignments {"roleId":"13801188331880450","assignedTo":"102","scopeType":"CUSTOMER"}`},
		"a role somewhere":  {r: onUser(sources.RemovePrivilege, ben, "role", helpRole, "scope", "orgunit:03ph8a2z1xyz"), wrote: `DELETE /customer/C03az79cb/roleassignments/3 `, back: `POST /customer/C03az79cb/roleassignments {"roleId":"13801188331880450","assignedTo":"102","scopeType":"ORG_UNIT","orgUnitId":"03ph8a2z1xyz"}`},
		"super admin":       {r: onUser(sources.RemovePrivilege, root2, "role", superAdmin), wrote: `POST /users/106/makeAdmin {"status":false}`, back: `POST /users/106/makeAdmin {"status":true}`},
		"super admin by id": {r: onUser(sources.RemovePrivilege, root1, "role", superRole, "scope", "customer"), wrote: `POST /users/105/makeAdmin {"status":false}`, back: `POST /users/105/makeAdmin {"status":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newForge(t)
			s := f.open()
			p := plan(t, s, c.r)
			require.NotEmpty(t, p.Steps)
			require.NotEmpty(t, p.Before)
			done := carry(t, f, s, p)
			wrote := f.writes()
			require.Equal(t, c.wrote, wrote[len(wrote)-1])
			for _, st := range p.Steps { // once more does no harm
				if _, err := s.Do(t.Context(), st); err != nil {
					require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
				}
				require.Equal(t, sources.Done, outcomeOf(t, s, st))
			}
			if again, err := s.Plan(t.Context(), c.r); err != nil {
				require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
			} else if !c.again {
				require.Empty(t, again.Steps, "nothing is left to do")
			}
			if c.back == "" {
				_, err := s.Undo(t.Context(), sources.Effect{Request: c.r, Before: p.Before, Steps: done})
				require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
				return
			}
			undo(t, f, s, c.r, p, done)
			wrote = f.writes()
			require.Equal(t, c.back, wrote[len(wrote)-1])
		})
	}
}

// The password is made for one request, and stands nowhere else. Only the log
// shows that it was set.
func TestResetPassword(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open()
	f.change(func() { f.happened(eventPassword, f.users[ana]); f.happened(eventPassword, f.users[ben]) })
	p := plan(t, s, onUser(sources.ResetPassword, ana))
	require.Equal(t, sources.NotDone, outcomeOf(t, s, p.Steps[0]), "an earlier one, and another's")
	r1, err := s.Do(t.Context(), p.Steps[0])
	require.NoError(t, err)
	_, err = s.Do(t.Context(), p.Steps[0])
	require.NoError(t, err)
	require.Equal(t, sources.Done, outcomeOf(t, s, p.Steps[0]))
	var passwords []string
	for _, w := range f.writes() {
		_, raw, _ := strings.Cut(w, " {")
		var in struct {
			Password string `json:"password"`
			Force    bool   `json:"changePasswordAtNextLogin"`
		}
		require.NoError(t, json.Unmarshal([]byte("{"+raw), &in))
		require.True(t, in.Force)
		require.Greater(t, len(in.Password), 40)
		require.LessOrEqual(t, len(in.Password), 100)
		require.NotContains(t, string(encode(p))+string(encode(r1)), in.Password)
		passwords = append(passwords, in.Password)
	}
	require.Len(t, slices.Compact(passwords), 2, "each is another")
}

// Who has signed in since may have set another password: that is not told for
// not done.
func TestExpiredAndSignedIn(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open()
	r := onUser(sources.ExpirePassword, ana)
	p := plan(t, s, r)
	done := carry(t, f, s, p)
	f.change(func() {
		f.users[ana]["changePasswordAtNextLogin"], f.users[ana]["lastLoginTime"] = false, "2026-03-01T12:30:00.000Z"
	})
	require.Equal(t, sources.Unknown, outcomeOf(t, s, p.Steps[0]))
	back, err := s.Undo(t.Context(), sources.Effect{Request: r, Before: p.Before, Steps: done})
	require.NoError(t, err)
	require.Empty(t, back.Steps, "there is nothing left to undo")
}

// Whom Google itself has suspended stays so.
func TestSuspendedByGoogle(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open()
	r := onUser(sources.SuspendUser, ana)
	p := plan(t, s, r)
	done := carry(t, f, s, p)
	f.change(func() { f.users[ana]["suspensionReason"] = "ABUSE" })
	_, err := s.Undo(t.Context(), sources.Effect{Request: r, Before: p.Before, Steps: done})
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
	p = plan(t, s, onUser(sources.UnsuspendUser, ana))
	require.Contains(t, strings.Join(p.Limits, " "), "ABUSE")
	_, err = s.Do(t.Context(), p.Steps[0])
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
	require.ErrorContains(t, err, "adminCannotUnsuspend")
}

// A membership that is another's doing by now is left alone; one through another
// group is not what is asked for.
func TestMembership(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open()
	_, err := s.Plan(t.Context(), onUser(sources.RemoveMember, ana, "group", outer))
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
	require.Empty(t, plan(t, s, onUser(sources.RemoveMember, ben, "group", team)).Steps, "no member")
	r := onUser(sources.RemoveMember, ana, "group", team)
	p := plan(t, s, r)
	require.Equal(t, []string{"team@example.com"}, p.Also[0].Emails)
	done := carry(t, f, s, p)
	f.change(func() { f.join(team, ana, "MEMBER") })
	require.Equal(t, sources.NotDone, outcomeOf(t, s, p.Steps[0]))
	_, err = s.Undo(t.Context(), sources.Effect{Request: r, Before: p.Before, Steps: done})
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
}

// Whatever the vendor returns instead of what was asked for is refused.
func TestAnotherIsReturned(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*forge){
		"user":   func(f *forge) { f.users[ana]["id"] = "1010" },
		"group":  func(f *forge) { f.groups[team]["id"] = inner },
		"member": func(f *forge) { f.members[team][ana]["id"] = ben },
	} {
		f := newForge(t)
		s := f.open()
		f.change(func() { change(f) })
		_, err := s.Plan(t.Context(), onUser(sources.RemoveMember, ana, "group", team))
		require.Equal(t, fault.BadData, fault.Of(err), "%s: %v", name, err)
		require.ErrorContains(t, err, "returned "+name)
		require.Empty(t, f.writes())
	}
}

// A role through a group, or with an end, is told.
func TestRoles(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open()
	f.change(func() {
		f.roles = append(f.roles, object{"roleAssignmentId": "9", "roleId": helpRole, "assignedTo": team, "scopeType": "CUSTOMER"})
		f.roles[1]["expirationDetails"] = object{"expireTime": "2026-09-01T00:00:00Z"}
		f.roles[2]["condition"] = "a condition"
	})
	_, err := s.Plan(t.Context(), onUser(sources.RemovePrivilege, ana, "role", helpRole))
	require.Equal(t, fault.Permanent, fault.Of(err))
	require.ErrorContains(t, err, team)
	require.NotEmpty(t, plan(t, s, onUser(sources.RemovePrivilege, ben, "role", helpRole)).NoUndo)
	r := onUser(sources.RemovePrivilege, ben, "role", helpRole, "scope", "orgunit:03ph8a2z1xyz")
	p := plan(t, s, r)
	require.Empty(t, p.NoUndo)
	undo(t, f, s, r, p, carry(t, f, s, p))
	require.Contains(t, f.writes()[len(f.writes())-1], `"condition":"a condition"`)
	require.Empty(t, plan(t, s, onUser(sources.RemovePrivilege, held, "role", helpRole)).Steps, "not held")
}

// How refusals of a write are told from what may have been done.
func TestWriteIsRefused(t *testing.T) {
	t.Parallel()
	for reason, c := range map[string]struct {
		status int
		class  fault.Class
		words  string
	}{
		"forbidden":             {403, fault.Forbidden, scopeUsersWrite},
		"userRateLimitExceeded": {403, fault.Throttled, ""},
		"quotaExceeded":         {429, fault.Throttled, ""},
		"conditionNotMet":       {412, fault.BadData, "conflicts"},
		"duplicate":             {409, fault.BadData, "conflicts"},
		"backendError":          {503, fault.Transient, ""},
		"invalid":               {400, fault.BadData, ""},
	} {
		f := newForge(t)
		s := f.open()
		p := plan(t, s, onUser(sources.SuspendUser, ana))
		f.change(func() {
			f.answer = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut {
					refuse(w, c.status, reason, "refused")
				}
				return r.Method == http.MethodPut
			}
		})
		_, err := s.Do(t.Context(), p.Steps[0])
		require.Equal(t, c.class, fault.Of(err), "%s: %v", reason, err)
		require.ErrorContains(t, err, c.words)
	}
}
