package govern_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/agent/govern"
	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// Which events are of the session's own credentials, and writes.
func TestTraceOwn(t *testing.T) { //nolint:paralleltest // it counts allocations
	trace := &sources.Trace{Actors: []string{"AIDA1", "AROA1"}, Clients: []string{"app"}, Credentials: []string{"api_key:1"}, Roles: []string{"WeirGovern"}, Harmless: []string{"token.grant"}}
	require.True(t, trace.Knows())
	require.False(t, (&sources.Trace{Harmless: []string{"x"}}).Knows())
	write := func(change func(*schemas.Activity)) *schemas.Activity {
		a := &schemas.Activity{Access: "write", Outcome: "success", Action: "user.suspend"}
		change(a)
		return a
	}
	for name, a := range map[string]*schemas.Activity{
		"actor":      write(func(a *schemas.Activity) { a.ActorID = "AIDA1" }),
		"session":    write(func(a *schemas.Activity) { a.ActorID = "AROA1:weir-acme" }),
		"client":     write(func(a *schemas.Activity) { a.ClientAppID = "app" }),
		"credential": write(func(a *schemas.Activity) { a.CredentialID = "api_key:1" }),
		"role":       write(func(a *schemas.Activity) { a.EffectiveName = "WeirGovern" }),
		"unknown":    write(func(a *schemas.Activity) { a.ActorID, a.Outcome = "AIDA1", "unknown" }),
	} {
		require.True(t, trace.Own(a), name)
	}
	for name, a := range map[string]*schemas.Activity{
		"nobody":   write(func(*schemas.Activity) {}),
		"another":  write(func(a *schemas.Activity) { a.ActorID = "AIDA2" }),
		"a part":   write(func(a *schemas.Activity) { a.ActorID = "AIDA" }),
		"read":     write(func(a *schemas.Activity) { a.ActorID, a.Access = "AIDA1", "read" }),
		"refused":  write(func(a *schemas.Activity) { a.ActorID, a.Outcome = "AIDA1", "failure" }),
		"harmless": write(func(a *schemas.Activity) { a.ActorID, a.Action = "AIDA1", "token.grant.id" }),
	} {
		require.False(t, trace.Own(a), name)
	}
	a := write(func(a *schemas.Activity) { a.ActorID = "AROA2:somebody" })
	require.Zero(t, testing.AllocsPerRun(100, func() { trace.Own(a) }), "of every event that is collected")
}

// tracer is a session that may not learn whose its credentials are.
type tracer struct {
	sources.Session
	err error
}

func (s tracer) Trace(context.Context) (sources.Trace, error) { return sources.Trace{}, s.err }

// A right that is missing keeps no log from being collected; what may pass is
// waited for.
func TestWatchWithoutRights(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, class := range []fault.Class{fault.Forbidden, fault.NotLicensed, fault.Permanent, fault.BadData} {
		watch, err := b.runner.Watch(t.Context(), "acme", tracer{err: fault.New(class, "no")})
		require.NoError(t, err, class)
		require.Nil(t, watch, class)
	}
	for _, class := range []fault.Class{fault.Transient, fault.Throttled, fault.Auth, fault.Expired} {
		_, err := b.runner.Watch(t.Context(), "acme", tracer{err: fault.New(class, "not now")})
		require.Equal(t, class, fault.Of(err))
	}
}

// Which events an action explains.
func TestExplains(t *testing.T) {
	t.Parallel()
	trace := &sources.Trace{
		Writes: map[sources.Action][]string{sources.SuspendUser: {"user.suspend"}}, Undoes: map[sources.Action][]string{sources.SuspendUser: {"user.unsuspend"}},
		Beside: map[sources.Action][]string{sources.SignOutUser: {"token.revoke"}},
	}
	plan := &sources.Plan{
		Target: sources.Subject{ID: "u1", Name: "Ann Lee", Logins: []string{"ann@acme.example"}, Aliases: []string{"arn:aws:iam::1:user/ann"}},
		Also:   []sources.Subject{{ID: "g1"}},
	}
	of := func(a sources.Action) sources.ActionRequest {
		return sources.ActionRequest{Action: a, Target: "u1", Params: map[string]string{"group": "g2"}}
	}
	f := func(want bool, a sources.Action, undoes bool, event string, ids ...string) {
		t.Helper()
		require.Equal(t, want, govern.Explains(trace, of(a), plan, undoes, event, ids, nil), "%s shows as %s on %v", a, event, ids)
	}
	f(true, sources.SuspendUser, false, "user.suspend", "u1")
	f(true, sources.SuspendUser, false, "user.suspend", "other", "ANN@acme.example")
	f(true, sources.SuspendUser, false, "user.suspend")
	f(false, sources.SuspendUser, false, "user.suspend", "u2")
	f(false, sources.SuspendUser, false, "user.delete", "u1")
	f(true, sources.SuspendUser, true, "user.unsuspend", "u1")
	f(false, sources.SuspendUser, true, "user.suspend", "u1")
	f(true, sources.RemoveMember, false, "whatever", "g2")
	f(true, sources.RemoveMember, false, "whatever", "g1")
	f(true, sources.RemoveMember, false, "whatever", "ann")
	f(false, sources.RemoveMember, false, "whatever", "an")
	f(false, sources.RemoveMember, false, "whatever", "joann")
	f(true, sources.SignOutUser, false, "token.revoke", "token:9")
	f(false, sources.SuspendUser, false, "token.revoke", "token:9")
	named := func(name string) bool {
		return govern.Explains(trace, of(sources.RemoveMember), plan, false, "whatever", []string{"u9"}, []string{name})
	}
	require.True(t, named("ann@acme.example"), "a login is one account's")
	require.False(t, named("Ann Lee"), "two may be called so")
	require.False(t, govern.Explains(trace, of(sources.SuspendUser), nil, false, "user.suspend", nil, nil), "what has no plan has written nothing")
}
