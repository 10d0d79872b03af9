package github

import (
	"cmp"
	"encoding/hex"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"weir/internal/sandbox/org"
)

// repo returns the repository of a name; nil when there is none.
func (c *call) repo(name string) *org.Repo {
	for _, r := range c.s.Repos {
		if strings.EqualFold(r.Name, name) && alive(r.Created, r.Gone, c.s) {
			return r
		}
	}
	return nil
}

// pathRepo returns the path's repository; nil after it has answered. Without
// the scope repo, private ones do not exist.
func (c *call) pathRepo() *org.Repo {
	if !c.orgIs(c.path("owner")) {
		return nil
	}
	r := c.repo(c.path("repo"))
	if r == nil || !c.sees(r) {
		c.notFound()
		return nil
	}
	return r
}

// sees tells whether the token reaches a repository.
func (c *call) sees(r *org.Repo) bool {
	if r.Visibility == "public" {
		return true
	}
	switch c.who.kind {
	case classic, oauthToken:
		return c.who.has("repo")
	default:
		return c.who.may("metadata:read")
	}
}

// repos is GET /orgs/{org}/repos.
func (c *call) repos() {
	if !c.orgIs(c.path("org")) {
		return
	}
	kind := c.query.Get("type")
	var all []*org.Repo
	for _, r := range c.s.Repos {
		if !alive(r.Created, r.Gone, c.s) || !c.sees(r) {
			continue
		}
		switch kind {
		case "", "all":
		case "public", "private":
			if (r.Visibility == "public") != (kind == "public") {
				continue
			}
		case "sources", "forks", "member", "internal":
			if kind == "internal" && (c.who.kind == installation || r.Visibility != "internal") || kind == "forks" {
				continue
			}
		default:
			c.invalid("Repository", "type", "invalid", "type is not included in the list")
			return
		}
		all = append(all, r)
	}
	by := func(at func(*org.Repo) time.Time) func(a, b *org.Repo) int {
		return func(a, b *org.Repo) int { return cmp.Or(at(a).Compare(at(b)), cmp.Compare(a.N, b.N)) }
	}
	order := by(func(r *org.Repo) time.Time { return r.Created })
	descending := true
	switch c.query.Get("sort") {
	case "updated":
		order = by(func(r *org.Repo) time.Time { return r.Modified })
	case "pushed":
		order = by(func(r *org.Repo) time.Time { return r.Pushed })
	case "full_name":
		order = func(a, b *org.Repo) int { return strings.Compare(a.Name, b.Name) }
		descending = false
	}
	if d := c.query.Get("direction"); d != "" {
		descending = d == "desc"
	}
	slices.SortFunc(all, order)
	if descending {
		slices.Reverse(all)
	}
	c.open('[')
	for _, r := range page(c, all) {
		c.object0(func() { c.minimalRepo(r) })
	}
	c.close(']')
}

// repoDetail is GET /repos/{owner}/{repo}.
func (c *call) repoDetail() {
	if r := c.pathRepo(); r != nil {
		c.repoOf(r)
	}
}

// repoOf answers with a repository.
func (c *call) repoOf(r *org.Repo) {
	c.object("", func() {
		c.minimalRepo(r)
		for _, name := range []string{"forks", "forks_count", "network_count", "open_issues", "open_issues_count", "stargazers_count", "subscribers_count", "watchers", "watchers_count"} {
			c.int(name, 0)
		}
		for _, name := range []string{"has_issues", "has_projects", "has_wiki", "has_pages", "has_discussions"} {
			c.bool(name, false)
		}
		for _, name := range []string{"homepage", "language", "mirror_url", "license"} {
			c.null(name)
		}
		full := c.fullName(r)
		c.str("git_url", "git://github.example/"+full+".git")
		c.str("ssh_url", "git@github.example:"+full+".git")
		c.str("svn_url", c.web()+"/"+full)
		c.object("organization", c.orgAsUser)
	})
}

// repoURLs are the links of a repository, below its own URL.
var repoURLs = [][2]string{
	{"archive_url", "/{archive_format}{/ref}"},
	{"assignees_url", "/assignees{/user}"},
	{"blobs_url", "/git/blobs{/sha}"},
	{"branches_url", "/branches{/branch}"},
	{"collaborators_url", "/collaborators{/collaborator}"},
	{"comments_url", "/comments{/number}"},
	{"commits_url", "/commits{/sha}"},
	{"compare_url", "/compare/{base}...{head}"},
	{"contents_url", "/contents/{+path}"},
	{"contributors_url", "/contributors"},
	{"deployments_url", "/deployments"},
	{"downloads_url", "/downloads"},
	{"events_url", "/events"},
	{"forks_url", "/forks"},
	{"git_commits_url", "/git/commits{/sha}"},
	{"git_refs_url", "/git/refs{/sha}"},
	{"git_tags_url", "/git/tags{/sha}"},
	{"issue_comment_url", "/issues/comments{/number}"},
	{"issue_events_url", "/issues/events{/number}"},
	{"issues_url", "/issues{/number}"},
	{"keys_url", "/keys{/key_id}"},
	{"labels_url", "/labels{/name}"},
	{"languages_url", "/languages"},
	{"merges_url", "/merges"},
	{"milestones_url", "/milestones{/number}"},
	{"notifications_url", "/notifications{?since,all,participating}"},
	{"pulls_url", "/pulls{/number}"},
	{"releases_url", "/releases{/id}"},
	{"stargazers_url", "/stargazers"},
	{"statuses_url", "/statuses/{sha}"},
	{"subscribers_url", "/subscribers"},
	{"subscription_url", "/subscription"},
	{"tags_url", "/tags"},
	{"teams_url", "/teams"},
	{"trees_url", "/git/trees{/sha}"},
	{"hooks_url", "/hooks"},
}

func (c *call) fullName(r *org.Repo) string { return c.s.Name + "/" + r.Name }

func (c *call) minimalRepo(r *org.Repo) {
	id := c.h.id(kindRepo, r.N)
	full := c.fullName(r)
	url := c.api() + "/repos/" + full
	c.int("id", id)
	c.str("node_id", c.h.nodeID("R", id))
	c.str("name", r.Name)
	c.str("full_name", full)
	c.bool("private", r.Visibility != "public")
	c.object("owner", c.orgAsUser)
	c.str("html_url", c.web()+"/"+full)
	c.text("description", r.Description)
	c.bool("fork", false)
	c.str("url", url)
	for _, u := range repoURLs {
		c.cat(u[0], url, u[1])
	}
	c.cat("clone_url", c.web()+"/"+full, ".git")
	size := int64(0)
	for _, f := range r.Files {
		size += f.Size
	}
	c.int("size", size/1024)
	c.str("default_branch", branch(r))
	c.bool("archived", r.Archived)
	c.bool("disabled", false)
	c.str("visibility", r.Visibility)
	c.time("pushed_at", r.Pushed)
	c.time("created_at", r.Created)
	c.time("updated_at", r.Modified)
	c.object("permissions", func() { c.permissionFlags("admin") })
	c.bool("has_downloads", true)
}

func branch(r *org.Repo) string {
	if r.Branch == "" {
		return "main"
	}
	return r.Branch
}

// Roles of repositories, the least first, and their names as permissions.
var (
	repoRoles       = []string{"read", "triage", "write", "maintain", "admin"}
	repoPermissions = []string{"pull", "triage", "push", "maintain", "admin"}
)

func permissionOf(role string) string {
	if i := slices.Index(repoRoles, role); i >= 0 {
		return repoPermissions[i]
	}
	return role
}

func (c *call) permissionFlags(role string) {
	level := slices.Index(repoRoles, role)
	for i, p := range repoPermissions {
		c.bool(p, i <= level)
	}
}

// collaborators is GET /repos/{owner}/{repo}/collaborators.
func (c *call) collaborators() {
	r := c.pathRepo()
	if r == nil {
		return
	}
	if (c.who.kind == classic || c.who.kind == oauthToken) && !c.who.has("read:org") {
		c.fail(http.StatusForbidden, "Must have push access to view repository collaborators.")
		return
	}
	affiliation := c.query.Get("affiliation")
	type collaborator struct {
		account *org.Account
		role    string
	}
	var all []collaborator
	have := map[int]bool{}
	for _, a := range r.Access {
		if a.Invited || a.Holder.Kind != org.AccountRef {
			continue
		}
		account := c.s.Accounts[org.GitHub][a.Holder.N]
		if !here(account, c.s) || account.Status == org.Invited ||
			affiliation == "outside" && !account.Outside ||
			affiliation == "direct" && account.Outside && !c.h.facts.DirectAndOutside {
			continue
		}
		have[account.N] = true
		all = append(all, collaborator{account, a.Role})
	}
	if affiliation == "" || affiliation == "all" {
		// Everybody else reaches it by the base permission, or as an owner.
		for _, a := range c.s.Accounts[org.GitHub] {
			if !isMember(c.s, a) || have[a.N] {
				continue
			}
			role := c.h.facts.BasePermission
			if a.Owner {
				role = "admin"
			}
			all = append(all, collaborator{a, role})
		}
	}
	c.open('[')
	for _, m := range page(c, all) {
		c.object0(func() {
			c.user(m.account)
			c.object("permissions", func() { c.permissionFlags(m.role) })
			c.str(c.h.facts.RoleNameField, m.role)
		})
	}
	c.close(']')
}

// repoTeams is GET /repos/{owner}/{repo}/teams.
func (c *call) repoTeams() {
	r := c.pathRepo()
	if r == nil {
		return
	}
	var all []org.Access
	for _, a := range r.Access {
		if a.Holder.Kind == org.GroupRef && c.teamOf(a.Holder.N) != nil {
			all = append(all, a)
		}
	}
	c.open('[')
	for _, a := range page(c, all) {
		g := c.teamOf(a.Holder.N)
		c.object0(func() {
			c.teamSimple(g, permissionOf(a.Role))
			c.object("permissions", func() { c.permissionFlags(a.Role) })
			c.teamParent(g)
		})
	}
	c.close(']')
}

// repoInvitations is GET /repos/{owner}/{repo}/invitations.
func (c *call) repoInvitations() {
	r := c.pathRepo()
	if r == nil {
		return
	}
	var all []org.Access
	for _, a := range r.Access {
		if a.Invited && a.Holder.Kind == org.AccountRef {
			all = append(all, a)
		}
	}
	c.open('[')
	for _, a := range page(c, all) {
		c.object0(func() { c.repoInvitation(r, a) })
	}
	c.close(']')
}

func (c *call) repoInvitation(r *org.Repo, a org.Access) {
	id := c.h.id(kindRepoInvitation, a.N)
	c.int("id", id)
	c.str("node_id", c.h.nodeID("RI", id))
	c.object("repository", func() { c.minimalRepo(r) })
	c.object("invitee", func() { c.user(c.s.Accounts[org.GitHub][a.Holder.N]) })
	c.object("inviter", c.orgAsUser)
	c.str("permissions", a.Role)
	c.time("created_at", a.Since)
	c.bool("expired", false)
	c.str("url", c.api()+"/user/repository_invitations/"+itoa(id))
	c.str("html_url", c.web()+"/"+c.fullName(r)+"/invitations")
}

// keyID returns the id of a deploy key.
func (h *Handler) keyID(k *org.DeployKey) int64 {
	return h.id(kindKey, k.N)
}

// deployKeys is GET /repos/{owner}/{repo}/keys.
func (c *call) deployKeys() {
	r := c.pathRepo()
	if r == nil {
		return
	}
	c.open('[')
	for _, k := range page(c, r.Keys) {
		c.deployKey(r, k)
	}
	c.close(']')
}

func (c *call) deployKey(r *org.Repo, k org.DeployKey) {
	id := c.h.keyID(&k)
	c.object0(func() {
		c.int("id", id)
		c.str("key", firstOf(k.Key, "ssh-ed25519 SANDBOX"+itoa(id)))
		c.str("url", c.api()+"/repos/"+c.fullName(r)+"/keys/"+itoa(id))
		c.str("title", k.Title)
		c.bool("verified", true)
		c.time("created_at", k.Created)
		c.bool("read_only", k.ReadOnly)
		if by := k.AddedBy; by >= 0 && by < len(c.s.Accounts[org.GitHub]) {
			c.str("added_by", c.s.Accounts[org.GitHub][by].Login)
		} else {
			c.null("added_by")
		}
		c.time("last_used", k.LastUsed)
		c.bool("enabled", true)
	})
}

// tree is GET /repos/{owner}/{repo}/git/trees/{tree}.
func (c *call) tree() {
	r := c.pathRepo()
	if r == nil {
		return
	}
	if r.Pushed.IsZero() {
		c.fail(c.h.facts.EmptyRepository, "Git Repository is empty.")
		return
	}
	entries := c.h.treeEntries(r)
	dir, ok := "", false
	switch want := c.path("tree"); want {
	case branch(r), c.h.treeHash(r, ""):
		ok = true
	default:
		for _, e := range entries {
			if e.kind == "tree" && e.hash == want {
				dir, ok = e.path, true
				break
			}
		}
	}
	if !ok {
		c.notFound()
		return
	}
	recursive := c.query.Has("recursive")
	if v := c.query.Get("recursive"); !c.h.facts.AnyRecursive {
		recursive = v != "" && v != "0" && v != "false"
	}
	url := c.api() + "/repos/" + c.fullName(r) + "/git/"
	c.object("", func() {
		c.str("sha", c.h.treeHash(r, dir))
		c.str("url", url+"trees/"+c.h.treeHash(r, dir))
		n, truncated := 0, false
		c.list("tree", func() {
			for _, e := range entries {
				rel := e.path
				if dir != "" {
					below, in := strings.CutPrefix(e.path, dir+"/")
					if !in {
						continue
					}
					rel = below
				}
				if !recursive && strings.Contains(rel, "/") {
					continue
				}
				if n == c.h.facts.TreeLimit {
					truncated = true
					return
				}
				n++
				c.object0(func() {
					c.str("path", rel)
					c.str("mode", e.mode)
					c.str("type", e.kind)
					c.str("sha", e.hash)
					switch e.kind {
					case "blob":
						c.int("size", e.size)
						c.str("url", url+"blobs/"+e.hash)
					case "tree":
						c.str("url", url+"trees/"+e.hash)
					}
				})
			}
		})
		c.bool("truncated", truncated)
	})
}

// treeEntry is a file, folder or submodule of a repository.
type treeEntry struct {
	path, mode, kind, hash string
	size                   int64
}

// treeEntries returns all entries by path, folders included.
func (h *Handler) treeEntries(r *org.Repo) []treeEntry {
	var out []treeEntry
	dirs := map[string]bool{}
	for _, f := range r.Files {
		for d := path.Dir(f.Path); d != "." && !dirs[d]; d = path.Dir(d) {
			dirs[d] = true
			out = append(out, treeEntry{path: d, mode: "040000", kind: "tree", hash: h.treeHash(r, d)})
		}
		kind := "blob"
		if f.Mode == "160000" {
			kind = "commit"
		}
		out = append(out, treeEntry{f.Path, f.Mode, kind, h.blobID(f), f.Size})
	}
	slices.SortFunc(out, func(a, b treeEntry) int { return strings.Compare(a.path, b.path) })
	return out
}

// treeHash returns the id of a folder's tree: another one when a file in it
// changes.
func (h *Handler) treeHash(r *org.Repo, dir string) string {
	d := xxhash.New()
	_, _ = d.WriteString(r.Name + "\x00" + dir) // never fails
	for _, f := range r.Files {
		if dir == "" || strings.HasPrefix(f.Path, dir+"/") {
			_, _ = d.WriteString(f.Path + "\x00" + h.blobID(f)) // never fails
		}
	}
	sum := d.Sum(nil)
	return hex.EncodeToString(append(append(sum, sum...), sum[:4]...))
}
