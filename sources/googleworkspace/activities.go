package googleworkspace

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// ActivitySettings is about the audit logs.
type ActivitySettings struct {
	Applications []string      `key:"applications" doc:"the applications whose logs are read, by the names that the Reports API has for them; one that the edition lacks is left out, and named by weir status"`
	Since        time.Duration `key:"since" doc:"how far back the first collection goes; Google keeps 180 days"`
	Lateness     time.Duration `key:"lateness" doc:"how late after it happened an event may appear and still be collected: what is that old is read again"`
}

const (
	streamActivities = "activities"
	pathActivities   = "/admin/reports/v1/activity/users/all/applications/{applicationName}"
	activitiesKind   = "admin#reports#activities"

	// activityRetention is how far back is asked for: of what is older than 180
	// days the vendor refuses to speak at all.
	activityRetention = 179 * day

	usualActivityLateness = 72 * time.Hour
	minActivityLateness   = 6 * time.Hour // what a poll looks back on
	maxActivityLateness   = 7 * day
	activityIDs           = 4 * day // that seen ids are kept beyond the lateness: sweeps gather a day
)

// activityApplications are the applications of the Reports API, and how much of
// its log a poll reads again: as late as its events usually come.
//
// Source: Reports discovery document; lag by https://support.google.com/a/answer/7061566.
var activityApplications = []struct {
	name    string
	overlap time.Duration
}{
	{"access_transparency", promptOverlap},
	{"admin", promptOverlap},
	{"calendar", usualOverlap},
	{"chat", promptOverlap},
	{"drive", usualOverlap},
	{"gcp", usualOverlap},
	{"gmail", usualOverlap},
	{"gplus", usualOverlap},
	{"groups", usualOverlap},
	{"groups_enterprise", usualOverlap},
	{"jamboard", usualOverlap},
	{"login", usualOverlap},
	{"meet", usualOverlap},
	{"mobile", promptOverlap},
	{"rules", usualOverlap},
	{"saml", promptOverlap},
	{"token", usualOverlap},
	{"user_accounts", usualOverlap},
	{"context_aware_access", promptOverlap},
	{"chrome", promptOverlap},
	{"data_studio", usualOverlap},
	{"keep", usualOverlap},
	{"vault", usualOverlap},
	{"gemini_in_workspace_apps", usualOverlap},
	{"classroom", promptOverlap},
	{"assignments", promptOverlap},
	{"cloud_search", usualOverlap},
	{"tasks", usualOverlap},
	{"data_migration", promptOverlap},
	{"meet_hardware", usualOverlap},
	{"directory_sync", usualOverlap},
	{"ldap", usualOverlap},
	{"profile", usualOverlap},
	{"access_evaluation", promptOverlap},
	{"admin_data_action", promptOverlap},
	{"contacts", usualOverlap},
	{"takeout", usualOverlap},
	{"graduation", usualOverlap},
	{"voice", usualOverlap},
	{"chrome_sync", usualOverlap},
	{"workspace_studio", usualOverlap},
	{"gemini_notebook", usualOverlap},
}

const (
	promptOverlap = time.Hour
	usualOverlap  = 6 * time.Hour // also of applications that are not in the list
)

func overlapOf(application string) time.Duration {
	for _, a := range activityApplications {
		if a.name == application {
			return a.overlap
		}
	}
	return usualOverlap
}

// inEveryEdition tells the applications that every customer has.
func inEveryEdition(application string) bool { return application == "admin" || application == "login" }

func defaultActivities() ActivitySettings {
	a := ActivitySettings{Since: activityRetention, Lateness: usualActivityLateness}
	for _, app := range activityApplications {
		a.Applications = append(a.Applications, app.name)
	}
	return a
}

func (a *ActivitySettings) validate() (errs []setting.KeyError) {
	bad := func(key, found, accepted string) {
		errs = append(errs, setting.KeyError{Key: "activities." + key, Found: found, Accepted: accepted})
	}
	if len(a.Applications) == 0 {
		bad("applications", "", "at least one application")
	}
	for i, app := range a.Applications {
		switch {
		case !validApplication(app):
			bad("applications", app, "names of applications, such as login: lower-case letters, digits and _")
		case slices.Contains(a.Applications[:i], app):
			bad("applications", app, "each application once")
		}
	}
	if a.Since <= 0 {
		bad("since", setting.FormatDuration(a.Since), "a time back from now, such as 30d")
	}
	if a.Lateness < minActivityLateness || a.Lateness > maxActivityLateness {
		bad("lateness", setting.FormatDuration(a.Lateness), setting.FormatDuration(minActivityLateness)+" to "+setting.FormatDuration(maxActivityLateness))
	}
	return errs
}

func validApplication(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

var activityInfos = []sources.StreamInfo{lateActivities(sources.StreamInfo{
	Name: streamActivities, Shape: sources.Log, Tables: []string{schemas.TableActivities},
	Every: 5 * time.Minute, Retention: activityRetention, Back: true,
	Doc: "the audit logs of the Reports API, one for each application: sign-ins, what administrators change, tokens, Drive and the others",
}, usualActivityLateness), infoAlerts}

// lateActivities is the declaration with the lateness of a configuration. A poll
// finds what is as late as usual; what is later, the pipeline's sweeps find.
func lateActivities(info sources.StreamInfo, lateness time.Duration) sources.StreamInfo {
	info.Lateness, info.Keep = lateness, lateness+activityIDs
	return info
}

// adjust implements sources.Connector.Adjust.
func adjust(c setting.Struct, info sources.StreamInfo) sources.StreamInfo {
	if cfg, ok := c.(*Config); ok && info.Name == streamActivities {
		return lateActivities(info, cfg.Activities.Lateness)
	}
	return info
}

var (
	activityCapabilities = []sources.Capability{{
		Name: streamActivities, Doc: "the audit logs of all applications that the edition has",
		Scopes: []string{"OAuth scope " + scopeReports + ", and an admin role of the subject with the privilege Reports"},
		Where:  whereDelegation + "; roles under Account > Admin roles",
	}, alertCapability}
	activityLimits = []string{
		"Google shows events minutes to hours after they happened, and not in their order; what is later than activities.lateness is not collected.",
		"The log of an application that the edition lacks is refused: it is left out, named by weir status, and asked for again at each poll.",
		"The application user_accounts repeats what login tells of passwords, second factors, recovery and forwarding: rows with service user_accounts are the second.",
		"Drive writes several events for one act; those that follow from another hold primary_event false among their changes.",
		"Of the admin log Google writes some acts twice, under an old and a new name.",
		"The Alert Center does not tell which alerts were rewritten: those of the last 30 days are listed once an hour, and what changed is told again.",
		"Events say people and groups by their e-mail addresses: target_id is the address.",
	}
)

// whereDelegation is where scopes are granted to a service account.
const whereDelegation = "Admin console: Security > Access and data control > API controls > Domain-wide delegation"

// activityState is what the streams of the logs keep in a session.
type activityState struct {
	pages    sync.Pool // of *activityPage
	channels channels
}

func (a *activityState) init() { a.pages.New = func() any { return newActivityPage() } }

func (s *session) activityStreams() []sources.Stream {
	return []sources.Stream{{
		Info:  lateActivities(activityInfos[0], s.cfg.Activities.Lateness),
		Lanes: s.activityLanes, Read: s.readActivities, Past: s.pastActivities, Span: pastSpan,
	}, s.alertStream()}
}

// activityLanes lists a lane for each application. What a poll leaves unread,
// lanes that fail, the pipeline knows.
func (s *session) activityLanes(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		page := &sources.LanePage{Complete: true}
		for _, app := range s.cfg.Activities.Applications {
			page.Lanes = append(page.Lanes, sources.Lane{ID: app})
		}
		page.CoveredTo = schemas.Time(s.env.Clock.Now().Add(-s.cfg.Activities.Lateness).UnixMilli())
		yield(page, nil)
	}
}

// probeActivities answers Probe for the capabilities of the logs; ok is whether
// it is one of them.
func (s *session) probeActivities(ctx context.Context, capability string) (ok bool, err error) {
	switch capability {
	case streamActivities:
	case streamAlerts:
		return true, s.probeAlerts(ctx)
	default:
		return false, nil
	}
	app := s.cfg.Activities.Applications[0]
	if i := slices.IndexFunc(s.cfg.Activities.Applications, inEveryEdition); i >= 0 {
		app = s.cfg.Activities.Applications[i]
	}
	now := s.env.Clock.Now()
	l := s.activityListing(app, now.Add(-time.Hour).UnixMilli(), now.UnixMilli())
	l.query.Set("maxResults", "1")
	_, _, err = s.fetch(ctx, l, "", now)
	return true, explainActivities(app, err)
}

// activityListing is an application's log between two times, in ms.
func (s *session) activityListing(app string, from, to int64) listing {
	stamp := func(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
	query := url.Values{"startTime": {stamp(from)}, "endTime": {stamp(to)}, "maxResults": {"1000"}}
	if s.cfg.Customer != myCustomer {
		query.Set("customerId", s.cfg.Customer) // a service account has no customer of its own
	}
	return listing{client: s.admin(scopeReports), path: httpx.P(pathActivities, app), query: query, kind: activitiesKind, member: "items"}
}

// explainActivities words a refusal of an application's log. That an application
// is unknown, or not in the edition, comes as a bad request.
func explainActivities(app string, err error) error {
	switch {
	case fault.Of(err) != fault.BadData || httpx.StatusOf(err) == 0:
		return err
	case inEveryEdition(app):
		return fault.New(fault.Permanent, "Google refuses the question for its log of %s, which every edition has: %w", app, err)
	}
	return fault.New(fault.NotLicensed, "there is no log of %s: the edition lacks it, or there is no application of that name: %w", app, err)
}

// activityPage is the memory of one page.
type activityPage struct {
	mapper *activityMapper
	rows   schemas.Rows
	page   sources.Page
}

func newActivityPage() *activityPage { return &activityPage{mapper: newActivityMapper()} }

// fill maps an answer's items, whose rows' strings alias the answer's body.
func (p *activityPage) fill(r *httpx.Response) error {
	p.mapper.reset()
	p.rows.Activities = p.rows.Activities[:0]
	p.page = sources.Page{Rows: &p.rows, Rejected: p.page.Rejected[:0]}
	item := 0
	for raw, err := range httpx.ElementsIf(r, "items") {
		if err != nil {
			return err
		}
		item++
		p.mapper.mapItem(alias(raw), &p.rows, func(reason string) {
			p.page.Rejected = append(p.page.Rejected, sources.Reject{Ref: fmt.Sprintf("item %d of %s", item, r.Endpoint), Reason: reason, Raw: string(raw)})
		})
	}
	return nil
}

// release gives a page's memory back, without what it holds on to: an answer's
// whole body.
func (s *session) releaseActivities(p *activityPage) {
	clear(p.rows.Activities[:cap(p.rows.Activities)])
	p.mapper.release()
	p.page = sources.Page{}
	s.activity.pages.Put(p)
}
