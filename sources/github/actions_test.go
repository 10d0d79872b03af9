package github_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/sourcetest"
	"weir/schemas"
	"weir/sources"
)

func publicRepositories(truth *schemas.Rows) (out []sourcetest.ActionTarget) {
	for i := range truth.Files {
		if f := &truth.Files[i]; f.Kind == "container" && f.Sharing == "public" {
			out = append(out, sourcetest.ActionTarget{ID: strings.TrimSuffix(f.FileID, ":")})
		}
	}
	return out
}

func notPublic(truth *schemas.Rows, t sourcetest.ActionTarget) bool {
	return !slices.ContainsFunc(publicRepositories(truth), func(o sourcetest.ActionTarget) bool { return o.ID == t.ID })
}

func TestActions(t *testing.T) {
	t.Parallel()
	sourcetest.RunActions(t, withToken(), []sourcetest.ActionCase{
		{Name: "make private", Action: sources.MakePrivate, Kind: sources.TargetRepository, Candidates: publicRepositories, Effect: notPublic, Event: "repo.access", Scope: "repo"},
	})
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
	require.Equal(t, fault.Forbidden, fault.Of(session.Probe(t.Context(), "actions/make_private")))
}
