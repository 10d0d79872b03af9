package httpx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"weir/internal/fault"
)

// request makes what is sent, but for the credentials.
func (cl *call) request(ctx context.Context, method, target string) (*http.Request, error) {
	var body io.Reader
	if len(cl.r.Body) > 0 {
		body = bytes.NewReader(cl.r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		// The error has the URL in it, and that may hold a secret.
		return nil, fault.New(fault.Permanent, "%s: no request can be made of its method, path and query", cl.endpoint)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "gzip")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if ua := cl.c.base.o.UserAgent; ua != "" {
		req.Header.Set("User-Agent", ua)
	}
	for _, h := range []http.Header{cl.c.c.Header, cl.r.Header} {
		for k, v := range h {
			req.Header[http.CanonicalHeaderKey(k)] = slices.Clone(v)
		}
	}
	return req, nil
}

// exchange sends a request and reads its answer, tells the bucket what came of
// it, and everybody who watches. resp is nil when no whole answer arrived.
func (cl *call) exchange(ctx context.Context, t turn, req *http.Request, waited time.Duration) (resp *Response, err error) {
	o := cl.c.base.o
	started := o.Clock.Now()
	resp, transferred, err := cl.attempt(ctx, req)
	counts := &cl.caller.Counts
	counts.Requests.Add(1)
	counts.Bytes.Add(transferred)
	var answer answer
	x := Exchange{Attempt: cl.attempts, Took: o.Clock.Since(started), BytesIn: transferred, Throttled: waited}
	if resp != nil {
		x.Status = resp.Status
		if !redirected(resp) {
			err = cl.c.c.Classify(resp)
		}
		if cl.c.c.Quota != nil {
			answer.quota = cl.c.c.Quota(resp)
		}
	}
	class := fault.Of(err)
	answer.good = resp != nil && (err == nil || class != fault.Transient && class != fault.Throttled)
	if err != nil {
		x.Class = string(class)
		if class == fault.Throttled {
			answer.throttled, answer.wait = true, fault.RetryAfter(err)
		}
	}
	parked := cl.done(t, resp, answer)
	if answer.throttled && parked > fault.RetryAfter(err) {
		err = &fault.Fault{Class: fault.Throttled, RetryAfter: parked, Err: err}
	}
	cl.observe(x)
	if o.Dump != nil {
		cl.c.base.dump(cl, req, resp, err, x, started)
	}
	return resp, err
}

// attempt sends a request and reads its answer whole, within the client's
// timeout. transferred counts the body's bytes as they came.
func (cl *call) attempt(ctx context.Context, req *http.Request) (resp *Response, transferred int64, err error) {
	wall, timeout := cl.c.base.o.Wall, cl.c.c.Timeout
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer wall.AfterFunc(timeout, func() { cancel(errTimeout) }).Stop()
	sent := cl.c.base.o.Clock.Now()
	answer, err := cl.c.base.transport.RoundTrip(req.WithContext(limited))
	if err != nil {
		return nil, 0, cl.broken(ctx, limited, err)
	}
	defer answer.Body.Close()
	at := cl.c.base.o.Clock.Now()
	body, transferred, err := readBody(answer, req.Method, cl.maxBody, cl.expected())
	switch {
	case errors.Is(err, errTooLarge):
		return nil, transferred, fault.New(fault.BadData, "%s: the answer is larger than the limit of %d bytes", cl.endpoint, cl.maxBody)
	case err != nil:
		return nil, transferred, cl.broken(ctx, limited, fmt.Errorf("HTTP %d, the answer broke off: %w", answer.StatusCode, err))
	}
	cl.expect(len(body))
	resp = &Response{
		Status: answer.StatusCode, Header: answer.Header, Body: body, Endpoint: cl.endpoint, URL: req.URL, At: at,
		Skew: cl.c.shared.skew.measure(answer.Header, at), redact: cl.c.base.redactor,
	}
	if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil && cl.caller != nil {
		cl.caller.Skew.Store(int64(provenSkew(date, sent, at)))
	}
	return resp, transferred, nil
}

// broken classes the failure of a connection. An error that has a class, of the
// proxy's credentials say, keeps it.
func (cl *call) broken(ctx, limited context.Context, err error) error {
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return &fault.Fault{Class: f.Class, RetryAfter: f.RetryAfter, Err: fmt.Errorf("%s: %w", cl.endpoint, err)}
	}
	if ctx.Err() == nil && errors.Is(context.Cause(limited), errTimeout) {
		err = fmt.Errorf("%w (%s)", errTimeout, cl.c.c.Timeout)
	}
	return cl.failed(err)
}

var (
	errTooLarge = errors.New("too large")
	errTimeout  = errors.New("no whole answer in time")
)

// keptScratch bounds the buffers that wait for the next answer.
const keptScratch = 1 << 20

var (
	scratch = sync.Pool{New: func() any { return new(bytes.Buffer) }}
	inflate = sync.Pool{New: func() any { return new(gzip.Reader) }}
)

// expected is how large the answer is likely to be: pages of a listing are much
// alike.
func (cl *call) expected() int {
	cl.c.shared.mu.Lock()
	defer cl.c.shared.mu.Unlock()
	return cl.c.shared.sizes[cl.endpoint]
}

func (cl *call) expect(size int) {
	cl.c.shared.mu.Lock()
	defer cl.c.shared.mu.Unlock()
	cl.c.shared.sizes[cl.endpoint] = size
}

// readBody reads a body whole, at most limit bytes of it, decompressed. expected
// is how many there may be.
func readBody(r *http.Response, method string, limit int64, expected int) (body []byte, transferred int64, err error) {
	counted := &countingReader{r: r.Body}
	var from io.Reader = counted
	encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	switch {
	case method == http.MethodHead || r.StatusCode == http.StatusNoContent || r.StatusCode == http.StatusNotModified || r.ContentLength == 0:
		return nil, 0, nil
	case r.ContentLength > limit:
		return nil, 0, errTooLarge
	case encoding == "gzip" || encoding == "x-gzip":
		z, _ := inflate.Get().(*gzip.Reader)
		defer inflate.Put(z)
		if err := z.Reset(counted); err != nil {
			return nil, counted.n, err
		}
		from = z
		r.Header.Del("Content-Encoding")
		r.Header.Del("Content-Length")
	case encoding != "" && encoding != "identity":
		return nil, 0, fmt.Errorf("content encoding %.20q was not asked for", encoding)
	}
	buf, _ := scratch.Get().(*bytes.Buffer)
	given := false
	defer func() {
		if !given && buf.Cap() <= keptScratch {
			buf.Reset()
			scratch.Put(buf)
		}
	}()
	if from == counted && r.ContentLength > 0 {
		expected = int(r.ContentLength)
	} else {
		expected += expected / 16
	}
	buf.Grow(expected + bytes.MinRead)
	if _, err := buf.ReadFrom(io.LimitReader(from, limit+1)); err != nil {
		return nil, counted.n, err
	}
	if int64(buf.Len()) > limit {
		return nil, counted.n, errTooLarge
	}
	// A large answer is handed over rather than copied: many are held at once.
	if given = buf.Len() > keptScratch/4 && 2*buf.Len() > buf.Cap(); given {
		return buf.Bytes(), counted.n, nil
	}
	return bytes.Clone(buf.Bytes()), counted.n, nil
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
