package aws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/jonboulle/clockwork"

	"weir/internal/fault"
	"weir/internal/secret"
	"weir/sources"
)

const (
	listPage    = 1000
	dialTime    = 10 * time.Second
	headerTime  = 30 * time.Second
	stallTime   = time.Minute // without a byte, a body is given up
	maxListings = 100_000     // pages of one listing
)

// s3Store is a bucket's prefix.
type s3Store struct {
	client *s3.Client
	bucket string
	prefix string
	owner  *string
	env    sources.Env
}

func openS3(ctx context.Context, l location, cfg *Config, env sources.Env) (*s3Store, error) {
	client := awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTime }).
		WithTransportOptions(func(t *http.Transport) { t.ResponseHeaderTimeout = headerTime })
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		// Retrying is the runner's.
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		// S3 servers of other makers do not know the newer checksums.
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	if l.region != "" {
		options = append(options, config.WithRegion(l.region))
	}
	if !cfg.Auth.AccessKeyID.IsZero() {
		options = append(options, config.WithCredentialsProvider(aws.NewCredentialsCache(configured{cfg.Auth, env.Clock})))
	}
	ac, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fault.New(fault.Auth, "loading AWS credentials: %w", err)
	}
	if ac.Region == "" {
		ac.Region = "us-east-1"
	}
	if cfg.Auth.RoleARN != "" {
		ac.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(ac), cfg.Auth.RoleARN, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "weir-" + env.Instance
			if cfg.Auth.ExternalID != "" {
				o.ExternalID = aws.String(cfg.Auth.ExternalID)
			}
		}))
	}
	s := &s3Store{bucket: l.bucket, prefix: l.prefix, env: env}
	if o := cfg.CloudTrail.BucketOwner; o != "" {
		s.owner = aws.String(o)
	}
	s.client = s3.NewFromConfig(ac, func(o *s3.Options) {
		o.UsePathStyle = l.pathStyle
		if l.endpoint != "" {
			o.BaseEndpoint = aws.String(l.endpoint)
		}
	})
	return s, nil
}

// configured resolves the configured keys each time the SDK asks.
type configured struct {
	auth  Auth
	clock clockwork.Clock
}

// Retrieve implements aws.CredentialsProvider.
func (c configured) Retrieve(ctx context.Context) (aws.Credentials, error) {
	var v [3]string
	for i, s := range []secret.Secret{c.auth.AccessKeyID, c.auth.SecretAccessKey, c.auth.SessionToken} {
		if s.IsZero() {
			continue
		}
		var err error
		if v[i], err = s.Value(); err != nil {
			return aws.Credentials{}, err
		}
	}
	creds, err := credentials.NewStaticCredentialsProvider(v[0], v[1], v[2]).Retrieve(ctx)
	// A rotated file is picked up within minutes.
	creds.CanExpire, creds.Expires = true, c.clock.Now().Add(5*time.Minute)
	return creds, err
}

func (s *s3Store) location() string { return s.bucket + "/" + strings.TrimSuffix(s.prefix, "/") }

func (s *s3Store) folders(ctx context.Context, prefix string) (names []string, files bool, err error) {
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.prefix + prefix), Delimiter: aws.String("/"), MaxKeys: aws.Int32(listPage), ExpectedBucketOwner: s.owner}
	for range maxListings {
		out, err := s.client.ListObjectsV2(ctx, in)
		if err != nil {
			return nil, false, s.fault("listing folders of s3://"+s.bucket+"/"+s.prefix+prefix, err)
		}
		for _, p := range out.CommonPrefixes {
			names = append(names, strings.TrimPrefix(aws.ToString(p.Prefix), s.prefix))
		}
		files = files || len(out.Contents) > 0
		if !aws.ToBool(out.IsTruncated) {
			return names, files, nil
		}
		in.ContinuationToken = out.NextContinuationToken
	}
	return nil, false, fault.New(fault.Transient, "listing folders of s3://%s/%s: no end after %d pages", s.bucket, s.prefix+prefix, maxListings)
}

func (s *s3Store) list(ctx context.Context, prefix, after string, page func([]object) error) error {
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.prefix + prefix), MaxKeys: aws.Int32(listPage), ExpectedBucketOwner: s.owner}
	if after != "" {
		in.StartAfter = aws.String(s.prefix + after)
	}
	var objects []object
	for {
		out, err := s.client.ListObjectsV2(ctx, in)
		if err != nil {
			return s.fault("listing s3://"+s.bucket+"/"+s.prefix+prefix, err)
		}
		objects = objects[:0]
		for _, o := range out.Contents {
			key := strings.TrimPrefix(aws.ToString(o.Key), s.prefix)
			if key <= after {
				continue // a server that ignores start-after
			}
			objects = append(objects, object{key, fmt.Sprintf("%s-%d", strings.Trim(aws.ToString(o.ETag), `"`), aws.ToInt64(o.Size)), aws.ToTime(o.LastModified)})
		}
		if len(objects) > 0 {
			after = objects[len(objects)-1].key
			if err := page(objects); err != nil {
				return err
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			return nil
		}
		if aws.ToString(out.NextContinuationToken) == aws.ToString(in.ContinuationToken) {
			return fault.New(fault.Transient, "listing s3://%s/%s: the same page came again", s.bucket, s.prefix+prefix)
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

func (s *s3Store) open(ctx context.Context, key string) (*reader, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stall := s.env.Clock.AfterFunc(stallTime, func() { cancel(fmt.Errorf("nothing received for %s", stallTime)) })
	end := func() {
		stall.Stop()
		cancel(nil)
	}
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: aws.String(s.prefix + key), ExpectedBucketOwner: s.owner})
	if err != nil {
		end()
		return nil, s.fault("reading s3://"+s.bucket+"/"+s.prefix+key, err)
	}
	r := &reader{
		tag: fmt.Sprintf("%s-%d", strings.Trim(aws.ToString(out.ETag), `"`), aws.ToInt64(out.ContentLength)), size: -1,
		unchanged: func() error { return nil },
	}
	if out.ContentLength != nil {
		r.size = *out.ContentLength
	}
	r.body = readerFunc(func(p []byte) (int, error) {
		n, err := out.Body.Read(p)
		stall.Reset(stallTime)
		return n, err
	})
	r.close = func() error {
		end()
		return out.Body.Close()
	}
	return r, nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

var _ io.Reader = readerFunc(nil)

// errorClasses are the classes of AWS error codes; the code decides, not the
// HTTP status, which differs between services.
var errorClasses = map[string]fault.Class{
	"Throttling": fault.Throttled, "ThrottlingException": fault.Throttled, "ThrottledException": fault.Throttled,
	"RequestThrottledException": fault.Throttled, "TooManyRequestsException": fault.Throttled, "RequestLimitExceeded": fault.Throttled,
	"BandwidthLimitExceeded": fault.Throttled, "RequestThrottled": fault.Throttled, "SlowDown": fault.Throttled,
	"ExpiredToken": fault.Transient, "ExpiredTokenException": fault.Transient, "RequestExpired": fault.Transient,
	"InvalidClientTokenId": fault.Auth, "UnrecognizedClientException": fault.Auth, "InvalidAccessKeyId": fault.Auth, "SignatureDoesNotMatch": fault.Auth,
	"AccessDenied": fault.Forbidden, "AccessDeniedException": fault.Forbidden,
	"NoSuchBucket": fault.Permanent, "PermanentRedirect": fault.Permanent, "AuthorizationHeaderMalformed": fault.Permanent,
	"NoSuchKey": fault.BadData, "InvalidObjectState": fault.BadData,
}

// fault classes an SDK error.
func (s *s3Store) fault(doing string, err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		if strings.Contains(err.Error(), "get credentials") || strings.Contains(err.Error(), "failed to refresh cached credentials") {
			return fault.New(fault.Auth, "%s: no usable credentials: %w", doing, err)
		}
		return fault.New(fault.Transient, "%s: %w", doing, err)
	}
	class, ok := errorClasses[api.ErrorCode()]
	switch {
	case !ok:
		class = fault.Transient
	case class == fault.Forbidden && strings.Contains(strings.ToLower(api.ErrorMessage()), "kms"):
		class = fault.BadData // this object's key is denied: the others go on
	case class == fault.Permanent && api.ErrorCode() != "NoSuchBucket":
		return fault.New(class, "%s: wrong region; set region= in cloudtrail.url: %w", doing, err)
	case class == fault.Throttled:
		return fault.After(class, 2*time.Second, "%s: %w", doing, err)
	}
	return fault.New(class, "%s: %w", doing, err)
}
