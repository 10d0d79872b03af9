package microsoft365

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// feedPath is where the Management Activity API is, below the base of its host,
// with the version and the tenant.
var feedPath = regexp.MustCompile(`^/api/(v1\.0|v1)/([^/]+)/activity/feed/(.*)$`)

var guidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)

// feedCall is a request to the Management Activity API.
type feedCall struct {
	h      *Handler
	w      http.ResponseWriter
	r      *http.Request
	s      *org.State
	q      url.Values
	facts  *OfficeFacts
	kind   string // content type
	tenant string
}

// afError is an error as the Management Activity API answers it.
type afError struct {
	status        int
	code, message string
}

func af(status int, code, format string, args ...any) *afError {
	return &afError{status, code, fmt.Sprintf(format, args...)}
}

// failFeed answers with an error. Some bodies come in single quotes (7).
func failFeed(w http.ResponseWriter, e *afError) {
	body := fmt.Sprintf(`{"error":{"code":%q,"message":%q}}`, e.code, e.message)
	if e.status == http.StatusForbidden || e.status >= 500 {
		body = strings.ReplaceAll(body, `"`, `'`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(e.status)
	_, _ = io.WriteString(w, body) // the client may be gone
}

// serve answers below the path of the feed. The token has been checked; its
// roles are given.
func (c *feedCall) serve(rest string, roles []string) *afError {
	publisher := c.q.Get("PublisherIdentifier")
	switch {
	case !guidPattern.MatchString(c.tenant):
		return af(http.StatusBadRequest, "AF20013", "The tenant ID passed in the URL (%s) is not a valid GUID.", c.tenant)
	case !strings.EqualFold(c.tenant, c.h.tenantID):
		return af(http.StatusBadRequest, "AF20010", "The tenant ID passed in the URL (%s) does not match the tenant ID passed in the access token (%s).", c.tenant, c.h.tenantID)
	case !slices.Contains(roles, "ActivityFeed.Read"):
		return af(http.StatusForbidden, "AF10001", "The permission set (%s) sent in the request did not include the expected permission ActivityFeed.Read.", strings.Join(roles, " "))
	case publisher == "":
		c.h.t.Violate("publisher_identifier", c.r.Method+" "+c.r.URL.Path)
	case !guidPattern.MatchString(publisher):
		return af(http.StatusBadRequest, "AF20002", "Invalid parameter type: PublisherIdentifier. Expected type: guid")
	}
	if used, _ := c.h.limits.take("feed", c.s.Now, 1, time.Minute); used > c.facts.FeedPerMinute {
		c.h.throttleFeed(c.w, c.r)
		return nil
	}
	if faults := c.h.Faults(); faults.AuditOff {
		return af(http.StatusBadRequest, "StartSubscription [CorrelationId="+c.h.guid("correlation", 0)+"]", "Tenant %s does not exist.", c.h.tenantID)
	}
	if id, ok := strings.CutPrefix(rest, "audit/"); ok && c.r.Method == http.MethodGet {
		return c.content(id)
	}
	c.kind = c.q.Get("contentType")
	call := c.r.Method + " " + rest
	if call != "GET subscriptions/list" {
		switch {
		case c.kind == "":
			return af(http.StatusBadRequest, "AF20001", "Missing parameter: contentType.")
		case !slices.Contains(contentTypes, c.kind):
			return af(http.StatusBadRequest, "AF20020", "The specified content type is not valid.")
		case c.kind == contentDLP && !slices.Contains(roles, "ActivityFeed.ReadDlp"):
			return af(http.StatusForbidden, "AF10001", "The permission set (%s) sent in the request did not include the expected permission ActivityFeed.ReadDlp.", strings.Join(roles, " "))
		}
	}
	switch call {
	case "GET subscriptions/list":
		return c.list()
	case "POST subscriptions/start":
		return c.start()
	case "POST subscriptions/stop":
		return c.stop()
	case "GET subscriptions/content":
		return c.listContent()
	}
	return af(http.StatusNotFound, "AF20001", "There is no %s.", call)
}

func (c *feedCall) send(v any) *afError {
	sendJSON(c.w, http.StatusOK, v)
	return nil
}

type subscriptionView struct {
	ContentType string `json:"contentType"`
	Status      string `json:"status"`
	Webhook     *int   `json:"webhook"`
}

func (c *feedCall) view(kind string) subscriptionView {
	v := subscriptionView{ContentType: kind, Status: "disabled"}
	if c.h.feed.subs[kind].enabled {
		v.Status = "enabled"
	}
	return v
}

func (c *feedCall) list() *afError {
	f := c.h.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []subscriptionView{}
	for _, kind := range contentTypes {
		if f.subs[kind] != nil {
			out = append(out, c.view(kind))
		}
	}
	return c.send(out)
}

// start begins a subscription. Unlike at the vendor all content of the last seven
// days is there at once, unless the faults have it warm up.
func (c *feedCall) start() *afError {
	f := c.h.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	sub := f.subs[c.kind]
	now := c.s.Now
	if sub != nil {
		if now.Sub(sub.started) < c.facts.StartEvery {
			c.h.t.Violate("start_again", c.kind+" was started less than 15 minutes ago")
		}
		sub.started = now
		if sub.enabled {
			return af(http.StatusBadRequest, c.facts.Restarted, "The subscription is already enabled. No property change.")
		}
		if n := len(sub.stopped); n > 0 && sub.stopped[n-1].to.IsZero() {
			sub.stopped[n-1].to = now
		}
	} else {
		sub = &subscription{started: now}
		f.subs[c.kind] = sub
	}
	sub.enabled, sub.by = true, ""
	return c.send(c.view(c.kind))
}

func (c *feedCall) stop() *afError {
	f := c.h.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	sub := f.subs[c.kind]
	if sub == nil {
		return af(http.StatusBadRequest, c.facts.NotStarted, "No subscription found for the specified content type.")
	}
	if sub.enabled {
		sub.enabled = false
		sub.stopped = append(sub.stopped, stop{from: c.s.Now})
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// DisableSubscription has an administrator disable a content type's subscription,
// until it is started again.
func (h *Handler) DisableSubscription(kind string) {
	h.t.World.View(func(s *org.State) {
		h.feed.mu.Lock()
		defer h.feed.mu.Unlock()
		if sub := h.feed.subs[kind]; sub != nil && sub.enabled {
			sub.enabled, sub.by = false, "a tenant admin"
			sub.stopped = append(sub.stopped, stop{from: s.Now, to: s.Now}) // what comes meanwhile is kept
		}
	})
}

// parseFeedTime reads one of the forms that a window's ends may have.
func parseFeedTime(s string) (time.Time, bool) {
	for _, layout := range []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// window reads the window of a listing.
func (c *feedCall) window() (from, to time.Time, e *afError) {
	a, b := c.q.Get("startTime"), c.q.Get("endTime")
	if a == "" && b == "" {
		return c.s.Now.Add(-c.facts.ContentSpan), c.s.Now, nil
	}
	bad := af(http.StatusBadRequest, c.facts.BadWindow,
		"Start time and end time must both be specified (or both omitted) and must be less than or equal to 24 hours apart, with the start time no more than 7 days in the past.")
	from, ok := parseFeedTime(a)
	to, ok2 := parseFeedTime(b)
	if !ok || !ok2 || !from.Before(to) || to.Sub(from) > c.facts.ContentSpan || from.Before(c.s.Now.Add(-c.facts.ContentLife)) {
		return from, to, bad
	}
	return from, to, nil
}

func (c *feedCall) listContent() *afError {
	f := c.h.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	sub := f.subs[c.kind]
	switch {
	case sub == nil:
		return af(http.StatusBadRequest, c.facts.NotStarted, "No subscription found for the specified content type.")
	case sub.by != "":
		return af(http.StatusBadRequest, c.facts.Disabled, "The subscription was disabled by %s.", sub.by)
	case !sub.enabled:
		return af(http.StatusBadRequest, c.facts.NotStarted, "No subscription found for the specified content type.")
	}
	from, to, e := c.window()
	if e != nil {
		return e
	}
	c.h.refreshFeed(c.s)
	list := f.between(c.facts, c.kind, from, to, c.s.Now)
	if warm := c.h.Faults().WarmUp; c.s.Now.Sub(sub.started) < warm {
		list = nil
	}
	at := 0
	if next := c.q.Get("nextPage"); next != "" {
		day, number, ok := strings.Cut(next, "R")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || day != from.Format("20060102") || n < 0 || n > len(list) {
			return af(http.StatusBadRequest, "AF20031", "Invalid nextPage Input: %s.", next)
		}
		at = n
	}
	end := min(at+c.facts.ContentPage, len(list))
	if end < len(list) {
		q := url.Values{
			"contentType": {c.kind}, "startTime": {from.Format("2006-01-02T15:04:05")}, "endTime": {to.Format("2006-01-02T15:04:05")}, "nextPage": {from.Format("20060102") + fmt.Sprintf("R%09d", end)},
		}
		c.w.Header()[c.facts.NextPageHeader] = []string{c.h.manageBase() + "/api/v1/" + c.h.tenantID + "/activity/feed/subscriptions/content?" + q.Encode()}
	}
	layout := "2006-01-02T15:04:05.000"
	if c.facts.TimeZone {
		layout += "Z"
	}
	out := []map[string]string{}
	for _, b := range list[at:end] {
		out = append(out, map[string]string{
			"contentType": b.kind, "contentId": b.id, c.facts.ContentURI: c.h.manageBase() + "/api/v1.0/" + c.h.tenantID + "/activity/feed/audit/" + b.id,
			"contentCreated": b.created.Format(layout), "contentExpiration": b.created.Add(c.facts.ContentLife).Format(layout),
		})
	}
	return c.send(out)
}

// content answers with a blob.
func (c *feedCall) content(id string) *afError {
	f := c.h.feed
	f.mu.Lock()
	c.h.refreshFeed(c.s)
	b := f.byID[id]
	f.mu.Unlock()
	switch {
	case b == nil || b.created.After(c.s.Now):
		return af(c.facts.UnknownStatus, "AF20050", "The specified content (%s) does not exist.", id)
	case !c.s.Now.Before(b.created.Add(c.facts.ContentLife)):
		return af(http.StatusBadRequest, c.facts.ExpiredCode, "Content requested with the key %s has already expired. Content older than 7 days cannot be retrieved.", id)
	case c.h.blobFails(b):
		return af(http.StatusInternalServerError, "AF50000", "An internal error occurred. Retry the request.")
	}
	open, end := "[", "]"
	if !c.facts.BlobArray {
		open, end = `{"value":[`, "]}"
	}
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if b.span != nil && c.facts.BlobArray {
		c.w.Header().Set("Content-Length", strconv.FormatInt(b.span.size, 10))
		_, _ = io.Copy(c.w, c.h.recording.open(*b.span)) // the client may be gone
		return nil
	}
	body := []byte(open)
	for i, e := range b.events {
		if i > 0 {
			body = append(body, ',')
		}
		text, err := json.Marshal(c.h.record(c.s, c.facts, e))
		if err != nil {
			panic(err) // plain values only
		}
		body = append(body, text...)
	}
	_, _ = c.w.Write(append(body, end...)) // the client may be gone
	return nil
}

// ofFeed says whether a request is to the Management Activity API.
func ofFeed(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/manage/") }

// serveManage answers a request to the Management Activity API. The path is below
// its host.
func (h *Handler) serveManage(w http.ResponseWriter, r *http.Request, path string) {
	m := feedPath.FindStringSubmatch(path)
	if m == nil {
		failFeed(w, af(http.StatusNotFound, "AF20001", "There is no %s.", path))
		return
	}
	who, f := h.auth.check(r, apiManage)
	if f != nil {
		sendJSON(w, f.status, object{"Message": "Authorization has been denied for this request."})
		return
	}
	roles := h.auth.rolesNow(who, r)
	h.t.World.View(func(s *org.State) {
		c := &feedCall{h: h, w: w, r: r, s: s, q: r.URL.Query(), facts: &h.facts.OfficeFacts, tenant: m[2]}
		if e := c.serve(m[3], roles); e != nil {
			failFeed(w, e)
		}
	})
}

// throttleFeed refuses a request as one too many.
func (h *Handler) throttleFeed(w http.ResponseWriter, r *http.Request) {
	f := &h.facts.OfficeFacts
	failFeed(w, af(f.ThrottledStatus, f.ThrottledCode, "Too many requests. Method=%s, PublisherId=%s", r.Method, r.URL.Query().Get("PublisherIdentifier")))
}

// breakFeed answers with another error.
func breakFeed(w http.ResponseWriter, status int) {
	failFeed(w, af(status, "AF50000", "An internal error occurred. Retry the request."))
}
