package googleworkspace

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

const (
	filePage  = 1000 // files and changes of a page
	fewerBy   = 10   // a page that is too large is asked for with so many times fewer
	queryMine = "'me' in owners"

	fieldsOfFile = "id,name,mimeType,parents,driveId,owners(emailAddress,permissionId),ownedByMe,size,md5Checksum,sha1Checksum,sha256Checksum," +
		"createdTime,modifiedTime,lastModifyingUser(emailAddress),trashed,trashedTime,shared,webViewLink,headRevisionId,version,shortcutDetails(targetId,targetMimeType)," +
		"inheritedPermissionsDisabled,hasAugmentedPermissions,permissions(" + fieldsOfPermission + ")"
	fieldsOfPermission = "id,type,role,emailAddress,domain,allowFileDiscovery,expirationTime,deleted,pendingOwner,view,permissionDetails"
)

// fileRead is a My Drive or shared drive being read: whole, or what changed.
type fileRead struct {
	*library
	lane  sources.Lane
	drive string // id of the shared drive; "" a My Drive
	at    filePlace
	c     *httpx.Client // as who reads
	open  bool
	box   box
	own   []schemas.File // the container's row
	held  []schemas.FilePermission
	dir   *whose
	tree  *tree
	other []fileReader // who else may read the shared drive
	rows  schemas.Rows
	page  *sources.Page
	ask   []askedItem
	// witness is another member, who is asked about what is gone; nil: not looked
	// for yet.
	witness *string
	reach   map[string]int // how far what folders of a shared drive, and the drive, grant goes
}

// read implements sources.Stream.Read.
func (l *library) read(ctx context.Context, lane sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return l.reading(ctx, lane, c, (*fileRead).readAll)
}

// delta implements sources.Stream.Delta.
func (l *library) delta(ctx context.Context, lane sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return l.reading(ctx, lane, c, (*fileRead).readChanges)
}

type yielding = func(*sources.Page, error) bool

func (l *library) reading(ctx context.Context, lane sources.Lane, c sources.Cursor, read func(*fileRead, context.Context, yielding) error) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		r := &fileRead{library: l, lane: lane}
		at, err := parseFilePlace(c)
		if err == nil {
			r.at = at
			r.drive, _ = strings.CutPrefix(lane.ID, laneDrive)
			if strings.HasPrefix(lane.ID, laneUser) {
				r.drive = ""
				r.c = l.as(lane.Hint, scopeMetadata)
			} else if at.As != "" {
				r.use(at.As)
			}
			err = read(r, ctx, yield)
		}
		if err != nil && !errors.Is(err, errTurned) {
			yield(nil, r.laneError(err))
		}
	}
}

// laneError has what one user is refused concern the lane alone.
func (r *fileRead) laneError(err error) error {
	switch {
	case r.drive == "" && unfit(err):
		return fault.New(fault.Forbidden, "the My Drive of %s cannot be read: %w", r.lane.Hint, err)
	case isGone(err):
		return fault.New(fault.Forbidden, "the shared drive is gone, or out of sight: %w", err)
	}
	return err
}

// blind tells that nobody whom the credentials may act as sees what is in the
// drive, and why.
func (r *fileRead) blind(err error) (why string, ok bool) {
	if own := (*unreadable)(nil); errors.As(err, &own) {
		return own.Error(), true
	}
	if r.drive == "" && unfit(err) && fault.Of(err) == fault.BadData {
		return "the My Drive of " + r.lane.Hint + " cannot be read: the user has no Drive, or it is switched off: " + err.Error(), true
	}
	return "", false
}

// unreadable is a shared drive without a member who can be acted as.
type unreadable struct{ error }

func (r *fileRead) use(reader string) {
	r.at.As = reader
	r.c = r.as(reader, scopeMetadata)
}

// readAll tells all that is in a drive, page by page. The changes since before
// the first page are the delta's.
func (r *fileRead) readAll(ctx context.Context, yield yielding) error {
	if r.at.End {
		return fault.New(fault.Forbidden, "%s", r.at.Denied)
	}
	first := r.at.Token == ""
	err := r.begin(ctx)
	if why, ok := r.blind(err); ok {
		r.newPage()
		r.container()
		r.page.Unseen = why
		if r.page.Next, err = (filePlace{V: filesVersion}).cursor(); err == nil {
			yield(r.page, nil)
			return errTurned
		}
	}
	if err != nil {
		return err
	}
	for ; ; first = false {
		r.newPage()
		if first {
			r.container()
		}
		next, err := r.files(ctx, first)
		if tooLarge(err) && r.size() > 1 {
			r.at.Size, r.at.Token, first = max(r.size()/fewerBy, 1), "", true
			next, err = r.files(ctx, first)
		}
		switch {
		case err != nil:
			return err
		case next != "":
			r.at.Token, r.page.More = next, true
		case r.at.Denied != "": // a round that ends so takes no permission for gone
			r.at = filePlace{V: filesVersion, Denied: r.at.Denied, End: true}
			r.page.More = true
		default:
			if r.at.Start != "" {
				if r.page.Delta, err = (filePlace{V: filesVersion, Token: r.at.Start, As: r.at.As}).cursor(); err != nil {
					return err
				}
			}
			r.at = filePlace{V: filesVersion, As: r.at.As}
		}
		if r.page.Next, err = r.at.cursor(); err != nil {
			return err
		}
		if !yield(r.page, nil) || !r.page.More {
			return errTurned
		}
		if r.at.End {
			return fault.New(fault.Forbidden, "%s", r.at.Denied)
		}
	}
}

// container tells the drive itself, and its members.
func (r *fileRead) container() {
	r.rows.Files = append(r.rows.Files, r.own...)
	r.rows.FilePermissions = append(r.rows.FilePermissions, r.held...)
}

// begin finds out who reads the drive, and where its changes begin.
func (r *fileRead) begin(ctx context.Context) error {
	if err := r.load(ctx); err != nil {
		return err
	}
	switch {
	case r.at.Token != "" || r.at.Start != "":
		return nil
	case r.drive == "" && !r.polled():
		return nil
	case r.drive == "":
		return r.start(ctx)
	}
	var last error
	for _, reader := range r.other[:min(len(r.other), maxReaders)] {
		r.use(reader.address)
		last = r.start(ctx)
		if last == nil {
			if !r.polled() {
				r.at.Start = ""
			}
			return nil
		}
		if !unfit(last) {
			return last
		}
	}
	switch {
	case last == nil:
		return &unreadable{fmt.Errorf("the shared drive %q cannot be read: no user of the organization is a member", r.box.name)}
	case fault.Of(last) == fault.BadData:
		return &unreadable{fmt.Errorf("the shared drive %q cannot be read: its %d members that were tried are refused: %w", r.box.name, min(len(r.other), maxReaders), last)}
	}
	return fault.New(fault.Forbidden, "the shared drive %q cannot be read: %w", r.box.name, last)
}

// polled tells whether the lane's change log is read.
func (r *fileRead) polled() bool {
	switch r.cfg.Changes {
	case changesAll:
		return true
	case changesSome:
		return r.drive != "" || named(r.cfg.ChangesOf, r.lane.Hint)
	}
	return false
}

func (r *fileRead) start(ctx context.Context) error {
	query := url.Values{"fields": {"startPageToken"}}
	if r.drive != "" {
		query.Set("driveId", r.drive)
		query.Set("supportsAllDrives", "true")
	}
	resp, err := r.c.Do(ctx, &httpx.Request{Path: httpx.P(pathChangesStart), Query: query})
	if err != nil {
		return err
	}
	var w struct {
		Token string `json:"startPageToken"`
	}
	if err := httpx.Decode(resp, &w); err != nil {
		return err
	}
	if w.Token == "" {
		return fault.New(fault.Transient, "%s: the answer has no token", pathChangesStart)
	}
	r.at.Start = w.Token
	return nil
}

// load reads what all items of the drive have in common.
func (r *fileRead) load(ctx context.Context) (err error) {
	if r.open {
		return nil
	}
	if r.dir, err = r.whose(ctx); err != nil {
		return err
	}
	if r.drive == "" {
		err = r.loadMine(ctx)
	} else {
		err = r.loadShared(ctx)
	}
	r.open = err == nil
	return err
}

// loadMine reads the root of a My Drive, which is its container.
func (r *fileRead) loadMine(ctx context.Context) error {
	resp, err := r.c.Do(ctx, &httpx.Request{Path: httpx.P(pathFile, "root"), Query: url.Values{"fields": {"id,name"}}})
	if err != nil {
		return err
	}
	var w wireFile
	if err := httpx.Decode(resp, &w); err != nil {
		return err
	}
	user := strings.TrimPrefix(r.lane.ID, laneUser)
	r.box = box{id: "mydrive:" + user, name: w.Name, owner: user}
	r.own = []schemas.File{{
		FileID: r.box.id, AliasIDs: nonEmpty(w.ID), Kind: "container", Name: w.Name, ContainerID: r.box.id, ContainerName: w.Name, ContainerKind: "drive",
		OwnerID: user, Trashed: schemas.Some(false), Sharing: sharingWords[sharedPrivate], Raw: string(resp.Body),
	}}
	r.tree = newTree(w.ID, func(ctx context.Context, id string) (folder, error) { return r.askFolder(r.c)(ctx, id) })
	return nil
}

func (r *fileRead) newPage() {
	r.rows.Reset()
	r.ask = r.ask[:0]
	r.page = &sources.Page{Rows: &r.rows}
}

// files reads a page of the drive's files.
func (r *fileRead) files(ctx context.Context, first bool) (next string, err error) {
	type item struct {
		w   wireFile
		raw string
	}
	var items []item
	resp, next, err := r.fetch(ctx, r.listing(queryMine, fieldsOfFile), r.at.Token, r.env.Clock.Now())
	if err != nil {
		return "", err
	}
	for raw, err := range httpx.ElementsIf(resp, "files") {
		if err != nil {
			return "", err
		}
		i := item{raw: alias(raw)}
		if err := decode(raw, &i.w); err != nil {
			r.reject(i.w.ID, err.Error(), i.raw)
			continue
		}
		items = append(items, i)
	}
	if first && next == "" { // that is all there is
		for i := range items {
			if items[i].w.MimeType == mimeFolder {
				r.tree.know(&items[i].w)
			}
		}
	} else if len(r.tree.folders) == 0 {
		if err := r.listFolders(ctx); err != nil {
			return "", err
		}
	}
	for i := range items {
		if err := r.item(ctx, &items[i].w, items[i].raw); err != nil {
			return "", err
		}
	}
	return next, r.permissions(ctx)
}

// listing is a listing of the drive's files: of those of a My Drive that a query
// finds.
func (r *fileRead) listing(query, fields string) listing {
	l := listing{client: r.c, path: httpx.P(pathFiles), kind: kindFiles, member: "files"}
	l.query = url.Values{"pageSize": {strconv.Itoa(r.size())}, "fields": {"kind,nextPageToken,incompleteSearch,files(" + fields + ")"}}
	if r.drive == "" {
		l.query.Set("corpora", "user")
		l.query.Set("spaces", "drive")
		l.query.Set("q", query)
		return l
	}
	l.query.Set("corpora", "drive")
	l.query.Set("driveId", r.drive)
	l.query.Set("includeItemsFromAllDrives", "true")
	l.query.Set("supportsAllDrives", "true")
	return l
}

func (r *fileRead) size() int {
	if r.at.Size > 0 {
		return r.at.Size
	}
	return filePage
}

// listFolders reads the drive's folders, before files whose paths they make: a
// listing shows them in no order.
func (r *fileRead) listFolders(ctx context.Context) error {
	l := r.listing(queryMine+" and "+queryFolders, folderFields)
	if r.drive != "" {
		l.query.Set("q", queryFolders)
	}
	l.query.Set("pageSize", strconv.Itoa(filePage))
	for token := ""; len(r.tree.folders) < maxFolders; {
		resp, next, err := r.fetch(ctx, l, token, r.env.Clock.Now())
		if err != nil {
			return err
		}
		for raw, err := range httpx.ElementsIf(resp, "files") {
			var w wireFile
			if err != nil {
				return err
			}
			if decode(raw, &w) == nil { // else it is told of below
				r.tree.know(&w)
			}
		}
		if token = next; token == "" {
			break
		}
	}
	return nil
}
