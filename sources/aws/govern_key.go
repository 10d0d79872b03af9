package aws

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"weir/internal/fault"
	"weir/sources"
)

// Ops on access keys.
const (
	opKeyOff    = "deactivate_key"
	opKeyOn     = "activate_key"
	opKeyDelete = "delete_key"
)

// key finds an access key and its owner.
func (p *planner) key(ctx context.Context) (*types.AccessKeyMetadata, error) {
	id := p.req.Target
	used, err := p.ac.iam().GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: &id})
	if err != nil {
		return nil, refused("looking for key "+id, "iam:GetAccessKeyLastUsed", err)
	}
	name := aws.ToString(used.UserName)
	h, err := p.ac.holder(ctx, "that owns key "+id+" (root's keys are not acted on)", func(u *types.UserDetail) bool { return name != "" && aws.ToString(u.UserName) == name })
	if err != nil {
		return nil, err
	}
	k, err := p.ac.keyOf(ctx, name, id)
	if err != nil {
		return nil, refused("reading the keys of "+name, "iam:ListAccessKeys", err)
	}
	if k == nil {
		return nil, fault.New(fault.BadData, "user %s has no key %s", name, id)
	}
	p.Target = sources.Subject{Kind: p.req.Kind, ID: aws.ToString(k.AccessKeyId), Name: "access key of " + name, Self: p.ac.isOwn(id)}
	p.Also = []sources.Subject{h.subject}
	return k, nil
}

const maxKeyPages = 10 // a user has at most two keys

// keyOf returns a user's key; nil: the user has no such key.
func (ac *account) keyOf(ctx context.Context, user, id string) (*types.AccessKeyMetadata, error) {
	in, client := &iam.ListAccessKeysInput{UserName: &user}, ac.iam()
	for range maxKeyPages {
		out, err := client.ListAccessKeys(ctx, in)
		if err != nil {
			return nil, err
		}
		for i := range out.AccessKeyMetadata {
			if k := &out.AccessKeyMetadata[i]; aws.ToString(k.AccessKeyId) == id {
				return k, nil
			}
		}
		if !out.IsTruncated {
			return nil, nil
		}
		in.Marker = out.Marker
	}
	return nil, fault.New(fault.Transient, "the list of the keys of %s does not end", user)
}

func (p *planner) revokeKey(ctx context.Context) error {
	k, err := p.key(ctx)
	if err != nil {
		return err
	}
	id, status := p.req.Target, string(k.Status)
	p.before(struct {
		Status string `json:"status"`
	}{status})
	a := args{Op: opKeyOff, User: aws.ToString(k.UserName), Key: id, Was: status}
	if p.req.Params["mode"] == modeDelete {
		if k.Status == types.StatusTypeActive {
			return fault.New(fault.Permanent, "aws: key %s is active: only one that has been deactivated is deleted", id)
		}
		a.Op = opKeyDelete
		p.NoUndo = "a deleted key does not come back"
		p.Target.Privileged = true // a person is asked, whatever the configuration says
		p.change("access key "+id+" of "+a.User, status, "deleted")
		p.add(a.Op, "delete the access key", a)
		return nil
	}
	if k.Status == types.StatusTypeActive { // the others are void already
		p.change("access key "+id+" of "+a.User, status, string(types.StatusTypeInactive))
		p.add(a.Op, "deactivate the access key", a)
	}
	return nil
}

func (a *args) keyStatus() types.StatusType {
	if a.Op == opKeyOn {
		return types.StatusTypeActive
	}
	return types.StatusTypeInactive
}

func setKey(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	out, err := ac.iam().UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: &a.User, AccessKeyId: &a.Key, Status: a.keyStatus()})
	if err != nil {
		return sources.Receipt{}, err
	}
	return sources.Receipt{Ref: requestID(out.ResultMetadata)}, nil
}

func keyIs(ctx context.Context, ac *account, a *args, _ *answer) (sources.Outcome, error) {
	k, err := ac.keyOf(ctx, a.User, a.Key)
	switch {
	case codeOf(err) == noSuchEntity, err == nil && k == nil:
		return sources.Unknown, nil // it is gone
	case err != nil:
		return sources.Unknown, err
	case k.Status == a.keyStatus():
		return sources.Done, nil
	}
	return sources.NotDone, nil
}

func keyBack(ctx context.Context, ac *account, a *args, _ *answer) (*args, error) {
	k, err := ac.keyOf(ctx, a.User, a.Key)
	switch {
	case err != nil:
		return nil, err
	case k == nil:
		return nil, meanwhile("key %s was deleted", a.Key)
	case k.Status != a.keyStatus():
		return nil, nil
	}
	back := *a
	if back.Op = opKeyOn; a.Op == opKeyOn {
		back.Op = opKeyOff
	}
	return &back, nil
}

// deleteKey looks once more: a key that somebody has activated is in use.
func deleteKey(ctx context.Context, ac *account, a *args) (sources.Receipt, error) {
	k, err := ac.keyOf(ctx, a.User, a.Key)
	if err != nil {
		return sources.Receipt{}, err
	}
	if k != nil && k.Status == types.StatusTypeActive {
		return sources.Receipt{}, meanwhile("key %s was activated", a.Key)
	}
	out, err := ac.iam().DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &a.User, AccessKeyId: &a.Key})
	if err != nil {
		return sources.Receipt{}, err
	}
	return sources.Receipt{Ref: requestID(out.ResultMetadata)}, nil
}

func keyGone(ctx context.Context, ac *account, a *args, _ *answer) (sources.Outcome, error) {
	k, err := ac.keyOf(ctx, a.User, a.Key)
	switch {
	case codeOf(err) == noSuchEntity, err == nil && k == nil:
		return sources.Done, nil
	case err != nil:
		return sources.Unknown, err
	}
	return sources.NotDone, nil
}

const noSuchEntity = "NoSuchEntity"
