package sandbox

import (
	"bytes"
	"cmp"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// decision is what the scenario does to one request.
type decision struct {
	faults  []*Fault
	missing []string
	// Whether a token or a cursor expires is drawn when the vendor asks, so that
	// a request without one uses up nothing.
	open  []*faultState
	since time.Duration
	now   time.Time
}

type decisionKey struct{}

func decided(r *http.Request) *decision {
	if d, ok := r.Context().Value(decisionKey{}).(*decision); ok {
		return d
	}
	return &decision{}
}

func (d *decision) find(k Kind) *Fault {
	for _, f := range d.faults {
		if f.Kind == k {
			return f
		}
	}
	return nil
}

func (d *decision) has(k Kind) bool { return d.find(k) != nil }

// expires draws the faults of a kind, the first time that it is asked for.
func (d *decision) expires(k Kind) bool {
	rest := d.open[:0]
	for _, f := range d.open {
		if f.Kind != k {
			rest = append(rest, f)
		} else if f.hit(d.since, d.now) {
			d.faults = append(d.faults, f.Fault)
		}
	}
	d.open = rest
	return d.has(k)
}

// kind is the fault that a request is counted under.
func (d *decision) kind() Kind {
	if len(d.faults) == 0 {
		return ""
	}
	return d.faults[0].Kind
}

// faultState is how far a fault has come with one tenant.
type faultState struct {
	*Fault
	mu       sync.Mutex
	rand     *rand.Rand
	requests int64 // that it fits
	hits     int64
	storm    time.Time // until when
}

func newFaultState(f *Fault, seed, n uint64, tenant string) *faultState {
	h := fnv.New64a()
	_, _ = h.Write([]byte(tenant)) // never fails
	return &faultState{Fault: f, rand: rand.New(rand.NewPCG(seed^n<<32, h.Sum64()))}
}

// decide draws what happens to a request.
func (s *Server) decide(t *Tenant, r *http.Request) *decision {
	now := s.now()
	d := &decision{since: now.Sub(s.started), now: now}
	for _, f := range t.faults {
		if !f.fits(r) {
			continue
		}
		if f.Kind == ExpireToken || f.Kind == ExpireCursor {
			d.open = append(d.open, f)
			continue
		}
		if !f.hit(d.since, d.now) {
			continue
		}
		d.faults = append(d.faults, f.Fault)
		if f.Kind == MissingScope {
			d.missing = append(d.missing, f.Scopes...)
		}
	}
	return d
}

func (f *Fault) fits(r *http.Request) bool {
	if f.Method != "" && !strings.EqualFold(f.Method, r.Method) {
		return false
	}
	return f.Endpoint == "" || matchPath(f.Endpoint, r.URL.Path)
}

// matchPath matches a path with a pattern in which * is any text within a
// segment and a ** at the end is all that follows.
func matchPath(pattern, p string) bool {
	if head, ok := strings.CutSuffix(pattern, "**"); ok {
		n := strings.Count(head, "/")
		cut := 0
		for i := range len(p) {
			if p[i] == '/' {
				if n--; n == 0 {
					cut = i + 1
				}
			}
		}
		if n > 0 {
			return false
		}
		ok, err := path.Match(head, p[:cut])
		return ok && err == nil
	}
	ok, err := path.Match(pattern, p)
	return ok && err == nil
}

func matchName(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// hit reports whether the fault strikes the next request that it fits.
func (f *faultState) hit(age time.Duration, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if age < f.From || f.Until > 0 && age >= f.Until || f.requests <= f.After {
		return false
	}
	if f.Kind == Storm && now.Before(f.storm) {
		return true
	}
	if f.Count > 0 && f.hits >= f.Count {
		return false
	}
	if f.Share > 0 && f.Share < 1 && f.rand.Float64() >= f.Share {
		return false
	}
	f.hits++
	if f.Kind == Storm {
		f.storm = now.Add(f.For)
	}
	return true
}

const loginPage = `<!DOCTYPE html>
<html><head><title>Sign in</title></head>
<body><h1>Sign in to continue</h1><form method="post" action="/login"><input name="user"><input name="password" type="password"><button>Sign in</button></form></body></html>
`

// apply lets the tenant answer, or the fault. It tells whether the connection is
// to be reset.
func (d *decision) apply(s *Server, t *Tenant, w *recorder, r *http.Request) (cut bool) {
	if f := d.find(Slow); f != nil {
		select {
		case <-s.o.Real.After(f.For):
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	for _, k := range []Kind{Storm, StatusFault} {
		if f := d.find(k); f != nil {
			refuse(t, w, r, cmp.Or(f.Status, http.StatusTooManyRequests))
			return false
		}
	}
	switch {
	case d.has(Drop):
		return true
	case d.has(Lost):
		t.handler.ServeHTTP(&buffer{header: http.Header{}}, r)
		return true
	case d.has(HTML):
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(loginPage)) // the client may be gone
	case d.has(Truncate):
		truncate(t, w, r, d.find(Truncate))
	default:
		t.handler.ServeHTTP(w, r)
	}
	return false
}

// refuse answers with an error status as the vendor does.
func refuse(t *Tenant, w http.ResponseWriter, r *http.Request, status int) {
	if h, ok := t.handler.(Throttler); ok && status == http.StatusTooManyRequests {
		h.Throttled(w, r)
		return
	}
	if h, ok := t.handler.(Failer); ok {
		h.Failed(w, r, status)
		return
	}
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, http.StatusText(status), status)
}

// reset cuts the connection with a TCP reset, before any answer.
func reset(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // else it is closed politely, which hurts as well
		}
		_ = conn.Close()
		return
	}
	panic(http.ErrAbortHandler)
}

// truncate answers with a part of the body: as if that were all (the right
// length), or with the length of the whole and then the end of the connection.
func truncate(t *Tenant, w *recorder, r *http.Request, f *Fault) {
	whole := &buffer{header: http.Header{}}
	t.handler.ServeHTTP(whole, r)
	body := whole.body.Bytes()
	head := w.Header()
	for k, v := range whole.header {
		head[k] = v
	}
	if whole.status == 0 {
		whole.status = http.StatusOK
	}
	part := body[:len(body)*2/3]
	if f.Length == "right" || len(part) == len(body) {
		head.Set("Content-Length", strconv.Itoa(len(part)))
		w.WriteHeader(whole.status)
		_, _ = w.Write(part) // the client may be gone
		return
	}
	head.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(whole.status)
	_, _ = w.Write(part)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// buffer is an answer that is not sent.
type buffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *buffer) Header() http.Header         { return b.header }
func (b *buffer) WriteHeader(status int)      { b.status = status }
func (b *buffer) Write(p []byte) (int, error) { return b.body.Write(p) }
