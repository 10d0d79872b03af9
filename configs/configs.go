// Package configs loads the one YAML file that operators edit. Defaults come
// first, then the file, then WEIR_ environment variables. Every fault is
// reported at once, with file, line, key, what was found and what is accepted.
//
// What a connector or a sink can be told is declared by its own settings
// struct (package setting); the example, the JSON Schema and the reference are
// written from the same declarations.
package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"weir/internal/setting"
	"weir/sinks"
	"weir/sources"
)

// maxFile bounds the configuration file, in bytes.
const maxFile = 1 << 20

// Config is a valid configuration.
type Config struct {
	Path      string
	SHA256    string // of the file
	Agent     Agent
	Sinks     []Sink     // by name
	Instances []Instance // by name
	secrets   []reference
}

// Agent is the `agent:` section.
type Agent struct {
	DataDir      string        `key:"data_dir" doc:"directory of the state, the spool and dead letters; on a local disk"`
	Listen       string        `key:"listen" doc:"address of health and metrics; empty: none"`
	SpoolLimit   setting.Size  `key:"spool_limit" doc:"sources pause while undelivered data takes more"`
	MinFree      setting.Size  `key:"min_free" doc:"sources pause while the disk of data_dir has less free"`
	MaxMemory    setting.Size  `key:"max_memory" doc:"soft limit of the Go runtime's memory"`
	DrainTimeout time.Duration `key:"drain_timeout" doc:"how long a stopping agent goes on delivering, and how long a single run is patient with a failing sink"`
	LogLevel     string        `key:"log_level" enum:"debug info warn error" doc:"least level that is logged"`
	LogFormat    string        `key:"log_format" enum:"auto text json" doc:"auto is text on a terminal, else json"`
}

func newAgent() Agent {
	return Agent{
		DataDir: "/var/lib/weir", Listen: "127.0.0.1:8480", SpoolLimit: 10 << 30, MinFree: 2 << 30, MaxMemory: 192 << 20,
		DrainTimeout: 30 * time.Second, LogLevel: "info", LogFormat: "auto",
	}
}

// Sink is one entry of `sinks:`.
type Sink struct {
	Name   string
	Driver *sinks.Driver
	Config sinks.Config
}

// Instance is one entry of `instances:`.
type Instance struct {
	Name      string
	Connector *sources.Connector
	Config    setting.Struct
	Common
	Streams map[string]StreamSettings
}

// Common is what every instance can be told.
type Common struct {
	Enabled  bool   `key:"enabled" doc:"false: the instance is not collected"`
	Parallel int    `key:"parallel" doc:"lanes read at the same time"`
	Raw      string `key:"raw" enum:"keep drop" doc:"whether rows carry the vendor's record"`
}

func newCommon() Common { return Common{Enabled: true, Parallel: 4, Raw: "keep"} }

// StreamSettings is one entry of an instance's `streams:`.
type StreamSettings struct {
	Enabled bool          `key:"enabled" doc:"false: the stream is not collected"`
	Every   time.Duration `key:"every" doc:"interval between polls"`
}

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

const wantName = "a name of lower-case letters, digits, - and _, at most 63"

// Load reads and checks the file at path with the environment's overrides. Its
// error, if the content is at fault, is of type Errors.
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
	sum := sha256.Sum256(data)
	cfg := &Config{Path: path, SHA256: hex.EncodeToString(sum[:]), Agent: newAgent()}
	d := &decoder{file: path, cfg: cfg}
	if !d.read(data, env) {
		return nil, d.sorted()
	}
	d.section("agent", &cfg.Agent)
	if cfg.Agent.DrainTimeout <= 0 {
		d.wrong("agent.drain_timeout", cfg.Agent.DrainTimeout.String(), "a duration above 0")
	}
	if cfg.Agent.MaxMemory < 64<<20 {
		d.wrong("agent.max_memory", cfg.Agent.MaxMemory.String(), "at least 64MiB")
	}
	for _, name := range d.names("sinks", "sink") {
		d.sink(name, drivers)
	}
	for _, name := range d.names("instances", "instance") {
		d.instance(name, apps)
	}
	d.unknown()
	if len(d.errs) > 0 {
		return nil, d.sorted()
	}
	return cfg, nil
}

func (d *decoder) sink(name string, drivers []*sinks.Driver) {
	at := "sinks." + name
	types := make([]string, len(drivers))
	for i, dr := range drivers {
		types[i] = dr.Type
	}
	typ, ok := d.choice(at, "type", types)
	if !ok {
		return
	}
	for _, dr := range drivers {
		if dr.Type == typ {
			c := dr.Config()
			d.section(at, c)
			d.validate(at, c)
			d.cfg.Sinks = append(d.cfg.Sinks, Sink{name, dr, c})
		}
	}
}

func (d *decoder) instance(name string, apps []*sources.Connector) {
	at := "instances." + name
	keys := make([]string, len(apps))
	for i, a := range apps {
		keys[i] = a.App
	}
	app, ok := d.choice(at, "app", keys)
	if !ok {
		return
	}
	for _, a := range apps {
		if a.App != app {
			continue
		}
		inst := Instance{Name: name, Connector: a, Config: a.Config(), Common: newCommon(), Streams: map[string]StreamSettings{}}
		d.section(at, &inst.Common)
		if inst.Parallel < 1 || inst.Parallel > 256 {
			d.wrong(at+".parallel", fmt.Sprint(inst.Parallel), "a number from 1 to 256")
		}
		d.section(at, inst.Config)
		d.validate(at, inst.Config)
		for _, s := range a.Streams {
			st := StreamSettings{Enabled: true, Every: s.Every}
			d.section(at+".streams."+s.Name, &st)
			if st.Every < time.Second || st.Every > 7*24*time.Hour {
				d.wrong(at+".streams."+s.Name+".every", st.Every.String(), "a duration from 1s to 7d")
			}
			inst.Streams[s.Name] = st
		}
		d.cfg.Instances = append(d.cfg.Instances, inst)
	}
}

// Unresolved returns the secret references that cannot be resolved now.
func (c *Config) Unresolved() (errs []error) {
	for _, r := range c.secrets {
		if _, err := r.value.Value(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.key, err))
		}
	}
	return errs
}

// Literals returns the keys whose secret stands in the file itself.
func (c *Config) Literals() (keys []string) {
	for _, r := range c.secrets {
		if r.value.IsLiteral() {
			keys = append(keys, r.key)
		}
	}
	return keys
}
