package pipeline

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

const (
	// versionSlack is how far below the highest version that a state has
	// committed a row may lie that it does not know of: it was on its way.
	versionSlack = time.Hour
	heldAtOnce   = 1 << 19 // ids put aside by one transaction
	ghostsAtOnce = 1000    // rows of entities looked up at a time
)

// StreamTables says which tables a configured stream fills.
type StreamTables struct {
	StreamID
	Tables  []string
	Mapping int
}

// Reconciled says what reconciling did.
type Reconciled struct {
	Generation int64
	Rows       int64 // that the sinks got after the state was copied, or may have
	Known      int64 // events that every sink has: they will not be sent again
	Partly     int64 // events that some sinks have: they will be sent to the others
	Entities   int64 // rows of entities that the state did not know
	Delivered  int64 // batches the state still had to deliver, and that were there
	Segments   int   // of the spool, not needed any more
}

// Reconcile makes a state that was restored from a copy fit to go on: what it
// has forgotten, its sinks tell. The pipeline is open and not started.
//
// Known is what every sink holds: it is not sent again. What only some hold is
// collected again and goes to the others alone. Entities are sent anew by the
// next complete round, to every sink. Until all of that is in the state and in
// the sinks' owner records, the state stays refused, and reconciling may be
// repeated.
func (p *Pipeline) Reconcile(ctx context.Context, streams []StreamTables, stopped bool) (out Reconciled, err error) {
	owners, ids, err := p.owners(ctx, stopped)
	if err != nil {
		return out, err
	}
	c := &reconciling{p: p, streams: streams, out: &out, aside: map[string]map[HeldHour][]byte{}, r: reconciliation{delivered: map[string][]int64{}, version: p.versions.high(), now: p.clock.Now().UnixMilli()}}
	if err := p.state.Update(ctx, func(tx Tx) error { return tx.ForgetHeld() }); err != nil {
		return out, err
	}
	if err := c.findLost(ctx); err != nil {
		return out, err
	}
	for i, s := range p.sinks {
		c.unowned = owners[i].SinkID == ""
		if err := c.sink(ctx, s); err != nil {
			return out, fmt.Errorf("sink %s: %w", s.name, err)
		}
	}
	if err := c.known(ctx); err != nil {
		return out, err
	}
	c.r.generation = p.state.Generation()
	for _, o := range owners {
		c.r.generation = max(c.r.generation, o.Generation)
	}
	c.r.generation++
	out.Generation = c.r.generation
	for i, s := range p.sinks {
		mine := sinks.Owner{SinkID: ids[i], StateID: p.state.ID(), Generation: c.r.generation, Heartbeat: p.clock.Now().UTC().Truncate(time.Millisecond), Parts: c.parts(s)}
		if mine.SinkID == "" {
			continue // nobody has written it: the next start claims it
		}
		if err := s.sink.SetOwner(ctx, owners[i], mine); err != nil {
			return out, fmt.Errorf("sink %s: %w", s.name, ownerError(err))
		}
	}
	var freed []string
	err = p.state.Update(ctx, func(tx Tx) (err error) {
		for i, s := range p.sinks {
			if ids[i] != "" {
				if err := tx.AddSink(SinkState{s.name, ids[i]}); err != nil {
					return err
				}
			}
		}
		freed, err = tx.Reconcile(c.r)
		return err
	})
	if err != nil {
		return out, err
	}
	out.Segments = len(freed)
	return out, p.spool.free(freed)
}

// owners reads the sinks' owner records, and refuses what is not this state's. It
// returns their ids beside: that of a sink whose record is lost is known still,
// and whether it is the same place, the parts in it must show.
func (p *Pipeline) owners(ctx context.Context, stopped bool) (out []sinks.Owner, ids []string, err error) {
	known, err := p.state.Sinks(ctx)
	if err != nil {
		return nil, nil, err
	}
	now := p.clock.Now()
	for _, s := range p.sinks {
		o, err := s.sink.Owner(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("sink %s cannot be asked what it holds: %w; every sink must be reachable, or be taken out of the configuration", s.name, err)
		}
		id := o.SinkID
		for _, k := range known {
			switch {
			case k.Name != s.name || k.SinkID == o.SinkID:
			case o.SinkID != "":
				return nil, nil, fault.New(fault.Permanent, "sink %s: this is not the sink that was written under this name before: that one's id is %s, here it is %s", s.name, k.SinkID, o.SinkID)
			case !p.takeOver:
				return nil, nil, fault.New(fault.Permanent, "sink %s: the owner record of the sink that was written under this name before, %s, is not there: add --take-over if it is lost, and the place is the same", s.name, k.SinkID)
			default:
				id = k.SinkID
			}
		}
		switch {
		case o.StateID != "" && o.StateID != p.state.ID() && !p.takeOver:
			return nil, nil, fault.New(fault.Permanent, "sink %s belongs to another state, %s: add --take-over to let this one go on writing it", s.name, o.StateID)
		case o.StateID != "" && !stopped && now.Sub(o.Heartbeat) < ownerAlive:
			return nil, nil, fault.New(fault.Permanent, "sink %s was written at %s: an agent may still be running on a newer state. Stop it and wait two minutes, or add --stopped if it is stopped for certain", s.name, o.Heartbeat.Format(time.RFC3339))
		}
		out, ids = append(out, o), append(ids, id)
	}
	return out, ids, nil
}

// reconciling gathers what the sinks tell.
type reconciling struct {
	p       *Pipeline
	streams []StreamTables
	out     *Reconciled
	r       reconciliation
	aside   map[string]map[HeldHour][]byte // ids by sink, not yet in the state
	n       int                            // how many
	ghosts  []ghost
	lost    map[HeldHour]bool // hours of which batches are lost: only sinks know what was delivered
	after   int64             // the version below which the state knows all rows
	unowned bool              // the sink being asked has no owner record: all is asked for
}

// findLost finds the hours of which batches were lost with the spool. What the
// state remembers of them is forgotten: known is what the sinks hold.
func (c *reconciling) findLost(ctx context.Context) error {
	c.lost = map[HeldHour]bool{}
	lost, err := c.p.state.LostBatches(ctx)
	if err != nil || len(lost) == 0 {
		return err
	}
	for _, s := range c.p.sinks {
		owed, err := c.p.state.OwedBatches(ctx, s.name)
		if err != nil {
			return err
		}
		if len(owed) > 0 {
			return fault.New(fault.Permanent, "rows were lost with the spool (`weir deadletter list`), and sink %s is still owed %d batches: deliver them first, with `weir run --once`", s.name, len(owed))
		}
	}
	for _, l := range lost {
		for hour := int64(l.MinTime) / hourMS; hour <= int64(l.MaxTime)/hourMS; hour++ {
			c.lost[HeldHour{l.Instance, hour}] = true
		}
	}
	return c.p.state.Update(ctx, func(tx Tx) error {
		for h := range c.lost {
			if err := tx.ForgetHour(h); err != nil {
				return err
			}
		}
		return nil
	})
}

// parts is how many parts the state will have planned for a sink.
func (c *reconciling) parts(s *sinkRun) (n int64) {
	for _, d := range s.deliveries {
		last := d.n
		for _, p := range c.r.parts {
			if p.Sink == s.name && p.Table == d.table.Name {
				last = p.N
			}
		}
		n += last
	}
	return n
}

// sink asks one sink.
func (c *reconciling) sink(ctx context.Context, s *sinkRun) error {
	holder, ok := s.sink.(sinks.Holder)
	if !ok {
		return fault.New(fault.Permanent, "it cannot be asked what it holds")
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	owed, err := c.p.state.OwedBatches(ctx, s.name)
	if err != nil {
		return err
	}
	gaps, err := c.p.state.Gaps(ctx, s.name)
	if err != nil {
		return err
	}
	before, delivered := c.out.Rows, false
	for _, d := range s.deliveries {
		if err := c.table(ctx, s, holder, d, owed, gaps); err != nil {
			return fmt.Errorf("table %s: %w", d.table.Name, err)
		}
		delivered = delivered || d.last != ""
	}
	if c.unowned && delivered && c.out.Rows == before {
		return fault.New(fault.Permanent, "there is nothing of what was delivered to it: is its volume mounted? A new place needs a new name in the configuration")
	}
	return c.flush(ctx, 0)
}

func (c *reconciling) table(ctx context.Context, s *sinkRun, holder sinks.Holder, d *delivery, owed []OwedBatch, gaps []Gap) error {
	q := sinks.HeldQuery{Table: d.table}
	var err error
	if q.AfterPart, err = c.p.state.LastDelivered(ctx, s.name, d.table.Name); err != nil {
		return err
	}
	if c.p.versions.high() > 0 {
		q.AfterVersion = c.p.versions.high() - versionSlack.Microseconds()
	}
	if c.unowned {
		q.AfterVersion, q.AfterPart = 0, ""
	}
	c.after = q.AfterVersion
	if len(c.lost) > 0 && d.table.Name == schemas.TableActivities {
		q.AfterVersion, q.AfterPart = 0, ""
	}
	for _, b := range owed {
		if b.Table == d.table.Name {
			q.Batches = append(q.Batches, b.ID)
		}
	}
	for _, col := range d.table.Columns {
		if col.Key && col.Name != "instance" && d.table.Name != schemas.TableCollectionRuns {
			q.Columns = append(q.Columns, col.Name)
		}
	}
	if !d.table.Entity {
		q.Gaps = gaps // what fills copy
	}
	held, err := holder.Held(ctx, q, func(row sinks.HeldRow) error {
		c.out.Rows++
		switch {
		case d.table.Name == schemas.TableActivities:
			return c.event(ctx, s.name, row)
		case d.table.Entity && schemas.ByName(d.table.Name) != nil:
			return c.entity(ctx, d.table, row)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := c.addGhosts(ctx); err != nil {
		return err
	}
	c.r.version = max(c.r.version, held.MaxVersion)
	if held.Filled > 0 && !slices.Contains(c.r.filled, s.name) {
		c.r.filled = append(c.r.filled, s.name)
	}
	open, err := c.p.state.OpenParts(ctx, s.name, d.table.Name)
	if err != nil {
		return err
	}
	c.settle(s, d, open, owed, held)
	return nil
}

// settle finds out which of the batches owed are there, and whether the parts
// planned can still be written.
func (c *reconciling) settle(s *sinkRun, d *delivery, open []PartState, owed []OwedBatch, held sinks.Held) {
	there := map[string][]int64{} // batches, by part
	missing := map[string]bool{}  // parts that lack some
	for _, b := range owed {
		switch {
		case b.Table != d.table.Name:
		case held.Batches[b.ID] >= b.Rows:
			there[b.Part] = append(there[b.Part], b.Seq)
			c.out.Delivered++
		default:
			missing[b.Part] = true
		}
	}
	c.r.delivered[s.name] = append(c.r.delivered[s.name], there[""]...)
	last := held.LastPart
	for _, p := range open {
		switch {
		case len(there[p.ID]) > 0 && !missing[p.ID]:
			c.r.finished = append(c.r.finished, p.ID)
		case held.LastPart == "", len(there[p.ID]) == 0 && p.Previous == last:
			last = p.ID // still to be written, as planned
		default:
			// It was written otherwise than the state knows: parted, or without a
			// batch that was lost. Another part has its place in the chain.
			c.r.dissolved = append(c.r.dissolved, p.ID)
			c.r.delivered[s.name] = append(c.r.delivered[s.name], there[p.ID]...)
		}
	}
	if held.LastPart != "" && held.LastPart != d.last && held.Parts > 0 && !slices.Contains(c.r.finished, held.LastPart) {
		c.r.parts = append(c.r.parts, PartState{ID: held.LastPart, Sink: s.name, Table: d.table.Name, N: d.n + held.Parts})
	}
}

// event puts an event's id aside.
func (c *reconciling) event(ctx context.Context, sink string, row sinks.HeldRow) error {
	if len(row.Values) == 0 {
		return nil
	}
	ids := seenIDs{k0: binary.LittleEndian.Uint64(c.p.seenKey[:8]), k1: binary.LittleEndian.Uint64(c.p.seenKey[8:])}
	content := uint32(anyContent)
	if row.Content != 0 {
		content = max(1, uint32(row.Content))
	}
	hours := []int64{int64(row.Time) / hourMS}
	if row.Time == row.ObservedAt { // its own time was impossible, perhaps
		hours = append(hours, int64(noTime)/hourMS)
	}
	if c.aside[sink] == nil {
		c.aside[sink] = map[HeldHour][]byte{}
	}
	id := ids.hash(row.Values[0])
	for _, hour := range hours {
		h := HeldHour{row.Instance, hour}
		if len(c.lost) > 0 && row.Version <= c.after && !c.lost[h] {
			continue // remembered, or not for long any more
		}
		c.aside[sink][h] = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(c.aside[sink][h], id), content)
		c.n++
	}
	return c.flush(ctx, heldAtOnce)
}

// flush writes what is aside once it is more than so many ids.
func (c *reconciling) flush(ctx context.Context, most int) error {
	if c.n <= most {
		return nil
	}
	err := c.p.state.Update(ctx, func(tx Tx) error {
		for sink, hours := range c.aside {
			for h, packed := range hours {
				h.Instance = string([]byte(h.Instance)) // it may alias a page of the sink's
				if err := tx.AddHeld(sink, h, packed); err != nil {
					return err
				}
			}
		}
		return nil
	})
	c.aside, c.n = map[string]map[HeldHour][]byte{}, 0
	return err
}

// known compares what the sinks hold, hour by hour.
func (c *reconciling) known(ctx context.Context) error {
	hours, err := c.p.state.HeldHours(ctx)
	if err != nil {
		return err
	}
	byInstance := map[string][]StreamID{}
	for _, h := range hours {
		ids, ok := byInstance[h.Instance]
		if !ok {
			if ids, err = c.eventStreams(ctx, h.Instance); err != nil {
				return err
			}
			byInstance[h.Instance] = ids
		}
		if err := c.hour(ctx, h, ids); err != nil {
			return err
		}
	}
	return nil
}

// eventStreams are the streams whose events an instance's rows may be: those
// that the configuration has, and those the state has heard of.
func (c *reconciling) eventStreams(ctx context.Context, instance string) (out []StreamID, err error) {
	remembered, err := c.p.state.Streams(ctx, instance)
	if err != nil {
		return nil, err
	}
	other := map[string]bool{}
	for _, s := range c.streams {
		switch {
		case s.Instance != instance:
		case slices.Contains(s.Tables, schemas.TableActivities):
			out = append(out, s.StreamID)
		default:
			other[s.Stream] = true
		}
	}
	for _, name := range remembered {
		id := StreamID{instance, name}
		if !other[name] && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out, nil
}

// hour takes one hour's ids over: what every sink holds is known, what some hold
// is remembered with them.
func (c *reconciling) hour(ctx context.Context, h HeldHour, streams []StreamID) error {
	packed, err := c.p.state.HeldIDs(ctx, h)
	if err != nil {
		return err
	}
	type held struct {
		content uint32
		sinks   int
		last    string
		several bool // contents
	}
	before := map[uint64]uint32{} // what the state has not forgotten
	if len(streams) == 1 {        // else whose they are cannot be told
		segments, err := c.p.state.SeenHour(ctx, streams[0], h.Hour)
		if err != nil {
			return err
		}
		for _, e := range unpackSeen(segments) {
			before[e.id] = e.content
		}
	}
	ids := map[uint64]*held{}
	bySink := map[string][]entry{}
	for _, sink := range slices.Sorted(maps.Keys(packed)) {
		for _, e := range unpackPairs(packed[sink]) {
			if content, ok := before[e.id]; ok && (content == e.content || e.content == anyContent) {
				continue
			}
			bySink[sink] = append(bySink[sink], e)
			h := ids[e.id]
			if h == nil {
				h = &held{}
				ids[e.id] = h
			}
			if h.last != sink {
				h.sinks, h.last = h.sinks+1, sink
			}
			h.several = h.several || h.content != anyContent && e.content != anyContent && h.content != e.content
			h.content = max(h.content, e.content)
		}
	}
	var all []entry
	some := map[string][]byte{}
	for id, h := range ids {
		if h.sinks == len(c.p.sinks) && !h.several {
			all = append(all, entry{id, h.content})
		}
	}
	for sink, entries := range bySink {
		for _, e := range entries {
			if h := ids[e.id]; h.sinks < len(c.p.sinks) || h.several {
				some[sink] = append(some[sink], packSeen([]entry{e})...)
			}
		}
	}
	if len(streams) > 0 {
		c.out.Known += int64(len(all))
		c.out.Partly += int64(len(ids) - len(all))
	}
	now := c.p.clock.Now()
	return c.p.state.Update(ctx, func(tx Tx) error {
		for _, s := range streams {
			if len(all) > 0 {
				if err := tx.AddSeen(s, h.Hour, packSeen(sortLast(all)), now); err != nil {
					return err
				}
			}
			for sink, b := range some {
				if err := tx.AddSeenPartly(s, h.Hour, sink, b); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// ghost is a row of an entity that a sink got, and that the state may not know.
type ghost struct {
	stream StreamTables
	table  *schemas.Table
	key    []string
}

// entity puts a row's key aside.
func (c *reconciling) entity(ctx context.Context, t *schemas.Table, row sinks.HeldRow) error {
	for _, s := range c.streams {
		if s.Instance == row.Instance && slices.Contains(s.Tables, t.Name) {
			g := ghost{stream: s, table: t}
			for _, v := range row.Values {
				g.key = append(g.key, string([]byte(v)))
			}
			c.ghosts = append(c.ghosts, g)
		}
	}
	if len(c.ghosts) < ghostsAtOnce {
		return nil
	}
	return c.addGhosts(ctx)
}

// addGhosts has the state know the rows of entities put aside, but nothing of
// their content: what the next rounds do not show is removed in the sinks too.
func (c *reconciling) addGhosts(ctx context.Context) error {
	ghosts := c.ghosts
	c.ghosts = nil
	type scopeKey struct {
		StreamID
		table string
	}
	byScope := map[scopeKey][]ghost{}
	for _, g := range ghosts {
		k := scopeKey{g.stream.StreamID, g.table.Name}
		byScope[k] = append(byScope[k], g)
	}
	for k, list := range byScope {
		var scope int64
		err := c.p.state.Update(ctx, func(tx Tx) (err error) {
			scope, err = tx.Scope(k.StreamID, k.table)
			return err
		})
		if err != nil {
			return err
		}
		last, err := c.p.state.LastRow(ctx, scope)
		if err != nil {
			return err
		}
		print := schemas.NewFingerprinter(list[0].table, c.p.seenKey)
		texts := map[keyHash]string{}
		var keys []keyHash
		for _, g := range list {
			text, ok := print.JoinKey(nil, g.key)
			if !ok {
				continue
			}
			hash := keyHash(print.KeyHash(scope, text))
			if _, twice := texts[hash]; !twice {
				keys = append(keys, hash)
			}
			texts[hash] = string(text)
		}
		known, err := c.p.state.Baselines(ctx, keys)
		if err != nil {
			return err
		}
		for _, b := range known {
			delete(texts, b.Key)
		}
		var rows []Baseline
		for _, key := range keys {
			if text, ok := texts[key]; ok {
				last++
				rows = append(rows, Baseline{Scope: scope, Row: last, Key: key, KeyText: text, Mapping: list[0].stream.Mapping})
			}
		}
		if err := c.p.state.Update(ctx, func(tx Tx) error { return tx.PutBaselines(rows) }); err != nil {
			return err
		}
		c.out.Entities += int64(len(rows))
	}
	return nil
}
