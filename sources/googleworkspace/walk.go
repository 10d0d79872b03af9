package googleworkspace

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
	"unicode/utf8"

	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// maxRows is how many rows are gathered before they are yielded, though the
// vendor's page is not done.
const maxRows = 2000

// walk reads a listing, page by page. Where elements take requests of their own
// an error does not undo what was gathered before it: the cursor holds the last
// element that is done.
type walk struct {
	s     *session
	at    cursor
	page  *sources.Page // what was gathered since the last yield
	yield func(*sources.Page, error) bool
}

// mapElement maps an element into the walk's page. One that it gives a reason
// for is rejected; its error ends the walk.
type mapElement func(ctx context.Context, w *walk, raw []byte) (reason string, err error)

var errStop = errors.New("the reader has stopped")

func newPage() *sources.Page { return &sources.Page{Rows: &schemas.Rows{}} }

// list reads listings from a cursor to the end of the last; the cursor's phase
// is the number of the one it is in. The parent of what is listed being gone
// ends it: nothing is left in it.
func (s *session) list(ctx context.Context, c sources.Cursor, f mapElement, listings ...listing) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		at, err := parseCursor(c)
		w := &walk{s: s, at: at, page: newPage(), yield: yield}
		for err == nil {
			phase := len(w.at.Phase)
			if phase >= len(listings) {
				phase, w.at.Phase = len(listings)-1, w.at.Phase[:len(listings)-1]
			}
			var next string
			if next, err = w.step(ctx, listings[phase], f); err != nil {
				if own := (*elementError)(nil); !isGone(err) || errors.As(err, &own) {
					break
				}
				next, err = "", nil
			}
			w.at.At, w.at.Done = next, ""
			more := next != ""
			if !more && phase+1 < len(listings) {
				w.at.Phase, more = w.at.Phase+"+", true
			}
			if !w.flush(more) || !more {
				return
			}
		}
		w.fail(err)
	}
}

// step maps one page of a listing, from the element after the last one that is
// done on, and returns the token of the next page.
func (w *walk) step(ctx context.Context, l listing, f mapElement) (next string, err error) {
	if w.at.Began == 0 {
		w.at.Began = w.s.env.Clock.Now().UnixMilli()
	}
	resp, next, err := w.s.fetch(ctx, l, w.at.At, time.UnixMilli(w.at.Began))
	if err != nil {
		return "", err
	}
	var all [][]byte
	from := 0
	for raw, err := range httpx.ElementsIf(resp, l.member) {
		if err != nil {
			return "", err
		}
		all = append(all, raw)
		if w.at.Done != "" && elementID(raw) == w.at.Done {
			from = len(all)
		}
	}
	for i := from; i < len(all); i++ {
		reason, err := f(ctx, w, all[i])
		if err != nil {
			return "", &elementError{err}
		}
		if reason != "" {
			w.reject(fmt.Sprintf("record %d of %s", i+1, resp.Endpoint), reason, all[i])
		}
		w.at.Done = elementID(all[i])
		if i+1 < len(all) && w.rows() >= maxRows && !w.flush(true) {
			return "", errStop
		}
	}
	return next, nil
}

// elementError is an error of an element's own requests. Whatever it says of
// what they asked for, the listing itself is not gone.
type elementError struct{ error }

func (e *elementError) Unwrap() error { return e.error }

func (w *walk) reject(ref, reason string, raw []byte) {
	w.page.Rejected = append(w.page.Rejected, sources.Reject{Ref: ref, Reason: reason, Raw: string(raw)})
}

// flush yields what was gathered, with the cursor as it is. false: the reader
// has stopped.
func (w *walk) flush(more bool) bool {
	w.page.Next, w.page.More = w.at.String(), more
	ok := w.yield(w.page, nil)
	w.page = newPage()
	return ok
}

// fail yields what was gathered before an error, and the error.
func (w *walk) fail(err error) {
	if errors.Is(err, errStop) || w.rows()+len(w.page.Rejected) > 0 && !w.flush(true) {
		return
	}
	w.yield(nil, err)
}

func (w *walk) rows() int {
	r := w.page.Rows
	return len(r.Accounts) + len(r.Groups) + len(r.GroupMembers) + len(r.Privileges) + len(r.Apps) + len(r.AppGrants)
}

// elementID is by what an element of any listing is told from others; "" when it
// has no short id.
func elementID(raw []byte) string {
	var e struct {
		ID         text `json:"id"`
		Role       text `json:"roleId"`
		Assignment text `json:"roleAssignmentId"`
		Client     text `json:"clientId"`
	}
	if decode(raw, &e) != nil {
		return ""
	}
	for _, id := range []text{e.ID, e.Assignment, e.Role, e.Client} {
		if id != "" && len(id) <= maxID && utf8.ValidString(string(id)) {
			return string(id)
		}
	}
	return ""
}
