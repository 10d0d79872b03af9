package github

import (
	"strconv"
	"strings"

	"weir/internal/sandbox/org"
)

// Gone implements sourcetest.Historian: an id, or else a name, is that of what
// was in the organization and is not any more.
func (h *Handler) Gone(s *org.State, what, id, name string) bool {
	n, err := strconv.ParseInt(id, 10, 64)
	numbered := err == nil
	is := func(k kind, num int, names ...string) bool {
		if numbered {
			return h.id(k, num) == n
		}
		for _, want := range names {
			if want != "" && (want == id || id == "" && want == name) {
				return true
			}
		}
		return false
	}
	switch what {
	case "account":
		for _, a := range s.Accounts[org.GitHub] {
			if !here(a, s) && is(kindAccount, a.N, a.Login) {
				return true
			}
		}
	case "group":
		for _, g := range s.Groups[org.GitHub] {
			if !alive(g.Created, g.Gone, s) && is(kindTeam, g.N, s.Name+"/"+g.Slug) {
				return true
			}
		}
	case "repository":
		for _, r := range s.Repos {
			if !alive(r.Created, r.Gone, s) && is(kindRepo, r.N, s.Name+"/"+r.Name) {
				return true
			}
		}
	case "app":
		for _, i := range s.Integrations[org.GitHub] {
			if !alive(i.Created, i.Gone, s) && is(kindApp, i.N, i.Name, i.Name+"[bot]") {
				return true
			}
		}
	case "credential":
		_, number, _ := strings.Cut(id, ":")
		for _, g := range s.Grants[org.GitHub] {
			listed := alive(g.Created, g.Gone, s) && g.Account >= 0 && here(s.Accounts[org.GitHub][g.Account], s)
			if !listed && itoa(h.id(kindToken, g.N)) == number {
				return true
			}
		}
	}
	return false
}
