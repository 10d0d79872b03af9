package github

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// forge is a vendor with a small organization that can be changed.
type forge struct {
	*vendor
	mu        sync.Mutex
	server    bool
	logins    map[string]string // by account id
	roles     map[string]string // of members, by login: admin, member
	pending   map[string]string // roles of the invited, by login
	outside   map[string]bool   // by login
	blocked   map[string]bool
	suspended map[string]bool
	invited   map[string]string // logins, by id of the invitation
	team      map[string]string // roles in team 50, by login
	child     map[string]bool   // logins that are in team 50 through a child team
	assigned  map[string]string // assignments of role 80, by login
	creds     map[string]string // logins, by credential id
	pats      map[string]string // logins, by id of the grant
	tokens    map[string]string // a server's: logins, by id
	scim      map[string]bool   // active, by id
	apps      map[string]string // slugs, by id of the installation; 9 and its id is the app
	repo      string            // visibility
	access    map[string]string // roles of collaborators, by login
	teamRepo  string            // permission of team 50
	asked     map[string]string // logins invited to the repository, by id of the invitation
	keys      map[string]string // public halves, by id
	files     map[string]string // contents, by path
	blobs     map[string]string // contents that were ever there, by SHA
	next      int
	lose      string // what is lost of the next write: request or answer
	refuse    bool   // the next write is refused for want of a right
	later     bool   // credentials are revoked in the background, which has not yet happened
	wrote     int
}

const (
	own      = "mona"
	repoName = "octo-corp/api"
)

func newForge(t testing.TB) *forge {
	f := &forge{
		vendor:  newVendor(t),
		logins:  map[string]string{"1": own, "2": "hubot", "3": "eve", "4": "olga", "5": "stranger", "6": "blocked", "7": "pending"},
		roles:   map[string]string{own: "admin", "hubot": "member", "olga": "admin"},
		pending: map[string]string{"pending": "member"}, outside: map[string]bool{"eve": true},
		blocked: map[string]bool{"blocked": true}, suspended: map[string]bool{}, invited: map[string]string{"70": "pending"},
		team: map[string]string{"hubot": "maintainer"}, child: map[string]bool{"olga": true}, assigned: map[string]string{"hubot": "direct", "olga": "indirect"},
		creds: map[string]string{"31": "hubot", "32": "hubot", "33": "olga"}, pats: map[string]string{"41": "hubot"}, tokens: map[string]string{"61": "hubot"},
		scim: map[string]bool{"s-2": true}, apps: map[string]string{"11": "dependabot", "12": "weir"},
		repo: "public", access: map[string]string{"hubot": "write", "eve": "read"}, teamRepo: "push", asked: map[string]string{"90": "stranger"},
		keys:  map[string]string{"100": "ssh-ed25519 AAAAC3Nza deploy@host"},
		files: map[string]string{"README.md": "hello\n", "docs/a b#1.txt": "inner\n"}, blobs: map[string]string{}, next: 1000,
	}
	for _, c := range f.files {
		f.blobs[blobSHA([]byte(c))] = c
	}
	f.vendor.more = f.routes()
	return f
}

// routes are below the API's base, of the cloud and of a server.
func (f *forge) routes() http.Handler {
	mux := http.NewServeMux()
	on := func(pattern string, fn func(w http.ResponseWriter, r *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if r.Method != http.MethodGet && !strings.HasSuffix(pattern, "graphql") {
				f.wrote++
				lose, refuse := f.lose, f.refuse
				f.lose, f.refuse = "", false
				switch {
				case refuse:
					fail(w, 403, "Must have admin rights")
					return
				case lose == "request":
					panic(http.ErrAbortHandler)
				case lose == "answer":
					fn(discard{}, r)
					panic(http.ErrAbortHandler)
				}
			}
			fn(w, r)
		})
	}
	f.accountRoutes(on)
	f.credentialRoutes(on)
	f.repositoryRoutes(on)
	on("/", func(w http.ResponseWriter, _ *http.Request) { fail(w, 404, "Not Found") })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path, r.URL.RawPath = strings.TrimPrefix(r.URL.Path, serverPath), strings.TrimPrefix(r.URL.RawPath, serverPath)
		mux.ServeHTTP(w, r)
	})
}

// discard is an answer that gets lost.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

func (f *forge) id(login string) string {
	for id, l := range f.logins {
		if l == login {
			return id
		}
	}
	return ""
}

func (f *forge) user(login, more string) string {
	return fmt.Sprintf(`{"id":%s,"login":%q,"node_id":"U_%s","type":"User"%s}`, f.id(login), login, f.id(login), more)
}

// listed answers with what is made of the keys of a map, in their order.
func listed[T any](w http.ResponseWriter, m map[string]T, element func(key string, v T) string) {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, element(k, m[k]))
	}
	_, _ = io.WriteString(w, "["+strings.Join(all, ",")+"]")
}

func found(w http.ResponseWriter, ok bool, answer string) {
	if !ok {
		fail(w, 404, "Not Found")
		return
	}
	if answer == "" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	_, _ = io.WriteString(w, answer)
}

// remove deletes a key: 204, or 404 when it is not there.
func remove[T any](w http.ResponseWriter, m map[string]T, key string) {
	_, ok := m[key]
	delete(m, key)
	found(w, ok, "")
}

func field(r *http.Request, name string) string {
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	s, _ := body[name].(string)
	return s
}

type route = func(pattern string, fn func(w http.ResponseWriter, r *http.Request))

func (f *forge) profile(w http.ResponseWriter, login string) {
	if f.id(login) == "" {
		fail(w, 404, "Not Found")
		return
	}
	more := `,"email":null`
	if f.server {
		at := "null"
		if f.suspended[login] {
			at = `"2024-03-01T12:00:00Z"`
		}
		more = `,"suspended_at":` + at
	}
	_, _ = io.WriteString(w, f.user(login, more))
}

func (f *forge) accountRoutes(on route) {
	on("GET /user", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-OAuth-Scopes", "admin:org, repo")
		f.profile(w, own)
	})
	on("GET /user/memberships/orgs/octo-corp", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-OAuth-Scopes", "admin:org, repo")
		_, _ = io.WriteString(w, `{"state":"active","role":"admin","user":`+f.user(own, "")+`}`)
	})
	on("GET /user/{id}", func(w http.ResponseWriter, r *http.Request) { f.profile(w, f.logins[r.PathValue("id")]) })
	on("GET /users/{login}", func(w http.ResponseWriter, r *http.Request) { f.profile(w, r.PathValue("login")) })
	on("POST /graphql", f.graphql)
	on("POST /api/graphql", f.graphql)
	membership := "/orgs/octo-corp/memberships/{login}"
	on("GET "+membership, func(w http.ResponseWriter, r *http.Request) {
		login := r.PathValue("login")
		state, role := "active", f.roles[login]
		if role == "" {
			state, role = "pending", f.pending[login]
		}
		found(w, role != "", fmt.Sprintf(`{"state":%q,"role":%q,"user":%s}`, state, role, f.user(login, "")))
	})
	on("PUT "+membership, func(w http.ResponseWriter, r *http.Request) {
		f.pending[r.PathValue("login")] = field(r, "role")
		_, _ = io.WriteString(w, `{"state":"pending"}`)
	})
	on("DELETE "+membership, func(w http.ResponseWriter, r *http.Request) {
		_, isPending := f.pending[r.PathValue("login")]
		delete(f.pending, r.PathValue("login"))
		if isPending {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		remove(w, f.roles, r.PathValue("login"))
	})
	on("GET /orgs/octo-corp/members", func(w http.ResponseWriter, r *http.Request) {
		owners := maps.Clone(f.roles)
		maps.DeleteFunc(owners, func(_, role string) bool { return r.URL.Query().Get("role") != role })
		listed(w, owners, func(login, _ string) string { return f.user(login, "") })
	})
	on("GET /orgs/octo-corp/outside_collaborators", func(w http.ResponseWriter, _ *http.Request) {
		listed(w, f.outside, func(login string, _ bool) string { return f.user(login, "") })
	})
	on("DELETE /orgs/octo-corp/outside_collaborators/{login}", func(w http.ResponseWriter, r *http.Request) { remove(w, f.outside, r.PathValue("login")) })
	on("GET /orgs/octo-corp/invitations", func(w http.ResponseWriter, _ *http.Request) {
		listed(w, f.invited, func(id, login string) string {
			return fmt.Sprintf(`{"id":%s,"login":%q,"email":"Pending@acme.example","role":"direct_member"}`, id, login)
		})
	})
	on("DELETE /orgs/octo-corp/invitations/{id}", func(w http.ResponseWriter, r *http.Request) { remove(w, f.invited, r.PathValue("id")) })
	block := "/orgs/octo-corp/blocks/{login}"
	on("GET "+block, func(w http.ResponseWriter, r *http.Request) { found(w, f.blocked[r.PathValue("login")], "") })
	on("PUT "+block, func(w http.ResponseWriter, r *http.Request) {
		if f.blocked[r.PathValue("login")] {
			fail(w, 422, "already blocked")
			return
		}
		f.blocked[r.PathValue("login")] = true
		w.WriteHeader(http.StatusNoContent)
	})
	on("DELETE "+block, func(w http.ResponseWriter, r *http.Request) { remove(w, f.blocked, r.PathValue("login")) })
	on("PUT /users/{login}/suspended", func(w http.ResponseWriter, r *http.Request) {
		f.suspended[r.PathValue("login")] = true
		w.WriteHeader(http.StatusNoContent)
	})
	on("DELETE /users/{login}/suspended", func(w http.ResponseWriter, r *http.Request) {
		delete(f.suspended, r.PathValue("login"))
		w.WriteHeader(http.StatusNoContent)
	})
	f.teamRoutes(on)
}

func (f *forge) teamRoutes(on route) {
	const team = `{"id":50,"node_id":"T_50","slug":"crew","name":"The crew","permission":"pull"}`
	on("GET /orgs/octo-corp/teams", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "["+team+"]") })
	on("GET /orgs/octo-corp/teams/crew", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, team) })
	on("GET /orgs/octo-corp/teams/crew/members", func(w http.ResponseWriter, _ *http.Request) {
		all := maps.Clone(f.team)
		for login := range f.child {
			all[login] = "inherited"
		}
		listed(w, all, func(login, role string) string {
			if role == "inherited" {
				return f.user(login, `,"role":"member","inherited":true`)
			}
			return f.user(login, fmt.Sprintf(`,"role":%q,"inherited":false`, role))
		})
	})
	membership := "/orgs/octo-corp/teams/crew/memberships/{login}"
	on("DELETE "+membership, func(w http.ResponseWriter, r *http.Request) { remove(w, f.team, r.PathValue("login")) })
	on("PUT "+membership, func(w http.ResponseWriter, r *http.Request) {
		f.team[r.PathValue("login")] = field(r, "role")
		_, _ = io.WriteString(w, `{"state":"active"}`)
	})
	on("GET /orgs/octo-corp/organization-roles", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"total_count":2,"roles":[{"id":80,"name":"auditor","permissions":["read_audit_logs"]},{"id":81,"name":"security_manager","permissions":[]}]}`)
	})
	on("GET /orgs/octo-corp/organization-roles/80/users", func(w http.ResponseWriter, _ *http.Request) {
		listed(w, f.assigned, func(login, how string) string { return f.user(login, fmt.Sprintf(`,"assignment":%q`, how)) })
	})
	on("GET /orgs/octo-corp/organization-roles/81/users", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `[]`) })
	on("DELETE /orgs/octo-corp/organization-roles/users/{login}/80", func(w http.ResponseWriter, r *http.Request) {
		delete(f.assigned, r.PathValue("login"))
		w.WriteHeader(http.StatusNoContent)
	})
	on("PUT /orgs/octo-corp/organization-roles/users/{login}/80", func(w http.ResponseWriter, r *http.Request) {
		f.assigned[r.PathValue("login")] = "direct"
		w.WriteHeader(http.StatusNoContent)
	})
}

// graphql answers what protects one account.
func (f *forge) graphql(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Query     string
		Variables map[string]any
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	login, _ := body.Variables["login"].(string)
	if body.Query != personQuery || body.Variables["org"] != "octo-corp" || f.id(login) == "" {
		fail(w, 400, "not scripted: "+body.Query)
		return
	}
	teams, next := "", `{"hasNextPage":false,"endCursor":null}`
	switch {
	case f.team[login] == "":
	case body.Variables["after"] == nil:
		next = `{"hasNextPage":true,"endCursor":"t1"}`
	default:
		teams = `{"id":"T_50","databaseId":50,"slug":"crew","name":"The crew"}`
	}
	fmt.Fprintf(w, `{"data":{"user":{"databaseId":%s,"email":"","organizationVerifiedDomainEmails":["%s@Acme.example"]},"organization":{"teams":{"pageInfo":%s,"nodes":[%s]},`+
		`"samlIdentityProvider":{"externalIdentities":{"nodes":[{"guid":"g","samlIdentity":{"nameId":"%[2]s@sso.example"},"scimIdentity":null,"user":{"login":%[5]q,"databaseId":%[1]s}}]}}}}}`,
		f.id(login), login, next, teams, login)
}

func (f *forge) credentialRoutes(on route) {
	on("GET /orgs/octo-corp/credential-authorizations", func(w http.ResponseWriter, r *http.Request) {
		all := map[string]string{}
		for id, login := range f.creds {
			if who := r.URL.Query().Get("login"); r.URL.Query().Get("page") == "1" && (who == "" || who == login) {
				all[id] = login
			}
		}
		listed(w, all, func(id, login string) string {
			if id == "32" {
				return fmt.Sprintf(`{"login":%q,"credential_id":32,"credential_type":"SSH key","authorized_credential_title":"laptop"}`, login)
			}
			return fmt.Sprintf(`{"login":%q,"credential_id":%s,"authorized_credential_id":2%s,"credential_type":"personal access token","authorized_credential_note":"ci","scopes":["repo"]}`, login, id, id)
		})
	})
	on("DELETE /orgs/octo-corp/credential-authorizations/{id}", func(w http.ResponseWriter, r *http.Request) { remove(w, f.creds, r.PathValue("id")) })
	on("POST /orgs/octo-corp/credential-authorizations/{login}/revoke", func(w http.ResponseWriter, r *http.Request) {
		if !f.later {
			maps.DeleteFunc(f.creds, func(_, login string) bool { return login == r.PathValue("login") })
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"message":"queued","warning":""}`)
	})
	on("GET /orgs/octo-corp/personal-access-tokens", func(w http.ResponseWriter, _ *http.Request) {
		listed(w, f.pats, func(id, login string) string {
			return fmt.Sprintf(`{"id":%s,"token_id":4%s,"token_name":"fine","repository_selection":"all","owner":%s}`, id, id, f.user(login, ""))
		})
	})
	on("POST /orgs/octo-corp/personal-access-tokens/{id}", func(w http.ResponseWriter, r *http.Request) {
		if field(r, "action") != "revoke" {
			fail(w, 422, "action")
			return
		}
		remove(w, f.pats, r.PathValue("id"))
	})
	on("GET /admin/tokens", func(w http.ResponseWriter, _ *http.Request) {
		listed(w, f.tokens, func(id, login string) string {
			return fmt.Sprintf(`{"id":%s,"app":{"client_id":"c","name":"ci"},"scopes":["repo"],"user":%s}`, id, f.user(login, ""))
		})
	})
	on("DELETE /admin/tokens/{id}", func(w http.ResponseWriter, r *http.Request) { remove(w, f.tokens, r.PathValue("id")) })
	on("GET /orgs/octo-corp/installations", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"total_count":2,"installations":`)
		listed(w, f.apps, func(id, slug string) string {
			return fmt.Sprintf(`{"id":%s,"app_id":9%s,"app_slug":%q,"client_id":"Iv1.%s","permissions":{"contents":"write"}}`, id, id, slug, slug)
		})
		_, _ = io.WriteString(w, "}")
	})
	on("DELETE /enterprises/acme-inc/apps/organizations/octo-corp/installations/{id}", func(w http.ResponseWriter, r *http.Request) { remove(w, f.apps, r.PathValue("id")) })
	for _, path := range []string{"/scim/v2/enterprises/acme-inc/Users", "/scim/v2/Users"} {
		on("GET "+path, f.identities)
		on("GET "+path+"/{id}", func(w http.ResponseWriter, r *http.Request) {
			active, ok := f.scim[r.PathValue("id")]
			found(w, ok, fmt.Sprintf(`{"id":%q,"active":%t}`, r.PathValue("id"), active))
		})
		on("PATCH "+path+"/{id}", func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			f.scim[r.PathValue("id")] = strings.Contains(string(b), `"value":{"active":true}`)
			_, _ = io.WriteString(w, `{}`)
		})
	}
}

// identities lists one managed user a page.
func (f *forge) identities(w http.ResponseWriter, r *http.Request) {
	ids := slices.Sorted(maps.Keys(f.scim))
	start, _ := strconv.Atoi(r.URL.Query().Get("startIndex"))
	fmt.Fprintf(w, `{"totalResults":%d,"startIndex":%d,"Resources":[`, len(ids), start)
	if start <= len(ids) {
		id := ids[start-1]
		login := f.logins[id[2:3]] // "s-2": account 2's
		fmt.Fprintf(w, `{"id":%q,"active":%t,"userName":%q,"emails":[{"value":"%s@acme.example"}]}`, id, f.scim[id], login, login)
	}
	_, _ = io.WriteString(w, "]}")
}

func (f *forge) repositoryRoutes(on route) {
	const at = "/repos/" + repoName
	repo := func() string {
		return fmt.Sprintf(`{"id":500,"node_id":"R_500","name":"api","full_name":%q,"visibility":%q,"default_branch":"main"}`, repoName, f.repo)
	}
	on("GET /orgs/octo-corp/repos", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "["+repo()+"]") })
	on("GET "+at, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, repo()) })
	on("PATCH "+at, func(w http.ResponseWriter, r *http.Request) {
		f.repo = field(r, "visibility")
		_, _ = io.WriteString(w, repo())
	})
	on("GET "+at+"/collaborators", func(w http.ResponseWriter, _ *http.Request) {
		listed(w, f.access, func(login, role string) string { return f.user(login, fmt.Sprintf(`,"role_name":%q`, role)) })
	})
	on("DELETE "+at+"/collaborators/{login}", func(w http.ResponseWriter, r *http.Request) {
		delete(f.access, r.PathValue("login"))
		w.WriteHeader(http.StatusNoContent)
	})
	on("PUT "+at+"/collaborators/{login}", func(w http.ResponseWriter, r *http.Request) {
		if login := r.PathValue("login"); f.roles[login] == "" { // has to accept
			f.next++
			f.asked[itoa(f.next)] = login
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{}`)
			return
		}
		f.access[r.PathValue("login")] = repoRole(field(r, "permission"))
		w.WriteHeader(http.StatusNoContent)
	})
	on("GET "+at+"/teams", func(w http.ResponseWriter, _ *http.Request) {
		if f.teamRepo == "" {
			_, _ = io.WriteString(w, "[]")
			return
		}
		fmt.Fprintf(w, `[{"id":50,"slug":"crew","permission":%q}]`, f.teamRepo)
	})
	on("DELETE /orgs/octo-corp/teams/crew"+at, func(w http.ResponseWriter, _ *http.Request) {
		f.teamRepo = ""
		w.WriteHeader(http.StatusNoContent)
	})
	on("PUT /orgs/octo-corp/teams/crew"+at, func(w http.ResponseWriter, r *http.Request) {
		f.teamRepo = field(r, "permission")
		w.WriteHeader(http.StatusNoContent)
	})
	on("GET "+at+"/invitations", func(w http.ResponseWriter, _ *http.Request) {
		listed(w, f.asked, func(id, login string) string {
			return fmt.Sprintf(`{"id":%s,"permissions":"write","invitee":%s}`, id, f.user(login, ""))
		})
	})
	on("DELETE "+at+"/invitations/{id}", func(w http.ResponseWriter, r *http.Request) { remove(w, f.asked, r.PathValue("id")) })
	on("GET "+at+"/keys", func(w http.ResponseWriter, _ *http.Request) {
		listed(w, f.keys, func(id, key string) string {
			return fmt.Sprintf(`{"id":%s,"key":%q,"title":"deploy","read_only":true,"added_by":"olga"}`, id, key)
		})
	})
	on("DELETE "+at+"/keys/{id}", func(w http.ResponseWriter, r *http.Request) { remove(w, f.keys, r.PathValue("id")) })
	on("POST "+at+"/keys", func(w http.ResponseWriter, r *http.Request) {
		f.next++
		f.keys[itoa(f.next)] = field(r, "key")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{}`)
	})
	f.fileRoutes(on, at)
}

func (f *forge) fileRoutes(on route, at string) {
	on("GET "+at+"/git/blobs/{sha}", func(w http.ResponseWriter, r *http.Request) {
		c, ok := f.blobs[r.PathValue("sha")]
		found(w, ok, fmt.Sprintf(`{"content":%q,"encoding":"base64"}`, base64.StdEncoding.EncodeToString([]byte(c))+"\n"))
	})
	contents := at + "/contents/{path...}"
	on("GET "+contents, func(w http.ResponseWriter, r *http.Request) {
		path := r.PathValue("path")
		c, ok := f.files[path]
		switch {
		case r.URL.Query().Get("ref") != "main":
			fail(w, 404, "No commit found for the ref")
		case path == "docs":
			_, _ = io.WriteString(w, ` [{"type":"file","path":"docs/a b#1.txt"}]`)
		case path == "link":
			_, _ = io.WriteString(w, `{"type":"symlink","path":"link","sha":"abc","size":3}`)
		case path == "large":
			fmt.Fprintf(w, `{"type":"file","path":"large","sha":"%040d","size":%d}`, 1, maxBlob+1)
		default:
			found(w, ok, fmt.Sprintf(`{"type":"file","path":%q,"sha":%q,"size":%d}`, path, blobSHA([]byte(c)), len(c)))
		}
	})
	write := func(w http.ResponseWriter, r *http.Request) {
		var body contentBody
		_ = json.NewDecoder(r.Body).Decode(&body)
		path := r.PathValue("path")
		old, ok := f.files[path]
		switch {
		case body.Branch != "main" || body.Message == "":
			fail(w, 422, "branch or message")
			return
		case ok && body.SHA != blobSHA([]byte(old)):
			fail(w, 409, path+" does not match "+body.SHA)
			return
		case !ok && (body.SHA != "" || r.Method == http.MethodDelete):
			fail(w, 404, "Not Found")
			return
		case r.Method == http.MethodDelete:
			delete(f.files, path)
		default:
			b, _ := base64.StdEncoding.DecodeString(body.Content)
			f.files[path] = string(b)
			f.blobs[blobSHA(b)] = string(b)
		}
		_, _ = io.WriteString(w, `{"content":null,"commit":{"sha":"c0ffee"}}`)
	}
	on("PUT "+contents, write)
	on("DELETE "+contents, write)
}

// change changes the organization, as a person may do meanwhile.
func (f *forge) change(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

func (f *forge) writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wrote
}

// scopes is who the token's user is, with the scopes.
func (f *forge) scopes(list string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-OAuth-Scopes", list)
		_, _ = io.WriteString(w, f.user(own, ""))
	}
}
