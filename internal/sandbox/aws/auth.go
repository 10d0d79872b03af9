package aws

import (
	"bytes"
	"crypto/hmac"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// principal is who makes a request.
type principal struct {
	key     string // access key id
	user    int    // -1: a role's session
	keyN    int
	role    int // -1: a user
	session *session
}

// session is a role's, taken on with AssumeRole. Its times are by the clock that
// its owner signs by.
type session struct {
	role            int
	name            string
	secret, token   string
	issued, expires time.Time
}

// authenticate checks the signature.
func (c *call) authenticate() *failure {
	header := c.r.Header.Get("Authorization")
	if header == "" {
		if c.service == "s3" {
			return nil // anonymous: what is public can be read
		}
		return refuse(http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token")
	}
	s, ok := parseAuthorization(header)
	if !ok || s.service != c.service {
		c.h.t.Violate("signature", "no signature of version 4 for "+c.service)
		return refuse(http.StatusForbidden, "SignatureDoesNotMatch", "Credential should be scoped to correct service: '%s'.", c.service)
	}
	at, err := time.Parse(timeFormat, c.r.Header.Get("X-Amz-Date"))
	if err != nil || at.Format("20060102") != s.date {
		return refuse(http.StatusForbidden, "SignatureDoesNotMatch", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP")
	}
	s.at = at
	if f := c.skewed(at); f != nil {
		return f
	}
	payload, f := c.payload()
	if f != nil {
		return f
	}
	if name := c.unsigned(&s); name != "" {
		c.h.t.Violate("unsigned header", name)
		return refuse(http.StatusForbidden, "AccessDenied", "There were headers present in the request which were not signed: %s", name)
	}
	who, secret, f := c.principal(&s)
	if f != nil {
		return f
	}
	if !hmac.Equal([]byte(c.signature(&s, secret, payload)), []byte(s.signature)) {
		c.h.t.Violate("signature", c.r.Method+" "+c.r.URL.Path)
		return refuse(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
	}
	c.who = who
	return nil
}

func (c *call) skewed(at time.Time) *failure {
	most := skew
	if c.service == "s3" {
		most = skewS3
	}
	first, last := c.now, c.h.t.Real().Now()
	if last.Before(first) {
		first, last = last, first
	}
	if !at.Before(first.Add(-most)) && !at.After(last.Add(most)) {
		return nil
	}
	if c.service == "s3" {
		return refuse(http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
	}
	return refuse(http.StatusForbidden, "SignatureDoesNotMatch", "Signature not yet current or expired: %s", at.Format(timeFormat))
}

// payload returns the hash of the body that is signed.
func (c *call) payload() (string, *failure) {
	is := digest(string(c.body))
	if c.service != "s3" {
		return is, nil
	}
	said := c.r.Header.Get("X-Amz-Content-Sha256")
	switch {
	case said == "UNSIGNED-PAYLOAD" || said == is:
		return said, nil
	case strings.HasPrefix(said, "STREAMING-"):
		return "", refuse(http.StatusNotImplemented, "NotImplemented", "The sandbox takes no chunked bodies: send them whole")
	}
	return "", refuse(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
}

// unsigned returns a header of the vendor's that is not signed.
func (c *call) unsigned(s *signed) string {
	for name := range c.r.Header {
		if n := strings.ToLower(name); strings.HasPrefix(n, "x-amz-") && !slices.Contains(s.headers, n) {
			return n
		}
	}
	return ""
}

// invalid is the answer to a key that does not exist or is not active.
func (c *call) invalid() *failure {
	if c.service == "s3" {
		return refuse(http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
	}
	return refuse(http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")
}

// principal looks the key up.
func (c *call) principal(s *signed) (who *principal, secret string, f *failure) {
	h := c.h
	h.mu.Lock()
	held := h.sessions[s.key]
	if held != nil {
		defer h.mu.Unlock()
		return c.ofSession(s, held)
	}
	h.mu.Unlock()
	h.t.World.View(func(st *org.State) {
		for _, u := range st.Cloud.Users {
			for _, k := range u.Keys {
				if k.Active && id(h.seed, prefixKey, k.N) == s.key {
					who, secret = &principal{key: s.key, user: u.N, keyN: k.N, role: -1}, h.secretOf(k.N)
				}
			}
		}
	})
	if who == nil {
		return nil, "", c.invalid()
	}
	return who, secret, nil
}

// ofSession checks a role's session; h.mu is held.
func (c *call) ofSession(s *signed, held *session) (*principal, string, *failure) {
	token := c.r.Header.Get("X-Amz-Security-Token")
	switch {
	case token != held.token && c.service == "s3":
		return nil, "", refuse(http.StatusBadRequest, "InvalidToken", "The provided token is malformed or otherwise invalid.")
	case token != held.token:
		return nil, "", c.invalid()
	}
	if c.h.t.TokenExpired(c.r) {
		held.expires = time.Time{} // for good
	}
	if !s.at.Before(held.expires) {
		status := http.StatusForbidden
		if c.service == "s3" {
			status = http.StatusBadRequest
		}
		return nil, "", refuse(status, "ExpiredToken", "The security token included in the request is expired")
	}
	return &principal{key: s.key, user: -1, role: held.role, session: held}, held.secret, nil
}

func (h *Handler) secretOf(key int) string {
	if key == 0 {
		return Secret
	}
	return hexOf(h.seed, "secret", key, 40)
}

// allowed returns the refusal of an action on a resource, which the trail tells
// too, or nil.
func (c *call) allowed(action, resource string) *failure {
	name, attached, policies, issued := "Anonymous", []string(nil), []org.InlinePolicy(nil), time.Time{}
	agent := false
	switch w := c.who; {
	case w == nil:
	case w.role >= 0:
		r := c.s.Cloud.Roles[w.role]
		name, attached, policies, issued = c.h.sessionARN(r, w.session.name), r.Attached, r.Policies, w.session.issued
	default:
		for _, u := range c.s.Cloud.Users {
			if u.N == w.user {
				name, attached, policies = c.h.userARN(u), u.Attached, u.Policies
				agent = u.Name == org.AgentUser
			}
		}
	}
	denied := slices.Contains(c.h.t.MissingScopes(c.r), action) || slices.ContainsFunc(policies, func(p org.InlinePolicy) bool { return denies(p.Document, issued) })
	if !denied && (agent || slices.ContainsFunc(attached, func(p string) bool { return permits(p, action) })) {
		return nil
	}
	if c.service == "s3" && c.r.Method == http.MethodHead {
		return refuse(http.StatusForbidden, "AccessDenied", "Access Denied")
	}
	return refuse(http.StatusForbidden, "AccessDenied", "User: %s is not authorized to perform: %s on resource: %s", name, action, resource)
}

// permits tells what the vendor's own policies allow, as far as the sandbox
// knows them. Policies of the organization's own allow nothing here.
func permits(policy, action string) bool {
	service, call, _ := strings.Cut(action, ":")
	switch policy {
	case "AdministratorAccess":
		return true
	case "PowerUserAccess":
		return service != "iam"
	case "AmazonS3FullAccess":
		return service == "s3"
	case "ReadOnlyAccess":
		return strings.HasPrefix(call, "Get") || strings.HasPrefix(call, "List") || strings.HasPrefix(call, "Head")
	}
	return false
}

// denies tells whether a policy denies everything: always, or to sessions that
// are older than it says.
func denies(document string, issued time.Time) bool {
	p, ok := parsePolicy(document)
	return ok && slices.ContainsFunc(p.Statement, func(s statement) bool {
		if s.Effect != "Deny" || !slices.Contains(s.Action, "*") {
			return false
		}
		if len(s.Condition) == 0 {
			return true
		}
		var text string
		_ = json.Unmarshal(s.Condition["DateLessThan"]["aws:TokenIssueTime"], &text) // else it is no time
		before, err := time.Parse(time.RFC3339, text)
		return err == nil && !issued.IsZero() && issued.Before(before)
	})
}

// policy is a policy document.
type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid       string
	Effect    string
	Principal json.RawMessage
	Action    words
	NotAction words
	Resource  words
	Condition map[string]map[string]json.RawMessage
}

// words is a string or a list of them.
type words []string

// UnmarshalJSON implements json.Unmarshaler.
func (w *words) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`"`)) {
		*w = words{""}
		return json.Unmarshal(b, &(*w)[0])
	}
	return json.Unmarshal(b, (*[]string)(w))
}

// parsePolicy reads a document; false: it is malformed.
func parsePolicy(document string) (p policy, ok bool) {
	var raw struct {
		Version   string
		Statement json.RawMessage
	}
	if json.Unmarshal([]byte(document), &raw) != nil || raw.Version != "2012-10-17" && raw.Version != "2008-10-17" {
		return p, false
	}
	p.Version = raw.Version
	list := []byte(raw.Statement)
	if bytes.HasPrefix(list, []byte("{")) {
		list = slices.Concat([]byte("["), list, []byte("]"))
	}
	if json.Unmarshal(list, &p.Statement) != nil || len(p.Statement) == 0 {
		return p, false
	}
	for _, s := range p.Statement {
		if s.Effect != "Allow" && s.Effect != "Deny" || len(s.Action)+len(s.NotAction) == 0 {
			return p, false
		}
	}
	return p, true
}
