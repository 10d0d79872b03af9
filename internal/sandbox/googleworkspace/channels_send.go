package googleworkspace

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"

	"weir/internal/sandbox/org"
)

// tellAll tells of changes until the tenant ends: of those that requests make, and
// of those that time brings.
func (h *Handler) tellAll(ctx context.Context) {
	n := h.channels
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
		h.t.World.View(func(s *org.State) {
			n.change(func() {
				n.expire(now)
				for _, x := range n.list {
					for _, m := range x.look(s, now) {
						x.tell(m)
					}
				}
			})
		})
		n.change(func() {
			for _, x := range n.list {
				h.deliver(ctx, x, now)
			}
		})
	}
}

// deliver sends the first message that waits at a channel, in the background; the
// channels are held.
func (h *Handler) deliver(ctx context.Context, x *channel, now time.Time) {
	if x.busy || len(x.queue) == 0 || now.Before(x.next) || ctx.Err() != nil {
		return
	}
	x.busy = true
	m, n := x.queue[0], h.channels
	times := 1
	if m.number%twiceEvery == 0 {
		times = 2
	}
	n.work.Go(func() {
		again := false
		for range times {
			again = h.post(ctx, x, m)
		}
		n.change(func() { x.done(again, h.t.Clock.Now().UTC()) })
		n.poke()
	})
}

// done notes how a delivery went: some answers have it come again later, what was
// refused otherwise is lost.
func (x *channel) done(again bool, now time.Time) {
	x.busy = false
	if again && x.tries < maxTries {
		x.next = now.Add(firstRetry << x.tries)
		x.tries++
		return
	}
	x.queue, x.tries = slices.Delete(x.queue, 0, 1), 0
}

// post sends a message, and says whether it is to be sent again.
func (h *Handler) post(ctx context.Context, x *channel, m delivery) bool {
	var body []byte
	if m.body != nil {
		raw, err := json.Marshal(m.body)
		if err != nil {
			panic(err) // plain values
		}
		body = raw
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, x.address, bytes.NewReader(body))
	if err != nil {
		return false
	}
	f := &h.facts
	set := func(name, value string) {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	set("User-Agent", "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)")
	set("Content-Type", "application/json; charset=UTF-8")
	set(f.ChannelID, x.id)
	set(f.ChannelToken, x.token)
	set(f.ChannelExpiration, x.expires.Format(http.TimeFormat))
	set(f.ChannelResource, x.resource)
	set("X-Goog-Resource-URI", x.uri)
	set(f.ChannelState, m.state)
	set(f.ChannelMessage, itoa(m.number))
	set("X-Goog-Changed", m.changed)
	resp, err := h.channels.client.Do(req)
	if err != nil {
		return true
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // the status says all
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
