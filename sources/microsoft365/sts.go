package microsoft365

import (
	"context"
	"net/http"
	"regexp"
	"sync/atomic"

	"weir/internal/fault"
	"weir/sources/auth"
	"weir/sources/httpx"
)

// tenantTokens are the app's tokens of one audience. A token of another tenant is
// refused before a request is sent with it, and a refusal of Entra's token
// endpoint says what to do.
type tenantTokens struct {
	*auth.Tokens
	tenant  string
	further bool                   // without it a part of the streams stops, and not the instance
	good    atomic.Pointer[string] // the token that was looked at last
}

var _ httpx.Authorizer = (*tenantTokens)(nil)

// Token returns a token that has not ended.
func (t *tenantTokens) Token(ctx context.Context) (auth.Token, error) {
	token, err := t.Tokens.Token(ctx)
	if err != nil {
		return auth.Token{}, explainToken(err, t.further)
	}
	if good := t.good.Load(); good == nil || *good != token.Access {
		if _, err := readClaims(token.Access, t.tenant); err != nil {
			return auth.Token{}, err
		}
		t.good.Store(&token.Access)
	}
	return token, nil
}

// Authorize implements httpx.Authorizer.
func (t *tenantTokens) Authorize(ctx context.Context, r *http.Request) error {
	if _, err := t.Token(ctx); err != nil {
		return err
	}
	return t.Tokens.Authorize(ctx, r)
}

// Refused implements httpx.Authorizer.
func (t *tenantTokens) Refused(ctx context.Context, r *http.Request, answer *httpx.Response) (bool, error) {
	again, err := t.Tokens.Refused(ctx, r, answer)
	return again, explainToken(err, t.further)
}

// stsCode is the code of a refusal by Entra's token endpoint, which stands in its
// description.
var stsCode = regexp.MustCompile(`AADSTS[0-9]+`)

const notConsented = "this API is not in the tenant: check cloud, and have an administrator consent to the app's permissions on it (weir connect)"

// stsAdvice says what to do about one.
var stsAdvice = map[string]string{
	"AADSTS7000215": "client_secret is wrong: it wants the secret's value, not its id",
	"AADSTS7000222": "the client secret has expired: make another one",
	"AADSTS50012":   "the certificate is refused: upload it to the app registration, and check this machine's clock",
	"AADSTS700027":  "the certificate is refused: upload it to the app registration, and check this machine's clock",
	"AADSTS700016":  "the app is not in this tenant: check client_id, tenant_id and cloud, and have an administrator consent (weir connect)",
	"AADSTS90002":   "there is no such tenant: check tenant_id and cloud",
	"AADSTS7000112": "the app is disabled in this tenant: enable it under Enterprise applications",
	"AADSTS50001":   notConsented,
	"AADSTS500011":  notConsented,
}

// explainToken adds what to do about a refusal of the token endpoint. That a
// further API is not in the tenant stops what needs it alone.
func explainToken(err error, further bool) error {
	_, description := auth.RefusalOf(err)
	code := stsCode.FindString(description)
	advice, known := stsAdvice[code]
	if !known {
		return err
	}
	class := fault.Auth
	if further && advice == notConsented {
		class = fault.Forbidden
	}
	return fault.New(class, "%w; %s", err, advice)
}
