package cli

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"

	"weir/internal/sandbox"
	"weir/internal/sandbox/github"
	"weir/internal/sandbox/googleworkspace"
	"weir/internal/sandbox/microsoft365"
	"weir/internal/sandbox/okta"
	"weir/internal/sandbox/org"
)

// The demo's organization.
const (
	demoOrganization = "acme"
	demoPeople       = 80
	demoDays         = 30
)

// demoVendors are what the sandbox plays: the demo's CloudTrail logs are files.
// Microsoft 365 has no quotas in it, and its logs begin late: it would take
// minutes.
var demoVendors = []sandbox.Vendor{github.Vendor(), googleworkspace.Vendor(), microsoft365.Unlimited(), okta.Vendor()}

// demoSettings are lines of an app's instance, beside what the sandbox says.
var demoSettings = map[string]string{org.Microsoft365: "activities: {since: 12h}\ndirectory_audits: {since: 6h}\nsign_ins: {since: 6h}\n"}

// demoSandbox plays the organization. The seed is one in which, at most times,
// somebody has left Okta and not yet GitHub.
func demoSandbox(clock clockwork.Clock) (*sandbox.Server, error) {
	return sandbox.New(sandbox.Options{
		Vendors: demoVendors, Clock: clock, Real: clock, Seed: 6, People: demoPeople, History: demoDays * 24 * time.Hour,
		EventsPerDay: 4, Tenants: []string{demoOrganization},
	})
}

// serveDemo serves the demo's vendors on this machine until stop is
// called. It returns the instances of a configuration that collects from them.
func serveDemo(ctx context.Context, s *sandbox.Server) (instances string, stop func(), err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("the demo's vendors: %w", err)
	}
	h := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = h.Serve(l) // it ends when it is closed; a request that fails tells
	}()
	stop = func() {
		_ = h.Close()
		<-served
		s.Close()
	}
	var b strings.Builder
	for _, v := range demoVendors {
		t, err := s.Tenant(v.App, demoOrganization, "http://"+l.Addr().String())
		if err != nil {
			stop()
			return "", nil, err
		}
		fmt.Fprintf(&b, "  %s:\n", t.Instance())
		for line := range strings.Lines(t.Handler().Config(t.Base) + demoSettings[v.App]) {
			fmt.Fprintf(&b, "    %s\n", strings.TrimRight(line, "\n"))
		}
	}
	return b.String(), stop, nil
}
