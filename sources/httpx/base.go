package httpx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"weir/internal/fault"
)

const (
	dialTimeout  = 15 * time.Second
	idleTimeout  = 90 * time.Second
	idlePerHost  = 8
	maxHeaders   = 256 << 10
	maxRedirects = 5
)

// Base makes the clients of one instance.
type Base struct {
	o         Options
	transport http.RoundTripper
	proxyFunc func(*http.Request) (*url.URL, error)
	roots     *x509.CertPool // nil: the system's
	redactor  *redactor
}

// New returns a base. Its errors concern the proxy and the CA file.
func New(o Options) (*Base, error) {
	if o.Wall == nil {
		o.Wall = o.Clock
	}
	b := &Base{o: o, redactor: newRedactor(), proxyFunc: http.ProxyFromEnvironment}
	t := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: idleTimeout / 3}).DialContext,
		TLSHandshakeTimeout: dialTimeout, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: idlePerHost, IdleConnTimeout: idleTimeout, MaxResponseHeaderBytes: maxHeaders,
		DisableCompression: true, // attempts ask for gzip themselves, to count what was transferred
	}
	if o.Proxy != "" {
		proxy, err := parseProxy(o.Proxy)
		if err != nil {
			return nil, err
		}
		b.proxyFunc = func(*http.Request) (*url.URL, error) { return b.proxy(proxy) }
	}
	if o.CAFile != "" {
		pool, err := certificates(o.CAFile)
		if err != nil {
			return nil, err
		}
		b.roots = pool
	}
	b.Configure(t)
	b.transport = t
	return b, nil
}

// Configure has a transport obey the instance's proxy and CA: that of a vendor's
// SDK, whose requests are neither limited, counted nor dumped here.
func (b *Base) Configure(t *http.Transport) {
	t.Proxy = b.proxyFunc
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if b.roots != nil {
		t.TLSClientConfig.RootCAs = b.roots
	}
}

// parseProxy reads a proxy's URL. One that holds a user or password is refused:
// they belong into Options.ProxyAuth.
func parseProxy(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fault.New(fault.Permanent, "the proxy's URL does not parse: want http://host:port")
	case u.User != nil:
		return nil, fault.New(fault.Permanent, "proxy %s: user and password do not belong into its URL", u.Host)
	case u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, fault.New(fault.Permanent, "proxy: want scheme://host:port and nothing else")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u, nil
	}
	return nil, fault.New(fault.Permanent, "proxy %s: want the scheme http, https, socks5 or socks5h", u.Host)
}

// proxy returns the proxy with its credentials, which may have changed.
func (b *Base) proxy(u *url.URL) (*url.URL, error) {
	if b.o.ProxyAuth == nil {
		return u, nil
	}
	auth, err := b.o.ProxyAuth()
	if err != nil {
		return nil, fault.New(fault.Auth, "the proxy's credentials: %w", err)
	}
	if auth == "" {
		return u, nil
	}
	user, password, ok := strings.Cut(auth, ":")
	if !ok {
		return nil, fault.New(fault.Auth, "the proxy's credentials: want user:password")
	}
	b.Redact(password)
	with := *u
	with.User = url.UserPassword(user, password)
	return &with, nil
}

// certificates returns the system's authorities and those of a PEM file.
func certificates(name string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(name)
	if err != nil {
		return nil, fault.New(fault.Permanent, "reading the certificate authorities: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.Permanent, "%s holds no certificate in PEM", name)
	}
	return pool, nil
}

// Redact registers secrets: from now on they appear in no error and no dump,
// neither as they are nor escaped. Values under 4 bytes are not taken: they
// would hide everything else. Credentials that an Authorizer adds are registered
// by themselves; of very many values the last used are known.
func (b *Base) Redact(values ...string) { b.redactor.register(values...) }

// Scrub returns text with what is secret in it removed.
func (b *Base) Scrub(text string) string { return b.redactor.text(text) }

// UserAgent returns what requests say they come from.
func (b *Base) UserAgent() string { return b.o.UserAgent }

// Close ends idle connections.
func (b *Base) Close() {
	if t, ok := b.transport.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// Client returns a client. An error tells what is wrong with the base URL or an
// alias.
func (b *Base) Client(c Config) (*Client, error) {
	root, err := origin(strings.TrimSuffix(c.BaseURL, "/"))
	if err != nil {
		return nil, fault.New(fault.Permanent, "base URL: %w", err)
	}
	if c.MaxBody <= 0 {
		c.MaxBody = defaultMaxBody
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Classify == nil {
		c.Classify = Classify
	}
	cl := &Client{base: b, c: c, root: root, origins: map[string]bool{originOf(root): true}, shared: newShared()}
	for _, alias := range c.Aliases {
		u, err := origin(strings.TrimSuffix(alias, "/"))
		if err != nil || u.Path != "" {
			return nil, fault.New(fault.Permanent, "alias of the base URL: want https://host")
		}
		cl.origins[originOf(u)] = true
	}
	return cl, nil
}

func origin(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || dotted(u.Path) {
		return nil, errors.New("want https://host, with or without a path, and nothing else")
	}
	return u, nil
}

// originOf returns scheme, host and port in one spelling.
func originOf(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case strings.EqualFold(u.Scheme, "https"):
		port = "443"
	default:
		port = "80"
	}
	return strings.ToLower(u.Scheme + "://" + net.JoinHostPort(u.Hostname(), port))
}

type callerKey struct{}

// WithCaller names on whose behalf requests under the context are made.
func WithCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// callerOf returns the caller in the context; one of no name if there is none.
func callerOf(ctx context.Context) *Caller {
	if c, ok := ctx.Value(callerKey{}).(*Caller); ok {
		return c
	}
	return &Caller{}
}
