package auth

import (
	"context"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// RemoteSigner signs a Google service account's assertions by the IAM
// Credentials API, with the rights of another identity: this machine's, say
// (connectors/google_workspace.md 3.2).
type RemoteSigner struct {
	Email string // of the service account
	// client sends with that identity's credentials.
	client *httpx.Client
}

// NewRemoteSigner returns a signer. It makes no request. baseURL is that of the
// API: https://iamcredentials.googleapis.com.
func NewRemoteSigner(base *httpx.Base, baseURL, email string, caller httpx.Authorizer) (*RemoteSigner, error) {
	client, err := base.Client(httpx.Config{BaseURL: baseURL, Auth: caller, MaxBody: 1 << 20, Timeout: 30 * time.Second})
	if err != nil {
		return nil, err
	}
	return &RemoteSigner{Email: email, client: client}, nil
}

func (s *RemoteSigner) sign(ctx context.Context, claims jwt.MapClaims) (string, error) {
	payload, err := json.Marshal(map[string]any(claims), json.Deterministic(true))
	if err != nil {
		return "", fault.New(fault.Permanent, "the assertion's claims: %w", err)
	}
	body, err := json.Marshal(struct {
		Payload   string   `json:"payload"`
		Delegates []string `json:"delegates"`
	}{string(payload), []string{}})
	if err != nil {
		return "", fault.New(fault.Permanent, "the assertion's claims: %w", err)
	}
	resp, err := s.client.Do(ctx, &httpx.Request{
		Method: http.MethodPost, Path: httpx.P("/v1/projects/-/serviceAccounts/{email}:signJwt", s.Email), Body: body, Idempotent: true,
	})
	if err != nil {
		return "", s.explain(err)
	}
	var answer struct {
		SignedJWT string `json:"signedJwt"`
	}
	if err := httpx.Decode(resp, &answer); err != nil {
		return "", err
	}
	if answer.SignedJWT == "" {
		return "", fault.New(fault.Transient, "%s: the answer holds no signed token", resp.Endpoint)
	}
	return answer.SignedJWT, nil
}

// explain says what to do about a refusal: without a signature there is no
// token for anything.
func (s *RemoteSigner) explain(err error) error {
	switch fault.Of(err) {
	case fault.Forbidden:
		return fault.New(fault.Auth, "%w: enable iamcredentials.googleapis.com, and grant the caller roles/iam.serviceAccountTokenCreator on the service account %s", err, s.Email)
	case fault.BadData:
		return fault.New(fault.Auth, "%w: is there a service account %s?", err, s.Email)
	}
	return err
}
