package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/googleworkspace"
	"weir/schemas"
)

// What changes in a My Drive, and is told by a push channel, is in ClickHouse within
// seconds, though nothing is due for a day.
func TestPushLatency(t *testing.T) {
	l := listening(t, googleworkspace.Vendor(), "privileges", "apps", "activities", "alerts")
	const users = 5 // what can be told of them, a channel each
	require.Eventually(t, func() bool {
		return l.tenant.Handler().(*googleworkspace.Handler).Channels() >= users+len(l.drives())
	}, 2*time.Minute, 50*time.Millisecond)
	address := map[string]string{}
	for _, a := range l.truth.Accounts {
		address[a.AccountID] = a.Email
	}
	l.measure("a push channel", func(f *schemas.File, content string) bool {
		// What has a hash has content of its own; what has an owner is in a My Drive.
		if f.Hash == "" || f.OwnerID == "" {
			return false
		}
		status := upload(t, l.tenant.Base, driveToken(t, l.own, address[f.OwnerID]), f.FileID, content)
		if status != http.StatusForbidden { // locked
			require.Equal(t, 200, status)
		}
		return status == http.StatusOK
	})
}

// driveToken is the service account's, as somebody.
func driveToken(t *testing.T, config, subject string) string {
	t.Helper()
	var settings struct {
		Auth struct{ Credentials string } `yaml:"auth"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(config), &settings))
	var account struct {
		Email string `json:"client_email"`
		KeyID string `json:"private_key_id"`
		Key   string `json:"private_key"`
		URI   string `json:"token_uri"`
	}
	require.NoError(t, json.Unmarshal([]byte(settings.Auth.Credentials), &account))
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(account.Key))
	require.NoError(t, err)
	now := time.Now()
	assertion := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": account.Email, "sub": subject, "aud": account.URI, "scope": "https://www.googleapis.com/auth/drive", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	assertion.Header["kid"] = account.KeyID
	signed, err := assertion.SignedString(key)
	require.NoError(t, err)
	return tokenOf(t, account.URI, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {signed}})
}

// upload gives a file other content.
func upload(t *testing.T, base, token, file, content string) int {
	t.Helper()
	address := base + "/upload/drive/v3/files/" + url.PathEscape(file) + "?uploadType=media"
	answer := person(t, http.MethodPatch, address, content, http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"text/plain"}})
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode
}
