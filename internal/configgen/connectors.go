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
	if len(c.Capabilities) > 0 {
		b.WriteString("\n## Rights to grant\n\n`weir check --connect` tries each and says which is missing. A missing one disables its stream alone.\n\n| capability | what works with it | grant | where | edition |\n|---|---|---|---|---|\n")
		for _, k := range c.Capabilities {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.Name, cell(k.Doc), cell(strings.Join(k.Scopes, "; or ")), cell(k.Where), cell(orAny(k.Edition)))
		}
	}
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
		if t.Name != schemas.TableCollectionRuns {
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
	return b.Bytes()
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
