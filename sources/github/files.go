package github

import (
	"context"
	"iter"
	"net/url"
	"path"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// repositoryLanes implements sources.Stream.Lanes. The listing keeps GitHub's
// own order: by time of the last push, a push during it would move a repository
// behind the place that has been read.
func (s *session) repositoryLanes(ctx context.Context, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	p := httpx.P("/orgs/{org}/repos", s.cfg.Org)
	return s.laneList(c, func(at place) (*sources.LanePage, list, error) {
		l, err := s.page(ctx, p, url.Values{"type": {"all"}}, at.Link)
		if err != nil {
			return nil, list{}, err
		}
		lp := &sources.LanePage{}
		if at.Link == "" {
			lp.Lanes = append(lp.Lanes, sources.Lane{ID: laneOrg}, sources.Lane{ID: laneRoles})
		}
		for _, e := range l.elements {
			var r wireRepo
			if err := decode(e, &r); err != nil || r.ID == "" || !strings.Contains(r.FullName, "/") {
				l.strange++
				continue
			}
			s.remember(s.repos, string(r.ID), r.FullName)
			lp.Lanes = append(lp.Lanes, sources.Lane{ID: repoLane + string(r.ID)})
			if s.cfg.Files.Trees {
				lp.Lanes = append(lp.Lanes, sources.Lane{ID: treeLane + string(r.ID), Hint: treeHint(&r)})
			}
		}
		return lp, l, nil
	})
}

// treeHint changes with what a repository's tree depends on.
func treeHint(r *wireRepo) string {
	return schemas.HashID(r.PushedAt, r.DefaultBranch, r.FullName, visibility(r))
}

// Phases of a repository's lane. The repository's own row comes last, for who
// has access tells how widely it is shared.
const (
	repoOutside = iota
	repoDirect
	repoTeams
	repoInvitations
	repoKeys
	repoItself
	repoFailed // access could not be asked for
)

var repoListings = [...]struct {
	template string
	query    url.Values
}{
	repoOutside:     {"/repos/{owner}/{repo}/collaborators", url.Values{"affiliation": {"outside"}}},
	repoDirect:      {"/repos/{owner}/{repo}/collaborators", url.Values{"affiliation": {"direct"}}},
	repoTeams:       {"/repos/{owner}/{repo}/teams", nil},
	repoInvitations: {"/repos/{owner}/{repo}/invitations", nil},
	repoKeys:        {"/repos/{owner}/{repo}/keys", nil},
}

// repoName returns a repository's owner and name; "" when it has gone.
func (s *session) repoName(ctx context.Context, id string) (full, owner, name string, err error) {
	full, err = s.name(ctx, s.repos, id, s.repositoryLanes)
	owner, name, _ = strings.Cut(full, "/")
	return full, owner, name, err
}

// repoPages reads who has access to a repository, then the repository. Where
// access may not be asked for, the repository is still told, and then the lane
// fails: the rows of access that are known stand.
func (s *session) repoPages(ctx context.Context, id string) step {
	return func(page *sources.Page, at place) (place, bool, error) {
		if at.Phase == repoFailed {
			return at, false, fault.New(fault.Forbidden, "%s: %s", partAccess, at.ID)
		}
		full, owner, name, err := s.repoName(ctx, id)
		if err != nil {
			return at, false, err
		}
		if full == "" {
			return at, true, nil // deleted since it was listed
		}
		ref := &repoRef{ID: id, FullName: full}
		if at.Phase == repoItself {
			repo, raw, err := s.repository(ctx, id, owner, name)
			if err != nil {
				return at, false, err
			}
			org, err := s.organization(ctx, orgFresh)
			if err != nil {
				return at, false, err
			}
			var f schemas.File
			if reason := mapRepo(&f, repo, at.Flag, raw); reason != "" {
				return at, false, fault.New(fault.BadData, "%s: %s", full, reason)
			}
			if at.ID != "" && !at.Flag && f.Sharing != "public" {
				f.NotAsked = []string{"sharing"}
			}
			page.Rows.Files = append(page.Rows.Files, f)
			page.Rows.FilePermissions = append(page.Rows.FilePermissions, audience(repo, org)...)
			return place{Phase: repoFailed, ID: at.ID}, at.ID == "", nil
		}
		if at.Phase < 0 || at.Phase > repoItself {
			return at, false, fault.New(fault.Expired, "the repository's place is unknown: it is read anew")
		}
		listing := repoListings[at.Phase]
		l, err := s.page(ctx, httpx.P(listing.template, owner, name), listing.query, at.Link)
		switch {
		case fault.Of(err) == fault.Forbidden && err != nil:
			return place{Phase: repoItself, Flag: at.Flag, ID: clip(err.Error())}, false, nil
		case err != nil:
			return at, false, err
		}
		external := addAccess(page, ref, at.Phase, l)
		next := place{Phase: at.Phase, Link: l.link, Flag: at.Flag || external}
		if l.link == "" {
			next.Phase++
		}
		return next, false, nil
	}
}

// addAccess maps a page of a repository's access. external: people outside the
// organization have it, or are invited.
func addAccess(page *sources.Page, repo *repoRef, phase int, l list) (external bool) {
	switch phase {
	case repoOutside: // direct has them too
		return len(l.elements) > 0
	case repoDirect:
		each(l, page, "a collaborator", func(w *wireUser, raw string) string {
			g, reason := collaboratorGrant(w, raw)
			if reason == "" {
				addGrant(page.Rows, repo, g)
			}
			return reason
		})
	case repoTeams:
		each(l, page, "a team", func(w *wireTeam, raw string) string {
			g, reason := teamGrant(w, raw)
			if reason == "" {
				addGrant(page.Rows, repo, g)
			}
			return reason
		})
	case repoInvitations:
		return len(l.elements) > 0
	case repoKeys:
		each(l, page, "a deploy key", func(w *wireKey, raw string) string {
			if w.Enabled != nil && !*w.Enabled {
				return ""
			}
			var p schemas.FilePermission
			reason := mapDeployKey(&p, w, repo, raw)
			if reason == "" {
				page.Rows.FilePermissions = append(page.Rows.FilePermissions, p)
			}
			return reason
		})
	}
	return false
}

// repository asks for a repository; one that has been renamed is found by the
// redirect.
func (s *session) repository(ctx context.Context, id, owner, name string) (*wireRepo, string, error) {
	r, err := s.rest.Do(ctx, &httpx.Request{Path: httpx.P("/repos/{owner}/{repo}", owner, name)})
	if err != nil {
		if statusOf(err) == 404 {
			s.forget(s.repos, id)
			err = fault.New(fault.Transient, "%w", err)
		}
		return nil, "", err
	}
	w := &wireRepo{}
	if err := httpx.Decode(r, w); err != nil {
		return nil, "", err
	}
	if string(w.ID) != id { // another repository has the name now
		s.forget(s.repos, id)
		return nil, "", fault.New(fault.Transient, "%s/%s is another repository than it was: it is looked up anew", owner, name)
	}
	return w, string(r.Body), nil
}

const treePath = "/repos/{owner}/{repo}/git/trees/{tree_sha}"

// treeChunk is how many entries of a tree go into one page.
const treeChunk = 4000

// tree reads a Git tree by branch or SHA; nil for an empty repository.
func (s *session) tree(ctx context.Context, owner, name, ref string, recursive bool) (*wireTree, error) {
	var query url.Values
	if recursive {
		query = url.Values{"recursive": {"1"}} // any value does; without it, one level
	}
	r, err := s.rest.Do(ctx, &httpx.Request{Path: httpx.P(treePath, owner, name, ref), Query: query})
	if statusOf(err) == 409 {
		return nil, nil //nolint:nilnil // an empty repository has no tree
	}
	if err != nil {
		return nil, err
	}
	t := &wireTree{}
	return t, httpx.Decode(r, t)
}

// readTree reads the files of a repository's default branch. A tree that is too
// large for one answer is walked, directory by directory. A cursor names the
// root tree, and how far it has been told.
func (s *session) readTree(ctx context.Context, id string, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		at, err := parsePlace(c)
		if err == nil {
			err = s.treePages(ctx, id, at, func(p *sources.Page) bool { return yield(p, nil) })
		}
		if err != nil {
			yield(nil, part(partTrees, err))
		}
	}
}

// Phases of a tree's lane.
const (
	treeWhole  = iota // one answer; N entries have been told
	treeWalked        // Link is the last directory told
)

func (s *session) treePages(ctx context.Context, id string, at place, yield func(*sources.Page) bool) error {
	full, owner, name, err := s.repoName(ctx, id)
	if err != nil {
		return err
	}
	var rows schemas.Rows
	if full == "" {
		yield(&sources.Page{Rows: &rows})
		return nil
	}
	repo, _, err := s.repository(ctx, id, owner, name)
	if err != nil {
		return err
	}
	external, err := s.sharedOutside(ctx, repo, owner, name)
	if err != nil {
		return err
	}
	ref := first(at.ID, repo.DefaultBranch)
	if ref == "" {
		yield(&sources.Page{Rows: &rows})
		return nil
	}
	w := &treeWalk{session: s, repo: repo, owner: owner, name: name, external: external, rows: &rows, yield: yield}
	if at.Phase == treeWalked {
		return w.walkAll(ctx, at)
	}
	t, err := s.tree(ctx, owner, name, ref, true)
	switch {
	case err != nil:
		return err
	case t == nil:
		yield(&sources.Page{Rows: &rows})
		return nil
	case t.Truncated:
		return w.walkAll(ctx, place{Phase: treeWalked, ID: t.SHA})
	}
	w.root = t.SHA
	for from := min(max(at.N, 0), len(t.Tree)); ; {
		to := min(from+treeChunk, len(t.Tree))
		if !w.page(list{elements: t.Tree[from:to]}, "", place{Phase: treeWhole, ID: t.SHA, N: to}, to < len(t.Tree)) || to == len(t.Tree) {
			return nil
		}
		from = to
	}
}

// sharedOutside reports whether a private repository is shared with people
// outside the organization.
func (s *session) sharedOutside(ctx context.Context, repo *wireRepo, owner, name string) (bool, error) {
	if visibility(repo) == "public" {
		return false, nil
	}
	for _, phase := range []int{repoOutside, repoInvitations} {
		l, err := s.page(ctx, httpx.P(repoListings[phase].template, owner, name), repoListings[phase].query, "")
		if err != nil || len(l.elements) > 0 {
			return len(l.elements) > 0, err
		}
	}
	return false, nil
}

// treeWalk tells a repository's tree.
type treeWalk struct {
	session     *session
	repo        *wireRepo
	owner, name string
	root        string
	external    bool
	rows        *schemas.Rows
	yield       func(*sources.Page) bool
}

// page yields a page of entries below a directory.
func (w *treeWalk) page(l list, dir string, next place, more bool) bool {
	w.rows.Reset()
	page := &sources.Page{Rows: w.rows, More: more, Next: next.cursor()}
	each(l, page, "a tree's entry", func(e *wireEntry, raw string) string {
		var f schemas.File
		reason := mapEntry(&f, e, w.repo, w.external, path.Join(dir, e.Path), raw)
		if reason == "" {
			page.Rows.Files = append(page.Rows.Files, f)
		}
		return reason
	})
	return w.yield(page)
}

// walkAll walks a tree in the order of its paths, behind the directory that was
// told last.
func (w *treeWalk) walkAll(ctx context.Context, at place) error {
	w.root = at.ID
	begun := at.N > 0
	going, err := w.walk(ctx, at.ID, "", at.Link, begun)
	if err != nil || !going {
		return err
	}
	w.rows.Reset()
	w.yield(&sources.Page{Rows: w.rows, Next: place{Phase: treeWalked, ID: w.root, Link: at.Link, N: 1}.cursor()})
	return nil
}

// walk tells one directory, then those below it. Directories up to after, in
// this order, have been told (begun: there is such a one). False: the reader
// wants no more.
func (w *treeWalk) walk(ctx context.Context, sha, dir, after string, begun bool) (bool, error) {
	told := begun && compareDirs(dir, after) <= 0
	if told && dir != "" && dir != after && !strings.HasPrefix(after, dir+"/") {
		return true, nil // before it, and not above it
	}
	t, err := w.session.tree(ctx, w.owner, w.name, sha, false)
	if err != nil || t == nil {
		return true, err
	}
	if t.Truncated {
		return false, fault.New(fault.BadData, "%s: the directory %q has more entries than GitHub lists", w.repo.FullName, dir)
	}
	if !told && !w.page(list{elements: t.Tree}, dir, place{Phase: treeWalked, ID: w.root, Link: dir, N: 1}, true) {
		return false, nil
	}
	var below []wireEntry
	for _, v := range t.Tree {
		var e wireEntry
		if decode(v, &e) == nil && e.Type == "tree" && e.Path != "" {
			below = append(below, e)
		}
	}
	slices.SortFunc(below, func(a, b wireEntry) int { return strings.Compare(a.Path, b.Path) })
	for i := range below {
		if going, err := w.walk(ctx, below[i].SHA, path.Join(dir, below[i].Path), after, begun); err != nil || !going {
			return going, err
		}
	}
	return true, nil
}

// compareDirs orders directories as walk tells them: name by name.
func compareDirs(a, b string) int {
	if a == "" || b == "" {
		return strings.Compare(a, b) // the root is first
	}
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}
