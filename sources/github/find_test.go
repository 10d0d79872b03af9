package github_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/sourcetest"
	"weir/sources"
)

// Members are found by the addresses that single sign-on and the organization's
// domains know; nobody is found by another's.
func TestFindAccounts(t *testing.T) {
	t.Parallel()
	f := withToken()
	site := f.NewSite(t, sourcetest.SiteOptions{People: 120})
	session := site.Session()
	finder := session.(sources.Finder)
	n := 0
	for _, a := range site.Truth().Accounts {
		if a.Email == "" || a.Kind == "guest" || a.Status != "active" {
			continue
		}
		email := strings.ToLower(a.Email)
		found, err := finder.FindAccounts(t.Context(), email)
		require.NoError(t, err)
		want := 0
		for _, o := range site.Truth().Accounts {
			if o.Kind != "guest" && o.Status == "active" && (strings.EqualFold(o.Email, email) || slices.ContainsFunc(o.Emails, func(e string) bool { return strings.EqualFold(e, email) })) {
				want++
			}
		}
		require.Len(t, found, want, email)
		require.True(t, slices.ContainsFunc(found, func(o sources.Found) bool { return o.ID == a.AccountID }), email)
		if n++; n == 10 {
			break
		}
	}
	require.Positive(t, n)
	found, err := finder.FindAccounts(t.Context(), "nobody@example.com")
	require.NoError(t, err)
	require.Empty(t, found)

	// Where addresses are withheld nobody is passed over in silence.
	site.Tenant.TakeScopes("admin:org", "read:org")
	_, err = finder.FindAccounts(t.Context(), "nobody@example.com")
	require.Error(t, err)
}
