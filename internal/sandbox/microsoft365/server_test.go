package microsoft365

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // thumbprints are made with it
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/internal/sandbox/sandboxtest"
)

const graphScope = "https://graph.microsoft.com/.default"

func secretForm() url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "client_id": {ClientID}, "client_secret": {ClientSecret}, "scope": {graphScope}}
}

// The token endpoint tells what is wrong by its numbers.
func TestTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{})
	a := r.token(secretForm())
	require.InDelta(t, 3600, a.body["expires_in"], 0, "a number")
	claims := object{}
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(a.body["access_token"].(string), ".")[1])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &claims))
	require.Equal(t, r.h.tenantID, claims["tid"])
	require.Contains(t, claims["roles"], "User.Read.All")

	old := secretForm()
	old.Del("scope")
	old.Set("resource", "https://manage.office.com")
	a = r.tokenAt("oauth2/token", old)
	require.Equal(t, "3600", a.body["expires_in"], "a text")
	require.Equal(t, "https://manage.office.com", a.body["resource"])
	r.bearer = a.body["access_token"].(string)
	require.Equal(t, "InvalidAuthenticationToken", r.get("users").code(), "it is for another API")
	r.login()

	r.h.AddClient(Client{ID: "old", Secret: "sandbox-secret", SecretExpired: true})
	r.h.AddClient(Client{ID: "off", Secret: "sandbox-secret", Disabled: true})
	for want, change := range map[int][2]string{
		7000215: {"client_secret", "wrong"}, 7000222: {"client_id", "old"}, 7000112: {"client_id", "off"}, 700016: {"client_id", "nobody"},
		700022: {"scope", graphScope + " https://manage.office.com/.default"}, 500011: {"scope", "https://nothing.example/.default"},
		70003: {"grant_type", "password"}, 1002012: {"scope", "https://graph.microsoft.com/User.Read"},
	} {
		form := secretForm()
		form.Set(change[0], change[1])
		a := r.token(form)
		require.Contains(t, []int{400, 401}, a.status)
		require.Equal(t, []any{float64(want)}, a.body["error_codes"], a.text)
		require.True(t, strings.HasPrefix(a.body["error_description"].(string), fmt.Sprintf("AADSTS%d: ", want)))
	}
	for tenant, want := range map[string]float64{"common": 9001023, "11111111-2222-3333-4444-555555555555": 90002} {
		a := r.do(http.MethodPost, r.base+"/login/"+tenant+"/oauth2/v2.0/token", strings.NewReader(secretForm().Encode()), "Content-Type", "application/x-www-form-urlencoded")
		require.Equal(t, []any{want}, a.body["error_codes"])
	}
}

// A client may prove itself with a certificate instead.
func TestAssertions(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der := []byte("a certificate")
	r.h.AddClient(Client{ID: "app", Certificates: []Certificate{{der, key.Public()}}})
	s1, s256 := sha1.Sum(der), sha256.Sum256(der) //nolint:gosec // as above
	endpoint := r.base + "/login/" + r.h.tenantID + "/oauth2/v2.0/token"
	try := func(head object, change func(object)) answer {
		now := r.s.Clock.Now()
		claims := object{"aud": endpoint, "iss": "app", "sub": "app", "jti": "1", "nbf": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()}
		if change != nil {
			change(claims)
		}
		part := func(v object) string {
			raw, err := json.Marshal(v)
			require.NoError(t, err)
			return base64.RawURLEncoding.EncodeToString(raw)
		}
		text := part(head) + "." + part(claims)
		sum := sha256.Sum256([]byte(text))
		var sig []byte
		if head["alg"] == "PS256" {
			sig, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			sig, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		}
		require.NoError(t, err)
		return r.token(url.Values{
			"grant_type": {"client_credentials"}, "client_id": {"app"}, "scope": {graphScope}, "client_assertion_type": {r.h.facts.AssertionType},
			"client_assertion": {text + "." + base64.RawURLEncoding.EncodeToString(sig)},
		})
	}
	ps := object{"alg": "PS256", "typ": "JWT", "x5t#S256": base64.RawURLEncoding.EncodeToString(s256[:])}
	for _, head := range []object{ps, {"alg": "PS256", "x5t#S256": base64.StdEncoding.EncodeToString(s256[:])}, {"alg": "RS256", "x5t": base64.RawURLEncoding.EncodeToString(s1[:])}} {
		a := try(head, nil)
		require.Equal(t, 200, a.status, a.text)
	}
	for name, change := range map[string]func(object){
		"audience": func(c object) { c["aud"] = "https://login.example" }, "issuer": func(c object) { c["iss"] = "other" }, "no jti": func(c object) { delete(c, "jti") },
		"expired": func(c object) { c["exp"] = r.s.Clock.Now().Add(-time.Second).Unix() },
	} {
		a := try(ps, change)
		require.Equal(t, 401, a.status, name)
		require.Equal(t, "invalid_client", a.body["error"])
	}
	require.Equal(t, 401, try(object{"alg": "PS256", "x5t#S256": "unknown"}, nil).status)
	require.Equal(t, 401, try(object{"alg": "none"}, nil).status)
}

// A token dies in the middle of a list; with a new one the same address works.
func TestTokenDies(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 60})
	first := r.get("users?$top=10")
	r.s.Fake.Advance(time.Hour)
	a := r.get(first.next())
	require.Equal(t, 401, a.status)
	require.Equal(t, "InvalidAuthenticationToken", a.code())
	require.NotEmpty(t, a.head.Get("Www-Authenticate"))
	r.login()
	require.Len(t, r.get(first.next()).value(), 10)
	r.h.ExpireTokens()
	require.Equal(t, 401, r.get(first.next()).status)
}

// Each path wants its permission, and says so in its service's words.
func TestPermissions(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 30})
	for _, x := range []struct{ role, path, code string }{
		{"User.Read.All", "users", "Authorization_RequestDenied"},
		{"GroupMember.Read.All", "groups", "Authorization_RequestDenied"},
		{"Application.Read.All", "servicePrincipals", "Authorization_RequestDenied"},
		{"Directory.Read.All", "oauth2PermissionGrants", "Authorization_RequestDenied"},
		{"RoleManagement.Read.Directory", "roleManagement/directory/roleAssignments", "Authorization_RequestDenied"},
		{"AuditLog.Read.All", "auditLogs/directoryAudits", "Authentication_MSGraphPermissionMissing"},
		{"AuditLog.Read.All", "reports/authenticationMethods/userRegistrationDetails", "Authentication_MSGraphPermissionMissing"},
	} {
		r.h.AddClient(Client{ID: ClientID, Secret: ClientSecret, Roles: map[string][]string{apiGraph: {x.role}}})
		r.login()
		a := r.get(x.path)
		require.Equal(t, 200, a.status, a.text)
		r.h.SetFaults(Faults{MissingRoles: []string{x.role}})
		a = r.get(x.path)
		require.Equal(t, 403, a.status)
		require.Equal(t, x.code, a.code())
		r.h.SetFaults(Faults{})
	}
	r.h.AddClient(Client{ID: ClientID, Secret: ClientSecret})
	r.login()
	r.h.SetFaults(Faults{Free: true, Reports: -1})
	for _, path := range []string{"auditLogs/signIns", "users?$select=id,signInActivity", "reports/authenticationMethods/userRegistrationDetails"} {
		require.Equal(t, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", r.get(path).code(), path)
	}
	require.Equal(t, 403, r.get("roleManagement/directory/roleEligibilityScheduleInstances").status)
	require.Equal(t, 200, r.get("auditLogs/directoryAudits").status)
	require.Equal(t, 200, r.get("users").status)

	for _, a := range r.s.Truth(org.Microsoft365, "free-acme").Activities {
		require.NotContains(t, []string{interactive, nonInteractive, byApp, byManaged}, a.Action, "they are in the Management Activity API alone")
	}
	for _, p := range r.s.Truth(org.Microsoft365, "free-acme").Privileges {
		require.Zero(t, p.AssignedAt)
		require.Equal(t, "active", p.State)
	}
}

// A list of grants can lag behind what is granted.
func TestGrantLag(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 30})
	before, _ := r.all("oauth2PermissionGrants")
	var id string
	r.h.t.World.Change(func(s *org.State) {
		x := org.Act{At: s.Now, Actor: org.Ref{Kind: org.AccountRef}, Client: &s.People[0].Home}
		id = r.h.grantID(s.IssueGrant(org.Microsoft365, &x, org.Grant{Kind: org.GrantConsent, Account: 0, Integration: org.DirectorySync, Scopes: []string{"User.Read"}}).N)
	})
	r.h.SetFaults(Faults{GrantLag: time.Minute})
	lagging, _ := r.all("oauth2PermissionGrants")
	require.Len(t, lagging, len(before))
	require.Equal(t, 200, r.get("oauth2PermissionGrants/"+id).status)
	r.h.SetFaults(Faults{})
	now, _ := r.all("oauth2PermissionGrants")
	require.Len(t, now, len(before)+1)
	require.Equal(t, "Add delegated permission grant", r.get("auditLogs/directoryAudits?$top=1").value()[0]["activityDisplayName"])
}

// Too much is refused, with a wait that has a fraction.
func TestLimits(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 30})
	for range 5 {
		require.Equal(t, 200, r.get("auditLogs/directoryAudits").status)
	}
	a := r.get("reports/authenticationMethods/userRegistrationDetails")
	require.Equal(t, 429, a.status)
	require.Equal(t, "TooManyRequests", a.code())
	require.Equal(t, "429", a.body["error"].(object)["innerError"].(object)["code"])
	wait, err := strconv.ParseFloat(a.head.Get("Retry-After"), 64)
	require.NoError(t, err)
	require.Contains(t, a.head.Get("Retry-After"), ".")
	require.Equal(t, 200, r.get("users").status, "of another bucket")
	r.s.Fake.Advance(time.Duration(wait * float64(time.Second)))
	require.Equal(t, 200, r.get("reports/authenticationMethods/userRegistrationDetails").status)

	require.Equal(t, 200, r.get("identityProtection/riskyUsers").status)
	a = r.get("identityProtection/riskyUsers")
	require.Equal(t, 429, a.status)
	require.Empty(t, a.head.Get("Retry-After"), "this service tells no wait")

	r.h.SetFaults(Faults{Units: 11})
	g := r.get("groups").value()[0]["id"].(string)  // 1
	a = r.get("groups/" + g + "/transitiveMembers") // 5
	require.Equal(t, "5", a.head.Get("X-Ms-Resource-Unit"))
	require.Empty(t, a.head.Get("X-Ms-Throttle-Limit-Percentage"))
	a = r.get("users?$expand=manager") // 3
	require.Equal(t, "3", a.head.Get("X-Ms-Resource-Unit"))
	a = r.get("users?$select=id") // 1
	require.Equal(t, "0.9", a.head.Get("X-Ms-Throttle-Limit-Percentage"))
	a = r.get("groups/" + g + "/members")
	require.Equal(t, 429, a.status)
	require.Equal(t, "ResourceUnitLimitExceeded", a.head.Get("X-Ms-Throttle-Information"))
	r.s.NoViolations()
	r.s.Fake.Advance(10 * time.Second)
	require.Equal(t, 200, r.get("users?$top=1000").status)
	require.Equal(t, 400, r.get("users?$top=0").status)
	require.Len(t, r.s.Violations(), 1)
}

// A batch answers each request on its own, in another order.
func TestBatch(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 30})
	batch := func(requests ...object) answer {
		raw, err := json.Marshal(object{"requests": requests})
		require.NoError(t, err)
		return r.do(http.MethodPost, r.base+"/graph/v1.0/$batch", strings.NewReader(string(raw)), "Content-Type", "application/json")
	}
	step := func(id int, path string, on ...string) object {
		return object{"id": fmt.Sprint(id), "method": "GET", "url": path, "dependsOn": on}
	}
	g := r.get("groups").value()[0]["id"].(string)
	a := batch(step(1, "/groups/"+g+"/members?$top=2&$select=id"), step(2, "/groups/nothing/members"), step(3, "/users", "2"), step(4, "auditLogs/directoryAudits?$top=1"))
	require.Equal(t, 200, a.status, a.text)
	byID, order := map[string]object{}, ""
	for _, x := range a.body["responses"].([]any) {
		byID[x.(object)["id"].(string)] = x.(object)
		order += x.(object)["id"].(string)
	}
	require.Equal(t, "4321", order)
	first := byID["1"]["body"].(object)
	require.Len(t, first["value"], 2)
	require.Equal(t, 200, r.get(first["@odata.nextLink"].(string)).status, "outside of the batch")
	for id, status := range map[string]float64{"1": 200, "2": 404, "3": 424, "4": 200} {
		require.InDelta(t, status, byID[id]["status"], 0, id)
	}
	r.h.SetFaults(Faults{BrokenBatch: 1})
	inner := batch(step(1, "/users")).body["responses"].([]any)[0].(object)
	require.InDelta(t, 429, inner["status"], 0)
	require.Equal(t, "2.129", inner["headers"].(object)["Retry-After"])
	r.h.SetFaults(Faults{})

	require.Equal(t, 400, batch(step(1, "/users"), step(1, "/groups")).status, "the same id twice")
	require.Equal(t, 400, batch(step(1, "https://graph.microsoft.com/v1.0/users")).status)
	require.Equal(t, 400, batch().status)
	r.s.NoViolations()
	var many []object
	for i := range 21 {
		many = append(many, step(i, "/users"))
	}
	require.Equal(t, 400, batch(many...).status)
	require.Equal(t, 200, batch(many[:20]...).status)
}

// TestServed runs the vendor within the sandbox, under its faults.
func TestServed(t *testing.T) {
	t.Parallel()
	scenario, err := sandbox.ParseScenario("test", []byte(`
faults:
  - {kind: expire_token, app: microsoft365, endpoint: /graph/v1.0/users, after_requests: 1, count: 1}
  - {kind: expire_cursor, app: microsoft365, endpoint: /graph/v1.0/groups/delta, count: 1}
  - {kind: missing_scope, app: microsoft365, endpoint: /graph/v1.0/servicePrincipals, scopes: [Application.Read.All]}
  - {kind: status, app: microsoft365, endpoint: /graph/v1.0/organization, count: 1}
  - {kind: status, app: microsoft365, endpoint: /graph/v1.0/organization, count: 1, after_requests: 1, status: 503}
`))
	require.NoError(t, err)
	r := newRig(t, sandbox.Options{People: 60, Scenario: scenario})
	first := r.get("users?$top=10")
	require.Equal(t, 200, first.status)
	require.Equal(t, 401, r.get(first.next()).status)
	require.Equal(t, 401, r.get(first.next()).status, "for good")
	r.login()
	require.Equal(t, 200, r.get(first.next()).status)
	a := r.get(r.get("groups/delta").delta())
	require.Equal(t, 410, a.status)
	require.Equal(t, 200, r.get(a.head.Get("Location")).status)
	require.Equal(t, 403, r.get("servicePrincipals").status)
	a = r.get("organization")
	require.Equal(t, 429, a.status)
	require.Equal(t, "5.128", a.head.Get("Retry-After"))
	require.Equal(t, 503, r.get("organization").status)
	require.Equal(t, r.h.tenantID, r.get("organization").value()[0]["id"])
	require.Equal(t, 404, r.get("nothing").status)
	r.s.NoViolations()

	var config map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(r.h.Config(r.base)), &config))
	require.Equal(t, "microsoft365", config["app"])
	require.Equal(t, r.h.tenantID, config["tenant_id"])
	require.Equal(t, r.base+"/graph", config["graph_base_url"])
	require.Equal(t, r.h.manageBase(), config["manage_base_url"])
}

// Another seed and another tenant are other objects; the same are the same.
func TestSeeds(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for _, seed := range []uint64{3, 3, 4} {
		s := sandboxtest.Start(t, sandbox.Options{Vendors: []sandbox.Vendor{Vendor()}, Seed: seed})
		for _, name := range []string{"acme", "globex"} {
			h := s.Tenant(org.Microsoft365, name).Handler().(*Handler)
			ids[h.tenantID] = true
		}
	}
	require.Len(t, ids, 4)
}
