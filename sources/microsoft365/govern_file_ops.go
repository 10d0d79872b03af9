package microsoft365

import (
	"context"
	"fmt"
	"slices"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// Ops on files.
const (
	opTrash     = "trash_file"
	opUntrash   = "restore_from_bin"
	opOverwrite = "overwrite_file"
	opRevert    = "restore_version"
)

func fileOp(name string) *op {
	switch name {
	case opTrash:
		return &op{"put the file into the recycle bin", []string{mayFiles}, trashFile, isThere(false), untrash}
	case opUntrash:
		return &op{"take the file out of the recycle bin", nil, restoreFromBin, isThere(true), func(_ context.Context, _ *session, a *args, _ *kept) (*args, string, error) {
			return &args{Op: opTrash, Drive: a.Drive, Item: a.Item, Site: a.Site}, "", nil
		}}
	case opOverwrite:
		return &op{"put a note in the file's place", []string{mayFiles}, overwriteFile, overwritten, revertOverwrite}
	case opRevert:
		return &op{"make the older version the current one", []string{mayFiles}, revertFile, reverted, unrevert}
	}
	return nil
}

// unchanged reads the step's file, and refuses when its content is another than
// the plan has seen.
func (s *session) unchanged(ctx context.Context, a *args) (*govItem, error) {
	n, err := s.item(ctx, a.Drive, a.Item)
	if err != nil {
		return nil, err
	}
	if a.Content != nil && n.content().CTag != a.Content.CTag {
		return nil, fault.New(fault.Permanent, "microsoft365: %q was changed meanwhile: it is left alone", n.Name)
	}
	return n, nil
}

// isThere tells whether the file is in its drive.
func isThere(want bool) checking {
	return func(ctx context.Context, s *session, a *args, _ *kept, _ bool) (sources.Outcome, error) {
		_, err := s.item(ctx, a.Drive, a.Item)
		if isGone(err) {
			return doneIf(!want, nil)
		}
		return doneIf(want, err)
	}
}

// trashFile deletes to the recycle bin. With a certificate SharePoint does it
// and tells the id in the bin.
func trashFile(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	n, err := s.unchanged(ctx, a)
	if err != nil {
		return sources.Receipt{}, err
	}
	if s.certified() && a.Site != nil && a.Site.Unique != "" {
		return s.recycle(ctx, a.Site)
	}
	r := remove(httpx.P(govFile, a.Drive, a.Item))
	if n.ETag != "" {
		r.Header = map[string][]string{"If-Match": {n.ETag}}
	}
	return s.graphWrite(ctx, r)
}

func untrash(ctx context.Context, s *session, a *args, r *kept) (*args, string, error) {
	if !s.certified() || a.Site == nil {
		return nil, "only SharePoint's REST API reaches the recycle bin, with a certificate: a person restores the file there", nil
	}
	back := &args{Op: opUntrash, Drive: a.Drive, Item: a.Item, Site: a.Site, Bin: r.Bin}
	if back.Bin != "" {
		return back, "", nil
	}
	if _, err := s.item(ctx, a.Drive, a.Item); !isGone(err) {
		return back, "", err // it is back already
	}
	row, err := s.binned(ctx, a.Site)
	if err != nil {
		return nil, "", err
	}
	back.Bin = row.ID
	return back, "", nil
}

func restoreFromBin(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	return s.restoreByID(ctx, a.Site, a.Bin)
}

// overwriteFile puts a note in a file's place; of what is quarantined, only when
// its copy is in place.
func overwriteFile(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	n, err := s.unchanged(ctx, a)
	if err != nil {
		return sources.Receipt{}, err
	}
	if a.Place != nil {
		c, err := s.copyAt(ctx, a.Place)
		switch {
		case err != nil:
			return sources.Receipt{}, err
		case c == nil || !c.content().holds(a.Content):
			return sources.Receipt{}, fault.New(fault.Permanent, "microsoft365: the copy of %q is not in place, or differs: the file is left alone", n.Name)
		}
	}
	receipt, resp, err := govWrite(ctx, s.graph, put(httpx.P(govContent, a.Drive, a.Item), n.ETag, a.Text))
	if err != nil {
		return receipt, err
	}
	var now govItem
	if httpx.Decode(resp, &now) == nil { // else the check reads it
		receipt.Data = encode(kept{CTag: now.content().CTag})
	}
	return receipt, nil
}

func overwritten(ctx context.Context, s *session, a *args, r *kept, _ bool) (sources.Outcome, error) {
	n, err := s.item(ctx, a.Drive, a.Item)
	if err != nil {
		return sources.Unknown, err
	}
	now := n.content()
	switch {
	case now.CTag == a.Content.CTag:
		return sources.NotDone, nil
	case r.CTag != "" && now.CTag == r.CTag, now.Size == int64(len(a.Text)):
		return sources.Done, nil
	case now.holds(a.Content):
		return sources.NotDone, nil // somebody has put it back
	}
	return sources.Unknown, nil // another's content
}

// revertOverwrite goes back to the version that the note has replaced.
func revertOverwrite(ctx context.Context, s *session, a *args, r *kept) (*args, string, error) {
	back := &args{Op: opRevert, Drive: a.Drive, Item: a.Item, Version: a.Version, Size: a.Content.Size}
	out, err := overwritten(ctx, s, a, r, false)
	switch {
	case err != nil:
		return nil, "", err
	case out == sources.NotDone:
		return back, "", nil // which its check finds done
	case out != sources.Done:
		return nil, "", fault.New(fault.Permanent, "microsoft365: the file was changed since: it is left alone")
	}
	all, err := s.versions(ctx, a.Drive, a.Item)
	if err != nil {
		return nil, "", err
	}
	if !slices.ContainsFunc(all, func(v govVersion) bool { return v.ID == a.Version }) {
		return nil, "", fault.New(fault.Permanent, "microsoft365: the library has kept no version %s: %s", a.Version, a.copyWords())
	}
	n, err := s.item(ctx, a.Drive, a.Item)
	if err != nil {
		return nil, "", err
	}
	back.Content = n.content()
	return back, "", nil
}

func (a *args) copyWords() string {
	if a.Place == nil {
		return "the former content is lost"
	}
	return fmt.Sprintf("the former content is %q in folder %s of drive %s", a.Place.Name, a.Place.Folder, a.Place.Drive)
}

func revertFile(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	if _, err := s.unchanged(ctx, a); err != nil {
		return sources.Receipt{}, err
	}
	return s.graphWrite(ctx, post(httpx.P(govRevert, a.Drive, a.Item, a.Version), nil))
}

func reverted(ctx context.Context, s *session, a *args, _ *kept, _ bool) (sources.Outcome, error) {
	n, err := s.item(ctx, a.Drive, a.Item)
	switch {
	case err != nil:
		return sources.Unknown, err
	case a.Content != nil && n.content().CTag == a.Content.CTag:
		return sources.NotDone, nil
	case n.Size == a.Size:
		return sources.Done, nil
	}
	return sources.Unknown, nil
}

// unrevert makes that version current again which was before.
func unrevert(ctx context.Context, s *session, a *args, _ *kept) (*args, string, error) {
	n, err := s.item(ctx, a.Drive, a.Item)
	if err != nil {
		return nil, "", err
	}
	now := n.content()
	back := &args{Op: opRevert, Drive: a.Drive, Item: a.Item, Version: a.Was, Size: a.Content.Size}
	switch {
	case now.holds(a.Content): // it is so already
	case now.Size == a.Size:
		back.Content = now
	default:
		return nil, "", fault.New(fault.Permanent, "microsoft365: the file was changed since: it is left alone")
	}
	return back, "", nil
}
