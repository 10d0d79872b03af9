package okta

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/org"
)

func (r *rig) send(method, path, body string) answer {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, r.base+path, strings.NewReader(body))
	require.NoError(r, err)
	req.Header.Set("Authorization", "SSWS "+TokenValid)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "test")
	resp, err := r.client.Do(req)
	require.NoError(r, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(r, err)
	return answer{resp.StatusCode, resp.Header, bytes.TrimSpace(b)}
}

func TestWrites(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	user := ""
	r.h.t.World.View(func(s *org.State) {
		for _, a := range s.Accounts[org.Okta] {
			if a.Status == org.Active && a.N > 8 && a.Gone.IsZero() {
				user = "/api/v1/users/" + id(seedOf(s), kindUser, a.N)
			}
		}
	})
	status := func() any { return r.get(user).object(t)["status"] }
	require.Equal(t, 200, r.send("POST", user+"/lifecycle/suspend", "").status)
	require.Equal(t, "SUSPENDED", status())
	again := r.send("POST", user+"/lifecycle/suspend", "")
	require.Equal(t, 400, again.status)
	require.Equal(t, "E0000001", again.code(t))
	require.Equal(t, "E0000038", r.send("POST", user+"/lifecycle/expire_password", "").code(t))
	require.Equal(t, 200, r.send("POST", user+"/lifecycle/unsuspend", "").status)
	require.Equal(t, 400, r.send("POST", user+"/lifecycle/unsuspend", "").status)
	require.Equal(t, 400, r.send("POST", user+"/lifecycle/reset_password", "").status, "sendEmail is required")
	require.Equal(t, "ACTIVE", status())
	require.Contains(t, string(r.send("POST", user+"/lifecycle/reset_password?sendEmail=false", "").body), LinkSecret)
	require.Equal(t, "RECOVERY", status())
	require.Equal(t, 204, r.send("DELETE", user+"/sessions?oauthTokens=true", "").status)
	require.Equal(t, 400, r.send("POST", user+"/roles", `{"type":"NO_SUCH_ROLE"}`).status)
	require.Equal(t, 400, r.send("POST", user+"/roles", `[`).status)
	require.Equal(t, 201, r.send("POST", user+"/roles", `{"type":"READ_ONLY_ADMIN"}`).status)
	require.Equal(t, 404, r.send("DELETE", user+"/roles/none", "").status)
	require.Empty(t, r.broken)
	require.Equal(t, 405, r.send("PUT", user+"/lifecycle/suspend", "").status)
	require.Equal(t, 404, r.send("DELETE", user+"/everything", "").status)
	require.Equal(t, []string{"no such endpoint to write to", "no such endpoint to write to"}, r.broken)

	r.clock.Advance(2 * time.Hour) // until late ones are shown, too
	for _, event := range []string{"user.lifecycle.suspend", "user.lifecycle.unsuspend", "user.account.reset_password", "user.session.clear", "user.account.privilege.grant"} {
		filter := `eventType eq "` + event + `" and target.id eq "` + strings.TrimPrefix(user, "/api/v1/users/") + `"`
		require.NotEmpty(t, r.get("/api/v1/logs?sortOrder=DESCENDING&limit=1&filter="+q(filter)).list(t), event)
	}
}
