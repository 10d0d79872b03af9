package sourcetest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/rowtest"
	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/schemas"
)

// Answers returns a wrapper that has change rewrite the JSON of good answers.
func Answers(change func(r *http.Request, v any) any) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			body := rec.Body.Bytes()
			d := json.NewDecoder(bytes.NewReader(body))
			d.UseNumber()
			var v any
			if rec.Code < 300 && d.Decode(&v) == nil {
				if b, err := json.Marshal(change(r, v)); err == nil {
					body = b
				}
			}
			for k, v := range rec.Header() {
				if k != "Content-Length" {
					w.Header()[k] = v
				}
			}
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.WriteHeader(rec.Code)
			_, _ = w.Write(body)
		})
	}
}

// Objects calls fn for every object within v.
func Objects(v any, fn func(o map[string]any)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			Objects(e, fn)
		}
	case map[string]any:
		for _, e := range v {
			Objects(e, fn)
		}
		fn(v)
	}
}

// unknown gives every object members that nobody has heard of.
func unknown(t *testing.T, f *Fixture) {
	site := f.NewSite(t, SiteOptions{People: few, Wrap: Answers(func(_ *http.Request, v any) any {
		Objects(v, func(o map[string]any) { o["weir_unknown"] = map[string]any{"a": []any{1, "x", nil}} })
		return v
	})})
	site.Once()
	site.Equal("lake")
	require.Empty(t, site.DeadLetters())

	// Words of the vendor's that it may add to.
	if len(f.Words) == 0 {
		return
	}
	truth := site.Truth()
	site = f.NewSite(t, SiteOptions{People: few, Wrap: Answers(func(_ *http.Request, v any) any {
		Objects(v, func(o map[string]any) {
			for _, w := range f.Words {
				if _, ok := o[w].(string); ok {
					o[w] = "weir_new_word"
				}
			}
		})
		return v
	})})
	site.Once()
	require.Empty(t, site.DeadLetters())
	want, err := rowtest.ByKey(activities, truth)
	require.NoError(t, err)
	got, err := rowtest.Lake(t.Context(), site.Lake("lake"), activities, site.Instance())
	require.NoError(t, err)
	require.Len(t, got, len(want))
}

var activities = schemas.ByName(schemas.TableActivities)

// malformed replaces the second of each list's records by one that is none.
func malformed(t *testing.T, f *Fixture) {
	for _, bad := range []any{map[string]any{"weir": "nonsense"}, "text", json.Number("7"), nil, []any{}} {
		var replaced atomic.Int64
		site := f.NewSite(t, SiteOptions{People: few, Wrap: f.spoil(bad, &replaced)})
		// A listing that cannot be understood as a whole does not complete.
		if err := site.Run(t.Context(), site.Config(), true); err != nil {
			require.ErrorContains(t, err, "listing ")
		}
		require.Positive(t, replaced.Load())
		require.NotEmpty(t, site.DeadLetters(), "what could not be mapped is kept: %v", bad)
		truth := site.Truth()
		want, err := rowtest.ByKey(activities, truth)
		require.NoError(t, err)
		got, err := rowtest.Lake(t.Context(), site.Lake("lake"), activities, site.Instance())
		require.NoError(t, err)
		missing := 0
		for key := range want {
			if _, ok := got[key]; !ok {
				missing++
			}
		}
		require.LessOrEqual(t, missing, int(replaced.Load()), "%v: neighbours were lost", bad)
		require.NotEmpty(t, got)
	}
	// A record that turns bad is not gone.
	site := f.NewSite(t, SiteOptions{People: few, History: 12 * time.Hour}) // younger than any log forgets
	same := Answers(func(_ *http.Request, v any) any { return v })          // or the records' bytes would differ
	site.Wrap(same)
	site.Once()
	site.Wrap(f.spoil(map[string]any{"weir": "nonsense"}, new(atomic.Int64)))
	for range 3 {
		site.Clock.Skip(25 * time.Hour)
		_ = site.Run(t.Context(), site.Config(), true)
	}
	require.Zero(t, site.changes("lake")["removed"])
	site.Wrap(same)
	site.fullRound()
	site.Equal("lake")
}

// spoil returns a wrapper that replaces the second of each list's records, also
// where the list is an object's member: "value", as OData has it, or Fixture.Lists.
func (f *Fixture) spoil(bad any, replaced *atomic.Int64) func(http.Handler) http.Handler {
	return Answers(func(r *http.Request, v any) any {
		if f.Listings != nil && f.Listings(r) {
			return v
		}
		list, ok := v.([]any)
		if o, is := v.(map[string]any); is {
			for _, member := range append([]string{"value"}, f.Lists...) {
				if l, is := o[member].([]any); is {
					list, ok = l, true
				}
			}
		}
		if ok && len(list) > 2 {
			if _, ok := list[1].(map[string]any); ok {
				list[1] = bad
				replaced.Add(1)
			}
		}
		return v
	})
}

// Historian is a sandbox's Handler that knows what has been there.
type Historian interface {
	// Gone reports whether an id, or else a name, is that of an entity of the
	// organization that existed and does not any more. Kinds are target_kind's.
	Gone(s *org.State, kind, id, name string) bool
}

func gone(t *sandbox.Tenant, kind, id string, names ...string) (yes bool) {
	h, ok := t.Handler().(Historian)
	if !ok {
		return false
	}
	t.World.View(func(s *org.State) {
		for _, n := range append(names, "") {
			yes = yes || h.Gone(s, kind, id, n)
		}
	})
	return yes
}

// joins looks up every reference of the collected activities among the
// collected entities.
func joins(t *testing.T, f *Fixture) {
	site := f.NewSite(t, SiteOptions{People: few, History: 60 * 24 * time.Hour, Events: 0.5}) // long, for what is rare
	site.Once()
	known := site.entities()
	type count struct {
		joined, gone, unjoined int
		example                string
	}
	counts := map[string]*count{}
	note := func(what, kind, id string, names ...string) {
		if id == "" && strings.Join(names, "") == "" {
			return
		}
		c := counts[what+" "+kind]
		if c == nil {
			c = &count{}
			counts[what+" "+kind] = c
		}
		switch {
		case known[kind+"\x1f"+id] || slices.ContainsFunc(names, func(n string) bool { return known[kind+"\x1f"+n] }):
			c.joined++ // by id, alias or e-mail
		case gone(site.Tenant, kind, id, names...):
			c.gone++
		default:
			c.unjoined++
			c.example = id + " " + strings.Join(names, " ")
		}
	}
	for _, r := range site.Log("lake", schemas.TableActivities) {
		switch r["actor_kind"] {
		case "human", "guest", "bot", "service":
			kind := "account"
			if known["app\x1f"+r["actor_id"].(string)] {
				kind = "app"
			}
			note("actor", kind, r["actor_id"].(string), r["actor_email"].(string), r["actor_name"].(string))
		}
		ids, kinds, names := r["target_ids"].([]string), r["target_kinds"].([]string), r["target_names"].([]string)
		for i, kind := range kinds {
			switch kind {
			case "account", "group", "app", "credential", "role", "repository", "file", "container":
				note("target", kind, ids[i], names[i])
			}
		}
		if id := r["client_app_id"].(string); id != "" { // a name alone refers to nothing
			note("app", "app", id, r["client_app_name"].(string))
		}
		if c := r["credential_id"].(string); c != "" {
			note("credential", "credential", c, "")
		}
	}
	require.NotEmpty(t, counts)
	for _, what := range sortedKeys(counts) {
		c := counts[what]
		reason, excused := f.Unjoined[what]
		t.Logf("%s: %d join, %d name what is gone, %d do not%s", what, c.joined, c.gone, c.unjoined, map[bool]string{true: ": " + reason}[excused && c.unjoined > 0])
		if c.unjoined > 0 && !excused {
			t.Errorf("%s: %d references join nothing, such as %q", what, c.unjoined, c.example)
		}
	}
}

// entities is everything that activities may refer to, by kind and id, alias or
// e-mail.
func (s *Site) entities() map[string]bool {
	known := map[string]bool{}
	add := func(kind string, ids ...string) {
		for _, id := range ids {
			if id != "" {
				known[kind+"\x1f"+id] = true
			}
		}
	}
	each := func(table string, fn func(r rowtest.Row)) {
		t := schemas.ByName(table)
		for _, filled := range s.f.tables() {
			if filled != t {
				continue
			}
			rows, err := rowtest.Lake(s.t.Context(), s.Lake("lake"), t, s.Instance())
			require.NoError(s.t, err)
			for _, r := range rows {
				fn(r)
			}
		}
	}
	each("accounts", func(r rowtest.Row) {
		add("account", r["account_id"].(string), r["login"].(string), r["email"].(string))
		add("account", r["alias_ids"].([]string)...)
		add("account", r["emails"].([]string)...)
	})
	each("groups", func(r rowtest.Row) {
		add("group", r["group_id"].(string), r["email"].(string))
		add("group", r["alias_ids"].([]string)...)
	})
	each("apps", func(r rowtest.Row) {
		add("app", r["app_id"].(string))
		add("app", r["alias_ids"].([]string)...)
	})
	each("app_grants", func(r rowtest.Row) { add("credential", r["grant_id"].(string)) })
	each("privileges", func(r rowtest.Row) {
		add("role", r["role_id"].(string), r["privilege_id"].(string), r["role_name"].(string))
	})
	each("files", func(r rowtest.Row) {
		for _, kind := range []string{"file", "folder", "repository", "container", "drive"} {
			add(kind, r["file_id"].(string), r["container_id"].(string), r["container_name"].(string))
			add(kind, r["alias_ids"].([]string)...)
		}
	})
	return known
}
