package googleworkspace

import (
	"slices"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/sources"
	"weir/sources/auth"
)

const scopePrefix = "https://www.googleapis.com/auth/"

// Scopes, by what needs them (section 3.5 of the sheet).
const (
	scopeUsers      = scopePrefix + "admin.directory.user.readonly"
	scopeDomains    = scopePrefix + "admin.directory.domain.readonly"
	scopeCustomer   = scopePrefix + "admin.directory.customer.readonly"
	scopeGroups     = scopePrefix + "admin.directory.group.readonly"
	scopeRoles      = scopePrefix + "admin.directory.rolemanagement.readonly"
	scopeSecurity   = scopePrefix + "admin.directory.user.security"
	scopeReports    = scopePrefix + "admin.reports.audit.readonly"
	scopeMetadata   = scopePrefix + "drive.metadata.readonly"
	scopeDriveRead  = scopePrefix + "drive.readonly"
	scopeDrive      = scopePrefix + "drive"
	scopeUsersWrite = scopePrefix + "admin.directory.user"
	scopeMembers    = scopePrefix + "admin.directory.group.member"
	scopeRolesWrite = scopePrefix + "admin.directory.rolemanagement"
	scopeTransfer   = scopePrefix + "admin.datatransfer"
	scopeAlerts     = scopePrefix + "apps.alerts"
)

// consentScopes are those that an administrator is asked for; manageScopes are
// for actions.
var (
	consentScopes = []string{scopeUsers, scopeDomains, scopeCustomer, scopeGroups, scopeRoles, scopeSecurity, scopeReports, scopeAlerts, scopeDriveRead}
	manageScopes  = []string{scopeUsersWrite, scopeMembers, scopeRolesWrite, scopeTransfer}
)

// consent implements Connector.Consent.
func consent(_ sources.Env, c setting.Struct) (*auth.Consent, error) {
	cfg, ok := c.(*Config)
	if !ok {
		return nil, fault.New(fault.Permanent, "google_workspace: settings are a %T", c)
	}
	if cfg.Auth.ClientID == "" {
		return nil, nil
	}
	h, scopes := cfg.hosts(), consentScopes
	if cfg.Auth.Manage {
		scopes = slices.Concat(scopes, manageScopes)
	}
	if h.token == "" {
		h.token = "https://oauth2.googleapis.com"
	}
	// Without prompt=consent a second consent gives no refresh token.
	params := map[string]string{"access_type": "offline", "prompt": "consent"}
	if cfg.Domain != "" {
		params["hd"] = cfg.Domain
	}
	return &auth.Consent{
		AuthorizeURL: h.accounts + "/o/oauth2/v2/auth", TokenURL: h.tokenURL(),
		ClientID: cfg.Auth.ClientID, ClientSecret: cfg.Auth.ClientSecret.Value, RedirectURL: cfg.Auth.RedirectURL,
		Scopes: scopes, Params: params,
		Hint: "Sign in as an administrator whose roles the agent shall use; what that person may not see is not collected, and files of others are not at all. Of a client in testing the grant ends after 7 days.",
	}, nil
}
