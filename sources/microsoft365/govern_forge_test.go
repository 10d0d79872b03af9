package microsoft365

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/secret"
	"weir/sources"
	"weir/sources/httpx"
)

// id makes the GUID of a number.
func id(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

const (
	forgeTenant = "5f1e7c52-93d0-4a8e-b6f4-0f3d2a91c7be"
	testApp     = "0c9d7a34-6b1f-4e52-8f0a-7d3b5c2e9a16"
	testDrive   = "b!drive0000000000"
	testVault   = "b!vault0000000000"
	testFolder  = "01FOLDER00000000"
	testFile    = "01FILE0000000000"
	siteAt      = "https://contoso.sharepoint.com/sites/hr"
)

var (
	ada, bob, synced, guest, root1, root2   = id(1), id(2), id(3), id(4), id(5), id(6)
	ownSP, otherSP, graphSP                 = id(21), id(22), id(23)
	plainGroup, assignable, dynamic, onPrem = id(31), id(32), id(33), id(34)
	helpdesk                                = id(41)
)

type object = map[string]any

// file is one of the double's.
type file struct {
	name, parent, drive string
	versions            []string // contents, the oldest first; the last is the current one
	tag                 int
	perms               []object
	binned              string // id in the recycle bin
}

// forge is a vendor with a small organization that can be changed.
type forge struct {
	t       testing.TB
	url     string
	clock   *clockwork.FakeClock
	mu      sync.Mutex
	users   map[string]object
	apps    map[string]object
	groups  map[string]object
	members map[string][]string // ids, by group
	roles   []object
	grants  []object
	appRole []object
	files   map[string]*file // by item
	copies  []func()         // under way
	failed  bool             // the next copy's job fails
	granted []string         // application permissions in tokens; nil: tokens tell none
	pim     []object         // what may be activated; nil: not licensed
	noPIM   bool             // it may not be read
	next    int
	lose    string // what is lost of the next write: request or answer
	answer  func(w http.ResponseWriter, r *http.Request) bool
	wrote   []string // writes: method, path and body
	asked   []string // of monitors: the credentials sent
}

func newForge(t testing.TB) *forge {
	f := &forge{
		t: t, clock: clockwork.NewFakeClockAt(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), next: 900,
		users: map[string]object{}, apps: map[string]object{}, groups: map[string]object{}, members: map[string][]string{}, files: map[string]*file{},
	}
	for i, name := range []string{"ada", "bob", "synced", "guest", "root1", "root2"} {
		f.users[id(i+1)] = object{
			"id": id(i + 1), "userPrincipalName": name + "@contoso.com", "mail": strings.ToUpper(name[:1]) + name[1:] + "@contoso.com", "displayName": name,
			"accountEnabled": true, "userType": "Member", "lastPasswordChangeDateTime": "2026-01-01T00:00:00Z", "signInSessionsValidFromDateTime": "2026-01-01T00:00:00Z",
			"proxyAddresses": []string{"SMTP:" + name + "@contoso.com", "smtp:" + name + "@old.contoso.com", "X500:/o=x"},
		}
	}
	f.users[synced]["onPremisesSyncEnabled"] = true
	f.users[guest]["userType"], f.users[guest]["userPrincipalName"], f.users[guest]["externalUserState"] = "Guest", "guest_fabrikam.com#EXT#@contoso.onmicrosoft.com", "PendingAcceptance"
	f.users[guest]["mail"], f.users[guest]["proxyAddresses"] = "guest@fabrikam.com", []string{}
	for n, a := range map[string]string{ownSP: testApp, otherSP: id(51), graphSP: apis[0]} {
		f.apps[n] = object{"id": n, "appId": a, "displayName": "app " + n[34:], "accountEnabled": true}
	}
	f.groups[plainGroup] = object{"id": plainGroup, "displayName": "plain", "securityEnabled": true, "groupTypes": []string{}}
	f.groups[assignable] = object{"id": assignable, "displayName": "admins", "isAssignableToRole": true, "groupTypes": []string{}}
	f.groups[dynamic] = object{"id": dynamic, "displayName": "dynamic", "groupTypes": []string{"DynamicMembership"}}
	f.groups[onPrem] = object{"id": onPrem, "displayName": "onprem", "onPremisesSyncEnabled": true, "groupTypes": []string{}}
	f.members[plainGroup], f.members[assignable], f.members[dynamic], f.members[onPrem] = []string{ada}, []string{bob}, []string{ada}, []string{ada}
	f.roles = []object{
		{"id": "assignment-1", "principalId": root1, "roleDefinitionId": globalAdmin, "directoryScopeId": "/"},
		{"id": "assignment-2", "principalId": root2, "roleDefinitionId": globalAdmin, "directoryScopeId": "/"},
		{"id": "assignment-3", "principalId": assignable, "roleDefinitionId": helpdesk, "directoryScopeId": "/"},
		{"id": "assignment-4", "principalId": ada, "roleDefinitionId": helpdesk, "directoryScopeId": "/administrativeUnits/" + id(61)},
	}
	f.grants = []object{
		{"id": "grant-delegated-0001", "clientId": otherSP, "consentType": "Principal", "principalId": bob, "resourceId": graphSP, "scope": " User.Read Mail.Read"},
		{"id": "grant-delegated-0002", "clientId": otherSP, "consentType": "AllPrincipals", "resourceId": graphSP, "scope": "User.Read"},
		{"id": "grant-delegated-0003", "clientId": ownSP, "consentType": "AllPrincipals", "resourceId": graphSP, "scope": "User.Read"},
	}
	f.appRole = []object{{"id": "grant-application-01", "principalId": otherSP, "resourceId": graphSP, "appRoleId": id(71), "principalDisplayName": "app", "resourceDisplayName": "Graph"}}
	f.files[testFile] = &file{name: "plan's.docx", parent: "01PARENT0000000", drive: testDrive, versions: []string{"draft of the plan", "the plan itself"}, perms: []object{
		{"id": "p-owner", "roles": []string{"owner"}, "grantedToV2": object{"user": object{"id": ada, "email": "ada@contoso.com"}}},
		{"id": "p-link", "roles": []string{"read"}, "link": object{"type": "view", "scope": "anonymous", "webUrl": "https://contoso.sharepoint.com/:w:/s/secretlink"}, "expirationDateTime": "0001-01-01T00:00:00Z"},
		{"id": "p-bob", "roles": []string{"write"}, "grantedToV2": object{"user": object{"id": bob, "email": "bob@contoso.com"}}},
		{"id": "p-eve", "roles": []string{"read"}, "grantedToV2": object{"user": object{"email": "eve@fabrikam.com"}}},
		{"id": "p-site", "roles": []string{"read"}, "grantedToV2": object{"siteGroup": object{"id": "3", "displayName": "Visitors"}}, "inheritedFrom": object{}},
	}}
	s := httptest.NewServer(f.routes())
	t.Cleanup(s.Close)
	f.url = s.URL
	return f
}

func (f *forge) change(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

func (f *forge) writes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.wrote)
}

var certificate = sync.OnceValues(func() (cert, key string) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		panic(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
})

// open opens a session; with a certificate, where SharePoint itself is needed.
func (f *forge) open(certified bool) *session {
	f.t.Helper()
	c := defaults()
	c.TenantID, c.Auth.ClientID = forgeTenant, testApp
	c.LoginBaseURL, c.GraphBaseURL, c.SharePointBaseURL = f.url+"/login", f.url+"/graph", f.url+"/sharepoint"
	c.Actions.Quarantine = Quarantine{Drive: testVault, Folder: testFolder}
	if certified {
		cert, key := certificate()
		c.Auth.Certificate, c.Auth.PrivateKey = secret.New(cert), secret.New(key)
	} else {
		c.Auth.ClientSecret = secret.New("client-secret-of-the-test")
	}
	base, err := httpx.New(httpx.Options{Instance: "acme", Clock: f.clock, Wall: clockwork.NewRealClock(), UserAgent: "weir/test"})
	require.NoError(f.t, err)
	f.t.Cleanup(base.Close)
	s, err := open(f.t.Context(), sources.Env{Instance: "acme", Clock: f.clock, HTTP: base}, c)
	require.NoError(f.t, err)
	return s.(*session)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("request-id", "req-1")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, code string) {
	reply(w, status, object{"error": object{"code": code, "message": "refused"}})
}

func gone(w http.ResponseWriter) { refuse(w, 404, "Request_ResourceNotFound") }

func (f *forge) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/login/", func(w http.ResponseWriter, _ *http.Request) {
		claims, _ := json.Marshal(object{"tid": forgeTenant, "roles": f.granted})
		reply(w, 200, object{"token_type": "Bearer", "expires_in": 3599, "access_token": "e30." + base64.RawURLEncoding.EncodeToString(claims) + ".sig"})
	})
	f.directory(mux)
	f.library(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.clock.Advance(50 * time.Millisecond) // so that nobody waits for quota
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.answer != nil && f.answer(w, r) {
			return
		}
		if r.Method == http.MethodGet || strings.HasPrefix(r.URL.Path, "/login/") {
			mux.ServeHTTP(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		f.wrote = append(f.wrote, r.Method+" "+r.URL.EscapedPath()+" "+string(body))
		lose := f.lose
		switch f.lose = ""; lose {
		case "request":
			panic(http.ErrAbortHandler)
		case "answer":
			mux.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		mux.ServeHTTP(w, r)
	})
}

func (f *forge) id(prefix string) string {
	f.next++
	return prefix + strconv.Itoa(f.next)
}

// list answers with those objects that a filter "column eq 'value'" takes.
func list(w http.ResponseWriter, r *http.Request, all []object) {
	out := []object{}
	column, value, _ := strings.Cut(r.URL.Query().Get("$filter"), " eq ")
	for _, o := range all {
		if value == "" || fmt.Sprint(o[column]) == strings.Trim(value, "'") {
			out = append(out, o)
		}
	}
	reply(w, 200, object{"value": out})
}

func body(r *http.Request) (o object) {
	_ = json.NewDecoder(r.Body).Decode(&o)
	return o
}

func (f *forge) directory(mux *http.ServeMux) {
	const v = "/graph/v1.0"
	for path, kept := range map[string]*map[string]object{"/users/{id}": &f.users, "/servicePrincipals/{id}": &f.apps, "/groups/{id}": &f.groups} {
		mux.HandleFunc(v+path, func(w http.ResponseWriter, r *http.Request) {
			o, ok := (*kept)[r.PathValue("id")]
			if !ok {
				gone(w)
				return
			}
			if r.Method == http.MethodPatch {
				in := body(r)
				switch profile, ok := in["passwordProfile"].(object); {
				case !ok:
					o["accountEnabled"] = in["accountEnabled"]
				case profile["password"] != nil:
					o["lastPasswordChangeDateTime"] = "2026-03-01T12:00:00Z"
				default:
					o["passwordProfile"] = profile
				}
				w.WriteHeader(204)
				return
			}
			reply(w, 200, o)
		})
	}
	mux.HandleFunc(v+"/users", func(w http.ResponseWriter, _ *http.Request) {
		list(w, httptest.NewRequest("GET", "/", nil), slices.Collect(valuesOf(f.users)))
	})
	mux.HandleFunc(v+"/servicePrincipals", func(w http.ResponseWriter, r *http.Request) { list(w, r, slices.Collect(valuesOf(f.apps))) })
	for _, of := range []string{"/users", "/servicePrincipals"} {
		for _, how := range []string{"transitiveMemberOf", "memberOf"} {
			mux.HandleFunc(v+of+"/{id}/"+how, func(w http.ResponseWriter, r *http.Request) {
				var in []object
				for g, members := range f.members {
					if slices.Contains(members, r.PathValue("id")) {
						in = append(in, f.groups[g])
					}
				}
				list(w, r, in)
			})
		}
	}
	mux.HandleFunc(v+"/users/{id}/revokeSignInSessions", func(w http.ResponseWriter, r *http.Request) {
		f.users[r.PathValue("id")]["signInSessionsValidFromDateTime"] = "2026-03-01T12:00:00Z"
		reply(w, 200, object{"value": true})
	})
	mux.HandleFunc("GET "+v+"/groups/{id}/members", func(w http.ResponseWriter, r *http.Request) {
		out := []object{}
		for _, m := range f.members[r.PathValue("id")] {
			out = append(out, object{"id": m, "@odata.type": "#microsoft.graph.user"})
		}
		reply(w, 200, object{"value": out})
	})
	mux.HandleFunc("DELETE "+v+"/groups/{id}/members/{member}/$ref", func(w http.ResponseWriter, r *http.Request) {
		g, m := r.PathValue("id"), r.PathValue("member")
		if !slices.Contains(f.members[g], m) {
			gone(w)
			return
		}
		f.members[g] = slices.DeleteFunc(f.members[g], func(s string) bool { return s == m })
		w.WriteHeader(204)
	})
	mux.HandleFunc("POST "+v+"/groups/{id}/members/$ref", func(w http.ResponseWriter, r *http.Request) {
		at := fmt.Sprint(body(r)["@odata.id"])
		f.members[r.PathValue("id")] = append(f.members[r.PathValue("id")], strings.TrimPrefix(at, "https://graph.microsoft.com/v1.0/directoryObjects/"))
		w.WriteHeader(204)
	})
	f.collection(mux, v+"/roleManagement/directory/roleAssignments", &f.roles, "assignment-")
	f.collection(mux, v+"/oauth2PermissionGrants", &f.grants, "grant-delegated-0")
	f.collection(mux, v+"/servicePrincipals/"+graphSP+"/appRoleAssignedTo", &f.appRole, "grant-application-")
	mux.HandleFunc(v+"/servicePrincipals/{id}/appRoleAssignments", func(w http.ResponseWriter, r *http.Request) {
		list(w, r, slices.DeleteFunc(slices.Clone(f.appRole), func(o object) bool { return o["principalId"] != r.PathValue("id") }))
	})
	mux.HandleFunc(v+"/roleManagement/directory/roleDefinitions", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, object{"value": []object{{"id": globalAdmin, "displayName": "Global Administrator", "templateId": globalAdmin}, {"id": helpdesk, "displayName": "Helpdesk", "templateId": helpdesk}}})
	})
	for _, of := range []string{"roleEligibilityScheduleInstances", "roleAssignmentScheduleInstances"} {
		mux.HandleFunc(v+"/roleManagement/directory/"+of, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case f.noPIM:
				refuse(w, 403, "Authorization_RequestDenied")
			case f.pim == nil:
				refuse(w, 400, "AadPremiumLicenseRequired")
			default:
				list(w, r, f.pim)
			}
		})
	}
}

// collection serves a listing whose objects can be read, made and deleted.
func (f *forge) collection(mux *http.ServeMux, path string, kept *[]object, prefix string) {
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { list(w, r, *kept) })
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		o := body(r)
		o["id"] = f.id(prefix)
		*kept = append(*kept, o)
		reply(w, 201, o)
	})
	mux.HandleFunc(path+"/{one}", func(w http.ResponseWriter, r *http.Request) {
		i := slices.IndexFunc(*kept, func(o object) bool { return o["id"] == r.PathValue("one") })
		switch {
		case i < 0:
			gone(w)
		case r.Method == http.MethodDelete:
			*kept = slices.Delete(*kept, i, i+1)
			w.WriteHeader(204)
		default:
			reply(w, 200, (*kept)[i])
		}
	})
}

func unescaped(s string) string {
	out, _ := url.PathUnescape(s)
	return out
}
