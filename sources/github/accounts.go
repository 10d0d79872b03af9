package github

import (
	"context"
	"iter"
	"net/url"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// Lanes of accounts.
const (
	laneMembers           = "members"
	laneOutside           = "outside"
	laneInvitations       = "invitations"
	laneFailedInvitations = "failed_invitations"
)

// lanes is a listing of lanes that are always the same.
func lanes(ids ...string) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		p := &sources.LanePage{Complete: true}
		for _, id := range ids {
			p.Lanes = append(p.Lanes, sources.Lane{ID: id})
		}
		yield(p, nil)
	}
}

// accountLanes implements sources.Stream.Lanes.
func (s *session) accountLanes(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return lanes(laneMembers, laneOutside, laneInvitations, laneFailedInvitations)
}

// readAccounts implements sources.Stream.Read.
func (s *session) readAccounts(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	switch l.ID {
	case laneMembers:
		return s.scan(c, s.memberPages(ctx))
	case laneOutside:
		return s.scan(c, s.outsidePages(ctx))
	case laneInvitations:
		return s.scan(c, s.invitationPages(ctx, httpx.P("/orgs/{org}/invitations", s.cfg.Org), "invited"))
	case laneFailedInvitations:
		return s.scan(c, s.invitationPages(ctx, httpx.P("/orgs/{org}/failed_invitations", s.cfg.Org), "disabled"))
	}
	return fails(noLane(l))
}

// step reads the page at a place: its rows go into page. done: it was the last.
type step func(page *sources.Page, at place) (next place, done bool, err error)

// scan yields the pages of a scan's lane.
func (s *session) scan(c sources.Cursor, read step) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		at, err := parsePlace(c)
		if err != nil {
			yield(nil, err)
			return
		}
		var rows schemas.Rows
		for {
			rows.Reset()
			page := &sources.Page{Rows: &rows}
			next, done, err := read(page, at)
			if err != nil {
				yield(nil, err)
				return
			}
			at, page.More, page.Next = next, !done, next.cursor()
			if len(page.Next) > sources.MaxCursor {
				yield(nil, fault.New(fault.Permanent, "github: the next page has an address of %d bytes: too long to keep", len(next.Link)))
				return
			}
			if !yield(page, nil) || done {
				return
			}
		}
	}
}

func fails(err error) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) { yield(nil, err) }
}

func noLane(l sources.Lane) error { return fault.New(fault.BadData, "github has no lane %.100q", l.ID) }

// The first page is asked for without after, which GraphQL takes as null.
const (
	membersQuery = `query($org:String!,$first:Int!,$after:String){organization(login:$org){membersWithRole(first:$first,after:$after){pageInfo{hasNextPage endCursor} edges{role hasTwoFactorEnabled node{id databaseId login name email company createdAt updatedAt organizationVerifiedDomainEmails(login:$org)}}}}}`

	identitiesQuery = `query($org:String!,$first:Int!,$after:String){organization(login:$org){samlIdentityProvider{externalIdentities(first:$first,after:$after,membersOnly:true){pageInfo{hasNextPage endCursor} nodes{guid samlIdentity{nameId username emails{value}} scimIdentity{username emails{value}} user{login databaseId}}}}}}`
)

const graphPageSize = 100

type pageInfo struct {
	HasNextPage bool   `json:"hasNextPage"`
	EndCursor   string `json:"endCursor"`
}

// next returns where the next page begins; more: there is one.
func (p pageInfo) next() (after string, more bool) {
	return p.EndCursor, p.HasNextPage && p.EndCursor != ""
}

type membersAnswer struct {
	Organization struct {
		Members struct {
			PageInfo pageInfo         `json:"pageInfo"`
			Edges    []jsontext.Value `json:"edges"`
		} `json:"membersWithRole"`
	} `json:"organization"`
}

type identitiesAnswer struct {
	Organization struct {
		Provider *struct {
			Identities struct {
				PageInfo pageInfo       `json:"pageInfo"`
				Nodes    []wireIdentity `json:"nodes"`
			} `json:"externalIdentities"`
		} `json:"samlIdentityProvider"`
	} `json:"organization"`
}

// memberColumns are the columns that are not asked for when GraphQL withholds a
// field.
var memberColumns = map[string][]string{
	"email": {"email", "emails"}, "organizationVerifiedDomainEmails": {"email", "emails"}, "hasTwoFactorEnabled": {"mfa_enabled"},
	"name": {"display_name"}, "company": {"org_unit"}, "createdAt": {"created_at"}, "updatedAt": {"modified_at"}, "role": {"is_admin"},
}

// memberPages reads members. What single sign-on knows of them is read first,
// at every beginning and resumption.
func (s *session) memberPages(ctx context.Context) step {
	var sso map[string]identity
	var notAsked []string
	return func(page *sources.Page, at place) (place, bool, error) {
		if sso == nil {
			var err error
			if sso, err = s.identities(ctx); fault.Of(err) == fault.Forbidden && err != nil {
				sso, notAsked = map[string]identity{}, []string{"email", "emails"}
			} else if err != nil {
				return at, false, err
			}
		}
		var answer membersAnswer
		nulls, err := s.query(ctx, membersQuery, graphPage(s.cfg.Org, at.Link), &answer)
		if err != nil {
			return at, false, err
		}
		skip := slices.Clone(notAsked)
		for field, err := range nulls {
			columns, ok := memberColumns[field]
			if !ok {
				return at, false, err
			}
			skip = append(skip, columns...)
		}
		slices.Sort(skip)
		m := &answer.Organization.Members
		each(list{elements: m.Edges}, page, "a member", func(w *wireMember, raw string) string {
			var a schemas.Account
			if reason := mapMember(&a, w, sso[string(w.Node.DatabaseID)], raw); reason != "" {
				return reason
			}
			a.NotAsked = compact(append(a.NotAsked, skip...)...)
			page.Rows.Accounts = append(page.Rows.Accounts, a)
			return ""
		})
		next, more := m.PageInfo.next()
		return place{Link: next}, !more, nil
	}
}

func graphPage(org, after string) map[string]any {
	v := map[string]any{"org": org, "first": graphPageSize}
	if after != "" {
		v["after"] = after
	}
	return v
}

// identities are what single sign-on knows of members, by account id; empty
// without single sign-on.
func (s *session) identities(ctx context.Context) (map[string]identity, error) {
	out := map[string]identity{}
	for after := ""; ; {
		var answer identitiesAnswer
		nulls, err := s.query(ctx, identitiesQuery, graphPage(s.cfg.Org, after), &answer)
		if err != nil {
			return nil, err
		}
		for _, err := range nulls {
			return nil, err
		}
		p := answer.Organization.Provider
		if p == nil {
			return out, nil
		}
		for i := range p.Identities.Nodes {
			if user, id := identityOf(&p.Identities.Nodes[i]); user != "" && len(id.emails) > 0 {
				out[user] = id
			}
		}
		next, more := p.Identities.PageInfo.next()
		if !more {
			return out, nil
		}
		after = next
	}
}

func (s *session) probeSSO(ctx context.Context) error {
	var answer identitiesAnswer
	nulls, err := s.query(ctx, identitiesQuery, map[string]any{"org": s.cfg.Org, "first": 1}, &answer)
	if err != nil {
		return err
	}
	for _, err := range nulls {
		return err
	}
	if answer.Organization.Provider == nil {
		return fault.New(fault.NotLicensed, "the organization has no SAML single sign-on of its own")
	}
	return nil
}

// outsidePages reads outside collaborators; those without a second factor first.
func (s *session) outsidePages(ctx context.Context) step {
	path := httpx.P("/orgs/{org}/outside_collaborators", s.cfg.Org)
	var single map[string]bool // without a second factor
	asked := true
	return func(page *sources.Page, at place) (place, bool, error) {
		if single == nil {
			var err error
			switch single, err = s.ids(ctx, path, url.Values{"filter": {"2fa_disabled"}}); {
			case err == nil:
			case fault.Of(err) == fault.Forbidden || statusOf(err) == 422: // for owners only
				single, asked = map[string]bool{}, false
			default:
				return at, false, err
			}
		}
		l, err := s.page(ctx, path, nil, at.Link)
		if err != nil {
			return at, false, part(partOutside, err)
		}
		each(l, page, "a collaborator", func(w *wireUser, raw string) string {
			var a schemas.Account
			if reason := mapOutside(&a, w, raw); reason != "" {
				return reason
			}
			if asked {
				a.MFAEnabled = schemas.Some(!single[a.AccountID])
			} else {
				a.NotAsked = []string{"mfa_enabled"}
			}
			page.Rows.Accounts = append(page.Rows.Accounts, a)
			return ""
		})
		return place{Link: l.link}, l.link == "", nil
	}
}

// ids are the ids of all users in a listing.
func (s *session) ids(ctx context.Context, path httpx.Path, query url.Values) (map[string]bool, error) {
	out := map[string]bool{}
	for link := ""; ; {
		l, err := s.page(ctx, path, query, link)
		if err != nil {
			return nil, err
		}
		for _, e := range l.elements {
			var u wireUser
			if err := decode(e, &u); err != nil {
				return nil, fault.New(fault.BadData, "%s: an element is no user: %w", path, err)
			}
			out[string(u.ID)] = true
		}
		if link = l.link; link == "" {
			return out, nil
		}
	}
}

// invitationPages reads invitations. Organizations with managed users have none.
func (s *session) invitationPages(ctx context.Context, path httpx.Path, status string) step {
	return func(page *sources.Page, at place) (place, bool, error) {
		l, err := s.page(ctx, path, nil, at.Link)
		if err != nil {
			if err = s.unlessAbsent(ctx, err, orgScopes...); err != nil {
				return at, false, part(partInvitations, err)
			}
			return at, true, nil
		}
		each(l, page, "an invitation", func(w *wireInvitation, raw string) string {
			var a schemas.Account
			reason := mapInvitation(&a, w, status, raw)
			if reason == "" {
				page.Rows.Accounts = append(page.Rows.Accounts, a)
			}
			return reason
		})
		return place{Link: l.link}, l.link == "", nil
	}
}
