package govern

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"weir/configs"
	"weir/sources"
)

// killed reports whether the kill switch is there. When that cannot be told, it
// is.
func (r *Runner) killed() bool {
	if r.config.KillSwitch == "" {
		return false
	}
	_, err := os.Stat(r.config.KillSwitch)
	return !errors.Is(err, os.ErrNotExist)
}

// protected says why a plan must not be carried out; "" when it may.
func protected(p *sources.Plan, self sources.Identity, entries []string) string {
	for _, s := range append([]sources.Subject{p.Target}, p.Also...) {
		who := fmt.Sprintf("%s %s", s.Kind, quoted(s.ID))
		switch {
		case s.Self || isSelf(s, self):
			return who + " is Weir's own identity or credential"
		case s.LastAdmin:
			return who + " is the last administrator, or that cannot be told"
		}
		for _, e := range entries {
			if protects(e, s) {
				return fmt.Sprintf("%s: %s", who, quoted(e))
			}
		}
	}
	return ""
}

func isSelf(s sources.Subject, self sources.Identity) bool {
	all := slices.Concat([]string{s.ID}, s.Aliases, s.Logins, s.Emails)
	return holds(all, self.ID) || holds(all, self.Name)
}

// protects reports whether an entry of governance.protect names a subject.
func protects(entry string, s sources.Subject) bool {
	ids := append([]string{s.ID}, s.Aliases...)
	of := map[string][]string{"id": ids, "email": s.Emails, "login": s.Logins, "name": {s.Name}, "group": s.Groups, "role": s.Roles}
	if word, text, ok := strings.Cut(entry, ":"); ok {
		if list, known := of[word]; known {
			if word == "group" && s.Kind == sources.TargetGroup || word == "role" && s.Kind == sources.TargetRole {
				list = slices.Concat(list, ids, []string{s.Name}) // the group itself is protected, too
			}
			return holds(list, text)
		}
	}
	return slices.ContainsFunc([]string{"id", "email", "login", "name", "group", "role"}, func(w string) bool { return holds(of[w], entry) })
}

func holds(list []string, text string) bool {
	text = strings.TrimSpace(text)
	return text != "" && slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), text) })
}

// privileged reports whether a plan hits an administrator.
func privileged(p *sources.Plan) bool {
	return p.Target.Privileged || slices.ContainsFunc(p.Also, func(s sources.Subject) bool { return s.Privileged })
}

// gate says why an approved action may not begin now, and when to look again.
func (r *Runner) gate(ctx context.Context, a *Action) (wait time.Duration, why string, err error) {
	now := r.o.Clock.Now()
	if a.Row.NotBefore != 0 && now.Before(instant(a.Row.NotBefore)) {
		return instant(a.Row.NotBefore).Sub(now), "not_before " + instant(a.Row.NotBefore).Format(time.RFC3339), nil
	}
	inst := r.instance(a.Row.Instance)
	if inst == nil {
		return mostWait, "the configuration has the instance no more", nil
	}
	for _, s := range inst.Governance.Freeze {
		f, err := configs.ParseFreeze(s)
		if err != nil {
			return 0, "", err // the configuration was checked
		}
		if until, holds := f.Holds(now); holds {
			return until.Sub(now), "frozen: " + s, nil
		}
	}
	others, err := r.on(ctx, a, 0)
	if err != nil {
		return 0, "", err
	}
	for _, o := range others {
		if o.Row.ID == a.Row.ID || o.Done || dry(o) {
			continue
		}
		if a.Bundle != "" && o.Bundle == a.Bundle && o.Part < a.Part {
			return firstWait, fmt.Sprintf("waits for %s, the part before", o.Row.ID), nil
		}
		if len(o.Steps) > 0 || opposite(o, a) && earlier(o, a) {
			return coolest, fmt.Sprintf("waits for %s on the same target, which is %s", o.Row.ID, o.State), nil
		}
	}
	return r.caps(ctx, a, inst, now)
}

func earlier(o, a *Action) bool {
	if o.Row.ReceivedAt != a.Row.ReceivedAt {
		return o.Row.ReceivedAt < a.Row.ReceivedAt
	}
	return o.Row.ID < a.Row.ID
}

var opposites = map[sources.Action]sources.Action{
	sources.SuspendUser: sources.UnsuspendUser, sources.UnsuspendUser: sources.SuspendUser,
	sources.QuarantineFile: sources.RestoreFile, sources.RestoreFile: sources.QuarantineFile, sources.TrashFile: sources.RestoreFile,
}

// opposite reports whether the order of two actions on one target matters.
func opposite(o, a *Action) bool {
	return (o.Undoes != "") != (a.Undoes != "") || opposites[o.Request.Action] == a.Request.Action || opposites[a.Request.Action] == o.Request.Action
}

// caps counts what has taken effect against what may.
func (r *Runner) caps(ctx context.Context, a *Action, inst *configs.Instance, now time.Time) (time.Duration, string, error) {
	n, err := r.o.Store.ActionsStarted(ctx, inst.Name, a.Principal, now)
	if err != nil {
		return 0, "", err
	}
	for _, c := range []struct {
		started int64
		most    int
		name    string
		span    string
	}{
		{n.InstanceHour, inst.Governance.MaxPerHour, "instances." + inst.Name + ".governance.max_per_hour", "an hour"},
		{n.InstanceDay, inst.Governance.MaxPerDay, "instances." + inst.Name + ".governance.max_per_day", "a day"},
		{n.PrincipalHour, r.config.MaxPerRequester, "governance.max_per_requester", "an hour"},
		{n.Hour, r.config.MaxPerHour, "governance.max_per_hour", "an hour"},
		{n.Day, r.config.MaxPerDay, "governance.max_per_day", "a day"},
	} {
		if c.started >= int64(c.most) {
			return time.Minute, fmt.Sprintf("%s is reached: %d within %s", c.name, c.most, c.span), nil
		}
	}
	if inst.Governance.MaxShare == 0 || a.Request.Kind != sources.TargetAccount {
		return 0, "", nil
	}
	return r.share(ctx, inst, now)
}

// share bounds the part of an instance's accounts that is acted on within a day.
func (r *Runner) share(ctx context.Context, inst *configs.Instance, now time.Time) (time.Duration, string, error) {
	i := slices.IndexFunc(inst.Connector.Streams, func(s sources.StreamInfo) bool { return slices.Contains(s.Tables, "accounts") })
	if i < 0 || !inst.Streams[inst.Connector.Streams[i].Name].Enabled {
		return 0, "", nil // nobody knows how many there are; the caps hold
	}
	accounts, err := r.o.Store.EntityRows(ctx, inst.Name, "accounts")
	if err != nil {
		return 0, "", err
	}
	if accounts == 0 {
		return time.Minute, "how many accounts there are is not known before the first scan: governance.max_share cannot be judged", nil
	}
	acted, err := r.o.Store.AccountsActedOn(ctx, inst.Name, now.Add(-24*time.Hour))
	if err != nil {
		return 0, "", err
	}
	most := max(accounts*int64(inst.Governance.MaxShare)/100, 1)
	if acted >= most {
		return time.Minute, fmt.Sprintf("instances.%s.governance.max_share is reached: %d of %d accounts within a day", inst.Name, acted, accounts), nil
	}
	return 0, "", nil
}
