package googleworkspace

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/internal/rawjson"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

const (
	streamAlerts = "alerts"
	pathAlerts   = "/v1beta1/alerts"

	alertsSince   = 30 * day  // how far back the first listing goes
	alertsOverlap = day       // that a poll looks back on
	alertsEvery   = time.Hour // between listings of all that may have been rewritten
)

var infoAlerts = sources.StreamInfo{
	Name: streamAlerts, Shape: sources.Log, Tables: []string{schemas.TableActivities},
	Every: 5 * time.Minute, Lateness: alertsOverlap, Keep: alertsSince + 8*day, Retention: alertsSince, Mutable: true, ShowsLate: true, Off: true,
	Doc: "alerts of the Alert Center; one that changes is told again",
}

var alertCapability = sources.Capability{
	Name: streamAlerts, Doc: "alerts of the Alert Center",
	Scopes: []string{"OAuth scope " + scopeAlerts + ", and an admin role of the subject with the privilege Alert Center > View access"},
	Where:  whereDelegation + "; roles under Account > Admin roles; the API is the Google Workspace Alert Center API",
}

// alertBuckets is far below the vendor's 150 requests a second of a user.
var alertBuckets = map[string]httpx.Limit{"": {Concurrency: 2, PerSecond: 10, Burst: 10}}

// alertCursor is a place in the list of alerts. Alerts are few: they are listed
// from a while ago, the newest first; the place moves when the list has been
// read to its end. Times are in ms.
type alertCursor struct {
	Version int    `json:"v"`
	Mark    int64  `json:"mark,omitzero"`  // everything before it was listed
	Swept   int64  `json:"swept,omitzero"` // when all that may have been rewritten was listed
	From    int64  `json:"from,omitzero"`  // of the list under way; 0: none is
	Began   int64  `json:"began,omitzero"` // when it began
	Sweep   bool   `json:"sweep,omitzero"` // it is of all that may have been rewritten
	Token   string `json:"token,omitzero"`
}

const alertVersion = 1

func parseAlertCursor(c sources.Cursor) (alertCursor, error) {
	if c == "" {
		return alertCursor{Version: alertVersion}, nil
	}
	var at alertCursor
	err := json.Unmarshal([]byte(c), &at, json.RejectUnknownMembers(true))
	if err != nil || at.Version != alertVersion || !goodToken(at.Token) || at.From < 0 || at.Mark < 0 {
		return alertCursor{}, fault.New(fault.Expired, "cursor %.40q is none of version %d", c, alertVersion)
	}
	return at, nil
}

func (at alertCursor) cursor() sources.Cursor {
	b, err := json.Marshal(at)
	if err != nil {
		panic(err) // a struct of text and numbers
	}
	return sources.Cursor(b)
}

// begin begins a list, where none is under way; it returns from when the alerts
// are read anew.
func (at *alertCursor) begin(now time.Time) (anew int64) {
	if at.From != 0 {
		return 0
	}
	at.Began, at.Sweep = now.UnixMilli(), false
	at.From = at.Mark - alertsOverlap.Milliseconds()
	oldest := now.Add(-alertsSince).UnixMilli()
	if at.Mark < oldest {
		anew = oldest
	}
	if at.From < oldest || at.Began-at.Swept >= alertsEvery.Milliseconds() {
		at.From, at.Sweep = oldest, true
	}
	return anew
}

// done ends the list under way.
func (at *alertCursor) done() {
	if at.Sweep {
		at.Swept = at.Began
	}
	*at = alertCursor{Version: at.Version, Mark: at.Began, Swept: at.Swept}
}

// alertStream is the stream of alerts.
func (s *session) alertStream() sources.Stream {
	return sources.Stream{Info: infoAlerts, Read: s.readAlerts}
}

// readAlerts implements sources.Stream.Read.
func (s *session) readAlerts(ctx context.Context, _ sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		if err := s.eachAlertPage(ctx, c, yield); err != nil {
			yield(nil, err)
		}
	}
}

func (s *session) eachAlertPage(ctx context.Context, c sources.Cursor, yield func(*sources.Page, error) bool) error {
	at, err := parseAlertCursor(c)
	if err != nil {
		return err
	}
	tenant, err := s.Tenant(ctx)
	if err != nil {
		return err
	}
	m, rows := newActivityMapper(), schemas.Rows{}
	for {
		anew := at.begin(s.env.Clock.Now())
		resp, next, err := s.fetchAlerts(ctx, &at)
		if err != nil {
			return err
		}
		page := &sources.Page{Rows: &rows, Since: schemas.Time(anew)}
		m.reset()
		rows.Activities = rows.Activities[:0]
		item := 0
		for raw, err := range httpx.ElementsIf(resp, "alerts") {
			if err != nil {
				return err
			}
			item++
			var a schemas.Activity
			if reason := m.mapAlert(&a, alias(raw), tenant); reason != "" {
				page.Rejected = append(page.Rejected, sources.Reject{Ref: fmt.Sprintf("alert %d of %s", item, resp.Endpoint), Reason: reason, Raw: string(raw)})
				continue
			}
			rows.Activities = append(rows.Activities, a)
		}
		if at.Token = next; next == "" {
			// Nothing is complete up to a time that the vendor's clock has not come to.
			at.Began = min(at.Began, resp.At.Add(resp.Skew).UnixMilli())
			at.done()
			page.Watermark = schemas.Time(at.Mark - infoAlerts.Lateness.Milliseconds())
		}
		page.Next, page.More = at.cursor(), next != ""
		if !yield(page, nil) || !page.More {
			return nil
		}
	}
}

// fetchAlerts gets a page of the list under way. A token that is refused has the
// list read anew.
func (s *session) fetchAlerts(ctx context.Context, at *alertCursor) (*httpx.Response, string, error) {
	resp, next, err := s.alertsFrom(ctx, at.From, at.Token, "")
	if at.Token != "" && fault.Of(err) == fault.BadData {
		at.Token = ""
		resp, next, err = s.alertsFrom(ctx, at.From, "", "")
	}
	return resp, next, err
}

// alertsFrom lists alerts that were made since a time, the newest first.
func (s *session) alertsFrom(ctx context.Context, from int64, token, size string) (*httpx.Response, string, error) {
	query := url.Values{"filter": {`createTime >= "` + time.UnixMilli(from).UTC().Format(time.RFC3339) + `"`}, "orderBy": {"create_time desc"}}
	if id, isID := strings.CutPrefix(s.cfg.Customer, "C"); isID {
		query.Set("customerId", id)
	}
	if token != "" {
		query.Set("pageToken", token)
	}
	if size != "" {
		query.Set("pageSize", size)
	}
	resp, err := s.alertAPI.As(s.cfg.Auth.Subject, s.acting(s.cfg.Auth.Subject, []string{scopeAlerts}), httpx.Limit{}).Do(ctx, &httpx.Request{Path: httpx.P(pathAlerts), Query: query})
	if err != nil {
		return nil, "", err
	}
	var body struct {
		Next text `json:"nextPageToken"`
	}
	if err := httpx.Decode(resp, &body); err != nil {
		return nil, "", err
	}
	next := strings.Clone(string(body.Next))
	switch {
	case !goodToken(next):
		err = fault.New(fault.BadData, "%s: the token of the next page holds what none does, or is longer than %d bytes", resp.Endpoint, maxPageToken)
	case next != "" && next == token:
		err = fault.New(fault.Transient, "%s: the token of the next page is the page's own", resp.Endpoint)
	}
	return resp, next, err
}

// probeAlerts tells whether alerts can be listed.
func (s *session) probeAlerts(ctx context.Context) error {
	_, _, err := s.alertsFrom(ctx, s.env.Clock.Now().Add(-day).UnixMilli(), "", "1")
	return err
}

// mapAlert maps an alert, whose JSON syntax has been checked. Strings of the row
// alias raw.
func (m *activityMapper) mapAlert(a *schemas.Activity, raw, tenant string) (reason string) {
	*a = schemas.Activity{
		Raw: raw, Kind: "alert", Access: activityUnknown, Outcome: "success", StatusID: schemas.StatusSuccess, ActorKind: "system",
		Service: "alertcenter", ScopeID: tenant, ClassUID: schemas.ClassDetectionFinding, ActivityID: 1, SeverityID: schemas.SeverityInformational,
	}
	if raw == "" || raw[0] != '{' {
		return "an alert is no JSON object"
	}
	var created, updated, data string
	for f := rawjson.Members(raw); ; {
		name, v, ok := f.Next()
		if !ok {
			break
		}
		switch name {
		case "alertId":
			a.EventID = rawjson.Text(v)
		case "createTime":
			created = rawjson.Text(v)
		case "updateTime":
			updated = rawjson.Text(v)
		case "type":
			a.Action = rawjson.Text(v)
		case "source":
			a.ActorName = rawjson.Text(v)
		case "data":
			data = v
		case "metadata":
			if severity := activitySeverities[rawjson.Text(rawjson.Member(v, "severity"))]; severity != 0 {
				a.SeverityID = severity
			}
			if rawjson.Text(rawjson.Member(v, "status")) == "CLOSED" {
				a.ActivityID = 3
			}
		}
	}
	a.Time = parseActivityTime(created)
	switch {
	case a.EventID == "":
		return "the alert has no alertId"
	case a.Time == 0:
		return "the alert has no createTime"
	case a.Action == "":
		return "the alert has no type"
	case a.ActivityID == 1 && updated != "" && updated != created:
		a.ActivityID = 2
	}
	m.lists.Begin()
	m.alertData(a, data)
	m.lists.SetTargets(a)
	return ""
}

// alertData reads what an alert is about, by the members that kinds of alerts
// have in common.
//
// Source: Alert Center discovery document, types of data.
func (m *activityMapper) alertData(a *schemas.Activity, data string) {
	for f := rawjson.Members(data); ; {
		name, v, ok := f.Next()
		if !ok {
			return
		}
		switch name {
		case "email", "userEmail", "updatedAdminEmail":
			m.person(rawjson.Text(v))
		case "actorEmail":
			if who := strings.ToLower(rawjson.Text(v)); who != "" {
				a.ActorID, a.ActorName, a.ActorEmail, a.ActorKind = who, "", who, "human"
			}
		case "affectedUserEmails":
			for l := rawjson.Elements(v); ; {
				who, ok := l.Next()
				if !ok {
					break
				}
				m.person(rawjson.Text(who))
			}
		case "loginDetails":
			if ip, ok := schemas.CanonicalIP(rawjson.Text(rawjson.Member(v, "ipAddress"))); ok {
				a.SrcIP, a.IPs = ip, m.lists.Keep(ip)
			}
		case "ruleViolationInfo":
			m.person(rawjson.Text(rawjson.Member(v, "triggeringUserEmail")))
		}
	}
}
