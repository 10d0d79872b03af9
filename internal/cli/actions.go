package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jedib0t/go-pretty/v6/table"

	"weir/agent"
	"weir/agent/govern"
	"weir/configs"
	"weir/schemas"
)

type actionsCmd struct {
	Submit  actionsSubmitCmd  `cmd:"" help:"Ask for an action."`
	List    actionsListCmd    `cmd:"" help:"List actions, the newest first."`
	Show    actionsShowCmd    `cmd:"" help:"Show an action: request, plan, decisions and every step."`
	Approve actionsApproveCmd `cmd:"" help:"Approve an action's plan."`
	Reject  actionsRejectCmd  `cmd:"" help:"Reject an action."`
	Cancel  actionsCancelCmd  `cmd:"" help:"Cancel an action that has not begun."`
	Undo    actionsUndoCmd    `cmd:"" help:"Ask for an action to be taken back."`
	Pause   actionsPauseCmd   `cmd:"" help:"Stop execution before the next step."`
	Resume  actionsResumeCmd  `cmd:"" help:"Show what would be taken up, and let execution go on."`
	Audit   actionsAuditCmd   `cmd:"" help:"Verify the action log, and that it agrees with the anchors."`
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
		err = fmt.Errorf("%w on %s: start weir run; only list, show and audit work without", err, cfg.Agent.DataDir)
	}
	return answer, err
}

func (c *console) answered(id string, a agent.ActionAnswer) error {
	note := ""
	if a.Note != "" {
		note = ": " + a.Note
	}
	_, err := fmt.Fprintf(c.out, "%s: %s%s\n", id, a.State, note)
	if err == nil && a.State == govern.Rejected {
		err = errors.New("the request was rejected")
	}
	return err
}

type actionsSubmitCmd struct {
	configFlag
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
	return c.submit(r.configFlag, row)
}

func (c *console) submit(f configFlag, row schemas.ActionRow) error {
	if row.ID == "" {
		row.ID = uuid.NewString()
	}
	answer, err := c.tell(f, "submit", row)
	if err != nil {
		return err
	}
	return c.answered(row.ID, answer)
}

func millis(t time.Time) schemas.Time {
	if t.IsZero() {
		return 0
	}
	return schemas.Time(t.UnixMilli())
}

type actionsUndoCmd struct {
	configFlag
	Action string `arg:"" help:"Id of the action to take back."`
	ID     string `placeholder:"ID" help:"The request's id; one is made otherwise."`
	Reason string `placeholder:"TEXT" help:"Why."`
	Change string `placeholder:"REF" help:"Number of the change or incident."`
}

// Run implements the command.
func (r *actionsUndoCmd) Run(c *console) error {
	ctx := context.Background() //nolint:forbidigo // this is the root
	_, a, err := r.action(ctx, r.Action)
	if err != nil {
		return err
	}
	return c.submit(r.configFlag, schemas.ActionRow{
		ID: r.ID, Instance: a.Row.Instance, Action: govern.UndoAction, TargetKind: "action", TargetID: r.Action, Reason: r.Reason, ChangeRef: r.Change,
	})
}

type actionsApproveCmd struct {
	configFlag
	ID      string `arg:"" help:"Id of the action."`
	Request string `required:"true" placeholder:"HASH" help:"Hash of the request that you have read (weir actions show)."`
	Plan    string `required:"true" placeholder:"HASH" help:"Hash of the plan that you have read."`
	Reason  string `placeholder:"TEXT" help:"Why."`
}

// Run implements the command.
func (r *actionsApproveCmd) Run(c *console) error {
	return c.decide(r.configFlag, schemas.ApprovalRow{ActionID: r.ID, RequestHash: r.Request, PlanHash: r.Plan, Decision: "approve", Reason: r.Reason})
}

type actionDecision struct {
	configFlag
	ID     string `arg:"" help:"Id of the action."`
	Reason string `placeholder:"TEXT" help:"Why."`
}

type actionsRejectCmd struct{ actionDecision }

// Run implements the command.
func (r *actionsRejectCmd) Run(c *console) error {
	return c.decide(r.configFlag, schemas.ApprovalRow{ActionID: r.ID, Decision: "reject", Reason: r.Reason})
}

type actionsCancelCmd struct{ actionDecision }

// Run implements the command.
func (r *actionsCancelCmd) Run(c *console) error {
	return c.decide(r.configFlag, schemas.ApprovalRow{ActionID: r.ID, Decision: "cancel", Reason: r.Reason})
}

func (c *console) decide(f configFlag, d schemas.ApprovalRow) error {
	answer, err := c.tell(f, "decide", d)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s: %s\n", d.ActionID, strings.TrimSuffix(fmt.Sprintf("%s: %s", answer.State, answer.Note), ": "))
	return err
}

type actionsPauseCmd struct {
	configFlag
	Reason string `placeholder:"TEXT" help:"Why."`
}

// Run implements the command.
func (r *actionsPauseCmd) Run(c *console) error {
	if _, err := c.tell(r.configFlag, "pause", agent.GovernReason{Reason: r.Reason}); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.out, "governance is paused")
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
	if _, err := c.tell(r.configFlag, "resume", agent.GovernReason{Reason: r.Reason}); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.out, "governance goes on")
	return err
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

// action reads one action of the state.
func (f configFlag) action(ctx context.Context, id string) (*configs.Config, *govern.Action, error) {
	cfg, st, err := f.state(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer st.Close()
	rec, ok, err := st.Action(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, nil, fmt.Errorf("there is no action %q", id)
	}
	a, err := govern.Read(rec)
	return cfg, a, err
}

type actionsShowCmd struct {
	configFlag
	ID string `arg:"" help:"Id of the action."`
}

// Run implements the command.
func (r *actionsShowCmd) Run(c *console) error {
	ctx := context.Background() //nolint:forbidigo // this is the root
	_, a, err := r.action(ctx, r.ID)
	if err != nil {
		return err
	}
	_, st, err := r.state(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	fmt.Fprintf(c.out, "action:   %s %s of %s %s\ninstance: %s\nby:       %s (%s, %s)\nreason:   %s\nchange:   %s\nstate:    %s %s\nrequest:  %s\n",
		a.Row.ID, printable(a.Row.Action), printable(string(a.Request.Kind)), quoteWhole(a.Request.Target), printable(a.Row.Instance), a.Principal, printable(a.Row.DBUser), a.Via,
		quoteWhole(a.Row.Reason), quoteWhole(a.Row.ChangeRef), a.State, printable(a.Note), a.RequestHash)
	for k, v := range a.Request.Params {
		fmt.Fprintf(c.out, "param:    %s = %s\n", k, quoteWhole(v))
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

type actionsAuditCmd struct {
	configFlag
	Log string `placeholder:"FILE" help:"Verify an exported action log instead: rows of the table as JSON, one a line, in the order of seq; - is standard input."`
}

// Run implements the command.
func (r *actionsAuditCmd) Run(c *console) error {
	if r.Log != "" {
		return c.auditExport(r.Log)
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
	_, err = fmt.Fprintf(c.out, "%d entries of chain %s are as they were written; the last is %d, %s\n", rep.Entries, st.ID(), rep.Head.Seq, rep.Head.Hash)
	return err
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
	_, err = fmt.Fprintf(c.out, "%d entries of chain %s are as they were written; the last has %s\n", n, chain, head)
	return err
}
