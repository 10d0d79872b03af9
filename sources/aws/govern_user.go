package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"weir/internal/fault"
	"weir/sources"
)

const (
	// detailsPage keeps a page of policies, each with its versions, below maxAnswer.
	detailsPage = 150
	maxDetails  = 2000 // pages
)

// holder is an IAM user with all that a rule of protection may name it by.
type holder struct {
	user    types.UserDetail
	subject sources.Subject
}

// holder returns the user that is looked for. IAM knows users by name only, so
// that the id is looked up in the list of all.
func (ac *account) holder(ctx context.Context, what string, is func(*types.UserDetail) bool) (*holder, error) {
	var (
		found    *types.UserDetail
		groups   = map[string]types.GroupDetail{}
		policies = map[string]string{} // documents by ARN
		in       = &iam.GetAccountAuthorizationDetailsInput{
			Filter:   []types.EntityType{types.EntityTypeUser, types.EntityTypeGroup, types.EntityTypeLocalManagedPolicy, types.EntityTypeAWSManagedPolicy},
			MaxItems: aws.Int32(detailsPage),
		}
	)
	client := ac.iam()
	for range maxDetails {
		out, err := client.GetAccountAuthorizationDetails(ctx, in)
		if err != nil {
			return nil, refused("reading the account's users", "iam:GetAccountAuthorizationDetails", err)
		}
		for i := range out.UserDetailList {
			if is(&out.UserDetailList[i]) {
				found = &out.UserDetailList[i]
			}
		}
		for _, g := range out.GroupDetailList {
			groups[aws.ToString(g.GroupName)] = g
		}
		for _, p := range out.Policies {
			for _, v := range p.PolicyVersionList {
				if v.IsDefaultVersion {
					policies[aws.ToString(p.Arn)] = aws.ToString(v.Document)
				}
			}
		}
		if !out.IsTruncated {
			if found == nil {
				return nil, fault.New(fault.BadData, "account %s has no user %s", ac.id, what)
			}
			return ac.hold(found, groups, policies), nil
		}
		if aws.ToString(out.Marker) == "" || aws.ToString(out.Marker) == aws.ToString(in.Marker) {
			break
		}
		in.Marker = out.Marker
	}
	return nil, fault.New(fault.Transient, "reading the account's users: the list does not end")
}

func (ac *account) hold(u *types.UserDetail, groups map[string]types.GroupDetail, policies map[string]string) *holder {
	h := &holder{user: *u}
	s := &h.subject
	*s = sources.Subject{
		Kind: sources.TargetAccount, ID: aws.ToString(u.UserId), Name: aws.ToString(u.UserName),
		Aliases: []string{aws.ToString(u.Arn), aws.ToString(u.UserName)}, Logins: []string{aws.ToString(u.UserName)},
	}
	for _, t := range u.Tags {
		if strings.EqualFold(aws.ToString(t.Key), "email") {
			s.Emails = append(s.Emails, strings.ToLower(aws.ToString(t.Value)))
		}
	}
	attached, inline := slices.Clone(u.AttachedManagedPolicies), slices.Clone(u.UserPolicyList)
	for _, name := range u.GroupList {
		s.Groups = append(s.Groups, name)
		g, ok := groups[name]
		if !ok {
			s.Privileged = true // what the group may do cannot be told
			continue
		}
		s.Groups = append(s.Groups, aws.ToString(g.GroupId))
		attached, inline = append(attached, g.AttachedManagedPolicies...), append(inline, g.GroupPolicyList...)
	}
	for _, p := range attached {
		s.Roles = append(s.Roles, aws.ToString(p.PolicyName), aws.ToString(p.PolicyArn))
		s.Privileged = s.Privileged || isAdmin(policies[aws.ToString(p.PolicyArn)])
	}
	for _, p := range inline {
		s.Roles = append(s.Roles, "inline:"+aws.ToString(p.PolicyName))
		s.Privileged = s.Privileged || isAdmin(aws.ToString(p.PolicyDocument))
	}
	for _, list := range []*[]string{&s.Groups, &s.Roles} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	s.Self = ac.isOwn(s.ID, aws.ToString(u.Arn))
	return h
}

// isOwn reports whether one of the ids is the agent's own.
func (ac *account) isOwn(ids ...string) bool {
	return slices.ContainsFunc(ids, func(id string) bool { return id != "" && slices.Contains(ac.own, id) })
}

// isAdmin tells whether a policy lets its holder do all, or change who may do
// what; one that cannot be read counts as such.
func isAdmin(document string) bool {
	statements, _, err := statementsOf(plainDocument(document))
	if err != nil || len(statements) == 0 {
		return true
	}
	for _, raw := range statements {
		var st struct {
			Effect    string
			Action    texts
			NotAction texts
		}
		if json.Unmarshal(raw, &st) != nil {
			return true
		}
		if st.Effect != "Allow" {
			continue
		}
		if len(st.NotAction) > 0 || slices.ContainsFunc(st.Action, adminAction) {
			return true
		}
	}
	return false
}

// adminAction reports whether an action, or pattern, lets one change rights.
func adminAction(a string) bool {
	service, verb, ok := strings.Cut(strings.ToLower(a), ":")
	if !ok || strings.ContainsAny(service, "*?") {
		return true
	}
	if service != "iam" || verb == "changepassword" {
		return false
	}
	return !slices.ContainsFunc([]string{"get", "list", "generate", "simulate"}, func(read string) bool { return strings.HasPrefix(verb, read) })
}

// texts is a text or a list of texts of a policy.
type texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *texts) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = texts{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// plainDocument decodes a policy as IAM returns it: percent-encoded.
func plainDocument(s string) string {
	if d, err := url.PathUnescape(s); err == nil {
		return d
	}
	return s
}

// statementsOf returns the statements of a policy, and its members.
func statementsOf(document string) (statements []json.RawMessage, members map[string]json.RawMessage, err error) {
	if err := json.Unmarshal([]byte(document), &members); err != nil {
		return nil, nil, err
	}
	raw := members["Statement"]
	if json.Unmarshal(raw, &statements) != nil {
		statements = []json.RawMessage{raw} // a single one needs no list
	}
	return statements, members, nil
}

// sameDocument reports whether two policies say the same, however written.
func sameDocument(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return a == b
	}
	return bytes.Equal(encode(x), encode(y))
}
