package aws

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"weir/internal/fault"
	"weir/sources"
)

// acl is an access control list: what steps and plans keep of one.
type acl struct {
	Owner  string  `json:"owner"`
	Grants []grant `json:"grants"`
}

type grant struct {
	Type       string `json:"type"` // CanonicalUser or Group
	Who        string `json:"who"`  // id, or URI of a group
	Permission string `json:"permission"`
}

func (g grant) String() string { return g.Permission + " to " + g.Who }

// public reports whether a grant is to everybody, or everybody with an account.
func (g grant) public() bool {
	return strings.HasSuffix(g.Who, "/groups/global/AllUsers") || strings.HasSuffix(g.Who, "/groups/global/AuthenticatedUsers")
}

// aclText writes a list as text: sorted, so that two that say the same are the same.
func aclText(owner *types.Owner, grants []types.Grant) (string, error) {
	if owner == nil || aws.ToString(owner.ID) == "" {
		return "", fault.New(fault.Transient, "the ACL came without an owner")
	}
	l := acl{Owner: aws.ToString(owner.ID)}
	for _, g := range grants {
		if g.Grantee == nil {
			return "", fault.New(fault.Transient, "a grant of the ACL names nobody")
		}
		l.Grants = append(l.Grants, grant{string(g.Grantee.Type), first(aws.ToString(g.Grantee.ID), aws.ToString(g.Grantee.URI), aws.ToString(g.Grantee.EmailAddress)), string(g.Permission)})
	}
	return l.text(), nil
}

func (l *acl) text() string {
	slices.SortFunc(l.Grants, func(a, b grant) int {
		return cmp.Or(strings.Compare(a.Who, b.Who), strings.Compare(a.Permission, b.Permission))
	})
	return string(encode(l))
}

func parseACL(text string) (*acl, error) {
	l := &acl{}
	if err := json.Unmarshal([]byte(text), l); err != nil || l.Owner == "" {
		return nil, fault.New(fault.Permanent, "aws: the ACL of the step was written by another version")
	}
	return l, nil
}

// private reports whether the list grants nobody but the owner anything, and
// the owner all.
func (l *acl) private() bool {
	return len(l.Grants) == 1 && l.Grants[0].Who == l.Owner && l.Grants[0].Permission == string(types.PermissionFullControl)
}

// policy is the list as S3 takes it.
func (l *acl) policy() *types.AccessControlPolicy {
	p := &types.AccessControlPolicy{Owner: &types.Owner{ID: &l.Owner}}
	for _, g := range l.Grants {
		who := &types.Grantee{Type: types.Type(g.Type)}
		switch who.Type {
		case types.TypeGroup:
			who.URI = aws.String(g.Who)
		case types.TypeAmazonCustomerByEmail:
			who.EmailAddress = aws.String(g.Who)
		default:
			who.ID = aws.String(g.Who)
		}
		p.Grants = append(p.Grants, types.Grant{Grantee: who, Permission: types.Permission(g.Permission)})
	}
	return p
}

// unshareACL plans a list without public grants, or without any but the owner's.
func (p *planner) unshareACL(a args, external bool, what string) error {
	l, err := parseACL(a.Was)
	if err != nil {
		return err
	}
	left := &acl{Owner: l.Owner}
	for _, g := range l.Grants {
		if g.public() || external && g.Who != l.Owner {
			p.change(what, g.String(), "none")
			continue
		}
		left.Grants = append(left.Grants, g)
	}
	if len(left.Grants) == len(l.Grants) {
		return nil
	}
	if len(left.Grants) == 0 {
		left.Grants = []grant{{string(types.TypeCanonicalUser), l.Owner, string(types.PermissionFullControl)}}
	}
	a.Text = left.text()
	return p.addKept("acl", "edit the "+what, a)
}

var (
	bucketACLOp = settable{"s3:PutBucketAcl", readBucketACL, writeBucketACL, equal}
	objectACLOp = settable{"s3:PutObjectAcl and s3:PutObjectVersionAcl", readObjectACL, writeObjectACL, equal}
)

func readBucketACL(ctx context.Context, ac *account, a *args) (string, error) {
	c, err := ac.ofBucket(ctx, a)
	if err != nil {
		return "", err
	}
	out, err := c.GetBucketAcl(ctx, &s3.GetBucketAclInput{Bucket: &a.Bucket, ExpectedBucketOwner: &ac.id})
	if err != nil {
		return "", err
	}
	return aclText(out.Owner, out.Grants)
}

func writeBucketACL(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	l, err := parseACL(a.Text)
	if err != nil {
		return sources.Receipt{}, err
	}
	c, err := ac.ofBucket(ctx, a)
	if err != nil {
		return sources.Receipt{}, err
	}
	in := &s3.PutBucketAclInput{Bucket: &a.Bucket, ExpectedBucketOwner: &ac.id}
	if l.private() {
		in.ACL = types.BucketCannedACLPrivate
	} else {
		in.AccessControlPolicy = l.policy()
	}
	out, err := c.PutBucketAcl(ctx, in)
	if err != nil {
		return sources.Receipt{}, err
	}
	return sources.Receipt{Ref: requestID(out.ResultMetadata)}, nil
}

func readObjectACL(ctx context.Context, ac *account, a *args) (string, error) {
	c, err := ac.ofBucket(ctx, a)
	if err != nil {
		return "", err
	}
	out, err := c.GetObjectAcl(ctx, &s3.GetObjectAclInput{Bucket: &a.Bucket, Key: &a.Object, VersionId: a.version(), ExpectedBucketOwner: &ac.id})
	if err != nil {
		return "", err
	}
	return aclText(out.Owner, out.Grants)
}

func writeObjectACL(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	l, err := parseACL(a.Text)
	if err != nil {
		return sources.Receipt{}, err
	}
	c, err := ac.ofBucket(ctx, a)
	if err != nil {
		return sources.Receipt{}, err
	}
	in := &s3.PutObjectAclInput{Bucket: &a.Bucket, Key: &a.Object, VersionId: a.version(), ExpectedBucketOwner: &ac.id}
	if l.private() {
		in.ACL = types.ObjectCannedACLPrivate
	} else {
		in.AccessControlPolicy = l.policy()
	}
	out, err := c.PutObjectAcl(ctx, in)
	if err != nil {
		return sources.Receipt{}, err
	}
	return sources.Receipt{Ref: requestID(out.ResultMetadata)}, nil
}

// version is the version of the object that a step is about; nil: the bucket
// keeps none.
func (a *args) version() *string {
	if a.Version == "" {
		return nil
	}
	return &a.Version
}
