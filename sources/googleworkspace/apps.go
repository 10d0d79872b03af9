package googleworkspace

import (
	"context"
	"iter"
	"net/http"
	"strings"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// laneGrants begins a lane of apps: what one user allowed.
const laneGrants = "user/"

// appLanes lists the users whose tokens can be seen: of those that are suspended
// the vendor shows none. Where tokens may not be read at all, that is said once,
// and not by each user's lane.
func (s *session) appLanes(ctx context.Context, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		if err := s.probeApps(ctx); denied(err) {
			yield(nil, err)
			return
		}
		s.lanesOf(ctx, c, s.users("users(id,suspended)"), nil, func(raw []byte) (string, bool) {
			var u wireUser
			switch {
			case decode(raw, &u) != nil || u.ID == "":
				return "", false
			case u.Suspended.on:
				return "", true
			}
			return laneGrants + string(u.ID), true
		})(yield)
	}
}

// readApps reads what one user allowed apps, and the user's app passwords: one
// page each.
func (s *session) readApps(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	user, ok := strings.CutPrefix(l.ID, laneGrants)
	if !ok {
		return failed(fault.New(fault.Permanent, "google_workspace has no lane %q of apps", l.ID))
	}
	return func(yield func(*sources.Page, error) bool) {
		pages := s.list(ctx, c, func(_ context.Context, w *walk, raw []byte) (string, error) {
			if len(w.at.Phase) > 0 {
				return w.addPassword(raw, user), nil
			}
			return w.addToken(raw, user), nil
		},
			s.tokensOf(user),
			listing{client: s.admin(scopeSecurity), path: httpx.P(pathPasswords, user), kind: "admin#directory#aspList", member: "items"})
		for page, err := range pages {
			if err != nil {
				page, err = s.unreadable(ctx, user, err)
			}
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}

// unreadable tells what a refusal of a user's tokens means. The vendor answers
// 401 for a user who was suspended since the users were listed, as it does for
// bad credentials: then nothing can be seen, and the credentials are as good as
// before. Of a user who was deleted there is nothing.
func (s *session) unreadable(ctx context.Context, user string, refusal error) (*sources.Page, error) {
	if httpx.StatusOf(refusal) != http.StatusUnauthorized {
		return nil, refusal
	}
	page := newPage()
	switch u, err := s.userOf(ctx, user); {
	case isGone(err):
		return page, nil
	case err != nil && !denied(err):
		return nil, err
	case err == nil && u.Suspended.on:
		page.Unseen = "the user is suspended"
		return page, nil
	}
	// Another user's show whether the credentials are good.
	if err := s.probeApps(ctx); err != nil {
		return nil, err
	}
	switch _, _, err := s.fetch(ctx, s.tokensOf(user), "", s.env.Clock.Now()); {
	case err == nil:
		return nil, fault.New(fault.Transient, "tokens that were refused are shown now: %w", refusal)
	case httpx.StatusOf(err) != http.StatusUnauthorized:
		return nil, err
	}
	page.Unseen = "what the user allowed cannot be read: " + refusal.Error()
	return page, nil
}

// tokensOf lists what a user allowed apps.
func (s *session) tokensOf(user string) listing {
	return listing{client: s.admin(scopeSecurity), path: httpx.P(pathTokens, user), kind: "admin#directory#tokenList", member: "items"}
}

func (w *walk) addToken(raw []byte, user string) (reason string) {
	var t wireToken
	if err := decode(raw, &t); err != nil {
		return err.Error()
	}
	if t.ClientID == "" {
		return "the token names no client"
	}
	grant, app := schemas.AppGrant{Raw: alias(raw)}, schemas.App{}
	mapToken(&grant, &t, user)
	mapApp(&app, &t)
	w.page.Rows.AppGrants = append(w.page.Rows.AppGrants, grant)
	w.page.Rows.Apps = append(w.page.Rows.Apps, app)
	return ""
}

func (w *walk) addPassword(raw []byte, user string) (reason string) {
	var p wirePassword
	if err := decode(raw, &p); err != nil {
		return err.Error()
	}
	if p.CodeID == "" {
		return "the app password has no number"
	}
	row := schemas.AppGrant{Raw: alias(raw)}
	mapPassword(&row, &p, user)
	w.page.Rows.AppGrants = append(w.page.Rows.AppGrants, row)
	return ""
}
