package okta

import (
	"bytes"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"weir/schemas"
)

// Bounds of the lists in a row.
const (
	maxTargets     = 64
	maxChanges     = 32
	maxChangeBytes = 1 << 10
	maxTypes       = 1 << 13 // event types remembered; the catalog has some 1,200
)

// mapper turns System Log events into rows. It owns the memory of the rows'
// lists until reset. Not for concurrent use.
type mapper struct {
	strings []string
	types   map[string]eventType
	targets []target
}

type target struct{ id, name, kind string }

func newMapper() *mapper { return &mapper{types: map[string]eventType{}} }

func (m *mapper) reset() { m.strings = m.strings[:0] }

// list gives the strings added since from as a list of their own.
func (m *mapper) list(from int) []string {
	if from == len(m.strings) {
		return nil
	}
	return m.strings[from:len(m.strings):len(m.strings)]
}

// event maps one event, whose record is raw. A reason tells why it could not be
// mapped. The row is a function of the record and the organization's id alone.
func (m *mapper) event(a *schemas.Activity, e *wireEvent, org, raw string) (reason string) {
	*a = schemas.Activity{ScopeID: org, Raw: raw}
	if e.UUID == "" {
		return "the event has no uuid"
	}
	if e.EventType == "" {
		return "the event has no eventType"
	}
	t := m.eventType(string(e.EventType))
	a.EventID, a.Time, a.Action = string(e.UUID), parseTime(e.Published), t.action
	a.Kind, a.ClassUID, a.ActivityID, a.Access = t.kind, t.class, t.activity, t.access
	a.SeverityID = severity(e.Severity)
	a.Outcome, a.StatusID = outcome(e.Outcome.Result)
	a.Reason = string(e.Outcome.Reason)
	actor(a, e)
	m.addresses(a, e)
	a.Country, a.City = string(e.Client.Geo.Country), string(e.Client.Geo.City)
	a.ASN = number(e.Security.ASNumber)
	a.UserAgent, a.DeviceID = string(e.Client.UserAgent.Raw), string(e.Device.ID)
	a.SessionID, a.RequestID = string(e.Authentication.ExternalSessionID), string(e.Transaction.ID)
	if id := e.Transaction.Detail.RequestAPITokenID; id != "" {
		a.CredentialID = grantID(grantAPIKey, string(id))
	}
	if t.mfa && a.StatusID == schemas.StatusSuccess {
		a.MFA = schemas.Some(true)
	}
	m.target(a, e)
	clientApp(a, e)
	if t.self && a.ActorID != "" && a.ActorID == a.TargetID {
		a.Kind = "user" // people who change their own account
	}
	if t.changes {
		m.changes(a, e)
	}
	return ""
}

func severity(s text) int32 {
	switch s {
	case "DEBUG", "INFO":
		return schemas.SeverityInformational
	case "WARN":
		return schemas.SeverityMedium
	case "ERROR":
		return schemas.SeverityHigh
	}
	return schemas.SeverityUnknown
}

func outcome(s text) (string, int32) {
	switch s {
	case "SUCCESS", "ALLOW":
		return "success", schemas.StatusSuccess
	case "FAILURE", "DENY", "RATE_LIMIT", "ABANDONED", "UNANSWERED":
		return "failure", schemas.StatusFailure
	}
	return "unknown", schemas.StatusUnknown // CHALLENGE, SKIPPED, UNKNOWN, DEFERRED, SCHEDULED, and new ones
}

// nobody is what stands for an actor's id and name where there is none.
const nobody = "unknown"

func actor(a *schemas.Activity, e *wireEvent) {
	a.ActorID, a.ActorName = string(e.Actor.ID), string(e.Actor.DisplayName)
	a.ActorEmail = email(e.Actor.AlternateID)
	switch t := e.Actor.Type; {
	case e.Actor.ID == nobody: // somebody who tried a login that no user has
		a.ActorID, a.ActorKind = "", "anonymous"
		if a.ActorName == nobody {
			a.ActorName = ""
		}
	case t == "User":
		a.ActorKind = "human"
	case t == "SystemPrincipal":
		a.ActorKind = "system"
	case strings.HasSuffix(string(t), "ClientApp"):
		a.ActorKind = "service"
	default:
		a.ActorKind = "unknown"
	}
}

// email returns a name that is an address, lower-case; "" for others.
func email(s text) string {
	if i := strings.IndexByte(string(s), '@'); i <= 0 || i == len(s)-1 || strings.ContainsAny(string(s), " \t") {
		return ""
	}
	return strings.ToLower(string(s))
}

// addresses sets where the request came from, and the proxies on its way.
func (m *mapper) addresses(a *schemas.Activity, e *wireEvent) {
	from := len(m.strings)
	add := func(s text) {
		ip, ok := schemas.CanonicalIP(string(s))
		if !ok {
			if a.SrcHost == "" && len(m.strings) == from {
				a.SrcHost = string(s)
			}
			return
		}
		for _, known := range m.strings[from:] {
			if known == ip {
				return
			}
		}
		m.strings = append(m.strings, ip)
	}
	add(e.Client.IPAddress)
	for _, hop := range e.Request.IPChain {
		add(hop.IP)
	}
	if a.IPs = m.list(from); len(a.IPs) > 0 {
		a.SrcIP = a.IPs[0]
	}
}

// target sets what was acted on, one entry an object. A user's assignment to an
// app (AppUser) has an id of its own that no account has: its login names the
// account; where the account is a target too it is the same object.
func (m *mapper) target(a *schemas.Activity, e *wireEvent) {
	m.targets = m.targets[:0]
	for i := range e.Target {
		t := &e.Target[i]
		id, name, kind := string(t.ID), first(string(t.DisplayName), string(t.AlternateID)), targetKind(t.Type)
		switch {
		case t.Type == "AppUser" && t.AlternateID != "":
			id = userID(e, t.AlternateID)
		case kind == "credential" || kind == "other":
			if grant := credentialID(id); grant != id {
				id, kind = grant, "credential" // whatever the vendor calls it
			}
		}
		if id == "" && name == "" || m.has(id, kind, name) {
			continue
		}
		m.targets = append(m.targets, target{id, name, kind})
	}
	a.TargetCount = int32(len(m.targets))
	kept := m.targets[:min(len(m.targets), maxTargets)]
	if len(kept) == 0 {
		return
	}
	a.TargetID, a.TargetName, a.TargetKind = kept[0].id, kept[0].name, kept[0].kind
	from := len(m.strings)
	for _, t := range kept {
		m.strings = append(m.strings, t.id)
	}
	a.TargetIDs, from = m.list(from), len(m.strings)
	for _, t := range kept {
		m.strings = append(m.strings, t.name)
	}
	a.TargetNames, from = m.list(from), len(m.strings)
	for _, t := range kept {
		m.strings = append(m.strings, t.kind)
	}
	a.TargetKinds = m.list(from)
}

// userID returns the id of the account with a login, where it is a target or the
// actor, and else the login.
func userID(e *wireEvent, login text) string {
	if e.Actor.Type == "User" && e.Actor.ID != nobody && strings.EqualFold(string(e.Actor.AlternateID), string(login)) {
		return string(e.Actor.ID)
	}
	for i := range e.Target {
		if t := &e.Target[i]; t.Type == "User" && strings.EqualFold(string(t.AlternateID), string(login)) {
			return string(t.ID)
		}
	}
	return string(login)
}

func (m *mapper) has(id, kind, name string) bool {
	for _, t := range m.targets {
		if t.id == id && t.kind == kind && (id != "" || t.name == name) {
			return true
		}
	}
	return false
}

// clientApp sets the OAuth client that made the request, or else the app that a
// person signed in to. The record names a client only as actor or target.
func clientApp(a *schemas.Activity, e *wireEvent) {
	a.ClientAppID = string(e.Client.ID)
	if a.ClientAppID != "" && a.ClientAppID == a.ActorID {
		a.ClientAppName = a.ActorName
		return
	}
	for i := range e.Target {
		t := &e.Target[i]
		if a.ClientAppID == "" && a.Kind == "signin" && targetKind(t.Type) == "app" || a.ClientAppID != "" && t.ID == e.Client.ID {
			a.ClientAppID, a.ClientAppName = string(t.ID), string(t.DisplayName)
			return
		}
	}
}

// changes sets what changed: changeDetails where the vendor tells old and new,
// and the details of the targets.
func (m *mapper) changes(a *schemas.Activity, e *wireEvent) {
	var names, before, after []string
	add := func(name, old, now string) {
		if len(names) < maxChanges {
			names, before, after = append(names, cut(name, maxChangeBytes)), append(before, cut(old, maxChangeBytes)), append(after, cut(now, maxChangeBytes))
		}
	}
	for i := range e.Target {
		t := &e.Target[i]
		from, to := jsontext.Value(t.ChangeDetails.From), jsontext.Value(t.ChangeDetails.To)
		for name, now := range members(to) {
			add(name, plain(member(from, name)), plain(now))
		}
		for name, old := range members(from) {
			if member(to, name) == nil {
				add(name, plain(old), "")
			}
		}
		for name, v := range members(jsontext.Value(t.DetailEntry)) {
			add(name, "", plain(v))
		}
	}
	a.ChangeNames, a.ChangeOld, a.ChangeNew = names, before, after
}

// members yields the members of an object, in its order; none of other values.
func members(v jsontext.Value) func(func(string, jsontext.Value) bool) {
	return func(yield func(string, jsontext.Value) bool) {
		if v.Kind() != '{' {
			return
		}
		d := jsontext.NewDecoder(bytes.NewBuffer(v), decodeOptions)
		if _, err := d.ReadToken(); err != nil {
			return
		}
		for d.PeekKind() == '"' {
			name, err := d.ReadToken()
			if err != nil {
				return
			}
			n := name.String()
			value, err := d.ReadValue()
			if err != nil || !yield(n, value) {
				return
			}
		}
	}
}

func member(v jsontext.Value, name string) jsontext.Value {
	for n, value := range members(v) {
		if n == name {
			return value
		}
	}
	return nil
}

// plain writes a value as text: a string's content, others as JSON.
func plain(v jsontext.Value) string {
	switch v.Kind() {
	case '"':
		b, err := jsontext.AppendUnquote(nil, v)
		if err != nil && len(b) == 0 {
			return string(v)
		}
		return string(b)
	case 'n', jsontext.KindInvalid:
		return ""
	default:
		return string(v)
	}
}

// number reads a whole number; unknown when it is none.
func number(s text) (o schemas.Opt[int64]) {
	if s == "" || len(s) > 18 {
		return o
	}
	var n int64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return o
		}
		n = n*10 + int64(c-'0')
	}
	return schemas.Some(n)
}

// parseTime reads a time; 0, unknown, when it is none or one of those that
// stand for none (the years 1, 1601, 9999).
func parseTime(s text) schemas.Time {
	if s == "" {
		return 0
	}
	t, err := time.Parse(time.RFC3339, string(s))
	if err != nil || t.Year() < 1970 || t.Year() > 2200 {
		return 0
	}
	return schemas.Time(t.UnixMilli())
}
