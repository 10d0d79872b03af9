package github

import (
	"net/http"
	"slices"

	"weir/internal/sandbox"
)

var (
	_ sandbox.Handler   = (*Handler)(nil)
	_ sandbox.Throttler = (*Handler)(nil)
	_ sandbox.Failer    = (*Handler)(nil)
	_ sandbox.Limiter   = (*Handler)(nil)
)

// Throttled implements sandbox.Throttler: the secondary limit, which comes as
// 403 and as 429.
func (h *Handler) Throttled(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.limited++
	status := []int{http.StatusForbidden, http.StatusTooManyRequests}[h.limited%2]
	h.mu.Unlock()
	w.Header()["Retry-After"] = []string{"1"}
	h.answer(w, r, status, secondaryMessage)
}

// Failed implements sandbox.Failer.
func (h *Handler) Failed(w http.ResponseWriter, r *http.Request, status int) {
	message := http.StatusText(status)
	switch {
	case status >= http.StatusInternalServerError:
		message = "Server Error"
	case status == http.StatusUnauthorized:
		message = "Bad credentials"
	}
	h.answer(w, r, status, message)
}

// MaxConcurrent implements sandbox.Limiter.
func (h *Handler) MaxConcurrent() int { return h.facts.Concurrent }

// answer writes an error outside of any call.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, status int, message string) {
	c := &call{ResponseWriter: w, h: h, r: r, now: h.now()}
	c.fail(status, message)
	c.flush()
}

// scenario adds to the tenant's trouble what the sandbox's scenario asks for.
func (c *call) scenario() {
	t := c.h.tenant
	if missing := t.MissingScopes(c.r); len(missing) > 0 {
		c.trouble.MissingScopes = append(slices.Clone(c.trouble.MissingScopes), missing...)
	}
	if c.query.Get("after") != "" && t.CursorExpired(c.r) {
		c.trouble.CursorsExpired = true
	}
}
