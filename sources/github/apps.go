package github

import (
	"context"
	"iter"
	"net/url"

	"github.com/go-json-experiment/json/jsontext"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// Lanes of app_grants.
const (
	laneInstallations = "installations"
	laneCredentials   = "credentials"
	lanePATs          = "pats"
)

// grantLanes implements sources.Stream.Lanes. Fine-grained tokens are told to
// GitHub Apps only.
func (s *session) grantLanes(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	if s.cfg.Auth.way() == wayApp {
		return lanes(laneInstallations, laneCredentials, lanePATs)
	}
	return lanes(laneInstallations, laneCredentials)
}

// readGrants implements sources.Stream.Read.
func (s *session) readGrants(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	switch l.ID {
	case laneInstallations:
		return s.scan(c, s.installationPages(ctx))
	case laneCredentials:
		return s.scan(c, s.credentialPages(ctx))
	case lanePATs:
		return s.scan(c, s.patPages(ctx))
	}
	return fails(noLane(l))
}

// installationPages reads the GitHub Apps installed: apps and grants both.
func (s *session) installationPages(ctx context.Context) step {
	path := httpx.P("/orgs/{org}/installations", s.cfg.Org)
	return func(page *sources.Page, at place) (place, bool, error) {
		r, err := s.get(ctx, path, withSize(nil), at.Link)
		if err != nil {
			return at, false, err
		}
		var body struct {
			Installations []jsontext.Value `json:"installations"`
		}
		if err := httpx.Decode(r, &body); err != nil {
			return at, false, err
		}
		each(list{elements: body.Installations}, page, "an installation", func(w *wireInstallation, raw string) string {
			return mapInstallation(page.Rows, w, raw)
		})
		link, err := s.next(r, path)
		return place{Link: link}, link == "", err
	}
}

// credentialPages reads what members have authorized for single sign-on. The
// listing has no links: it ends with an empty page.
func (s *session) credentialPages(ctx context.Context) step {
	path := httpx.P(pathCredentials, s.cfg.Org)
	return func(page *sources.Page, at place) (place, bool, error) {
		n := max(at.N, 1)
		r, err := s.rest.Do(ctx, &httpx.Request{Path: path, Query: url.Values{"per_page": {pageSize}, "page": {itoa(n)}}})
		if err != nil {
			if err = s.noCredentials(ctx, err); err != nil {
				return at, false, part(partCredentials, err)
			}
			return at, true, nil
		}
		l, err := elements(r)
		if err != nil {
			return at, false, err
		}
		o, err := s.organization(ctx, orgFresh)
		if err != nil {
			return at, false, err
		}
		now := schemas.Time(s.env.Clock.Now().UnixMilli())
		each(l, page, "a credential", func(w *wireCredential, raw string) string {
			var g schemas.AppGrant
			reason := mapCredential(&g, w, o.Login, now, raw)
			if reason == "" {
				page.Rows.AppGrants = append(page.Rows.AppGrants, g)
			}
			return reason
		})
		return place{N: n + 1}, len(l.elements) == 0, nil
	}
}

// noCredentials is nil where a 404 means that there are none: on a server, in a
// plan without single sign-on, or without it in use.
func (s *session) noCredentials(ctx context.Context, err error) error {
	if statusOf(err) != 404 || s.urls.server {
		if statusOf(err) == 404 {
			return nil
		}
		return err
	}
	if fault.Of(s.unlicensed(ctx, err)) == fault.NotLicensed {
		return nil
	}
	return s.unlessAbsent(ctx, err, orgScopes...)
}

// patPages reads fine-grained personal access tokens.
func (s *session) patPages(ctx context.Context) step {
	path := httpx.P("/orgs/{org}/personal-access-tokens", s.cfg.Org)
	return func(page *sources.Page, at place) (place, bool, error) {
		l, err := s.page(ctx, path, nil, at.Link)
		if err != nil {
			return at, false, part(partPATs, err)
		}
		each(l, page, "a token", func(w *wirePAT, raw string) string {
			var g schemas.AppGrant
			reason := mapPAT(&g, w, raw)
			if reason == "" {
				page.Rows.AppGrants = append(page.Rows.AppGrants, g)
			}
			return reason
		})
		return place{Link: l.link}, l.link == "", nil
	}
}
