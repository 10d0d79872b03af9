package googleworkspace

import (
	"context"
	"crypto/md5" //nolint:gosec // the vendor's checksum, of content that is not secret
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

const (
	pathRevisions = "/drive/v3/files/{file}/revisions"
	pathRevision  = "/drive/v3/files/{file}/revisions/{revision}"
	pathUpload    = "/upload/drive/v3/files/{file}"
	kindRevisions = "drive#revisionList"

	fieldsOfRevision = "id,mimeType,md5Checksum,size,keepForever"

	// maxContent bounds what is put back from an older revision: it passes
	// through memory.
	maxContent = 64 << 20
	// maxSimple is how much is uploaded with one request.
	maxSimple = 5 << 20

	textReplaced = "This file was replaced by Weir, at the request %s. Its former content is an older version.\n"
)

// govRevision is a content that a file has, or had.
type govRevision struct {
	ID   string `json:"id"`
	Type string `json:"mimeType"`
	MD5  string `json:"md5Checksum"`
	Size string `json:"size"`
	Keep bool   `json:"keepForever"`
}

// fits refuses a content that is too large to be put back.
func (v *govRevision) fits() error {
	if n, err := strconv.ParseInt(v.Size, 10, 64); err != nil || n > maxContent {
		return fault.New(fault.Permanent, "google_workspace: revision %s has %s bytes, at most %d are put back: restore it in Drive", v.ID, first(v.Size, "an unknown number of"), maxContent)
	}
	return nil
}

// revisions lists a file's revisions, as a user.
func (s *session) revisions(ctx context.Context, user, id string) ([]govRevision, error) {
	all, err := govList[govRevision](ctx, s, listing{
		client: s.as(user, scopeDrive), path: httpx.P(pathRevisions, id), kind: kindRevisions, member: "revisions",
		query: url.Values{"pageSize": {"1000"}, "fields": {"kind,nextPageToken,revisions(" + fieldsOfRevision + ")"}},
	})
	return all, naming(err, scopeDrive)
}

// keep has the current revision outlive another content.
func (p *filePlan) keep(ctx context.Context) error {
	all, err := p.s.revisions(ctx, p.f.as, p.f.ID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(v govRevision) bool { return v.ID == p.f.Head })
	if i < 0 {
		return fault.New(fault.Permanent, "google_workspace: the revisions of %q do not list the current one: its content would be lost", p.f.Name)
	}
	if err := all[i].fits(); err != nil {
		p.NoUndo = err.Error()
	}
	if !all[i].Keep {
		p.add(bareOp(opFileKeep), fileArgs{Op: opFileKeep, Revision: p.f.Head}, sources.Change{What: "revision " + p.f.Head + " of " + p.f.Name, Before: "purged 30 days after it is replaced", After: "kept for ever"})
	}
	return nil
}

// overwrite plans a note over a file, whose content stays an older revision.
func (p *filePlan) overwrite(ctx context.Context) error {
	if p.f.Head == "" || p.f.MD5 == "" {
		return fault.New(fault.BadData, "google_workspace: %q is a document of Google's editors: its content cannot be replaced by another and be put back", p.f.Name)
	}
	if err := p.keep(ctx); err != nil {
		return err
	}
	p.add(bareOp(opFileOverwrite), fileArgs{Op: opFileOverwrite, Was: p.f.Head, Revision: p.f.Head, MD5: p.f.MD5, Type: p.f.MimeType, Text: fmt.Sprintf(textReplaced, p.r.ID)},
		sources.Change{What: "content of " + p.f.Name, Before: p.f.Size + " bytes, revision " + p.f.Head, After: "a note; the revision stays"})
	return nil
}

func setKept(keep bool) func(context.Context, *session, *fileArgs) (sources.Receipt, error) {
	return func(ctx context.Context, s *session, a *fileArgs) (sources.Receipt, error) {
		r := &httpx.Request{Method: http.MethodPatch, Path: httpx.P(pathRevision, a.File, a.Revision), Header: http.Header{"Content-Type": {"application/json"}}, Body: encode(map[string]bool{"keepForever": keep})}
		return govWrite(ctx, s.as(a.As, scopeDrive), r)
	}
}

func isKept(want bool) func(context.Context, *session, *fileArgs, *fileKept) (sources.Outcome, error) {
	return func(ctx context.Context, s *session, a *fileArgs, _ *fileKept) (sources.Outcome, error) {
		all, err := s.revisions(ctx, a.As, a.File)
		if err != nil {
			return sources.Unknown, err
		}
		i := slices.IndexFunc(all, func(v govRevision) bool { return v.ID == a.Revision })
		if i < 0 { // purged: nothing is left to keep, or to let go
			return doneIf(!want, nil)
		}
		return doneIf(all[i].Keep == want, nil)
	}
}

// unchanged reads the step's file, and refuses when its content is another than
// the plan has seen: nothing of the request itself can ask for that.
func (s *session) unchanged(ctx context.Context, a *fileArgs) (*govFile, error) {
	f, err := s.fileAs(ctx, a.As, a.File)
	if err == nil && f.Head != a.Was {
		err = fault.New(fault.Permanent, "google_workspace: %q was changed meanwhile: it is left alone", f.Name)
	}
	return f, err
}

func overwriteFile(ctx context.Context, s *session, a *fileArgs) (sources.Receipt, error) {
	if _, err := s.unchanged(ctx, a); err != nil {
		return sources.Receipt{}, err
	}
	return s.upload(ctx, a, "text/plain", []byte(a.Text))
}

// upload makes a content the file's. The receipt tells the revision it is.
func (s *session) upload(ctx context.Context, a *fileArgs, mime string, content []byte) (sources.Receipt, error) {
	c := s.as(a.As, scopeDrive)
	query := url.Values{"uploadType": {"media"}, "supportsAllDrives": {"true"}, "fields": {"id,headRevisionId,md5Checksum"}}
	r := &httpx.Request{Method: http.MethodPatch, Path: httpx.P(pathUpload, a.File), Query: query, Header: http.Header{"Content-Type": {mime}}, Body: content, Once: true}
	if len(content) > maxSimple {
		query.Set("uploadType", "resumable")
		r.Header = http.Header{"Content-Type": {"application/json"}, "X-Upload-Content-Type": {mime}, "X-Upload-Content-Length": {strconv.Itoa(len(content))}}
		r.Body = []byte("{}")
		began, err := c.Do(ctx, r)
		if err != nil {
			return sources.Receipt{}, err
		}
		if r, err = c.Follow(began.Header.Get("Location"), httpx.P(pathUpload, a.File)); err != nil {
			return sources.Receipt{}, err
		}
		r.Method, r.Body, r.Header, r.Once = http.MethodPut, content, http.Header{"Content-Type": {mime}}, true
	}
	resp, err := c.Do(ctx, r)
	if err != nil {
		return sources.Receipt{}, err
	}
	var now govFile
	if httpx.Decode(resp, &now) != nil {
		return sources.Receipt{}, nil // the check reads it
	}
	return sources.Receipt{Data: encode(fileKept{Head: now.Head})}, nil
}

func sum(text string) string {
	h := md5.Sum([]byte(text)) //nolint:gosec // as above
	return hex.EncodeToString(h[:])
}

func isOverwritten(ctx context.Context, s *session, a *fileArgs, r *fileKept) (sources.Outcome, error) {
	f, err := s.seen(ctx, a)
	switch {
	case err != nil:
		return sources.Unknown, err
	case f.MD5 == sum(a.Text), r.Head != "" && f.Head == r.Head:
		return sources.Done, nil
	case f.Head == a.Was, f.MD5 == a.MD5: // or somebody has put it back
		return sources.NotDone, nil
	}
	return sources.Unknown, nil // another's content
}

// undoOverwrite goes back to the revision that the note has replaced.
func undoOverwrite(ctx context.Context, u *fileUndo, a *fileArgs, r *fileKept) ([]fileArgs, error) {
	back := fileArgs{Op: opFileRevert, As: a.As, Then: a.Then, File: a.File, Revision: a.Revision, MD5: a.MD5, Type: a.Type}
	return u.revert(ctx, a, r, isOverwritten, back)
}

// revert is the way back to a revision, where the content is still what a step
// has made it.
func (u *fileUndo) revert(ctx context.Context, a *fileArgs, r *fileKept, check func(context.Context, *session, *fileArgs, *fileKept) (sources.Outcome, error), back fileArgs) ([]fileArgs, error) {
	out, err := check(ctx, u.s, a, r)
	switch {
	case err != nil:
		return nil, err
	case out == sources.NotDone:
		return []fileArgs{back}, nil // which its check finds done
	case out != sources.Done:
		return nil, fault.New(fault.Permanent, "google_workspace: the file was changed since: it is left alone")
	}
	f, err := u.s.fileAs(ctx, a.As, a.File)
	if err != nil {
		return nil, err
	}
	all, err := u.s.revisions(ctx, a.As, a.File)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(v govRevision) bool { return v.ID == back.Revision })
	if i < 0 {
		return nil, fault.New(fault.Permanent, "google_workspace: Drive has kept no revision %s: the former content is lost", back.Revision)
	}
	if err := all[i].fits(); err != nil {
		return nil, err
	}
	back.Was = f.Head
	return []fileArgs{back}, nil
}

// revertFile uploads an older revision's content again.
func revertFile(ctx context.Context, s *session, a *fileArgs) (sources.Receipt, error) {
	if _, err := s.unchanged(ctx, a); err != nil {
		return sources.Receipt{}, err
	}
	resp, err := s.as(a.As, scopeDrive).Do(ctx, &httpx.Request{Path: httpx.P(pathRevision, a.File, a.Revision), Query: url.Values{"alt": {"media"}}, MaxBody: maxContent})
	if err != nil {
		return sources.Receipt{}, err
	}
	if a.MD5 != "" && sum(string(resp.Body)) != a.MD5 {
		return sources.Receipt{}, fault.New(fault.Transient, "google_workspace: revision %s came as another content than it has", a.Revision)
	}
	return s.upload(ctx, a, first(a.Type, "application/octet-stream"), resp.Body)
}

func isReverted(ctx context.Context, s *session, a *fileArgs, r *fileKept) (sources.Outcome, error) {
	f, err := s.seen(ctx, a)
	switch {
	case err != nil:
		return sources.Unknown, err
	case f.MD5 == a.MD5, r.Head != "" && f.Head == r.Head:
		return sources.Done, nil
	case f.Head == a.Was:
		return sources.NotDone, nil
	}
	return sources.Unknown, nil
}

// undoRevert makes that revision's content current again which was before.
func undoRevert(ctx context.Context, u *fileUndo, a *fileArgs, r *fileKept) ([]fileArgs, error) {
	back := fileArgs{Op: opFileRevert, As: a.As, File: a.File, Revision: a.Was, MD5: u.was.MD5, Type: u.was.Type}
	return u.revert(ctx, a, r, isReverted, back)
}
