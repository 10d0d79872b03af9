package aws

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the ETag of what is put is its MD5
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"weir/internal/fault"
	"weir/sources"
)

// Ops on objects.
const (
	opCopy       = "copy_object"
	opDelete     = "delete_object"
	opUnmark     = "remove_delete_marker"
	opPutVersion = "put_version"
	opOverwrite  = "overwrite_object"
)

// objectNow is an object as S3 shows it.
type objectNow struct {
	exists        bool
	marker        string // version of the delete marker that hides it
	version, etag string
	size          int64
	class         types.StorageClass
	sum           string // checksum of the whole, with its kind; "" none
	kms           bool
	below         []objectNow // versions that the marker hides, the newest first
	markers       int         // above the newest of them
}

// hidden reads what there is of an object that is not there: whether a delete
// marker hides it. Not all servers tell so when the object is asked for.
func hidden(ctx context.Context, c *s3.Client, bucket, key string, owner *string) (*objectNow, error) {
	out, err := c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &key, MaxKeys: aws.Int32(listPage), ExpectedBucketOwner: owner})
	if err != nil {
		return nil, refused("listing the versions of s3://"+bucket+"/"+key, "s3:ListBucketVersions", err)
	}
	n := &objectNow{}
	var newest time.Time
	for _, v := range out.Versions { // the newest first
		if aws.ToString(v.Key) != key {
			continue // another, that begins so
		}
		if len(n.below) == 0 {
			newest = aws.ToTime(v.LastModified)
		}
		n.below = append(n.below, objectNow{exists: true, version: aws.ToString(v.VersionId), etag: aws.ToString(v.ETag), size: aws.ToInt64(v.Size)})
	}
	for _, m := range out.DeleteMarkers {
		if aws.ToString(m.Key) != key {
			continue
		}
		if aws.ToBool(m.IsLatest) {
			n.marker = aws.ToString(m.VersionId)
		}
		if !aws.ToTime(m.LastModified).Before(newest) {
			n.markers++
		}
	}
	return n, nil
}

// head reads an object, or one version of it.
func head(ctx context.Context, c *s3.Client, bucket, key string, version, owner *string) (*objectNow, error) {
	out, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key, VersionId: version, ExpectedBucketOwner: owner, ChecksumMode: types.ChecksumModeEnabled})
	switch {
	case gone(err) && version == nil:
		return hidden(ctx, c, bucket, key, owner)
	case gone(err):
		return &objectNow{}, nil
	}
	if err != nil {
		return nil, refused("reading s3://"+bucket+"/"+key, "s3:GetObject and s3:GetObjectVersion (kms:Decrypt where it is encrypted so)", err)
	}
	n := &objectNow{
		exists: true, version: aws.ToString(out.VersionId), etag: aws.ToString(out.ETag), size: aws.ToInt64(out.ContentLength), class: out.StorageClass,
		kms: strings.HasPrefix(string(out.ServerSideEncryption), "aws:kms"),
	}
	if n.etag == "" {
		return nil, fault.New(fault.Transient, "s3://%s/%s came without an ETag", bucket, key)
	}
	if out.ChecksumType == types.ChecksumTypeFullObject {
		for kind, sum := range map[string]*string{"sha256": out.ChecksumSHA256, "crc64nvme": out.ChecksumCRC64NVME, "crc32c": out.ChecksumCRC32C, "crc32": out.ChecksumCRC32} {
			if s := aws.ToString(sum); s != "" && kind+":"+s > n.sum {
				n.sum = kind + ":" + s
			}
		}
	}
	return n, nil
}

// holds reports whether an object has the content that a step is about, as far
// as can be told: ETags are no hashes of what came in parts or is encrypted by KMS.
func (n *objectNow) holds(a *args) bool {
	kind, _, _ := strings.Cut(n.sum, ":")
	switch {
	case !n.exists || n.size != a.Size:
		return false
	case kind != "" && strings.HasPrefix(a.Sum, kind+":"):
		return n.sum == a.Sum
	case n.kms || a.KMS || strings.Contains(n.etag, "-") || strings.Contains(a.ETag, "-"):
		return true
	}
	return n.etag == a.ETag
}

// is reports whether an object is the one that a plan has seen.
func (n *objectNow) is(a *args) bool { return n.exists && n.etag == a.ETag && n.version == a.Version }

// id tells one state of an object from another.
func (n *objectNow) id() string {
	if !n.exists {
		return n.marker
	}
	return n.version + " " + n.etag
}

// now reads a step's object as it is now.
func (ac *account) objectNow(ctx context.Context, a *args) (*s3.Client, *objectNow, error) {
	c, err := ac.bucket(ctx, a.Bucket, a.owner(ac))
	if err != nil {
		return nil, nil, err
	}
	n, err := head(ctx, c, a.Bucket, a.Object, nil, a.owner(ac))
	return c, n, err
}

// owner is the account that must own a step's bucket.
func (a *args) owner(ac *account) *string {
	if a.Owner != "" {
		return &a.Owner
	}
	return &ac.id
}

func (a *args) toOwner(ac *account) *string {
	if a.ToOwner != "" {
		return &a.ToOwner
	}
	return &ac.id
}

// copySource names an object as a header of the copy takes it.
func copySource(bucket, key, version string) *string {
	var b strings.Builder
	b.WriteString("/" + bucket + "/")
	for _, c := range []byte(key) {
		if c == '/' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
	}
	if version != "" {
		b.WriteString("?versionId=" + version)
	}
	return aws.String(b.String())
}

func copyObject(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	c, err := ac.bucket(ctx, a.ToBucket, a.toOwner(ac))
	if err != nil {
		return sources.Receipt{}, err
	}
	in := &s3.CopyObjectInput{
		Bucket: &a.ToBucket, Key: &a.ToKey, CopySource: copySource(a.Bucket, a.Object, a.Version), CopySourceIfMatch: &a.ETag,
		ExpectedBucketOwner: a.toOwner(ac), ExpectedSourceBucketOwner: a.owner(ac),
	}
	if a.Was == "" {
		in.IfNoneMatch = aws.String("*")
	}
	out, err := c.CopyObject(ctx, in)
	if err != nil {
		return sources.Receipt{}, err
	}
	return sources.Receipt{Ref: requestID(out.ResultMetadata), Data: encode(answer{Version: aws.ToString(out.VersionId)})}, nil
}

func copied(ctx context.Context, ac *account, a *args, r *answer) (sources.Outcome, error) {
	c, err := ac.bucket(ctx, a.ToBucket, a.toOwner(ac))
	if err != nil {
		return sources.Unknown, err
	}
	var version *string
	if r.Version != "" {
		version = &r.Version
	}
	n, err := head(ctx, c, a.ToBucket, a.ToKey, version, a.toOwner(ac))
	switch {
	case err != nil:
		return sources.Unknown, err
	case !n.exists || version == nil && n.id() == a.Was:
		return sources.NotDone, nil
	case n.holds(a):
		return sources.Done, nil
	}
	return sources.Unknown, nil // something else is there
}

// copyBack leaves the copy where it is: in the quarantine it harms nobody. A
// copy that was put back is quarantined anew by another request.
func copyBack(_ context.Context, _ *account, a *args, _ *answer) (*args, error) {
	if a.Owner == "" {
		return nil, nil
	}
	return nil, fault.New(fault.Permanent, "aws: a file that was put back is moved again by quarantine_file")
}

// deleteObject deletes what the plan has seen, and nothing else; of what is
// moved, only when its copy is in place.
func deleteObject(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	c, n, err := ac.objectNow(ctx, a)
	if err != nil {
		return sources.Receipt{}, err
	}
	if !n.is(a) {
		return sources.Receipt{}, meanwhile("%s was changed", a.place())
	}
	if a.ToBucket != "" {
		if out, err := copied(ctx, ac, &args{ETag: a.ETag, Size: a.Size, Sum: a.Sum, KMS: a.KMS, ToBucket: a.ToBucket, ToKey: a.ToKey, ToOwner: a.ToOwner, Was: a.Was}, &answer{}); err != nil || out != sources.Done {
			if err == nil {
				err = fault.New(fault.Permanent, "aws: the copy of %s is not in place: it is not deleted", a.place())
			}
			return sources.Receipt{}, err
		}
	}
	out, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &a.Bucket, Key: &a.Object, IfMatch: &a.ETag, ExpectedBucketOwner: a.owner(ac)})
	if err != nil {
		return sources.Receipt{}, err
	}
	r := answer{}
	if aws.ToBool(out.DeleteMarker) {
		r.Version = aws.ToString(out.VersionId)
	}
	return sources.Receipt{Ref: requestID(out.ResultMetadata), Data: encode(r)}, nil
}

func deleted(ctx context.Context, ac *account, a *args, _ *answer) (sources.Outcome, error) {
	_, n, err := ac.objectNow(ctx, a)
	switch {
	case err != nil:
		return sources.Unknown, err
	case !n.exists:
		return sources.Done, nil
	}
	return sources.NotDone, nil
}

func deleteBack(ctx context.Context, ac *account, a *args, r *answer) (*args, error) {
	_, n, err := ac.objectNow(ctx, a)
	switch {
	case err != nil:
		return nil, err
	case n.is(a) || n.exists && !a.Recoverable && n.holds(a):
		return nil, nil
	case n.exists:
		return nil, meanwhile("%s was written anew", a.place())
	case n.marker != "" && (r.Version == "" || r.Version == n.marker) && a.Recoverable:
		return &args{Op: opUnmark, Bucket: a.Bucket, Object: a.Object, Version: n.marker, ETag: a.ETag}, nil
	case n.marker != "":
		return nil, meanwhile("%s was deleted once more", a.place())
	case a.ToBucket == "":
		return nil, fault.New(fault.Permanent, "aws: the bucket keeps no versions: %s does not come back", a.place())
	}
	return ac.fromQuarantine(ctx, a.Bucket, a.Object, a.ToBucket, a.ToKey, a.ToOwner)
}

// fromQuarantine returns what copies an object back; class BadData when there
// is no copy.
func (ac *account) fromQuarantine(ctx context.Context, bucket, key, quarantine, copyKey, owner string) (*args, error) {
	a := args{Op: opCopy, Bucket: quarantine, Object: copyKey, Owner: first(owner, ac.id), ToBucket: bucket, ToKey: key}
	_, n, err := ac.objectNow(ctx, &a)
	if err != nil {
		return nil, err
	}
	if !n.exists {
		return nil, fault.New(fault.BadData, "the quarantine holds no s3://%s/%s", quarantine, copyKey)
	}
	a.of(n)
	return &a, nil
}

// of notes the content that a step is about.
func (a *args) of(n *objectNow) {
	a.Version, a.ETag, a.Size, a.Sum, a.KMS = n.version, n.etag, n.size, n.sum, n.kms
}

// unmark removes the delete marker that the plan has seen: DELETE of its version.
func unmark(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	c, n, err := ac.objectNow(ctx, a)
	if err != nil {
		return sources.Receipt{}, err
	}
	if n.exists || n.marker != a.Version {
		return sources.Receipt{}, meanwhile("%s was restored, or deleted once more", a.place())
	}
	out, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &a.Bucket, Key: &a.Object, VersionId: &a.Version, ExpectedBucketOwner: a.owner(ac)})
	if err != nil {
		return sources.Receipt{}, err
	}
	return sources.Receipt{Ref: requestID(out.ResultMetadata)}, nil
}

func unmarked(ctx context.Context, ac *account, a *args, _ *answer) (sources.Outcome, error) {
	_, n, err := ac.objectNow(ctx, a)
	switch {
	case err != nil:
		return sources.Unknown, err
	case n.exists:
		return sources.Done, nil
	case n.marker == a.Version:
		return sources.NotDone, nil
	}
	return sources.Unknown, nil
}

func unmarkBack(ctx context.Context, ac *account, a *args, _ *answer) (*args, error) {
	_, n, err := ac.objectNow(ctx, a)
	switch {
	case err != nil || !n.exists:
		return nil, err
	case n.etag != a.ETag:
		return nil, meanwhile("%s was written anew", a.place())
	}
	back := &args{Op: opDelete, Bucket: a.Bucket, Object: a.Object, Recoverable: true}
	back.of(n)
	return back, nil
}

// putVersion copies an older version over the current one.
func putVersion(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	c, n, err := ac.objectNow(ctx, a)
	if err != nil {
		return sources.Receipt{}, err
	}
	if n.id() != a.Was {
		return sources.Receipt{}, meanwhile("%s was changed", a.place())
	}
	in := &s3.CopyObjectInput{
		Bucket: &a.Bucket, Key: &a.Object, CopySource: copySource(a.Bucket, a.Object, a.Version), CopySourceIfMatch: &a.ETag,
		ExpectedBucketOwner: a.owner(ac), ExpectedSourceBucketOwner: a.owner(ac),
	}
	out, err := c.CopyObject(ctx, in)
	if err != nil {
		return sources.Receipt{}, err
	}
	return sources.Receipt{Ref: requestID(out.ResultMetadata), Data: encode(answer{Version: aws.ToString(out.VersionId)})}, nil
}

func versionPut(ctx context.Context, ac *account, a *args, r *answer) (sources.Outcome, error) {
	_, n, err := ac.objectNow(ctx, a)
	switch {
	case err != nil:
		return sources.Unknown, err
	case n.exists && n.id() != a.Was && (n.version == r.Version || n.holds(a)):
		return sources.Done, nil
	}
	return sources.NotDone, nil
}

func versionBack(ctx context.Context, ac *account, a *args, r *answer) (*args, error) {
	c, n, err := ac.objectNow(ctx, a)
	switch {
	case err != nil:
		return nil, err
	case n.id() == a.Was || !n.exists:
		return nil, nil
	}
	back := &args{Op: opPutVersion, Bucket: a.Bucket, Object: a.Object, Was: n.id()}
	version, _, existed := strings.Cut(a.Was, " ")
	if existed {
		before, err := head(ctx, c, a.Bucket, a.Object, &version, a.owner(ac))
		switch {
		case err != nil:
			return nil, err
		case !before.exists:
			return nil, fault.New(fault.Permanent, "aws: the version of %s that was current is gone", a.place())
		case n.etag == before.etag && n.size == before.size:
			return nil, nil
		}
		back.of(before)
	} else { // it was in the trash
		back = &args{Op: opDelete, Bucket: a.Bucket, Object: a.Object, Recoverable: true}
		back.of(n)
	}
	if r.Version != "" && n.version != r.Version {
		return nil, meanwhile("%s was written anew", a.place())
	}
	return back, nil
}

func overwrite(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	c, n, err := ac.objectNow(ctx, a)
	if err != nil {
		return sources.Receipt{}, err
	}
	if !n.is(a) {
		return sources.Receipt{}, meanwhile("%s was changed", a.place())
	}
	out, err := c.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &a.Bucket, Key: &a.Object, Body: bytes.NewReader([]byte(a.Text)), ContentType: aws.String("text/plain; charset=utf-8"),
		IfMatch: &a.ETag, ExpectedBucketOwner: a.owner(ac),
	})
	if err != nil {
		return sources.Receipt{}, err
	}
	return sources.Receipt{Ref: requestID(out.ResultMetadata), Data: encode(answer{Version: aws.ToString(out.VersionId), ETag: aws.ToString(out.ETag)})}, nil
}

// etagOf is the ETag of a text that is put, unless KMS encrypts it.
func etagOf(s string) string {
	sum := md5.Sum([]byte(s)) //nolint:gosec // as S3 has it
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func (n *objectNow) written(a *args, r *answer) bool {
	return n.exists && (n.etag == etagOf(a.Text) || r.ETag != "" && n.etag == r.ETag)
}

func overwritten(ctx context.Context, ac *account, a *args, r *answer) (sources.Outcome, error) {
	_, n, err := ac.objectNow(ctx, a)
	switch {
	case err != nil:
		return sources.Unknown, err
	case n.written(a, r):
		return sources.Done, nil
	case n.is(a):
		return sources.NotDone, nil
	}
	return sources.Unknown, nil
}

func overwriteBack(ctx context.Context, ac *account, a *args, r *answer) (*args, error) {
	_, n, err := ac.objectNow(ctx, a)
	switch {
	case err != nil:
		return nil, err
	case n.exists && n.holds(a) && !n.written(a, r):
		return nil, nil
	case !n.written(a, r):
		return nil, meanwhile("%s was changed", a.place())
	}
	return &args{Op: opPutVersion, Bucket: a.Bucket, Object: a.Object, Version: a.Version, ETag: a.ETag, Size: a.Size, Sum: a.Sum, KMS: a.KMS, Was: n.id()}, nil
}

var tagsOp = settable{"s3:PutObjectTagging and s3:PutObjectVersionTagging", readTags, writeTags, equal}

// readTags returns an object's tags as JSON, sorted.
func readTags(ctx context.Context, ac *account, a *args) (string, error) {
	c, err := ac.ofBucket(ctx, a)
	if err != nil {
		return "", err
	}
	out, err := c.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: &a.Bucket, Key: &a.Object, VersionId: a.version(), ExpectedBucketOwner: &ac.id})
	tags := map[string]string{}
	if codeOf(err) == "NoSuchTagSet" {
		return string(encode(tags)), nil
	}
	if err != nil {
		return "", err
	}
	for _, t := range out.TagSet {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return string(encode(tags)), nil
}

func writeTags(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	tags := map[string]string{}
	if err := json.Unmarshal([]byte(a.Text), &tags); err != nil {
		return sources.Receipt{}, fault.New(fault.Permanent, "aws: the tags of the step: %w", err)
	}
	c, err := ac.ofBucket(ctx, a)
	if err != nil {
		return sources.Receipt{}, err
	}
	set := &types.Tagging{TagSet: []types.Tag{}}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		set.TagSet = append(set.TagSet, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	out, err := c.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: &a.Bucket, Key: &a.Object, VersionId: a.version(), Tagging: set, ExpectedBucketOwner: &ac.id})
	if err != nil {
		return sources.Receipt{}, err
	}
	return sources.Receipt{Ref: requestID(out.ResultMetadata)}, nil
}
