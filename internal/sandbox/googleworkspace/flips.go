package googleworkspace

import "time"

// Flip is one fact of Google's told wrongly: a client's tests must notice.
type Flip struct {
	Name  string
	Apply func(*Facts)
}

// Flips returns the facts that a mutation test tells wrongly, one by one.
func Flips() []Flip { return append(directoryFlips(), driveFlips()...) }

// directoryFlips are those of the directory, the reports and the tokens.
func directoryFlips() []Flip {
	ten := Page{10, 10}
	flips := []Flip{
		{"users are listed by ten", func(f *Facts) { f.Users = ten }},
		{"groups are listed by two", func(f *Facts) { f.Groups = Page{2, 2} }},
		{"members are listed by two", func(f *Facts) { f.Members = Page{2, 2} }},
		{"roles are listed by two", func(f *Facts) { f.Roles = Page{2, 2} }},
		{"role assignments are listed by two", func(f *Facts) { f.Assignments = Page{2, 2} }},
		{"activities are listed by ten", func(f *Facts) { f.Activities = ten }},
		{"page tokens of users last a moment", func(f *Facts) { f.UsersTokenLife, f.Users = time.Nanosecond, ten }},
		{"chains of pages break off", func(f *Facts) { f.ChainLife, f.Users = time.Nanosecond, ten }},
		{"numbers of 64 bits are numbers", func(f *Facts) { f.LongText = false }},
		{"tokens of suspended users are 500", func(f *Facts) { f.SuspendedTokens = 500 }},
		{"the log is kept for an hour", func(f *Facts) { f.Retention = time.Hour }},
		{"a window of gmail is a minute", func(f *Facts) { f.GmailSpan = time.Minute }},
		{"assertions last a minute", func(f *Facts) { f.AssertionLife = time.Minute }},
	}
	for _, x := range []struct {
		name, to string
		of       func(*Facts) *string
	}{
		{"nextPageToken", "next", func(f *Facts) *string { return &f.NextPage }},
		{"id", "userId", func(f *Facts) *string { return &f.UserID }},
		{"primaryEmail", "email", func(f *Facts) *string { return &f.PrimaryEmail }},
		{"suspended", "isSuspended", func(f *Facts) *string { return &f.Suspended }},
		{"archived", "isArchived", func(f *Facts) *string { return &f.Archived }},
		{"agreedToTerms", "termsAccepted", func(f *Facts) *string { return &f.AgreedToTerms }},
		{"lastLoginTime", "lastLogin", func(f *Facts) *string { return &f.LastLogin }},
		{"creationTime", "created", func(f *Facts) *string { return &f.Created }},
		{"deletionTime", "deleted", func(f *Facts) *string { return &f.Deleted }},
		{"isEnrolledIn2Sv", "mfa", func(f *Facts) *string { return &f.Enrolled }},
		{"isAdmin", "admin", func(f *Facts) *string { return &f.IsAdmin }},
		{"isDelegatedAdmin", "delegatedAdmin", func(f *Facts) *string { return &f.Delegated }},
		{"isGuestUser", "guest", func(f *Facts) *string { return &f.GuestUser }},
		{"orgUnitPath", "orgUnit", func(f *Facts) *string { return &f.OrgUnitPath }},
		{"organizations", "employers", func(f *Facts) *string { return &f.Organizations }},
		{"relations", "related", func(f *Facts) *string { return &f.Relations }},
		{"fullName", "full", func(f *Facts) *string { return &f.FullName }},
		{"a time that never was", "1980-01-01T00:00:00.000Z", func(f *Facts) *string { return &f.Never }},
		{"a member's role", "memberRole", func(f *Facts) *string { return &f.MemberRole }},
		{"a member's type", "memberType", func(f *Facts) *string { return &f.MemberType }},
		{"USER", "PERSON", func(f *Facts) *string { return &f.TypeUser }},
		{"GROUP", "TEAM", func(f *Facts) *string { return &f.TypeGroup }},
		{"CUSTOMER", "EVERYBODY", func(f *Facts) *string { return &f.TypeCustomer }},
		{"OWNER", "CHIEF", func(f *Facts) *string { return &f.RoleOwner }},
		{"MANAGER", "DEPUTY", func(f *Facts) *string { return &f.RoleManager }},
		{"MEMBER", "PART", func(f *Facts) *string { return &f.RoleMember }},
		{"roleName", "title", func(f *Facts) *string { return &f.RoleName }},
		{"assignedTo", "principal", func(f *Facts) *string { return &f.AssignedTo }},
		{"assigneeType", "principalType", func(f *Facts) *string { return &f.AssigneeType }},
		{"scopeType", "reach", func(f *Facts) *string { return &f.ScopeType }},
		{"orgUnitId", "unitId", func(f *Facts) *string { return &f.UnitOf }},
		{"clientId", "client", func(f *Facts) *string { return &f.ClientID }},
		{"displayText", "displayName", func(f *Facts) *string { return &f.DisplayText }},
		{"scopes", "scope", func(f *Facts) *string { return &f.Scopes }},
		{"codeId", "code", func(f *Facts) *string { return &f.CodeID }},
		{"an app password's creationTime", "created", func(f *Facts) *string { return &f.AspCreated }},
		{"lastTimeUsed", "used", func(f *Facts) *string { return &f.AspLastUsed }},
		{"uniqueQualifier", "uniqQualifier", func(f *Facts) *string { return &f.UniqueQualifier }},
		{"events", "event", func(f *Facts) *string { return &f.Events }},
		{"parameters", "params", func(f *Facts) *string { return &f.Parameters }},
		{"an actor's email", "address", func(f *Facts) *string { return &f.ActorEmail }},
		{"profileId", "userId", func(f *Facts) *string { return &f.Profile }},
		{"callerType", "caller", func(f *Facts) *string { return &f.CallerType }},
		{"ipAddress", "ip", func(f *Facts) *string { return &f.IPAddress }},
		{"regionCode", "region", func(f *Facts) *string { return &f.RegionCode }},
		{"the grant type of assertions", "urn:ietf:params:oauth:grant-type:saml2-bearer", func(f *Facts) *string { return &f.GrantType }},
	} {
		flips = append(flips, Flip{x.name + " is " + x.to, func(f *Facts) { *x.of(f) = x.to }})
	}
	return flips
}
