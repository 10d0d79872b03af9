package googleworkspace

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// Ops on files.
const (
	opFileTrash     = fileOps + "trash"
	opFileUntrash   = fileOps + "untrash"
	opFileKeep      = fileOps + "keep_revision"
	opFileUnkeep    = fileOps + "release_revision"
	opFileOverwrite = fileOps + "overwrite"
	opFileRevert    = fileOps + "revert"
	opFileUnshare   = fileOps + "remove_permission"
	opFileShare     = fileOps + "give_permission"
	opFileMove      = fileOps + "move"
	opFileTransfer  = fileOps + "transfer"
)

// fileDoing is one kind of write on a file.
type fileDoing struct {
	doc   string
	do    func(ctx context.Context, s *session, a *fileArgs) (sources.Receipt, error)
	check func(ctx context.Context, s *session, a *fileArgs, r *fileKept) (sources.Outcome, error)
	// undo returns the steps that take it back; none: a limit says what stays.
	undo func(ctx context.Context, u *fileUndo, a *fileArgs, r *fileKept) ([]fileArgs, error)
}

// fileOp returns the op of a name; nil: there is none.
func fileOp(name string) *fileDoing {
	switch name {
	case opFileTrash:
		return &fileDoing{"put the file into the trash", setTrashed(true), isTrashed(true), fileOpposite(opFileUntrash)}
	case opFileUntrash:
		return &fileDoing{"take the file out of the trash", setTrashed(false), isTrashed(false), fileOpposite(opFileTrash)}
	case opFileKeep:
		return &fileDoing{"keep the revision for ever", setKept(true), isKept(true), fileOpposite(opFileUnkeep)}
	case opFileUnkeep:
		return &fileDoing{"let the revision be purged as others", setKept(false), isKept(false), fileOpposite(opFileKeep)}
	case opFileOverwrite:
		return &fileDoing{"put a note in the file's place", overwriteFile, isOverwritten, undoOverwrite}
	case opFileRevert:
		return &fileDoing{"make the content of the older revision the current one", revertFile, isReverted, undoRevert}
	case opFileUnshare:
		return &fileDoing{"remove the permission", unshareFile, isUnshared, undoUnshare}
	case opFileShare:
		return &fileDoing{"give the permission back", shareFile, isShared, stays("a permission is removed by remove_sharing")}
	case opFileMove:
		return &fileDoing{"move the file", moveFile, isMoved, undoMove}
	case opFileTransfer:
		return &fileDoing{"transfer the ownership", transferFile, isTransferred, undoTransfer}
	}
	return nil
}

// bareOp is an op's name as steps have it.
func bareOp(name string) string { return strings.TrimPrefix(name, fileOps) }

func fileStep(name string, a fileArgs) sources.Step {
	return sources.Step{Name: name, Doc: fileOp(a.Op).doc, Args: encode(a)}
}

func decodeFileStep(st sources.Step) (*fileArgs, *fileDoing, error) {
	a := &fileArgs{}
	if err := json.Unmarshal(st.Args, a); err != nil {
		return nil, nil, fault.New(fault.Permanent, "step %q: %w", st.Name, err)
	}
	o := fileOp(a.Op)
	if o == nil {
		return nil, nil, fault.New(fault.Permanent, "step %q: google_workspace has no %q: it was planned by another version", st.Name, a.Op)
	}
	return a, o, nil
}

func fileAnswer(r sources.Receipt) *fileKept {
	k := &fileKept{}
	if json.Unmarshal(r.Data, k) != nil { // of a lost answer there is none
		return &fileKept{}
	}
	return k
}

func (s *session) doFile(ctx context.Context, st sources.Step) (sources.Receipt, error) {
	a, o, err := decodeFileStep(st)
	if err != nil {
		return sources.Receipt{}, err
	}
	r, err := o.do(ctx, s, a)
	return r, refusedFile(err)
}

// refusedFile words what a write on a file alone is refused with.
func refusedFile(err error) error {
	switch code := httpx.CodeOf(err); code {
	case "cannotModifyInheritedTeamDrivePermission", "cannotModifyInheritedPermission", "cannotDeletePermission":
		return fault.New(fault.BadData, "the permission is inherited: it ends at the folder or shared drive it comes from: %w", err)
	case "cannotRemoveOwner":
		return fault.New(fault.BadData, "the permission is the owner's: %w", err)
	case "ownershipChangeAcrossDomainNotPermitted":
		return fault.New(fault.BadData, "the new owner is of another organization: %w", err)
	}
	return naming(err, scopeDrive)
}

func (s *session) checkFile(ctx context.Context, st sources.Step, r sources.Receipt) (sources.Outcome, error) {
	a, o, err := decodeFileStep(st)
	if err != nil {
		return sources.Unknown, err
	}
	out, err := o.check(ctx, s, a, fileAnswer(r))
	switch {
	case err != nil && unseen(err):
		return sources.Unknown, nil // the file is gone, or out of sight
	case err != nil:
		return sources.Unknown, err
	}
	return out, nil
}

// fileOpposite makes the undoing of an op whose opposite takes the same arguments.
func fileOpposite(name string) func(context.Context, *fileUndo, *fileArgs, *fileKept) ([]fileArgs, error) {
	return func(_ context.Context, _ *fileUndo, a *fileArgs, _ *fileKept) ([]fileArgs, error) {
		back := *a
		back.Op = name
		return []fileArgs{back}, nil
	}
}

func stays(why string) func(context.Context, *fileUndo, *fileArgs, *fileKept) ([]fileArgs, error) {
	return func(_ context.Context, u *fileUndo, _ *fileArgs, _ *fileKept) ([]fileArgs, error) {
		u.limit(strings.ToUpper(why[:1]) + why[1:] + ".")
		return nil, nil
	}
}

// fileWrite makes a request about a file, as who acts.
func (s *session) fileWrite(ctx context.Context, a *fileArgs, method string, path httpx.Path, query url.Values, body any) (sources.Receipt, error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("supportsAllDrives", "true")
	r := &httpx.Request{Method: method, Path: path, Query: query}
	if body != nil {
		r.Body = encode(body)
		r.Header = http.Header{"Content-Type": {"application/json"}}
	}
	return govWrite(ctx, s.as(a.As, scopeDrive), r)
}

func setTrashed(into bool) func(context.Context, *session, *fileArgs) (sources.Receipt, error) {
	return func(ctx context.Context, s *session, a *fileArgs) (sources.Receipt, error) {
		return s.fileWrite(ctx, a, http.MethodPatch, httpx.P(pathFile, a.File), nil, map[string]bool{"trashed": into})
	}
}

func isTrashed(want bool) func(context.Context, *session, *fileArgs, *fileKept) (sources.Outcome, error) {
	return func(ctx context.Context, s *session, a *fileArgs, _ *fileKept) (sources.Outcome, error) {
		f, err := s.seen(ctx, a)
		return doneIf(err == nil && f.Trashed == want, err)
	}
}
