// Package httpx is the HTTP layer below every connector. A request goes
//
//	connector -> bucket (quota) -> authorizer -> attempt (timeout, body cap) -> observe, dump -> transport
//
// and what comes back is classed (package fault). It owns one of the three
// retries there are: of a single attempt at an idempotent request, at most
// maxAttempts times within maxElapsed. The page (pipeline) and the instance
// (agent) own the others: a longer wait goes up as an error with RetryAfter.
//
// Everything from outside is bounded: bodies, times, redirects. Credentials go
// only to the client's own host; secrets reach neither errors nor dumps.
//
//	client.go    Do: attempts, redirects, refused credentials
//	attempt.go   one request and its answer
//	bucket.go    quota: who may send when; as.go: of whom
//	classify.go  statuses to errors
//	link.go      links of the vendor's
//	redact.go    what is secret; dump.go writes exchanges
package httpx

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/jonboulle/clockwork"
)

// Options is what the clients of one instance share.
type Options struct {
	Instance string
	Clock    clockwork.Clock
	// Wall measures how long the network takes, where Clock is not real: nil is
	// Clock.
	Wall      clockwork.Clock
	UserAgent string // "weir/1.2 (+url)": vendors refuse requests without one
	Proxy     string // URL of the proxy, without credentials; "" the environment's
	// ProxyAuth returns the proxy's "user:password", "" none. It is asked before
	// each request. nil: none.
	ProxyAuth func() (string, error)
	CAFile    string // PEM file of further certificate authorities; "" none
	Observe   func(Exchange)
	Dump      io.Writer // gets every exchange in one Write, redacted; nil: no dump
}

// Exchange is what happened to one attempt, for metrics. One with Attempt 0 was
// never made: the wait for quota was too long.
type Exchange struct {
	Instance, Stream string
	Endpoint         string // the path's template, with the method: "GET /orgs/{org}/members"
	Status           int    // 0: no answer
	Class            string // of the fault; "" for none
	Attempt          int    // 1 is the first
	Took             time.Duration
	BytesIn          int64         // of the body, as transferred
	Throttled        time.Duration // time waited for quota before it
}

// Config is what a connector tells of its vendor's API.
type Config struct {
	BaseURL string // scheme, host and, where the API has one, a path prefix; no trailing slash
	// Aliases are other origins (scheme://host) under which the vendor writes
	// links to the same API: such a link is followed on BaseURL.
	Aliases []string
	Header  http.Header // sent with every request
	Auth    Authorizer  // nil: none
	// Bucket names the quota bucket of a request; nil: one for all.
	Bucket func(*Request) string
	// Buckets are the static limits, by bucket; one without an entry has none
	// but what the vendor's headers say.
	Buckets map[string]Limit
	// Quota reads the vendor's rate limit headers, of any answer.
	Quota func(*Response) Quota
	// Classify makes an error of an answer; nil error: the answer is good. A
	// nil func: Classify of this package, by status alone.
	Classify func(*Response) error
	// Personal tells, of a throttled answer to a client that As made, whether
	// the quota is that of its credentials alone. nil: it never is.
	Personal func(*Response) bool
	MaxBody  int64         // of an answer, in bytes; 0: 32 MiB
	Timeout  time.Duration // of one attempt; 0: 60 s
}

// Limit is a bucket's static limit.
type Limit struct {
	PerSecond   float64 // 0: none
	Burst       int     // 0: 1
	Concurrency int     // requests at the same time; 0: no limit
}

// Quota is what an answer says of its bucket.
type Quota struct {
	Known     bool
	Limit     int64 // per window; 0 unknown
	Remaining int64
	Reset     time.Time // by the agent's clock (see Response.LocalTime); zero unknown
	// Park asks that nothing be sent in the bucket before Reset.
	Park bool
}

// Authorizer adds credentials to requests. It is safe for concurrent use.
type Authorizer interface {
	// Authorize adds credentials to a request about to be sent. It gets a fresh
	// token when the one at hand is about to end; concurrent callers share one
	// refresh.
	Authorize(ctx context.Context, r *http.Request) error
	// Refused tells that an answer refused the credentials that r was sent
	// with. It returns true when another attempt may succeed: a fresh token was
	// had, a nonce learned. It is called at most once a request.
	Refused(ctx context.Context, r *http.Request, answer *Response) (bool, error)
}

// Request is one call to the vendor.
type Request struct {
	Method string // "" GET
	Path   Path
	Query  url.Values
	// RawQuery is sent as it is, before Query. Follow sets it: a vendor's link
	// is opaque, and another encoding of it may mean something else.
	RawQuery string
	Header   http.Header
	Body     []byte // JSON, unless Header says otherwise
	// Idempotent allows repeated attempts at a method that is not by itself.
	Idempotent bool
	// Once forbids repeated attempts, whatever the method, while an earlier one
	// may have taken effect: for an action's writes.
	Once    bool
	MaxBody int64 // 0: the client's
}

// Response is an answer, its body read whole.
type Response struct {
	Status   int
	Header   http.Header
	Body     []byte // belongs to the caller
	Endpoint string // "GET /orgs/{org}/members"
	URL      *url.URL
	At       time.Time     // when it arrived, by the agent's clock
	Skew     time.Duration // the vendor's clock minus the agent's, by Date headers; 0 unknown

	redact *redactor
}

// LocalTime converts a time of the vendor's clock, such as the end of a quota's
// window, to the agent's clock. It is late by at most a second and the time the
// fastest of the last answers took, never early: Date has whole seconds.
func (r *Response) LocalTime(t time.Time) time.Time { return t.Add(-r.Skew) }

// Caller is a stream on whose behalf requests are made. It travels in the
// context: buckets serve callers in turn, and the counts are the stream's.
type Caller struct {
	Stream string
	// Yields says that the caller gives way: it is served when no other waits,
	// and leaves others half of what a bucket may send.
	Yields bool
	Counts Counts
	// Skew is how far the vendor's clock is ahead of the agent's, in nanoseconds,
	// by the newest answer that told; 0 unknown.
	Skew atomic.Int64
}

// Counts are what a caller's requests cost, since the process started.
type Counts struct {
	Requests    atomic.Int64 // attempts
	Retries     atomic.Int64 // attempts at what had been attempted before
	ThrottledMS atomic.Int64 // time waited for quota
	Bytes       atomic.Int64 // of answers' bodies, as transferred
}
