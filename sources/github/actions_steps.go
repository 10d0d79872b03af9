package github

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// Paths that actions use.
const (
	pathMembership     = "/orgs/{org}/memberships/{username}"
	pathOutside        = "/orgs/{org}/outside_collaborators/{username}"
	pathInvitation     = "/orgs/{org}/invitations/{invitation_id}"
	pathTeam           = "/orgs/{org}/teams/{team_slug}"
	pathTeamMembers    = "/orgs/{org}/teams/{team_slug}/members"
	pathTeamMembership = "/orgs/{org}/teams/{team_slug}/memberships/{username}"
	pathTeamRepo       = "/orgs/{org}/teams/{team_slug}/repos/{owner}/{repo}"
	pathRoleUsers      = "/orgs/{org}/organization-roles/{role_id}/users"
	pathUserRole       = "/orgs/{org}/organization-roles/users/{username}/{role_id}"
	pathBlock          = "/orgs/{org}/blocks/{username}"
	pathSuspended      = "/users/{username}/suspended"
	pathCredentials    = "/orgs/{org}/credential-authorizations"
	pathCredential     = "/orgs/{org}/credential-authorizations/{credential_id}"
	pathRevokeAll      = "/orgs/{org}/credential-authorizations/{username}/revoke"
	pathPAT            = "/orgs/{org}/personal-access-tokens/{pat_id}"
	pathServerTokens   = "/admin/tokens"
	pathServerToken    = "/admin/tokens/{token_id}"
	pathUninstall      = "/enterprises/{enterprise}/apps/organizations/{org}/installations/{installation_id}"
	pathRepository     = "/repos/{owner}/{repo}"
	pathCollaborator   = "/repos/{owner}/{repo}/collaborators/{username}"
	pathRepoInvitation = "/repos/{owner}/{repo}/invitations/{invitation_id}"
	pathKeys           = "/repos/{owner}/{repo}/keys"
	pathKey            = "/repos/{owner}/{repo}/keys/{key_id}"
	pathContents       = "/repos/{owner}/{repo}/contents/{path...}"
	pathBlob           = "/repos/{owner}/{repo}/git/blobs/{file_sha}"
)

// args are a step's: what is done, to what. Accounts, teams and repositories are
// named by the ids that stay; the login is that of the plan, and compared right
// before the write.
type args struct {
	Op         string   `json:"op"`
	Request    string   `json:"request,omitempty"` // id of the request, for texts that the vendor keeps
	Account    string   `json:"account,omitempty"`
	Login      string   `json:"login,omitempty"`
	Team       string   `json:"team,omitempty"`
	Repository string   `json:"repository,omitempty"`
	ID         string   `json:"id,omitempty"` // of the invitation, role, credential, token, key, installation or SCIM identity
	IDs        []string `json:"ids,omitempty"`
	Enterprise string   `json:"enterprise,omitempty"`
	Role       string   `json:"role,omitempty"` // of a membership, or on a repository
	Visibility string   `json:"visibility,omitempty"`
	Path       string   `json:"path,omitempty"`
	Branch     string   `json:"branch,omitempty"`
	SHA        string   `json:"sha,omitempty"`  // of the blob that is replaced or deleted; "" there is no file
	Blob       string   `json:"blob,omitempty"` // that is put; "" the note
	// Was is what undoing puts back, where that does not follow from the rest:
	// a visibility, a blob.
	Was      string `json:"was,omitempty"`
	Key      string `json:"key,omitempty"` // the public half
	Title    string `json:"title,omitempty"`
	ReadOnly bool   `json:"read_only,omitempty"`
}

// Ops of steps.
const (
	opVisibility   = "visibility"
	opLeave        = "leave_organization"
	opInvite       = "invite"
	opLeaveOutside = "remove_outside_collaborator"
	opUninvite     = "cancel_invitation"
	opLeaveTeam    = "leave_team"
	opJoinTeam     = "join_team"
	opBlock        = "block"
	opUnblock      = "unblock"
	opSuspend      = "suspend"
	opUnsuspend    = "unsuspend"
	opDeactivate   = "deactivate_identity"
	opReactivate   = "reactivate_identity"
	opRevokeAll    = "revoke_credentials"
	opRevoke       = "revoke_credential"
	opRevokePAT    = "revoke_token"
	opDeleteKey    = "delete_deploy_key"
	opAddKey       = "add_deploy_key"
	opDeleteToken  = "delete_token"
	opUninstall    = "uninstall_app"
	opRemove       = "remove_collaborator"
	opAdd          = "add_collaborator"
	opRemoveTeam   = "remove_team"
	opAddTeam      = "add_team"
	opUninviteRepo = "cancel_repository_invitation"
	opUnassign     = "unassign_role"
	opAssign       = "assign_role"
	opPut          = "put_file"
	opDelete       = "delete_file"
)

// op is one kind of write.
type op struct {
	right   right
	inverse string // op that takes it back; "" none
	// request reads what the step names by its id, and makes the write for what
	// that is called now.
	request func(ctx context.Context, s *session, a *args) (*httpx.Request, error)
	check   check
}

// check tells whether the effect of a step shows.
type check = func(ctx context.Context, s *session, a *args) (bool, error)

func not(f check) check {
	return func(ctx context.Context, s *session, a *args) (bool, error) {
		ok, err := f(ctx, s, a)
		return !ok && err == nil, err
	}
}

// opOf returns the op of a name; nil: there is none.
func opOf(name string) *op {
	switch name {
	case opVisibility:
		return &op{rightRepo, opVisibility, setVisibility, hasVisibility}
	case opLeave:
		return &op{rightMembers, opInvite, onLogin(http.MethodDelete, pathMembership, nil), not(isMember)}
	case opInvite:
		return &op{rightMembers, "", onLogin(http.MethodPut, pathMembership, func(a *args) any { return roleBody{a.Role} }), isMember}
	case opLeaveOutside:
		return &op{rightMembers, "", onLogin(http.MethodDelete, pathOutside, nil), not(isOutside)}
	case opUninvite:
		return &op{rightMembers, "", inOrg(http.MethodDelete, pathInvitation, nil), not(isInvited)}
	case opLeaveTeam:
		return &op{rightMembers, opJoinTeam, onTeam(http.MethodDelete), not(inTeam)}
	case opJoinTeam:
		return &op{rightMembers, "", onTeam(http.MethodPut), inTeam}
	case opBlock:
		return &op{rightBlocks, opUnblock, onLogin(http.MethodPut, pathBlock, nil), isBlocked}
	case opUnblock:
		return &op{rightBlocks, opBlock, onLogin(http.MethodDelete, pathBlock, nil), not(isBlocked)}
	case opUnassign:
		return &op{rightRoles, opAssign, onRole(http.MethodDelete), not(holdsRole)}
	case opAssign:
		return &op{rightRoles, "", onRole(http.MethodPut), holdsRole}
	}
	if o := credentialOp(name); o != nil {
		return o
	}
	return repositoryOp(name)
}

// credentialOp are the ops on identities, credentials and apps.
func credentialOp(name string) *op {
	switch name {
	case opSuspend:
		return &op{rightSite, opUnsuspend, onServer(http.MethodPut), isSuspended}
	case opUnsuspend:
		return &op{rightSite, opSuspend, onServer(http.MethodDelete), not(isSuspended)}
	case opDeactivate:
		return &op{rightSCIM, opReactivate, setActive(false), hasActive(false)}
	case opReactivate:
		return &op{rightSCIM, opDeactivate, setActive(true), hasActive(true)}
	case opRevokeAll:
		return &op{rightOrg, "", onLogin(http.MethodPost, pathRevokeAll, nil), noCredentialOf}
	case opRevoke:
		return &op{rightOrg, "", inOrg(http.MethodDelete, pathCredential, nil), noCredentialOf}
	case opRevokePAT:
		return &op{rightPATs, "", inOrg(http.MethodPost, pathPAT, func(*args) any { return actionBody{"revoke"} }), noPAT}
	case opDeleteToken:
		return &op{rightSite, "", func(_ context.Context, _ *session, a *args) (*httpx.Request, error) {
			return &httpx.Request{Method: http.MethodDelete, Path: httpx.P(pathServerToken, a.ID)}, nil
		}, noServerToken}
	case opUninstall:
		return &op{rightUninstall, "", uninstall, noInstallation}
	}
	return nil
}

// repositoryOp are the ops on a repository and its files.
func repositoryOp(name string) *op {
	switch name {
	case opDeleteKey:
		return &op{rightRepo, opAddKey, inRepo(http.MethodDelete, pathKey, nil, keyID), not(hasKey)}
	case opAddKey:
		return &op{rightRepo, "", inRepo(http.MethodPost, pathKeys, func(a *args) any { return keyBody{a.Title, a.Key, a.ReadOnly} }, nil), hasKey}
	case opRemove:
		return &op{rightRepo, opAdd, onCollaborator(http.MethodDelete), not(isCollaborator)}
	case opAdd:
		return &op{rightRepo, "", onCollaborator(http.MethodPut), isGivenBack}
	case opRemoveTeam:
		return &op{rightTeamRepos, opAddTeam, onTeamRepo(http.MethodDelete), not(hasTeam)}
	case opAddTeam:
		return &op{rightTeamRepos, "", onTeamRepo(http.MethodPut), hasTeamAs}
	case opUninviteRepo:
		return &op{rightRepo, "", inRepo(http.MethodDelete, pathRepoInvitation, nil, keyID), not(isInvitedTo)}
	case opPut:
		return &op{rightContents, opPut, putFile, hasBlob}
	case opDelete:
		return &op{rightContents, opPut, deleteFile, noFile}
	}
	return nil
}

// Bodies of writes.
type (
	roleBody struct {
		Role string `json:"role"`
	}
	actionBody struct {
		Action string `json:"action"`
	}
	reasonBody struct {
		Reason string `json:"reason"`
	}
	permissionBody struct {
		Permission string `json:"permission"`
	}
	visibilityBody struct {
		Visibility string `json:"visibility"`
	}
	keyBody struct {
		Title    string `json:"title"`
		Key      string `json:"key"`
		ReadOnly bool   `json:"read_only"`
	}
)

func keyID(a *args) []string { return []string{a.ID} }

func body(make func(*args) any, a *args) []byte {
	if make == nil {
		return nil
	}
	return encode(make(a))
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("github: " + err.Error()) // structs of texts
	}
	return b
}

// makeStep makes a step of a plan.
func makeStep(name, doc string, a args) sources.Step {
	return sources.Step{Name: name, Doc: doc, Args: encode(a)}
}

func decodeStep(st sources.Step) (*args, *op, error) {
	a := &args{}
	if err := json.Unmarshal(st.Args, a); err != nil {
		return nil, nil, fault.New(fault.Permanent, "github: step %q: %w", st.Name, err)
	}
	o := opOf(a.Op)
	if o == nil {
		return nil, nil, fault.New(fault.Permanent, "github: step %q was planned by another version", st.Name)
	}
	return a, o, nil
}

// inOrg makes a write on what the organization knows by a step's ID.
func inOrg(method, path string, what func(*args) any) func(context.Context, *session, *args) (*httpx.Request, error) {
	return func(_ context.Context, s *session, a *args) (*httpx.Request, error) {
		return &httpx.Request{Method: method, Path: httpx.P(path, s.cfg.Org, a.ID), Body: body(what, a)}, nil
	}
}

// onLogin makes a write on an account of the organization, which is still
// called as the step says.
func onLogin(method, path string, what func(*args) any) func(context.Context, *session, *args) (*httpx.Request, error) {
	return func(ctx context.Context, s *session, a *args) (*httpx.Request, error) {
		if err := s.sameAccount(ctx, a); err != nil {
			return nil, err
		}
		return &httpx.Request{Method: method, Path: httpx.P(path, s.cfg.Org, a.Login), Body: body(what, a)}, nil
	}
}

// inRepo makes a write on a repository, by its name of now.
func inRepo(method, path string, what func(*args) any, ids func(*args) []string) func(context.Context, *session, *args) (*httpx.Request, error) {
	return func(ctx context.Context, s *session, a *args) (*httpx.Request, error) {
		_, owner, name, err := s.repositoryNames(ctx, a.Repository)
		if err != nil {
			return nil, err
		}
		names := []string{owner, name}
		if ids != nil {
			names = append(names, ids(a)...)
		}
		return &httpx.Request{Method: method, Path: httpx.P(path, names...), Body: body(what, a)}, nil
	}
}

// sameAccount fails unless the login of a step is still its account's: GitHub
// writes by login, and somebody else may have it by now.
func (s *session) sameAccount(ctx context.Context, a *args) error {
	u, err := s.profile(ctx, httpx.P(pathUserByLogin, a.Login))
	switch {
	case err != nil:
		return err
	case string(u.ID) != a.Account:
		return fault.New(fault.BadData, "github: account %s was called %s, and somebody else is now: nothing is written", a.Account, a.Login)
	}
	return nil
}

// Do implements sources.Governor.
func (s *session) Do(ctx context.Context, st sources.Step) (sources.Receipt, error) {
	a, o, err := decodeStep(st)
	if err != nil {
		return sources.Receipt{}, err
	}
	req, err := o.request(ctx, s, a)
	if err != nil {
		return sources.Receipt{}, err
	}
	req.Once = true
	client := s.rest
	if a.Op == opUninstall {
		if client = s.enterprise; client == nil {
			return sources.Receipt{}, errNoEnterprise
		}
	}
	r, err := client.Do(ctx, req)
	if status := statusOf(err); status == http.StatusNotFound || status == http.StatusUnprocessableEntity {
		// What is to be gone may be gone already, who is to be blocked be blocked.
		if done, askErr := o.check(ctx, s, a); askErr == nil && done {
			return sources.Receipt{Note: "it was so already"}, nil
		}
	}
	if err != nil {
		if fault.Of(err) == fault.Forbidden {
			err = fault.New(fault.Forbidden, "%w; it takes %s", err, o.right)
		}
		return sources.Receipt{}, err
	}
	return receipt(a, r), nil
}

func receipt(a *args, r *httpx.Response) sources.Receipt {
	out := sources.Receipt{Ref: clip(r.Header.Get("X-Github-Request-Id"))}
	switch {
	case r.Status == http.StatusAccepted:
		out.Pending, out.Note = true, "GitHub does it in the background"
	case a.Op == opPut || a.Op == opDelete:
		var body struct {
			Commit struct {
				SHA string `json:"sha"`
			} `json:"commit"`
		}
		if json.Unmarshal(r.Body, &body) == nil && body.Commit.SHA != "" {
			out.Note = "commit " + clip(body.Commit.SHA)
		}
	}
	return out
}

// Check implements sources.Governor.
func (s *session) Check(ctx context.Context, st sources.Step, r sources.Receipt) (sources.Outcome, error) {
	a, o, err := decodeStep(st)
	if err != nil {
		return sources.Unknown, err
	}
	done, err := o.check(ctx, s, a)
	switch {
	case fault.Of(err) == fault.BadData && err != nil: // what it was done to is gone, or cannot be told
		return sources.Unknown, nil
	case err != nil:
		return sources.Unknown, err
	case done:
		return sources.Done, nil
	case r.Pending:
		return sources.Pending, nil
	}
	return sources.NotDone, nil
}

// Undo implements sources.Governor. Each step that took effect is taken back,
// the last one first. One whose effect is not there any more, and not what was
// before either, a person has changed since: it is left alone.
func (s *session) Undo(ctx context.Context, e sources.Effect) (*sources.Plan, error) {
	r := e.Request
	if i := declared(r.Action); i == nil || i.NoUndo != "" {
		return nil, fault.New(fault.Permanent, "github: %s cannot be undone", r.Action)
	}
	p := &sources.Plan{}
	var b before
	hidden := "" // the login of who was suspended, and is out of sight by now
	for _, done := range slices.Backward(e.Steps) {
		a, o, err := decodeStep(done.Step)
		if err != nil {
			return nil, err
		}
		back, ok := inverse(a, o)
		if !ok {
			return nil, fault.New(fault.Permanent, "github: %s cannot be undone", words(a.Op))
		}
		if a.Op == opDeactivate {
			hidden = a.Login
		}
		switch already, stands, err := s.standing(ctx, a, o, &back); {
		case err != nil:
			return nil, err
		case already:
			continue
		case !stands:
			return nil, fault.New(fault.Permanent, "github: somebody has changed what %s did since: it is left alone", words(a.Op))
		}
		b.InEffect = append(b.InEffect, done.Step.Name)
		p.Diff = append(p.Diff, sources.Change{What: words(back.Op) + " " + first(back.Login, back.Path, back.Title, back.Team, back.Repository), Before: "", After: first(back.Role, back.Visibility, "as before "+string(r.Action))})
		p.Steps = append(p.Steps, makeStep("undo:"+done.Step.Name, words(back.Op), back))
		if back.Op == opInvite || back.Op == opAdd {
			p.Limits = []string{"The person may have to accept an invitation."}
		}
	}
	p.Before = encode(b)
	if hidden != "" {
		// GitHub has obfuscated the account's login and addresses: the step's
		// identity is the account's, and what protects it cannot be told.
		p.Target = sources.Subject{Kind: r.Kind, ID: r.Target, Name: hidden, Aliases: []string{hidden}, Logins: []string{hidden}, Privileged: true}
		return p, nil
	}
	if err := s.undoSubject(ctx, p, r); err != nil {
		return nil, err
	}
	return p, nil
}

// standing tells whether a step has been taken back already, or else whether its
// effect still stands. What a server does not tell is taken for standing.
func (s *session) standing(ctx context.Context, a *args, o *op, back *args) (already, stands bool, err error) {
	already, err = opOf(back.Op).check(ctx, s, back)
	if errors.Is(err, errNotTold) {
		return false, true, nil
	}
	if err != nil || already {
		return already, false, err
	}
	stands, err = o.check(ctx, s, a)
	return false, stands, err
}

// inverse returns the step that takes another back; false: there is none.
func inverse(a *args, o *op) (back args, ok bool) {
	back = *a
	back.Op = o.inverse
	switch a.Op {
	case opLeave:
		return back, a.Role != "" // else it was only an invitation
	case opVisibility:
		back.Visibility, back.Was = a.Was, a.Visibility
	case opPut, opDelete:
		if a.Was == "" {
			return back, false
		}
		back.Blob, back.SHA, back.Was = a.Was, "", ""
		if a.Op == opPut {
			back.SHA = putSHA(a)
		}
	}
	return back, o.inverse != ""
}

func words(op string) string { return strings.ReplaceAll(op, "_", " ") }
