package configs

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/internal/secret"
	"weir/internal/setting"
	"weir/sources"
)

// Governance is the `governance:` section: what holds for actions on all
// instances.
type Governance struct {
	Control         string        `key:"control" doc:"name of the ClickHouse sink whose tables actions and action_approvals are read; empty: requests come through weir actions only"`
	Poll            time.Duration `key:"poll" doc:"how often the control tables are read"`
	MaxAge          time.Duration `key:"max_age" doc:"a request older than this is not begun, nor gone on with"`
	MaxPerHour      int           `key:"max_per_hour" doc:"actions that take effect within an hour, over all instances"`
	MaxPerDay       int           `key:"max_per_day" doc:"the same within a day"`
	MaxPerRequester int           `key:"max_per_requester" doc:"actions of one principal that take effect within an hour"`
	MaxPending      int           `key:"max_pending" doc:"open requests of one principal; more are rejected"`
	Keep            time.Duration `key:"keep" doc:"how long data_dir keeps final actions and the action log; sinks keep the log, and ids are kept for good"`
	KillSwitch      string        `key:"kill_switch" example:"/etc/weir/actions-off" doc:"a file: while it exists nothing is written at any vendor"`
	Anchors         []string      `key:"anchors" example:"[/var/log/weir/actions.anchor]" doc:"files, outside data_dir, that the head of the action log is appended to every minute"`
	SigningKey      secret.Secret `key:"signing_key" example:"${file:/etc/weir/evidence.pem}" doc:"Ed25519 private key in PEM that weir actions export signs with"`

	RequireSignature bool `key:"require_signature" doc:"true: requests and decisions, on every instance, must be signed with a key of their principal"`

	// Principals are who may ask and approve, by name.
	Principals []Principal
}

// Principal is one entry of `governance.principals:`.
type Principal struct {
	Name   string
	DBUser string   `key:"db_user" example:"alice" doc:"the ClickHouse user that is this principal"`
	UID    string   `key:"uid" example:"0" doc:"the user id, at the control socket, that is this principal"`
	May    []string `key:"may" example:"[request]" doc:"request, approve, or one action of them: request/revoke_key, approve/suspend_user"`
	Keys   []string `key:"keys" lines:"true" doc:"Ed25519 public keys that this principal signs with, at most 8: PEM, as ${file:/etc/weir/alice.pub.pem}, or ed25519: and base64"`
}

// Governed is what an instance's `governance:` section says.
type Governed struct {
	Allow      []string      `key:"allow" doc:"actions that may be carried out; empty: none, governance is off"`
	Approvals  int           `key:"approvals" doc:"approvals an action needs, by others than who asked; privileged targets and risky actions need one at least"`
	MaxPerHour int           `key:"max_per_hour" doc:"actions that take effect within an hour"`
	MaxPerDay  int           `key:"max_per_day" doc:"actions that take effect within a day"`
	MaxShare   int           `key:"max_share" doc:"accounts acted on within a day, in percent of all, one at least; 0: not limited"`
	CoolDown   time.Duration `key:"cool_down" doc:"a request like an earlier one of this age is a duplicate"`
	Protect    []string      `key:"protect" example:"[login:break-glass]" doc:"what is never acted on: id:, email:, login:, name:, group: or role: and a text, or a text for any of them"`
	Freeze     []string      `key:"freeze" example:"[fri 18:00/mon 06:00]" doc:"when nothing is begun: a span of each week, or from/to in RFC 3339; UTC"`
	ChangeRef  bool          `key:"change_ref" doc:"whether a request must name a change"`
	Watch      time.Duration `key:"watch" doc:"how long Weir looks whether what an action did still stands; 0s: not at all"`
	DryRun     bool          `key:"dry_run" doc:"true: actions are planned and never carried out"`

	RequireSignature bool `key:"require_signature" doc:"true: requests and decisions must be signed with a key of their principal"`
}

func newGovernance() Governance {
	return Governance{Poll: 2 * time.Second, MaxAge: 24 * time.Hour, MaxPerHour: 50, MaxPerDay: 200, MaxPerRequester: 20, MaxPending: 1000, Keep: 90 * 24 * time.Hour}
}

func newGoverned() Governed {
	return Governed{Approvals: 1, MaxPerHour: 10, MaxPerDay: 50, MaxShare: 5, CoolDown: 10 * time.Minute, Watch: time.Hour}
}

// Validate implements setting.Struct.
func (g *Governance) Validate() (errs []setting.KeyError) {
	bad := func(key, found, accepted string) {
		errs = append(errs, setting.KeyError{Key: key, Found: found, Accepted: accepted})
	}
	if g.Poll < 100*time.Millisecond || g.Poll > time.Hour {
		bad("poll", setting.FormatDuration(g.Poll), "a duration from 100ms to 1h")
	}
	if g.MaxAge < time.Minute || g.MaxAge > 30*24*time.Hour {
		bad("max_age", setting.FormatDuration(g.MaxAge), "a duration from 1m to 30d")
	}
	if g.Keep < 31*24*time.Hour || g.Keep > 3650*24*time.Hour { // longer than max_age, watch and every cap look back
		bad("keep", setting.FormatDuration(g.Keep), "a duration from 31d to 3650d")
	}
	for key, n := range map[string]int{
		"max_per_hour": g.MaxPerHour, "max_per_day": g.MaxPerDay, "max_per_requester": g.MaxPerRequester, "max_pending": g.MaxPending,
	} {
		if n < 0 || n > maxCap {
			bad(key, strconv.Itoa(n), "a number from 0 to "+strconv.Itoa(maxCap))
		}
	}
	if g.KillSwitch != "" && !filepath.IsAbs(g.KillSwitch) {
		bad("kill_switch", g.KillSwitch, "an absolute path")
	}
	for _, a := range g.Anchors {
		if !filepath.IsAbs(a) {
			bad("anchors", a, "absolute paths of files")
		}
	}
	return errs
}

const maxCap = 1_000_000

var validMay = regexp.MustCompile(`^(request|approve)(/[a-z_]+)?$`)

// Validate implements setting.Struct.
func (p *Principal) Validate() (errs []setting.KeyError) {
	if p.DBUser == "" && p.UID == "" {
		errs = append(errs, setting.KeyError{Key: "db_user", Accepted: "db_user or uid: whom the principal is known as"})
	}
	if _, err := strconv.ParseUint(p.UID, 10, 32); p.UID != "" && err != nil {
		errs = append(errs, setting.KeyError{Key: "uid", Found: p.UID, Accepted: "a user's number"})
	}
	for _, m := range p.May {
		_, word, of := strings.Cut(m, "/")
		if !validMay.MatchString(m) || of && !slices.ContainsFunc(append(sources.ActionWords(), sources.BundleWords()...), func(w sources.ActionWord) bool { return string(w.Action) == word }) {
			errs = append(errs, setting.KeyError{Key: "may", Found: m, Accepted: "request or approve, alone or with / and an action"})
		}
	}
	return append(errs, p.validateKeys()...)
}

// Allowed reports whether a principal may do something ("request", "approve")
// with an action.
func (p *Principal) Allowed(what, action string) bool {
	return slices.Contains(p.May, what) || slices.Contains(p.May, what+"/"+action)
}

var protectWords = []string{"id", "email", "login", "name", "group", "role"}

// Validate implements setting.Struct.
func (g *Governed) Validate() (errs []setting.KeyError) {
	bad := func(key, found, accepted string) {
		errs = append(errs, setting.KeyError{Key: "governance." + key, Found: found, Accepted: accepted})
	}
	if g.Approvals < 0 || g.Approvals > 10 {
		bad("approvals", strconv.Itoa(g.Approvals), "a number from 0 to 10")
	}
	for key, n := range map[string]int{"max_per_hour": g.MaxPerHour, "max_per_day": g.MaxPerDay} {
		if n < 0 || n > maxCap {
			bad(key, strconv.Itoa(n), "a number from 0 to "+strconv.Itoa(maxCap))
		}
	}
	if g.MaxShare < 0 || g.MaxShare > 100 {
		bad("max_share", strconv.Itoa(g.MaxShare), "a percentage from 0 to 100")
	}
	if g.CoolDown < 0 || g.CoolDown > 24*time.Hour {
		bad("cool_down", setting.FormatDuration(g.CoolDown), "a duration from 0s to 1d")
	}
	if g.Watch < 0 || g.Watch > 30*24*time.Hour {
		bad("watch", setting.FormatDuration(g.Watch), "a duration from 0s to 30d")
	}
	for _, p := range g.Protect {
		if word, text, of := strings.Cut(p, ":"); strings.TrimSpace(p) == "" || of && slices.Contains(protectWords, word) && strings.TrimSpace(text) == "" {
			bad("protect", p, "a text, or one after "+strings.Join(protectWords, ":, ")+":")
		}
	}
	for _, f := range g.Freeze {
		if _, err := ParseFreeze(f); err != nil {
			bad("freeze", f, "a span such as fri 18:00/mon 06:00 or 2026-12-24T00:00:00Z/2027-01-02T00:00:00Z")
		}
	}
	return errs
}

// Freeze is a span of time, of each week or once.
type Freeze struct {
	from, to         time.Time     // once
	weekFrom, weekTo time.Duration // since Sunday 00:00 UTC
}

const week = 7 * 24 * time.Hour

// ParseFreeze reads a span.
func ParseFreeze(s string) (f Freeze, err error) {
	from, to, ok := strings.Cut(s, "/")
	if !ok {
		return f, fmt.Errorf("%q has no / between its ends", s)
	}
	if f.from, err = time.Parse(time.RFC3339, from); err == nil {
		if f.to, err = time.Parse(time.RFC3339, to); err == nil && !f.to.After(f.from) {
			err = fmt.Errorf("%q ends before it begins", s)
		}
		return f, err
	}
	if f.weekFrom, err = ofWeek(from); err != nil {
		return f, err
	}
	if f.weekTo, err = ofWeek(to); err == nil && f.weekTo == f.weekFrom {
		err = fmt.Errorf("%q is no span", s)
	}
	return f, err
}

func ofWeek(s string) (time.Duration, error) {
	day, clock, _ := strings.Cut(s, " ")
	d := slices.Index([]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}, strings.ToLower(day))
	t, err := time.Parse("15:04", clock)
	if d < 0 || err != nil {
		return 0, fmt.Errorf("%q is no time of the week", s)
	}
	return time.Duration(d)*24*time.Hour + time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// Holds returns when the freeze that holds at a time ends; false when none does.
func (f Freeze) Holds(at time.Time) (until time.Time, holds bool) {
	at = at.UTC()
	if !f.to.IsZero() {
		return f.to, !at.Before(f.from) && at.Before(f.to)
	}
	midnight := at.Truncate(24 * time.Hour)
	since := time.Duration(at.Weekday())*24*time.Hour + at.Sub(midnight)
	in := (since - f.weekFrom + week) % week
	length := (f.weekTo - f.weekFrom + week) % week
	return at.Add(length - in), in < length
}

func (d *decoder) governance(g *Governance, top map[string]any, instances []Instance, sinks []Sink) {
	const at = "governance"
	m, ok := d.section(at, top[at])
	if !ok {
		return
	}
	known := d.fields(at, m, reflect.ValueOf(g).Elem())
	d.unknown(at, m, append(known, "principals"))
	d.validate(at, g)
	of := join(at, "principals")
	all, _ := d.section(of, m["principals"])
	users := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		key := join(of, name)
		if !validName.MatchString(name) {
			d.fail(key, "want "+wantName)
			continue
		}
		pm, ok := d.section(key, all[name])
		if !ok {
			continue
		}
		p := Principal{Name: name}
		d.structure(key, pm, reflect.ValueOf(&p).Elem())
		d.validate(key, &p)
		for _, user := range []string{"db_user " + p.DBUser, "uid " + p.UID} {
			if strings.HasSuffix(user, " ") {
				continue
			}
			if other, taken := users[user]; taken {
				d.fail(key, user+" is principal "+other+" already: one person would be two")
			}
			users[user] = name
		}
		g.Principals = append(g.Principals, p)
	}
	d.keys(at, g, instances)
	if i := slices.IndexFunc(sinks, func(s Sink) bool { return s.Name == g.Control }); g.Control != "" && (i < 0 || sinks[i].Driver.Type != "clickhouse") {
		d.reject(join(at, "control"), g.Control, "the name of a sink of type clickhouse")
	}
	for _, inst := range instances {
		for _, a := range inst.Governance.Allow {
			if inst.Connector.Action(sources.Action(a)) == nil {
				var names []string
				for _, i := range inst.Connector.Actions {
					names = append(names, string(i.Action))
				}
				accepted := "no action: " + inst.Connector.App + " has none"
				if len(names) > 0 {
					accepted = oneOf(names)
				}
				d.reject(join("instances", inst.Name+".governance.allow"), a, accepted)
			}
		}
	}
}
