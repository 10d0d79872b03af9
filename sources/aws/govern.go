package aws

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"

	"weir/internal/fault"
	"weir/sources"
)

var _ sources.Governor = (*session)(nil)

// args are a step's: what is done, to what. What undoing needs is in them, too.
type args struct {
	Op      string `json:"op"`
	Account string `json:"account"`
	User    string `json:"user,omitempty"` // its name: IAM knows no other
	Key     string `json:"key,omitempty"`  // id of an access key
	Policy  string `json:"policy,omitempty"`
	Text    string `json:"text,omitempty"` // what is put
	Was     string `json:"was,omitempty"`  // what was there; "" nothing

	Bucket  string `json:"bucket,omitempty"`
	Owner   string `json:"owner,omitempty"` // account that must own the bucket; "" Account
	Object  string `json:"object,omitempty"`
	Version string `json:"version,omitempty"`
	ETag    string `json:"etag,omitempty"`
	Size    int64  `json:"size,omitempty"`
	Sum     string `json:"sum,omitempty"` // checksum
	KMS     bool   `json:"kms,omitempty"`
	// Recoverable: what is deleted or overwritten stays as an older version.
	Recoverable bool   `json:"recoverable,omitempty"`
	ToBucket    string `json:"to_bucket,omitempty"` // of a copy
	ToOwner     string `json:"to_owner,omitempty"`
	ToKey       string `json:"to_key,omitempty"`
}

// answer is a receipt's data.
type answer struct {
	At      string `json:"at,omitempty"`      // time before which sessions are void
	Version string `json:"version,omitempty"` // that was made: of a delete marker, too
	ETag    string `json:"etag,omitempty"`
}

// op is one kind of write.
type op struct {
	right string // IAM action that it needs
	do    func(ctx context.Context, ac *account, a *args) (sources.Receipt, error)
	check func(ctx context.Context, ac *account, a *args, r *answer) (sources.Outcome, error)
	// back returns what takes the step back: nil when it is taken back already,
	// or class Permanent when somebody has changed it since. No func: nothing can.
	back func(ctx context.Context, ac *account, a *args, r *answer) (*args, error)
}

// opOf returns the op of a name; nil: there is none.
func opOf(name string) *op {
	switch name {
	case opKeyOff, opKeyOn:
		return &op{"iam:UpdateAccessKey", setKey, keyIs, keyBack}
	case opKeyDelete:
		return &op{"iam:DeleteAccessKey", deleteKey, keyGone, nil}
	case opPutPolicy:
		return &op{"iam:PutUserPolicy", putPolicy, policyIs, policyBack}
	case opDeletePolicy:
		return &op{"iam:DeleteUserPolicy", deletePolicy, policyIs, policyBack}
	case opRevokeOlder:
		return &op{"iam:PutUserPolicy", revokeOlder, policyIs, policyBack}
	case opExpire, opKeepPassword:
		return &op{"iam:UpdateLoginProfile", setReset, resetIs, resetBack}
	case opNoPassword:
		return &op{"iam:DeleteLoginProfile", deletePassword, passwordGone, nil}
	case opBlock:
		return blockOp.op()
	case opBucketPolicy:
		return bucketPolicyOp.op()
	case opBucketACL:
		return bucketACLOp.op()
	case opObjectACL:
		return objectACLOp.op()
	case opTags:
		return tagsOp.op()
	case opCopy:
		return &op{"s3:GetObject and s3:GetObjectVersion of the file, s3:PutObject where it goes to (kms:Decrypt and kms:GenerateDataKey where KMS encrypts)", copyObject, copied, copyBack}
	case opDelete:
		return &op{"s3:DeleteObject", deleteObject, deleted, deleteBack}
	case opUnmark:
		return &op{"s3:DeleteObjectVersion", unmark, unmarked, unmarkBack}
	case opPutVersion:
		return &op{"s3:GetObjectVersion and s3:PutObject", putVersion, versionPut, versionBack}
	case opOverwrite:
		return &op{"s3:PutObject", overwrite, overwritten, overwriteBack}
	}
	return nil
}

// planner is a plan in the making.
type planner struct {
	*sources.Plan
	ac  *account
	req sources.ActionRequest
}

func (p *planner) add(name, doc string, a args) {
	a.Account = p.ac.id
	p.Steps = append(p.Steps, sources.Step{Name: name, Doc: doc, Args: encode(a)})
}

func (p *planner) change(what, before, after string) {
	p.Diff = append(p.Diff, sources.Change{What: what, Before: short(before), After: short(after)})
}

func (p *planner) before(v any) { p.Before = encode(v) }

const maxShown = 1000

// short cuts what a diff shows.
func short(s string) string {
	if len(s) > maxShown {
		return strings.ToValidUTF8(s[:maxShown], "") + "..."
	}
	return s
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("aws: " + err.Error()) // structs of texts
	}
	return b
}

// planner begins the plan of a request, which is checked once more: what follows
// relies on the form of its texts.
func (s *session) planner(ctx context.Context, r sources.ActionRequest) (*planner, error) {
	info := Connector.Action(r.Action)
	if info == nil {
		return nil, fault.New(fault.BadData, "aws has no action %s", r.Action)
	}
	if err := info.Check(&r); err != nil {
		return nil, err
	}
	ac, err := s.account(ctx, r.Params["account"])
	if err != nil {
		return nil, err
	}
	return &planner{Plan: &sources.Plan{}, ac: ac, req: r}, nil
}

// Plan implements sources.Governor.
func (s *session) Plan(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	p, err := s.planner(ctx, r)
	if err != nil {
		return nil, err
	}
	switch p.req.Kind {
	case sources.TargetCredential:
		err = p.revokeKey(ctx)
	case sources.TargetAccount:
		err = p.onUser(ctx)
	case sources.TargetBucket:
		err = p.onBucket(ctx)
	case sources.TargetFile:
		err = p.onFile(ctx)
	default:
		err = fault.New(fault.BadData, "aws: %s takes no %s", r.Action, r.Kind)
	}
	if err != nil {
		return nil, err
	}
	return p.Plan, nil
}

func decodeStep(st sources.Step) (*args, *op, error) {
	a := &args{}
	if err := json.Unmarshal(st.Args, a); err != nil {
		return nil, nil, fault.New(fault.Permanent, "step %q: %w", st.Name, err)
	}
	o := opOf(a.Op)
	if o == nil || !accountID.MatchString(a.Account) {
		return nil, nil, fault.New(fault.Permanent, "step %q: aws has no %q: it was planned by another version", st.Name, a.Op)
	}
	return a, o, nil
}

// Do implements sources.Governor.
func (s *session) Do(ctx context.Context, st sources.Step) (sources.Receipt, error) {
	a, o, err := decodeStep(st)
	if err != nil {
		return sources.Receipt{}, err
	}
	ac, err := s.account(ctx, a.Account)
	if err != nil {
		return sources.Receipt{}, err
	}
	rc, err := o.do(ctx, ac, a)
	if err != nil {
		return sources.Receipt{}, refused(st.Doc, o.right, err)
	}
	return rc, nil
}

// Check implements sources.Governor.
func (s *session) Check(ctx context.Context, st sources.Step, rc sources.Receipt) (sources.Outcome, error) {
	a, o, err := decodeStep(st)
	if err != nil {
		return sources.Unknown, err
	}
	ac, err := s.account(ctx, a.Account)
	if err != nil {
		return sources.Unknown, err
	}
	out, err := o.check(ctx, ac, a, answerOf(rc))
	if err != nil {
		return sources.Unknown, refused("reading it back", "the rights that plans need", err)
	}
	return out, nil
}

// answerOf reads a receipt's data: without any when the answer was lost.
func answerOf(rc sources.Receipt) *answer {
	r := &answer{}
	if json.Unmarshal(rc.Data, r) != nil {
		return &answer{}
	}
	return r
}

// Undo implements sources.Governor. Each step that took effect is taken back,
// the last one first, unless somebody has done that already.
func (s *session) Undo(ctx context.Context, e sources.Effect) (*sources.Plan, error) {
	r := e.Request
	if info := Connector.Action(r.Action); info == nil || info.NoUndo != "" {
		return nil, fault.New(fault.Permanent, "aws: %s cannot be undone", r.Action)
	}
	p, err := s.planner(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := p.subject(ctx); err != nil {
		return nil, err
	}
	var inEffect []string
	for _, done := range slices.Backward(e.Steps) {
		a, o, err := decodeStep(done.Step)
		if err != nil {
			return nil, err
		}
		if a.Account != p.ac.id {
			return nil, fault.New(fault.Permanent, "aws: it was done in account %s, the credentials are of %s now", a.Account, p.ac.id)
		}
		if o.back == nil {
			return nil, fault.New(fault.Permanent, "aws: %s cannot be undone", done.Step.Doc)
		}
		back, err := o.back(ctx, p.ac, a, answerOf(done.Receipt))
		if err != nil {
			return nil, refused("reading what "+done.Step.Name+" did", "the rights that plans need", err)
		}
		if back == nil {
			continue
		}
		inEffect = append(inEffect, done.Step.Name)
		p.change(done.Step.Doc, "in effect", "taken back")
		p.add("undo:"+done.Step.Name, "take back: "+done.Step.Doc, *back)
	}
	p.before(struct {
		InEffect []string `json:"in_effect"`
	}{inEffect})
	return p.Plan, nil
}

// subject reads the target of the request.
func (p *planner) subject(ctx context.Context) error {
	var err error
	switch p.req.Kind {
	case sources.TargetCredential:
		_, err = p.key(ctx)
	case sources.TargetAccount:
		_, err = p.user(ctx)
	case sources.TargetBucket:
		p.Target = p.bucketSubject(p.req.Target)
	case sources.TargetFile:
		_, _, err = p.file()
	default:
		err = fault.New(fault.BadData, "aws has no action on %s", p.req.Kind)
	}
	return err
}

// requestID is the vendor's id of an answered request.
func requestID(m middleware.Metadata) string {
	id, _ := awsmiddleware.GetRequestIDMetadata(m)
	return id[:min(len(id), 256)]
}

// meanwhile says that a person has been there since.
func meanwhile(format string, a ...any) error {
	return fault.New(fault.Permanent, "aws: "+format+" since: it is left alone", a...)
}
