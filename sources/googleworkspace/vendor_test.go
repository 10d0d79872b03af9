package googleworkspace

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	command "flag"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/rowtest"
	"weir/internal/secret"
	"weir/internal/testclock"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

var update = command.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

const (
	testCustomer = "C03az79cb"
	testSubject  = "weir@example.com"
)

// answer is what the scripted vendor says to one request.
type answer struct {
	status int // 0: 200
	body   string
	kind   string // Content-Type; "" JSON
}

// vendor answers requests by a script and remembers them.
type vendor struct {
	t      *testing.T
	server *httptest.Server
	clock  *testclock.Clock
	script func(r *http.Request, subject, scopes string) answer
	// refuse says no to a token: the error and its description; "" gives one.
	refuse func(subject, scopes string) (code, description string)

	mu     sync.Mutex
	seen   []string // method, path and query
	tokens []string // subject and scopes of the tokens given
}

func newVendor(t *testing.T, script func(r *http.Request, subject, scopes string) answer) *vendor {
	v := &vendor{t: t, script: script, clock: testclock.Fast(noon, 50)}
	v.server = httptest.NewServer(v)
	t.Cleanup(v.server.Close)
	return v
}

// testKey is a key that is nobody's.
var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// credentials is a service account's key file.
func credentials(t testing.TB) string {
	der, err := x509.MarshalPKCS8PrivateKey(testKey())
	require.NoError(t, err)
	b, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "weir@acme.iam.gserviceaccount.com", "client_id": "100200300", "private_key_id": "k1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	require.NoError(t, err)
	return string(b)
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=UTF-8")
	h.Set("Date", v.clock.Now().UTC().Format(http.TimeFormat))
	if r.URL.Path == "/token" {
		v.token(w, r)
		return
	}
	subject, scopes, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "|")
	v.mu.Lock()
	v.seen = append(v.seen, r.Method+" "+r.URL.RequestURI())
	v.mu.Unlock()
	a := v.script(r, subject, scopes)
	if a.kind != "" {
		h.Set("Content-Type", a.kind)
	}
	w.WriteHeader(cmp.Or(a.status, http.StatusOK))
	_, _ = w.Write([]byte(a.body))
}

// token gives a token that says whose it is and what for.
func (v *vendor) token(w http.ResponseWriter, r *http.Request) {
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(r.FormValue("assertion"), claims, func(*jwt.Token) (any, error) { return &testKey().PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(v.server.URL+"/token"), jwt.WithTimeFunc(v.clock.Now))
	if err != nil || r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`))
		return
	}
	subject, _ := claims["sub"].(string)
	scopes, _ := claims["scope"].(string)
	scopes = strings.ReplaceAll(strings.ReplaceAll(scopes, scopePrefix, ""), " ", ",")
	if v.refuse != nil {
		if code, description := v.refuse(subject, scopes); code != "" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"` + code + `","error_description":"` + description + `"}`))
			return
		}
	}
	v.mu.Lock()
	v.tokens = append(v.tokens, subject+"|"+scopes)
	v.mu.Unlock()
	_, _ = w.Write([]byte(`{"access_token":"` + subject + "|" + scopes + `","expires_in":3599,"token_type":"Bearer"}`))
}

// requests returns what was asked for since the last call.
func (v *vendor) requests() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := v.seen
	v.seen = nil
	return out
}

// open returns a session with the vendor; change may change its configuration.
func (v *vendor) open(change func(*Config)) *session {
	v.t.Helper()
	cfg := defaults()
	cfg.BaseURL, cfg.Auth.Credentials, cfg.Auth.Subject = v.server.URL, secret.New(credentials(v.t)), testSubject
	if change != nil {
		change(cfg)
	}
	require.Empty(v.t, cfg.Validate())
	base, err := httpx.New(httpx.Options{Instance: "test", Clock: v.clock, Wall: clockwork.NewRealClock(), UserAgent: "weir/test"})
	require.NoError(v.t, err)
	v.t.Cleanup(base.Close)
	s, err := open(v.t.Context(), sources.Env{Instance: "test", Clock: v.clock, HTTP: base}, cfg)
	require.NoError(v.t, err)
	return s.(*session)
}

// stream returns one of a session's streams.
func stream(t *testing.T, s *session, name string) sources.Stream {
	t.Helper()
	all := s.Streams()
	i := slices.IndexFunc(all, func(st sources.Stream) bool { return st.Info.Name == name })
	require.GreaterOrEqual(t, i, 0)
	return all[i]
}

// lanesOf lists a stream's lanes.
func lanesOf(t *testing.T, st sources.Stream) (out []sources.Lane) {
	t.Helper()
	if st.Lanes == nil {
		return []sources.Lane{{}}
	}
	for page, err := range st.Lanes(t.Context(), "") {
		require.NoError(t, err)
		out = append(out, page.Lanes...)
		require.LessOrEqual(t, len(page.Next), sources.MaxCursor)
	}
	return out
}

// read reads a lane to its end and returns its rows, copied, and its last page.
func read(t *testing.T, seq func(func(*sources.Page, error) bool)) (rows schemas.Rows, last sources.Page) {
	t.Helper()
	for page, err := range seq {
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Next), sources.MaxCursor)
		add(&rows, page.Rows)
		last = *page
	}
	return rows, last
}

func add(to, more *schemas.Rows) {
	to.Activities = append(to.Activities, more.Activities...)
	to.Accounts = append(to.Accounts, more.Accounts...)
	to.Groups = append(to.Groups, more.Groups...)
	to.GroupMembers = append(to.GroupMembers, more.GroupMembers...)
	to.Privileges = append(to.Privileges, more.Privileges...)
	to.Apps = append(to.Apps, more.Apps...)
	to.AppGrants = append(to.AppGrants, more.AppGrants...)
	to.Files = append(to.Files, more.Files...)
	to.FilePermissions = append(to.FilePermissions, more.FilePermissions...)
}

// readStream reads all lanes of a stream.
func readStream(t *testing.T, s *session, name string) (rows schemas.Rows) {
	t.Helper()
	st := stream(t, s, name)
	for _, l := range lanesOf(t, st) {
		got, last := read(t, st.Read(t.Context(), l, ""))
		require.Empty(t, last.Rejected)
		require.False(t, last.More)
		add(&rows, &got)
	}
	return rows
}

// golden compares a table's rows with a file. Columns that are unknown, and
// raw, are left out of it.
func golden(t *testing.T, name, table string, rows *schemas.Rows) {
	t.Helper()
	var list []rowtest.Row
	for _, row := range rowtest.List(schemas.ByName(table), rows) {
		for k, v := range row {
			if l, ok := v.([]string); v == nil || v == "" || ok && len(l) == 0 || k == "raw" {
				delete(row, k)
			}
		}
		list = append(list, row)
	}
	got, err := json.Marshal(list, json.Deterministic(true), jsontext.WithIndent(" "))
	require.NoError(t, err)
	file := "testdata/" + name + ".golden"
	if *update {
		require.NoError(t, os.WriteFile(file, append(got, '\n'), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got)+"\n")
}

func fixture(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".json")
	require.NoError(t, err)
	return string(b)
}
