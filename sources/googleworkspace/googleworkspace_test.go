package googleworkspace

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/secret"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	good := func() *Config {
		c := defaults()
		c.Auth.Credentials, c.Auth.Subject = secret.New("{}"), testSubject
		return c
	}
	require.Empty(t, good().Validate())
	for want, change := range map[string]func(*Config){
		"customer":                 func(c *Config) { c.Customer = "acme" },
		"domain":                   func(c *Config) { c.Domain = "https://example.com" },
		"base_url":                 func(c *Config) { c.BaseURL = "http://proxy.example" },
		"admin_base_url":           func(c *Config) { c.AdminBaseURL = "https://proxy.example/" },
		"drive_base_url":           func(c *Config) { c.DriveBaseURL = "https://proxy.example/path" },
		"token_base_url":           func(c *Config) { c.TokenBaseURL = "https://user@proxy.example" },
		"accounts_base_url":        func(c *Config) { c.AccountsBaseURL = "ftp://x" },
		"iamcredentials_base_url":  func(c *Config) { c.IAMCredentialsBaseURL = "x" },
		"metadata_base_url":        func(c *Config) { c.MetadataBaseURL = "http://169.254.169.254/x" },
		"auth":                     func(c *Config) { c.Auth.ServiceAccount = "a@b.iam.gserviceaccount.com" },
		"auth.subject":             func(c *Config) { c.Auth.Subject = "" },
		"auth.federation":          func(c *Config) { c.Auth.Federation = secret.New("{}") },
		"auth.client_secret":       func(c *Config) { c.Auth = Auth{ClientID: "x"} },
		"auth.client_id":           func(c *Config) { c.Auth = Auth{ClientSecret: secret.New("x")} },
		"auth.service_account":     func(c *Config) { c.Auth = Auth{ServiceAccount: "x", Subject: testSubject} },
		"auth and nothing chosen":  func(c *Config) { c.Auth = Auth{} },
		"auth.subject and consent": func(c *Config) { c.Auth = Auth{ClientID: "x", ClientSecret: secret.New("x"), Subject: testSubject} },
	} {
		c := good()
		change(c)
		errs := c.Validate()
		require.NotEmpty(t, errs, want)
		key, _, _ := strings.Cut(want, " ")
		require.Equal(t, key, errs[0].Key, want)
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.Customer, c.Auth.Subject = testCustomer, "" },
		func(c *Config) { c.Auth = Auth{ServiceAccount: "a@b.iam.gserviceaccount.com", Subject: testSubject} },
		func(c *Config) { c.Auth = Auth{ClientID: "x", ClientSecret: secret.New("x")} },
		func(c *Config) { c.BaseURL = "http://127.0.0.1:80/google_workspace/acme" },
		func(c *Config) { c.MetadataBaseURL = "http://169.254.169.254" },
	} {
		c := good()
		change(c)
		require.Empty(t, c.Validate())
	}
}

// One base URL serves all hosts with their own paths, and single ones win.
func TestHosts(t *testing.T) {
	t.Parallel()
	h := (&Config{}).hosts()
	require.Equal(t, hosts{"https://admin.googleapis.com", "https://www.googleapis.com", "https://accounts.google.com", "https://iamcredentials.googleapis.com", "https://alertcenter.googleapis.com", ""}, h)
	require.Empty(t, h.tokenURL(), "what the key says")
	h = (&Config{BaseURL: "http://127.0.0.1:1", DriveBaseURL: "http://127.0.0.1:2", TokenBaseURL: "http://127.0.0.1:3"}).hosts()
	require.Equal(t, hosts{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:1", "http://127.0.0.1:1", "http://127.0.0.1:1", "http://127.0.0.1:3"}, h)
	require.Equal(t, "http://127.0.0.1:3/token", h.tokenURL())
}

// An instance is pinned to the customer that the vendor names.
func TestTenant(t *testing.T) {
	t.Parallel()
	s := newVendor(t, customer(t)).open(func(c *Config) { c.Customer = testCustomer })
	id, err := s.Tenant(t.Context())
	require.NoError(t, err)
	require.Equal(t, testCustomer, id)

	v := newVendor(t, func(*http.Request, string, string) answer {
		return answer{body: `{"kind":"admin#directory#customer","id":"C0other"}`}
	})
	_, err = v.open(func(c *Config) { c.Customer = testCustomer }).Tenant(t.Context())
	require.Equal(t, fault.Permanent, fault.Of(err))

	nobody := newVendor(t, customer(t))
	nobody.refuse = func(string, string) (string, string) { return "unauthorized_client", "not authorized" }
	s = nobody.open(nil)
	id, err = s.Tenant(t.Context())
	require.NoError(t, err)
	require.Empty(t, id, "it cannot be known yet")
	who, err := s.Identity(t.Context())
	require.NoError(t, err)
	require.Equal(t, sources.Identity{ID: testSubject, Name: "weir@acme.iam.gserviceaccount.com", Kind: sources.IdentityService}, who)
}

// The subject of a request is who is asked for; with a person's grant there are
// no others, and no request for them is sent.
func TestWhoIsAsked(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(r *http.Request, subject, scopes string) answer {
		require.True(t, strings.HasSuffix(r.UserAgent(), " (gzip)"))
		return answer{body: `{"is":"` + subject + `|` + scopes + `"}`}
	})
	s := v.open(nil)
	is := func(c *httpx.Client) string {
		r, err := c.Do(t.Context(), &httpx.Request{Path: httpx.P("/drive/v3/files")})
		require.NoError(t, err)
		var body struct {
			Is string `json:"is"`
		}
		require.NoError(t, httpx.Decode(r, &body))
		return body.Is
	}
	require.Equal(t, "ana@example.com|drive.metadata.readonly", is(s.as("ana@example.com", scopeMetadata)))
	require.Equal(t, testSubject+"|drive.readonly", is(s.as("", scopeDriveRead)))
	require.Equal(t, testSubject+"|admin.directory.user.readonly", is(s.admin(scopeUsers)))
	itself := v.open(func(c *Config) { c.Customer, c.Auth.Subject = testCustomer, "" })
	require.Equal(t, "|admin.directory.user.readonly", is(itself.admin(scopeUsers)))

	granted := v.open(func(c *Config) {
		c.Auth = Auth{ClientID: "x", ClientSecret: secret.New("secret"), RedirectURL: c.Auth.RedirectURL}
	})
	v.requests()
	_, err := granted.as("ana@example.com", scopeMetadata).Do(t.Context(), &httpx.Request{Path: httpx.P("/drive/v3/files")})
	require.Equal(t, fault.Forbidden, fault.Of(err))
	require.ErrorContains(t, err, "domain-wide delegation")
	require.Empty(t, v.requests())
}

func TestConsent(t *testing.T) {
	t.Parallel()
	c := defaults()
	none, err := Connector.Consent(sources.Env{}, c)
	require.NoError(t, err)
	require.Nil(t, none)
	c.Auth.ClientID, c.Auth.ClientSecret = "x", secret.New("secret")
	how, err := Connector.Consent(sources.Env{}, c)
	require.NoError(t, err)
	require.Equal(t, "https://accounts.google.com/o/oauth2/v2/auth", how.AuthorizeURL)
	require.Equal(t, "https://oauth2.googleapis.com/token", how.TokenURL)
	require.Equal(t, map[string]string{"access_type": "offline", "prompt": "consent"}, how.Params)
	require.NotContains(t, how.Scopes, scopeUsersWrite)
	c.Auth.Manage, c.Domain = true, "example.com"
	how, err = Connector.Consent(sources.Env{}, c)
	require.NoError(t, err)
	require.Contains(t, how.Scopes, scopeUsersWrite)
	require.Equal(t, "example.com", how.Params["hd"])
}

// Every form of a record, however strange, is a row or a reject.
func FuzzRecords(f *testing.F) {
	for _, name := range []string{"users", "users_deleted", "groups", "members", "assignments", "tokens", "asps"} {
		f.Add(fixture(f, name))
	}
	f.Add(`{"users":[{"id":1,"organizations":{"a":1},"relations":[1,{"type":"manager","value":null}],"aliases":"x","isAdmin":"yes","lastLoginTime":"9999-12-31T23:59:59Z"}]}`)
	f.Add(`{"items":[{"codeId":-1,"creationTime":"999999999999999999999","scopes":[1,null]}]}`)
	who := &people{accounts: map[string]string{"boss@example.com": "2"}, ids: map[string]bool{"2": true}, asked: true}
	inside := domains{"example.com": true}
	f.Fuzz(func(t *testing.T, page string) {
		r := &httpx.Response{Status: 200, Body: []byte(page)}
		for _, member := range []string{"users", "groups", "members", "items"} {
			for raw, err := range httpx.ElementsIf(r, member) {
				if err != nil {
					break
				}
				w := &walk{page: newPage()}
				_, _ = addAccount(who)(t.Context(), w, raw)
				_, _ = addGroup(t.Context(), w, raw)
				_, _ = addMember("g", who, inside)(t.Context(), w, raw)
				_, _ = addAssignment(map[string]role{}, who)(t.Context(), w, raw)
				_, _ = w.addToken(raw, "u"), w.addPassword(raw, "u")
				for _, a := range w.page.Rows.Accounts {
					require.NotEmpty(t, a.AccountID)
					require.Contains(t, []string{"active", "suspended", "deprovisioned", "invited", "deleted"}, a.Status)
				}
				require.LessOrEqual(t, len(elementID(raw)), maxID)
			}
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add(string(cursor{At: "~!!~AI9", Done: "1", Phase: "+", Began: 1, Strange: 2}.String()))
	f.Add(`{"v":1,"at":"a b"}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCursor(sources.Cursor(text))
		if err != nil {
			require.Equal(t, fault.Expired, fault.Of(err))
			return
		}
		again, err := parseCursor(c.String())
		require.NoError(t, err)
		require.Equal(t, c.At, again.At)
	})
}

// A page token is sent as it came, and every cursor is small enough.
func TestCursorsAreSmall(t *testing.T) {
	t.Parallel()
	long := cursor{At: strings.Repeat("~", maxPageToken), Done: strings.Repeat("9", maxID), Phase: "+", Began: 1 << 60, Strange: 1 << 30}
	require.LessOrEqual(t, len(long.String()), sources.MaxCursor)
	require.True(t, goodToken("~!!~AI9FV7Tc4k5BiAr1Ckwyu3u+/="))
	require.Equal(t, "~!!~AI9+", url.Values{"pageToken": {"~!!~AI9+"}}.Get("pageToken"))
}

func TestHighPrivilege(t *testing.T) {
	t.Parallel()
	for scope, want := range map[string]bool{
		"https://mail.google.com/": true, scopeDrive: true, scopeDriveRead: true, scopeUsers: true, scopePrefix + "cloud-platform": true,
		scopePrefix + "drive.file": false, "openid": false, scopePrefix + "userinfo.email": false, "admin.directory.user": false,
	} {
		require.Equal(t, schemas.Some(want), highPrivilege([]string{"openid", scope}), scope)
	}
	require.False(t, highPrivilege(nil).Known)
}
