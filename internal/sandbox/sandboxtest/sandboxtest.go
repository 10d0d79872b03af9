// Package sandboxtest runs a sandbox within a test.
package sandboxtest

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/schemas"
)

// Now is the virtual time at which a sandbox without a clock of its own begins:
// a Tuesday.
var Now = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// Sandbox is a running sandbox.
type Sandbox struct {
	*sandbox.Server
	URL   string               // without a trailing slash
	Clock clockwork.Clock      // of the sandbox
	Fake  *clockwork.FakeClock // the same, unless the options had another
	HTTP  *httptest.Server     //
	t     testing.TB
}

// Start serves a sandbox until the test ends. Without a clock it has a fake one
// at Now; without people, 20; without a history, two days; without a seed, 1.
func Start(t testing.TB, o sandbox.Options) *Sandbox {
	t.Helper()
	s := &Sandbox{t: t}
	if o.Clock == nil {
		o.Clock = clockwork.NewFakeClockAt(Now)
	}
	if o.People == 0 {
		o.People = 20
	}
	if o.History == 0 {
		o.History = 48 * time.Hour
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	s.Clock = o.Clock
	s.Fake, _ = o.Clock.(*clockwork.FakeClock)
	server, err := sandbox.New(o)
	require.NoError(t, err)
	s.Server = server
	s.HTTP = httptest.NewServer(server)
	t.Cleanup(func() {
		s.HTTP.Close()
		server.Close()
	})
	s.URL = s.HTTP.URL
	return s
}

// Tenant returns a tenant of an app, and makes it if need be.
func (s *Sandbox) Tenant(app, name string) *sandbox.Tenant {
	s.t.Helper()
	t, err := s.Server.Tenant(app, name, s.URL)
	require.NoError(s.t, err)
	return t
}

// World returns the organization of a name, as it is now.
func (s *Sandbox) World(name string) *org.World {
	s.t.Helper()
	w, err := s.Server.World(name)
	require.NoError(s.t, err)
	return w
}

// Truth returns all that is true of a tenant now.
func (s *Sandbox) Truth(app, name string) *schemas.Rows {
	s.t.Helper()
	return s.Server.Truth(s.Tenant(app, name))
}

// NoViolations fails the test if a client broke a rule.
func (s *Sandbox) NoViolations() {
	s.t.Helper()
	require.Empty(s.t, s.Violations())
}
