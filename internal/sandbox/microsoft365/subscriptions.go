package microsoft365

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// Bounds of subscriptions (10).
const (
	driveLife      = 42_300 * time.Minute
	directoryLife  = 41_760 * time.Minute
	shortestLife   = 45 * time.Minute
	maxClientState = 128
	maxPerApp      = 100 // of the directory's
	answerWithin   = 10 * time.Second
)

// kinds of what can be subscribed to.
const (
	onUsers  = "users"
	onGroups = "groups"
	onDrive  = "drive"
)

// notice is a subscription to changes of all users, all groups, or a drive.
type notice struct {
	id, client                 string
	kind, resource, changeType string
	url, lifecycle, state      string
	drive                      int
	security                   bool // changes of permissions too
	began, expires             time.Time
	warned                     bool // that it is to be renewed
	missed                     bool // something was never delivered

	log   int // of a drive: changes that were told
	event int // of the directory: events that were looked at
	told  map[int]time.Time
}

func (c *call) noticeView(n *notice, state any) object {
	v := object{
		"id": n.id, "resource": n.resource, "applicationId": n.client, "changeType": n.changeType, "clientState": state, "notificationUrl": n.url, "notificationQueryOptions": nil,
		"lifecycleNotificationUrl": text(n.lifecycle), "expirationDateTime": stamp(n.expires), "creatorId": c.h.servicePrincipalID(org.AgentApp), "includeResourceData": nil,
		"latestSupportedTlsVersion": "v1_2", "encryptionCertificate": nil, "encryptionCertificateId": nil, "notificationUrlAppId": nil,
	}
	return v
}

// subscriptions answers below /subscriptions. The state is not held: receivers
// are asked whether they want notifications.
func (c *call) subscriptions() *failure {
	parts := segments(c.path)
	c.h.notices.expire(c.h.t.Clock.Now())
	what := c.r.Method + " " + strings.Join(append([]string{"subscriptions"}, slices.Repeat([]string{"*"}, min(1, len(parts)-1))...), "/")
	if len(parts) > 2 {
		what += "/" + parts[2]
	}
	if c.r.Method != http.MethodGet {
		c.r.Pattern = strings.Replace(what, " ", " /graph/v1.0/", 1)
	}
	switch what {
	case "GET subscriptions":
		value := []object{}
		for _, n := range c.h.notices.of(c.who.client) {
			value = append(value, c.noticeView(n, nil))
		}
		c.page(value, func(object) {})
		return nil
	case "POST subscriptions":
		return c.subscribe()
	}
	n := (*notice)(nil)
	if len(parts) > 1 {
		n = c.h.notices.get(c.who.client, parts[1])
	}
	switch {
	case n == nil && len(parts) > 1 && c.r.Method != http.MethodPut:
		return refuse(http.StatusNotFound, "ResourceNotFound", "The object was not found.")
	case what == "GET subscriptions/*":
		return c.one(c.noticeView(n, nil))
	case what == "PATCH subscriptions/*":
		return c.renew(n)
	case what == "DELETE subscriptions/*":
		c.h.notices.remove(n.id)
		return c.done()
	case what == "POST subscriptions/*/reauthorize":
		c.h.notices.update(n.id, func(x *notice) { x.warned = false })
		return c.done()
	}
	if c.r.Method != http.MethodGet {
		c.h.t.Violate("no such endpoint to write to", c.r.Method+" "+c.r.URL.Path)
	}
	return refuse(http.StatusMethodNotAllowed, c.h.facts.BadRequest, "Specified HTTP method is not allowed for the request target.")
}

// request is what a subscription is asked for with.
type subscriptionRequest struct {
	ChangeType, NotificationURL, LifecycleNotificationURL, Resource, ExpirationDateTime, ClientState string
}

// receiver checks an address for notifications: https, or http on this machine.
func receiver(address string) (*url.URL, *failure) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, refuse(http.StatusBadRequest, "InvalidRequest", "The notification URL is not valid.")
	}
	ip := net.ParseIP(u.Hostname())
	if here := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback(); u.Scheme != "https" && (u.Scheme != "http" || !here) {
		return nil, refuse(http.StatusBadRequest, "InvalidRequest", "The notification URL must be https.")
	}
	return u, nil
}

// expiryAsked reads when a subscription is to end: too short a life is made longer.
func (c *call) expiryAsked(kind, asked string) (time.Time, *failure) {
	now := c.h.t.Clock.Now().UTC()
	t, err := time.Parse(time.RFC3339, asked)
	longest := directoryLife
	if kind == onDrive {
		longest = driveLife
	}
	switch {
	case err != nil || !t.After(now):
		return t, refuse(http.StatusBadRequest, "InvalidRequest", "Subscription expiration must be in the future.")
	case t.Sub(now) > longest+time.Minute:
		return t, refuse(http.StatusBadRequest, "InvalidRequest", "Subscription expiration can only be %d minutes in the future.", int(longest.Minutes()))
	case t.Sub(now) < shortestLife:
		t = now.Add(shortestLife)
	}
	return t.UTC(), nil
}

func (c *call) subscribe() *failure {
	var in subscriptionRequest
	if f := c.sent(&in); f != nil {
		return f
	}
	n := &notice{client: c.who.client, resource: in.Resource, changeType: in.ChangeType, url: in.NotificationURL, lifecycle: in.LifecycleNotificationURL, state: in.ClientState, drive: -1}
	n.security = prefers(c.r)["includesecuritywebhooks"]
	need, changes := readUsers, []string{"updated", "deleted"}
	parts := segments(in.Resource)
	switch {
	case len(parts) == 1 && parts[0] == "users":
		n.kind = onUsers
	case len(parts) == 1 && parts[0] == "groups":
		n.kind, need = onGroups, readGroups
	case len(parts) == 3 && parts[0] == "drives" && parts[2] == "root":
		n.kind, need, changes = onDrive, readAllFiles, []string{"updated"}
		c.h.t.World.View(func(s *org.State) { n.drive = c.h.driveN(s, parts[1]) })
		if n.drive < 0 {
			return noItem()
		}
	default:
		return refuse(http.StatusBadRequest, "InvalidRequest", "The sandbox has subscriptions to users, groups and drives/{id}/root, not to '%s'.", in.Resource)
	}
	for change := range strings.SplitSeq(in.ChangeType, ",") {
		if !slices.Contains(changes, strings.TrimSpace(change)) {
			return refuse(http.StatusBadRequest, "InvalidRequest", "The value '%s' of changeType is not supported for the resource.", change)
		}
	}
	if !c.mayAny(need) {
		return refuse(http.StatusForbidden, c.h.facts.NoPermission, "Insufficient privileges to complete the operation.")
	}
	if len(in.ClientState) > maxClientState {
		return refuse(http.StatusBadRequest, "InvalidRequest", "clientState has at most %d characters.", maxClientState)
	}
	var f *failure
	if n.expires, f = c.expiryAsked(n.kind, in.ExpirationDateTime); f != nil {
		return f
	}
	if f := c.h.notices.room(n); f != nil {
		return f
	}
	if f := c.validate(n.url); f != nil {
		return f
	}
	if n.lifecycle != "" {
		if f := c.validate(n.lifecycle); f != nil {
			return f
		}
	}
	n.began = c.h.t.Clock.Now().UTC()
	c.h.t.World.View(func(s *org.State) { c.h.notices.add(c.r.Context(), c.h, s, n) })
	return c.made(c.noticeView(c.h.notices.get(n.client, n.id), in.ClientState))
}

// validate asks a receiver to answer with a token.
func (c *call) validate(address string) *failure {
	u, f := receiver(address)
	if f != nil {
		return f
	}
	token := "Validation: Testing client application reachability for subscription Request-Id: " + c.w.Header().Get("request-id")
	q := u.Query()
	q.Set("validationToken", token)
	u.RawQuery = q.Encode()
	refused := func(why string) *failure {
		return refuse(http.StatusBadRequest, "ValidationError", "Subscription validation request failed. %s", why)
	}
	resp, err := c.h.notices.post(c.r.Context(), u.String(), "text/plain; charset=utf-8", nil)
	if err != nil {
		return refused("The request timed out, or the notification endpoint could not be reached.")
	}
	defer func() { _ = resp.Body.Close() }() // all that is wanted has been read
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	switch {
	case err != nil:
		return refused("The answer could not be read.")
	case resp.StatusCode != http.StatusOK:
		return refused("Notification endpoint must respond with 200 OK to validation request.")
	case !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain"):
		return refused("Must respond with Content-Type text/plain to validation request.")
	case string(body) != token:
		return refused("The answer is not the token.")
	}
	return nil
}

// renew gives a subscription more time.
func (c *call) renew(n *notice) *failure {
	fields := map[string]json.RawMessage{}
	var in subscriptionRequest
	if f := c.sent(&fields); f != nil {
		return f
	}
	if f := c.sent(&in); f != nil {
		return f
	}
	if _, ok := fields["expirationDateTime"]; !ok || len(fields) > 1 {
		return refuse(http.StatusBadRequest, "InvalidRequest", "The sandbox changes expirationDateTime of a subscription, and nothing else.")
	}
	expires, f := c.expiryAsked(n.kind, in.ExpirationDateTime)
	if f != nil {
		return f
	}
	n.expires = expires
	c.h.notices.update(n.id, func(x *notice) { x.expires, x.began, x.warned = expires, c.h.t.Clock.Now().UTC(), false })
	return c.one(c.noticeView(n, nil))
}
