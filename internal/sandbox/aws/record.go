package aws

import (
	"encoding/json"
	"net/netip"
	"strings"

	"weir/internal/sandbox/org"
)

// object builds a JSON object whose members keep their order.
type object []byte

func (o *object) raw(name string, value []byte) {
	if len(*o) > 0 {
		*o = append(*o, ',')
	}
	*o = append(append(append(*o, quote(name)...), ':'), value...)
}

func (o *object) str(name, value string) {
	if value != "" {
		o.raw(name, quote(value))
	}
}

func (o *object) flag(name string, v bool) { o.raw(name, []byte(flag(v))) }

func (o object) close() []byte { return append(append([]byte{'{'}, o...), '}') }

func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string
	}
	return b
}

// userAgent is the client of who has none: it calls from within.
const internalAgent = "AWS Internal"

// appendRecord appends an event as CloudTrail tells it (5.4).
func (h *Handler) appendRecord(b []byte, s *org.State, e *org.Event) []byte {
	var r object
	signin := e.Call.Service == "signin.amazonaws.com"
	r.str("eventVersion", "1.11")
	r.raw("userIdentity", h.identity(s, e))
	r.str("eventTime", stamp(e.At))
	r.str("eventSource", e.Call.Service)
	r.str("eventName", e.Call.Name)
	r.str("awsRegion", e.Call.Region)
	r.str("sourceIPAddress", e.Client.IP)
	r.str("userAgent", agentOf(e))
	r.str("errorCode", e.Reason)
	if e.Failed {
		r.str("errorMessage", e.Text)
	}
	r.raw("requestParameters", h.parameters(e))
	answer := []byte("null")
	if signin {
		var o object
		o.str("ConsoleLogin", map[bool]string{false: "Success", true: "Failure"}[e.Failed])
		answer = o.close()
	}
	r.raw("responseElements", answer)
	if signin {
		var o object
		o.str("LoginTo", "https://console.aws.amazon.com/console/home")
		o.str("MobileVersion", "No")
		o.str("MFAUsed", map[bool]string{false: "No", true: "Yes"}[e.MFA])
		r.raw("additionalEventData", o.close())
	}
	r.str("requestID", uuid(h.seed, "call", e.N))
	r.str("eventID", uuid(h.seed, "event", e.N))
	r.flag("readOnly", e.Call.ReadOnly)
	if e.Call.Bucket != "" {
		r.raw("resources", h.resources(e))
	}
	kind := "AwsApiCall"
	if signin {
		kind = "AwsConsoleSignIn"
	}
	r.str("eventType", kind)
	r.flag("managementEvent", !isData(e))
	r.str("recipientAccountId", h.account)
	r.str("eventCategory", map[bool]string{false: "Management", true: "Data"}[isData(e)])
	return append(b, r.close()...)
}

func agentOf(e *org.Event) string {
	if e.Client.UserAgent == "" {
		return internalAgent
	}
	return e.Client.UserAgent
}

// isData tells events about objects from those about what holds them.
func isData(e *org.Event) bool { return e.Call.Key != "" }

func (h *Handler) identity(s *org.State, e *org.Event) []byte {
	var o object
	switch e.Actor.Kind {
	case org.CloudUserRef:
		u := userN(s, e.Actor.N)
		o.str("type", "IAMUser")
		o.str("principalId", id(h.seed, prefixUser, u.N))
		o.str("arn", h.userARN(u))
		o.str("accountId", h.account)
		if e.Via.Kind == org.GrantRef {
			o.str("accessKeyId", id(h.seed, prefixKey, e.Via.N))
		}
		o.str("userName", u.Name)
	case org.CloudRoleRef:
		r := s.Cloud.Roles[e.Actor.N]
		is := id(h.seed, prefixRole, r.N)
		o.str("type", "AssumedRole")
		o.str("principalId", is+":"+e.Actor.Name)
		o.str("arn", h.sessionARN(r, e.Actor.Name))
		o.str("accountId", h.account)
		o.str("accessKeyId", e.Session)
		var issuer, attributes, context object
		issuer.str("type", "Role")
		issuer.str("principalId", is)
		issuer.str("arn", h.roleARN(r))
		issuer.str("accountId", h.account)
		issuer.str("userName", r.Name)
		attributes.str("creationDate", stamp(e.At))
		attributes.str("mfaAuthenticated", "false")
		context.raw("sessionIssuer", issuer.close())
		context.raw("attributes", attributes.close())
		o.raw("sessionContext", context.close())
	default:
		o.str("type", "AWSAccount")
		o.str("accountId", "ANONYMOUS_PRINCIPAL")
	}
	return o.close()
}

func userN(s *org.State, n int) *org.CloudUser {
	for _, u := range s.Cloud.Users {
		if u.N == n {
			return u
		}
	}
	return &org.CloudUser{N: n, Person: -1}
}

// parameters are what the call asked for.
func (h *Handler) parameters(e *org.Event) []byte {
	var o object
	for _, p := range h.params(e) {
		if p.Name == "passwordResetRequired" {
			o.flag(p.Name, p.New == "true")
			continue
		}
		o.str(p.Name, p.New)
	}
	if len(o) == 0 {
		return []byte("null")
	}
	return o.close()
}

func (h *Handler) params(e *org.Event) []org.Change {
	var out []org.Change
	if e.Call.Bucket != "" {
		out = append(out, org.Change{Name: "bucketName", New: e.Call.Bucket})
		if e.Call.Key != "" {
			out = append(out, org.Change{Name: "key", New: e.Call.Key})
		}
	}
	for _, p := range e.Call.Params {
		if p.Name == "roleArn" && !strings.HasPrefix(p.New, "arn:") {
			p.New = h.iamARN(p.New)
		}
		out = append(out, p)
	}
	return out
}

func objectARN(e *org.Event) string { return "arn:aws:s3:::" + e.Call.Bucket + "/" + e.Call.Key }
func bucketARN(e *org.Event) string { return "arn:aws:s3:::" + e.Call.Bucket }

func (h *Handler) resources(e *org.Event) []byte {
	var list []byte
	add := func(arn, kind string) {
		var o object
		o.str("accountId", h.account)
		o.str("type", kind)
		o.str("ARN", arn)
		if len(list) > 0 {
			list = append(list, ',')
		}
		list = append(list, o.close()...)
	}
	if e.Call.Key != "" {
		add(objectARN(e), "AWS::S3::Object")
	}
	add(bucketARN(e), "AWS::S3::Bucket")
	return append(append([]byte{'['}, list...), ']')
}

// address is a client's, in its one canonical form.
func address(e *org.Event) string { return netip.MustParseAddr(e.Client.IP).Unmap().String() }
