package pipeline

import (
	"context"
	"slices"
	"strconv"
	"time"

	"weir/schemas"
	"weir/sources"
)

// Values of the column change.
const (
	changeAdded    = "added"
	changeUpdated  = "updated"
	changeRemoved  = "removed"
	changeSnapshot = "snapshot"
	changeRemapped = "remapped"
)

// Values of the column removed_reason.
const (
	reasonDeleted     = "deleted"
	reasonAccessLost  = "access_lost"
	reasonSoftDeleted = "soft_deleted"
	reasonUnknown     = "unknown"
)

const noScanKey = "the row has no key"

// comparison is one page being compared with what was last delivered.
type comparison struct {
	*scan
	lane    *reading
	page    *sources.Page
	began   int64 // when the request began, in milliseconds
	now     time.Time
	ch      *change
	n       pageCounts
	changed []Baseline
	dead    []DeadLetter
	apply   []func(Tx) error
}

// take compares a page, and queues what it changes together with the lane's
// new state. It returns where the change's outcome comes out.
func (s *scan) take(ctx context.Context, l *reading, page *sources.Page, began time.Time, inFlight chan struct{}) (chan error, pageCounts, error) {
	select {
	case inFlight <- struct{}{}:
	case <-ctx.Done():
		return nil, pageCounts{}, context.Cause(ctx)
	case <-s.p.failure.Done():
		return nil, pageCounts{}, context.Cause(s.p.failure)
	}
	// Locked until the change is queued: two pages with one row must be compared
	// and committed in one order.
	s.page.Lock()
	defer s.page.Unlock()
	c := &comparison{scan: s, lane: l, page: page, began: began.UnixMilli(), now: s.p.clock.Now(), ch: &change{}}
	if err := c.all(ctx); err != nil {
		s.p.giveUpDead(c.dead)
		<-inFlight
		return nil, c.n, err
	}
	c.n.rejected = int64(len(c.dead))
	l.stands = l.stands || len(c.dead) > 0
	if page.Unseen != "" {
		l.stands = true
		s.unseen.note(l.Lane.ID, page.Unseen)
	}
	s.advance(l, page, c.now)
	s.r.count(page, c.n)
	s.r.Stats.BytesOut.Add(int64(c.ch.bytes()))

	for i := range c.changed {
		s.remember(&c.changed[i])
	}
	lane := l.ScanLane
	ch := c.ch
	ch.lazy = page.More && len(ch.batches) == 0 && len(c.dead) == 0
	ch.apply = func(tx Tx) error {
		for _, d := range c.dead {
			if err := tx.AddDeadLetter(d); err != nil {
				return err
			}
		}
		if err := tx.PutBaselines(c.changed); err != nil {
			return err
		}
		for _, fn := range c.apply {
			if err := fn(tx); err != nil {
				return err
			}
		}
		return tx.SetScanLane(lane)
	}
	result := make(chan error, 1)
	lazy := ch.lazy
	ch.done = func(err error) {
		for i := range c.changed {
			s.forget(c.changed[i].Key)
		}
		if !lazy {
			<-inFlight
		}
		result <- err
	}
	s.p.committer.submit(s.p.failure, ch)
	if lazy {
		<-inFlight // it may wait long for company
	}
	return result, c.n, nil
}

// all takes what the page holds.
func (c *comparison) all(ctx context.Context) error {
	for _, reject := range c.page.Rejected {
		if err := c.refuse(reject); err != nil {
			return err
		}
	}
	for _, t := range c.tables {
		if err := c.compare(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// remember keeps a changed row in sight until it is committed.
func (s *scan) remember(b *Baseline) {
	s.overMu.Lock()
	defer s.overMu.Unlock()
	o, ok := s.over[b.Key]
	if !ok {
		o = &onItsWay{}
		s.over[b.Key] = o
	}
	o.Baseline = *b
	o.pending++
}

func (s *scan) forget(key keyHash) {
	s.overMu.Lock()
	defer s.overMu.Unlock()
	if o := s.over[key]; o != nil {
		if o.pending--; o.pending == 0 {
			delete(s.over, key)
		}
	}
}

// lookup returns what is known of rows, by key: what is on its way before what
// is committed.
func (s *scan) lookup(ctx context.Context, keys []keyHash) (map[keyHash]*Baseline, error) {
	known := make(map[keyHash]*Baseline, len(keys))
	ask := make([]keyHash, 0, len(keys))
	s.overMu.Lock()
	for _, k := range keys {
		if o, ok := s.over[k]; ok {
			b := o.Baseline
			b.Columns = slices.Clone(b.Columns)
			known[k] = &b
		} else {
			ask = append(ask, k)
		}
	}
	s.overMu.Unlock()
	found, err := s.p.state.Baselines(ctx, ask)
	if err != nil {
		return nil, err
	}
	for i := range found {
		known[found[i].Key] = &found[i]
	}
	return known, nil
}

// refuse keeps a record that cannot be taken.
func (c *comparison) refuse(r sources.Reject) error {
	d, err := c.enc.deadRow(c.lane.Lane, r, c.now)
	if err == nil {
		c.dead = append(c.dead, d)
	}
	return err
}

// compare takes the page's rows and removals of one table.
func (c *comparison) compare(ctx context.Context, t *scanTable) error {
	n := c.page.Rows.Len(t.table)
	if n == 0 && len(c.page.Gone) == 0 {
		return nil
	}
	if c.r.DropRaw {
		c.page.Rows.DropRaw(t.table)
	}
	keys := make([]keyHash, 0, n)
	texts := make(map[keyHash]string, n)
	at := make(map[keyHash]int, n) // the last row of a key
	var text []byte
	for i := range n {
		var ok bool
		if text, ok = t.print.AppendKey(text[:0], c.page.Rows, i); !ok {
			if err := c.refuse(sources.Reject{Ref: t.table.Name + " " + strconv.Itoa(i), Reason: noScanKey}); err != nil {
				return err
			}
			continue
		}
		k := t.print.KeyHash(t.scope, text)
		if before, twice := at[k]; twice {
			if !c.same(t, before, i) {
				c.n.conflicts++
			}
		} else {
			keys = append(keys, k)
			texts[k] = string(text)
		}
		at[k] = i
	}
	type gone struct {
		key    keyHash
		reason string
		own    bool
	}
	var removed []gone
	for _, g := range c.page.Gone {
		if g.Table != t.table.Name {
			continue
		}
		joined, ok := t.print.JoinKey(nil, g.Key)
		if !ok {
			if err := c.refuse(sources.Reject{Ref: g.Table, Reason: "a removal without a key"}); err != nil {
				return err
			}
			continue
		}
		k := t.print.KeyHash(t.scope, joined)
		if _, shown := at[k]; !shown {
			keys = append(keys, k)
		}
		texts[k] = string(joined)
		removed = append(removed, gone{k, g.Reason, g.Own})
	}
	known, err := c.lookup(ctx, keys)
	if err != nil {
		return err
	}
	page := pageRows{c: c, t: t}
	for _, k := range keys {
		if i, shown := at[k]; shown {
			page.row(k, texts[k], i, known[k])
		}
	}
	if err := page.send(); err != nil {
		return err
	}
	out := &schemas.Rows{}
	for _, g := range removed {
		page.gone(out, g.key, texts[g.key], g.reason, g.own, known)
	}
	c.changed = append(c.changed, page.changed...)
	c.r.Stats.Seen.Add(int64(len(at)))
	return c.sendTo(t.table, out, nil, t.active)
}

// same reports whether two rows of the page have one content.
func (c *comparison) same(t *scanTable, i, j int) bool {
	a, fa := t.print.Row(c.page.Rows, i, nil)
	b, fb := t.print.Row(c.page.Rows, j, nil)
	return a == b && slices.Equal(fa, fb)
}

// sendTo makes batches of rows for some sinks.
func (c *comparison) sendTo(t *schemas.Table, rows *schemas.Rows, index []int32, to []string) error {
	if index == nil {
		index = make([]int32, rows.Len(t))
		for i := range index {
			index[i] = int32(i)
		}
	}
	if len(to) == 0 {
		return nil
	}
	for part := range slices.Chunk(index, maxBatchRows) {
		b, err := c.enc.batch(t, rows, part, false, c.now)
		if err != nil {
			return err
		}
		b.to = to
		c.ch.batches = append(c.ch.batches, b)
		c.n.rows += int64(len(part))
	}
	return nil
}

// pageRows is the rows of one table of a page.
type pageRows struct {
	c       *comparison
	t       *scanTable
	changed []Baseline
	news    []int32 // rows for all sinks that get changes
	rest    []int32 // unchanged ones, for the sinks that get every row
	shown   []int64 // row numbers
	fp      []uint16
}

// row judges one row against what is known of it.
func (p *pageRows) row(k keyHash, text string, i int, b *Baseline) {
	c, t := p.c, p.t
	if b != nil && c.stale(b) {
		// A later request has told of it already.
		c.r.Stats.Stale.Add(1)
		if b.Flags&rowRemoved == 0 {
			p.mark(b.Row)
		}
		return
	}
	d := c.page.Rows.Diff(t.table, i)
	d.Change, d.ChangedFields, d.RemovedReason, d.ScanID = "", nil, "", c.st.ID
	now := prints{Layout: t.layout, Sent: uint16(c.now.Unix() / 86_400)}
	now.Whole, p.fp = t.print.Row(c.page.Rows, i, p.fp[:0])
	owed := rowFlags(0)
	if len(d.NotAsked) > 0 {
		owed = rowOwed
	}
	if b == nil || b.Flags&rowRemoved != 0 {
		row := Baseline{Scope: t.scope, Key: k, KeyText: text, Lane: c.lane.Num, Flags: owed, At: c.began, Mapping: c.r.Stream.Info.Mapping, prints: now}
		if b != nil {
			row.Row = b.Row
		} else {
			t.last++
			row.Row = t.last
		}
		row.Columns = slices.Clone(p.fp)
		if owed != 0 {
			row.Whole = [16]byte{}
		}
		d.Change = changeAdded
		p.changed = append(p.changed, row)
		p.news = append(p.news, int32(i))
		p.mark(row.Row)
		return
	}
	again := t.seen.has(b.Row)
	p.mark(b.Row)
	v := p.judge(b, &now, d.NotAsked)
	if v.differs && again && !c.lane.delta && b.Lane != c.lane.Num {
		c.n.conflicts++ // two lanes show it, and not alike
	}
	next := *b
	next.Missed, next.Flags, next.Mapping = 0, b.Flags&rowOwed, c.r.Stream.Info.Mapping
	if !again {
		next.Lane = c.lane.Num
	}
	switch {
	case b.Layout == 0:
		// Its content is not known, since a sink was asked or a state damaged.
		d.Change = changeSnapshot
		next.At, next.Flags, next.prints = c.began, owed, now
		next.Columns = v.columns
		p.news = append(p.news, int32(i))
	case v.differs:
		d.Change, d.ChangedFields = changeUpdated, v.fields
		if b.Mapping != c.r.Stream.Info.Mapping {
			d.Change = changeRemapped
		}
		next.At, next.Flags, next.prints = c.began, next.Flags|owed, now
		next.Columns = v.columns
		p.news = append(p.news, int32(i))
	case b.Flags&rowOwed != 0 && owed == 0:
		// What was asked for now has not gone out since it was missing.
		d.Change = changeSnapshot
		next.Flags = 0
		next.Whole, next.Layout, next.Columns = now.Whole, now.Layout, v.columns
		p.news = append(p.news, int32(i))
	default:
		d.Change = changeSnapshot
		if !again { // else every sink has it of this round
			p.rest = append(p.rest, int32(i))
		}
		if owed == 0 && (b.Whole != now.Whole || b.Layout != now.Layout) {
			next.Whole, next.Layout, next.Columns = now.Whole, now.Layout, v.columns
		}
		if len(t.syncing) > 0 {
			next.Flags |= owed
		}
		if same(b, &next) {
			return
		}
	}
	p.changed = append(p.changed, next)
}

func same(a, b *Baseline) bool {
	return a.Lane == b.Lane && a.Missed == b.Missed && a.Flags == b.Flags && a.Mapping == b.Mapping && a.Whole == b.Whole && a.Layout == b.Layout
}

// stale reports whether a later request has told of a row already. A time that
// is still to come is from before the clock was set back.
func (c *comparison) stale(b *Baseline) bool {
	return b.At > c.began && b.At <= c.now.UnixMilli()
}

// mark counts a row as shown in the open round, by a lane or a delta.
func (p *pageRows) mark(row int64) {
	if p.c.st.Open {
		p.t.seen.add(row)
		p.shown = append(p.shown, row)
	}
}

// difference is how a row differs from what was last delivered.
type difference struct {
	differs bool
	fields  []string
	columns []uint16 // the fingerprints to remember
}

// judge compares fingerprints. Columns not asked for keep their old ones, and so
// do those that changed when that is no reason to send the row.
func (p *pageRows) judge(b *Baseline, now *prints, notAsked []string) (v difference) {
	t := p.t
	names, weights := t.print.Columns(), t.print.Weights()
	if len(notAsked) > 0 {
		now.Whole = [16]byte{}
	}
	if b.Whole == now.Whole && b.Layout == t.layout && now.Whole != [16]byte{} && slices.Equal(b.Columns, p.fp) {
		v.columns = b.Columns
		return v
	}
	v.columns = make([]uint16, len(names))
	unnamed := b.Whole != now.Whole && b.Whole != [16]byte{} && now.Whole != [16]byte{} && b.Layout == t.layout
	daily, ignored := false, false
	for i, name := range names {
		old := p.old(b, i)
		v.columns[i] = p.fp[i]
		if slices.Contains(notAsked, name) || (name == "raw" && p.c.r.DropRaw) {
			v.columns[i] = old
			continue
		}
		if old == p.fp[i] {
			continue
		}
		switch weights[i] {
		case schemas.Compared:
			v.differs = true
		case schemas.Daily:
			daily = daily || name != "raw"
		case schemas.Ignored:
			ignored = true
		}
		if name != "raw" {
			v.fields = append(v.fields, name)
		}
	}
	v.differs = v.differs || unnamed
	if v.differs {
		return v
	}
	// raw alone, or a revision, goes out once a day; with a path, as of a folder
	// renamed above it, raw does not.
	raw := slices.Index(names, "raw")
	rawChanged := raw >= 0 && v.columns[raw] == p.fp[raw] && p.old(b, raw) != p.fp[raw]
	if (daily || rawChanged && !ignored) && b.Sent != now.Sent {
		v.differs = true
		if !daily {
			v.fields = []string{"raw"}
		}
		return v
	}
	v.fields = nil
	for i := range names {
		v.columns[i] = p.old(b, i)
	}
	return v
}

// old is a column's fingerprint as remembered: empty for a column that is new.
func (p *pageRows) old(b *Baseline, i int) uint16 {
	if b.Layout == p.t.layout {
		if i < len(b.Columns) {
			return b.Columns[i]
		}
		return 0
	}
	if was := p.t.layouts[b.Layout]; was != nil && was[i] >= 0 && was[i] < len(b.Columns) {
		return b.Columns[was[i]]
	}
	return 0
}

// send makes the batches of the page's rows.
func (p *pageRows) send() error {
	c, t := p.c, p.t
	if len(p.news) > 0 {
		if err := c.sendTo(t.table, c.page.Rows, p.news, t.active); err != nil {
			return err
		}
	}
	if len(p.rest) > 0 && len(t.syncing) > 0 {
		if err := c.sendTo(t.table, c.page.Rows, p.rest, t.syncing); err != nil {
			return err
		}
	}
	copied := int64(0)
	if all := append(slices.Clone(p.news), p.rest...); len(all) > 0 && len(c.st.Copies) > 0 && c.st.Open && !c.lane.delta {
		for _, i := range all {
			d := c.page.Rows.Diff(t.table, int(i))
			d.Change, d.ChangedFields = changeSnapshot, nil
		}
		before := c.n.rows
		if err := c.sendTo(t.table.Snapshot(), c.page.Rows, all, c.st.Copies); err != nil {
			return err
		}
		copied, c.n.rows = c.n.rows-before, before
		t.copied += copied
	}
	if len(p.shown) > 0 {
		scope, packed := t.scope, packRows(p.shown)
		c.apply = append(c.apply, func(tx Tx) error { return tx.AddRoundSeen(scope, packed, copied) })
	}
	return nil
}

// gone takes a row that the vendor says does not exist any more.
func (p *pageRows) gone(out *schemas.Rows, k keyHash, text, reason string, own bool, known map[keyHash]*Baseline) {
	c, t := p.c, p.t
	b := known[k]
	for i := range p.changed { // the page itself may have shown it before
		if p.changed[i].Key == k {
			b = &p.changed[i]
		}
	}
	switch {
	case own && (b == nil || b.Lane != c.lane.Num):
		return // another lane's, or nobody's
	case b == nil && c.st.Open:
		// An older request on its way may still show it.
		t.last++
		row := Baseline{Scope: t.scope, Row: t.last, Key: k, KeyText: text, Lane: c.lane.Num, Flags: rowRemoved, At: c.began, Mapping: c.r.Stream.Info.Mapping, prints: prints{Layout: t.layout}}
		p.changed = append(p.changed, row)
		return
	case b == nil, b.Flags&rowRemoved != 0, c.stale(b):
		return
	}
	next := *b
	next.Flags, next.Missed, next.At = rowRemoved, 0, c.began
	p.changed = append(p.changed, next)
	c.remove(t, out, text, reason)
}

// remove appends the row that tells of a removal.
func (s *scan) remove(t *scanTable, out *schemas.Rows, text, reason string) {
	key, ok := t.print.SplitKey(text)
	if !ok {
		return // never: it was joined by JoinKey or AppendKey
	}
	switch reason {
	case reasonDeleted, reasonAccessLost, reasonSoftDeleted:
	default:
		reason = reasonUnknown
	}
	out.AddKey(t.table, key)
	d := out.Diff(t.table, out.Len(t.table)-1)
	d.Change, d.RemovedReason, d.ScanID = changeRemoved, reason, s.st.ID
	s.r.Stats.Removed.Add(1)
}
