package googleworkspace

import "time"

// Facts are what the contract sheet says about Google Workspace, where another
// answer would be another API: a test that turns one of them round shows that a
// connector depends on it. Sections are those of the sheet.
type Facts struct {
	DriveFacts

	// Lists (5).
	Users, Groups, Members, Roles, Assignments, Activities Page
	UsersTokenLife                                         time.Duration // of a page token of users
	ChainLife                                              time.Duration // how long a chain of pages may take
	NextPage                                               string        // member
	EmptyOmitted                                           bool          // an empty list has no member
	CustomerNeeded                                         bool          // customer or domain must be told
	DeletedOnly                                            bool          // showDeleted shows deleted users alone
	LowerAssignee                                          bool          // assigneeType is lower-case
	LongText                                               bool          // an int64 is text
	SuspendedTokens                                        int           // status of the tokens of a suspended user

	// Members and words of the directory (5, 8).
	UserID, PrimaryEmail, Suspended, Archived, AgreedToTerms       string
	LastLogin, Created, Deleted, Enrolled, IsAdmin, Delegated      string
	GuestUser, OrgUnitPath, Organizations, Relations, FullName     string
	SuspendedByAdmin                                               string // suspensionReason
	MemberRole, MemberType, TypeUser, TypeGroup, TypeCustomer      string
	RoleOwner, RoleManager, RoleMember                             string
	RoleName, AssignedTo, AssigneeType, ScopeType, UnitOf          string
	ClientID, DisplayText, Scopes, CodeID, AspCreated, AspLastUsed string
	Never                                                          string // a time that never was

	// Reports (5.7).
	NewestFirst                     bool
	Retention                       time.Duration
	Lag                             map[string]time.Duration // how late an application's log usually is, at most
	GmailSpan                       time.Duration
	NeedsGmailWindow                bool
	UniqueQualifier, Events         string
	Parameters, ActorEmail, Profile string
	CallerType                      string
	IPAddress, RegionCode           string

	// Token endpoint (3).
	TokenLife     time.Duration
	AssertionLife time.Duration
	GrantType     string // of an assertion
	Rotates       bool   // refreshing gives another refresh token
	TokenType     string

	// Limits (6), in a minute.
	DirectoryRate, ReportsRate, FilterRate int
	UserRateStatus                         int
	UserRate                               string

	// Errors (7).
	Reason      string // member of errors[]
	EmptyStatus int    // of an answer without a body

	// Channels (10).
	ReportsChannel, DirectoryChannel              time.Duration // longest life
	DirectoryChannelDefault                       time.Duration
	ChannelToken, ChannelState, ChannelExpiration string // headers
	ChannelID, ChannelResource, ChannelMessage    string
	SyncState                                     string
}

// Default returns what the sheet says.
func Default() Facts {
	return Facts{
		DriveFacts: defaultDrive(),

		Users: Page{100, 500}, Groups: Page{200, 200}, Members: Page{200, 200}, Roles: Page{100, 100}, Assignments: Page{200, 200}, Activities: Page{1000, 1000},
		UsersTokenLife: 3 * day, ChainLife: time.Hour, NextPage: "nextPageToken", EmptyOmitted: true, CustomerNeeded: true, DeletedOnly: true, LowerAssignee: true, LongText: true,
		SuspendedTokens: 401,

		UserID: "id", PrimaryEmail: "primaryEmail", Suspended: "suspended", Archived: "archived", AgreedToTerms: "agreedToTerms",
		LastLogin: "lastLoginTime", Created: "creationTime", Deleted: "deletionTime", Enrolled: "isEnrolledIn2Sv", IsAdmin: "isAdmin", Delegated: "isDelegatedAdmin",
		GuestUser: "isGuestUser", OrgUnitPath: "orgUnitPath", Organizations: "organizations", Relations: "relations", FullName: "fullName", SuspendedByAdmin: "ADMIN",
		MemberRole: "role", MemberType: "type", TypeUser: "USER", TypeGroup: "GROUP", TypeCustomer: "CUSTOMER", RoleOwner: "OWNER", RoleManager: "MANAGER", RoleMember: "MEMBER",
		RoleName: "roleName", AssignedTo: "assignedTo", AssigneeType: "assigneeType", ScopeType: "scopeType", UnitOf: "orgUnitId",
		ClientID: "clientId", DisplayText: "displayText", Scopes: "scopes", CodeID: "codeId", AspCreated: "creationTime", AspLastUsed: "lastTimeUsed",
		Never: "1970-01-01T00:00:00.000Z",

		Lag: map[string]time.Duration{
			"admin": 2 * time.Minute, "saml": 2 * time.Minute, "chat": 2 * time.Minute, "chrome": 2 * time.Minute, "mobile": 2 * time.Minute, "context_aware_access": 2 * time.Minute,
			"access_evaluation": 2 * time.Minute, "login": 2 * time.Minute, "login changes": 40 * time.Minute, "calendar": 100 * time.Minute, "groups": 100 * time.Minute,
			"token": 100 * time.Minute, "": 50 * time.Minute,
		},
		NewestFirst: true, Retention: 180 * day, GmailSpan: 30 * day, NeedsGmailWindow: true,
		UniqueQualifier: "uniqueQualifier", Events: "events", Parameters: "parameters", ActorEmail: "email", Profile: "profileId", CallerType: "callerType",
		IPAddress: "ipAddress", RegionCode: "regionCode",

		TokenLife: 3599 * time.Second, AssertionLife: time.Hour, GrantType: "urn:ietf:params:oauth:grant-type:jwt-bearer", TokenType: "Bearer",

		DirectoryRate: 2400, ReportsRate: 2400, FilterRate: 250, UserRateStatus: 403, UserRate: "userRateLimitExceeded",

		Reason: "reason", EmptyStatus: 204,

		ReportsChannel: 6 * time.Hour, DirectoryChannel: 48 * time.Hour, DirectoryChannelDefault: 2 * time.Hour,
		ChannelToken: "X-Goog-Channel-Token", ChannelState: "X-Goog-Resource-State", ChannelExpiration: "X-Goog-Channel-Expiration",
		ChannelID: "X-Goog-Channel-ID", ChannelResource: "X-Goog-Resource-ID", ChannelMessage: "X-Goog-Message-Number", SyncState: "sync",
	}
}
