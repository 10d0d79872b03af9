package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"weir/internal/fault"
	"weir/sources"
)

const (
	maxKey       = 1024    // bytes
	maxCopy      = 5 << 30 // bytes that S3 copies in one request
	maxTags      = 10
	tagMark      = "weir-quarantine"
	modeInPlace  = "in_place"
	textReplaced = "This file was replaced by Weir, at the request %s. Its former content is an older version.\n"
)

var fileID = regexp.MustCompile(`\As3://(` + idBucket + `)/(.+)\z`)

// parseFile takes a file's id apart. What another reader of it (a proxy, a
// shell) could take for another file is refused.
func parseFile(id string) (bucket, key string, err error) {
	m := fileID.FindStringSubmatch(id)
	if m == nil {
		return "", "", fault.New(fault.BadData, "%q is no file: want s3://bucket/key", id)
	}
	bucket, key = m[1], m[2]
	switch {
	case len(key) > maxKey || !utf8.ValidString(key):
		err = fault.New(fault.BadData, "the key of %.80q is longer than %d bytes, or not UTF-8", id, maxKey)
	case strings.HasSuffix(key, "/"):
		err = fault.New(fault.BadData, "%q is a folder: files are acted on one by one", id)
	case strings.Contains(key, "?versionId="):
		err = fault.New(fault.BadData, "%q is an older version: the file itself is acted on", id)
	case slices.ContainsFunc(strings.Split(key, "/"), func(part string) bool { return part == "." || part == ".." }):
		err = fault.New(fault.BadData, "%q: what stands between slashes is . or ..: proxies take it for another file", id)
	case strings.ContainsFunc(key, unicode.IsControl):
		err = fault.New(fault.BadData, "%q holds control characters", id)
	}
	return bucket, key, err
}

// file names the target in the plan.
func (p *planner) file() (bucket, key string, err error) {
	if bucket, key, err = parseFile(p.req.Target); err != nil {
		return "", "", err
	}
	p.Target = sources.Subject{Kind: p.req.Kind, ID: p.req.Target, Name: path.Base(key), Aliases: []string{"arn:" + p.ac.partition + ":s3:::" + bucket + "/" + key}}
	p.Also = []sources.Subject{p.bucketSubject(bucket)}
	l, err := parseLocation(p.ac.cfg.CloudTrail.URL)
	switch {
	case err == nil && bucket == l.bucket && strings.HasPrefix(key, l.prefix):
		return "", "", fault.New(fault.Permanent, "aws: %s is among the log files that are collected: evidence is not acted on", p.req.Target)
	case bucket == p.ac.cfg.Actions.Quarantine:
		return "", "", fault.New(fault.Permanent, "aws: %s is in the quarantine: act on the file by its own id", p.req.Target)
	}
	return bucket, key, nil
}

// fileBefore is the state of a file that actions change.
type fileBefore struct {
	Version    string `json:"version,omitempty"`
	ETag       string `json:"etag,omitempty"`
	Size       int64  `json:"size,omitempty"`
	Class      string `json:"class,omitempty"`
	Marker     string `json:"delete_marker,omitempty"`
	Versioning string `json:"versioning,omitempty"`
	ACL        string `json:"acl,omitempty"`
	Tags       string `json:"tags,omitempty"`
	Copy       string `json:"copy,omitempty"` // state of the place in the quarantine
}

func (p *planner) onFile(ctx context.Context) error {
	bucket, key, err := p.file()
	if err != nil {
		return err
	}
	a := args{Bucket: bucket, Object: key}
	c, n, err := p.ac.objectNow(ctx, &a)
	if err != nil {
		return err
	}
	versioning, err := c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &bucket, ExpectedBucketOwner: &p.ac.id})
	if err != nil {
		return refused("reading the versioning of "+bucket, "s3:GetBucketVersioning", err)
	}
	a.of(n)
	status := versioning.Status
	a.Recoverable = status == types.BucketVersioningStatusEnabled || status == types.BucketVersioningStatusSuspended && n.version != "" && n.version != "null"
	b := &fileBefore{Version: n.version, ETag: n.etag, Size: n.size, Class: string(n.class), Marker: n.marker, Versioning: string(status)}
	if !n.exists && p.req.Action != sources.RestoreFile && (n.marker == "" || p.req.Action != sources.TrashFile) {
		if n.marker != "" {
			return fault.New(fault.Permanent, "aws: %s is in the trash: restore_file takes it out", p.req.Target)
		}
		return fault.New(fault.BadData, "bucket %s of account %s has no file %q", bucket, p.ac.id, key)
	}
	switch p.req.Action {
	case sources.QuarantineFile:
		if p.req.Params["mode"] == modeInPlace {
			err = p.quarantineInPlace(ctx, a, b)
		} else {
			err = p.quarantineByMove(ctx, a, n, b)
		}
	case sources.RestoreFile:
		err = p.restore(ctx, c, a, n, b)
	case sources.TrashFile:
		err = p.trash(a, n)
	case sources.OverwriteFile:
		err = p.overwrite(a, n)
	case sources.RemoveSharing:
		err = p.unshareFile(ctx, a, b)
	default:
		return fault.New(fault.BadData, "aws has no action %s on %s", p.req.Action, p.req.Kind)
	}
	p.before(b)
	return err
}

// content words an object for the diff.
func (n *objectNow) content() string {
	return fmt.Sprintf("%d bytes, %s", n.size, strings.TrimSpace("ETag "+n.etag+" "+n.version))
}

const limitVersions = "Older versions stay readable by their version ids."

func (p *planner) quarantineByMove(ctx context.Context, a args, n *objectNow, b *fileBefore) error {
	switch {
	case n.class == types.StorageClassGlacier || n.class == types.StorageClassDeepArchive:
		return fault.New(fault.Permanent, "aws: %s is archived (%s) and cannot be copied: quarantine it with mode %s", p.req.Target, n.class, modeInPlace)
	case n.size > maxCopy:
		return fault.New(fault.Permanent, "aws: %s has %d bytes, more than S3 copies at once: quarantine it with mode %s", p.req.Target, n.size, modeInPlace)
	}
	if err := p.ac.quarantineReady(ctx); err != nil {
		return err
	}
	a.ToBucket, a.ToOwner, a.ToKey = p.ac.cfg.Actions.Quarantine, p.ac.cfg.Actions.QuarantineOwner, p.ac.quarantineKey(a.Bucket, a.Object)
	if len(a.ToKey) > maxKey {
		return fault.New(fault.Permanent, "aws: the key %q is too long for the quarantine: quarantine it with mode %s", a.Object, modeInPlace)
	}
	_, there, err := p.ac.objectNow(ctx, &args{Bucket: a.ToBucket, Object: a.ToKey, Owner: a.ToOwner})
	if err != nil {
		return err
	}
	a.Was = there.id()
	b.Copy = a.Was
	if b.ACL, err = readObjectACL(ctx, p.ac, &a); err != nil {
		return refused("reading the ACL of "+p.req.Target, "s3:GetObjectAcl and s3:GetObjectVersionAcl", err)
	}
	if a.Recoverable {
		p.Limits = append(p.Limits, limitVersions)
	} else {
		p.Limits = append(p.Limits, "The bucket keeps no versions: undone, the file is copied back, without its ACL.")
	}
	p.change(p.req.Target, n.content(), "moved to s3://"+a.ToBucket+"/"+a.ToKey)
	a.Op = opCopy
	p.add("copy", "copy the file into the quarantine", a)
	a.Op = opDelete
	p.add("delete", "delete the file where it was", a)
	return nil
}

func (ac *account) quarantineKey(bucket, key string) string {
	return ac.id + "/" + bucket + "/" + key
}

// quarantineReady tells whether the quarantine is one: out of the public's
// reach, and keeping versions.
func (ac *account) quarantineReady(ctx context.Context) error {
	name := ac.cfg.Actions.Quarantine
	if name == "" {
		return fault.New(fault.Permanent, "aws: to move files into quarantine, set actions.quarantine to a bucket")
	}
	owner := (&args{Owner: ac.cfg.Actions.QuarantineOwner}).owner(ac)
	c, err := ac.bucket(ctx, name, owner)
	if err != nil {
		return err
	}
	block, err := blockOf(ctx, c, name, owner)
	if err != nil {
		return refused("reading the public access block of the quarantine "+name, "s3:GetBucketPublicAccessBlock", err)
	}
	versioning, err := c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &name, ExpectedBucketOwner: owner})
	if err != nil {
		return refused("reading the versioning of the quarantine "+name, "s3:GetBucketVersioning", err)
	}
	if block != blockAll || versioning.Status != types.BucketVersioningStatusEnabled {
		return fault.New(fault.Permanent, "aws: bucket %s is no quarantine: block all public access to it, and enable versioning", name)
	}
	return nil
}

func (p *planner) quarantineInPlace(ctx context.Context, a args, b *fileBefore) error {
	policy, err := readBucketPolicy(ctx, p.ac, &a)
	if err != nil {
		return refused("reading the policy of "+a.Bucket, "s3:GetBucketPolicy", err)
	}
	if !deniesMarked(policy) {
		return fault.New(fault.Permanent, "aws: the policy of bucket %s does not deny s3:GetObject* of objects with the tag %s: a tag alone would hide nothing", a.Bucket, tagMark)
	}
	a.Op = opTags
	if a.Was, err = readTags(ctx, p.ac, &a); err != nil {
		return refused("reading the tags of "+p.req.Target, "s3:GetObjectTagging and s3:GetObjectVersionTagging", err)
	}
	b.Tags = a.Was
	tags := map[string]string{}
	if err := json.Unmarshal([]byte(a.Was), &tags); err != nil {
		return fault.New(fault.Transient, "the tags of %s: %w", p.req.Target, err)
	}
	if _, marked := tags[tagMark]; marked {
		return nil
	}
	if len(tags) >= maxTags {
		return fault.New(fault.Permanent, "aws: %s has %d tags already, and S3 takes %d", p.req.Target, len(tags), maxTags)
	}
	tags[tagMark] = p.req.ID
	a.Text = string(encode(tags))
	p.Limits = append(p.Limits, limitVersions)
	p.change("tags of "+p.req.Target, a.Was, a.Text)
	return p.addKept("mark", "mark the file for the policy that denies reading it", a)
}

// deniesMarked reports whether a bucket's policy denies everybody, but for
// exceptions by condition, to read what is marked.
func deniesMarked(policy string) bool {
	statements, _, err := statementsOf(policy)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(statements, func(raw json.RawMessage) bool {
		var st struct {
			Effect    string
			Action    texts
			Condition map[string]map[string]json.RawMessage
		}
		if json.Unmarshal(raw, &st) != nil || st.Effect != "Deny" {
			return false
		}
		reads := slices.ContainsFunc(st.Action, func(a string) bool {
			return slices.Contains([]string{"*", "s3:*", "s3:get*", "s3:getobject*"}, strings.ToLower(a))
		})
		for _, operator := range st.Condition {
			for key := range operator {
				if reads && strings.EqualFold(key, "s3:ExistingObjectTag/"+tagMark) {
					return true
				}
			}
		}
		return false
	})
}

func (p *planner) restore(ctx context.Context, c *s3.Client, a args, n *objectNow, b *fileBefore) error {
	version := p.req.Params["version"]
	switch {
	case version != "":
		return p.restoreVersion(ctx, c, a, n, version)
	case n.exists:
		return p.unmark(ctx, a, b)
	case n.marker != "":
		switch {
		case len(n.below) == 0:
			return fault.New(fault.BadData, "%s has a delete marker and no version", p.req.Target)
		case n.markers > 1:
			return fault.New(fault.Permanent, "aws: %s was deleted %d times over: restore it by params.version", p.req.Target, n.markers)
		}
		below := &n.below[0]
		p.change(p.req.Target, "in the trash", below.content())
		p.add("restore", "remove the delete marker", args{Op: opUnmark, Bucket: a.Bucket, Object: a.Object, Version: n.marker, ETag: below.etag})
		return nil
	case p.ac.cfg.Actions.Quarantine == "":
		return fault.New(fault.BadData, "bucket %s of account %s has no file %q, and there is no quarantine", a.Bucket, p.ac.id, a.Object)
	}
	back, err := p.ac.fromQuarantine(ctx, a.Bucket, a.Object, p.ac.cfg.Actions.Quarantine, p.ac.quarantineKey(a.Bucket, a.Object), p.ac.cfg.Actions.QuarantineOwner)
	if err != nil {
		return err
	}
	p.NoUndo = "a file that was copied back is moved again by quarantine_file"
	p.change(p.req.Target, "in the quarantine", fmt.Sprintf("%d bytes, ETag %s", back.Size, back.ETag))
	p.add("restore", "copy the file back from the quarantine", *back)
	return nil
}

// unmark plans the end of a quarantine in place.
func (p *planner) unmark(ctx context.Context, a args, b *fileBefore) error {
	a.Op = opTags
	var err error
	if a.Was, err = readTags(ctx, p.ac, &a); err != nil {
		return refused("reading the tags of "+p.req.Target, "s3:GetObjectTagging and s3:GetObjectVersionTagging", err)
	}
	b.Tags = a.Was
	tags := map[string]string{}
	if err := json.Unmarshal([]byte(a.Was), &tags); err != nil {
		return fault.New(fault.Transient, "the tags of %s: %w", p.req.Target, err)
	}
	if _, marked := tags[tagMark]; !marked {
		return nil
	}
	delete(tags, tagMark)
	a.Text = string(encode(tags))
	p.change("tags of "+p.req.Target, a.Was, a.Text)
	return p.addKept("unmark", "take the mark of the quarantine from the file", a)
}

func (p *planner) restoreVersion(ctx context.Context, c *s3.Client, a args, n *objectNow, version string) error {
	old, err := head(ctx, c, a.Bucket, a.Object, &version, &p.ac.id)
	switch {
	case err != nil:
		return err
	case !old.exists:
		return fault.New(fault.BadData, "%s has no version %q", p.req.Target, version)
	case n.exists && n.version == version:
		return nil
	case old.size > maxCopy:
		return fault.New(fault.Permanent, "aws: version %s has %d bytes, more than S3 copies at once", version, old.size)
	case !a.Recoverable:
		return fault.New(fault.Permanent, "aws: bucket %s keeps no versions any more: what is there would be lost", a.Bucket)
	}
	a.of(old)
	a.Op, a.Was, a.Version = opPutVersion, n.id(), version
	before := "in the trash"
	if n.exists {
		before = n.content()
	}
	p.change(p.req.Target, before, old.content())
	p.add("restore", "copy the older version over the current one", a)
	return nil
}

func (p *planner) trash(a args, n *objectNow) error {
	if !n.exists {
		return nil
	}
	after := "in the trash"
	if !a.Recoverable {
		if p.req.Params["force"] != "yes" {
			return fault.New(fault.Permanent, "aws: bucket %s keeps no versions: the file would be gone for good; params.force=yes asks for that", a.Bucket)
		}
		p.NoUndo = "the bucket keeps no versions: the file is gone for good"
		p.Target.Privileged = true // a person is asked, whatever the configuration says
		after = "gone for good"
	} else {
		p.Limits = append(p.Limits, limitVersions)
	}
	a.Op = opDelete
	p.change(p.req.Target, n.content(), after)
	p.add("trash", "delete the file", a)
	return nil
}

func (p *planner) overwrite(a args, n *objectNow) error {
	if !a.Recoverable {
		return fault.New(fault.Permanent, "aws: bucket %s keeps no versions: the file's content would be gone for good", a.Bucket)
	}
	if n.size > maxCopy {
		p.NoUndo = "the file is larger than S3 copies at once"
	}
	a.Op, a.Text = opOverwrite, fmt.Sprintf(textReplaced, p.req.ID)
	if n.etag == etagOf(a.Text) {
		return nil
	}
	p.Limits = append(p.Limits, limitVersions)
	p.change(p.req.Target, n.content(), fmt.Sprintf("a note of %d bytes", len(a.Text)))
	p.add("overwrite", "put a note in the file's place", a)
	return nil
}

func (p *planner) unshareFile(ctx context.Context, a args, b *fileBefore) error {
	a.Op = opObjectACL
	var err error
	if a.Was, err = readObjectACL(ctx, p.ac, &a); err != nil {
		return refused("reading the ACL of "+p.req.Target, "s3:GetObjectAcl and s3:GetObjectVersionAcl", err)
	}
	b.ACL = a.Was
	return p.unshareACL(a, p.req.Params["who"] == whoExternal, "ACL of "+p.req.Target)
}
