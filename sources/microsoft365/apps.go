package microsoft365

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// Lanes of apps: what they come from, whose permissions differ.
const (
	laneServiceApps = "service_principals"
	laneDelegated   = "delegated"
	laneApplication = "application"
)

var (
	allServicesWithRoles = listing{path: httpx.P(pathServices), query: selected(selectService + ",appRoles")}
	delegatedGrants      = listing{path: httpx.P(pathDelegated), query: url.Values{"$top": {"999"}}}
)

func (s *session) appLanes(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return lanes(laneServiceApps, laneDelegated, laneApplication)
}

// readApps reads one lane.
func (s *session) readApps(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	switch l.ID {
	case laneServiceApps:
		return s.list(ctx, allServices, c, addApp)
	case laneDelegated:
		return s.withApps(ctx, func(apps map[string]app) iter.Seq2[*sources.Page, error] {
			return s.list(ctx, delegatedGrants, c, addDelegated(apps))
		})
	case laneApplication:
		return s.withApps(ctx, func(apps map[string]app) iter.Seq2[*sources.Page, error] {
			return s.readAppRoles(ctx, c, apps)
		})
	}
	return failed(fault.New(fault.Permanent, "microsoft365 has no lane %q of apps", l.ID))
}

func addApp(_ context.Context, w *walk, raw []byte) (reason string, err error) {
	var p wireService
	if err := decode(raw, &p); err != nil {
		return err.Error(), nil
	}
	if p.ID == "" {
		return "the service principal has no id", nil
	}
	row := schemas.App{Raw: alias(raw)}
	mapApp(&row, &p)
	w.page.Rows.Apps = append(w.page.Rows.Apps, row)
	return "", nil
}

// app is what grants tell of a service principal.
type app struct{ name, publisher, status string }

// withApps reads what needs the service principals.
func (s *session) withApps(ctx context.Context, read func(map[string]app) iter.Seq2[*sources.Page, error]) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		apps := map[string]app{}
		err := s.each(ctx, allServices, func(raw []byte) error {
			var p wireService
			if decode(raw, &p) != nil {
				return nil // the lane of apps rejects it
			}
			var row schemas.App
			mapApp(&row, &p)
			apps[strings.Clone(row.AppID)] = app{strings.Clone(row.Name), strings.Clone(row.Publisher), row.Status}
			return nil
		})
		if err != nil {
			yield(nil, err)
			return
		}
		read(apps)(yield)
	}
}

func addDelegated(apps map[string]app) mapElement {
	return func(_ context.Context, w *walk, raw []byte) (reason string, err error) {
		var g wireDelegated
		if err := decode(raw, &g); err != nil {
			return err.Error(), nil
		}
		if g.ID == "" {
			return "the grant has no id", nil
		}
		row := schemas.AppGrant{Raw: alias(raw)}
		mapDelegated(&row, &g, apps)
		w.page.Rows.AppGrants = append(w.page.Rows.AppGrants, row)
		return "", nil
	}
}

// readAppRoles lists the service principals and, of those that have roles to
// give, 20 a batch, which apps hold them.
func (s *session) readAppRoles(ctx context.Context, c sources.Cursor, apps map[string]app) iter.Seq2[*sources.Page, error] {
	return s.pages(ctx, c, func(ctx context.Context, w *walk) (links, error) { return w.appRoles(ctx, apps) })
}

// resource is a service principal whose roles others can hold.
type resource struct {
	id    string
	roles map[string]string // their names, by id
}

// appRoles maps what is held of the roles of one page of service principals.
func (w *walk) appRoles(ctx context.Context, apps map[string]app) (links, error) {
	resp, to, all, from, err := w.fetch(ctx, allServicesWithRoles)
	if err != nil {
		return links{}, err
	}
	var part []resource
	for i := from; i < len(all); i++ {
		var p wireService
		if decode(all[i], &p) != nil || p.ID == "" {
			w.reject(fmt.Sprintf("record %d of %s", i+1, resp.Endpoint), "what is held of the roles of an app that cannot be understood is not known", all[i])
		} else if len(p.Roles) > 0 {
			r := resource{string(p.ID), map[string]string{}}
			for _, role := range p.Roles {
				r.roles[string(role.ID)] = string(role.Value)
			}
			part = append(part, r)
		}
		if len(part) < maxBatch && i+1 < len(all) {
			continue
		}
		if err := w.holders(ctx, part, apps); err != nil {
			return links{}, err
		}
		part, w.at.Done = nil, elementID(all[i])
		if i+1 < len(all) && !w.makeRoom() {
			return links{}, errStop
		}
	}
	return to, nil
}

func (w *walk) holders(ctx context.Context, part []resource, apps map[string]app) error {
	if len(part) == 0 {
		return nil
	}
	var asked []listing
	for _, r := range part {
		asked = append(asked, listing{path: httpx.P(pathAppRoles, r.id), query: url.Values{"$top": {"999"}}})
	}
	pages, err := w.s.batch(ctx, httpx.P(pathBatch), asked)
	if err != nil {
		return err
	}
	for i, r := range part {
		if slices.ContainsFunc(asked[i+1:], w.resumes) {
			continue // it is done
		}
		err := w.within(ctx, asked[i], pages[i], func(raw []byte) error {
			if reason := w.addAppRole(raw, r, apps); reason != "" {
				w.reject("a role of "+r.id, reason, raw)
			}
			return nil
		})
		if err != nil && !isGone(err) {
			return err
		}
	}
	return nil
}

// addAppRole maps a role that an app holds. That people and groups may use an
// app stands in the same list, and is no grant to an app.
func (w *walk) addAppRole(raw []byte, r resource, apps map[string]app) (reason string) {
	var g wireAppRole
	if err := decode(raw, &g); err != nil {
		return err.Error()
	}
	switch {
	case g.ID == "":
		return "the assignment has no id"
	case g.PrincipalType != "ServicePrincipal":
		return ""
	}
	row := schemas.AppGrant{Raw: alias(raw)}
	mapAppRole(&row, &g, r, apps)
	w.page.Rows.AppGrants = append(w.page.Rows.AppGrants, row)
	return ""
}
