package googleworkspace

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

var _ sources.Listener = (*session)(nil)

// notifies is Connector.Notifies.
const notifies = "new events in the logs of applications that can be watched, changes of users, and changes in at most 1,000 drives; Google wants the address to have a certificate that it trusts"

// Google tells of changes by channels, which it neither lists nor renews: a
// channel that ends soon is replaced by a new one, and then stopped. What a
// channel is for stands in its id; its token is a signature of that with the
// hook's secret, so that channels of a session before this are known too.
const (
	pathWatchActivities = pathActivities + "/watch"
	pathWatchUsers      = pathUsers + "/watch"
	pathStopReports     = "/admin/reports_v1/channels/stop"
	pathStopDirectory   = "/admin/directory_v1/channels/stop"

	reportsLife   = 6 * time.Hour
	directoryLife = 2 * day
	usualLife     = time.Hour        // of a channel whose end Google did not tell
	minChannel    = time.Minute      // what ends sooner is no channel
	newLanes      = 10 * time.Minute // until lanes that are new are watched
	maxChannelID  = 64
)

// watchedApplications can be watched.
var watchedApplications = map[string]bool{
	"access_transparency": true, "admin": true, "calendar": true, "chat": true, "drive": true, "gcp": true, "gplus": true, "groups": true,
	"groups_enterprise": true, "jamboard": true, "login": true, "meet": true, "mobile": true, "rules": true, "saml": true, "token": true, "user_accounts": true,
	"context_aware_access": true, "chrome": true, "data_studio": true, "keep": true, "classroom": true,
}

// userEvents are what a channel of users can tell of: one each.
var userEvents = []string{"add", "delete", "makeAdmin", "undelete", "update"}

// Kinds of channels, the first character of their ids.
const (
	channelActivities = 'a' // of an application
	channelUsers      = 'u'
)

// watching is a channel there should be.
type watching struct {
	kind  byte
	of    string // application; event of users; id of a user or shared drive
	life  time.Duration
	open  func(ctx context.Context) (*watchCall, error)
	stops string // path
}

// watchCall is the request that opens a channel.
type watchCall struct {
	client *httpx.Client
	path   httpx.Path
	query  url.Values
}

// channel is one at the vendor.
type channel struct {
	id, resource string
	made, ends   time.Time
	hook         string // the address it tells
	client       *httpx.Client
	stops        string
}

// renewAt is when a channel is to be replaced.
func (c *channel) renewAt() time.Time { return c.ends.Add(-c.ends.Sub(c.made) / 4) }

// channels are those that this session has opened, by what they are for.
type channels struct {
	mu   sync.Mutex
	open map[string]*channel
}

func (c *channels) get(name string) *channel {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[name]
}

func (c *channels) set(name string, ch *channel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[string]*channel{}
	}
	if ch == nil {
		delete(c.open, name)
		return
	}
	c.open[name] = ch
}

// names are what there are channels for.
func (c *channels) names() (out []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.open {
		out = append(out, name)
	}
	return out
}

// Subscribe implements sources.Listener.
func (s *session) Subscribe(ctx context.Context, h sources.Hook) (time.Time, error) {
	now := s.env.Clock.Now()
	again := now.Add(newLanes)
	want, err := s.wanted(ctx, h)
	if err != nil {
		return again, err
	}
	var failed error
	named, refused := map[string]bool{}, map[byte]bool{}
	for _, w := range want {
		name := string(w.kind) + w.of
		named[name] = true
		if refused[w.kind] {
			continue
		}
		ch := s.activity.channels.get(name)
		if ch != nil && ch.hook == h.URL && now.Before(ch.renewAt()) {
			again = earlier(again, ch.renewAt())
			continue
		}
		fresh, err := s.openChannel(ctx, h, w)
		switch class := fault.Of(err); {
		case err == nil && fresh == nil: // nothing to watch
		case err == nil:
			s.activity.channels.set(name, fresh)
			again = earlier(again, fresh.renewAt())
			if ch != nil && s.env.Clock.Now().Before(ch.ends) {
				s.stopChannel(ctx, ch)
			}
		case ctx.Err() != nil, class == fault.Throttled, class == fault.Auth:
			return again, err
		case class == fault.BadData || class == fault.NotLicensed: // it, or its edition, has nothing to tell
		default:
			failed = cmp.Or(failed, err)
			refused[w.kind] = class == fault.Forbidden // the others would be, too
		}
	}
	for _, name := range s.activity.channels.names() {
		if !named[name] { // of what is not collected any more
			s.stopChannel(ctx, s.activity.channels.get(name))
			s.activity.channels.set(name, nil)
		}
	}
	return again, failed
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// wanted lists what there is to be told of.
func (s *session) wanted(ctx context.Context, h sources.Hook) (out []watching, err error) {
	for l, err := range h.Lanes(ctx, streamActivities) {
		if err != nil {
			return nil, err
		}
		if app := l.ID; watchedApplications[app] {
			out = append(out, watching{kind: channelActivities, of: app, life: reportsLife, stops: pathStopReports, open: func(context.Context) (*watchCall, error) {
				return &watchCall{s.admin(scopeReports), httpx.P(pathWatchActivities, app), nil}, nil
			}})
		}
	}
	for _, err := range h.Lanes(ctx, infoAccounts.Name) {
		if err != nil {
			return nil, err
		}
		for _, event := range userEvents {
			out = append(out, watching{kind: channelUsers, of: event, life: directoryLife, stops: pathStopDirectory, open: func(context.Context) (*watchCall, error) {
				return &watchCall{s.admin(scopeUsers), httpx.P(pathWatchUsers), s.all(url.Values{"event": {event}})}, nil
			}})
		}
		break
	}
	drives, err := s.wantedDrives(ctx, h)
	return append(out, drives...), err
}

// wireChannel is a channel as Google has it; times in ms.
type wireChannel struct {
	ID         string `json:"id,omitempty"`
	Type       string `json:"type,omitempty"`
	Address    string `json:"address,omitempty"`
	Token      string `json:"token,omitempty"`
	Expiration any    `json:"expiration,omitempty"` // a number when asked for, text in answers
	ResourceID string `json:"resourceId,omitempty"`
}

// openChannel opens a channel. Google may let it end sooner than asked: what it
// answers holds.
func (s *session) openChannel(ctx context.Context, h sources.Hook, w watching) (*channel, error) {
	call, err := w.open(ctx)
	if err != nil || call == nil {
		return nil, err
	}
	now := s.env.Clock.Now()
	id := channelID(w, h.Secret, now)
	if len(id) > maxChannelID {
		return nil, nil
	}
	body, err := json.Marshal(wireChannel{ID: id, Type: "web_hook", Address: h.URL, Token: channelToken(h.Secret, id), Expiration: now.Add(w.life).UnixMilli()})
	if err != nil {
		return nil, err
	}
	resp, err := call.client.Do(ctx, &httpx.Request{Method: http.MethodPost, Path: call.path, Query: call.query, Header: jsonBody, Body: body})
	if err != nil {
		return nil, err
	}
	var got struct {
		ID         text `json:"id"`
		ResourceID text `json:"resourceId"`
		Expiration text `json:"expiration"`
	}
	if err := httpx.Decode(resp, &got); err != nil {
		return nil, err
	}
	ch := &channel{id: id, resource: strings.Clone(string(got.ResourceID)), made: now, ends: now.Add(usualLife), hook: h.URL, client: call.client, stops: w.stops}
	if ms, err := strconv.ParseInt(string(got.Expiration), 10, 64); err == nil && ms > 0 {
		ch.ends = earlier(resp.LocalTime(time.UnixMilli(ms)), now.Add(w.life))
	}
	switch {
	case string(got.ID) != id || ch.resource == "":
		return nil, fault.New(fault.Transient, "%s: the answer is another channel, or none", resp.Endpoint)
	case ch.ends.Sub(now) < minChannel:
		return nil, fault.New(fault.Transient, "%s: the channel ends at %s, before it can be renewed", resp.Endpoint, ch.ends.UTC().Format(time.RFC3339))
	}
	return ch, nil
}

var jsonBody = http.Header{"Content-Type": {"application/json"}}

// stopChannel stops a channel. One that goes on is heard until it ends.
func (s *session) stopChannel(ctx context.Context, ch *channel) {
	body, err := json.Marshal(wireChannel{ID: ch.id, ResourceID: ch.resource})
	if err == nil {
		_, _ = ch.client.Do(ctx, &httpx.Request{Method: http.MethodPost, Path: httpx.P(ch.stops), Header: jsonBody, Body: body, Idempotent: true})
	}
}

const nonceLen = 16

// channelID names a channel: its kind, what tells it from others, and what it is
// for.
func channelID(w watching, secret string, now time.Time) string {
	nonce := signed(secret, "channel", string(w.kind)+w.of, strconv.FormatInt(now.UnixNano(), 10))[:nonceLen]
	return string(w.kind) + nonce + w.of
}

// channelToken proves that a channel is this hook's.
func channelToken(secret, id string) string { return signed(secret, "token", id) }

func signed(secret string, parts ...string) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(m.Sum(nil))
}

// Notified implements sources.Listener. Google signs nothing: a notification is
// its own when it brings the token of its channel, and, where this session has
// opened the channel, its resource. The first on a channel says that it is open.
func (s *session) Notified(h sources.Hook, n *sources.Notification) sources.Reaction {
	if n.Method != http.MethodPost {
		return sources.Reaction{Status: http.StatusMethodNotAllowed}
	}
	id := n.Header.Get("X-Goog-Channel-Id")
	if len(id) < 1+nonceLen || len(id) > maxChannelID ||
		!hmac.Equal([]byte(n.Header.Get("X-Goog-Channel-Token")), []byte(channelToken(h.Secret, id))) {
		return sources.Reaction{Status: http.StatusForbidden}
	}
	kind, of := id[0], id[1+nonceLen:]
	if ch := s.activity.channels.get(string(kind) + of); ch != nil && ch.id == id && n.Header.Get("X-Goog-Resource-Id") != ch.resource {
		return sources.Reaction{Status: http.StatusForbidden}
	}
	out := sources.Reaction{Status: http.StatusOK}
	if n.Header.Get("X-Goog-Resource-State") == "sync" {
		return out
	}
	switch kind {
	case channelActivities:
		if slices.Contains(s.cfg.Activities.Applications, of) {
			out.Wake = []sources.Waking{{Stream: streamActivities, Lane: of}}
		}
	case channelUsers:
		out.Wake = []sources.Waking{{Stream: infoAccounts.Name}}
	case channelMine:
		out.Wake = []sources.Waking{{Stream: streamFiles, Lane: laneUser + of}}
	case channelShared:
		out.Wake = []sources.Waking{{Stream: streamFiles, Lane: laneDrive + of}}
	}
	return out
}
