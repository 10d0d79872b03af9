package github

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// credentials walks what members, or one of them, have authorized for single
// sign-on, until found says that it has seen enough. The listing has no links:
// it ends with an empty page.
func (s *session) credentials(ctx context.Context, login string, found func(*wireCredential) bool) error {
	for n := 1; ; n++ {
		q := url.Values{"per_page": {pageSize}, "page": {itoa(n)}}
		if login != "" {
			q.Set("login", login)
		}
		r, err := s.rest.Do(ctx, &httpx.Request{Path: httpx.P(pathCredentials, s.cfg.Org), Query: q})
		if statusOf(err) == http.StatusNotFound {
			err = s.unlicensed(ctx, err)
		}
		if err != nil {
			return naming(err, rightOrg)
		}
		l, err := elements(r)
		if err != nil {
			return err
		}
		for _, e := range l.elements {
			c := &wireCredential{}
			if err := decode(e, c); err != nil || c.CredentialID == "" {
				return fault.New(fault.BadData, "%s: a credential has an unexpected shape", r.Endpoint)
			}
			if found(c) {
				return nil
			}
		}
		if len(l.elements) == 0 {
			return nil
		}
	}
}

func credentialName(c *wireCredential) string { return first(c.Title, c.Note, c.Type) }

// noCredentialOf tells whether none of a step's credentials is listed any more.
// Those that were authorized since are not looked at.
func noCredentialOf(ctx context.Context, s *session, a *args) (bool, error) {
	if err := s.sameAccount(ctx, a); err != nil {
		return false, err
	}
	ids, left := a.IDs, false
	if a.ID != "" {
		ids = []string{a.ID}
	}
	err := s.credentials(ctx, a.Login, func(c *wireCredential) bool {
		left = slices.Contains(ids, string(c.CredentialID))
		return left
	})
	return !left && err == nil, err
}

// planGrant plans the end of one token's, or key's, access to the organization.
func (s *session) planGrant(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	if strings.HasPrefix(r.Target, "pat:") {
		return s.planPAT(ctx, r)
	}
	var c *wireCredential
	err := s.credentials(ctx, "", func(w *wireCredential) bool {
		if is := r.Target == credentialGrant(w); is {
			c = w
		}
		return c != nil
	})
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, fault.New(fault.BadData, "github: there is no %s", r.Target)
	}
	u, err := s.personByLogin(ctx, c.Login)
	if err != nil {
		return nil, err
	}
	name := clip(credentialName(c))
	return &sources.Plan{
		Target: sources.Subject{Kind: r.Kind, ID: r.Target, Name: name, Aliases: compact("cred:"+string(c.CredentialID), string(c.CredentialID), string(c.AuthorizedID))},
		Also:   []sources.Subject{u.subject},
		Before: encode(before{Credentials: []string{string(c.CredentialID)}}),
		Diff:   []sources.Change{{What: c.Type + " " + name + " of " + u.Login, Before: strings.TrimSpace("authorized " + strings.Join(c.Scopes, " ")), After: "revoked"}},
		Steps:  []sources.Step{makeStep(opRevoke, "revoke the authorization", args{Op: opRevoke, Account: string(u.ID), Login: u.Login, ID: string(c.CredentialID)})},
	}, nil
}

// planPAT plans the end of a fine-grained token's access.
func (s *session) planPAT(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	if s.cfg.Auth.way() != wayApp {
		return nil, fault.New(fault.Forbidden, "github: fine-grained tokens are for GitHub Apps only: configure auth.private_key")
	}
	t, err := s.pat(ctx, func(w *wirePAT) bool { return patGrant(w) == r.Target })
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, fault.New(fault.BadData, "github: there is no %s", r.Target)
	}
	u, err := s.personByID(ctx, string(t.Owner.ID))
	if err != nil {
		return nil, err
	}
	return &sources.Plan{
		Target: sources.Subject{Kind: r.Kind, ID: r.Target, Name: clip(t.TokenName), Aliases: compact("pat:grant:"+string(t.ID), string(t.TokenID))},
		Also:   []sources.Subject{u.subject},
		Before: encode(before{Credentials: []string{string(t.ID)}}),
		Diff:   []sources.Change{{What: "fine-grained token " + clip(t.TokenName) + " of " + u.Login, Before: "access to " + t.Selection + " repositories", After: "revoked"}},
		Steps:  []sources.Step{makeStep(opRevokePAT, "revoke the token's access", args{Op: opRevokePAT, ID: string(t.ID)})},
	}, nil
}

func (s *session) pat(ctx context.Context, is func(*wirePAT) bool) (*wirePAT, error) {
	t, err := find(ctx, s, httpx.P("/orgs/{org}/personal-access-tokens", s.cfg.Org), nil, is)
	return t, naming(err, rightPATs)
}

func noPAT(ctx context.Context, s *session, a *args) (bool, error) {
	t, err := s.pat(ctx, func(w *wirePAT) bool { return string(w.ID) == a.ID })
	return t == nil && err == nil, err
}

// wireServerToken is a token as an Enterprise Server lists it to its
// administrators.
type wireServerToken struct {
	ID  scalar `json:"id"`
	App struct {
		Name string `json:"name"`
	} `json:"app"`
	Scopes []string `json:"scopes"`
	User   wireUser `json:"user"`
}

// planServerToken plans the deletion of a server's token.
func (s *session) planServerToken(ctx context.Context, r sources.ActionRequest, id string) (*sources.Plan, error) {
	if !s.urls.server {
		return nil, fault.New(fault.BadData, "github: only an Enterprise Server's tokens can be deleted: see revoke_grant")
	}
	t, err := s.serverToken(ctx, id)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, fault.New(fault.BadData, "github: the server has no token %s", id)
	}
	u, err := s.personByID(ctx, string(t.User.ID))
	if err != nil {
		return nil, err
	}
	if err := s.ofOrganization(ctx, u); err != nil { // the token of somebody who is not the organization's business
		return nil, err
	}
	return &sources.Plan{
		Target: sources.Subject{Kind: r.Kind, ID: r.Target, Name: clip(t.App.Name), Aliases: []string{id}},
		Also:   []sources.Subject{u.subject},
		Before: encode(before{Credentials: []string{id}}),
		Diff:   []sources.Change{{What: "token " + clip(t.App.Name) + " of " + u.Login, Before: strings.Join(t.Scopes, " "), After: "deleted"}},
		Steps:  []sources.Step{makeStep(opDeleteToken, "delete the token", args{Op: opDeleteToken, ID: id})},
		NoUndo: "a deleted token does not come back: whatever uses it needs another",
	}, nil
}

func (s *session) serverToken(ctx context.Context, id string) (*wireServerToken, error) {
	t, err := find(ctx, s, httpx.P(pathServerTokens), nil, func(t *wireServerToken) bool { return string(t.ID) == id })
	return t, naming(err, rightSite)
}

func noServerToken(ctx context.Context, s *session, a *args) (bool, error) {
	t, err := s.serverToken(ctx, a.ID)
	return t == nil && err == nil, err
}

var errNoEnterprise = fault.New(fault.Permanent, "github: only a GitHub App that is installed on the enterprise can uninstall others: set actions.enterprise and actions.enterprise_installation_id; else an owner does it in the organization's settings, under GitHub Apps")

// planUninstall plans the end of a GitHub App's installation.
func (s *session) planUninstall(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	if s.enterprise == nil {
		return nil, errNoEnterprise
	}
	i, err := s.installation(ctx, func(i *wireInstallation) bool { return string(i.AppID) == r.Target })
	if err != nil {
		return nil, err
	}
	if i == nil {
		return nil, fault.New(fault.BadData, "github: no app %s is installed in the organization", r.Target)
	}
	own := s.cfg.Auth
	return &sources.Plan{
		Target: sources.Subject{
			Kind: r.Kind, ID: r.Target, Name: i.AppSlug, Aliases: compact(i.ClientID, "inst:"+string(i.ID), i.AppSlug+botLogin), Logins: []string{i.AppSlug + botLogin},
			Self: own.AppID == r.Target || own.ClientID != "" && (own.ClientID == i.ClientID || own.ClientID == r.Target),
		},
		Before: encode(before{State: first(i.SuspendedAt, "active"), Credentials: []string{string(i.ID)}}),
		Diff:   []sources.Change{{What: "installation of " + i.AppSlug + " in " + s.cfg.Org, Before: clip(strings.Join(levels(i.Permissions), " ")), After: "uninstalled"}},
		Steps:  []sources.Step{makeStep(opUninstall, "uninstall the app", args{Op: opUninstall, ID: string(i.ID)})},
	}, nil
}

// installation finds an installed App; nil: there is none.
func (s *session) installation(ctx context.Context, is func(*wireInstallation) bool) (*wireInstallation, error) {
	path := httpx.P("/orgs/{org}/installations", s.cfg.Org)
	for link := ""; ; {
		r, err := s.get(ctx, path, withSize(nil), link)
		if err != nil {
			return nil, naming(err, rightUninstall)
		}
		var body struct {
			Installations []wireInstallation `json:"installations"`
		}
		if err := httpx.Decode(r, &body); err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(body.Installations, func(w wireInstallation) bool { return is(&w) }); i >= 0 {
			return &body.Installations[i], nil
		}
		if link, err = s.next(r, path); err != nil || link == "" {
			return nil, err
		}
	}
}

func uninstall(_ context.Context, s *session, a *args) (*httpx.Request, error) {
	return &httpx.Request{Method: http.MethodDelete, Path: httpx.P(pathUninstall, s.cfg.Actions.Enterprise, s.cfg.Org, a.ID)}, nil
}

func noInstallation(ctx context.Context, s *session, a *args) (bool, error) {
	i, err := s.installation(ctx, func(i *wireInstallation) bool { return string(i.ID) == a.ID })
	return i == nil && err == nil, err
}
