package aws

import (
	"context"
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"weir/internal/fault"
	"weir/sources"
)

// Ops on users.
const (
	opPutPolicy    = "put_user_policy"
	opDeletePolicy = "delete_user_policy"
	opRevokeOlder  = "revoke_older_sessions"
	opExpire       = "expire_password"
	opKeepPassword = "keep_password" // takes expire_password back
	opNoPassword   = "delete_password"
)

// Inline policies of an IAM user that actions put.
const (
	policyDeny  = "WeirDenyAll"
	policyOlder = "AWSRevokeOlderSessions" // AWS's own name of it

	documentDeny = `{"Version":"2012-10-17","Statement":[{"Sid":"WeirDenyAll","Effect":"Deny","Action":"*","Resource":"*"}]}`
)

// documentOlder denies what was signed in before a time.
func documentOlder(at string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"` + at + `"}}}]}`
}

// olderThan returns the time of such a policy; "" it is none.
func olderThan(document string) string {
	statements, _, err := statementsOf(document)
	if err != nil || len(statements) != 1 {
		return ""
	}
	var st struct {
		Condition struct{ DateLessThan map[string]string }
	}
	if json.Unmarshal(statements[0], &st) != nil {
		return ""
	}
	at := st.Condition.DateLessThan["aws:TokenIssueTime"]
	if at == "" || !sameDocument(document, documentOlder(at)) {
		return ""
	}
	return at
}

// user reads the user that is the target.
func (p *planner) user(ctx context.Context) (string, error) {
	h, err := p.ac.holder(ctx, p.req.Target, func(u *types.UserDetail) bool { return aws.ToString(u.UserId) == p.req.Target })
	if err != nil {
		return "", err
	}
	p.Target = h.subject
	return aws.ToString(h.user.UserName), nil
}

func (p *planner) onUser(ctx context.Context) error {
	name, err := p.user(ctx)
	if err != nil {
		return err
	}
	switch p.req.Action {
	case sources.SuspendUser, sources.UnsuspendUser:
		return p.suspension(ctx, name)
	case sources.SignOutUser:
		return p.signOut(ctx, name)
	case sources.ExpirePassword, sources.ResetPassword:
		return p.password(ctx, name)
	default:
		return fault.New(fault.BadData, "aws has no action %s on %s", p.req.Action, p.req.Kind)
	}
}

type policyBefore struct {
	Policy string `json:"policy,omitempty"` // the document; "" none
}

func (p *planner) suspension(ctx context.Context, name string) error {
	was, err := p.ac.userPolicy(ctx, name, policyDeny)
	if err != nil {
		return err
	}
	p.before(policyBefore{was})
	what := "inline policy " + policyDeny + " of " + name
	switch {
	case was != "" && !sameDocument(was, documentDeny):
		return fault.New(fault.Permanent, "aws: the %s is none of Weir's: it is left alone", what)
	case p.req.Action == sources.SuspendUser && was == "":
		p.change(what, "none", "denies everything")
		p.add("suspend", "put the "+what, args{Op: opPutPolicy, User: name, Policy: policyDeny, Text: documentDeny})
	case p.req.Action == sources.UnsuspendUser && was != "":
		p.change(what, "denies everything", "none")
		p.add("unsuspend", "delete the "+what, args{Op: opDeletePolicy, User: name, Policy: policyDeny, Was: documentDeny})
	}
	return nil
}

func (p *planner) signOut(ctx context.Context, name string) error {
	was, err := p.ac.userPolicy(ctx, name, policyOlder)
	if err != nil {
		return err
	}
	what := "inline policy " + policyOlder + " of " + name
	before := "none"
	if was != "" {
		at := olderThan(was)
		if at == "" {
			return fault.New(fault.Permanent, "aws: the %s is of another form than AWS's: it is left alone", what)
		}
		before = "denies temporary credentials from before " + at
	}
	p.before(policyBefore{was})
	p.change(what, before, "denies temporary credentials from before it is put")
	p.add("sign_out", "put the "+what, args{Op: opRevokeOlder, User: name, Policy: policyOlder, Was: was})
	return nil
}

func (p *planner) password(ctx context.Context, name string) error {
	login, err := p.ac.loginProfile(ctx, name)
	if err != nil {
		return err
	}
	type state struct {
		Password bool `json:"password"`
		Reset    bool `json:"reset_required,omitempty"`
	}
	switch {
	case login == nil:
		p.before(state{})
		if p.req.Action == sources.ExpirePassword {
			return fault.New(fault.Permanent, "aws: user %s has no console password", name)
		}
	case p.req.Action == sources.ResetPassword:
		p.before(state{true, login.PasswordResetRequired})
		p.change("console password of "+name, "exists", "none")
		p.add("reset_password", "delete the console password", args{Op: opNoPassword, User: name})
	default:
		p.before(state{true, login.PasswordResetRequired})
		if !login.PasswordResetRequired {
			p.change("console password of "+name, "valid", "must be changed at the next sign-in")
			p.add("expire_password", "have another console password set", args{Op: opExpire, User: name})
		}
	}
	return nil
}

// userPolicy returns an inline policy of a user; "" there is none.
func (ac *account) userPolicy(ctx context.Context, user, name string) (string, error) {
	out, err := ac.iam().GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: &user, PolicyName: &name})
	if codeOf(err) == noSuchEntity {
		return "", nil
	}
	if err != nil {
		return "", refused("reading policy "+name+" of "+user, "iam:GetUserPolicy", err)
	}
	document := plainDocument(aws.ToString(out.PolicyDocument))
	if document == "" {
		return "", fault.New(fault.Transient, "policy %s of %s came without a document", name, user)
	}
	return document, nil
}

// loginProfile returns what is known of a user's console password; nil: the
// user has none.
func (ac *account) loginProfile(ctx context.Context, user string) (*types.LoginProfile, error) {
	out, err := ac.iam().GetLoginProfile(ctx, &iam.GetLoginProfileInput{UserName: &user})
	if codeOf(err) == noSuchEntity {
		return nil, nil
	}
	if err != nil {
		return nil, refused("reading whether "+user+" has a password", "iam:GetLoginProfile", err)
	}
	if out.LoginProfile == nil {
		return nil, fault.New(fault.Transient, "the login profile of %s came empty", user)
	}
	return out.LoginProfile, nil
}

func putPolicy(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	out, err := ac.iam().PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &a.User, PolicyName: &a.Policy, PolicyDocument: &a.Text})
	if err != nil {
		return sources.Receipt{}, err
	}
	return sources.Receipt{Ref: requestID(out.ResultMetadata)}, nil
}

func deletePolicy(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	out, err := ac.iam().DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: &a.User, PolicyName: &a.Policy})
	if err != nil {
		return sources.Receipt{}, err
	}
	return sources.Receipt{Ref: requestID(out.ResultMetadata)}, nil
}

// revokeOlder decides on the time when it is done: a plan has none.
func revokeOlder(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	put := *a
	at := ac.now.UTC().Format(time.RFC3339)
	put.Text = documentOlder(at)
	rc, err := putPolicy(ctx, ac, &put)
	rc.Note, rc.Data = "what was signed in before "+at+" is denied", encode(answer{At: at})
	return rc, err
}

// policyIs tells whether a policy is as the step leaves it.
func policyIs(ctx context.Context, ac *account, a *args, r *answer) (sources.Outcome, error) {
	now, err := ac.userPolicy(ctx, a.User, a.Policy)
	if err != nil {
		return sources.Unknown, err
	}
	done := now == ""
	switch a.Op {
	case opPutPolicy:
		done = sameDocument(now, a.Text)
	case opRevokeOlder:
		at := olderThan(now)
		done = at != "" && at >= r.At && !sameDocument(now, a.Was) // a later time ends the same sessions
	}
	if done {
		return sources.Done, nil
	}
	return sources.NotDone, nil
}

// policyBack puts back the policy that was there, unless there is another now.
func policyBack(ctx context.Context, ac *account, a *args, r *answer) (*args, error) {
	now, err := ac.userPolicy(ctx, a.User, a.Policy)
	if err != nil {
		return nil, err
	}
	mine := now == "" && a.Op == opDeletePolicy || a.Op == opPutPolicy && sameDocument(now, a.Text) ||
		a.Op == opRevokeOlder && olderThan(now) != "" && (r.At == "" || olderThan(now) == r.At)
	switch {
	case sameDocument(now, a.Was):
		return nil, nil
	case !mine:
		return nil, meanwhile("policy %s of %s was changed", a.Policy, a.User)
	case a.Was == "":
		return &args{Op: opDeletePolicy, User: a.User, Policy: a.Policy, Was: now}, nil
	}
	return &args{Op: opPutPolicy, User: a.User, Policy: a.Policy, Text: a.Was, Was: now}, nil
}

func setReset(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	out, err := ac.iam().UpdateLoginProfile(ctx, &iam.UpdateLoginProfileInput{UserName: &a.User, PasswordResetRequired: aws.Bool(a.Op == opExpire)})
	if err != nil {
		return sources.Receipt{}, err
	}
	return sources.Receipt{Ref: requestID(out.ResultMetadata)}, nil
}

func resetIs(ctx context.Context, ac *account, a *args, _ *answer) (sources.Outcome, error) {
	login, err := ac.loginProfile(ctx, a.User)
	switch {
	case err != nil || login == nil:
		return sources.Unknown, err
	case login.PasswordResetRequired == (a.Op == opExpire):
		return sources.Done, nil
	}
	return sources.NotDone, nil
}

func resetBack(ctx context.Context, ac *account, a *args, _ *answer) (*args, error) {
	login, err := ac.loginProfile(ctx, a.User)
	if err != nil || login == nil || login.PasswordResetRequired != (a.Op == opExpire) {
		return nil, err // the person has set another password, or has none any more
	}
	back := *a
	if back.Op = opKeepPassword; a.Op == opKeepPassword {
		back.Op = opExpire
	}
	return &back, nil
}

func deletePassword(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	out, err := ac.iam().DeleteLoginProfile(ctx, &iam.DeleteLoginProfileInput{UserName: &a.User})
	if err != nil {
		return sources.Receipt{}, err
	}
	return sources.Receipt{Ref: requestID(out.ResultMetadata)}, nil
}

func passwordGone(ctx context.Context, ac *account, a *args, _ *answer) (sources.Outcome, error) {
	login, err := ac.loginProfile(ctx, a.User)
	switch {
	case err != nil:
		return sources.Unknown, err
	case login == nil:
		return sources.Done, nil
	}
	return sources.NotDone, nil
}
