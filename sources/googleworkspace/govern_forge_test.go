package googleworkspace

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
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

type object = map[string]any

// Who and what the double has.
const (
	ana, ben, held, weir, root1, root2 = "101", "102", "103", "104", "105", "106"

	team, inner, outer = "01team0000000", "01inner000000", "01outer000000"
	customerID         = "C03az79cb"
	superRole          = "13801188331880449"
	helpRole           = "13801188331880450"
	crm                = "1234-abc.apps.googleusercontent.com"
	agentClient        = "112233445566778899001"
	agentSubject       = "weir@example.com"
)

// forge is a vendor with a small organization that can be changed.
type forge struct {
	t        testing.TB
	url      string
	clock    *clockwork.FakeClock
	mu       sync.Mutex
	users    map[string]object // by id
	groups   map[string]object
	members  map[string]map[string]object // by group and id
	roles    []object                     // assignments
	tokens   map[string][]object
	asps     map[string][]object
	log      []object // newest first
	missing  []string // scopes that nobody has authorized
	next     int
	lose     string // what is lost of the next write: request or answer
	answer   func(w http.ResponseWriter, r *http.Request) bool
	wrote    []string // writes: method, path and body
	noRoles  bool     // the subject may not read roles
	page     int      // elements of a page; 0: all
	subjects []string // who was acted as
	key      string   // the service account's
}

func newForge(t testing.TB) *forge {
	f := &forge{
		t: t, key: forgeKey(), clock: clockwork.NewFakeClockAt(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), next: 900,
		users: map[string]object{}, groups: map[string]object{}, members: map[string]map[string]object{}, tokens: map[string][]object{}, asps: map[string][]object{},
	}
	for id, name := range map[string]string{ana: "ana", ben: "ben", held: "held", weir: "weir", root1: "root1", root2: "root2"} {
		f.users[id] = object{
			"kind": "admin#directory#user", "id": id, "primaryEmail": name + "@example.com", "isAdmin": strings.HasPrefix(name, "root"), "isDelegatedAdmin": id == weir,
			"suspended": id == held, "changePasswordAtNextLogin": false, "lastLoginTime": "2026-02-01T08:00:00.000Z",
			"aliases": []string{name + ".alias@example.com"}, "nonEditableAliases": []string{name + "@example.test-google-a.com"},
			"emails": []object{{"address": name + "@example.com", "primary": true}, {"address": name + "@home.test"}},
		}
	}
	f.users[held]["suspensionReason"] = byAdmin
	for id, name := range map[string]string{team: "team", inner: "inner", outer: "outer"} {
		f.groups[id] = object{"id": id, "name": name, "email": name + "@example.com", "directMembersCount": "1"}
		f.members[id] = map[string]object{}
	}
	f.join(team, ana, "MANAGER")
	f.join(inner, ana, "MEMBER")
	f.members[outer][inner] = object{"id": inner, "email": "inner@example.com", "role": "MEMBER", "type": "GROUP"}
	f.roles = []object{
		{"roleAssignmentId": "1", "roleId": superRole, "assignedTo": root1, "scopeType": "CUSTOMER"},
		{"roleAssignmentId": "2", "roleId": helpRole, "assignedTo": ben, "scopeType": "CUSTOMER"},
		{"roleAssignmentId": "3", "roleId": helpRole, "assignedTo": ben, "scopeType": "ORG_UNIT", "orgUnitId": "03ph8a2z1xyz"},
		{"roleAssignmentId": "4", "roleId": helpRole, "assignedTo": weir, "scopeType": "CUSTOMER"},
	}
	f.tokens[ana] = []object{
		{"clientId": crm, "displayText": "Some CRM", "userKey": ana, "scopes": []string{scopePrefix + "drive", "openid"}},
		{"clientId": "77-def.apps.googleusercontent.com", "displayText": "Notes", "userKey": ana, "scopes": []string{"openid"}},
	}
	f.asps[ana] = []object{{"codeId": 7, "name": "mail", "creationTime": "1700000000", "lastTimeUsed": "0", "userKey": ana}}
	s := httptest.NewServer(f.routes())
	t.Cleanup(s.Close)
	f.url = s.URL
	return f
}

func (f *forge) join(group, id, role string) {
	f.members[group][id] = object{"id": id, "email": f.users[id]["primaryEmail"], "role": role, "type": "USER", "status": "ACTIVE"}
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

// forgeKey is a service account's key, made for the tests.
var forgeKey = sync.OnceValue(func() string {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		panic(err)
	}
	return string(encode(object{
		"type": "service_account", "private_key_id": "k1", "client_email": "weir@acme.iam.gserviceaccount.com", "client_id": agentClient,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}))
})

func (f *forge) open() *session {
	f.t.Helper()
	c := defaults()
	c.BaseURL, c.Auth.Subject, c.Auth.Credentials = f.url, agentSubject, secret.New(f.key)
	return f.openWith(c)
}

func (f *forge) openWith(c *Config) *session {
	f.t.Helper()
	base, err := httpx.New(httpx.Options{Instance: "acme", Clock: f.clock, Wall: clockwork.NewRealClock(), UserAgent: "weir/test"})
	require.NoError(f.t, err)
	f.t.Cleanup(base.Close)
	s, err := open(f.t.Context(), sources.Env{Instance: "acme", Clock: f.clock, HTTP: base}, c)
	require.NoError(f.t, err)
	return s.(*session)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, reason, message string) {
	reply(w, status, object{"error": object{"code": status, "message": message, "errors": []object{{"domain": "global", "reason": reason, "message": message}}}})
}

func gone(w http.ResponseWriter, what string) {
	refuse(w, 404, "notFound", "Resource Not Found: "+what)
}

func (f *forge) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", f.token)
	f.directory(mux)
	mux.HandleFunc("GET "+pathAdminLog, func(w http.ResponseWriter, r *http.Request) {
		f.list(w, r, "admin#reports#activities", "items", f.log)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.clock.Advance(100 * time.Millisecond) // so that nobody waits for quota
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.answer != nil && f.answer(w, r) {
			return
		}
		if r.Method == http.MethodGet || r.URL.Path == "/token" {
			mux.ServeHTTP(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		f.wrote = append(f.wrote, r.Method+" "+strings.TrimPrefix(r.URL.EscapedPath(), directory)+" "+string(body))
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

// token gives out tokens for what an assertion asks for, all or nothing.
func (f *forge) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	parts := strings.Split(r.Form.Get("assertion"), ".")
	raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Scope, Sub string }
	_ = json.Unmarshal(raw, &claims)
	f.subjects = append(f.subjects, claims.Sub)
	for s := range strings.FieldsSeq(claims.Scope) {
		if slices.Contains(f.missing, s) {
			reply(w, 401, object{"error": "unauthorized_client", "error_description": "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested."})
			return
		}
	}
	reply(w, 200, object{"access_token": base64.RawURLEncoding.EncodeToString([]byte(claims.Scope)), "expires_in": 3599, "token_type": "Bearer"})
}

// list answers with a page of a listing, and with its token.
func (f *forge) list(w http.ResponseWriter, r *http.Request, kind, member string, all []object) {
	out := object{"kind": kind}
	from := 0
	_, _ = fmt.Sscanf(r.URL.Query().Get("pageToken"), "p%d", &from)
	rest := all[from:]
	if f.page > 0 && len(rest) > f.page {
		rest = rest[:f.page]
		out["nextPageToken"] = fmt.Sprintf("p%d", from+f.page)
	}
	if len(rest) > 0 {
		out[member] = rest
	}
	reply(w, 200, out)
}

func body(r *http.Request) (o object) {
	_ = json.NewDecoder(r.Body).Decode(&o)
	return o
}

// user finds a user by id, or one of the addresses that are its own.
func (f *forge) user(key string) object {
	for id, u := range f.users {
		aliases, _ := u["aliases"].([]string)
		if id == key || u["primaryEmail"] == key || slices.Contains(aliases, key) {
			return u
		}
	}
	return nil
}

// happened puts an event of a user into the log.
func (f *forge) happened(event string, u object) {
	at := f.clock.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	f.log = slices.Insert(f.log, 0, object{
		"id": object{"time": at, "uniqueQualifier": "-1", "applicationName": "admin"}, "actor": object{"email": agentSubject},
		"events": []object{{"type": "USER_SETTINGS", "name": event, "parameters": []object{{"name": "USER_EMAIL", "value": u["primaryEmail"]}}}},
	})
}
