package aws

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/sources"
)

// Endpoints replace AWS's own.
type Endpoints struct {
	IAM string `key:"iam" doc:"URL of IAM, instead of the partition's own" example:"https://iam.example.com"`
	STS string `key:"sts" doc:"URL of STS, instead of the region's own"`
	S3  string `key:"s3" doc:"URL of S3 for actions, path style, instead of each bucket's own; the trail's stands in cloudtrail.url"`
}

// Actions says how actions are carried out.
type Actions struct {
	Region     string `key:"region" doc:"a region of the partition; without it, that of cloudtrail.url or of the environment" example:"eu-central-1"`
	Role       string `key:"role" doc:"name of the role to assume in a target's account, with auth.external_id; without it, actions reach the credentials' own account only" example:"WeirGovern"`
	Quarantine string `key:"quarantine" doc:"bucket that quarantine_file moves files into: versioned, all public access blocked, readable by governance only" example:"acme-quarantine"`
	// QuarantineOwner is checked by S3 itself.
	QuarantineOwner string `key:"quarantine_owner" doc:"account id that must own the quarantine bucket; without it, the target's account"`
}

var (
	roleName = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	regionID = regexp.MustCompile(`^[a-z]{2,6}(-[a-z]+)+-\d{1,2}$`)
	bucketID = regexp.MustCompile(`^` + idBucket + `$`)
)

func (c *Config) validateActions(bad func(key, found, accepted string)) {
	for _, e := range []struct{ key, value string }{{"endpoints.iam", c.Endpoints.IAM}, {"endpoints.sts", c.Endpoints.STS}, {"endpoints.s3", c.Endpoints.S3}} {
		if u, err := url.Parse(e.value); e.value != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			bad(e.key, e.value, "a URL such as https://iam.example.com")
		}
	}
	for _, v := range []struct {
		key, value string
		form       *regexp.Regexp
		want       string
	}{
		{"actions.region", c.Actions.Region, regionID, "a region such as eu-central-1"},
		{"actions.role", c.Actions.Role, roleName, "the name of a role, not its ARN"},
		{"actions.quarantine", c.Actions.Quarantine, bucketID, "the name of a bucket"},
		{"actions.quarantine_owner", c.Actions.QuarantineOwner, accountID, "an account id of 12 digits"},
	} {
		if v.value != "" && !v.form.MatchString(v.value) {
			bad(v.key, v.value, v.want)
		}
	}
}

var _ setting.Struct = (*Config)(nil)

// sdkConfig returns how the SDK is to speak to AWS: as the instance's
// credentials, and as the role that they assume where one is configured.
func sdkConfig(ctx context.Context, region string, cfg *Config, env sources.Env) (base, ac aws.Config, err error) {
	client := awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTime }).
		WithTransportOptions(func(t *http.Transport) {
			t.ResponseHeaderTimeout = headerTime
			t.MaxIdleConnsPerHost = 2 * parallel
			if env.HTTP != nil {
				env.HTTP.Configure(t)
			}
		})
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		// Retrying is the runner's.
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		// S3 servers of other makers do not know the newer checksums.
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	if !cfg.Auth.AccessKeyID.IsZero() {
		options = append(options, config.WithCredentialsProvider(aws.NewCredentialsCache(configured{cfg.Auth, env.Clock})))
	}
	base, err = config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return base, ac, fault.New(fault.Auth, "loading AWS credentials: %w", err)
	}
	base.HTTPClient = bounded{base.HTTPClient} // not before: AWS_CA_BUNDLE needs the client itself
	if base.Region == "" {
		base.Region = "us-east-1"
	}
	ac = base.Copy()
	if cfg.Auth.RoleARN != "" {
		ac.Credentials = cfg.assuming(base, cfg.Auth.RoleARN, env.Instance)
	}
	return base, ac, nil
}

// assuming are the credentials of a role.
func (c *Config) assuming(with aws.Config, role, instance string) aws.CredentialsProvider {
	return aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(c.sts(with), role, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = sessionName(instance)
		if c.Auth.ExternalID != "" {
			o.ExternalID = aws.String(c.Auth.ExternalID)
		}
	}))
}

func (c *Config) sts(ac aws.Config) *sts.Client {
	return sts.NewFromConfig(ac, func(o *sts.Options) {
		if c.Endpoints.STS != "" {
			o.BaseEndpoint = aws.String(c.Endpoints.STS)
		}
	})
}

// account is one account that actions reach, as of one call.
type account struct {
	id, partition string
	own           []string // ids, ARNs and keys that the agent itself uses
	now           time.Time
	cfg           *Config
	sdk           aws.Config
}

// account returns the account of an id; "" is the credentials' own. Whose the
// credentials are is asked anew each time: they can be rotated.
func (s *session) account(ctx context.Context, id string) (*account, error) {
	base, sdk, err := s.sdkConfigs(ctx)
	if err != nil {
		return nil, err
	}
	ac := &account{now: s.env.Clock.Now(), cfg: s.cfg, sdk: sdk}
	if s.cfg.Auth.RoleARN != "" {
		if _, _, err := ac.whoIs(ctx, base); err != nil {
			return nil, err
		}
	}
	if ac.id, ac.partition, err = ac.whoIs(ctx, sdk); err != nil {
		return nil, err
	}
	if s.cfg.Actions.Role == "" {
		if id != "" && id != ac.id {
			return nil, fault.New(fault.BadData, "aws: the credentials are of account %s: to reach %s, set actions.role", ac.id, id)
		}
		return ac, nil
	}
	if id == "" {
		id = ac.id
	}
	role := arn.ARN{Partition: ac.partition, Service: "iam", AccountID: id, Resource: "role/" + s.cfg.Actions.Role}.String()
	s.mu.Lock()
	provider := s.roles[role]
	if provider == nil {
		provider = s.cfg.assuming(sdk, role, s.env.Instance)
		s.roles[role] = provider
	}
	s.mu.Unlock()
	ac.sdk = sdk.Copy()
	ac.sdk.Credentials = provider
	if ac.id, _, err = ac.whoIs(ctx, ac.sdk); err != nil {
		s.mu.Lock()
		delete(s.roles, role)
		s.mu.Unlock()
		return nil, fault.New(fault.Of(err), "as %s: %w", role, err)
	}
	if ac.id != id {
		return nil, fault.New(fault.Permanent, "aws: as %s the account is %s", role, ac.id)
	}
	return ac, nil
}

// whoIs asks whose the credentials are, and notes them as the agent's own.
func (ac *account) whoIs(ctx context.Context, sdk aws.Config) (id, partition string, err error) {
	out, err := ac.cfg.sts(sdk).GetCallerIdentity(ctx, nil)
	if err != nil {
		return "", "", awsFault("asking STS whose the credentials are", err)
	}
	a, err := arn.Parse(aws.ToString(out.Arn))
	if err != nil || !accountID.MatchString(aws.ToString(out.Account)) {
		return "", "", fault.New(fault.Transient, "STS names the credentials %q, of account %q", aws.ToString(out.Arn), aws.ToString(out.Account))
	}
	user, _, _ := strings.Cut(aws.ToString(out.UserId), ":") // a role's id, without the session
	ac.own = append(ac.own, aws.ToString(out.UserId), user, a.String())
	creds, err := sdk.Credentials.Retrieve(ctx)
	if err != nil {
		return "", "", awsFault("the credentials", err)
	}
	ac.own = append(ac.own, creds.AccessKeyID)
	return aws.ToString(out.Account), a.Partition, nil
}

// sdkConfigs loads the configuration of the SDK once a session. It makes no request.
func (s *session) sdkConfigs(ctx context.Context) (base, ac aws.Config, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sdk == nil {
		l, err := parseLocation(s.cfg.CloudTrail.URL)
		if err != nil {
			return base, ac, fault.New(fault.Permanent, "cloudtrail.url: want %w", err)
		}
		base, ac, err := sdkConfig(ctx, first(s.cfg.Actions.Region, l.region), s.cfg, s.env)
		if err != nil {
			return base, ac, err
		}
		s.sdk = &[2]aws.Config{base, ac}
		s.roles = map[string]aws.CredentialsProvider{}
	}
	return s.sdk[0], s.sdk[1], nil
}

// iamRegions are the regions that requests to IAM are signed for, by partition.
// The SDK knows them of AWS's own endpoints only.
var iamRegions = map[string]string{"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1", "aws-eusc": "eusc-de-east-1"}

func (ac *account) iam() *iam.Client {
	return iam.NewFromConfig(ac.sdk, func(o *iam.Options) {
		o.Region = first(iamRegions[ac.partition], o.Region)
		if ac.cfg.Endpoints.IAM != "" {
			o.BaseEndpoint = aws.String(ac.cfg.Endpoints.IAM)
		}
	})
}

func (ac *account) s3(region string) *s3.Client {
	return s3.NewFromConfig(ac.sdk, func(o *s3.Options) {
		o.Region = first(region, o.Region)
		if ac.cfg.Endpoints.S3 != "" {
			o.BaseEndpoint, o.UsePathStyle = aws.String(ac.cfg.Endpoints.S3), true
		}
	})
}
