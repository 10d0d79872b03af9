package sources

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"weir/internal/fault"
)

// Action is a change that Weir can make at a vendor. The vocabulary is one for
// all apps.
type Action string

// The vocabulary. What a word means at a vendor, and what it does not do
// there, its connector says (ActionInfo).
const (
	SuspendUser     Action = "suspend_user"
	UnsuspendUser   Action = "unsuspend_user"
	SignOutUser     Action = "sign_out_user"
	ResetPassword   Action = "reset_password"
	ExpirePassword  Action = "expire_password"
	RemoveMember    Action = "remove_member"
	RevokeGrant     Action = "revoke_grant"
	DisableApp      Action = "disable_app"
	RevokeKey       Action = "revoke_key"
	QuarantineFile  Action = "quarantine_file"
	RestoreFile     Action = "restore_file"
	TrashFile       Action = "trash_file"
	OverwriteFile   Action = "overwrite_file"
	RemoveSharing   Action = "remove_sharing"
	MakePrivate     Action = "make_private"
	RemovePrivilege Action = "remove_privilege"
)

// Words for what is done to a person, on every instance: no connector declares
// them, they are made of what connectors declare.
const (
	ContainUser Action = "contain_user"
	ReleaseUser Action = "release_user"
)

// BundleWords explains the words for what is done to a person.
func BundleWords() []ActionWord {
	return []ActionWord{
		{ContainUser, "every account of a person, found by a verified e-mail address, is suspended and signed out, and its consents and tokens are void"},
		{ReleaseUser, "what a contain_user did is undone, as far as it can be"},
	}
}

// ActionWord explains a word of the vocabulary.
type ActionWord struct {
	Action Action
	Doc    string // what is true afterwards, in a sentence
}

// ActionWords returns the vocabulary, in the order of the docs.
func ActionWords() []ActionWord {
	return []ActionWord{
		{SuspendUser, "the account cannot sign in, and keeps what it has"},
		{UnsuspendUser, "a suspended account can sign in again"},
		{SignOutUser, "the account's sessions, and tokens where the vendor can, are ended"},
		{ResetPassword, "the account's password is void until its person sets another"},
		{ExpirePassword, "the account must set another password at the next sign-in"},
		{RemoveMember, "the account is no member of the organization or of a group"},
		{RevokeGrant, "a consent or token given to an app is void"},
		{DisableApp, "an app cannot be used"},
		{RevokeKey, "a key, or long-lived token, is void"},
		{QuarantineFile, "a file, also one in the trash, is out of everybody's reach but the quarantine's"},
		{RestoreFile, "a quarantined or trashed file is where it was"},
		{TrashFile, "a file is in the trash, or gone where there is none"},
		{OverwriteFile, "a file's content is replaced; a copy is kept, or the action refused"},
		{RemoveSharing, "a public link, external people or one collaborator have no access to a file"},
		{MakePrivate, "a container, such as a repository or bucket, is not public"},
		{RemovePrivilege, "a role or right is taken from its holder"},
	}
}

// ActionInfo declares one action of a connector.
type ActionInfo struct {
	Action  Action
	Doc     string         // what is done at this vendor, in a sentence
	Targets []ActionTarget // what it can be done to; a request names one
	Params  []ActionParam
	Scopes  []string // what to grant, in the vendor's words
	// NoUndo says why it can never be undone, in words; "" when Undo can take it
	// back. A plan may still say that this one cannot.
	NoUndo string
	// Risky asks for an approval whatever the configuration says: what cannot be
	// undone and destroys, or hits more than its target.
	Risky  bool
	Limits []string // what it does not do, a sentence each: shown in the plan that is approved
	// First has contain_user do it before it suspends the account, of which the
	// vendor then shows no more what is to be ended.
	First bool
	// Delay is how long the vendor may go on showing the state before a change.
	// A check that says NotDone is believed only when so long has passed.
	Delay time.Duration
}

// ActionTarget is a kind of thing that an action can be done to.
type ActionTarget struct {
	Kind TargetKind
	ID   string // regular expression that the whole id matches: no id may end a path, a query or a word of a query language
	Doc  string // which id it is: "accounts.account_id"
}

// TargetKind is the kind of an action's target: a word of activities.target_kind.
type TargetKind string

// Kinds of targets.
const (
	TargetAccount    TargetKind = "account"
	TargetGroup      TargetKind = "group"
	TargetRole       TargetKind = "role"
	TargetApp        TargetKind = "app"
	TargetCredential TargetKind = "credential"
	TargetFile       TargetKind = "file"
	TargetBucket     TargetKind = "bucket"
	TargetRepository TargetKind = "repository"
	TargetPerson     TargetKind = "person" // of contain_user and release_user alone: an e-mail address
)

// ActionParam declares a parameter. None may be a secret: passwords and keys
// are made at the vendor or by the connector, and thrown away.
type ActionParam struct {
	Name     string // a-z, 0-9 and _
	Doc      string
	Required bool
	Default  string   // "" none
	Enum     []string // accepted values; nil any that Pattern takes
	Pattern  string   // regular expression that the whole value matches; needed without Enum
	Max      int      // bytes; 0: 1 KiB
}

// ParamReapply is the parameter that every action takes, and no connector sees:
// "yes" has an effect that somebody reverts within the watch time planned anew.
const ParamReapply = "reapply"

// ActionRequest is one action on one target. ActionInfo.Check has passed it.
type ActionRequest struct {
	ID     string // of the request; letters, digits, - and _: usable in a tag or a name
	Action Action
	Kind   TargetKind
	Target string            // the id, as requested
	Params map[string]string // with defaults
}

// Bounds of what an action may carry.
const (
	MaxActionID   = 64
	MaxTargetID   = 2 << 10
	MaxParams     = 32
	MaxBefore     = 64 << 10
	MaxSteps      = 256
	MaxStepArgs   = 16 << 10
	MaxDiff       = 1000 // changes of a plan
	maxParamBytes = 1 << 10
	maxPlanText   = 4 << 10 // bytes of one text in a plan or receipt
	maxSubject    = 2000    // entries of one list of a subject
)

// Plan is what an action would do, decided by reading the target again. Two
// plans over the same state are equal in Before, Steps, Diff and NoUndo: no
// times of reading, no counters, lists sorted. No text of it is a secret.
type Plan struct {
	// Target is what the vendor returned for the request's id. Its ID is the
	// very id requested, or Plan fails: an id that the vendor resolves to
	// another thing is refused.
	Target Subject
	// Also are others that the action hits: the owner of a key, the member
	// removed, the group left. They are checked for protection as Target is.
	Also []Subject
	// Before is the state now, as far as the action changes it and Undo needs
	// it: JSON of the connector's, at most MaxBefore bytes.
	Before []byte
	// Steps are what is to be done, in order. None: the target is already as
	// the action would have it.
	Steps []Step
	Diff  []Change
	// NoUndo says why this plan cannot be undone; "" it can.
	NoUndo string
	Limits []string // what to know of this target beside ActionInfo.Limits
}

// Subject is a thing at the vendor, with all that a rule of protection may name
// it by.
type Subject struct {
	Kind    TargetKind
	ID      string   // the vendor's, as returned
	Name    string   // shown to people
	Aliases []string // other ids of the same thing
	Logins  []string
	Emails  []string // all, verified or not
	Groups  []string // ids and names of groups it is in, of accounts
	Roles   []string // ids and names of roles it holds, of accounts
	// Privileged: an administrator of any kind, or that could not be told. Its
	// actions need an approval whatever the configuration says.
	Privileged bool
	// LastAdmin: without it the organization has no administrator left, or that
	// could not be told. It is never acted on.
	LastAdmin bool
	// Self: the credentials, or the identity, that Weir itself uses. It is never
	// acted on. (Its id and names are also compared with Session.Identity.)
	Self bool
}

// Change is one line of a plan's diff, for people.
type Change struct{ What, Before, After string }

// Step is one write at the vendor: small enough that it is done or not done.
type Step struct {
	Name string // unique in the plan: "suspend", "revoke:tok1"
	Doc  string // what it does, in a few words
	Args []byte // JSON of the connector's: all that Do and Check need, also in another process; at most MaxStepArgs bytes
}

// Receipt is what the vendor answered to a step. Nothing of it is a secret.
type Receipt struct {
	Ref     string // the vendor's request or job id
	Note    string // for people
	Pending bool   // accepted, not yet done (202): Check tells when
	Data    []byte // JSON of the connector's, for Check and Undo: a version id, a job; at most MaxStepArgs bytes
}

// Outcome is what the vendor shows of a step.
type Outcome string

// Outcomes of a check.
const (
	Done    Outcome = "done"
	NotDone Outcome = "not_done"
	Pending Outcome = "pending" // under way at the vendor
	Unknown Outcome = "unknown" // cannot be told
)

// Effect is what an action has done: what Undo goes by.
type Effect struct {
	Request ActionRequest
	Before  []byte // of the plan that was carried out
	Steps   []StepDone
}

// StepDone is a step that took effect, with its receipt (zero when its answer
// was lost).
type StepDone struct {
	Step    Step
	Receipt Receipt
}

// Governor is a Session whose connector declares Actions. Its methods obey the
// rules of Session. Only Do writes at the vendor.
//
// Requests are made with httpx.Request.Once, so that none is sent twice, and
// ids enter them through httpx.P and the quoting of the query's language only.
// Secrets that a vendor answers with (a temporary password, a reset link, a new
// key) are dropped where they are decoded.
type Governor interface {
	Session
	// Plan reads the target and says what would be done. Errors: fault.BadData
	// when the vendor does not know the target or it is none that the action
	// can be done to (a folder, say); fault.Permanent when it must not be done;
	// else as those of any request.
	Plan(ctx context.Context, r ActionRequest) (*Plan, error)
	// Do carries out a step. It may be called again for a step only when Check
	// said NotDone. Errors: fault.Throttled: the vendor did not take it, and
	// will later. Auth, Forbidden, NotLicensed, BadData, Permanent: the vendor
	// refused it. Any other: it may or may not have taken effect.
	Do(ctx context.Context, s Step) (Receipt, error)
	// Check says whether a step is in effect now. The receipt is zero when the
	// answer to Do was lost. It is also asked long afterwards, whether the
	// effect still stands.
	Check(ctx context.Context, s Step, r Receipt) (Outcome, error)
	// Undo plans to take an effect back, reading the target again: Before is
	// the state now. What a person has changed since is left alone, or the plan
	// fails with fault.Permanent.
	Undo(ctx context.Context, e Effect) (*Plan, error)
}

// Finder is a Governor that knows the accounts of people.
type Finder interface {
	// FindAccounts returns the accounts with an e-mail address, which is lower-case
	// ASCII. Errors are those of any request; to find none is none.
	FindAccounts(ctx context.Context, email string) ([]Found, error)
}

// Found is an account that has an e-mail address.
type Found struct {
	ID string // accounts.account_id
	// Verified: the vendor, or who administers the organization, has made sure
	// that the address is the account's. What a person may have typed is not.
	Verified bool
}

// Action returns the declaration of an action, or nil.
func (c *Connector) Action(a Action) *ActionInfo {
	i := slices.IndexFunc(c.Actions, func(i ActionInfo) bool { return i.Action == a })
	if i < 0 {
		return nil
	}
	return &c.Actions[i]
}

var (
	validActionID  = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9_-]*\z`)
	validParamName = regexp.MustCompile(`\A[a-z][a-z0-9_]*\z`)
)

// Check returns why a request is none that the action takes, or nil. It fills
// in the defaults of parameters. Errors quote what was asked for, made
// printable and cut short.
func (i *ActionInfo) Check(r *ActionRequest) error {
	if len(r.ID) > MaxActionID || !validActionID.MatchString(r.ID) {
		return fault.New(fault.BadData, "id %s: want at most %d letters, digits, - and _, the first a letter or digit", quote(r.ID), MaxActionID)
	}
	if r.Action != i.Action {
		return fault.New(fault.BadData, "action %s is not %s", quote(string(r.Action)), i.Action)
	}
	t := slices.IndexFunc(i.Targets, func(t ActionTarget) bool { return t.Kind == r.Kind })
	if t < 0 {
		return fault.New(fault.BadData, "target_kind %s: %s takes %s", quote(string(r.Kind)), i.Action, i.kinds())
	}
	if err := plainText(r.Target, MaxTargetID); err != nil {
		return fault.New(fault.BadData, "target_id %s: %w", quote(r.Target), err)
	}
	if !whole(i.Targets[t].ID, r.Target) {
		return fault.New(fault.BadData, "target_id %s: want %s", quote(r.Target), i.Targets[t].Doc)
	}
	return i.checkParams(r)
}

func (i *ActionInfo) kinds() string {
	var kinds []string
	for _, t := range i.Targets {
		kinds = append(kinds, string(t.Kind))
	}
	return strings.Join(kinds, ", ")
}

func (i *ActionInfo) checkParams(r *ActionRequest) error {
	if len(r.Params) > MaxParams {
		return fault.New(fault.BadData, "params: %d of them, at most %d are taken", len(r.Params), MaxParams)
	}
	for name := range r.Params {
		if !slices.ContainsFunc(i.Params, func(p ActionParam) bool { return p.Name == name }) {
			return fault.New(fault.BadData, "params: %s takes no %s", i.Action, quote(name))
		}
	}
	params := make(map[string]string, len(i.Params))
	for _, p := range i.Params {
		v, given := r.Params[p.Name]
		switch {
		case !given && p.Required:
			return fault.New(fault.BadData, "params: %s needs %s: %s", i.Action, p.Name, p.Doc)
		case !given && p.Default == "":
			continue
		case !given:
			v = p.Default
		}
		if err := plainText(v, cmp.Or(p.Max, maxParamBytes)); err != nil {
			return fault.New(fault.BadData, "params.%s %s: %w", p.Name, quote(v), err)
		}
		if len(p.Enum) > 0 && !slices.Contains(p.Enum, v) {
			return fault.New(fault.BadData, "params.%s %s: want one of %s", p.Name, quote(v), strings.Join(p.Enum, ", "))
		}
		if len(p.Enum) == 0 && !whole(p.Pattern, v) {
			return fault.New(fault.BadData, "params.%s %s: want %s", p.Name, quote(v), p.Doc)
		}
		params[p.Name] = v
	}
	r.Params = params
	return nil
}

// Validate returns what is wrong with a declaration. The connectors' tests call
// it.
func (i *ActionInfo) Validate() error {
	if !slices.ContainsFunc(ActionWords(), func(w ActionWord) bool { return w.Action == i.Action }) {
		return fmt.Errorf("%s is no word of the vocabulary", i.Action)
	}
	if i.Doc == "" || len(i.Targets) == 0 || len(i.Scopes) == 0 || i.Delay < 0 || i.Delay > time.Hour {
		return fmt.Errorf("%s: want a doc, targets, scopes and a delay of at most an hour", i.Action)
	}
	for n, t := range i.Targets {
		if _, err := regexp.Compile(t.ID); err != nil || t.ID == "" || t.Doc == "" || whole(t.ID, "") {
			return fmt.Errorf("%s: target %s: want a doc and an expression that does not take an empty id", i.Action, t.Kind)
		}
		if slices.ContainsFunc(i.Targets[:n], func(o ActionTarget) bool { return o.Kind == t.Kind }) {
			return fmt.Errorf("%s: target %s is declared twice", i.Action, t.Kind)
		}
	}
	for n, p := range i.Params {
		if _, err := regexp.Compile(p.Pattern); err != nil || !validParamName.MatchString(p.Name) || p.Name == ParamReapply || p.Doc == "" || len(p.Enum) == 0 && p.Pattern == "" {
			return fmt.Errorf("%s: parameter %s: want a name, a doc, and values or an expression", i.Action, p.Name)
		}
		if p.Required && p.Default != "" || p.Default != "" && len(p.Enum) > 0 && !slices.Contains(p.Enum, p.Default) {
			return fmt.Errorf("%s: parameter %s: the default is none", i.Action, p.Name)
		}
		if slices.ContainsFunc(i.Params[:n], func(o ActionParam) bool { return o.Name == p.Name }) {
			return fmt.Errorf("%s: parameter %s is declared twice", i.Action, p.Name)
		}
	}
	return nil
}

// Validate returns what of a plan breaks the contract, given the request it was
// made for: then it is never carried out.
func (p *Plan) Validate(r ActionRequest) error {
	if p.Target.ID != r.Target || p.Target.Kind != r.Kind {
		return fault.New(fault.BadData, "the vendor returned %s %s for %s %s", p.Target.Kind, quote(p.Target.ID), r.Kind, quote(r.Target))
	}
	if len(p.Before) > MaxBefore || len(p.Steps) > MaxSteps || len(p.Diff) > MaxDiff {
		return fault.New(fault.Permanent, "the plan is too large: %d bytes of state before, %d steps, %d changes", len(p.Before), len(p.Steps), len(p.Diff))
	}
	if !validJSON(p.Before) {
		return fault.New(fault.Permanent, "the plan's state before is no JSON")
	}
	for _, s := range append([]Subject{p.Target}, p.Also...) {
		for _, list := range [][]string{s.Aliases, s.Logins, s.Emails, s.Groups, s.Roles} {
			if len(list) > maxSubject {
				// What is cut short cannot be checked for protection.
				return fault.New(fault.Permanent, "%s %s: more than %d ids, groups or roles", s.Kind, quote(s.ID), maxSubject)
			}
		}
	}
	if len(p.Steps) > 0 && len(p.Diff) == 0 {
		return fault.New(fault.Permanent, "the plan has steps and no diff")
	}
	for n, s := range p.Steps {
		if s.Name == "" || s.Doc == "" || len(s.Name)+len(s.Doc) > maxPlanText || len(s.Args) > MaxStepArgs || !validJSON(s.Args) {
			return fault.New(fault.Permanent, "step %d of the plan breaks the contract", n+1)
		}
		if slices.ContainsFunc(p.Steps[:n], func(o Step) bool { return o.Name == s.Name }) {
			return fault.New(fault.Permanent, "step %s is twice in the plan", quote(s.Name))
		}
	}
	for _, c := range p.Diff {
		if len(c.What)+len(c.Before)+len(c.After) > maxPlanText {
			return fault.New(fault.Permanent, "a change of the plan's diff is longer than %d bytes", maxPlanText)
		}
	}
	return nil
}

func validJSON(b []byte) bool { return len(bytes.TrimSpace(b)) == 0 || json.Valid(b) }

// whole reports whether the whole of s matches an expression.
func whole(expr, s string) bool {
	re, err := regexp.Compile(`\A(?:` + expr + `)\z`)
	return err == nil && re.MatchString(s)
}

// plainText returns why s cannot be an id or a parameter, whatever expression
// takes it: nothing that a person who reads a plan cannot see.
func plainText(s string, most int) error {
	switch {
	case s == "":
		return fmt.Errorf("empty")
	case len(s) > most:
		return fmt.Errorf("%d bytes, at most %d are taken", len(s), most)
	case !utf8.ValidString(s):
		return fmt.Errorf("not UTF-8")
	case strings.TrimSpace(s) != s:
		return fmt.Errorf("space in front or at the end")
	}
	for _, r := range s {
		// Cf has the marks that turn the direction of text and those without
		// width; replacement characters stand for what was lost on the way.
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co) || r == utf8.RuneError {
			return fmt.Errorf("the invisible character %U", r)
		}
	}
	return nil
}

const maxQuoted = 80

// quote makes what somebody typed printable, and short.
func quote(s string) string {
	if len(s) > maxQuoted {
		cut := maxQuoted
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		return fmt.Sprintf("%+q... (%d bytes)", s[:cut], len(s))
	}
	return fmt.Sprintf("%+q", s)
}
