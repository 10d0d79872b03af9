package okta

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"strings"
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
		if at.Since == 0 {
			at.Since, at.Time = at.Time, 0
		}
		since := time.UnixMilli(at.Since).Add(-deltaOverlap)
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
	w := newWalk(s, at, yield)
	for err == nil {
		next, stepErr := w.step(ctx, from(&w.at), side.add)
		if err = stepErr; err != nil {
			break
		}
		w.at.At, w.at.Done = next, ""
		if next == "" && !more(&w.at) {
			// Where the next delta begins: when this began.
			w.at = cursor{Time: w.at.Time, Factors: w.at.Factors}
			w.page.Delta = w.at.String()
			w.flush(false)
			return
		}
		if !w.flush(true) {
			return
		}
	}
	w.fail(err)
}

// add maps a user.
func (side *accountSide) add(ctx context.Context, w *walk, raw []byte) (reason string, err error) {
	var u wireUser
	if err := decode(raw, &u); err != nil {
		return err.Error(), nil
	}
	if u.ID == "" {
		return "the user has no id", nil
	}
	row := schemas.Account{Raw: alias(raw)}
	mapAccount(&row, &u, w.s.cfg.ServiceUserTypes)
	if side.adminsSeen {
		_, admin := side.admins[row.AccountID]
		row.IsAdmin = schemas.Some(admin)
	} else {
		row.NotAsked = append(row.NotAsked, "is_admin")
	}
	if side.factors {
		gone, err := side.mfa(ctx, w.s, &row)
		if err != nil || gone {
			return "", err
		}
	}
	w.page.Rows.Accounts = append(w.page.Rows.Accounts, row)
	return "", nil
}

// mfa asks for a user's factors. A user who is gone by now is no row.
func (side *accountSide) mfa(ctx context.Context, s *session, row *schemas.Account) (isNoMore bool, err error) {
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
	strange := false
	err := s.each(ctx, assignees, func(raw []byte) error {
		id := elementID(raw)
		strange = strange || id == "" // it may be anybody
		side.admins[strings.Clone(id)] = struct{}{}
		return nil
	})
	if side.adminsSeen = err == nil && !strange; denied(err) {
		err = nil
	}
	return side, err
}

// askFactors decides, once a round, whether each user is asked for factors.
func (s *session) askFactors(ctx context.Context) (bool, error) {
	if s.cfg.Accounts.Factors != "auto" {
		return s.cfg.Accounts.Factors == "on", nil
	}
	users := 0
	err := s.each(ctx, listing{path: httpx.P(pathUsers), query: allUsers}, func([]byte) error {
		if users++; users > maxFactors {
			return errStop
		}
		return nil
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return users <= maxFactors, err
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
