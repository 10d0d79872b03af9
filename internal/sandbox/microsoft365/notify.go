package microsoft365

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/sandbox/org"
)

// How notifications are delivered (10), in virtual time.
const (
	beat       = time.Second // between two looks at what has changed
	batchOf    = 20          // notifications in one request
	retryUntil = 4 * time.Hour
	firstRetry = 10 * time.Second
	slowWindow = 10 * time.Minute
	twiceEvery = 7 // every so many-th delivery is made twice
)

// notices are a tenant's subscriptions, and what is on its way to receivers.
type notices struct {
	client *http.Client
	wake   chan struct{}
	work   sync.WaitGroup

	mu        sync.Mutex
	subs      []*notice
	made      int
	cancel    context.CancelFunc // of what runs; nil: nothing does
	closed    bool
	receivers map[string]*receiving
}

func newNotices() *notices {
	return &notices{
		wake: make(chan struct{}, 1), receivers: map[string]*receiving{},
		client: &http.Client{
			Timeout: answerWithin, Transport: &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Close ends what the tenant does by itself, and waits for it.
func (h *Handler) Close() {
	n := h.notices
	n.change(func() {
		if n.closed = true; n.cancel != nil {
			n.cancel()
		}
	})
	n.work.Wait()
	n.client.CloseIdleConnections()
}

// change runs fn while nobody else looks at subscriptions.
func (n *notices) change(fn func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fn()
}

func (n *notices) of(client string) (list []*notice) {
	n.change(func() {
		for _, x := range n.subs {
			if x.client == client {
				copied := *x
				list = append(list, &copied)
			}
		}
	})
	return list
}

func (n *notices) get(client, id string) (found *notice) {
	n.change(func() {
		for _, x := range n.subs {
			if x.client == client && x.id == id {
				copied := *x
				found = &copied
			}
		}
	})
	return found
}

// update changes a subscription.
func (n *notices) update(id string, fn func(x *notice)) {
	n.change(func() {
		for _, x := range n.subs {
			if x.id == id {
				fn(x)
			}
		}
	})
}

func (n *notices) remove(id string) {
	n.change(func() { n.subs = slices.DeleteFunc(n.subs, func(x *notice) bool { return x.id == id }) })
}

// expire lets go of subscriptions whose time is over.
func (n *notices) expire(now time.Time) {
	n.change(func() { n.subs = slices.DeleteFunc(n.subs, func(x *notice) bool { return !x.expires.After(now) }) })
}

// room refuses a subscription that is there already, or one too many.
func (n *notices) room(x *notice) (f *failure) {
	n.change(func() {
		directory := 0
		for _, old := range n.subs {
			if old.client != x.client {
				continue
			}
			if old.kind != onDrive {
				directory++
			}
			if strings.Trim(old.resource, "/") == strings.Trim(x.resource, "/") && old.changeType == x.changeType {
				f = refuse(http.StatusConflict, "ExtensionError", "Subscription Id %s already exists for the requested combination", old.id)
			}
		}
		if f == nil && x.kind != onDrive && directory >= maxPerApp {
			f = refuse(http.StatusForbidden, "Forbidden", "Object quota limit exceeded for the app in the tenant.")
		}
	})
	return f
}

// add begins a subscription: what changes from now on is told.
func (n *notices) add(ctx context.Context, h *Handler, s *org.State, x *notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	x.id, x.event = h.guid("subscription", n.made), len(s.Events[org.Microsoft365])
	n.made++
	switch x.kind {
	case onDrive:
		x.log = len(s.Office.Drives[x.drive].Log)
	default:
		x.told = map[int]time.Time{}
		h.changedObjects(s, x)
	}
	n.subs = append(n.subs, x)
	if n.closed || n.cancel != nil {
		return
	}
	ctx, n.cancel = context.WithCancel(context.WithoutCancel(ctx)) // it goes on after the request
	n.work.Go(func() { h.notify(ctx) })
}

// poke has what was just changed be told at once.
func (n *notices) poke() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// notify tells of changes until the tenant ends: of those that requests make, and
// of those that time brings.
func (h *Handler) notify(ctx context.Context) {
	n := h.notices
	for {
		next := h.t.Clock.NewTimer(beat)
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-n.wake:
			next.Stop()
		case <-next.Chan():
		}
		now := h.t.Clock.Now().UTC()
		h.t.World.Advance(now.Truncate(time.Second))
		n.expire(now)
		h.t.World.View(func(s *org.State) {
			n.change(func() {
				for _, x := range n.subs {
					h.look(s, x, now)
				}
			})
		})
		n.change(func() {
			for address, r := range n.receivers {
				h.deliver(ctx, address, r, now)
			}
		})
	}
}

// look queues what a subscription has to tell; the notices are held.
func (h *Handler) look(s *org.State, x *notice, now time.Time) {
	if x.kind == onDrive {
		d := s.Office.Drives[x.drive]
		tells := false
		for ; x.log < len(d.Log); x.log++ {
			i := &d.Items[d.Log[x.log]]
			tells = tells || x.security || !i.SharedChanged || int(i.Changed) != x.log+1
		}
		if tells {
			h.tell(x, now, "updated", strings.Trim(x.resource, "/"), object{"@odata.type": h.facts.TypePrefix + "driveItem"})
		}
	} else {
		kind, name := "User", "Users"
		if x.kind == onGroups {
			kind, name = "Group", "Groups"
		}
		for _, i := range h.changedObjects(s, x) {
			id, change := h.objectChange(s, x, i)
			if slices.Contains(strings.Split(strings.ReplaceAll(x.changeType, " ", ""), ","), change) {
				resource := name + "/" + id
				h.tell(x, now, change, resource, object{"@odata.type": "#Microsoft.Graph." + kind, "@odata.id": resource, "id": id, "organizationId": h.tenantID, "sequenceNumber": now.UnixNano()})
			}
		}
	}
	if left := x.expires.Sub(now); !x.warned && left < max(x.expires.Sub(x.began)/10, 10*time.Minute) {
		x.warned = true
		h.lifecycle(x, now, "reauthorizationRequired")
	}
	if x.missed {
		x.missed = false
		h.lifecycle(x, now, "missed")
	}
}

// changedObjects are the users or groups that changed since this was asked last, by
// their times and by the events about them.
func (h *Handler) changedObjects(s *org.State, x *notice) (list []int) {
	changed := map[int]bool{}
	kind := org.AccountRef
	if x.kind == onGroups {
		kind = org.GroupRef
		for i, g := range s.Groups[org.Microsoft365] {
			if at := latest(g.Modified, g.MembersModified, g.Gone); !at.Equal(x.told[i]) {
				x.told[i], changed[i] = at, true
			}
		}
	} else {
		for i, a := range s.Accounts[org.Microsoft365] {
			if at := latest(a.Created, a.Modified, a.StatusChanged, a.PasswordChanged, a.Gone); !at.Equal(x.told[i]) {
				x.told[i], changed[i] = at, true
			}
		}
	}
	events := s.Events[org.Microsoft365]
	for ; x.event < len(events); x.event++ {
		e := events[x.event]
		if e.Again || isSignIn(e) {
			continue
		}
		for k, t := range e.Targets { // of a membership the group changes alone
			if t.Kind == kind && (k == 0 || kind == org.GroupRef) && (kind == org.GroupRef || len(e.Targets) == 1) {
				changed[t.N] = true
			}
		}
	}
	for i := range changed {
		list = append(list, i)
	}
	slices.Sort(list)
	return list
}

// objectChange is what happened to a user or group.
func (h *Handler) objectChange(s *org.State, x *notice, i int) (id, change string) {
	change = "updated"
	if x.kind == onGroups {
		if !s.Groups[org.Microsoft365][i].Gone.IsZero() {
			change = "deleted"
		}
		return h.groupID(i), change
	}
	if !present(s.Accounts[org.Microsoft365][i]) {
		change = "deleted"
	}
	return h.accountID(i), change
}

// tell queues a notification.
func (h *Handler) tell(x *notice, now time.Time, change, resource string, data object) {
	h.queue(x.url, x, now, object{"changeType": change, "resource": resource, "resourceData": data})
}

// lifecycle queues what a receiver must know about the subscription itself.
func (h *Handler) lifecycle(x *notice, now time.Time, event string) {
	if x.lifecycle != "" {
		h.queue(x.lifecycle, x, now, object{"lifecycleEvent": event})
	}
}

// RemoveSubscriptions ends all subscriptions, as the vendor does at times: their
// receivers are told.
func (h *Handler) RemoveSubscriptions() {
	now := h.t.Clock.Now().UTC()
	h.notices.change(func() {
		for _, x := range h.notices.subs {
			h.lifecycle(x, now, "subscriptionRemoved")
		}
		h.notices.subs = nil
	})
	h.notices.poke()
}
