package github

import (
	"net/netip"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"weir/schemas"
	"weir/sources"
)

// wireAudit is an audit log event. Some installations put members under data.
type wireAudit struct {
	Timestamp  scalar `json:"@timestamp"` // ms
	CreatedAt  scalar `json:"created_at"` // ms; Git events have none
	DocumentID scalar `json:"_document_id"`
	Action     scalar `json:"action"`
	Operation  scalar `json:"operation_type"`
	wireAuditMembers
	Data *wireAuditMembers `json:"data"`
}

type wireAuditMembers struct {
	Actor           scalar       `json:"actor"`
	ActorID         scalar       `json:"actor_id"`
	ActorIP         scalar       `json:"actor_ip"`
	ActorIsBot      scalar       `json:"actor_is_bot"`
	ActorLocation   wireLocation `json:"actor_location"`
	NameID          scalar       `json:"external_identity_nameid"`
	User            scalar       `json:"user"`
	UserID          scalar       `json:"user_id"`
	BlockedUser     scalar       `json:"blocked_user"`
	Org             scalar       `json:"org"`
	OrgID           scalar       `json:"org_id"`
	Business        scalar       `json:"business"`
	BusinessID      scalar       `json:"business_id"`
	Repo            scalar       `json:"repo"`
	RepoID          scalar       `json:"repo_id"`
	Repository      scalar       `json:"repository"`
	Team            scalar       `json:"team"`
	HookID          scalar       `json:"hook_id"`
	Integration     scalar       `json:"integration"`
	OAuthApp        scalar       `json:"oauth_application"`
	OAuthAppID      scalar       `json:"oauth_application_id"`
	AccessType      scalar       `json:"programmatic_access_type"`
	TokenID         scalar       `json:"token_id"`
	UserAgent       scalar       `json:"user_agent"`
	RequestID       scalar       `json:"request_id"`
	RequestMethod   scalar       `json:"request_method"`
	StatusCode      scalar       `json:"status_code"`
	Visibility      scalar       `json:"visibility"`
	OldVisibility   scalar       `json:"previous_visibility"`
	Permission      scalar       `json:"permission"`
	OldPermission   scalar       `json:"old_permission"`
	TransportNumber scalar       `json:"transport_protocol"`
}

// wireLocation is where an actor was. Any shape but an object's tells nothing.
type wireLocation struct{ Code, Name scalar }

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (l *wireLocation) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != '{' {
		return d.SkipValue()
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		var into *scalar
		switch name.String() {
		case "country_code":
			into = &l.Code
		case "country_name":
			into = &l.Name
		default:
			if err := d.SkipValue(); err != nil {
				return err
			}
			continue
		}
		if err := into.UnmarshalJSONFrom(d); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// fill takes from data what the top level does not have.
func (w *wireAudit) fill() {
	d := w.Data
	if d == nil {
		return
	}
	m := &w.wireAuditMembers
	for _, p := range [...][2]*scalar{
		{&m.Actor, &d.Actor},
		{&m.ActorID, &d.ActorID},
		{&m.ActorIP, &d.ActorIP},
		{&m.ActorIsBot, &d.ActorIsBot},
		{&m.ActorLocation.Code, &d.ActorLocation.Code},
		{&m.ActorLocation.Name, &d.ActorLocation.Name},
		{&m.NameID, &d.NameID},
		{&m.User, &d.User},
		{&m.UserID, &d.UserID},
		{&m.BlockedUser, &d.BlockedUser},
		{&m.Org, &d.Org},
		{&m.OrgID, &d.OrgID},
		{&m.Business, &d.Business},
		{&m.BusinessID, &d.BusinessID},
		{&m.Repo, &d.Repo},
		{&m.RepoID, &d.RepoID},
		{&m.Repository, &d.Repository},
		{&m.Team, &d.Team},
		{&m.HookID, &d.HookID},
		{&m.Integration, &d.Integration},
		{&m.OAuthApp, &d.OAuthApp},
		{&m.OAuthAppID, &d.OAuthAppID},
		{&m.AccessType, &d.AccessType},
		{&m.TokenID, &d.TokenID},
		{&m.UserAgent, &d.UserAgent},
		{&m.RequestID, &d.RequestID},
		{&m.RequestMethod, &d.RequestMethod},
		{&m.StatusCode, &d.StatusCode},
		{&m.Visibility, &d.Visibility},
		{&m.OldVisibility, &d.OldVisibility},
		{&m.Permission, &d.Permission},
		{&m.OldPermission, &d.OldPermission},
		{&m.TransportNumber, &d.TransportNumber},
	} {
		if *p[0] == "" {
			*p[0] = *p[1]
		}
	}
}

// auditMapper maps pages of audit log events. It owns the memory of the rows'
// lists until the next page. Not for concurrent use.
type auditMapper struct {
	strings []string
	wire    wireAudit
}

func (m *auditMapper) reset() { m.strings = m.strings[:0] }

// page maps events, and returns the newest's time in ms.
func (m *auditMapper) page(events []jsontext.Value, page *sources.Page) (newest int64) {
	m.reset()
	for i, e := range events {
		page.Rows.Activities = append(page.Rows.Activities, schemas.Activity{})
		a := &page.Rows.Activities[len(page.Rows.Activities)-1]
		if reason := m.event(a, e); reason != "" {
			page.Rows.Activities = page.Rows.Activities[:len(page.Rows.Activities)-1]
			page.Rejected = append(page.Rejected, sources.Reject{Ref: first(string(m.wire.DocumentID), "event "+itoa(i)), Reason: reason, Raw: string(e)})
		}
		newest = max(newest, millis(m.wire.Timestamp))
	}
	return newest
}

// event maps one event.
func (m *auditMapper) event(a *schemas.Activity, e jsontext.Value) (reason string) {
	w := &m.wire
	*w = wireAudit{}
	if e.Kind() != '{' {
		return "an event is no JSON object"
	}
	if err := decode(e, w); err != nil {
		return "an event of an unexpected shape"
	}
	w.fill()
	if w.Action == "" {
		return "the event has no action"
	}
	*a = schemas.Activity{
		EventID: string(w.DocumentID), Time: schemas.Time(millis(w.Timestamp)), Action: string(w.Action),
		UserAgent: string(w.UserAgent), RequestID: string(w.RequestID),
		Country: first(string(w.ActorLocation.Code), string(w.ActorLocation.Name)),
		ScopeID: first(string(w.Org), string(w.Business)), Raw: string(e),
	}
	if a.EventID == "" {
		a.EventID = schemas.HashID(string(w.Timestamp), string(w.Action), string(w.ActorID), string(w.UserID), first(string(w.Repo), string(w.Repository)),
			string(w.Org), string(w.UserAgent), string(w.TransportNumber))
	}
	if a.Time == 0 {
		a.Time = schemas.Time(millis(w.CreatedAt))
	}
	m.source(a, string(w.ActorIP))
	actor(a, w)
	a.Outcome, a.StatusID = "success", schemas.StatusSuccess // the log tells what has happened
	if failed(w) {
		a.Outcome, a.StatusID = "failure", schemas.StatusFailure
	}
	if code := string(w.StatusCode); len(code) == 3 && code >= "400" {
		a.ErrorCode = code
	}
	m.targets(a, w)
	m.changes(a, w)
	classifyEvent(a, w)
	return ""
}

// millis reads milliseconds since 1970, as integer or in exponent form; 0 when
// it is none.
func millis(s scalar) int64 {
	var n int64
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' || n > 1<<53 {
			return exponent(s)
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

func (m *auditMapper) source(a *schemas.Activity, s string) {
	if s == "" {
		return
	}
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			a.SrcHost = s
			return
		}
		addr = ap.Addr()
	}
	a.SrcIP = addr.Unmap().WithZone("").String()
	from := len(m.strings)
	m.strings = append(m.strings, a.SrcIP)
	a.IPs = m.list(from)
}

// list gives the strings added since from as a list of their own.
func (m *auditMapper) list(from int) []string { return m.strings[from:len(m.strings):len(m.strings)] }

// known drops what GitHub writes for "none".
func known(id scalar) string {
	if id == "0" {
		return ""
	}
	return string(id)
}

// actor sets who did it, and with what.
func actor(a *schemas.Activity, w *wireAudit) {
	a.ActorName = string(w.Actor)
	a.ActorID = first(known(w.ActorID), a.ActorName) // a login is an alias of its account
	app, isApp := strings.CutSuffix(a.ActorName, botLogin)
	if isApp {
		a.ActorID = a.ActorName // an App has no account: its login is an alias of the app
	}
	if isAddress(string(w.NameID)) {
		a.ActorEmail = strings.ToLower(string(w.NameID))
	}
	switch {
	case a.ActorID == "" && (isGit(a.Action) || isSignIn(a.Action)):
		a.ActorKind = "anonymous" // a clone of a public repository, or nobody's login
	case a.ActorID == "":
		a.ActorKind = "system"
	case w.ActorIsBot == "true":
		a.ActorKind = "bot"
	case strings.Contains(string(w.AccessType), "GitHub App"):
		a.ActorKind = "service"
	case isApp:
		a.ActorKind = "bot"
	default:
		a.ActorKind = "human"
	}
	a.CredentialID = credential(w)
	a.ClientAppID = first(string(w.OAuthAppID), string(w.OAuthApp), string(w.Integration))
	if isApp && a.ClientAppID == "" {
		a.ClientAppID = app // a GitHub App acts under its own login
	}
	a.ClientAppName = first(string(w.OAuthApp), string(w.Integration), string(w.AccessType))
}

// credential is the token's id, as app_grants has it.
func credential(w *wireAudit) string {
	id := known(w.TokenID)
	if id == "" {
		return ""
	}
	switch t := strings.ToLower(string(w.AccessType)); {
	case strings.Contains(t, "fine-grained"):
		return "pat:" + id
	case strings.Contains(t, "server-to-server"):
		return "" // an installation's token lives for an hour and is no entity
	}
	return "token:" + id
}

func failed(w *wireAudit) bool {
	action := string(w.Action)
	return strings.HasSuffix(action, "_failure") || strings.HasSuffix(action, ".failed_login") || strings.HasSuffix(action, ".rejected_ref_update") ||
		len(w.StatusCode) == 3 && w.StatusCode >= "400"
}

// targets sets what it was done to: the account, repository, team or other
// things; the organization or enterprise only where nothing else is named.
func (m *auditMapper) targets(a *schemas.Activity, w *wireAudit) {
	type target struct{ id, name, kind string }
	repo := first(string(w.Repo), string(w.Repository))
	all := [...]target{
		{first(known(w.UserID), string(w.User)), string(w.User), "account"},
		{first(known(w.RepoID), repo), repo, "repository"},
		{string(w.Team), string(w.Team), "group"},
		{string(w.BlockedUser), string(w.BlockedUser), "account"},
		{known(w.HookID), "", "other"},
		{string(w.Integration), string(w.Integration), "app"},
		{first(known(w.OAuthAppID), string(w.OAuthApp)), string(w.OAuthApp), "app"},
		{first(known(w.OrgID), string(w.Org)), string(w.Org), "org"},
		{first(known(w.BusinessID), string(w.Business)), string(w.Business), "org"},
	}
	var n int
	for _, t := range all {
		if t.id != "" && (n == 0 || t.kind != "org") {
			all[n] = t
			n++
		}
	}
	if n == 0 {
		return
	}
	from := len(m.strings)
	for _, t := range all[:n] {
		m.strings = append(m.strings, t.id)
	}
	a.TargetIDs = m.list(from)
	from = len(m.strings)
	for _, t := range all[:n] {
		m.strings = append(m.strings, t.name)
	}
	a.TargetNames = m.list(from)
	from = len(m.strings)
	for _, t := range all[:n] {
		m.strings = append(m.strings, t.kind)
	}
	a.TargetKinds = m.list(from)
	a.TargetCount = int32(n)
	a.TargetID, a.TargetName, a.TargetKind = all[0].id, all[0].name, all[0].kind
}

// changes sets what changed, where the event tells.
func (m *auditMapper) changes(a *schemas.Activity, w *wireAudit) {
	all := [...]struct{ name, old, to string }{
		{"visibility", string(w.OldVisibility), string(w.Visibility)},
		{"permission", string(w.OldPermission), string(w.Permission)},
	}
	told := all[:0]
	for _, c := range all {
		if c.old != "" || c.to != "" {
			told = append(told, c)
		}
	}
	if len(told) == 0 {
		return
	}
	from := len(m.strings)
	for _, c := range told {
		m.strings = append(m.strings, c.name)
	}
	a.ChangeNames = m.list(from)
	from = len(m.strings)
	for _, c := range told {
		m.strings = append(m.strings, c.old)
	}
	a.ChangeOld = m.list(from)
	from = len(m.strings)
	for _, c := range told {
		m.strings = append(m.strings, c.to)
	}
	a.ChangeNew = m.list(from)
}
