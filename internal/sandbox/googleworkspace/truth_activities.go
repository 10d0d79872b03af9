package googleworkspace

import (
	"net/netip"
	"slices"
	"strings"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

// activities are what the audit log tells, as far back as it is kept.
func (t *truth) activities() {
	h, s := t.h, t.s
	oldest := s.Now.Add(-h.facts.Retention)
	for _, name := range applications {
		if h.unlicensed(name) {
			continue
		}
		for _, x := range h.log(s, name) {
			if x.again || x.visible.After(s.Now) || x.e.At.Before(oldest) {
				continue
			}
			it := h.items(s, x.e)[x.n]
			for i := range it.events {
				t.rows.Activities = append(t.rows.Activities, t.activity(x, &it, i))
			}
		}
	}
}

// params are the parameters of an event, by name.
type params map[string]any

func paramsOf(e *org.ReportEvent) params {
	p := params{}
	for _, x := range e.Params {
		p[x.Name] = x.Value
	}
	return p
}

// text is a value as text: of a list the entries with commas.
func (p params) text(name string) string {
	switch v := p[name].(type) {
	case string:
		return v
	case []string:
		return strings.Join(v, ", ")
	}
	return ""
}

// is says whether a value is true.
func (p params) is(name string) bool {
	v, _ := p[name].(bool)
	return v
}

func (p params) has(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { _, ok := p[n]; return ok })
}

// activity is one event of an item.
func (t *truth) activity(x *entry, it *item, i int) schemas.Activity {
	h, e := t.h, &it.events[i]
	p := paramsOf(e)
	a := schemas.Activity{
		EventID: schemas.HashID(h.customer, it.app, stamp(x.e.At), itoa(h.qualifier(x)), itoa(i)), Time: at(x.e.At), Kind: kindOf(it.app, e), Action: e.Name, Service: it.app, ScopeID: h.customer,
		SeverityID: severityOf(e, p), Reason: firstOf(p.text("login_failure_type"), p.text("failure_type"), p.text("rejection_type"), it.failed), UserAgent: p.text("user_agent"),
		ClientAppID: firstOf(p.text("client_id"), p.text("originating_app_id")), ClientAppName: firstOf(p.text("app_name"), p.text("application_name")),
	}
	a.Outcome, a.StatusID = "success", schemas.StatusSuccess
	if it.failed != "" || failed(e, p) {
		a.Outcome, a.StatusID = "failure", schemas.StatusFailure
	}
	if it.failed != "" {
		a.ErrorCode = "PERMISSION_DENIED"
	}
	if p.is("is_second_factor") {
		a.MFA = schemas.Some(true)
	}
	m := meaningOf(it.app, e)
	a.ClassUID, a.ActivityID, a.Access = m.class, m.activity, m.access
	t.actor(&a, x.e)
	if ip, err := netip.ParseAddr(x.e.Client.IP); err == nil {
		a.SrcIP = ip.Unmap().String()
		a.IPs = []string{a.SrcIP}
		if x.e.Client.CountryCode != "" {
			a.Country, a.ASN = x.e.Client.CountryCode, schemas.Some(x.e.Client.ASN)
		}
	}
	targets(&a, it.app, e, p)
	changes(&a, it.app, e, p)
	return a
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// actor is who did it.
func (t *truth) actor(a *schemas.Activity, e *org.Event) {
	h, s := t.h, t.s
	switch e.Actor.Kind {
	case org.AccountRef:
		x := s.Accounts[app][e.Actor.N]
		a.ActorID, a.ActorEmail, a.ActorKind = h.userID(x.N), strings.ToLower(x.Login), "human"
		if in := h.throughApp(s, e); in != nil { // choice: a client that impersonates is a service
			a.ActorKind, a.ClientAppID, a.ClientAppName = "service", h.clientID(in), in.Label
		}
	case org.IntegrationRef:
		a.ActorID = h.serviceEmail(s, s.Integrations[app][e.Actor.N])
		a.ActorName, a.ActorKind = a.ActorID, "service"
	default:
		a.ActorKind = "unknown"
	}
}

// kindOf is of what kind an event is (8): what is called system there is an alert.
func kindOf(name string, e *org.ReportEvent) string {
	switch {
	case e.Type == warning || e.Type == "attack_warning" || strings.HasPrefix(e.Name, "rule_"):
		return "alert"
	case slices.Contains([]string{"login", "saml", "context_aware_access", "access_evaluation"}, name) || name == "ldap" && strings.HasPrefix(e.Name, "bind_"):
		return "signin"
	case slices.Contains([]string{"admin", "groups_enterprise", "mobile", "rules", "chrome", "directory_sync", "data_migration", "vault"}, name):
		return "admin"
	}
	return "user"
}

func failed(e *org.ReportEvent, p params) bool {
	return e.Name == "login_failure" || e.Name == "deny" || e.Name == "bind_failure" || strings.HasSuffix(e.Name, "_blocked") || strings.HasPrefix(e.Name, "ACCESS_DENY_") ||
		e.Name == "login_challenge" && p.text("login_challenge_status") == "Challenge Failed."
}

func severityOf(e *org.ReportEvent, p params) int32 {
	if n, ok := map[string]int32{"LOW": schemas.SeverityLow, "MEDIUM": schemas.SeverityMedium, "HIGH": schemas.SeverityHigh, "CRITICAL": schemas.SeverityCritical}[strings.ToUpper(p.text("severity"))]; ok {
		return n
	}
	if p.is("is_suspicious") || e.Name == "gov_attack_warning" || e.Name == "account_disabled_hijacked" || strings.HasPrefix(e.Name, "suspicious_login") {
		return schemas.SeverityHigh
	}
	return schemas.SeverityInformational
}

// targets are what an event is about, in the order of the sheet: of who has only an
// address, or a name, that is the id.
func targets(a *schemas.Activity, name string, e *org.ReportEvent, p params) {
	add := func(kind, id, called string) {
		if id == "" && called == "" || slices.Contains(a.TargetIDs, firstOf(id, called)) { // one entry an object
			return
		}
		a.TargetIDs, a.TargetNames, a.TargetKinds = append(a.TargetIDs, firstOf(id, called)), append(a.TargetNames, called), append(a.TargetKinds, kind)
	}
	mail := func(kind string, names ...string) {
		for _, n := range names {
			v := strings.ToLower(p.text(n))
			add(kind, v, v)
		}
	}
	if p.has("doc_id") {
		kind := map[string]string{"folder": "folder", "shared_drive": "drive"}[p.text("doc_type")]
		add(firstOf(kind, "file"), p.text("doc_id"), p.text("doc_title"))
	}
	mail("account", "USER_EMAIL", "affected_email_address", "target_user")
	mail("group", "GROUP_EMAIL", "group_email")
	add("role", p.text("ROLE_ID"), p.text("ROLE_NAME"))
	if p.has("OAUTH2_APP_ID", "OAUTH2_APP_NAME") {
		add("app", p.text("OAUTH2_APP_ID"), p.text("OAUTH2_APP_NAME"))
	} else {
		add("app", "", p.text("APPLICATION_NAME"))
	}
	if name == "token" && e.Name != "activity" {
		add("app", p.text("client_id"), p.text("app_name"))
	}
	add("org", "", p.text("ORG_UNIT_NAME"))
	add("domain", "", p.text("DOMAIN_NAME"))
	add("domain", "", p.text("target_domain"))
	add("device", p.text("DEVICE_ID"), "")
	add("drive", p.text("shared_drive_id"), "")
	if a.TargetCount = int32(len(a.TargetIDs)); a.TargetCount > 0 {
		a.TargetID, a.TargetName, a.TargetKind = a.TargetIDs[0], a.TargetNames[0], a.TargetKinds[0]
	}
}

// changes are what an event changed.
func changes(a *schemas.Activity, name string, e *org.ReportEvent, p params) {
	add := func(what, before, after string) {
		a.ChangeNames, a.ChangeOld, a.ChangeNew = append(a.ChangeNames, what), append(a.ChangeOld, before), append(a.ChangeNew, after)
	}
	for _, k := range [][2]string{{"OLD_VALUE", "NEW_VALUE"}, {"old_value", "new_value"}} {
		if p.has(k[0], k[1]) {
			add(firstOf(p.text("SETTING_NAME"), e.Name), p.text(k[0]), p.text(k[1]))
		}
	}
	if p.has("old_visibility") && p.text("old_visibility") != p.text("visibility") {
		add("visibility", p.text("old_visibility"), p.text("visibility"))
	}
	if p.has("added_role", "removed_role") {
		add("role", p.text("removed_role"), p.text("added_role"))
	}
	switch {
	case name == "token" && e.Name == "revoke":
		add("scope", p.text("scope"), "")
	case name == "token" && p.has("scope"):
		add("scope", "", p.text("scope"))
	}
	if p.has("primary_event") && !p.is("primary_event") {
		add("primary_event", "", "false") // it follows from another event
	}
}
