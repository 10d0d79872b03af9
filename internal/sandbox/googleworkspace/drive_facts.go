package googleworkspace

import "time"

// DriveFacts are what the sheet says about Drive, where another answer would be
// another API.
type DriveFacts struct {
	FilesPage     int           // of files.list, at most (5.8)
	FileTokenLife time.Duration // of a page token of files and drives
	Drives        Page          // of drives.list
	MD5           string        // member with the checksum of content
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
		FilesPage: 1000, FileTokenLife: 6 * time.Hour, Drives: Page{10, 100}, MD5: "md5Checksum", NewStart: "newStartPageToken", StaleStatus: 400,

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

// driveFlips are the facts of Drive that a mutation test tells wrongly, one by one.
func driveFlips() []Flip {
	var flips []Flip
	for _, x := range []struct {
		name  string
		apply func(*DriveFacts)
	}{
		{"files are listed by ten", func(f *DriveFacts) { f.FilesPage = 10 }},
		{"tokens of files last a second", func(f *DriveFacts) { f.FileTokenLife = time.Nanosecond }},
		{"drives are listed by two", func(f *DriveFacts) { f.Drives = Page{2, 2} }},
		{"checksums are called md5", func(f *DriveFacts) { f.MD5 = "md5" }},
		{"items of shared drives hold their permissions", func(f *DriveFacts) { f.InlineShared = true }},
		{"the token of what changes later is called startPageToken", func(f *DriveFacts) { f.NewStart = "startPageToken" }},
		{"the token of what changes later is on every page", func(f *DriveFacts) { f.EarlyStart = true }},
		{"every change is told", func(f *DriveFacts) { f.EveryChange = true }},
		{"an old token of changes is 500", func(f *DriveFacts) { f.StaleStatus = 500 }},
		{"what is inherited is forbidden", func(f *DriveFacts) { f.Inherited = "forbidden" }},
		{"what shared drives give is forbidden", func(f *DriveFacts) { f.InheritedShared = "forbidden" }},
		{"owners are forbidden", func(f *DriveFacts) { f.OwnerStays = "forbidden" }},
		{"other domains are forbidden", func(f *DriveFacts) { f.CrossDomain = "forbidden" }},
		{"a permission that is gone is notFound", func(f *DriveFacts) { f.NoPermission = "notFound" }},
		{"a transfer without a word is 400", func(f *DriveFacts) { f.TransferStatus = 400 }},
		{"no Drive is 404", func(f *DriveFacts) { f.NoServiceStatus = 404 }},
		{"parts of uploads are 200", func(f *DriveFacts) { f.ResumeStatus = 200 }},
		{"a listing costs 5000 units", func(f *DriveFacts) { f.ListUnits = 5000 }},
		{"3000 units for a subject", func(f *DriveFacts) { f.UserUnits = 3000 }},
		{"channels of changes last a minute", func(f *DriveFacts) { f.ChangesChannel = time.Minute }},
		{"channels of files last a minute", func(f *DriveFacts) { f.FileChannel = time.Minute }},
		{"changes are called changed", func(f *DriveFacts) { f.ChangeState = "changed" }},
	} {
		flips = append(flips, Flip{x.name, func(f *Facts) { x.apply(&f.DriveFacts) }})
	}
	return flips
}
