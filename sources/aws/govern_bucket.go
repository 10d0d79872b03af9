package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"weir/internal/fault"
	"weir/sources"
)

// Ops that set something of a bucket or object, and can set it back.
const (
	opBlock        = "public_access_block"
	opBucketPolicy = "bucket_policy"
	opBucketACL    = "bucket_acl"
	opObjectACL    = "object_acl"
	opTags         = "object_tags"
)

// settable is a thing that is read and written whole, as text; "" is unset.
type settable struct {
	rights string
	read   func(ctx context.Context, ac *account, a *args) (string, error)
	write  func(ctx context.Context, ac *account, a *args) (sources.Receipt, error)
	same   func(a, b string) bool
}

// op makes the op that sets it: only over what the plan has seen.
func (v settable) op() *op {
	return &op{
		right: v.rights,
		do: func(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
			now, err := v.read(ctx, ac, a)
			if err != nil {
				return sources.Receipt{}, err
			}
			if !v.same(now, a.Was) && !v.same(now, a.Text) {
				return sources.Receipt{}, meanwhile("%s of %s was changed", a.Op, a.place())
			}
			return v.write(ctx, ac, a)
		},
		check: func(ctx context.Context, ac *account, a *args, _ *answer) (sources.Outcome, error) {
			now, err := v.read(ctx, ac, a)
			switch {
			case gone(err):
				return sources.Unknown, nil
			case err != nil:
				return sources.Unknown, err
			case v.same(now, a.Text):
				return sources.Done, nil
			}
			return sources.NotDone, nil
		},
		back: func(ctx context.Context, ac *account, a *args, _ *answer) (*args, error) {
			now, err := v.read(ctx, ac, a)
			switch {
			case err != nil:
				return nil, err
			case v.same(now, a.Was):
				return nil, nil
			case !v.same(now, a.Text):
				return nil, meanwhile("%s of %s was changed", a.Op, a.place())
			}
			back := *a
			back.Text, back.Was = a.Was, a.Text
			return &back, nil
		},
	}
}

// place names what a step is about.
func (a *args) place() string {
	if a.Object == "" {
		return a.Bucket
	}
	return "s3://" + a.Bucket + "/" + a.Object
}

// gone reports whether what was asked for does not exist.
func gone(err error) bool {
	return slices.Contains([]string{"NoSuchBucket", "NoSuchKey", "NoSuchVersion", "NotFound"}, codeOf(err))
}

func equal(a, b string) bool { return a == b }

// bucket returns a client for a bucket's region.
func (ac *account) bucket(ctx context.Context, name string, owner *string) (*s3.Client, error) {
	if ac.cfg.Endpoints.S3 != "" {
		return ac.s3(""), nil
	}
	out, err := ac.s3("").GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: &name, ExpectedBucketOwner: owner})
	if wrongRegion[codeOf(err)] && regionID.MatchString(header(err, "x-amz-bucket-region")) {
		return ac.s3(header(err, "x-amz-bucket-region")), nil
	}
	if err != nil {
		return nil, refused("looking for bucket "+name+" of account "+aws.ToString(owner), "s3:GetBucketLocation", err)
	}
	switch region := string(out.LocationConstraint); region {
	case "":
		return ac.s3(iamRegions[ac.partition]), nil // us-east-1 has no name there
	case "EU":
		return ac.s3("eu-west-1"), nil
	default:
		return ac.s3(region), nil
	}
}

// ofBucket returns the client for a step's bucket, which the account must own.
func (ac *account) ofBucket(ctx context.Context, a *args) (*s3.Client, error) {
	return ac.bucket(ctx, a.Bucket, &ac.id)
}

func (p *planner) bucketSubject(name string) sources.Subject {
	return sources.Subject{Kind: sources.TargetBucket, ID: name, Name: name, Aliases: []string{"arn:" + p.ac.partition + ":s3:::" + name, "s3://" + name}}
}

func (p *planner) onBucket(ctx context.Context) error {
	p.Target = p.bucketSubject(p.req.Target)
	switch p.req.Action {
	case sources.MakePrivate:
		return p.makePrivate(ctx)
	case sources.RemoveSharing:
		return p.unshareBucket(ctx)
	default:
		return fault.New(fault.BadData, "aws has no action %s on %s", p.req.Action, p.req.Kind)
	}
}

// blockAll is what makes a bucket private whatever its policy and ACLs say.
const blockAll = "BlockPublicAcls IgnorePublicAcls BlockPublicPolicy RestrictPublicBuckets"

// blockNone is a configuration in which nothing is blocked; "" is none at all.
const blockNone = "nothing blocked"

var blockOp = settable{"s3:PutBucketPublicAccessBlock", readBlock, writeBlock, equal}

func (p *planner) makePrivate(ctx context.Context) error {
	a := args{Op: opBlock, Bucket: p.req.Target, Text: blockAll}
	var err error
	if a.Was, err = readBlock(ctx, p.ac, &a); err != nil {
		return refused("reading the public access block of "+a.Bucket, "s3:GetBucketPublicAccessBlock", err)
	}
	p.before(struct {
		Block string `json:"public_access_block"`
	}{a.Was})
	if a.Was != blockAll {
		p.change("public access block of "+a.Bucket, first(a.Was, "none"), blockAll)
		p.add("block", "block all public access to the bucket", a)
	}
	return nil
}

func readBlock(ctx context.Context, ac *account, a *args) (string, error) {
	c, err := ac.ofBucket(ctx, a)
	if err != nil {
		return "", err
	}
	return blockOf(ctx, c, a.Bucket, &ac.id)
}

func blockOf(ctx context.Context, c *s3.Client, bucket string, owner *string) (string, error) {
	out, err := c.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &bucket, ExpectedBucketOwner: owner})
	if codeOf(err) == "NoSuchPublicAccessBlockConfiguration" {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	b := out.PublicAccessBlockConfiguration
	if b == nil {
		return "", fault.New(fault.Transient, "the public access block of %s came empty", bucket)
	}
	var on []string
	for i, v := range []*bool{b.BlockPublicAcls, b.IgnorePublicAcls, b.BlockPublicPolicy, b.RestrictPublicBuckets} {
		if aws.ToBool(v) {
			on = append(on, strings.Fields(blockAll)[i])
		}
	}
	return first(strings.Join(on, " "), blockNone), nil
}

func writeBlock(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	c, err := ac.ofBucket(ctx, a)
	if err != nil {
		return sources.Receipt{}, err
	}
	if a.Text == "" {
		out, err := c.DeletePublicAccessBlock(ctx, &s3.DeletePublicAccessBlockInput{Bucket: &a.Bucket, ExpectedBucketOwner: &ac.id})
		if err != nil {
			return sources.Receipt{}, err
		}
		return sources.Receipt{Ref: requestID(out.ResultMetadata)}, nil
	}
	on := func(i int) *bool {
		return aws.Bool(slices.Contains(strings.Fields(a.Text), strings.Fields(blockAll)[i]))
	}
	out, err := c.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{
		Bucket: &a.Bucket, ExpectedBucketOwner: &ac.id,
		PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{BlockPublicAcls: on(0), IgnorePublicAcls: on(1), BlockPublicPolicy: on(2), RestrictPublicBuckets: on(3)},
	})
	if err != nil {
		return sources.Receipt{}, err
	}
	return sources.Receipt{Ref: requestID(out.ResultMetadata)}, nil
}

const whoExternal = "external"

// unshareBucket takes from a bucket's ACL and policy those that it should not
// be shared with.
func (p *planner) unshareBucket(ctx context.Context) error {
	external := p.req.Params["who"] == whoExternal
	list := args{Op: opBucketACL, Bucket: p.req.Target}
	policy := args{Op: opBucketPolicy, Bucket: p.req.Target}
	var err error
	if list.Was, err = readBucketACL(ctx, p.ac, &list); err != nil {
		return refused("reading the ACL of "+list.Bucket, "s3:GetBucketAcl", err)
	}
	if policy.Was, err = readBucketPolicy(ctx, p.ac, &policy); err != nil {
		return refused("reading the policy of "+policy.Bucket, "s3:GetBucketPolicy", err)
	}
	p.before(struct {
		ACL    string `json:"acl"`
		Policy string `json:"policy"`
	}{list.Was, policy.Was})
	if err := p.unshareACL(list, external, "ACL of bucket "+list.Bucket); err != nil {
		return err
	}
	edited, removed, kept, err := withoutOthers(policy.Was, p.ac.id, external)
	if err != nil {
		return fault.New(fault.Permanent, "aws: the policy of bucket %s cannot be read: %w", policy.Bucket, err)
	}
	if kept {
		p.Limits = append(p.Limits, "The bucket's policy allows anybody who fulfils a condition: such statements are left alone.")
	}
	if len(removed) == 0 {
		return nil
	}
	policy.Text = edited
	for _, r := range removed {
		p.change("policy of bucket "+policy.Bucket, "allows "+r, "does not")
	}
	return p.addKept("policy", "edit the bucket's policy", policy)
}

// addKept adds a step that keeps what was there, if that is not too long.
func (p *planner) addKept(name, doc string, a args) error {
	if len(encode(a)) > sources.MaxStepArgs-64 {
		return fault.New(fault.Permanent, "aws: %s of %s is too long to be kept for putting it back: edit it by hand", a.Op, a.place())
	}
	p.add(name, doc, a)
	return nil
}

var bucketPolicyOp = settable{"s3:PutBucketPolicy and s3:DeleteBucketPolicy", readBucketPolicy, writeBucketPolicy, sameDocument}

func readBucketPolicy(ctx context.Context, ac *account, a *args) (string, error) {
	c, err := ac.ofBucket(ctx, a)
	if err != nil {
		return "", err
	}
	out, err := c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &a.Bucket, ExpectedBucketOwner: &ac.id})
	if codeOf(err) == "NoSuchBucketPolicy" {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return aws.ToString(out.Policy), nil
}

func writeBucketPolicy(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	c, err := ac.ofBucket(ctx, a)
	if err != nil {
		return sources.Receipt{}, err
	}
	if a.Text == "" {
		out, err := c.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: &a.Bucket, ExpectedBucketOwner: &ac.id})
		if err != nil {
			return sources.Receipt{}, err
		}
		return sources.Receipt{Ref: requestID(out.ResultMetadata)}, nil
	}
	out, err := c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &a.Bucket, Policy: &a.Text, ExpectedBucketOwner: &ac.id})
	if err != nil {
		return sources.Receipt{}, err
	}
	return sources.Receipt{Ref: requestID(out.ResultMetadata)}, nil
}

// withoutOthers returns a bucket's policy without what it allows everybody, and
// principals outside the account too; "" when nothing is left. kept: it allows
// everybody something on a condition, which is left alone.
func withoutOthers(document, account string, external bool) (edited string, removed []string, kept bool, err error) {
	if document == "" {
		return "", nil, false, nil
	}
	statements, members, err := statementsOf(document)
	if err != nil {
		return "", nil, false, err
	}
	var left []json.RawMessage
	for i, raw := range statements {
		var st map[string]json.RawMessage
		if err := json.Unmarshal(raw, &st); err != nil {
			return "", nil, false, fmt.Errorf("statement %d: %w", i+1, err)
		}
		var effect, sid string
		_, _ = json.Unmarshal(st["Effect"], &effect), json.Unmarshal(st["Sid"], &sid)
		if effect != "Allow" {
			left = append(left, raw)
			continue
		}
		name := first(sid, fmt.Sprintf("statement %d", i+1))
		if _, not := st["NotPrincipal"]; not {
			removed = append(removed, "everybody but some, by "+name)
			continue
		}
		stay, gone, conditional, err := principals(st, account, external)
		if err != nil {
			return "", nil, false, fmt.Errorf("%s: %w", name, err)
		}
		kept = kept || conditional
		for _, g := range gone {
			removed = append(removed, g+", by "+name)
		}
		switch {
		case len(gone) == 0:
			left = append(left, raw)
		case stay != nil:
			st["Principal"] = encode(stay)
			left = append(left, encode(st))
		}
	}
	if len(removed) == 0 {
		return document, nil, kept, nil
	}
	if len(left) == 0 {
		return "", removed, kept, nil
	}
	members = maps.Clone(members)
	members["Statement"] = encode(left)
	return string(encode(members)), removed, kept, nil
}

// principals parts whom a statement allows: those who stay, nil none, and those
// who are to go.
func principals(st map[string]json.RawMessage, account string, external bool) (stay map[string][]string, gone []string, conditional bool, err error) {
	by := map[string]texts{}
	var everybody string
	if json.Unmarshal(st["Principal"], &everybody) == nil {
		by["AWS"] = texts{everybody}
	} else if err := json.Unmarshal(st["Principal"], &by); err != nil {
		return nil, nil, false, err
	}
	_, condition := st["Condition"]
	for _, kind := range slices.Sorted(maps.Keys(by)) {
		for _, who := range by[kind] {
			everybody := kind == "AWS" && who == "*"
			goes := external && kind != "Service" && !ofAccount(who, account)
			if everybody {
				goes, conditional = !condition, conditional || condition
			}
			if goes {
				gone = append(gone, map[bool]string{true: "everybody", false: who}[everybody])
				continue
			}
			if stay == nil {
				stay = map[string][]string{}
			}
			stay[kind] = append(stay[kind], who)
		}
	}
	return stay, gone, conditional, nil
}

// ofAccount reports whether a principal is the account, or one of its own.
func ofAccount(who, account string) bool {
	if who == account {
		return true
	}
	parts := strings.SplitN(who, ":", 6)
	return len(parts) == 6 && parts[0] == "arn" && parts[4] == account
}
