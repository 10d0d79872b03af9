package aws

import (
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/org"
	"weir/internal/sourcetest"
	"weir/schemas"
	"weir/sources/aws"
)

// The connector collects from the trail what happened, each event once: what
// people did, and what governance does.
func TestConnector(t *testing.T) {
	t.Parallel()
	site := newSite(t, "duplicates")
	site.Once()
	site.Equal("lake")
	before := len(site.Log("lake", schemas.TableActivities))
	require.NotZero(t, before)

	r := &rig{T: t, h: site.Tenant.Handler().(*Handler), tenant: site.Tenant}
	r.agent = awssdk.Credentials{AccessKeyID: id(r.h.seed, prefixKey, 0), SecretAccessKey: Secret}
	r.s3 = r.bucketsOf(r.agent)
	name, keys := r.user(func(u *org.CloudUser) bool { return u.Login != nil && len(u.Keys) > 0 })
	r.ok("PutUserPolicy", "UserName", name, "PolicyName", DenyAll, "PolicyDocument", denyAll)
	r.ok("UpdateAccessKey", "UserName", name, "AccessKeyId", keys[0], "Status", "Inactive")
	r.ok("UpdateLoginProfile", "UserName", name, "Password", "x", "PasswordResetRequired", "true")
	r.ok("DeleteLoginProfile", "UserName", name)
	r.refused(404, "NoSuchEntity", "DeleteLoginProfile", "UserName", name)
	r.ok("PutRolePolicy", "RoleName", "deploy", "PolicyName", "AWSRevokeOlderSessions", "PolicyDocument", denyAll)
	r.put("acme-data", odd, "x", nil)
	_, err := r.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: awssdk.String("acme-data"), Key: awssdk.String(odd)})
	require.NoError(t, err)
	_, err = r.s3.DeletePublicAccessBlock(t.Context(), &s3.DeletePublicAccessBlockInput{Bucket: awssdk.String("acme-data")})
	require.NoError(t, err)
	site.Clock.Skip(time.Hour) // all has been delivered
	site.Once()
	site.Equal("lake")
	rows := site.Log("lake", schemas.TableActivities)
	require.Len(t, rows, before+9)
	done := map[any]int{}
	for _, row := range rows {
		if row["actor_name"] == org.AgentUser {
			done[row["action"]]++
		}
	}
	require.Equal(t, map[any]int{
		"iam:PutUserPolicy": 1, "iam:UpdateAccessKey": 1, "iam:UpdateLoginProfile": 1, "iam:DeleteLoginProfile": 2, "iam:PutRolePolicy": 1,
		"s3:PutObject": 1, "s3:DeleteObject": 1, "s3:DeleteBucketPublicAccessBlock": 1,
	}, done)
	require.Empty(t, site.Sandbox.Violations())
}

// So it does while the vendor throttles, and when files come late.
func TestConnectorUnderFaults(t *testing.T) {
	sourcetest.NotUnderRace(t)
	t.Parallel()
	for _, scenario := range []string{"late", "storm429", "cursor_expiry"} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			site := newSite(t, scenario)
			for range 10 { // a round that fails is followed by another
				if site.Run(t.Context(), site.Config(), true) == nil {
					break
				}
			}
			site.Clock.Skip(26 * time.Hour) // all that is late has come, and a day's sweep is due
			site.Once()
			site.Equal("lake")
		})
	}
}

// newSite is an organization and an agent that collects it. Its clock is slow
// enough for a busy machine: the connector gives up after a minute of silence.
func newSite(t *testing.T, scenario string) *sourcetest.Site {
	t.Helper()
	f := sourcetest.Fixture{Connector: aws.Connector, Vendor: Vendor()}
	return f.NewSite(t, sourcetest.SiteOptions{People: 30, Scenario: scenario, Speed: 20})
}
