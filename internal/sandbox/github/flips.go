package github

import "time"

// Flip is one fact of GitHub's told wrongly: a client's tests must notice.
type Flip struct {
	Name  string
	Apply func(*Facts)
}

// Flips returns the facts that a mutation test tells wrongly, one by one.
func Flips() []Flip {
	return []Flip{
		{"lists are paged by ten at most", func(f *Facts) { f.MaxPerPage = 10 }},
		{"pages hold ten where nothing is asked", func(f *Facts) { f.DefaultPerPage = 10 }},
		{"the first page is number 0", func(f *Facts) { f.FirstPage = 0 }},
		{"the next page's link is called following", func(f *Facts) { f.NextRel = "following" }},
		{"links hold logins", func(f *Facts) { f.NumericLinks = false }},

		{"audit pages hold ten at most", func(f *Facts) { f.AuditPerPage = 10 }},
		{"the audit log includes all by default", func(f *Facts) { f.AuditInclude = "all" }},
		{"the audit log is in ascending order by default", func(f *Facts) { f.AuditOrder = "asc" }},
		{"rows have their time in timestamp", func(f *Facts) { f.AuditTimeField = "timestamp" }},
		{"rows have their id in document_id", func(f *Facts) { f.AuditIDField = "document_id" }},
		{"rows have their actor in actor_login", func(f *Facts) { f.AuditActorField = "actor_login" }},
		{"times are in seconds", func(f *Facts) { f.AuditTimeUnit = time.Second }},
		{"a search without created: covers two weeks", func(f *Facts) { f.AuditWindowMonths = 0 }},
		{"web rows are kept for two days", func(f *Facts) { f.WebRetention = 2 * day }},
		{"git rows are kept for two days", func(f *Facts) { f.GitRetention = 2 * day }},
		{"created: is compared by the hour", func(f *Facts) { f.CreatedResolution = time.Hour }},
		{"git rows have created_at", func(f *Facts) { f.GitCreatedAt = true }},
		{"the row at a cursor comes again", func(f *Facts) { f.AfterInclusive = true }},
		{"an invalid cursor is a bad request", func(f *Facts) { f.InvalidCursor = 400 }},
		{"a plan without audit log is forbidden", func(f *Facts) { f.AuditUnlicensed = 403 }},
		{"every second page is empty", func(f *Facts) { f.EmptyPageEvery = 2 }},
		{"every third row has no id", func(f *Facts) { f.NoIDEvery = 3 }},
		{"countries are in country", func(f *Facts) { f.CountryField = "country" }},

		{"owners are OWNER in GraphQL", func(f *Facts) { f.OwnerEdge = "OWNER" }},
		{"members are DIRECT_MEMBER in GraphQL", func(f *Facts) { f.MemberEdge = "DIRECT_MEMBER" }},
		{"owners are owner in REST", func(f *Facts) { f.OwnerRole = "owner" }},
		{"invitations last a day", func(f *Facts) { f.InvitationLife = day }},
		{"managed users' invitations are forbidden", func(f *Facts) { f.InvitationsEMU = 403 }},
		{"outside collaborators are members", func(f *Facts) { f.OutsideInMember = true }},

		{"maintainers are admins", func(f *Facts) { f.Maintainer = "admin" }},
		{"team members have no role", func(f *Facts) { f.TeamRole = false }},
		{"inherited is called indirect", func(f *Facts) { f.InheritedField = "indirect" }},
		{"teams list their own members alone", func(f *Facts) { f.InheritedListed = false }},
		{"the list of teams has times", func(f *Facts) { f.TeamTimesInList = true }},

		{"organization roles are in organization_roles", func(f *Facts) { f.RolesField = "organization_roles" }},
		{"assignment is called via", func(f *Facts) { f.AssignmentField = "via" }},
		{"role_name is called role", func(f *Facts) { f.RoleNameField = "role" }},
		{"the base permission is none", func(f *Facts) { f.BasePermission = "none" }},
		{"direct leaves outside collaborators out", func(f *Facts) { f.DirectAndOutside = false }},

		{"an empty repository's tree is not found", func(f *Facts) { f.EmptyRepository = 404 }},
		{"trees are cut after three entries", func(f *Facts) { f.TreeLimit = 3 }},
		{"recursive=0 is not recursive", func(f *Facts) { f.AnyRecursive = false }},

		{"installations are in a list called apps", func(f *Facts) { f.InstallationsField = "apps" }},
		{"suspended_at is called suspended", func(f *Facts) { f.SuspendedField = "suspended" }},
		{"credentials have a Link", func(f *Facts) { f.CredentialsLink = true }},
		{"people may list fine-grained tokens", func(f *Facts) { f.PATsAppOnly = false }},

		{"installation tokens last a minute", func(f *Facts) { f.InstallationTokenLife = time.Minute }},
		{"assertions may last a minute", func(f *Facts) { f.JWTLife = time.Minute }},
		{"clocks may differ by an hour", func(f *Facts) { f.JWTSkew = time.Hour }},
		{"codes last a second", func(f *Facts) { f.CodeLife = time.Second }},
		{"a user has one token of an app", func(f *Facts) { f.TokensPerApp = 1 }},
		{"OAuth errors are 400", func(f *Facts) { f.OAuthErrorStatus = 400 }},
		{"granted scopes are separated by spaces", func(f *Facts) { f.ScopeSeparator = " " }},
		{"bad credentials are 403", func(f *Facts) { f.BadCredentials = 403 }},

		{"100 requests an hour", func(f *Facts) { f.CorePerHour = 100 }},
		{"100 audit pages an hour", func(f *Facts) { f.AuditPerHour = 100 }},
		{"100 GraphQL points an hour", func(f *Facts) { f.GraphQLPerHour = 100 }},
		{"9 points a minute", func(f *Facts) { f.SecondaryPerMinute = 9 }},
		{"the secondary limit lasts an hour", func(f *Facts) { f.SecondaryWait = time.Hour }},
		{"one request at a time", func(f *Facts) { f.Concurrent = 0 }},
		{"too many requests are 503", func(f *Facts) { f.LimitStatus = 503 }},
	}
}
