package github

import (
	_ "embed"
	"encoding/base64"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"

	"weir/internal/sandbox/org"
)

//go:embed schema.graphql
var schemaText string

var schema = gqlparser.MustLoadSchema(&ast.Source{Name: "schema.graphql", Input: schemaText})

// graph executes one query. Resolvers append the members of one object, a field
// at a time, to the call's answer.
type graph struct {
	*call
	vars map[string]any
	errs []graphError
	// scoped: the token may read the organization.
	scoped bool
}

type graphError struct {
	kind, message string
	path          []string
	saml          bool
}

// resolver appends the value of one field; its key stands already.
type resolver func(f *ast.Field)

// graphql is POST /graphql.
func (c *call) graphql() {
	if c.r.Method != http.MethodPost {
		c.notFound()
		return
	}
	if c.who.kind == appJWT {
		c.fail(http.StatusForbidden, "Resource not accessible by integration")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(c, c.r.Body, 1<<20))
	var request struct {
		Query     string         `json:"query"`
		Operation string         `json:"operationName"`
		Variables map[string]any `json:"variables"`
	}
	if err != nil || json.Unmarshal(body, &request) != nil {
		c.fail(http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	if request.Query == "" {
		c.graphErrors([]graphError{{message: "A query attribute must be specified and must be a string."}})
		return
	}
	doc, err := parser.ParseQuery(&ast.Source{Input: request.Query})
	if err != nil {
		c.invalidQuery(gqlerror.List{gqlerror.WrapIfUnwrapped(err)})
		return
	}
	if problems := validator.ValidateWithRules(schema, doc, nil); len(problems) > 0 {
		c.invalidQuery(problems)
		return
	}
	op := doc.Operations.ForName(request.Operation)
	if op == nil || op.Operation != ast.Query {
		c.graphErrors([]graphError{{message: "No operation named \"" + request.Operation + "\""}})
		return
	}
	for k, v := range request.Variables { // JSON knows no integers
		if f, ok := v.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1<<31 {
			request.Variables[k] = int64(f)
		}
	}
	vars, err := validator.VariableValues(schema, op, request.Variables)
	if err != nil {
		c.graphErrors([]graphError{{message: err.Error()}})
		return
	}
	if !c.graphAllowed() {
		return
	}
	g := &graph{call: c, vars: vars}
	user := c.who.kind == classic || c.who.kind == oauthToken
	g.scoped = user && c.who.has("read:org") || !user && c.who.may("members:read")
	c.open('{')
	c.key("data")
	g.object(op.SelectionSet, "Query", g.root)
	if len(g.errs) > 0 {
		c.listErrors(g.errs)
	}
	c.close('}')
}

// graphAllowed tells whether the organization lets the token in at all.
func (c *call) graphAllowed() bool {
	refuse := func(message string, saml bool) bool {
		c.graphErrors([]graphError{{kind: "FORBIDDEN", path: []string{"organization"}, message: message, saml: saml}})
		return false
	}
	switch t := c.trouble; {
	case t.IPBlocked:
		return refuse(c.ipMessage(), false)
	case t.SAML && (c.who.kind == classic || c.who.kind == oauthToken):
		return refuse(c.requireSSO(), true)
	case t.OAuthBlocked && c.who.kind == oauthToken:
		return refuse(c.oauthMessage(), false)
	default:
		return true
	}
}

// invalidQuery answers as GitHub does to what does not fit its schema.
func (c *call) invalidQuery(problems gqlerror.List) {
	c.b = c.b[:0]
	c.object("", func() {
		c.list("errors", func() {
			for _, p := range problems {
				c.object0(func() {
					message := p.Message
					code := "parseError"
					if what, ok := strings.CutPrefix(p.Message, `Cannot query field "`); ok {
						code = "undefinedField"
						field, rest, _ := strings.Cut(what, `" on type "`)
						kind, _, _ := strings.Cut(rest, `"`)
						message = "Field '" + field + "' doesn't exist on type '" + kind + "'"
					} else if p.Rule != "" {
						code = "invalid" // of many
					}
					c.str("message", message)
					c.list("locations", func() {
						for _, l := range p.Locations {
							c.object0(func() {
								c.int("line", int64(l.Line))
								c.int("column", int64(l.Column))
							})
						}
					})
					c.object("extensions", func() { c.str("code", code) })
				})
			}
		})
	})
}

// graphErrors answers with errors alone, and status 200.
func (c *call) graphErrors(errs []graphError) {
	c.b = c.b[:0]
	c.open('{')
	if errs[0].path != nil {
		c.object("data", func() { c.null(errs[0].path[0]) })
	}
	c.listErrors(errs)
	c.close('}')
}

func (c *call) listErrors(errs []graphError) {
	c.list("errors", func() {
		for _, e := range errs {
			c.object0(func() {
				if e.kind != "" {
					c.str("type", e.kind)
				}
				if e.path != nil {
					c.strs("path", e.path)
				}
				if e.saml {
					c.object("extensions", func() { c.bool("saml_failure", true) })
				}
				c.str("message", e.message)
			})
		}
	})
}

// object appends the selected members of an object; resolve appends a member's
// value.
func (g *graph) object(set ast.SelectionSet, typename string, resolve resolver) {
	g.open('{')
	g.fields(set, typename, resolve)
	g.close('}')
}

func (g *graph) fields(set ast.SelectionSet, typename string, resolve resolver) {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			if g.skipped(s.Directives) {
				continue
			}
			g.key(s.Alias)
			if s.Name == "__typename" {
				g.quote(typename)
				continue
			}
			resolve(s)
		case *ast.InlineFragment:
			if !g.skipped(s.Directives) {
				g.fields(s.SelectionSet, typename, resolve)
			}
		case *ast.FragmentSpread:
			if !g.skipped(s.Directives) {
				g.fields(s.Definition.SelectionSet, typename, resolve)
			}
		}
	}
}

func (g *graph) skipped(ds ast.DirectiveList) bool {
	for _, d := range ds {
		v, _ := d.ArgumentMap(g.vars)["if"].(bool)
		if d.Name == "skip" && v || d.Name == "include" && !v {
			return true
		}
	}
	return false
}

// Values; the key stands already.
func (g *graph) nothing()    { g.b = append(g.b, "null"...) }
func (g *graph) yes(v bool)  { g.b = strconv.AppendBool(g.b, v) }
func (g *graph) num(v int64) { g.b = strconv.AppendInt(g.b, v, 10) }
func (g *graph) moment(t time.Time) {
	g.quote(t.UTC().Truncate(time.Second).Format(time.RFC3339))
}

func (g *graph) maybe(v string) {
	if v == "" {
		g.nothing()
		return
	}
	g.quote(v)
}

func (g *graph) arg(f *ast.Field, name string) string {
	s, _ := f.ArgumentMap(g.vars)[name].(string)
	return s
}

func (g *graph) root(f *ast.Field) {
	switch f.Name {
	case "organization":
		switch login := g.arg(f, "login"); {
		case !strings.EqualFold(login, g.s.Name):
			g.nothing()
			g.errs = append(g.errs, graphError{kind: "NOT_FOUND", path: []string{f.Alias}, message: "Could not resolve to an Organization with the login of '" + login + "'."})
		default:
			g.object(f.SelectionSet, "Organization", g.organization)
		}
	case "user":
		login := g.arg(f, "login")
		a := g.known(login)
		if a == nil || isInvited(g.s, a) && invitedByEmail(a) {
			g.nothing()
			g.errs = append(g.errs, graphError{kind: "NOT_FOUND", path: []string{f.Alias}, message: "Could not resolve to a User with the login of '" + login + "'."})
			return
		}
		g.object(f.SelectionSet, "User", g.userFields(a))
	case "viewer":
		if a := g.account(); a != nil {
			g.object(f.SelectionSet, "User", g.userFields(a))
		} else {
			g.nothing()
			g.errs = append(g.errs, graphError{kind: "FORBIDDEN", path: []string{f.Alias}, message: "Resource not accessible by integration"})
		}
	case "rateLimit":
		g.rate(f)
	default:
		g.nothing()
	}
}

func (g *graph) rate(f *ast.Field) {
	if g.entry == nil {
		g.nothing()
		return
	}
	g.h.mu.Lock()
	b := *g.entry.bucket("graphql", g.now)
	g.h.mu.Unlock()
	limit := g.h.limit("graphql")
	g.object(f.SelectionSet, "RateLimit", func(f *ast.Field) {
		switch f.Name {
		case "cost":
			g.num(1)
		case "limit":
			g.num(int64(limit))
		case "remaining":
			g.num(int64(limit - min(b.used, limit)))
		case "used":
			g.num(int64(b.used))
		case "resetAt":
			g.moment(b.reset)
		}
	})
}

func (g *graph) organization(f *ast.Field) {
	switch f.Name {
	case "id":
		g.quote(g.h.nodeID("O", g.orgID()))
	case "databaseId":
		g.num(g.orgID())
	case "login", "name":
		g.quote(g.s.Name)
	case "url":
		g.quote(g.web() + "/" + g.s.Name)
	case "createdAt":
		g.moment(g.s.Born)
	case "membersWithRole":
		if g.refused(f, "read:org") {
			return
		}
		var all []*org.Account
		for _, a := range g.s.Accounts[org.GitHub] {
			if isMember(g.s, a) {
				all = append(all, a)
			}
		}
		connection(g, f, "OrganizationMember", all, func(a *org.Account) int { return a.N }, g.memberEdge, "User", g.userFields)
	case "teams":
		if g.refused(f, "read:org") {
			return
		}
		logins, filtered := f.ArgumentMap(g.vars)["userLogins"].([]any)
		var all []*org.Group
		for _, t := range g.s.Groups[org.GitHub] {
			if alive(t.Created, t.Gone, g.s) && (!filtered || slices.ContainsFunc(logins, func(login any) bool { return g.belongs(t, login) })) {
				all = append(all, t)
			}
		}
		connection(g, f, "Team", all, func(t *org.Group) int { return t.N }, nil, "Team", g.teamFields)
	case "samlIdentityProvider":
		switch {
		case g.flavour.Free, g.flavour.GHES:
			g.nothing()
		case g.refused(f, "admin:org"):
		default:
			g.object(f.SelectionSet, "OrganizationIdentityProvider", g.identityProvider)
		}
	}
}

// belongs reports whether somebody is a member of a team, or of one below it.
func (g *graph) belongs(t *org.Group, login any) bool {
	return slices.ContainsFunc(g.effective(t), func(b belongs) bool {
		s, ok := login.(string)
		return ok && strings.EqualFold(b.account.Login, s)
	})
}

func (g *graph) teamFields(t *org.Group) resolver {
	id := g.h.id(kindTeam, t.N)
	return func(f *ast.Field) {
		switch f.Name {
		case "id":
			g.quote(g.h.nodeID("T", id))
		case "databaseId":
			g.num(id)
		case "name":
			g.quote(t.Name)
		case "slug":
			g.quote(t.Slug)
		case "description":
			g.maybe(t.Description)
		}
	}
}

// refused answers null, with an error, where the token lacks the scope.
func (g *graph) refused(f *ast.Field, scope string) bool {
	ok := g.scoped
	if scope == "admin:org" {
		user := g.who.kind == classic || g.who.kind == oauthToken
		ok = user && g.who.has("admin:org", "read:org") && g.owner() || !user && g.who.may("organization_administration:read")
	}
	if ok {
		return false
	}
	g.nothing()
	g.errs = append(g.errs, graphError{
		kind: "INSUFFICIENT_SCOPES", path: []string{"organization", f.Alias},
		message: "Your token has not been granted the required scopes to execute this query. The '" + f.Name + "' field requires one of the following scopes: ['" + scope + "'], but your token has only been granted the: ['" + strings.Join(g.who.scopes, "', '") + "'] scopes. Please modify your token's scopes at: https://github.com/settings/tokens.",
	})
	return true
}

func (g *graph) memberEdge(a *org.Account) resolver {
	return func(f *ast.Field) {
		switch f.Name {
		case "role":
			if a.Owner {
				g.quote(g.h.facts.OwnerEdge)
			} else {
				g.quote(g.h.facts.MemberEdge)
			}
		case "hasTwoFactorEnabled":
			// Only owners see it.
			if g.owner() || g.who.kind == installation {
				g.yes(len(a.Factors) > 0)
			} else {
				g.nothing()
			}
		}
	}
}

func (g *graph) userFields(a *org.Account) resolver {
	p := g.s.People[a.Person]
	id := g.h.id(kindAccount, a.N)
	return func(f *ast.Field) {
		switch f.Name {
		case "id":
			g.quote(g.h.nodeID(userPrefix(userType(a)), id))
		case "databaseId":
			g.num(id)
		case "login":
			g.quote(a.Login)
		case "name":
			g.maybe(name(p))
		case "email":
			g.quote(publicEmail(g.s, a)) // not null: empty
		case "company":
			g.maybe(company(g.s, a))
		case "createdAt":
			g.moment(a.Created)
		case "updatedAt":
			g.moment(a.Modified)
		case "url":
			g.quote(g.web() + "/" + a.Login)
		case "isSiteAdmin":
			g.yes(false)
		case "organizationVerifiedDomainEmails":
			g.open('[')
			if strings.EqualFold(g.arg(f, "login"), g.s.Name) {
				if e := verifiedEmail(g.s, a); e != "" {
					g.quote(e)
				}
			}
			g.close(']')
		}
	}
}

// verifiedEmail returns the address that an account has in the organization's
// own domain.
func verifiedEmail(s *org.State, a *org.Account) string {
	if e := s.People[a.Person].Email; strings.HasSuffix(e, "@"+s.Domain) && !a.Outside {
		return e
	}
	return ""
}

// linked tells whether a member has signed in by single sign-on: services have
// not, and some have not yet.
func linked(a *org.Account, p *org.Person) bool { return !a.Outside && signsOn(a, p) }

func signsOn(a *org.Account, p *org.Person) bool { return !p.Service && a.N%17 != 3 }

// samlName is the name at the identity provider, written as people are there:
// with capitals.
func samlName(p *org.Person) string {
	if p.Email == "" {
		return ""
	}
	return strings.ToUpper(p.Email[:1]) + p.Email[1:]
}

func (g *graph) identityProvider(f *ast.Field) {
	switch f.Name {
	case "id":
		g.quote(g.h.nodeID("OIP", g.orgID()))
	case "issuer", "ssoUrl":
		g.quote("https://idp." + g.s.Domain)
	case "externalIdentities":
		only, _ := f.ArgumentMap(g.vars)["membersOnly"].(bool)
		login, one := f.ArgumentMap(g.vars)["login"].(string)
		var all []*org.Account
		for _, a := range g.s.Accounts[org.GitHub] {
			// Identities outlive the membership for a while.
			if one && !strings.EqualFold(a.Login, login) {
				continue
			}
			if linked(a, g.s.People[a.Person]) && a.Status != org.Invited && (isMember(g.s, a) || !only && g.s.Now.Sub(a.Gone) < 7*day) {
				all = append(all, a)
			}
		}
		connection(g, f, "ExternalIdentity", all, func(a *org.Account) int { return a.N }, nil, "ExternalIdentity", g.identity)
	}
}

func (g *graph) identity(a *org.Account) resolver {
	p := g.s.People[a.Person]
	return func(f *ast.Field) {
		switch f.Name {
		case "id":
			g.quote(g.h.nodeID("EI", g.h.id(kindAccount, a.N)))
		case "guid":
			g.quote(g.h.scimID(a))
		case "samlIdentity":
			g.object(f.SelectionSet, "ExternalIdentitySamlAttributes", g.attributes(p))
		case "scimIdentity":
			if !provisioned(a) {
				g.nothing()
				return
			}
			g.object(f.SelectionSet, "ExternalIdentityScimAttributes", g.attributes(p))
		case "user":
			if !isMember(g.s, a) {
				g.nothing()
				return
			}
			g.object(f.SelectionSet, "User", g.userFields(a))
		}
	}
}

func (g *graph) attributes(p *org.Person) resolver {
	return func(f *ast.Field) {
		switch f.Name {
		case "nameId", "username":
			g.quote(samlName(p))
		case "givenName":
			g.maybe(p.Given)
		case "familyName":
			g.maybe(p.Family)
		case "groups":
			g.b = append(g.b, "[]"...)
		case "emails":
			g.open('[')
			g.object(f.SelectionSet, "UserEmailMetadata", func(f *ast.Field) {
				switch f.Name {
				case "primary":
					g.yes(true)
				case "type":
					g.quote("work")
				case "value":
					g.quote(samlName(p))
				}
			})
			g.close(']')
		}
	}
}

// connection appends one page of a list. Its cursors hold the number of the
// last element, so a page does not shift when others come or go. edge resolves
// what edges have beside node.
func connection[T any](g *graph, f *ast.Field, typename string, all []T, number func(T) int, edge func(T) resolver, nodeType string, node func(T) resolver) {
	args := f.ArgumentMap(g.vars)
	size, ok := args["first"].(int64)
	problem := ""
	switch {
	case size < 0:
		problem = "`first` on the `" + f.Name + "` connection cannot be less than zero."
	case !ok:
		problem = "You must provide a `first` or `last` value to properly paginate the `" + f.Name + "` connection."
	case size > int64(g.h.facts.MaxPerPage):
		g.h.violate("per_page", "first: "+itoa(size))
		problem = "Requesting " + itoa(size) + " records on the `" + f.Name + "` connection exceeds the `first` limit of " + strconv.Itoa(g.h.facts.MaxPerPage) + " records."
	}
	from := 0
	if after, _ := args["after"].(string); after != "" && problem == "" {
		n, err := readGraphCursor(after)
		if err != nil {
			problem = "`" + after + "` does not appear to be a valid cursor."
		}
		for from < len(all) && number(all[from]) <= n {
			from++
		}
	}
	if problem != "" {
		g.nothing()
		g.errs = append(g.errs, graphError{kind: "MISSING_PAGINATION_BOUNDARIES", path: []string{"organization", f.Alias}, message: problem})
		return
	}
	items := all[from:min(from+int(size), len(all))]
	more := from+len(items) < len(all)
	cursor := func(v T) string {
		return base64.StdEncoding.EncodeToString([]byte("cursor:v2:" + strconv.Itoa(number(v))))
	}
	g.object(f.SelectionSet, typename+"Connection", func(f *ast.Field) {
		switch f.Name {
		case "totalCount":
			g.num(int64(len(all)))
		case "pageInfo":
			g.object(f.SelectionSet, "PageInfo", func(f *ast.Field) {
				switch {
				case f.Name == "hasNextPage":
					g.yes(more)
				case f.Name == "hasPreviousPage":
					g.yes(from > 0)
				case len(items) == 0:
					g.nothing()
				case f.Name == "endCursor":
					g.quote(cursor(items[len(items)-1]))
				default:
					g.quote(cursor(items[0]))
				}
			})
		case "nodes":
			g.open('[')
			for _, v := range items {
				g.object(f.SelectionSet, nodeType, node(v))
			}
			g.close(']')
		case "edges":
			g.open('[')
			for _, v := range items {
				var of resolver
				if edge != nil {
					of = edge(v)
				}
				g.object(f.SelectionSet, typename+"Edge", func(f *ast.Field) {
					switch f.Name {
					case "cursor":
						g.quote(cursor(v))
					case "node":
						g.object(f.SelectionSet, nodeType, node(v))
					default:
						of(f)
					}
				})
			}
			g.close(']')
		}
	})
}

func readGraphCursor(cur string) (int, error) {
	b, err := base64.StdEncoding.DecodeString(cur)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimPrefix(string(b), "cursor:v2:"))
}
