package googleworkspace

import "time"

// DriveFacts are what the sheet says about Drive, where another answer would be
// another API.
type DriveFacts struct {
	FilesPage     int           // of files.list, at most (5.8)
	FileTokenLife time.Duration // of a page token of files and drives
	Drives        Page          // of drives.list
	MD5           string        // member with a checksum of content
	SHA256        string        // likewise
	Owners        string        // member with who owns a file
	Parents       string        // member with its folder
	Size          string        // member with its size, which is text
	TrashedTime   string        // member with when it was put into the trash, in shared drives
	ModifiedBy    string        // member with who changed it last
	Augmented     string        // member that says whether an item of a shared drive grants something itself
	Details       string        // member with where a permission comes from
	IsInherited   string        // member there that says whether it is inherited
	Discovery     string        // member that tells what is found from what has to be known
	Expiration    string        // member with when a permission ends
	WithTrash     bool          // lists hold what is in the trash
	InlineShared  bool          // items of shared drives hold their permissions
	NewStart      string        // member with the token of what changes later (5.9)
	EarlyStart    bool          // it is on every page
	EveryChange   bool          // a log holds every change, not the latest of each item
	StaleStatus   int           // of a token that is not taken

	Inherited       string // reasons of refusals (9)
	InheritedShared string
	OwnerStays      string
	CrossDomain     string
	NoPermission    string
	TransferStatus  int // of a transfer that is not asked for by transferOwnership
	NoServiceStatus int // of a subject without Drive
	ResumeStatus    int // of an upload that is not whole

	GetUnits, ListUnits, DownloadUnits, EditUnits, OtherUnits int // (6)
	UserUnits, ProjectUnits, DayUnits                         int

	ChangesChannel, FileChannel time.Duration // longest life (10)
	ChannelDefault              time.Duration
	ChangeState                 string
}

func defaultDrive() DriveFacts {
	return DriveFacts{
		FilesPage: 1000, FileTokenLife: 6 * time.Hour, Drives: Page{10, 100}, MD5: "md5Checksum", SHA256: "sha256Checksum",
		Owners: "owners", Parents: "parents", Size: "size", TrashedTime: "trashedTime", ModifiedBy: "lastModifyingUser", Augmented: "hasAugmentedPermissions",
		Details: "permissionDetails", IsInherited: "inherited", Discovery: "allowFileDiscovery", Expiration: "expirationTime", WithTrash: true, NewStart: "newStartPageToken", StaleStatus: 400,

		Inherited: "cannotModifyInheritedPermission", InheritedShared: "cannotModifyInheritedTeamDrivePermission", OwnerStays: "cannotRemoveOwner",
		CrossDomain: "ownershipChangeAcrossDomainNotPermitted", NoPermission: "permissionNotFound", TransferStatus: 403, NoServiceStatus: 401, ResumeStatus: 308,

		GetUnits: 5, ListUnits: 100, DownloadUnits: 200, EditUnits: 50, OtherUnits: 5, UserUnits: 325_000, ProjectUnits: 1_000_000, DayUnits: 400_000_000,

		ChangesChannel: 7 * day, FileChannel: day, ChannelDefault: time.Hour, ChangeState: "change",
	}
}

// DriveFaults is what goes wrong at Drive.
type DriveFaults struct {
	Units        int  // other units of a subject in a minute; < 0 none are counted
	ShortPages   bool // pages hold fewer than asked for
	StaleChanges int  // no token of changes is taken any more: the status; 0 they are
}
