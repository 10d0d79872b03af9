package cli

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jedib0t/go-pretty/v6/table"

	"weir/agent"
	"weir/agent/govern"
	"weir/configs"
	"weir/pipeline"
	"weir/schemas"
	"weir/sources"
)

type actionsCmd struct {
	Submit  actionsSubmitCmd  `cmd:"" help:"Ask for an action."`
	Contain actionsContainCmd `cmd:"" help:"Ask for a person's accounts to be contained, on every instance: suspended, signed out, consents and tokens revoked."`
	Release actionsReleaseCmd `cmd:"" help:"Ask for what contained a person to be undone."`
	List    actionsListCmd    `cmd:"" help:"List actions, the newest first."`
	Show    actionsShowCmd    `cmd:"" help:"Show an action: request, plan, decisions and every step."`
	Approve actionsApproveCmd `cmd:"" help:"Approve an action's plan."`
	Reject  actionsRejectCmd  `cmd:"" help:"Reject an action."`
	Cancel  actionsCancelCmd  `cmd:"" help:"Cancel an action that has not begun."`
	Undo    actionsUndoCmd    `cmd:"" help:"Ask for an action to be taken back."`
	Pause   actionsPauseCmd   `cmd:"" help:"Stop execution before the next step."`
	Resume  actionsResumeCmd  `cmd:"" help:"Show what would be taken up, and let execution go on."`
	Sign    actionsSignCmd    `cmd:"" help:"Sign a row of the control tables, for who inserts it into ClickHouse."`
	Audit   actionsAuditCmd   `cmd:"" help:"Verify the action log, and that it agrees with the anchors; or what was exported."`
	Export  actionsExportCmd  `cmd:"" help:"Print all that there is of an action as one signed file: request, approvals, plan, state before, receipts, verification, entries of the log."`
}

// tell sends a body to the running agent: requests and decisions are taken by
// it alone, which knows from the kernel who speaks.
func (c *console) tell(f configFlag, what string, body any) (agent.ActionAnswer, error) {
	cfg, err := f.load()
	if err != nil {
		return agent.ActionAnswer{}, err
	}
	ctx, stop := c.signals()
	defer stop()
	answer, err := agent.TellActions(ctx, cfg.Agent.DataDir, what, body)
	if errors.Is(err, agent.ErrNoAgent) {
		err = fmt.Errorf("%w on %s: start weir run; only list, show, sign and audit work without", err, cfg.Agent.DataDir)
	}
	return answer, err
}

// answered prints what became of a request or a decision.
func (c *console) answered(id string, a agent.ActionAnswer) error {
	_, err := fmt.Fprintln(c.out, govern.Plain(strings.TrimSuffix(fmt.Sprintf("%s: %s: %s", id, a.State, a.Note), ": ")))
	return err
}

type actionsSubmitCmd struct {
	configFlag
	signFlag
	Instance  string            `arg:"" help:"The instance."`
	Action    string            `arg:"" help:"The action, such as suspend_user."`
	Kind      string            `arg:"" help:"What the target is, such as account."`
	Target    string            `arg:"" help:"The vendor's own id of the target."`
	Param     map[string]string `short:"p" placeholder:"NAME=TEXT" mapsep:"none" help:"A parameter; again for more."`
	ID        string            `placeholder:"ID" help:"The request's id; one is made otherwise."`
	Reason    string            `placeholder:"TEXT" help:"Why."`
	Change    string            `placeholder:"REF" help:"Number of the change or incident."`
	NotBefore time.Time         `placeholder:"TIME" help:"Not to be carried out earlier (RFC 3339)."`
	NotAfter  time.Time         `placeholder:"TIME" help:"Not to be begun later (RFC 3339)."`
	DryRun    bool              `help:"Plan only."`
}

// Run implements the command.
func (r *actionsSubmitCmd) Run(c *console) error {
	row := schemas.ActionRow{
		ID: r.ID, Instance: r.Instance, Action: r.Action, TargetKind: r.Kind, TargetID: r.Target, Reason: r.Reason, ChangeRef: r.Change,
		NotBefore: millis(r.NotBefore), NotAfter: millis(r.NotAfter), DryRun: schemas.Some(r.DryRun),
	}
	if len(r.Param) > 0 {
		params, err := json.Marshal(r.Param)
		if err != nil {
			return err
		}
		row.Params = string(params)
	}
	return c.submit(r.configFlag, r.signFlag, row)
}

func (c *console) submit(f configFlag, sign signFlag, row schemas.ActionRow) error {
	if row.ID == "" {
		row.ID = uuid.NewString()
	}
	if err := sign.request(&row); err != nil {
		return err
	}
	answer, err := c.tell(f, "submit", row)
	if err == nil {
		err = c.answered(row.ID, answer)
	}
	if err == nil && answer.State == govern.Rejected {
		err = errors.New("the request was rejected")
	}
	return err
}

func millis(t time.Time) schemas.Time {
	if t.IsZero() {
		return 0
	}
	return schemas.Time(t.UnixMilli())
}

type actionsUndoCmd struct {
	configFlag
	signFlag
	Action string `arg:"" help:"Id of the action to take back."`
	ID     string `placeholder:"ID" help:"The request's id; one is made otherwise."`
	Reason string `placeholder:"TEXT" help:"Why."`
	Change string `placeholder:"REF" help:"Number of the change or incident."`
}

// Run implements the command.
func (r *actionsUndoCmd) Run(c *console) error {
	ctx := context.Background() //nolint:forbidigo // this is the root
	a, st, err := r.action(ctx, r.Action)
	if err != nil {
		return err
	}
	if err := st.Close(); err != nil {
		return err
	}
	return c.submit(r.configFlag, r.signFlag, schemas.ActionRow{
		ID: r.ID, Instance: a.Row.Instance, Action: govern.UndoAction, TargetKind: "action", TargetID: r.Action, Reason: r.Reason, ChangeRef: r.Change,
	})
}

type actionsContainCmd struct {
	configFlag
	signFlag
	Email  string `arg:"" help:"An e-mail address of the person."`
	ID     string `placeholder:"ID" help:"The request's id; one is made otherwise."`
	Reason string `placeholder:"TEXT" help:"Why."`
	Change string `placeholder:"REF" help:"Number of the change or incident."`
	DryRun bool   `help:"Plan only."`
}

// Run implements the command.
func (r *actionsContainCmd) Run(c *console) error {
	return c.submit(r.configFlag, r.signFlag, schemas.ActionRow{
		ID: r.ID, Action: string(sources.ContainUser), TargetKind: string(sources.TargetPerson), TargetID: r.Email, Reason: r.Reason, ChangeRef: r.Change, DryRun: schemas.Some(r.DryRun),
	})
}

type actionsReleaseCmd struct{ actionsUndoCmd }

// Run implements the command.
func (r *actionsReleaseCmd) Run(c *console) error {
	return c.submit(r.configFlag, r.signFlag, schemas.ActionRow{
		ID: r.ID, Action: string(sources.ReleaseUser), TargetKind: "action", TargetID: r.Action, Reason: r.Reason, ChangeRef: r.Change,
	})
}

type actionsApproveCmd struct {
	configFlag
	signFlag
	ID      string `arg:"" help:"Id of the action."`
	Request string `required:"true" placeholder:"HASH" help:"Hash of the request that you have read (weir actions show)."`
	Plan    string `required:"true" placeholder:"HASH" help:"Hash of the plan that you have read."`
	Reason  string `placeholder:"TEXT" help:"Why."`
}

// Run implements the command.
func (r *actionsApproveCmd) Run(c *console) error {
	return c.decide(r.configFlag, r.signFlag, schemas.ApprovalRow{ActionID: r.ID, RequestHash: r.Request, PlanHash: r.Plan, Decision: "approve", Reason: r.Reason})
}

type actionDecision struct {
	configFlag
	signFlag
	ID     string `arg:"" help:"Id of the action."`
	Reason string `placeholder:"TEXT" help:"Why."`
}

func (d *actionDecision) decide(c *console, decision string) error {
	return c.decide(d.configFlag, d.signFlag, schemas.ApprovalRow{ActionID: d.ID, Decision: decision, Reason: d.Reason})
}

type actionsRejectCmd struct{ actionDecision }

// Run implements the command.
func (r *actionsRejectCmd) Run(c *console) error { return r.decide(c, "reject") }

type actionsCancelCmd struct{ actionDecision }

// Run implements the command.
func (r *actionsCancelCmd) Run(c *console) error { return r.decide(c, "cancel") }

func (c *console) decide(f configFlag, sign signFlag, d schemas.ApprovalRow) error {
	if err := sign.decision(&d); err != nil {
		return err
	}
	answer, err := c.tell(f, "decide", d)
	if err != nil {
		return err
	}
	return c.answered(d.ActionID, answer)
}

type actionsPauseCmd struct {
	configFlag
	Reason string `placeholder:"TEXT" help:"Why."`
}

// Run implements the command.
func (r *actionsPauseCmd) Run(c *console) error {
	return c.steer(r.configFlag, "pause", r.Reason, "governance is paused")
}

func (c *console) steer(f configFlag, what, reason, said string) error {
	_, err := c.tell(f, what, agent.GovernReason{Reason: reason})
	if err == nil {
		_, err = fmt.Fprintln(c.out, said)
	}
	return err
}

type actionsResumeCmd struct {
	configFlag
	Yes    bool   `help:"Resume; without it only what would be taken up is shown."`
	Reason string `placeholder:"TEXT" help:"Why."`
}

// Run implements the command.
func (r *actionsResumeCmd) Run(c *console) error {
	list := actionsListCmd{configFlag: r.configFlag, Open: true, Limit: 1000}
	if err := list.Run(c); err != nil {
		return err
	}
	if !r.Yes {
		_, err := fmt.Fprintln(c.out, "these would go on: weir actions resume --yes")
		return err
	}
	return c.steer(r.configFlag, "resume", r.Reason, "governance goes on")
}

type actionsListCmd struct {
	configFlag
	Open  bool `help:"Only those that are not final."`
	Limit int  `default:"50" help:"How many (${default})."`
}

// Run implements the command.
func (r *actionsListCmd) Run(c *console) error {
	ctx := context.Background() //nolint:forbidigo // this is the root
	_, st, err := r.state(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	records, err := st.Actions(ctx, r.Open, r.Limit)
	if err != nil {
		return err
	}
	t := newTable(c.out, "id", "received", "instance", "action", "target", "by", "state", "why")
	for _, rec := range records {
		a, err := govern.Read(rec)
		if err != nil {
			return err
		}
		// What somebody typed is shown so that it cannot pretend to be something else.
		t.AppendRow(table.Row{rec.ID, rec.Received.Format(time.RFC3339), printable(rec.Instance), printable(rec.Action), printable(rec.Kind + " " + rec.Target), printable(rec.Principal), rec.State, printable(a.Note)})
	}
	t.Render()
	return nil
}

func printable(s string) string {
	const most = 60
	q := fmt.Sprintf("%+q", s)
	q = q[1 : len(q)-1]
	if len(q) > most {
		return q[:most] + "..."
	}
	return q
}

// action reads one action of the state, which the caller closes.
func (f configFlag) action(ctx context.Context, id string) (*govern.Action, pipeline.State, error) {
	_, st, err := f.state(ctx)
	if err != nil {
		return nil, nil, err
	}
	rec, ok, err := st.Action(ctx, id)
	if err == nil && !ok {
		err = fmt.Errorf("there is no action %q", id)
	}
	var a *govern.Action
	if err == nil {
		a, err = govern.Read(rec)
	}
	if err != nil {
		return nil, nil, errors.Join(err, st.Close())
	}
	return a, st, nil
}

type actionsShowCmd struct {
	configFlag
	ID string `arg:"" help:"Id of the action."`
}

// Run implements the command.
func (r *actionsShowCmd) Run(c *console) error {
	ctx := context.Background() //nolint:forbidigo // this is the root
	a, st, err := r.action(ctx, r.ID)
	if err != nil {
		return err
	}
	defer st.Close()
	fmt.Fprintf(c.out, "action:   %s %s of %s %s\ninstance: %s\nby:       %s (%s, %s)\nreason:   %s\nchange:   %s\nstate:    %s %s\nrequest:  %s\n",
		a.Row.ID, printable(a.Row.Action), printable(string(a.Request.Kind)), quoteWhole(a.Request.Target), printable(a.Row.Instance), printable(a.Principal), printable(a.Row.DBUser), a.Via,
		quoteWhole(a.Row.Reason), quoteWhole(a.Row.ChangeRef), a.State, printable(a.Note), a.RequestHash)
	for _, k := range slices.Sorted(maps.Keys(a.Request.Params)) {
		fmt.Fprintf(c.out, "param:    %s = %s\n", printable(k), quoteWhole(a.Request.Params[k]))
	}
	if p := a.Plan; p != nil {
		fmt.Fprintf(c.out, "plan:     %s\ntarget:   %s\nprivileged: %t\n", a.PlanHash, quoteWhole(p.Target.Name), a.Privileged)
		for _, d := range p.Diff {
			fmt.Fprintf(c.out, "changes:  %s: %s -> %s\n", quoteWhole(d.What), quoteWhole(d.Before), quoteWhole(d.After))
		}
		for i, s := range p.Steps {
			phase := ""
			if i < len(a.Steps) {
				phase = string(a.Steps[i].Phase)
			}
			fmt.Fprintf(c.out, "step:     %s (%s) %s\n", printable(s.Name), quoteWhole(s.Doc), phase)
		}
	}
	if a.Bundle != "" {
		fmt.Fprintf(c.out, "part of:  %s\n", a.Bundle)
	}
	for _, id := range a.Parts {
		rec, ok, err := st.Action(ctx, id)
		if err != nil {
			return err
		}
		if !ok {
			continue // dropped, with the bundle next
		}
		part, err := govern.Read(rec)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "part:     %s %s: %s of %s: %s %s\n", id, printable(part.Row.Instance), printable(part.Row.Action), quoteWhole(part.Row.TargetID), part.State, printable(part.Note))
	}
	if a.Reapplies != "" {
		fmt.Fprintf(c.out, "re-applies: %s, time %d\n", a.Reapplies, a.Round)
	}
	entries, err := st.ActionEntries(ctx, a.Row.ID, 1, 10_000)
	if err != nil {
		return err
	}
	t := newTable(c.out, "no.", "at", "event", "by", "step", "detail")
	for _, e := range entries {
		var row schemas.ActionLogRow
		if err := json.Unmarshal(e.Data, &row); err != nil {
			return fmt.Errorf("entry %d is damaged: %w", e.Seq, err)
		}
		for _, l := range row.Limits {
			fmt.Fprintf(c.out, "note:     %s\n", quoteWhole(l))
		}
		t.AppendRow(table.Row{row.Seq, time.UnixMilli(int64(row.At)).UTC().Format(time.RFC3339), row.Event, printable(row.Principal), printable(row.Step), printable(row.Detail)})
	}
	t.Render()
	if a.State == govern.Awaiting {
		fmt.Fprintf(c.out, "\nweir actions approve %s --request %s --plan %s\n", a.Row.ID, a.RequestHash, a.PlanHash)
	}
	return nil
}

func quoteWhole(s string) string { return fmt.Sprintf("%+q", s) }

type actionsExportCmd struct {
	configFlag
	ID string `arg:"" help:"Id of the action."`
}

// Run implements the command.
func (r *actionsExportCmd) Run(c *console) error {
	ctx := context.Background() //nolint:forbidigo // this is the root
	cfg, st, err := r.state(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	key, err := signingKey(cfg)
	if err != nil {
		return err
	}
	data, err := govern.Export(ctx, st, r.ID, key, c.clock.Now())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s\n", data)
	return err
}

func signingKey(cfg *configs.Config) (ed25519.PrivateKey, error) {
	if cfg.Governance.SigningKey.IsZero() {
		return nil, errors.New("governance.signing_key: there is none, which evidence is signed with")
	}
	text, err := cfg.Governance.SigningKey.Value()
	if err != nil {
		return nil, fmt.Errorf("governance.signing_key: %w", err)
	}
	key, err := govern.SigningKey(text)
	if err != nil {
		return nil, fmt.Errorf("governance.signing_key: %w", err)
	}
	return key, nil
}

type actionsAuditCmd struct {
	configFlag
	Log    string `placeholder:"FILE" xor:"what" help:"Verify an exported action log instead: rows of the table as JSON, one a line, in the order of seq; - is standard input."`
	Bundle string `placeholder:"FILE" xor:"what" help:"Verify a file of weir actions export instead."`
	Key    string `placeholder:"FILE" help:"With --bundle: the public key, in PEM; otherwise that of governance.signing_key."`
}

// Run implements the command.
func (r *actionsAuditCmd) Run(c *console) error {
	switch {
	case r.Log != "":
		return c.auditExport(r.Log)
	case r.Bundle != "":
		return r.bundle(c)
	}
	ctx := context.Background() //nolint:forbidigo // this is the root
	cfg, st, err := r.state(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	rep, err := govern.Audit(ctx, st, cfg.Governance.Anchors)
	if err != nil {
		return err
	}
	if rep.From > 1 {
		fmt.Fprintf(c.out, "entries before %d are older than governance.keep: sinks have them\n", rep.From)
	}
	return c.audited(rep.Entries, st.ID(), rep.Head.Hash)
}

func (c *console) audited(n int64, chain, head string) error {
	_, err := fmt.Fprintf(c.out, "%d entries of chain %s are as they were written; the last has %s\n", n, govern.Plain(chain), govern.Plain(head))
	return err
}

// bundle verifies evidence.
func (r *actionsAuditCmd) bundle(c *console) error {
	file, err := os.ReadFile(r.Bundle)
	if err != nil {
		return err
	}
	key, err := r.key()
	if err != nil {
		return err
	}
	ev, err := govern.Verify(file, key)
	if err != nil {
		return fmt.Errorf("%s: %w", r.Bundle, err)
	}
	for _, p := range ev.Actions {
		a := p.Action
		fmt.Fprintf(c.out, "%s: %s of %s %s: %s, %d entries\n", printable(a.Row.ID), printable(a.Row.Action), printable(a.Row.TargetKind), quoteWhole(a.Row.TargetID), printable(string(a.State)), len(p.Entries))
	}
	_, err = fmt.Fprintf(c.out, "signed by this key on %s; chain %s was at entry %d, %s\n", ev.Exported.Format(time.RFC3339), printable(ev.Chain), ev.Head.Seq, printable(ev.Head.Hash))
	return err
}

func (r *actionsAuditCmd) key() (ed25519.PublicKey, error) {
	if r.Key != "" {
		text, err := os.ReadFile(r.Key)
		if err != nil {
			return nil, err
		}
		return govern.VerifyingKey(string(text))
	}
	cfg, err := r.load()
	if err != nil {
		return nil, err
	}
	key, err := signingKey(cfg)
	if err != nil {
		return nil, err
	}
	return key.Public().(ed25519.PublicKey), nil
}

func (c *console) auditExport(name string) error {
	in := os.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	n, chain, head, err := govern.AuditExport(in)
	if err != nil {
		return err
	}
	return c.audited(n, chain, head)
}
