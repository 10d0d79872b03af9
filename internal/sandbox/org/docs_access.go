package org

import (
	"slices"
	"strings"
)

// Held is a grant as it reaches a doc.
type Held struct {
	DocGrant
	At   int32 // doc where it is written
	Shut bool  // a closed folder between keeps it out: no more than the folder's name can be seen
}

// Reaching lists all that reaches a doc, the nearest first: its owner, its own
// grants, and those of the folders above. Who owns a folder may write to what others
// have in it.
func (s *State) Reaching(n int32) (list []Held) {
	d, now := s.Docs, s.docsNow()
	shut := false
	for at := n; at >= 0; at = d.All[at].Parent {
		x := &d.All[at]
		if x.Owner >= 0 {
			g := DocGrant{To: ToUser, Account: int(x.Owner), Group: -1, Role: "owner"}
			if at != n {
				g.Role = "writer"
			}
			if at == n || x.Owner != d.All[n].Owner {
				list = append(list, Held{DocGrant: g, At: at, Shut: shut})
			}
		}
		if x.Sharing == nil {
			continue
		}
		for _, g := range x.Sharing.Grants {
			if g.Expires != 0 && g.Expires <= now {
				continue
			}
			list = append(list, Held{DocGrant: g, At: at, Shut: shut && g.Role != "organizer"})
		}
		shut = shut || x.Sharing.Closed
	}
	return list
}

// docsNow is the time by which grants expire: also while life goes on, whatever the
// steps.
func (s *State) docsNow() int64 {
	if !s.Frozen.IsZero() {
		return s.Frozen.UnixMilli()
	}
	return max(s.Now.UnixMilli(), s.journal.now)
}

// DocRole is the most that an account may do with a doc: "" nothing. Listed says
// whether that is given to it, or to a group that it is in: what all may open who
// have the link is in nobody's listing.
func (s *State) DocRole(account int, n int32) (role string, listed bool) {
	best := -1
	a := s.Accounts[GoogleWorkspace][account]
	for _, h := range s.Reaching(n) {
		if h.Shut || h.View != "" {
			continue
		}
		named := false
		switch h.To {
		case ToUser:
			named = h.Account == account
		case ToGroup:
			named = h.Group >= 0 && s.InGroup(h.Group, account)
		case ToDomain:
			if !s.inDomain(a, h.Domain) {
				continue
			}
		case ToAnyone:
		}
		if !named && (h.To == ToUser || h.To == ToGroup) {
			continue
		}
		listed = listed || named
		best = max(best, DocRank(h.Role))
	}
	if best < 0 {
		return "", false
	}
	return DocRoles[best], listed
}

// inDomain says whether a grant to a domain is to an account. A target audience is
// all of the organization here.
func (s *State) inDomain(a *Account, domain string) bool {
	_, own, _ := strings.Cut(a.Login, "@")
	return strings.EqualFold(own, domain) || IsAudience(domain)
}

// Audience is the domain of the organization's target audience.
func (s *State) Audience() string { return "03" + s.Name + ".audience.googledomains.com" }

// IsAudience says whether a domain is a target audience's.
func IsAudience(domain string) bool { return strings.HasSuffix(domain, ".audience.googledomains.com") }

// InGroup says whether an account is in a group of Google's, by other groups too.
func (s *State) InGroup(group, account int) bool { return s.inGroup(group, account, 0) }

func (s *State) inGroup(group, account, depth int) bool {
	g := s.Groups[GoogleWorkspace][group]
	if !g.Gone.IsZero() || depth > 8 {
		return false
	}
	if slices.ContainsFunc(g.Members, func(m Member) bool { return m.Account == account }) {
		return true
	}
	return slices.ContainsFunc(g.Others, func(o Ref) bool {
		return o.Kind == OrgRef || o.Kind == GroupRef && s.inGroup(o.N, account, depth+1)
	})
}

// Seers are the accounts that have a doc in their listings.
func (s *State) Seers(n int32) map[int]bool {
	out := map[int]bool{}
	for _, h := range s.Reaching(n) {
		if h.Shut || h.View != "" {
			continue
		}
		switch {
		case h.To == ToUser && h.Account >= 0:
			out[h.Account] = true
		case h.To == ToGroup && h.Group >= 0:
			s.members(h.Group, out, 0)
		}
	}
	return out
}

func (s *State) members(group int, out map[int]bool, depth int) {
	g := s.Groups[GoogleWorkspace][group]
	if !g.Gone.IsZero() || depth > 8 {
		return
	}
	for _, m := range g.Members {
		out[m.Account] = true
	}
	for _, o := range g.Others {
		switch o.Kind {
		case OrgRef:
			for _, a := range s.Accounts[GoogleWorkspace] {
				out[a.N] = true
			}
		case GroupRef:
			s.members(o.N, out, depth+1)
		default:
		}
	}
}

// Visibilities of docs, as the log of Google's has them.
const (
	VisiblePrivate    = "private"
	VisibleInternally = "shared_internally"
	VisibleDomain     = "public_in_the_domain"
	VisibleDomainLink = "people_within_domain_with_link"
	VisibleExternally = "shared_externally"
	VisibleLink       = "people_with_link"
	VisibleWeb        = "public_on_the_web"
)

var visibilities = []string{VisiblePrivate, VisibleInternally, VisibleDomainLink, VisibleDomain, VisibleExternally, VisibleLink, VisibleWeb}

// Visibility is how far a doc can be seen, in the words of Google's log.
func (s *State) Visibility(n int32) string {
	widest := 0
	for _, h := range s.Reaching(n) {
		if h.Shut || h.View != "" || h.Role == "owner" {
			continue
		}
		v := VisibleInternally
		switch {
		case h.To == ToAnyone && h.Findable:
			v = VisibleWeb
		case h.To == ToAnyone:
			v = VisibleLink
		case h.To == ToDomain && (s.ownDomain(h.Domain) || IsAudience(h.Domain)):
			if v = VisibleDomainLink; h.Findable {
				v = VisibleDomain
			}
		case h.To == ToDomain, s.Foreign(&h.DocGrant):
			v = VisibleExternally
		}
		widest = max(widest, slices.Index(visibilities, v))
	}
	return visibilities[widest]
}

// Foreign says whether a grant is to somebody, or a group, of another organization.
func (s *State) Foreign(g *DocGrant) bool {
	if (g.To != ToUser && g.To != ToGroup) || g.Account >= 0 || g.Group >= 0 {
		return false
	}
	_, domain, _ := strings.Cut(g.Email, "@")
	return !s.ownDomain(domain)
}

// ownDomain says whether a domain is one of the organization's.
func (s *State) ownDomain(domain string) bool {
	return strings.EqualFold(domain, s.Domain) || strings.HasSuffix(strings.ToLower(domain), "."+s.Domain)
}
