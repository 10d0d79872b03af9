package microsoft365

import (
	"context"
	"net/url"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

const (
	capAudits   = streamAudits
	capSignIns  = streamSignIns
	capAllKinds = streamSignIns + "/all_kinds"
	capFeed     = "activities"
	capContent  = "activities/" // and a content type
	capFiles    = "files"
	capItems    = "files/items"
)

// feedRight declares a capability by the permission of the Management Activity
// API that it needs.
func feedRight(name, doc, permission string) sources.Capability {
	return sources.Capability{Name: name, Doc: doc, Where: where, Scopes: []string{"Office 365 Management APIs application permission " + permission}}
}

// logCapabilities are what Entra's logs need, and parts of the activities and of
// the files; the rest of these two is declared with the streams.
var logCapabilities = []sources.Capability{
	capability(capAudits, "Entra's directory audits", "", "AuditLog.Read.All"),
	capability(capSignIns, "Entra's sign-ins: those of people, interactive ones", premium, "AuditLog.Read.All, with Directory.Read.All"),
	capability(capAllKinds, "sign-ins that are not interactive, and those of service principals and managed identities", premium, "AuditLog.Read.All, with Directory.Read.All"),
	feedRight(capContent+"Audit.AzureActiveDirectory", "activities of Entra ID", "ActivityFeed.Read"),
	feedRight(capContent+"Audit.Exchange", "activities of Exchange", "ActivityFeed.Read"),
	feedRight(capContent+"Audit.SharePoint", "activities of SharePoint and OneDrive", "ActivityFeed.Read"),
	feedRight(capContent+"Audit.General", "activities of all other workloads", "ActivityFeed.Read"),
	capability(capItems, "files, folders and who may read them", "", "Files.Read.All", "Sites.FullControl.All, which shows every permission"),
}

// probeLogs tells whether a capability of a log or of the files works. ok is
// false for other capabilities.
func (s *session) probeLogs(ctx context.Context, name string) (ok bool, err error) {
	one := url.Values{"$top": {"1"}}
	r := &httpx.Request{Query: one}
	switch name {
	case capAudits:
		r.Path = httpx.P(pathAudits)
	case capSignIns:
		r.Path = httpx.P(pathSignIns)
	case capAllKinds:
		r.Path = httpx.P(pathAllSignIns)
		r.Query = url.Values{"$top": {"1"}, "$filter": {"(signInEventTypes/any(t: t eq 'nonInteractiveUser'))"}}
	case capFiles:
		r.Path = httpx.P("/v1.0/sites/getAllSites")
	case capItems:
		return true, s.probeItems(ctx)
	case capFeed:
		return true, s.probeFeed(ctx, "list", "")
	default:
		contentType, ok := strings.CutPrefix(name, capContent)
		if !ok {
			return false, nil
		}
		return true, s.probeContent(ctx, contentType)
	}
	_, err = s.graph.Do(ctx, r)
	switch name {
	case capAudits:
		err = explainLog(err)
	case capSignIns, capAllKinds:
		err = explainSignIns(err)
	}
	return true, err
}

// probeItems asks for the root of some site's drive; where there is none, that
// sites can be listed has to do.
func (s *session) probeItems(ctx context.Context) error {
	site, err := s.firstID(ctx, &httpx.Request{Path: httpx.P("/v1.0/sites/getAllSites"), Query: url.Values{"$top": {"1"}}})
	if err != nil || site == "" {
		return err
	}
	drive, err := s.firstID(ctx, &httpx.Request{Path: httpx.P("/v1.0/sites/{site}/drives", site)})
	if err != nil || drive == "" {
		return err
	}
	_, err = s.graph.Do(ctx, &httpx.Request{Path: httpx.P("/v1.0/drives/{drive}/root/delta", drive), Query: url.Values{"token": {"latest"}}})
	return err
}

// firstID returns the id of a listing's first element; "" when it has none.
func (s *session) firstID(ctx context.Context, r *httpx.Request) (string, error) {
	var page struct {
		Value []struct {
			ID text `json:"id"`
		} `json:"value"`
	}
	resp, err := s.graph.Do(ctx, r)
	if err == nil {
		err = httpx.Decode(resp, &page)
	}
	if err != nil || len(page.Value) == 0 {
		return "", err
	}
	return string(page.Value[0].ID), nil
}

// probeFeed asks for the subscriptions of the Management Activity API (list), or
// for the last day's content of one type (content).
func (s *session) probeFeed(ctx context.Context, what, contentType string) error {
	if s.manage == nil {
		return fault.New(fault.NotLicensed, "no Management Activity API is documented for the cloud %s", s.cfg.Cloud)
	}
	query := url.Values{"PublisherIdentifier": {s.tenant}}
	if contentType != "" {
		query.Set("contentType", contentType)
	}
	_, err := s.manage.Do(ctx, &httpx.Request{Path: httpx.P("/api/v1.0/{tenant}/activity/feed/subscriptions/"+what, s.tenant), Query: query})
	return err
}

// probeContent tells whether content of a type may be read. That nothing is
// subscribed is no fault: the stream starts it. The right to read what data loss
// prevention found shows in the token alone.
func (s *session) probeContent(ctx context.Context, contentType string) error {
	err := s.probeFeed(ctx, "content", contentType)
	switch httpx.CodeOf(err) {
	case "AF20022", "AF20023": // none, or disabled
		return nil
	}
	return err
}
