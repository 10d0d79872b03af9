package auth

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	"weir/sources/httpx"
)

const (
	defaultEarly = 5 * time.Minute  // before its end a token is replaced
	earlyRetry   = 30 * time.Second // after a failed replacement of a token that is still good
	freshFor     = time.Minute      // a token refused at this age will not get better by another
	finishGrace  = 10 * time.Second // for a mint that must not be cut short
)

// CacheOptions says how long tokens are used.
type CacheOptions struct {
	Clock clockwork.Clock
	Early time.Duration // before its end a token is replaced; 0: 5 minutes, or a tenth of its life if that is less
	// Finish lets a mint go on for some seconds when nobody waits for it any
	// more: it may have used up what cannot be used again.
	Finish bool
}

// Tokens is an authorizer that gets tokens when they are needed. One mint
// serves all who wait; it ends early only when all of them have gone.
type Tokens struct {
	o    CacheOptions
	mint func(context.Context) (Token, error)

	mu        sync.Mutex
	tok       Token
	minted    time.Time
	refreshAt time.Time // zero: never
	flight    *flight
	refusals  int // of tokens in a row, each soon after it was minted
}

// flight is a mint under way.
type flight struct {
	done      chan struct{}
	cancel    context.CancelFunc
	waiters   int
	abandoned bool // cancelled, because nobody waited
	tok       Token
	err       error
}

// Cached returns an authorizer over mint, which is never called twice at the
// same time. A failed mint is not remembered.
func Cached(mint func(context.Context) (Token, error), o CacheOptions) *Tokens {
	return &Tokens{o: o, mint: mint}
}

// Token returns a token that has not ended.
func (t *Tokens) Token(ctx context.Context) (Token, error) {
	t.mu.Lock()
	tok, now := t.tok, t.o.Clock.Now()
	fresh := tok.Access != "" && (t.refreshAt.IsZero() || now.Before(t.refreshAt))
	t.mu.Unlock()
	if fresh {
		return tok, nil
	}
	next, err := t.fly(ctx)
	if err != nil && ctx.Err() == nil && tok.Access != "" && (tok.Expires.IsZero() || t.o.Clock.Now().Before(tok.Expires)) {
		return tok, nil // it was replaced ahead of its end, which can be tried again
	}
	return next, err
}

// Renew returns a new token, whatever the present one: with the rights that there
// are now.
func (t *Tokens) Renew(ctx context.Context) (Token, error) { return t.fly(ctx) }

// Authorize implements httpx.Authorizer.
func (t *Tokens) Authorize(ctx context.Context, r *http.Request) error {
	tok, err := t.Token(ctx)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", tok.Type+" "+tok.Access)
	if tok.dpop == nil {
		return nil
	}
	proof, err := tok.dpop.proof(r.Method, r.URL, tok.Access, t.o.Clock.Now())
	if err == nil {
		r.Header.Set("DPoP", proof)
	}
	return err
}

// Refused implements httpx.Authorizer. A refused token is replaced once,
// however many requests it was refused in.
func (t *Tokens) Refused(ctx context.Context, r *http.Request, answer *httpx.Response) (bool, error) {
	_, refused, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	t.mu.Lock()
	switch {
	case t.tok.Access == "": // refused in another request too
	case t.tok.Access != refused:
		t.mu.Unlock()
		return true, nil
	case t.tok.dpop != nil && t.tok.dpop.learn(answer):
		t.mu.Unlock()
		return true, nil
	default:
		if age := t.o.Clock.Since(t.minted); age >= freshFor {
			t.refusals = 0
		}
		if t.refusals++; t.refusals > 1 {
			t.mu.Unlock()
			return false, nil
		}
		t.tok, t.refreshAt = Token{}, time.Time{}
	}
	t.mu.Unlock()
	tok, err := t.fly(ctx)
	return err == nil && tok.Access != refused, err
}

// fly joins the mint under way, or starts one, and waits for its end.
func (t *Tokens) fly(ctx context.Context) (Token, error) {
	for {
		f := t.join(ctx)
		select {
		case <-f.done:
		case <-ctx.Done():
			t.leave(f)
			return Token{}, context.Cause(ctx)
		}
		if !f.abandoned || ctx.Err() != nil {
			return f.tok, f.err
		}
	}
}

func (t *Tokens) join(ctx context.Context) *flight {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.flight
	if f == nil {
		alone, cancel := context.WithCancel(context.WithoutCancel(ctx))
		f = &flight{done: make(chan struct{}), cancel: cancel}
		t.flight = f
		go t.run(alone, f)
	}
	f.waiters++
	return f
}

// leave is for a waiter whose context has ended. The last one stays until the
// mint has ended: no goroutine outlives the calls.
func (t *Tokens) leave(f *flight) {
	t.mu.Lock()
	f.waiters--
	last := f.waiters == 0
	t.mu.Unlock()
	if !last {
		return
	}
	abandon := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if f.waiters == 0 {
			f.abandoned = true
			f.cancel()
		}
	}
	if t.o.Finish {
		defer t.o.Clock.AfterFunc(finishGrace, abandon).Stop()
	} else {
		abandon()
	}
	<-f.done
}

func (t *Tokens) run(ctx context.Context, f *flight) {
	defer f.cancel()
	f.tok, f.err = t.mint(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.o.Clock.Now()
	switch {
	case f.err == nil:
		t.tok, t.minted = f.tok, now
		t.refreshAt = t.due(f.tok, now)
		f.abandoned = false
	case t.tok.Access != "" && !f.abandoned:
		t.refreshAt = now.Add(earlyRetry)
		if e := t.tok.Expires; !e.IsZero() && e.Before(t.refreshAt) {
			t.refreshAt = e
		}
	}
	t.flight = nil
	close(f.done)
}

// due returns when a token is to be replaced.
func (t *Tokens) due(tok Token, now time.Time) time.Time {
	at := tok.renew
	if !tok.Expires.IsZero() {
		early := t.o.Early
		if early == 0 {
			early = min(defaultEarly, tok.Expires.Sub(now)/10)
		}
		if e := tok.Expires.Add(-early); at.IsZero() || e.Before(at) {
			at = e
		}
	}
	return at
}
