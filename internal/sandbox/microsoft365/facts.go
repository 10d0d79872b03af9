package microsoft365

import "time"

// Facts are what the contract sheet says, where another answer would be another
// API: Flips tell them wrongly, one by one.
type Facts struct {
	OfficeFacts

	// Paging and deltas (5.0).
	Users, Groups, Members, Apps, Grants Page
	Audits, SignIns, Details             Page
	ActivityUsers                        int // users on a page when their activity is selected, at most
	DeltaPage, DeltaMembers              int // objects on a page of a delta, members on one
	DeltaLife                            time.Duration
	NextLink, DeltaLink, Removed         string
	SoftDeleted, HardDeleted             string // reasons of a removal
	MembersDelta                         string // what follows "members" and "owners" in a delta
	GoneStatus                           int    // of an old delta token
	GoneCode                             string
	FreshLink                            string // header with where to begin again
	BatchMax                             int
	DependencyStatus                     int

	// Users and apps (5.1).
	ID, PrincipalName, Enabled, UserType, Guest, External, Pending string
	Activity, LastSuccess, LastAttempt, LastSilent                 string
	Registered, AppID, ManagedIdentity, OwnerTenant                string
	Verified                                                       string

	// Groups, roles and grants (5.2, 5.3, 5.7).
	GroupTypes, Unified, Dynamic, TypePrefix     string
	Principal, RoleDefinition, DirectoryScope    string
	StartTime, EndTime, MemberType               string
	Client, ConsentType, AllPrincipals, GrantFor string
	AppRole                                      string

	// Logs (5.4, 5.5).
	AuditTime, SignInTime, AuditAction, Initiator, Targets, Result, SignInStatus string
	SignInTypes                                                                  string
	RiskLevel                                                                    string
	NewestFirst                                                                  bool // without an order
	OnlyInteractive                                                              bool // v1.0, and beta without a filter
	StrictOperators                                                              bool // gt and lt are refused
	QuotedValues                                                                 bool // of changes: JSON in strings
	LogKept                                                                      time.Duration

	// Tokens (3).
	TokenLife     time.Duration
	TokenType     string
	AssertionType string
	AssertionAge  time.Duration // an assertion may last

	// Limits (6).
	RiskRequests   int // a second
	ReportRequests int // of ReportWindow
	ReportWindow   time.Duration
	Units          [3]int // of DirectoryWindow, by the tenant's size
	UnitWindow     time.Duration
	TooManyStatus  int
	TooManyCode    string
	Fractions      bool // in Retry-After

	// Errors (7).
	BadToken, NoPermission, NoReportPermission, NoPremium, NoResource, BadRequest string
}

// Page is how a list is paged.
type Page struct{ Default, Max int }

const day = 24 * time.Hour

// Default returns what the sheet says. What it leaves open stands in docs/sandbox.md.
func Default() Facts {
	list := Page{100, 999}
	return Facts{
		OfficeFacts: defaultOffice(),

		Users: list, Groups: list, Members: list, Apps: list, Grants: list,
		Audits: list, SignIns: Page{1000, 1000}, Details: list,
		ActivityUsers: 120, DeltaPage: 200, DeltaMembers: 60, DeltaLife: 7 * day,
		NextLink: "@odata.nextLink", DeltaLink: "@odata.deltaLink", Removed: "@removed", SoftDeleted: "changed", HardDeleted: "deleted", MembersDelta: "@delta",
		GoneStatus: 410, GoneCode: "syncStateNotFound", FreshLink: "Location", BatchMax: 20, DependencyStatus: 424,

		ID: "id", PrincipalName: "userPrincipalName", Enabled: "accountEnabled", UserType: "userType", Guest: "Guest", External: "externalUserState", Pending: "PendingAcceptance",
		Activity: "signInActivity", LastSuccess: "lastSuccessfulSignInDateTime", LastAttempt: "lastSignInDateTime", LastSilent: "lastNonInteractiveSignInDateTime",
		Registered: "isMfaRegistered", AppID: "appId", ManagedIdentity: "ManagedIdentity", OwnerTenant: "appOwnerOrganizationId", Verified: "verifiedPublisher",

		GroupTypes: "groupTypes", Unified: "Unified", Dynamic: "DynamicMembership", TypePrefix: "#microsoft.graph.",
		Principal: "principalId", RoleDefinition: "roleDefinitionId", DirectoryScope: "directoryScopeId", StartTime: "startDateTime", EndTime: "endDateTime", MemberType: "memberType",
		Client: "clientId", ConsentType: "consentType", AllPrincipals: "AllPrincipals", GrantFor: "principalId", AppRole: "appRoleId",

		AuditTime: "activityDateTime", SignInTime: "createdDateTime", AuditAction: "activityDisplayName", Initiator: "initiatedBy", Targets: "targetResources", Result: "result", SignInStatus: "status",
		SignInTypes: "signInEventTypes", RiskLevel: "riskLevelDuringSignIn",
		NewestFirst: true, OnlyInteractive: true, StrictOperators: true, QuotedValues: true, LogKept: 30 * day,

		TokenLife: time.Hour, TokenType: "Bearer", AssertionType: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", AssertionAge: 24 * time.Hour,

		RiskRequests: 1, ReportRequests: 5, ReportWindow: 10 * time.Second, Units: [3]int{3500, 5000, 8000}, UnitWindow: 10 * time.Second,
		TooManyStatus: 429, TooManyCode: "TooManyRequests", Fractions: true,

		BadToken: "InvalidAuthenticationToken", NoPermission: "Authorization_RequestDenied", NoReportPermission: "Authentication_MSGraphPermissionMissing",
		NoPremium: "Authentication_RequestFromNonPremiumTenantOrB2CTenant", NoResource: "Request_ResourceNotFound", BadRequest: "Request_BadRequest",
	}
}
