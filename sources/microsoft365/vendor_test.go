package microsoft365

import (
	"cmp"
	"encoding/base64"
	"flag"
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
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/rowtest"
	"weir/internal/secret"
	"weir/internal/testclock"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

const (
	testTenant = "41463f53-8812-40f4-890f-865bf6e35190"
	testClient = "0c9d7a34-6b1f-4e52-8f0a-7d3b5c2e9a16"
)

// answer is what the scripted vendor says to one request.
type answer struct {
	status int    // 0: 200
	body   string // "" an empty page
	header map[string]string
}

// vendor answers requests by a script and remembers them.
type vendor struct {
	t      *testing.T
	server *httptest.Server
	clock  clockwork.Clock
	script func(r *http.Request) answer
	tid    string // of tokens

	mu   sync.Mutex
	seen []string // method, path and query
}

func newVendor(t *testing.T, script func(r *http.Request) answer) *vendor {
	v := &vendor{t: t, script: script, clock: testclock.Fast(noon, 50), tid: testTenant}
	v.server = httptest.NewServer(v)
	t.Cleanup(v.server.Close)
	return v
}

// base stands in bodies for the vendor's base URL.
const base = "https://graph.microsoft.com"

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Date", v.clock.Now().UTC().Format(http.TimeFormat))
	if strings.HasSuffix(r.URL.Path, "/token") {
		claims := base64.RawURLEncoding.EncodeToString([]byte(`{"tid":"` + v.tid + `","roles":["User.Read.All","Group.Read.All"]}`))
		_, _ = w.Write([]byte(`{"token_type":"Bearer","expires_in":3599,"access_token":"x.` + claims + `.y"}`))
		return
	}
	v.mu.Lock()
	v.seen = append(v.seen, r.Method+" "+r.URL.RequestURI())
	v.mu.Unlock()
	a := v.script(r)
	for k, value := range a.header {
		h.Set(k, value)
	}
	w.WriteHeader(cmp.Or(a.status, http.StatusOK))
	_, _ = w.Write([]byte(strings.ReplaceAll(cmp.Or(a.body, `{"value":[]}`), base, v.server.URL)))
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
	cfg.TenantID, cfg.GraphBaseURL, cfg.LoginBaseURL, cfg.ManageBaseURL = testTenant, v.server.URL, v.server.URL, v.server.URL
	cfg.Auth.ClientID, cfg.Auth.ClientSecret = testClient, secret.New("sandbox-secret")
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

// read reads a lane to its end and returns its rows, copied, and its last page.
func read(t *testing.T, seq func(func(*sources.Page, error) bool)) (rows schemas.Rows, last sources.Page) {
	t.Helper()
	for page, err := range seq {
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Next), sources.MaxCursor)
		rows.Accounts = append(rows.Accounts, page.Rows.Accounts...)
		rows.Groups = append(rows.Groups, page.Rows.Groups...)
		rows.GroupMembers = append(rows.GroupMembers, page.Rows.GroupMembers...)
		rows.Privileges = append(rows.Privileges, page.Rows.Privileges...)
		rows.Apps = append(rows.Apps, page.Rows.Apps...)
		rows.AppGrants = append(rows.AppGrants, page.Rows.AppGrants...)
		last = *page
	}
	return rows, last
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
