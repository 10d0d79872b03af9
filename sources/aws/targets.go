package aws

import (
	"strings"

	"weir/internal/rawjson"
	"weir/schemas"
)

// targets sets what the call was about: resources[], else the first request
// parameter whose name ends in Name, Id, Ids, Arn or Identifier, else the same
// in responseElements, serviceEventDetails and additionalEventData; and when
// none has one, the same among what they nest, where EC2 wraps its calls. It
// returns the name of the parameter used, which is then no change.
func (m *mapper) targets(a *schemas.Activity, r *record) (used string) {
	m.lists.Begin()
	for e := rawjson.Elements(r.resources); ; {
		v, ok := e.Next()
		if !ok {
			break
		}
		m.resource(v)
	}
	if m.lists.Targets() == 0 && r.insightDetails != "" {
		m.lists.Target(a.Action, rawjson.Text(rawjson.Member(r.insightDetails, "insightType")), "other")
	}
	if m.lists.Targets() == 0 {
		where := [...]string{r.requestParameters, r.responseElements, r.serviceEventDetails, r.additionalEventData}
		for i, v := range where {
			if name, ok := m.parameter(v, 0); ok {
				if i == 0 {
					used = name
				}
				break
			}
		}
		for i := 0; m.lists.Targets() == 0 && i < len(where); i++ {
			m.nested(where[i], 0)
		}
	}
	m.lists.SetTargets(a)
	return used
}

// resource adds an entry of resources[].
func (m *mapper) resource(v string) {
	var arn, kind string
	for f := rawjson.Members(v); ; {
		name, v, ok := f.Next()
		if !ok {
			break
		}
		switch name {
		case "ARN", "arn":
			arn = rawjson.Text(v)
		case "ARNPrefix":
			arn = first(arn, rawjson.Text(v))
		case "type":
			kind = rawjson.Text(v)
		}
	}
	if arn == "" {
		return
	}
	k, ok := resourceKinds[kind]
	if !ok {
		k = arnKind(arn)
	}
	m.lists.Target(arn, tail(arn), k)
}

// maxNesting bounds how deep targets are looked for.
const maxNesting = 4

// parameter adds the objects that the first fitting member of v names.
func (m *mapper) parameter(v string, depth int) (used string, ok bool) {
	for f := rawjson.Members(v); ; {
		name, v, more := f.Next()
		if !more {
			return "", false
		}
		if !namesObject(name) {
			continue
		}
		if m.value(name, v, depth) {
			return name, true
		}
	}
}

// nested looks into the objects and lists that v holds, tags excepted.
func (m *mapper) nested(v string, depth int) {
	if depth > maxNesting {
		return
	}
	for f := rawjson.Members(v); m.lists.Targets() == 0; {
		name, inner, more := f.Next()
		if !more {
			return
		}
		if len(name) >= 3 && strings.EqualFold(name[:3], "tag") {
			continue
		}
		if list := rawjson.Member(inner, "items"); list != "" {
			inner = list
		}
		if inner != "" && inner[0] == '[' {
			e := rawjson.Elements(inner)
			for item, ok := e.Next(); ok; item, ok = e.Next() {
				m.parameter(item, depth)
			}
			continue
		}
		if _, ok := m.parameter(inner, depth); !ok {
			m.nested(inner, depth+1)
		}
	}
}

// value adds what a parameter holds: one id, a list of them, or an object that
// wraps them. false: there is none.
func (m *mapper) value(name, v string, depth int) (found bool) {
	if v == "" || depth > maxNesting {
		return false
	}
	switch v[0] {
	case '[':
		e := rawjson.Elements(v)
		for item, ok := e.Next(); ok; item, ok = e.Next() {
			found = m.value(name, item, depth+1) || found
		}
		return found
	case '{':
		for _, wrapped := range [...]string{"items", "item", "content"} {
			if inner := rawjson.Member(v, wrapped); inner != "" {
				return m.value(name, inner, depth+1)
			}
		}
		if _, ok := m.parameter(v, depth+1); ok {
			return true
		}
		before := m.lists.Targets()
		m.nested(v, depth+1)
		return m.lists.Targets() > before
	}
	s := visible(rawjson.Text(v))
	if strings.HasPrefix(s, "arn:") {
		return m.lists.Target(s, tail(s), first(parameterKind(name), arnKind(s)))
	}
	kind := first(parameterKind(name), "other")
	if hasSuffixFold(name, "name") {
		return m.lists.Target(s, s, kind)
	}
	return m.lists.Target(s, "", kind)
}

// namesObject says whether a parameter of this name holds an object's identity.
func namesObject(name string) bool {
	return hasSuffixFold(name, "name") || hasSuffixFold(name, "id") || hasSuffixFold(name, "ids") ||
		hasSuffixFold(name, "arn") || hasSuffixFold(name, "identifier")
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}

// resourceKinds is target_kind by the type of a resources[] entry.
var resourceKinds = map[string]string{
	"AWS::IAM::User": "account", "AWS::IAM::Role": "role", "AWS::IAM::Policy": "policy", "AWS::IAM::Group": "group",
	"AWS::IAM::ManagedPolicy": "policy", "AWS::IAM::AccessKey": "credential", "AWS::STS::AssumedRole": "session",
	"AWS::S3::Bucket": "bucket", "AWS::S3::Object": "file", "AWS::KMS::Key": "credential", "AWS::SecretsManager::Secret": "credential",
	"AWS::DynamoDB::Table": "record", "AWS::Lambda::Function": "other", "AWS::ECR::Repository": "repository",
	"AWS::CodeCommit::Repository": "repository", "AWS::SNS::Topic": "other", "AWS::SQS::Queue": "other",
	"AWS::CloudTrail::Trail": "policy", "AWS::Organizations::Account": "org",
}

// arnKind is target_kind by an ARN's service and resource.
func arnKind(arn string) string {
	service, resource, ok := cutARN(arn)
	if !ok {
		return "other"
	}
	switch service {
	case "iam":
		kind, _, _ := strings.Cut(resource, "/")
		return first(iamKinds[kind], "other")
	case "s3":
		if strings.IndexByte(resource, '/') >= 0 {
			return "file"
		}
		return "bucket"
	}
	return first(serviceKinds[service], "other")
}

// cutARN returns the service and the resource that an ARN names.
func cutARN(arn string) (service, resource string, ok bool) {
	for i := range 5 { // arn, partition, service, region, account
		var part string
		if part, arn, ok = strings.Cut(arn, ":"); !ok {
			return "", "", false
		}
		if i == 2 {
			service = part
		}
	}
	return service, arn, true
}

// iamKinds is target_kind by the first part of an IAM resource.
var iamKinds = map[string]string{
	"user": "account", "role": "role", "policy": "policy", "group": "group", "root": "account", "mfa": "credential",
	"saml-provider": "domain", "oidc-provider": "domain", "instance-profile": "role",
}

// serviceKinds is target_kind by an ARN's service.
var serviceKinds = map[string]string{
	"sts": "session", "kms": "credential", "secretsmanager": "credential", "dynamodb": "record",
	"ecr": "repository", "codecommit": "repository", "organizations": "org", "cloudtrail": "policy",
}

// parameterKind is target_kind by the name of a parameter; "" when the name
// does not tell.
func parameterKind(name string) string { return parameterKinds[name] }

var parameterKinds = map[string]string{
	"userName": "account", "UserName": "account", "userId": "account", "principalId": "account",
	"groupName": "group", "roleName": "role", "roleArn": "role", "instanceProfileName": "role",
	"policyArn": "policy", "policyName": "policy", "accessKeyId": "credential", "serialNumber": "credential",
	"secretId": "credential", "keyId": "credential", "keyName": "credential", "sSHPublicKeyId": "credential",
	"bucketName": "bucket", "tableName": "record", "repositoryName": "repository",
	"instanceId": "device", "instancesSet": "device", "domainName": "domain", "accountId": "org", "organizationId": "org",
	"trailName": "policy", "permissionSetArn": "policy", "sAMLProviderArn": "domain",
}

// changes records what a call set: its parameters, but for those that name a
// target. CloudTrail holds no former values.
func (m *mapper) changes(a *schemas.Activity, r *record, skip string) {
	for f := rawjson.Members(r.requestParameters); ; {
		name, v, ok := f.Next()
		if !ok {
			break
		}
		if name == skip || v == "null" {
			continue
		}
		s := rawjson.Text(v)
		if s == "" && (v[0] == '{' || v[0] == '[') && len(v) > 2 {
			s = v
		}
		if s = visible(s); s != "" && !isTarget(a, s) {
			m.lists.Change(name, "", s)
		}
	}
	if r.addendum != "" {
		fields, _, _ := strings.Cut(rawjson.Text(rawjson.Member(r.addendum, "updatedFields")), "\n")
		if reason := rawjson.Text(rawjson.Member(r.addendum, "reason")); reason != "" {
			m.lists.Change("addendum."+reason, "", fields)
		}
	}
	m.lists.SetChanges(a)
}

// isTarget says whether a value names one of the row's targets: as a whole, or
// as the last part of its ARN.
func isTarget(a *schemas.Activity, s string) bool {
	for i, id := range a.TargetIDs {
		if s == id || s == a.TargetNames[i] {
			return true
		}
		if rest, ok := strings.CutSuffix(id, s); ok && len(rest) > 0 && (rest[len(rest)-1] == '/' || rest[len(rest)-1] == ':') {
			return true
		}
	}
	return false
}
