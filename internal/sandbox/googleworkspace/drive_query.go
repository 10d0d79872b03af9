package googleworkspace

import (
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// fileQuery is a condition of files.list: q.
type fileQuery struct {
	holds func(n int32) bool
	// What must hold, whatever else does, so that not all has to be looked at.
	owner  int   // account; -1 any
	parent int32 // doc; -1 any
}

// queryParser reads q: comparisons, joined by and, or, not and parentheses.
type queryParser struct {
	c     *driveCall
	words []string // of strings the first is a quote
	at    int
	depth int
}

// parseQuery reads q; false: it cannot be read.
func (c *driveCall) parseQuery(text string) (fileQuery, bool) {
	if strings.TrimSpace(text) == "" {
		return fileQuery{func(int32) bool { return true }, -1, -1}, true
	}
	words, ok := queryWords(text)
	p := queryParser{c: c, words: words}
	if !ok {
		return fileQuery{}, false
	}
	q, ok := p.any()
	return q, ok && p.at == len(p.words)
}

// queryWords takes a query apart.
func queryWords(text string) (words []string, ok bool) {
	for i := 0; i < len(text); {
		switch b := text[i]; {
		case b == ' ' || b == '\t':
			i++
		case b == '\'':
			word := []byte{'\''}
			for i++; ; i++ {
				if i >= len(text) {
					return nil, false
				}
				if text[i] == '\\' && i+1 < len(text) {
					i++
				} else if text[i] == '\'' {
					break
				}
				word = append(word, text[i])
			}
			i++
			words = append(words, string(word))
		case strings.IndexByte("()", b) >= 0:
			words = append(words, text[i:i+1])
			i++
		case strings.IndexByte("=<>!", b) >= 0:
			n := 1
			if i+1 < len(text) && text[i+1] == '=' {
				n = 2
			}
			words = append(words, text[i:i+n])
			i += n
		default:
			n := strings.IndexAny(text[i:], " \t'()=<>!")
			if n < 0 {
				n = len(text) - i
			}
			words = append(words, text[i:i+n])
			i += n
		}
	}
	return words, true
}

func (p *queryParser) peek() string {
	if p.at < len(p.words) {
		return p.words[p.at]
	}
	return ""
}

func (p *queryParser) take() string {
	w := p.peek()
	p.at++
	return w
}

func (p *queryParser) any() (fileQuery, bool) {
	if p.depth++; p.depth > 50 {
		return fileQuery{}, false
	}
	defer func() { p.depth-- }()
	q, ok := p.all()
	for ok && p.peek() == "or" {
		p.at++
		var r fileQuery
		l := q.holds
		if r, ok = p.all(); ok {
			q = fileQuery{func(n int32) bool { return l(n) || r.holds(n) }, -1, -1}
		}
	}
	return q, ok
}

func (p *queryParser) all() (fileQuery, bool) {
	q, ok := p.one()
	for ok && p.peek() == "and" {
		p.at++
		var r fileQuery
		l := q
		if r, ok = p.one(); ok {
			q = fileQuery{func(n int32) bool { return l.holds(n) && r.holds(n) }, max(l.owner, r.owner), max(l.parent, r.parent)}
		}
	}
	return q, ok
}

func (p *queryParser) one() (fileQuery, bool) {
	switch p.peek() {
	case "not":
		p.at++
		q, ok := p.one()
		return fileQuery{func(n int32) bool { return !q.holds(n) }, -1, -1}, ok
	case "(":
		p.at++
		q, ok := p.any()
		return q, ok && p.take() == ")"
	}
	left, op, right := p.take(), p.take(), p.take()
	q := fileQuery{owner: -1, parent: -1}
	if strings.HasPrefix(left, "'") {
		if op != "in" {
			return q, false
		}
		return p.c.in(left[1:], right)
	}
	q.holds = p.c.comparison(left, op, right)
	return q, q.holds != nil
}

// in is "'value' in list".
func (c *driveCall) in(value, list string) (fileQuery, bool) {
	d := c.s.Docs
	q := fileQuery{owner: -1, parent: -1}
	account := func() int {
		if value == "me" {
			return c.me.N
		}
		if a := c.h.accountByKey(c.s, value); a != nil {
			return a.N
		}
		return -2
	}
	switch list {
	case "parents":
		parent, _ := c.doc(value)
		q.parent = max(parent, -1)
		q.holds = func(n int32) bool { return parent >= 0 && d.All[n].Parent == parent }
	case "owners":
		who := account()
		q.owner = max(who, -1)
		q.holds = func(n int32) bool { return int(d.All[n].Owner) == who }
	case "writers", "readers":
		who, least := account(), org.DocRank(strings.TrimSuffix(list, "s"))
		q.holds = func(n int32) bool {
			if who < 0 {
				return false
			}
			role, _ := c.s.DocRole(who, n)
			return org.DocRank(role) >= least
		}
	default:
		return q, false
	}
	return q, true
}

// comparison is "field op value"; nil: there is no such.
func (c *driveCall) comparison(field, op, value string) func(n int32) bool {
	d := c.s.Docs
	text, quoted := strings.CutPrefix(value, "'")
	equal := func(is func(n int32) bool) func(n int32) bool {
		switch {
		case quoted || value != "true" && value != "false":
			return nil
		case op == "=":
			return func(n int32) bool { return is(n) == (value == "true") }
		case op == "!=":
			return func(n int32) bool { return is(n) != (value == "true") }
		}
		return nil
	}
	words := func(of func(n int32) string) func(n int32) bool {
		switch {
		case !quoted:
			return nil
		case op == "=":
			return func(n int32) bool { return of(n) == text }
		case op == "!=":
			return func(n int32) bool { return of(n) != text }
		case op == "contains":
			return func(n int32) bool { return hasWordPrefix(of(n), text) }
		}
		return nil
	}
	switch field {
	case "trashed":
		return equal(d.InTrash)
	case "starred":
		return equal(func(int32) bool { return false })
	case "sharedWithMe":
		return equal(func(n int32) bool { return int(d.All[n].Owner) != c.me.N && !c.corpus(n).Shared() })
	case "name":
		return words(d.Name)
	case "mimeType":
		if op == "contains" {
			return func(n int32) bool { return strings.HasPrefix(d.Media(n), text) }
		}
		return words(d.Media)
	case "shortcutDetails.targetId":
		return words(func(n int32) string {
			if d.All[n].Kind != org.ShortcutDoc {
				return ""
			}
			return c.h.fileID(c.s, d.All[n].Target)
		})
	case "visibility":
		if !slices.Contains([]string{"anyoneCanFind", "anyoneWithLink", "domainCanFind", "domainWithLink", "limited"}, text) || op == "contains" {
			return nil
		}
		return words(c.visibility)
	case "modifiedTime", "createdTime":
		at, ok := queryTime(text)
		if !ok || !quoted {
			return nil
		}
		return compareTimes(op, at, func(n int32) int64 {
			if field == "createdTime" {
				return d.All[n].Created
			}
			return d.All[n].Modified
		})
	}
	return nil
}

func compareTimes(op string, at int64, of func(n int32) int64) func(n int32) bool {
	return map[string]func(n int32) bool{
		"=": func(n int32) bool { return of(n) == at }, "!=": func(n int32) bool { return of(n) != at },
		"<": func(n int32) bool { return of(n) < at }, "<=": func(n int32) bool { return of(n) <= at },
		">": func(n int32) bool { return of(n) > at }, ">=": func(n int32) bool { return of(n) >= at },
	}[op]
}

// queryTime reads a time: in UTC, unless it has a zone.
func queryTime(text string) (int64, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMilli(), true
		}
	}
	return 0, false
}

// hasWordPrefix is how names contain words: at the beginning of one.
func hasWordPrefix(name, text string) bool {
	name, text = strings.ToLower(name), strings.ToLower(text)
	return strings.HasPrefix(name, text) || strings.Contains(name, " "+text) || strings.Contains(name, "-"+text)
}

// visibility is how far a doc can be seen, in the words of a query.
func (c *driveCall) visibility(n int32) string {
	rank := []string{"limited", "domainWithLink", "domainCanFind", "anyoneWithLink", "anyoneCanFind"}
	widest := 0
	for _, r := range c.s.Reaching(n) {
		v := 0
		switch {
		case r.Shut || r.View != "":
		case r.To == org.ToAnyone && r.Findable:
			v = 4
		case r.To == org.ToAnyone:
			v = 3
		case r.To == org.ToDomain && r.Findable:
			v = 2
		case r.To == org.ToDomain:
			v = 1
		}
		widest = max(widest, v)
	}
	return rank[widest]
}
