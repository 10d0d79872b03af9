package okta

import (
	"context"
	"iter"
	"net/url"
	"time"

	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

const (
	deltaOverlap = 5 * time.Minute // of the vendor's clock, for updates that show late
	maxFactors   = 5000            // users, up to which each is asked for factors by default

	phaseDeprovisioned = "deprovisioned" // the plain list, which comes first, hides them
)

var allUsers = url.Values{"limit": {"200"}}

// accountSide is what a round knows beside the listing.
type accountSide struct {
	admins     map[string]struct{}
	adminsSeen bool // false: it was refused
	factors    bool
	deniedMFA  bool // the factors were refused once: the rest is not asked
}

// readAccounts lists all users: the plain list, then the deprovisioned ones.
func (s *session) readAccounts(ctx context.Context, _ sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		at, err := parseCursor(c)
		if err == nil && c == "" {
			at.Factors, err = s.askFactors(ctx)
		}
		s.accountPages(ctx, at, err, yield, func(at *cursor) listing {
			if at.Phase == phaseDeprovisioned {
				return listing{path: httpx.P(pathUsers), query: url.Values{"limit": {"200"}, "filter": {`status eq "DEPROVISIONED"`}}}
			}
			return listing{path: httpx.P(pathUsers), query: allUsers}
		}, func(at *cursor) bool {
			if at.Phase == phaseDeprovisioned {
				return false
			}
			at.Phase = phaseDeprovisioned
			return true
		})
	}
}

// deltaAccounts lists users that were updated since the last round or delta
// began.
func (s *session) deltaAccounts(ctx context.Context, _ sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		at, err := parseCursor(c)
		since := time.UnixMilli(at.Time).Add(-deltaOverlap)
		if at.At == "" {
			at.Time = 0
		}
		s.accountPages(ctx, at, err, yield, func(*cursor) listing {
			return listing{path: httpx.P(pathUsers), query: url.Values{"limit": {"200"}, "filter": {`lastUpdated gt "` + formatTime(since) + `"`}}}
		}, func(*cursor) bool { return false })
	}
}

// accountPages yields the pages of one or more listings; more moves the cursor
// to the next listing.
func (s *session) accountPages(ctx context.Context, at cursor, err error, yield func(*sources.Page, error) bool, from func(*cursor) listing, more func(*cursor) bool) {
	var side accountSide
	if err == nil {
		side, err = s.accountSide(ctx, at.Factors)
	}
	for err == nil {
		var resp *httpx.Response
		var next string
		if resp, next, err = s.fetch(ctx, from(&at), at.At); err != nil {
			break
		}
		if at.Time == 0 {
			at.Time = vendorNow(resp).UnixMilli()
		}
		page := &sources.Page{Rows: &schemas.Rows{}}
		if err = s.accounts(ctx, page, resp, &side); err != nil {
			break
		}
		at.At = next
		page.More = next != "" || more(&at)
		page.Next = at.String()
		if !page.More {
			// Where the next delta begins: when this began.
			page.Delta = cursor{Time: at.Time, Factors: at.Factors}.String()
			page.Next = page.Delta
		}
		if !yield(page, nil) || !page.More {
			return
		}
	}
	yield(nil, err)
}

// accounts maps a page of users.
func (s *session) accounts(ctx context.Context, page *sources.Page, resp *httpx.Response, side *accountSide) error {
	return elements(page, resp, func(raw []byte) (string, error) {
		var u wireUser
		if err := decode(raw, &u); err != nil {
			return err.Error(), nil
		}
		if u.ID == "" {
			return "the user has no id", nil
		}
		row := schemas.Account{}
		mapAccount(&row, &u, s.cfg.ServiceUserTypes)
		row.Raw = alias(raw)
		if side.adminsSeen {
			_, admin := side.admins[row.AccountID]
			row.IsAdmin = schemas.Some(admin)
		} else {
			row.NotAsked = append(row.NotAsked, "is_admin")
		}
		if side.factors {
			gone, err := s.mfa(ctx, &row, side)
			if err != nil || gone {
				return "", err
			}
		}
		page.Rows.Accounts = append(page.Rows.Accounts, row)
		return "", nil
	})
}

// mfa asks for a user's factors. A user who is gone by now is no row.
func (s *session) mfa(ctx context.Context, row *schemas.Account, side *accountSide) (isNoMore bool, err error) {
	if !side.deniedMFA {
		var factors []wireFactor
		resp, err := s.get(ctx, httpx.P(pathFactors, row.AccountID), nil, &factors)
		switch {
		case err == nil:
			row.MFAEnabled = schemas.Some(hasSecondFactor(factors))
			row.Raw = `{"user":` + row.Raw + `,"mfa":` + string(resp.Body) + `}`
			return false, nil
		case isGone(err):
			return true, nil
		case !denied(err):
			return false, err
		}
		side.deniedMFA = true
	}
	row.NotAsked = append(row.NotAsked, "mfa_enabled")
	return false, nil
}

// accountSide gathers who is an administrator. Where that is refused, is_admin
// is not asked: nobody becomes less of an administrator by it.
func (s *session) accountSide(ctx context.Context, factors bool) (accountSide, error) {
	side := accountSide{factors: factors, admins: map[string]struct{}{}}
	for at := ""; ; {
		ids, next, err := s.assignees(ctx, at)
		if denied(err) {
			return side, nil
		}
		if err != nil {
			return side, err
		}
		for _, id := range ids {
			side.admins[id] = struct{}{}
		}
		if at = next; at == "" {
			side.adminsSeen = true
			return side, nil
		}
	}
}

// askFactors decides, once a round, whether each user is asked for factors.
func (s *session) askFactors(ctx context.Context) (bool, error) {
	switch s.cfg.Accounts.Factors {
	case "on":
		return true, nil
	case "off":
		return false, nil
	}
	users := 0
	for at := ""; ; {
		resp, next, err := s.fetch(ctx, listing{path: httpx.P(pathUsers), query: allUsers}, at)
		if err != nil {
			return false, err
		}
		for _, err := range httpx.Elements(resp) {
			if err != nil {
				return false, err
			}
			users++
		}
		if at = next; users > maxFactors || at == "" {
			return users <= maxFactors, nil
		}
	}
}

// askAccount asks for one user.
func (s *session) askAccount(ctx context.Context, table string, key []string) (sources.Answer, error) {
	if table != tableAccounts || len(key) != 1 {
		return sources.Unsure, nil
	}
	return s.ask(ctx, httpx.P(pathUser, key[0]))
}

// ask tells whether an object can be read by its id.
func (s *session) ask(ctx context.Context, path httpx.Path) (sources.Answer, error) {
	switch _, err := s.client.Do(ctx, &httpx.Request{Path: path}); {
	case err == nil:
		return sources.Exists, nil
	case isGone(err):
		return sources.Deleted, nil
	default:
		return sources.Unsure, err
	}
}

// elements maps the elements of an answer, in place. What f gives a reason for
// is rejected; its errors end the page.
func elements(page *sources.Page, resp *httpx.Response, f func(raw []byte) (reason string, err error)) error {
	n := 0
	for raw, err := range httpx.Elements(resp) {
		if err != nil {
			return err
		}
		n++
		reason, err := f(raw)
		if err != nil {
			return err
		}
		if reason != "" {
			page.Rejected = append(page.Rejected, sources.Reject{Ref: ref(resp, n), Reason: reason, Raw: string(raw)})
		}
	}
	return nil
}
