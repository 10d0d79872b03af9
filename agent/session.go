package agent

import (
	"context"
	"fmt"

	"github.com/jonboulle/clockwork"

	"weir/configs"
	"weir/internal/buildinfo"
	"weir/sources"
	"weir/sources/httpx"
)

// SessionOptions says which instance to connect, and how.
type SessionOptions struct {
	Config   *configs.Config
	Instance configs.Instance
	Clock    clockwork.Clock
}

// OpenSession opens one instance's session, as a running agent does.
func OpenSession(ctx context.Context, o SessionOptions) (sources.Session, error) {
	base, err := httpx.New(httpx.Options{Instance: o.Instance.Name, Clock: o.Clock, UserAgent: "weir/" + buildinfo.Version()})
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", o.Instance.Name, err)
	}
	session, err := o.Instance.Connector.Open(ctx, sources.Env{Instance: o.Instance.Name, Clock: o.Clock, HTTP: base}, o.Instance.Config)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", o.Instance.Name, err)
	}
	return session, nil
}
