package auth

import (
	"context"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
)

// administrator begins the consent of an administrator, which brings no code.
func administrator(t *testing.T, judge func(url.Values) (Grant, error)) (c *connecting, page *url.URL, vault *memory) {
	t.Helper()
	vault = &memory{}
	c = connect(t, t.Context(), &consentServer{}, vault, fakeClock(), func(o *ConnectOptions) {
		o.Consent = &Consent{
			AuthorizeURL: "https://login.example/tenant/v2.0/adminconsent", ClientID: "weir", Scopes: []string{"https://graph.example/.default"},
			Params: map[string]string{"prompt": "admin_consent"},
			Admin:  func(_ context.Context, back url.Values) (Grant, error) { return judge(back) },
		}
	})
	page, err := url.Parse(c.page)
	require.NoError(t, err)
	return c, page, vault
}

func TestAdminConsent(t *testing.T) {
	t.Parallel()
	var got url.Values
	c, page, vault := administrator(t, func(back url.Values) (Grant, error) {
		got = back
		return Grant{Scopes: []string{"User.Read.All"}, Renews: true}, nil
	})
	q := page.Query()
	require.Equal(t, "https://login.example/tenant/v2.0/adminconsent", page.Scheme+"://"+page.Host+page.Path)
	require.Equal(t, url.Values{
		"client_id": {"weir"}, "scope": {"https://graph.example/.default"}, "prompt": {"admin_consent"},
		"state": {q.Get("state")}, "redirect_uri": {q.Get("redirect_uri")},
	}, q, "no code is asked for")

	for _, stranger := range []url.Values{
		{"admin_consent": {"True"}, "tenant": {"t1"}, "state": {"wrong"}},
		{"admin_consent": {"True"}, "tenant": {"t1"}},
		{"state": {q.Get("state")}},
		{"code": {"x"}, "state": {q.Get("state")}},
	} {
		status, _ := visit(t, q.Get("redirect_uri")+"?"+stranger.Encode())
		require.Equal(t, 400, status, stranger)
	}
	back := url.Values{"admin_consent": {"True"}, "tenant": {"t1"}, "state": {q.Get("state")}}
	status, body := visit(t, q.Get("redirect_uri")+"?"+back.Encode())
	require.Equal(t, 200, status)
	require.Contains(t, body, "Connected")
	<-c.done
	require.NoError(t, c.err)
	require.Equal(t, back, got)
	require.Equal(t, Grant{Scopes: []string{"User.Read.All"}, Renews: true}, c.g)
	kept, err := vault.Load(t.Context(), tokensName)
	require.NoError(t, err)
	require.Nil(t, kept, "nothing is kept")
}

func TestAdminConsentThatIsNone(t *testing.T) {
	t.Parallel()
	c, page, _ := administrator(t, func(url.Values) (Grant, error) {
		return Grant{}, fault.New(fault.Auth, "it is of another tenant")
	})
	q := page.Query()
	status, _ := visit(t, q.Get("redirect_uri")+"?"+url.Values{"admin_consent": {"True"}, "state": {q.Get("state")}}.Encode())
	require.Equal(t, 502, status)
	<-c.done
	requireAuth(t, c.err, "it is of another tenant")

	c, page, _ = administrator(t, func(url.Values) (Grant, error) { panic("it was refused") })
	q = page.Query()
	visit(t, q.Get("redirect_uri")+"?"+url.Values{"error": {"access_denied"}, "error_description": {"AADSTS65004: declined"}, "state": {q.Get("state")}}.Encode())
	<-c.done
	requireAuth(t, c.err, "consent was refused in the browser: access_denied: AADSTS65004: declined")
}
