// Package configs loads the one YAML file that operators edit. Defaults come
// first, then the file, then WEIR_ environment variables. Every fault is
// reported at once, with file, line, key, what was found and what is accepted.
//
// What a connector or a sink can be told is declared by its own settings
// struct (package setting); the example, the JSON Schema and the reference are
// written from the same declarations.
package configs

//go:generate go run ../internal/configgen ..

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"weir/internal/secret"
	"weir/internal/setting"
	"weir/sinks"
	"weir/sources"
)

// maxFile bounds the configuration file, in bytes.
const maxFile = 1 << 20

// Config is a valid configuration.
type Config struct {
	Path       string
	SHA256     string // of the file
	Agent      Agent
	Governance Governance
	Hooks      Hooks
	Sinks      []Sink     // by name
	Instances  []Instance // by name
	secrets    []reference
}

// Agent is the `agent:` section.
type Agent struct {
	DataDir      string        `key:"data_dir" doc:"directory of the state, the spool and dead letters; on a local disk"`
	Listen       string        `key:"listen" doc:"address of health and metrics; empty: none"`
	SpoolLimit   setting.Size  `key:"spool_limit" doc:"sources pause while undelivered data takes more"`
	DeadLimit    setting.Size  `key:"dead_limit" doc:"what cannot be taken waits while dead letters take more"`
	MinFree      setting.Size  `key:"min_free" doc:"sources pause while the disk of data_dir has less free"`
	MaxMemory    setting.Size  `key:"max_memory" doc:"soft limit of the Go runtime's memory"`
	DrainTimeout time.Duration `key:"drain_timeout" doc:"how long a stopping agent goes on delivering, and how long a single run is patient with a failing sink"`
	LogLevel     string        `key:"log_level" enum:"debug info warn error" doc:"least level that is logged"`
	LogFormat    string        `key:"log_format" enum:"auto text json" doc:"auto is text on a terminal, else json"`
	Key          secret.Secret `key:"key" doc:"key of the vault in data_dir, which holds the tokens that weir connect gets: 32 characters or more, kept outside data_dir" example:"${file:/etc/weir/key}"`
}

func newAgent() Agent {
	return Agent{
		DataDir: "/var/lib/weir", Listen: "127.0.0.1:8480", SpoolLimit: 10 << 30, DeadLimit: 1 << 30, MinFree: 2 << 30, MaxMemory: 160 << 20,
		DrainTimeout: 30 * time.Second, LogLevel: "info", LogFormat: "auto",
	}
}

const minKey = 32 // the vault's least, in characters

// Validate implements setting.Struct.
func (a *Agent) Validate() (errs []setting.KeyError) {
	bad := func(key, found, accepted string) {
		errs = append(errs, setting.KeyError{Key: key, Found: found, Accepted: accepted})
	}
	if !filepath.IsAbs(a.DataDir) {
		bad("data_dir", a.DataDir, "an absolute directory")
	}
	if a.Listen != "" {
		_, port, err := net.SplitHostPort(a.Listen)
		if _, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil {
			bad("listen", a.Listen, "an address and port such as 127.0.0.1:8480")
		}
	}
	if a.SpoolLimit < 1<<20 {
		bad("spool_limit", a.SpoolLimit.String(), "at least 1MiB")
	}
	if a.DeadLimit < 1<<20 {
		bad("dead_limit", a.DeadLimit.String(), "at least 1MiB")
	}
	if a.MaxMemory < 64<<20 {
		bad("max_memory", a.MaxMemory.String(), "at least 64MiB")
	}
	if a.DrainTimeout <= 0 || a.DrainTimeout > time.Hour {
		bad("drain_timeout", setting.FormatDuration(a.DrainTimeout), "a duration above 0s, at most 1h")
	}
	if k, err := a.Key.Value(); err == nil && !a.Key.IsZero() && len(k) < minKey {
		bad("key", "", fmt.Sprintf("a key of %d characters or more, such as openssl rand -base64 32 makes", minKey))
	}
	return errs
}

// Sink is one entry of `sinks:`.
type Sink struct {
	Name   string
	Driver *sinks.Driver
	Config sinks.Config
	SinkCommon
}

// SinkCommon is what every sink can be told.
type SinkCommon struct {
	Detached bool `key:"detached" doc:"true: the sink is known, and gets nothing; what it was owed and is in no part yet leaves the spool"`
}

// Validate implements setting.Struct.
func (*SinkCommon) Validate() []setting.KeyError { return nil }

// Instance is one entry of `instances:`.
type Instance struct {
	Name      string
	Connector *sources.Connector
	Config    setting.Struct
	Common
	Streams map[string]StreamSettings
}

// StreamInfos are the connector's streams as this instance has them.
func (i Instance) StreamInfos() []sources.StreamInfo {
	out := slices.Clone(i.Connector.Streams)
	if i.Connector.Adjust != nil {
		for n := range out {
			out[n] = i.Connector.Adjust(i.Config, out[n])
		}
	}
	return out
}

// Common is what every instance can be told.
type Common struct {
	Enabled  bool   `key:"enabled" doc:"false: the instance is not collected"`
	Parallel int    `key:"parallel" doc:"lanes read at the same time, and actions carried out"`
	Raw      string `key:"raw" enum:"keep drop" doc:"whether rows carry the vendor's record"`

	Proxy     string        `key:"proxy" example:"http://proxy.acme.example:3128" doc:"proxy of requests to the app: http, https, socks5 or socks5h; without it, that of HTTPS_PROXY, HTTP_PROXY and NO_PROXY"`
	ProxyAuth secret.Secret `key:"proxy_auth" doc:"the proxy's user:password"`
	CAFile    string        `key:"ca_file" example:"/etc/weir/ca.pem" doc:"PEM file of certificate authorities to trust beside the system's, such as that of a proxy that looks into TLS"`

	Hooks bool `key:"hooks" doc:"true: the app tells of changes, and they are read at once; see docs/hooks.md"`

	Governance Governed `key:"governance" doc:"what may be changed at the vendor, see docs/governance.md"`
}

func newCommon() Common {
	return Common{Enabled: true, Parallel: 4, Raw: "keep", Governance: newGoverned()}
}

// Validate implements setting.Struct.
func (c *Common) Validate() (errs []setting.KeyError) {
	if c.Parallel < 1 || c.Parallel > 256 {
		errs = append(errs, setting.KeyError{Key: "parallel", Found: strconv.Itoa(c.Parallel), Accepted: "a number from 1 to 256"})
	}
	if c.Proxy != "" && !validProxy(c.Proxy) {
		// What stands there may hold a password.
		errs = append(errs, setting.KeyError{Key: "proxy", Accepted: "scheme://host:port with the scheme http, https, socks5 or socks5h; user and password belong into proxy_auth"})
	}
	if c.Proxy == "" && !c.ProxyAuth.IsZero() {
		errs = append(errs, setting.KeyError{Key: "proxy_auth", Accepted: "the key proxy with it"})
	}
	if c.CAFile != "" && !filepath.IsAbs(c.CAFile) {
		errs = append(errs, setting.KeyError{Key: "ca_file", Found: c.CAFile, Accepted: "an absolute path"})
	}
	return append(errs, c.Governance.Validate()...)
}

func validProxy(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.User == nil && u.Hostname() != "" && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == "" &&
		slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)
}

// StreamSettings is one entry of an instance's `streams:`.
type StreamSettings struct {
	Enabled bool          `key:"enabled" doc:"false: the stream is not collected"`
	Every   time.Duration `key:"every" doc:"interval between polls"`
	// Logs only.
	Sweep []string `key:"sweep" doc:"of a log whose late events reading on does not bring: ages at which windows of it are read again, such as [1h, 72h]; off: never; without it, once after an hour and once when nothing can come late any more" example:"[1h, 72h]"`
	// Scans only.
	FullEvery time.Duration `key:"full_every" doc:"of a scan that learns of changes otherwise: interval between complete rounds; 0s: every one is complete"`
}

// Validate implements setting.Struct.
func (s *StreamSettings) Validate() []setting.KeyError {
	if s.Every < time.Second || s.Every > 7*24*time.Hour {
		return []setting.KeyError{{Key: "every", Found: setting.FormatDuration(s.Every), Accepted: "a duration from 1s to 7d"}}
	}
	for _, age := range s.Sweep {
		d, err := setting.ParseDuration(age)
		if off := age == sweepOff && len(s.Sweep) == 1; !off && (err != nil || d < 15*time.Minute || d > 90*24*time.Hour) {
			return []setting.KeyError{{Key: "sweep", Found: age, Accepted: "ages from 15m to 90d, such as [1h, 72h], or off alone"}}
		}
	}
	if s.FullEvery < 0 || s.FullEvery > 90*24*time.Hour {
		return []setting.KeyError{{Key: "full_every", Found: setting.FormatDuration(s.FullEvery), Accepted: "a duration from 0s to 90d"}}
	}
	return nil
}

const sweepOff = "off"

// SweepAges are the ages that Sweep asks for, of checked settings: nil without
// any, and none when it is off.
func (s StreamSettings) SweepAges() []time.Duration {
	if len(s.Sweep) == 0 {
		return nil
	}
	ages := []time.Duration{}
	for _, age := range s.Sweep {
		if d, err := setting.ParseDuration(age); err == nil {
			ages = append(ages, d)
		}
	}
	return ages
}

const namePattern = `^[a-z0-9][a-z0-9_-]{0,62}$`

var validName = regexp.MustCompile(namePattern)

const wantName = "a name of at most 63 lower-case letters, digits, - and _, the first a letter or digit"

// Load reads and checks the file at path with the overrides in env, which has
// the form of os.Environ. Its error, where the content is at fault, is of type
// Errors.
func Load(path string, env []string, apps []*sources.Connector, drivers []*sinks.Driver) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("reading the configuration: %s is larger than %d bytes", path, maxFile)
	}
	return parse(path, data, env, apps, drivers)
}

func parse(path string, data []byte, env []string, apps []*sources.Connector, drivers []*sinks.Driver) (*Config, error) {
	d := &decoder{
		file: path, lookup: lookupIn(env), at: map[string]origin{},
		faulty: map[string]bool{}, private: map[string]bool{}, written: map[string]string{},
	}
	file, ok := d.readYAML(data)
	if !ok {
		return nil, d.errs.sorted()
	}
	k := koanf.New(".")
	for _, layer := range []map[string]any{file, d.environment(env, file)} {
		if err := k.Load(confmap.Provider(layer, ""), nil); err != nil {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
	}
	sum := sha256.Sum256(data)
	cfg := &Config{Path: path, SHA256: hex.EncodeToString(sum[:]), Agent: newAgent(), Governance: newGovernance()}
	d.config(cfg, k.Raw(), apps, drivers)
	if len(d.errs) > 0 {
		return nil, d.errs.sorted()
	}
	return cfg, nil
}

func lookupIn(env []string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, e := range slices.Backward(env) {
			if v, ok := strings.CutPrefix(e, name+"="); ok {
				return v, true
			}
		}
		return "", false
	}
}

func (d *decoder) config(cfg *Config, top map[string]any, apps []*sources.Connector, drivers []*sinks.Driver) {
	if m, ok := d.section("agent", top["agent"]); ok {
		d.structure("agent", m, reflect.ValueOf(&cfg.Agent).Elem())
		d.validate("agent", &cfg.Agent)
	}
	for name, m := range d.entries("sinks", "sink", top) {
		if s, ok := d.sink(name, m, drivers); ok {
			cfg.Sinks = append(cfg.Sinks, s)
		}
	}
	for name, m := range d.entries("instances", "instance", top) {
		before := len(d.secrets)
		inst, ok := d.instance(name, m, apps)
		if !ok {
			continue
		}
		cfg.Instances = append(cfg.Instances, inst)
		if !inst.Enabled {
			d.secrets = d.secrets[:before] // they need not resolve
		}
	}
	d.governance(&cfg.Governance, top, cfg.Instances, cfg.Sinks)
	d.hooks(&cfg.Hooks, top, cfg.Instances)
	d.unknown("", top, []string{"agent", "sinks", "instances", "governance", "hooks"})
	cfg.secrets = d.secrets
}

// entries yields the named entries of a section, sorted, and reports names that
// are none and a section without any.
func (d *decoder) entries(section, what string, top map[string]any) iter.Seq2[string, map[string]any] {
	return func(yield func(string, map[string]any) bool) {
		all, ok := d.section(section, top[section])
		if ok && len(all) == 0 {
			d.fail(section, "want at least one "+what)
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			at := join(section, name)
			if !validName.MatchString(name) {
				d.fail(at, "want "+wantName)
				continue
			}
			if m, ok := d.section(at, all[name]); ok && !yield(name, m) {
				return
			}
		}
	}
}

func (d *decoder) sink(name string, m map[string]any, drivers []*sinks.Driver) (s Sink, ok bool) {
	at := join("sinks", name)
	var types []string
	for _, dr := range drivers {
		types = append(types, dr.Type)
	}
	typ, ok := d.choice(at, "type", m, types)
	if !ok {
		return s, false
	}
	s = Sink{Name: name, Driver: drivers[slices.Index(types, typ)]}
	s.Config = s.Driver.Config()
	known := d.fields(at, m, reflect.ValueOf(s.Config).Elem())
	known = append(known, d.fields(at, m, reflect.ValueOf(&s.SinkCommon).Elem())...)
	d.unknown(at, m, append(known, "type"))
	d.validate(at, s.Config)
	return s, true
}

func (d *decoder) instance(name string, m map[string]any, apps []*sources.Connector) (inst Instance, ok bool) {
	at := join("instances", name)
	var names []string
	for _, a := range apps {
		names = append(names, a.App)
	}
	app, ok := d.choice(at, "app", m, names)
	if !ok {
		return inst, false
	}
	inst = Instance{Name: name, Connector: apps[slices.Index(names, app)], Common: newCommon(), Streams: map[string]StreamSettings{}}
	inst.Config = inst.Connector.Config()
	known := d.fields(at, m, reflect.ValueOf(&inst.Common).Elem())
	known = append(known, d.fields(at, m, reflect.ValueOf(inst.Config).Elem())...)
	d.unknown(at, m, append(known, "app", "streams"))
	d.validate(at, &inst.Common)
	d.validate(at, inst.Config)

	at = join(at, "streams")
	streams, _ := d.section(at, m["streams"])
	known = nil
	for _, info := range inst.Connector.Streams {
		known = append(known, info.Name)
		s := StreamSettings{Enabled: true, Every: info.Every, FullEvery: info.FullEvery}
		if sm, ok := d.section(join(at, info.Name), streams[info.Name]); ok {
			d.structure(join(at, info.Name), sm, reflect.ValueOf(&s).Elem())
			d.validate(join(at, info.Name), &s)
		}
		inst.Streams[info.Name] = s
	}
	d.unknown(at, streams, known)
	return inst, true
}

// Unresolved returns the secret references of sinks and enabled instances that
// cannot be resolved now.
func (c *Config) Unresolved() (errs []error) {
	for _, r := range c.secrets {
		if _, err := r.secret.Value(); err != nil {
			r.Message = err.Error()
			errs = append(errs, r.Error)
		}
	}
	return errs
}

// Literals returns the keys of sinks and enabled instances whose secret stands
// in the configuration itself.
func (c *Config) Literals() (keys []string) {
	for _, r := range c.secrets {
		if r.secret.IsLiteral() {
			keys = append(keys, r.Key)
		}
	}
	return keys
}
