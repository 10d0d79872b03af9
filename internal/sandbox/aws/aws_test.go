package aws

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/internal/sandbox/sandboxtest"
	"weir/schemas"
)

// rig is one account behind a server, and clients that the vendor made.
type rig struct {
	*testing.T
	*sandboxtest.Sandbox
	h      *Handler
	tenant *sandbox.Tenant
	agent  aws.Credentials
	s3     *s3.Client
}

// newRig starts a sandbox whose clock is at the time of this machine's, which
// the vendor's clients sign by.
func newRig(t *testing.T, scenario string) *rig {
	t.Helper()
	sc, err := sandbox.ParseScenario("test", []byte(scenario))
	require.NoError(t, err)
	r := &rig{T: t, Sandbox: sandboxtest.Start(t, sandbox.Options{
		Vendors: []sandbox.Vendor{Vendor()}, Clock: clockwork.NewFakeClockAt(time.Now()), Scenario: sc, People: 40, Tenants: []string{"acme"},
	})}
	r.tenant = r.Tenant(org.AWS, "acme")
	r.h = r.tenant.Handler().(*Handler)
	r.tenant.World.Freeze()
	r.agent = aws.Credentials{AccessKeyID: id(r.h.seed, prefixKey, 0), SecretAccessKey: Secret}
	r.s3 = r.bucketsOf(r.agent)
	return r
}

func (r *rig) bucketsOf(who aws.Credentials) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(r.tenant.Base), UsePathStyle: true, Region: org.CloudRegion, Retryer: aws.NopRetryer{},
		Credentials: credentials.StaticCredentialsProvider{Value: who}, RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	})
}

func (r *rig) sts(who aws.Credentials) *sts.Client {
	return sts.New(sts.Options{BaseEndpoint: aws.String(r.tenant.Base), Region: org.CloudRegion, Retryer: aws.NopRetryer{}, Credentials: credentials.StaticCredentialsProvider{Value: who}})
}

// answer is what IAM says.
type answer struct {
	status int
	body   string
}

// get returns the text of the first element of a name.
func (a answer) get(name string) string {
	_, rest, ok := strings.Cut(a.body, "<"+name+">")
	if !ok {
		return ""
	}
	text, _, _ := strings.Cut(rest, "</"+name+">")
	var out string
	_ = xml.Unmarshal([]byte("<x>"+text+"</x>"), &out)
	return out
}

// iam calls IAM: pairs are the parameters.
func (r *rig) iam(who aws.Credentials, action string, pairs ...string) answer {
	r.Helper()
	form := url.Values{"Action": {action}, "Version": {"2010-05-08"}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return r.post(who, form, time.Now())
}

func (r *rig) post(who aws.Credentials, form url.Values, at time.Time) answer {
	r.Helper()
	body := form.Encode()
	q, err := http.NewRequestWithContext(r.Context(), http.MethodPost, r.tenant.Base+"/", strings.NewReader(body))
	require.NoError(r, err)
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	q.Header.Set("User-Agent", "test")
	require.NoError(r, v4.NewSigner().SignHTTP(r.Context(), who, q, digest(body), "iam", "us-east-1", at))
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return answer{}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(r, err)
	return answer{resp.StatusCode, string(b)}
}

func (r *rig) ok(action string, pairs ...string) answer {
	r.Helper()
	a := r.iam(r.agent, action, pairs...)
	require.Equal(r, http.StatusOK, a.status, a.body)
	require.True(r, strings.HasPrefix(a.body, "<"+action+`Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/">`))
	require.NotEmpty(r, a.get("RequestId"))
	return a
}

func (r *rig) refused(status int, code, action string, pairs ...string) {
	r.Helper()
	a := r.iam(r.agent, action, pairs...)
	require.Equal(r, status, a.status, a.body)
	require.Equal(r, code, a.get("Code"))
}

// user returns the name of a user that fits, with its keys' ids.
func (r *rig) user(fits func(*org.CloudUser) bool) (name string, keys []string) {
	r.Helper()
	r.tenant.World.View(func(s *org.State) {
		for _, u := range s.Cloud.Users {
			if name == "" && u.Person >= 0 && fits(u) {
				name = u.Name
				for _, k := range u.Keys {
					keys = append(keys, id(r.h.seed, prefixKey, k.N))
				}
			}
		}
	})
	require.NotEmpty(r, name)
	return name, keys
}

func (r *rig) code(err error) string {
	r.Helper()
	var e smithy.APIError
	require.ErrorAs(r, err, &e)
	return e.ErrorCode()
}

const denyAll = `{"Version":"2012-10-17","Statement":[{"Sid":"WeirDenyAll","Effect":"Deny","Action":"*","Resource":"*"}]}`

func TestIAM(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	name, keys := r.user(func(u *org.CloudUser) bool { return u.Login != nil && len(u.Keys) == 2 && u.Keys[0].Active })
	u := []string{"UserName", name}
	with := func(pairs ...string) []string { return append(pairs, u...) }

	require.Equal(t, name, r.ok("GetUser", u...).get("UserName"))
	r.refused(404, "NoSuchEntity", "GetUser", "UserName", "nobody")
	r.refused(400, "ValidationError", "GetUser", "UserName", "../a")
	users := r.ok("ListUsers", "MaxItems", "5")
	require.Equal(t, "true", users.get("IsTruncated"))
	require.NotContains(t, r.ok("ListUsers", "MaxItems", "1000", "Marker", users.get("Marker")).body, users.get("UserName"))
	r.refused(400, "ValidationError", "ListUsers", "Marker", "made-up")

	// Suspended and let in again.
	policy := with("PolicyName", "WeirDenyAll")
	r.refused(404, "NoSuchEntity", "GetUserPolicy", policy...)
	for range 2 {
		r.ok("PutUserPolicy", append([]string{"PolicyDocument", denyAll}, policy...)...)
	}
	document, err := url.PathUnescape(r.ok("GetUserPolicy", policy...).get("PolicyDocument"))
	require.NoError(t, err)
	require.Equal(t, denyAll, document)
	require.Contains(t, r.ok("ListUserPolicies", u...).body, "<member>WeirDenyAll</member>")
	require.Equal(t, "suspended", r.account(name).Status)
	mine := aws.Credentials{AccessKeyID: keys[0]}
	r.tenant.World.View(func(s *org.State) { mine.SecretAccessKey = r.h.secretOf(s.Cloud.User(name).Keys[0].N) })
	require.Equal(t, "AccessDenied", r.iam(mine, "ListUsers").get("Code"), "it holds")
	r.ok("DeleteUserPolicy", policy...)
	require.Equal(t, 200, r.iam(mine, "ListUsers").status)
	r.refused(404, "NoSuchEntity", "DeleteUserPolicy", policy...)
	r.refused(400, "MalformedPolicyDocument", "PutUserPolicy", with("PolicyName", "x", "PolicyDocument", "{}")...)
	r.refused(409, "LimitExceeded", "PutUserPolicy", with("PolicyName", "x", "PolicyDocument", strings.Replace(denyAll, "WeirDenyAll", strings.Repeat("x", 2048), 1))...)

	// Keys.
	key := with("AccessKeyId", keys[0])
	r.ok("UpdateAccessKey", append([]string{"Status", "Inactive"}, key...)...)
	require.Equal(t, "InvalidClientTokenId", r.iam(mine, "ListUsers").get("Code"))
	require.Contains(t, r.ok("ListAccessKeys", u...).body, "<AccessKeyId>"+keys[0]+"</AccessKeyId><Status>Inactive</Status>")
	r.refused(400, "ValidationError", "UpdateAccessKey", append([]string{"Status", "Off"}, key...)...)
	require.Equal(t, name, r.ok("GetAccessKeyLastUsed", "AccessKeyId", keys[0]).get("UserName"))
	r.ok("UpdateAccessKey", append([]string{"Status", "Active"}, key...)...)
	require.Equal(t, 200, r.iam(mine, "ListUsers").status)
	r.ok("UpdateAccessKey", append([]string{"Status", "Inactive"}, key...)...)
	r.ok("DeleteAccessKey", key...)
	r.refused(404, "NoSuchEntity", "DeleteAccessKey", key...)
	require.NotContains(t, r.ok("ListAccessKeys", u...).body, keys[0])

	// Passwords.
	require.Equal(t, "false", r.ok("GetLoginProfile", u...).get("PasswordResetRequired"))
	r.ok("UpdateLoginProfile", with("Password", "x", "PasswordResetRequired", "true")...)
	require.Equal(t, "true", r.ok("GetLoginProfile", u...).get("PasswordResetRequired"))
	r.ok("DeleteLoginProfile", u...)
	r.refused(404, "NoSuchEntity", "GetLoginProfile", u...)
	r.refused(404, "NoSuchEntity", "DeleteLoginProfile", u...)
	r.ok("CreateLoginProfile", with("Password", "x")...)
	r.refused(409, "EntityAlreadyExists", "CreateLoginProfile", with("Password", "x")...)
	r.refused(409, "EntityTemporarilyUnmodifiable", "DeleteLoginProfile", u...)
	r.Fake.Advance(freshLogin)
	r.ok("DeleteLoginProfile", u...)

	// Roles.
	revoke := []string{"PolicyName", "AWSRevokeOlderSessions", "PolicyDocument", denyAll}
	r.ok("PutRolePolicy", append([]string{"RoleName", "deploy"}, revoke...)...)
	require.NotEmpty(t, r.ok("GetRolePolicy", "RoleName", "deploy", "PolicyName", "AWSRevokeOlderSessions").get("PolicyDocument"))
	r.ok("DeleteRolePolicy", "RoleName", "deploy", "PolicyName", "AWSRevokeOlderSessions")
	r.refused(400, "UnmodifiableEntity", "PutRolePolicy", append([]string{"RoleName", "AWSServiceRoleForSupport"}, revoke...)...)
	require.Equal(t, "deploy", r.ok("GetRole", "RoleName", "deploy").get("RoleName"))
	details := r.ok("GetAccountAuthorizationDetails", "MaxItems", "1000", "Filter.member.1", "Role").body
	require.Contains(t, details, "<RoleName>deploy</RoleName>")
	require.NotContains(t, details, "<UserName>")
	r.NoViolations()
	require.Equal(t, int64(2), r.counted("POST iam:PutRolePolicy"))
	r.refused(400, "InvalidAction", "DeleteUser", u...)
	require.Equal(t, "no such call", r.Violations()[0].Rule)
}

// Who is asked for is seen as it was for a while.
func TestEventuallyConsistent(t *testing.T) {
	t.Parallel()
	r := newRig(t, "faults: [{kind: lag, for: 45s}]")
	name, keys := r.user(func(u *org.CloudUser) bool { return len(u.Keys) > 0 && u.Keys[0].Active })
	seen := func() string {
		_, after, _ := strings.Cut(r.ok("ListAccessKeys", "UserName", name).body, keys[0]+"</AccessKeyId><Status>")
		status, _, _ := strings.Cut(after, "<")
		return status
	}
	key := []string{"UserName", name, "AccessKeyId", keys[0], "Status"}
	r.ok("UpdateAccessKey", append(key, "Inactive")...)
	require.Equal(t, "Active", seen())
	r.Fake.Advance(30 * time.Second)
	r.ok("PutUserPolicy", "UserName", name, "PolicyName", "WeirDenyAll", "PolicyDocument", denyAll)
	require.Equal(t, "Active", seen())
	r.Fake.Advance(15 * time.Second)
	require.Equal(t, "Inactive", seen())
	r.refused(404, "NoSuchEntity", "GetUserPolicy", "UserName", name, "PolicyName", "WeirDenyAll")
	r.Fake.Advance(30 * time.Second)
	r.ok("GetUserPolicy", "UserName", name, "PolicyName", "WeirDenyAll")
	r.NoViolations()
}

// account is the truth's row of a user.
func (r *rig) account(name string) (row schemas.Account) {
	r.Helper()
	for _, a := range r.Truth(org.AWS, "acme").Accounts {
		if a.Login == name {
			return a
		}
	}
	r.Fatal("no account " + name)
	return row
}

// file is the truth's row of an object.
func (r *rig) file(is string) (row schemas.File) {
	r.Helper()
	for _, f := range r.Truth(org.AWS, "acme").Files {
		if f.FileID == is {
			return f
		}
	}
	r.Fatal("no file " + is)
	return row
}

// counted is how often a call was made.
func (r *rig) counted(endpoint string) (n int64) {
	for _, e := range r.Requests() {
		if e.Endpoint == endpoint {
			n += e.Count
		}
	}
	return n
}
