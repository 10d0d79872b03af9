package httpx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"weir/internal/fault"
)

// Base makes the clients of one instance.
type Base struct {
	o         Options
	transport http.RoundTripper
}

// New returns a base. Its errors concern the proxy and the CA file.
func New(o Options) (*Base, error) {
	return &Base{o: o, transport: http.DefaultTransport}, nil
}

// Client sends requests to one API. It is safe for concurrent use.
type Client struct {
	base *Base
	c    Config
	root *url.URL
}

// Client returns a client.
func (b *Base) Client(c Config) (*Client, error) {
	root, err := url.Parse(strings.TrimSuffix(c.BaseURL, "/"))
	if err != nil || root.Host == "" {
		return nil, fault.New(fault.Permanent, "base URL %q: want https://host", c.BaseURL)
	}
	return &Client{base: b, c: c, root: root}, nil
}

// Counts are what a caller's requests cost, since the process started.
type Counts struct {
	Requests, Retries, ThrottledMS, Bytes atomic.Int64
}

type callerKey struct{}

// WithCaller names on whose behalf requests under the context are made.
func WithCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// Do sends a request and returns a good answer, or an error with a class.
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	endpoint := method + " " + r.Path.template
	if strings.Contains(r.Path.escaped, badSegment) {
		return nil, fault.New(fault.BadData, "%s: an id is empty or a path of its own", endpoint)
	}
	u := c.root.String() + r.Path.escaped
	if len(r.Query) > 0 {
		u += "?" + r.Query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, bytes.NewReader(r.Body))
	if err != nil {
		return nil, fault.New(fault.Permanent, "%s: %w", endpoint, err)
	}
	for _, h := range []http.Header{c.c.Header, r.Header} {
		for k, v := range h {
			req.Header[k] = v
		}
	}
	if c.c.Auth != nil {
		if err := c.c.Auth.Authorize(ctx, req); err != nil {
			return nil, err
		}
	}
	answer, err := c.base.transport.RoundTrip(req)
	if err != nil {
		return nil, fault.New(fault.Transient, "%s: %w", endpoint, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 32<<20))
	if err != nil {
		return nil, fault.New(fault.Transient, "%s: %w", endpoint, err)
	}
	resp := &Response{Status: answer.StatusCode, Header: answer.Header, Body: body, Endpoint: endpoint, URL: req.URL, At: c.base.o.Clock.Now()}
	classify := c.c.Classify
	if classify == nil {
		classify = Classify
	}
	return resp, classify(resp)
}

// Follow returns the request that a link of the vendor's asks for: a path and
// query on this API, whatever origin among BaseURL and Aliases it is written
// with. Other origins, and paths outside the base URL's, are refused.
func (c *Client) Follow(link string, like Path) (*Request, error) {
	u, err := url.Parse(link)
	if err != nil {
		return nil, fault.New(fault.BadData, "the vendor's link does not parse: %w", err)
	}
	return &Request{Path: Path{like.template, strings.TrimPrefix(u.EscapedPath(), c.root.EscapedPath())}, Query: u.Query()}, nil
}

// NextLink returns the URL of the Link header's rel="next" (RFC 8288); "" when
// there is none. Several header lines are one list.
func NextLink(h http.Header) string {
	for _, line := range h.Values("Link") {
		for _, l := range strings.Split(line, ",") {
			target, params, ok := strings.Cut(strings.TrimSpace(l), ">")
			if ok && strings.Contains(params, `rel="next"`) {
				return strings.TrimPrefix(target, "<")
			}
		}
	}
	return ""
}

// Classify classes an answer by its status alone.
func Classify(r *Response) error {
	if r.Status >= 200 && r.Status < 300 {
		return nil
	}
	return fmt.Errorf("%s: HTTP %d", r.Endpoint, r.Status)
}
