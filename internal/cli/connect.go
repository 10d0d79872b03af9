package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"weir/agent"
	"weir/configs"
	"weir/sources"
	"weir/sources/auth"
)

type connectCmd struct {
	configFlag
	Instance     string `arg:"" help:"The instance to connect."`
	NoBrowser    bool   `help:"Only print the page's address, for a browser elsewhere."`
	RedirectPort int    `placeholder:"PORT" help:"Port on 127.0.0.1 that the browser is sent back to, for vendors that want to know it beforehand (else any free one)."`
}

// Run implements the command.
func (r *connectCmd) Run(c *console) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	if r.RedirectPort < 0 || r.RedirectPort > 65535 {
		return usageError{fmt.Errorf("--redirect-port %d: want a number from 1 to 65535", r.RedirectPort)}
	}
	i := slices.IndexFunc(cfg.Instances, func(i configs.Instance) bool { return i.Name == r.Instance })
	if i < 0 {
		return usageError{fmt.Errorf("no instance is called %q in %s", r.Instance, cfg.Path)}
	}
	ctx, stop := c.signals()
	defer stop()
	err = r.connect(ctx, c, cfg, cfg.Instances[i])
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return errors.New("interrupted: nothing was changed")
	}
	return err
}

func (r *connectCmd) connect(ctx context.Context, c *console, cfg *configs.Config, inst configs.Instance) error {
	opts := agent.SessionOptions{Config: cfg, Instance: inst, Clock: c.clock}
	env, err := agent.SessionEnv(opts)
	if err != nil {
		return err
	}
	consent, err := consentOf(env, inst)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s (%s)\n", inst.Name, inst.Connector.Title)
	if consent.Hint != "" {
		fmt.Fprintln(c.out, consent.Hint)
	}
	if len(consent.Scopes) > 0 {
		fmt.Fprintf(c.out, "Weir will ask for: %s\n", strings.Join(consent.Scopes, ", "))
	}
	grant, err := auth.Connect(ctx, auth.ConnectOptions{
		Instance: inst.Name, Vault: env.Vault, Consent: consent, HTTP: env.HTTP, Clock: c.clock, Port: r.RedirectPort,
		Show: func(page string, port int) { r.show(ctx, c, page, port) },
	})
	if err != nil {
		return err
	}
	c.granted(grant)
	session, err := agent.OpenSession(ctx, opts)
	if err != nil {
		return err
	}
	id, err := session.Identity(ctx)
	if err != nil {
		return fmt.Errorf("the tokens are kept, but asking whose they are fails: %w", err)
	}
	fmt.Fprintf(c.out, "Connected as %s.\n", whoIs(id))
	if id.Kind == sources.IdentityPerson {
		fmt.Fprintln(c.out, "The access is this person's: it ends with the account, or when the person withdraws it.")
	}
	_, err = fmt.Fprintf(c.out, "`weir check --connect %s` shows what works with it. A running agent picks it up by itself.\n", inst.Name)
	return err
}

// consentOf returns how a person grants an instance access, or an error that
// says what does instead.
func consentOf(env sources.Env, inst configs.Instance) (*auth.Consent, error) {
	if inst.Connector.Consent != nil {
		consent, err := inst.Connector.Consent(env, inst.Config)
		if err != nil || consent != nil {
			return consent, err
		}
	}
	text := fmt.Sprintf("%s needs no consent: its credentials stand in the configuration", inst.Name)
	if keys := configs.SecretKeys(inst.Connector.Config()); len(keys) > 0 {
		text += ", under " + strings.Join(keys, ", ")
	}
	return nil, usageError{fmt.Errorf("%s; `weir check --connect %s` tries them", text, inst.Name)}
}

// show brings the person to the vendor's page.
func (r *connectCmd) show(ctx context.Context, c *console, page string, port int) {
	if !r.NoBrowser && browse(ctx, page) {
		fmt.Fprintf(c.out, "\nThe browser opens this page; if it does not, open it yourself:\n\n  %s\n\n", page)
	} else {
		fmt.Fprintf(c.out, "\nOpen this page:\n\n  %s\n\n", page)
		fmt.Fprintf(c.out, "The browser comes back to port %d of this machine. If it runs on another, forward the port first, from there:\n\n  ssh -L %d:127.0.0.1:%d %s\n\n", port, port, port, hostname())
	}
	fmt.Fprintln(c.out, "Waiting, 10 minutes at most.")
}

func (c *console) granted(g auth.Grant) {
	if len(g.Scopes) > 0 {
		fmt.Fprintf(c.out, "Granted: %s\n", strings.Join(g.Scopes, ", "))
	}
	if len(g.Missing) > 0 {
		fmt.Fprintf(c.out, "Not granted: %s. What needs them is not collected.\n", strings.Join(g.Missing, ", "))
	}
	switch {
	case g.Expires.IsZero():
		fmt.Fprintln(c.out, "The token does not end by time.")
	case g.Renews:
		fmt.Fprintln(c.out, "The token is renewed by itself.")
	default:
		fmt.Fprintf(c.out, "warning: the token ends at %s and cannot be renewed: then `weir connect` is needed again.\n", g.Expires.UTC().Format(time.RFC3339))
	}
}

// browse opens a page in the person's browser, and reports whether that may
// have worked.
func browse(ctx context.Context, page string) bool {
	open := "xdg-open"
	switch {
	case runtime.GOOS == "darwin":
		open = "open"
	case os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "":
		return false // it would start one in this terminal
	}
	path, err := exec.LookPath(open)
	if err != nil {
		return false
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, page)
	if cmd.Start() != nil {
		return false
	}
	go func() { _ = cmd.Wait() }()
	return true
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "HOST"
	}
	return name
}
