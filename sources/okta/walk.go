package okta

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"unicode/utf8"

	"weir/schemas"
	"weir/sources"
)

// maxRows is how many rows are gathered before they are yielded, though the
// vendor's page is not done.
const maxRows = 2000

// walk reads a listing, element by element. Where each element takes requests
// of its own (a user's roles, an app's tokens) an error does not undo what was
// gathered before it: the cursor holds the last element that is done.
type walk struct {
	s     *session
	at    cursor        // At is the vendor's page under way, Done the last element of it that is done
	page  *sources.Page // what was gathered since the last yield
	yield func(*sources.Page, error) bool
}

// mapElement maps an element into the walk's page. One that it gives a reason
// for is rejected; its error ends the walk.
type mapElement func(ctx context.Context, w *walk, raw []byte) (reason string, err error)

var errStop = errors.New("the reader has stopped")

func newWalk(s *session, at cursor, yield func(*sources.Page, error) bool) *walk {
	return &walk{s: s, at: at, page: newPage(), yield: yield}
}

func newPage() *sources.Page { return &sources.Page{Rows: &schemas.Rows{}} }

// list reads a listing from a cursor to its end. The parent of what is listed
// being gone ends it: nothing is left in it.
func (s *session) list(ctx context.Context, l listing, c sources.Cursor, f mapElement) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		at, err := parseCursor(c)
		w := newWalk(s, at, yield)
		for err == nil {
			next, stepErr := w.step(ctx, l, f)
			if own := (*elementError)(nil); isGone(stepErr) && !errors.As(stepErr, &own) {
				next, stepErr = "", nil
			}
			if err = stepErr; err == nil {
				w.at.At, w.at.Done = next, ""
				if !w.flush(next != "") || next == "" {
					return
				}
			}
		}
		w.fail(err)
	}
}

// step maps one page of a listing, from the element after the last one that is
// done on, and returns the link to the next page.
func (w *walk) step(ctx context.Context, l listing, f mapElement) (next string, err error) {
	resp, next, err := w.s.fetch(ctx, l, w.at.At)
	if err != nil {
		return "", err
	}
	if w.at.Time == 0 {
		w.at.Time = vendorNow(resp).UnixMilli()
	}
	var all [][]byte
	from := 0
	for raw, err := range l.elements(resp) {
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
			w.page.Rejected = append(w.page.Rejected, sources.Reject{Ref: fmt.Sprintf("record %d of %s", i+1, resp.Endpoint), Reason: reason, Raw: string(all[i])})
		}
		w.at.Done = elementID(all[i])
		if w.rows() >= maxRows && i+1 < len(all) && !w.flush(true) {
			return "", errStop
		}
	}
	return next, nil
}

// elementError is an error of an element's own requests. Whatever it says of
// what they asked for, the listing itself is not gone.
type elementError struct{ error }

func (e *elementError) Unwrap() error { return e.error }

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
		ID       text `json:"id"`
		ClientID text `json:"client_id"`
	}
	if err := decode(raw, &e); err != nil {
		return ""
	}
	id := first(string(e.ID), string(e.ClientID))
	if len(id) > 128 || !utf8.ValidString(id) {
		return ""
	}
	return id
}
