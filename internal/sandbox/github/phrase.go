package github

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// phrase is a parsed search of the audit log. Qualifiers of one name are
// alternatives; those of different names must all hold.
type phrase struct {
	created         bool  // there is a created:
	from, to        int64 // of created, Unix milliseconds; to excluded
	actions, not    []string
	actor, user     []string
	repo, country   []string
	operation, hash []string
	text            []string // must stand somewhere in the row
}

// parsePhrase reads a search. The error is for the client.
func parsePhrase(s string, resolution time.Duration) (phrase, error) {
	p := phrase{from: math.MinInt64, to: math.MaxInt64}
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		var term string
		term, s = cutTerm(s)
		name, value, ok := strings.Cut(term, ":")
		value = strings.Trim(value, `"`)
		if !ok {
			p.text = append(p.text, strings.Trim(term, `"`))
			continue
		}
		if value == "" {
			return p, fmt.Errorf("the qualifier %s has no value", name)
		}
		switch name {
		case "action":
			p.actions = append(p.actions, value)
		case "-action":
			p.not = append(p.not, value)
		case "actor":
			p.actor = append(p.actor, value)
		case "user":
			p.user = append(p.user, value)
		case "repo":
			p.repo = append(p.repo, value)
		case "country":
			p.country = append(p.country, value)
		case "operation":
			p.operation = append(p.operation, value)
		case "hashed_token":
			p.hash = append(p.hash, value)
		case "created":
			from, to, err := parseCreated(value, resolution)
			if err != nil {
				return p, err
			}
			p.created, p.from, p.to = true, max(p.from, from), min(p.to, to)
		default:
			p.text = append(p.text, term)
		}
	}
	return p, nil
}

// cutTerm splits off the first term; quoted parts may hold spaces.
func cutTerm(s string) (term, rest string) {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ' ' && !quoted:
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// parseCreated reads the value of created: as a span of Unix milliseconds.
func parseCreated(v string, resolution time.Duration) (from, to int64, err error) {
	from, to = math.MinInt64, math.MaxInt64
	if a, b, ok := strings.Cut(v, ".."); ok {
		if a != "*" {
			if from, _, err = instant(a, resolution); err != nil {
				return from, to, err
			}
		}
		if b != "*" {
			_, to, err = instant(b, resolution)
		}
		return from, to, err
	}
	for _, op := range []string{">=", "<=", ">", "<"} {
		rest, ok := strings.CutPrefix(v, op)
		if !ok {
			continue
		}
		start, end, err := instant(rest, resolution)
		switch op {
		case ">=":
			from = start
		case ">":
			from = end
		case "<=":
			to = end
		case "<":
			to = start
		}
		return from, to, err
	}
	return instant(v, resolution)
}

// instant returns the span that a date or time names: a day, or one step of the
// resolution.
func instant(v string, resolution time.Duration) (from, to int64, err error) {
	if t, err := time.Parse(time.DateOnly, v); err == nil {
		return t.UnixMilli(), t.Add(day).UnixMilli(), nil
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return 0, 0, fmt.Errorf("created: %q is no date or time in ISO 8601", v)
	}
	t = t.Truncate(resolution)
	return t.UnixMilli(), t.Add(resolution).UnixMilli(), nil
}

// holds tells whether a row is found; text is looked for in what it renders to.
func (p *phrase) holds(r *auditRow) bool {
	switch {
	case r.at < p.from || r.at >= p.to,
		len(p.actions) > 0 && !slices.ContainsFunc(p.actions, r.acts),
		slices.ContainsFunc(p.not, r.acts),
		!oneOf(p.actor, r.actor), !oneOf(p.user, r.user), !oneOf(p.repo, r.repo),
		!oneOf(p.country, r.country), !oneOf(p.operation, r.operation), !oneOf(p.hash, r.hashedToken):
		return false
	}
	return true
}

// acts tells whether a row's action is what is asked for: a category or one
// action.
func (r *auditRow) acts(want string) bool {
	return r.action == want || strings.HasPrefix(r.action, want) && r.action[len(want)] == '.'
}

func oneOf(want []string, v string) bool {
	return len(want) == 0 || slices.ContainsFunc(want, func(w string) bool { return strings.EqualFold(w, v) })
}

func (p *phrase) textIn(row []byte) bool {
	for _, t := range p.text {
		if !bytes.Contains(row, []byte(t)) {
			return false
		}
	}
	return true
}
