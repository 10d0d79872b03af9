package github

import (
	"github.com/go-json-experiment/json/jsontext"
)

// scalar is what a JSON string, number or bool says, as text; "" for null,
// objects and arrays. GitHub writes some ids as numbers here and strings there.
type scalar string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *scalar) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	*s = scalarOf(v)
	return nil
}

func scalarOf(v jsontext.Value) scalar {
	switch v.Kind() {
	case '"':
		inner := v[1 : len(v)-1]
		for _, c := range inner {
			if c == '\\' {
				b, err := jsontext.AppendUnquote(nil, v)
				if err != nil && len(b) == 0 {
					return scalar(inner)
				}
				return scalar(b)
			}
		}
		return scalar(inner)
	case '0', 't', 'f':
		return scalar(v)
	default:
		return ""
	}
}

// wireOrg is an organization: GET /orgs/{org}.
type wireOrg struct {
	ID             scalar `json:"id"`
	Login          string `json:"login"`
	BasePermission string `json:"default_repository_permission"` // read write admin none; owners only
	Plan           struct {
		Name string `json:"name"`
	} `json:"plan"`
}

// wireUser is a simple user, and what some lists add.
type wireUser struct {
	ID     scalar `json:"id"`
	Login  string `json:"login"`
	NodeID string `json:"node_id"`
	Type   string `json:"type"` // User Bot Organization

	// Of a team's members.
	Role      string `json:"role"`      // member maintainer; older Enterprise Servers leave it out
	Inherited bool   `json:"inherited"` // comes from a child team

	// Of collaborators.
	RoleName    string            `json:"role_name"`
	Permissions map[string]scalar `json:"permissions"`

	// Of organization roles.
	Assignment    string     `json:"assignment"` // direct indirect mixed
	InheritedFrom []wireTeam `json:"inherited_from"`
}

// wireInvitation is an invitation to the organization.
type wireInvitation struct {
	ID        scalar `json:"id"`
	NodeID    string `json:"node_id"`
	Login     string `json:"login"`
	Email     string `json:"email"`
	Role      string `json:"role"`
	CreatedAt string `json:"created_at"`
}

// wireTeam is a team, and what some lists add.
type wireTeam struct {
	ID          scalar    `json:"id"`
	NodeID      string    `json:"node_id"`
	Name        string    `json:"name"`
	Slug        string    `json:"slug"`
	Description string    `json:"description"`
	Privacy     string    `json:"privacy"` // closed secret
	Parent      *wireTeam `json:"parent"`
	CreatedAt   string    `json:"created_at"`
	UpdatedAt   string    `json:"updated_at"`

	// Of a repository's teams.
	Permission string `json:"permission"`
	RoleName   string `json:"role_name"`

	// Of organization roles.
	Assignment    string     `json:"assignment"`
	InheritedFrom []wireTeam `json:"inherited_from"`
}

// wireRole is an organization role.
type wireRole struct {
	ID          scalar   `json:"id"`
	Name        string   `json:"name"`
	BaseRole    string   `json:"base_role"`
	Source      string   `json:"source"`
	Permissions []string `json:"permissions"`
}

// wireRepo is a repository.
type wireRepo struct {
	ID            scalar   `json:"id"`
	NodeID        string   `json:"node_id"`
	Name          string   `json:"name"`
	FullName      string   `json:"full_name"`
	Owner         wireUser `json:"owner"`
	Private       bool     `json:"private"`
	Visibility    string   `json:"visibility"` // public private internal
	HTMLURL       string   `json:"html_url"`
	DefaultBranch string   `json:"default_branch"`
	CreatedAt     string   `json:"created_at"`
	PushedAt      string   `json:"pushed_at"`
}

// wireKey is a deploy key.
type wireKey struct {
	ID       scalar `json:"id"`
	ReadOnly bool   `json:"read_only"`
	LastUsed string `json:"last_used"`
	AddedBy  string `json:"added_by"`
	Enabled  *bool  `json:"enabled"`
}

// wireTree is a Git tree.
type wireTree struct {
	SHA       string           `json:"sha"`
	Tree      []jsontext.Value `json:"tree"`
	Truncated bool             `json:"truncated"`
}

// wireEntry is an entry of a Git tree.
type wireEntry struct {
	Path string `json:"path"`
	Mode string `json:"mode"`
	Type string `json:"type"` // blob tree commit
	SHA  string `json:"sha"`
	Size *int64 `json:"size"`
}

// wireInstallation is a GitHub App installed in the organization.
type wireInstallation struct {
	ID          scalar            `json:"id"`
	AppID       scalar            `json:"app_id"`
	AppSlug     string            `json:"app_slug"`
	ClientID    string            `json:"client_id"`
	Permissions map[string]scalar `json:"permissions"`
	Selection   string            `json:"repository_selection"` // all selected
	CreatedAt   string            `json:"created_at"`
	SuspendedAt string            `json:"suspended_at"`
}

// wireCredential is a credential authorized for single sign-on.
type wireCredential struct {
	Login        string   `json:"login"`
	CredentialID scalar   `json:"credential_id"`
	AuthorizedID scalar   `json:"authorized_credential_id"` // of the token or key itself
	Type         string   `json:"credential_type"`
	AuthorizedAt string   `json:"credential_authorized_at"`
	AccessedAt   string   `json:"credential_accessed_at"`
	Scopes       []string `json:"scopes"`
	Title        string   `json:"authorized_credential_title"`
	Note         string   `json:"authorized_credential_note"`
	ExpiresAt    string   `json:"authorized_credential_expires_at"`
}

// wirePAT is a fine-grained personal access token with access to the
// organization.
type wirePAT struct {
	ID          scalar                       `json:"id"` // of its access to the organization
	TokenID     scalar                       `json:"token_id"`
	Owner       wireUser                     `json:"owner"`
	Selection   string                       `json:"repository_selection"`
	Permissions map[string]map[string]scalar `json:"permissions"` // by organization, repository, other
	GrantedAt   string                       `json:"access_granted_at"`
	TokenName   string                       `json:"token_name"`
	Expired     bool                         `json:"token_expired"`
	ExpiresAt   string                       `json:"token_expires_at"`
	LastUsedAt  string                       `json:"token_last_used_at"`
}

// wireMember is an edge of GraphQL's organization.membersWithRole.
type wireMember struct {
	Role         string     `json:"role"` // ADMIN MEMBER
	HasTwoFactor *bool      `json:"hasTwoFactorEnabled"`
	Node         memberNode `json:"node"`
}

type memberNode struct {
	ID             string   `json:"id"` // REST's node_id
	DatabaseID     scalar   `json:"databaseId"`
	Login          string   `json:"login"`
	Name           string   `json:"name"`
	Email          string   `json:"email"`
	Company        string   `json:"company"`
	CreatedAt      string   `json:"createdAt"`
	UpdatedAt      string   `json:"updatedAt"`
	VerifiedEmails []string `json:"organizationVerifiedDomainEmails"`
}

// wireIdentity is a node of GraphQL's samlIdentityProvider.externalIdentities.
type wireIdentity struct {
	SAML *struct {
		NameID   string      `json:"nameId"`
		Username string      `json:"username"`
		Emails   []wireEmail `json:"emails"`
	} `json:"samlIdentity"`
	SCIM *struct {
		Username string      `json:"username"`
		Emails   []wireEmail `json:"emails"`
	} `json:"scimIdentity"`
	User *struct {
		Login      string `json:"login"`
		DatabaseID scalar `json:"databaseId"`
	} `json:"user"`
}

type wireEmail struct {
	Value string `json:"value"`
}
