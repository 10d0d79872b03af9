package googleworkspace

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"time"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

const (
	pathSignOut  = pathUser + "/signOut"
	pathAdminLog = "/admin/reports/v1/activity/users/all/applications/admin"
)

// Ops on users.
const (
	opSuspend   = "suspend"
	opUnsuspend = "unsuspend"
	opSignOut   = "sign_out"
	opReset     = "reset_password"
	opExpire    = "expire_password"
	opKeep      = "keep_password"
)

// Events of the admin log that alone show some ops.
const (
	eventSignedOut = "RESET_SIGNIN_COOKIES"
	eventPassword  = "CHANGE_PASSWORD"
)

func userOp(name string) *op {
	switch name {
	case opSuspend:
		return &op{"suspend the user", scopeUsersWrite, putUser(map[string]bool{"suspended": true}), isSuspended(true), unsuspend}
	case opUnsuspend:
		return &op{"let the user in again", scopeUsersWrite, putUser(map[string]bool{"suspended": false}), isSuspended(false), toggled(opSuspend)}
	case opSignOut:
		return &op{"end the user's sessions", scopeSecurity, signOut, signedOut, nil}
	case opReset:
		return &op{"replace the password with one that nobody knows", scopeUsersWrite, resetPassword, passwordReset, nil}
	case opExpire:
		return &op{"have the password changed at the next sign-in", scopeUsersWrite, putUser(map[string]bool{"changePasswordAtNextLogin": true}), mustReset(true), toggled(opKeep)}
	case opKeep:
		return &op{"ask for no other password", scopeUsersWrite, putUser(map[string]bool{"changePasswordAtNextLogin": false}), mustReset(false), toggled(opExpire)}
	}
	return nil
}

// toggled makes the undoing of an op whose opposite takes the same arguments.
func toggled(name string) func(context.Context, *session, *args, *holder) (*args, error) {
	return func(_ context.Context, _ *session, a *args, _ *holder) (*args, error) {
		back := *a
		back.Op = name
		return &back, nil
	}
}

// unsuspend lets in again whom an administrator, or Weir, has suspended.
func unsuspend(ctx context.Context, s *session, a *args, h *holder) (*args, error) {
	if why := h.user.SuspensionReason; h.user.Suspended && why != "" && why != byAdmin {
		return nil, fault.New(fault.Permanent, "google_workspace: the account is suspended by Google itself by now (%.60q): it is left alone", why)
	}
	return toggled(opUnsuspend)(ctx, s, a, h)
}

// byAdmin is the reason of a suspension by an administrator.
const byAdmin = "ADMIN"

func putUser(body map[string]bool) func(context.Context, *session, *args) (sources.Receipt, error) {
	return func(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
		return govWrite(ctx, s.admin(scopeUsersWrite), put(httpx.P(pathUser, a.User), body))
	}
}

func isSuspended(want bool) func(context.Context, *session, *args) (sources.Outcome, error) {
	return func(ctx context.Context, s *session, a *args) (sources.Outcome, error) {
		u, err := s.govUser(ctx, a.User)
		return doneIf(err == nil && u.Suspended == want, err)
	}
}

// mustReset tells whether a user has to set another password. Who has signed in
// since the plan may have done so.
func mustReset(want bool) func(context.Context, *session, *args) (sources.Outcome, error) {
	return func(ctx context.Context, s *session, a *args) (sources.Outcome, error) {
		u, err := s.govUser(ctx, a.User)
		if err == nil && want && !u.MustReset && u.LastLogin != a.Was {
			return sources.Unknown, nil
		}
		return doneIf(err == nil && u.MustReset == want, err)
	}
}

func signOut(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	return govWrite(ctx, s.admin(scopeSecurity), post(httpx.P(pathSignOut, a.User), nil))
}

// signedOut tells whether the log has an end of sessions that the plan did not
// see.
func signedOut(ctx context.Context, s *session, a *args) (sources.Outcome, error) {
	last, err := s.lastEvent(ctx, eventSignedOut, a.Email)
	return doneIf(err == nil && last > a.Was, err)
}

// resetPassword sets a password that is made here, and that nobody keeps.
func resetPassword(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	password := rand.Text() + rand.Text() + "-aZ9" // all kinds of characters that policies ask for
	s.env.HTTP.Redact(password)
	body := struct {
		Password string `json:"password"`
		Force    bool   `json:"changePasswordAtNextLogin"`
	}{password, true}
	return govWrite(ctx, s.admin(scopeUsersWrite), put(httpx.P(pathUser, a.User), body))
}

// passwordReset goes by the log: a person who has set another password since has
// no flag any more, and one who had the flag before shows it all the same.
func passwordReset(ctx context.Context, s *session, a *args) (sources.Outcome, error) {
	last, err := s.lastEvent(ctx, eventPassword, a.Email)
	return doneIf(err == nil && last > a.Was, err)
}

// logBack is how far the log is searched for what was done before.
const logBack = 30 * 24 * time.Hour

// logEntry is a record of the admin log, as far as checks go by it.
type logEntry struct {
	ID struct {
		Time string `json:"time"`
	} `json:"id"`
	Events []struct {
		Name       string `json:"name"`
		Parameters []struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		} `json:"parameters"`
	} `json:"events"`
}

// about tells whether a record has an event of a user.
func (e *logEntry) about(event, address string) bool {
	for _, ev := range e.Events {
		if ev.Name != event {
			continue
		}
		for _, p := range ev.Parameters {
			if p.Name == "USER_EMAIL" && strings.EqualFold(p.Value, address) {
				return true
			}
		}
	}
	return false
}

// lastEvent is the time of the newest event of a user, as the log has it; ""
// there is none.
func (s *session) lastEvent(ctx context.Context, event, address string) (string, error) {
	entries, err := govList[logEntry](ctx, s, listing{client: s.admin(scopeReports), path: httpx.P(pathAdminLog), query: url.Values{
		"eventName": {event}, "filters": {"USER_EMAIL==" + address}, "maxResults": {"1000"},
		"startTime": {s.env.Clock.Now().Add(-logBack).UTC().Format(logTime)},
	}, kind: "admin#reports#activities", member: "items"})
	if err != nil {
		return "", naming(err, scopeReports)
	}
	last := ""
	for i := range entries {
		if e := &entries[i]; e.about(event, address) && e.ID.Time > last { // all in one form, in UTC
			last = e.ID.Time
		}
	}
	return last, nil
}

const logTime = "2006-01-02T15:04:05.000Z"

// planAccount plans what is done to a user.
func (s *session) planAccount(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	if r.Action == sources.RemoveMember {
		return s.planLeave(ctx, r)
	}
	h, err := s.holder(ctx, r.Target)
	if err != nil {
		return nil, err
	}
	p := &sources.Plan{Target: h.subject, Limits: append(h.limits, h.warnings()...)}
	u, name := &h.user, h.subject.Name
	a := args{User: u.ID}
	var b before
	var change sources.Change
	switch r.Action {
	case sources.RevokeGrant:
		return p, s.planAllGrants(ctx, p, h)
	case sources.RemovePrivilege:
		return p, s.planUnassign(ctx, p, h, r.Params["role"], r.Params["scope"])
	case sources.SuspendUser:
		a.Op, b.Suspended = opSuspend, &u.Suspended
		change = sources.Change{What: "sign-in of " + name, Before: suspended(u.Suspended), After: suspended(true)}
	case sources.UnsuspendUser:
		a.Op, b.Suspended = opUnsuspend, &u.Suspended
		p.Target.LastAdmin = false // it gets one more
		change = sources.Change{What: "sign-in of " + name, Before: suspended(u.Suspended), After: suspended(false)}
	case sources.ExpirePassword:
		a.Op, a.Was, b.MustReset = opExpire, u.LastLogin, &u.MustReset
		change = sources.Change{What: "password of " + name, Before: expired(u.MustReset), After: expired(true)}
	case sources.SignOutUser:
		a.Op, a.Email = opSignOut, u.Email
		a.Was, err = s.lastEvent(ctx, eventSignedOut, u.Email)
		change = sources.Change{What: "sessions of " + name, Before: "may exist", After: "ended"}
	case sources.ResetPassword:
		a.Op, a.Email, b.MustReset = opReset, u.Email, &u.MustReset
		a.Was, err = s.lastEvent(ctx, eventPassword, u.Email)
		change = sources.Change{What: "password of " + name, Before: "known to its person", After: "void: an administrator, or recovery, sets another"}
	default:
		return nil, fault.New(fault.BadData, "google_workspace has no action %s on %s", r.Action, r.Kind)
	}
	if err != nil {
		return nil, err
	}
	p.Before = encode(b)
	if change.Before == change.After {
		return p, nil
	}
	p.Diff = []sources.Change{change}
	p.Steps = []sources.Step{step(a.Op, a)}
	return p, nil
}

func suspended(is bool) string {
	if is {
		return "suspended"
	}
	return "allowed"
}

func expired(is bool) string {
	if is {
		return "to be changed at the next sign-in"
	}
	return "valid"
}

// warnings are about what else has its say in an account.
func (h *holder) warnings() (out []string) {
	u := &h.user
	if u.Suspended && u.SuspensionReason != "" && u.SuspensionReason != byAdmin {
		out = append(out, "Google itself has suspended this account ("+govCut(u.SuspensionReason, 60)+"): it may refuse to let it in.")
	}
	if u.Archived {
		out = append(out, "This account is archived: it cannot sign in, whatever else it is.")
	}
	if u.IsGuest {
		out = append(out, "This account is a guest: what it does at home goes on.")
	}
	return out
}

func govCut(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
