package github

import (
	"net/http"
	"strconv"
	"time"

	"weir/internal/sandbox/org"
)

// quota is what one user or installation has used of the limits.
type quota struct {
	spent  map[string]*spent // by bucket
	minute time.Time         // start of the secondary limit's minute
	points int
	// Until when nothing may be asked, after the secondary limit was hit.
	until time.Time
}

type spent struct {
	used  int
	reset time.Time
}

const scimPerHour = 15_000

// limit returns how much a bucket holds for an hour.
func (h *Handler) limit(bucket string) int {
	switch bucket {
	case "audit_log":
		return h.facts.AuditPerHour
	case "graphql":
		return h.facts.GraphQLPerHour
	case "scim":
		return scimPerHour
	default:
		return h.facts.CorePerHour
	}
}

// subject returns whose quota a request uses: a user's, over all apps, or an
// installation's.
func (c *call) subject() string {
	switch {
	case c.who.kind == appJWT || c.who.kind == installation:
		return "app " + itoa(c.who.app.ID)
	case c.who.login != "":
		return c.who.login
	default:
		return "owner"
	}
}

// spend takes one request from the quotas; it answers itself when there is
// none left.
func (c *call) spend(running int32) bool {
	h := c.h
	if c.flavour.GHES { // off by default
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	q := h.quotas[c.subject()]
	if q == nil {
		q = &quota{spent: map[string]*spent{}}
		h.quotas[c.subject()] = q
	}
	c.entry = q
	if c.bucket == "" {
		return true
	}
	b := q.bucket(c.bucket, c.now)
	if c.now.Before(q.until) {
		h.violate("retry_after", c.r.URL.Path)
		c.secondary(q.until.Sub(c.now))
		return false
	}
	if int(running) > h.facts.Concurrent {
		c.secondary(h.wait(c.trouble))
		return false
	}
	if b.used >= h.limit(c.bucket) {
		h.violate("rate_limit", c.bucket+": "+c.r.URL.Path)
		who := "installation ID " + itoa(h.id(kindInstallation, 0))
		if a := c.account(); a != nil {
			who = "user ID " + itoa(h.id(kindAccount, a.N))
		}
		status := h.facts.LimitStatus
		if status == http.StatusForbidden && b.used%2 == 1 {
			status = http.StatusTooManyRequests // both happen
		}
		b.used++ // not shown, but tells how often
		c.fail(status, "API rate limit exceeded for "+who+".")
		return false
	}
	if c.now.Sub(q.minute) >= time.Minute {
		q.minute, q.points = c.now, 0
	}
	q.points++
	if c.r.Method != http.MethodGet && c.bucket != "graphql" {
		q.points += 4
	}
	h.limited++
	storm := c.trouble.SecondaryEvery > 0 && h.limited%c.trouble.SecondaryEvery == 0
	if q.points > h.facts.SecondaryPerMinute || storm {
		if !storm {
			h.violate("secondary_limit", c.r.URL.Path)
		}
		wait := h.wait(c.trouble)
		q.until = c.now.Add(wait)
		c.secondary(wait)
		return false
	}
	b.used++
	return true
}

func (q *quota) bucket(name string, now time.Time) *spent {
	b := q.spent[name]
	if b == nil || !now.Before(b.reset) {
		b = &spent{reset: now.Truncate(time.Second).Add(time.Hour)}
		q.spent[name] = b
	}
	return b
}

func (h *Handler) wait(t Trouble) time.Duration {
	if t.SecondaryWait > 0 {
		return t.SecondaryWait
	}
	return h.facts.SecondaryWait
}

const secondaryMessage = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."

func (c *call) secondary(wait time.Duration) {
	if !c.trouble.SecondaryMute {
		c.Header()["Retry-After"] = []string{strconv.Itoa(int((wait + time.Second - 1) / time.Second))}
	}
	c.fail(c.h.facts.LimitStatus, secondaryMessage)
}

// refund gives a request back: an answer "not modified" is free.
func (c *call) refund() {
	if c.entry == nil || c.bucket == "" {
		return
	}
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	if b := c.entry.bucket(c.bucket, c.now); b.used > 0 {
		b.used--
	}
}

func (c *call) limitHeaders() {
	if c.entry == nil {
		return
	}
	bucket := c.bucket
	if bucket == "" {
		bucket = "core"
	}
	c.h.mu.Lock()
	b := *c.entry.bucket(bucket, c.now)
	c.h.mu.Unlock()
	limit := c.h.limit(bucket)
	used := min(b.used, limit)
	head := c.Header()
	head["X-Ratelimit-Limit"] = []string{strconv.Itoa(limit)}
	head["X-Ratelimit-Remaining"] = []string{strconv.Itoa(limit - used)}
	head["X-Ratelimit-Used"] = []string{strconv.Itoa(used)}
	head["X-Ratelimit-Reset"] = []string{itoa(b.reset.Unix())}
	head["X-Ratelimit-Resource"] = []string{bucket}
}

// rateLimit is GET /rate_limit.
func (c *call) rateLimit() {
	if c.flavour.GHES {
		c.fail(http.StatusNotFound, "Rate limiting is not enabled.")
		return
	}
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	one := func(name, bucket string, limit int) {
		b := *c.entry.bucket(bucket, c.now)
		used := min(b.used, limit)
		c.object(name, func() {
			c.int("limit", int64(limit))
			c.int("remaining", int64(limit-used))
			c.int("reset", b.reset.Unix())
			c.int("used", int64(used))
		})
	}
	c.object("", func() {
		c.object("resources", func() {
			one("core", "core", c.h.limit("core"))
			one("graphql", "graphql", c.h.limit("graphql"))
			one("audit_log", "audit_log", c.h.limit("audit_log"))
			one("search", "search", 30)
			one("scim", "scim", scimPerHour)
		})
		one("rate", "core", c.h.limit("core"))
	})
}

// here tells whether an account exists now.
func here(a *org.Account, s *org.State) bool {
	return a.Status != org.Deprovisioned && alive(a.Created, a.Gone, s)
}

// alive tells whether something exists now.
func alive(created, gone time.Time, s *org.State) bool {
	return !created.After(s.Now) && (gone.IsZero() || gone.After(s.Now))
}
