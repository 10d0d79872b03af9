// Package aws renders an organization's account at Amazon Web Services: STS, IAM
// and S3 as far as governance needs them, and CloudTrail's log files, as the
// contract sheet describes them.
//
// It is written from the sheet alone, apart from the connector, so that a
// misreading of either shows.
package aws

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
)

// Vendor is AWS.
func Vendor() sandbox.Vendor {
	return sandbox.Vendor{App: org.AWS, New: func(t *sandbox.Tenant) sandbox.Handler { return New(t) }}
}

// Secret is that of the agent's access key.
const Secret = "sandbox-secret"

// maxBody is what a request may send.
const maxBody = 16 << 20

// Handler is one account. It is safe for concurrent use.
type Handler struct {
	sandbox.Faulty[Faults]

	t            *sandbox.Tenant
	seed         uint64 // of the organization
	account      string // its id
	organization string // that it belongs to
	requests     atomic.Uint64
	trail        trail

	mu       sync.Mutex
	sessions map[string]*session // by access key id
	users    past[org.CloudUser]
	roles    past[org.CloudRole]
}

// New returns a tenant's account.
func New(t *sandbox.Tenant) *Handler {
	h := &Handler{t: t, sessions: map[string]*session{}, users: past[org.CloudUser]{}, roles: past[org.CloudRole]{}}
	t.World.View(func(s *org.State) { h.seed = seedOf(s) })
	h.account = digits(hash(h.seed, "account", 0), 12)
	h.organization = "o-" + hexOf(h.seed, "organization", 0, 10)
	return h
}

// Config returns the settings of an instance that collects the trail with the
// agent's own access key. The endpoint is that of S3, IAM and STS.
func (h *Handler) Config(base string) string {
	trail, quarantine := "", ""
	h.t.World.View(func(s *org.State) {
		trail = s.Cloud.Trail
		for _, b := range s.Cloud.Buckets {
			if strings.HasSuffix(b.Name, "-quarantine") {
				quarantine = b.Name
			}
		}
	})
	where := "s3://" + trail + "/AWSLogs/?region=" + org.CloudRegion + "&path_style=true&endpoint=" + base
	return fmt.Sprintf("app: aws\ncloudtrail: {url: %q}\nendpoints: {iam: %q, sts: %q, s3: %q}\nactions: {quarantine: %q}\nauth: {access_key_id: %q, secret_access_key: %q}\n",
		where, base, base, base, quarantine, id(h.seed, prefixKey, 0), Secret)
}

// call is one request being answered.
type call struct {
	h       *Handler
	w       http.ResponseWriter
	r       *http.Request
	rawPath string // as it was signed, with what comes before the tenant
	query   url.Values
	body    []byte
	form    url.Values // of IAM and STS
	service string     // iam, sts, s3
	now     time.Time  // virtual
	request string     // its id
	who     *principal // nil: anonymous

	s *org.State // while the world is held
}

// failure is an error as the vendor answers it.
type failure struct {
	status        int
	code, message string
}

func refuse(status int, code, format string, args ...any) *failure {
	return &failure{status, code, fmt.Sprintf(format, args...)}
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := h.begin(w, r)
	if f := c.read(); f != nil {
		c.fail(f)
		return
	}
	if f := c.authenticate(); f != nil {
		c.fail(f)
		return
	}
	within := h.t.World.View
	if c.writes() {
		within = h.t.World.Change
	}
	within(func(s *org.State) {
		c.s, c.now = s, s.Now
		if c.service == "s3" {
			c.serveS3()
		} else {
			c.serveQuery()
		}
		c.s = nil
	})
}

func (h *Handler) begin(w http.ResponseWriter, r *http.Request) *call {
	c := &call{h: h, w: w, r: r, now: h.t.Clock.Now().UTC(), request: uuid(h.seed, "request", int(h.requests.Add(1)))}
	c.rawPath, _, _ = strings.Cut(r.RequestURI, "?")
	c.service = "s3"
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") && strings.Trim(r.URL.Path, "/") == "" {
		c.service = "iam"
	}
	w.Header().Set("Date", c.now.Format(http.TimeFormat))
	return c
}

// read takes the request in.
func (c *call) read() *failure {
	var err error
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return refuse(http.StatusBadRequest, "InvalidURI", "Couldn't parse the specified URI.")
	}
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(c.r.Body, maxBody+1))
	switch {
	case err != nil:
		return refuse(http.StatusBadRequest, "RequestTimeout", "Your socket connection to the server was not read from or written to within the timeout period.")
	case n > maxBody:
		return refuse(http.StatusBadRequest, "EntityTooLarge", "The sandbox takes at most %d bytes", maxBody)
	}
	c.body = b.Bytes()
	if c.service != "s3" {
		if c.form, err = url.ParseQuery(b.String()); err != nil {
			return refuse(http.StatusBadRequest, "MalformedQueryString", "The query string could not be read.")
		}
		if _, ok := stsCalls[c.form.Get("Action")]; ok {
			c.service = "sts"
		}
	}
	return nil
}

// writes tells whether the request may change the organization, if only its log.
func (c *call) writes() bool {
	if c.service == "s3" {
		return c.r.Method != http.MethodGet && c.r.Method != http.MethodHead
	}
	a := c.form.Get("Action")
	return iamCalls[a].write || a == "AssumeRole"
}

// called says what the request is counted as: a path does not tell calls apart.
func (c *call) called(name string) { c.r.Pattern = c.r.Method + " " + name }

// fail answers with an error, in the shape of the service.
func (c *call) fail(f *failure) {
	if c.service == "s3" {
		c.sendXML(f.status, errorS3{Code: f.code, Message: f.message, RequestID: c.request, HostID: hexOf(c.h.seed, c.request, 0, 32)})
		return
	}
	kind := "Sender"
	if f.status >= 500 {
		kind = "Receiver"
	}
	c.sendQuery(f.status, "ErrorResponse", element("Error", text("Type", kind)+text("Code", f.code)+text("Message", f.message))+text("RequestId", c.request))
}

// Throttled refuses a request as too many.
func (h *Handler) Throttled(w http.ResponseWriter, r *http.Request) {
	c := h.begin(w, r)
	if c.service == "s3" {
		c.fail(refuse(http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate."))
		return
	}
	c.fail(refuse(http.StatusBadRequest, "Throttling", "Rate exceeded"))
}

// Failed answers with another error.
func (h *Handler) Failed(w http.ResponseWriter, r *http.Request, status int) {
	c := h.begin(w, r)
	codes := map[int]string{
		http.StatusForbidden: "AccessDenied", http.StatusNotFound: "NoSuchEntity", http.StatusConflict: "ConcurrentModification",
		http.StatusInternalServerError: "ServiceFailure", http.StatusBadRequest: "ValidationError",
	}
	if c.service == "s3" {
		codes = map[int]string{
			http.StatusForbidden: "AccessDenied", http.StatusNotFound: "NoSuchKey", http.StatusConflict: "OperationAborted",
			http.StatusPreconditionFailed: "PreconditionFailed", http.StatusServiceUnavailable: "SlowDown", http.StatusBadRequest: "InvalidRequest",
		}
	}
	code := codes[status]
	switch {
	case code != "":
	case status >= 500 && c.service == "s3":
		code = "InternalError"
	case status >= 500:
		code = "ServiceUnavailable"
	default:
		code = strings.ReplaceAll(http.StatusText(status), " ", "")
	}
	c.fail(refuse(status, code, "%s", http.StatusText(status)))
}

// act is who makes the request, as the trail tells it.
func (c *call) act() *org.Act {
	x := &org.Act{At: c.s.Now, Client: &org.Client{IP: "198.51.100.20", UserAgent: c.r.UserAgent()}}
	switch {
	case c.who == nil:
		x.Actor = org.Ref{Kind: org.AnonymousRef}
	case c.who.role >= 0:
		x.Actor, x.Session = org.Ref{Kind: org.CloudRoleRef, N: c.who.role, Name: c.who.session.name}, c.who.key
	default:
		x.Actor, x.Via = org.Ref{Kind: org.CloudUserRef, N: c.who.user}, org.Ref{Kind: org.GrantRef, N: c.who.keyN}
	}
	return x
}

// limit reads a number of the query, at most a maximum.
func limit(v string, most int) int {
	if n, err := strconv.Atoi(v); err == nil && n >= 0 {
		return min(n, most)
	}
	return most
}
