package github

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/spectest"
	"weir/sources"
)

// serverOnly are paths of Enterprise Server, whose specification is another.
const serverOnly = "GitHub.com's specification does not have Enterprise Server's paths"

// Every request that actions make, undoing included, is held against GitHub's own
// specification.
func TestActionsAgainstSpec(t *testing.T) {
	t.Parallel()
	const none = "no such operation"
	spec := spectest.Load(t, spectest.GitHub, []spectest.Known{
		{Operation: "POST /api/graphql", Detail: none, Reason: "the specification is of REST"},
		{Operation: "PATCH /scim/v2/enterprises/{enterprise}/Users/{scim_user_id}", Detail: "value must be a string", Reason: "its own example has false there"},
		{Operation: "PUT /users/hubot/suspended", Detail: none, Reason: serverOnly},
		{Operation: "DELETE /users/hubot/suspended", Detail: none, Reason: serverOnly},
		{Operation: "GET /admin/tokens", Detail: none, Reason: serverOnly},
		{Operation: "DELETE /admin/tokens/61", Detail: none, Reason: serverOnly},
		{Operation: "GET /scim/v2/Users", Detail: none, Reason: serverOnly},
		{Operation: "GET /scim/v2/Users/s-2", Detail: none, Reason: serverOnly},
		{Operation: "PATCH /scim/v2/Users/s-2", Detail: none, Reason: serverOnly},
		{Operation: "GET /repos/octo-corp/api/contents/docs/a%20b%231.txt", Detail: none, Reason: "its {path} has no slashes, in the validator's eyes"},
		{Operation: "PUT /repos/octo-corp/api/contents/docs/a%20b%231.txt", Detail: none, Reason: "as above"},
		{Operation: "DELETE /repos/octo-corp/api/contents/docs/a%20b%231.txt", Detail: none, Reason: "as above"},
	})
	var ops []string
	cases := cycleCases()
	i := slices.IndexFunc(cases, func(c cycleCase) bool { return c.action == sources.TrashFile })
	atRoot := cases[i]
	atRoot.target = "500:README.md"
	for _, c := range append(cases, atRoot) {
		f, s := c.start(t)
		f.Config.Handler = unprefixed(spec.Requests("", http.HandlerFunc(f.serve)))
		p, err := s.Plan(t.Context(), c.request())
		require.NoError(t, err, c.name)
		undo := []sources.Step(nil)
		do := func(st sources.Step) {
			a, _, err := decodeStep(st)
			require.NoError(t, err)
			ops = append(ops, a.Op)
			_, err = s.Do(t.Context(), st)
			require.NoError(t, err, c.name)
			_, err = s.Check(t.Context(), st, sources.Receipt{})
			require.NoError(t, err, c.name)
		}
		do(p.Steps[0])
		if !c.noUndo {
			back, err := s.Undo(t.Context(), sources.Effect{Request: c.request(), Before: p.Before, Steps: []sources.StepDone{{Step: p.Steps[0]}}})
			require.NoError(t, err, c.name)
			undo = back.Steps
		}
		for _, st := range undo {
			do(st)
		}
	}
	for _, op := range allOps {
		require.Contains(t, ops, op, "no case writes it")
	}
	spec.Report(t)
	for _, write := range []string{"PUT", "POST", "PATCH", "DELETE"} {
		require.True(t, slices.ContainsFunc(spec.Checked(), func(op string) bool { return strings.HasPrefix(op, write+" ") }), write)
	}
}

// unprefixed takes a server's path prefix off, which the specification has not.
func unprefixed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path, r.URL.RawPath = strings.TrimPrefix(r.URL.Path, serverPath), strings.TrimPrefix(r.URL.RawPath, serverPath)
		h.ServeHTTP(w, r)
	})
}

// allOps are the ops of steps.
var allOps = []string{
	opVisibility, opLeave, opInvite, opLeaveOutside, opUninvite, opLeaveTeam, opJoinTeam, opBlock, opUnblock, opSuspend, opUnsuspend, opDeactivate, opReactivate,
	opRevokeAll, opRevoke, opRevokePAT, opDeleteKey, opAddKey, opDeleteToken, opUninstall, opRemove, opAdd, opRemoveTeam, opAddTeam, opUninviteRepo, opUnassign, opAssign,
	opPut, opDelete,
}
