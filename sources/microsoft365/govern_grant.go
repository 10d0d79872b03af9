package microsoft365

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

const (
	pathGrant      = "/v1.0/oauth2PermissionGrants/{id}"
	pathAppHolds   = "/v1.0/servicePrincipals/{id}/appRoleAssignments"
	pathAppRoleOne = "/v1.0/servicePrincipals/{id}/appRoleAssignedTo/{grant}"
)

// Ops on grants and apps.
const (
	opDisableApp   = "disable_app"
	opEnableApp    = "enable_app"
	opRevoke       = "revoke_delegated"
	opGrant        = "grant_delegated"
	opRevokeAppRol = "revoke_app_role"
	opGrantAppRole = "grant_app_role"
)

// apis are the apps that the agent itself works through: Microsoft Graph, the
// Office 365 Management APIs, SharePoint.
var apis = []string{"00000003-0000-0000-c000-000000000000", "c5393580-f805-4401-95e8-94b7a6ef2fc2", "00000003-0000-0ff1-ce00-000000000000"}

func grantOp(name string) *op {
	switch name {
	case opDisableApp:
		return &op{"block the app", []string{mayApps}, setEnabled(false), isEnabled(false), toggled(opEnableApp)}
	case opEnableApp:
		return &op{"allow the app", []string{mayApps}, setEnabled(true), isEnabled(true), toggled(opDisableApp)}
	case opRevoke:
		return &op{"revoke the delegated permissions", []string{mayDelegated}, func(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
			return s.graphWrite(ctx, remove(httpx.P(pathGrant, a.ID)))
		}, granted(false), regrant(opGrant)}
	case opGrant:
		return &op{"grant the delegated permissions again", []string{mayDelegated}, func(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
			return s.graphWrite(ctx, post(httpx.P(pathDelegated), a.Grant))
		}, granted(true), stays("a grant is revoked by revoke_grant")}
	case opRevokeAppRol:
		return &op{"revoke the application permission", []string{mayAppRoles}, func(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
			return s.graphWrite(ctx, remove(httpx.P(pathAppRoleOne, a.Grant.ResourceID, a.ID)))
		}, granted(false), regrant(opGrantAppRole)}
	case opGrantAppRole:
		return &op{"grant the application permission again", []string{mayAppRoles}, func(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
			return s.graphWrite(ctx, post(httpx.P(pathAppRoles, a.Grant.ResourceID), a.Grant))
		}, granted(true), stays("a grant is revoked by revoke_grant")}
	}
	return nil
}

// govGrant is a delegated grant, or an application permission, as it is listed.
type govGrant struct {
	ID string `json:"id"`
	grantArgs
	PrincipalName string `json:"principalDisplayName"`
	ResourceName  string `json:"resourceDisplayName"`
}

// same tells whether a grant is of the same kind to the same, whatever it allows.
func (g *govGrant) same(a *grantArgs) bool {
	return g.ClientID == a.ClientID && g.ConsentType == a.ConsentType && g.PrincipalID == a.PrincipalID && g.ResourceID == a.ResourceID && g.AppRoleID == a.AppRoleID
}

func scopesOf(s string) string { return strings.Join(sortedUnique(strings.Fields(s)), " ") }

// like returns the grants there are in a step's place. Delegated ones are asked
// for by client, where the listing lags less.
func (s *session) like(ctx context.Context, a *args) ([]govGrant, error) {
	list := &httpx.Request{Path: httpx.P(pathDelegated), Query: url.Values{"$filter": {"clientId eq " + odata(a.Grant.ClientID)}}}
	if a.Grant.AppRoleID != "" {
		list = &httpx.Request{Path: httpx.P(pathAppRoles, a.Grant.ResourceID), Query: url.Values{"$top": {"999"}}}
	}
	all, err := govList[govGrant](ctx, s.graph, list)
	return slices.DeleteFunc(all, func(g govGrant) bool { return !g.same(a.Grant) }), err
}

func granted(want bool) checking {
	return func(ctx context.Context, s *session, a *args, _ *kept, _ bool) (sources.Outcome, error) {
		all, err := s.like(ctx, a)
		if err != nil {
			return sources.Unknown, err
		}
		if !want {
			// Another one in its place, granted since, is another's doing.
			return doneIf(!slices.ContainsFunc(all, func(g govGrant) bool { return g.ID == a.ID && scopesOf(g.Scope) == scopesOf(a.Grant.Scope) }), nil)
		}
		return doneIf(slices.ContainsFunc(all, func(g govGrant) bool { return scopesOf(g.Scope) == scopesOf(a.Grant.Scope) }), nil)
	}
}

// regrant gives back what was revoked, unless another was granted in its place.
func regrant(name string) func(context.Context, *session, *args, *kept) (*args, string, error) {
	return func(ctx context.Context, s *session, a *args, _ *kept) (*args, string, error) {
		all, err := s.like(ctx, a)
		if err != nil {
			return nil, "", err
		}
		for _, g := range all {
			if scopesOf(g.Scope) != scopesOf(a.Grant.Scope) {
				return nil, "", fault.New(fault.Permanent, "microsoft365: the app was granted %q there since: it is left alone", scopesOf(g.Scope))
			}
		}
		back := *a
		back.Op = name
		return &back, "", nil
	}
}

// planGrant plans the end of one delegated grant or application permission.
func (s *session) planGrant(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	g := &govGrant{}
	var err error
	if app := r.Params["app"]; app != "" {
		g, err = s.appRole(ctx, app, r.Target)
	} else if err = govGet(ctx, s.graph, &httpx.Request{Path: httpx.P(pathGrant, r.Target)}, g); isGone(err) {
		err = fault.New(fault.BadData, "microsoft365: there is no delegated grant %s; of an application permission, params.app says whose it is", r.Target)
	} else {
		err = naming(err, "Directory.Read.All")
	}
	if err != nil {
		return nil, err
	}
	if g.ID != r.Target {
		return nil, fault.New(fault.BadData, "microsoft365 returned grant %.80q for %q", g.ID, r.Target)
	}
	p := &sources.Plan{Target: sources.Subject{Kind: r.Kind, ID: g.ID, Privileged: g.ConsentType != "Principal"}}
	apps, err := s.appsOf(ctx, g)
	if err != nil {
		return nil, err
	}
	for _, app := range apps {
		p.Target.Name = first(p.Target.Name, app.Name)
		p.Target.Self = p.Target.Self || app.Self
	}
	p.Also = apps
	if g.ConsentType == "Principal" {
		h, err := s.holder(ctx, g.PrincipalID)
		if err != nil && !isGone(err) {
			return nil, err
		}
		if err == nil {
			h.subject.LastAdmin = false // who stays one without the grant
			p.Also = append(p.Also, h.subject)
		}
	}
	s.revoke(p, g)
	p.Before = encode(before{Grants: []govGrant{*g}})
	return p, nil
}

// appsOf are the app that has a grant, and the one that it may reach by it, which
// is not touched itself.
func (s *session) appsOf(ctx context.Context, g *govGrant) (out []sources.Subject, err error) {
	client := first(g.ClientID, g.PrincipalID)
	for _, id := range nonEmpty(client, g.ResourceID) {
		app, err := s.appSubject(ctx, id)
		if err != nil {
			return nil, err
		}
		app.Self = app.Self && id == client
		out = append(out, app)
	}
	return out, nil
}

// appRole reads one of the application permissions that an app holds.
func (s *session) appRole(ctx context.Context, app, id string) (*govGrant, error) {
	all, err := govList[govGrant](ctx, s.graph, &httpx.Request{Path: httpx.P(pathAppHolds, app), Query: url.Values{"$top": {"999"}}})
	if err != nil {
		return nil, naming(err, "Application.Read.All")
	}
	i := slices.IndexFunc(all, func(g govGrant) bool { return g.ID == id && g.PrincipalID == app })
	if i < 0 {
		return nil, fault.New(fault.BadData, "microsoft365: app %s holds no application permission %s", app, id)
	}
	return &all[i], nil
}

// revoke adds the end of a grant to a plan.
func (s *session) revoke(p *sources.Plan, g *govGrant) {
	a := args{Op: opRevoke, ID: g.ID, Grant: &g.grantArgs}
	what := scopesOf(g.Scope)
	switch {
	case g.AppRoleID != "":
		a.Op = opRevokeAppRol
		what = "application permission " + g.AppRoleID + " of " + first(g.ResourceName, g.ResourceID)
	case g.ConsentType == "AllPrincipals":
		what += " for everybody"
	}
	p.Diff = append(p.Diff, sources.Change{What: "grant " + g.ID + " to app " + first(g.ClientID, g.PrincipalName, g.PrincipalID), Before: cut(what), After: "revoked"})
	p.Steps = append(p.Steps, step(a.Op+":"+g.ID, a))
}

// cut keeps a text of a plan within what one may have.
func cut(s string) string {
	const most = 1000
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// planAllGrants plans the end of all that a user has consented to.
func (s *session) planAllGrants(ctx context.Context, p *sources.Plan, h *holder) error {
	id := h.principal.ID
	all, err := govList[govGrant](ctx, s.graph, &httpx.Request{Path: httpx.P(pathDelegated), Query: url.Values{"$filter": {"principalId eq " + odata(id)}}})
	if err != nil {
		return naming(err, "Directory.Read.All")
	}
	slices.SortFunc(all, func(a, b govGrant) int { return strings.Compare(a.ID, b.ID) })
	var b before
	for i := range all {
		if g := &all[i]; g.PrincipalID == id && g.ConsentType == "Principal" {
			apps, err := s.appsOf(ctx, g)
			if err != nil {
				return err
			}
			for _, app := range apps {
				if !slices.ContainsFunc(p.Also, func(o sources.Subject) bool { return o.ID == app.ID && o.Self == app.Self }) {
					p.Also = append(p.Also, app)
				}
			}
			b.Grants = append(b.Grants, *g)
			s.revoke(p, g)
		}
	}
	sorted(p)
	p.Before = encode(b)
	return nil
}

// appSubject is a service principal with all that a rule of protection may name
// it by.
func (s *session) appSubject(ctx context.Context, id string) (sources.Subject, error) {
	sp, err := s.servicePrincipal(ctx, id)
	if isGone(err) {
		return sources.Subject{Kind: sources.TargetApp, ID: id}, nil
	}
	if err != nil {
		return sources.Subject{}, err
	}
	return s.appOf(sp), nil
}

func (s *session) appOf(sp *govPrincipal) sources.Subject {
	return sources.Subject{
		Kind: sources.TargetApp, ID: sp.ID, Name: first(sp.DisplayName, sp.AppID), Aliases: nonEmpty(sp.AppID),
		Self: strings.EqualFold(sp.AppID, s.cfg.Auth.ClientID) || slices.Contains(apis, lower(sp.AppID)),
	}
}

func (s *session) planApp(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	sp, err := s.servicePrincipal(ctx, r.Target)
	if err != nil {
		return nil, err
	}
	h, err := s.holderOf(ctx, sp, true)
	if err != nil {
		return nil, err
	}
	p := &sources.Plan{Target: s.appOf(sp), Before: encode(before{Enabled: sp.Enabled}), Limits: h.limits}
	p.Target.Groups, p.Target.Roles, p.Target.Privileged = h.subject.Groups, h.subject.Roles, h.subject.Privileged
	if allowed(sp.Enabled) == "blocked" {
		return p, nil
	}
	p.Diff = []sources.Change{{What: "use of " + p.Target.Name, Before: allowed(sp.Enabled), After: "blocked"}}
	p.Steps = []sources.Step{step(opDisableApp, args{Op: opDisableApp, ID: sp.ID, App: true})}
	return p, nil
}
