package microsoft365

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// Paths that only actions use.
const (
	pathUserGroups      = "/v1.0/users/{id}/transitiveMemberOf"
	pathPrincipalGroups = "/v1.0/servicePrincipals/{id}/transitiveMemberOf"
	pathUserDirect      = "/v1.0/users/{id}/memberOf"
	pathPrincipalDirect = "/v1.0/servicePrincipals/{id}/memberOf"
)

const (
	userColumns      = "id,userPrincipalName,mail,displayName,accountEnabled,userType,externalUserState,onPremisesSyncEnabled,isManagementRestricted,lastPasswordChangeDateTime,signInSessionsValidFromDateTime,proxyAddresses,otherMails"
	principalColumns = "id,appId,displayName,accountEnabled,appOwnerOrganizationId,servicePrincipalType"
	groupColumns     = "id,displayName,mail,mailEnabled,groupTypes,onPremisesSyncEnabled,isAssignableToRole"
)

// globalAdmin is the template of the role Global Administrator, the same in all
// tenants.
const globalAdmin = "62e90394-69f5-4237-9190-012177145e10"

// govPrincipal is a user, or a service principal, as actions read it.
type govPrincipal struct {
	ID              string   `json:"id"`
	Type            string   `json:"@odata.type"`
	AppID           string   `json:"appId"`
	UPN             string   `json:"userPrincipalName"`
	Mail            string   `json:"mail"`
	DisplayName     string   `json:"displayName"`
	UserType        string   `json:"userType"`
	ExternalState   string   `json:"externalUserState"`
	Enabled         *bool    `json:"accountEnabled"`
	Synced          *bool    `json:"onPremisesSyncEnabled"`
	Restricted      *bool    `json:"isManagementRestricted"`
	PasswordChanged string   `json:"lastPasswordChangeDateTime"`
	SessionsFrom    string   `json:"signInSessionsValidFromDateTime"`
	Proxies         []string `json:"proxyAddresses"`
	OtherMails      []string `json:"otherMails"`
}

// govGroup is a group as actions read it.
type govGroup struct {
	ID         string   `json:"id"`
	Type       string   `json:"@odata.type"`
	Name       string   `json:"displayName"`
	Mail       string   `json:"mail"`
	MailOn     bool     `json:"mailEnabled"`
	Kinds      []string `json:"groupTypes"`
	Synced     *bool    `json:"onPremisesSyncEnabled"`
	Assignable *bool    `json:"isAssignableToRole"`
}

func is(b *bool) bool { return b != nil && *b }

// govAssignment is a directory role that somebody holds.
type govAssignment struct {
	ID         string  `json:"id"`
	Principal  string  `json:"principalId"`
	Definition string  `json:"roleDefinitionId"`
	Scope      string  `json:"directoryScopeId"`
	AppScope   string  `json:"appScopeId"`
	Condition  string  `json:"condition"`
	Ends       *string `json:"endDateTime"` // of an instance of PIM's
}

// govDefinition is a directory role.
type govDefinition struct {
	ID       string `json:"id"`
	Name     string `json:"displayName"`
	Template string `json:"templateId"`
}

// user reads a user by id.
func (s *session) user(ctx context.Context, id string) (*govPrincipal, error) {
	return s.principal(ctx, pathUser, id, userColumns)
}

// servicePrincipal reads a service principal by its object id.
func (s *session) servicePrincipal(ctx context.Context, id string) (*govPrincipal, error) {
	return s.principal(ctx, pathService, id, principalColumns)
}

// principal reads one of either. The vendor takes names, too: another id is
// refused.
func (s *session) principal(ctx context.Context, path, id, columns string) (*govPrincipal, error) {
	p := &govPrincipal{}
	err := govGet(ctx, s.graph, &httpx.Request{Path: httpx.P(path, id), Query: url.Values{"$select": {columns}}}, p)
	if err != nil {
		return nil, naming(err, readScope(path))
	}
	if p.ID != id {
		return nil, fault.New(fault.BadData, "microsoft365 returned %.80q for %q", p.ID, id)
	}
	return p, nil
}

func readScope(path string) string {
	if path == pathService {
		return "Application.Read.All"
	}
	return "User.Read.All"
}

// holder is an account with all that a rule of protection may name it by.
type holder struct {
	principal *govPrincipal
	app       bool // a service principal
	subject   sources.Subject
	roles     []govAssignment // also through groups
	limits    []string
}

// holder reads a user, or, where a role is its own, a service principal.
func (s *session) holder(ctx context.Context, id string) (*holder, error) {
	u, err := s.user(ctx, id)
	if isGone(err) {
		app, errApp := s.servicePrincipal(ctx, id)
		if errApp == nil {
			return s.holderOf(ctx, app, true)
		}
		if !isGone(errApp) {
			return nil, errApp
		}
	}
	if err != nil {
		return nil, err
	}
	return s.holderOf(ctx, u, false)
}

func (s *session) holderOf(ctx context.Context, p *govPrincipal, app bool) (*holder, error) {
	h := &holder{principal: p, app: app}
	own, err := s.ownPrincipal(ctx)
	if err != nil {
		return nil, err
	}
	h.subject = names(p)
	h.subject.Self = p.ID == own.id
	path := pathUserGroups
	if app {
		path = pathPrincipalGroups
	}
	groups, err := govList[govGroup](ctx, s.graph, &httpx.Request{Path: httpx.P(path, p.ID), Query: url.Values{"$select": {"id,displayName,mail,isAssignableToRole"}, "$top": {"999"}}})
	if err != nil {
		return nil, naming(err, "GroupMember.Read.All")
	}
	holders := []string{p.ID}
	for _, g := range groups {
		if g.Type != "" && g.Type != "#microsoft.graph.group" {
			continue // administrative units, and roles, which are read below
		}
		h.subject.Groups = append(h.subject.Groups, nonEmpty(g.ID, g.Name, g.Mail)...)
		if is(g.Assignable) {
			h.subject.Privileged = true
			holders = append(holders, g.ID)
		}
	}
	h.subject.Groups = sortedUnique(h.subject.Groups)
	return h, s.rolesInto(ctx, h, holders)
}

// rolesInto reads the roles that an account holds, may activate, or has through
// a group.
func (s *session) rolesInto(ctx context.Context, h *holder, holders []string) error {
	var eligible []govAssignment
	for _, id := range holders {
		held, err := s.assignments(ctx, pathAssignments, "principalId", id)
		if err != nil {
			return naming(err, "RoleManagement.Read.Directory")
		}
		h.roles = append(h.roles, held...)
		may, err := s.assignments(ctx, pathEligible, "principalId", id)
		switch class := fault.Of(unlicensed(err)); {
		case err == nil:
			eligible = append(eligible, may...)
		case class == fault.NotLicensed: // no Privileged Identity Management here
		case class == fault.Forbidden:
			h.subject.Privileged = true
			h.limits = []string{"Whether the account may activate a role (Privileged Identity Management) could not be read: it takes RoleEligibilitySchedule.Read.Directory."}
		default:
			return err
		}
	}
	if len(h.roles)+len(eligible) == 0 {
		return nil
	}
	h.subject.Privileged = true
	definitions, err := s.definitions(ctx)
	if err != nil {
		return err
	}
	global := false
	for _, r := range append(slices.Clip(h.roles), eligible...) {
		d := definitions[r.Definition]
		h.subject.Roles = append(h.subject.Roles, nonEmpty(r.Definition, d.Template, d.Name)...)
	}
	for _, r := range h.roles {
		global = global || isGlobal(&r, definitions)
	}
	h.subject.Roles = sortedUnique(h.subject.Roles)
	if global && !h.app {
		h.subject.LastAdmin, err = s.lastAdmin(ctx, h.principal.ID, definitions)
	}
	return err
}

func (s *session) assignments(ctx context.Context, path, column, id string) ([]govAssignment, error) {
	all, err := govList[govAssignment](ctx, s.graph, &httpx.Request{Path: httpx.P(path), Query: url.Values{"$filter": {column + " eq " + odata(id)}}})
	return slices.DeleteFunc(all, func(a govAssignment) bool {
		return column == "principalId" && a.Principal != id || column == "roleDefinitionId" && a.Definition != id
	}), err
}

func (s *session) definitions(ctx context.Context) (map[string]govDefinition, error) {
	all, err := govList[govDefinition](ctx, s.graph, &httpx.Request{Path: httpx.P(pathRoles), Query: url.Values{"$select": {"id,displayName,isBuiltIn,isEnabled,templateId"}}})
	out := make(map[string]govDefinition, len(all))
	for _, d := range all {
		out[d.ID] = d
	}
	return out, naming(err, "RoleManagement.Read.Directory")
}

// isGlobal tells whether an assignment makes a Global Administrator.
func isGlobal(a *govAssignment, definitions map[string]govDefinition) bool {
	return (a.Definition == globalAdmin || definitions[a.Definition].Template == globalAdmin) && (a.Scope == "/" || a.Scope == "")
}

// lastAdmin tells whether no other user who is a Global Administrator can sign
// in. Service principals that are one do not count: nobody signs in as they.
func (s *session) lastAdmin(ctx context.Context, id string, definitions map[string]govDefinition) (bool, error) {
	seen := map[string]bool{id: true}
	for _, d := range definitions {
		if d.ID != globalAdmin && d.Template != globalAdmin {
			continue
		}
		held, err := s.assignments(ctx, pathAssignments, "roleDefinitionId", d.ID)
		if err != nil {
			return true, naming(err, "RoleManagement.Read.Directory")
		}
		for i := range held {
			if !isGlobal(&held[i], definitions) {
				continue
			}
			if another, err := s.anyEnabled(ctx, held[i].Principal, seen); err != nil || another {
				return err != nil, err
			}
		}
	}
	return true, nil
}

// anyEnabled tells whether a principal is an enabled user, or a group with one,
// that has not been seen.
func (s *session) anyEnabled(ctx context.Context, id string, seen map[string]bool) (bool, error) {
	if seen[id] {
		return false, nil
	}
	seen[id] = true
	u, err := s.user(ctx, id)
	if err == nil || !isGone(err) {
		return err == nil && is(u.Enabled), err
	}
	members, err := govList[govPrincipal](ctx, s.graph, &httpx.Request{Path: httpx.P(pathMembers, id), Query: url.Values{"$select": {"id"}, "$top": {"999"}}})
	if isGone(err) {
		return false, nil // a service principal
	}
	if err != nil {
		return false, naming(err, "GroupMember.Read.All")
	}
	for _, m := range members { // role-assignable groups hold no groups
		if seen[m.ID] || m.Type != "" && m.Type != "#microsoft.graph.user" {
			continue
		}
		seen[m.ID] = true
		if u, err := s.user(ctx, m.ID); err == nil && is(u.Enabled) || err != nil && !isGone(err) {
			return err == nil, err
		}
	}
	return false, nil
}

// names are what a principal is called.
func names(p *govPrincipal) sources.Subject {
	n := sources.Subject{Kind: sources.TargetAccount, ID: p.ID, Name: first(p.UPN, p.DisplayName, p.AppID, p.ID)}
	n.Aliases = nonEmpty(p.AppID, p.UPN)
	n.Logins = nonEmpty(p.UPN, p.AppID)
	n.Emails = addresses(p)
	for _, e := range p.OtherMails {
		n.Emails = append(n.Emails, lower(e))
	}
	n.Emails = sortedUnique(n.Emails)
	return n
}

// addresses are those that are a user's own, lower-case: other mails are what
// somebody typed.
func addresses(p *govPrincipal) (out []string) {
	for _, e := range []string{p.UPN, p.Mail} {
		if strings.Contains(e, "@") && !strings.Contains(lower(e), "#ext#") {
			out = append(out, lower(e))
		}
	}
	for _, e := range p.Proxies {
		if kind, address, ok := strings.Cut(e, ":"); ok && strings.EqualFold(kind, "smtp") {
			out = append(out, lower(address))
		}
	}
	return sortedUnique(out)
}

func nonEmpty(in ...string) (out []string) {
	for _, s := range in {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func sortedUnique(in []string) []string {
	slices.Sort(in)
	return slices.Compact(in)
}
