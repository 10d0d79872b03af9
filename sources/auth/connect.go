package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jonboulle/clockwork"
	"golang.org/x/oauth2"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// ConnectOptions is what Connect needs.
type ConnectOptions struct {
	Instance string
	Vault    Vault
	Consent  *Consent
	HTTP     *httpx.Base
	Clock    clockwork.Clock
	// Port is that of the redirect on 127.0.0.1; 0: that of
	// Consent.RedirectURL, else any free one.
	Port int
	// Show is called once the redirect is awaited, with the page that the
	// person's browser must open, and the port of the redirect.
	Show func(page string, port int)
}

// Grant is what a person granted.
type Grant struct {
	Scopes  []string // sorted
	Missing []string // asked for, and not granted, in the order asked
	Expires time.Time
	Renews  bool // the vendor gave a refresh token
}

// consentWithin is how long Connect waits for the person.
const consentWithin = 10 * time.Minute

// Connect has a person grant access in a browser, and keeps the tokens in the
// vault. It ends when that is done or refused, or after 10 minutes.
func Connect(ctx context.Context, o ConnectOptions) (Grant, error) {
	var ep *endpoint
	if o.Consent.Admin == nil {
		var err error
		if ep, err = newEndpoint(o.HTTP, o.Consent.TokenURL); err != nil {
			return Grant{}, err
		}
		// The vault's faults show before anybody consents in vain.
		if _, err := o.Vault.Load(ctx, tokensName); err != nil {
			return Grant{}, err
		}
	}
	listeners, redirect, err := o.listen(ctx)
	if err != nil {
		return Grant{}, err
	}
	verifier := oauth2.GenerateVerifier()
	cb := newCallback(redirect, o.Consent.Admin != nil)
	server := &http.Server{Handler: cb, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	served := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { served <- server.Serve(l) }()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := o.Clock.AfterFunc(consentWithin, func() {
		cancel(fault.New(fault.Auth, "%s: nobody consented within %s: run `weir connect %s` again", o.Instance, consentWithin, o.Instance))
	})
	port, _ := strconv.Atoi(redirect.Port())
	o.Show(o.Consent.authorizeURL(redirect.String(), cb.state, verifier), port)

	grant, err := o.await(ctx, cb, ep, redirect.String(), verifier)
	timer.Stop()
	cancel(nil)
	cb.end()
	// The browser gets its page, if it takes it at once.
	last, stop := context.WithCancel(context.WithoutCancel(ctx))
	timer = o.Clock.AfterFunc(2*time.Second, stop)
	if server.Shutdown(last) != nil {
		_ = server.Close()
	}
	timer.Stop()
	stop()
	for range listeners {
		//nolint:errcheck // how serving ended is of no interest once the answer is here
		<-served
	}
	return grant, err
}

// listen opens the place of the redirect.
func (o *ConnectOptions) listen(ctx context.Context) (listeners []net.Listener, redirect *url.URL, err error) {
	redirect = &url.URL{Scheme: "http", Host: "127.0.0.1", Path: "/callback"}
	if s := o.Consent.RedirectURL; s != "" {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" || (u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost") || u.RawQuery != "" || u.Fragment != "" {
			return nil, nil, fault.New(fault.Permanent, "the redirect URL %q: want http://127.0.0.1:PORT/callback, or localhost", s)
		}
		redirect = u
	}
	port := redirect.Port()
	if o.Port != 0 {
		port = strconv.Itoa(o.Port)
	}
	if port == "" {
		port = "0"
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, nil, fault.New(fault.Permanent, "waiting for the browser's redirect: %w: free the port, or choose another with --redirect-port", err)
	}
	port = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	listeners = []net.Listener{l}
	if redirect.Hostname() == "localhost" { // which a browser may take for ::1
		if six, err := lc.Listen(ctx, "tcp6", net.JoinHostPort("::1", port)); err == nil {
			listeners = append(listeners, six)
		}
	}
	u := *redirect
	u.Host = net.JoinHostPort(redirect.Hostname(), port)
	return listeners, &u, nil
}

// await waits for the redirect and finishes the grant.
func (o *ConnectOptions) await(ctx context.Context, cb *callback, ep *endpoint, redirect, verifier string) (Grant, error) {
	var a arrival
	select {
	case a = <-cb.arrived:
	case <-ctx.Done():
		return Grant{}, context.Cause(ctx)
	}
	grant, err := o.finish(ctx, a, ep, redirect, verifier)
	a.outcome <- err
	return grant, err
}

func (o *ConnectOptions) finish(ctx context.Context, a arrival, ep *endpoint, redirect, verifier string) (Grant, error) {
	if a.refusal != "" {
		return Grant{}, fault.New(fault.Auth, "%s: consent was refused in the browser: %s", o.Instance, a.refusal)
	}
	if o.Consent.Admin != nil {
		return o.Consent.Admin(ctx, a.back)
	}
	g, err := o.Consent.exchange(ctx, ep, redirect, a.code, verifier, o.Clock.Now)
	if err != nil {
		return Grant{}, err
	}
	record, err := json.Marshal(g)
	if err != nil {
		return Grant{}, fault.New(fault.Permanent, "%s: keeping the tokens: %w", o.Instance, err)
	}
	// What was granted is kept, also if the person is impatient now.
	if err := o.Vault.Save(context.WithoutCancel(ctx), tokensName, record); err != nil {
		return Grant{}, err
	}
	return Grant{Scopes: g.Scopes, Missing: without(o.Consent.Scopes, g.Scopes), Expires: g.Expires, Renews: g.Refresh != ""}, nil
}

// arrival is what came back with the browser.
type arrival struct {
	code    string
	back    url.Values // all of it
	refusal string     // the vendor's words; "" for none
	outcome chan error // takes what became of it
}

// callback serves the redirect. The first request that knows the state is
// taken; others change nothing.
type callback struct {
	redirect *url.URL
	admin    bool // there is no code
	state    string
	arrived  chan arrival

	taken chan struct{} // holds one
	over  chan struct{}
}

func newCallback(redirect *url.URL, admin bool) *callback {
	return &callback{redirect: redirect, admin: admin, state: rand.Text(), arrived: make(chan arrival), taken: make(chan struct{}, 1), over: make(chan struct{})}
}

// ServeHTTP implements http.Handler.
func (cb *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	h.Set("X-Content-Type-Options", "nosniff")
	switch {
	case r.Host != cb.redirect.Host: // a page elsewhere that had its name point here
		show(w, http.StatusMisdirectedRequest, "Nothing is here", "This address is not the one that Weir waits at.")
	case r.Method != http.MethodGet || r.URL.Path != cmp.Or(cb.redirect.Path, "/"):
		show(w, http.StatusNotFound, "Nothing is here", "Weir waits for the vendor's redirect at another path.")
	default:
		cb.take(w, r.URL.Query())
	}
}

func (cb *callback) take(w http.ResponseWriter, q url.Values) {
	want, got := sha256.Sum256([]byte(cb.state)), sha256.Sum256([]byte(q.Get("state")))
	code, refusal := q.Get("code"), clean(q.Get("error"), nil)
	if subtle.ConstantTimeCompare(want[:], got[:]) != 1 || (refusal == "" && !cb.answers(q)) {
		show(w, http.StatusBadRequest, "Not taken", "This redirect does not belong to the consent that Weir waits for. Open the page that weir connect printed.")
		return
	}
	select {
	case cb.taken <- struct{}{}:
	default:
		show(w, http.StatusConflict, "Already taken", "See the terminal for what became of it.")
		return
	}
	if d := clean(q.Get("error_description"), nil); refusal != "" && d != "" {
		refusal += ": " + d
	}
	a := arrival{code: code, back: q, refusal: refusal, outcome: make(chan error, 1)}
	select {
	case cb.arrived <- a:
	case <-cb.over:
		show(w, http.StatusGone, "Too late", "Weir does not wait any more.")
		return
	}
	if err := <-a.outcome; err != nil {
		show(w, http.StatusBadGateway, "Not connected", "See the terminal for the reason.")
		return
	}
	show(w, http.StatusOK, "Connected", "Weir has what it needs. You can close this page.")
}

// answers tells whether what came back is a consent.
func (cb *callback) answers(q url.Values) bool {
	if cb.admin {
		return strings.EqualFold(q.Get("admin_consent"), "true")
	}
	return q.Get("code") != ""
}

// end tells that nobody waits any more.
func (cb *callback) end() { close(cb.over) }

func show(w http.ResponseWriter, status int, title, text string) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Weir: "+title+"</title></head><body><h1>"+title+"</h1><p>"+text+"</p></body></html>\n")
}
