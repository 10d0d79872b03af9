package github

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"weir/internal/sandbox/org"
)

// call is one request and its answer.
type call struct {
	http.ResponseWriter // of the connection; handlers write to writer
	writer

	h       *Handler
	r       *http.Request
	s       *org.State
	who     *principal
	token   *principal // who, as it is kept
	flavour Flavour
	trouble Trouble
	now     time.Time

	status  int
	query   url.Values
	accepts need                // of the endpoint
	values  func(string) string // of the path
	numeric string              // the plain path, from which Link's is made
	link    []string
	bucket  string
	entry   *quota // nil: unlimited

	scimPath bool   // errors are SCIM's
	scimType string // of the error
	crowded  bool   // another write of contents is under way in the repository
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	running := h.inFlight.Add(1)
	defer h.inFlight.Add(-1)
	h.mu.Lock()
	c := &call{ResponseWriter: w, h: h, r: r, now: h.now(), flavour: h.flavour, trouble: h.trouble.Faults(), status: http.StatusOK}
	h.mu.Unlock()
	c.query = r.URL.Query()
	c.scenario()
	head := w.Header()
	head["Date"] = []string{c.now.UTC().Format(http.TimeFormat)}
	head["X-Github-Request-Id"] = []string{h.requestID()}

	path := r.URL.Path
	if strings.HasPrefix(path, "/login/oauth/") {
		h.oauth(c)
		c.flush()
		return
	}
	graph := false
	if c.flavour.GHES {
		if path == "/api/graphql" {
			graph = true
		} else if rest, ok := strings.CutPrefix(path, "/api/v3"); ok {
			path = rest
		} else {
			c.fail(http.StatusNotFound, "Not Found")
			c.flush()
			return
		}
		head["X-Github-Enterprise-Version"] = []string{"3.19.0"}
	} else {
		graph = path == "/graphql"
	}
	c.scimPath = strings.HasPrefix(path, "/scim/v2/")
	if r.Method != http.MethodGet {
		defer c.enter(path)()
	}
	within := h.view
	if r.Method != http.MethodGet && !graph && !strings.HasSuffix(path, "/access_tokens") {
		within = h.change
	}
	within(func(s *org.State) {
		c.s = s
		c.serve(path, graph, running)
	})
	c.flush()
}

func (c *call) serve(path string, graph bool, running int32) {
	if !c.protocol(path, graph) || !c.authenticate() {
		return
	}
	c.bucket = "core"
	switch {
	case graph:
		c.bucket = "graphql"
	case strings.HasSuffix(path, "/audit-log"):
		c.bucket = "audit_log"
	case c.scimPath:
		c.bucket = "scim"
	case path == "/rate_limit":
		c.bucket = ""
	}
	if !c.spend(running) {
		return
	}
	if graph {
		c.graphql()
		return
	}
	// The mux sees the plain path, without the server's prefix and numeric ids.
	r := c.r.Clone(c.r.Context())
	r.URL.Path, r.URL.RawPath = c.plain(path), ""
	if raw := c.r.URL.RawPath; raw != "" && !strings.HasPrefix(path, "/organizations/") && !strings.HasPrefix(path, "/repositories/") {
		r.URL.RawPath = strings.TrimPrefix(raw, "/api/v3")
	}
	c.numeric = r.URL.Path
	c.h.mux.ServeHTTP(c, r)
}

// protocol tells whether the request has what GitHub asks of all. What it only
// asks for politely is recorded.
func (c *call) protocol(path string, graph bool) bool {
	t, r := c.h, c.r
	if r.UserAgent() == "" {
		t.violate("user_agent", r.URL.Path)
		c.fail(http.StatusForbidden, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.")
		return false
	}
	if !graph {
		if accept := r.Header.Get("Accept"); !strings.Contains(accept, "application/vnd.github") && !strings.Contains(accept, "application/scim+json") {
			t.violate("accept", r.URL.Path+": "+accept)
		}
		if v := r.Header.Get("X-GitHub-Api-Version"); v == "" {
			t.violate("api_version", r.URL.Path)
		} else if v != apiVersion {
			t.violate("api_version", v)
			c.fail(http.StatusBadRequest, "The API version is not supported.")
			return false
		}
	}
	for _, p := range []string{"access_token", "client_secret", "token"} {
		if c.query.Has(p) {
			t.violate("token_in_query", r.URL.Path)
		}
	}
	if len(path) > 1 && strings.HasSuffix(path, "/") && !strings.HasSuffix(path, "/contents/") {
		t.violate("trailing_slash", r.URL.Path)
		c.fail(http.StatusNotFound, "Not Found")
		return false
	}
	return true
}

const apiVersion = "2022-11-28"

// plain replaces the numeric ids that Link headers have in paths.
func (c *call) plain(path string) string {
	part := strings.Split(path, "/")
	if len(part) < 3 {
		return path
	}
	id, err := strconv.ParseInt(part[2], 10, 64)
	if err != nil {
		return path
	}
	rest := part[3:]
	switch part[1] {
	case "organizations":
		if id != c.orgID() {
			return path
		}
		if len(rest) > 1 && rest[0] == "team" {
			if n, err := strconv.ParseInt(rest[1], 10, 64); err == nil {
				if g := c.teamOf(c.h.number(kindTeam, n)); g != nil {
					rest = append([]string{"teams", g.Slug}, rest[2:]...)
				}
			}
		}
		return strings.Join(append([]string{"", "orgs", c.s.Name}, rest...), "/")
	case "repositories":
		n := c.h.number(kindRepo, id)
		if n < 0 || n >= len(c.s.Repos) {
			return path
		}
		return strings.Join(append([]string{"", "repos", c.s.Name, c.s.Repos[n].Name}, rest...), "/")
	case "enterprises":
		if id != c.businessID() {
			return path
		}
		return strings.Join(append([]string{"", "enterprises", enterprise(c.s)}, rest...), "/")
	}
	return path
}

// fail answers with an error.
func (c *call) fail(status int, message string) {
	c.status, c.b = status, c.b[:0]
	if c.scimPath {
		c.scim()
		c.object("", func() {
			c.strs("schemas", []string{scimError})
			c.int("status", int64(status))
			c.str("detail", message)
			c.text("scimType", c.scimType)
		})
		return
	}
	c.object("", func() {
		c.str("message", message)
		c.str("documentation_url", "https://docs.github.com/rest")
		c.str("status", strconv.Itoa(status))
	})
}

// invalid answers with 422.
func (c *call) invalid(resource, field, code, message string) {
	c.status, c.b = http.StatusUnprocessableEntity, c.b[:0]
	c.object("", func() {
		c.str("message", "Validation Failed")
		c.list("errors", func() {
			c.object("", func() {
				c.str("resource", resource)
				c.str("field", field)
				c.str("code", code)
				c.str("message", message)
			})
		})
		c.str("documentation_url", "https://docs.github.com/rest")
		c.str("status", "422")
	})
}

// enter counts a write of contents as under way, until what it returns is
// called.
func (c *call) enter(path string) (leave func()) {
	repo, _, contents := strings.Cut(path, "/contents/")
	if !contents {
		return func() {}
	}
	h := c.h
	h.mu.Lock()
	c.crowded = h.writing[repo] > 0
	h.writing[repo]++
	h.mu.Unlock()
	if c.crowded {
		h.violate("parallel_contents", c.r.URL.Path)
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.writing[repo]--; h.writing[repo] == 0 {
			delete(h.writing, repo)
		}
	}
}

func (c *call) notFound() { c.fail(http.StatusNotFound, "Not Found") }

// flush writes the answer.
func (c *call) flush() {
	head := c.Header()
	if _, ok := head["Content-Type"]; !ok && c.status != http.StatusNoContent {
		head["Content-Type"] = []string{"application/json; charset=utf-8"}
	}
	head["X-Github-Media-Type"] = []string{"github.v3; format=json"}
	head["X-Github-Api-Version-Selected"] = []string{apiVersion}
	if len(c.link) > 0 {
		head["Link"] = []string{strings.Join(c.link, ", ")}
	}
	if c.trouble.PartialResults && c.status == http.StatusOK {
		head["X-Github-Sso"] = []string{"partial-results; organizations=" + itoa(c.h.id(kindAccount, orgNumber))}
	}
	if c.status == http.StatusOK && c.r.Method == http.MethodGet && len(c.b) > 0 {
		tag := `W/"` + strconv.FormatUint(xxhash.Sum64(c.b), 16) + `"`
		head["Etag"] = []string{tag}
		if c.r.Header.Get("If-None-Match") == tag {
			c.status, c.b = http.StatusNotModified, nil
			c.refund()
		}
	}
	c.limitHeaders()
	if c.status != http.StatusNotModified && c.status != http.StatusNoContent {
		head["Content-Length"] = []string{strconv.Itoa(len(c.b))}
	}
	c.WriteHeader(c.status)
	if len(c.b) > 0 && c.r.Method != http.MethodHead {
		_, _ = c.Write(c.b) // the client is gone
	}
}

// api returns the root of the REST API's URLs; web that of pages.
func (c *call) api() string {
	if c.flavour.GHES {
		return c.h.tenant.Base + "/api/v3"
	}
	return c.h.tenant.Base
}

func (c *call) web() string { return c.h.tenant.Base }

func (c *call) orgID() int64      { return c.h.id(kindAccount, orgNumber) }
func (c *call) businessID() int64 { return c.h.id(kindBusiness, 1) }

// orgIs tells whether the path names the organization; else it answers 404.
func (c *call) orgIs(login string) bool {
	if strings.EqualFold(login, c.s.Name) {
		return true
	}
	c.notFound()
	return false
}
