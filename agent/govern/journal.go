package govern

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/pipeline"
	"weir/schemas"
)

// event is what an entry of the action log tells beside its action.
type event struct {
	Event  string
	Detail string
	Step   string
	Ref    string
	Reason string
	by     Caller // who decided; zero: Weir itself

	Instance string             // of no action
	alerts   []schemas.Activity // told with it
}

// commit makes an action's change durable, with its entry of the log. The
// caller holds r.mu.
func (r *Runner) commit(ctx context.Context, a *Action, e event, more ...func(pipeline.Tx) error) error {
	row := schemas.ActionLogRow{
		Chain: r.o.Store.ID(), Seq: 1, At: schemas.Time(r.o.Clock.Now().UnixMilli()), Event: e.Event, Detail: text(e.Detail), Step: text(e.Step), Ref: text(e.Ref), Reason: text(e.Reason),
		Principal: e.by.Principal, DBUser: text(e.by.DBUser), Via: e.by.Via,
	}
	if r.head.Chain == row.Chain {
		row.Seq, row.PrevHash = r.head.Seq+1, r.head.Hash
	}
	app, instance := "", e.Instance
	var rec pipeline.ActionRecord
	if a != nil {
		var err error
		if rec, err = a.record(); err != nil {
			return err
		}
		instance = rec.Instance
		row.ActionID, row.State, row.RequestHash, row.PlanHash = a.Row.ID, string(a.State), a.RequestHash, a.PlanHash
		row.Action, row.TargetKind, row.TargetID = text(a.Row.Action), text(a.Row.TargetKind), text(a.Row.TargetID)
		row.ChangeRef = text(a.Row.ChangeRef)
		if e.by == (Caller{}) {
			row.Principal, row.DBUser, row.Via = text(a.Principal), text(a.Row.DBUser), a.Via
		}
		if row.Reason == "" {
			row.Reason = text(a.Row.Reason)
		}
		row.DryRun = a.Row.DryRun
		if a.Plan != nil {
			row.TargetName = text(a.Plan.Target.Name)
		}
		if a.Plan != nil && e.Event == "planned" {
			row.Diff = texts(diffLines(a.Plan))
			if _, info := r.declared(a); info != nil {
				row.Limits = texts(limits(info, a.Plan))
			} else {
				row.Limits = texts(slices.Clone(a.Plan.Limits))
			}
		}
		instance = text(instance)
	}
	if inst := r.instance(instance); inst != nil {
		app = inst.Connector.App
	}
	row.Hash = EntryHash(instance, &row)
	data, err := json.Marshal(entry{Instance: instance, ActionLogRow: row})
	if err != nil {
		return err
	}
	if err := failpoint.Hit(failpoint.ActionLog); err != nil {
		return err
	}
	write := r.o.Commit
	if len(e.alerts) > 0 && r.o.Alert != nil {
		write = func(ctx context.Context, app, instance string, rows []schemas.ActionLogRow, apply func(pipeline.Tx) error) error {
			return r.o.Alert(ctx, app, instance, rows, e.alerts, apply)
		}
	}
	err = write(ctx, app, instance, []schemas.ActionLogRow{row}, func(tx pipeline.Tx) error {
		if err := tx.AddActionEntry(pipeline.ActionEntry{Seq: row.Seq, ActionID: row.ActionID, Data: data}); err != nil {
			return err
		}
		if a != nil {
			if err := tx.PutAction(rec); err != nil {
				return err
			}
		}
		for _, fn := range more {
			if err := fn(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("writing the action log: %w", err)
	}
	r.head = row
	return failpoint.Hit(failpoint.ActionTold)
}

// entry is an entry of the log as the state keeps it.
type entry struct {
	Instance string
	schemas.ActionLogRow
}

const maxText = 4 << 10

// text is what somebody else wrote, bounded, without what a reader cannot see.
func text(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "..."
	}
	return Plain(s)
}

// Plain returns what somebody else wrote without what could make a terminal, or
// a reader, see something else: control characters, those that turn the
// direction of text or have no width, ends of lines.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r):
			return -1
		case unicode.IsControl(r), unicode.In(r, unicode.Zl, unicode.Zp):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// texts is text of each.
func texts(list []string) []string {
	for i := range list {
		list[i] = text(list[i])
	}
	return list
}

// EntryHash is the hash of an entry: SHA-256 over the hash before, the instance
// and the entry's columns, each preceded by its length.
func EntryHash(instance string, e *schemas.ActionLogRow) string {
	dry := "null"
	if e.DryRun.Known {
		dry = strconv.FormatBool(e.DryRun.Value)
	}
	parts := []string{
		"weir action log 1", e.PrevHash, instance, e.Chain, strconv.FormatInt(e.Seq, 10), strconv.FormatInt(int64(e.At), 10), e.ActionID, e.Event, e.State,
		e.Detail, e.Action, e.TargetKind, e.TargetID, e.TargetName, e.Step, e.Ref, e.Principal, e.DBUser, e.Via, e.RequestHash, e.PlanHash,
		strconv.Itoa(len(e.Diff)),
	}
	parts = append(append(parts, e.Diff...), strconv.Itoa(len(e.Limits)))
	return sum(append(append(parts, e.Limits...), dry, e.Reason, e.ChangeRef)...)
}

// Verifier checks a chain, entry by entry.
type Verifier struct {
	Seq  int64
	Hash string
	from bool
}

// Next checks the next entry of a chain. The first one may be any when the
// chain is only kept in part; then the verifier says from where.
func (v *Verifier) Next(instance string, e *schemas.ActionLogRow) error {
	if v.from && (e.Seq != v.Seq+1 || e.PrevHash != v.Hash) {
		return fmt.Errorf("entry %d does not follow entry %d: entries are missing, added or changed", e.Seq, v.Seq)
	}
	if !v.from && e.Seq == 1 && e.PrevHash != "" {
		return fmt.Errorf("entry 1 has one before it")
	}
	if EntryHash(instance, e) != e.Hash {
		return fmt.Errorf("entry %d is not as it was written", e.Seq)
	}
	v.Seq, v.Hash, v.from = e.Seq, e.Hash, true
	return nil
}

// AuditReport is what an audit of a chain found.
type AuditReport struct {
	From    int64 // the first entry that is kept
	Entries int64
	Head    schemas.ActionLogRow
}

const auditPage = 1000

// Audit verifies the whole chain of a state, and that it agrees with the
// anchors, which are files outside its reach.
func Audit(ctx context.Context, store Store, anchors []string) (rep AuditReport, err error) {
	from, err := loadBase(ctx, store)
	if err != nil {
		return rep, err
	}
	v := Verifier{Seq: from.Seq, Hash: from.Hash, from: from.Seq > 0}
	at := map[int64]string{from.Seq: from.Hash}
	rep.From = from.Seq + 1
	for from := rep.From; ; from = v.Seq + 1 {
		page, err := store.ActionEntries(ctx, "", from, auditPage)
		if err != nil {
			return rep, err
		}
		for _, e := range page {
			var row entry
			if err := json.Unmarshal(e.Data, &row); err != nil || row.Seq != e.Seq || row.ActionID != e.ActionID {
				return rep, fault.New(fault.Permanent, "entry %d is damaged", e.Seq)
			}
			if rep.Entries == 0 && row.Seq != rep.From {
				return rep, fault.New(fault.Permanent, "the log begins with entry %d: those before are missing", row.Seq)
			}
			if row.Chain != store.ID() {
				return rep, fault.New(fault.Permanent, "entry %d belongs to chain %s", e.Seq, row.Chain)
			}
			if err := v.Next(row.Instance, &row.ActionLogRow); err != nil {
				return rep, err
			}
			at[row.Seq] = row.Hash
			rep.Entries, rep.Head = rep.Entries+1, row.ActionLogRow
		}
		if len(page) < auditPage {
			break
		}
	}
	for _, file := range anchors {
		heads, err := readAnchors(file)
		if err != nil {
			return rep, err
		}
		for _, h := range heads {
			if h.Chain == store.ID() && h.Seq >= from.Seq && at[h.Seq] != h.Hash {
				return rep, fault.New(fault.Permanent, "%s has entry %d, which this log does not have as it was: it was cut short, restored or changed", file, h.Seq)
			}
		}
	}
	return rep, nil
}

// anchor is a line of an anchor file.
type anchor struct {
	At    string `json:"at"`
	Chain string `json:"chain"`
	Seq   int64  `json:"seq"`
	Hash  string `json:"hash"`
}

// writeAnchors appends the chain's head to the anchors, where it has moved.
func (r *Runner) writeAnchors(context.Context) {
	r.mu.Lock()
	head := r.head
	r.mu.Unlock()
	if head.Seq == 0 {
		return
	}
	if head.Seq == r.anchored.Seq && head.Hash == r.anchored.Hash {
		return
	}
	line, err := json.Marshal(anchor{r.o.Clock.Now().UTC().Format("2006-01-02T15:04:05.000Z"), head.Chain, head.Seq, head.Hash})
	if err != nil {
		return // three texts and a number
	}
	r.anchored = head
	for _, file := range r.config.Anchors {
		last, err := readAnchors(file)
		if err == nil && len(last) > 0 && last[len(last)-1].Seq == head.Seq && last[len(last)-1].Chain == head.Chain {
			continue
		}
		if err == nil {
			err = appendLine(file, line)
		}
		if err != nil {
			r.anchored = schemas.ActionLogRow{} // the next time
			r.o.Log.Error("the head of the action log cannot be anchored", "file", file, "error", err)
		}
	}
}

// appendLine adds a line to a file that may only be appended to. After one that
// was cut short by a crash, it begins another.
func appendLine(file string, line []byte) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	last := []byte{'\n'}
	if err == nil && info.Size() > 0 {
		_, err = f.ReadAt(last, info.Size()-1)
	}
	if err == nil && last[0] != '\n' {
		line = append([]byte{'\n'}, line...)
	}
	if err == nil {
		_, err = f.Write(append(line, '\n'))
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// torn reports whether a line is the beginning of an anchor, as a crash leaves
// it, with what the file system puts where nothing was written yet.
func torn(line string) bool {
	const begin = `{"at":"`
	line = strings.TrimRight(line, "\x00")
	return !strings.HasSuffix(line, "}") && (strings.HasPrefix(line, begin) || strings.HasPrefix(begin, line))
}

func readAnchors(file string) (out []anchor, err error) {
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("anchor: %w", err)
	}
	for i, line := range strings.Split(string(data), "\n") {
		if torn(line) {
			continue
		}
		var a anchor
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			return nil, fault.New(fault.Permanent, "anchor %s: line %d is none", file, i+1)
		}
		out = append(out, a)
	}
	return out, nil
}

// anchorsAhead says why the state cannot be the newest of its chain; "" when it
// may be.
func (r *Runner) anchorsAhead() string {
	for _, file := range r.config.Anchors {
		heads, err := readAnchors(file)
		if err != nil {
			return err.Error()
		}
		if i := slices.IndexFunc(heads, func(h anchor) bool { return h.Chain == r.o.Store.ID() && h.Seq > r.head.Seq }); i >= 0 {
			return fmt.Sprintf("%s has entry %d of the action log and this state ends at %d: it was restored from a copy", file, heads[i].Seq, r.head.Seq)
		}
	}
	return ""
}
