package microsoft365

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

var _ sources.Listener = (*session)(nil)

// notifies is Connector.Notifies.
const notifies = "changes of users, groups and drives, whose deltas are read at once; of at most 1,000 drives"

const (
	pathSubscriptions = "/v1.0/subscriptions"
	pathSubscription  = "/v1.0/subscriptions/{id}"

	// How long a subscription is asked to last: a little less than the vendor
	// takes for a drive (42,300 minutes), for users and groups (41,760).
	driveLife     = 42_000 * time.Minute
	directoryLife = 41_500 * time.Minute
	renewAt       = 7 * 24 * time.Hour // before its end
	newDrives     = 10 * time.Minute   // until drives that are new are subscribed to
	firstDrives   = time.Minute        // the same, while none is known
	maxDrives     = 1000               // whose changes are told: others are read when they are due
	maxToken      = 4 << 10            // bytes of a validation token
	maxResource   = 512                // bytes of a resource's name
)

// preferSecurity asks for changes of permissions too, which drives of organizations tell.
var preferSecurity = http.Header{"Prefer": {"includesecuritywebhooks"}}

// subscription is one at the vendor.
type subscription struct {
	ID              text   `json:"id,omitempty"`
	ChangeType      string `json:"changeType,omitempty"`
	NotificationURL string `json:"notificationUrl,omitempty"`
	LifecycleURL    string `json:"lifecycleNotificationUrl,omitempty"`
	Resource        string `json:"resource,omitempty"`
	Expires         string `json:"expirationDateTime,omitempty"`
	ClientState     string `json:"clientState,omitempty"`
}

// wanted is a subscription there should be.
type wanted struct {
	resource, changes string
	right             string // the application permission that it needs
	life              time.Duration
	header            http.Header
}

// Subscribe implements sources.Listener: to users and groups, and to each drive.
func (s *session) Subscribe(ctx context.Context, h sources.Hook) (time.Time, error) {
	now := s.env.Clock.Now()
	again := now.Add(newDrives)
	have, err := s.subscriptionsOf(ctx, h.URL)
	if err != nil {
		return again, err
	}
	asked := map[string]bool{}
	for _, id := range h.Renew {
		asked[id] = true
	}
	want, err := s.wanted(ctx, h)
	if err != nil {
		return again, err
	}
	if !slices.ContainsFunc(want, func(w wanted) bool { return w.life == driveLife }) {
		again = now.Add(firstDrives)
	}
	var failed error
	missing := map[string]bool{}
	for _, w := range want {
		sub, there := have[w.resource]
		delete(have, w.resource)
		ends, _ := time.Parse(time.RFC3339, sub.Expires)
		if there && ends.Sub(now) > renewAt && !asked[string(sub.ID)] {
			continue
		}
		if missing[w.right] {
			continue
		}
		err := s.subscribe(ctx, h, w, sub, now)
		switch class := fault.Of(err); {
		case err == nil:
		case class == fault.Forbidden:
			missing[w.right] = true
			failed = cmp.Or(failed, fault.New(class, "to be told of changes of %s, the app needs the permission %s: %w", w.resource, w.right, err))
		case ctx.Err() != nil, class == fault.Throttled, class == fault.Auth:
			return again, err
		case isGone(err) || httpx.StatusOf(err) == http.StatusLocked: // a drive that is gone, or locked
		default: // one may be refused for itself
			failed = cmp.Or(failed, err)
		}
	}
	for _, sub := range have { // to what is not collected any more, or twice
		if err := s.unsubscribe(ctx, sub); err != nil && !isGone(err) {
			failed = cmp.Or(failed, err)
		}
	}
	return again, failed
}

// wanted lists what there is to be told of.
func (s *session) wanted(ctx context.Context, h sources.Hook) (out []wanted, err error) {
	for _, w := range []struct{ stream, resource, right string }{{infoAccounts.Name, "users", "User.Read.All"}, {infoGroups.Name, "groups", "Group.Read.All"}} {
		for _, err := range h.Lanes(ctx, w.stream) {
			if err != nil {
				return nil, err
			}
			out = append(out, wanted{resource: w.resource, changes: "updated,deleted", right: w.right, life: directoryLife})
			break
		}
	}
	drives := 0
	for l, err := range h.Lanes(ctx, streamFiles) {
		if err != nil {
			return nil, err
		}
		if l.ID == laneSites {
			continue
		}
		if drives++; drives > maxDrives {
			break
		}
		out = append(out, wanted{resource: driveResource(l.ID), changes: "updated", right: "Files.ReadWrite.All", life: driveLife, header: preferSecurity})
	}
	return out, nil
}

func driveResource(drive string) string { return "drives/" + drive + "/root" }

// subscriptionsOf lists the app's subscriptions that tell an address, by
// resource. Of two to one resource the one that lasts longer stands.
func (s *session) subscriptionsOf(ctx context.Context, url string) (map[string]subscription, error) {
	out := map[string]subscription{}
	err := s.each(ctx, listing{path: httpx.P(pathSubscriptions)}, func(raw []byte) error {
		var sub subscription
		if err := json.Unmarshal(raw, &sub); err != nil || sub.ID == "" || sub.NotificationURL != url {
			return nil // somebody else's
		}
		name := strings.TrimPrefix(sub.Resource, "/")
		if old, twice := out[name]; twice {
			if old.Expires > sub.Expires {
				old, sub = sub, old
			}
			out["twice: "+string(old.ID)] = old
		}
		out[name] = sub
		return nil
	})
	return out, err
}

// subscribe makes a subscription, or has one last longer. The vendor tries the
// hook before it answers.
func (s *session) subscribe(ctx context.Context, h sources.Hook, w wanted, sub subscription, now time.Time) error {
	ends := now.Add(w.life).UTC().Format(time.RFC3339)
	r := &httpx.Request{Method: http.MethodPatch, Path: httpx.P(pathSubscription, string(sub.ID)), Idempotent: true}
	body := subscription{Expires: ends}
	if sub.ID == "" {
		r = &httpx.Request{Method: http.MethodPost, Path: httpx.P(pathSubscriptions), Header: w.header}
		body = subscription{
			ChangeType: w.changes, NotificationURL: h.URL, LifecycleURL: h.URL, Resource: w.resource, Expires: ends, ClientState: h.Secret,
		}
	}
	var err error
	if r.Body, err = json.Marshal(body); err != nil {
		return err
	}
	_, err = s.graph.Do(ctx, r)
	if sub.ID != "" && isGone(err) { // it has ended meanwhile
		return s.subscribe(ctx, h, w, subscription{}, now)
	}
	return err
}

func (s *session) unsubscribe(ctx context.Context, sub subscription) error {
	_, err := s.graph.Do(ctx, &httpx.Request{Method: http.MethodDelete, Path: httpx.P(pathSubscription, string(sub.ID)), Idempotent: true})
	return err
}

// notice is one of those in a notification.
type notice struct {
	SubscriptionID text   `json:"subscriptionId"`
	TenantID       text   `json:"tenantId"`
	ClientState    text   `json:"clientState"`
	Resource       text   `json:"resource"`
	Lifecycle      string `json:"lifecycleEvent"` // missed subscriptionRemoved reauthorizationRequired; "" a change
}

// Notified implements sources.Listener. A notification is the vendor's when it
// brings the secret that its subscription was made with; some without it, among
// others, are passed over.
func (s *session) Notified(h sources.Hook, n *sources.Notification) sources.Reaction {
	if n.Method != http.MethodPost {
		return sources.Reaction{Status: http.StatusMethodNotAllowed}
	}
	if token := n.Query.Get("validationToken"); token != "" {
		if len(token) > maxToken {
			return sources.Reaction{Status: http.StatusBadRequest}
		}
		return sources.Reaction{Status: http.StatusOK, Type: "text/plain", Body: []byte(token)}
	}
	var body struct {
		Value []notice `json:"value"`
	}
	if err := json.Unmarshal(n.Body, &body); err != nil {
		return sources.Reaction{Status: http.StatusBadRequest}
	}
	out := sources.Reaction{Status: http.StatusForbidden}
	for _, v := range body.Value {
		if subtle.ConstantTimeCompare([]byte(v.ClientState), []byte(h.Secret)) != 1 || v.TenantID != "" && lower(string(v.TenantID)) != s.tenant {
			continue
		}
		out.Status = http.StatusAccepted
		if w, err := wakes(string(v.Resource)); err == nil {
			out.Wake = append(out.Wake, w)
		}
		if v.Lifecycle == "reauthorizationRequired" || v.Lifecycle == "subscriptionRemoved" {
			out.Renew = append(out.Renew, string(v.SubscriptionID))
		}
	}
	return out
}

var errNoLane = errors.New("nothing is collected of it")

// wakes returns the lane that shows what has changed of a resource.
func wakes(resource string) (sources.Waking, error) {
	kind, rest, _ := strings.Cut(strings.TrimPrefix(resource, "/"), "/")
	if len(resource) > maxResource {
		return sources.Waking{}, errNoLane
	}
	switch lower(kind) {
	case "users":
		return sources.Waking{Stream: infoAccounts.Name, Lane: laneUsers}, nil
	case "groups":
		return sources.Waking{Stream: infoGroups.Name}, nil
	case "drives":
		if drive, _, _ := strings.Cut(rest, "/"); drive != "" {
			return sources.Waking{Stream: streamFiles, Lane: drive}, nil
		}
	}
	return sources.Waking{}, errNoLane
}
