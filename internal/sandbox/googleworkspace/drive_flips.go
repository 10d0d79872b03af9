package googleworkspace

import "time"

type driveFlip struct {
	name  string
	apply func(*DriveFacts)
}

// driveFlips are the facts of Drive that a collection depends on, told wrongly.
func driveFlips() []Flip {
	flips := []driveFlip{{"the trash is not listed", func(f *DriveFacts) { f.WithTrash = false }}}
	for _, x := range []struct {
		name, to string
		of       func(*DriveFacts) *string
	}{
		{"sha256Checksum", "sha256", func(f *DriveFacts) *string { return &f.SHA256 }},
		{"parents", "parent", func(f *DriveFacts) *string { return &f.Parents }},
		{"size", "bytes", func(f *DriveFacts) *string { return &f.Size }},
		{"trashedTime", "trashedAt", func(f *DriveFacts) *string { return &f.TrashedTime }},
		{"lastModifyingUser", "modifier", func(f *DriveFacts) *string { return &f.ModifiedBy }},
		{"hasAugmentedPermissions", "augmented", func(f *DriveFacts) *string { return &f.Augmented }},
		{"permissionDetails", "details", func(f *DriveFacts) *string { return &f.Details }},
		{"inherited of permissions", "isInherited", func(f *DriveFacts) *string { return &f.IsInherited }},
		{"allowFileDiscovery", "discoverable", func(f *DriveFacts) *string { return &f.Discovery }},
		{"expirationTime", "expires", func(f *DriveFacts) *string { return &f.Expiration }},
	} {
		flips = append(flips, driveFlip{x.name + " is " + x.to, func(f *DriveFacts) { *x.of(f) = x.to }})
	}
	return asFlips(flips)
}

func asFlips(list []driveFlip) []Flip {
	flips := make([]Flip, len(list))
	for i, x := range list {
		flips[i] = Flip{x.name, func(f *Facts) { x.apply(&f.DriveFacts) }}
	}
	return flips
}

// DriveFlips are those that one complete collection need not depend on: about sizes
// of pages, limits, changes, channels and what is written.
func DriveFlips() []Flip {
	return asFlips([]driveFlip{
		{"files are listed by ten", func(f *DriveFacts) { f.FilesPage = 10 }},
		{"tokens of files last a moment", func(f *DriveFacts) { f.FileTokenLife = time.Nanosecond }},
		{"drives are listed by two", func(f *DriveFacts) { f.Drives = Page{2, 2} }},
		{"owners is owner", func(f *DriveFacts) { f.Owners = "owner" }},
		{"md5Checksum is md5", func(f *DriveFacts) { f.MD5 = "md5" }},
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
	})
}
