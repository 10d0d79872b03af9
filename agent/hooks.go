package agent

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/netutil"
	"golang.org/x/time/rate"

	"weir/internal/fault"
	"weir/pipeline"
	"weir/sources"
)

const (
	hookConns      = 256 // open at one time
	hookRate       = 50  // notifications of one instance in a second
	hookBurst      = 500
	hookGather     = 500 * time.Millisecond // what comes within it is read together
	maxRoused      = 10_000                 // lanes that wait to be roused: more are read when they are due
	maxRousedOnce  = 1000                   // lanes of one notification
	subscribeWait  = time.Minute            // before a subscription that failed is tried again; doubles
	subscribeMost  = time.Hour
	subscribeApart = 5 * time.Second // between two that notifications ask for
	subscribeAt    = 24 * time.Hour  // at the latest, whatever a connector says
)

// hooks receives the notifications of all instances' vendors.
type hooks struct {
	a        *Agent
	hooks    map[[sha256.Size]byte]*hook // by the hash of what ends the path
	requests *prometheus.CounterVec
	roused   *prometheus.CounterVec
	failed   *prometheus.GaugeVec
}

// hook is one instance's.
type hook struct {
	sources.Hook
	instance string
	token    string
	limit    *rate.Limiter

	mu      sync.Mutex
	session sources.Listener // nil until the instance is open
	waiting map[sources.Waking]bool
	some    chan struct{} // something waits
	renew   map[string]bool
	again   chan struct{} // to subscribe
}

// newHooks makes the hooks of the instances that want one; nil: none does.
func (a *Agent) newHooks(ctx context.Context) (*hooks, error) {
	if a.Config.Hooks.Listen == "" || a.single() || a.Role == RoleGovern {
		return nil, nil //nolint:nilnil // none
	}
	h := &hooks{a: a, hooks: map[[sha256.Size]byte]*hook{}}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "weir", Subsystem: "hook", Name: name, Help: help}, labels)
		a.metrics.MustRegister(v)
		return v
	}
	h.requests = counter("requests_total", "Requests to hooks; instance empty: to no hook there is.", "instance", "status")
	h.roused = counter("lanes_total", "Lanes read before they were due, because a notification named them.", "instance", "stream")
	h.failed = prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "weir", Subsystem: "hook", Name: "unsubscribed", Help: "1 while a vendor could not be asked to send notifications."}, []string{"instance"})
	a.metrics.MustRegister(h.failed)
	for _, inst := range a.Config.Instances {
		if !inst.Enabled || !inst.Hooks {
			continue
		}
		key, err := a.Pipeline.HookKey(ctx, inst.Name)
		if err != nil {
			return nil, fmt.Errorf("hook of %s: %w", inst.Name, err)
		}
		part := func(what string) string {
			m := hmac.New(sha256.New, key[:])
			m.Write([]byte(what))
			return hex.EncodeToString(m.Sum(nil))
		}
		one := &hook{
			instance: inst.Name, token: part("path")[:32], limit: rate.NewLimiter(hookRate, hookBurst),
			waiting: map[sources.Waking]bool{}, renew: map[string]bool{}, some: make(chan struct{}, 1), again: make(chan struct{}, 1),
		}
		one.Hook = sources.Hook{
			URL: a.Config.Hooks.HookURL(one.token), Secret: part("secret"),
			Lanes: func(ctx context.Context, stream string) iter.Seq2[sources.Lane, error] {
				return a.Pipeline.Lanes(ctx, pipeline.StreamID{Instance: inst.Name, Stream: stream})
			},
		}
		h.hooks[sha256.Sum256([]byte(one.token))] = one
	}
	return h, nil
}

// of returns an instance's hook; nil when it has none.
func (h *hooks) of(instance string) *hook {
	if h == nil {
		return nil
	}
	for _, one := range h.hooks {
		if one.instance == instance {
			return one
		}
	}
	return nil
}

// receiveHooks receives notifications until stop is called.
func (a *Agent) receiveHooks(ctx context.Context) (stop func() error, err error) {
	h, err := a.newHooks(ctx)
	if err != nil || h == nil {
		return func() error { return nil }, err
	}
	a.hooks = h
	cfg := a.Config.Hooks
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug),
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", cfg.Listen) //nolint:forbidigo // closed by stop
	if err != nil {
		return nil, fmt.Errorf("hooks.listen: %w", err)
	}
	l = netutil.LimitListener(l, hookConns)
	if cfg.Cert != "" {
		pair := &certificate{cert: cfg.Cert, key: cfg.Key}
		if _, err := pair.get(nil); err != nil {
			return nil, errors.Join(err, l.Close())
		}
		srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.get}
	}
	done := make(chan error, 1)
	go func() {
		if srv.TLSConfig != nil {
			done <- srv.ServeTLS(l, "", "")
			return
		}
		done <- srv.Serve(l)
	}()
	a.Log.Info("receiving notifications", "address", l.Addr().String(), "instances", len(h.hooks))
	return func() error {
		err := srv.Close()
		if e := <-done; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}, nil
}

// ServeHTTP judges a notification.
func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	one := h.hooks[sha256.Sum256([]byte(path.Base(r.URL.Path)))]
	instance, answer := "", sources.Reaction{Status: http.StatusNotFound}
	if one != nil {
		instance = one.instance
		answer = one.judge(h, w, r)
	}
	h.requests.WithLabelValues(instance, fmt.Sprint(answer.Status)).Inc()
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if answer.Type != "" {
		w.Header().Set("Content-Type", answer.Type)
	}
	w.WriteHeader(answer.Status)
	_, _ = w.Write(answer.Body) // whoever asked is gone
}

func (h *hook) judge(all *hooks, w http.ResponseWriter, r *http.Request) sources.Reaction {
	refuse := func(status int) sources.Reaction { return sources.Reaction{Status: status} }
	if r.Method != http.MethodPost && r.Method != http.MethodGet {
		return refuse(http.StatusMethodNotAllowed)
	}
	if !h.limit.AllowN(all.a.Clock.Now(), 1) {
		w.Header().Set("Retry-After", "10")
		return refuse(http.StatusTooManyRequests)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, sources.MaxNotification))
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return refuse(http.StatusRequestEntityTooLarge)
	case err != nil:
		return refuse(http.StatusBadRequest)
	}
	h.mu.Lock()
	session := h.session
	h.mu.Unlock()
	if session == nil {
		w.Header().Set("Retry-After", "10")
		return refuse(http.StatusServiceUnavailable)
	}
	reaction := all.ask(h, session, &sources.Notification{Method: r.Method, Query: r.URL.Query(), Header: r.Header, Body: body})
	if reaction.Status < 200 || reaction.Status > 299 {
		all.a.Log.Debug("a notification was refused", "instance", h.instance, "status", reaction.Status)
		return reaction
	}
	h.add(reaction)
	return reaction
}

// ask has the connector judge a notification, which may make it panic.
func (h *hooks) ask(one *hook, session sources.Listener, n *sources.Notification) (r sources.Reaction) {
	defer func() {
		if v := recover(); v != nil {
			h.a.Log.Error("panic in a connector, over a notification", "instance", one.instance, "panic", fmt.Sprint(v))
			r = sources.Reaction{Status: http.StatusBadRequest}
		}
	}()
	r = session.Notified(one.Hook, n)
	if r.Status < 200 || r.Status > 599 {
		r = sources.Reaction{Status: http.StatusInternalServerError}
	}
	return r
}

// add notes what is to be read and renewed.
func (h *hook) add(r sources.Reaction) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range r.Wake[:min(len(r.Wake), maxRousedOnce)] {
		if len(h.waiting) < maxRoused {
			h.waiting[w] = true
		}
	}
	for _, id := range r.Renew[:min(len(r.Renew), maxRousedOnce)] {
		if len(h.renew) < maxRoused {
			h.renew[id] = true
		}
	}
	if len(h.waiting) > 0 {
		poke(h.some)
	}
	if len(r.Renew) > 0 {
		poke(h.again)
	}
}

// run keeps an open instance's subscriptions, and rouses what its vendor names,
// until ctx ends.
func (h *hooks) run(ctx context.Context, instance string, session sources.Session, log *slog.Logger) {
	one := h.of(instance)
	if one == nil {
		return
	}
	listener, ok := session.(sources.Listener)
	if !ok {
		log.Warn("hooks: this instance's credentials or settings get no notifications")
		return
	}
	one.mu.Lock()
	one.session = listener
	one.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { h.subscribe(ctx, one, listener, log) })
	h.rouse(ctx, one, log)
	wg.Wait()
}

func (h *hooks) subscribe(ctx context.Context, one *hook, listener sources.Listener, log *slog.Logger) {
	for wait := subscribeWait; ctx.Err() == nil; {
		to := one.Hook
		one.mu.Lock()
		to.Renew = slices.Sorted(maps.Keys(one.renew))
		one.mu.Unlock()
		again, err := listener.Subscribe(ctx, to)
		if ctx.Err() != nil {
			return
		}
		pause := min(max(again.Sub(h.a.Clock.Now()), subscribeWait), subscribeAt)
		h.failed.WithLabelValues(one.instance).Set(0)
		if err != nil {
			pause = max(wait, fault.RetryAfter(err))
			wait = min(2*wait, subscribeMost)
			h.failed.WithLabelValues(one.instance).Set(1)
			log.Warn("the vendor could not be asked to send notifications; polling goes on as ever", "error", err, "again_in", pause)
		} else {
			wait = subscribeWait
			one.mu.Lock()
			for _, id := range to.Renew {
				delete(one.renew, id)
			}
			one.mu.Unlock()
		}
		select {
		case <-h.a.Clock.After(pause):
		case <-one.again:
			h.a.pause(ctx, subscribeApart)
		case <-ctx.Done():
		}
	}
}

// rouse has lanes read that notifications named, those of a while together.
func (h *hooks) rouse(ctx context.Context, one *hook, log *slog.Logger) {
	for {
		select {
		case <-one.some:
		case <-ctx.Done():
			return
		}
		if !h.a.pause(ctx, hookGather) {
			return
		}
		one.mu.Lock()
		waiting := one.waiting
		one.waiting = map[sources.Waking]bool{}
		one.mu.Unlock()
		lanes := map[string][]string{}
		for w := range waiting {
			lanes[w.Stream] = append(lanes[w.Stream], w.Lane)
		}
		for _, s := range h.a.streamsOf(one.instance) {
			run := s.Running()
			if run == nil || len(lanes[s.ID.Stream]) == 0 {
				continue
			}
			if err := run.Rouse(ctx, lanes[s.ID.Stream]); err != nil {
				log.Warn("what a notification named is read when it is due", "stream", s.ID.Stream, "error", err)
				continue
			}
			h.roused.WithLabelValues(one.instance, s.ID.Stream).Add(float64(len(lanes[s.ID.Stream])))
		}
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// certificate is a pair of files, read anew when one of them has changed.
type certificate struct {
	cert, key string

	mu   sync.Mutex
	of   [2]time.Time
	pair *tls.Certificate
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var of [2]time.Time
	for i, file := range []string{c.cert, c.key} {
		info, err := os.Stat(file)
		if err != nil {
			return c.pair, c.or(err)
		}
		of[i] = info.ModTime()
	}
	if c.pair != nil && of == c.of {
		return c.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return c.pair, c.or(err)
	}
	c.pair, c.of = &pair, of
	return c.pair, nil
}

// or is an error when there is no pair from before.
func (c *certificate) or(err error) error {
	if c.pair != nil {
		return nil
	}
	return fmt.Errorf("hooks.cert: %w", err)
}

// redacted are what must not be told of an instance's hook.
func (h *hook) redacted() []string {
	if h == nil {
		return nil
	}
	return []string{h.token, h.Secret}
}
