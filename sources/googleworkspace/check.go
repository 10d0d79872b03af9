package googleworkspace

import (
	"context"
	"net/url"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

var (
	directoryCapabilities []sources.Capability
	limits                []string
)

// Tenant implements sources.Session: the customer's id, as the vendor tells it.
func (s *session) Tenant(ctx context.Context) (string, error) {
	if id := s.customer.Load(); id != nil {
		return *id, nil
	}
	id, err := s.askCustomer(ctx)
	if err != nil || id == "" {
		return "", err
	}
	if want := s.cfg.Customer; want != myCustomer && !strings.EqualFold(want, id) {
		return "", fault.New(fault.Permanent, "the credentials are of the customer %s, and not of %s as customer has it", id, want)
	}
	s.customer.Store(&id)
	return id, nil
}

// askCustomer asks for the customer itself or, where the scope for that is
// missing, for one of its users.
func (s *session) askCustomer(ctx context.Context) (string, error) {
	var customer struct {
		ID string `json:"id"`
	}
	err := s.get(ctx, s.admin(scopeCustomer), httpx.P(pathCustomer, s.cfg.Customer), nil, &customer)
	if err == nil && customer.ID == "" {
		return "", fault.New(fault.Transient, "GET %s: the answer holds no id", pathCustomer)
	}
	if !denied(err) {
		return customer.ID, err
	}
	var page struct {
		Users []struct {
			CustomerID string `json:"customerId"`
		} `json:"users"`
	}
	err = s.get(ctx, s.admin(scopeUsers), httpx.P(pathUsers), s.all(url.Values{"maxResults": {"1"}, "fields": {"kind,users(customerId)"}}), &page)
	switch {
	case denied(err) || err == nil && len(page.Users) == 0:
		return "", nil
	case err != nil:
		return "", err
	}
	return page.Users[0].CustomerID, nil
}

// all adds to a query whose users or groups are listed.
func (s *session) all(query url.Values) url.Values {
	if s.cfg.Domain != "" {
		query.Set("domain", s.cfg.Domain)
	} else {
		query.Set("customer", s.cfg.Customer)
	}
	return query
}

// get decodes the answer to one request.
func (s *session) get(ctx context.Context, client *httpx.Client, path httpx.Path, query url.Values, into any) error {
	resp, err := client.Do(ctx, &httpx.Request{Path: path, Query: query})
	if err != nil {
		return err
	}
	return httpx.Decode(resp, into)
}

// Identity implements sources.Session.
func (s *session) Identity(ctx context.Context) (sources.Identity, error) {
	return sources.Identity{}, fault.New(fault.Permanent, "not yet")
}

// Probe implements sources.Session.
func (s *session) Probe(ctx context.Context, capability string) error {
	if action, ok := strings.CutPrefix(capability, sources.CapabilityActions); ok {
		return s.probeAction(ctx, sources.Action(action))
	}
	if ok, err := s.probeActivities(ctx, capability); ok {
		return err
	}
	if ok, err := s.probeFiles(ctx, capability); ok {
		return err
	}
	return fault.New(fault.Permanent, "google_workspace has no capability %q", capability)
}
