package sources_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources"
)

func suspend() *sources.ActionInfo {
	return &sources.ActionInfo{
		Action: sources.SuspendUser, Doc: "suspends", Scopes: []string{"users.manage"},
		Targets: []sources.ActionTarget{{Kind: sources.TargetAccount, ID: `00u[0-9a-z]{4}|.*é`, Doc: "a user's id"}},
		Params: []sources.ActionParam{
			{Name: "mode", Doc: "how", Enum: []string{"soft", "hard"}, Default: "soft"},
			{Name: "group", Doc: "a group's id", Pattern: `00g[0-9]+`},
			{Name: "note", Doc: "a note", Pattern: `.*`, Max: 8},
		},
	}
}

func TestActionRequests(t *testing.T) {
	t.Parallel()
	ok := func() sources.ActionRequest {
		return sources.ActionRequest{ID: "a-1", Action: sources.SuspendUser, Kind: sources.TargetAccount, Target: "00u1234"}
	}
	require.NoError(t, suspend().Validate())
	r := ok()
	require.NoError(t, suspend().Check(&r))
	require.Equal(t, map[string]string{"mode": "soft"}, r.Params)

	for name, c := range map[string]struct {
		change func(*sources.ActionRequest)
		want   string
	}{
		"path":          {func(r *sources.ActionRequest) { r.Target = "00u1234/lifecycle/deactivate?x=" }, "want a user's id"},
		"prefix":        {func(r *sources.ActionRequest) { r.Target = "00u12345" }, "want a user's id"},
		"newline":       {func(r *sources.ActionRequest) { r.Target = "00u1234\n" }, "space in front or at the end"},
		"alternation":   {func(r *sources.ActionRequest) { r.Target = "00u1234/../x" }, "want a user's id"},
		"NUL":           {func(r *sources.ActionRequest) { r.Target = "00u1234\x00é" }, "invisible character U+0000"},
		"right to left": {func(r *sources.ActionRequest) { r.Target = "\u202eé" }, "invisible character U+202E"},
		"no width":      {func(r *sources.ActionRequest) { r.Target = "a\u200bé" }, "invisible character U+200B"},
		"look-alike":    {func(r *sources.ActionRequest) { r.Target = "00u\u0430123" }, `00u\u0430123`},
		"not UTF-8":     {func(r *sources.ActionRequest) { r.Target = "\xffé" }, "not UTF-8"},
		"empty":         {func(r *sources.ActionRequest) { r.Target = "" }, "empty"},
		"kind":          {func(r *sources.ActionRequest) { r.Kind = sources.TargetFile }, "takes account"},
		"id":            {func(r *sources.ActionRequest) { r.ID = "../x" }, "want at most 64 letters"},
		"long id":       {func(r *sources.ActionRequest) { r.ID = strings.Repeat("a", 65) }, "want at most 64 letters"},
		"action":        {func(r *sources.ActionRequest) { r.Action = sources.RevokeKey }, "is not suspend_user"},
		"parameter":     {func(r *sources.ActionRequest) { r.Params = map[string]string{"x": "1"} }, "takes no"},
		"enum":          {func(r *sources.ActionRequest) { r.Params = map[string]string{"mode": "x"} }, "one of soft, hard"},
		"pattern":       {func(r *sources.ActionRequest) { r.Params = map[string]string{"group": "00g1' OR 1=1"} }, "a group's id"},
		"large":         {func(r *sources.ActionRequest) { r.Params = map[string]string{"note": strings.Repeat("a", 10<<20)} }, "at most 8"},
	} {
		r := ok()
		c.change(&r)
		err := suspend().Check(&r)
		require.ErrorContains(t, err, c.want, name)
		require.Equal(t, fault.BadData, fault.Of(err), name)
		require.Less(t, len(err.Error()), 500, name)
	}
}

func TestPlansAreChecked(t *testing.T) {
	t.Parallel()
	r := sources.ActionRequest{Kind: sources.TargetAccount, Target: "u1"}
	plan := func() *sources.Plan {
		return &sources.Plan{
			Target: sources.Subject{Kind: sources.TargetAccount, ID: "u1"}, Before: []byte(`{"status":"ACTIVE"}`),
			Steps: []sources.Step{{Name: "s", Doc: "suspend"}}, Diff: []sources.Change{{What: "status", Before: "ACTIVE", After: "SUSPENDED"}},
		}
	}
	require.NoError(t, plan().Validate(r))
	for want, change := range map[string]func(*sources.Plan){
		"the vendor returned":  func(p *sources.Plan) { p.Target.ID = "u2" },
		"too large":            func(p *sources.Plan) { p.Before = make([]byte, sources.MaxBefore+1) },
		"no JSON":              func(p *sources.Plan) { p.Before = []byte("{") },
		"twice in the plan":    func(p *sources.Plan) { p.Steps = append(p.Steps, p.Steps[0]) },
		"breaks the contract":  func(p *sources.Plan) { p.Steps[0].Args = []byte("x") },
		"steps and no diff":    func(p *sources.Plan) { p.Diff = nil },
		"ids, groups or roles": func(p *sources.Plan) { p.Also = []sources.Subject{{Groups: make([]string, 3000)}} },
	} {
		p := plan()
		change(p)
		require.ErrorContains(t, p.Validate(r), want)
	}
}
