package googleworkspace

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/sources"
	"weir/sources/httpx"
)

const (
	streamFiles = "files"
	// partDrives is the part of files that needs a right of its own.
	partDrives = streamFiles + "/shared_drives"

	tableFiles       = "files"
	tablePermissions = "file_permissions"
)

// infoFiles declares the stream of files. A file is shown by its owner's lane or
// by its shared drive's.
var infoFiles = sources.StreamInfo{
	Name: streamFiles, Shape: sources.Scan, Tables: []string{tableFiles, tablePermissions},
	Every: time.Hour, FullEvery: 24 * time.Hour, Disjoint: true, Mapping: 1,
	Doc: "My Drives and shared drives: folders, files and shortcuts, those in the trash too, and who has access; in between what changed",
}

var fileInfos = []sources.StreamInfo{infoFiles}

const fileWhere = "Admin console > Security > Access and data control > API controls > Domain-wide delegation, for the service account's client id"

var fileCapabilities = []sources.Capability{
	{
		Name: streamFiles, Doc: "My Drives, each read as its owner; owners and grantees by account and group id", Where: fileWhere,
		Scopes: []string{"OAuth scope drive.metadata.readonly", "OAuth scope admin.directory.user.readonly", "OAuth scopes admin.directory.group.readonly and admin.directory.domain.readonly, to tell whom groups are and what is external"},
	},
	{
		Name: partDrives, Doc: "shared drives, each read as one of its members", Where: fileWhere + "; and for its subject the privilege Drive and Docs > Settings",
		Scopes: []string{"OAuth scope drive.readonly"},
	},
}

// fileLimits are what an operator should know of the stream.
var fileLimits = []string{
	"Drive has no request that lists all files of an organization: every user's My Drive is read as that user, every shared drive as one of its members. With credentials without domain-wide delegation there are no files.",
	"A user without Drive, or for whose organizational unit it is switched off, fails alone; so does a shared drive that no active user of the organization is a member of. Their rows stand.",
	"A sharing that is taken away leaves file_permissions with the next complete round (full_every), for the change log tells only what there is now; files.sharing changes at once.",
	"What changes on a folder or shared drive, its members say, changes files.sharing of what is in it with the next complete round: Drive tells no changes of children.",
	"A folder that is renamed or moved does not have the paths of what is in it told anew until the next complete round.",
	"files.trashed_at is told of items in shared drives only: elsewhere Drive does not tell.",
	"A file that leaves a change log may be deleted, transferred or out of sight: removed_reason is deleted only where another member does not see it either.",
	"Of an organization with more than 400,000 addresses some owners and grantees are told by address, not by id.",
}

// Values of FileSettings.Changes.
const (
	changesAll   = "all"
	changesSome  = "some"
	changesNever = "none"
)

// FileSettings is what of the files is collected.
type FileSettings struct {
	Users        []string `key:"users" doc:"addresses of the users whose My Drives are read; all, if none is named" example:"[ana@example.com]"`
	SharedDrives bool     `key:"shared_drives" doc:"whether shared drives are read"`
	Drives       []string `key:"drives" doc:"ids of the shared drives that are read; all, if none is named" example:"[0AKr4xYzUk9PVA]"`
	Changes      string   `key:"changes" enum:"all some none" doc:"whose change logs are read between complete rounds. all: of every My Drive and shared drive, one request each time; some: of shared drives, and of the users that changes_of names; none: everything is read anew with every complete round"`
	ChangesOf    []string `key:"changes_of" doc:"addresses of users whose change logs are read, with changes: some" example:"[ana@example.com]"`
	Domains      []string `key:"domains" doc:"the organization's own domains, others are external; without it, those of the customer" example:"[example.com]"`
}

func defaultFiles() FileSettings { return FileSettings{SharedDrives: true, Changes: changesAll} }

func (f *FileSettings) validate() (errs []setting.KeyError) {
	for name, list := range map[string][]string{"users": f.Users, "changes_of": f.ChangesOf} {
		for _, a := range list {
			if local, domain, ok := strings.Cut(a, "@"); !ok || local == "" || domain == "" || strings.ContainsAny(a, " ,<>") {
				errs = append(errs, setting.KeyError{Key: "files." + name, Found: a, Accepted: "the user's primary e-mail address"})
			}
		}
	}
	for _, d := range f.Drives {
		if !validFileID.MatchString(d) {
			errs = append(errs, setting.KeyError{Key: "files.drives", Found: d, Accepted: "the id of a shared drive: what follows /folders/ in its address"})
		}
	}
	slices.SortFunc(errs, func(a, b setting.KeyError) int { return strings.Compare(a.Key, b.Key) })
	return errs
}

// library reads My Drives and shared drives.
type library struct {
	*session
	cfg *FileSettings
}

// fileState is what the stream of files keeps in a session: nothing.
type fileState struct{}

func (f *fileState) init() {}

func (s *session) library() *library { return &library{session: s, cfg: &s.cfg.Files} }

// fileStreams returns the stream of files; none where somebody granted access:
// that does not reach the files of others.
func (s *session) fileStreams() []sources.Stream {
	if s.delegation == nil {
		return nil
	}
	l := s.library()
	return []sources.Stream{{Info: infoFiles, Lanes: l.lanes, Read: l.read, Delta: l.delta}}
}

// probeFiles answers Probe for the capabilities of files; ok is whether it is
// one of them.
func (s *session) probeFiles(ctx context.Context, capability string) (ok bool, err error) {
	switch {
	case capability != streamFiles && capability != partDrives:
		return false, nil
	case s.delegation == nil:
		return true, fault.New(fault.Forbidden, "%s", onlyOwnFiles)
	}
	return true, s.library().probe(ctx, capability)
}

// Lanes: a user's My Drive, with the user's address as the hint, and a shared
// drive.
const (
	laneUser  = "user/"
	laneDrive = "drive/"
)

const (
	pathFiles           = "/drive/v3/files"
	pathFile            = "/drive/v3/files/{file}"
	pathFilePermissions = "/drive/v3/files/{file}/permissions"
	pathChanges         = "/drive/v3/changes"
	pathChangesStart    = "/drive/v3/changes/startPageToken"
	pathDrives          = "/drive/v3/drives"
	pathDrive           = "/drive/v3/drives/{drive}"

	kindFiles       = "drive#fileList"
	kindPermissions = "drive#permissionList"
	kindChanges     = "drive#changeList"
)

// filePlace is the cursor of the listing, of a lane and of its delta.
type filePlace struct {
	V     int    `json:"v"`
	Phase string `json:"phase,omitempty"` // of the listing of lanes: drives after users
	Token string `json:"token,omitempty"` // the page's
	Start string `json:"start,omitempty"` // of changes since the reading began
	As    string `json:"as,omitempty"`    // who reads a shared drive
	Size  int    `json:"size,omitempty"`  // of pages, where the usual one is too large
	// Odd is the path of a listing with a user or drive that could not be
	// understood: the listing of lanes does not complete then.
	Odd string `json:"odd,omitempty"`
	// Denied is why permissions of some items could not be asked for; then the
	// lane fails at its End, for it has not shown all there is.
	Denied string `json:"denied,omitempty"`
	End    bool   `json:"end,omitempty"`
}

const filesVersion = 1

func parseFilePlace(c sources.Cursor) (p filePlace, err error) {
	if c == "" {
		return filePlace{V: filesVersion}, nil
	}
	if json.Unmarshal([]byte(c), &p, json.RejectUnknownMembers(true)) != nil || p.V != filesVersion {
		return p, fault.New(fault.Expired, "files cursor %.40q is not of version %d", c, filesVersion)
	}
	return p, nil
}

const maxDenied = 300

func (p filePlace) cursor() (sources.Cursor, error) {
	p.Denied = p.Denied[:min(len(p.Denied), maxDenied)]
	b, err := json.Marshal(p)
	if err == nil && len(b) > sources.MaxCursor {
		err = fault.New(fault.Permanent, "a page token of Drive has %d bytes, more than a cursor holds", len(p.Token))
	}
	return sources.Cursor(b), err
}

const phaseDrives = "drives"

// fileIDForm is that of ids of files, folders and shared drives; root, an alias,
// is shorter.
const fileIDForm = `[A-Za-z0-9_-]{10,128}`

var validFileID = regexp.MustCompile(`\A` + fileIDForm + `\z`)

// errTurned says that the reader has all it wants.
var errTurned = errors.New("the reader has stopped")

// lanes implements sources.Stream.Lanes: users, then shared drives. Who may not
// list either has the listing fail: what is not listed would be taken for gone.
func (l *library) lanes(ctx context.Context, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		at, err := parseFilePlace(c)
		if err != nil {
			at = filePlace{V: filesVersion} // of another version: listed anew
		}
		if err := l.listLanes(ctx, at, yield); err != nil && !errors.Is(err, errTurned) {
			yield(nil, err)
		}
	}
}

func (l *library) listLanes(ctx context.Context, at filePlace, yield func(*sources.LanePage, error) bool) error {
	for {
		page := &sources.LanePage{}
		var next string
		var err error
		if at.Phase == "" {
			next, err = l.userLanes(ctx, &at, page)
		} else {
			next, err = l.driveLanes(ctx, &at, page)
		}
		if err != nil {
			return err
		}
		odd := at.Odd
		last := next == "" && (at.Phase != "" || !l.cfg.SharedDrives)
		page.Complete = last && odd == ""
		switch at.Token = next; {
		case last:
			at = filePlace{V: filesVersion}
		case next == "":
			at.Phase = phaseDrives
		}
		if page.Next, err = at.cursor(); err != nil {
			return err
		}
		if !yield(page, nil) || page.Complete {
			return errTurned
		}
		if last {
			return fault.New(fault.BadData, "%s has a record that cannot be understood: what may belong to it is not taken for gone", odd)
		}
	}
}

// userLanes lists a page of users. Guests have no My Drive.
func (l *library) userLanes(ctx context.Context, at *filePlace, page *sources.LanePage) (next string, err error) {
	resp, next, err := l.fetch(ctx, l.users("users(id,primaryEmail,isGuestUser)"), at.Token, l.env.Clock.Now())
	if err != nil {
		return "", err
	}
	for raw, err := range httpx.ElementsIf(resp, "users") {
		if err != nil {
			return "", err
		}
		var w wireFileOwner
		switch {
		case decode(raw, &w) != nil, w.ID == "", w.PrimaryEmail == "", len(w.ID) > sources.MaxLaneID/2, len(w.PrimaryEmail) > sources.MaxHint:
			at.Odd = pathUsers
		case !w.Guest && (len(l.cfg.Users) == 0 || named(l.cfg.Users, w.PrimaryEmail)):
			page.Lanes = append(page.Lanes, sources.Lane{ID: laneUser + w.ID, Hint: w.PrimaryEmail})
		}
	}
	return next, nil
}

// driveLanes lists a page of shared drives.
func (l *library) driveLanes(ctx context.Context, at *filePlace, page *sources.LanePage) (next string, err error) {
	resp, next, err := l.fetch(ctx, l.drivesOf("100"), at.Token, l.env.Clock.Now())
	if denied(err) {
		return "", fault.New(fault.Forbidden, "listing shared drives: grant the scope drive.readonly and the privilege Drive and Docs > Settings, or set files.shared_drives: false: %w", err)
	}
	if err != nil {
		return "", err
	}
	for raw, err := range httpx.ElementsIf(resp, "drives") {
		if err != nil {
			return "", err
		}
		var w wireSharedDrive
		switch {
		case decode(raw, &w) != nil, w.ID == "", len(w.ID) > sources.MaxLaneID/2:
			at.Odd = pathDrives
		case len(l.cfg.Drives) == 0 || slices.Contains(l.cfg.Drives, w.ID):
			page.Lanes = append(page.Lanes, sources.Lane{ID: laneDrive + w.ID})
		}
	}
	return next, nil
}

func (l *library) drivesOf(most string) listing {
	return listing{
		client: l.as("", scopeDriveRead), path: httpx.P(pathDrives), kind: "drive#driveList", member: "drives",
		query: url.Values{"pageSize": {most}, "useDomainAdminAccess": {"true"}, "fields": {"kind,nextPageToken,drives(id,name)"}},
	}
}

// named reports whether a list has an address.
func named(list []string, address string) bool {
	return slices.ContainsFunc(list, func(a string) bool { return strings.EqualFold(a, address) })
}

// probe is Probe of a capability of files. That the administrator's own account
// has no Drive is no failure: that a token was given shows that the right is
// there.
func (l *library) probe(ctx context.Context, capability string) error {
	if capability == partDrives {
		if !l.cfg.SharedDrives {
			return nil // not collected
		}
		_, _, err := l.fetch(ctx, l.drivesOf("1"), "", l.env.Clock.Now())
		return err
	}
	users := l.users("users(id)")
	users.query.Set("maxResults", "1")
	if _, _, err := l.fetch(ctx, users, "", l.env.Clock.Now()); err != nil {
		return err
	}
	_, _, err := l.fetch(ctx, listing{
		client: l.as("", scopeMetadata), path: httpx.P(pathFiles), kind: kindFiles, member: "files",
		query: url.Values{"corpora": {"user"}, "q": {queryMine}, "spaces": {"drive"}, "pageSize": {"1"}, "fields": {"kind,files(id)"}},
	}, "", l.env.Clock.Now())
	if fault.Of(err) == fault.BadData {
		return nil
	}
	return err
}
