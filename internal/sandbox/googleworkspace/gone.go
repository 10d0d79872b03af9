package googleworkspace

import (
	"strings"

	"weir/internal/sandbox/org"
)

// Gone tells whether something that the log may name, by its id or else by its
// name, has existed and does not any more. Kinds are those of target_kind; of who
// has only an address, or a name, that is the id.
func (h *Handler) Gone(s *org.State, kind, id, name string) bool {
	if id == "" {
		id = name
	}
	if id == "" {
		return false
	}
	switch kind {
	case "account":
		for _, a := range s.Accounts[app] {
			if !a.Gone.IsZero() && (h.userID(a.N) == id || strings.EqualFold(a.Login, id)) {
				return true
			}
		}
	case "group":
		for _, g := range s.Groups[app] {
			if !g.Gone.IsZero() && (h.groupID(g.N) == id || strings.EqualFold(groupEmail(s, g), id)) {
				return true
			}
		}
	case "app":
		return h.notGranted(s, id)
	case "role":
		there := false
		for _, r := range s.Roles[app] {
			if h.roleID(r.RoleN) != id && r.Role != id {
				continue
			}
			if held(s, r) {
				return false
			}
			there = true
		}
		return there
	case "file", "folder", "drive", "container":
		n := h.docN(s, id)
		return n >= 0 && !(&truth{h: h, s: s}).somebodyLists(n)
	}
	return false
}

// notGranted tells whether an app is one that nobody whose grants are told lets in
// any more: none is told of otherwise.
func (h *Handler) notGranted(s *org.State, id string) bool {
	known := false
	for _, in := range s.Integrations[app] {
		if h.clientID(in) != id && in.Label != id {
			continue
		}
		known = true
		for _, g := range s.Grants[app] {
			if g.Gone.IsZero() && g.Kind == org.GrantConsent && g.Integration == in.N && grantsTold(s.Accounts[app][g.Account]) {
				return false
			}
		}
	}
	return known
}
