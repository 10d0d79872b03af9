package googleworkspace

import (
	"fmt"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// watchChanges answers POST /changes/watch: that a log has something new is told,
// not what.
func (c *driveCall) watchChanges(mask) *failure {
	l, f := c.theLog()
	if f != nil {
		return f
	}
	if _, f := c.place(l); f != nil {
		return f
	}
	h, at := c.h, len(c.s.Docs.Log)
	later := c.keep()
	look := func(s *org.State, now time.Time) []message {
		d := later(s, now)
		told := false
		for ; at < len(s.Docs.Log); at++ {
			told = told || d.tells(l, at) != tellsNothing
		}
		if !told {
			return nil
		}
		return []message{{state: h.facts.ChangeState, body: object{"kind": "drive#changes"}}}
	}
	path := "/drive/v3/changes"
	if l.drive != nil {
		path += "/drive/" + c.q.Get("driveId")
	} else {
		path += "/user/" + itoa(l.account)
	}
	return c.call.open(path, h.facts.ChannelDefault, h.facts.ChangesChannel, look)
}

// keep returns what makes a call as this one later, to look at changes with.
func (c *driveCall) keep() func(s *org.State, now time.Time) *driveCall {
	inner := &call{h: c.h, r: c.r, q: c.q, who: c.who}
	account := c.me.N
	return func(s *org.State, now time.Time) *driveCall {
		inner.s, inner.now = s, now
		me := s.Accounts[app][account]
		return &driveCall{call: inner, me: me, idle: me.Status != org.Active}
	}
}

// watchFile answers POST /files/{id}/watch.
func (c *driveCall) watchFile(mask) *failure {
	n, f := c.open(c.args[0])
	if f != nil {
		return f
	}
	h, seen := c.h, sketch(c.s, n)
	account := c.me.N
	look := func(s *org.State, _ time.Time) []message {
		is := sketch(s, n)
		if is == seen {
			return nil
		}
		was := seen
		seen = is
		role := "owner"
		if int(s.Docs.All[n].Owner) != account {
			role, _ = s.DocRole(account, n)
		}
		m := message{state: "update", changed: strings.Join(is.changed(was), ",")}
		switch {
		case s.Docs.All[n].Gone || role == "":
			m = message{state: "remove"}
		case is.trashed && !was.trashed:
			m.state = "trash"
		case was.trashed && !is.trashed:
			m.state = "untrash"
		}
		return []message{m}
	}
	return c.call.open("/drive/v3/files/"+c.args[0], h.facts.ChannelDefault, h.facts.FileChannel, look)
}

// fileSketch is what a watch of a file compares.
type fileSketch struct {
	version, content, parent int32
	name                     string
	trashed, gone            bool
	grants                   string
	owner                    int32
	children                 int
}

func sketch(s *org.State, n int32) fileSketch {
	x := &s.Docs.All[n]
	v := fileSketch{version: x.Version, content: x.Content, parent: x.Parent, name: s.Docs.Name(n), trashed: s.Docs.InTrash(n), gone: x.Gone, owner: x.Owner}
	if x.Kind == org.FolderDoc {
		for _, m := range s.Docs.Corpora[x.Corpus].Docs {
			if s.Docs.All[m].Parent == n {
				v.children++
			}
		}
	}
	if x.Sharing != nil {
		v.grants = fmt.Sprint(*x.Sharing)
	}
	return v
}

// changed names what is not as it was.
func (v fileSketch) changed(was fileSketch) (list []string) {
	if v.content != was.content {
		list = append(list, "content")
	}
	if v.parent != was.parent {
		list = append(list, "parents")
	}
	if v.children != was.children {
		list = append(list, "children")
	}
	if v.grants != was.grants || v.owner != was.owner {
		list = append(list, "permissions")
	}
	if len(list) == 0 || v.name != was.name || v.trashed != was.trashed {
		list = append(list, "properties")
	}
	return list
}

// stopChannel answers POST /channels/stop.
func (c *driveCall) stopChannel(mask) *failure { return c.call.stopChannel() }
