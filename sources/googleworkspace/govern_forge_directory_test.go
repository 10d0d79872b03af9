package googleworkspace

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func is(o object, member string) bool {
	on, _ := o[member].(bool)
	return on
}

func sortedValues(m map[string]object) (out []object) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}

func (f *forge) directory(mux *http.ServeMux) {
	f.people(mux)
	f.groupings(mux)
	f.assignments(mux)
	f.granted(mux)
	mux.HandleFunc("GET "+pathCustomer, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, object{"kind": "admin#directory#customer", "id": customerID})
	})
}

func (f *forge) people(mux *http.ServeMux) {
	mux.HandleFunc("GET "+pathUsers, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query().Get("query")
		out := slices.DeleteFunc(sortedValues(f.users), func(u object) bool {
			prefix, byEmail := strings.CutPrefix(strings.TrimSuffix(q, "*"), "email:")
			aliases, _ := u["aliases"].([]string)
			return q == "isAdmin=true" && !is(u, "isAdmin") || q == "isSuspended=false" && is(u, "suspended") ||
				byEmail && !slices.ContainsFunc(append(slices.Clone(aliases), u["primaryEmail"].(string)), func(a string) bool { return strings.HasPrefix(a, prefix) })
		})
		f.list(w, r, "admin#directory#users", "users", out)
	})
	with := func(h func(w http.ResponseWriter, r *http.Request, u object)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if u := f.user(r.PathValue("userKey")); u != nil {
				h(w, r, u)
				return
			}
			gone(w, "userKey")
		}
	}
	mux.HandleFunc("GET "+pathUser, with(func(w http.ResponseWriter, _ *http.Request, u object) { reply(w, 200, u) }))
	mux.HandleFunc("PUT "+pathUser, with(func(w http.ResponseWriter, r *http.Request, u object) {
		in := body(r)
		_, held := in["suspended"]
		if held && !is(in, "suspended") && u["suspensionReason"] == "ABUSE" {
			refuse(w, 403, "adminCannotUnsuspend", "The admin cannot unsuspend the user")
			return
		}
		if in["password"] != nil {
			f.happened(eventPassword, u)
			delete(in, "password")
		}
		maps.Copy(u, in)
		if is(in, "suspended") && u["suspensionReason"] == nil {
			u["suspensionReason"] = byAdmin
		}
		if held && !is(in, "suspended") {
			delete(u, "suspensionReason")
		}
		reply(w, 200, u)
	}))
	mux.HandleFunc("POST "+pathSignOut, with(func(w http.ResponseWriter, _ *http.Request, u object) {
		f.happened(eventSignedOut, u)
		w.WriteHeader(204)
	}))
	mux.HandleFunc("POST "+pathMakeAdmin, with(func(w http.ResponseWriter, r *http.Request, u object) {
		u["isAdmin"] = body(r)["status"]
		f.roles = slices.DeleteFunc(f.roles, func(o object) bool { return o["roleId"] == superRole && o["assignedTo"] == u["id"] })
		w.WriteHeader(204)
	}))
}

func (f *forge) groupings(mux *http.ServeMux) {
	mux.HandleFunc("GET "+pathGroups, func(w http.ResponseWriter, r *http.Request) {
		key := r.URL.Query().Get("userKey")
		out := slices.DeleteFunc(sortedValues(f.groups), func(g object) bool { return key != "" && f.members[g["id"].(string)][key] == nil })
		f.list(w, r, "admin#directory#groups", "groups", out)
	})
	mux.HandleFunc("GET "+pathGroup, func(w http.ResponseWriter, r *http.Request) {
		if g := f.groups[r.PathValue("groupKey")]; g != nil {
			reply(w, 200, g)
			return
		}
		gone(w, "groupKey")
	})
	mux.HandleFunc("GET "+pathMembers, func(w http.ResponseWriter, r *http.Request) {
		f.list(w, r, "admin#directory#members", "members", sortedValues(f.members[r.PathValue("groupKey")]))
	})
	mux.HandleFunc(pathMember, func(w http.ResponseWriter, r *http.Request) {
		all, id := f.members[r.PathValue("groupKey")], r.PathValue("memberKey")
		switch m := all[id]; {
		case m == nil:
			gone(w, "memberKey")
		case r.Method == http.MethodDelete:
			delete(all, id)
			w.WriteHeader(204)
		default:
			reply(w, 200, m)
		}
	})
	mux.HandleFunc("POST "+pathMembers, func(w http.ResponseWriter, r *http.Request) {
		in := body(r)
		u := f.user(in["email"].(string))
		f.join(r.PathValue("groupKey"), u["id"].(string), in["role"].(string))
		reply(w, 200, in)
	})
}

func (f *forge) assignments(mux *http.ServeMux) {
	mux.HandleFunc("GET "+pathRoles, func(w http.ResponseWriter, r *http.Request) {
		f.list(w, r, "admin#directory#roles", "items", []object{
			{"roleId": superRole, "roleName": superAdmin, "isSystemRole": true, "isSuperAdminRole": true}, {"roleId": helpRole, "roleName": "Help desk"},
		})
	})
	mux.HandleFunc("GET "+pathAssignments, func(w http.ResponseWriter, r *http.Request) {
		if f.noRoles {
			refuse(w, 403, "forbidden", "Not Authorized to access this resource/api")
			return
		}
		key := r.URL.Query().Get("userKey")
		through := r.URL.Query().Get("includeIndirectRoleAssignments") == "true"
		f.list(w, r, "admin#directory#roleAssignments", "items", slices.DeleteFunc(slices.Clone(f.roles), func(o object) bool {
			to := o["assignedTo"].(string)
			return to != key && !(through && f.members[to][key] != nil)
		}))
	})
	mux.HandleFunc("POST "+pathAssignments, func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("customer") != customerID {
			refuse(w, 400, "invalid", "Invalid Input")
			return
		}
		in := body(r)
		f.next++
		in["roleAssignmentId"] = strconv.Itoa(f.next)
		f.roles = append(f.roles, in)
		reply(w, 200, in)
	})
	mux.HandleFunc("DELETE "+pathAssignment, func(w http.ResponseWriter, r *http.Request) {
		n := len(f.roles)
		f.roles = slices.DeleteFunc(f.roles, func(o object) bool { return o["roleAssignmentId"] == r.PathValue("roleAssignmentId") })
		if len(f.roles) == n {
			gone(w, "roleAssignmentId")
			return
		}
		w.WriteHeader(204)
	})
}

func (f *forge) granted(mux *http.ServeMux) {
	for path, c := range map[string]struct {
		kind, one, column, key string
		of                     map[string][]object
	}{
		pathTokens:    {"admin#directory#tokenList", pathToken, "clientId", "clientId", f.tokens},
		pathPasswords: {"admin#directory#aspList", pathPassword, "codeId", "codeId", f.asps},
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			id := r.PathValue("userKey")
			if is(f.users[id], "suspended") {
				refuse(w, 401, "authError", "Invalid Credentials")
				return
			}
			f.list(w, r, c.kind, "items", c.of[id])
		})
		mux.HandleFunc("DELETE "+c.one, func(w http.ResponseWriter, r *http.Request) {
			id, n := r.PathValue("userKey"), len(c.of[r.PathValue("userKey")])
			c.of[id] = slices.DeleteFunc(c.of[id], func(o object) bool {
				code, number := o[c.column].(int)
				return o[c.column] == r.PathValue(c.key) || number && strconv.Itoa(code) == r.PathValue(c.key)
			})
			if len(c.of[id]) == n {
				gone(w, c.key)
				return
			}
			w.WriteHeader(204)
		})
	}
}
