package github

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// App is a GitHub App that is installed in the organization.
type App struct {
	ID          int64
	ClientID    string
	Slug        string
	Key         *rsa.PublicKey
	Permissions map[string]string // "members": "read"; AppPermissions reach all that is read
	Suspended   bool
}

// AppPermissions are all permissions that reading needs.
func AppPermissions() map[string]string {
	return map[string]string{
		"organization_administration":                 "read",
		"members":                                     "read",
		"organization_custom_org_roles":               "read",
		"organization_custom_roles":                   "read",
		"organization_personal_access_tokens":         "read",
		"organization_personal_access_token_requests": "read",
		"metadata":       "read",
		"contents":       "read",
		"administration": "read",
	}
}

// RegisterApp makes an App known, and installs it. The truth is then what an App
// can see.
func (h *Handler) RegisterApp(a App) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.apps = append(h.apps, a)
	h.flavour.App = true
}

// InstallationID returns the id of an App's installation.
func (h *Handler) InstallationID(a *App) int64 {
	return h.id(kindInstallation, botNumber-int(a.ID%1_000_000))
}

// verify checks an App's assertion: RS256, its times, its issuer. It returns
// what is wrong with it in GitHub's words.
func (h *Handler) verify(jwt string, now time.Time) (app *App, problem string) {
	const undecodable = "A JSON web token could not be decoded"
	part := strings.Split(jwt, ".")
	var header struct {
		Alg string `json:"alg"`
	}
	var claims struct {
		Issued  int64 `json:"iat"`
		Expires int64 `json:"exp"`
		Issuer  any   `json:"iss"`
	}
	signature, err := base64.RawURLEncoding.DecodeString(part[2])
	if err != nil || !decodePart(part[0], &header) || !decodePart(part[1], &claims) || header.Alg != "RS256" {
		return nil, undecodable
	}
	issuer, ok := claims.Issuer.(string)
	if n, isNumber := claims.Issuer.(float64); isNumber {
		issuer, ok = strconv.FormatInt(int64(n), 10), true
	}
	h.mu.Lock()
	for i := range h.apps {
		if a := &h.apps[i]; ok && (issuer == a.ClientID || issuer == itoa(a.ID)) {
			app = a
		}
	}
	h.mu.Unlock()
	if app == nil {
		return nil, "Integration not found"
	}
	sum := sha256.Sum256([]byte(part[0] + "." + part[1]))
	if rsa.VerifyPKCS1v15(app.Key, crypto.SHA256, sum[:], signature) != nil {
		return nil, undecodable
	}
	skew := int64(h.facts.JWTSkew / time.Second)
	switch at := now.Unix(); {
	case claims.Issued > at+skew:
		return nil, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
	case claims.Expires <= at:
		return nil, "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
	case claims.Expires > at+int64(h.facts.JWTLife/time.Second):
		return nil, "'Expiration time' claim ('exp') is too far in the future"
	}
	return app, ""
}

func decodePart(part string, into any) bool {
	b, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(b, into) == nil
}

// app is GET /app.
func (c *call) app() {
	a := c.who.app
	c.object("", func() {
		c.int("id", a.ID)
		c.str("slug", a.Slug)
		c.str("node_id", c.h.nodeID("A", a.ID))
		c.str("client_id", a.ClientID)
		c.object("owner", func() { c.orgAsUser() })
		c.str("name", a.Slug)
		c.null("description")
		c.str("external_url", "https://"+c.s.Domain)
		c.str("html_url", c.web()+"/apps/"+a.Slug)
		c.time("created_at", c.s.Born)
		c.time("updated_at", c.s.Born)
		c.permissions(a.Permissions)
		c.strs("events", nil)
		c.int("installations_count", 1)
	})
}

// appInstallation is GET /orgs/{org}/installation.
func (c *call) appInstallation() {
	if !c.orgIs(c.path("org")) {
		return
	}
	a := c.who.app
	v := installed{id: c.h.InstallationID(a), appID: a.ID, slug: a.Slug, clientID: a.ClientID, perms: lessen(a.Permissions, c.trouble.MissingScopes), created: c.s.Born, modified: c.s.Born}
	if a.Suspended {
		v.suspended = c.s.Born
	}
	c.installation(v)
}

// mint is POST /app/installations/{id}/access_tokens.
func (c *call) mint() {
	h, a := c.h, c.who.app
	if c.path("id") != itoa(h.InstallationID(a)) {
		c.notFound()
		return
	}
	if a.Suspended {
		c.fail(http.StatusForbidden, "This installation has been suspended")
		return
	}
	h.mu.Lock()
	h.minted++
	token := "sandbox-installation-" + strconv.Itoa(h.minted)
	expires := c.now.Truncate(time.Second).Add(h.facts.InstallationTokenLife)
	h.tokens[token] = &principal{kind: installation, app: a, perms: a.Permissions, expires: expires}
	h.mu.Unlock()
	c.status = http.StatusCreated
	c.object("", func() {
		c.str("token", token)
		c.time("expires_at", expires)
		c.permissions(lessen(a.Permissions, c.trouble.MissingScopes))
		c.str("repository_selection", "all")
	})
}

func (c *call) permissions(p map[string]string) {
	c.object("permissions", func() {
		for _, k := range sortedKeys(p) {
			c.str(k, p[k])
		}
	})
}
