package okta

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// Paths that only actions use.
const (
	pathSuspend       = "/api/v1/users/{id}/lifecycle/suspend"
	pathUnsuspend     = "/api/v1/users/{id}/lifecycle/unsuspend"
	pathExpire        = "/api/v1/users/{id}/lifecycle/expire_password"
	pathReset         = "/api/v1/users/{id}/lifecycle/reset_password"
	pathSessions      = "/api/v1/users/{id}/sessions"
	pathUserGroups    = "/api/v1/users/{id}/groups"
	pathUserRole      = "/api/v1/users/{id}/roles/{role}"
	pathUserGrant     = "/api/v1/users/{id}/grants/{grant}"
	pathUserClients   = "/api/v1/users/{id}/clients"
	pathUserTokens    = "/api/v1/users/{id}/clients/{client}/tokens"
	pathGroupUser     = "/api/v1/groups/{id}/users/{user}"
	pathApp           = "/api/v1/apps/{id}"
	pathAppGrant      = "/api/v1/apps/{id}/grants/{grant}"
	pathAppToken      = "/api/v1/apps/{id}/tokens/{token}"
	pathAppDeactivate = "/api/v1/apps/{id}/lifecycle/deactivate"
	pathAppActivate   = "/api/v1/apps/{id}/lifecycle/activate"
	pathAPIToken      = "/api/v1/api-tokens/{id}"
	pathIntegration   = "/integrations/api/v1/api-services/{id}"
)

const (
	signOutDelay = 2 * time.Minute // the System Log's, which alone shows the end of sessions
	signOutBack  = 89 * day        // how far the log is searched
	readOnlyWait = time.Minute     // while the organization takes no writes
)

// args are a step's: what is done, to what.
type args struct {
	Op          string `json:"op"`
	User        string `json:"user,omitempty"`
	Group       string `json:"group,omitempty"`
	App         string `json:"app,omitempty"`
	ID          string `json:"id,omitempty"` // of the grant, token or role assignment
	Type        string `json:"type,omitempty"`
	Role        string `json:"role,omitempty"`
	ResourceSet string `json:"resource_set,omitempty"`
	Scope       string `json:"scope,omitempty"`
	// Was is what tells the effect from what was there before: the last change
	// of the password, the last event of sessions that ended.
	Was string `json:"was,omitempty"`
}

// Ops of steps.
const (
	opSuspend     = "suspend"
	opUnsuspend   = "unsuspend"
	opExpire      = "expire_password"
	opReset       = "reset_password"
	opSignOut     = "sign_out"
	opLeave       = "leave_group"
	opJoin        = "join_group"
	opUnassign    = "unassign_role"
	opAssign      = "assign_role"
	opConsents    = "revoke_consents"
	opConsent     = "revoke_consent"
	opTokens      = "revoke_tokens"
	opToken       = "revoke_token"
	opScope       = "revoke_scope"
	opGrantScope  = "grant_scope"
	opIntegration = "delete_integration"
	opAPIToken    = "delete_api_token"
	opDeactivate  = "deactivate_app"
	opActivate    = "activate_app"
)

// op is one kind of write.
type op struct {
	scope   string // OAuth scope that it needs
	inverse string // op that takes it back; "" none
	request func(s *session, a *args) (*httpx.Request, error)
	check   func(ctx context.Context, s *session, a *args) (bool, error)
}

// ops returns the op of a name; nil: there is none.
func opOf(name string) *op {
	post := func(path string, query url.Values, ids func(*args) []string) func(*session, *args) (*httpx.Request, error) {
		return func(_ *session, a *args) (*httpx.Request, error) {
			return &httpx.Request{Method: http.MethodPost, Path: httpx.P(path, ids(a)...), Query: query}, nil
		}
	}
	remove := func(path string, query url.Values, ids func(*args) []string) func(*session, *args) (*httpx.Request, error) {
		return func(_ *session, a *args) (*httpx.Request, error) {
			return &httpx.Request{Method: http.MethodDelete, Path: httpx.P(path, ids(a)...), Query: query}, nil
		}
	}
	user := func(a *args) []string { return []string{a.User} }
	app := func(a *args) []string { return []string{a.App} }
	switch name {
	case opSuspend:
		return &op{manageUsers, opUnsuspend, post(pathSuspend, nil, user), hasStatus("SUSPENDED")}
	case opUnsuspend:
		return &op{manageUsers, opSuspend, post(pathUnsuspend, nil, user), isAwake}
	case opExpire:
		return &op{manageUsers, "", post(pathExpire, nil, user), passwordVoid("PASSWORD_EXPIRED")}
	case opReset:
		// With sendEmail=false the answer would be a link that sets a password.
		return &op{manageUsers, "", post(pathReset, url.Values{"sendEmail": {"true"}, "revokeSessions": {"true"}}, user), passwordVoid("RECOVERY")}
	case opSignOut:
		return &op{manageUsers, "", remove(pathSessions, url.Values{"oauthTokens": {"true"}, "forgetDevices": {"true"}}, user), signedOut}
	case opLeave:
		return &op{manageGroups, opJoin, remove(pathGroupUser, nil, func(a *args) []string { return []string{a.Group, a.User} }), not(isMember)}
	case opJoin:
		return &op{manageGroups, opLeave, func(_ *session, a *args) (*httpx.Request, error) {
			return &httpx.Request{Method: http.MethodPut, Path: httpx.P(pathGroupUser, a.Group, a.User)}, nil
		}, isMember}
	case opUnassign:
		return &op{manageRoles, opAssign, remove(pathUserRole, nil, func(a *args) []string { return []string{a.User, a.ID} }), not(holdsRole)}
	case opAssign:
		return &op{manageRoles, "", assignRole, holdsRole}
	case opConsents:
		return &op{manageUsers, "", remove(pathUserGrants, nil, user), func(ctx context.Context, s *session, a *args) (bool, error) {
			return s.none(ctx, httpx.P(pathUserGrants, a.User))
		}}
	case opConsent:
		return &op{manageUsers, "", remove(pathUserGrant, nil, func(a *args) []string { return []string{a.User, a.ID} }), notListed(pathUserGrants, user)}
	case opTokens:
		return &op{manageUsers, "", remove(pathUserTokens, nil, func(a *args) []string { return []string{a.User, a.App} }), func(ctx context.Context, s *session, a *args) (bool, error) {
			return s.none(ctx, httpx.P(pathUserTokens, a.User, a.App))
		}}
	case opToken:
		return &op{manageApps, "", remove(pathAppToken, nil, func(a *args) []string { return []string{a.App, a.ID} }), notListed(pathAppTokens, app)}
	case opScope:
		return &op{manageAppGrants, opGrantScope, remove(pathAppGrant, nil, func(a *args) []string { return []string{a.App, a.ID} }), notListed(pathAppGrants, app)}
	case opGrantScope:
		return &op{manageAppGrants, "", grantScope, hasScope}
	case opIntegration:
		return &op{manageIntegrations, "", remove(pathIntegration, nil, app), notListed(pathIntegrations, nil)}
	case opAPIToken:
		return &op{manageAPITokens, "", remove(pathAPIToken, nil, func(a *args) []string { return []string{a.ID} }), notListed(pathAPITokens, nil)}
	case opDeactivate:
		return &op{manageApps, opActivate, post(pathAppDeactivate, nil, app), appIs("INACTIVE")}
	case opActivate:
		return &op{manageApps, opDeactivate, post(pathAppActivate, nil, app), appIs("ACTIVE")}
	}
	return nil
}

// step makes a step of a plan.
func step(name, doc string, a args) sources.Step {
	return sources.Step{Name: name, Doc: doc, Args: encode(a)}
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // structs of texts
	}
	return b
}

func decodeStep(st sources.Step) (*args, *op, error) {
	a := &args{}
	if err := json.Unmarshal(st.Args, a); err != nil {
		return nil, nil, fault.New(fault.Permanent, "step %q: %w", st.Name, err)
	}
	o := opOf(a.Op)
	if o == nil {
		return nil, nil, fault.New(fault.Permanent, "step %q: okta has no %q: it was planned by another version", st.Name, a.Op)
	}
	return a, o, nil
}

// Do implements sources.Governor. Answers are not looked at: some hold secrets.
func (s *session) Do(ctx context.Context, st sources.Step) (sources.Receipt, error) {
	a, o, err := decodeStep(st)
	if err != nil {
		return sources.Receipt{}, err
	}
	req, err := o.request(s, a)
	if err != nil {
		return sources.Receipt{}, err
	}
	req.Once = true
	resp, err := s.client.Do(ctx, req)
	switch {
	case err == nil:
		return sources.Receipt{Ref: cut(resp.Header.Get("X-Okta-Request-Id"), 256)}, nil
	case httpx.CodeOf(err) == "E0000010" && httpx.StatusOf(err) == http.StatusServiceUnavailable:
		return sources.Receipt{}, fault.After(fault.Throttled, readOnlyWait, "the organization is in read-only mode: %w", err)
	}
	return sources.Receipt{}, naming(err, o.scope)
}

// naming adds to a refusal what to grant.
func naming(err error, scope string) error {
	if fault.Of(err) != fault.Forbidden {
		return err
	}
	return fault.New(fault.Forbidden, "%w; it takes the scope %s", err, scope)
}

// Check implements sources.Governor.
func (s *session) Check(ctx context.Context, st sources.Step, _ sources.Receipt) (sources.Outcome, error) {
	a, o, err := decodeStep(st)
	if err != nil {
		return sources.Unknown, err
	}
	done, err := o.check(ctx, s, a)
	switch {
	case isGone(err):
		return sources.Unknown, nil // what it was done to is gone, or out of sight
	case err != nil:
		return sources.Unknown, err
	case done:
		return sources.Done, nil
	}
	return sources.NotDone, nil
}

type check = func(ctx context.Context, s *session, a *args) (bool, error)

func not(f check) check {
	return func(ctx context.Context, s *session, a *args) (bool, error) {
		ok, err := f(ctx, s, a)
		return !ok && err == nil, err
	}
}

func hasStatus(want text) check {
	return func(ctx context.Context, s *session, a *args) (bool, error) {
		u, err := s.user(ctx, a.User)
		return err == nil && u.Status == want, err
	}
}

func isAwake(ctx context.Context, s *session, a *args) (bool, error) {
	u, err := s.user(ctx, a.User)
	return err == nil && u.Status != "SUSPENDED" && u.Status != "DEPROVISIONED", err
}

// passwordVoid tells whether a password has to be set, or was set since.
func passwordVoid(status text) check {
	return func(ctx context.Context, s *session, a *args) (bool, error) {
		u, err := s.user(ctx, a.User)
		return err == nil && (u.Status == status || string(u.PasswordChanged) != a.Was), err
	}
}

// signedOut tells whether sessions have ended since the plan was made. Sessions
// themselves cannot be listed.
func signedOut(ctx context.Context, s *session, a *args) (bool, error) {
	last, err := s.lastSignOut(ctx, a.User)
	return err == nil && last != a.Was, err
}

// lastSignOut is the id of the newest event of ended sessions of a user; ""
// there is none.
func (s *session) lastSignOut(ctx context.Context, user string) (string, error) {
	var events []struct {
		UUID text `json:"uuid"`
	}
	_, err := s.get(ctx, httpx.P(pathLogs), url.Values{
		"filter": {"eventType eq " + quote("user.session.clear") + " and target.id eq " + quote(user)},
		"since":  {formatTime(s.env.Clock.Now().Add(-signOutBack))}, "sortOrder": {"DESCENDING"}, "limit": {"1"},
	}, &events)
	if err != nil || len(events) == 0 {
		return "", naming(err, "okta.logs.read")
	}
	return string(events[0].UUID), nil
}

// quote writes a value of a filter. No id that gets here has anything to escape.
func quote(s string) string {
	out := []byte{'"'}
	for _, c := range []byte(s) {
		if c == '"' || c == '\\' {
			out = append(out, '\\')
		}
		out = append(out, c)
	}
	return string(append(out, '"'))
}

func isMember(ctx context.Context, s *session, a *args) (bool, error) {
	groups, err := s.groupsOf(ctx, a.User)
	return slices.ContainsFunc(groups, func(g wireGroup) bool { return string(g.ID) == a.Group }), err
}

func holdsRole(ctx context.Context, s *session, a *args) (bool, error) {
	roles, err := s.roles(ctx, pathUserRoles, a.User, false)
	return slices.ContainsFunc(roles, func(r heldRole) bool { return isDirect(&r.wire) && sameRole(&r.wire, a) }), err
}

func isDirect(r *wireRole) bool { return r.AssignmentType == "USER" }

func sameRole(r *wireRole, a *args) bool {
	return string(r.Type) == a.Type && string(r.Role) == a.Role && string(r.ResourceSet) == a.ResourceSet
}

func assignRole(_ *session, a *args) (*httpx.Request, error) {
	body := struct {
		Type        string `json:"type"`
		Role        string `json:"role,omitempty"`
		ResourceSet string `json:"resource-set,omitempty"`
	}{a.Type, a.Role, a.ResourceSet}
	return &httpx.Request{Method: http.MethodPost, Path: httpx.P(pathUserRoles, a.User), Body: encode(body)}, nil
}

func grantScope(_ *session, a *args) (*httpx.Request, error) {
	body := struct {
		ScopeID string `json:"scopeId"`
		Issuer  string `json:"issuer"`
	}{a.Scope, a.Was}
	return &httpx.Request{Method: http.MethodPost, Path: httpx.P(pathAppGrants, a.App), Body: encode(body)}, nil
}

func hasScope(ctx context.Context, s *session, a *args) (bool, error) {
	grants, err := s.grantsAt(ctx, httpx.P(pathAppGrants, a.App))
	return slices.ContainsFunc(grants, func(g wireGrant) bool { return string(g.ScopeID) == a.Scope }), err
}

func appIs(status text) check {
	return func(ctx context.Context, s *session, a *args) (bool, error) {
		w, err := s.app(ctx, a.App)
		return err == nil && w.Status == status, err
	}
}

// notListed tells whether a listing shows the step's grant, token or integration
// no more.
func notListed(path string, ids func(*args) []string) check {
	return func(ctx context.Context, s *session, a *args) (bool, error) {
		of := []string(nil)
		if ids != nil {
			of = ids(a)
		}
		grants, err := s.grantsAt(ctx, httpx.P(path, of...))
		want := first(a.ID, a.App)
		return err == nil && !slices.ContainsFunc(grants, func(g wireGrant) bool { return string(g.ID) == want }), err
	}
}

func (s *session) none(ctx context.Context, path httpx.Path) (bool, error) {
	grants, err := s.grantsAt(ctx, path)
	return err == nil && len(grants) == 0, err
}
