package github

import "time"

// Facts are the statements of GitHub's contract that clients depend on. Tests
// change them one by one: a client that takes one for granted must notice.
type Facts struct {
	// Paging of lists.
	DefaultPerPage int
	MaxPerPage     int
	FirstPage      int    // number of the first page
	NextRel        string // of the Link header's entry for the next page
	NumericLinks   bool   // Link holds numeric ids instead of logins

	// Audit log.
	AuditPerPage      int // most rows of a page
	AuditInclude      string
	AuditOrder        string
	AuditTimeField    string
	AuditIDField      string
	AuditActorField   string
	AuditTimeUnit     time.Duration
	AuditWindowMonths int // searched without created:
	WebRetention      time.Duration
	GitRetention      time.Duration
	CreatedResolution time.Duration
	GitCreatedAt      bool // git rows have created_at
	AfterInclusive    bool // the row a cursor stands at comes again
	InvalidCursor     int  // status
	AuditUnlicensed   int  // status where the plan has no audit log
	EmptyPageEvery    int  // one page in so many is empty though rows follow; 0: none
	NoIDEvery         int  // one row in so many has no document id; 0: none
	CountryField      string

	// Accounts.
	OwnerEdge       string // GraphQL's role of an owner
	MemberEdge      string
	OwnerRole       string // REST's role of an owner
	InvitationLife  time.Duration
	InvitationsEMU  int // status where accounts are managed
	OutsideInMember bool

	// Teams.
	Maintainer      string
	TeamRole        bool // listed members carry role
	InheritedField  string
	InheritedListed bool // a team lists the members of its child teams
	TeamTimesInList bool // the list of teams has created_at, too

	// Privileges.
	RolesField       string // of the wrapper around organization roles
	AssignmentField  string
	RoleNameField    string // of a collaborator
	BasePermission   string
	DirectAndOutside bool // affiliation=direct lists outside collaborators, too

	// Repositories.
	EmptyRepository int // status of an empty repository's tree
	TreeLimit       int
	AnyRecursive    bool // whatever its value, the parameter turns recursion on

	// Apps and grants.
	InstallationsField string
	SuspendedField     string
	CredentialsLink    bool // the list of credentials has a Link header
	PATsAppOnly        bool

	// Authentication.
	InstallationTokenLife time.Duration
	JWTLife               time.Duration // longest
	JWTSkew               time.Duration
	CodeLife              time.Duration
	TokensPerApp          int // of one user, app and set of scopes
	OAuthErrorStatus      int
	ScopeSeparator        string
	BadCredentials        int // status

	// Limits.
	CorePerHour        int
	AuditPerHour       int
	GraphQLPerHour     int
	SecondaryPerMinute int // points: a read 1, a write 5
	SecondaryWait      time.Duration
	Concurrent         int
	LimitStatus        int
}

// Default returns the facts as GitHub documents them.
func Default() Facts {
	return Facts{
		DefaultPerPage: 30, MaxPerPage: 100, FirstPage: 1, NextRel: "next", NumericLinks: true,

		AuditPerPage: 100, AuditInclude: "web", AuditOrder: "desc",
		AuditTimeField: "@timestamp", AuditIDField: "_document_id", AuditActorField: "actor", AuditTimeUnit: time.Millisecond,
		AuditWindowMonths: 3, WebRetention: 180 * day, GitRetention: 7 * day, CreatedResolution: time.Second,
		InvalidCursor: 422, AuditUnlicensed: 404, EmptyPageEvery: 20, NoIDEvery: 997, CountryField: "country_code",

		OwnerEdge: "ADMIN", MemberEdge: "MEMBER", OwnerRole: "admin", InvitationLife: 7 * day, InvitationsEMU: 404,

		Maintainer: "maintainer", TeamRole: true, InheritedField: "inherited", InheritedListed: true,

		RolesField: "roles", AssignmentField: "assignment", RoleNameField: "role_name", BasePermission: "read", DirectAndOutside: true,

		EmptyRepository: 409, TreeLimit: 100_000, AnyRecursive: true,

		InstallationsField: "installations", SuspendedField: "suspended_at", PATsAppOnly: true,

		InstallationTokenLife: time.Hour, JWTLife: 10 * time.Minute, JWTSkew: time.Minute, CodeLife: 10 * time.Minute,
		TokensPerApp: 10, OAuthErrorStatus: 200, ScopeSeparator: ",", BadCredentials: 401,

		CorePerHour: 5000, AuditPerHour: 1750, GraphQLPerHour: 5000,
		SecondaryPerMinute: 900, SecondaryWait: time.Minute, Concurrent: 100, LimitStatus: 403,
	}
}

const day = 24 * time.Hour
