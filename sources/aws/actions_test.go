package aws

import (
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources"
)

func TestRevokeKey(t *testing.T) {
	t.Parallel()
	f := newFakeIAM(t)
	s := governed(t, f, nil)
	r := request(sources.RevokeKey, sources.TargetCredential, anayaKey)
	e := carryOut(t, s, r)
	require.Equal(t, []string{"AccessKeyId=" + anayaKey + "&Action=UpdateAccessKey&Status=Inactive&UserName=anaya&Version=2010-05-08"}, f.written())
	require.Equal(t, map[string]bool{"us-east-1/iam/aws4_request": true, "eu-central-1/sts/aws4_request": true}, f.scopes)
	require.Equal(t, "req-1", e.Steps[0].Receipt.Ref)
	require.JSONEq(t, `{"status":"Active"}`, string(e.Before))
	p, err := s.Plan(t.Context(), r)
	require.NoError(t, err)
	require.Empty(t, p.Steps, "a repeat does nothing")

	undo(t, s, e)
	require.Equal(t, []string{"AccessKeyId=" + anayaKey + "&Action=UpdateAccessKey&Status=Active&UserName=anaya&Version=2010-05-08"}, f.written())
	f.set(func() { delete(f.keys, anayaKey) })
	_, err = s.Undo(t.Context(), e)
	require.Error(t, err, "it was deleted since")
	out, err := s.Check(t.Context(), e.Steps[0].Step, e.Steps[0].Receipt)
	require.NoError(t, err)
	require.Equal(t, sources.Unknown, out)
	require.Empty(t, f.written())
}

func TestDeleteKey(t *testing.T) {
	t.Parallel()
	f := newFakeIAM(t)
	s := governed(t, f, nil)
	_, err := s.Plan(t.Context(), request(sources.RevokeKey, sources.TargetCredential, anayaKey, "mode", "delete"))
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
	r := request(sources.RevokeKey, sources.TargetCredential, idleKey, "mode", "delete")
	p, err := s.Plan(t.Context(), r)
	require.NoError(t, err)
	require.NotEmpty(t, p.NoUndo)
	require.True(t, p.Target.Privileged, "it is approved by a person")
	f.set(func() { f.keys[idleKey] = [2]string{"anaya", "Active"} })
	_, err = s.Do(t.Context(), p.Steps[0])
	require.Equal(t, fault.Permanent, fault.Of(err), "somebody has activated it: %v", err)
	require.Empty(t, f.written())
	f.set(func() { f.keys[idleKey] = [2]string{"anaya", "Inactive"} })
	e := carryOut(t, s, r)
	require.Equal(t, []string{"AccessKeyId=" + idleKey + "&Action=DeleteAccessKey&UserName=anaya&Version=2010-05-08"}, f.written())
	_, err = s.Undo(t.Context(), e)
	require.Error(t, err)
}

// Who is acted on is told with all the names, and the agent itself never is.
func TestActionSubjects(t *testing.T) {
	t.Parallel()
	f := newFakeIAM(t)
	s := governed(t, f, nil)
	plan := func(key string) (*sources.Plan, error) {
		return s.Plan(t.Context(), request(sources.RevokeKey, sources.TargetCredential, key))
	}
	p, err := plan(anayaKey)
	require.NoError(t, err)
	require.False(t, p.Target.Self)
	require.Equal(t, []sources.Subject{{
		Kind: sources.TargetAccount, ID: anaya, Name: "anaya", Aliases: []string{"arn:aws:iam::" + ownAccount + ":user/anaya", "anaya"}, Logins: []string{"anaya"},
		Emails: []string{"anaya@acme.example"}, Groups: []string{"AGPAREADERS", "Readers"}, Roles: []string{"inline:read"},
	}}, p.Also)
	p, err = plan(bossKey)
	require.NoError(t, err)
	require.True(t, p.Also[0].Privileged, "an administrator through a group")
	require.Contains(t, p.Also[0].Roles, "AdministratorAccess")
	p, err = plan(weirKey)
	require.NoError(t, err)
	require.True(t, p.Target.Self)
	require.True(t, p.Also[0].Self)
	require.True(t, p.Also[0].Privileged, "the policy is not in the answer")
	_, err = plan(rootKey)
	require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
	require.ErrorContains(t, err, "root")
	_, err = plan("AKIAEXAMPLENOBODY001")
	require.Equal(t, fault.Forbidden, fault.Of(err), "IAM refuses what is another account's: %v", err)
}

// Another account is reached by assuming the role there, and only so.
func TestActionAccounts(t *testing.T) {
	t.Parallel()
	f := newFakeIAM(t)
	other := request(sources.RevokeKey, sources.TargetCredential, anayaKey, "account", "444455556666")
	_, err := governed(t, f, nil).Plan(t.Context(), other)
	require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
	require.ErrorContains(t, err, "actions.role")

	f.set(func() { f.caller[1] = "arn:aws-cn:iam::" + ownAccount + ":user/weir" })
	s := governed(t, f, func(c *Config) { c.Actions.Role, c.Auth.ExternalID = "WeirGovern", "ext-1" })
	_, err = s.Plan(t.Context(), other)
	require.Equal(t, fault.Permanent, fault.Of(err), "it answers for another account: %v", err)
	require.ErrorContains(t, err, "arn:aws-cn:iam::444455556666:role/WeirGovern")
	f.written()
	f.set(func() { f.caller[1] = "arn:aws:iam::" + ownAccount + ":user/weir" })
	f.set(func() {
		f.assumed = [3]string{"444455556666", "arn:aws:sts::444455556666:assumed-role/WeirGovern/weir-acme", "AROAEXAMPLE:weir-acme"}
	})
	e := carryOut(t, s, other)
	writes := f.written()
	require.Len(t, writes, 2)
	assume, err := url.ParseQuery(writes[0])
	require.NoError(t, err)
	require.Equal(t, url.Values{
		"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::444455556666:role/WeirGovern"}, "RoleSessionName": {"weir-acme"}, "ExternalId": {"ext-1"}, "DurationSeconds": {"900"},
	}, assume)
	require.Contains(t, writes[1], "Action=UpdateAccessKey")
	require.Contains(t, string(e.Steps[0].Step.Args), `"account":"444455556666"`)
	undo(t, s, e)
	// Who assumes the role is the agent, too.
	p, err := s.Plan(t.Context(), request(sources.RevokeKey, sources.TargetCredential, weirKey, "account", "444455556666"))
	require.NoError(t, err)
	require.True(t, p.Target.Self)
	require.True(t, p.Also[0].Self)
	p, err = governed(t, f, func(c *Config) { c.Auth.RoleARN = "arn:aws:iam::444455556666:role/WeirGovern" }).Plan(t.Context(), request(sources.SuspendUser, sources.TargetAccount, weirUser))
	require.NoError(t, err)
	require.True(t, p.Target.Self)
	f.set(func() { f.refuse["AssumeRole"] = [2]string{"AccessDenied", "403"} })
	_, err = governed(t, f, func(c *Config) { c.Actions.Role = "WeirGovern" }).Plan(t.Context(), other)
	require.Error(t, err)
	require.ErrorContains(t, err, "role/WeirGovern")
}

// A write is sent once, whatever becomes of it, and its error says what it means.
func TestActionErrors(t *testing.T) {
	t.Parallel()
	for code, class := range map[string]fault.Class{
		"NoSuchEntity": fault.BadData, "ValidationError": fault.BadData, "LimitExceeded": fault.Permanent, "UnmodifiableEntity": fault.Permanent,
		"EntityTemporarilyUnmodifiable": fault.Throttled, "ConcurrentModification": fault.Throttled, "Throttling": fault.Throttled,
		"AccessDenied": fault.Forbidden, "InvalidClientTokenId": fault.Auth, "ServiceFailure": fault.Transient, "ExpiredToken": fault.Transient,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			f := newFakeIAM(t)
			s := governed(t, f, nil)
			p, err := s.Plan(t.Context(), request(sources.RevokeKey, sources.TargetCredential, anayaKey))
			require.NoError(t, err)
			f.set(func() { f.refuse["UpdateAccessKey"], f.asked = [2]string{code, "400"}, nil })
			_, err = s.Do(t.Context(), p.Steps[0])
			require.Equal(t, class, fault.Of(err), "%v", err)
			if class == fault.Forbidden {
				require.ErrorContains(t, err, "iam:UpdateAccessKey")
			}
			require.Equal(t, []string{"GetCallerIdentity", "UpdateAccessKey"}, f.asked)
		})
	}
	f := newFakeIAM(t)
	s := governed(t, f, nil)
	p, err := s.Plan(t.Context(), request(sources.RevokeKey, sources.TargetCredential, anayaKey))
	require.NoError(t, err)
	f.set(func() { f.lose = true })
	_, err = s.Do(t.Context(), p.Steps[0])
	require.Equal(t, fault.Transient, fault.Of(err), "%v", err)
	require.Len(t, f.written(), 1)
	out, err := s.Check(t.Context(), p.Steps[0], sources.Receipt{})
	require.NoError(t, err)
	require.Equal(t, sources.Done, out)
}

func TestActionProbe(t *testing.T) {
	t.Parallel()
	f := newFakeIAM(t)
	s := governed(t, f, nil)
	for _, a := range actions {
		require.NoError(t, a.Validate())
	}
	require.NoError(t, s.Probe(t.Context(), "actions/revoke_key"))
	require.Error(t, s.Probe(t.Context(), "actions/none"))
	f.set(func() { f.refuse["GetAccountAuthorizationDetails"] = [2]string{"AccessDenied", "403"} })
	err := s.Probe(t.Context(), "actions/revoke_key")
	require.Equal(t, fault.Forbidden, fault.Of(err), "%v", err)
	require.ErrorContains(t, err, "iam:GetAccountAuthorizationDetails")
	require.Empty(t, f.written())
}

// IAM's place and the region that requests are signed for follow the partition.
func TestPartitions(t *testing.T) {
	t.Parallel()
	for partition, want := range map[string]string{
		"aws": "iam.amazonaws.com", "aws-cn": "iam.cn-north-1.amazonaws.com.cn", "aws-us-gov": "iam.us-gov.amazonaws.com", "aws-eusc": "iam.eusc-de-east-1.amazonaws.eu",
	} {
		o := (&account{partition: partition, cfg: &Config{}, sdk: aws.Config{Region: "elsewhere-1"}}).iam().Options()
		e, err := o.EndpointResolverV2.ResolveEndpoint(t.Context(), iam.EndpointParameters{Region: &o.Region})
		require.NoError(t, err)
		require.Equal(t, want, e.URI.Host)
		require.Equal(t, iamRegions[partition], o.Region)
		require.True(t, regionID.MatchString(o.Region))
	}
}

func TestIsAdmin(t *testing.T) {
	t.Parallel()
	allow := func(action string) string { return `{"Statement":[{"Effect":"Allow","Action":` + action + `}]}` }
	for document, want := range map[string]bool{
		"": true, "{": true, `{"Statement":[]}`: true, `{"Statement":["x"]}`: true, readOnly: false, percent(readOnly): false, denyAll: false,
		allow(`"*"`): true, allow(`"*:*"`): true, allow(`["s3:*","iam:Put*"]`): true, allow(`"IAM:*"`): true, allow(`"s3:*"`): false, allow(`"iam:ChangePassword"`): false, allow(`"iam:GetUser"`): false,
		`{"Statement":{"Effect":"Allow","NotAction":"s3:*"}}`: true,
	} {
		require.Equal(t, want, isAdmin(document), document)
	}
}

func TestActionsConfig(t *testing.T) {
	t.Parallel()
	cfg := Connector.Config().(*Config)
	cfg.CloudTrail.URL = "file:///trail"
	cfg.Endpoints = Endpoints{IAM: "iam.example.com", STS: "ftp://x", S3: "https://s3.example.com"}
	cfg.Actions = Actions{Region: "Frankfurt", Role: "arn:aws:iam::111122223333:role/x", Quarantine: "Bad_Bucket", QuarantineOwner: "1"}
	var keys []string
	for _, e := range cfg.Validate() {
		keys = append(keys, e.Key)
	}
	require.Equal(t, "endpoints.iam endpoints.sts actions.region actions.role actions.quarantine actions.quarantine_owner", strings.Join(keys, " "))
}
