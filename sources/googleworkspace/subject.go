package googleworkspace

import (
	"context"
	"net/http"
	"strings"

	"weir/internal/fault"
	"weir/sources/auth"
	"weir/sources/httpx"
)

// authenticate makes what the configured kind of credentials gives tokens by.
func (s *session) authenticate() (err error) {
	a := &s.cfg.Auth
	account := auth.ServiceAccount{HTTP: s.env.HTTP, Clock: s.env.Clock, TokenURL: s.hosts.tokenURL()}
	switch {
	case !a.Credentials.IsZero():
		account.Key = a.Credentials.Value
	case a.ServiceAccount != "":
		ambient, err := s.ambient()
		if err != nil {
			return err
		}
		if account.Signer, err = auth.NewRemoteSigner(s.env.HTTP, s.hosts.iam, a.ServiceAccount, ambient); err != nil {
			return err
		}
	default:
		c, err := consent(s.env, s.cfg)
		if err != nil {
			return err
		}
		s.granted, err = auth.NewConsented(auth.Consented{Instance: s.env.Instance, Vault: s.env.Vault, Consent: c, HTTP: s.env.HTTP, Clock: s.env.Clock})
		return err
	}
	s.delegation, err = auth.NewDelegation(account)
	return err
}

// admin returns a client of the Admin SDK that acts as the administrator, with
// a token for these scopes alone: a scope that was not authorized takes down
// only what needs it. It is cheap, and need not be kept.
func (s *session) admin(scopes ...string) *httpx.Client {
	return s.adminAPI.As(s.cfg.Auth.Subject, s.acting(s.cfg.Auth.Subject, scopes), httpx.Limit{})
}

// as returns a client of Drive that acts as a user, by e-mail address, with a
// token for these scopes alone; subject "" is the administrator. Where an
// administrator granted access there are no other users: requests fail, and are
// not sent. It is cheap, and need not be kept; tokens are, those used last of
// tens of thousands.
func (s *session) as(subject string, scopes ...string) *httpx.Client {
	if subject == "" {
		subject = s.cfg.Auth.Subject
	}
	return s.driveAPI.As(subject, s.acting(subject, scopes), driveUserLimit)
}

// onlyOwnFiles says why credentials by consent reach nobody else's files.
const onlyOwnFiles = "access that an administrator granted in a browser does not reach the files of others: use a service account with domain-wide delegation"

// acting returns the credentials of a subject.
func (s *session) acting(subject string, scopes []string) httpx.Authorizer {
	switch {
	case s.delegation != nil:
		return s.delegated(subject, scopes...)
	case subject == "":
		return s.granted
	}
	return refusing{fault.New(fault.Forbidden, "%s", onlyOwnFiles)}
}

// delegated returns the tokens of the service account as a subject.
func (s *session) delegated(subject string, scopes ...string) *acting {
	return &acting{
		tokens: s.delegation.For(subject, scopes...), delegation: s.delegation,
		subject: subject, scopes: scopes, admin: strings.EqualFold(subject, s.cfg.Auth.Subject),
	}
}

// acting are the tokens of a subject for some scopes. A refusal of the token
// endpoint says what to do.
type acting struct {
	tokens     *auth.Tokens
	delegation *auth.Delegation
	subject    string
	scopes     []string
	admin      bool
}

// Authorize implements httpx.Authorizer.
func (a *acting) Authorize(ctx context.Context, r *http.Request) error {
	return a.explain(a.tokens.Authorize(ctx, r))
}

// Refused implements httpx.Authorizer.
func (a *acting) Refused(ctx context.Context, r *http.Request, answer *httpx.Response) (bool, error) {
	again, err := a.tokens.Refused(ctx, r, answer)
	return again, a.explain(err)
}

// explain classes a refusal of the token endpoint by its error, since the
// status varies. What concerns one subject is no failure of the credentials.
func (a *acting) explain(err error) error {
	code, description := auth.RefusalOf(err)
	if code == "" {
		return err
	}
	class, advice := fault.Auth, ""
	says := func(s string) bool { return strings.Contains(strings.ToLower(description), s) }
	switch {
	case code == "unauthorized_client":
		class, advice = fault.Forbidden, a.delegationAdvice()
	case code == "invalid_scope":
		class, advice = fault.Forbidden, "; the scopes asked for: "+strings.Join(a.scopes, " ")
	case code == "invalid_grant" && says("email or user id"):
		if !a.admin {
			return fault.New(fault.BadData, "%w; nobody can be acted as by the name %s", err, a.subject)
		}
		advice = "; there is no user " + a.subject + ": check auth.subject"
	case code == "invalid_grant" && says("short-lived"):
		advice = "; check this machine's clock"
	case code == "invalid_grant":
		advice = "; the key, or the service account itself, may have been deleted: make another key"
	case code == "access_denied" && !a.admin:
		return fault.New(fault.BadData, "%w; %s cannot be acted as", err, a.subject)
	case code == "access_denied":
		advice = "; a policy blocks the client or " + a.subject + ": trust the client under Security > Access and data control > API controls"
	case code == "internal_failure":
		class = fault.Transient
	}
	return fault.New(class, "%w%s", err, advice)
}

// delegationAdvice says where to authorize scopes.
func (a *acting) delegationAdvice() string {
	who, client := a.delegation.Account()
	if client != "" {
		who = "client id " + client
	}
	return "; authorize " + who + " for the scopes " + strings.Join(a.scopes, ",") +
		" in the Admin console: Security > Access and data control > API controls > Domain-wide delegation (it takes minutes, up to a day)"
}

// refusing is an authorizer that has no credentials.
type refusing struct{ why error }

// Authorize implements httpx.Authorizer.
func (r refusing) Authorize(context.Context, *http.Request) error { return r.why }

// Refused implements httpx.Authorizer.
func (r refusing) Refused(context.Context, *http.Request, *httpx.Response) (bool, error) {
	return false, r.why
}
