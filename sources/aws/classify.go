package aws

import (
	"strings"

	"weir/internal/rawjson"
	"weir/schemas"
)

// classify sets kind, OCSF class, activity and severity by the event's family.
func classify(a *schemas.Activity, r *record, insight bool) {
	a.SeverityID = schemas.SeverityInformational
	service := strings.TrimSuffix(r.eventSource, ".amazonaws.com")
	switch {
	case insight:
		a.Kind, a.ClassUID, a.ActivityID, a.SeverityID = "alert", schemas.ClassDetectionFinding, 1, schemas.SeverityMedium
		if rawjson.Text(rawjson.Member(r.insightDetails, "state")) == "End" {
			a.ActivityID = 3 // closed
		}
		return
	case isSignIn(service, r.eventName):
		a.Kind, a.ClassUID, a.ActivityID = "signin", schemas.ClassAuthentication, 1
		if a.Outcome == "failure" {
			a.SeverityID = schemas.SeverityLow
		}
		return
	}
	a.Kind = "user"
	if a.Access == "write" {
		a.Kind = "admin"
	}
	a.ClassUID, a.ActivityID = schemas.ClassAPIActivity, verbActivity(r.eventName, a.Access)
	if a.Outcome == "failure" && a.Access == "write" && service == "iam" {
		a.SeverityID = schemas.SeverityMedium
	}
	if r.eventCategory == "Data" {
		a.Kind = "user"
		switch service {
		case "s3":
			a.ClassUID, a.ActivityID = schemas.ClassFileHosting, activityOf(objectActivities, r.eventName)
		case "dynamodb", "rds-data":
			a.ClassUID, a.ActivityID = schemas.ClassDatastoreActivity, datastoreActivity(r.eventName, a.Access)
		}
		return
	}
	if a.Access == "read" {
		return
	}
	if f, ok := families[service+":"+r.eventName]; ok {
		a.ClassUID, a.ActivityID = f.class, f.activity
		return
	}
	switch service {
	case "organizations", "config":
		a.ClassUID, a.ActivityID = schemas.ClassEntityManagement, entityActivity(r.eventName)
	case "s3":
		if strings.Contains(r.eventName, "Acl") || strings.Contains(r.eventName, "Policy") || strings.Contains(r.eventName, "PublicAccessBlock") {
			a.ClassUID, a.ActivityID = schemas.ClassFileHosting, fileShare(r.eventName)
		}
	}
}

func isSignIn(service, name string) bool {
	switch service {
	case "signin":
		switch name {
		case "ConsoleLogin", "CheckMfa", "SwitchRole", "UserAuthentication":
			return true
		}
		return strings.HasPrefix(name, "Credential")
	case "sts":
		return strings.HasPrefix(name, "AssumeRole") || name == "GetSessionToken" || name == "GetFederationToken" || name == "AssumeRoot"
	}
	return false
}

type family struct{ class, activity int32 }

// families maps write events to OCSF 1.3.
var families = func() map[string]family {
	out := map[string]family{}
	add := func(class, activity int32, service string, names ...string) {
		for _, n := range names {
			out[service+":"+n] = family{class, activity}
		}
	}
	account := schemas.ClassAccountChange
	add(account, 1, "iam", "CreateUser", "CreateAccessKey")
	add(account, 2, "iam", "CreateLoginProfile", "UpdateAccessKey")
	add(account, 3, "iam", "ChangePassword")
	add(account, 4, "iam", "UpdateLoginProfile")
	add(account, 5, "iam", "DeleteLoginProfile")
	add(account, 6, "iam", "DeleteUser", "DeleteAccessKey")
	add(account, 10, "iam", "EnableMFADevice", "CreateVirtualMFADevice")
	add(account, 11, "iam", "DeactivateMFADevice", "DeleteVirtualMFADevice")
	add(account, schemas.ActivityOther, "iam", "UpdateUser", "TagUser", "UntagUser")
	for _, s := range []string{"sso-directory", "identitystore"} {
		add(account, 1, s, "CreateUser")
		add(account, 2, s, "EnableUser")
		add(account, 4, s, "UpdatePassword", "VerifyEmail")
		add(account, 5, s, "DisableUser")
		add(account, 6, s, "DeleteUser")
		add(account, schemas.ActivityOther, s, "UpdateUser")
		add(schemas.ClassGroupManagement, 3, s, "AddMemberToGroup", "CreateGroupMembership")
		add(schemas.ClassGroupManagement, 4, s, "RemoveMemberFromGroup", "DeleteGroupMembership")
		add(schemas.ClassGroupManagement, 5, s, "DeleteGroup")
		add(schemas.ClassGroupManagement, 6, s, "CreateGroup")
	}
	add(schemas.ClassGroupManagement, 3, "iam", "AddUserToGroup")
	add(schemas.ClassGroupManagement, 4, "iam", "RemoveUserFromGroup")
	add(schemas.ClassGroupManagement, 5, "iam", "DeleteGroup")
	add(schemas.ClassGroupManagement, 6, "iam", "CreateGroup")
	add(schemas.ClassGroupManagement, 1, "iam", "AttachGroupPolicy", "PutGroupPolicy")
	add(schemas.ClassGroupManagement, 2, "iam", "DetachGroupPolicy", "DeleteGroupPolicy")
	access := schemas.ClassUserAccess
	add(access, 1, "iam", "AttachUserPolicy", "AttachRolePolicy", "PutUserPolicy", "PutRolePolicy", "UpdateAssumeRolePolicy", "AddRoleToInstanceProfile")
	add(access, 2, "iam", "DetachUserPolicy", "DetachRolePolicy", "DeleteUserPolicy", "DeleteRolePolicy")
	add(access, 1, "sso", "CreateAccountAssignment", "AttachManagedPolicyToPermissionSet", "PutInlinePolicyToPermissionSet", "CreatePermissionSet", "UpdatePermissionSet", "ProvisionPermissionSet")
	add(access, 2, "sso", "DeleteAccountAssignment", "DetachManagedPolicyFromPermissionSet", "DeleteInlinePolicyFromPermissionSet", "DeletePermissionSet")
	app := schemas.ClassApplicationLifecycle
	add(app, 1, "sso", "CreateApplication", "PutApplicationGrant")
	add(app, 2, "sso", "DeleteApplication", "DeleteApplicationGrant")
	entity := schemas.ClassEntityManagement
	add(entity, 1, "cloudtrail", "CreateTrail")
	add(entity, 3, "cloudtrail", "UpdateTrail", "PutEventSelectors", "PutInsightSelectors")
	add(entity, 4, "cloudtrail", "DeleteTrail")
	add(entity, 8, "cloudtrail", "StartLogging")
	add(entity, 9, "cloudtrail", "StopLogging")
	add(entity, 8, "kms", "EnableKey", "CancelKeyDeletion")
	add(entity, 9, "kms", "DisableKey")
	add(entity, 4, "kms", "ScheduleKeyDeletion")
	return out
}()

// objectActivities maps S3 object calls to OCSF File Hosting Activity.
var objectActivities = map[string]int32{
	"PutObject": 1, "PostObject": 1, "CompleteMultipartUpload": 1, "UploadPart": 1, "GetObject": 2, "HeadObject": 14,
	"DeleteObject": 4, "DeleteObjects": 4, "CopyObject": 6, "UploadPartCopy": 6, "RestoreObject": 8,
	"PutObjectAcl": 12, "PutObjectTagging": 3, "DeleteObjectTagging": 3, "LockObject": 10,
}

func activityOf(table map[string]int32, name string) int32 {
	if id, ok := table[name]; ok {
		return id
	}
	return schemas.ActivityOther
}

// verbs maps the beginning of a call's name to OCSF API Activity.
var verbs = []struct {
	prefix   string
	activity int32
}{
	{"Create", 1},
	{"Run", 1},
	{"Add", 1},
	{"Allocate", 1},
	{"Register", 1},
	{"Import", 1},
	{"Generate", 1},
	{"Copy", 1},
	{"Describe", 2},
	{"Get", 2},
	{"List", 2},
	{"Head", 2},
	{"Lookup", 2},
	{"BatchGet", 2},
	{"Query", 2},
	{"Scan", 2},
	{"Search", 2},
	{"Decrypt", 2},
	{"Delete", 4},
	{"Remove", 4},
	{"Terminate", 4},
	{"Release", 4},
	{"Deregister", 4},
	{"Revoke", 4},
	{"Purge", 4},
	{"Cancel", 4},
}

func verbActivity(name, access string) int32 {
	for _, v := range verbs {
		if strings.HasPrefix(name, v.prefix) {
			return v.activity
		}
	}
	switch access {
	case "read":
		return 2
	case "write":
		return 3
	}
	return schemas.ActivityOther
}

func entityActivity(name string) int32 {
	switch {
	case strings.HasPrefix(name, "Create"), strings.HasPrefix(name, "Put"):
		return 1
	case strings.HasPrefix(name, "Delete"), strings.HasPrefix(name, "Remove"), strings.HasPrefix(name, "Close"):
		return 4
	case strings.HasPrefix(name, "Move"):
		return 5
	case strings.HasPrefix(name, "Enable"), strings.HasPrefix(name, "Start"):
		return 8
	case strings.HasPrefix(name, "Disable"), strings.HasPrefix(name, "Stop"):
		return 9
	}
	return 3
}

func datastoreActivity(name, access string) int32 {
	switch {
	case strings.HasPrefix(name, "Query"), strings.HasPrefix(name, "Execute"), strings.HasPrefix(name, "BatchExecute"), strings.HasPrefix(name, "Scan"):
		return 4
	case strings.HasPrefix(name, "Delete"):
		return 7
	case access == "read":
		return 1
	case strings.HasPrefix(name, "Update"):
		return 2
	}
	return 5
}

// fileShare tells a grant of access to a bucket from a withdrawal.
func fileShare(name string) int32 {
	if strings.HasPrefix(name, "Delete") != strings.Contains(name, "PublicAccessBlock") {
		return 13
	}
	return 12
}
