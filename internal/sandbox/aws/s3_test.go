package aws

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/org"
)

// put writes an object.
func (r *rig) put(bucket, key, body string, change func(*s3.PutObjectInput)) *s3.PutObjectOutput {
	r.Helper()
	in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)}
	if change != nil {
		change(in)
	}
	out, err := r.s3.PutObject(r.Context(), in)
	require.NoError(r, err)
	return out
}

// read returns the content of a version; "" the latest.
func (r *rig) read(bucket, key, version string) string {
	r.Helper()
	in := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	out, err := r.s3.GetObject(r.Context(), in)
	require.NoError(r, err)
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	require.NoError(r, err)
	return string(b)
}

const odd = "home/über uns/a+b %41?c.txt"

func TestObjects(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	data, assets := aws.String("acme-data"), aws.String("acme-assets")
	first := r.put(*data, odd, "one", func(in *s3.PutObjectInput) {
		in.Metadata, in.Tagging, in.ContentType = map[string]string{"source": "test"}, aws.String("class=secret"), aws.String("text/plain")
	})
	second := r.put(*data, odd, "two", func(in *s3.PutObjectInput) { in.IfMatch = first.ETag })
	_, err := r.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: data, Key: aws.String(odd), Body: strings.NewReader("x"), IfMatch: first.ETag})
	require.Equal(t, "PreconditionFailed", r.code(err))
	require.Equal(t, "two", r.read(*data, odd, ""))
	require.Equal(t, "one", r.read(*data, odd, *first.VersionId))

	// To the trash, and back.
	gone, err := r.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: data, Key: aws.String(odd)})
	require.NoError(t, err)
	require.True(t, *gone.DeleteMarker)
	_, err = r.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: data, Key: aws.String(odd)})
	require.Equal(t, "NotFound", r.code(err))
	require.True(t, r.file("s3://acme-data/"+odd).Trashed.Value)
	_, err = r.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: data, Key: aws.String(odd)})
	require.Equal(t, "NoSuchKey", r.code(err))
	require.Equal(t, "one", r.read(*data, odd, *first.VersionId), "older versions can be read")
	_, err = r.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: data, Key: aws.String(odd), VersionId: gone.VersionId})
	require.NoError(t, err)
	require.Equal(t, "two", r.read(*data, odd, ""))
	require.False(t, r.file("s3://acme-data/"+odd).Trashed.Value)

	// An older version is restored; an object is moved into quarantine.
	source := "/acme-data/" + escape(odd, true) + "?versionId="
	_, err = r.s3.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: data, Key: aws.String(odd), CopySource: aws.String(source + *first.VersionId)})
	require.NoError(t, err)
	require.Equal(t, "one", r.read(*data, odd, ""))
	kept, err := r.s3.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("acme-quarantine"), Key: aws.String("1/" + odd), CopySource: aws.String(source + *first.VersionId), CopySourceIfMatch: first.ETag})
	require.NoError(t, err)
	require.Equal(t, *first.VersionId, *kept.CopySourceVersionId)
	head, err := r.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("acme-quarantine"), Key: aws.String("1/" + odd), ChecksumMode: types.ChecksumModeEnabled})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"source": "test"}, head.Metadata)
	require.Equal(t, "text/plain", *head.ContentType)
	require.Equal(t, int32(1), *head.TagCount)
	require.Equal(t, sha([]byte("one")), *head.ChecksumSHA256)
	_, err = r.s3.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("acme-quarantine"), Key: aws.String("x"), CopySource: aws.String(source + *first.VersionId), CopySourceIfMatch: second.ETag})
	require.Equal(t, "PreconditionFailed", r.code(err))
	r.h.SetFaults(Faults{FailCopies: 1})
	_, err = r.s3.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("acme-quarantine"), Key: aws.String("x"), CopySource: aws.String(source + *first.VersionId)})
	require.Equal(t, "InternalError", r.code(err), "with status 200")
	_, err = r.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("acme-quarantine"), Key: aws.String("x")})
	require.Error(t, err)

	// What cannot be: archived, held, unversioned.
	_, err = r.s3.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("acme-quarantine"), Key: aws.String("x"), CopySource: aws.String("acme-backup/old/archive.csv")})
	require.Equal(t, "InvalidObjectState", r.code(err))
	list, err := r.s3.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: data, Prefix: aws.String("legal/")})
	require.NoError(t, err)
	held := list.Versions[slices.IndexFunc(list.Versions, func(v types.ObjectVersion) bool { return *v.IsLatest })]
	_, err = r.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: data, Key: held.Key, VersionId: held.VersionId})
	require.Equal(t, "AccessDenied", r.code(err))
	r.put(*assets, "tmp", "x", nil)
	dropped, err := r.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: assets, Key: aws.String("tmp")})
	require.NoError(t, err)
	require.Nil(t, dropped.VersionId)
	_, err = r.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: assets, Key: aws.String("nothing")})
	require.Equal(t, "NoSuchKey", r.code(err))
	_, err = r.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("acme-none"), Key: aws.String("nothing")})
	require.Equal(t, "NoSuchBucket", r.code(err))
	_, err = r.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: assets, Key: aws.String("public/logo.txt"), ExpectedBucketOwner: aws.String("123456789012")})
	require.Equal(t, "AccessDenied", r.code(err))

	// Tags replace each other.
	tags, err := r.s3.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: data, Key: aws.String(odd)})
	require.NoError(t, err)
	require.Len(t, tags.TagSet, 1)
	_, err = r.s3.PutObjectTagging(t.Context(), &s3.PutObjectTaggingInput{Bucket: data, Key: aws.String(odd), Tagging: &types.Tagging{TagSet: append(tags.TagSet, types.Tag{Key: aws.String("weir-quarantine"), Value: aws.String("a1")})}})
	require.NoError(t, err)
	tags, err = r.s3.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: data, Key: aws.String(odd)})
	require.NoError(t, err)
	require.Len(t, tags.TagSet, 2)
	r.NoViolations()
}

func TestSharing(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	assets, web, data, logo := aws.String("acme-assets"), aws.String("acme-web"), aws.String("acme-data"), aws.String("public/logo.txt")
	public := func() int {
		resp, err := http.Get(r.tenant.Base + "/acme-assets/public/logo.txt") //nolint:noctx // of anybody
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	sharing := func() string { return r.file("s3://acme-assets/public/logo.txt").Sharing }
	require.Equal(t, 200, public())
	require.Equal(t, "public", sharing())
	was, err := r.s3.GetObjectAcl(t.Context(), &s3.GetObjectAclInput{Bucket: assets, Key: logo})
	require.NoError(t, err)
	require.Len(t, was.Grants, 2)
	require.Equal(t, types.TypeGroup, was.Grants[1].Grantee.Type)
	_, err = r.s3.PutObjectAcl(t.Context(), &s3.PutObjectAclInput{Bucket: assets, Key: logo, ACL: types.ObjectCannedACLPrivate})
	require.NoError(t, err)
	require.Equal(t, 403, public())
	require.Equal(t, "private", sharing())
	_, err = r.s3.PutObjectAcl(t.Context(), &s3.PutObjectAclInput{Bucket: assets, Key: logo, AccessControlPolicy: &types.AccessControlPolicy{Grants: was.Grants, Owner: was.Owner}})
	require.NoError(t, err)
	again, err := r.s3.GetObjectAcl(t.Context(), &s3.GetObjectAclInput{Bucket: assets, Key: logo})
	require.NoError(t, err)
	require.Equal(t, was.Grants, again.Grants)
	require.Equal(t, 200, public())
	_, err = r.s3.PutObjectAcl(t.Context(), &s3.PutObjectAclInput{Bucket: data, Key: aws.String("legal/hold.txt"), ACL: types.ObjectCannedACLPrivate})
	require.Equal(t, "AccessControlListNotSupported", r.code(err))

	// Public access is blocked without rewriting anything.
	_, err = r.s3.GetPublicAccessBlock(t.Context(), &s3.GetPublicAccessBlockInput{Bucket: assets})
	require.Equal(t, "NoSuchPublicAccessBlockConfiguration", r.code(err))
	all := &types.PublicAccessBlockConfiguration{BlockPublicAcls: aws.Bool(true), IgnorePublicAcls: aws.Bool(true), BlockPublicPolicy: aws.Bool(true), RestrictPublicBuckets: aws.Bool(true)}
	_, err = r.s3.PutPublicAccessBlock(t.Context(), &s3.PutPublicAccessBlockInput{Bucket: assets, PublicAccessBlockConfiguration: all})
	require.NoError(t, err)
	block, err := r.s3.GetPublicAccessBlock(t.Context(), &s3.GetPublicAccessBlockInput{Bucket: assets})
	require.NoError(t, err)
	require.Equal(t, all, block.PublicAccessBlockConfiguration)
	require.Equal(t, 403, public())
	_, err = r.s3.PutObjectAcl(t.Context(), &s3.PutObjectAclInput{Bucket: assets, Key: logo, ACL: types.ObjectCannedACLPublicRead})
	require.Equal(t, "AccessDenied", r.code(err))
	_, err = r.s3.DeletePublicAccessBlock(t.Context(), &s3.DeletePublicAccessBlockInput{Bucket: assets})
	require.NoError(t, err)
	require.Equal(t, 200, public())

	// Policies.
	status, err := r.s3.GetBucketPolicyStatus(t.Context(), &s3.GetBucketPolicyStatusInput{Bucket: web})
	require.NoError(t, err)
	require.True(t, *status.PolicyStatus.IsPublic)
	policy, err := r.s3.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: web})
	require.NoError(t, err)
	_, err = r.s3.DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: web})
	require.NoError(t, err)
	_, err = r.s3.GetBucketPolicyStatus(t.Context(), &s3.GetBucketPolicyStatusInput{Bucket: web})
	require.Equal(t, "NoSuchBucketPolicy", r.code(err))
	_, err = r.s3.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: web, Policy: aws.String("{}")})
	require.Equal(t, "MalformedPolicy", r.code(err))
	_, err = r.s3.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: web, Policy: policy.Policy})
	require.NoError(t, err)
	_, err = r.s3.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("acme-quarantine"), Policy: policy.Policy})
	require.Equal(t, "AccessDenied", r.code(err), "it is blocked there")
	versioning, err := r.s3.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: data})
	require.NoError(t, err)
	require.Equal(t, types.BucketVersioningStatusEnabled, versioning.Status)
	owns, err := r.s3.GetBucketOwnershipControls(t.Context(), &s3.GetBucketOwnershipControlsInput{Bucket: data})
	require.NoError(t, err)
	require.Equal(t, types.ObjectOwnershipBucketOwnerEnforced, owns.OwnershipControls.Rules[0].ObjectOwnership)
	where, err := r.s3.GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: data})
	require.NoError(t, err)
	require.Equal(t, types.BucketLocationConstraint(org.CloudRegion), where.LocationConstraint)
	r.NoViolations()
}

// Pages of a listing hold each key once, in whatever way it is asked for.
func TestListings(t *testing.T) {
	t.Parallel()
	r := newRig(t, "faults: [{kind: expire_cursor, app: aws, endpoint: /acme-web, count: 1}]")
	for _, key := range []string{"a/1", "a/2", "a b+ü/1", "z", odd} {
		r.put("acme-assets", key, "x", nil)
	}
	keys := func(prefix, delimiter string, size int32) (out []string) {
		p := s3.NewListObjectsV2Paginator(r.s3, &s3.ListObjectsV2Input{Bucket: aws.String("acme-assets"), Prefix: &prefix, Delimiter: &delimiter, MaxKeys: &size})
		for p.HasMorePages() {
			page, err := p.NextPage(t.Context())
			require.NoError(t, err)
			require.LessOrEqual(t, int32(len(page.Contents)+len(page.CommonPrefixes)), size)
			for _, o := range page.Contents {
				out = append(out, *o.Key)
			}
			for _, o := range page.CommonPrefixes {
				out = append(out, *o.Prefix)
			}
		}
		slices.Sort(out)
		return out
	}
	for _, delimiter := range []string{"", "/"} {
		whole := keys("", delimiter, 1000)
		require.Subset(t, whole, []string{"z"})
		require.True(t, slices.Equal(slices.Compact(slices.Clone(whole)), whole))
		for _, size := range []int32{1, 2, 7} {
			require.Equal(t, whole, keys("", delimiter, size))
		}
	}
	require.Equal(t, []string{"a/1", "a/2"}, keys("a/", "/", 1))
	require.Equal(t, []string{odd}, slices.DeleteFunc(keys("home/über uns/a", "", 3), func(k string) bool { return k != odd }))

	var versions []string
	p := s3.NewListObjectVersionsPaginator(r.s3, &s3.ListObjectVersionsInput{Bucket: aws.String("acme-data"), MaxKeys: aws.Int32(2)})
	for p.HasMorePages() {
		page, err := p.NextPage(t.Context())
		require.NoError(t, err)
		for _, v := range page.Versions {
			versions = append(versions, *v.Key+"?"+*v.VersionId)
		}
		for _, v := range page.DeleteMarkers {
			versions = append(versions, *v.Key+"?"+*v.VersionId)
		}
	}
	n := 0
	r.tenant.World.View(func(s *org.State) {
		for _, o := range s.Cloud.Bucket("acme-data").Objects {
			n += len(o.Versions)
		}
	})
	slices.Sort(versions)
	require.Len(t, slices.Compact(versions), n)

	buckets, err := r.s3.ListBuckets(t.Context(), &s3.ListBucketsInput{MaxBuckets: aws.Int32(4)})
	require.NoError(t, err)
	require.Len(t, buckets.Buckets, 4)
	buckets, err = r.s3.ListBuckets(t.Context(), &s3.ListBucketsInput{ContinuationToken: buckets.ContinuationToken})
	require.NoError(t, err)
	require.Len(t, buckets.Buckets, 2)

	page, err := r.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("acme-web"), MaxKeys: aws.Int32(1)})
	require.NoError(t, err)
	next := &s3.ListObjectsV2Input{Bucket: aws.String("acme-web"), ContinuationToken: page.NextContinuationToken}
	_, err = r.s3.ListObjectsV2(t.Context(), next)
	require.Equal(t, "InvalidArgument", r.code(err))
	_, err = r.s3.ListObjectsV2(t.Context(), next)
	require.NoError(t, err)
	r.NoViolations()
}

// Faults of the scenario, in the vendor's words.
func TestFaults(t *testing.T) {
	t.Parallel()
	r := newRig(t, `
faults:
  - {kind: status, app: aws, endpoint: /, count: 1}
  - {kind: status, app: aws, endpoint: /, count: 1, after_requests: 1, status: 500}
  - {kind: status, app: aws, endpoint: /acme-data/**, count: 1}
  - {kind: status, app: aws, endpoint: /acme-data/**, count: 1, after_requests: 1, status: 403}
  - {kind: lost, app: aws, method: PUT, endpoint: /acme-assets/lost, count: 1}
  - {kind: lost, app: aws, method: POST, endpoint: /, count: 1, after_requests: 2}
  - {kind: missing_scope, app: aws, scopes: ["s3:DeleteObject", "iam:DeleteLoginProfile"]}
`)
	name, keys := r.user(func(u *org.CloudUser) bool { return u.Login != nil && len(u.Keys) > 0 && u.Keys[0].Active })
	r.refused(400, "Throttling", "ListUsers")
	r.refused(500, "ServiceFailure", "ListUsers")
	require.Zero(t, r.iam(r.agent, "UpdateAccessKey", "UserName", name, "AccessKeyId", keys[0], "Status", "Inactive").status)
	require.Contains(t, r.ok("ListAccessKeys", "UserName", name).body, "<Status>Inactive</Status>", "it was carried out")
	r.refused(403, "AccessDenied", "DeleteLoginProfile", "UserName", name)

	get := func() error {
		_, err := r.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("acme-data"), Key: aws.String("legal/hold.txt")})
		return err
	}
	require.ErrorContains(t, get(), "503")
	require.ErrorContains(t, get(), "403")
	require.NoError(t, get())
	_, err := r.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("acme-assets"), Key: aws.String("lost"), Body: bytes.NewReader([]byte("x"))})
	require.Error(t, err)
	require.Equal(t, "x", r.read("acme-assets", "lost", ""), "it was carried out")
	_, err = r.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("acme-assets"), Key: aws.String("lost")})
	require.Equal(t, "AccessDenied", r.code(err))
	require.ErrorContains(t, err, "s3:DeleteObject")
	r.NoViolations()
}

// The account's own switches hold for all its buckets.
func TestAccountBlock(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	control := func(method, account, body string) (int, string) {
		q, err := http.NewRequestWithContext(t.Context(), method, r.tenant.Base+controlPath, strings.NewReader(body))
		require.NoError(t, err)
		q.Header.Set("User-Agent", "test")
		q.Header.Set("X-Amz-Account-Id", account)
		q.Header.Set("X-Amz-Content-Sha256", digest(body))
		require.NoError(t, v4.NewSigner().SignHTTP(t.Context(), r.agent, q, digest(body), "s3", org.CloudRegion, time.Now()))
		resp, err := http.DefaultClient.Do(q)
		require.NoError(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(b)
	}
	sharing := func() string { return r.file("s3://acme-assets/public/logo.txt").Sharing }
	status, body := control("GET", r.h.account, "")
	require.Equal(t, 404, status)
	require.Contains(t, body, "<Code>NoSuchPublicAccessBlockConfiguration</Code>")
	status, _ = control("PUT", "123456789012", "")
	require.Equal(t, 403, status)
	status, body = control("PUT", r.h.account, `<PublicAccessBlockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`)
	require.Equal(t, 200, status, body)
	require.Equal(t, "private", sharing())
	_, body = control("GET", r.h.account, "")
	require.Contains(t, body, "<IgnorePublicAcls>true</IgnorePublicAcls>")
	status, _ = control("DELETE", r.h.account, "")
	require.Equal(t, 204, status)
	require.Equal(t, "public", sharing())
	r.NoViolations()
}
