package aws

import (
	"encoding/xml"
	"net/http"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// Namespaces and versions of the query APIs.
var queries = map[string]struct{ version, namespace string }{
	"iam": {"2010-05-08", "https://iam.amazonaws.com/doc/2010-05-08/"},
	"sts": {"2011-06-15", "https://sts.amazonaws.com/doc/2011-06-15/"},
}

// text is an element with text, and element one with others.
func text(name, value string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(value)) // a Builder never fails
	return element(name, b.String())
}

func element(name, inner string) string { return "<" + name + ">" + inner + "</" + name + ">" }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func flag(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// sendQuery answers as IAM and STS do.
func (c *call) sendQuery(status int, root, inner string) {
	c.w.Header().Set("Content-Type", "text/xml")
	c.w.Header().Set("X-Amzn-Requestid", c.request)
	c.w.WriteHeader(status)
	_, _ = c.w.Write([]byte(`<` + root + ` xmlns="` + queries[c.service].namespace + `">` + inner + `</` + root + ">\n")) // a client that went away is no concern of the vendor's
}

// queryCall is a call of IAM or STS. Its result is the inner XML of the answer's
// Result; "" with calls that have none.
type queryCall struct {
	write bool
	serve func(*call) (result string, f *failure)
}

func (c *call) serveQuery() {
	action := c.form.Get("Action")
	calls := iamCalls
	if c.service == "sts" {
		calls = stsCalls
	}
	q, ok := calls[action]
	if !ok || c.form.Get("Version") != queries[c.service].version {
		c.h.t.Violate("no such call", c.service+":"+action+" "+c.form.Get("Version"))
		c.fail(refuse(http.StatusBadRequest, "InvalidAction", "Could not find operation %s for version %s", action, c.form.Get("Version")))
		return
	}
	c.called(c.service + ":" + action)
	var result string
	f := c.permitted(action)
	if f == nil {
		result, f = q.serve(c)
	}
	if q.write {
		c.record(f)
	}
	if f != nil {
		c.fail(f)
		return
	}
	if result != "" {
		result = element(action+"Result", result)
	}
	c.sendQuery(http.StatusOK, action+"Response", result+element("ResponseMetadata", text("RequestId", c.request)))
}

func (c *call) permitted(action string) *failure {
	if c.service == "sts" {
		return nil // GetCallerIdentity needs no right; AssumeRole looks at the role's trust
	}
	resource := "*"
	for param, kind := range map[string]string{"UserName": "user/", "RoleName": "role/"} {
		if v := c.form.Get(param); v != "" {
			resource = c.h.iamARN(kind + v)
		}
	}
	return c.allowed("iam:"+action, resource)
}

// trailed are the parameters that the trail tells, in its order, with their
// names there. Passwords are none of them.
var trailed = []struct{ param, name string }{
	{"UserName", "userName"},
	{"RoleName", "roleName"},
	{"PolicyName", "policyName"},
	{"PolicyDocument", "policyDocument"},
	{"Status", "status"},
	{"AccessKeyId", "accessKeyId"},
	{"PasswordResetRequired", "passwordResetRequired"},
}

// record has the trail tell of a write of IAM, whether it was done or refused.
func (c *call) record(f *failure) {
	e := org.CloudCall{Service: "iam.amazonaws.com", Name: c.form.Get("Action"), Region: org.GlobalRegion}
	for _, p := range trailed {
		if c.form.Has(p.param) {
			e.Params = append(e.Params, org.Change{Name: p.name, New: c.form.Get(p.param)})
		}
	}
	c.tell(e, f)
}

// tell has the trail tell of a call.
func (c *call) tell(e org.CloudCall, f *failure) {
	if f != nil {
		c.s.Call(c.act(), e, f.code, f.message)
		return
	}
	c.s.Call(c.act(), e)
}
