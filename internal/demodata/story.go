package demodata

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// The story: somebody has guessed the password of an IAM user without a second
// factor, makes himself a key and an administrator, tries to switch off the
// trail, reads a bucket, and is locked out within the hour.
const (
	intruderNumber = 7
	intruder       = "demo-user-07"
	intruderIP     = "203.0.113.66"
	intruderAgent  = "python-requests/2.32.3"
)

// teller makes a story's events, one after the other.
type teller struct {
	g      *generator
	at     time.Time
	region string
	who    caller
	events []event
}

// then adds an event some seconds after the one before.
func (t *teller) then(seconds int, fill func(e *event)) {
	t.at = t.at.Add(time.Duration(seconds) * time.Second)
	e := event{at: t.at, account: production, region: t.region, id: t.g.uuid(), request: t.g.uuid()}
	e.by(t.who)
	fill(&e)
	if e.tls == "" {
		e.tls = e.source
	}
	t.events = append(t.events, e)
}

func (g *generator) intrusion(began time.Time) []event {
	const administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
	arn := userARN(production, intruderNumber)
	denied := func(e *event, action, on, why string) {
		e.errorCode = "AccessDenied"
		e.errorMessage = fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s with an explicit deny in a %s", arn, action, on, why)
	}
	t := &teller{g: g, at: began, region: home}

	for range 4 {
		t.then(19, func(e *event) { consoleLogin(e, intruderNumber, false, false); e.ip = intruderIP })
	}
	t.then(41, func(e *event) { consoleLogin(e, intruderNumber, true, false); e.ip = intruderIP })

	session := func(at time.Time) caller {
		return caller{identity: consoleUser(production, intruderNumber, at, false), ip: intruderIP, agent: agentBrowser, console: true}
	}
	t.who = session(t.at)
	const newKey = 700
	t.then(65, func(e *event) {
		e.call("iam", "CreateAccessKey", "userName", intruder)
		e.response = object("accessKey", raw(object("userName", intruder, "accessKeyId", accessKey(newKey), "status", "Active", "createDate", e.at.Format(shortTime))))
		e.write = true
	})

	t.who = caller{identity: object("type", "IAMUser", "principalId", userID(intruderNumber), "arn", arn, "accountId", production, "accessKeyId", accessKey(newKey), "userName", intruder), ip: intruderIP, agent: intruderAgent}
	t.then(30, func(e *event) { e.call("sts", "GetCallerIdentity") })
	for _, name := range []string{"ListUsers", "ListRoles", "ListPolicies"} {
		t.then(2, func(e *event) { e.call("iam", name, "maxItems", 1000) })
	}
	t.then(20, func(e *event) {
		e.call("organizations", "DescribeOrganization")
		denied(e, "organizations:DescribeOrganization", "*", "service control policy")
	})
	t.then(35, func(e *event) {
		e.call("iam", "AttachUserPolicy", "userName", userName(2), "policyArn", administrator)
		e.write = true
		denied(e, "iam:AttachUserPolicy", "user "+userName(2), "permissions boundary")
	})
	t.then(14, func(e *event) {
		e.call("iam", "AttachUserPolicy", "userName", intruder, "policyArn", administrator)
		e.write = true
	})
	t.then(22, func(e *event) {
		e.call("iam", "CreateUser", "userName", "demo-support", "path", "/")
		e.response = object("user", raw(object("path", "/", "userName", "demo-support", "userId", userID(701), "arn", "arn:aws:iam::"+production+":user/demo-support", "createDate", e.at.Format(shortTime))))
		e.write = true
	})
	t.then(6, func(e *event) {
		e.call("iam", "CreateLoginProfile", "userName", "demo-support", "passwordResetRequired", false)
		e.response = object("loginProfile", raw(object("userName", "demo-support", "createDate", e.at.Format(shortTime), "passwordResetRequired", false)))
		e.write = true
	})
	trail := "arn:aws:cloudtrail:" + home + ":" + management + ":trail/demo-organization-trail"
	t.then(40, func(e *event) {
		e.call("cloudtrail", "StopLogging", "name", trail)
		e.write, e.tls = true, "cloudtrail."+home+".amazonaws.com"
		denied(e, "cloudtrail:StopLogging", trail, "service control policy")
	})
	detector := "12abc34d567e8fa901bc2d34eexample"
	t.then(25, func(e *event) {
		e.call("guardduty", "DeleteDetector", "detectorId", detector)
		e.write, e.tls = true, "guardduty."+home+".amazonaws.com"
		denied(e, "guardduty:DeleteDetector", "arn:aws:guardduty:"+home+":"+production+":detector/"+detector, "service control policy")
	})

	t.region = "eu-west-1"
	bucket := bucketName(production, "demo-reports")
	t.then(50, func(e *event) {
		e.call("s3", "ListBuckets", "Host", "s3."+e.region+".amazonaws.com")
	})
	for i := range 48 {
		t.then(1, func(e *event) {
			s3Call("GetObject", false, true, "")(g, e)
			key := fmt.Sprintf("customers/2026/part-%05d.csv", i)
			e.params = object("bucketName", bucket, "Host", bucket+".s3."+e.region+".amazonaws.com", "key", key)
			e.resources = string(list(raw(object("type", "AWS::S3::Object", "ARN", "arn:aws:s3:::"+bucket+"/"+key)), raw(object("accountId", production, "type", "AWS::S3::Bucket", "ARN", "arn:aws:s3:::"+bucket))))
			e.tls = bucket + ".s3." + e.region + ".amazonaws.com"
		})
	}
	t.then(20, func(e *event) {
		e.call("s3", "PutBucketPolicy", "bucketName", bucket, "Host", bucket+".s3."+e.region+".amazonaws.com", "policy", "",
			"bucketPolicy", raw(object("Version", "2012-10-17", "Statement", list(raw(object("Effect", "Allow", "Principal", "*", "Action", "s3:GetObject", "Resource", "arn:aws:s3:::"+bucket+"/*"))))))
		e.write, e.resources = true, resource(production, "AWS::S3::Bucket", "arn:aws:s3:::"+bucket)
		e.errorCode, e.errorMessage = "AccessDenied", "Access Denied because of the account's public access block"
	})
	t.then(32, func(e *event) {
		e.call("ec2", "AuthorizeSecurityGroupIngress", "groupId", g.id("sg", production, 3), "ipPermissions", raw(object("items", list(raw(object("ipProtocol", "tcp", "fromPort", 22, "toPort", 22,
			"groups", raw("{}"), "ipRanges", raw(object("items", list(raw(object("cidrIp", "0.0.0.0/0"))))), "ipv6Ranges", raw("{}"), "prefixListIds", raw("{}")))))))
		e.response, e.write = object("requestId", e.request, "_return", true), true
	})
	t.then(15, func(e *event) {
		runInstances(g, e)
		e.response = ""
		e.errorCode, e.errorMessage = "Client.InstanceLimitExceeded", "Your quota allows for 0 more running instance(s) of the type p5.48xlarge."
	})
	key := g.kmsKey(&event{account: production, region: t.region})
	t.then(60, func(e *event) {
		e.call("kms", "ScheduleKeyDeletion", "keyId", key, "pendingWindowInDays", 7)
		e.write, e.resources = true, resource(production, "AWS::KMS::Key", key)
		denied(e, "kms:ScheduleKeyDeletion", key, "resource-based policy")
	})

	// An administrator puts an end to it.
	t.region = home
	t.at = t.at.Add(11 * time.Minute)
	t.who = caller{identity: ssoUser(production, 1, t.at), ip: address(1), agent: agentConsole, console: true}
	for _, step := range []struct {
		name   string
		params []any
	}{
		{"UpdateAccessKey", []any{"userName", intruder, "accessKeyId", accessKey(newKey), "status", "Inactive"}},
		{"DetachUserPolicy", []any{"userName", intruder, "policyArn", administrator}},
		{"DeleteLoginProfile", []any{"userName", intruder}},
		{"DeleteLoginProfile", []any{"userName", "demo-support"}},
		{"DeleteUser", []any{"userName", "demo-support"}},
		{"DeleteAccessKey", []any{"userName", intruder, "accessKeyId", accessKey(newKey)}},
	} {
		t.then(24, func(e *event) { e.call("iam", step.name, step.params...); e.write = true })
	}
	t.region = "eu-west-1"
	t.then(45, func(e *event) {
		e.call("ec2", "RevokeSecurityGroupIngress", "groupId", g.id("sg", production, 3), "ipPermissions", raw(object("items", list(raw(object("ipProtocol", "tcp", "fromPort", 22, "toPort", 22,
			"groups", raw("{}"), "ipRanges", raw(object("items", list(raw(object("cidrIp", "0.0.0.0/0"))))), "ipv6Ranges", raw("{}"), "prefixListIds", raw("{}")))))))
		e.response, e.write = object("requestId", e.request, "_return", true), true
	})
	return t.events
}

// specimens are records of the rarer kinds: every variant of userIdentity, and
// every part of a record that most lack.
func (g *generator) specimens(at time.Time) []event {
	t := &teller{g: g, at: at, region: home}

	t.who = caller{identity: object("type", "Root", "principalId", production, "arn", "arn:aws:iam::"+production+":root", "accountId", production, "accessKeyId", ""), ip: address(1), agent: agentBrowser}
	t.then(60, func(e *event) {
		e.call("signin", "ConsoleLogin")
		e.response, e.typ, e.noRequest = object("ConsoleLogin", "Success"), "AwsConsoleSignIn", true
		e.extra = object("LoginTo", "https://console.aws.amazon.com/console/home", "MobileVersion", "No", "MFAUsed", "Yes")
	})
	t.then(60, func(e *event) {
		e.call("signin", "CheckMfa")
		e.response, e.typ, e.noRequest = object("CheckMfa", "Success"), "AwsConsoleSignIn", true
		e.extra = object("MfaType", "Virtual MFA")
	})

	// A sign-in under a name that is no user's: CloudTrail hides what was typed.
	t.who = caller{identity: object("type", "IAMUser", "accountId", production, "accessKeyId", "", "userName", "HIDDEN_DUE_TO_SECURITY_REASONS"), ip: "192.0.2.200", agent: agentBrowser}
	t.then(60, func(e *event) {
		e.call("signin", "ConsoleLogin")
		e.errorMessage, e.response = "No username found in supplied account", object("ConsoleLogin", "Failure")
		e.typ, e.noRequest = "AwsConsoleSignIn", true
		e.extra = object("LoginTo", "https://console.aws.amazon.com/console/home", "MobileVersion", "No", "MFAUsed", "No")
	})

	const saml = "arn:aws:iam::" + production + ":saml-provider/demo-idp"
	t.who = caller{identity: object("type", "SAMLUser", "principalId", "demo+idp=:"+email(5), "userName", email(5), "identityProvider", "demo+idp="), ip: address(5), agent: agentCLI + "sts.assume-role-with-saml"}
	t.then(60, func(e *event) {
		role := "arn:aws:iam::" + production + ":role/demo-federated"
		e.call("sts", "AssumeRoleWithSAML", "roleArn", role, "principalArn", saml, "durationSeconds", 3600)
		e.response = object("subject", email(5), "audience", "https://signin.aws.amazon.com/saml", "issuer", "https://idp.example.com/", "assumedRoleUser", raw(object("arn", "arn:aws:sts::"+production+":assumed-role/demo-federated/"+email(5))))
		e.resources = string(list(raw(object("ARN", role, "accountId", production, "type", "AWS::IAM::Role")), raw(object("ARN", saml, "accountId", production, "type", "AWS::IAM::SAMLProvider"))))
	})

	const issuer = "token.actions.githubusercontent.com"
	t.who = caller{identity: object("type", "WebIdentityUser", "principalId", "arn:aws:iam::"+production+":oidc-provider/"+issuer+":sts.amazonaws.com:repo:example/demo:ref:refs/heads/main", "userName", "repo:example/demo:ref:refs/heads/main", "identityProvider", "arn:aws:iam::"+production+":oidc-provider/"+issuer), ip: "203.0.113.7", agent: agentTerraform + "sts#1.30.3"}
	t.then(60, func(e *event) {
		e.call("sts", "AssumeRoleWithWebIdentity", "roleArn", "arn:aws:iam::"+production+":role/demo-deploy", "roleSessionName", "GitHubActions", "durationSeconds", 3600)
		e.response = object("subjectFromWebIdentityToken", "repo:example/demo:ref:refs/heads/main", "provider", issuer, "audience", "sts.amazonaws.com")
	})

	t.who = caller{identity: object("type", "FederatedUser", "principalId", production+":demo-kiosk", "arn", "arn:aws:sts::"+production+":federated-user/demo-kiosk", "accountId", production, "accessKeyId", temporaryKey(17),
		"sessionContext", raw(object("sessionIssuer", raw(object("type", "IAMUser", "principalId", userID(9), "arn", userARN(production, 9), "accountId", production, "userName", userName(9))), "attributes", attributes(t.at, false)))), ip: "2001:db8:7::20", agent: agentBrowser}
	t.then(60, func(e *event) { e.call("s3", "ListBuckets") })

	t.who = caller{identity: object("type", "Role", "principalId", roleID(1), "arn", "arn:aws:iam::"+production+":role/demo-batch", "accountId", production, "userName", "demo-batch"), ip: "203.0.113.9", agent: agentJava}
	t.then(60, func(e *event) {
		e.call("sqs", "CreateQueue", "queueName", "demo-jobs", "attribute", raw(object("VisibilityTimeout", "30")))
		e.write = true
	})

	// A session with the name of a person who had a role before.
	t.who = caller{identity: assumed(production, "/", "demo-operator", "night-shift", t.at, true, "sourceIdentity", email(6)), ip: address(6), agent: agentCLI + "ec2.reboot-instances"}
	t.then(60, func(e *event) {
		e.call("ec2", "RebootInstances", "instancesSet", raw(object("items", list(raw(object("instanceId", g.id("i", production, 40))), raw(object("instanceId", g.id("i", production, 40)))))))
		e.response, e.write = object("requestId", e.request, "_return", true), true
	})

	// Another organization's account assumes a role; both sides record it.
	shared := g.uuid()
	t.who = caller{identity: object("type", "AWSAccount", "principalId", roleID(99)+":audit", "accountId", partner), ip: "192.0.2.77", agent: agentCLI + "sts.assume-role"}
	t.then(60, func(e *event) {
		role := "arn:aws:iam::" + production + ":role/demo-partner-audit"
		e.call("sts", "AssumeRole", "roleArn", role, "roleSessionName", "audit", "externalId", "demo-external-id")
		e.resources, e.shared = resource(production, "AWS::IAM::Role", role), shared
	})
	for _, account := range []string{sandbox, production} {
		t.then(0, func(e *event) {
			e.account = account
			e.by(caller{identity: assumed(sandbox, "/", "demo-sync", "nightly", t.at, false), ip: "203.0.113.11", agent: agentJava})
			e.call("kms", "Decrypt", "encryptionAlgorithm", "SYMMETRIC_DEFAULT", "keyId", "arn:aws:kms:"+home+":"+production+":key/00000000-0000-4000-8000-000000000001")
			e.resources = resource(production, "AWS::KMS::Key", "arn:aws:kms:"+home+":"+production+":key/00000000-0000-4000-8000-000000000001")
			e.shared = fmt.Sprintf("%08x-0000-4000-8000-000000000000", uint32(hash("shared", t.at.String())))
		})
	}
	t.who = caller{identity: object("type", "AWSAccount", "principalId", "", "accountId", "ANONYMOUS_PRINCIPAL"), ip: "192.0.2.201", agent: "curl/8.8.0"}
	t.then(60, func(e *event) {
		s3Call("GetObject", false, true, "")(g, e)
		e.errorCode, e.errorMessage = "AccessDenied", "Access Denied"
	})

	t.who = caller{identity: object("type", "Directory", "userName", "demo-directory"), ip: "workspaces.amazonaws.com", agent: "workspaces.amazonaws.com", service: true}
	t.then(60, func(e *event) {
		e.call("workdocs", "WorkDocsAdminLogin")
		e.typ, e.noRequest = "AwsConsoleSignIn", true
	})
	t.who = caller{identity: object("type", "Unknown", "accountId", production), ip: "AWS Internal", agent: "AWS Internal", service: true}
	t.then(60, func(e *event) { e.call("backup", "BackupJobStarted"); e.typ = "AwsServiceEvent" })

	// Sign-ins and work in IAM Identity Center.
	admin := caller{identity: identityCenterUser(1), ip: address(1), agent: agentBrowser}
	for i, name := range []string{"CredentialChallenge", "CredentialVerification", "UserAuthentication"} {
		t.who = admin
		t.then(3, func(e *event) {
			e.account = management
			e.call("signin", name)
			e.details, e.typ = object(name, "Success"), "AwsServiceEvent"
			e.extra = object("AuthWorkflowID", "00000000-0000-4000-8000-00000000000a", "CredentialType", []string{"PASSWORD", "TOTP", "TOTP"}[i], "UserName", email(1))
		})
	}
	t.who = caller{identity: ssoUser(management, 1, t.at), ip: address(1), agent: agentConsole, console: true}
	t.then(90, func(e *event) {
		e.account = management
		e.call("sso", "CreateAccountAssignment", "instanceArn", "arn:aws:sso:::instance/ssoins-0000000000000000", "targetId", production, "targetType", "AWS_ACCOUNT",
			"permissionSetArn", "arn:aws:sso:::permissionSet/ssoins-0000000000000000/ps-0000000000000001", "principalType", "USER", "principalId", directoryID(11))
		e.write = true
	})
	t.then(30, func(e *event) {
		e.account = management
		e.call("sso-directory", "DisableUser", "identityStoreId", "d-9900000000", "userId", directoryID(12))
		e.write = true
	})

	// Parts of a record that most lack.
	t.who = caller{identity: keyUser(production, 8), ip: address(8), agent: agentCLI + "s3.cp"}
	t.then(60, func(e *event) {
		s3Call("PutObject", true, true, "")(g, e)
		e.addendum = object("reason", "DELIVERY_DELAY")
	})
	t.then(60, func(e *event) {
		e.call("ec2", "CreateVpc", "cidrBlock", "192.0.2.0/24", "instanceTenancy", "default", "amazonProvidedIpv6CidrBlock", false)
		e.response, e.write = object("requestId", e.request, "vpc", raw(object("vpcId", g.id("vpc", production, 4), "state", "pending", "cidrBlock", "192.0.2.0/24"))), true
		e.addendum = object("reason", "UPDATED_DATA", "updatedFields", "responseElements", "originalRequestID", g.uuid(), "originalEventID", g.uuid())
	})
	t.region = "eu-west-1"
	t.then(60, func(e *event) {
		s3Call("GetObject", false, true, "")(g, e)
		e.category, e.typ, e.endpoint = "NetworkActivity", "AwsVpceEvents", fmt.Sprintf("vpce-0%016x", hash("vpce", production))
		e.errorCode, e.errorMessage = "VpceAccessDenied", "The request was denied due to a VPC endpoint policy"
	})
	return t.events
}

// insights are the two records of an unusual rate of calls.
func (g *generator) insights(at time.Time) []event {
	shared := g.uuid()
	record := func(at time.Time, state string) event {
		context := raw(object("statistics", raw(object("baseline", raw(object("average", raw("0.0017857143"))), "insight", raw(object("average", 48)), "insightDuration", 1, "baselineDuration", 10080)),
			"attributions", list(
				raw(object("attribute", "userIdentityArn", "insight", list(raw(object("value", userARN(production, intruderNumber), "average", 48))), "baseline", raw("[]"))),
				raw(object("attribute", "userAgent", "insight", list(raw(object("value", intruderAgent, "average", 48))), "baseline", raw("[]"))),
				raw(object("attribute", "errorCode", "insight", list(raw(object("value", "null", "average", 48))), "baseline", raw("[]"))))))
		return event{
			at: at, account: production, region: "eu-west-1", id: g.uuid(), typ: "AwsCloudTrailInsight", category: "Insight", shared: shared,
			insight: object("state", state, "eventSource", "s3.amazonaws.com", "eventName", "GetObject", "insightType", "ApiCallRateInsight", "insightContext", context),
		}
	}
	return []event{record(at, "Start"), record(at.Add(20*time.Minute), "End")}
}

// digest is a digest file, which holds no records, and its name.
func (g *generator) digest(end time.Time) (data []byte, name string) {
	at := end.Add(-time.Hour).Truncate(time.Hour)
	const trail = "demo-organization-trail"
	name = fmt.Sprintf("AWSLogs/%s/%s/CloudTrail-Digest/%s/%s/%s_CloudTrail-Digest_%s_%s_%s_%s.json.gz", Organization, management, home,
		at.Format("2006/01/02"), management, home, trail, home, at.Format("20060102T150405Z"))
	sum := sha256.Sum256([]byte(name))
	return []byte(object("awsAccountId", management, "digestStartTime", at.Add(-time.Hour).Format(time.RFC3339), "digestEndTime", at.Format(time.RFC3339),
		"digestS3Bucket", "demo-trail-"+management, "digestS3Object", name, "digestPublicKeyFingerprint", hex.EncodeToString(sum[:16]), "digestSignatureAlgorithm", "SHA256withRSA",
		"newestEventTime", at.Format(time.RFC3339), "oldestEventTime", at.Add(-time.Hour).Format(time.RFC3339), "previousDigestS3Bucket", raw("null"), "logFiles", raw("[]"))), name
}
