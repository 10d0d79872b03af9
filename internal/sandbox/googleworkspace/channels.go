package googleworkspace

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/sandbox/org"
)

// How channels work (10), in virtual time.
const (
	beat         = time.Second // between two looks at what has changed
	answerWithin = 10 * time.Second
	firstRetry   = 5 * time.Second
	maxTries     = 8
	twiceEvery   = 7 // every so many-th message comes twice
	gapEvery     = 5 // every so many-th number is left out
	ignoredLife  = time.Hour
	maxChannelID = 64
	maxToken     = 256
)

// message is what a channel tells.
type message struct {
	state   string // X-Goog-Resource-State
	changed string // X-Goog-Changed; "" none
	body    any    // nil: none
}

// channel is a subscription.
type channel struct {
	id, resource, uri string
	address, token    string
	client            string
	expires           time.Time
	// look returns what there is to tell since it was called last. The state is
	// held, and so are the channels.
	look func(s *org.State, now time.Time) []message

	number int
	queue  []delivery
	tries  int
	next   time.Time // not before
	busy   bool
}

// delivery is a message on its way.
type delivery struct {
	number int
	message
}

// channels are a customer's, and what is on its way to receivers.
type channels struct {
	client *http.Client
	wake   chan struct{}
	work   sync.WaitGroup

	mu     sync.Mutex
	list   []*channel
	cancel context.CancelFunc // of what runs; nil: nothing does
	closed bool
}

func newChannels() *channels {
	return &channels{
		wake: make(chan struct{}, 1),
		client: &http.Client{
			Timeout: answerWithin, Transport: &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Close ends what the customer does by itself, and waits for it.
func (h *Handler) Close() {
	n := h.channels
	n.change(func() {
		if n.closed = true; n.cancel != nil {
			n.cancel()
		}
	})
	n.work.Wait()
	n.client.CloseIdleConnections()
}

// change runs fn while nobody else looks at channels.
func (n *channels) change(fn func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fn()
}

// poke has what was just changed be told at once.
func (n *channels) poke() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Channels returns how many channels are open now: for tests.
func (h *Handler) Channels() (open int) {
	now := h.t.Clock.Now()
	h.channels.change(func() {
		for _, x := range h.channels.list {
			if x.expires.After(now) {
				open++
			}
		}
	})
	return open
}

// DropChannels ends all channels without notice.
func (h *Handler) DropChannels() { h.channels.change(func() { h.channels.list = nil }) }

// channelRequest is the body that asks for a channel.
type channelRequest struct {
	ID, Type, Address, Token string
	Expiration               json.RawMessage
	Params                   map[string]string
	ResourceID               string
}

// open answers a request for a channel to something: resource names it, shortest
// and longest are the life by default and at most.
func (c *call) open(resource string, shortest, longest time.Duration, look func(*org.State, time.Time) []message) *failure {
	var in channelRequest
	if f := c.read(&in); f != nil {
		return f
	}
	switch {
	case in.ID == "" || len(in.ID) > maxChannelID:
		return refuse(http.StatusBadRequest, "required", "entity.id is required")
	case len(in.Token) > maxToken:
		return invalid("Invalid value for: token")
	case in.Type != "web_hook" && in.Type != "webhook":
		return invalid("Invalid value for: type")
	case !receives(in.Address):
		return refuse(http.StatusBadRequest, "push.webhookUrlNotHttps", "WebHook callback must be HTTPS: %s", in.Address)
	}
	life := shortest
	if ttl, err := time.ParseDuration(in.Params["ttl"] + "s"); err == nil && ttl > 0 {
		life = ttl
	}
	if len(in.Expiration) > 0 {
		var ms int64
		life = ignoredLife // what is text, or seconds, is as nothing
		if json.Unmarshal(in.Expiration, &ms) == nil && ms > 1e12 {
			life = time.UnixMilli(ms).Sub(c.now)
		}
	}
	life = min(life, longest)
	if f := c.h.Faults().ChannelLife; f > 0 {
		life = min(life, f)
	}
	if life <= 0 {
		return invalid("Invalid value for: expiration")
	}
	x := &channel{
		id: in.ID, resource: letters(c.h.hash("resource "+resource, 0), 27), uri: c.h.t.Base + resource + "?alt=json", address: in.Address, token: in.Token, client: c.who.client,
		expires: c.now.Add(life).Truncate(time.Millisecond), look: look,
	}
	x.tell(message{state: c.h.facts.SyncState})
	if !c.h.channels.add(c.r.Context(), c.h, x, c.now) {
		return refuse(http.StatusBadRequest, "channelIdNotUnique", "Channel id not unique")
	}
	return c.send(object{"kind": "api#channel", "id": x.id, "resourceId": x.resource, "resourceUri": x.uri, "token": x.token, "expiration": itoa(x.expires.UnixMilli())})
}

// receives says whether an address can be told: https, or http on this machine.
func receives(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	here := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && here
}

// tell puts a message in line. Numbers rise, with gaps.
func (x *channel) tell(m message) {
	x.number++
	if x.number%gapEvery == 0 {
		x.number++
	}
	x.queue = append(x.queue, delivery{x.number, m})
}

// add opens a channel; false: there is one of that id.
func (n *channels) add(ctx context.Context, h *Handler, x *channel, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.expire(now)
	if slices.ContainsFunc(n.list, func(old *channel) bool { return old.id == x.id }) {
		return false
	}
	n.list = append(n.list, x)
	if n.closed || n.cancel != nil {
		return true
	}
	ctx, n.cancel = context.WithCancel(context.WithoutCancel(ctx)) // it goes on after the request
	n.work.Go(func() { h.tellAll(ctx) })
	return true
}

// expire lets go of channels whose time is over, without notice; the channels are
// held.
func (n *channels) expire(now time.Time) {
	n.list = slices.DeleteFunc(n.list, func(x *channel) bool { return !x.expires.After(now) })
}

// stopChannel answers POST .../channels/stop.
func (c *call) stopChannel() *failure {
	var in channelRequest
	if f := c.read(&in); f != nil {
		return f
	}
	found := false
	c.h.channels.change(func() {
		c.h.channels.expire(c.now)
		c.h.channels.list = slices.DeleteFunc(c.h.channels.list, func(x *channel) bool {
			is := x.id == in.ID && x.resource == in.ResourceID && x.client == c.who.client
			found = found || is
			return is
		})
	})
	if !found {
		return refuse(http.StatusNotFound, "notFound", "Channel '%s' not found for project '480000000000'", in.ID)
	}
	return c.empty()
}

// watchable are the applications whose reports can be watched.
var watchable = strings.Fields(`access_transparency admin calendar chat drive gcp gplus groups groups_enterprise jamboard login meet mobile rules saml token user_accounts
	context_aware_access chrome data_studio keep classroom`)

// watchActivities answers POST /activity/users/{userKey}/applications/{app}/watch.
func (c *call) watchActivities() *failure {
	q, f := c.asked()
	if f != nil {
		return f
	}
	if !slices.Contains(watchable, q.name) {
		return invalid("Invalid value for: applicationName")
	}
	h := c.h
	h.log(c.s, q.name)
	next := h.reports.arrived(q.name, 0)
	at, began, waiting := len(next), c.now, []*entry{}
	for _, e := range next {
		if e.visible.After(began) {
			waiting = append(waiting, e)
		}
	}
	look := func(s *org.State, now time.Time) (out []message) {
		h.log(s, q.name)
		more := h.reports.arrived(q.name, at)
		at += len(more)
		waiting = append(waiting, more...)
		waiting = slices.DeleteFunc(waiting, func(e *entry) bool {
			if e.visible.After(now) {
				return false
			}
			if it := h.items(s, e.e)[e.n]; q.fits(s, e, it) {
				out = append(out, message{state: it.events[0].Name, body: h.activityView(s, e, it)})
			}
			return true
		})
		return out
	}
	path := reporting + "activity/users/" + c.args[0] + "/applications/" + q.name
	return c.open(path, h.facts.ReportsChannel, h.facts.ReportsChannel, look)
}

// userEvents are what happens to users, in the words of channels.
var userEvents = map[org.Verb]string{
	org.AccountCreate: "add", org.AccountRemove: "delete", org.AccountRestore: "undelete", org.AccountUpdate: "update", org.AccountSuspend: "update", org.AccountUnsuspend: "update",
	org.AccountArchive: "update", org.AccountUnarchive: "update", org.PasswordForce: "update", org.OrgUnitMove: "update", org.SecondFactorsEnd: "update", org.PasswordReset: "update",
}

// watchUsers answers POST /users/watch.
func (c *call) watchUsers() *failure {
	if _, f := c.inDomains(); f != nil {
		return f
	}
	event := c.q.Get("event")
	if event != "" && !slices.Contains([]string{"add", "delete", "makeAdmin", "undelete", "update"}, event) {
		return invalid("Invalid value for: event")
	}
	h, at := c.h, len(c.s.Events[app])
	look := func(s *org.State, _ time.Time) (out []message) {
		for ; at < len(s.Events[app]); at++ {
			e := s.Events[app][at]
			if e.Again || len(e.Targets) == 0 || e.Targets[0].Kind != org.AccountRef {
				continue
			}
			word := userEvents[e.Verb]
			if e.Verb == org.RoleGrantVerb && s.Roles[app][e.Targets[1].N].RoleN == org.GoogleSuperAdmin {
				word = "makeAdmin"
			}
			if word == "" || event != "" && word != event {
				continue
			}
			a := s.Accounts[app][e.Targets[0].N]
			out = append(out, message{state: word, body: object{"kind": "admin#directory#user", "id": h.userID(a.N), "etag": h.etag("user", a.N, e.At), "primaryEmail": a.Login}})
		}
		return out
	}
	return c.open(directory+"users", h.facts.DirectoryChannelDefault, h.facts.DirectoryChannel, look)
}

// arrived returns what came into an application's log, in the order in which it
// did, from a place on.
func (r *reports) arrived(name string, from int) []*entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.came[name][min(from, len(r.came[name])):])
}
