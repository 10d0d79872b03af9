package okta

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/schemas"
)

var accountStatus = map[text]string{
	"ACTIVE": "active", "PASSWORD_EXPIRED": "active", "RECOVERY": "active", "LOCKED_OUT": "locked", "SUSPENDED": "suspended",
	"STAGED": "invited", "PROVISIONED": "invited", "DEPROVISIONED": "deprovisioned",
}

func mapAccount(a *schemas.Account, u *wireUser, serviceTypes []string) {
	p := &u.Profile
	a.AccountID, a.Login, a.Email = string(u.ID), string(p.Login), strings.ToLower(string(p.Email))
	if p.Login != "" && p.Login != u.ID {
		a.AliasIDs = []string{string(p.Login)}
	}
	for _, e := range []string{a.Email, email(p.Login)} {
		if e != "" && !slices.Contains(a.Emails, e) {
			a.Emails = append(a.Emails, e)
		}
	}
	a.DisplayName = first(string(p.DisplayName), strings.TrimSpace(string(p.FirstName)+" "+string(p.LastName)))
	a.Status = first(accountStatus[u.Status], "unknown")
	a.Kind = "human"
	for _, pattern := range serviceTypes {
		if matches(pattern, string(p.UserType)) || matches(pattern, string(u.Type.ID)) {
			a.Kind = "service"
		}
	}
	a.CreatedAt, a.ModifiedAt = parseTime(u.Created), parseTime(u.LastUpdated)
	a.LastLoginAt, a.PasswordChangedAt = parseTime(u.LastLogin), parseTime(u.PasswordChanged)
	a.Title, a.Department, a.ManagerID = string(p.Title), string(p.Department), string(p.ManagerID)
	a.OrgUnit = first(string(p.Organization), string(p.Division))
}

// matches tells whether s fits a pattern in which * stands for anything. Empty
// text fits none.
func matches(pattern, s string) bool {
	ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(s))
	return err == nil && ok && s != ""
}

// hasSecondFactor: a security question or the mailbox is none.
func hasSecondFactor(factors []wireFactor) bool {
	return slices.ContainsFunc(factors, func(f wireFactor) bool {
		kind := first(string(f.FactorType), string(f.Type))
		return f.Status == "ACTIVE" && kind != "question" && kind != "email"
	})
}

func mapGroup(g *schemas.Group, w *wireGroup) {
	g.GroupID, g.Name, g.Description, g.Kind = string(w.ID), string(w.Profile.Name), string(w.Profile.Description), string(w.Type)
	g.CreatedAt = parseTime(w.Created)
	g.ModifiedAt = max(parseTime(w.LastUpdated), parseTime(w.LastMembershipUpdated))
}

// mapRole maps a role onto a row that has its principal.
func mapRole(p *schemas.Privilege, r *wireRole) {
	p.RoleID, p.RoleName, p.AssignedAt = string(r.Type), string(r.Label), parseTime(r.Created)
	p.Via, p.Scope, p.ScopeKind = "direct", "org", "org"
	if r.AssignmentType == "GROUP" && p.PrincipalKind == "account" {
		p.Via, p.ViaID = "group", path.Base("/"+string(r.Links.Assignee.Href))
		if p.ViaID == "/" {
			p.ViaID = ""
		}
	}
	if r.Status == "" || r.Status == "ACTIVE" {
		p.State = "active"
	}
	switch {
	case r.Type == "CUSTOM":
		p.RoleID, p.Scope, p.ScopeKind = string(r.Role), string(r.ResourceSet), "resource_set"
	case r.Type == "READ_ONLY_ADMIN" || r.Type == "REPORT_ADMIN":
		p.Privileged = schemas.Some(false)
	case strings.HasSuffix(string(r.Type), "_ADMIN"):
		p.Privileged = schemas.Some(true)
	}
	var targets []string
	for _, g := range r.Embedded.Targets.Groups {
		targets, p.ScopeKind = append(targets, string(g.ID)), "group"
	}
	for _, a := range r.Embedded.Targets.Catalog.Apps {
		targets, p.ScopeKind = append(targets, first(string(a.ID), string(a.Name))), "app"
	}
	if len(targets) > 0 {
		slices.Sort(targets)
		p.Scope = strings.Join(targets, ",")
	}
	// The vendor's id of an assignment names none: held through a group it is the
	// group's, and of a group's standard role it is but the role's type in base 32.
	p.PrivilegeID = schemas.HashID(p.PrincipalID, p.RoleID, p.Scope, p.Via, p.ViaID, p.Condition)
}

func mapApp(a *schemas.App, w *wireApp) {
	a.AppID, a.Name, a.Publisher, a.Kind = string(w.ID), string(w.Label), string(w.Name), string(w.SignOnMode)
	a.Status, a.CreatedAt = strings.ToLower(string(w.Status)), parseTime(w.Created)
	if id := string(w.Credentials.OAuthClient.ClientID); id != "" && id != a.AppID {
		a.AliasIDs = []string{id}
	}
	a.RedirectURIs = list(w.Settings.OAuthClient.RedirectURIs)
}

// mapService maps an API service integration.
func mapService(a *schemas.App, w *wireGrant) {
	a.AppID, a.Name, a.Publisher, a.Kind, a.Status = string(w.ID), string(w.Name), string(w.Type), "API_SERVICE", "active"
	a.CreatedAt = parseTime(text(first(string(w.Created), string(w.CreatedAt))))
}

// mapGrant maps any of the five kinds of grants; app is whose grants were asked
// for, or nil.
func mapGrant(g *schemas.AppGrant, w *wireGrant, kind string, app *wireApp) {
	g.GrantID, g.Kind = grantID(kind, string(w.ID)), kind
	g.AppID, g.AppName, g.Resource = string(w.ClientID), string(w.Links.Client.Title), string(w.Issuer)
	if app != nil {
		g.AppID, g.AppName, g.Publisher = string(app.ID), first(g.AppName, string(app.Label)), string(app.Name)
	}
	switch {
	case w.ScopeID != "":
		g.Scopes = []string{string(w.ScopeID)}
	case len(w.Scopes) > 0:
		g.Scopes = list(w.Scopes)
	default:
		g.Scopes = list(w.GrantedScopes)
	}
	g.Consent = "unknown"
	switch kind {
	case grantConsent:
		switch w.Source {
		case "ADMIN":
			g.Consent = "admin"
		case "END_USER":
			g.Consent = "user"
		}
	case grantToken:
		g.Consent = "user"
	case grantAPIKey:
		// Not scoped: it may do all that its owner may.
		g.Scopes, g.Consent, g.AppName = []string{"*"}, "admin", string(w.Name)
		g.LastUsedAt = lastUse(w)
	case grantInstallation:
		g.AppID, g.AppName, g.Publisher, g.Consent = string(w.ID), string(w.Name), string(w.Type), "admin"
	}
	g.PrincipalID, g.PrincipalKind = string(w.UserID), "account"
	if g.PrincipalID == "" { // the app itself
		g.PrincipalID, g.PrincipalKind = g.AppID, "app"
	}
	g.Status = first(strings.ToLower(string(w.Status)), "active") // what is listed without one works
	g.CreatedAt, g.ExpiresAt = parseTime(text(first(string(w.Created), string(w.CreatedAt)))), parseTime(w.ExpiresAt)
	g.HighPrivilege = highPrivilege(g.Scopes)
}

// highPrivilege tells whether scopes allow changing anything; unknown where they
// are whatever the owner may do, or not told.
func highPrivilege(scopes []string) schemas.Opt[bool] {
	if len(scopes) == 0 || slices.Contains(scopes, "*") {
		return schemas.Opt[bool]{}
	}
	return schemas.Some(slices.ContainsFunc(scopes, func(s string) bool { return strings.HasSuffix(s, ".manage") }))
}

// lastUse derives when an API token was last used: each use puts its end off
// again by the window.
func lastUse(w *wireGrant) schemas.Time {
	end, window := parseTime(w.ExpiresAt), duration(string(w.TokenWindow))
	if end == 0 || window <= 0 {
		return 0
	}
	return end - schemas.Time(window.Milliseconds())
}

// duration reads an ISO 8601 duration of days, hours, minutes and seconds; 0
// when it is none.
func duration(s string) (d time.Duration) {
	s, ok := strings.CutPrefix(s, "P")
	units := map[byte]time.Duration{'D': day}
	for ok && s != "" {
		if s[0] == 'T' {
			s, units = s[1:], map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second}
			continue
		}
		i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
		if i < 1 || units[s[i]] == 0 {
			return 0
		}
		n, err := strconv.Atoi(s[:i])
		if err != nil || n > 36500 {
			return 0
		}
		d, s = d+time.Duration(n)*units[s[i]], s[i+1:]
	}
	return d
}

func list(in []text) (out []string) {
	for _, s := range in {
		out = append(out, string(s))
	}
	return out
}
