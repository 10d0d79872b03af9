package googleworkspace

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

const pathFilePermission = "/drive/v3/files/{file}/permissions/{permission}"

// Values of the parameter who.
const (
	whoPublic   = "public"
	whoExternal = "external"
	whoEditors  = "editors"
	whoAll      = "all"
)

// govFilePermission is a permission as actions read it.
type govFilePermission struct {
	wireFilePermission
	Pending bool `json:"pendingOwner"`
}

// share is what was granted on a file, and is granted again.
type share struct {
	ID      string `json:"id"` // the same for the same grantee
	Type    string `json:"type"`
	Role    string `json:"role"`
	Email   string `json:"email,omitempty"`
	Domain  string `json:"domain,omitempty"`
	Listed  bool   `json:"listed,omitempty"` // found by searching, where that can be
	Expires string `json:"expires,omitempty"`
	Dead    bool   `json:"dead,omitempty"` // its account is deleted
}

// share is the part of a permission that was granted on the file itself.
func (p *govFilePermission) share() *share {
	o := &share{ID: p.ID, Type: p.Type, Role: p.directRole(), Email: strings.ToLower(p.Email), Domain: strings.ToLower(p.Domain), Expires: p.Expires, Dead: p.Deleted}
	o.Listed = p.Discoverable != nil && *p.Discoverable
	return o
}

// partly tells that something is inherited, too.
func (p *govFilePermission) partly() bool {
	return slices.ContainsFunc(p.Details, func(d wirePermissionDetail) bool { return !direct(d) })
}

func (o *share) who() string { return cmp.Or(o.Email, o.Domain, o.Type) }

func (o *share) words() string {
	w := o.Role
	if o.Expires != "" {
		w += " until " + o.Expires
	}
	return w
}

// shares are those granted on a file itself, but the owner's, sorted.
func (f *govFile) shares() (own []*share, above []string) {
	for i := range f.Permissions {
		p := &f.Permissions[i]
		switch {
		case p.View != "" || p.Role == roleOwner && p.Type == typeUser:
		case p.inherited():
			above = append(above, p.share().who())
		default:
			if own = append(own, p.share()); p.partly() {
				above = append(above, p.share().who())
			}
		}
	}
	slices.SortFunc(own, func(a, b *share) int { return strings.Compare(a.ID, b.ID) })
	return own, sortedUnique(above)
}

// outside tells whether a permission reaches beyond the organization.
func (o *share) outside(w *whose) bool {
	p := wireFilePermission{Type: o.Type, Email: o.Email, Domain: o.Domain}
	return p.audience(w) >= sharedExternal
}

func (o *share) edits() bool {
	return o.Role == "writer" || o.Role == "fileOrganizer" || o.Role == roleOrganizer
}

// unshare plans the end of permissions.
func (p *filePlan) unshare(ctx context.Context) error {
	who, one := p.r.Params["who"], p.r.Params["permission"]
	private := p.r.Action == sources.MakePrivate
	own, above := p.f.shares()
	switch {
	case private && p.f.DriveID != "":
		return fault.New(fault.Permanent, "google_workspace: %q belongs to a shared drive, whose members have access to all in it: quarantine it, or take its own sharing away by remove_sharing", p.f.Name)
	case private && len(above) > 0 && p.r.Params["move"] != "yes":
		return fault.New(fault.Permanent, "google_workspace: %q is shared through its folder with %s: with move: yes it is moved out, to the owner's My Drive", p.f.Name, govCut(strings.Join(above, ", "), maxWords))
	case private:
		who = whoAll
		if len(above) > 0 {
			if err := p.detach(ctx); err != nil {
				return err
			}
			above = nil
		}
	case one != "" && !slices.ContainsFunc(own, func(o *share) bool { return o.ID == one }):
		return p.noSuchShare(one)
	}
	whose, err := p.s.library().whose(ctx)
	if err != nil {
		return err
	}
	for _, o := range own {
		if one != "" && o.ID != one {
			continue
		}
		if one != "" || who == whoAll || who == whoPublic && o.Type == typeAnyone || who == whoExternal && o.outside(whose) || who == whoEditors && o.edits() {
			p.drop(o, "")
		}
	}
	if len(above) > 0 {
		p.Limits = append(p.Limits, "The file stays shared through its folder or shared drive with "+govCut(strings.Join(above, ", "), maxWords)+".")
	}
	return nil
}

func (p *filePlan) noSuchShare(id string) error {
	i := slices.IndexFunc(p.f.Permissions, func(o govFilePermission) bool { return o.ID == id })
	switch {
	case i < 0: // gone, or never there: an id of nobody proves nothing
		return fault.New(fault.BadData, "google_workspace: %q has no permission %.100q", p.f.Name, id)
	case p.f.Permissions[i].Role == roleOwner:
		return fault.New(fault.Permanent, "google_workspace: permission %.100q is the owner's: it is left alone", id)
	}
	from := "its folder"
	for _, d := range p.f.Permissions[i].Details {
		from = cmp.Or(d.InheritedFrom, from)
	}
	return fault.New(fault.Permanent, "google_workspace: permission %.100q is inherited from %s: it ends there", id, from)
}

// drop adds the end of a permission; then is who sees the file at last.
func (p *filePlan) drop(o *share, then string) {
	p.before.Shares = append(p.before.Shares, *o)
	p.add(bareOp(opFileUnshare)+":"+o.ID, fileArgs{Op: opFileUnshare, Share: o, Then: then},
		sources.Change{What: "permission of " + o.who() + " on " + p.f.Name + " (" + o.ID + ")", Before: o.words(), After: "none"})
	if o.Dead {
		p.Limits = append(p.Limits, "A permission of a deleted account is not given back.")
	}
}

// fileGrants lists what reaches a file, as who acts or sees it.
func (s *session) fileGrants(ctx context.Context, a *fileArgs) ([]govFilePermission, error) {
	all, err := govList[govFilePermission](ctx, s, permissionsOf(s.as(a.As, scopeDrive), a.File))
	if err != nil && unseen(err) && a.Then != "" {
		all, err = govList[govFilePermission](ctx, s, permissionsOf(s.as(a.Then, scopeDrive), a.File))
	}
	return slices.DeleteFunc(all, func(p govFilePermission) bool { return p.View != "" }), err
}

// directShares lists what is granted on a file itself.
func (s *session) directShares(ctx context.Context, a *fileArgs) (out []*share, err error) {
	all, err := s.fileGrants(ctx, a)
	for i := range all {
		if !all[i].inherited() {
			out = append(out, all[i].share())
		}
	}
	return out, err
}

// grantee tells whether two permissions are of one grantee. An id alone is no
// proof: it may not be known.
func (o *share) grantee(other *share) bool {
	if o.ID != "" && other.ID != "" {
		return o.ID == other.ID
	}
	return o.Type == other.Type && o.Email == other.Email && o.Domain == other.Domain
}

func findShare(all []*share, o *share) *share {
	if i := slices.IndexFunc(all, o.grantee); i >= 0 {
		return all[i]
	}
	return nil
}

func unshareFile(ctx context.Context, s *session, a *fileArgs) (sources.Receipt, error) {
	id := a.Share.ID
	if id == "" {
		all, err := s.directShares(ctx, a)
		if err != nil {
			return sources.Receipt{}, err
		}
		found := findShare(all, a.Share)
		if found == nil {
			return sources.Receipt{Note: "it was gone already"}, nil
		}
		id = found.ID
	}
	r, err := s.fileWrite(ctx, a, http.MethodDelete, httpx.P(pathFilePermission, a.File, id), nil, nil)
	if code := httpx.CodeOf(err); code == reasonNotFound && strings.Contains(err.Error(), "ermission") || code == "permissionNotFound" {
		return sources.Receipt{Note: "it was gone already"}, nil
	}
	return r, err
}

func isUnshared(ctx context.Context, s *session, a *fileArgs, _ *fileKept) (sources.Outcome, error) {
	all, err := s.directShares(ctx, a)
	return doneIf(err == nil && findShare(all, a.Share) == nil, err)
}

func undoUnshare(_ context.Context, u *fileUndo, a *fileArgs, _ *fileKept) ([]fileArgs, error) {
	switch {
	case a.Share.Role == roleOwner: // it comes back with the ownership
		return nil, nil
	case a.Share.Dead:
		u.limit("The permission of a deleted account is not given back.")
		return nil, nil
	}
	back := *a
	back.Op = opFileShare
	return []fileArgs{back}, nil
}

// shareFile grants again, without a message to the grantee.
func shareFile(ctx context.Context, s *session, a *fileArgs) (sources.Receipt, error) {
	type body struct {
		Type       string `json:"type"`
		Role       string `json:"role"`
		Email      string `json:"emailAddress,omitempty"`
		Domain     string `json:"domain,omitempty"`
		Discovered *bool  `json:"allowFileDiscovery,omitempty"`
		Expires    string `json:"expirationTime,omitempty"`
	}
	o := a.Share
	b := body{Type: o.Type, Role: o.Role, Expires: o.Expires}
	query := url.Values{}
	switch o.Type {
	case typeUser, typeGroup:
		b.Email = o.Email
		query.Set("sendNotificationEmail", "false")
	default:
		b.Domain, b.Discovered = o.Domain, &o.Listed
	}
	return s.fileWrite(ctx, a, http.MethodPost, httpx.P(pathFilePermissions, a.File), query, b)
}

// isShared tells whether the grantee has the permission again. What somebody has
// granted otherwise since is left alone; below what is inherited nothing less
// can be granted.
func isShared(ctx context.Context, s *session, a *fileArgs, _ *fileKept) (sources.Outcome, error) {
	all, err := s.fileGrants(ctx, a)
	return doneIf(err == nil && slices.ContainsFunc(all, func(p govFilePermission) bool {
		return a.Share.grantee(p.share()) && (!p.inherited() || rank(p.Role) <= rank(a.Share.Role))
	}), err)
}
