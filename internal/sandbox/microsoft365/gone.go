package microsoft365

import "weir/internal/sandbox/org"

// Gone tells whether something that the logs may name, by its id or else by its
// name, has existed and does not any more. Kinds are those of target_kind.
func (h *Handler) Gone(s *org.State, kind, id, name string) bool {
	const app = org.Microsoft365
	switch kind {
	case "account":
		if n := h.servicePrincipalN(s, id); n >= 0 { // an app acts by one
			return !s.Integrations[app][n].Gone.IsZero()
		}
		return was(s.Accounts[app], h.accountN(s, id), id, name, func(a *org.Account) (bool, string) { return !a.Gone.IsZero(), a.Login })
	case "group":
		return was(s.Groups[app], h.groupN(s, id), id, name, func(g *org.Group) (bool, string) { return !g.Gone.IsZero(), g.Name })
	case "app":
		if n := h.number("app id", id, len(s.Integrations[app]), h.appID); n >= 0 { // by its id over all tenants
			return !s.Integrations[app][n].Gone.IsZero()
		}
		return was(s.Integrations[app], h.servicePrincipalN(s, id), id, name, func(in *org.Integration) (bool, string) { return !in.Gone.IsZero(), in.Label })
	case "role":
		held := false
		for _, r := range s.Roles[app] {
			if h.roleID(r.Role) == id {
				if roleHeld(s, r) {
					return false
				}
				held = true
			}
		}
		return held
	case "file", "folder":
		return h.trashed(s, id)
	}
	return false
}

// trashed tells whether the audit log's id is that of an item in a recycle bin, or
// in a folder that is.
func (h *Handler) trashed(s *org.State, id string) bool {
	for _, d := range s.Office.Drives {
		for n := range d.Items {
			if h.uniqueID(d.N, n) != id {
				continue
			}
			for ; n >= 0; n = int(d.Items[n].Parent) {
				if d.Items[n].Trashed != 0 {
					return true
				}
			}
			return false
		}
	}
	return false
}

func was[T any](all []T, n int, id, name string, of func(T) (gone bool, called string)) bool {
	if id != "" {
		if n < 0 {
			return false
		}
		is, _ := of(all[n])
		return is
	}
	existed := false
	for _, x := range all {
		if is, called := of(x); name != "" && called == name {
			if !is {
				return false
			}
			existed = true
		}
	}
	return existed
}
