package aws_test

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/fault"
	sandboxaws "weir/internal/sandbox/aws"
	"weir/internal/sandbox/org"
	"weir/internal/sourcetest"
	"weir/schemas"
	"weir/sources"
	"weir/sources/aws"
)

type target = sourcetest.ActionTarget

func accounts(pick func(*schemas.Account) bool) func(*schemas.Rows) []target {
	return func(truth *schemas.Rows) (out []target) {
		for i := range truth.Accounts {
			if a := &truth.Accounts[i]; !a.IsAdmin.Value && pick(a) {
				out = append(out, target{ID: a.AccountID})
			}
		}
		return out
	}
}

func status(is string) func(*schemas.Account) bool {
	return func(a *schemas.Account) bool { return a.Status == is }
}

func person(a *schemas.Account) bool { return a.Kind == "human" && a.Status == "active" }

func becomes(is string) func(*schemas.Rows, target) bool {
	return func(truth *schemas.Rows, t target) bool {
		i := slices.IndexFunc(truth.Accounts, func(a schemas.Account) bool { return a.AccountID == t.ID })
		return i >= 0 && truth.Accounts[i].Status == is
	}
}

func files(bucket string, params map[string]string, pick func(*schemas.File) bool) func(*schemas.Rows) []target {
	return func(truth *schemas.Rows) (out []target) {
		for i := range truth.Files {
			if f := &truth.Files[i]; strings.HasSuffix(f.ContainerID, bucket) && pick(f) {
				out = append(out, target{ID: f.FileID, Params: params})
			}
		}
		return out
	}
}

func file(truth *schemas.Rows, id string) *schemas.File {
	for i := range truth.Files {
		if truth.Files[i].FileID == id {
			return &truth.Files[i]
		}
	}
	return nil
}

func live(f *schemas.File) bool    { return !f.Trashed.Value }
func trashed(f *schemas.File) bool { return f.Trashed.Value }

// reads tells which calls of the query API change nothing.
func reads(r *http.Request) bool {
	if r.Method != http.MethodPost {
		return false
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	for _, verb := range []string{"Get", "List", "AssumeRole"} {
		if bytes.Contains(body, []byte("Action="+verb)) {
			return true
		}
	}
	return false
}

// The actions, against an AWS that another hand has made of the same sheet.
func TestActionsInTheSandbox(t *testing.T) {
	t.Parallel()
	f := sourcetest.Fixture{Connector: aws.Connector, Vendor: sandboxaws.Vendor(), Reads: reads, Speed: 20, LogLag: time.Hour}
	suspended := func(s *org.State) {
		for _, u := range s.Cloud.Users {
			if u.Person >= 0 && u.Login != nil && !slices.Contains(u.Attached, "AdministratorAccess") {
				u.Policies = append(u.Policies, org.InlinePolicy{Name: sandboxaws.DenyAll, Document: `{"Version":"2012-10-17","Statement":[{"Sid":"WeirDenyAll","Effect":"Deny","Action":"*","Resource":"*"}]}`})
				return
			}
		}
	}
	hidden := func(s *org.State) {
		for _, b := range s.Cloud.Buckets {
			if strings.HasSuffix(b.Name, "-data") {
				b.Policy = `{"Version":"2012-10-17","Statement":[{"Sid":"HideQuarantined","Effect":"Deny","Principal":"*","Action":"s3:GetObject*","Resource":"arn:aws:s3:::` + b.Name + `/*","Condition":{"Null":{"s3:ExistingObjectTag/weir-quarantine":"false"}}}]}`
			}
		}
	}
	sourcetest.RunActions(t, f, []sourcetest.ActionCase{
		{Name: "suspend", Action: sources.SuspendUser, Kind: sources.TargetAccount, Candidates: accounts(person), Effect: becomes("suspended"), Event: "iam:PutUserPolicy", Scope: "iam:PutUserPolicy"},
		{Name: "unsuspend", Action: sources.UnsuspendUser, Kind: sources.TargetAccount, Candidates: accounts(status("suspended")), Effect: becomes("active"), Event: "iam:DeleteUserPolicy", Scope: "iam:DeleteUserPolicy", Prepare: suspended},
		{Name: "sign out", Action: sources.SignOutUser, Kind: sources.TargetAccount, Candidates: accounts(person), Event: "iam:PutUserPolicy", Scope: "iam:PutUserPolicy", Again: true},
		{Name: "expire password", Action: sources.ExpirePassword, Kind: sources.TargetAccount, Candidates: accounts(person), Event: "iam:UpdateLoginProfile", Scope: "iam:UpdateLoginProfile"},
		{Name: "revoke key", Action: sources.RevokeKey, Kind: sources.TargetCredential, Candidates: func(truth *schemas.Rows) (out []target) {
			for i := range truth.AppGrants {
				if g := &truth.AppGrants[i]; g.Kind == "access_key" && g.Status == "active" {
					out = append(out, target{ID: g.GrantID})
				}
			}
			return out
		}, Effect: func(truth *schemas.Rows, t target) bool {
			return slices.ContainsFunc(truth.AppGrants, func(g schemas.AppGrant) bool { return g.GrantID == t.ID && g.Status == "disabled" })
		}, Event: "iam:UpdateAccessKey", Scope: "iam:UpdateAccessKey", Foreign: fault.Forbidden},
		{Name: "reset password", Action: sources.ResetPassword, Kind: sources.TargetAccount, Candidates: accounts(person), Event: "iam:DeleteLoginProfile", Scope: "iam:DeleteLoginProfile"},
		{Name: "trash", Action: sources.TrashFile, Kind: sources.TargetFile, Free: true, Candidates: files("-data", nil, live), Effect: func(truth *schemas.Rows, t target) bool { f := file(truth, t.ID); return f != nil && trashed(f) }, Event: "s3:DeleteObject", Scope: "s3:DeleteObject"},
		{Name: "restore", Action: sources.RestoreFile, Kind: sources.TargetFile, Free: true, Candidates: files("-data", nil, trashed), Effect: func(truth *schemas.Rows, t target) bool { f := file(truth, t.ID); return f != nil && live(f) }, Event: "s3:DeleteObject", Scope: "s3:DeleteObjectVersion"},
		{Name: "overwrite", Action: sources.OverwriteFile, Kind: sources.TargetFile, Free: true, Candidates: files("-data", nil, live), Event: "s3:PutObject", Scope: "s3:PutObject"},
		{Name: "quarantine", Action: sources.QuarantineFile, Kind: sources.TargetFile, Free: true, Candidates: files("-data", nil, live), Event: "s3:CopyObject"},
		{Name: "quarantine in place", Action: sources.QuarantineFile, Kind: sources.TargetFile, Free: true, Candidates: files("-data", map[string]string{"mode": "in_place"}, live), Event: "s3:PutObjectTagging", Scope: "s3:PutObjectTagging", Prepare: hidden},
		{Name: "unshare a file", Action: sources.RemoveSharing, Kind: sources.TargetFile, Free: true, Candidates: sharedByACL, Effect: func(truth *schemas.Rows, t target) bool {
			return !slices.ContainsFunc(sharedByACL(truth), func(o target) bool { return o.ID == t.ID })
		}, Event: "s3:PutObjectAcl", Scope: "s3:PutObjectAcl"},
		{Name: "unshare a bucket", Action: sources.RemoveSharing, Kind: sources.TargetBucket, Candidates: buckets, Event: "s3:DeleteBucketPolicy"},
		{Name: "make private", Action: sources.MakePrivate, Kind: sources.TargetBucket, Candidates: buckets, Event: "s3:PutBucketPublicAccessBlock", Scope: "s3:PutBucketPublicAccessBlock"},
	})
}

func sharedByACL(truth *schemas.Rows) (out []target) {
	for i := range truth.FilePermissions {
		if p := &truth.FilePermissions[i]; p.GranteeKind == "anyone" && strings.Count(p.FileID, "/") > 2 {
			out = append(out, target{ID: p.FileID})
		}
	}
	return out
}

func buckets(truth *schemas.Rows) (out []target) {
	var names []string
	for i := range truth.Files {
		names = append(names, truth.Files[i].ContainerID)
	}
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		out = append(out, target{ID: n})
	}
	return out
}
