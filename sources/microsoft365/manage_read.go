package microsoft365

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unsafe"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/internal/rawjson"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// Bounds of a blob and its pages. The API states none; what is seen is some
// megabytes at most.
const (
	auditPageRecords = 1000
	maxBlobBytes     = 64 << 20
	blobCursor       = "1:" // begins a blob's cursor, "1:<records told>"
)

// blobHint is what reading a blob needs beside its id.
type blobHint struct {
	URI     string `json:"u,omitempty"` // "": it follows from the id
	Type    string `json:"t,omitempty"`
	Expires string `json:"x,omitempty"`
}

func (h blobHint) String() string {
	b, err := json.Marshal(h)
	if err != nil {
		return "{}" // bytes that are no UTF-8: the id will do
	}
	return string(b)
}

// auditPage is the memory of one page under way.
type auditPage struct {
	rows   schemas.Rows
	mapper *auditMapper
	page   sources.Page
}

func newAuditPage() *auditPage { return &auditPage{mapper: newAuditMapper()} }

func (p *auditPage) reset() {
	p.rows.Activities = p.rows.Activities[:0]
	p.mapper.reset()
	p.page = sources.Page{Rows: &p.rows, Rejected: p.page.Rejected[:0]}
}

// release gives a page's memory back, without what it holds on to: a blob.
func (f *feed) release(p *auditPage) {
	clear(p.rows.Activities[:cap(p.rows.Activities)])
	p.mapper.lists.Release()
	p.page = sources.Page{}
	f.pages.Put(p)
}

// read implements sources.Stream.Read: a blob's records, in pages.
func (f *feed) read(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		if err := f.readBlob(ctx, l, c, yield); err != nil && !errors.Is(err, errTurned) {
			yield(nil, err)
		}
	}
}

func (f *feed) readBlob(ctx context.Context, l sources.Lane, c sources.Cursor, yield func(*sources.Page, error) bool) error {
	skip, err := parseBlobCursor(c)
	if err != nil {
		return err
	}
	var hint blobHint
	if err := json.Unmarshal([]byte(l.Hint), &hint); err != nil {
		hint = blobHint{}
	}
	id := strings.TrimPrefix(l.ID, sources.PastLane)
	path := httpx.P(pathBlob, f.tenant, id)
	r := &httpx.Request{Path: path, Query: f.query()}
	if hint.URI != "" {
		if r, err = f.follow(hint.URI, path); err != nil {
			return err
		}
	}
	r.MaxBody = maxBlobBytes
	resp, err := f.client.Do(ctx, r)
	switch class := fault.Of(err); {
	case err == nil:
	case expired(err):
		return fault.New(fault.BadData, "the blob has expired (%s): its records are lost: %w", hint.Expires, err)
	case class == fault.Forbidden, class == fault.NotLicensed:
		// The listing tells whether the stream may go on; this content type's blobs wait.
		return fault.After(fault.Transient, forbiddenPause, "%s: %w", hint.Type, err)
	default:
		return err
	}
	page := f.pages.Get().(*auditPage)
	defer f.release(page)
	return page.read(resp.Body, skip, func() error {
		if !yield(&page.page, nil) {
			return errTurned
		}
		return nil
	})
}

func parseBlobCursor(c sources.Cursor) (int, error) {
	if c == "" {
		return 0, nil
	}
	n, ok := strings.CutPrefix(string(c), blobCursor)
	records, err := strconv.Atoi(n)
	if !ok || err != nil || records < 0 {
		return 0, fault.New(fault.Expired, "blob cursor %.40q is not of version %s", c, blobCursor)
	}
	return records, nil
}

// read maps a blob, an array of records, page by page; the rows' strings alias
// it. A record that is none is rejected, its neighbours are told. What is told
// before the place where a blob is cut short stands.
func (p *auditPage) read(body []byte, skip int, give func() error) error {
	p.reset()
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	text := unsafe.String(unsafe.SliceData(body), len(body))
	if text == "" || text[0] != '[' {
		return fault.New(fault.Transient, "the blob of %d bytes is no JSON array", len(text))
	}
	n := 0
	flush := func(more bool) error {
		p.page.Next, p.page.More = sources.Cursor(blobCursor+strconv.Itoa(max(n, skip))), more
		if err := give(); err != nil {
			return err
		}
		p.reset()
		return nil
	}
	e := rawjson.Elements(text)
	for {
		raw, ok := e.Next()
		if !ok {
			break
		}
		if e.Rest() == "" { // nothing behind it, not even the array's end
			break
		}
		if n++; n <= skip {
			continue
		}
		p.add(n, raw)
		if len(p.rows.Activities)+len(p.page.Rejected) == auditPageRecords {
			if err := flush(true); err != nil {
				return err
			}
		}
	}
	if strings.TrimSpace(e.Rest()) != "]" {
		if len(p.rows.Activities)+len(p.page.Rejected) > 0 {
			if err := flush(true); err != nil {
				return err
			}
		}
		return fault.New(fault.Transient, "the blob is cut short, or no JSON, after record %d", n)
	}
	return flush(false)
}

// detected is the member with what data loss prevention has found: numbers of
// cards, of people. With the right ActivityFeed.ReadDlp records hold it.
const detected = "DetectedValues"

func (p *auditPage) add(number int, raw string) {
	raw = rawjson.Blank(raw, detected, "[removed]")
	reason := "the record is no JSON"
	if validRecord(raw) {
		n := len(p.rows.Activities)
		if n < cap(p.rows.Activities) {
			p.rows.Activities = p.rows.Activities[:n+1]
		} else {
			p.rows.Activities = append(p.rows.Activities, schemas.Activity{})
		}
		if reason = p.mapper.mapRecord(&p.rows.Activities[n], raw); reason == "" {
			return
		}
		p.rows.Activities = p.rows.Activities[:n]
	}
	p.page.Rejected = append(p.page.Rejected, sources.Reject{Ref: fmt.Sprintf("record %d", number), Reason: reason, Raw: raw})
}
