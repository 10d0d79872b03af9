package schemas

//go:generate go run ../internal/schemagen ..

// The tags of a column:
//
//	col  its name, then options: key (part of the row's key), lc (few distinct
//	     values: LowCardinality in ClickHouse, dictionary in Parquet),
//	     volatile (compared at day precision), notnull (a Time that is always
//	     known), uncompared (alone it makes no update)
//	enum the accepted values, separated by spaces
//	doc  its meaning
//
// Go types: string, []string, int32, int64 are never NULL; Time and Opt are
// NULL when unknown.

// Activity is one event of an app's audit trail.
type Activity struct {
	EventID       string     `col:"event_id,key" doc:"the vendor's unique id; else a stable hash of the fields named in the connector's docs"`
	Time          Time       `col:"time,notnull" doc:"when it happened, by the vendor's clock; outside 2000-01-01 .. now + 24 h: observed_at"`
	Kind          string     `col:"kind,lc" enum:"signin admin user alert" doc:"family of the event"`
	Action        string     `col:"action,lc" doc:"the vendor's verb, verbatim"`
	Access        string     `col:"access,lc" enum:"read write unknown" doc:"whether it changed anything"`
	Outcome       string     `col:"outcome,lc" enum:"success failure unknown" doc:"how it ended"`
	ErrorCode     string     `col:"error_code,lc" doc:"the vendor's error code"`
	Reason        string     `col:"reason" doc:"the vendor's error text"`
	ActorID       string     `col:"actor_id" doc:"the identity that authenticated; equals accounts.account_id wherever the record holds it"`
	ActorName     string     `col:"actor_name" doc:"its name"`
	ActorEmail    string     `col:"actor_email" doc:"its e-mail address, lower-case"`
	ActorKind     string     `col:"actor_kind,lc" enum:"human guest service bot system anonymous unknown" doc:"what kind of identity it is"`
	EffectiveID   string     `col:"effective_id" doc:"the identity whose rights were used, when another: assumed role, impersonated service account, mailbox owner"`
	EffectiveName string     `col:"effective_name" doc:"its name"`
	CredentialID  string     `col:"credential_id" doc:"access key, API token, service-account key; equals app_grants.grant_id"`
	MFA           Opt[bool]  `col:"mfa" doc:"whether the session was authenticated with a second factor"`
	TargetID      string     `col:"target_id" doc:"the first target's id"`
	TargetName    string     `col:"target_name" doc:"the first target's name"`
	TargetKind    string     `col:"target_kind,lc" enum:"account group role app credential file folder site drive bucket repository container device policy domain session message record org other" doc:"the first target's kind"`
	TargetIDs     []string   `col:"target_ids" doc:"all targets, one entry an object, the primary first, at most 64"`
	TargetNames   []string   `col:"target_names" doc:"their names"`
	TargetKinds   []string   `col:"target_kinds" doc:"their kinds"`
	TargetCount   int32      `col:"target_count" doc:"how many targets the record names"`
	ChangeNames   []string   `col:"change_names" doc:"what changed, at most 32 entries of 1 KiB"`
	ChangeOld     []string   `col:"change_old" doc:"the values before"`
	ChangeNew     []string   `col:"change_new" doc:"the values after"`
	SrcIP         string     `col:"src_ip" doc:"canonical client address: no port, no brackets"`
	SrcHost       string     `col:"src_host" doc:"the sender verbatim when it is no address"`
	IPs           []string   `col:"ips" doc:"all client addresses, src_ip first"`
	Country       string     `col:"country,lc" doc:"only where the vendor says so"`
	City          string     `col:"city" doc:"only where the vendor says so"`
	ASN           Opt[int64] `col:"asn" doc:"autonomous system number, only where the vendor says so"`
	UserAgent     string     `col:"user_agent" doc:"the client's own description"`
	SessionID     string     `col:"session_id" doc:"the vendor's session id"`
	DeviceID      string     `col:"device_id" doc:"the vendor's device id"`
	RequestID     string     `col:"request_id" doc:"the vendor's request id"`
	ClientAppID   string     `col:"client_app_id" doc:"OAuth client used"`
	ClientAppName string     `col:"client_app_name,lc" doc:"OAuth client or product used"`
	Service       string     `col:"service,lc" doc:"workload inside the app: Exchange, s3.amazonaws.com, drive"`
	Region        string     `col:"region,lc" doc:"region of the service"`
	ScopeID       string     `col:"scope_id,lc" doc:"account, subscription, project or organization inside the tenant"`
	ClassUID      int32      `col:"class_uid" doc:"OCSF 1.3 class"`
	ActivityID    int32      `col:"activity_id" doc:"OCSF 1.3 activity within the class"`
	SeverityID    int32      `col:"severity_id" doc:"OCSF 1.3 severity"`
	StatusID      int32      `col:"status_id" doc:"OCSF 1.3 status: 1 success, 2 failure, 0 unknown"`
	Raw           string     `col:"raw" doc:"the vendor's record, byte for byte, but for removed secrets"`
}

// Account is a user, service identity or external collaborator.
type Account struct {
	Diff
	AccountID         string    `col:"account_id,key" doc:"the vendor's id"`
	AliasIDs          []string  `col:"alias_ids" doc:"other ids the vendor uses for the same account"`
	Login             string    `col:"login" doc:"sign-in name"`
	Email             string    `col:"email" doc:"primary e-mail address, lower-case"`
	Emails            []string  `col:"emails" doc:"all known addresses, lower-case, the primary first"`
	EmailVerified     Opt[bool] `col:"email_verified" doc:"whether the vendor has verified the primary address"`
	DisplayName       string    `col:"display_name" doc:"name shown to people"`
	Status            string    `col:"status,lc" enum:"active suspended disabled locked invited deprovisioned deleted unknown" doc:"whether it can sign in"`
	Kind              string    `col:"kind,lc" enum:"human guest service bot unknown" doc:"who uses it"`
	IsAdmin           Opt[bool] `col:"is_admin" doc:"holds an administrator role"`
	MFAEnabled        Opt[bool] `col:"mfa_enabled" doc:"has a second factor"`
	External          Opt[bool] `col:"external" doc:"belongs to another organization"`
	CreatedAt         Time      `col:"created_at" doc:"when it was made"`
	ModifiedAt        Time      `col:"modified_at,volatile" doc:"when it was last changed"`
	LastLoginAt       Time      `col:"last_login_at,volatile" doc:"last sign-in"`
	PasswordChangedAt Time      `col:"password_changed_at" doc:"last change of password"`
	Title             string    `col:"title" doc:"job title"`
	Department        string    `col:"department" doc:"department"`
	ManagerID         string    `col:"manager_id" doc:"the manager's account_id"`
	OrgUnit           string    `col:"org_unit" doc:"place in the vendor's organization tree"`
	Raw               string    `col:"raw,uncompared" doc:"the vendor's record"`
}

// Group is a set of accounts.
type Group struct {
	Diff
	GroupID         string    `col:"group_id,key" doc:"the vendor's id"`
	AliasIDs        []string  `col:"alias_ids" doc:"other ids of the same group"`
	Name            string    `col:"name" doc:"name"`
	Kind            string    `col:"kind,lc" doc:"the vendor's kind of group"`
	Email           string    `col:"email" doc:"the group's address, lower-case"`
	Description     string    `col:"description" doc:"description"`
	ExternalMembers Opt[bool] `col:"external_members" doc:"whether people outside the organization may be members"`
	CreatedAt       Time      `col:"created_at" doc:"when it was made"`
	ModifiedAt      Time      `col:"modified_at,volatile" doc:"when it was last changed"`
	Raw             string    `col:"raw,uncompared" doc:"the vendor's record"`
}

// GroupMember is one membership.
type GroupMember struct {
	Diff
	GroupID    string `col:"group_id,key" doc:"the group"`
	MemberID   string `col:"member_id,key" doc:"the member"`
	MemberKind string `col:"member_kind,lc" enum:"account group service external" doc:"what the member is"`
	Role       string `col:"role,key,lc" doc:"role within the group"`
}

// Privilege is one role or right given to a principal.
type Privilege struct {
	Diff
	PrivilegeID   string    `col:"privilege_id,key" doc:"the vendor's id; else a hash of principal, role, scope, via and condition"`
	PrincipalID   string    `col:"principal_id" doc:"who holds it"`
	PrincipalKind string    `col:"principal_kind,lc" enum:"account group service app anyone" doc:"what the principal is"`
	RoleID        string    `col:"role_id" doc:"the role or policy"`
	RoleName      string    `col:"role_name" doc:"its name"`
	Scope         string    `col:"scope" doc:"where it applies"`
	ScopeKind     string    `col:"scope_kind,lc" doc:"what the scope is"`
	Via           string    `col:"via,lc" enum:"direct group inherited" doc:"how it is held"`
	ViaID         string    `col:"via_id" doc:"the group or parent it comes through"`
	State         string    `col:"state,lc" enum:"active eligible" doc:"in force, or to be activated"`
	Condition     string    `col:"condition" doc:"the vendor's condition, verbatim"`
	AssignedAt    Time      `col:"assigned_at" doc:"since when"`
	ExpiresAt     Time      `col:"expires_at" doc:"until when"`
	Privileged    Opt[bool] `col:"privileged" doc:"whether it allows administration"`
	Raw           string    `col:"raw,uncompared" doc:"the vendor's record"`
}

// File is a file, folder or container of files.
type File struct {
	Diff
	FileID        string     `col:"file_id,key" doc:"the vendor's id"`
	AliasIDs      []string   `col:"alias_ids" doc:"other ids of the same file"`
	Kind          string     `col:"kind,lc" enum:"file folder shortcut container" doc:"what it is"`
	Name          string     `col:"name" doc:"name"`
	Path          string     `col:"path,uncompared" doc:"path within the container"`
	ParentID      string     `col:"parent_id" doc:"the folder"`
	ContainerID   string     `col:"container_id" doc:"drive, site, bucket or repository"`
	ContainerName string     `col:"container_name" doc:"its name"`
	ContainerKind string     `col:"container_kind,lc" enum:"drive site bucket repository space record" doc:"what the container is"`
	OwnerID       string     `col:"owner_id" doc:"the owner's account_id"`
	Size          Opt[int64] `col:"size" doc:"bytes"`
	MimeType      string     `col:"mime_type,lc" doc:"media type"`
	Hash          string     `col:"hash" doc:"the vendor's content hash"`
	HashAlgorithm string     `col:"hash_algorithm,lc" doc:"how hash was made"`
	Labels        []string   `col:"labels" doc:"classification labels"`
	Revision      string     `col:"revision,volatile" doc:"the vendor's revision"`
	CreatedAt     Time       `col:"created_at" doc:"when it was made"`
	ModifiedAt    Time       `col:"modified_at,volatile" doc:"when it was last changed"`
	ModifiedBy    string     `col:"modified_by" doc:"by whom"`
	Trashed       Opt[bool]  `col:"trashed" doc:"whether it is in the trash"`
	TrashedAt     Time       `col:"trashed_at" doc:"since when"`
	Sharing       string     `col:"sharing,lc" enum:"private internal external public unknown" doc:"widest audience"`
	WebURL        string     `col:"web_url" doc:"where a person can open it"`
	Raw           string     `col:"raw,uncompared" doc:"the vendor's record"`
}

// FilePermission is one grant on a file, written where it was granted.
type FilePermission struct {
	Diff
	FileID       string    `col:"file_id,key" doc:"the file, folder or container"`
	PermissionID string    `col:"permission_id,key" doc:"the vendor's id of the grant"`
	GranteeID    string    `col:"grantee_id" doc:"who"`
	GranteeKind  string    `col:"grantee_kind,lc" enum:"account group service domain anyone link" doc:"what the grantee is"`
	GranteeEmail string    `col:"grantee_email" doc:"the grantee's address, lower-case"`
	Role         string    `col:"role,lc" doc:"what it allows"`
	LinkScope    string    `col:"link_scope,lc" doc:"who can use the link"`
	Inherited    Opt[bool] `col:"inherited" doc:"whether it comes from a parent"`
	ExpiresAt    Time      `col:"expires_at" doc:"until when"`
	LastUsedAt   Time      `col:"last_used_at,volatile" doc:"last use"`
	Raw          string    `col:"raw,uncompared" doc:"the vendor's record"`
}

// App is an OAuth or integration app registered or installed.
type App struct {
	Diff
	AppID           string    `col:"app_id,key" doc:"the vendor's id"`
	AliasIDs        []string  `col:"alias_ids" doc:"other ids of the same app"`
	Name            string    `col:"name" doc:"name"`
	Publisher       string    `col:"publisher" doc:"who made it"`
	Verified        Opt[bool] `col:"verified" doc:"whether the vendor has verified the publisher"`
	OwnerTenant     string    `col:"owner_tenant" doc:"the organization that registered it"`
	FirstParty      Opt[bool] `col:"first_party" doc:"made by the vendor itself"`
	Kind            string    `col:"kind,lc" doc:"the vendor's kind of app"`
	Status          string    `col:"status,lc" doc:"whether it may be used"`
	CreatedAt       Time      `col:"created_at" doc:"when it was registered"`
	RedirectURIs    []string  `col:"redirect_uris" doc:"where it sends people back to"`
	SecretIDs       []string  `col:"secret_ids" doc:"ids of its secrets"`
	SecretExpiresAt []string  `col:"secret_expires_at" doc:"when they expire, RFC 3339"`
	Raw             string    `col:"raw,uncompared" doc:"the vendor's record"`
}

// AppGrant is a token, key or consent that lets something act for a principal.
type AppGrant struct {
	Diff
	GrantID       string    `col:"grant_id,key" doc:"the vendor's id"`
	Kind          string    `col:"kind,lc" enum:"consent app_role token api_key access_key ssh_key app_password installation role_trust" doc:"what was issued"`
	AppID         string    `col:"app_id" doc:"the app it was issued to"`
	AppName       string    `col:"app_name" doc:"its name"`
	Publisher     string    `col:"publisher" doc:"its publisher"`
	PrincipalID   string    `col:"principal_id" doc:"for whom"`
	PrincipalKind string    `col:"principal_kind,lc" enum:"account group service app anyone" doc:"what the principal is"`
	Scopes        []string  `col:"scopes" doc:"what it allows"`
	Resource      string    `col:"resource" doc:"on what"`
	Consent       string    `col:"consent,lc" enum:"user admin unknown" doc:"who agreed"`
	Status        string    `col:"status,lc" doc:"whether it works"`
	HighPrivilege Opt[bool] `col:"high_privilege" doc:"whether it allows administration or reading everything"`
	CreatedAt     Time      `col:"created_at" doc:"when it was issued"`
	LastUsedAt    Time      `col:"last_used_at,volatile" doc:"last use"`
	ExpiresAt     Time      `col:"expires_at" doc:"until when"`
	Raw           string    `col:"raw,uncompared" doc:"the vendor's record"`
}

// Diff heads every entity row: how it differs from what was last delivered.
type Diff struct {
	Change        string   `col:"change,lc" enum:"added updated removed snapshot remapped" doc:"what happened to the row since it was last delivered"`
	ChangedFields []string `col:"changed_fields" doc:"column names, for updated"`
	RemovedReason string   `col:"removed_reason,lc" enum:"deleted access_lost soft_deleted unknown" doc:"why it is gone"`
	NotAsked      []string `col:"not_asked" doc:"columns this round could not ask for: keep the older value"`
	ScanID        string   `col:"scan_id" doc:"the round that found it"`
}

// CollectionRun is one pass of one stream. The covered span of successful runs
// is complete; a gap between them is a gap in the data.
type CollectionRun struct {
	Stream            string `col:"stream,key,lc" doc:"the stream"`
	RunID             string `col:"run_id,key" doc:"UUIDv7 of the run"`
	Mode              string `col:"mode,lc" enum:"poll sweep scan delta backfill realtime drop" doc:"how it collected; drop: a person gave up what could not be taken"`
	Lanes             int64  `col:"lanes" doc:"lanes read"`
	LanesFailed       int64  `col:"lanes_failed" doc:"lanes that failed or are parked"`
	StartedAt         Time   `col:"started_at,notnull" doc:"start"`
	FinishedAt        Time   `col:"finished_at,notnull" doc:"end"`
	CoveredFrom       Time   `col:"covered_from" doc:"start of the span this run completed"`
	CoveredTo         Time   `col:"covered_to" doc:"its end"`
	Pages             int64  `col:"pages" doc:"pages read"`
	Rows              int64  `col:"rows" doc:"rows sent to the sinks"`
	DuplicatesDropped int64  `col:"duplicates_dropped" doc:"events already sent"`
	IDConflicts       int64  `col:"id_conflicts" doc:"events sent again under a known id with other content"`
	Unproven          int64  `col:"unproven" doc:"events sent though older than the ids remembered"`
	LateRows          int64  `col:"late_rows" doc:"events of days before yesterday"`
	Rejected          int64  `col:"rejected" doc:"records that could not be taken; see weir deadletter"`
	Requests          int64  `col:"requests" doc:"calls to the vendor"`
	Retries           int64  `col:"retries" doc:"calls repeated"`
	ThrottledMS       int64  `col:"throttled_ms" doc:"time spent waiting for quota"`
	Bytes             int64  `col:"bytes" doc:"bytes received"`
	Outcome           string `col:"outcome,lc" enum:"success failure partial" doc:"how it ended"`
	Error             string `col:"error" doc:"the first error"`
}
