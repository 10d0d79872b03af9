package aws

import (
	"slices"
	"time"

	"weir/internal/sandbox/org"
)

// past is what IAM still shows of entities that have changed since: it is
// eventually consistent. By name; the oldest first.
type past[T any] map[string][]shown[T]

type shown[T any] struct {
	until time.Time
	was   *T // nil: it was not there
}

// keep has what an entity was shown for a while.
func (p past[T]) keep(name string, until time.Time, was T) {
	p[name] = append(p[name], shown[T]{until, &was})
}

// seen returns what is shown of an entity now.
func (p past[T]) seen(name string, now time.Time, is *T) *T {
	p[name] = slices.DeleteFunc(p[name], func(s shown[T]) bool { return !now.Before(s.until) })
	if len(p[name]) == 0 {
		delete(p, name)
		return is
	}
	return p[name][0].was
}

// lag is how long a change of this request stays unseen.
func (c *call) lag() time.Duration {
	return max(c.h.Faults().Delay, c.h.t.Lag(c.r))
}

// changeUser is to be called before a user is changed.
func (c *call) changeUser(u *org.CloudUser) {
	if d := c.lag(); d > 0 {
		was := *u
		was.Keys, was.Policies = slices.Clone(u.Keys), slices.Clone(u.Policies)
		if u.Login != nil {
			login := *u.Login
			was.Login = &login
		}
		c.h.mu.Lock()
		defer c.h.mu.Unlock()
		c.h.users.keep(u.Name, c.now.Add(d), was)
	}
}

// changeRole is to be called before a role is changed.
func (c *call) changeRole(r *org.CloudRole) {
	if d := c.lag(); d > 0 {
		was := *r
		was.Policies = slices.Clone(r.Policies)
		c.h.mu.Lock()
		defer c.h.mu.Unlock()
		c.h.roles.keep(r.Name, c.now.Add(d), was)
	}
}

func (c *call) seenUser(u *org.CloudUser) *org.CloudUser {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	return c.h.users.seen(u.Name, c.now, u)
}

func (c *call) seenRole(r *org.CloudRole) *org.CloudRole {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	return c.h.roles.seen(r.Name, c.now, r)
}
