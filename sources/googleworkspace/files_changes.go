package googleworkspace

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"weir/sources"
	"weir/sources/httpx"
)

// maxConfirmed bounds how many removals of a page another member is asked about.
const maxConfirmed = 100

// changes reads a page of a change log.
func (r *fileRead) changes(ctx context.Context) (next, start string, err error) {
	l := listing{
		client: r.c, path: httpx.P(pathChanges), kind: kindChanges, member: "changes",
		query: url.Values{
			"pageSize": {strconv.Itoa(r.size())}, "includeRemoved": {"true"}, "supportsAllDrives": {"true"}, "includeItemsFromAllDrives": {"true"},
			"fields": {"kind,nextPageToken,newStartPageToken,changes(changeType,time,removed,fileId,driveId,file(" + fieldsOfFile + "),drive(id,name))"},
		},
	}
	if r.drive != "" {
		l.query.Set("driveId", r.drive)
	}
	resp, next, err := r.fetch(ctx, l, r.at.Token, r.env.Clock.Now())
	if err != nil {
		return "", "", r.changesError(err)
	}
	var end struct {
		Start string `json:"newStartPageToken"`
	}
	if err := httpx.Decode(resp, &end); err != nil {
		return "", "", err
	}
	confirmed := 0
	for raw, err := range httpx.ElementsIf(resp, "changes") {
		if err == nil {
			err = r.change(ctx, raw, &confirmed)
		}
		if err != nil {
			return "", "", err
		}
	}
	return next, end.Start, r.permissions(ctx)
}

// change tells one entry of a change log.
func (r *fileRead) change(ctx context.Context, raw []byte, confirmed *int) error {
	var w wireChange
	if err := decode(raw, &w); err != nil {
		r.reject(w.FileID, err.Error(), alias(raw))
		return nil
	}
	if err := r.load(ctx); err != nil { // only where something changed
		return err
	}
	switch {
	case w.Type == "drive":
		r.driveChanged(&w)
		return nil
	case w.FileID == "":
		r.reject("", "the change names no file", alias(raw))
		return nil
	case w.Removed:
		*confirmed++
		return r.removed(ctx, w.FileID, *confirmed <= maxConfirmed)
	}
	return r.changed(ctx, &w, alias(raw))
}

// driveChanged tells the shared drive anew.
func (r *fileRead) driveChanged(w *wireChange) {
	if r.drive != "" && w.DriveID == r.drive && !w.Removed {
		r.container()
	}
}

// changed tells an item that is in the drive. A user's log has others' too.
func (r *fileRead) changed(ctx context.Context, w *wireChange, raw string) error {
	if len(w.File) == 0 {
		r.reject(w.FileID, "the change has no file", raw)
		return nil
	}
	var f wireFile
	if err := decode(w.File, &f); err != nil {
		r.reject(w.FileID, err.Error(), raw)
		return nil
	}
	if f.DriveID != r.drive || r.drive == "" && !r.mine(&f) {
		return nil
	}
	return r.item(ctx, &f, string(w.File))
}

// mine tells whether the lane's user owns a file.
func (r *fileRead) mine(f *wireFile) bool {
	if f.OwnedByMe != nil {
		return *f.OwnedByMe
	}
	return len(f.Owners) > 0 && strings.EqualFold(f.Owners[0].Email, r.lane.Hint)
}

// removed tells that an item is gone, if this lane showed it last: it may be
// deleted, transferred, moved away, or out of the reader's sight. In a shared
// drive another member is asked; what that one sees is not gone.
func (r *fileRead) removed(ctx context.Context, id string, confirm bool) error {
	reason := "unknown"
	if r.drive != "" && confirm {
		seen, asked, err := r.seen(ctx, id)
		switch {
		case err != nil:
			return err
		case seen:
			return nil
		case asked:
			reason = "deleted"
		}
	}
	r.page.Gone = append(r.page.Gone, sources.Gone{Table: tableFiles, Key: []string{id}, Reason: reason, Own: true})
	return nil
}

// seen asks another member of the shared drive whether an item is there. asked:
// there is one who could tell.
func (r *fileRead) seen(ctx context.Context, id string) (seen, asked bool, err error) {
	if r.witness == nil {
		if err := r.findWitness(ctx); err != nil {
			return false, false, err
		}
	}
	if *r.witness == "" {
		return false, false, nil
	}
	seen, err = r.sees(ctx, *r.witness, id)
	return seen, err == nil, err
}

// findWitness finds another member who sees the shared drive: "" there is none.
// What somebody does not see who is suspended, say, is no proof.
func (r *fileRead) findWitness(ctx context.Context) error {
	for _, other := range r.other {
		if strings.EqualFold(other.address, r.at.As) {
			continue
		}
		yes, err := r.sees(ctx, other.address, r.drive)
		if err != nil {
			return err
		}
		if yes {
			r.witness = &other.address
			return nil
		}
	}
	r.witness = new(string)
	return nil
}

func (r *fileRead) sees(ctx context.Context, user, id string) (bool, error) {
	_, err := r.as(user, scopeMetadata).Do(ctx, &httpx.Request{Path: httpx.P(pathFile, id), Query: url.Values{"supportsAllDrives": {"true"}, "fields": {"id"}}})
	if err != nil && unfit(err) {
		return false, nil
	}
	return err == nil, err
}
