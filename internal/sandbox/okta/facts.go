package okta

import (
	"time"

	"weir/internal/sandbox/org"
)

// Facts are what the contract sheet says about Okta, where another answer would
// be another API: a test that turns one of them round shows that a connector
// depends on it. Sections are those of the sheet.
type Facts struct {
	// Lists (5). A limit of 0 is the default; larger ones are cut to the cap.
	Logs, Users, Groups, GroupUsers, GroupOwners Page
	Assignees, Apps, UserGrants, Tokens          Page
	AppUsers, Clients, Services, IAM             Page

	RelSelf, RelNext string // relations of Link headers
	BodyNext         string // key of the next link in the body of IAM lists
	OneLinkLine      bool   // relations are joined in one header line
	IAMInBody        bool   // IAM endpoints page in the body, not by Link headers
	AppGrantsPaged   bool   // /apps/{id}/grants
	APITokensPaged   bool   // /api-tokens

	// System Log (5.1).
	PollEndless      bool          // polling has a next link even on an empty page
	BoundedEnds      bool          // a bounded query's last page has none
	PollBySeen       bool          // polling is ordered, and since compared, by persistence time
	BoundedOmitsLate bool          // a bounded query lacks late events
	LateAfter        time.Duration // an event seen later than this after it happened is late
	Retention        time.Duration
	SinceDefault     time.Duration // before until
	SinceLimit       time.Duration // since further back than this is refused

	// Users and groups (5.2, 5.3).
	PlainHidesDeprovisioned bool
	FilterShowsHidden       bool // filter and search show them
	OwnersInUsers           bool // /groups/{id}/users holds owners too
	Everyone                string
	Status                  map[org.Status]string

	// Field names.
	UUID, Published, EventType, Outcome, Target              string
	LastUpdated, LastLogin, ManagerID                        string
	MembershipUpdated                                        string
	AssignmentType, CustomRole, ResourceSet                  string
	ScopeID, ClientID, GrantedScopes, ExpiresAt, TokenWindow string

	// Meanings.
	Success, Failure, Allow string // outcome.result
	ByUser, ByGroup         string // assignmentType
	Admin, EndUser          string // source of grants
	SystemActor             string // actor.type of the vendor itself
	NullZone                string // client.zone where there is none

	// Auth (3).
	Schemes        map[string]string // "api": SSWS, "bearer": Bearer, "dpop": DPoP
	TokenPath      string
	TokenLife      time.Duration
	AssertionMax   time.Duration // exp of an assertion, ahead
	AssertionType  string
	JTIOnce        bool
	AudiencePath   string // the assertion's audience, below the base URL
	ProofAge       time.Duration
	HTUQuery       bool // htu of a proof holds the query
	NonceHeader    string
	NonceLife      time.Duration
	NonceKeep      time.Duration
	RotationLeeway time.Duration

	// Rate limits (6).
	Limits                                       map[string]int // requests a minute and organization, by bucket; 0 none
	ClientShare                                  int            // percent of a bucket that one client may use
	Window                                       time.Duration
	LimitHeader, RemainingHeader, ResetHeader    string
	ResetMillis                                  bool // the reset is in milliseconds
	Concurrent                                   int  // requests at once, of the organization
	PollEvery                                    time.Duration
	ClientConcurrent, LogConcurrent              int // what a client should keep to
	StatusRate, StatusUnauthorized, StatusDenied int

	// Errors (7).
	ErrToken, ErrDenied, ErrNotFound, ErrMethod, ErrRate string
	ErrLogQuery, ErrFilter, ErrTimeout, ErrReadOnly      string
	ErrBadRequest                                        string
}

// Page is how a list is paged.
type Page struct{ Default, Max int }

// Buckets of the rate limits.
const (
	bucketLogs    = "/api/v1/logs"
	bucketUsers   = "/api/v1/users"
	bucketUser    = "/api/v1/users/{id}"
	bucketGroups  = "/api/v1/groups"
	bucketGroup   = "/api/v1/groups/{id}"
	bucketApps    = "/api/v1/apps"
	bucketClients = "/oauth2/v1/clients"
	bucketOther   = "/api/v1"
	bucketNone    = ""
)

const day = 24 * time.Hour

// Default returns what the sheet says.
func Default() Facts {
	return Facts{
		Logs:  Page{100, 1000},
		Users: Page{200, 200}, Groups: Page{10000, 10000}, GroupUsers: Page{1000, 1000}, GroupOwners: Page{1000, 1000},
		Assignees: Page{100, 100}, Apps: Page{20, 200}, UserGrants: Page{20, 200}, Tokens: Page{20, 200},
		AppUsers: Page{50, 500}, Clients: Page{50, 200}, Services: Page{20, 20}, IAM: Page{20, 20},

		RelSelf: "self", RelNext: "next", BodyNext: "next", IAMInBody: true,

		PollEndless: true, BoundedEnds: true, PollBySeen: true, BoundedOmitsLate: true,
		LateAfter: 2 * time.Minute, Retention: 90 * day, SinceDefault: 7 * day, SinceLimit: 180 * day,

		PlainHidesDeprovisioned: true, FilterShowsHidden: true, Everyone: "BUILT_IN",
		Status: map[org.Status]string{
			org.Active: "ACTIVE", org.Invited: "STAGED", org.Provisioned: "PROVISIONED", org.Suspended: "SUSPENDED",
			org.Locked: "LOCKED_OUT", org.PasswordExpired: "PASSWORD_EXPIRED", org.Recovery: "RECOVERY", org.Deprovisioned: "DEPROVISIONED",
		},

		UUID: "uuid", Published: "published", EventType: "eventType", Outcome: "outcome", Target: "target",
		LastUpdated: "lastUpdated", LastLogin: "lastLogin", ManagerID: "managerId", MembershipUpdated: "lastMembershipUpdated",
		AssignmentType: "assignmentType", CustomRole: "role", ResourceSet: "resource-set",
		ScopeID: "scopeId", ClientID: "clientId", GrantedScopes: "grantedScopes", ExpiresAt: "expiresAt", TokenWindow: "tokenWindow",

		Success: "SUCCESS", Failure: "FAILURE", Allow: "ALLOW", ByUser: "USER", ByGroup: "GROUP", Admin: "ADMIN", EndUser: "END_USER",
		SystemActor: "SystemPrincipal", NullZone: "null",

		Schemes:   map[string]string{"api": "SSWS", "bearer": "Bearer", "dpop": "DPoP"},
		TokenPath: "/oauth2/v1/token", TokenLife: time.Hour, AssertionMax: time.Hour,
		AssertionType: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		JTIOnce:       true, AudiencePath: "/oauth2/v1/token", ProofAge: 5 * time.Minute,
		NonceHeader: "dpop-nonce", NonceLife: day, NonceKeep: 3 * day, RotationLeeway: 30 * time.Second,

		Limits: map[string]int{
			bucketLogs: 120, bucketUsers: 600, bucketUser: 2000, bucketGroups: 500, bucketGroup: 1000,
			bucketApps: 100, bucketClients: 100, bucketOther: 1200,
		},
		ClientShare: 50, Window: time.Minute,
		LimitHeader: "X-Rate-Limit-Limit", RemainingHeader: "X-Rate-Limit-Remaining", ResetHeader: "X-Rate-Limit-Reset",
		Concurrent: 75, PollEvery: 10 * time.Second, ClientConcurrent: 4, LogConcurrent: 1,
		StatusRate: 429, StatusUnauthorized: 401, StatusDenied: 403,

		ErrToken: "E0000011", ErrDenied: "E0000006", ErrNotFound: "E0000007", ErrMethod: "E0000022", ErrRate: "E0000047",
		ErrLogQuery: "E0000053", ErrFilter: "E0000031", ErrTimeout: "E0000009", ErrReadOnly: "E0000010", ErrBadRequest: "E0000001",
	}
}
