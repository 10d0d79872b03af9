package schemas

// OCSF 1.3 class ids.
const (
	ClassDetectionFinding     int32 = 2004
	ClassAccountChange        int32 = 3001
	ClassAuthentication       int32 = 3002
	ClassAuthorizeSession     int32 = 3003
	ClassEntityManagement     int32 = 3004
	ClassUserAccess           int32 = 3005
	ClassGroupManagement      int32 = 3006
	ClassWebResources         int32 = 6001
	ClassApplicationLifecycle int32 = 6002
	ClassAPIActivity          int32 = 6003
	ClassDatastoreActivity    int32 = 6005
	ClassFileHosting          int32 = 6006
)

// OCSF severity ids.
const (
	SeverityUnknown       int32 = 0
	SeverityInformational int32 = 1
	SeverityLow           int32 = 2
	SeverityMedium        int32 = 3
	SeverityHigh          int32 = 4
	SeverityCritical      int32 = 5
)

// OCSF status ids.
const (
	StatusUnknown int32 = 0
	StatusSuccess int32 = 1
	StatusFailure int32 = 2
)

// ActivityOther is the OCSF activity id of an activity its class has no id for.
const ActivityOther int32 = 99
