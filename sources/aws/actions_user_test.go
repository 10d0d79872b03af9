package aws

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources"
)

// form is the body of a request to IAM.
func form(pairs ...string) string {
	v := url.Values{"Version": {"2010-05-08"}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

func TestSuspend(t *testing.T) {
	t.Parallel()
	f := newFakeIAM(t)
	s := governed(t, f, nil)
	put := form("Action", "PutUserPolicy", "UserName", "anaya", "PolicyName", "WeirDenyAll", "PolicyDocument", denyAll)
	drop := form("Action", "DeleteUserPolicy", "UserName", "anaya", "PolicyName", "WeirDenyAll")
	suspend := request(sources.SuspendUser, sources.TargetAccount, anaya)
	e := carryOut(t, s, suspend)
	require.Equal(t, []string{put}, f.written())
	p, err := s.Plan(t.Context(), suspend)
	require.NoError(t, err)
	require.Empty(t, p.Steps)
	require.Equal(t, anaya, p.Target.ID)
	undo(t, s, e)
	require.Equal(t, []string{drop}, f.written())

	f.set(func() { f.policies["anaya/WeirDenyAll"] = denyAll })
	e = carryOut(t, s, request(sources.UnsuspendUser, sources.TargetAccount, anaya))
	require.Equal(t, []string{drop}, f.written())
	undo(t, s, e)
	require.Equal(t, []string{put}, f.written())

	f.set(func() { f.policies["anaya/WeirDenyAll"] = readOnly })
	for _, a := range []sources.Action{sources.SuspendUser, sources.UnsuspendUser} {
		_, err = s.Plan(t.Context(), request(a, sources.TargetAccount, anaya))
		require.Equal(t, fault.Permanent, fault.Of(err), "somebody else's policy: %v", err)
	}
	_, err = s.Undo(t.Context(), e)
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
	require.ErrorContains(t, err, "left alone")
	_, err = s.Plan(t.Context(), request(sources.SuspendUser, sources.TargetAccount, "AIDAEXAMPLENOBODY001"))
	require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
	require.Empty(t, f.written())
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	f := newFakeIAM(t)
	s := governed(t, f, nil)
	older := func(at string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"` + at + `"}}}]}`
	}
	put := func(document string) string {
		return form("Action", "PutUserPolicy", "UserName", "anaya", "PolicyName", "AWSRevokeOlderSessions", "PolicyDocument", document)
	}
	r := request(sources.SignOutUser, sources.TargetAccount, anaya)
	e := carryOut(t, s, r)
	require.Equal(t, []string{put(older("2026-10-02T08:30:15Z"))}, f.written())
	undo(t, s, e)
	require.Equal(t, []string{form("Action", "DeleteUserPolicy", "UserName", "anaya", "PolicyName", "AWSRevokeOlderSessions")}, f.written())

	f.set(func() { f.policies["anaya/AWSRevokeOlderSessions"] = older("2026-09-01T00:00:00Z") })
	e = carryOut(t, s, r)
	require.Equal(t, []string{put(older("2026-10-02T08:30:15Z"))}, f.written())
	undo(t, s, e)
	require.Equal(t, []string{put(older("2026-09-01T00:00:00Z"))}, f.written())

	f.set(func() { f.policies["anaya/AWSRevokeOlderSessions"] = older("2026-12-01T00:00:00Z") })
	_, err := s.Undo(t.Context(), e)
	require.Equal(t, fault.Permanent, fault.Of(err), "signed out once more since: %v", err)
	out, err := s.Check(t.Context(), e.Steps[0].Step, e.Steps[0].Receipt)
	require.NoError(t, err)
	require.Equal(t, sources.Done, out, "the same sessions are void")
	f.set(func() { f.policies["anaya/AWSRevokeOlderSessions"] = denyAll })
	_, err = s.Plan(t.Context(), r)
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
	require.Empty(t, f.written())
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	f := newFakeIAM(t)
	s := governed(t, f, nil)
	update := func(reset string) string {
		return form("Action", "UpdateLoginProfile", "UserName", "anaya", "PasswordResetRequired", reset)
	}
	e := carryOut(t, s, request(sources.ExpirePassword, sources.TargetAccount, anaya))
	require.Equal(t, []string{update("true")}, f.written())
	undo(t, s, e)
	require.Equal(t, []string{update("false")}, f.written())

	reset := request(sources.ResetPassword, sources.TargetAccount, anaya)
	e = carryOut(t, s, reset)
	require.Equal(t, []string{form("Action", "DeleteLoginProfile", "UserName", "anaya")}, f.written())
	_, err := s.Undo(t.Context(), e)
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
	p, err := s.Plan(t.Context(), reset)
	require.NoError(t, err)
	require.Empty(t, p.Steps)
	_, err = s.Plan(t.Context(), request(sources.ExpirePassword, sources.TargetAccount, anaya))
	require.Equal(t, fault.Permanent, fault.Of(err), "there is no password: %v", err)
	require.Empty(t, f.written())
}

// What is no id of a user or key is refused before anything is asked.
func TestActionTargets(t *testing.T) {
	t.Parallel()
	f := newFakeIAM(t)
	s := governed(t, f, nil)
	for _, id := range []string{
		"", "anaya", ownAccount, "arn:aws:iam::" + ownAccount + ":root", "arn:aws:iam::" + ownAccount + ":user/anaya", anaya + "&Action=DeleteUser", anaya + "\n", " " + anaya, anaya + "\x00",
		"AIDA../../x", "АIDAEXAMPLEANAYA00001", anaya + "%00", "aidaexampleanaya00001", "AROAEXAMPLEROLE000001",
	} {
		for _, r := range []sources.ActionRequest{request(sources.SuspendUser, sources.TargetAccount, id), request(sources.RevokeKey, sources.TargetCredential, id)} {
			_, err := s.Plan(t.Context(), r)
			require.Equal(t, fault.BadData, fault.Of(err), "%q: %v", id, err)
		}
	}
	for _, r := range []sources.ActionRequest{
		request(sources.SuspendUser, sources.TargetAccount, anaya, "account", "1234"), request(sources.SuspendUser, sources.TargetAccount, anaya, "user", "boss"),
		request(sources.SuspendUser, sources.TargetCredential, anayaKey), request(sources.RevokeKey, sources.TargetCredential, anayaKey, "mode", "destroy"), request(sources.DisableApp, sources.TargetApp, "x"),
	} {
		_, err := s.Plan(t.Context(), r)
		require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
	}
	require.Empty(t, f.asked)
	for _, args := range []string{`{`, `{"op":"drop_account","account":"111122223333"}`, `{"op":"activate_key","account":"x"}`, `null`} {
		st := sources.Step{Name: "s", Doc: "d", Args: []byte(args)}
		_, err := s.Do(t.Context(), st)
		require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
		_, err = s.Check(t.Context(), st, sources.Receipt{})
		require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
	}
	require.Empty(t, f.asked)
}
