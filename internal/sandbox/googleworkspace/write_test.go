package googleworkspace

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/schemas"
)

// lastAdmin is what the application admin told last about an address.
func (r *rig) lastAdmin(email string) (verbs []string) {
	r.s.Fake.Advance(10 * time.Minute)
	r.bearer = r.as(r.h.Subject())
	for _, it := range r.report("admin", 11*time.Minute) {
		for _, e := range it["events"].([]any) {
			for _, p := range e.(object)["parameters"].([]any) {
				if p.(object)["value"] == email {
					verbs = append(verbs, e.(object)["name"].(string))
				}
			}
		}
	}
	return verbs
}

// A user is suspended by PUT or PATCH, with what was not named left as it was (9).
func TestSuspend(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 60})
	r.s.World("acme").Freeze()
	a := r.plain()
	path := "users/" + r.h.userID(a.N)
	before := r.get(path).body
	for range 2 { // again is no other thing
		x := r.send(http.MethodPut, path, object{"suspended": true})
		require.Equal(t, 200, x.status, x.text)
		require.Equal(t, true, x.body["suspended"])
		require.Equal(t, "ADMIN", x.body["suspensionReason"])
		require.Equal(t, before["orgUnitPath"], x.body["orgUnitPath"])
	}
	require.Equal(t, []string{"SUSPEND_USER"}, r.lastAdmin(a.Login))
	require.Equal(t, 401, r.get(path+"/tokens").status)
	truth := r.s.Truth(org.GoogleWorkspace, "acme")
	for _, row := range truth.Accounts {
		if row.AccountID == r.h.userID(a.N) {
			require.Equal(t, "suspended", row.Status)
		}
	}
	require.Equal(t, false, r.send(http.MethodPatch, path, object{"suspended": false}).body["suspended"])
	require.Contains(t, r.lastAdmin(a.Login), "UNSUSPEND_USER")

	byGoogle := r.accounts(func(_ *org.State, a *org.Account) bool { return a.Reason == org.SuspendedByGoogle })[0]
	x := r.send(http.MethodPut, "users/"+r.h.userID(byGoogle.N), object{"suspended": false})
	require.Equal(t, 403, x.status)
	require.Equal(t, "adminCannotUnsuspend", x.reason())
	r.s.NoViolations()
}

// Over administrators only one who may do all has power.
func TestPower(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 60})
	some := r.accounts(func(s *org.State, a *org.Account) bool {
		return a.Status == org.Active && a.N > 0 && func() bool {
			for _, g := range s.Roles[app] {
				if g.Gone.IsZero() && g.RoleN == org.GoogleUserAdmin && g.Holder == (org.Ref{Kind: org.AccountRef, N: a.N}) {
					return true
				}
			}
			return false
		}()
	})[0]
	r.bearer = r.as(some.Login)
	plain, boss := r.plain(), r.accounts(func(_ *org.State, a *org.Account) bool { return a.N == 0 })[0]
	require.Equal(t, 200, r.send(http.MethodPut, "users/"+r.h.userID(plain.N), object{"suspended": true}).status)
	for _, x := range []answer{
		r.send(http.MethodPut, "users/"+r.h.userID(boss.N), object{"suspended": true}),
		r.send(http.MethodPut, "users/"+r.h.userID(some.N), object{"suspended": true}),
		r.send(http.MethodPost, "users/"+r.h.userID(boss.N)+"/signOut", nil),
		r.send(http.MethodPost, "users/"+r.h.userID(plain.N)+"/makeAdmin", object{"status": true}),
	} {
		require.Equal(t, 403, x.status)
		require.Equal(t, "forbidden", x.reason())
	}
}

// Passwords, sessions, backup codes and second factors end.
func TestContain(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 60})
	r.s.World("acme").Freeze()
	a := r.accounts(func(s *org.State, a *org.Account) bool {
		super, some := s.GoogleAdmin(a)
		return a.Status == org.Active && !super && !some && len(r.h.grantsOf(s, a, org.GrantConsent)) > 0 && len(a.Factors) > 0
	})[0]
	path := "users/" + r.h.userID(a.N)
	require.Equal(t, 400, r.send(http.MethodPut, path, object{"password": "short"}).status)
	x := r.send(http.MethodPut, path, object{"password": "a long enough one", "changePasswordAtNextLogin": true})
	require.Equal(t, 200, x.status)
	require.NotContains(t, x.text, "long enough")
	require.Equal(t, true, x.body["changePasswordAtNextLogin"])
	for _, what := range []string{"signOut", "verificationCodes/invalidate", "twoStepVerification/turnOff"} {
		x = r.send(http.MethodPost, path+"/"+what, nil)
		require.Equal(t, 204, x.status, what)
		require.Empty(t, x.text)
	}
	require.Equal(t, false, r.get(path).body["isEnrolledIn2Sv"])
	token := r.get(path + "/tokens").list("items")[0]["clientId"].(string)
	require.Equal(t, 204, r.send(http.MethodDelete, path+"/tokens/"+token, nil).status)
	require.Equal(t, 404, r.send(http.MethodDelete, path+"/tokens/"+token, nil).status, "a second time")
	require.Subset(t, r.lastAdmin(a.Login), []string{"CHANGE_PASSWORD", "CHANGE_PASSWORD_ON_NEXT_LOGIN", "RESET_SIGNIN_COOKIES", "TURN_OFF_2_STEP_VERIFICATION", "REVOKE_3LO_TOKEN"})
	for _, row := range r.s.Truth(org.GoogleWorkspace, "acme").AppGrants {
		require.NotEqual(t, schemas.HashID(r.h.userID(a.N), token), row.GrantID)
	}
	with := r.accounts(func(s *org.State, a *org.Account) bool {
		return a.Status == org.Active && len(r.h.grantsOf(s, a, org.GrantAppPassword)) > 0
	})[0]
	path = "users/" + r.h.userID(with.N)
	code := itoa(int(r.get(path + "/asps").list("items")[0]["codeId"].(float64)))
	require.Equal(t, 204, r.send(http.MethodDelete, path+"/asps/"+code, nil).status)
	require.Equal(t, 404, r.send(http.MethodDelete, path+"/asps/"+code, nil).status)
	r.s.NoViolations()
}

// Roles and memberships are taken away and given back.
func TestRolesAndMembers(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 60})
	r.s.World("acme").Freeze()
	a := r.plain()
	id := r.h.userID(a.N)
	var roleID string
	r.state(func(*org.State) { roleID = r.h.roleID(org.GoogleHelpDesk) })
	body := object{"roleId": roleID, "assignedTo": id, "scopeType": "CUSTOMER"}
	x := r.send(http.MethodPost, "customer/my_customer/roleassignments", body)
	require.Equal(t, 200, x.status, x.text)
	require.Equal(t, 409, r.send(http.MethodPost, "customer/my_customer/roleassignments", body).status)
	require.Equal(t, true, r.get("users/" + id).body["isDelegatedAdmin"])
	require.Len(t, r.get("customer/my_customer/roleassignments?userKey="+id).list("items"), 1)
	path := "customer/my_customer/roleassignments/" + x.body["roleAssignmentId"].(string)
	require.Equal(t, 204, r.send(http.MethodDelete, path, nil).status)
	require.Equal(t, 404, r.send(http.MethodDelete, path, nil).status)
	require.Equal(t, 204, r.send(http.MethodPost, "users/"+id+"/makeAdmin", object{"status": true}).status)
	require.Equal(t, true, r.get("users/" + id).body["isAdmin"])
	require.Equal(t, 204, r.send(http.MethodPost, "users/"+id+"/makeAdmin", object{"status": false}).status)
	require.Subset(t, r.lastAdmin(a.Login), []string{"ASSIGN_ROLE", "UNASSIGN_ROLE", "GRANT_ADMIN_PRIVILEGE", "REVOKE_ADMIN_PRIVILEGE"})

	group := ""
	for _, g := range r.all("groups?customer=my_customer", "groups") {
		if g["directMembersCount"] == "0" {
			group = "groups/" + g["id"].(string)
		}
	}
	x = r.send(http.MethodPost, group+"/members", object{"email": a.Login, "role": "MANAGER"})
	require.Equal(t, 200, x.status, x.text)
	require.Equal(t, "MANAGER", x.body["role"])
	require.Equal(t, 409, r.send(http.MethodPost, group+"/members", object{"email": a.Login}).status)
	require.Equal(t, true, r.get(group + "/hasMember/" + id).body["isMember"])
	require.Equal(t, 204, r.send(http.MethodDelete, group+"/members/"+id, nil).status)
	require.Equal(t, 404, r.send(http.MethodDelete, group+"/members/"+id, nil).status)
	require.Equal(t, false, r.get(group + "/hasMember/" + id).body["isMember"])
	r.s.NoViolations()
	require.Equal(t, 405, r.send(http.MethodPost, "users", object{}).status)
	require.Len(t, r.s.Violations(), 1, "what is not served is one")
}

// Lists may show for a while what was before a write.
func TestListsLag(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 60})
	r.s.World("acme").Freeze()
	r.h.SetFaults(Faults{ListsLag: time.Minute, EmptyStatus: 200})
	a := r.plain()
	id := r.h.userID(a.N)
	require.Equal(t, 200, r.send(http.MethodPut, "users/"+id, object{"suspended": true}).status)
	require.Equal(t, true, r.get("users/" + id).body["suspended"])
	listed := func() any {
		for _, u := range r.all("users?customer=my_customer&maxResults=500", "users") {
			if u["id"] == id {
				return u["suspended"]
			}
		}
		return nil
	}
	require.Equal(t, false, listed())
	r.s.Fake.Advance(time.Minute)
	require.Equal(t, true, listed())
	require.Equal(t, 200, r.send(http.MethodPost, "users/"+id+"/signOut", nil).status)
}

// A user is deleted, and comes back by the id.
func TestDelete(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 60})
	r.s.World("acme").Freeze()
	a := r.plain()
	id := r.h.userID(a.N)
	require.Equal(t, 204, r.send(http.MethodDelete, "users/"+id, nil).status)
	require.Equal(t, 404, r.get("users/"+id).status)
	require.Equal(t, 404, r.send(http.MethodPost, "users/"+a.Login+"/undelete", object{"orgUnitPath": "/"}).status)
	require.Equal(t, 204, r.send(http.MethodPost, "users/"+id+"/undelete", object{"orgUnitPath": "/"}).status)
	require.Equal(t, 200, r.get("users/"+id).status)
}
