package microsoft365

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// logFilter is what a query of a log asks for.
type logFilter struct {
	from, to time.Time // both included; zero: open
	equal    map[string]string
	prefix   string   // of the activity's name
	types    []string // of sign-ins; nil: not asked for
}

var (
	typesPattern   = regexp.MustCompile(`^\(?signInEventTypes/any\(\s*(\w+)\s*:\s*(.*?)\)\)?$`)
	typePattern    = regexp.MustCompile(`^\(?\w+ eq '(\w+)'\)?$`)
	clausePattern  = regexp.MustCompile(`^([\w/]+) (eq|ge|le|gt|lt|ne) (.+)$`)
	startsPattern  = regexp.MustCompile(`^startswith\(activityDisplayName, ?'([^']*)'\)$`)
	auditAttribute = []string{"activityDisplayName", "loggedByService", "initiatedBy/user/id", "correlationId"}
	signAttribute  = []string{"userId", "userPrincipalName", "appId", "appDisplayName", "ipAddress", "correlationId", "id"}
)

// readLogFilter reads $filter. The time takes eq, ge and le alone, other
// attributes eq.
func (c *call) readLogFilter(timeName string, attributes []string) (*logFilter, *failure) {
	q := &logFilter{equal: map[string]string{}}
	bad := func(format string, a ...any) (*logFilter, *failure) {
		return nil, refuse(http.StatusBadRequest, c.h.facts.BadRequest, format, a...)
	}
	text := strings.TrimSpace(c.q.Get("$filter"))
	for text != "" {
		part, rest, _ := strings.Cut(text, " and ")
		text = strings.TrimSpace(rest)
		part = strings.TrimSpace(part)
		if m := typesPattern.FindStringSubmatch(part); m != nil {
			for _, or := range strings.Split(m[2], " or ") {
				t := typePattern.FindStringSubmatch(strings.TrimSpace(or))
				if t == nil || !c.beta {
					return bad("Invalid filter clause: %s", part)
				}
				q.types = append(q.types, t[1])
			}
			continue
		}
		if m := startsPattern.FindStringSubmatch(part); m != nil && timeName == c.h.facts.AuditTime {
			q.prefix = m[1]
			continue
		}
		m := clausePattern.FindStringSubmatch(part)
		if m == nil {
			return bad("Invalid filter clause: %s", part)
		}
		name, op, value := m[1], m[2], m[3]
		if name != timeName {
			if !slices.Contains(attributes, name) || op != "eq" || len(value) < 2 || value[0] != '\'' {
				return bad("Invalid filter clause: %s", part)
			}
			q.equal[name] = strings.Trim(value, "'")
			continue
		}
		t, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return bad("Invalid filter clause: %s", part)
		}
		switch {
		case op == "ge":
			q.from = t.UTC()
		case op == "le":
			q.to = t.UTC()
		case op == "eq":
			q.from, q.to = t.UTC(), t.UTC()
		case !c.h.facts.StrictOperators && op == "gt":
			q.from = t.UTC().Add(1)
		case !c.h.facts.StrictOperators && op == "lt":
			q.to = t.UTC().Add(-1)
		default:
			return bad("Operator '%s' is not supported for the property '%s'.", op, name)
		}
	}
	return q, nil
}

// logPlace is where a page of a log begins: after an event.
type logPlace struct {
	At int64 // Unix nanoseconds
	N  int
}

// logKind is one of the two logs.
type logKind struct {
	timeName   string
	attributes []string
	page       Page
	verbs      func(e *org.Event) bool
	shown      func(t time.Time) time.Time // as exactly as the log tells times
	values     func(e *org.Event, name string) string
	view       func(e *org.Event) object
}

// log answers with a page of a log.
func (c *call) log(k *logKind) *failure {
	f := &c.h.facts
	q, bad := c.readLogFilter(k.timeName, k.attributes)
	if bad != nil {
		return bad
	}
	down := f.NewestFirst
	switch c.q.Get("$orderby") {
	case "":
	case k.timeName, k.timeName + " asc":
		down = false
	case k.timeName + " desc":
		down = true
	default:
		return refuse(http.StatusBadRequest, f.BadRequest, "Invalid orderby clause: %s", c.q.Get("$orderby"))
	}
	top, bad := c.top(k.page)
	if bad != nil {
		return bad
	}
	line := c.s.Timeline[org.Microsoft365]
	lo, hi := c.s.HappenedSince(org.Microsoft365, c.s.Now.Add(-c.h.kept())), len(line)
	if !q.from.IsZero() {
		lo = max(lo, c.s.HappenedSince(org.Microsoft365, q.from.Add(-time.Second)))
	}
	if !q.to.IsZero() {
		hi = c.s.HappenedSince(org.Microsoft365, q.to.Add(time.Second))
	}
	if token := c.q.Get("$skiptoken"); token != "" {
		var p logPlace
		if !c.h.unseal(c.path, token, &p) {
			return c.crafted(token)
		}
		if c.h.t.CursorExpired(c.r) {
			return refuse(http.StatusBadRequest, f.BadRequest, "The skip token has expired.")
		}
		at, found := slices.BinarySearchFunc(line, p, func(e *org.Event, p logPlace) int {
			if d := e.At.UnixNano() - p.At; d != 0 {
				return int(max(-1, min(1, d)))
			}
			return e.N - p.N
		})
		switch {
		case down:
			hi = min(hi, at)
		case found:
			lo = max(lo, at+1)
		default:
			lo = max(lo, at)
		}
	}
	value, more := []object{}, false
	var last *org.Event
	for i := range max(0, hi-lo) {
		e := line[lo+i]
		if down {
			e = line[hi-1-i]
		}
		if !k.verbs(e) || !c.logHolds(k, q, e) {
			continue
		}
		if len(value) == top {
			more = true
			break
		}
		value, last = append(value, c.chosen(k.view(e), c.option("$select"))), e
	}
	c.page(value, func(out object) {
		if more {
			out[f.NextLink] = c.link(c.h.seal(c.path, logPlace{last.At.UnixNano(), last.N}))
		}
	})
	return nil
}

func (c *call) logHolds(k *logKind, q *logFilter, e *org.Event) bool {
	at := k.shown(e.At)
	if !q.from.IsZero() && at.Before(q.from) || !q.to.IsZero() && at.After(q.to) {
		return false
	}
	for name, want := range q.equal {
		if k.values(e, name) != want {
			return false
		}
	}
	if q.prefix != "" && !strings.HasPrefix(k.values(e, "activityDisplayName"), q.prefix) {
		return false
	}
	if k.timeName != c.h.facts.SignInTime {
		return true
	}
	kind := signInType(c.s, e)
	switch {
	case q.types != nil:
		return slices.Contains(q.types, kind)
	case c.h.facts.OnlyInteractive:
		return kind == interactive
	}
	return true
}
