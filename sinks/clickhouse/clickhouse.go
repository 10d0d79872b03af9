// Package clickhouse is the sink that inserts into ClickHouse over HTTP.
//
// A part is one INSERT whose body is the spooled Arrow stream as it is. An
// answer is not trusted: after every insert the rows are counted by batch, and
// what is missing is inserted until nothing is. A deduplication token alone lost
// rows when a server was killed; counting lost none.
package clickhouse

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"weir/internal/fault"
	"weir/internal/secret"
	"weir/internal/setting"
	"weir/schemas"
	"weir/sinks"
)

// Driver is the ClickHouse sink's driver.
var Driver = &sinks.Driver{
	Type: "clickhouse",
	Doc:  "a ClickHouse server, over HTTP",
	Config: func() sinks.Config {
		return &Config{
			Database: "weir", Username: "default", Timeout: 5 * time.Minute,
			Parts: sinks.Batching{TargetSize: 64e6, MaxDelay: time.Second, LateDelay: 10 * time.Second},
		}
	},
	Open: func(_ context.Context, env sinks.Env, cfg sinks.Config) (sinks.Sink, error) {
		c, ok := cfg.(*Config)
		if !ok {
			return nil, fault.New(fault.Permanent, "clickhouse: configuration of type %T", cfg)
		}
		return open(env, c)
	},
}

// Config is the sink's part of the configuration.
type Config struct {
	URL      string         `key:"url,required" doc:"address of the HTTP interface" example:"http://127.0.0.1:8123"`
	Database string         `key:"database" doc:"database; made when it is not there"`
	Username string         `key:"username" doc:"user"`
	Password secret.Secret  `key:"password" doc:"the user's password" example:"${env:CLICKHOUSE_PASSWORD}"`
	TLS      TLS            `key:"tls" doc:"for an https url"`
	Timeout  time.Duration  `key:"timeout" doc:"how long one insert may take"`
	Parts    sinks.Batching `key:",inline"`
}

// TLS says how to trust the server, and to be trusted by it.
type TLS struct {
	CAFile     string `key:"ca_file" doc:"PEM file of the authority to trust, instead of the system's"`
	CertFile   string `key:"cert_file" doc:"PEM file of the client's certificate"`
	KeyFile    string `key:"key_file" doc:"PEM file of its key"`
	ServerName string `key:"server_name" doc:"name in the server's certificate, when it is not the url's"`
}

// Batching implements sinks.Config.
func (c *Config) Batching() sinks.Batching { return c.Parts }

// Validate implements setting.Struct.
func (c *Config) Validate() []setting.KeyError {
	errs := c.Parts.Validate()
	bad := func(key, found, accepted string) {
		errs = append(errs, setting.KeyError{Key: key, Found: found, Accepted: accepted})
	}
	if c.URL != "" {
		u, err := url.Parse(c.URL)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "":
			bad("url", c.URL, "an address such as http://127.0.0.1:8123 or https://ch.example.com:8443")
		case u.User != nil:
			bad("url", "", "no user in it: username and password are keys of their own")
		}
	}
	if c.Database == "" {
		bad("database", "", "a name")
	}
	if c.Timeout < time.Second || c.Timeout > time.Hour {
		bad("timeout", c.Timeout.String(), "a duration from 1s to 1h")
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		bad("tls", "only one of cert_file and key_file", "both, or neither")
	}
	return errs
}

const (
	ownerTable  = "weir_owner"
	dialTime    = 10 * time.Second
	queryTime   = time.Minute
	maxAnswer   = 64 << 10 // bytes of an error that are read
	leastWindow = 1000     // blocks a table must remember to drop repeated inserts
)

type sink struct {
	cfg  *Config
	env  sinks.Env
	base *url.URL
	http *http.Client
	tls  *tls.Config

	mu       sync.Mutex
	conn     driver.Conn
	password string
	doubt    map[string]bool // by table: what is there is not known for certain
}

var _ sinks.Sink = (*sink)(nil)

func open(env sinks.Env, c *Config) (*sink, error) {
	base, err := url.Parse(c.URL)
	if err != nil {
		return nil, fault.New(fault.Permanent, "clickhouse: url: %w", err)
	}
	s := &sink{cfg: c, env: env, base: base, doubt: map[string]bool{}}
	if base.Scheme == "https" {
		if s.tls, err = c.TLS.config(); err != nil {
			return nil, err
		}
	}
	s.http = &http.Client{Transport: s.transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect }}
	return s, nil
}

var errRedirect = errors.New("the server redirects, which is not followed: set url to where it points")

func (s *sink) transport() *http.Transport {
	return &http.Transport{
		DialContext:     (&net.Dialer{Timeout: dialTime}).DialContext,
		TLSClientConfig: s.tls, TLSHandshakeTimeout: dialTime, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
		ResponseHeaderTimeout: s.cfg.Timeout, MaxResponseHeaderBytes: 64 << 10,
	}
}

func (t TLS) config() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls.ca_file: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fault.New(fault.Permanent, "tls.ca_file %s holds no PEM certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("tls.cert_file: %w", err)
		}
		out.Certificates = []tls.Certificate{cert}
	}
	return out, nil
}

// db returns the connection for statements and queries. A rotated password is
// picked up.
func (s *sink) db() (driver.Conn, error) {
	password := ""
	if !s.cfg.Password.IsZero() {
		var err error
		if password, err = s.cfg.Password.Value(); err != nil {
			return nil, fault.New(fault.Auth, "password: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && s.password == password {
		return s.conn, nil
	}
	host := s.base.Host
	if s.base.Port() == "" {
		host = net.JoinHostPort(s.base.Hostname(), map[string]string{"http": "8123", "https": "8443"}[s.base.Scheme])
	}
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{host}, TLS: s.tls, HttpUrlPath: strings.TrimPrefix(s.base.Path, "/"),
		Auth:        clickhouse.Auth{Username: s.cfg.Username, Password: password},
		DialTimeout: dialTime, ReadTimeout: queryTime,
		ClientInfo: clickhouse.ClientInfo{Products: []struct{ Name, Version string }{{"weir", s.env.Version}}},
		TransportFunc: func(t *http.Transport) (http.RoundTripper, error) {
			return refuseRedirects{t}, nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", s.base.Redacted(), err)
	}
	if s.conn != nil {
		_ = s.conn.Close()
	}
	s.conn, s.password = conn, password
	return conn, nil
}

// refuseRedirects keeps credentials from being sent elsewhere.
type refuseRedirects struct{ next *http.Transport }

// CloseIdleConnections is what the driver looks for when it is closed.
func (r refuseRedirects) CloseIdleConnections() { r.next.CloseIdleConnections() }

func (r refuseRedirects) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err == nil && resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return nil, errors.Join(errRedirect, resp.Body.Close())
	}
	return resp, err
}

func (s *sink) exec(ctx context.Context, statement string, args ...any) error {
	db, err := s.db()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	return db.Exec(ctx, statement, args...)
}

// table is a table's full, quoted name.
func (s *sink) table(name string) string {
	return schemas.QuoteClickHouse(s.cfg.Database) + "." + schemas.QuoteClickHouse(name)
}

// Owner implements sinks.Sink.
func (s *sink) Owner(ctx context.Context) (o sinks.Owner, err error) {
	for _, statement := range []string{
		"CREATE DATABASE IF NOT EXISTS " + schemas.QuoteClickHouse(s.cfg.Database),
		"CREATE TABLE IF NOT EXISTS " + s.table(ownerTable) + ` (sink_id String, state_id String, generation Int64, heartbeat DateTime64(3, 'UTC'), parts Int64,
			written_at DateTime64(6, 'UTC') DEFAULT now64(6)) ENGINE = ReplacingMergeTree(written_at) ORDER BY (state_id, generation)`,
	} {
		if err := s.exec(ctx, statement); err != nil {
			return o, fmt.Errorf("making the owner table: %w", err)
		}
	}
	return s.owner(ctx)
}

func (s *sink) owner(ctx context.Context) (o sinks.Owner, err error) {
	db, err := s.db()
	if err != nil {
		return o, err
	}
	rows, err := db.Query(ctx, "SELECT sink_id, state_id, generation, heartbeat, parts FROM "+s.table(ownerTable)+" ORDER BY written_at DESC LIMIT 1")
	if err != nil {
		return o, fmt.Errorf("reading the sink's owner: %w", err)
	}
	defer rows.Close()
	if rows.Next() {
		if err := rows.Scan(&o.SinkID, &o.StateID, &o.Generation, &o.Heartbeat, &o.Parts); err != nil {
			return o, fmt.Errorf("reading the sink's owner: %w", err)
		}
		o.Heartbeat = o.Heartbeat.UTC()
	}
	return o, rows.Err()
}

// SetOwner implements sinks.Sink. ClickHouse has no conditional write: the
// record is read before and after, so of two agents that claim a sink within
// the same moment at least one sees the other and stops.
func (s *sink) SetOwner(ctx context.Context, old, new sinks.Owner) error {
	now, err := s.owner(ctx)
	if err != nil {
		return err
	}
	if !now.Equal(old) && !now.Equal(new) {
		return sinks.ErrOwnerChanged
	}
	err = s.exec(ctx, "INSERT INTO "+s.table(ownerTable)+" (sink_id, state_id, generation, heartbeat, parts) SETTINGS async_insert = 0 "+
		"SELECT ?, ?, ?, fromUnixTimestamp64Milli(?, 'UTC'), ?", new.SinkID, new.StateID, new.Generation, new.Heartbeat.UnixMilli(), new.Parts)
	if err != nil {
		return fmt.Errorf("writing the sink's owner: %w", err)
	}
	if now, err = s.owner(ctx); err != nil {
		return err
	}
	if !now.Equal(new) {
		return sinks.ErrOwnerChanged
	}
	return nil
}

// Close implements sinks.Sink.
func (s *sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.http.CloseIdleConnections()
	if s.conn == nil {
		return nil
	}
	return s.conn.Close()
}
