package demodata

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// hours is how busy each hour of the day is, in UTC.
var hours = [24]int{3, 2, 2, 2, 3, 5, 9, 16, 24, 28, 28, 24, 20, 26, 28, 26, 22, 16, 10, 8, 6, 5, 4, 3}

const busiest = 28

// quiet makes n events of ordinary days, in the order of time.
func (g *generator) quiet(from, to time.Time, n int) []event {
	return g.quietAt(from, to, n, "", "")
}

// quietAt is quiet in one account and region, unless they are "".
func (g *generator) quietAt(from, to time.Time, n int, account, region string) []event {
	seconds := int64(to.Sub(from) / time.Second)
	times := make([]time.Time, 0, n)
	for len(times) < n {
		t := from.Add(time.Duration(g.rand.Int64N(seconds)) * time.Second)
		if g.rand.IntN(busiest) < hours[t.Hour()] {
			times = append(times, t)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	events := make([]event, n)
	for i, t := range times {
		a, r := account, region
		if a == "" {
			a = choose(g, accountShares)
		}
		if r == "" {
			r = choose(g, regionShares)
		}
		g.quietEvent(&events[i], a, r, t)
	}
	return events
}

var (
	accountShares = []weighted[string]{{20, management}, {55, production}, {25, sandbox}}
	regionShares  = []weighted[string]{{45, home}, {40, "eu-west-1"}, {15, "eu-central-1"}}
)

func (g *generator) quietEvent(e *event, account, region string, at time.Time) {
	b := g.busy[account+region]
	if at.Sub(b.at) > 5*time.Minute || g.chance(30) {
		b = burst{at: at, caller: choose(g, callers)(g, account, at)}
	}
	if b.call == nil || g.chance(60) {
		b.call = choose(g, calls)
		if region == home && g.chance(25) {
			b.call = choose(g, globalCalls)
		}
	}
	g.busy[account+region] = b
	*e = event{at: at, account: account, region: region}
	e.by(b.caller)
	e.id, e.request = g.uuid(), g.uuid()
	b.call(g, e)
	if e.tls == "" {
		e.tls = strings.TrimSuffix(e.source, ".amazonaws.com") + "." + e.region + ".amazonaws.com"
	}
	if e.errorCode == "" && e.typ == "" && g.chance(4) {
		g.fail(e)
	}
}

// by sets who calls.
func (e *event) by(c caller) {
	e.identity, e.ip, e.agent, e.console, e.noTLS = c.identity, c.ip, c.agent, c.console, c.service || c.console
}

// fail makes a call fail as calls fail on ordinary days.
func (g *generator) fail(e *event) {
	e.response = ""
	switch g.rand.IntN(3) {
	case 0:
		e.errorCode, e.errorMessage = "ThrottlingException", "Rate exceeded"
	case 1:
		e.errorCode = "AccessDenied"
		e.errorMessage = "User is not authorized to perform: " + strings.TrimSuffix(e.source, ".amazonaws.com") + ":" + e.name + " because no identity-based policy allows the action"
	default:
		e.errorCode, e.errorMessage = "ResourceNotFoundException", "The requested resource was not found."
	}
}

type call func(g *generator, e *event)

func (e *event) call(service, name string, pairs ...any) {
	e.source, e.name = service+".amazonaws.com", name
	if len(pairs) > 0 {
		e.params = object(pairs...)
	}
}

// ec2 makes the call of a query whose parameters EC2 writes as empty sets.
func ec2Describe(g *generator, e *event) {
	name := pick(g, []string{"Instances", "SecurityGroups", "Subnets", "Vpcs", "RouteTables", "Volumes", "NetworkInterfaces", "Images", "Addresses", "NatGateways", "LaunchTemplates", "InstanceStatus"})
	set := strings.ToLower(name[:1]) + name[1:]
	switch g.rand.IntN(3) {
	case 0:
		e.call("ec2", "Describe"+name, "maxResults", 100+100*g.rand.IntN(10), set+"Set", raw("{}"), "filterSet", raw("{}"))
	case 1:
		e.call("ec2", "Describe"+name, set+"Set", raw("{}"), "filterSet", raw(object("items", list(raw(object("name", "vpc-id", "valueSet", raw(object("items", list(raw(object("value", g.id("vpc", e.account, 4))))))))))))
	default:
		e.call("ec2", "Describe"+name, set+"Set", raw(object("items", list(raw(object(set[:len(set)-1]+"Id", g.id("i", e.account, 40)))))), "filterSet", raw("{}"))
	}
	e.apiVersion = "2016-11-15"
}

// id is the id of one of n things of an account.
func (g *generator) id(kind, account string, n int) string {
	return fmt.Sprintf("%s-0%016x", kind, hash(kind, account, fmt.Sprint(g.rand.IntN(n))))
}

var buckets = []string{"demo-assets", "demo-reports", "demo-uploads", "demo-backups", "demo-logs"}

func bucketName(account, name string) string { return name + "-" + account }

func resource(account, kind, arn string) string {
	return string(list(raw(object("accountId", account, "type", kind, "ARN", arn))))
}

func (g *generator) kmsKey(e *event) string {
	return fmt.Sprintf("arn:aws:kms:%s:%s:key/%08x-0000-4000-8000-000000000000", e.region, e.account, uint32(hash("key", e.account, e.region))+uint32(g.rand.IntN(3)))
}

func kmsCall(name string, write bool) call {
	return func(g *generator, e *event) {
		key := g.kmsKey(e)
		context := raw(object("PARAMETER_ARN", fmt.Sprintf("arn:aws:ssm:%s:%s:parameter/demo/%s/password", e.region, e.account, pick(g, functions))))
		if name == "Decrypt" {
			e.call("kms", name, "encryptionContext", context, "encryptionAlgorithm", "SYMMETRIC_DEFAULT")
		} else {
			e.call("kms", name, "keyId", key, "encryptionContext", context, "keySpec", "AES_256")
		}
		e.write, e.resources = write, resource(e.account, "AWS::KMS::Key", key)
	}
}

// s3Call is a call to a bucket, or to an object: a data event.
func s3Call(name string, write, object_ bool, query string) call {
	return func(g *generator, e *event) {
		short := pick(g, buckets)
		bucket := bucketName(e.account, short)
		host := bucket + ".s3." + e.region + ".amazonaws.com"
		e.source, e.name, e.write, e.tls = "s3.amazonaws.com", name, write, host
		pairs := []any{"bucketName", bucket, "Host", host}
		e.resources = string(list(raw(object("accountId", e.account, "type", "AWS::S3::Bucket", "ARN", "arn:aws:s3:::"+bucket))))
		if query != "" {
			pairs = append(pairs, query, "")
		}
		if object_ {
			key := fmt.Sprintf("%s/%s/part-%05d.parquet", short, e.at.Format("2006/01/02"), g.rand.IntN(4000))
			pairs = append(pairs, "key", key)
			e.category = "Data"
			e.resources = string(list(
				raw(object("type", "AWS::S3::Object", "ARN", "arn:aws:s3:::"+bucket+"/"+key)),
				raw(object("accountId", e.account, "type", "AWS::S3::Bucket", "ARN", "arn:aws:s3:::"+bucket))))
		}
		e.params = object(pairs...)
		in, out := 0, g.rand.IntN(1<<20)
		if write {
			in, out = out, 0
			e.response = object("x-amz-server-side-encryption", "aws:kms", "x-amz-version-id", g.text(alphanumeric, 32))
		}
		e.extra = object("SignatureVersion", "SigV4", "CipherSuite", "TLS_AES_128_GCM_SHA256", "bytesTransferredIn", in, "AuthenticationMethod", "AuthHeader",
			"x-amz-id-2", g.text(alphanumeric, 75)+"=", "bytesTransferredOut", out)
		e.request = g.text(upper, 16)
		if g.chance(40) {
			e.endpoint = fmt.Sprintf("vpce-0%016x", hash("vpce", e.account, e.region))
		}
	}
}

func assumeRole(g *generator, e *event) {
	by := pick(g, []string{"lambda.amazonaws.com", "ec2.amazonaws.com", "ecs-tasks.amazonaws.com", "cloudtrail.amazonaws.com"})
	role := pick(g, functions) + "-role"
	session := pick(g, functions)
	arn := "arn:aws:iam::" + e.account + ":role/service-role/" + role
	e.by(service(by))
	e.call("sts", "AssumeRole", "roleArn", arn, "roleSessionName", session, "durationSeconds", 3600)
	id := roleID(hash(e.account, role))
	e.response = object(
		"credentials", raw(object("accessKeyId", temporaryKey(g.rand.Uint64()), "sessionToken", "EXAMPLE"+g.text(alphanumeric, 200), "expiration", e.at.Add(time.Hour).Format(shortTime))),
		"assumedRoleUser", raw(object("assumedRoleId", id+":"+session, "arn", "arn:aws:sts::"+e.account+":assumed-role/"+role+"/"+session)))
	e.resources = resource(e.account, "AWS::IAM::Role", arn)
	e.shared = g.uuid()
}

// shortTime is how times stand in many responses.
const shortTime = "Jan 2, 2006, 3:04:05 PM"

// calls are what is called on ordinary days in every region.
var calls = []weighted[call]{
	{30, ec2Describe},
	{7, kmsCall("Decrypt", false)},
	{3, kmsCall("GenerateDataKey", false)},
	{2, kmsCall("Encrypt", true)},
	{5, s3Call("GetObject", false, true, "")},
	{2, s3Call("PutObject", true, true, "")},
	{1, s3Call("DeleteObject", true, true, "")},
	{3, s3Call("GetBucketAcl", false, false, "acl")},
	{2, s3Call("GetBucketLogging", false, false, "logging")},
	{2, s3Call("GetBucketPolicyStatus", false, false, "policyStatus")},
	{3, assumeRole},
	{6, func(g *generator, e *event) {
		e.call("ssm", "GetParameter", "name", fmt.Sprintf("/demo/%s/%s", pick(g, functions), pick(g, []string{"url", "password", "limit", "owner"})), "withDecryption", true)
		e.resources = resource(e.account, "AWS::SSM::Parameter", fmt.Sprintf("arn:aws:ssm:%s:%s:parameter/demo/%s", e.region, e.account, pick(g, functions)))
	}},
	{3, func(g *generator, e *event) {
		e.call("secretsmanager", "GetSecretValue", "secretId", fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-%06d", e.region, e.account, pick(g, functions), hash(e.account)%1e6))
	}},
	{3, func(g *generator, e *event) {
		e.call("logs", "CreateLogStream", "logGroupName", "/aws/lambda/"+pick(g, functions), "logStreamName", e.at.Format("2006/01/02/")+"[$LATEST]"+g.text(hexDigits, 32))
		e.write, e.apiVersion = true, "20140328"
	}},
	{3, func(g *generator, e *event) {
		e.call("lambda", "GetFunctionConfiguration20150331v2", "functionName", pick(g, functions))
		e.apiVersion = "2015-03-31"
	}},
	{3, func(g *generator, e *event) {
		name := pick(g, functions)
		e.call("lambda", "Invoke", "functionName", "arn:aws:lambda:"+e.region+":"+e.account+":function:"+name, "invocationType", "Event")
		e.category, e.write, e.apiVersion = "Data", true, "2015-03-31"
		e.resources = resource(e.account, "AWS::Lambda::Function", "arn:aws:lambda:"+e.region+":"+e.account+":function:"+name)
	}},
	{3, func(g *generator, e *event) {
		table := pick(g, []string{"demo-orders", "demo-carts", "demo-sessions"})
		e.call("dynamodb", pick(g, []string{"GetItem", "Query", "UpdateItem"}), "tableName", table, "key", raw(object("id", g.text(hexDigits, 12))), "consistentRead", g.chance(20))
		e.category, e.write, e.apiVersion = "Data", e.name == "UpdateItem", "2012-08-10"
		e.resources = resource(e.account, "AWS::DynamoDB::Table", "arn:aws:dynamodb:"+e.region+":"+e.account+":table/"+table)
	}},
	{3, func(g *generator, e *event) {
		e.call("rds", "DescribeDBInstances", "maxRecords", 100)
		if g.chance(50) {
			e.params = object("dBInstanceIdentifier", pick(g, []string{"demo-orders", "demo-reports"}))
		}
	}},
	{3, func(_ *generator, e *event) {
		e.call("health", "DescribeEventAggregates", "filter", raw(object("eventStatusCodes", list("open", "upcoming"), "startTimes", list(raw(object("from", e.at.AddDate(0, 0, -7).Format(shortTime)))))), "aggregateField", "eventTypeCategory")
	}},
	{3, func(g *generator, e *event) {
		e.call("monitoring", "DescribeAlarms", "maxRecords", 100, "alarmTypes", list("MetricAlarm", "CompositeAlarm"), "alarmNamePrefix", pick(g, functions))
	}},
	{14, func(g *generator, e *event) {
		e.call("ec2", pick(g, []string{"DescribeAccountAttributes", "DescribeAvailabilityZones", "DescribeRegions"}))
		e.apiVersion = "2016-11-15"
	}},
	{1, runInstances},
	{2, func(g *generator, e *event) {
		instance := g.id("i", e.account, 40)
		e.call("ec2", "TerminateInstances", "instancesSet", raw(object("items", list(raw(object("instanceId", instance))))))
		e.response = object("requestId", e.request, "instancesSet", raw(object("items", list(raw(object("instanceId", instance,
			"currentState", raw(object("code", 32, "name", "shutting-down")), "previousState", raw(object("code", 16, "name", "running"))))))))
		e.write, e.apiVersion = true, "2016-11-15"
	}},
	{2, func(g *generator, e *event) {
		e.call("ec2", "CreateTags", "resourcesSet", raw(object("items", list(raw(object("resourceId", g.id("i", e.account, 40)))))),
			"tagSet", raw(object("items", list(raw(object("key", "Name", "value", pick(g, functions))), raw(object("key", "owner", "value", email(1+g.rand.IntN(people))))))))
		e.response, e.write, e.apiVersion = object("requestId", e.request, "_return", true), true, "2016-11-15"
	}},
	{1, func(g *generator, e *event) {
		e.call("ssm", "PutParameter", "name", "/demo/"+pick(g, functions)+"/password", "value", "HIDDEN_DUE_TO_SECURITY_REASONS", "type", "SecureString", "overwrite", true, "keyId", "alias/aws/ssm")
		e.response, e.write = object("version", 1+g.rand.IntN(90), "tier", "Standard"), true
	}},
	{1, func(g *generator, e *event) { // an event without a caller's type
		name := pick(g, functions)
		arn := fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s", e.region, e.account, name)
		e.by(caller{identity: object("accountId", e.account, "invokedBy", "secretsmanager.amazonaws.com"), ip: "secretsmanager.amazonaws.com", agent: "secretsmanager.amazonaws.com", service: true})
		e.call("secretsmanager", "RotationStarted")
		e.extra, e.typ, e.write = object("SecretId", arn), "AwsServiceEvent", true
	}},
	{1, func(g *generator, e *event) {
		e.by(service("AWS Internal"))
		e.identity = object("accountId", e.account, "invokedBy", "AWS Internal")
		e.call("kms", "RotateKey")
		key := g.kmsKey(e)
		e.typ, e.write, e.noRequest = "AwsServiceEvent", true, true
		e.resources, e.details = resource(e.account, "AWS::KMS::Key", key), object("rotationType", "AUTOMATIC", "keyOrigin", "AWS_KMS", "keyId", key[strings.LastIndexByte(key, '/')+1:])
	}},
}

func runInstances(g *generator, e *event) {
	e.call("ec2", "RunInstances",
		"instancesSet", raw(object("items", list(raw(object("imageId", g.id("ami", "", 6), "minCount", 1, "maxCount", 1))))),
		"instanceType", pick(g, []string{"t3.small", "m6i.large", "c7g.xlarge"}), "subnetId", g.id("subnet", e.account, 6),
		"blockDeviceMapping", raw("{}"), "monitoring", raw(object("enabled", false)), "disableApiTermination", false, "clientToken", g.uuid())
	instance := g.id("i", e.account, 40)
	e.response = object("requestId", e.request, "reservationId", g.id("r", "", 1<<20), "ownerId", e.account, "groupSet", raw("{}"),
		"instancesSet", raw(object("items", list(raw(object("instanceId", instance, "imageId", g.id("ami", "", 6), "currentState", raw(object("code", 0, "name", "pending")),
			"privateDnsName", "ip-198-51-100-7."+e.region+".compute.internal", "amiLaunchIndex", 0, "productCodes", raw("{}"), "instanceType", "t3.small",
			"launchTime", int(e.at.UnixMilli()), "placement", raw(object("availabilityZone", e.region+"a", "tenancy", "default")), "subnetId", g.id("subnet", e.account, 6),
			"vpcId", g.id("vpc", e.account, 4), "privateIpAddress", "198.51.100.7", "architecture", "x86_64", "rootDeviceType", "ebs", "virtualizationType", "hvm"))))))
	e.write, e.apiVersion = true, "2016-11-15"
}

// globalCalls are those of services that are recorded in the home region.
var globalCalls = []weighted[call]{
	{20, func(g *generator, e *event) {
		e.call("iam", "GetUser", "userName", userName(1+g.rand.IntN(people)))
		e.tls = "iam.amazonaws.com"
	}},
	{16, func(g *generator, e *event) {
		e.call("iam", pick(g, []string{"ListAttachedRolePolicies", "GetRole", "ListRolePolicies", "ListInstanceProfilesForRole"}), "roleName", pick(g, functions)+"-role")
		e.tls = "iam.amazonaws.com"
	}},
	{6, func(_ *generator, e *event) {
		e.call("iam", "ListUsers", "maxItems", 1000)
		e.tls = "iam.amazonaws.com"
	}},
	{8, func(_ *generator, e *event) { e.call("sts", "GetCallerIdentity"); e.tls = "sts.amazonaws.com" }},
	{16, func(g *generator, e *event) {
		n := 1 + g.rand.IntN(people)
		consoleLogin(e, n, g.chance(92), n%4 != 0)
	}},
	{8, func(g *generator, e *event) { centerSignIn(g, e, 1+g.rand.IntN(people), g.chance(94)) }},
	{6, func(g *generator, e *event) {
		n := 1 + g.rand.IntN(people)
		e.by(caller{identity: identityCenterUser(n), ip: address(n), agent: agentBrowser, console: true})
		e.account = management
		e.call("sso", pick(g, []string{"ListApplications", "GetRoleCredentials", "Authenticate"}))
		e.params, e.console = object("role_name", pick(g, permissionSets), "account_id", pick(g, accounts)), false
		e.details = object("role_name", pick(g, permissionSets), "account_id", pick(g, accounts))
		e.typ = "AwsServiceEvent"
	}},
	{2, func(g *generator, e *event) {
		role := pick(g, functions) + "-role"
		e.call("iam", "PutRolePolicy", "roleName", role, "policyName", "demo-inline", "policyDocument",
			"{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n    {\"Effect\": \"Allow\", \"Action\": [\"s3:GetObject\", \"s3:PutObject\"], \"Resource\": \"arn:aws:s3:::"+bucketName(e.account, pick(g, buckets))+"/*\"}\n  ]\n}")
		e.write, e.tls = true, "iam.amazonaws.com"
	}},
	{1, func(g *generator, e *event) {
		n := people + 1 + g.rand.IntN(40)
		e.call("iam", "CreateUser", "userName", userName(n), "tags", list(raw(object("key", "owner", "value", email(1)))))
		e.response = object("user", raw(object("path", "/", "userName", userName(n), "userId", userID(n), "arn", userARN(e.account, n), "createDate", e.at.Format(shortTime))))
		e.write, e.tls = true, "iam.amazonaws.com"
	}},
}

// consoleLogin is an IAM user's sign-in to the console.
func consoleLogin(e *event, n int, ok, mfa bool) {
	e.by(caller{identity: object("type", "IAMUser", "principalId", userID(n), "accountId", e.account, "accessKeyId", "", "userName", userName(n)), ip: address(n), agent: agentBrowser})
	if ok {
		e.identity = object("type", "IAMUser", "principalId", userID(n), "arn", userARN(e.account, n), "accountId", e.account, "userName", userName(n))
	}
	e.call("signin", "ConsoleLogin")
	e.typ, e.tls = "AwsConsoleSignIn", "signin.aws.amazon.com"
	e.write, e.noRequest = false, true
	result := "Success"
	if !ok {
		result, e.errorMessage = "Failure", "Failed authentication"
	}
	e.response = object("ConsoleLogin", result)
	used := "No"
	if mfa && ok {
		used = "Yes"
	}
	pairs := []any{"LoginTo", "https://console.aws.amazon.com/console/home?region=" + e.region, "MobileVersion", "No", "MFAUsed", used}
	if used == "Yes" {
		pairs = append(pairs, "MFAIdentifier", "arn:aws:iam::"+e.account+":mfa/"+userName(n))
	}
	e.extra = object(pairs...)
}

// centerSignIn is a step of a sign-in to IAM Identity Center.
func centerSignIn(g *generator, e *event, n int, ok bool) {
	e.account = management
	e.by(caller{identity: identityCenterUser(n), ip: address(n), agent: agentBrowser})
	e.call("signin", pick(g, []string{"CredentialChallenge", "CredentialVerification", "UserAuthentication"}))
	result := "Success"
	if !ok {
		result = "Failure"
	}
	e.extra = object("AuthWorkflowID", g.uuid(), "CredentialType", pick(g, []string{"PASSWORD", "TOTP", "WEBAUTHN"}), "UserName", email(n))
	e.details, e.typ, e.tls = object(e.name, result), "AwsServiceEvent", "eu-west-1.signin.aws"
}
