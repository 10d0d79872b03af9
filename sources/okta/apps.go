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

func (s *session) appLanes(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return lanes(laneApps, laneIntegrations)
}

// readApps lists the apps, or the API service integrations.
func (s *session) readApps(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	switch l.ID {
	case laneApps:
		return s.list(ctx, allApps, c, addApp)
	case laneIntegrations:
		return s.list(ctx, listing{path: httpx.P(pathIntegrations)}, c, addService)
	}
	return failed(fault.New(fault.Permanent, "okta has no lane %q of apps", l.ID))
}

func addApp(_ context.Context, w *walk, raw []byte) (reason string, err error) {
	var a wireApp
	if err := decode(raw, &a); err != nil {
		return err.Error(), nil
	}
	if a.ID == "" {
		return "the app has no id", nil
	}
	row := schemas.App{Raw: alias(withoutSecret(raw))}
	mapApp(&row, &a)
	w.page.Rows.Apps = append(w.page.Rows.Apps, row)
	return "", nil
}

func addService(_ context.Context, w *walk, raw []byte) (reason string, err error) {
	var g wireGrant
	if err := decode(raw, &g); err != nil {
		return err.Error(), nil
	}
	if g.ID == "" {
		return "the integration has no id", nil
	}
	row := schemas.App{Raw: alias(raw)}
	mapService(&row, &g)
	w.page.Rows.Apps = append(w.page.Rows.Apps, row)
	return "", nil
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

// Lanes of apps and app_grants: the sources they come from, whose scopes differ.
const (
	laneApps         = "apps"
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
		return s.list(ctx, listing{path: httpx.P(pathApps), query: activeApps}, c, ofEachApp(pathAppTokens, allTokens, grantToken))
	case laneScopes:
		return s.list(ctx, listing{path: httpx.P(pathApps), query: activeApps}, c, ofEachApp(pathAppGrants, nil, grantConsent))
	case laneAPITokens:
		return s.list(ctx, listing{path: httpx.P(pathAPITokens)}, c, grants(grantAPIKey))
	case laneIntegrations:
		return s.list(ctx, listing{path: httpx.P(pathIntegrations)}, c, grants(grantInstallation))
	case laneConsents:
		return s.list(ctx, listing{path: httpx.P(pathUsers), query: allUsers}, c, consents)
	}
	return failed(fault.New(fault.Permanent, "okta has no lane %q of app_grants", l.ID))
}

// grants maps grants of one kind.
func grants(kind string) mapElement {
	return func(_ context.Context, w *walk, raw []byte) (reason string, err error) {
		return w.addGrant(raw, kind, nil), nil
	}
}

// ofEachApp asks for the grants of every OAuth client among the apps.
func ofEachApp(path string, query url.Values, kind string) mapElement {
	return func(ctx context.Context, w *walk, raw []byte) (reason string, err error) {
		var app wireApp
		if err := decode(raw, &app); err != nil || app.ID == "" {
			return "it is no app with an id", nil
		}
		if app.SignOnMode != openID {
			return "", nil
		}
		return "", w.grantsOf(ctx, listing{path: httpx.P(path, string(app.ID)), query: query}, kind, &app)
	}
}

// consents asks for the consents of a user.
func consents(ctx context.Context, w *walk, raw []byte) (reason string, err error) {
	id := elementID(raw)
	if id == "" {
		return "the user has no id", nil
	}
	return "", w.grantsOf(ctx, listing{path: httpx.P(pathUserGrants, id), query: allTokens}, grantConsent, nil)
}

// grantsOf adds all that a listing of grants shows. Whose grants they are may be
// gone by now. What is many is yielded in between; resumed there, all of this
// listing is read again.
func (w *walk) grantsOf(ctx context.Context, l listing, kind string, app *wireApp) error {
	err := w.s.each(ctx, l, func(raw []byte) error {
		if reason := w.addGrant(raw, kind, app); reason != "" {
			w.page.Rejected = append(w.page.Rejected, sources.Reject{Ref: l.path.String(), Reason: reason, Raw: string(raw)})
		}
		if w.rows() >= maxRows && !w.flush(true) {
			return errStop
		}
		return nil
	})
	if isGone(err) {
		return nil
	}
	return err
}

func (w *walk) addGrant(raw []byte, kind string, app *wireApp) (reason string) {
	var g wireGrant
	if err := decode(raw, &g); err != nil {
		return err.Error()
	}
	if g.ID == "" {
		return "the grant has no id"
	}
	row := schemas.AppGrant{Raw: alias(raw)}
	mapGrant(&row, &g, kind, app)
	w.page.Rows.AppGrants = append(w.page.Rows.AppGrants, row)
	return ""
}
