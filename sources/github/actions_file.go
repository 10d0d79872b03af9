package github

import (
	"context"
	"crypto/sha1" // Git names blobs so
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// maxBlob is the largest content that undoing puts back: it travels as base64
// in one answer and one request.
const maxBlob = 10 << 20

// wireContent is a file as the contents API has it.
type wireContent struct {
	Type string `json:"type"` // file symlink submodule
	Path string `json:"path"`
	SHA  string `json:"sha"` // of the blob
	Size int64  `json:"size"`
}

// content reads a file on a branch; nil: there is none.
func (s *session) content(ctx context.Context, w *wireRepo, path, branch string) (*wireContent, error) {
	owner, name, _ := strings.Cut(w.FullName, "/")
	r, err := s.rest.Do(ctx, &httpx.Request{Path: httpx.P(pathContents, owner, name, path), Query: url.Values{"ref": {branch}}})
	if statusOf(err) == http.StatusNotFound {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, naming(err, rightContents)
	}
	if strings.HasPrefix(strings.TrimSpace(string(r.Body)), "[") {
		return nil, fault.New(fault.BadData, "github: %s in %s is a directory", path, w.FullName)
	}
	c := &wireContent{}
	if err := httpx.Decode(r, c); err != nil {
		return nil, err
	}
	switch {
	case c.Path != path:
		return nil, fault.New(fault.BadData, "github returned %q for %q", c.Path, path)
	case c.Type != "file" || c.SHA == "":
		return nil, fault.New(fault.BadData, "github: %s in %s is a %s, no file", path, w.FullName, first(c.Type, "thing without a type"))
	}
	return c, nil
}

// planFile plans what becomes of a file on the default branch. The content is
// kept by the repository's own history, from which undoing takes it.
func (s *session) planFile(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	repo, path, _ := strings.Cut(r.Target, ":")
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return nil, fault.New(fault.BadData, "github: %q is no path of a file", path)
		}
	}
	w, err := s.repositoryByID(ctx, repo)
	if err != nil {
		return nil, err
	}
	if w.DefaultBranch == "" {
		return nil, fault.New(fault.BadData, "github: %s does not tell its default branch", w.FullName)
	}
	c, err := s.content(ctx, w, path, w.DefaultBranch)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, fault.New(fault.BadData, "github: %s has no file %q on %s", w.FullName, path, w.DefaultBranch)
	}
	p := &sources.Plan{
		Target: sources.Subject{Kind: r.Kind, ID: r.Target, Name: path, Aliases: []string{w.FullName + ":" + path}},
		Also:   []sources.Subject{repositorySubject(w)},
		Before: encode(before{SHA: c.SHA, Branch: w.DefaultBranch}),
	}
	a := args{Op: opDelete, Request: r.ID, Repository: repo, Path: path, Branch: w.DefaultBranch, SHA: c.SHA, Was: c.SHA}
	doc, after := "delete the file by a commit", "deleted"
	if r.Action == sources.OverwriteFile {
		a.Op, doc, after = opPut, "put a note in the file's place by a commit", "a note: "+putSHA(&a)
	}
	if c.Size > maxBlob {
		a.Was, p.NoUndo = "", "the file has "+strconv.FormatInt(c.Size, 10)+" bytes: put it back from the repository's history, with Git"
	}
	if c.SHA == putSHA(&a) && a.Op == opPut {
		return p, nil
	}
	p.Diff = []sources.Change{{What: clip(path) + " in " + w.FullName + " on " + w.DefaultBranch, Before: c.SHA + ", " + strconv.FormatInt(c.Size, 10) + " bytes", After: after}}
	p.Steps = []sources.Step{makeStep(a.Op, doc, a)}
	return p, nil
}

// note is what stands in the place of a file that was overwritten.
func note(request string) []byte {
	return []byte("This file was replaced by Weir, at the request " + request + ". Its former content is in the history.\n")
}

// putSHA is the id of the blob that a step puts.
func putSHA(a *args) string {
	if a.Blob != "" {
		return a.Blob
	}
	return blobSHA(note(a.Request))
}

// blobSHA is Git's id of a content.
func blobSHA(content []byte) string {
	h := sha1.New()
	h.Write([]byte("blob " + strconv.Itoa(len(content)) + "\x00"))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}

type contentBody struct {
	Message string `json:"message"`
	Content string `json:"content,omitempty"`
	SHA     string `json:"sha,omitempty"`
	Branch  string `json:"branch"`
}

func commitMessage(a *args, what string) string {
	return "Weir: " + what + " " + a.Path + " (request " + a.Request + ")"
}

// putFile commits a note, or the blob that stood there before. A file that has
// changed since the plan is refused by GitHub: the SHA is not the current one's.
func putFile(ctx context.Context, s *session, a *args) (*httpx.Request, error) {
	content, what := note(a.Request), "replace"
	if a.Blob != "" {
		var err error
		if content, err = s.blob(ctx, a.Repository, a.Blob); err != nil {
			return nil, err
		}
		what = "put back"
	}
	b := contentBody{commitMessage(a, what), base64.StdEncoding.EncodeToString(content), a.SHA, a.Branch}
	return inRepo(http.MethodPut, pathContents, func(*args) any { return b }, filePath)(ctx, s, a)
}

func deleteFile(ctx context.Context, s *session, a *args) (*httpx.Request, error) {
	b := contentBody{Message: commitMessage(a, "delete"), SHA: a.SHA, Branch: a.Branch}
	return inRepo(http.MethodDelete, pathContents, func(*args) any { return b }, filePath)(ctx, s, a)
}

func filePath(a *args) []string { return []string{a.Path} }

// blob reads a content by its id.
func (s *session) blob(ctx context.Context, repo, sha string) ([]byte, error) {
	_, owner, name, err := s.repositoryNames(ctx, repo)
	if err != nil {
		return nil, err
	}
	r, err := s.rest.Do(ctx, &httpx.Request{Path: httpx.P(pathBlob, owner, name, sha)})
	if err != nil {
		return nil, naming(err, rightContents)
	}
	var body struct {
		Content  string `json:"content"`
		Encoding string `json:"encoding"`
	}
	if err := httpx.Decode(r, &body); err != nil {
		return nil, err
	}
	content, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body.Content, "\n", ""))
	if err != nil || body.Encoding != "base64" || blobSHA(content) != sha {
		return nil, fault.New(fault.BadData, "%s: the content is not that of blob %s", r.Endpoint, sha)
	}
	return content, nil
}

// now reads the file of a step, as it is.
func (a *args) now(ctx context.Context, s *session) (*wireContent, error) {
	w, err := s.repositoryByID(ctx, a.Repository)
	if err != nil {
		return nil, err
	}
	return s.content(ctx, w, a.Path, a.Branch)
}

func hasBlob(ctx context.Context, s *session, a *args) (bool, error) {
	c, err := a.now(ctx, s)
	return c != nil && c.SHA == putSHA(a), err
}

func noFile(ctx context.Context, s *session, a *args) (bool, error) {
	c, err := a.now(ctx, s)
	return c == nil && err == nil, err
}
