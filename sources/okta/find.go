package okta

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"weir/sources"
	"weir/sources/httpx"
)

var _ sources.Finder = (*session)(nil)

// FindAccounts implements sources.Finder. A login is given by who administers
// the organization, or proven on registration; of the e-mail address of the
// profile the vendor does not tell whether it was.
func (s *session) FindAccounts(ctx context.Context, email string) (found []sources.Found, err error) {
	for _, by := range []string{"profile.login", "profile.email"} {
		l := listing{path: httpx.P(pathUsers), query: url.Values{"limit": {"200"}, "filter": {by + " eq " + quote(email)}}}
		err := s.each(ctx, l, func(raw []byte) error {
			var u wireUser
			if err := decode(raw, &u); err != nil {
				return err
			}
			f := sources.Found{ID: string(u.ID), Verified: strings.EqualFold(string(u.Profile.Login), email)}
			if !slices.ContainsFunc(found, func(o sources.Found) bool { return o.ID == f.ID }) {
				found = append(found, f)
			}
			return nil
		})
		if err != nil {
			return nil, naming(err, "okta.users.read")
		}
	}
	return found, nil
}
