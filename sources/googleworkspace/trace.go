package googleworkspace

import (
	"context"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

var (
	_ sources.Tracer = (*session)(nil)
	_ sources.Finder = (*session)(nil)
)

// Trace implements sources.Tracer. The log tells of the user who was acted as, of
// files their owners, and beside it of the client, which is the credentials' own.
// Without a key the client's id is not known: then the subject tells, who must be
// nobody else's.
func (s *session) Trace(ctx context.Context) (sources.Trace, error) {
	var t sources.Trace
	if s.delegation == nil {
		t.Clients = []string{s.cfg.Auth.ClientID}
		return t, nil
	}
	account, client := s.delegation.Account()
	if client != "" {
		t.Clients = []string{client}
		return t, nil
	}
	address := s.cfg.Auth.Subject
	if address == "" { // the service account holds the role itself
		t.Names = []string{account}
		return t, nil
	}
	u := &govUser{}
	if err := govGet(ctx, s.admin(scopeUsers), &httpx.Request{Path: httpx.P(pathUser, address)}, u); err != nil {
		return sources.Trace{}, naming(err, scopeUsers)
	}
	if u.ID == "" || !slices.Contains(u.own(), strings.ToLower(address)) {
		return sources.Trace{}, fault.New(fault.Permanent, "google_workspace returned user %.80q for auth.subject", u.ID)
	}
	t.Actors = []string{u.ID}
	return t, nil
}

// FindAccounts implements sources.Finder. The primary address and the aliases
// are set by administrators alone, in domains that are proved to be the
// customer's; other addresses are what somebody typed.
func (s *session) FindAccounts(ctx context.Context, email string) ([]sources.Found, error) {
	var users []govUser
	var err error
	listed := simple(email)
	if listed {
		users, err = s.usersWhere(ctx, "email:"+email+"*")
	}
	if err != nil {
		return nil, err
	}
	// By key the vendor finds aliases for certain. Of addresses in others' domains
	// it may refuse to tell.
	one := govUser{}
	switch err := govGet(ctx, s.admin(scopeUsers), &httpx.Request{Path: httpx.P(pathUser, email)}, &one); {
	case err == nil:
		users = append(users, one)
	case !isGone(err) && !(listed && fault.Of(err) == fault.Forbidden):
		return nil, naming(err, scopeUsers)
	}
	var out []sources.Found
	for i := range users {
		u := &users[i]
		if u.ID == "" || !slices.Contains(u.all(), email) || slices.ContainsFunc(out, func(f sources.Found) bool { return f.ID == u.ID }) {
			continue
		}
		out = append(out, sources.Found{ID: u.ID, Verified: slices.Contains(u.own(), email)})
	}
	slices.SortFunc(out, func(a, b sources.Found) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// simple tells whether an address holds nothing that the language of queries has
// a meaning for.
func simple(email string) bool {
	return !strings.ContainsFunc(email, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("@._-", r)
	})
}
