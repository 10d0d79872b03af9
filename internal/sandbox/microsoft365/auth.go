package microsoft365

import (
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/sandbox/org"
)

// What instances connect with, by Config.
const (
	ClientID     = "5a6db0cc-0000-4000-8000-000000000365"
	ClientSecret = "sandbox-secret"
)

// The APIs that a token may be for: it is for one only.
const (
	apiGraph      = "graph"
	apiManage     = "manage"
	apiSharePoint = "sharepoint"
)

// audiences of all clouds (4).
var audiences = map[string]string{
	"https://graph.microsoft.com": apiGraph, "https://graph.microsoft.us": apiGraph, "https://dod-graph.microsoft.us": apiGraph, "https://microsoftgraph.chinacloudapi.cn": apiGraph,
	"https://manage.office.com": apiManage, "https://manage-gcc.office.com": apiManage, "https://manage.office365.us": apiManage, "https://manage.protection.apps.mil": apiManage,
}

var sharePointSuffixes = []string{".sharepoint.com", ".sharepoint.us", ".sharepoint-mil.us", ".sharepoint.cn"}

// allRoles are the permissions that an app has which nothing else is said of.
var allRoles = map[string][]string{
	apiGraph: {
		"User.Read.All", "AuditLog.Read.All", "Directory.Read.All", "GroupMember.Read.All", "RoleManagement.Read.Directory", "RoleAssignmentSchedule.Read.Directory",
		"RoleEligibilitySchedule.Read.Directory", "Application.Read.All", "Sites.Read.All", "Files.Read.All", "Sites.FullControl.All", "Files.ReadWrite.All", "Sites.ReadWrite.All",
		"User.EnableDisableAccount.All", "User.RevokeSessions.All", "User-PasswordProfile.ReadWrite.All", "DelegatedPermissionGrant.ReadWrite.All", "AppRoleAssignment.ReadWrite.All",
		"Application.ReadWrite.All", "User.DeleteRestore.All", "GroupMember.ReadWrite.All", "RoleManagement.ReadWrite.Directory", "IdentityRiskyUser.ReadWrite.All",
	},
	apiManage:     {"ActivityFeed.Read", "ActivityFeed.ReadDlp", "ServiceHealth.Read"},
	apiSharePoint: {"Sites.FullControl.All"},
}

// Client is an app registration that may ask for tokens.
type Client struct {
	ID, Secret    string
	SecretExpired bool
	Disabled      bool
	Certificates  []Certificate
	Roles         map[string][]string // by API; nil: all
}

// Certificate is a key of an app's.
type Certificate struct {
	DER    []byte
	Public crypto.PublicKey
}

// authority gives tokens and knows them.
type authority struct {
	h *Handler

	mu      sync.Mutex
	clients map[string]*Client
	tokens  map[string]*access
	serial  int
}

// access is what a token allows.
type access struct {
	client string
	api    string
	roles  []string
	cert   bool // it was asked for with a certificate: SharePoint wants that
	until  time.Time
	dead   bool
}

func newAuthority(h *Handler) *authority {
	a := &authority{h: h, clients: map[string]*Client{}, tokens: map[string]*access{}}
	a.clients[ClientID] = &Client{ID: ClientID, Secret: ClientSecret}
	return a
}

// AddClient registers an app, or registers it anew.
func (h *Handler) AddClient(c Client) {
	h.auth.mu.Lock()
	defer h.auth.mu.Unlock()
	h.auth.clients[c.ID] = &c
}

func (a *authority) client(id string) *Client {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.clients[id]
}

// expire ends all tokens.
func (a *authority) expire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.tokens {
		t.dead = true
	}
}

// tenant says whether a path names this tenant: by its id or a domain.
func (h *Handler) tenant(s *org.State, name string) bool {
	return strings.EqualFold(name, h.tenantID) || strings.EqualFold(name, s.Domain) || strings.EqualFold(name, s.Name+".onmicrosoft.example")
}

// apiOf says which API an audience is; "": none of these.
func apiOf(audience string) string {
	audience = strings.TrimSuffix(audience, "/")
	if api := audiences[audience]; api != "" {
		return api
	}
	if strings.HasPrefix(audience, "https://") && slices.ContainsFunc(sharePointSuffixes, func(s string) bool { return strings.HasSuffix(audience, s) }) {
		return apiSharePoint
	}
	return ""
}

// issue makes a token. It is a JWT, whose signature only this tenant can make.
func (a *authority) issue(c *Client, audience string, cert bool, now time.Time) (string, time.Duration) {
	life := a.h.facts.TokenLife
	if f := a.h.Faults().TokenLife; f > 0 {
		life = f
	}
	api := apiOf(audience)
	roles := allRoles[api]
	if c.Roles != nil {
		roles = c.Roles[api]
	}
	acr := "1"
	if cert {
		acr = "2"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.serial++
	claims, err := json.Marshal(object{
		"aud": audience, "iss": "https://sts.windows.net/" + a.h.tenantID + "/", "tid": a.h.tenantID, "appid": c.ID, "appidacr": acr, "oid": a.h.servicePrincipalID(org.AgentApp),
		"roles": roles, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(life).Unix(), "uti": fmt.Sprint(a.serial), "ver": "1.0",
	})
	if err != nil {
		panic(err) // strings and numbers only
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	key := a.h.hash("signing key", 0)
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(text))
	text += "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	for k, t := range a.tokens {
		if now.Sub(t.until) > day {
			delete(a.tokens, k)
		}
	}
	a.tokens[text] = &access{client: c.ID, api: api, roles: roles, cert: cert, until: now.Add(life)}
	return text, life
}

// check returns what the token of a request allows at an API.
func (a *authority) check(r *http.Request, api string) (*access, *failure) {
	f := &a.h.facts
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, f.TokenType) || token == "" {
		return nil, refuse(http.StatusUnauthorized, f.BadToken, "Access token is empty.")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tokens[token]
	switch {
	case t == nil:
		return nil, refuse(http.StatusUnauthorized, f.BadToken, "IDX10511: Signature validation failed.")
	case t.api != api:
		return nil, refuse(http.StatusUnauthorized, f.BadToken, "Access token validation failure. Invalid audience.")
	}
	if a.h.t.TokenExpired(r) {
		t.dead = true
	}
	if t.dead || !a.h.t.Clock.Now().Before(t.until) {
		return nil, refuse(http.StatusUnauthorized, f.BadToken, "Lifetime validation failed, the token is expired.")
	}
	return t, nil
}

// rolesNow are the permissions of a token, but those that were taken away since.
func (a *authority) rolesNow(t *access, r *http.Request) []string {
	missing := append(a.h.t.MissingScopes(r), a.h.Faults().MissingRoles...)
	if len(missing) == 0 {
		return t.roles
	}
	var have []string
	for _, role := range t.roles {
		if !slices.Contains(missing, role) {
			have = append(have, role)
		}
	}
	return have
}
