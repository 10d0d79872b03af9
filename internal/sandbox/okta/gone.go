package okta

import (
	"strings"

	"weir/internal/sandbox/org"
)

// Gone tells whether something that the log may name, by its id or else by its
// name, has existed and does not any more. Kinds are those of target_kind.
func (h *Handler) Gone(s *org.State, what, id, name string) bool {
	switch what {
	case "account":
		return gone(s, kindUser, id, name, s.Accounts[org.Okta], func(a *org.Account) (bool, string) { return !a.Gone.IsZero(), a.Login })
	case "group":
		return gone(s, kindGroup, id, name, s.Groups[org.Okta], func(g *org.Group) (bool, string) { return !g.Gone.IsZero(), g.Name })
	case "app":
		return gone(s, kindApp, id, name, s.Integrations[org.Okta], func(in *org.Integration) (bool, string) { return !in.Gone.IsZero(), in.Label })
	case "credential":
		_, id, _ = strings.Cut(id, ":") // as app_grants and activities have it: after its kind
		for _, k := range []kind{kindAPIToken, kindRefresh, kindGrant} {
			if gone(s, k, id, "", s.Grants[org.Okta], func(g *org.Grant) (bool, string) { return grantKind(g) == k && !live(s, g), "" }) {
				return true
			}
		}
	case "role":
		return roleTaken(s, id)
	}
	return false
}

func gone[T any](s *org.State, k kind, id, name string, all []T, of func(T) (gone bool, name string)) bool {
	if id != "" {
		n, ok := number(seedOf(s), k, id)
		if !ok || n >= len(all) {
			return false
		}
		is, _ := of(all[n])
		return is
	}
	there := false
	for _, x := range all {
		is, called := of(x)
		if name != "" && called == name {
			if !is {
				return false
			}
			there = true
		}
	}
	return there
}

// roleTaken tells whether a role was held, and nobody holds it now.
func roleTaken(s *org.State, id string) bool {
	taken := false
	for _, r := range s.Roles[org.Okta] {
		is := r.Role == id
		if r.RoleN >= 0 {
			n, ok := number(seedOf(s), kindRole, id)
			is = ok && n == r.RoleN
		}
		if !is {
			continue
		}
		if r.Gone.IsZero() {
			return false
		}
		taken = true
	}
	return taken
}
