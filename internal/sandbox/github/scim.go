package github

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"weir/internal/sandbox/org"
)

// What SCIM needs: of an organization with single sign-on, and of an enterprise
// with managed users or a server.
var (
	scimOrg        = need{scopes: []string{"admin:org"}, perm: "members:write", owner: true, cloud: true, paid: true}
	scimEnterprise = need{scopes: []string{"scim:enterprise"}, owner: true, paid: true}
)

// SCIM's namespaces.
const (
	scimUser  = "urn:ietf:params:scim:schemas:core:2.0:User"
	scimList  = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	scimError = "urn:ietf:params:scim:api:messages:2.0:Error"
)

func (h *Handler) scimRoutes(on func(pattern string, n need, fn func(*call))) {
	for _, at := range []struct {
		path string
		need need
	}{{"/scim/v2/organizations/{org}/Users", scimOrg}, {"/scim/v2/enterprises/{enterprise}/Users", scimEnterprise}, {"/scim/v2/Users", scimEnterprise}} {
		on("GET "+at.path, at.need, (*call).scimUsers)
		on("GET "+at.path+"/{id}", at.need, (*call).scimDetail)
		on("PATCH "+at.path+"/{id}", at.need, (*call).scimPatch)
	}
}

// scimID returns the id of an external identity; GraphQL calls it guid.
func (h *Handler) scimID(a *org.Account) string {
	return strings.ReplaceAll(requestID(h.seed, uint64(a.N)<<8|1), ":", "-")
}

// provisioned tells whether a linked identity came by SCIM.
func provisioned(a *org.Account) bool { return a.N%4 != 0 }

// scimHere tells whether the path is where SCIM is in this flavour; else it
// answers. Of servers, old ones have it where the documentation says, others
// where the specification does.
func (c *call) scimHere() bool {
	slug, isOrg := c.path("enterprise"), c.path("org") != ""
	ok := false
	switch {
	case isOrg:
		ok = !c.flavour.EMU && strings.EqualFold(c.path("org"), c.s.Name)
	case slug == "":
		ok = c.flavour.OldGHES
	default:
		ok = (c.flavour.EMU || c.flavour.GHES && !c.flavour.OldGHES) && strings.EqualFold(slug, enterprise(c.s))
	}
	if !ok {
		c.notFound()
	}
	return ok
}

// identities are those whom SCIM knows. Of an enterprise they are all who ever
// had an account; of an organization, members who signed in.
func (c *call) identities() []*org.Account {
	var all []*org.Account
	for _, a := range c.s.Accounts[org.GitHub] {
		p := c.s.People[a.Person]
		if c.path("org") != "" {
			if isMember(c.s, a) && linked(a, p) && provisioned(a) {
				all = append(all, a)
			}
		} else if !a.Outside && !p.Service && a.Status != org.Invited && !a.Created.After(c.s.Now) {
			all = append(all, a)
		}
	}
	return all
}

// scimOf returns whom the path names; nil after it has answered.
func (c *call) scimOf() *org.Account {
	if !c.scimHere() {
		return nil
	}
	for _, a := range c.identities() {
		if c.h.scimID(a) == c.path("id") {
			return a
		}
	}
	c.notFound()
	return nil
}

func (c *call) scimDetail() {
	if a := c.scimOf(); a != nil {
		c.scimUser(a, a.Status != org.Suspended)
	}
}

var scimFilter = regexp.MustCompile(`^\s*(\w+)\s+(?i:eq)\s+"([^"]*)"\s*$`)

// scimUsers lists, by index from 1.
func (c *call) scimUsers() {
	if !c.scimHere() {
		return
	}
	all := c.identities()
	if filter := c.query.Get("filter"); filter != "" {
		m := scimFilter.FindStringSubmatch(filter)
		if m == nil || m[1] != "userName" && m[1] != "externalId" && m[1] != "id" && m[1] != "emails" {
			c.scimBad("invalidFilter", "The filter is not supported.")
			return
		}
		kept := all[:0]
		for _, a := range all {
			is := samlName(c.s.People[a.Person])
			if m[1] == "id" {
				is = c.h.scimID(a)
			} else if m[1] == "externalId" {
				is = c.externalID(a)
			}
			if strings.EqualFold(is, m[2]) {
				kept = append(kept, a)
			}
		}
		all = kept
	}
	number := func(name string, otherwise int) int {
		n, err := strconv.Atoi(c.query.Get(name))
		if err != nil || n < 1 {
			return otherwise
		}
		return n
	}
	first := min(number("startIndex", 1), len(all)+1)
	count := min(number("count", c.h.facts.DefaultPerPage), c.h.facts.MaxPerPage)
	shown := all[first-1 : min(first-1+count, len(all))]
	c.scim()
	c.object("", func() {
		c.strs("schemas", []string{scimList})
		c.int("totalResults", int64(len(all)))
		c.int("itemsPerPage", int64(len(shown)))
		c.int("startIndex", int64(first))
		c.list("Resources", func() {
			for _, a := range shown {
				c.open('{')
				c.scimFields(a, a.Status != org.Suspended)
				c.close('}')
			}
		})
	})
}

func (c *call) scim() { c.Header()["Content-Type"] = []string{"application/scim+json; charset=utf-8"} }

func (c *call) externalID(a *org.Account) string {
	return strconv.FormatUint(xxhash.Sum64String(c.h.scimID(a)), 36)
}

func (c *call) scimUser(a *org.Account, active bool) {
	c.scim()
	c.object("", func() { c.scimFields(a, active) })
}

func (c *call) scimFields(a *org.Account, active bool) {
	p := c.s.People[a.Person]
	c.strs("schemas", []string{scimUser})
	c.str("id", c.h.scimID(a))
	c.str("externalId", c.externalID(a))
	c.str("userName", samlName(p))
	c.str("displayName", name(p))
	c.object("name", func() {
		c.str("givenName", p.Given)
		c.str("familyName", p.Family)
		c.str("formatted", name(p))
	})
	c.list("emails", func() {
		c.object0(func() {
			c.str("value", samlName(p))
			c.str("type", "work")
			c.bool("primary", true)
		})
	})
	c.bool("active", active)
	c.object("meta", func() {
		c.str("resourceType", "User")
		c.time("created", a.Created)
		c.time("lastModified", a.Modified)
		c.str("location", c.api()+strings.TrimSuffix(c.numeric, "/"+c.path("id"))+"/"+c.h.scimID(a))
	})
}

// scimBad answers 400.
func (c *call) scimBad(kind, detail string) {
	c.scimType = kind
	c.fail(http.StatusBadRequest, detail)
}

// scimPatch changes active, which is all that can be changed here.
func (c *call) scimPatch() {
	a := c.scimOf()
	var body struct {
		Operations []struct {
			Op, Path string
			Value    json.RawMessage
		}
	}
	if a == nil || !c.sent(&body) {
		return
	}
	if len(body.Operations) == 0 {
		c.scimBad("invalidSyntax", "Operations are missing.")
		return
	}
	active := a.Status != org.Suspended
	for _, o := range body.Operations {
		var whole struct{ Active *bool }
		var one bool
		switch {
		case !strings.EqualFold(o.Op, "replace"):
			c.scimBad("invalidSyntax", "op is not replace.")
			return
		case o.Path == "active" && json.Unmarshal(o.Value, &one) == nil:
			active = one
		case o.Path == "" && json.Unmarshal(o.Value, &whole) == nil && whole.Active != nil:
			active = *whole.Active
		default:
			c.scimBad("invalidPath", "Only active can be replaced.")
			return
		}
	}
	switch {
	case c.path("org") == "":
		c.setActive(a, active, c.obfuscated(a))
	case active: // it is
	case c.lastOwner(a):
		c.fail(http.StatusForbidden, "You cannot remove the last owner of the organization.")
		return
	default: // the identity goes with the membership
		c.settle(0, func(x *org.Act) {
			if isMember(c.s, a) {
				c.s.Remove(org.GitHub, x, a)
			}
		})
	}
	c.scimUser(a, active)
}

// obfuscated is the login of somebody who is suspended through SCIM: a hash of
// their own.
func (c *call) obfuscated(a *org.Account) string {
	var b [8]byte
	x := xxhash.Sum64String(a.Login) ^ c.h.seed
	for i := range b {
		b[i] = byte(x >> (8 * i))
	}
	return hex.EncodeToString(b[:])
}
