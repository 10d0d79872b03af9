package sources

import (
	"context"
	"slices"
	"strings"

	"weir/schemas"
)

// Tracer is a Governor whose vendor's log shows what was written with its own
// credentials, by whoever holds them.
type Tracer interface {
	// Trace tells how to know it there. Errors are those of any request.
	Trace(ctx context.Context) (Trace, error)
}

// Trace is how a session's own writes stand in the rows of activities. One that
// names nobody says that the vendor's log cannot tell.
type Trace struct {
	// Whatever has one of these was done with the session's credentials.
	Actors      []string // actor_id, or what stands in it before a colon: a role, without the session
	Names       []string // actor_name, where the vendor tells no id
	Clients     []string // client_app_id
	Credentials []string // credential_id
	Roles       []string // effective_name

	// Writes are the actions that the steps of an action of the vocabulary may
	// show as. Of one that is not here, any on its target is taken for its own.
	Writes map[Action][]string
	// Undoes are those of the steps that take an action back; without: any.
	Undoes map[Action][]string
	// Beside are what an action may show as about something else than its target:
	// what it ends on its way.
	Beside map[Action][]string
	// Harmless begin the actions that collecting shows as: tokens taken out.
	Harmless []string
}

// Knows reports whether there is anybody to look for.
func (t *Trace) Knows() bool {
	return len(t.Actors)+len(t.Names)+len(t.Clients)+len(t.Credentials)+len(t.Roles) > 0
}

// Own reports whether an event is a write by the session's own credentials. It
// allocates nothing.
func (t *Trace) Own(a *schemas.Activity) bool {
	if a.Access != "write" || a.Outcome == "failure" || !t.by(a) {
		return false
	}
	for _, h := range t.Harmless {
		if strings.HasPrefix(a.Action, h) {
			return false
		}
	}
	return true
}

func (t *Trace) by(a *schemas.Activity) bool {
	if a.ActorID != "" {
		role, _, _ := strings.Cut(a.ActorID, ":")
		if slices.Contains(t.Actors, a.ActorID) || slices.Contains(t.Actors, role) {
			return true
		}
	}
	return a.ActorName != "" && slices.Contains(t.Names, a.ActorName) ||
		a.ClientAppID != "" && slices.Contains(t.Clients, a.ClientAppID) ||
		a.CredentialID != "" && slices.Contains(t.Credentials, a.CredentialID) ||
		a.EffectiveName != "" && slices.Contains(t.Roles, a.EffectiveName)
}
