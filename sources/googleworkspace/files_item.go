package googleworkspace

import (
	"context"
	"net/http"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/auth"
	"weir/sources/httpx"
)

// item tells one item. What permissions it has that its record does not, is
// asked for later.
func (r *fileRead) item(ctx context.Context, w *wireFile, raw string) error {
	if w.ID != "" && w.ID == r.tree.root {
		return nil // the container
	}
	path, err := r.tree.path(ctx, w)
	if err != nil {
		return err
	}
	var f schemas.File
	if reason := mapFile(&f, w, &r.box, r.dir, path, raw); reason != "" {
		r.reject(w.ID, reason, raw)
		return nil
	}
	if r.box.shared {
		base := sharedInternal
		if !w.Cut {
			if base, err = r.reaches(ctx, f.ParentID, 0); err != nil {
				return err
			}
		}
		f.Sharing = sharingWords[base]
		if w.Augmented {
			r.ask = append(r.ask, askedItem{row: len(r.rows.Files), id: w.ID, base: base})
		}
	} else {
		widest, ok := r.permissionRows().inline(w.ID, raw, r.dir)
		if f.Sharing = sharingWords[widest]; !ok {
			f.Sharing = "unknown"
			f.NotAsked = append(f.NotAsked, "sharing")
		}
	}
	r.rows.Files = append(r.rows.Files, f)
	return nil
}

func (r *fileRead) permissionRows() *permissionRows {
	return &permissionRows{rows: &r.rows, rejected: r.reject}
}

func (r *fileRead) reject(ref, reason, raw string) {
	r.page.Rejected = append(r.page.Rejected, sources.Reject{Ref: ref, Reason: reason, Raw: raw})
}

// tooLarge tells that an answer was larger than is taken.
func tooLarge(err error) bool { return fault.Of(err) == fault.BadData && httpx.StatusOf(err) == 0 }

// unfit tells that one user cannot read something, whom the token endpoint or
// Drive refuses: somebody without Drive, say, or that is no member.
func unfit(err error) bool {
	status := httpx.StatusOf(err)
	code, _ := auth.RefusalOf(err)
	switch class := fault.Of(err); {
	case class == fault.BadData:
		return status != 0 || code != ""
	case class == fault.Auth:
		return status == http.StatusUnauthorized && code == ""
	default:
		return class == fault.Forbidden
	}
}

// invisible tells that an item is not there, or not for who asks.
func invisible(err error) bool {
	status := httpx.StatusOf(err)
	return isGone(err) || status == http.StatusForbidden && (fault.Of(err) == fault.BadData || fault.Of(err) == fault.Forbidden)
}

func nonEmpty(in ...string) (out []string) {
	for _, s := range in {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}
