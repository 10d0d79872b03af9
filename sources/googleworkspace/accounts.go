package googleworkspace

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// readAccounts lists the users, and then those that were deleted lately.
func (s *session) readAccounts(ctx context.Context, _ sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		who, err := s.people(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		s.list(ctx, c, addAccount(who), s.users(""), s.deletedUsers())(yield)
	}
}

func addAccount(who *people) mapElement {
	return func(_ context.Context, w *walk, raw []byte) (reason string, err error) {
		var u wireUser
		if err := decode(raw, &u); err != nil {
			return err.Error(), nil
		}
		if u.ID == "" {
			return "the user has no id", nil
		}
		row := schemas.Account{Raw: alias(raw)}
		mapAccount(&row, &u, who)
		w.page.Rows.Accounts = append(w.page.Rows.Accounts, row)
		return "", nil
	}
}

// askAccount asks for one user. One that was deleted cannot be read by its id,
// and is listed with the deleted ones as long as it can come back.
func (s *session) askAccount(ctx context.Context, table string, key []string) (sources.Answer, error) {
	if !known(table, key, tableAccounts) {
		return sources.Unsure, nil
	}
	_, err := s.userOf(ctx, key[0])
	switch {
	case err == nil:
		return sources.Exists, nil
	case isGone(err) || httpx.StatusOf(err) == http.StatusForbidden && httpx.CodeOf(err) == reasonForbidden:
		return sources.Deleted, nil
	}
	return sources.Unsure, err
}

// userOf reads what decides whether a user can be seen.
func (s *session) userOf(ctx context.Context, id string) (*wireUser, error) {
	resp, err := s.admin(scopeUsers).Do(ctx, &httpx.Request{
		Path: httpx.P(pathUser, id), Query: url.Values{"fields": {"id,primaryEmail,suspended,archived,deletionTime"}},
	})
	if err != nil {
		return nil, err
	}
	u := &wireUser{}
	if err := httpx.Decode(resp, u); err != nil {
		return nil, err
	}
	if string(u.ID) != id {
		return nil, fault.New(fault.Transient, "%s: the answer is another user", resp.Endpoint)
	}
	return u, nil
}
