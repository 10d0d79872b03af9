package googleworkspace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// Bounds of uploads (9).
const (
	simpleUpload = 5 << 20   // of media and multipart
	maxUpload    = 250 << 20 // of a file, here
	chunkUnit    = 256 << 10 // chunks but the last are multiples of it
	uploadLife   = 7 * 24 * time.Hour
)

// upload is a resumable upload that has begun.
type upload struct {
	id    string
	began time.Time
	me    int
	path  string // of the request that began it
	query string
	meta  []byte
	media string
	total int64 // -1 not told
	data  []byte
	done  bool
}

// uploadNew makes a file with content.
func (c *driveCall) uploadNew(m mask) *failure {
	return c.received(func(meta, data []byte, media string) *failure { return c.makeFile(m, meta, data, media) }, func() *failure { return nil })
}

// uploadTo gives a file other content.
func (c *driveCall) uploadTo(m mask) *failure {
	return c.received(func(meta, data []byte, media string) *failure { return c.overwrite(m, meta, data, media) }, func() *failure {
		_, f := c.toOverwrite()
		return f
	})
}

// received takes an upload of any of the three kinds apart. A resumable one only
// begins here, if it may.
func (c *driveCall) received(store func(meta, data []byte, media string) *failure, may func() *failure) *failure {
	kind := c.r.Header.Get("Content-Type")
	switch c.q.Get("uploadType") {
	case "media":
		if len(c.raw) > simpleUpload {
			return refuse(http.StatusRequestEntityTooLarge, "uploadTooLarge", "Request entity too large.")
		}
		return store(nil, c.raw, kind)
	case "multipart":
		if len(c.raw) > simpleUpload+maxBody {
			return refuse(http.StatusRequestEntityTooLarge, "uploadTooLarge", "Request entity too large.")
		}
		meta, data, media, ok := related(kind, c.raw)
		if !ok {
			return refuse(http.StatusBadRequest, "badContent", "Multipart must have two parts.")
		}
		return store(meta, data, media)
	case "resumable":
		if f := may(); f != nil {
			return f
		}
		return c.begin()
	}
	return refuse(http.StatusBadRequest, "badRequest", "The uploadType parameter is missing or not known.")
}

// related reads the two parts of multipart/related: metadata and content.
func related(kind string, raw []byte) (meta, data []byte, media string, ok bool) {
	what, params, err := mime.ParseMediaType(kind)
	if err != nil || !strings.HasPrefix(what, "multipart/") {
		return nil, nil, "", false
	}
	r := multipart.NewReader(bytes.NewReader(raw), params["boundary"])
	for i := range 3 {
		p, err := r.NextRawPart()
		if err != nil {
			return meta, data, media, errors.Is(err, io.EOF) && i == 2
		}
		part, err := io.ReadAll(p)
		if err != nil {
			return nil, nil, "", false
		}
		if i == 0 {
			meta = part
		} else {
			data, media = part, p.Header.Get("Content-Type")
		}
	}
	return nil, nil, "", false
}

// toOverwrite finds the file that gets other content.
func (c *driveCall) toOverwrite() (int32, *failure) {
	n, f := c.open(c.args[0])
	if f != nil {
		return -1, f
	}
	switch x := &c.s.Docs.All[n]; {
	case !c.writes(n):
		return -1, insufficientFilePermissions(c.args[0])
	case x.Kind == org.FolderDoc || x.Kind == org.ShortcutDoc:
		return -1, refuse(http.StatusBadRequest, "invalid", "The file has no content.")
	case c.readOnly(n):
		return -1, refuse(http.StatusForbidden, "contentRestricted", "The content of the file is read-only.")
	}
	return n, nil
}

func (c *driveCall) overwrite(m mask, meta, data []byte, media string) *failure {
	n, f := c.toOverwrite()
	if f != nil {
		return f
	}
	in, f := c.parseFile(meta, true)
	if f != nil {
		return f
	}
	x := &c.s.Docs.All[n]
	if x.Kind == org.EditorDoc {
		if convertible := mediaType(media) < 3 || strings.HasPrefix(media, "text/"); !convertible {
			return refuse(http.StatusBadRequest, "badRequest", "Bad Request: the content cannot be converted.")
		}
		c.s.EditDoc(c.act(), n, int64(len(data)), data, x.Type, false)
	} else {
		if in.MimeType != "" {
			media = in.MimeType
		}
		c.s.EditDoc(c.act(), n, int64(len(data)), append([]byte{}, data...), mediaType(media), c.flag("keepRevisionForever"))
	}
	if f := c.change(n, &in); f != nil {
		return f
	}
	return c.reply(m, c.fileView(n, m))
}

// begin starts a resumable upload: where to send it is in Location.
func (c *driveCall) begin() *failure {
	h := c.h
	u := &upload{began: c.now, me: c.me.N, path: c.r.URL.Path, query: c.r.URL.RawQuery, meta: c.raw, media: c.r.Header.Get("X-Upload-Content-Type"), total: -1}
	if n, err := strconv.ParseInt(c.r.Header.Get("X-Upload-Content-Length"), 10, 64); err == nil {
		u.total = n
	}
	if u.total > maxUpload {
		return refuse(http.StatusRequestEntityTooLarge, "uploadTooLarge", "Request entity too large.")
	}
	h.uploadsMu.Lock()
	h.uploaded++
	u.id = letters(h.hash("upload", h.uploaded), 32)
	for id, old := range h.uploads {
		if c.now.Sub(old.began) > uploadLife {
			delete(h.uploads, id)
		}
	}
	h.uploads[u.id] = u
	h.uploadsMu.Unlock()
	q := c.r.URL.Query()
	q.Set("upload_id", u.id)
	c.w.Header().Set("Location", h.t.Base+c.r.URL.Path+"?"+q.Encode())
	c.w.Header().Set("X-GUploader-UploadID", u.id)
	c.w.WriteHeader(http.StatusOK)
	return nil
}

var contentRange = regexp.MustCompile(`^bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)$`)

// resume takes a part of a resumable upload, or tells how far it is.
func (c *driveCall) resume(m mask) *failure {
	h := c.h
	h.uploadsMu.Lock()
	defer h.uploadsMu.Unlock()
	u := h.uploads[c.q.Get("upload_id")]
	if u == nil || u.path != c.r.URL.Path || u.me != c.me.N || c.now.Sub(u.began) > uploadLife {
		return &failure{status: http.StatusNotFound, plain: "Not Found"}
	}
	if u.done { // it is whole already
		return c.reply(m, object{"kind": "drive#file"})
	}
	have := int64(len(u.data))
	from, total := have, u.total
	last := true
	if text := c.r.Header.Get("Content-Range"); text != "" {
		p := contentRange.FindStringSubmatch(text)
		if p == nil {
			return refuse(http.StatusBadRequest, "badRequest", "Failed to parse Content-Range header.")
		}
		if p[3] != "*" {
			total, _ = strconv.ParseInt(p[3], 10, 64) // digits
		}
		if p[1] == "" { // how far is it?
			if total != have || len(c.raw) > 0 {
				return c.incomplete(u)
			}
		} else {
			var to int64
			from, _ = strconv.ParseInt(p[1], 10, 64) // digits
			to, _ = strconv.ParseInt(p[2], 10, 64)   // digits
			if to-from+1 != int64(len(c.raw)) {
				return refuse(http.StatusBadRequest, "badRequest", "Content-Range and Content-Length differ.")
			}
			last = p[3] != "*" && to+1 == total
		}
	} else {
		total = int64(len(c.raw))
	}
	switch {
	case from > have || total >= 0 && from+int64(len(c.raw)) > total || u.total >= 0 && total >= 0 && total != u.total:
		return refuse(http.StatusBadRequest, "badRequest", "Invalid request. The range does not fit what was received.")
	case !last && len(c.raw)%chunkUnit != 0:
		h.t.Violate("a chunk that is no multiple of 256 KiB", c.r.URL.Path)
		return refuse(http.StatusBadRequest, "badRequest", "Invalid request. The number of bytes uploaded is required to be equal or greater than 262144, except for the final request.")
	case have+int64(len(c.raw)) > maxUpload:
		return refuse(http.StatusRequestEntityTooLarge, "uploadTooLarge", "Request entity too large.")
	}
	if skip := have - from; skip < int64(len(c.raw)) {
		u.data = append(u.data, c.raw[skip:]...)
	}
	if !last {
		return c.incomplete(u)
	}
	media := u.media
	if media == "" {
		media = c.r.Header.Get("Content-Type")
	}
	var f *failure
	if len(c.args) > 0 {
		f = c.overwrite(m, u.meta, u.data, media)
	} else {
		f = c.makeFile(m, u.meta, u.data, media)
	}
	if f == nil {
		u.data, u.done = nil, true
	}
	return f
}

// incomplete tells how much of an upload is there.
func (c *driveCall) incomplete(u *upload) *failure {
	if len(u.data) > 0 {
		c.w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(u.data)-1))
	}
	c.w.Header().Set("X-GUploader-UploadID", u.id)
	c.w.WriteHeader(c.h.facts.ResumeStatus)
	return nil
}
