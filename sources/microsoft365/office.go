package microsoft365

import (
	"context"
	"slices"
	"strings"
	"time"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// Names of the streams of Office 365, and of their capabilities.
const (
	streamActivities = "activities"
	streamFiles      = "files"
)

// infoActivities declares the stream of the Management Activity API. It lists by
// what has become available, so late events come by reading on.
var infoActivities = sources.StreamInfo{
	Name: streamActivities, Shape: sources.Log, Tables: []string{schemas.TableActivities},
	Every: 5 * time.Minute, Lateness: manageLateness, Keep: manageKeep, Retention: manageRetention,
	Back: true, ShowsLate: true,
	Doc: "Office 365 activities: Exchange, SharePoint, OneDrive, Teams, Power BI, Power Automate, Dynamics 365, Viva Engage, Entra ID, DLP and the other workloads of the unified audit log",
}

// infoFiles declares the stream of files.
var infoFiles = sources.StreamInfo{
	Name: streamFiles, Shape: sources.Scan, Tables: []string{"files", "file_permissions"},
	Every: time.Hour, FullEvery: 24 * time.Hour, Disjoint: true, Mapping: 1,
	Doc: "Office 365 files: sites, document libraries and OneDrives, folders and files, and the permissions of what is shared",
}

// officeCapabilities are what the two streams need.
var officeCapabilities = []sources.Capability{
	{
		Name: streamActivities, Doc: "the unified audit log", Where: where,
		Scopes: []string{"Office 365 Management APIs application permission ActivityFeed.Read"},
	},
	{
		Name: partDLP, Doc: "records of data loss prevention (content type DLP.All)", Where: where,
		Scopes: []string{"Office 365 Management APIs application permission ActivityFeed.ReadDlp"},
	},
	capability(streamFiles, "sites, drives and files, and who has access; with Sites.FullControl.All also all permissions, and files with retention labels", "", "Sites.Read.All and Files.Read.All"),
}

// partDLP is the part of activities that needs a right of its own.
const partDLP = streamActivities + "/dlp"

// officeLimits are what an operator should know of the two streams.
var officeLimits = []string{
	"The unified audit log must be switched on in the tenant. After a content type's subscription is started, its first content may take 12 hours, and nothing from before it can be had.",
	"The Management Activity API keeps content for 7 days: an outage longer than that loses events, as a gap that the ledger names.",
	"It lists content by when it became available, not by when events happened: most workloads take up to 90 minutes, some longer, and none promises a time.",
	"Content that was not read within its 7 days is told as a dead letter and as a hole in the ledger.",
	"What data loss prevention has found (DetectedValues, with the right ActivityFeed.ReadDlp) is removed from raw; its kinds and counts stay.",
	"A content blob larger than 64 MiB is not read.",
	"A sharing that is taken away leaves file_permissions with the next complete round (full_every), for the change feed tells only what there is now; files.sharing changes at once.",
	"files.sharing tells how widely a file itself is shared. What it has from a folder, drive or site is written there; the view file_access has both.",
	"Of whom a link for certain people is for the vendor tells an address, not whether they are guests: a guest with an address in files.domains counts as the organization's own in files.sharing.",
	"A folder that is renamed or moved does not have the paths of what is in it told anew until the next complete round.",
	"A deleted file is removed as soft_deleted: Graph does not list the recycle bin.",
	"Management records of sharing do not wake the files stream: the change feed is asked for sharing changes itself.",
}

// ActivitySettings is what of the unified audit log is collected.
type ActivitySettings struct {
	ContentTypes []string      `key:"content_types" doc:"content types to collect: Audit.AzureActiveDirectory, Audit.Exchange, Audit.SharePoint, Audit.General, DLP.All; all, if none is named" example:"[Audit.Exchange, Audit.SharePoint]"`
	Since        time.Duration `key:"since" doc:"how far back collection begins, at most 7 days"`
}

// FileSettings is what of the files is collected.
type FileSettings struct {
	Domains []string `key:"domains" doc:"the organization's own mail domains: other addresses are external. Without it, those of a OneDrive are compared with its owner's, and others are known by guests' names or by not being in the directory" example:"[contoso.com]"`
}

// validate checks the two settings.
func (a *ActivitySettings) validate(key string) (errs []setting.KeyError) {
	for _, t := range a.ContentTypes {
		if !slices.Contains(contentTypes, t) {
			errs = append(errs, setting.KeyError{Key: key + ".content_types", Found: t, Accepted: strings.Join(contentTypes, ", ")})
		}
	}
	if a.Since < 0 || a.Since > manageRetention {
		errs = append(errs, setting.KeyError{Key: key + ".since", Found: a.Since.String(), Accepted: "a duration from 0s to " + manageRetention.String()})
	}
	return errs
}

// types are the content types to collect, in the API's order.
func (a *ActivitySettings) types() []string {
	if len(a.ContentTypes) == 0 {
		return contentTypes
	}
	return slices.DeleteFunc(slices.Clone(contentTypes), func(t string) bool { return !slices.Contains(a.ContentTypes, t) })
}

// office returns the streams of Office 365 that the cloud has.
func (s *session) office() (out []sources.Stream) {
	if f := s.feed(); f != nil {
		out = append(out, f.stream())
	}
	return append(out, (&library{s: s, domains: s.cfg.Files.Domains}).stream())
}

// feed is the Management Activity API; nil where the cloud has none.
func (s *session) feed() *feed {
	if s.manage == nil {
		return nil
	}
	return newFeed(s.manage, s.tenant, s.env.Clock, s.cfg.Activities.types(), s.cfg.Activities.Since)
}

// probeOffice is Probe of a capability of Office 365.
func (s *session) probeOffice(ctx context.Context, capability string) error {
	f := s.feed()
	switch {
	case capability == streamFiles:
		_, _, err := s.fetch(ctx, listing{path: httpx.P(pathSites), query: probe("id")}, "")
		return err
	case f == nil:
		return fault.New(fault.NotLicensed, "the cloud %s has no Management Activity API", s.cfg.Cloud)
	case capability != partDLP:
		return f.probe(ctx, "")
	case slices.Contains(f.types, dlp):
		return f.probe(ctx, dlp)
	}
	return nil // not collected
}

// stream is the stream of activities.
func (f *feed) stream() sources.Stream {
	return sources.Stream{Info: infoActivities, Lanes: f.lanes, Read: f.read, Span: f.span, Past: f.past}
}

// stream is the stream of files.
func (l *library) stream() sources.Stream {
	return sources.Stream{Info: infoFiles, Lanes: l.lanes, Read: l.read, Delta: l.delta, Ask: l.ask}
}

// mapKept makes a kept record of the Management Activity API into its row.
func (m *auditMapper) mapKept(raw string, rows *schemas.Rows) error {
	if !validRecord(raw) {
		return fault.New(fault.BadData, "the record is no JSON")
	}
	rows.Activities = append(rows.Activities, schemas.Activity{})
	if reason := m.mapRecord(&rows.Activities[len(rows.Activities)-1], raw); reason != "" {
		rows.Activities = rows.Activities[:len(rows.Activities)-1]
		return fault.New(fault.BadData, "%s", reason)
	}
	return nil
}
