package aws

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/gzip"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// Bounds of a file and its pages. CloudTrail's files are at most 50 MB
// compressed, its records 256 KB.
const (
	pageRecords    = 1000
	pageBytes      = 1 << 20
	maxRecordBytes = 16 << 20
	maxFileBytes   = 8 << 30 // decompressed
)

// cursorVersion begins a file's cursor, "1:<records read>".
const cursorVersion = "1:"

// pageBuffer is the memory of one page under way.
type pageBuffer struct {
	raw    []byte
	rows   schemas.Rows
	mapper *mapper
	gzip   gzip.Reader
	in     *bufio.Reader
}

func newPageBuffer() *pageBuffer {
	return &pageBuffer{raw: make([]byte, 0, pageBytes), mapper: newMapper(), in: bufio.NewReaderSize(nil, 64<<10)}
}

// read yields a log file's records in pages.
func (s *session) read(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		if err := s.readFile(ctx, l, c, yield); err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

func (s *session) readFile(ctx context.Context, l sources.Lane, c sources.Cursor, yield func(*sources.Page, error) bool) (err error) {
	skip, err := parseCursor(c)
	if err != nil {
		return err
	}
	r, err := s.store.open(ctx, keyOf(l))
	if err != nil {
		return err
	}
	defer func() { _ = r.close() }()
	if r.tag != l.Hint {
		skip = 0 // another content than the cursor's
	}
	buf := s.pages.Get().(*pageBuffer)
	defer s.pages.Put(buf)
	f := &file{key: keyOf(l), listed: l.Hint, r: r, buf: buf, skip: skip, yield: yield}
	if err := f.parse(); err != nil {
		return f.classify(err)
	}
	if err := r.unchanged(); err != nil {
		return err
	}
	return f.flush(false)
}

func parseCursor(c sources.Cursor) (records int64, err error) {
	if c == "" {
		return 0, nil
	}
	n, ok := strings.CutPrefix(string(c), cursorVersion)
	if records, err = strconv.ParseInt(n, 10, 64); !ok || err != nil || records < 0 {
		return 0, fault.New(fault.Expired, "file cursor %.40q is not of version %s", c, cursorVersion)
	}
	return records, nil
}

// file is one log file being read.
type file struct {
	key      string
	listed   string // its tag
	r        *reader
	buf      *pageBuffer
	skip     int64 // records that an earlier read has delivered
	records  int64
	bytes    int64 // of r, already told
	opened   bool
	page     sources.Page
	rejected []sources.Reject
	yield    func(*sources.Page, error) bool
}

// parse steps through {"Records":[...]} record by record; nothing but the page
// under way is held.
func (f *file) parse() error {
	f.reset()
	in := f.buf.in
	in.Reset(f.r)
	var plain io.Reader = in
	if magic, err := in.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		if err := f.buf.gzip.Reset(in); err != nil {
			return err
		}
		plain = &f.buf.gzip
	} else if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	limit := &limitReader{r: plain, left: maxRecordBytes, total: maxFileBytes}
	d := jsontext.NewDecoder(limit, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if t, err := d.ReadToken(); err != nil {
		return err
	} else if t.Kind() != '{' {
		return errors.New("no JSON object")
	}
	found := false
	for {
		limit.left = maxRecordBytes
		t, err := d.ReadToken()
		if err != nil {
			return err
		}
		if t.Kind() == '}' {
			break
		}
		if t.String() != "Records" || d.PeekKind() != '[' {
			if err := d.SkipValue(); err != nil {
				return err
			}
			continue
		}
		found = true
		if err := f.parseRecords(d, limit); err != nil {
			return err
		}
	}
	if !found {
		return errors.New(`no "Records" in it`)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("more after the end of the JSON object")
		}
		return err
	}
	return nil
}

func (f *file) parseRecords(d *jsontext.Decoder, limit *limitReader) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != ']' {
		limit.left = maxRecordBytes
		v, err := d.ReadValue()
		if err != nil {
			return err
		}
		if f.records++; f.records <= f.skip {
			continue
		}
		if err := f.add(v); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// add maps a record into the page under way.
func (f *file) add(v jsontext.Value) error {
	b := f.buf
	if len(b.rows.Activities)+len(f.rejected) >= pageRecords || len(b.raw) > 0 && len(b.raw)+len(v) > cap(b.raw) {
		f.records--
		if err := f.flush(true); err != nil {
			return err
		}
		f.records++
	}
	at := len(b.raw)
	b.raw = append(b.raw, v...)
	raw := unsafe.String(unsafe.SliceData(b.raw[at:]), len(v))
	n := len(b.rows.Activities)
	if n < cap(b.rows.Activities) {
		b.rows.Activities = b.rows.Activities[:n+1]
	} else {
		b.rows.Activities = append(b.rows.Activities, schemas.Activity{})
	}
	if reason := b.mapper.mapRecord(&b.rows.Activities[n], raw); reason != "" {
		b.rows.Activities = b.rows.Activities[:n]
		f.rejected = append(f.rejected, sources.Reject{Ref: fmt.Sprintf("record %d", f.records), Reason: reason, Raw: raw})
	}
	return nil
}

// flush yields the page under way.
func (f *file) flush(more bool) error {
	f.page = sources.Page{
		Rows: &f.buf.rows, Rejected: f.rejected, More: more, Bytes: f.r.read - f.bytes,
		Next: sources.Cursor(cursorVersion + strconv.FormatInt(max(f.records, f.skip), 10)),
	}
	if !f.opened {
		f.page.Requests, f.opened = 1, true
	}
	f.bytes = f.r.read
	if !f.yield(&f.page, nil) {
		return errStop
	}
	f.reset()
	return nil
}

func (f *file) reset() {
	b := f.buf
	b.rows.Activities, b.raw, f.rejected = b.rows.Activities[:0], b.raw[:0], f.rejected[:0]
	if cap(b.raw) > 4*pageBytes {
		b.raw = make([]byte, 0, pageBytes)
	}
	b.mapper.reset()
}

// classify tells a bad file, whose good records are delivered first, from a
// transport that was cut.
func (f *file) classify(err error) error {
	if errors.Is(err, errStop) {
		return err
	}
	if f.r.err != nil {
		return fault.New(fault.Transient, "reading %s: %w", f.key, f.r.err)
	}
	if e := f.r.unchanged(); e != nil {
		return e
	}
	if want, got, cut := f.cut(); cut {
		return fault.New(fault.Transient, "reading %s: %d of %d bytes received: %w", f.key, got, want, err)
	}
	if len(f.buf.rows.Activities)+len(f.rejected) > 0 {
		if e := f.flush(true); e != nil {
			return e
		}
	}
	reason := "it is no CloudTrail log file"
	if f.records > 0 {
		reason = fmt.Sprintf("it is damaged after record %d", f.records)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		reason = fmt.Sprintf("it is cut short after record %d", f.records)
	}
	return fault.New(fault.BadData, "%s: %w", reason, err)
}

// cut reports whether less of the object arrived than was listed of it, under a
// length that hides it: something on the way has cut it, a proxy perhaps.
func (f *file) cut() (want, got int64, cut bool) {
	i := strings.LastIndexByte(f.listed, '-')
	if i < 0 || f.r.etag == "" || f.listed[:i] != f.r.etag {
		return 0, 0, false
	}
	want, err := strconv.ParseInt(f.listed[i+1:], 10, 64)
	if got = f.r.size; got < 0 {
		got = f.r.read
	}
	return want, got, err == nil && got < want
}

// limitReader bounds how much may be read for one record, and in all.
type limitReader struct {
	r           io.Reader
	left, total int64
}

func (l *limitReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("a record is larger than %d bytes", maxRecordBytes)
	}
	if l.total <= 0 {
		return 0, fmt.Errorf("it holds more than %d bytes when decompressed", int64(maxFileBytes))
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	l.total -= int64(n)
	return n, err
}
