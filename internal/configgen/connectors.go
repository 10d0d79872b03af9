package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/configs"
	"weir/internal/setting"
	"weir/schemas"
	"weir/sources"
)

// connectorPage is the generated part of a connector's page.
func connectorPage(c *sources.Connector) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("## Streams\n\n| stream | fills | polled every | late by at most | looks back | what |\n|---|---|---|---|---|---|\n")
	for _, s := range c.Streams {
		every := setting.FormatDuration(s.Every)
		if s.FullEvery > 0 {
			every += ", all of it every " + setting.FormatDuration(s.FullEvery)
		}
		if s.Off {
			every += " (off unless enabled)"
		}
		late := "-"
		if s.Shape == sources.Log {
			late = duration(s.Lateness)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", s.Name, code(s.Tables), every, late, lookBack(s), cell(s.Doc))
	}
	if c.Notifies != "" {
		fmt.Fprintf(&b, "\nWith `hooks: true` ([hooks](../hooks.md)): %s.\n", sentence(c.Notifies))
	}
	if len(c.Capabilities) > 0 {
		b.WriteString("\n## Rights to grant\n\n`weir check --connect` tries each and says which is missing. A missing one disables its stream alone.\n\n| capability | what works with it | grant | where | edition |\n|---|---|---|---|---|\n")
		for _, k := range c.Capabilities {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.Name, cell(k.Doc), cell(strings.Join(k.Scopes, "; or ")), cell(k.Where), cell(orAny(k.Edition)))
		}
	}
	writeActions(&b, c)
	if len(c.Hosts) > 0 {
		b.WriteString("\n## Hosts\n\n| host | for |\n|---|---|\n")
		for _, h := range c.Hosts {
			fmt.Fprintf(&b, "| `%s` | %s |\n", h.Name, cell(h.For))
		}
	}
	if len(c.Limits) > 0 {
		b.WriteString("\n## Limits and gaps of the vendor\n\n")
		for _, l := range c.Limits {
			fmt.Fprintf(&b, "- %s\n", l)
		}
	}
	b.WriteString("\n## Keys\n\n")
	err := configs.WriteConnectorKeys(&b, c)
	return b.Bytes(), err
}

// matrix is the table apps x tables.
func matrix(apps []*sources.Connector) []byte {
	var b bytes.Buffer
	b.WriteString("| app |")
	var names []string
	for _, t := range schemas.Tables() {
		if t.Name != schemas.TableCollectionRuns && t.Name != schemas.TableActionLog { // which Weir itself fills
			names = append(names, t.Name)
			fmt.Fprintf(&b, " %s |", t.Name)
		}
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(names)) + "\n")
	for _, c := range apps {
		fmt.Fprintf(&b, "| [%s](%s.md) |", c.Title, c.App)
		for _, n := range names {
			mark := ""
			for _, s := range c.Streams {
				if slices.Contains(s.Tables, n) {
					mark = "yes"
					if s.Off {
						mark = "if enabled"
					}
				}
			}
			fmt.Fprintf(&b, " %s |", mark)
		}
		b.WriteString("\n")
	}
	b.WriteString("\nWhat `weir backfill` can collect of the past ([backfill](../backfill.md)):\n\n| app | stream | how far back | what comes late |\n|---|---|---|---|\n")
	for _, c := range apps {
		for _, s := range c.Streams {
			if s.Shape != sources.Log {
				continue
			}
			late := "windows are read again, see `sweep`"
			if s.ShowsLate {
				late = "reading on brings it"
			} else if !s.Back {
				late = "only what the connector itself reads again"
			}
			fmt.Fprintf(&b, "| [%s](%s.md) | `%s` | %s | %s |\n", c.Title, c.App, s.Name, lookBack(s), late)
		}
	}
	actionMatrix(&b, apps)
	return b.Bytes()
}

// writeActions are the actions on a connector's page.
func writeActions(b *bytes.Buffer, c *sources.Connector) {
	if len(c.Actions) == 0 {
		return
	}
	b.WriteString("\n## Actions\n\nNone is carried out unless `governance.allow` names it: see [governance](../governance.md). What one does not do stands below it, and in each plan.\n")
	for i := range c.Actions {
		a := &c.Actions[i]
		fmt.Fprintf(b, "\n### %s\n\n%s.\n\n", a.Action, sentence(a.Doc))
		for _, t := range a.Targets {
			fmt.Fprintf(b, "- target_kind `%s`: target_id is %s, of the form `%s`\n", t.Kind, t.Doc, t.ID)
		}
		for _, p := range a.Params {
			must := "optional"
			if p.Required {
				must = "required"
			}
			fmt.Fprintf(b, "- params `%s`, %s: %s\n", p.Name, must, p.Doc)
		}
		undo := "can be undone"
		if a.NoUndo != "" {
			undo = "cannot be undone: " + a.NoUndo
		}
		if a.Risky {
			undo += "; always needs an approval"
		}
		if a.Delay > 0 {
			undo += "; the effect may take " + setting.FormatDuration(a.Delay) + " to show"
		}
		fmt.Fprintf(b, "- %s\n- grant %s\n", undo, strings.Join(a.Scopes, "; or "))
		for _, l := range a.Limits {
			fmt.Fprintf(b, "- %s\n", l)
		}
	}
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// actionMatrix is the table actions x apps.
func actionMatrix(b *bytes.Buffer, apps []*sources.Connector) {
	b.WriteString("\nWhat can be changed ([governance](../governance.md)); \"for good\" cannot be undone:\n\n| action | afterwards |")
	var with []*sources.Connector
	for _, c := range apps {
		if len(c.Actions) > 0 {
			with = append(with, c)
			fmt.Fprintf(b, " [%s](%s.md#actions) |", c.Title, c.App)
		}
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(with)) + "\n")
	for _, w := range sources.ActionWords() {
		fmt.Fprintf(b, "| `%s` | %s |", w.Action, cell(w.Doc))
		for _, c := range with {
			mark := ""
			if a := c.Action(w.Action); a != nil {
				if mark = "yes"; a.NoUndo != "" {
					mark = "for good"
				}
			}
			fmt.Fprintf(b, " %s |", mark)
		}
		b.WriteString("\n")
	}
}

// lookBack is how far back a stream can be backfilled.
func lookBack(s sources.StreamInfo) string {
	switch {
	case !s.Back:
		return "-"
	case s.Retention == 0:
		return "all that is kept"
	case s.WholeFor > 0:
		return setting.FormatDuration(s.Retention) + ", all of it " + setting.FormatDuration(s.WholeFor)
	}
	return setting.FormatDuration(s.Retention)
}

func duration(d time.Duration) string {
	if d == 0 {
		return "not told"
	}
	return setting.FormatDuration(d)
}

func code(names []string) string { return "`" + strings.Join(names, "`, `") + "`" }

func orAny(s string) string {
	if s == "" {
		return "any"
	}
	return s
}

// cell keeps a text from ending its cell, and its <words> from being markup.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(s)
}
