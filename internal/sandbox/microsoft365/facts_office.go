package microsoft365

import "time"

// OfficeFacts are what the contract sheet says about the Management Activity API
// and about files, where another answer would be another API.
type OfficeFacts struct {
	// Management Activity API (5.6).
	NextPageHeader  string        // names the next page of a listing
	ContentPage     int           // descriptors on a page
	ContentSpan     time.Duration // that a listing covers at most, and by default
	ContentLife     time.Duration // of blobs, and how far back a listing may begin
	HalfOpen        bool          // the window leaves its end out
	TimeZone        bool          // contentCreated has one
	ContentURI      string        // the field of a blob's address
	CreationTime    string        // the field of a record's time
	RecordID        string        // the field of a record's id
	Period          string        // at the end of Entra's operations
	ThrottledStatus int           //
	ThrottledCode   string        //
	Restarted       string        // code of starting what is started
	NotStarted      string        // code of a listing without a subscription
	Disabled        string        // code of a listing whose subscription an administrator disabled
	BadWindow       string        //
	ExpiredCode     string        //
	UnknownStatus   int           // of a blob that never was
	BlobArray       bool          // a blob is an array; else an object with value
	FeedPerMinute   int           // requests
	StartEvery      time.Duration // a subscription may be started

	// Files (5.8).
	SitesPage      int    // of getAllSites at most
	DeltaPage      int    // of items at most
	DeletedFacet   string // of what is in the recycle bin
	SharedChanged  string // annotation of changes of permissions alone
	NoExpiry       string // of a permission that does not expire
	GrantedTo      string // the field of who has a permission
	InheritedFrom  string // the field of where it comes from; "": never told
	Resync         string // code of a delta token that is not known
	NoDriveStatus  int    // of somebody whose OneDrive was never opened
	LockedStatus   int    // of one that is locked
	UnitsPerMinute int    // resource units of one app and tenant
	UnitsDay       int    //
	DeltaUnits     int    // of a delta with a token
	ListUnits      int    //
	PermitUnits    int    // of anything about permissions
	TooManyStatus  int    //
}

func defaultOffice() OfficeFacts {
	return OfficeFacts{
		NextPageHeader: "NextPageUri", ContentPage: 50, ContentSpan: 24 * time.Hour, ContentLife: 7 * 24 * time.Hour, HalfOpen: true, TimeZone: true,
		ContentURI: "contentUri", CreationTime: "CreationTime", RecordID: "Id", Period: ".", ThrottledStatus: 403, ThrottledCode: "AF429", Restarted: "AF20024",
		NotStarted: "AF20022", Disabled: "AF20023", BadWindow: "AF20030", ExpiredCode: "AF20051", UnknownStatus: 404, BlobArray: true, FeedPerMinute: 2000, StartEvery: 15 * time.Minute,

		SitesPage: 500, DeltaPage: 200, DeletedFacet: "deleted", SharedChanged: "@microsoft.graph.sharedChanged", NoExpiry: "0001-01-01T00:00:00Z",
		GrantedTo: "grantedToV2", InheritedFrom: "inheritedFrom", Resync: "resyncRequired", NoDriveStatus: 404, LockedStatus: 423,
		UnitsPerMinute: 1250, UnitsDay: 1_200_000, DeltaUnits: 1, ListUnits: 2, PermitUnits: 5, TooManyStatus: 429,
	}
}

// officeFlips are those of files and of the Management Activity API.
func officeFlips() []Flip {
	var flips []Flip
	for _, x := range []struct {
		name  string
		apply func(*OfficeFacts)
	}{
		{"the next page of content is in NextPageUrl", func(f *OfficeFacts) { f.NextPageHeader = "NextPageUrl" }},
		{"content is listed by five", func(f *OfficeFacts) { f.ContentPage = 5 }},
		{"content is listed an hour at a time", func(f *OfficeFacts) { f.ContentSpan = time.Hour }},
		{"blobs expire after an hour", func(f *OfficeFacts) { f.ContentLife = time.Hour }},
		{"windows include their end", func(f *OfficeFacts) { f.HalfOpen = false }},
		{"contentCreated has no zone", func(f *OfficeFacts) { f.TimeZone = false }},
		{"contentUri is called uri", func(f *OfficeFacts) { f.ContentURI = "uri" }},
		{"CreationTime is called TimeGenerated", func(f *OfficeFacts) { f.CreationTime = "TimeGenerated" }},
		{"Id is called RecordId", func(f *OfficeFacts) { f.RecordID = "RecordId" }},
		{"Entra's operations have no period", func(f *OfficeFacts) { f.Period = "" }},
		{"too many requests for content are 503", func(f *OfficeFacts) { f.ThrottledStatus = 503 }},
		{"too many requests for content are AF10001", func(f *OfficeFacts) { f.ThrottledCode = "AF10001" }},
		{"starting again is AF20020", func(f *OfficeFacts) { f.Restarted = "AF20020" }},
		{"no subscription is AF20020", func(f *OfficeFacts) { f.NotStarted = "AF20020" }},
		{"a disabled subscription is AF20020", func(f *OfficeFacts) { f.Disabled = "AF20020" }},
		{"a wrong window is AF20020", func(f *OfficeFacts) { f.BadWindow = "AF20020" }},
		{"an expired blob is AF20020", func(f *OfficeFacts) { f.ExpiredCode = "AF20020" }},
		{"an unknown blob is 500", func(f *OfficeFacts) { f.UnknownStatus = 500 }},
		{"a blob is an object", func(f *OfficeFacts) { f.BlobArray = false }},
		{"60 requests for content a minute", func(f *OfficeFacts) { f.FeedPerMinute = 60 }},

		{"sites are listed by two", func(f *OfficeFacts) { f.SitesPage = 2 }},
		{"items are listed by ten", func(f *OfficeFacts) { f.DeltaPage = 10 }},
		{"deleted items are removed", func(f *OfficeFacts) { f.DeletedFacet = "removed" }},
		{"changes of permissions are not marked", func(f *OfficeFacts) { f.SharedChanged = "@microsoft.graph.changed" }},
		{"what does not expire expires in 1970", func(f *OfficeFacts) { f.NoExpiry = "1970-01-01T00:00:00Z" }},
		{"grantedToV2 is called grantee", func(f *OfficeFacts) { f.GrantedTo = "grantee" }},
		{"where a permission comes from is not told", func(f *OfficeFacts) { f.InheritedFrom = "" }},
		{"an old delta token is syncStateInvalid", func(f *OfficeFacts) { f.Resync = "syncStateInvalid" }},
		{"a OneDrive that was never opened is forbidden", func(f *OfficeFacts) { f.NoDriveStatus = 403 }},
		{"a locked OneDrive is forbidden", func(f *OfficeFacts) { f.LockedStatus = 403 }},
		{"30 resource units a minute", func(f *OfficeFacts) { f.UnitsPerMinute = 30 }},
		{"permissions cost 50 units", func(f *OfficeFacts) { f.PermitUnits = 50 }},
		{"too many requests for files are 503", func(f *OfficeFacts) { f.TooManyStatus = 503 }},
	} {
		flips = append(flips, Flip{x.name, func(f *Facts) { x.apply(&f.OfficeFacts) }})
	}
	return flips
}
