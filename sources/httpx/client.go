package httpx

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"weir/internal/fault"
)

const (
	defaultMaxBody = 32 << 20
	defaultTimeout = time.Minute

	maxAttempts = 4                // of one request
	maxElapsed  = time.Minute      // from a request's first attempt to the start of its last
	maxQueue    = time.Minute      // that a request waits for quota before its caller is told to come back
	firstPause  = time.Second      // upper bound of the pause before the second attempt; it doubles
	maxHint     = 65 * time.Minute // a vendor's wish to wait is believed up to here: the longest window known is an hour
	minHint     = time.Millisecond // so that a hint never reads as none
)

// Client sends requests to one API. It is safe for concurrent use.
type Client struct {
	base    *Base
	c       Config
	root    *url.URL
	origins map[string]bool // of root and the aliases
	shared  *shared
	own     *bucket // that of the credentials; nil: none
}

// Do sends a request and returns a good answer, or an error with a class. The
// error of an answer comes with the answer. A good answer's status is 2xx, or
// what Config.Classify takes for good.
//
// Idempotent requests are attempted up to 4 times within a minute while the
// error is transient or throttled; a longer wait is left to the caller, in the
// error's RetryAfter. The end of ctx ends it at once, with ctx's cause.
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	call, err := c.newCall(ctx, r)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		wait := maxQueue
		if try > 1 {
			wait = maxElapsed - c.base.o.Clock.Since(call.first)
		}
		resp, err, again := call.try(ctx, wait)
		switch {
		case err == nil:
			return resp, nil
		case ctx.Err() != nil:
			return nil, c.scrub(call.failed(context.Cause(ctx)))
		case !again || try == maxAttempts || !call.idempotent():
			return resp, c.scrub(err)
		}
		pause := fault.RetryAfter(err)
		if fault.Of(err) == fault.Throttled {
			pause = 0 // the bucket is parked, and waits itself
		} else if pause == 0 {
			pause = rand.N(firstPause << (try - 1))
		}
		if c.base.o.Clock.Since(call.first)+pause > maxElapsed {
			return resp, c.scrub(err)
		}
		if err := c.pause(ctx, pause); err != nil {
			return nil, c.scrub(call.failed(err))
		}
	}
}

// pause waits, or returns the cause of ctx's end.
func (c *Client) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := c.base.o.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.Chan():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Client) bucket(r *Request) *bucket {
	name := ""
	if c.c.Bucket != nil {
		name = c.c.Bucket(r)
	}
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	b, ok := c.shared.buckets[name]
	if !ok {
		b = newBucket(c.base.o.Clock, name, c.c.Buckets[name], c.c.Quota != nil)
		c.shared.buckets[name] = b
	}
	return b
}

func (c *Client) scrub(err error) error { return c.base.redactor.err(err) }

// call is a request on its way, over all its attempts.
type call struct {
	c        *Client
	r        *Request
	caller   *Caller
	bucket   *bucket
	method   string
	endpoint string
	target   string // the URL asked next
	maxBody  int64
	first    time.Time // when the first attempt began; zero before
	attempts int
	refused  bool // the authorizer has been asked about refused credentials
}

func (c *Client) newCall(ctx context.Context, r *Request) (*call, error) {
	cl := &call{c: c, r: r, caller: callerOf(ctx), method: r.Method, maxBody: r.MaxBody}
	if cl.method == "" {
		cl.method = http.MethodGet
	}
	if cl.maxBody <= 0 {
		cl.maxBody = c.c.MaxBody
	}
	cl.endpoint = cl.method + " " + r.Path.template
	if !strings.HasPrefix(r.Path.escaped, "/") && r.Path.escaped != "" {
		return nil, fault.New(fault.Permanent, "%s: the path has no / in front", cl.endpoint)
	}
	if strings.Contains(r.Path.escaped, badSegment) {
		return nil, fault.New(fault.BadData, "%s: an id is empty or a path of its own", cl.endpoint)
	}
	query := r.RawQuery
	if len(r.Query) > 0 {
		if query != "" {
			query += "&"
		}
		query += r.Query.Encode()
	}
	cl.target = c.root.String() + r.Path.escaped
	if query != "" {
		cl.target += "?" + query
	}
	cl.bucket = c.bucket(r)
	return cl, nil
}

func (cl *call) idempotent() bool {
	if cl.r.Once {
		return false
	}
	switch cl.method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions:
		return true
	}
	return cl.r.Idempotent
}

// failed classes an error that is no answer's: transient.
func (cl *call) failed(err error) error {
	return fault.New(fault.Transient, "%s: %w", cl.endpoint, err)
}

// try makes one attempt: a request, the redirects it meets, and once a call
// another request when the first one's credentials were refused. again says
// that the error is one of an attempt, which another may not meet.
func (cl *call) try(ctx context.Context, wait time.Duration) (resp *Response, err error, again bool) { //nolint:revive // again belongs to err
	o, target, method := cl.c.base.o, cl.target, cl.method
	for redirects := 0; ; {
		turn, waited, err := cl.acquire(ctx, wait)
		cl.caller.Counts.ThrottledMS.Add(waited.Milliseconds())
		if err != nil {
			if ctx.Err() == nil {
				err = fault.After(fault.Throttled, fault.RetryAfter(err), "%s: %w", cl.endpoint, err)
				cl.observe(Exchange{Class: string(fault.Throttled), Throttled: waited})
			}
			return nil, err, false
		}
		if cl.first.IsZero() {
			cl.first = o.Clock.Now()
		}
		req, err := cl.request(ctx, method, target)
		if err == nil && cl.c.c.Auth != nil {
			err = cl.c.c.Auth.Authorize(ctx, req)
			cl.c.base.redactor.sent(req.Header, cl.r.Header)
		}
		if err != nil {
			cl.cancel(turn)
			return nil, err, false
		}
		if cl.attempts++; cl.attempts > 1 && redirects == 0 {
			cl.caller.Counts.Retries.Add(1)
		}
		resp, err := cl.exchange(ctx, turn, req, waited)
		if resp != nil && redirected(resp) {
			if redirects++; redirects > maxRedirects {
				return resp, fault.New(fault.Permanent, "%s: more than %d redirects", cl.endpoint, maxRedirects), false
			}
			if method, target, err = cl.redirect(resp, method); err != nil {
				return resp, err, false
			}
			continue
		}
		if err == nil || resp == nil || fault.Of(err) != fault.Auth || cl.c.c.Auth == nil || cl.refused {
			class := fault.Of(err)
			return resp, err, err != nil && (class == fault.Transient || class == fault.Throttled)
		}
		cl.refused = true
		switch retry, rerr := cl.c.c.Auth.Refused(ctx, req, resp); {
		case rerr != nil:
			return resp, rerr, false
		case !retry:
			return resp, err, false
		}
		redirects, target, method = 0, cl.target, cl.method
	}
}

func redirected(r *Response) bool {
	switch r.Status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirect returns where an answer sends the request: only to a place on this
// API, as Follow allows it, and only where that cannot turn a change into
// something else.
func (cl *call) redirect(r *Response, method string) (to, target string, err error) {
	read := method == http.MethodGet || method == http.MethodHead
	keeps := r.Status == http.StatusTemporaryRedirect || r.Status == http.StatusPermanentRedirect
	if !read && !keeps {
		return "", "", fault.New(fault.Permanent, "%s: HTTP %d: a redirect of %s is not followed", cl.endpoint, r.Status, method)
	}
	next, err := cl.c.Follow(r.Header.Get("Location"), cl.r.Path)
	if err != nil {
		return "", "", fault.New(fault.Permanent, "%s: HTTP %d: redirect: %w", cl.endpoint, r.Status, err)
	}
	target = cl.c.root.String() + next.Path.escaped
	if next.RawQuery != "" {
		target += "?" + next.RawQuery
	}
	return method, target, nil
}

// observe tells of an exchange.
func (cl *call) observe(x Exchange) {
	if o := cl.c.base.o; o.Observe != nil {
		x.Instance, x.Stream, x.Endpoint = o.Instance, cl.caller.Stream, cl.endpoint
		o.Observe(x)
	}
}
