package org

import "time"

// GoogleGroup is the kind of Google's groups. Others of their members are groups,
// addresses of other companies (ContactRef, see GoogleContact), and everybody
// (OrgRef).
const GoogleGroup = "google"

// Roles of a member of Google's groups: an account has one of them.
const (
	GroupOwner   = "owner"
	GroupManager = "manager"
	GroupMember  = "member"
)

// GoogleDeletedKept is how long a deleted user of Google's can be restored.
const GoogleDeletedKept = 20 * 24 * time.Hour

// Numbers of Google's integrations that every customer has: service accounts.
const (
	GoogleAgent   = iota // what reads for the company and carries out decisions, in somebody's name
	GoogleHRSync         // what keeps accounts as the people are: it has a role of its own
	googleFirst          // the first client that people let in
	googleClients = 6    // at least
)

// Kinds of Google's integrations.
const (
	ServiceAccount = "service_account"
	WebClient      = "web"
	NativeClient   = "native"
	AnonymousApp   = "anonymous" // not registered
)

// GoogleRoles are the vendor's own roles, by number: they are the first of the
// role definitions. The first may do all.
var GoogleRoles = []string{"_SEED_ADMIN_ROLE", "_GROUPS_ADMIN_ROLE", "_USER_MANAGEMENT_ADMIN_ROLE", "_HELP_DESK_ADMIN_ROLE", "_SERVICES_ADMIN_ROLE", "_MOBILE_ADMIN_ROLE"}

// Numbers of roles, in RoleDefs[GoogleWorkspace].
const (
	GoogleSuperAdmin = 0
	GoogleUserAdmin  = 2
	GoogleHelpDesk   = 3
	GoogleAuditor    = 6 // the first custom role: reads
	GoogleSupport    = 7
)

// GoogleScopes are what people let clients do.
var GoogleScopes = []string{
	"openid", "https://www.googleapis.com/auth/userinfo.email", "https://www.googleapis.com/auth/calendar.readonly", "https://www.googleapis.com/auth/drive.readonly",
	"https://www.googleapis.com/auth/drive", "https://mail.google.com/", "https://www.googleapis.com/auth/contacts.readonly", "https://www.googleapis.com/auth/admin.directory.user.readonly",
}

// Reasons of a suspension.
const (
	SuspendedByAdmin  = "ADMIN"
	SuspendedByGoogle = "ABUSE"
)

// Reported is what the audit log tells in the vendor's words: Event.Report.
const Reported Verb = "reported" // what the report is about, if it is an entity

// Verbs of Google's directory.
const (
	AccountArchive   Verb = "account_archive"    // account
	AccountUnarchive Verb = "account_unarchive"  // account
	PasswordForce    Verb = "password_force"     // account; Changes: changePasswordAtNextLogin
	BackupCodesEnd   Verb = "backup_codes_end"   // account
	SecondFactorsEnd Verb = "second_factors_end" // account
	OrgUnitMove      Verb = "org_unit_move"      // account; Changes: orgUnit
)

// Report is an item of the audit log: of one application, with one event or more.
type Report struct {
	App    string
	Events []ReportEvent
	Failed string // why it did not succeed; "" it did
}

// ReportEvent is one event of an item.
type ReportEvent struct {
	Type, Name string
	Params     []Param
}

// Param is a parameter of an event. Value: string, int64, bool, []string, []int64,
// []Param, [][]Param, or nil.
type Param struct {
	Name  string
	Value any
}

// Report lets the audit log tell something of an application of Google's.
func (s *State) Report(x *Act, app string, events []ReportEvent, targets ...Ref) {
	e := x.event(Reported)
	e.Report = &Report{App: app, Events: events}
	s.record(GoogleWorkspace, &e, targets...)
}

// GoogleContact is the address of somebody at another company, by number.
func GoogleContact(n int) string {
	return givenNames[n*7%len(givenNames)].plain + "." + familyNames[n%len(familyNames)].plain + "@" + External
}

// GoogleContacts is how many there are.
const GoogleContacts = 24

// IsGuest says whether an account of Google's is a guest's.
func (s *State) IsGuest(a *Account) bool { return a.Outside }

// GoogleAdmin says whether an account may do all, and whether it may do some, by
// roles of its own or of its groups.
func (s *State) GoogleAdmin(a *Account) (super, delegated bool) {
	for _, r := range s.Roles[GoogleWorkspace] {
		if !r.Gone.IsZero() {
			continue
		}
		if r.Holder == acct(a) || r.Holder.Kind == GroupRef && s.Groups[GoogleWorkspace][r.Holder.N].Has(a.N) {
			super = super || r.RoleN == GoogleSuperAdmin
			delegated = delegated || r.RoleN != GoogleSuperAdmin
		}
	}
	return super, delegated
}
