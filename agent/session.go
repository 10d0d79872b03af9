package agent

import (
	"context"
	"fmt"
	"io"

	"github.com/jonboulle/clockwork"

	"weir/configs"
	"weir/internal/buildinfo"
	"weir/internal/vault"
	"weir/sources"
	"weir/sources/httpx"
)

// SessionOptions says which instance to connect, and how.
type SessionOptions struct {
	Config   *configs.Config
	Instance configs.Instance
	Clock    clockwork.Clock
	Wall     clockwork.Clock // see httpx.Options
	// Observe is told of every exchange, and Dump written, redacted. nil: none.
	Observe func(httpx.Exchange)
	Dump    io.Writer
	Redact  []string // secrets beside those of the configuration
}

// OpenSession opens one instance's session, as a running agent does.
func OpenSession(ctx context.Context, o SessionOptions) (sources.Session, error) {
	env, err := SessionEnv(o)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", o.Instance.Name, err)
	}
	session, err := o.Instance.Connector.Open(ctx, env, o.Instance.Config)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", o.Instance.Name, err)
	}
	return session, nil
}

// SessionEnv returns what an instance's session gets from the agent.
func SessionEnv(o SessionOptions) (sources.Env, error) {
	ho := httpx.Options{
		Instance: o.Instance.Name, Clock: o.Clock, Wall: o.Wall, UserAgent: "weir/" + buildinfo.Version(),
		Proxy: o.Instance.Proxy, CAFile: o.Instance.CAFile, Observe: o.Observe, Dump: o.Dump,
	}
	if !o.Instance.ProxyAuth.IsZero() {
		ho.ProxyAuth = o.Instance.ProxyAuth.Value
	}
	base, err := httpx.New(ho)
	if err != nil {
		return sources.Env{}, err
	}
	base.Redact(o.Redact...)
	var key func() (string, error)
	if k := o.Config.Agent.Key; !k.IsZero() {
		key = k.Value
	}
	return sources.Env{
		Instance: o.Instance.Name, Clock: o.Clock, HTTP: base,
		Vault: vault.New(o.Config.Agent.DataDir, key, o.Clock).Of(o.Instance.Name),
	}, nil
}
