package microsoft365

import "time"

// Flip is one fact of Microsoft's told wrongly: a client's tests must notice.
type Flip struct {
	Name  string
	Apply func(*Facts)
}

// Flips returns the facts that a mutation test tells wrongly, one by one.
func Flips() []Flip {
	return append(entraFlips(), officeFlips()...)
}

// entraFlips are those of the directory, its logs and its tokens.
func entraFlips() []Flip {
	ten := Page{10, 10}
	word := func(name string, field func(*Facts) *string, value string) Flip {
		return Flip{name, func(f *Facts) { *field(f) = value }}
	}
	return []Flip{
		{"users are listed by ten at most", func(f *Facts) { f.Users = ten }},
		{"groups are listed by ten at most", func(f *Facts) { f.Groups = ten }},
		{"members are listed by ten at most", func(f *Facts) { f.Members = ten }},
		{"apps are listed by ten at most", func(f *Facts) { f.Apps = ten }},
		{"grants are listed by ten at most", func(f *Facts) { f.Grants = ten }},
		{"audits are listed by ten at most", func(f *Facts) { f.Audits = ten }},
		{"sign-ins are listed by ten at most", func(f *Facts) { f.SignIns = ten }},
		{"registrations are listed by ten at most", func(f *Facts) { f.Details = ten }},
		{"users are listed by ten at most with their activity", func(f *Facts) { f.ActivityUsers = 10 }},
		{"deltas are listed by ten", func(f *Facts) { f.DeltaPage = 10 }},
		{"members of a delta are told one by one", func(f *Facts) { f.DeltaMembers = 1 }},
		{"delta tokens last an hour", func(f *Facts) { f.DeltaLife = time.Hour }},
		{"batches have five requests", func(f *Facts) { f.BatchMax = 5 }},
		{"a failed dependency is 409", func(f *Facts) { f.DependencyStatus = 409 }},
		{"an old delta token is 400", func(f *Facts) { f.GoneStatus = 400 }},
		word("the next page's link is called next", func(f *Facts) *string { return &f.NextLink }, "next"),
		word("the delta's link is called delta", func(f *Facts) *string { return &f.DeltaLink }, "delta"),
		word("what was removed is marked deleted", func(f *Facts) *string { return &f.Removed }, "@deleted"),
		word("what can be restored is deleted", func(f *Facts) *string { return &f.SoftDeleted }, "deleted"),
		word("what is gone can be restored", func(f *Facts) *string { return &f.HardDeleted }, "changed"),
		word("changed members are called membersChanged", func(f *Facts) *string { return &f.MembersDelta }, "Changed"),
		word("an old delta token is resyncRequired", func(f *Facts) *string { return &f.GoneCode }, "resyncRequired"),
		word("where to begin again is in X-Location", func(f *Facts) *string { return &f.FreshLink }, "X-Location"),

		word("id is called objectId", func(f *Facts) *string { return &f.ID }, "objectId"),
		word("userPrincipalName is called upn", func(f *Facts) *string { return &f.PrincipalName }, "upn"),
		word("accountEnabled is called enabled", func(f *Facts) *string { return &f.Enabled }, "enabled"),
		word("userType is called type", func(f *Facts) *string { return &f.UserType }, "type"),
		word("a guest is an External", func(f *Facts) *string { return &f.Guest }, "External"),
		word("externalUserState is called state", func(f *Facts) *string { return &f.External }, "state"),
		word("PendingAcceptance is called Pending", func(f *Facts) *string { return &f.Pending }, "Pending"),
		word("signInActivity is called activity", func(f *Facts) *string { return &f.Activity }, "activity"),
		word("the last success is called lastSuccess", func(f *Facts) *string { return &f.LastSuccess }, "lastSuccess"),
		word("the last attempt is called lastAttempt", func(f *Facts) *string { return &f.LastAttempt }, "lastAttempt"),
		word("the last silent attempt is called lastSilent", func(f *Facts) *string { return &f.LastSilent }, "lastSilent"),
		word("isMfaRegistered is called mfa", func(f *Facts) *string { return &f.Registered }, "mfa"),
		word("appId is called clientId", func(f *Facts) *string { return &f.AppID }, "client_id"),
		word("ManagedIdentity is called Managed", func(f *Facts) *string { return &f.ManagedIdentity }, "Managed"),
		word("appOwnerOrganizationId is called owner", func(f *Facts) *string { return &f.OwnerTenant }, "owner"),
		word("verifiedPublisher is called publisher", func(f *Facts) *string { return &f.Verified }, "publisher"),

		word("groupTypes is called types", func(f *Facts) *string { return &f.GroupTypes }, "types"),
		word("Unified is called Office", func(f *Facts) *string { return &f.Unified }, "Office"),
		word("DynamicMembership is called Dynamic", func(f *Facts) *string { return &f.Dynamic }, "Dynamic"),
		word("types have another prefix", func(f *Facts) *string { return &f.TypePrefix }, "#entra."),
		word("a role's principalId is called holder", func(f *Facts) *string { return &f.Principal }, "holder"),
		word("roleDefinitionId is called roleId", func(f *Facts) *string { return &f.RoleDefinition }, "roleId"),
		word("directoryScopeId is called scope", func(f *Facts) *string { return &f.DirectoryScope }, "scope"),
		word("startDateTime is called start", func(f *Facts) *string { return &f.StartTime }, "start"),
		word("endDateTime is called end", func(f *Facts) *string { return &f.EndTime }, "end"),
		word("memberType is called via", func(f *Facts) *string { return &f.MemberType }, "via"),
		word("a grant's clientId is called appId", func(f *Facts) *string { return &f.Client }, "appId"),
		word("consentType is called consent", func(f *Facts) *string { return &f.ConsentType }, "consent"),
		word("AllPrincipals is called Everyone", func(f *Facts) *string { return &f.AllPrincipals }, "Everyone"),
		word("a grant's principalId is called userId", func(f *Facts) *string { return &f.GrantFor }, "userId"),
		word("appRoleId is called roleId", func(f *Facts) *string { return &f.AppRole }, "roleId"),

		word("activityDateTime is called time", func(f *Facts) *string { return &f.AuditTime }, "time"),
		word("a sign-in's createdDateTime is called time", func(f *Facts) *string { return &f.SignInTime }, "time"),
		word("activityDisplayName is called activity", func(f *Facts) *string { return &f.AuditAction }, "activity"),
		word("initiatedBy is called actor", func(f *Facts) *string { return &f.Initiator }, "actor"),
		word("targetResources is called targets", func(f *Facts) *string { return &f.Targets }, "targets"),
		word("result is called outcome", func(f *Facts) *string { return &f.Result }, "outcome"),
		word("a sign-in's status is called result", func(f *Facts) *string { return &f.SignInStatus }, "result"),
		word("signInEventTypes is called types", func(f *Facts) *string { return &f.SignInTypes }, "types"),
		word("riskLevelDuringSignIn is called risk", func(f *Facts) *string { return &f.RiskLevel }, "risk"),
		{"logs begin with the oldest", func(f *Facts) { f.NewestFirst = false }},
		{"all kinds of sign-ins are told without asking", func(f *Facts) { f.OnlyInteractive = false }},
		{"gt and lt are taken", func(f *Facts) { f.StrictOperators = false }},
		{"changed values are no JSON", func(f *Facts) { f.QuotedValues = false }},
		{"logs are kept a day", func(f *Facts) { f.LogKept = day }},

		{"access tokens last a minute", func(f *Facts) { f.TokenLife = time.Minute }},
		word("tokens are of the scheme OAuth", func(f *Facts) *string { return &f.TokenType }, "OAuth"),
		word("assertions are SAML", func(f *Facts) *string { return &f.AssertionType }, "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
		{"assertions may last a minute", func(f *Facts) { f.AssertionAge = time.Minute }},

		{"a hundred requests about risks", func(f *Facts) { f.RiskRequests = 100 }},
		{"one request to the logs", func(f *Facts) { f.ReportRequests = 1 }},
		{"the logs' window is a minute", func(f *Facts) { f.ReportWindow = time.Minute }},
		{"50 resource units", func(f *Facts) { f.Units = [3]int{50, 50, 50} }},
		{"the units' window is five minutes", func(f *Facts) { f.UnitWindow = 5 * time.Minute }},
		{"too many requests are 503", func(f *Facts) { f.TooManyStatus = 503 }},
		{"too many requests are 403", func(f *Facts) { f.TooManyStatus = 403 }},
		word("too many requests are tooManyRequests", func(f *Facts) *string { return &f.TooManyCode }, "tooManyRequests"),
		{"waits are in whole seconds", func(f *Facts) { f.Fractions = false }},

		word("a bad token is Unauthorized", func(f *Facts) *string { return &f.BadToken }, "Unauthorized"),
		word("no permission is Forbidden", func(f *Facts) *string { return &f.NoPermission }, "Forbidden"),
		word("no permission for logs is Forbidden", func(f *Facts) *string { return &f.NoReportPermission }, "Forbidden"),
		word("no licence is Forbidden", func(f *Facts) *string { return &f.NoPremium }, "Forbidden"),
		word("not found is NotFound", func(f *Facts) *string { return &f.NoResource }, "NotFound"),
		word("a bad request is invalidRequest", func(f *Facts) *string { return &f.BadRequest }, "invalidRequest"),
	}
}
