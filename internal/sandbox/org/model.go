// Package org is the pretend organization behind the sandbox: people, groups,
// roles, apps, repositories and grants, and a life on a virtual clock that
// changes them and leaves events. It knows no vendor's API: packages
// sandbox/okta, sandbox/github, sandbox/aws and sandbox/microsoft365 render it.
//
// Everything is made from a seed: the same seed, size and time give the same
// organization, id by id and event by event.
package org

import "time"

// Apps that hold accounts of the organization's people.
const (
	Okta   = "okta"
	GitHub = "github"
	AWS    = "aws"
	// Microsoft365 is its directory: Entra.
	Microsoft365 = "microsoft365"
	// GoogleWorkspace is one customer: its directory, and what its audit log tells.
	GoogleWorkspace = "google_workspace"
)

// State is the organization as it is now. Entities are never removed from its
// slices: their index is their number N, and Gone says since when they do not
// exist any more. Vendors make their ids from App, kind and N.
type State struct {
	Name   string // "acme": also GitHub's organization login and Okta's subdomain
	Domain string // "acme.example"
	Seed   uint64
	Born   time.Time // when the company began
	Since  time.Time // of the first events
	Now    time.Time // of the virtual clock
	Frozen time.Time // since when life stands still; zero: it goes on

	People       []*Person
	Accounts     map[string][]*Account // by app; an app's own numbering
	Groups       map[string][]*Group
	Roles        map[string][]*RoleGrant
	Integrations map[string][]*Integration
	Grants       map[string][]*Grant
	RoleDefs     map[string][]*RoleDef     // custom roles, by app
	ResourceSets map[string][]*ResourceSet // where custom roles apply, by app
	Repos        []*Repo
	Requests     []*Request // GitHub
	Cloud        *Cloud     // at AWS
	Office       *Office    // at Microsoft 365
	Docs         *Docs      // at Google

	// Events are what the vendors' logs show at Now, in the order in which they
	// became visible (Seen), by app. An event's index is its sequence number,
	// which never changes. An event may stand here twice (Again).
	Events map[string][]*Event
	// Timeline is the same without repetitions, in the order in which it
	// happened (At, then N). Late events are put in between.
	Timeline map[string][]*Event

	accountOf map[string][]int32 // by app and person; -1 none
	journal   *journal
}

// Person is a human or, with Service, a machine identity run by the company.
type Person struct {
	N                 int
	Given, Family     string
	Email             string // lower-case, unique
	Title, Department string
	Manager           int  // person; -1 none
	Outside           bool // works for another company
	Service           bool
	Joined, Left      time.Time // Left zero: still there
	Home              Client    // where requests usually come from
	Phone             Client    // IP "": none
	UTCOffset         int       // hours
}

// Status of an account.
type Status string

// Statuses. Each vendor has its own words for them.
const (
	Active          Status = "active"
	Invited         Status = "invited" // not yet accepted (GitHub) or staged (Okta)
	Provisioned     Status = "provisioned"
	Suspended       Status = "suspended"
	Locked          Status = "locked"
	PasswordExpired Status = "password_expired"
	Recovery        Status = "recovery"
	Deprovisioned   Status = "deprovisioned" // deactivated, still listed (Okta); deleted, can be restored (Microsoft 365, Google)
	Archived        Status = "archived"      // Google
)

// Account is a person's account in one app.
type Account struct {
	N, Person       int
	Login           string // GitHub: a handle; Okta: the e-mail address
	Status          Status
	Outside         bool     // GitHub: outside collaborator, not a member
	Owner           bool     // GitHub: organization owner
	Factors         []string // second factors enrolled and active: "push", "webauthn", "token:software:totp", "sms"; empty: none
	PublicEmail     bool     // GitHub: the profile shows the address
	Asked           string   // GitHub: invited by login, as member or admin; an outside collaborator: into the organization
	Blocked         bool     // GitHub: by the organization
	Alias           string   // GitHub: the login that is shown instead, while suspended through SCIM
	Created         time.Time
	Activated       time.Time
	StatusChanged   time.Time
	Modified        time.Time
	LastLogin       time.Time
	PasswordChanged time.Time
	PasswordForced  bool      // Microsoft 365: another one is asked for at the next sign-in
	Synced          bool      // Microsoft 365: it comes from a directory of the company's own
	Silent          time.Time // Microsoft 365: last sign-in without the person
	SessionsFrom    time.Time // Microsoft 365: older sessions were ended
	Aliases         []string  // Google: other addresses
	OrgUnit         int       // Google: number of the resource set
	Reason          string    // Google: why it is suspended, in Google's word
	MustChange      bool      // Google: the password, at the next sign-in
	BackupCodes     int       // Google: how many are left
	Gone            time.Time // deleted, or no member any more
}

// Group is an Okta group, a GitHub team or a group of Entra's.
type Group struct {
	N               int
	Name, Slug      string
	Description     string
	Kind            string // Okta: OKTA_GROUP APP_GROUP BUILT_IN; GitHub: closed secret; Microsoft 365: see Unified; Google: see GoogleGroup
	Parent          int    // GitHub: the parent team; -1 none
	Members         []Member
	Left            []Member // Microsoft 365: who was taken out, and when
	Others          []Ref    // Microsoft 365, Google: members that are no accounts
	Rule            string   // Microsoft 365: by which members are found
	Synced          bool     // Microsoft 365: as at accounts
	Created         time.Time
	Modified        time.Time
	MembersModified time.Time
	Gone            time.Time
}

// Member is one membership. Role: member, or owner (Okta, Google) / maintainer
// (GitHub) / manager (Google).
// An owner of an Okta group need not be a member: one who is both stands twice.
type Member struct {
	Account int
	Role    string
	Since   time.Time
}

// RoleGrant is an administrative role held by an account, a group, or an
// integration (an Okta service client).
type RoleGrant struct {
	N        int
	Holder   Ref
	Role     string // Okta: SUPER_ADMIN, READ_ONLY_ADMIN, ...; GitHub: an organization role's name
	RoleN    int    // GitHub, Okta custom: number of the role definition; -1 a standard role
	Permits  []string
	Scope    string // "" the whole organization; else the resource set's name
	ScopeN   int    // number of the resource set; -1 the whole organization
	Assigned time.Time
	Eligible bool      // Microsoft 365: to be activated
	Until    time.Time // Microsoft 365: zero for ever
	Gone     time.Time
}

// RoleDef is a custom role: a name for a set of permissions.
type RoleDef struct {
	N                 int
	Name, Description string
	Permits           []string
	Created, Modified time.Time
}

// ResourceSet is a part of the organization that a custom role applies to.
type ResourceSet struct {
	N                 int
	Name, Description string
	Created, Modified time.Time
}

// Integration is an app registered or installed at an app: an OIDC or SAML app
// of Okta, an API service integration, a GitHub App installation.
type Integration struct {
	N            int
	Name         string // catalogue key or slug: "slack", "ci-runner"
	Label        string // shown name
	Kind         string // Okta: OPENID_CONNECT SAML_2_0 API_SERVICE; GitHub: github_app oauth_app
	Publisher    string
	Active       bool
	Scopes       []string // Okta API scopes granted by an admin; GitHub permissions "contents:read"
	RedirectURIs []string
	Selected     bool // GitHub: only on selected repositories
	Created      time.Time
	Modified     time.Time
	SuspendedAt  time.Time
	Gone         time.Time
}

// Grant kinds.
const (
	GrantAPIToken    = "api_token"     // Okta SSWS token of an account
	GrantConsent     = "consent"       // a person let an integration act for them (Okta)
	GrantRefresh     = "refresh_token" // issued to an integration for an account (Okta)
	GrantScope       = "app_scope"     // an Okta API scope an admin gave an integration
	GrantPAT         = "pat"           // GitHub fine-grained personal access token
	GrantAppRole     = "app_role"      // of an API, held by an integration, an account or a group (Microsoft 365)
	GrantAppPassword = "app_password"  // Google: a password for one program
	GrantCredential  = "credential"    // GitHub: classic token or SSH key authorized for single sign-on
)

// Grant is a token, key or consent.
type Grant struct {
	N           int
	Kind        string
	Name        string
	Credential  string // GitHub credentials: "personal access token", "SSH key", "OAuth app token", "GitHub app token"
	Integration int    // -1 none
	Account     int    // -1 none: the app's own
	Scopes      []string
	Created     time.Time
	LastUsed    time.Time // zero never
	Expires     time.Time // zero never
	Resource    int       // Microsoft 365: the integration whose API it opens
	Holder      Ref       // Microsoft 365: the group that is assigned to the resource; zero none
	Modified    time.Time // Microsoft 365: zero never
	Gone        time.Time // revoked
}

// Request is a fine-grained personal access token that waits for an owner's
// approval (GitHub).
type Request struct {
	N, Account       int
	Name, Reason     string
	Scopes           []string
	Created, Expires time.Time
	Gone             time.Time // decided
}

// Repo is a GitHub repository.
type Repo struct {
	N           int
	Name        string
	Visibility  string // private internal public
	Archived    bool
	Description string
	Branch      string // default branch
	Access      []Access
	Keys        []DeployKey
	Files       []Blob // of the default branch, by path
	Created     time.Time
	Modified    time.Time
	Pushed      time.Time // zero: empty repository
	Gone        time.Time
}

// Access is what an account or a team may do with a repository. Role: read
// triage write maintain admin. Invited: not yet accepted.
type Access struct {
	Holder  Ref
	Role    string
	Outside bool
	Invited bool
	N       int // of the invitation
	Since   time.Time
}

// DeployKey is a key that reaches one repository.
type DeployKey struct {
	N        int
	Title    string
	Key      string // of one that was written; "" made up
	ReadOnly bool
	AddedBy  int // account
	Created  time.Time
	LastUsed time.Time
}

// Blob is a file of a repository.
type Blob struct {
	Path string
	Size int64
	Mode string // "100644" "100755" "120000" "160000"
	Hash string // 40 hexadecimal digits
	Text string // what was written through the API; "": it is made up from the rest
}

// RefKind says what a Ref names.
type RefKind string

// Kinds of references.
const (
	AccountRef     RefKind = "account"
	GroupRef       RefKind = "group"
	RoleRef        RefKind = "role"
	IntegrationRef RefKind = "integration"
	GrantRef       RefKind = "grant"
	RepoRef        RefKind = "repo"
	KeyRef         RefKind = "key" // N is the repository's
	PolicyRef      RefKind = "policy"
	OrgRef         RefKind = "org"
	SystemRef      RefKind = "system" // the vendor itself
	AnonymousRef   RefKind = "anonymous"
	CloudUserRef   RefKind = "cloud_user"
	CloudRoleRef   RefKind = "cloud_role" // Name: the session's
)

// Ref names an entity of an event's app.
type Ref struct {
	Kind RefKind
	N    int
	Name string // where no entity stands behind it
}

// Client is where a request came from.
type Client struct {
	IP            string
	Country, City string
	CountryCode   string
	ASN           int64
	UserAgent     string
	Device        string // Computer, Mobile
}

// Change is one attribute's change.
type Change struct{ Name, Old, New string }

// Event is something that happened in an app, as its log tells.
type Event struct {
	N       int       // what the vendor makes the event's id from: not its place in the log
	At      time.Time // when it happened
	Seen    time.Time // when the log showed it; later than At by minutes to days for late events
	Verb    Verb
	Actor   Ref
	Targets []Ref   // in the order documented at the verb
	Client  *Client // never nil
	Session string  // "" none
	MFA     bool    // the session had a second factor
	Failed  bool
	Again   bool   // the log shows an event that it has shown before
	Outside bool   // GitHub: the actor was an outside collaborator
	Reason  string // vendor's word for the failure
	Via     Ref    // credential or integration used; zero: a browser session
	Changes []Change
	Text    string     // free detail: a branch, a policy's name
	Call    *CloudCall // AWS
	Risk    string     // Microsoft 365: high medium low; "" none
	RiskAt  time.Time  // since when the risk is known
	Work    *Work      // OfficeLog
	Report  *Report    // Google: Reported
	Doc     *DocWork   // Google: of files
}

// Verb is what happened, in no vendor's words.
type Verb string

// Verbs of both apps, with their targets.
const (
	SignIn Verb = "sign_in" // actor: the account, or anonymous with Text = the login tried; Okta: session start; GitHub: SSO response

	AccountCreate    Verb = "account_create"   // account
	AccountActivate  Verb = "account_activate" // account
	AccountUpdate    Verb = "account_update"   // account; Changes: title department email ...
	AccountSuspend   Verb = "account_suspend"
	AccountUnsuspend Verb = "account_unsuspend"
	AccountRemove    Verb = "account_remove" // Okta: deactivated; GitHub: removed from the organization
	AccountDelete    Verb = "account_delete" // Okta: deleted for good

	GroupCreate       Verb = "group_create"        // group
	GroupUpdate       Verb = "group_update"        // group; Changes: name description
	GroupDelete       Verb = "group_delete"        // group
	GroupAddMember    Verb = "group_add_member"    // account, group; Microsoft 365: Text: the role
	GroupRemoveMember Verb = "group_remove_member" // account, group

	RoleGrantVerb  Verb = "role_grant"  // holder, role (N of the RoleGrant)
	RoleRevokeVerb Verb = "role_revoke" // holder, role

	IntegrationAdd     Verb = "integration_add"     // integration
	IntegrationUpdate  Verb = "integration_update"  // integration; Changes
	IntegrationSuspend Verb = "integration_suspend" // integration
	IntegrationRemove  Verb = "integration_remove"  // integration

	GrantIssue  Verb = "grant_issue"  // grant, then its integration or account
	GrantRevoke Verb = "grant_revoke" // grant, then its integration or account
)

// Verbs of Okta.
const (
	SignOut         Verb = "sign_out"        // account
	SSO             Verb = "sso"             // integration
	MFAVerify       Verb = "mfa_verify"      // account
	MFAEnroll       Verb = "mfa_enroll"      // account
	PasswordChange  Verb = "password_change" // account
	PasswordReset   Verb = "password_reset"  // account
	AccountLock     Verb = "account_lock"    // account
	AccountUnlock   Verb = "account_unlock"  // account
	AppAssign       Verb = "app_assign"      // account, integration
	AppUnassign     Verb = "app_unassign"    // account, integration
	PolicyUpdate    Verb = "policy_update"   // policy
	ThreatDetected  Verb = "threat_detected" // none; actor anonymous or system
	RateLimitWarned Verb = "rate_limit_warn" // none; actor system
	SessionsClear   Verb = "sessions_clear"  // account; its sessions were ended by an administrator
	PasswordExpire  Verb = "password_expire" // account
	AppResume       Verb = "app_resume"      // integration
)

// Verbs of GitHub.
const (
	MemberInvite      Verb = "member_invite"       // account
	MemberRole        Verb = "member_role"         // account; Changes: role
	RepoCreate        Verb = "repo_create"         // repo
	RepoDelete        Verb = "repo_delete"         // repo
	RepoVisibility    Verb = "repo_visibility"     // repo; Changes: visibility
	RepoArchive       Verb = "repo_archive"        // repo
	RepoAddAccess     Verb = "repo_add_access"     // repo, account or group; Changes: permission
	RepoRemoveAccess  Verb = "repo_remove_access"  // repo, account or group
	RepoDownload      Verb = "repo_download"       // repo
	BranchProtection  Verb = "branch_protection"   // repo; Text: branch
	KeyAdd            Verb = "key_add"             // repo, key
	HookCreate        Verb = "hook_create"         // org or repo
	GitClone          Verb = "git_clone"           // repo
	GitFetch          Verb = "git_fetch"           // repo
	GitPush           Verb = "git_push"            // repo
	PullRequestMerge  Verb = "pull_request_merge"  // repo; Text: number
	TwoFactorRequired Verb = "two_factor_required" // org
	OutsideRemove     Verb = "outside_remove"      // account: an outside collaborator
	InviteCancel      Verb = "invite_cancel"       // account
	MemberBlock       Verb = "member_block"        // account
	MemberUnblock     Verb = "member_unblock"      // account
	TeamRole          Verb = "team_role"           // account, group; Changes: role
	RepoUnarchive     Verb = "repo_unarchive"      // repo
	RepoChangeAccess  Verb = "repo_change_access"  // repo, account or group; Changes: permission
	RepoCancelInvite  Verb = "repo_cancel_invite"  // repo, account
	KeyRemove         Verb = "key_remove"          // repo, key
	RequestDeny       Verb = "request_deny"        // account
)

// Verbs of Entra.
const (
	TokenRefresh   Verb = "token_refresh"   // account; a sign-in without the person. Via: the integration
	AppSignIn      Verb = "app_sign_in"     // none; actor: the integration
	AccountRestore Verb = "account_restore" // account
)

// Kinds of references that only groups of Entra's have as members.
const (
	DeviceRef  RefKind = "device"
	ContactRef RefKind = "contact"
)

// CloudCalled is the verb of AWS: Call tells what was called.
const CloudCalled Verb = "cloud_called"
