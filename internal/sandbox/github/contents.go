package github

import (
	"crypto/sha1" //nolint:gosec // git's own hash
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"weir/internal/sandbox/org"
)

// contents is GET /repos/{owner}/{repo}/contents/{path}.
func (c *call) contents() {
	r := c.pathRepo()
	if r == nil {
		return
	}
	want := strings.Trim(c.path("path"), "/")
	if ref := c.query.Get("ref"); ref != "" && ref != branch(r) {
		c.fail(http.StatusNotFound, "No commit found for the ref "+ref)
		return
	}
	if r.Pushed.IsZero() {
		c.fail(http.StatusNotFound, "This repository is empty.")
		return
	}
	if f := fileAt(r, want); f != nil {
		c.file(r, *f)
		return
	}
	const most = 1000 // entries of a folder that are shown
	var in []treeEntry
	for _, e := range c.h.treeEntries(r) {
		if d := path.Dir(e.path); (d == want || want == "" && d == ".") && len(in) < most {
			in = append(in, e)
		}
	}
	if len(in) == 0 {
		c.notFound()
		return
	}
	c.open('[')
	for _, e := range in {
		kind := map[string]string{"tree": "dir", "blob": "file", "commit": "file"}[e.kind] // a submodule in a listing says file
		if e.mode == "120000" {
			kind = "symlink"
		}
		c.object0(func() { c.contentEntry(r, e, kind) })
	}
	c.close(']')
}

func fileAt(r *org.Repo, at string) *org.Blob {
	if i := slices.IndexFunc(r.Files, func(f org.Blob) bool { return f.Path == at }); i >= 0 {
		return &r.Files[i]
	}
	return nil
}

func (c *call) contentEntry(r *org.Repo, e treeEntry, kind string) {
	self := c.api() + "/repos/" + c.fullName(r) + "/contents/" + e.path + "?ref=" + branch(r)
	git := c.api() + "/repos/" + c.fullName(r) + "/git/" + map[bool]string{true: "trees/", false: "blobs/"}[e.kind == "tree"] + e.hash
	html := c.web() + "/" + c.fullName(r) + "/blob/" + branch(r) + "/" + e.path
	c.str("name", path.Base(e.path))
	c.str("path", e.path)
	c.str("sha", e.hash)
	c.int("size", e.size)
	c.str("url", self)
	c.str("html_url", html)
	c.str("git_url", git)
	c.null("download_url")
	c.str("type", kind)
	c.object("_links", func() {
		c.str("self", self)
		c.str("git", git)
		c.str("html", html)
	})
}

// Sizes up to which contents are handed out, in bytes.
const (
	inlineContent = 1 << 20
	rawContent    = 100 << 20
)

func (c *call) file(r *org.Repo, f org.Blob) {
	e := treeEntry{f.Path, f.Mode, "blob", c.h.blobID(f), f.Size}
	raw := strings.Contains(c.r.Header.Get("Accept"), "raw")
	switch {
	case f.Mode == "160000":
		c.object("", func() {
			c.contentEntry(r, e, "submodule")
			c.str("submodule_git_url", c.web()+"/"+c.fullName(r)+".git")
		})
		return
	case f.Size > rawContent:
		c.fail(http.StatusForbidden, "This API returns blobs up to 100 MB in size.")
		return
	case raw:
		c.Header()["Content-Type"] = []string{"application/vnd.github.raw+json; charset=utf-8"}
		c.b = append(c.b, content(f)...)
		return
	}
	kind := "file"
	if f.Mode == "120000" {
		kind = "symlink"
	}
	c.object("", func() {
		c.contentEntry(r, e, kind)
		if kind == "symlink" {
			c.str("target", "README.md")
			return
		}
		if f.Size > inlineContent {
			c.str("encoding", "none")
			c.str("content", "")
			return
		}
		c.str("encoding", "base64")
		c.str("content", base64.StdEncoding.EncodeToString(content(f)))
	})
}

// line is what the text of a made-up file repeats: it tells which file it is.
func line(f org.Blob) []byte { return []byte(f.Hash + " " + f.Path + "\n") }

// content makes the bytes of a file.
func content(f org.Blob) []byte {
	if f.Text != "" {
		return []byte(f.Text)
	}
	b := make([]byte, 0, f.Size)
	for l := line(f); int64(len(b)) < f.Size; {
		b = append(b, l[:min(int64(len(l)), f.Size-int64(len(b)))]...)
	}
	return b
}

// blobID returns the id that git gives to a file's content; of a submodule, the
// commit it stands at. Written files have theirs; those of others are reckoned
// once.
func (h *Handler) blobID(f org.Blob) string {
	if f.Mode == "160000" || f.Text != "" {
		return f.Hash
	}
	key := xxhash.Sum64String(f.Hash + " " + strconv.FormatInt(f.Size, 10) + " " + f.Path)
	if id, ok := h.blobs.Load(key); ok {
		return id.(string)
	}
	sum := newBlobID(f.Size)
	for l, n := line(f), f.Size; n > 0; n -= int64(len(l)) {
		_, _ = sum.Write(l[:min(int64(len(l)), n)]) // never fails
	}
	id := hex.EncodeToString(sum.Sum(nil))
	h.blobs.Store(key, id)
	return id
}

func newBlobID(size int64) hash.Hash {
	sum := sha1.New() //nolint:gosec // git's own hash
	_, _ = sum.Write([]byte("blob " + strconv.FormatInt(size, 10) + "\x00"))
	return sum
}

// commit is what a write of contents is sent. Who commits is the token's user.
type commit struct {
	Message, Content *string
	Sha, Branch      string
}

// change reads a write of contents, and returns the repository and the file that
// is there now, if any. It returns a nil repository after it has answered.
func (c *call) change(body *commit) (*org.Repo, *org.Blob) {
	r := c.repoTo("write")
	if r == nil || c.readOnly(r) || !c.sent(body) {
		return nil, nil
	}
	at := c.path("path")
	switch {
	case c.crowded:
		// Two at a time: the branch has moved on between reading and writing.
		c.fail(http.StatusConflict, "is at "+c.h.treeHash(r, "")+" but expected another commit")
	case body.Message == nil || *body.Message == "":
		c.invalid("Commit", "message", "missing_field", "message wasn't supplied.")
	case body.Branch != "" && body.Branch != branch(r):
		c.fail(http.StatusNotFound, "Branch "+body.Branch+" not found")
	case strings.HasPrefix(at, ".github/workflows/") && !c.mayWorkflows():
		c.fail(http.StatusForbidden, "refusing to allow changes to a workflow without `workflow` scope")
	case at == "", strings.HasSuffix(at, "/"), strings.HasPrefix(at, "/"), slices.Contains(strings.Split(at, "/"), ".."), len(at) > 4096:
		c.invalid("Commit", "path", "invalid", "path is malformed")
	default:
		return r, fileAt(r, at)
	}
	return nil, nil
}

func (c *call) mayWorkflows() bool {
	if c.who.kind == classic || c.who.kind == oauthToken {
		return c.who.has("workflow")
	}
	return c.who.may("workflows:write")
}

// current tells whether a client knows the file that it changes, or answers.
func (c *call) current(f *org.Blob, at, sha string) bool {
	switch {
	case sha == "" && f != nil:
		c.invalid("Commit", "sha", "missing_field", "\"sha\" wasn't supplied.")
	case sha != "" && (f == nil || c.h.blobID(*f) != sha):
		c.fail(http.StatusConflict, at+" does not match "+sha)
	default:
		return true
	}
	return false
}

// putContents is PUT /repos/{owner}/{repo}/contents/{path}.
func (c *call) putContents() {
	var body commit
	r, f := c.change(&body)
	if r == nil {
		return
	}
	at := c.path("path")
	if body.Content == nil {
		c.invalid("Commit", "content", "missing_field", "content wasn't supplied.")
		return
	}
	text, err := base64.StdEncoding.DecodeString(strings.NewReplacer("\n", "", "\r", "").Replace(*body.Content))
	switch {
	case err != nil:
		c.invalid("Commit", "content", "invalid", "content is not valid Base64")
		return
	case f != nil && f.Mode == "160000", slices.ContainsFunc(r.Files, func(o org.Blob) bool {
		return strings.HasPrefix(o.Path, at+"/") || strings.HasPrefix(at, o.Path+"/")
	}):
		c.invalid("Commit", "path", "invalid", "path is no file")
		return
	case !c.current(f, at, body.Sha):
		return
	}
	sum := newBlobID(int64(len(text)))
	_, _ = sum.Write(text) // never fails
	written := org.Blob{Path: at, Size: int64(len(text)), Mode: "100644", Hash: hex.EncodeToString(sum.Sum(nil)), Text: string(text)}
	if c.status = http.StatusCreated; f != nil {
		c.status, written.Mode = http.StatusOK, f.Mode
	}
	if f != nil {
		c.h.keep(*f)
	}
	parent := c.h.treeHash(r, "")
	c.s.Commit(c.act(), r, written)
	c.committed(r, &written, *body.Message, parent)
}

// deleteContents is DELETE /repos/{owner}/{repo}/contents/{path}.
func (c *call) deleteContents() {
	var body commit
	r, f := c.change(&body)
	switch {
	case r == nil:
		return
	case f == nil:
		c.notFound()
		return
	case !c.current(f, f.Path, body.Sha):
		return
	}
	c.h.keep(*f)
	parent := c.h.treeHash(r, "")
	c.s.CommitDelete(c.act(), r, f.Path)
	c.committed(r, nil, *body.Message, parent)
}

// keep has a content found by its id after the file has another, or is gone.
func (h *Handler) keep(f org.Blob) { h.history.Store(h.blobID(f), f) }

// blob is GET /repos/{owner}/{repo}/git/blobs/{sha}: of a file as it is, or was.
func (c *call) blob() {
	r := c.pathRepo()
	if r == nil {
		return
	}
	sha := c.path("sha")
	f, found := org.Blob{}, false
	if old, ok := c.h.history.Load(sha); ok {
		f, found = old.(org.Blob), true
	}
	for i := range r.Files {
		if c.h.blobID(r.Files[i]) == sha {
			f, found = r.Files[i], true
		}
	}
	switch {
	case !found:
		c.notFound()
	case f.Size > rawContent:
		c.fail(http.StatusForbidden, "This API returns blobs up to 100 MB in size.")
	default:
		c.object("", func() {
			c.str("sha", sha)
			c.str("node_id", "B_"+sha)
			c.int("size", f.Size)
			c.str("url", c.api()+"/repos/"+c.fullName(r)+"/git/blobs/"+sha)
			c.str("content", base64.StdEncoding.EncodeToString(content(f)))
			c.str("encoding", "base64")
		})
	}
}

// committed answers with a commit, and the file that it wrote.
func (c *call) committed(r *org.Repo, f *org.Blob, message, parent string) {
	url := c.api() + "/repos/" + c.fullName(r) + "/git/"
	tree := c.h.treeHash(r, "")
	sum := sha1.Sum([]byte("commit " + tree + parent + message + c.now.String())) //nolint:gosec // git's own hash
	sha := hex.EncodeToString(sum[:])
	who := func() {
		c.time("date", c.s.Now)
		if a := c.account(); a != nil {
			c.str("name", name(c.s.People[a.Person]))
			c.str("email", c.s.People[a.Person].Email)
		} else {
			c.str("name", c.act().Actor.Name)
			c.str("email", "noreply@"+c.s.Domain)
		}
	}
	c.object("", func() {
		if f == nil {
			c.null("content")
		} else {
			c.object("content", func() { c.contentEntry(r, treeEntry{f.Path, f.Mode, "blob", c.h.blobID(*f), f.Size}, "file") })
		}
		c.object("commit", func() {
			c.str("sha", sha)
			c.str("node_id", "C_"+base64.RawURLEncoding.EncodeToString(sum[:]))
			c.str("url", url+"commits/"+sha)
			c.str("html_url", c.web()+"/"+c.fullName(r)+"/commit/"+sha)
			c.object("author", who)
			c.object("committer", who)
			c.str("message", message)
			c.object("tree", func() {
				c.str("sha", tree)
				c.str("url", url+"trees/"+tree)
			})
			c.list("parents", func() {
				c.object0(func() {
					c.str("sha", parent)
					c.str("url", url+"commits/"+parent)
					c.str("html_url", c.web()+"/"+c.fullName(r)+"/commit/"+parent)
				})
			})
			c.object("verification", func() {
				c.bool("verified", false)
				c.str("reason", "unsigned")
				c.null("signature")
				c.null("payload")
				c.null("verified_at")
			})
		})
	})
}
