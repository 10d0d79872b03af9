package okta

import (
	"bytes"
	"context"
	"iter"
	"net/url"

	"github.com/go-json-experiment/json/jsontext"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// openID is the sign-on mode of apps that are OAuth clients, which alone can
// have scopes and tokens.
const openID = "OPENID_CONNECT"

var (
	allApps    = listing{path: httpx.P(pathApps), query: url.Values{"limit": {"200"}}}
	activeApps = url.Values{"filter": {`status eq "ACTIVE"`}, "limit": {"200"}}
	allTokens  = url.Values{"limit": {"200"}}
)

// readApps lists the apps.
func (s *session) readApps(ctx context.Context, _ sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return s.list(ctx, allApps, c, func(_ context.Context, page *sources.Page, resp *httpx.Response) error {
		return elements(page, resp, func(raw []byte) (string, error) {
			var a wireApp
			if err := decode(raw, &a); err != nil {
				return err.Error(), nil
			}
			if a.ID == "" {
				return "the app has no id", nil
			}
			row := schemas.App{}
			mapApp(&row, &a)
			row.Raw = alias(withoutSecret(raw))
			page.Rows.Apps = append(page.Rows.Apps, row)
			return "", nil
		})
	})
}

// withoutSecret replaces the client secret in an app's record.
func withoutSecret(raw []byte) []byte {
	if !bytes.Contains(raw, []byte("client_secret")) {
		return raw
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(raw), decodeOptions)
	for {
		if _, err := d.ReadToken(); err != nil {
			return raw
		}
		if d.StackPointer() != "/credentials/oauthClient/client_secret" || d.PeekKind() == '}' {
			continue
		}
		name := d.InputOffset()
		if err := d.SkipValue(); err != nil {
			return raw
		}
		end := d.InputOffset()
		out := append(bytes.Clone(raw[:name]), `:"[removed]"`...)
		return append(out, raw[end:]...)
	}
}

// Lanes of app_grants: the sources they come from, whose scopes differ.
const (
	laneTokens       = "tokens"
	laneScopes       = "scopes"
	laneAPITokens    = "api_tokens"
	laneIntegrations = "integrations"
	laneConsents     = "consents"
)

func (s *session) grantLanes(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	ids := []string{laneTokens, laneScopes, laneAPITokens, laneIntegrations}
	if s.cfg.Grants.PerUser {
		ids = append(ids, laneConsents)
	}
	return lanes(ids...)
}

// readGrants reads one source.
func (s *session) readGrants(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	switch l.ID {
	case laneTokens:
		return s.list(ctx, listing{path: httpx.P(pathApps), query: activeApps}, c, s.ofEachApp(pathAppTokens, allTokens, grantToken))
	case laneScopes:
		return s.list(ctx, listing{path: httpx.P(pathApps), query: activeApps}, c, s.ofEachApp(pathAppGrants, nil, grantConsent))
	case laneAPITokens:
		return s.list(ctx, listing{path: httpx.P(pathAPITokens)}, c, grants(grantAPIKey))
	case laneIntegrations:
		return s.list(ctx, listing{path: httpx.P(pathIntegrations)}, c, grants(grantInstallation))
	case laneConsents:
		return s.list(ctx, listing{path: httpx.P(pathUsers), query: allUsers}, c, s.consents)
	}
	return failed(fault.New(fault.Permanent, "okta has no lane %q of app_grants", l.ID))
}

// grants maps a page of grants of one kind.
func grants(kind string) mapPage {
	return func(_ context.Context, page *sources.Page, resp *httpx.Response) error {
		return elements(page, resp, func(raw []byte) (string, error) { return addGrant(page, raw, kind, nil), nil })
	}
}

// ofEachApp asks for the grants of every OAuth client of a page of apps.
func (s *session) ofEachApp(path string, query url.Values, kind string) mapPage {
	return func(ctx context.Context, page *sources.Page, resp *httpx.Response) error {
		return elements(page, resp, func(raw []byte) (string, error) {
			var app wireApp
			if err := decode(raw, &app); err != nil || app.ID == "" {
				return "it is no app with an id", nil
			}
			if app.SignOnMode != openID {
				return "", nil
			}
			return "", s.grantsOf(ctx, page, listing{path: httpx.P(path, string(app.ID)), query: query}, kind, &app)
		})
	}
}

// consents asks for the consents of every user of a page of users.
func (s *session) consents(ctx context.Context, page *sources.Page, resp *httpx.Response) error {
	return elements(page, resp, func(raw []byte) (string, error) {
		var u wireUser
		if err := decode(raw, &u); err != nil || u.ID == "" {
			return "it is no user with an id", nil
		}
		return "", s.grantsOf(ctx, page, listing{path: httpx.P(pathUserGrants, string(u.ID)), query: allTokens}, grantConsent, nil)
	})
}

// grantsOf adds all that a listing of grants shows. Whose grants they are may be
// gone by now.
func (s *session) grantsOf(ctx context.Context, page *sources.Page, l listing, kind string, app *wireApp) error {
	err := s.each(ctx, l, func(raw []byte) error {
		if reason := addGrant(page, raw, kind, app); reason != "" {
			page.Rejected = append(page.Rejected, sources.Reject{Ref: l.path.String(), Reason: reason, Raw: string(raw)})
		}
		return nil
	})
	if isGone(err) {
		return nil
	}
	return err
}

func addGrant(page *sources.Page, raw []byte, kind string, app *wireApp) (reason string) {
	var g wireGrant
	if err := decode(raw, &g); err != nil {
		return err.Error()
	}
	if g.ID == "" {
		return "the grant has no id"
	}
	row := schemas.AppGrant{Raw: alias(raw)}
	mapGrant(&row, &g, kind, app)
	page.Rows.AppGrants = append(page.Rows.AppGrants, row)
	return ""
}
