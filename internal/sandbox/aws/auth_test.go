package aws

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/org"
)

func TestSignature(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	wrong := aws.Credentials{AccessKeyID: r.agent.AccessKeyID, SecretAccessKey: "other"}
	nobody := aws.Credentials{AccessKeyID: "nobody", SecretAccessKey: Secret}
	require.Equal(t, "SignatureDoesNotMatch", r.iam(wrong, "ListUsers").get("Code"))
	require.Equal(t, "InvalidClientTokenId", r.iam(nobody, "ListUsers").get("Code"))
	_, err := r.bucketsOf(wrong).ListBuckets(t.Context(), nil)
	require.Equal(t, "SignatureDoesNotMatch", r.code(err))
	_, err = r.bucketsOf(nobody).ListBuckets(t.Context(), nil)
	require.Equal(t, "InvalidAccessKeyId", r.code(err))

	list := url.Values{"Action": {"ListUsers"}, "Version": {"2010-05-08"}}
	require.Equal(t, 200, r.post(r.agent, list, time.Now().Add(-4*time.Minute)).status)
	require.Equal(t, "SignatureDoesNotMatch", r.post(r.agent, list, time.Now().Add(-6*time.Minute)).get("Code"))
	r.Fake.Advance(1000 * time.Hour) // the real clock's time will do, and the sandbox's
	require.Equal(t, 200, r.post(r.agent, list, time.Now()).status)
	require.Equal(t, 200, r.post(r.agent, list, time.Now().Add(1000*time.Hour)).status)
	require.Equal(t, 403, r.post(r.agent, list, time.Now().Add(1001*time.Hour)).status)

	resp, err := http.Post(r.tenant.Base+"/", "application/x-www-form-urlencoded", strings.NewReader(list.Encode())) //nolint:noctx // unsigned
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusForbidden, resp.StatusCode)

	// The wrong region, with the right one in the answer.
	_, err = s3.New(r.s3.Options(), func(o *s3.Options) { o.Region = "eu-west-1" }).HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("acme-data")})
	require.Error(t, err)
}

func TestSTS(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	who, err := r.sts(r.agent).GetCallerIdentity(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, r.h.account, *who.Account)
	require.Equal(t, "arn:aws:iam::"+r.h.account+":user/weir", *who.Arn)

	in := sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + r.h.account + ":role/WeirGovern"), RoleSessionName: aws.String("weir-acme"), ExternalId: aws.String("sandbox-external-id"), DurationSeconds: aws.Int32(1800)}
	assume := func(by aws.Credentials, change func(*sts.AssumeRoleInput)) (*sts.AssumeRoleOutput, error) {
		in := in
		change(&in)
		return r.sts(by).AssumeRole(t.Context(), &in)
	}
	_, err = assume(r.agent, func(in *sts.AssumeRoleInput) { in.ExternalId = nil })
	require.Equal(t, "AccessDenied", r.code(err), "confused deputies are refused")
	_, err = assume(r.agent, func(in *sts.AssumeRoleInput) {
		in.RoleArn = aws.String(strings.Replace(*in.RoleArn, "WeirGovern", "deploy", 1))
	})
	require.Equal(t, "AccessDenied", r.code(err))
	_, err = assume(r.agent, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(60) })
	require.Equal(t, "ValidationError", r.code(err))
	out, err := assume(r.agent, func(*sts.AssumeRoleInput) {})
	require.NoError(t, err)
	held := aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}
	require.WithinDuration(t, time.Now().Add(30*time.Minute), *out.Credentials.Expiration, time.Minute)
	who, err = r.sts(held).GetCallerIdentity(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, *out.AssumedRoleUser.Arn, *who.Arn)
	require.Equal(t, 200, r.iam(held, "ListUsers").status)
	_, err = assume(held, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(7200) })
	require.Equal(t, "ValidationError", r.code(err), "chained roles last an hour at most")

	without := held
	without.SessionToken = ""
	require.Equal(t, "InvalidClientTokenId", r.iam(without, "ListUsers").get("Code"))
	_, err = r.bucketsOf(without).ListBuckets(t.Context(), nil)
	require.Equal(t, "InvalidToken", r.code(err))

	// What was issued before is revoked, and what comes later is not.
	r.ok("PutRolePolicy", "RoleName", "WeirGovern", "PolicyName", "AWSRevokeOlderSessions", "PolicyDocument",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"`+time.Now().Add(time.Second).UTC().Format(time.RFC3339)+`"}}}]}`)
	require.Equal(t, "AccessDenied", r.iam(held, "ListUsers").get("Code"))
	r.ok("DeleteRolePolicy", "RoleName", "WeirGovern", "PolicyName", "AWSRevokeOlderSessions")

	// A session ends; reading is not writing.
	out, err = assume(r.agent, func(in *sts.AssumeRoleInput) {
		in.RoleArn = aws.String(strings.Replace(*in.RoleArn, "WeirGovern", "WeirRead", 1))
	})
	require.NoError(t, err)
	reader := aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}
	require.Equal(t, 200, r.iam(reader, "ListUsers").status)
	name, _ := r.user(func(*org.CloudUser) bool { return true })
	require.Equal(t, "AccessDenied", r.iam(reader, "DeleteLoginProfile", "UserName", name).get("Code"))
	r.Fake.Advance(time.Hour)
	require.Equal(t, "ExpiredToken", r.post(held, url.Values{"Action": {"ListUsers"}, "Version": {"2010-05-08"}}, time.Now().Add(time.Hour)).get("Code"))
	r.NoViolations()
}

// A session that the scenario ends is over, for IAM and S3 alike.
func TestTokenExpires(t *testing.T) {
	t.Parallel()
	r := newRig(t, "faults: [{kind: expire_token, app: aws, endpoint: /, after_requests: 1, count: 1}]")
	out, err := r.sts(r.agent).AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:aws:iam::" + r.h.account + ":role/WeirRead"), RoleSessionName: aws.String("weir-acme"), ExternalId: aws.String("sandbox-external-id"),
	})
	require.NoError(t, err)
	held := aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}
	require.Equal(t, 200, r.iam(held, "ListUsers").status)
	for range 2 {
		require.Equal(t, "ExpiredToken", r.iam(held, "ListUsers").get("Code"))
	}
	_, err = r.bucketsOf(held).HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("acme-data")})
	require.ErrorContains(t, err, "400")
	_, err = r.bucketsOf(held).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("acme-data")})
	require.Equal(t, "ExpiredToken", r.code(err))
	r.NoViolations()
}
