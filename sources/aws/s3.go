package aws

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/jonboulle/clockwork"

	"weir/internal/fault"
	"weir/internal/secret"
	"weir/sources"
)

const (
	listPage    = 1000
	dialTime    = 10 * time.Second
	headerTime  = 30 * time.Second
	listTime    = 2 * time.Minute // for one page of a listing
	stallTime   = time.Minute     // without a byte, a body is given up
	maxListings = 100_000         // pages of one listing
	maxAnswer   = 8 << 20         // bytes of an answer that is no log file
)

// s3Store is a bucket's prefix.
type s3Store struct {
	client *s3.Client
	sts    *sts.Client // nil where the endpoint is another maker's, which has none
	bucket string
	prefix string
	owner  *string
	env    sources.Env
	asked  atomic.Int64
}

func (s *s3Store) requests() int64 { return s.asked.Swap(0) }

func openS3(ctx context.Context, l location, cfg *Config, env sources.Env) (*s3Store, error) {
	_, ac, err := sdkConfig(ctx, l.region, cfg, env)
	if err != nil {
		return nil, err
	}
	s := &s3Store{bucket: l.bucket, prefix: l.prefix, env: env}
	if o := cfg.CloudTrail.BucketOwner; o != "" {
		s.owner = aws.String(o)
	}
	if l.endpoint == "" || cfg.Endpoints.STS != "" {
		s.sts = cfg.sts(ac)
	}
	s.client = s3.NewFromConfig(ac, func(o *s3.Options) {
		o.UsePathStyle = l.pathStyle
		if l.endpoint != "" {
			o.BaseEndpoint = aws.String(l.endpoint)
		}
	})
	return s, nil
}

// identity asks STS whose the credentials are; it needs no right.
func (s *s3Store) identity(ctx context.Context) (sources.Identity, error) {
	if s.sts == nil {
		return sources.Identity{Kind: sources.IdentityUnknown}, nil
	}
	out, err := s.sts.GetCallerIdentity(ctx, nil)
	if err != nil {
		return sources.Identity{}, awsFault("asking STS whose the credentials are", err)
	}
	id := sources.Identity{ID: aws.ToString(out.UserId), Name: aws.ToString(out.Arn), Kind: sources.IdentityService}
	if strings.HasSuffix(id.Name, ":root") {
		id.Kind = sources.IdentityPerson
	}
	return id, nil
}

// sessionName is what the role's sessions are called in the organization's own
// trail.
func sessionName(instance string) string {
	name := []byte("weir-" + instance)
	for i, c := range name {
		if !strings.ContainsRune("+=,.@-_", rune(c)) && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			name[i] = '-'
		}
	}
	return string(name[:min(len(name), 64)])
}

// bounded bounds every answer but a log file, which is bounded where it is read.
type bounded struct{ client aws.HTTPClient }

// Do implements aws.HTTPClient.
func (b bounded) Do(r *http.Request) (*http.Response, error) {
	// The SDK closes a request's body once it is answered. A quick answer then
	// broke off with its connection, which was still looking for the body's end.
	if r.Body != nil && r.ContentLength > 0 && r.ContentLength <= maxAnswer {
		body, err := io.ReadAll(io.LimitReader(r.Body, r.ContentLength))
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := b.client.Do(r)
	if err != nil || resp.StatusCode < 300 && r.URL.Query().Get("x-id") == "GetObject" {
		return resp, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, err
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
		out, err := s.listPage(ctx, in)
		if err != nil {
			return nil, false, awsFault("listing folders of s3://"+s.bucket+"/"+s.prefix+prefix, err)
		}
		for _, p := range out.CommonPrefixes {
			names = append(names, strings.TrimPrefix(aws.ToString(p.Prefix), s.prefix))
		}
		for _, o := range out.Contents {
			files = files || !strings.HasSuffix(aws.ToString(o.Key), "/") // a marker of the folder itself
		}
		if !aws.ToBool(out.IsTruncated) {
			return names, files, nil
		}
		in.ContinuationToken = out.NextContinuationToken
	}
	return nil, false, fault.New(fault.Transient, "listing folders of s3://%s/%s: no end after %d pages", s.bucket, s.prefix+prefix, maxListings)
}

func (s *s3Store) listPage(ctx context.Context, in *s3.ListObjectsV2Input) (*s3.ListObjectsV2Output, error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	s.asked.Add(1)
	return s.client.ListObjectsV2(ctx, in)
}

func (s *s3Store) list(ctx context.Context, prefix, after string, page func([]object) error) error {
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.prefix + prefix), MaxKeys: aws.Int32(listPage), ExpectedBucketOwner: s.owner}
	if after != "" {
		in.StartAfter = aws.String(s.prefix + after)
	}
	var objects []object
	for {
		out, err := s.listPage(ctx, in)
		if err != nil {
			return awsFault("listing s3://"+s.bucket+"/"+s.prefix+prefix, err)
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
	// Runs only while bytes are waited for, not while the page before is stored.
	stall := s.env.Clock.AfterFunc(stallTime, func() { cancel(fmt.Errorf("nothing received for %s", stallTime)) })
	end := func() {
		stall.Stop()
		cancel(nil)
	}
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: aws.String(s.prefix + key), ExpectedBucketOwner: s.owner})
	if err != nil {
		end()
		err = awsFault("reading s3://"+s.bucket+"/"+s.prefix+key, err)
		if fault.Of(err) == fault.Permanent {
			// The bucket's fault: the stream stops, and the file is not parked.
			err = fault.New(fault.Forbidden, "%w", err)
		}
		return nil, err
	}
	r := &reader{
		etag: strings.Trim(aws.ToString(out.ETag), `"`), size: -1,
		unchanged: func() error { return nil },
	}
	r.tag = fmt.Sprintf("%s-%d", r.etag, aws.ToInt64(out.ContentLength))
	stall.Stop()
	if out.ContentLength != nil {
		r.size = *out.ContentLength
	}
	r.body = readerFunc(func(p []byte) (int, error) {
		stall.Reset(stallTime)
		defer stall.Stop()
		n, err := out.Body.Read(p)
		if err != nil && !errors.Is(err, io.EOF) && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
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
