package microsoft365

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"weir/internal/fault"
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
	s      *session
	at     cursor
	resume string         // the link at which a listing within an element is to go on
	last   sources.Cursor // of the last yield
	page   *sources.Page  // what was gathered since then
	yield  func(*sources.Page, error) bool
}

// mapElement maps an element into the walk's page. One that it gives a reason
// for is rejected; its error ends the walk.
type mapElement func(ctx context.Context, w *walk, raw []byte) (reason string, err error)

var errStop = errors.New("the reader has stopped")

func newWalk(s *session, at cursor, yield func(*sources.Page, error) bool) *walk {
	w := &walk{s: s, at: at, resume: at.Within, last: at.String(), page: newPage(), yield: yield}
	w.at.Within = ""
	return w
}

// resumes reports whether a listing is the one to go on with.
func (w *walk) resumes(l listing) bool {
	return w.resume != "" && strings.HasPrefix(w.resume, l.path.Escaped()+"?")
}

// within calls f with every element of a listing that belongs to an element of
// the walk's own, such as a group's members. What is many is yielded in between,
// and resumed at that page of it. The first page may be here already.
func (w *walk) within(ctx context.Context, l listing, page *httpx.Response, f func(raw []byte) error) (err error) {
	var to links
	if at := w.resume; w.resumes(l) {
		w.resume = ""
		page, to, err = w.s.fetch(ctx, l, at)
	} else {
		page, to, err = w.s.first(ctx, l, page)
	}
	for err == nil {
		if err = eachOf(page, f); err != nil || to.next == "" {
			break
		}
		if w.at.Within = to.next; !w.makeRoom() {
			return errStop
		}
		page, to, err = w.s.fetch(ctx, l, to.next)
	}
	w.at.Within = ""
	return err
}

func newPage() *sources.Page { return &sources.Page{Rows: &schemas.Rows{}} }

// list reads a listing from a cursor to its end.
func (s *session) list(ctx context.Context, l listing, c sources.Cursor, f mapElement) iter.Seq2[*sources.Page, error] {
	return s.pages(ctx, c, func(ctx context.Context, w *walk) (links, error) { return w.step(ctx, l, f) })
}

// pages reads a listing from a cursor to its end; read maps one page of it.
func (s *session) pages(ctx context.Context, c sources.Cursor, read func(context.Context, *walk) (links, error)) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		at, err := parseCursor(c)
		w := newWalk(s, at, yield)
		for err == nil {
			var to links
			if to, err = read(ctx, w); err == nil {
				w.at.At, w.at.Done = to.next, ""
				if !w.flush(to.next != "") || to.next == "" {
					return
				}
			}
		}
		w.fail(err)
	}
}

// delta reads what changed since a place in a delta.
func (s *session) delta(ctx context.Context, path string, c sources.Cursor, f mapElement) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		at, err := parseCursor(c)
		if err == nil && at.At == "" {
			err = fault.New(fault.Expired, "there is no place to read changes from")
		}
		w := newWalk(s, at, yield)
		for err == nil {
			var to links
			if to, err = w.step(ctx, listing{path: httpx.P(path)}, f); err != nil {
				break
			}
			if to == (links{}) {
				err = fault.New(fault.Transient, "GET %s: the page links neither to another nor to later changes", path)
				break
			}
			w.at.At, w.at.Done = first(to.next, to.delta), ""
			if !w.flush(to.next != "") || to.next == "" {
				return
			}
		}
		w.fail(err)
	}
}

// step maps one page of a listing, from the element after the last one that is
// done on, and returns the page's links.
func (w *walk) step(ctx context.Context, l listing, f mapElement) (links, error) {
	resp, to, all, from, err := w.fetch(ctx, l)
	if err != nil {
		return links{}, err
	}
	for i := from; i < len(all); i++ {
		reason, err := f(ctx, w, all[i])
		if err != nil {
			return links{}, err
		}
		if reason != "" {
			w.reject(fmt.Sprintf("record %d of %s", i+1, resp.Endpoint), reason, all[i])
		}
		w.at.Done = elementID(all[i])
		if i+1 < len(all) && !w.makeRoom() {
			return links{}, errStop
		}
	}
	return to, nil
}

// fetch gets the page that the walk is at, its elements, and the number of the
// first one that is not done.
func (w *walk) fetch(ctx context.Context, l listing) (resp *httpx.Response, to links, all [][]byte, from int, err error) {
	if resp, to, err = w.s.fetch(ctx, l, w.at.At); err != nil {
		return nil, links{}, nil, 0, err
	}
	for raw, err := range elements(resp) {
		if err != nil {
			return nil, links{}, nil, 0, err
		}
		all = append(all, raw)
		if w.at.Done != "" && elementID(raw) == w.at.Done {
			from = len(all)
		}
	}
	return resp, to, all, from, nil
}

func (w *walk) reject(ref, reason string, raw []byte) {
	w.page.Rejected = append(w.page.Rejected, sources.Reject{Ref: ref, Reason: reason, Raw: string(raw)})
}

func (w *walk) gone(table, reason string, key ...string) {
	w.page.Gone = append(w.page.Gone, sources.Gone{Table: table, Key: key, Reason: reason})
}

// makeRoom yields what was gathered when that is much, and there is a place to go
// on from. false: the reader has stopped.
func (w *walk) makeRoom() bool { return w.rows() < maxRows || !w.moved() || w.flush(true) }

// moved: not where the last yield was.
func (w *walk) moved() bool { return w.at.String() != w.last }

// end yields the last page of a complete reading, with the place where changes
// since its beginning are.
func (w *walk) end() {
	if w.at.Delta != "" {
		w.page.Delta = cursor{At: w.at.Delta}.String()
	}
	w.flush(false)
}

// flush yields what was gathered, with the cursor as it is. false: the reader
// has stopped.
func (w *walk) flush(more bool) bool {
	w.last = w.at.String()
	w.page.Next, w.page.More = w.last, more
	ok := w.yield(w.page, nil)
	w.page = newPage()
	return ok
}

// fail yields what was gathered before an error, if there is a place to go on from,
// and the error.
func (w *walk) fail(err error) {
	if errors.Is(err, errStop) || w.rows()+len(w.page.Rejected) > 0 && w.moved() && !w.flush(true) {
		return
	}
	w.yield(nil, err)
}

func (w *walk) rows() int {
	r := w.page.Rows
	return len(r.Accounts) + len(r.Groups) + len(r.GroupMembers) + len(r.Privileges) + len(r.Apps) + len(r.AppGrants) + len(w.page.Gone)
}
