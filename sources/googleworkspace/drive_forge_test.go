package googleworkspace

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"weir/internal/secret"
)

// doc is a file, folder or shared drive's root in the forge.
type doc struct {
	id, name, mime, owner, drive, parent string
	trashed, cut                         bool
	perms                                []*grantOn
	revs                                 []*rev
}

type grantOn struct {
	ID, Type, Role, Email, Domain, Expires string
	Listed                                 bool
}

type rev struct {
	id, mime, content string
	keep              bool
}

// drives is a forge with Drive.
type drives struct {
	*forge
	docs    map[string]*doc
	order   []string            // of docs in listings
	logs    map[string][]object // changes, by "user address" or "drive id"
	off     map[string]string   // users without Drive, with the reason
	expired int                 // status of a change log's refusal
	most    int                 // elements of a page of Drive; 0: as asked
	asked   []string            // as whom, and what, of Drive
	mails   int
	large   int // files of a page above which it is too large
}

const (
	anaMail, benMail, quarMail = "ana@example.com", "ben@example.com", "weir.quarantine@example.com"
	sharedDrive                = "0ASharedDrive1"
	quarFolder                 = "1QuarantineFolder"
	quarDrive                  = "0AQuarantine01"
)

func rootFolder(user string) string {
	return "0Root" + strings.NewReplacer("@", "-", ".", "-").Replace(user)
}

func newDrives(t testing.TB) *drives {
	d := &drives{forge: newForge(t), docs: map[string]*doc{}, logs: map[string][]object{}, off: map[string]string{}}
	d.users["107"] = object{"kind": "admin#directory#user", "id": "107", "primaryEmail": quarMail}
	for _, u := range d.users {
		if mail := u["primaryEmail"].(string); u["id"] != held {
			d.docs[rootFolder(mail)] = &doc{id: rootFolder(mail), name: "My Drive", mime: mimeFolder, owner: mail}
		}
	}
	for _, id := range []string{sharedDrive, quarDrive} {
		d.docs[id] = &doc{id: id, name: "drive " + id, mime: mimeFolder, drive: id}
	}
	d.forge.answer = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/token":
			return d.tokenFor(w, r)
		case strings.Contains(r.URL.Path, "/drive/v3/"):
			d.serve(w, r)
			return true
		case strings.HasSuffix(r.URL.Path, "/domains"):
			reply(w, 200, object{"kind": "admin#directory#domains", "domains": []object{{"domainName": "example.com", "domainAliases": []object{{"domainAliasName": "example.test"}}}}})
			return true
		}
		return false
	}
	return d
}

func (d *drives) session(change func(*Config)) *session {
	d.t.Helper()
	c := defaults()
	c.BaseURL, c.Auth.Subject, c.Auth.Credentials = d.url, agentSubject, secret.New(forgeKey())
	c.Actions.Quarantine = Quarantine{User: quarMail, Folder: quarFolder, SharedFolder: quarDrive}
	if change != nil {
		change(c)
	}
	return d.openWith(c)
}

func (d *drives) add(o *doc, perms ...*grantOn) *doc {
	o.perms = append(o.perms, perms...)
	if o.owner != "" {
		o.perms = append(o.perms, &grantOn{ID: idOf(o.owner), Type: typeUser, Role: roleOwner, Email: o.owner})
		if o.parent == "" {
			o.parent = rootFolder(o.owner)
		}
	} else if o.parent == "" {
		o.parent = o.drive
	}
	d.docs[o.id] = o
	d.order = append(d.order, o.id)
	return o
}

func text1(content string) []*rev { return []*rev{{id: "r1", mime: "text/plain", content: content}} }

func idOf(who string) string {
	h := sha256.Sum256([]byte(who))
	return hex.EncodeToString(h[:6])
}

func to(kind, who, role string) *grantOn {
	p := &grantOn{ID: idOf(who), Type: kind, Role: role}
	switch kind {
	case typeUser, typeGroup:
		p.Email = who
	case typeDomain:
		p.Domain = who
	default:
		p.ID = "anyoneWithLink"
	}
	return p
}

// tokenFor gives out tokens that say who is acted as.
func (d *drives) tokenFor(w http.ResponseWriter, r *http.Request) bool {
	raw, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(raw))
	form := string(raw)
	i := strings.Index(form, "assertion=")
	parts := strings.Split(strings.Split(form[i+len("assertion="):], "&")[0], ".")
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var c struct{ Scope, Sub string }
	_ = json.Unmarshal(claims, &c)
	for s := range strings.FieldsSeq(c.Scope) {
		if slices.Contains(d.missing, s) {
			return false // which the forge refuses
		}
	}
	if d.user(c.Sub) == nil {
		reply(w, 400, object{"error": "invalid_grant", "error_description": "Invalid email or User ID"})
		return true
	}
	reply(w, 200, object{"access_token": base64.RawURLEncoding.EncodeToString([]byte(c.Scope)) + "~" + c.Sub, "expires_in": 3599, "token_type": "Bearer"})
	return true
}

type reach struct {
	*grantOn
	inherited bool
	from      string
}

// effective are the permissions that reach a document.
func (d *drives) effective(o *doc) (out []reach) {
	seen := map[string]bool{}
	for at, inherited := o, false; at != nil; at, inherited = d.docs[at.parent], true {
		for _, p := range at.perms {
			if !seen[p.ID] && (!inherited || p.Role != roleOwner) {
				seen[p.ID] = true
				out = append(out, reach{p, inherited, at.id})
			}
		}
		if at.cut {
			break
		}
	}
	return out
}

func (d *drives) sees(user string, o *doc) bool {
	return o.owner == user || slices.ContainsFunc(d.effective(o), func(p reach) bool { return p.Email == user })
}

func (d *drives) permissions(o *doc) (out []object) {
	for _, p := range d.effective(o) {
		detail := object{"permissionType": "file", "role": p.Role, "inherited": p.inherited}
		w := object{"id": p.ID, "type": p.Type, "role": p.Role, "permissionDetails": []object{detail}}
		for k, v := range map[string]string{"emailAddress": p.Email, "domain": p.Domain, "expirationTime": p.Expires} {
			if v != "" {
				w[k] = v
			}
		}
		if p.Type == typeAnyone || p.Type == typeDomain {
			w["allowFileDiscovery"] = p.Listed
		}
		if p.inherited && o.drive != "" {
			detail["inheritedFrom"] = p.from
		}
		out = append(out, w)
	}
	return out
}

func (d *drives) render(user string, o *doc) object {
	w := object{"id": o.id, "name": o.name, "mimeType": o.mime, "trashed": o.trashed, "version": "3", "createdTime": "2026-01-01T00:00:00.000Z", "modifiedTime": "2026-02-01T00:00:00.000Z", "webViewLink": "https://drive.google.com/" + o.id, "lastModifyingUser": object{"emailAddress": "Ben@example.com"}}
	if p := d.docs[o.parent]; p != nil && d.sees(user, p) {
		w["parents"] = []string{o.parent}
	}
	if n := len(o.revs); n > 0 {
		head := o.revs[n-1]
		w["headRevisionId"], w["md5Checksum"], w["size"], w["mimeType"] = head.id, sum(head.content), strconv.Itoa(len(head.content)), head.mime
	}
	if o.drive != "" {
		w["driveId"] = o.drive
		w["hasAugmentedPermissions"] = len(o.perms) > 0 && o.id != o.drive
		w["inheritedPermissionsDisabled"] = o.cut
		return w
	}
	w["owners"] = []object{{"emailAddress": o.owner, "permissionId": idOf(o.owner)}}
	w["ownedByMe"] = o.owner == user
	w["permissions"] = d.permissions(o)
	return w
}

func (d *drives) serve(w http.ResponseWriter, r *http.Request) {
	_, user, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "~")
	q := r.URL.Query()
	if reason := d.off[user]; reason != "" {
		refuse(w, 403, reason, "The domain administrators have disabled Drive apps.")
		return
	}
	upload := strings.HasPrefix(r.URL.Path, "/upload")
	path := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/upload"), "/drive/v3/")
	d.asked = append(d.asked, user+" "+r.Method+" "+path)
	if r.Method != http.MethodGet {
		raw, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(raw))
		d.wrote = append(d.wrote, user+" "+r.Method+" "+path)
		lose := d.lose
		switch d.lose = ""; lose {
		case "request":
			panic(http.ErrAbortHandler)
		case "answer":
			w = httptest.NewRecorder()
			defer panic(http.ErrAbortHandler)
		}
	}
	admin := q.Get("useDomainAdminAccess") == "true"
	part := strings.Split(path, "/")
	switch {
	case path == "drives":
		var all []object
		for _, id := range []string{sharedDrive, quarDrive} {
			all = append(all, object{"id": id, "name": d.docs[id].name})
		}
		d.list(w, r, "drive#driveList", "drives", all)
	case part[0] == "drives":
		o := d.docs[part[1]]
		if o == nil || !admin {
			gone(w, "drive")
			return
		}
		reply(w, 200, object{"id": o.id, "name": o.name, "createdTime": "2025-01-01T00:00:00.000Z"})
	case path == "files":
		d.files(w, r, user)
	case part[0] == "changes":
		d.changes(w, r, user)
	default:
		if part[1] == "root" {
			part[1] = rootFolder(user)
		}
		o := d.docs[part[1]]
		if o == nil || !d.sees(user, o) && !(admin && o.id == o.drive) {
			refuse(w, 404, "notFound", "File not found: "+part[1]+".")
			return
		}
		d.file(w, r, user, o, part[2:], upload)
	}
}

func (d *drives) files(w http.ResponseWriter, r *http.Request, user string) {
	q := r.URL.Query()
	var all []object
	for _, id := range d.order {
		o := d.docs[id]
		if o == nil {
			continue
		}
		mine := q.Get("corpora") == "user" && o.owner == user || q.Get("corpora") == "drive" && o.drive == q.Get("driveId") && d.sees(user, o)
		if mine && (!strings.Contains(q.Get("q"), mimeFolder) || o.mime == mimeFolder) {
			all = append(all, d.render(user, o))
		}
	}
	size, _ := strconv.Atoi(q.Get("pageSize"))
	if d.large > 0 && size > d.large {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(bytes.Repeat([]byte(" "), 33<<20))
		return
	}
	if d.most > 0 {
		size = d.most
	}
	d.page = size
	d.list(w, r, kindFiles, "files", all)
	d.page = 0
}

func (d *drives) changes(w http.ResponseWriter, r *http.Request, user string) {
	q := r.URL.Query()
	log := user
	if id := q.Get("driveId"); id != "" {
		if log = id; d.docs[id] == nil || !d.sees(user, d.docs[id]) {
			refuse(w, 404, "notFound", "Shared drive not found: "+id)
			return
		}
	}
	if strings.HasSuffix(r.URL.Path, "/startPageToken") {
		reply(w, 200, object{"kind": "drive#startPageToken", "startPageToken": strconv.Itoa(len(d.logs[log]))})
		return
	}
	if d.expired != 0 {
		refuse(w, d.expired, "invalid", "Invalid Value")
		return
	}
	from, _ := strconv.Atoi(q.Get("pageToken"))
	rest := d.logs[log][from:]
	out := object{"kind": kindChanges}
	if len(rest) > 2 {
		rest = rest[:2]
		out["nextPageToken"] = strconv.Itoa(from + 2)
	} else {
		out["newStartPageToken"] = strconv.Itoa(from + len(rest))
	}
	out["changes"] = rest
	reply(w, 200, out)
}

// changed puts a document, or that it is gone, into a log.
func (d *drives) changed(log, user, id string) {
	c := object{"kind": "drive#change", "changeType": "file", "fileId": id, "removed": true}
	if o := d.docs[id]; o != nil && d.sees(user, o) {
		c["removed"], c["file"] = false, d.render(user, o)
	}
	d.logs[log] = append(d.logs[log], c)
}

func (d *drives) file(w http.ResponseWriter, r *http.Request, user string, o *doc, part []string, upload bool) {
	q := r.URL.Query()
	switch {
	case upload:
		raw, _ := io.ReadAll(r.Body)
		o.revs = append(o.revs, &rev{id: fmt.Sprintf("r%d", len(o.revs)+1), mime: r.Header.Get("Content-Type"), content: string(raw)})
		reply(w, 200, d.render(user, o))
	case len(part) == 0 && r.Method == http.MethodGet:
		reply(w, 200, d.render(user, o))
	case len(part) == 0:
		b := body(r)
		if v, ok := b["trashed"].(bool); ok {
			o.trashed = v
		}
		if add := q.Get("addParents"); add != "" {
			if q.Get("removeParents") != o.parent && o.parent != "" {
				refuse(w, 400, "invalid", "removeParents")
				return
			}
			o.parent, o.drive = add, d.docs[add].drive
		}
		reply(w, 200, d.render(user, o))
	case part[0] == "revisions":
		d.revisions(w, r, o, part[1:])
	case r.Method == http.MethodGet:
		d.list(w, r, kindPermissions, "permissions", d.permissions(o))
	case r.Method == http.MethodDelete:
		i := slices.IndexFunc(o.perms, func(p *grantOn) bool { return p.ID == part[1] })
		switch {
		case i < 0 && slices.ContainsFunc(d.effective(o), func(p reach) bool { return p.ID == part[1] }):
			refuse(w, 403, "cannotModifyInheritedPermission", "Cannot modify.")
		case i < 0:
			refuse(w, 404, "notFound", "Permission not found: "+part[1]+".")
		case o.perms[i].Role == roleOwner:
			refuse(w, 403, "cannotRemoveOwner", "The owner.")
		default:
			o.perms = slices.Delete(o.perms, i, i+1)
			w.WriteHeader(204)
		}
	default:
		d.grant(w, r, o)
	}
}

func (d *drives) grant(w http.ResponseWriter, r *http.Request, o *doc) {
	b := body(r)
	get := func(k string) string { s, _ := b[k].(string); return s }
	who := first(get("emailAddress"), get("domain"))
	p := to(get("type"), who, get("role"))
	p.Expires = get("expirationTime")
	p.Listed, _ = b["allowFileDiscovery"].(bool)
	if p.Role == roleOwner {
		if r.URL.Query().Get("transferOwnership") != "true" {
			refuse(w, 403, "forbidden", "transferOwnership")
			return
		}
		for _, other := range o.perms {
			if other.Role == roleOwner {
				other.Role = "writer"
			}
		}
		o.owner, o.parent = who, rootFolder(who)
		d.mails++
	} else if r.URL.Query().Get("sendNotificationEmail") != "false" && p.Email != "" {
		d.mails++
	}
	o.perms = append(slices.DeleteFunc(o.perms, func(q *grantOn) bool { return q.ID == p.ID }), p)
	reply(w, 200, object{"id": p.ID})
}

func (d *drives) revisions(w http.ResponseWriter, r *http.Request, o *doc, part []string) {
	if len(part) == 0 {
		var all []object
		for _, v := range o.revs {
			all = append(all, object{"id": v.id, "mimeType": v.mime, "md5Checksum": sum(v.content), "size": strconv.Itoa(len(v.content)), "keepForever": v.keep})
		}
		d.list(w, r, kindRevisions, "revisions", all)
		return
	}
	i := slices.IndexFunc(o.revs, func(v *rev) bool { return v.id == part[0] })
	switch {
	case i < 0:
		gone(w, "revision")
	case r.Method == http.MethodPatch:
		o.revs[i].keep, _ = body(r)["keepForever"].(bool)
		reply(w, 200, object{"id": part[0]})
	default:
		_, _ = w.Write([]byte(o.revs[i].content))
	}
}
