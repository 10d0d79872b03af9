package github

import (
	"errors"
	"net/http"

	"weir/sources"
	"weir/sources/auth"
	"weir/sources/httpx"
)

// way is how an instance authenticates.
type way int

const (
	wayNone way = iota
	wayApp
	wayOAuth
	wayToken
)

// way returns the way that the configuration chooses.
func (a *Auth) way() way {
	switch {
	case !a.PrivateKey.IsZero():
		return wayApp
	case !a.ClientSecret.IsZero():
		return wayOAuth
	case !a.Token.IsZero():
		return wayToken
	}
	return wayNone
}

// fault returns what would be right, "" when it is.
func (a *Auth) fault() string {
	ways := 0
	for _, given := range []bool{!a.PrivateKey.IsZero(), !a.ClientSecret.IsZero(), !a.Token.IsZero()} {
		if given {
			ways++
		}
	}
	const all = "app_id or client_id with private_key (a GitHub App), client_id with client_secret (an OAuth app), or token"
	switch {
	case ways != 1:
		return "exactly one of: " + all
	case a.way() == wayApp && (a.AppID == "") == (a.ClientID == ""):
		return "one of app_id and client_id beside private_key"
	case a.way() == wayOAuth && (a.ClientID == "" || a.AppID != "" || a.InstallationID != ""):
		return "client_id and nothing else beside client_secret"
	case a.way() == wayToken && a.AppID+a.ClientID+a.InstallationID != "":
		return "nothing else beside token"
	}
	return ""
}

func newAuthorizer(env sources.Env, cfg *Config, u urls) (httpx.Authorizer, error) {
	switch cfg.Auth.way() {
	case wayApp:
		return auth.NewGitHubApp(auth.GitHubApp{
			HTTP: env.HTTP, Clock: env.Clock, BaseURL: u.api, Header: http.Header{"Accept": {mediaType}, apiVersionHeader: {apiVersion}},
			ClientID: first(cfg.Auth.ClientID, cfg.Auth.AppID), Key: cfg.Auth.PrivateKey.Value,
			InstallationID: cfg.Auth.InstallationID, Organization: cfg.Org, Classify: classify,
		})
	case wayOAuth:
		c, err := consent(env, cfg)
		if err != nil {
			return nil, err
		}
		return auth.NewConsented(auth.Consented{Instance: env.Instance, Vault: env.Vault, Consent: c, HTTP: env.HTTP, Clock: env.Clock})
	case wayToken:
		return auth.Static("Authorization", "Bearer ", cfg.Auth.Token.Value), nil
	default:
		return nil, errors.New("github: " + cfg.Auth.fault()) // configs has validated it
	}
}

// readScopes let an OAuth app read all that Weir collects but for private
// repositories, which GitHub has no read-only scope for, and organization
// roles.
var readScopes = []string{"read:org", "read:user", "user:email", "read:audit_log"}
