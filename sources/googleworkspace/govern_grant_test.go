package googleworkspace

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// Grants are read and ended before an account is suspended, or not at all.
func TestGrantsOfSuspended(t *testing.T) {
	t.Parallel()
	require.True(t, Connector.Action(sources.RevokeGrant).First)
	f := newForge(t)
	s := f.open()
	p := plan(t, s, grant(ana, crm))
	require.Equal(t, []sources.TargetKind{sources.TargetAccount, sources.TargetApp}, []sources.TargetKind{p.Also[0].Kind, p.Also[1].Kind})
	require.Contains(t, string(p.Before), scopePrefix+"drive")
	_, err := s.Do(t.Context(), p.Steps[0])
	require.NoError(t, err)
	f.change(func() { f.users[ana]["suspended"] = true })
	require.Equal(t, sources.Unknown, outcomeOf(t, s, p.Steps[0]), "nothing is shown")
	for _, r := range []sources.ActionRequest{onUser(sources.RevokeGrant, ana), grant(ana, "asp:7")} {
		_, err := s.Plan(t.Context(), r)
		require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
		require.ErrorContains(t, err, "suspended")
	}
	f.change(func() { f.users[ana]["suspended"] = false })
	for _, r := range []sources.ActionRequest{grant(ana, crm), grant(ben, crm), grant(ana, "asp:8"), on(sources.RevokeGrant, sources.TargetCredential, schemas.HashID(ana, "asp:7"))} {
		_, err := s.Plan(t.Context(), r)
		require.Equal(t, fault.BadData, fault.Of(err), "no such grant, or nobody's: %v", err)
	}
}

// Of more grants than a plan can have steps, the rest is left for the next.
func TestManyGrants(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open()
	for i := range 300 {
		f.tokens[ben] = append(f.tokens[ben], object{"clientId": fmt.Sprintf("%03d.apps.googleusercontent.com", 299-i), "displayText": strings.Repeat("x", 300), "scopes": []string{strings.Repeat("y", 500)}})
	}
	p := plan(t, s, onUser(sources.RevokeGrant, ben))
	require.Len(t, p.Steps, sources.MaxSteps)
	require.Contains(t, strings.Join(p.Limits, " "), "44 more")
}
