// Package aws connects Amazon Web Services. Today it collects activities from
// the log files that CloudTrail trails deliver to S3, or from copies of them in
// a local directory, and acts on IAM users, access keys, and what is in S3.
//
// Sources: CloudTrail user guide ("CloudTrail log file examples", "Finding your
// CloudTrail log files", "CloudTrail record contents"), S3 API reference.
package aws

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"weir/internal/fault"
	"weir/internal/secret"
	"weir/internal/setting"
	"weir/schemas"
	"weir/sources"
)

// Connector is the AWS connector.
var Connector = &sources.Connector{
	App:   "aws",
	Title: "Amazon Web Services",
	Streams: []sources.StreamInfo{{
		Name: "activities", Shape: sources.Log, Tables: []string{schemas.TableActivities},
		Every: time.Minute, Lateness: coveredLag, Keep: keepDone,
		Back: true, ShowsLate: true,
		Doc: "CloudTrail management, data, service and Insights events from a trail's log files, organization trails included",
	}},
	Capabilities: []sources.Capability{{
		Name: "activities", Doc: "reading the trail's log files",
		Scopes: []string{"s3:ListBucket on the bucket and s3:GetObject on the prefix (kms:Decrypt too, if the trail encrypts with a key of yours)"},
		Where:  "a policy of the role or user that the agent runs as",
	}},
	Hosts: []sources.Host{
		{Name: "BUCKET.s3.REGION.amazonaws.com", For: "the trail's log files"},
		{Name: "sts.REGION.amazonaws.com", For: "assuming a role; whose the credentials are"},
		{Name: "iam.amazonaws.com", For: "actions on users and keys; in China iam.cn-north-1.amazonaws.com.cn, in GovCloud iam.us-gov.amazonaws.com"},
	},
	Actions: actions,
	Config: func() setting.Struct {
		return &Config{CloudTrail: CloudTrail{SweepEvery: 24 * time.Hour, Settle: 2 * time.Second}}
	},
	Open:   open,
	Mapper: newRemapper,
}

// Config is the aws part of an instance.
type Config struct {
	CloudTrail CloudTrail `key:"cloudtrail,required" doc:"the trail's log files"`
	Endpoints  Endpoints  `key:"endpoints" doc:"other places than AWS's own"`
	Actions    Actions    `key:"actions" doc:"how actions are carried out"`
	Auth       Auth       `key:"auth" doc:"credentials; without them the environment's are used: instance, container or web identity, AWS_ variables, shared files"`
}

// CloudTrail says where a trail's files are.
type CloudTrail struct {
	URL          string        `key:"url,required" doc:"s3://bucket/prefix?region=R (also endpoint=URL and path_style=true, for other S3 servers), or file:///dir; at or above the AWSLogs folder, or any folder below it" example:"s3://acme-trail/AWSLogs/?region=eu-central-1"`
	Since        string        `key:"since" doc:"oldest day to collect, as a date or as time back from now; without it, all there is" example:"90d"`
	Organization string        `key:"organization" doc:"the organization's id, for the tenant column; without it, the o-... folder, else the only account"`
	BucketOwner  string        `key:"bucket_owner" doc:"account id that must own the bucket" example:"111111111111"`
	SweepEvery   time.Duration `key:"sweep_every" doc:"how often all folders are listed again, for files that came late under an old day; also done at each start"`
	Settle       time.Duration `key:"settle" doc:"a local file that changed less than this ago is left until it is stable"`
}

// Auth holds AWS credentials.
type Auth struct {
	AccessKeyID     secret.Secret `key:"access_key_id" doc:"access key id" example:"${env:AWS_ACCESS_KEY_ID}"`
	SecretAccessKey secret.Secret `key:"secret_access_key" doc:"its secret" example:"${env:AWS_SECRET_ACCESS_KEY}"`
	SessionToken    secret.Secret `key:"session_token" doc:"session token of temporary credentials"`
	RoleARN         string        `key:"role_arn" doc:"role to assume" example:"arn:aws:iam::111111111111:role/WeirRead"`
	ExternalID      string        `key:"external_id" doc:"external id that the role's trust policy asks for"`
}

const maxSweepEvery = 72 * time.Hour

// Validate implements setting.Struct.
func (c *Config) Validate() (errs []setting.KeyError) {
	bad := func(key, found, accepted string) {
		errs = append(errs, setting.KeyError{Key: key, Found: found, Accepted: accepted})
	}
	if c.CloudTrail.URL != "" {
		if _, err := parseLocation(c.CloudTrail.URL); err != nil {
			bad("cloudtrail.url", c.CloudTrail.URL, err.Error())
		}
	}
	if _, err := parseSince(c.CloudTrail.Since, time.Unix(0, 0)); err != nil {
		bad("cloudtrail.since", c.CloudTrail.Since, "a date such as 2026-01-31, or a time back from now such as 90d")
	}
	if o := c.CloudTrail.BucketOwner; o != "" && !accountID.MatchString(o) {
		bad("cloudtrail.bucket_owner", o, "an account id of 12 digits")
	}
	if e := c.CloudTrail.SweepEvery; e < time.Minute || e > maxSweepEvery {
		bad("cloudtrail.sweep_every", e.String(), "a duration from 1m to "+maxSweepEvery.String())
	}
	if e := c.CloudTrail.Settle; e < 0 || e > time.Hour {
		bad("cloudtrail.settle", e.String(), "a duration from 0s to 1h")
	}
	if c.Auth.AccessKeyID.IsZero() != c.Auth.SecretAccessKey.IsZero() {
		bad("auth", "only one of access_key_id and secret_access_key", "both, or neither")
	}
	if c.Auth.ExternalID != "" && c.Auth.RoleARN == "" && c.Actions.Role == "" {
		bad("auth.external_id", c.Auth.ExternalID, "role_arn or actions.role beside it")
	}
	c.validateActions(bad)
	return errs
}

var accountID = regexp.MustCompile(`^\d{12}$`)

// location is a parsed cloudtrail.url.
type location struct {
	dir              string // of a local directory
	bucket, prefix   string // of S3
	region, endpoint string
	pathStyle        bool
}

func parseLocation(s string) (l location, err error) {
	const want = "s3://bucket/prefix?region=R or file:///dir"
	u, err := url.Parse(s)
	if err != nil {
		return l, fmt.Errorf("%s: %w", want, err)
	}
	if u.Fragment != "" {
		return l, fmt.Errorf("no #: write it as %%23")
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" || !filepath.IsAbs(u.Path) || u.RawQuery != "" {
			return l, fmt.Errorf("file:/// and an absolute directory, without anything after it")
		}
		return location{dir: filepath.Clean(u.Path)}, nil
	case "s3":
		if u.Host == "" || u.User != nil {
			return l, fmt.Errorf("%s", want)
		}
		l = location{bucket: u.Host, prefix: strings.TrimPrefix(u.Path, "/")}
		if l.prefix != "" && !strings.HasSuffix(l.prefix, "/") {
			l.prefix += "/"
		}
		for k, v := range u.Query() {
			switch k {
			case "region":
				l.region = v[0]
			case "endpoint":
				l.endpoint = v[0]
				e, err := url.Parse(l.endpoint)
				if err != nil || e.Host == "" || e.Scheme != "http" && e.Scheme != "https" {
					return l, fmt.Errorf("an endpoint such as https://s3.example.com, not %q", v[0])
				}
			case "path_style":
				if l.pathStyle = v[0] == "true"; !l.pathStyle && v[0] != "false" {
					return l, fmt.Errorf("path_style=true or path_style=false")
				}
			default:
				return l, fmt.Errorf("only region, endpoint and path_style after the question mark, not %q", k)
			}
		}
		return l, nil
	}
	return l, fmt.Errorf("%s", want)
}

// parseSince returns the first day to collect; zero for all.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	var d time.Duration
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n int
		if _, err := fmt.Sscanf(days+" ", "%d ", &n); err != nil || n <= 0 || n > 36500 {
			return time.Time{}, fmt.Errorf("%q is neither a date nor a time back", s)
		}
		d = time.Duration(n) * 24 * time.Hour
	} else {
		var err error
		if d, err = time.ParseDuration(s); err != nil || d <= 0 {
			return time.Time{}, fmt.Errorf("%q is neither a date nor a time back", s)
		}
	}
	return now.Add(-d).UTC().Truncate(24 * time.Hour), nil
}

// session is one instance's view of a trail's files.
type session struct {
	env   sources.Env
	cfg   *Config
	store store
	since time.Time
	pages sync.Pool // of *pageBuffer

	place string // hash of where the files are
	base  string // name of the folder that the url points at

	mu      sync.Mutex
	swept   bool // a sweep has been completed since the session was opened
	roots   []root
	rooted  time.Time             // when roots were enumerated
	folders map[string]folderSeen // by day's folder

	sdk   *[2]aws.Config                     // of the credentials, and of the role they assume; nil: not yet needed
	roles map[string]aws.CredentialsProvider // of actions.role, by ARN
}

func open(ctx context.Context, env sources.Env, c setting.Struct) (sources.Session, error) {
	cfg, ok := c.(*Config)
	if !ok {
		return nil, fault.New(fault.Permanent, "aws: configuration of type %T", c)
	}
	l, err := parseLocation(cfg.CloudTrail.URL)
	if err != nil {
		return nil, fault.New(fault.Permanent, "cloudtrail.url: want %w", err)
	}
	s := &session{env: env, cfg: cfg, place: placeHash(l), folders: map[string]folderSeen{}}
	s.pages.New = func() any { return newPageBuffer() }
	if s.since, err = parseSince(cfg.CloudTrail.Since, env.Clock.Now()); err != nil {
		return nil, fault.New(fault.Permanent, "cloudtrail.since: %w", err)
	}
	if l.dir != "" {
		s.store, err = openDir(l.dir, env.Clock, cfg.CloudTrail.Settle)
	} else {
		s.store, err = openS3(ctx, l, cfg, env)
	}
	if err != nil {
		return nil, err
	}
	s.base = path.Base(s.store.location())
	return s, nil
}

// Streams implements sources.Session.
func (s *session) Streams() []sources.Stream {
	return []sources.Stream{{Info: Connector.Streams[0], Lanes: s.lanes, Read: s.read, Span: s.spanOf, Past: s.past}}
}

// Tenant implements sources.Session: the organization if the trail is one's,
// else the account if there is only one.
func (s *session) Tenant(ctx context.Context) (string, error) {
	if s.cfg.CloudTrail.Organization != "" {
		return s.cfg.CloudTrail.Organization, nil
	}
	roots, err := s.findRoots(ctx)
	if err != nil {
		return "", err
	}
	accounts := map[string]bool{}
	for _, r := range roots {
		for part := range strings.SplitSeq(s.store.location()+"/"+r.prefix, "/") {
			if organizationID.MatchString(part) {
				return part, nil
			}
			if accountID.MatchString(part) {
				accounts[part] = true
			}
		}
	}
	if len(accounts) == 1 {
		for a := range accounts {
			return a, nil
		}
	}
	return "", nil
}

// Identity implements sources.Session.
func (s *session) Identity(ctx context.Context) (sources.Identity, error) {
	return s.store.identity(ctx)
}

// Probe implements sources.Session.
func (s *session) Probe(ctx context.Context, capability string) error {
	if a, ok := strings.CutPrefix(capability, sources.CapabilityActions); ok {
		return s.probeAction(ctx, sources.Action(a))
	}
	_, err := s.findRoots(ctx)
	return err
}

var organizationID = regexp.MustCompile(`^o-[a-z0-9]{10,32}$`)
