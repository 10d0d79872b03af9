package googleworkspace

import (
	"cmp"
	"strconv"
	"strings"
	"unsafe"

	"weir/internal/rawjson"
	"weir/schemas"
)

// activityMapper turns items of the Reports API into rows, one for each of their
// events. It owns the memory of the rows' lists and of texts that no record
// holds, until reset. Not for concurrent use.
type activityMapper struct {
	lists   schemas.Lists
	text    []byte // what rows say that stands nowhere in their records
	classes map[activityKey]activityClass
}

func newActivityMapper() *activityMapper {
	return &activityMapper{classes: map[activityKey]activityClass{}}
}

func (m *activityMapper) reset() {
	m.lists.Reset()
	m.text = m.text[:0]
}

// release lets go of all that rows alias.
func (m *activityMapper) release() {
	m.lists.Release()
	m.text = m.text[:0]
}

// said returns what was appended to text from a place on.
func (m *activityMapper) said(from int) string {
	b := m.text[from:]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// mapItem appends an item's rows, and calls reject with why an event, or all of
// the item, makes none. Syntax has been checked; strings of rows alias raw.
func (m *activityMapper) mapItem(raw string, rows *schemas.Rows, reject func(reason string)) {
	if raw == "" || raw[0] != '{' {
		reject("the item is no JSON object")
		return
	}
	it := parseActivityItem(raw)
	at := parseActivityTime(it.time)
	switch {
	case at == 0:
		reject("the item has no time")
		return
	case it.application == "":
		reject("the item names no application")
		return
	}
	several, none := countElements(it.events) > 1, true
	l := rawjson.Elements(it.events)
	for index := 0; ; index++ {
		v, ok := l.Next()
		if !ok {
			break
		}
		if v == "null" { // the place of an event that has its own row
			continue
		}
		none = false
		e := parseActivityEvent(v)
		if e.name == "" {
			reject("event " + strconv.Itoa(index) + " of the item has no name")
			continue
		}
		rows.Activities = append(rows.Activities, schemas.Activity{Time: at, Raw: raw})
		a := &rows.Activities[len(rows.Activities)-1]
		if several {
			a.Raw = m.alone(&it, v, index)
		}
		m.mapEvent(a, &it, &e, index)
	}
	if none {
		reject("the item has no events")
	}
}

func countElements(list string) (n int) {
	for l := rawjson.Elements(list); ; n++ {
		if _, ok := l.Next(); !ok {
			return n
		}
	}
}

// alone returns the item with one of its events only. The others before it are
// null: an event's place is a part of its id.
func (m *activityMapper) alone(it *activityItem, event string, index int) string {
	from := len(m.text)
	m.text = append(m.text, it.raw[:it.eventsFrom]...)
	m.text = append(m.text, '[')
	for range index {
		m.text = append(m.text, "null,"...)
	}
	m.text = append(append(m.text, event...), ']')
	m.text = append(m.text, it.raw[it.eventsTo:]...)
	return m.said(from)
}

// id is an event's own, which the vendor does not give: the item's key and the
// event's place in it.
func (m *activityMapper) id(it *activityItem, index int) string {
	var digits [20]byte
	place := strconv.AppendInt(digits[:0], int64(index), 10)
	from := len(m.text)
	m.text = schemas.AppendID(m.text, it.customer, it.application, it.time, it.qualifier, unsafe.String(unsafe.SliceData(place), len(place)))
	return m.said(from)
}

func (m *activityMapper) mapEvent(a *schemas.Activity, it *activityItem, e *activityEvent, index int) {
	p := parseActivityParameters(e.parameters)
	c := m.class(activityKey{it.application, e.kind, e.name})
	a.EventID, a.Action, a.Service, a.ScopeID = m.id(it, index), e.name, it.application, it.customer
	a.Kind, a.Access, a.ClassUID, a.ActivityID = c.kind, c.access, c.class, c.activity
	a.SeverityID = severityOf(e, &p)
	m.lists.Begin()
	m.activityActor(a, it)
	m.activitySource(a, it, &p)
	a.Outcome, a.StatusID = eventOutcome(e, &p)
	a.ErrorCode, a.Reason = e.errorCode, cmp.Or(p.failure, e.errorMessage)
	if p.secondFactor && a.Outcome == "success" {
		a.MFA = schemas.Some(true)
	}
	m.activityTargets(it, e, &p, c)
	m.lists.SetTargets(a)
	m.activityChanges(e, &p)
	m.lists.SetChanges(a)
}

// activityActor sets who did it: by the directory's id where the item holds it.
func (m *activityMapper) activityActor(a *schemas.Activity, it *activityItem) {
	a.ActorID, a.ActorName, a.ActorEmail = cmp.Or(it.profile, it.email, it.key), it.key, it.email
	switch {
	case it.caller == "KEY", it.caller == "APPLICATION", it.impersonation:
		a.ActorKind = "service"
		if a.ActorID == "" {
			a.ActorID, a.ActorName = it.clientID, it.clientName
		}
	case a.ActorID == "", it.email == "" && it.profile == "" && it.caller == "":
		a.ActorKind = "unknown"
	default:
		a.ActorKind = "human"
	}
}

// activitySource sets from where and with what.
func (m *activityMapper) activitySource(a *schemas.Activity, it *activityItem, p *activityParameters) {
	if ip, ok := schemas.CanonicalIP(it.ip); ok {
		a.SrcIP, a.IPs = ip, m.lists.Keep(ip)
	} else {
		a.SrcHost = it.ip
	}
	a.Country, a.ASN = it.country, parseASN(it.asn)
	a.UserAgent, a.DeviceID = cmp.Or(p.userAgent, it.device), it.deviceID
	a.ClientAppID = cmp.Or(it.clientID, p.clientID, p.originatingID)
	a.ClientAppName = cmp.Or(it.clientName, p.clientName)
}

// eventOutcome says how it ended: the log tells what happened, unless it says or is
// named otherwise.
func eventOutcome(e *activityEvent, p *activityParameters) (outcome string, status int32) {
	switch {
	case e.status == "SUCCEEDED", e.status == "SUCCEEDED_WITH_WARNINGS":
	case e.status == "SKIPPED":
		return "unknown", schemas.StatusUnknown
	case e.status == "FAILED", e.name == "login_failure", e.name == "deny", e.name == "bind_failure",
		e.name == "login_challenge" && p.challenge == "Challenge Failed.",
		strings.HasSuffix(e.name, "_blocked"), strings.HasPrefix(e.name, "ACCESS_DENY_"):
		return "failure", schemas.StatusFailure
	}
	return "success", schemas.StatusSuccess
}

// activitySeverities is the OCSF severity by an alert's or rule's own word.
var activitySeverities = map[string]int32{
	"LOW": schemas.SeverityLow, "MEDIUM": schemas.SeverityMedium, "HIGH": schemas.SeverityHigh, "CRITICAL": schemas.SeverityCritical,
}

func severityOf(e *activityEvent, p *activityParameters) int32 {
	switch {
	case p.severity != "":
		return cmp.Or(activitySeverities[strings.ToUpper(p.severity)], schemas.SeverityInformational)
	case p.suspicious, e.name == "gov_attack_warning", e.name == "account_disabled_hijacked", strings.HasPrefix(e.name, "suspicious_login"):
		return schemas.SeverityHigh
	}
	return schemas.SeverityInformational
}

// joined is what a parameter says, as one text.
func (m *activityMapper) joined(p parameter) string {
	if p.list == "" {
		return p.text
	}
	from := len(m.text)
	for l := rawjson.Elements(p.list); ; {
		v, ok := l.Next()
		if !ok {
			return m.said(from)
		}
		if len(m.text) > from {
			m.text = append(m.text, ", "...)
		}
		m.text = append(m.text, rawjson.Text(v)...)
	}
}
