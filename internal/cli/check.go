package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"weir/agent"
	"weir/configs"
	"weir/internal/fault"
	"weir/internal/vault"
	"weir/sources"
)

type checkCmd struct {
	configFlag
	Connect  bool     `help:"Try the credentials too: who they belong to, and what they allow, capability by capability."`
	Instance []string `arg:"" optional:"" help:"With --connect: only these instances."`
}

// Run implements the command.
func (r *checkCmd) Run(c *console) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	if errs := cfg.Unresolved(); len(errs) > 0 {
		return usageError{errors.Join(errs...)}
	}
	if !cfg.Governance.SigningKey.IsZero() {
		if _, err := signingKey(cfg); err != nil {
			return usageError{err}
		}
	}
	for _, k := range cfg.Literals() {
		fmt.Fprintf(c.err, "warning: %s: the secret itself stands in %s; better ${env:NAME} or ${file:/path}\n", k, cfg.Path)
	}
	if f := cfg.Agent.Key.File(); f != "" {
		if why := vault.Misplaced(f, cfg.Agent.DataDir); why != "" {
			fmt.Fprintf(c.err, "warning: agent.key: %s\n", why)
		}
	}
	streams := 0
	for _, i := range cfg.Instances {
		for _, s := range i.Streams {
			if i.Enabled && s.Enabled {
				streams++
			}
		}
	}
	fmt.Fprintf(c.out, "%s is valid: %d sinks, %d instances, %d streams\n", cfg.Path, len(cfg.Sinks), len(cfg.Instances), streams)
	if !r.Connect {
		return nil
	}
	return r.connect(c, cfg)
}

// connectTime bounds the check of one instance.
const connectTime = 2 * time.Minute

func (r *checkCmd) connect(c *console, cfg *configs.Config) error {
	ctx, stop := c.signals()
	defer stop()
	for _, name := range r.Instance {
		if !slices.ContainsFunc(cfg.Instances, func(i configs.Instance) bool { return i.Name == name }) {
			return usageError{fmt.Errorf("no instance is called %q in %s", name, cfg.Path)}
		}
	}
	failing := 0
	for _, inst := range cfg.Instances {
		if len(r.Instance) > 0 && !slices.Contains(r.Instance, inst.Name) || len(r.Instance) == 0 && !inst.Enabled {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, connectTime)
		n, err := c.checkInstance(ctx, cfg, inst)
		cancel()
		if err != nil {
			fmt.Fprintf(c.out, "  cannot connect: %v\n", err)
			n++
		}
		failing += n
	}
	if failing > 0 {
		return fmt.Errorf("%d things that the configuration asks for do not work", failing)
	}
	return nil
}

// checkInstance prints what an instance's credentials allow, and returns how
// many of its enabled streams do not work.
func (c *console) checkInstance(ctx context.Context, cfg *configs.Config, inst configs.Instance) (failing int, err error) {
	fmt.Fprintf(c.out, "\n%s (%s)\n", inst.Name, inst.Connector.Title)
	session, err := agent.OpenSession(ctx, agent.SessionOptions{Config: cfg, Instance: inst, Clock: c.clock})
	if err != nil {
		return 0, err
	}
	id, err := session.Identity(ctx)
	if err != nil {
		return 0, err
	}
	tenant, err := session.Tenant(ctx)
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(c.out, "  connected as %s, organization %s\n", whoIs(id), orNone(tenant, "not known yet"))
	if len(id.Roles) > 0 {
		fmt.Fprintf(c.out, "  it holds: %s\n", strings.Join(id.Roles, ", "))
	}
	if id.Kind == sources.IdentityPerson {
		fmt.Fprintf(c.out, "  warning: these credentials are a person's: they end with the person's account, and what the agent does is logged under that name. Better a service identity of its own\n")
	}
	t := newTable(c.out, "", "capability", "what", "state")
	t.SetColumnConfigs([]table.ColumnConfig{{Name: "what", WidthMax: 44, WidthMaxEnforcer: text.WrapSoft}, {Name: "state", WidthMax: 76, WidthMaxEnforcer: text.WrapSoft}})
	for _, capability := range inst.Connector.Capabilities {
		stream, part, _ := strings.Cut(capability.Name, "/")
		if s, ok := inst.Streams[stream]; ok && !s.Enabled {
			t.AppendRow(table.Row{"-", capability.Name, capability.Doc, "not asked: the stream is disabled"})
			continue
		}
		state, works := probed(session.Probe(ctx, capability.Name), capability)
		mark := "ok"
		if !works {
			mark = "no"
			if part == "" {
				failing++
			}
		}
		t.AppendRow(table.Row{mark, capability.Name, capability.Doc, state})
	}
	for _, action := range inst.Connector.Actions {
		name := sources.CapabilityActions + string(action.Action)
		if !slices.Contains(inst.Governance.Allow, string(action.Action)) {
			t.AppendRow(table.Row{"-", name, action.Doc, "not asked: governance.allow does not name it"})
			continue
		}
		state, works := probed(session.Probe(ctx, name), sources.Capability{Scopes: action.Scopes})
		mark := "ok"
		if !works {
			mark = "no"
			failing++
		}
		t.AppendRow(table.Row{mark, name, action.Doc, state})
	}
	t.Render()
	return failing, nil
}

// probed words a probe's outcome.
func probed(err error, c sources.Capability) (state string, works bool) {
	if err == nil {
		return "works", true
	}
	switch fault.Of(err) {
	case fault.Forbidden:
		state = "scope missing: " + err.Error()
		if len(c.Scopes) > 0 {
			state += ". Grant " + strings.Join(c.Scopes, ", or ")
		}
		if c.Where != "" {
			state += ". Where: " + c.Where
		}
	case fault.NotLicensed:
		state = "not licensed: " + err.Error()
		if c.Edition != "" {
			state += ". Needs " + c.Edition
		}
	default:
		state = "failing: " + err.Error()
	}
	return state, false
}

func whoIs(id sources.Identity) string {
	name := orNone(id.Name, "somebody: the vendor does not say whose the credentials are")
	if id.ID != "" && id.ID != id.Name {
		name += " (" + id.ID + ")"
	}
	if id.Kind != sources.IdentityUnknown && id.Kind != "" {
		name += ", " + map[sources.IdentityKind]string{sources.IdentityApp: "an app", sources.IdentityService: "a service account", sources.IdentityPerson: "a person"}[id.Kind]
	}
	return name
}

func orNone(s, none string) string {
	if s == "" {
		return none
	}
	return s
}
