package microsoft365

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/auth"
	"weir/sources/httpx"
)

// unsigned returns a token that says what claims say.
func unsigned(t *testing.T, claims map[string]any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	require.NoError(t, err)
	return "e30." + base64.RawURLEncoding.EncodeToString(body) + ".c2ln"
}

// entra returns tokens of a token endpoint that gives one answer.
func entra(t *testing.T, status int, answer map[string]any, further bool) *tenantTokens {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		body, _ := json.Marshal(answer)
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	clock := clockwork.NewFakeClockAt(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC))
	base, err := httpx.New(httpx.Options{Instance: "acme", Clock: clock, UserAgent: "weir/test", Dump: io.Discard})
	require.NoError(t, err)
	t.Cleanup(base.Close)
	tokens, err := auth.NewClientSecret(auth.ClientSecret{
		HTTP: base, Clock: clock, TokenURL: server.URL + "/" + testTenant + "/oauth2/v2.0/token", ClientID: "app",
		Secret: func() (string, error) { return "hunter2", nil }, Scopes: []string{"https://graph.microsoft.com/.default"},
	})
	require.NoError(t, err)
	return &tenantTokens{Tokens: tokens, tenant: testTenant, further: further}
}

func TestRefusalsOfTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	f := func(code string, further bool, class fault.Class, want string) {
		t.Helper()
		tokens := entra(t, 401, map[string]any{"error": "invalid_client", "error_description": code + ": the vendor's words about hunter2. Trace ID: x"}, further)
		err := tokens.Authorize(t.Context(), &http.Request{Header: http.Header{}})
		require.ErrorContains(t, err, code)
		require.ErrorContains(t, err, want)
		require.Equal(t, class, fault.Of(err))
		require.NotContains(t, err.Error(), "hunter2")
	}
	f("AADSTS7000215", false, fault.Auth, "the secret's value")
	f("AADSTS7000222", false, fault.Auth, "has expired")
	f("AADSTS50012", false, fault.Auth, "certificate")
	f("AADSTS700016", false, fault.Auth, "client_id")
	f("AADSTS700016", true, fault.Auth, "client_id")
	f("AADSTS90002", false, fault.Auth, "tenant_id")
	f("AADSTS7000112", false, fault.Auth, "Enterprise applications")
	f("AADSTS500011", false, fault.Auth, "cloud")
	f("AADSTS500011", true, fault.Forbidden, "consent")
	f("AADSTS50001", true, fault.Forbidden, "consent")
	f("AADSTS99999999", false, fault.Auth, "the vendor's words")
}

// A token of another tenant is sent nowhere.
func TestTokenOfAnotherTenant(t *testing.T) {
	t.Parallel()
	f := func(access string) (string, error) {
		t.Helper()
		tokens := entra(t, 200, map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": access}, false)
		r := &http.Request{Header: http.Header{}}
		err := tokens.Authorize(t.Context(), r)
		return r.Header.Get("Authorization"), err
	}
	for _, access := range []string{unsigned(t, map[string]any{"tid": testTenant}), unsigned(t, map[string]any{"roles": []string{"User.Read.All"}}), "opaque"} {
		sent, err := f(access)
		require.NoError(t, err)
		require.Equal(t, "Bearer "+access, sent)
	}
	sent, err := f(unsigned(t, map[string]any{"tid": "ffffffff-8812-40f4-890f-865bf6e35190"}))
	require.ErrorContains(t, err, "ffffffff")
	require.Equal(t, fault.Auth, fault.Of(err))
	require.Empty(t, sent)
}

// Behind a gateway the vendor's links still name its own host; requests go to
// the gateway alone.
func TestLinksBehindAGateway(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(r *http.Request) answer {
		switch {
		case r.URL.Query().Get("$skiptoken") != "":
			return answer{body: `{"value":[{"id":"g2","displayName":"Second"}]}`}
		case r.URL.Path == pathGroups: // the escape keeps the host as it is
			return answer{body: `{"value":[{"id":"g1","displayName":"First"}],"@odata.nextLink":"https:\/\/graph.microsoft.com/v1.0/groups?$skiptoken=a%2Fb"}`}
		case r.URL.Path == pathGroupsDelta:
			return answer{body: `{"value":[],"@odata.deltaLink":"https:\/\/graph.microsoft.com/v1.0/groups/delta?$deltatoken=d"}`}
		}
		return answer{}
	})
	rows, last := read(t, stream(t, v.open(nil), "groups").Read(t.Context(), sources.Lane{}, ""))
	require.Len(t, rows.Groups, 2)
	require.Contains(t, v.requests(), "GET /v1.0/groups?$skiptoken=a%2Fb", "byte for byte")
	at, err := parseCursor(last.Delta)
	require.NoError(t, err)
	require.Equal(t, "/v1.0/groups/delta?$deltatoken=d", at.At)
}
