package aws

import (
	"slices"
	"strings"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

func (t *truth) activity(e *org.Event) schemas.Activity {
	h := t.h
	service := strings.TrimSuffix(e.Call.Service, ".amazonaws.com")
	a := schemas.Activity{
		EventID: uuid(h.seed, "event", e.N), Time: seconds(e.At), Action: service + ":" + e.Call.Name, Access: "write", Outcome: "success", StatusID: schemas.StatusSuccess,
		// choice: code and text have a column each in SCHEMA.md.
		ErrorCode: e.Reason, SrcIP: address(e), IPs: []string{address(e)}, UserAgent: agentOf(e), RequestID: uuid(h.seed, "call", e.N),
		Service: e.Call.Service, Region: e.Call.Region, ScopeID: h.account,
	}
	if e.Call.ReadOnly {
		a.Access = "read"
	}
	if e.Failed {
		a.Outcome, a.StatusID, a.Reason = "failure", schemas.StatusFailure, e.Text
	}
	a.ClientAppName = a.UserAgent
	if i := strings.IndexAny(a.UserAgent, "/ ;,("); i >= 0 && a.UserAgent != internalAgent {
		a.ClientAppName = a.UserAgent[:i]
	}
	t.actor(&a, e)
	t.targets(&a, e)
	t.classify(&a, e, service)
	return a
}

func (t *truth) actor(a *schemas.Activity, e *org.Event) {
	h := t.h
	// choice: whose key or role it is may be a person or a machine.
	a.ActorKind = "unknown"
	switch e.Actor.Kind {
	case org.CloudUserRef:
		u := userN(t.s, e.Actor.N)
		a.ActorID, a.ActorName = id(h.seed, prefixUser, u.N), u.Name
		if e.Via.Kind == org.GrantRef {
			a.CredentialID = id(h.seed, prefixKey, e.Via.N)
		} else {
			a.ActorKind, a.MFA = "human", schemas.Some(e.MFA)
		}
		if strings.Contains(u.Name, "@") {
			a.ActorEmail = strings.ToLower(u.Name)
		}
	case org.CloudRoleRef:
		r := t.s.Cloud.Roles[e.Actor.N]
		a.ActorID, a.ActorName = id(h.seed, prefixRole, r.N)+":"+e.Actor.Name, e.Actor.Name
		a.EffectiveID, a.EffectiveName, a.SessionID, a.MFA = h.roleARN(r), r.Name, e.Session, schemas.Some(false)
	default:
		a.ActorKind, a.ActorName = "anonymous", "anonymous"
	}
}

func (t *truth) targets(a *schemas.Activity, e *org.Event) {
	add := func(is, name, kind string) {
		a.TargetIDs, a.TargetNames, a.TargetKinds = append(a.TargetIDs, is), append(a.TargetNames, name), append(a.TargetKinds, kind)
	}
	used := "" // the parameter that names the target
	if e.Call.Bucket != "" {
		if e.Call.Key != "" {
			add(objectARN(e), lastPart(objectARN(e)), "file")
		}
		add(bucketARN(e), e.Call.Bucket, "bucket")
	}
	params := t.h.params(e)
	if e.Call.Bucket == "" && len(params) > 0 {
		p := params[0] // the vendor names the target first
		switch used = p.Name; p.Name {
		case "userName":
			add(p.New, p.New, "account")
		case "roleName":
			add(p.New, p.New, "role")
		case "roleArn":
			add(p.New, lastPart(p.New), "role")
		case "accessKeyId":
			add(p.New, "", "credential")
		}
	}
	if a.TargetCount = int32(len(a.TargetIDs)); a.TargetCount > 0 {
		a.TargetID, a.TargetName, a.TargetKind = a.TargetIDs[0], a.TargetNames[0], a.TargetKinds[0]
	}
	if a.Access != "write" {
		return
	}
	// choice: what a write sets are its parameters, but for those that name a
	// target; the log has no values of before.
	for _, p := range params {
		names := slices.ContainsFunc(a.TargetIDs, func(is string) bool {
			return is == p.New || strings.HasSuffix(is, "/"+p.New) || strings.HasSuffix(is, ":"+p.New)
		})
		if p.Name == used || p.New == "" || names {
			continue
		}
		a.ChangeNames, a.ChangeOld, a.ChangeNew = append(a.ChangeNames, p.Name), append(a.ChangeOld, ""), append(a.ChangeNew, p.New)
	}
}

// classes are OCSF classes and activities of writes.
var classes = map[string][2]int32{
	"PutUserPolicy": {schemas.ClassUserAccess, 1}, "PutRolePolicy": {schemas.ClassUserAccess, 1},
	"DeleteUserPolicy": {schemas.ClassUserAccess, 2}, "DeleteRolePolicy": {schemas.ClassUserAccess, 2},
	"UpdateAccessKey": {schemas.ClassAccountChange, 2}, "DeleteAccessKey": {schemas.ClassAccountChange, 6},
	"CreateLoginProfile": {schemas.ClassAccountChange, 2}, "UpdateLoginProfile": {schemas.ClassAccountChange, 4}, "DeleteLoginProfile": {schemas.ClassAccountChange, 5},
	"PutBucketPolicy": {schemas.ClassFileHosting, 12}, "DeleteBucketPolicy": {schemas.ClassFileHosting, 13}, "PutBucketAcl": {schemas.ClassFileHosting, 12},
	"PutBucketPublicAccessBlock": {schemas.ClassFileHosting, 13}, "DeleteBucketPublicAccessBlock": {schemas.ClassFileHosting, 12},
	"PutAccountPublicAccessBlock": {schemas.ClassFileHosting, 13}, "DeleteAccountPublicAccessBlock": {schemas.ClassFileHosting, 12},
	"GetObject": {schemas.ClassFileHosting, 2}, "PutObject": {schemas.ClassFileHosting, 1}, "DeleteObject": {schemas.ClassFileHosting, 4}, "CopyObject": {schemas.ClassFileHosting, 6},
	"PutObjectAcl": {schemas.ClassFileHosting, 12}, "PutObjectTagging": {schemas.ClassFileHosting, 3}, "DeleteObjectTagging": {schemas.ClassFileHosting, 3},
}

func (t *truth) classify(a *schemas.Activity, e *org.Event, service string) {
	a.SeverityID = schemas.SeverityInformational
	if service == "signin" || service == "sts" {
		a.Kind, a.ClassUID, a.ActivityID = "signin", schemas.ClassAuthentication, 1
		if e.Failed {
			a.SeverityID = schemas.SeverityLow // choice: as sign-ins of other apps
		}
		return
	}
	if a.Kind = "admin"; isData(e) {
		a.Kind = "user"
	}
	c := classes[e.Call.Name]
	a.ClassUID, a.ActivityID = c[0], c[1]
	if e.Failed && service == "iam" {
		a.SeverityID = schemas.SeverityMedium
	}
}
