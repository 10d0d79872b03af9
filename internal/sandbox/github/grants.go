package github

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// installed is one installation of a GitHub App.
type installed struct {
	id, appID                    int64
	slug, clientID               string
	perms                        map[string]string
	selected                     bool
	created, modified, suspended time.Time
}

// clientID returns the client id of the App of a number.
func (h *Handler) clientID(n int) string { return "Iv23" + strconv.FormatInt(h.id(kindApp, n), 36) }

// oauthClientID returns the numeric id of an OAuth app.
func (h *Handler) oauthAppID(n int) int64 { return h.id(kindApp, n) }

// perms reads an integration's scopes, "contents:read".
func perms(scopes []string) map[string]string {
	out := map[string]string{}
	for _, s := range scopes {
		if name, level, ok := strings.Cut(s, ":"); ok {
			out[name] = level
		}
	}
	return out
}

// installedApps returns the installations there are now.
func (h *Handler) installedApps(s *org.State) []installed {
	var all []installed
	for _, i := range s.Integrations[org.GitHub] {
		if i.Kind != "github_app" || !alive(i.Created, i.Gone, s) {
			continue
		}
		v := installed{
			id: h.id(kindInstallation, i.N), appID: h.id(kindApp, i.N), slug: i.Name, clientID: h.clientID(i.N),
			perms: perms(i.Scopes), selected: i.Selected, created: i.Created, modified: i.Modified,
		}
		if !i.SuspendedAt.IsZero() && !i.SuspendedAt.After(s.Now) {
			v.suspended = i.SuspendedAt
		}
		all = append(all, v)
	}
	return all
}

// installations is GET /orgs/{org}/installations.
func (c *call) installations() {
	if !c.orgIs(c.path("org")) {
		return
	}
	all := c.h.installedApps(c.s)
	c.object("", func() {
		c.int("total_count", int64(len(all)))
		c.list(c.h.facts.InstallationsField, func() {
			for _, v := range page(c, all) {
				c.installation(v)
			}
		})
	})
}

// installation appends an installation object.
func (c *call) installation(v installed) {
	c.object0(func() {
		c.int("id", v.id)
		c.object("account", c.orgAsUser)
		selection := "all"
		if v.selected {
			selection = "selected"
		}
		c.str("repository_selection", selection)
		c.str("access_tokens_url", c.api()+"/app/installations/"+itoa(v.id)+"/access_tokens")
		c.str("repositories_url", c.api()+"/installation/repositories")
		c.str("html_url", c.web()+"/organizations/"+c.s.Name+"/settings/installations/"+itoa(v.id))
		c.int("app_id", v.appID)
		c.str("client_id", v.clientID)
		c.str("app_slug", v.slug)
		c.int("target_id", c.orgID())
		c.str("target_type", "Organization")
		c.permissions(v.perms)
		c.strs("events", []string{"push"})
		c.time("created_at", v.created)
		c.time("updated_at", v.modified)
		c.null("single_file_name")
		c.time(c.h.facts.SuspendedField, v.suspended)
		if owner := c.firstOwner(); !v.suspended.IsZero() && owner != nil {
			c.object("suspended_by", func() { c.user(owner) })
		} else {
			c.null("suspended_by")
		}
	})
}

// liveGrants returns the grants of a kind that are in force or expired, with
// an account that is in the organization.
func liveGrants(s *org.State, kind string) []*org.Grant {
	var all []*org.Grant
	for _, g := range s.Grants[org.GitHub] {
		if g.Kind == kind && alive(g.Created, g.Gone, s) && g.Account >= 0 && here(s.Accounts[org.GitHub][g.Account], s) {
			all = append(all, g)
		}
	}
	return all
}

// credentials is GET /orgs/{org}/credential-authorizations. Its answers have no
// Link header: clients count pages until one is empty.
func (c *call) credentials() {
	if !c.orgIs(c.path("org")) {
		return
	}
	all := liveGrants(c.s, org.GrantCredential)
	if login := c.query.Get("login"); login != "" {
		all = slices.DeleteFunc(all, func(g *org.Grant) bool {
			return !strings.EqualFold(shown(c.s.Accounts[org.GitHub][g.Account]), login)
		})
	}
	c.open('[')
	for _, g := range page(c, all) {
		c.object0(func() { c.credential(g) })
	}
	c.close(']')
	if !c.h.facts.CredentialsLink {
		c.link = nil
	}
}

func (c *call) credential(g *org.Grant) {
	id := c.h.id(kindCredential, g.N)
	c.str("login", shown(c.s.Accounts[org.GitHub][g.Account]))
	c.int("credential_id", id)
	c.str("credential_type", g.Credential)
	c.time("credential_authorized_at", g.Created)
	c.time("credential_accessed_at", g.LastUsed)
	c.int("authorized_credential_id", c.h.id(kindToken, g.N))
	if g.Credential == "SSH key" {
		c.str("fingerprint", "SHA256:"+strconv.FormatInt(id, 36))
		c.text("authorized_credential_title", g.Name)
		return
	}
	c.str("token_last_eight", lastEight(id))
	c.strs("scopes", g.Scopes)
	c.text("authorized_credential_note", g.Name)
	c.time("authorized_credential_expires_at", g.Expires)
}

func lastEight(id int64) string {
	s := "00000000" + strconv.FormatInt(id, 16)
	return s[len(s)-8:]
}

// pats is GET /orgs/{org}/personal-access-tokens: only for Apps.
func (c *call) pats() {
	if !c.orgIs(c.path("org")) {
		return
	}
	all := liveGrants(c.s, org.GrantPAT)
	if owners := c.query["owner[]"]; len(owners) > 0 {
		all = slices.DeleteFunc(all, func(g *org.Grant) bool {
			return !slices.ContainsFunc(owners, func(o string) bool { return strings.EqualFold(o, shown(c.s.Accounts[org.GitHub][g.Account])) })
		})
	}
	slices.SortStableFunc(all, func(a, b *org.Grant) int { return a.Created.Compare(b.Created) })
	if c.query.Get("direction") != "asc" {
		slices.Reverse(all)
	}
	c.open('[')
	for _, g := range page(c, all) {
		c.object0(func() {
			id := c.h.id(kindPAT, g.N)
			c.int("id", id)
			c.object("owner", func() { c.user(c.s.Accounts[org.GitHub][g.Account]) })
			c.str("repository_selection", "all")
			c.str("repositories_url", c.api()+"/organizations/"+itoa(c.orgID())+"/personal-access-tokens/"+itoa(id)+"/repositories")
			c.patPermissions(g.Scopes)
			c.time("access_granted_at", g.Created)
			c.int("token_id", c.h.id(kindToken, g.N))
			c.str("token_name", g.Name)
			c.bool("token_expired", expiredGrant(c.s, g))
			c.time("token_expires_at", g.Expires)
			c.time("token_last_used_at", g.LastUsed)
		})
	}
	c.close(']')
}

// patPermissions appends what a fine-grained token may.
func (c *call) patPermissions(scopes []string) {
	c.object("permissions", func() {
		inOrg, inRepo := split(scopes)
		for _, part := range []struct {
			name string
			m    map[string]string
		}{{"organization", inOrg}, {"repository", inRepo}} {
			if len(part.m) > 0 {
				c.object(part.name, func() {
					for _, k := range sortedKeys(part.m) {
						c.str(k, part.m[k])
					}
				})
			}
		}
	})
}

func expiredGrant(s *org.State, g *org.Grant) bool {
	return !g.Expires.IsZero() && s.Over(g.Expires)
}

// split tells permissions of the organization from those of repositories.
func split(scopes []string) (inOrg, inRepo map[string]string) {
	inRepo = perms(scopes)
	inOrg = maps.Clone(inRepo)
	ofOrg := func(name string) bool { return name == "members" || strings.HasPrefix(name, "organization_") }
	maps.DeleteFunc(inOrg, func(k, _ string) bool { return !ofOrg(k) })
	maps.DeleteFunc(inRepo, func(k, _ string) bool { return ofOrg(k) })
	return inOrg, inRepo
}
