package microsoft365

import (
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func valuesOf(m map[string]object) iter.Seq[object] { return maps.Values(m) }

// unique is the id that SharePoint has of an item.
func unique(item string) string { return fmt.Sprintf("11111111-0000-4000-8000-%012x", len(item)) }

func (d *file) current() string { return d.versions[len(d.versions)-1] }

func (f *forge) item(item string, d *file) object {
	etag := fmt.Sprintf(`"%s,%d"`, item, d.tag)
	o := object{
		"id": item, "name": d.name, "size": len(d.current()), "eTag": etag, "cTag": fmt.Sprintf(`"c:%s,%d"`, item, d.tag),
		"file": object{"hashes": object{"quickXorHash": fmt.Sprintf("%x", d.current())}}, "webUrl": siteAt + "/Documents/HR/" + d.name,
		"parentReference": object{"driveId": d.drive, "id": d.parent, "path": "/drives/" + d.drive + "/root:/HR%20files"},
		"sharepointIds":   object{"listItemUniqueId": unique(item), "siteUrl": siteAt},
	}
	if d.name == "" {
		delete(o, "file")
		o["folder"] = object{}
	}
	return o
}

func (d *file) write(content string) {
	d.versions = append(d.versions, content)
	d.tag++
}

// at returns a file that is in its drive.
func (f *forge) at(r *http.Request) (string, *file) {
	item := r.PathValue("item")
	d := f.files[item]
	if d == nil || d.drive != r.PathValue("drive") || d.binned != "" {
		return item, nil
	}
	return item, d
}

func (f *forge) library(mux *http.ServeMux) {
	const v = "/graph/v1.0/drives/{drive}"
	mux.HandleFunc(v, func(w http.ResponseWriter, r *http.Request) {
		reply(w, 200, object{"id": r.PathValue("drive"), "name": "Documents", "webUrl": siteAt + "/Documents", "owner": object{"user": object{"id": ada, "email": "ada@contoso.com"}}})
	})
	f.files[testFolder] = &file{drive: testVault, versions: []string{""}}
	on := func(pattern string, fn func(w http.ResponseWriter, r *http.Request, item string, d *file)) {
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = "", pattern
		} else {
			method += " "
		}
		mux.HandleFunc(method+v+"/items/{item}"+path, func(w http.ResponseWriter, r *http.Request) {
			item, d := f.at(r)
			if d == nil {
				refuse(w, 404, "itemNotFound")
				return
			}
			if m := r.Header.Get("If-Match"); m != "" && m != f.item(item, d)["eTag"] {
				refuse(w, 412, "resourceModified")
				return
			}
			fn(w, r, item, d)
		})
	}
	on("", func(w http.ResponseWriter, r *http.Request, item string, d *file) {
		switch r.Method {
		case http.MethodDelete:
			d.binned = f.id("22222222-0000-4000-8000-000000000")
			w.WriteHeader(204)
		case http.MethodPatch:
			in := body(r)
			d.parent, d.name = in["parentReference"].(object)["id"].(string), in["name"].(string)
			reply(w, 200, f.item(item, d))
		default:
			reply(w, 200, f.item(item, d))
		}
	})
	mux.HandleFunc("GET "+v+"/items/{folder}/{name}", func(w http.ResponseWriter, r *http.Request) {
		folder, byPath := strings.CutSuffix(r.PathValue("folder"), ":")
		for item, d := range f.files {
			if byPath && d.parent == folder && d.drive == r.PathValue("drive") && d.name == r.PathValue("name") && d.binned == "" {
				reply(w, 200, f.item(item, d))
				return
			}
		}
		refuse(w, 404, "itemNotFound")
	})
	on("POST /copy", func(w http.ResponseWriter, r *http.Request, _ string, d *file) {
		in := body(r)
		to := in["parentReference"].(object)
		made := &file{name: in["name"].(string), parent: to["id"].(string), drive: to["driveId"].(string), versions: []string{d.current()}}
		for _, o := range f.files {
			if o.parent == made.parent && o.name == made.name && o.binned == "" {
				refuse(w, 409, "nameAlreadyExists")
				return
			}
		}
		if !f.failed {
			f.copies = append(f.copies, func() { f.files[f.id("01COPY00000")] = made })
		}
		w.Header().Set("Location", f.url+"/sharepoint/monitor/1?tempauth=opens-the-job")
		w.WriteHeader(202)
	})
	on("PUT /content", func(w http.ResponseWriter, r *http.Request, item string, d *file) {
		b, _ := io.ReadAll(r.Body)
		d.write(string(b))
		reply(w, 200, f.item(item, d))
	})
	on("GET /versions", func(w http.ResponseWriter, _ *http.Request, _ string, d *file) {
		out := []object{}
		for i, c := range slices.Backward(d.versions) {
			out = append(out, object{"id": strconv.Itoa(i+1) + ".0", "size": len(c)})
		}
		reply(w, 200, object{"value": out})
	})
	on("POST /versions/{version}/restoreVersion", func(w http.ResponseWriter, r *http.Request, _ string, d *file) {
		n, err := strconv.Atoi(strings.TrimSuffix(r.PathValue("version"), ".0"))
		if err != nil || n < 1 || n > len(d.versions) {
			refuse(w, 404, "itemNotFound")
			return
		}
		d.write(d.versions[n-1])
		w.WriteHeader(204)
	})
	on("GET /permissions", func(w http.ResponseWriter, _ *http.Request, _ string, d *file) {
		reply(w, 200, object{"value": d.perms})
	})
	on("DELETE /permissions/{permission}", func(w http.ResponseWriter, r *http.Request, _ string, d *file) {
		i := slices.IndexFunc(d.perms, func(o object) bool { return o["id"] == r.PathValue("permission") })
		if i < 0 {
			refuse(w, 404, "itemNotFound")
			return
		}
		d.perms = slices.Delete(slices.Clone(d.perms), i, i+1)
		w.WriteHeader(204)
	})
	on("POST /invite", func(w http.ResponseWriter, r *http.Request, _ string, d *file) {
		in := body(r)
		to := in["recipients"].([]any)[0].(object)
		d.perms = append(d.perms, object{"id": f.id("p-"), "roles": in["roles"], "grantedToV2": object{"user": object{"id": to["objectId"], "email": to["email"]}}})
		reply(w, 200, object{"value": d.perms[len(d.perms)-1:]})
	})
	on("POST /createLink", func(w http.ResponseWriter, r *http.Request, _ string, d *file) {
		in := body(r)
		d.perms = append(d.perms, object{"id": f.id("p-"), "roles": []string{"read"}, "link": object{"type": in["type"], "scope": in["scope"], "webUrl": "https://contoso.sharepoint.com/:w:/s/newsecret"}})
		reply(w, 201, d.perms[len(d.perms)-1])
	})
	f.sharePoint(mux)
}

// sharePoint serves what takes a certificate, and the monitor of copies.
func (f *forge) sharePoint(mux *http.ServeMux) {
	mux.HandleFunc("/sharepoint/monitor/1", func(w http.ResponseWriter, r *http.Request) {
		f.asked = append(f.asked, r.Header.Get("Authorization"))
		status := "inProgress"
		if f.failed {
			status = "failed"
		}
		reply(w, 202, object{"status": status})
	})
	mux.HandleFunc("/sharepoint/sites/hr/_api/", func(w http.ResponseWriter, r *http.Request) {
		d := f.files[testFile]
		switch p := strings.TrimPrefix(unescaped(r.URL.EscapedPath()), "/sharepoint/sites/hr/_api"); {
		case p == "/web/GetFileById('"+unique(testFile)+"')/recycle()" && d.binned == "":
			d.binned = f.id("22222222-0000-4000-8000-000000000")
			reply(w, 200, object{"value": d.binned})
		case p == "/site/RecycleBin":
			rows := []object{}
			if d.binned != "" && strings.Contains(r.URL.Query().Get("$filter"), "1") {
				rows = append(rows, object{"Id": d.binned, "LeafName": d.name, "DirName": "sites/hr/Documents/HR files", "DeletedDate": "2026-03-01T12:00:00Z", "ItemType": 1})
			}
			reply(w, 200, object{"value": rows})
		case p == "/site/RecycleBin/RestoreByIds":
			ids := body(r)["ids"].([]any)
			if d.binned == "" || len(ids) != 1 || ids[0] != d.binned {
				refuse(w, 400, "notInBin")
				return
			}
			d.binned = ""
			reply(w, 200, object{})
		case p == "/web/GetFileByServerRelativePath(DecodedUrl='/sites/hr/Documents/HR files/plan''s.docx')/ListItemAllFields/breakroleinheritance(false)":
			d.perms = slices.DeleteFunc(slices.Clone(d.perms), func(o object) bool { return o["id"] != "p-owner" })
			reply(w, 200, object{})
		case p == "/web/GetFileByServerRelativePath(DecodedUrl='/sites/hr/Documents/HR files/plan''s.docx')/ListItemAllFields/resetroleinheritance":
			d.perms = append(d.perms, object{"id": "p-site", "roles": []string{"read"}, "grantedToV2": object{"siteGroup": object{"id": "3", "displayName": "Visitors"}}, "inheritedFrom": object{}})
			reply(w, 200, object{})
		default:
			refuse(w, 404, "itemNotFound")
		}
	})
}
