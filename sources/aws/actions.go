package aws

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"weir/internal/fault"
	"weir/sources"
)

// Forms of the vendor's ids.
const (
	idUser   = `AIDA[A-Z0-9]{12,124}`
	idKey    = `AKIA[A-Z0-9]{12,124}`
	idBucket = `[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]`
)

const (
	iamDelay   = time.Minute // IAM's changes show everywhere within so long
	modeDelete = "delete"

	readUsers = "iam:GetAccountAuthorizationDetails, to read users and their policies"
)

var (
	inAccount = sources.ActionParam{Name: "account", Doc: "id of the account that holds the target; without it, the credentials' own", Pattern: `\d{12}`}

	onUser = []sources.ActionTarget{{Kind: sources.TargetAccount, ID: idUser, Doc: "the IAM user's id (AIDA...): accounts.account_id, activities.actor_id"}}

	onFile   = sources.ActionTarget{Kind: sources.TargetFile, ID: `s3://` + idBucket + `/.*[^/]`, Doc: "files.file_id: s3://bucket/key, of the current version"}
	onBucket = sources.ActionTarget{Kind: sources.TargetBucket, ID: idBucket, Doc: "the bucket's name"}

	readFile   = "s3:ListAllMyBuckets, s3:GetBucketLocation, s3:GetBucketVersioning, s3:GetObject, s3:GetObjectVersion, s3:ListBucket, s3:ListBucketVersions, to read the file (kms:Decrypt where KMS encrypts it)"
	limitLinks = "Presigned URLs go on to their end: they are their signer's rights."

	limitRoles = "Roles that the user has assumed go on to the end of their sessions."
)

// actions are what can be changed at AWS (connectors/aws.md 9).
var actions = []sources.ActionInfo{
	{
		Action: sources.SuspendUser, Doc: "denies an IAM user everything, keys and console sessions included, by the inline policy WeirDenyAll", Targets: onUser, Params: []sources.ActionParam{inAccount},
		Scopes: []string{"iam:PutUserPolicy, iam:DeleteUserPolicy, iam:GetUserPolicy", readUsers},
		Limits: []string{limitRoles, "The user can still sign in to the console, and can do nothing there.", "A user of Identity Center is none of IAM's: suspend that where its identities come from."}, Delay: iamDelay,
	},
	{
		Action: sources.UnsuspendUser, Doc: "deletes the inline policy WeirDenyAll of an IAM user", Targets: onUser, Params: []sources.ActionParam{inAccount},
		Scopes: []string{"iam:DeleteUserPolicy, iam:PutUserPolicy, iam:GetUserPolicy", readUsers},
		Limits: []string{"Other ways in which somebody was shut out (keys, password, boundaries) are left as they are."}, Delay: iamDelay,
	},
	{
		Action: sources.SignOutUser, Doc: "denies what an IAM user's temporary credentials from before now ask for, by the inline policy AWSRevokeOlderSessions", Targets: onUser, Params: []sources.ActionParam{inAccount},
		Scopes: []string{"iam:PutUserPolicy, iam:DeleteUserPolicy, iam:GetUserPolicy", readUsers},
		Limits: []string{"Access keys go on: see revoke_key.", limitRoles, "The time is the agent's: a clock that is behind leaves what was signed in since.", "Undone, sessions that have not expired are valid again."}, Delay: iamDelay,
	},
	{
		Action: sources.ResetPassword, Doc: "deletes an IAM user's console password: an administrator gives another", Targets: onUser, Params: []sources.ActionParam{inAccount},
		Scopes: []string{"iam:DeleteLoginProfile, iam:GetLoginProfile", readUsers}, NoUndo: "the password does not come back: an administrator gives the user another",
		Limits: []string{"Console sessions and access keys go on: see sign_out_user, suspend_user and revoke_key."}, Delay: iamDelay,
	},
	{
		Action: sources.ExpirePassword, Doc: "has an IAM user set another console password at the next sign-in", Targets: onUser, Params: []sources.ActionParam{inAccount},
		Scopes: []string{"iam:UpdateLoginProfile, iam:GetLoginProfile", readUsers},
		Limits: []string{"Whoever knows the old password can set the new one.", "A user without iam:ChangePassword cannot set one, and is shut out of the console.", "Sessions and access keys go on.", "That a person has set another looks like an effect that was taken back."}, Delay: iamDelay,
	},
	{
		Action: sources.RevokeKey, Doc: "deactivates an IAM user's access key, or deletes one that is inactive",
		Targets: []sources.ActionTarget{{Kind: sources.TargetCredential, ID: idKey, Doc: "the access key's id (AKIA...): app_grants.grant_id, activities.credential_id"}},
		Params:  []sources.ActionParam{inAccount, {Name: "mode", Doc: "deactivate, or delete, which cannot be undone", Default: "deactivate", Enum: []string{"deactivate", modeDelete}}},
		Scopes:  []string{"iam:UpdateAccessKey (to delete: iam:DeleteAccessKey), iam:GetAccessKeyLastUsed, iam:ListAccessKeys", readUsers},
		Limits:  []string{"Temporary credentials made with the key before are valid to their end: see sign_out_user.", limitRoles, "The root user's keys are not acted on."},
		Delay:   iamDelay,
	},
	{
		Action: sources.QuarantineFile, Doc: "moves an S3 object into the quarantine bucket, or marks it where it is for a bucket policy that denies reading it", Targets: []sources.ActionTarget{onFile},
		Params: []sources.ActionParam{inAccount, {Name: "mode", Doc: "move, or in_place: a tag weir-quarantine, where the bucket's policy denies s3:GetObject* of what has it", Default: "move", Enum: []string{"move", modeInPlace}}},
		Scopes: []string{
			readFile,
			"to move: s3:DeleteObject, s3:GetObjectAcl, s3:GetObjectVersionAcl; on the quarantine s3:PutObject, s3:GetObject, s3:ListBucket, s3:ListBucketVersions, s3:GetBucketPublicAccessBlock, s3:GetBucketVersioning (kms:GenerateDataKey where KMS encrypts it); to undo: s3:DeleteObjectVersion",
			"in place: s3:GetBucketPolicy, s3:GetObjectTagging, s3:PutObjectTagging, s3:GetObjectVersionTagging, s3:PutObjectVersionTagging",
		},
		Limits: []string{"A file in the trash is not moved: restore it first.", "Files over 5 GiB and archived ones are not moved: mark them in place.", "What has been copied or downloaded before is out of reach.", "In a bucket with MFA delete, undoing a move is refused."},
	},
	{
		Action: sources.RestoreFile, Doc: "takes an S3 object out of the trash, out of the quarantine, or back to an older version", Targets: []sources.ActionTarget{onFile},
		Params: []sources.ActionParam{inAccount, {Name: "version", Doc: "id of the older version to copy over the current one", Pattern: `[A-Za-z0-9._-]+`}},
		Scopes: []string{readFile, "s3:DeleteObjectVersion; s3:PutObject, and s3:GetObject on the quarantine; s3:GetObjectTagging, s3:PutObjectTagging, s3:GetObjectVersionTagging, s3:PutObjectVersionTagging"},
		Limits: []string{"What is copied back has no ACL but its owner's.", "In a bucket with MFA delete, taking a file out of the trash is refused."},
	},
	{
		Action: sources.TrashFile, Doc: "deletes an S3 object: in a bucket with versions it is hidden by a delete marker", Targets: []sources.ActionTarget{onFile},
		Params: []sources.ActionParam{inAccount, {Name: "force", Doc: "yes: delete for good where the bucket keeps no versions", Default: "no", Enum: []string{"no", "yes"}}},
		Scopes: []string{readFile, "s3:DeleteObject; to undo: s3:DeleteObjectVersion"},
		Limits: []string{"Lifecycle rules of the bucket may delete older versions for good.", "In a bucket with MFA delete, undoing is refused."},
	},
	{
		Action: sources.OverwriteFile, Doc: "puts a short note in an S3 object's place; refused where the bucket keeps no versions", Targets: []sources.ActionTarget{onFile}, Params: []sources.ActionParam{inAccount},
		Scopes: []string{readFile, "s3:PutObject"},
		Limits: []string{"The note has the bucket's default encryption, no tags and no ACL but its owner's; undone, the ACL stays so."},
	},
	{
		Action: sources.RemoveSharing, Doc: "takes public grants, or all but the owner's, from an S3 object's ACL, or from a bucket's ACL and policy", Targets: []sources.ActionTarget{onFile, onBucket},
		Params: []sources.ActionParam{inAccount, {Name: "who", Doc: "public: everybody; external: all but the owner, and in a policy all but its account and AWS services", Default: "public", Enum: []string{"public", whoExternal}}},
		Scopes: []string{"s3:ListAllMyBuckets, s3:GetBucketLocation, s3:GetBucketAcl, s3:PutBucketAcl, s3:GetBucketPolicy, s3:PutBucketPolicy, s3:DeleteBucketPolicy", "of files: " + readFile + ", s3:GetObjectAcl, s3:GetObjectVersionAcl, s3:PutObjectAcl, s3:PutObjectVersionAcl"},
		Limits: []string{"A file that its bucket's policy shares stays shared: see the bucket.", "What a policy allows on a condition is left alone.", "Access points and roles that others may assume are not looked at.", limitLinks},
	},
	{
		Action: sources.MakePrivate, Doc: "blocks all public access to an S3 bucket (Block Public Access), whatever its policy and ACLs say", Targets: []sources.ActionTarget{onBucket}, Params: []sources.ActionParam{inAccount},
		Scopes: []string{"s3:ListAllMyBuckets, s3:GetBucketLocation, s3:GetBucketPublicAccessBlock, s3:PutBucketPublicAccessBlock"},
		Limits: []string{"Websites and downloads that are served from the bucket stop.", "Named accounts keep what the policy gives them: see remove_sharing.", limitLinks},
	},
}

// probeAction tells whether an action can be expected to work: whether what its
// plan reads can be read. Whether writing is allowed shows when it is tried.
func (s *session) probeAction(ctx context.Context, a sources.Action) error {
	if Connector.Action(a) == nil {
		return fault.New(fault.Permanent, "aws has no action %q", a)
	}
	ac, err := s.account(ctx, "")
	if err != nil {
		return err
	}
	switch Connector.Action(a).Targets[0].Kind {
	case sources.TargetFile, sources.TargetBucket:
		if _, err := ac.s3("").ListBuckets(ctx, &s3.ListBucketsInput{MaxBuckets: aws.Int32(1)}); err != nil {
			return refused("listing buckets", "s3:ListAllMyBuckets", err)
		}
		if a == sources.QuarantineFile && ac.cfg.Actions.Quarantine != "" {
			return ac.quarantineReady(ctx)
		}
		return nil
	default:
	}
	_, err = ac.iam().GetAccountAuthorizationDetails(ctx, &iam.GetAccountAuthorizationDetailsInput{MaxItems: aws.Int32(1)})
	if err != nil {
		return refused("reading the account's users", "iam:GetAccountAuthorizationDetails", err)
	}
	return nil
}
