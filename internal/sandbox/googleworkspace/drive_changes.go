package googleworkspace

import (
	"net/http"
	"strconv"

	"weir/internal/sandbox/org"
)

// changeLog is whose changes are told: of an account, or a shared drive.
type changeLog struct {
	account int         // -1: of the drive
	drive   *org.Corpus // nil: of the account
}

// base is where the numbers of a log begin: each has its own.
func (h *Handler) base(l changeLog) int {
	if l.drive != nil {
		return 1000 + h.noise("drive log", l.drive.N, 90_000)
	}
	return 1000 + h.noise("user log", l.account, 90_000)
}

// changeToken is a place in a log, in front of an entry of the organization's.
func (h *Handler) changeToken(l changeLog, at int) string { return strconv.Itoa(h.base(l) + at) }

// theLog is the one that a request asks for.
func (c *driveCall) theLog() (changeLog, *failure) {
	id := c.q.Get("driveId")
	if id == "" {
		return changeLog{account: c.me.N}, nil
	}
	n := c.h.docN(c.s, id)
	switch {
	case !c.flag("supportsAllDrives"):
		return changeLog{}, invalid("The supportsAllDrives parameter must be true if driveId is set.")
	case n < 0 || !c.s.Docs.IsRoot(n) || !c.corpus(n).Shared() || c.idle || !c.lists(n):
		return changeLog{}, refuse(http.StatusNotFound, "notFound", "Shared drive not found: %s", id)
	}
	return changeLog{account: -1, drive: c.corpus(n)}, nil
}

func (c *driveCall) startPageToken(m mask) *failure {
	l, f := c.theLog()
	if f != nil {
		return f
	}
	return c.reply(m, object{"kind": "drive#startPageToken", "startPageToken": c.h.changeToken(l, len(c.s.Docs.Log))})
}

// place reads a token of a log.
func (c *driveCall) place(l changeLog) (int, *failure) {
	text := c.q.Get("pageToken")
	if text == "" {
		f := refuse(http.StatusBadRequest, "required", "Required parameter: pageToken")
		f.location = "pageToken"
		return 0, f
	}
	at, err := strconv.Atoi(text)
	at -= c.h.base(l)
	status := c.h.facts.StaleStatus
	if other := c.h.Faults().StaleChanges; other != 0 {
		status = other
	} else if err == nil && at >= 0 && at <= len(c.s.Docs.Log) && !c.h.t.CursorExpired(c.r) {
		return at, nil
	}
	return 0, refuse(status, map[int]string{http.StatusNotFound: "notFound", http.StatusGone: "gone"}[status]+map[bool]string{true: "invalid"}[status == http.StatusBadRequest], "Invalid Value")
}

// change is what a log tells at a place; nil: nothing to the subject.
func (c *driveCall) changeAt(l changeLog, at int, want mask) object {
	d := c.s.Docs
	e := d.Log[at]
	x := &d.All[e.Doc]
	switch told := c.tells(l, at); {
	case told == tellsNothing:
		return nil
	case told == tellsRemoved:
		v := object{"kind": "drive#change", "type": "file", "changeType": "file", "time": msTime(e.At), "removed": true, "fileId": c.h.fileID(c.s, e.Doc)}
		if x.Parent < 0 {
			v["type"], v["changeType"], v["driveId"] = "drive", "drive", v["fileId"]
			delete(v, "fileId")
		}
		return v
	}
	id := c.h.fileID(c.s, e.Doc)
	v := object{"kind": "drive#change", "time": msTime(e.At), "removed": false}
	if x.Parent < 0 {
		v["type"], v["changeType"], v["driveId"], v["drive"] = "drive", "drive", id, want.under("drive").of(c.driveView(c.corpus(e.Doc)))
		return v
	}
	v["type"], v["changeType"], v["fileId"] = "file", "file", id
	if c.corpus(e.Doc).Shared() {
		v["driveId"] = c.h.fileID(c.s, c.corpus(e.Doc).Root)
	}
	if want.has("file") {
		v["file"] = c.fileView(e.Doc, want.under("file"))
	}
	return v
}

// What a log tells at a place.
const (
	tellsNothing = iota
	tellsChange
	tellsRemoved
)

// tells says what an entry is in a log: of each doc the last is told only.
func (c *driveCall) tells(l changeLog, at int) int {
	d := c.s.Docs
	e := d.Log[at]
	x := &d.All[e.Doc]
	latest := e.Lost == 0 && (int(x.Changed) == at+1 || c.h.facts.EveryChange)
	if l.drive != nil {
		inside := int(x.Corpus) == l.drive.N && !x.Gone
		switch {
		case latest && inside:
			return tellsChange
		case e.Lost == -int32(l.drive.N)-1 && !inside && d.LostLast(at):
			return tellsRemoved
		}
		return tellsNothing
	}
	shared := c.corpus(e.Doc).Shared()
	if x.Parent < 0 && !shared {
		return tellsNothing
	}
	hidden := shared && (c.idle || !c.flag("includeItemsFromAllDrives"))
	sees := !hidden && !x.Gone && c.s.There(e.Doc) && c.lists(e.Doc)
	mine := c.corpus(e.Doc).Owner == c.me.N || !c.flag("restrictToMyDrive")
	switch {
	case latest && sees && mine:
		return tellsChange
	case int(e.Lost) == c.me.N+1 && !sees && d.LostLast(at) && (!hidden || x.Parent >= 0):
		return tellsRemoved
	}
	return tellsNothing
}

// has says whether a member of an object is true.
func has(v object, name string) bool {
	is, _ := v[name].(bool)
	return is
}

// listChanges tells what has changed since a token (5.9).
func (c *driveCall) listChanges(m mask) *failure {
	if c.flag("includeItemsFromAllDrives") && !c.flag("supportsAllDrives") {
		return invalid("The supportsAllDrives parameter must be true if includeItemsFromAllDrives is.")
	}
	l, f := c.theLog()
	if f != nil {
		return f
	}
	at, f := c.place(l)
	if f != nil {
		return f
	}
	size, f := c.sized(&listing{sizeName: "pageSize", size: Page{100, 1000}})
	if f != nil {
		return f
	}
	want := m.under("changes")
	changes := []object{}
	removed := c.q.Get("includeRemoved") != "false"
	for ; at < len(c.s.Docs.Log) && len(changes) < size; at++ {
		if v := c.changeAt(l, at, want); v != nil && (removed || !has(v, "removed")) {
			changes = append(changes, v)
		}
	}
	out := object{"kind": "drive#changeList", "changes": changes}
	if at < len(c.s.Docs.Log) {
		out["nextPageToken"] = c.h.changeToken(l, at)
	}
	if at == len(c.s.Docs.Log) || c.h.facts.EarlyStart {
		out[c.h.facts.NewStart] = c.h.changeToken(l, at)
	}
	return c.reply(m, out)
}
