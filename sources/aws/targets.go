package aws

import (
	"strings"

	"weir/schemas"
)

// targets sets what the call was about: resources[], else the first request
// parameter whose name ends in Name, Id, Ids, Arn or Identifier, else the same
// in responseElements, serviceEventDetails and additionalEventData; and when
// none has one, the same among what they nest, where EC2 wraps its calls. It
// returns the name of the parameter used, which is then no change.
func (m *mapper) targets(a *schemas.Activity, r *record) (used string) {
	t := &m.target
	t.m, t.a, t.n = m, a, 0
	for e := elements(r.resources); ; {
		v, ok := e.next()
		if !ok {
			break
		}
		t.resource(v)
	}
	if t.n == 0 && r.insightDetails != "" {
		t.add(a.Action, text(member(r.insightDetails, "insightType")), "other")
	}
	if t.n == 0 {
		where := [...]string{r.requestParameters, r.responseElements, r.serviceEventDetails, r.additionalEventData}
		for i, v := range where {
			if name, ok := t.parameter(v, 0); ok {
				if i == 0 {
					used = name
				}
				break
			}
		}
		for i := 0; t.n == 0 && i < len(where); i++ {
			t.nested(where[i], 0)
		}
	}
	t.finish()
	return used
}

// targetList gathers a record's targets in three parallel lists. The first list
// grows in the mapper's memory, the others wait here.
type targetList struct {
	m            *mapper
	a            *schemas.Activity
	n            int
	ids          [maxTargets]string
	names, kinds [maxTargets]string
}

func (t *targetList) add(id, name, kind string) {
	if t.n < maxTargets {
		t.ids[t.n], t.names[t.n], t.kinds[t.n] = id, name, kind
	}
	t.n++
}

func (t *targetList) finish() {
	a, kept := t.a, min(t.n, maxTargets)
	a.TargetCount = int32(t.n)
	if kept == 0 {
		return
	}
	a.TargetID, a.TargetName, a.TargetKind = t.ids[0], t.names[0], t.kinds[0]
	for _, l := range []struct {
		from []string
		to   *[]string
	}{{t.ids[:kept], &a.TargetIDs}, {t.names[:kept], &a.TargetNames}, {t.kinds[:kept], &a.TargetKinds}} {
		at := len(t.m.strings)
		t.m.strings = append(t.m.strings, l.from...)
		*l.to = t.m.list(at)
	}
}

func (t *targetList) resource(v string) {
	var arn, kind string
	for f := members(v); ; {
		name, v, ok := f.next()
		if !ok {
			break
		}
		switch name {
		case "ARN", "arn":
			arn = text(v)
		case "ARNPrefix":
			arn = first(arn, text(v))
		case "type":
			kind = text(v)
		}
	}
	if arn == "" {
		return
	}
	k, ok := resourceKinds[kind]
	if !ok {
		k = arnKind(arn)
	}
	t.add(arn, tail(arn), k)
}

// maxNesting bounds how deep targets are looked for.
const maxNesting = 4

// parameter adds the objects that the first fitting member of v names.
func (t *targetList) parameter(v string, depth int) (used string, ok bool) {
	for f := members(v); ; {
		name, v, more := f.next()
		if !more {
			return "", false
		}
		if !namesObject(name) {
			continue
		}
		before := t.n
		t.value(name, v, depth)
		if t.n > before {
			return name, true
		}
	}
}

// nested looks into the objects and lists that v holds, tags excepted.
func (t *targetList) nested(v string, depth int) {
	if depth > maxNesting {
		return
	}
	for f := members(v); t.n == 0; {
		name, inner, more := f.next()
		if !more {
			return
		}
		if len(name) >= 3 && strings.EqualFold(name[:3], "tag") {
			continue
		}
		if list := member(inner, "items"); list != "" {
			inner = list
		}
		if e := elements(inner); e.s != "" {
			for item, ok := e.next(); ok; item, ok = e.next() {
				t.parameter(item, depth)
			}
			continue
		}
		if _, ok := t.parameter(inner, depth); !ok {
			t.nested(inner, depth+1)
		}
	}
}

// value adds what a parameter holds: one id, a list of them, or an object that
// wraps them.
func (t *targetList) value(name, v string, depth int) {
	if v == "" || depth > maxNesting {
		return
	}
	switch v[0] {
	case '[':
		e := elements(v)
		for item, ok := e.next(); ok; item, ok = e.next() {
			t.value(name, item, depth+1)
		}
	case '{':
		for _, wrapped := range [...]string{"items", "item", "content"} {
			if inner := member(v, wrapped); inner != "" {
				t.value(name, inner, depth+1)
				return
			}
		}
		if _, ok := t.parameter(v, depth+1); !ok {
			t.nested(v, depth+1)
		}
	default:
		s := visible(text(v))
		if s == "" {
			return
		}
		if strings.HasPrefix(s, "arn:") {
			t.add(s, tail(s), first(parameterKind(name), arnKind(s)))
			return
		}
		kind := first(parameterKind(name), "other")
		if hasSuffixFold(name, "name") {
			t.add(s, s, kind)
		} else {
			t.add(s, "", kind)
		}
	}
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
	var names, values [maxChanges]string
	n := 0
	for f := members(r.requestParameters); n < maxChanges; {
		name, v, ok := f.next()
		if !ok {
			break
		}
		if name == skip || v == "null" {
			continue
		}
		s := text(v)
		if s == "" && (v[0] == '{' || v[0] == '[') && len(v) > 2 {
			s = v
		}
		if s = visible(s); s == "" || isTarget(a, s) {
			continue
		}
		names[n], values[n] = clip(name), clip(s)
		n++
	}
	if r.addendum != "" {
		fields, _, _ := strings.Cut(text(member(r.addendum, "updatedFields")), "\n")
		if reason := text(member(r.addendum, "reason")); reason != "" && n < maxChanges {
			names[n], values[n] = "addendum."+clip(reason), clip(fields)
			n++
		}
	}
	if n == 0 {
		return
	}
	at := len(m.strings)
	m.strings = append(m.strings, names[:n]...)
	a.ChangeNames = m.list(at)
	at = len(m.strings)
	for range n {
		m.strings = append(m.strings, "")
	}
	a.ChangeOld = m.list(at)
	at = len(m.strings)
	m.strings = append(m.strings, values[:n]...)
	a.ChangeNew = m.list(at)
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

// clip shortens a value to what a change entry may hold, at a character's edge.
func clip(s string) string {
	if len(s) <= maxChangeBytes {
		return s
	}
	end := maxChangeBytes
	for end > 0 && s[end]&0xc0 == 0x80 {
		end--
	}
	return s[:end]
}
