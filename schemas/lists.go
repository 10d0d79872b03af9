package schemas

import "cmp"

// Lists gathers what an activity tells in lists: its targets, one entry an
// object, and what changed. The lists of rows lie in its memory until Reset. Not
// for concurrent use.
type Lists struct {
	memory []string

	targets           int
	ids, names, kinds [MaxTargets]string

	changes          int
	what, olds, news [MaxChanges]string
}

// Begin forgets what was gathered of the row before.
func (l *Lists) Begin() { l.targets, l.changes = 0, 0 }

// Reset takes the memory of all rows back.
func (l *Lists) Reset() { l.memory = l.memory[:0] }

// Release lets go of all that strings of rows alias.
func (l *Lists) Release() {
	memory := l.memory[:cap(l.memory)]
	clear(memory)
	*l = Lists{memory: memory[:0]}
}

// Keep returns a copy of strings, as a list in the memory; nil of none.
func (l *Lists) Keep(of ...string) []string {
	if len(of) == 0 {
		return nil
	}
	from := len(l.memory)
	l.memory = append(l.memory, of...)
	return l.memory[from:len(l.memory):len(l.memory)]
}

// Target adds an object, or what else is said of one already there. What has no
// id is known by its name; false: nor that.
func (l *Lists) Target(id, name, kind string) bool {
	if id = cmp.Or(id, name); id == "" {
		return false
	}
	kept := l.kept()
	for i := range kept {
		if l.ids[i] == id {
			l.names[i] = cmp.Or(l.names[i], name)
			return true
		}
	}
	if kept < MaxTargets {
		l.ids[kept], l.names[kept], l.kinds[kept] = id, name, kind
	}
	l.targets++
	return true
}

// LastTarget is Target of an object that must not be lost among others: where
// there is no room, it takes the last one's.
func (l *Lists) LastTarget(id, name, kind string) {
	if l.targets >= MaxTargets && id != "" {
		l.ids[MaxTargets-1], l.names[MaxTargets-1], l.kinds[MaxTargets-1] = id, name, kind
		l.targets++
		return
	}
	l.Target(id, name, kind)
}

// RenameTarget calls a target by another of its ids, unless one has that.
func (l *Lists) RenameTarget(id, to string) {
	at := -1
	for i := range l.kept() {
		switch l.ids[i] {
		case to:
			return
		case id:
			at = i
		}
	}
	if at >= 0 {
		l.ids[at] = to
	}
}

// Targets is how many objects were added.
func (l *Lists) Targets() int { return l.targets }

func (l *Lists) kept() int { return min(l.targets, MaxTargets) }

// SetTargets sets a row's targets.
func (l *Lists) SetTargets(a *Activity) {
	a.TargetCount = int32(l.targets)
	if kept := l.kept(); kept > 0 {
		a.TargetID, a.TargetName, a.TargetKind = l.ids[0], l.names[0], l.kinds[0]
		a.TargetIDs, a.TargetNames, a.TargetKinds = l.Keep(l.ids[:kept]...), l.Keep(l.names[:kept]...), l.Keep(l.kinds[:kept]...)
	}
}

// Change adds something that changed, shortened to what an entry may hold.
func (l *Lists) Change(name, before, after string) {
	if l.changes == MaxChanges || name == "" {
		return
	}
	l.what[l.changes], l.olds[l.changes], l.news[l.changes] = ClipChange(name), ClipChange(before), ClipChange(after)
	l.changes++
}

// SetChanges sets what changed in a row.
func (l *Lists) SetChanges(a *Activity) {
	n := l.changes
	a.ChangeNames, a.ChangeOld, a.ChangeNew = l.Keep(l.what[:n]...), l.Keep(l.olds[:n]...), l.Keep(l.news[:n]...)
}
