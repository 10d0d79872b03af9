package googleworkspace

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/internal/sandbox/org"
)

// applications are those that a report can be asked of (5.7).
var applications = strings.Fields(`access_transparency admin calendar chat drive gcp gmail gplus groups groups_enterprise jamboard login meet mobile rules saml token user_accounts
	context_aware_access chrome data_studio keep vault gemini_in_workspace_apps classroom assignments cloud_search tasks data_migration meet_hardware directory_sync ldap profile
	access_evaluation admin_data_action contacts takeout graduation voice chrome_sync workspace_studio gemini_notebook`)

// item is an item of the audit log: of one application, at one time.
type item struct {
	app    string
	events []org.ReportEvent
	failed string // why it did not succeed
}

// entry is where an item stands in the log of its application.
type entry struct {
	e       *org.Event
	n       int       // among the items of its event
	visible time.Time // when it can be seen
	again   bool      // it is there once more
}

func (x *entry) place() string {
	again := 0
	if x.again {
		again = 1
	}
	return fmt.Sprintf("%015d/%09d/%d/%d", x.e.At.UnixMilli(), x.e.N, x.n, again)
}

func order(a, b *entry) int {
	again := func(x *entry) int {
		if x.again {
			return 1
		}
		return 0
	}
	return cmp.Or(a.e.At.Compare(b.e.At), cmp.Compare(a.e.N, b.e.N), cmp.Compare(a.n, b.n), cmp.Compare(again(a), again(b)))
}

// reports is what the audit log has, by application, in the order in which it
// happened.
type reports struct {
	mu   sync.Mutex
	next int // event that has not been looked at
	logs map[string][]*entry
	came map[string][]*entry // the same, in the order in which it came
}

func newReports() *reports {
	return &reports{logs: map[string][]*entry{}, came: map[string][]*entry{}}
}

// log returns the log of an application, up to now.
func (h *Handler) log(s *org.State, name string) []*entry {
	r := h.reports
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range s.Events[app][r.next:] {
		for n, it := range h.items(s, e) {
			r.add(it.app, &entry{e: e, n: n, again: e.Again, visible: h.visible(e, n, it)})
		}
	}
	r.next = len(s.Events[app])
	return r.logs[name]
}

// add puts an entry where it belongs, mostly at the end; the reports are held.
func (r *reports) add(name string, x *entry) {
	line := r.logs[name]
	i := len(line)
	for i > 0 && order(x, line[i-1]) < 0 {
		i--
	}
	r.logs[name] = slices.Insert(line, i, x)
	r.came[name] = append(r.came[name], x)
}

// visible is when an item can be seen: so much later than it happened as is usual
// for its application. What happened before the tenant began comes when the
// organization's journal has it: of a life that stands still, the log has no more
// to tell than that of other vendors.
func (h *Handler) visible(e *org.Event, n int, it item) time.Time {
	max := h.facts.lag(it)
	lag := time.Duration(h.noise("lag "+it.app, e.N*8+n, 1000)) * max / 1000
	if h.noise("slow "+it.app, e.N*8+n, 40) == 0 {
		lag += 2 * max
	}
	at := e.Seen.Add(lag)
	if e.At.Before(h.began) {
		at = e.Seen
	}
	f := h.Faults()
	extra := f.Late[""]
	if d, ok := f.Late[it.app]; ok {
		extra = d
	}
	return at.Add(time.Duration(h.noise("late", e.N*8+n, 1000)) * extra / 1000)
}

// lag is what is usual for an application (5.7).
func (f *Facts) lag(it item) time.Duration {
	if it.app == "login" && len(it.events) > 0 && it.events[0].Type != "login" {
		return f.Lag["login changes"]
	}
	if d, ok := f.Lag[it.app]; ok {
		return d
	}
	return f.Lag[""]
}

// reportQuery is what of a report is asked for.
type reportQuery struct {
	name       string
	user       *org.Account // nil: all
	from, to   time.Time
	event, ip  string
	unit       int
	conditions []string
}

func parseTime(text string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, text)
	return t.UTC(), err == nil
}

// asked reads what of a report is asked for.
func (c *call) asked() (q *reportQuery, f *failure) {
	q = &reportQuery{name: c.args[1], event: c.q.Get("eventName"), ip: c.q.Get("actorIpAddress"), to: c.now.Add(time.Hour), unit: -1}
	filtered := q.event != "" || q.ip != "" || c.args[0] != "all" || c.q.Get("filters") != "" || c.q.Get("orgUnitID") != "" || c.q.Get("groupIdFilter") != ""
	if filtered {
		if f := c.admit("filter", c.h.facts.FilterRate, 1); f != nil {
			return nil, f
		}
	}
	if !c.may(nil, "REPORTS_ACCESS") {
		f := refuse(http.StatusUnauthorized, "authError", "Access denied. You are not authorized to read activity records.")
		f.location = "Authorization"
		return nil, f
	}
	if !slices.Contains(applications, q.name) || c.h.unlicensed(q.name) {
		return nil, invalid("Invalid value for: applicationName")
	}
	if id := c.q.Get("customerId"); id != "" && id != c.h.customer && id != "my_customer" {
		return nil, notAuthorized()
	}
	if c.args[0] != "all" {
		if q.user = c.h.accountByKey(c.s, c.args[0]); q.user == nil {
			return nil, invalid("Invalid value for: userKey")
		}
	}
	return q, c.askedMore(q)
}

// askedMore reads the window and the filters.
func (c *call) askedMore(q *reportQuery) *failure {
	var ok bool
	if text := c.q.Get("startTime"); text != "" {
		if q.from, ok = parseTime(text); !ok {
			return invalid("Invalid value for: startTime")
		}
	}
	if text := c.q.Get("endTime"); text != "" {
		if q.to, ok = parseTime(text); !ok {
			return invalid("Invalid value for: endTime")
		}
	}
	start, end := c.q.Has("startTime"), c.q.Has("endTime")
	switch {
	case start && q.from.Before(c.now.Add(-c.h.facts.Retention)):
		return invalid("Start time can not be older than 180 days: startTime")
	case start && end && q.to.Before(q.from):
		return invalid("Invalid Input: endTime is before startTime")
	case q.name == "gmail" && c.h.facts.NeedsGmailWindow && (!start || !end || q.to.Sub(q.from) > c.h.facts.GmailSpan):
		return invalid("Invalid Input: startTime and endTime are needed, 30 days apart at most")
	}
	if text := c.q.Get("filters"); text != "" {
		q.conditions = strings.Split(text, ",")
		for _, x := range q.conditions {
			if _, _, _, ok := condition(x); !ok {
				return invalid("Invalid value for: filters")
			}
		}
	}
	if id := c.q.Get("orgUnitID"); id != "" {
		for _, u := range c.s.ResourceSets[app] {
			if strings.TrimPrefix(c.h.unitID(u.N), "id:") == strings.TrimPrefix(id, "id:") {
				q.unit = u.N
			}
		}
		if q.unit < 0 {
			return invalid("Invalid value for: orgUnitID")
		}
	}
	if text := c.q.Get("maxResults"); text != "" {
		if n, err := strconv.Atoi(text); err != nil || n < 1 || n > c.h.facts.Activities.Max {
			return invalid("Invalid value '%s'. Values must be within the range: [1, %d]", text, c.h.facts.Activities.Max)
		}
	}
	return nil
}

// unlicensed says whether the customer has no licence for an application.
func (h *Handler) unlicensed(name string) bool {
	return strings.HasPrefix(h.t.Name, "starter-") && slices.Contains(starterLacks, name) || slices.Contains(h.Faults().Unlicensed, name)
}

// starterLacks are applications that a customer whose name begins with "starter-"
// has no licence for.
var starterLacks = []string{"drive", "vault", "access_transparency", "rules", "context_aware_access", "gemini_in_workspace_apps"}

// condition reads one filter: param, operator and value.
func condition(text string) (param, operator, value string, ok bool) {
	for _, op := range []string{"==", "<>", "<=", ">=", "<", ">"} {
		if param, value, ok = strings.Cut(text, op); ok {
			return param, op, value, true
		}
	}
	return "", "", "", false
}

// fits says whether an item is asked for, but for its time.
func (q *reportQuery) fits(s *org.State, x *entry, it item) bool {
	if q.user != nil && x.e.Actor != (org.Ref{Kind: org.AccountRef, N: q.user.N}) || q.ip != "" && x.e.Client.IP != q.ip {
		return false
	}
	if q.unit >= 0 && (x.e.Actor.Kind != org.AccountRef || !within(s, s.Accounts[app][x.e.Actor.N].OrgUnit, q.unit)) {
		return false
	}
	return slices.ContainsFunc(it.events, func(e org.ReportEvent) bool {
		if q.event != "" && e.Name != q.event {
			return false
		}
		return !slices.ContainsFunc(q.conditions, func(text string) bool { return !holds(e, text) })
	})
}

// holds says whether a condition holds for an event: values compare as text.
func holds(e org.ReportEvent, text string) bool {
	name, operator, value, _ := condition(text)
	for _, p := range e.Params {
		if p.Name != name {
			continue
		}
		switch is := strings.Compare(fmt.Sprint(p.Value), value); operator {
		case "==":
			return is == 0
		case "<>":
			return is != 0
		case "<":
			return is < 0
		case "<=":
			return is <= 0
		case ">":
			return is > 0
		default:
			return is >= 0
		}
	}
	return false
}

// activities answers GET /activity/users/{userKey}/applications/{applicationName}.
func (c *call) activities() *failure {
	q, f := c.asked()
	if f != nil {
		return f
	}
	l := &listing{name: "activities", size: c.h.facts.Activities, sizeName: "maxResults", life: day}
	size, f := c.sized(l)
	if f != nil {
		return f
	}
	x, f := c.page(l)
	if f != nil {
		return f
	}
	line := c.h.log(c.s, q.name)
	answer := object{"kind": "admin#reports#activities", "etag": c.h.etag("activities", q.name, c.now)}
	var page []object
	next, last := "", ""
	step := func(e *entry) bool {
		switch {
		case e.visible.After(c.now) || e.e.At.Before(q.from) || !e.e.At.Before(q.to) || e.e.At.Before(c.now.Add(-c.h.facts.Retention)):
			return true
		case !x.fresh && (c.h.facts.NewestFirst && e.place() >= x.key || !c.h.facts.NewestFirst && e.place() <= x.key):
			return true
		}
		it := c.h.items(c.s, e.e)[e.n]
		if !q.fits(c.s, e, it) {
			return true
		}
		if len(page) == size {
			x.key = last
			next = c.next(l, x)
			return false
		}
		last = e.place()
		page = append(page, c.h.activityView(c.s, e, it))
		return true
	}
	begin := 0
	if !q.from.IsZero() {
		begin, _ = slices.BinarySearchFunc(line, q.from, func(e *entry, t time.Time) int {
			if e.e.At.Before(t) {
				return -1
			}
			return 1
		})
	}
	if c.h.facts.NewestFirst {
		for i := len(line) - 1; i >= begin && step(line[i]); i-- {
		}
	} else {
		for i := begin; i < len(line) && step(line[i]); i++ {
		}
	}
	return c.send(c.put(answer, "items", page, next))
}
