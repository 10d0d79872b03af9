package microsoft365

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"
)

// receiving is what one address gets.
type receiving struct {
	queue       []delivery
	busy        bool
	next        time.Time // not before
	tries       int
	sent        int
	began       time.Time // of the window
	total, slow int
	dropUntil   time.Time
}

// delivery is one notification.
type delivery struct {
	since time.Time
	sub   string
	body  object
}

func (h *Handler) queue(address string, x *notice, now time.Time, v object) {
	v["subscriptionId"], v["subscriptionExpirationDateTime"], v["tenantId"], v["clientState"] = x.id, stamp(x.expires), h.tenantID, text(x.state)
	r := h.notices.receivers[address]
	if r == nil {
		r = &receiving{}
		h.notices.receivers[address] = r
	}
	r.queue = append(r.queue, delivery{since: now, sub: x.id, body: v})
}

// lose forgets notifications, and notes that their receiver has missed them.
func (n *notices) lose(list []delivery) {
	for _, d := range list {
		for _, x := range n.subs {
			x.missed = x.missed || x.id == d.sub && d.body["lifecycleEvent"] == nil
		}
	}
}

// deliver sends what waits for an address, in the background; the notices are
// held.
func (h *Handler) deliver(ctx context.Context, address string, r *receiving, now time.Time) {
	n := h.notices
	if r.busy {
		return
	}
	old := slices.DeleteFunc(slices.Clone(r.queue), func(d delivery) bool { return now.Sub(d.since) <= retryUntil })
	if len(old) > 0 {
		n.lose(old)
		r.queue = slices.DeleteFunc(r.queue, func(d delivery) bool { return now.Sub(d.since) > retryUntil })
	}
	switch {
	case len(r.queue) == 0:
		if now.Sub(r.began) > slowWindow {
			delete(n.receivers, address)
		}
		return
	case now.Before(r.dropUntil):
		n.lose(r.queue)
		r.queue = nil
		return
	case now.Before(r.next) || ctx.Err() != nil:
		return
	}
	batch := slices.Clone(r.queue[:min(batchOf, len(r.queue))])
	r.busy = true
	r.sent++
	times := 1
	if r.sent%twiceEvery == 0 {
		times = 2
	}
	n.work.Go(func() {
		began, ok := h.t.Real().Now(), false
		for range times {
			ok = n.send(ctx, address, batch)
		}
		slow := h.t.Real().Since(began) >= n.client.Timeout
		n.change(func() { r.done(len(batch), ok, slow, h.t.Clock.Now().UTC()) })
		n.poke()
	})
}

// send posts notifications, and says whether they were taken.
func (n *notices) send(ctx context.Context, address string, batch []delivery) bool {
	value := make([]object, len(batch))
	for i, d := range batch {
		value[i] = d.body
	}
	raw, err := json.Marshal(object{"value": value})
	if err != nil {
		panic(errors.New("notifications are plain values")) // they are
	}
	resp, err := n.post(ctx, address, "application/json; charset=utf-8", raw)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // the status says all
	_ = resp.Body.Close()
	return resp.StatusCode >= 200 && resp.StatusCode < 300
}

// done notes how a delivery went. What was not taken comes again later; of an
// address that is slow too often all is dropped for a while.
func (r *receiving) done(sent int, ok, slow bool, now time.Time) {
	r.busy = false
	if now.Sub(r.began) > slowWindow {
		r.began, r.total, r.slow = now, 0, 0
	}
	r.total++
	if slow {
		r.slow++
	}
	r.next = now
	switch {
	case ok:
		r.queue, r.tries = r.queue[sent:], 0
	default:
		r.next = now.Add(min(firstRetry<<min(r.tries, 10), time.Hour))
		r.tries++
	}
	switch {
	case r.slow*100 > 15*r.total:
		r.dropUntil = r.began.Add(slowWindow)
	case r.slow*100 > 10*r.total:
		r.next = latest(r.next, now.Add(10*time.Second))
	}
}

func (n *notices) post(ctx context.Context, address, kind string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("User-Agent", "weir-sandbox")
	return n.client.Do(req)
}
