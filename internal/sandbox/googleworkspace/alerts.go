package googleworkspace

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// alert is an alert of the Alert Center (5.10), of an event.
type alert struct {
	e          *org.Event
	kind, data string
	severity   string
	status     string
	created    time.Time
	updated    time.Time
}

// What becomes of an alert.
const (
	alertTaken  = 6 * time.Hour
	alertClosed = 30 * time.Hour
)

// alertsShown says whether the customer has alerts: those whose names begin with
// "alerts-", and others while Faults say so.
func (h *Handler) alertsShown() bool {
	return strings.HasPrefix(h.t.Name, "alerts-") || h.Faults().Alerts
}

// alerts are what the vendor has noticed, as it is now: somebody takes an alert in
// hand, and closes it the next day, which changes it in its place.
func (h *Handler) alerts(s *org.State) (out []alert) {
	if !h.alertsShown() {
		return nil
	}
	for _, e := range s.Timeline[app] {
		x := alert{e: e, kind: "Suspicious login", data: "AccountWarning", severity: "MEDIUM", status: "NOT_STARTED", created: e.Seen}
		switch {
		case e.Verb == org.ThreatDetected:
		case e.Verb == org.AccountSuspend && e.Actor.Kind == org.SystemRef:
			x.kind, x.severity = "User suspended", "HIGH"
		default:
			continue
		}
		x.updated = x.created
		if at := x.created.Add(alertTaken); s.Over(at) {
			x.status, x.updated = "IN_PROGRESS", at
		}
		if at := x.created.Add(alertClosed); s.Over(at) {
			x.status, x.updated = "CLOSED", at
		}
		out = append(out, x)
	}
	return out
}

func (h *Handler) alertID(x *alert) string {
	b := h.hash("alert", x.e.N)
	return letters(b, 8) + "-" + letters([32]byte(append(b[8:], b[:8]...)), 12)
}

func (h *Handler) alertView(s *org.State, x *alert) object {
	a := s.Accounts[app][x.e.Targets[0].N]
	id, customer := h.alertID(x), strings.TrimPrefix(h.customer, "C")
	data := object{"@type": "type.googleapis.com/google.apps.alertcenter.type." + x.data, "email": a.Login}
	if x.e.Client.IP != "" {
		data["loginDetails"] = object{"loginTime": stamp(x.e.At), "ipAddress": x.e.Client.IP}
	}
	etag := h.etag("alert", x.e.N, x.status)
	return object{
		"customerId": customer, "alertId": id, "createTime": stamp(x.created), "startTime": stamp(x.e.At), "updateTime": stamp(x.updated), "type": x.kind, "source": "Google identity", "data": data,
		"securityInvestigationToolLink": "https://admin.google.com/ac/sc/investigation?alert=" + id, "deleted": false, "etag": etag,
		"metadata": object{"customerId": customer, "alertId": id, "status": x.status, "severity": x.severity, "updateTime": stamp(x.updated), "etag": etag},
	}
}

// alertTerm is one term of filter=.
var alertTerm = regexp.MustCompile(`^\s*(createTime|updateTime|create_time|update_time)\s*(>=|<=|>|<)\s*"([^"]+)"\s*$`)

// alertFilter reads filter=: terms on times that all must hold.
func alertFilter(text string) (func(*alert) bool, bool) {
	fits := func(*alert) bool { return true }
	if text == "" {
		return fits, true
	}
	for _, term := range strings.Split(text, " AND ") {
		m := alertTerm.FindStringSubmatch(term)
		if m == nil {
			return nil, false
		}
		bound, ok := parseTime(m[3])
		if !ok {
			return nil, false
		}
		before := fits
		fits = func(x *alert) bool {
			at := x.created
			if strings.HasPrefix(m[1], "update") {
				at = x.updated
			}
			c := at.Truncate(time.Millisecond).Compare(bound)
			return before(x) && (c > 0 && m[2][0] == '>' || c < 0 && m[2][0] == '<' || c == 0 && len(m[2]) == 2)
		}
	}
	return fits, true
}

// listAlerts answers GET /v1beta1/alerts.
func (c *call) listAlerts() *failure {
	if id := c.q.Get("customerId"); id != "" && id != strings.TrimPrefix(c.h.customer, "C") {
		return notAuthorized()
	}
	fits, ok := alertFilter(c.q.Get("filter"))
	if !ok {
		return invalid("Invalid value for: filter")
	}
	all := slices.DeleteFunc(c.h.alerts(c.s), func(x alert) bool { return !fits(&x) })
	by, desc := strings.CutSuffix(c.q.Get("orderBy"), " desc")
	at := func(x alert) time.Time { return x.created }
	switch by = strings.TrimSuffix(by, " asc"); by {
	case "", "create_time":
		desc = desc || by == ""
	case "update_time":
		at = func(x alert) time.Time { return x.updated }
	default:
		return invalid("Invalid value for: orderBy")
	}
	key := func(x alert) string {
		ms := at(x).UnixMilli()
		if desc {
			ms = 1e15 - ms
		}
		return padded(ms) + "/" + padded(int64(x.e.N))
	}
	slices.SortFunc(all, func(a, b alert) int { return strings.Compare(key(a), key(b)) })
	l := &listing{name: "alerts", size: Page{100, 1000}, sizeName: "pageSize"}
	page, next, f := list(c, l, all, key, func(x alert) object { return c.h.alertView(c.s, &x) })
	if f != nil {
		return f
	}
	return c.send(c.put(object{}, "alerts", page, next))
}

func padded(n int64) string {
	text := itoa(n)
	return strings.Repeat("0", max(0, 16-len(text))) + text
}

// oneAlert answers GET /v1beta1/alerts/{alertId}.
func (c *call) oneAlert() *failure {
	for _, x := range c.h.alerts(c.s) {
		if c.h.alertID(&x) == c.args[0] {
			return c.send(c.h.alertView(c.s, &x))
		}
	}
	return refuse(http.StatusNotFound, "notFound", "Requested entity was not found.")
}
