package github

import (
	"context"
	"slices"
	"strings"

	"weir/sources"
)

var _ sources.Finder = (*session)(nil)

// FindAccounts implements sources.Finder: of members. The addresses that single
// sign-on has are the identity provider's, and those in the organization's own
// domains GitHub has verified. Of the one a person shows it does not tell.
// Outside collaborators show none.
func (s *session) FindAccounts(ctx context.Context, email string) (found []sources.Found, err error) {
	sso, err := s.identities(ctx)
	if err != nil {
		return nil, err
	}
	is := func(a string) bool { return strings.EqualFold(a, email) }
	for after := ""; ; {
		var answer membersAnswer
		nulls, err := s.query(ctx, membersQuery, graphPage(s.cfg.Org, after), &answer)
		if err != nil {
			return nil, err
		}
		for field, err := range nulls {
			if slices.Contains(memberColumns[field], "emails") {
				return nil, err // somebody would be passed over
			}
		}
		for _, e := range answer.Organization.Members.Edges {
			var w wireMember
			if err := decode(e, &w); err != nil {
				return nil, err
			}
			id := string(w.Node.DatabaseID)
			switch {
			case slices.ContainsFunc(sso[id].emails, is), slices.ContainsFunc(w.Node.VerifiedEmails, is):
				found = append(found, sources.Found{ID: id, Verified: true})
			case is(w.Node.Email):
				found = append(found, sources.Found{ID: id})
			}
		}
		next, more := answer.Organization.Members.PageInfo.next()
		if !more {
			return found, nil
		}
		after = next
	}
}
