// Package spectest holds requests and answers against the vendors' own
// machine-readable specifications (OpenAPI), as install.sh fetches them.
package spectest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"
)

// The specifications, by file below the cache.
const (
	GitHub = "octokit-openapi-23.0.2/ghec.json"
	Okta   = "okta-sdk-golang-v5.0.2/openapi.yaml"
)

// Deviation is where a specification and what happened differ.
type Deviation struct {
	Operation string // "GET /orgs/{org}/members", as the specification has it
	Part      string // "request" or "answer"
	Detail    string // the first line of what the validator says
}

func (d Deviation) String() string { return d.Operation + ": " + d.Part + ": " + d.Detail }

// Known is a deviation that is the specification's own fault, or a place that
// it does not describe, with the reason.
type Known struct {
	Operation string // as in Deviation; "" any
	Detail    string // contained in the deviation's
	Reason    string
}

// Spec is a loaded specification. It is safe for concurrent use.
type Spec struct {
	router routers.Router
	known  []Known

	mu      sync.Mutex
	checked map[string]int // exchanges, by operation
	found   map[Deviation]int
	used    map[int]bool // of known
}

// Load reads a specification, or skips the test where it is not installed. With
// WEIR_REQUIRE_SPECS=1 the test fails instead.
func Load(t testing.TB, file string, known []Known) *Spec {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(cached(t, file))
	require.NoError(t, err)
	return newSpec(t, doc, known)
}

// cached returns the name of a specification's file, or skips the test where it
// is not installed.
func cached(t testing.TB, file string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	name := filepath.Join(cache, "weir", "specs", filepath.FromSlash(file))
	if _, err := os.Stat(name); err != nil {
		if os.Getenv("WEIR_REQUIRE_SPECS") == "1" {
			t.Fatalf("the vendors' specifications are required and not installed (make specs): %v", err)
		}
		t.Skipf("the vendors' specifications are not installed (make specs): %v", err)
	}
	return name
}

func newSpec(t testing.TB, doc *openapi3.T, known []Known) *Spec {
	t.Helper()
	doc.Servers = nil // the sandbox serves it elsewhere
	router, err := gorillamux.NewRouter(doc)
	require.NoError(t, err)
	for _, k := range known {
		require.NotEmpty(t, k.Reason, "%+v", k)
	}
	return &Spec{router: router, known: known, checked: map[string]int{}, found: map[Deviation]int{}, used: map[int]bool{}}
}

// Wrap validates what passes through next, whose paths begin with prefix.
func (s *Spec) Wrap(prefix string, next http.Handler) http.Handler {
	return s.wrap(prefix, next, true)
}

// Requests validates what is asked of next, and not what it answers: for a
// scripted vendor, which answers no more than a test needs.
func (s *Spec) Requests(prefix string, next http.Handler) http.Handler {
	return s.wrap(prefix, next, false)
}

// Checked returns the operations that were asked for, as the specification has
// them.
func (s *Spec) Checked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.checked))
}

func (s *Spec) wrap(prefix string, next http.Handler, answers bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.exchange(w, r, next, func(body []byte, rec *httptest.ResponseRecorder) {
			if path, ok := strings.CutPrefix(r.URL.EscapedPath(), prefix); ok {
				s.check(path, r, body, rec, answers)
			}
		})
	})
}

// exchange has next answer, and looks at what was asked and answered.
func (s *Spec) exchange(w http.ResponseWriter, r *http.Request, next http.Handler, look func([]byte, *httptest.ResponseRecorder)) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	look(body, rec)
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// check validates one exchange, or the request alone.
func (s *Spec) check(path string, r *http.Request, body []byte, rec *httptest.ResponseRecorder, answers bool) {
	like, err := http.NewRequestWithContext(r.Context(), r.Method, (&url.URL{Path: path, RawQuery: r.URL.RawQuery}).String(), bytes.NewReader(body))
	if err != nil {
		s.deviates(Deviation{r.Method + " " + path, "request", err.Error()})
		return
	}
	like.Header = r.Header.Clone()
	route, params, err := s.router.FindRoute(like)
	if err != nil {
		s.deviates(Deviation{r.Method + " " + path, "request", "the specification has no such operation"})
		return
	}
	operation := route.Method + " " + route.Path
	s.mu.Lock()
	s.checked[operation]++
	s.mu.Unlock()
	in := &openapi3filter.RequestValidationInput{
		Request: like, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
			MultiError:            true,
			IncludeResponseStatus: true,
		},
	}
	s.multi(operation, "request", openapi3filter.ValidateRequest(r.Context(), in))
	for name := range r.URL.Query() {
		if route.Operation.Parameters.GetByInAndName("query", name) == nil && route.PathItem.Parameters.GetByInAndName("query", name) == nil {
			s.deviates(Deviation{operation, "request", fmt.Sprintf("no query parameter %q", name)})
		}
	}
	if !answers {
		return
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: rec.Code, Header: rec.Header(), Options: in.Options}
	out.SetBodyBytes(rec.Body.Bytes())
	s.multi(operation, "answer", openapi3filter.ValidateResponse(context.WithoutCancel(r.Context()), out))
}

func (s *Spec) multi(operation, part string, err error) {
	if err == nil {
		return
	}
	var many openapi3.MultiError
	if errors.As(err, &many) {
		for _, e := range many {
			s.multi(operation, part, e)
		}
		return
	}
	detail, _, _ := strings.Cut(err.Error(), "\n")
	var se *openapi3.SchemaError
	if errors.As(err, &se) {
		var at []string
		for _, p := range se.JSONPointer() {
			if strings.Trim(p, "0123456789") == "" {
				p = "*" // elements of a list deviate alike
			}
			at = append(at, p)
		}
		detail = fmt.Sprintf("/%s: %s", strings.Join(at, "/"), se.Reason)
	}
	s.deviates(Deviation{operation, part, detail})
}

func (s *Spec) deviates(d Deviation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, k := range s.known {
		if (k.Operation == "" || k.Operation == d.Operation) && strings.Contains(d.Detail, k.Detail) {
			s.used[i] = true
			return
		}
	}
	s.found[d]++
}

// Report fails the test for every deviation that is not known and for every
// known one that no longer is one, and prints the known ones with their reasons
// and which operations were checked.
func (s *Spec) Report(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for d, n := range s.found {
		lines = append(lines, fmt.Sprintf("%s (%d times)", d, n))
	}
	slices.Sort(lines)
	for _, l := range lines {
		t.Error(l)
	}
	for i, k := range s.known {
		if s.used[i] {
			t.Logf("known deviation: %s %q: %s", k.Operation, k.Detail, k.Reason)
		} else {
			t.Errorf("a known deviation did not occur any more: %+v", k)
		}
	}
	for op, n := range s.checked {
		t.Logf("checked %d times: %s", n, op)
	}
}
