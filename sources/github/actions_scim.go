package github

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

const (
	scimType = "application/scim+json"
	scimPage = 100

	pathIdentities       = "/scim/v2/enterprises/{enterprise}/Users"
	pathIdentity         = "/scim/v2/enterprises/{enterprise}/Users/{scim_user_id}"
	pathServerIdentities = "/scim/v2/Users"
	pathServerIdentity   = "/scim/v2/Users/{scim_user_id}"
)

// wireSCIM is a person whom an identity provider has provisioned.
type wireSCIM struct {
	ID       scalar      `json:"id"`
	UserName string      `json:"userName"`
	Active   *bool       `json:"active"`
	Emails   []wireEmail `json:"emails"`
}

// planIdentity plans the suspension of the account of a managed user.
func (s *session) planIdentity(ctx context.Context, r sources.ActionRequest, u *person) (*sources.Plan, error) {
	if r.Action == sources.UnsuspendUser {
		return nil, fault.New(fault.Permanent, "github: a suspended account's login and addresses are obfuscated: which SCIM identity is its own cannot be told. Undo the action that suspended it, or have the identity provider do it")
	}
	if u.state != "active" {
		return nil, fault.New(fault.BadData, "github: account %s (%s) is no member of the organization", u.ID, u.Login)
	}
	w, in, err := s.scimOf(ctx, u)
	if err != nil {
		return nil, err
	}
	p := &sources.Plan{Target: u.subject, Before: encode(before{Active: w.Active})}
	p.Target.Aliases = append(p.Target.Aliases, string(w.ID))
	for _, e := range append(scimAddresses(w), p.Target.Emails...) {
		p.Target.Emails = compact(append(p.Target.Emails, e)...)
	}
	if !*w.Active {
		return p, nil
	}
	p.Diff = []sources.Change{{What: "SCIM identity " + w.UserName + " of " + u.Login, Before: "active", After: "not active"}}
	p.Steps = []sources.Step{makeStep(opDeactivate, "deactivate the SCIM identity", args{Op: opDeactivate, Account: r.Target, Login: u.Login, ID: string(w.ID), Enterprise: in})}
	return p, nil
}

// scimOf finds the SCIM identity of an account: the one with an address of its,
// else the one from whose name GitHub has made the login. enterprise is the slug
// under which it was found, "" where the server has none.
func (s *session) scimOf(ctx context.Context, u *person) (w *wireSCIM, enterprise string, err error) {
	enterprise = s.cfg.Enterprise
	all, err := s.scimUsers(ctx, enterprise)
	if s.urls.server && enterprise != "" && statusOf(err) == http.StatusNotFound {
		// GitHub's pages and its specification differ in a server's path.
		enterprise = ""
		all, err = s.scimUsers(ctx, enterprise)
	}
	if err != nil {
		return nil, "", naming(err, rightSCIM)
	}
	var byAddress, byName []*wireSCIM
	for i := range all {
		if slices.ContainsFunc(scimAddresses(&all[i]), func(e string) bool { return slices.Contains(u.emails, e) }) {
			byAddress = append(byAddress, &all[i])
		}
		if strings.EqualFold(loginOf(all[i].UserName), stem(u.Login, s.urls.server)) {
			byName = append(byName, &all[i])
		}
	}
	found := byAddress
	if len(found) == 0 {
		found = byName
	}
	if len(found) != 1 {
		return nil, "", fault.New(fault.Permanent, "github: %d SCIM identities may be %s: it takes exactly one", len(found), u.Login)
	}
	if found[0].Active == nil {
		return nil, "", fault.New(fault.BadData, "github: SCIM identity %s does not tell whether it is active", found[0].ID)
	}
	return found[0], enterprise, nil
}

func scimAddresses(w *wireSCIM) []string {
	all := []string{w.UserName}
	for _, e := range w.Emails {
		all = append(all, e.Value)
	}
	return addresses(all...)
}

// loginOf is what GitHub makes of an identity's name: what is in front of the @,
// with dashes for what is neither letter nor digit.
func loginOf(userName string) string {
	name, _, _ := strings.Cut(userName, "@")
	var b strings.Builder
	for _, c := range []byte(name) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			b.WriteByte(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return strings.TrimSuffix(b.String(), "-")
}

// stem is a managed user's login without the enterprise's short code, which
// servers do not add.
func stem(login string, server bool) string {
	if i := strings.LastIndexByte(login, '_'); i > 0 && !server {
		return login[:i]
	}
	return login
}

func scimHeader() http.Header { return http.Header{"Accept": {scimType}} }

func (s *session) scimUsers(ctx context.Context, enterprise string) (all []wireSCIM, err error) {
	path := httpx.P(pathServerIdentities)
	if enterprise != "" {
		path = httpx.P(pathIdentities, enterprise)
	}
	for start := 1; ; {
		r, err := s.rest.Do(ctx, &httpx.Request{Path: path, Header: scimHeader(), Query: url.Values{"startIndex": {strconv.Itoa(start)}, "count": {strconv.Itoa(scimPage)}}})
		if err != nil {
			return nil, err
		}
		var body struct {
			Total     int        `json:"totalResults"`
			Resources []wireSCIM `json:"Resources"`
		}
		if err := httpx.Decode(r, &body); err != nil {
			return nil, err
		}
		all = append(all, body.Resources...)
		start += len(body.Resources)
		if len(body.Resources) == 0 || start > body.Total {
			return all, nil
		}
	}
}

func scimPath(a *args) httpx.Path {
	if a.Enterprise == "" {
		return httpx.P(pathServerIdentity, a.ID)
	}
	return httpx.P(pathIdentity, a.Enterprise, a.ID)
}

func hasActive(want bool) check {
	return func(ctx context.Context, s *session, a *args) (bool, error) {
		r, err := s.rest.Do(ctx, &httpx.Request{Path: scimPath(a), Header: scimHeader()})
		if err != nil {
			return false, err
		}
		var w wireSCIM
		if err := httpx.Decode(r, &w); err != nil {
			return false, err
		}
		if string(w.ID) != a.ID || w.Active == nil {
			return false, fault.New(fault.BadData, "%s: another identity was returned, or it does not tell whether it is active", r.Endpoint)
		}
		return *w.Active == want, nil
	}
}

// setActive patches an identity by its own id, which no rename changes.
func setActive(active bool) func(context.Context, *session, *args) (*httpx.Request, error) {
	type value struct {
		Active bool `json:"active"`
	}
	type operation struct {
		Op    string `json:"op"`
		Value value  `json:"value"`
	}
	type patch struct {
		Schemas    []string    `json:"schemas"`
		Operations []operation `json:"Operations"`
	}
	return func(_ context.Context, s *session, a *args) (*httpx.Request, error) {
		if !s.cfg.Actions.SCIM {
			return nil, fault.New(fault.Permanent, "github: actions.scim is not set any more")
		}
		return &httpx.Request{
			Method: http.MethodPatch, Path: scimPath(a), Header: scimHeader(),
			Body: encode(patch{[]string{"urn:ietf:params:scim:api:messages:2.0:PatchOp"}, []operation{{"replace", value{active}}}}),
		}, nil
	}
}
