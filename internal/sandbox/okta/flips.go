package okta

import (
	"maps"
	"time"

	"weir/internal/sandbox/org"
)

// Flip is one fact of Okta's told wrongly: a client's tests must notice.
type Flip struct {
	Name  string
	Apply func(*Facts)
}

// Flips returns the facts that a mutation test tells wrongly, one by one.
func Flips() []Flip {
	ten := Page{10, 10}
	status := func(s org.Status, word string) func(*Facts) {
		return func(f *Facts) {
			f.Status = maps.Clone(f.Status)
			f.Status[s] = word
		}
	}
	scheme := func(name, word string) func(*Facts) {
		return func(f *Facts) {
			f.Schemes = maps.Clone(f.Schemes)
			f.Schemes[name] = word
		}
	}
	return []Flip{
		{"the log has pages of ten at most", func(f *Facts) { f.Logs = ten }},
		{"users are listed by ten at most", func(f *Facts) { f.Users = ten }},
		{"groups are listed by ten at most", func(f *Facts) { f.Groups = ten }},
		{"members are listed by ten at most", func(f *Facts) { f.GroupUsers = ten }},
		{"owners are listed one by one", func(f *Facts) { f.GroupOwners = Page{1, 1} }},
		{"assignees are listed by ten at most", func(f *Facts) { f.Assignees = ten }},
		{"apps are listed by ten at most", func(f *Facts) { f.Apps = ten }},
		{"consents are listed by ten at most", func(f *Facts) { f.UserGrants = ten }},
		{"refresh tokens are listed by ten at most", func(f *Facts) { f.Tokens = ten }},
		{"clients are listed by ten at most", func(f *Facts) { f.Clients = ten }},
		{"integrations are listed one by one", func(f *Facts) { f.Services = Page{1, 1} }},
		{"the next page's link is called following", func(f *Facts) { f.RelNext = "following" }},
		{"the page's own link is called next", func(f *Facts) { f.RelSelf = "next" }},
		{"the next page's link in a body is called following", func(f *Facts) { f.BodyNext = "following" }},
		{"links are in one header line", func(f *Facts) { f.OneLinkLine = true }},
		{"IAM lists have their links in headers", func(f *Facts) { f.IAMInBody = false }},
		{"an app's scopes are listed by pages", func(f *Facts) { f.AppGrantsPaged = true }},
		{"API tokens are listed by pages", func(f *Facts) { f.APITokensPaged = true }},

		{"polling ends", func(f *Facts) { f.PollEndless = false }},
		{"a bounded query does not end", func(f *Facts) { f.BoundedEnds = false }},
		{"polling begins at the time of events", func(f *Facts) { f.PollBySeen = false }},
		{"a bounded query has late events", func(f *Facts) { f.BoundedOmitsLate = false }},
		{"since is an hour ago by default", func(f *Facts) { f.SinceDefault = time.Hour }},
		{"since may be 30 days ago at most", func(f *Facts) { f.SinceLimit = 30 * day }},
		{"the log may be polled every hour", func(f *Facts) { f.PollEvery = time.Hour }},

		{"the plain list has deprovisioned users", func(f *Facts) { f.PlainHidesDeprovisioned = false }},
		{"a filter does not show deprovisioned users", func(f *Facts) { f.FilterShowsHidden = false }},
		{"owners are members", func(f *Facts) { f.OwnersInUsers = true }},
		{"Everyone is an OKTA_GROUP", func(f *Facts) { f.Everyone = "OKTA_GROUP" }},
		{"ACTIVE is called ENABLED", status(org.Active, "ENABLED")},
		{"STAGED is called ACTIVE", status(org.Invited, "ACTIVE")},
		{"PROVISIONED is called PENDING", status(org.Provisioned, "PENDING")},
		{"SUSPENDED is called DISABLED", status(org.Suspended, "DISABLED")},
		{"LOCKED_OUT is called LOCKED", status(org.Locked, "LOCKED")},
		{"PASSWORD_EXPIRED is called EXPIRED", status(org.PasswordExpired, "EXPIRED")},
		{"RECOVERY is called RECOVERING", status(org.Recovery, "RECOVERING")},
		{"DEPROVISIONED is called DEACTIVATED", status(org.Deprovisioned, "DEACTIVATED")},

		{"uuid is called id", func(f *Facts) { f.UUID = "id" }},
		{"published is called time", func(f *Facts) { f.Published = "time" }},
		{"eventType is called type", func(f *Facts) { f.EventType = "type" }},
		{"outcome is called result", func(f *Facts) { f.Outcome = "result" }},
		{"target is called targets", func(f *Facts) { f.Target = "targets" }},
		{"lastUpdated is called modified", func(f *Facts) { f.LastUpdated = "modified" }},
		{"lastLogin is called lastSeen", func(f *Facts) { f.LastLogin = "lastSeen" }},
		{"managerId is called manager", func(f *Facts) { f.ManagerID = "manager" }},
		{"lastMembershipUpdated is called membersUpdated", func(f *Facts) { f.MembershipUpdated = "membersUpdated" }},
		{"assignmentType is called assignedBy", func(f *Facts) { f.AssignmentType = "assignedBy" }},
		{"a custom role is in customRole", func(f *Facts) { f.CustomRole = "customRole" }},
		{"resource-set is called resourceSet", func(f *Facts) { f.ResourceSet = "resourceSet" }},
		{"scopeId is called scope", func(f *Facts) { f.ScopeID = "scope" }},
		{"clientId is called client_id", func(f *Facts) { f.ClientID = "client_id" }},
		{"grantedScopes is called scopesGranted", func(f *Facts) { f.GrantedScopes = "scopesGranted" }},
		{"expiresAt is called expires", func(f *Facts) { f.ExpiresAt = "expires" }},
		{"tokenWindow is called window", func(f *Facts) { f.TokenWindow = "window" }},

		{"SUCCESS is called OK", func(f *Facts) { f.Success = "OK" }},
		{"FAILURE is called ERROR", func(f *Facts) { f.Failure = "ERROR" }},
		{"ALLOW is called PERMIT", func(f *Facts) { f.Allow = "PERMIT" }},
		{"USER is called DIRECT", func(f *Facts) { f.ByUser = "DIRECT" }},
		{"GROUP is called INHERITED", func(f *Facts) { f.ByGroup = "INHERITED" }},
		{"ADMIN is called ADMINISTRATOR", func(f *Facts) { f.Admin = "ADMINISTRATOR" }},
		{"END_USER is called USER", func(f *Facts) { f.EndUser = "USER" }},
		{"SystemPrincipal is called System", func(f *Facts) { f.SystemActor = "System" }},
		{"no zone is none", func(f *Facts) { f.NullZone = "none" }},

		{"API tokens are of the scheme Token", scheme("api", "Token")},
		{"access tokens are of the scheme OAuth", scheme("bearer", "OAuth")},
		{"bound tokens are of the scheme Bound", scheme("dpop", "Bound")},
		{"access tokens last a minute", func(f *Facts) { f.TokenLife = time.Minute }},
		{"assertions may last a minute", func(f *Facts) { f.AssertionMax = time.Minute }},
		{"assertions are SAML", func(f *Facts) { f.AssertionType = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer" }},
		{"an assertion may be used again", func(f *Facts) { f.JTIOnce = false }},
		{"the audience is the organization", func(f *Facts) { f.AudiencePath = "" }},
		{"proofs last a second", func(f *Facts) { f.ProofAge = time.Second }},
		{"htu has the query", func(f *Facts) { f.HTUQuery = true }},
		{"the nonce is in x-nonce", func(f *Facts) { f.NonceHeader = "x-nonce" }},
		{"nonces last an hour", func(f *Facts) { f.NonceLife, f.NonceKeep = time.Hour, time.Hour }},
		{"a refresh token is good for a second more", func(f *Facts) { f.RotationLeeway = time.Second }},

		{"a client may use a quarter of a bucket", func(f *Facts) { f.ClientShare = 25 }},
		{"windows last five minutes", func(f *Facts) { f.Window = 5 * time.Minute }},
		{"the limit is in X-Limit", func(f *Facts) { f.LimitHeader = "X-Limit" }},
		{"what remains is in X-Remaining", func(f *Facts) { f.RemainingHeader = "X-Remaining" }},
		{"the reset is in X-Reset", func(f *Facts) { f.ResetHeader = "X-Reset" }},
		{"the reset is in milliseconds", func(f *Facts) { f.ResetMillis = true }},
		{"one request at a time", func(f *Facts) { f.ClientConcurrent = 1 }},
		{"too many requests are 503", func(f *Facts) { f.StatusRate = 503 }},
		{"too many requests are 403", func(f *Facts) { f.StatusRate = 403 }},
		{"an ended token is 403", func(f *Facts) { f.StatusUnauthorized = 403 }},
		{"denied is 401", func(f *Facts) { f.StatusDenied = 401 }},

		{"E0000011 is another code", func(f *Facts) { f.ErrToken = "E0009999" }},
		{"E0000006 is another code", func(f *Facts) { f.ErrDenied = "E0009999" }},
		{"E0000007 is another code", func(f *Facts) { f.ErrNotFound = "E0009999" }},
		{"E0000022 is another code", func(f *Facts) { f.ErrMethod = "E0009999" }},
		{"E0000047 is another code", func(f *Facts) { f.ErrRate = "E0009999" }},
		{"E0000053 is another code", func(f *Facts) { f.ErrLogQuery = "E0009999" }},
		{"E0000031 is another code", func(f *Facts) { f.ErrFilter = "E0009999" }},
		{"E0000009 is another code", func(f *Facts) { f.ErrTimeout = "E0009999" }},
		{"E0000010 is another code", func(f *Facts) { f.ErrReadOnly = "E0009999" }},
		{"E0000001 is another code", func(f *Facts) { f.ErrBadRequest = "E0009999" }},
	}
}
