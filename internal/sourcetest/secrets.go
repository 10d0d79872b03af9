package sourcetest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// secrets has the vendor repeat credentials in its errors, in body and headers.
// Neither those of the configuration nor those had at run time may be in the
// log, in dumps of exchanges, in errors or in the agent's state.
func secrets(t *testing.T, f *Fixture) {
	tell := &teller{known: map[string]bool{}}
	for _, s := range f.Secrets {
		tell.known[s] = true
	}
	site := f.NewSite(t, SiteOptions{People: few, Scenario: "mixed", Wrap: tell.wrap})
	site.debug = true
	var said strings.Builder
	for run := range 4 {
		tell.repeat(run > 0) // the first gets all tokens
		fmt.Fprintln(&said, site.Run(t.Context(), site.Config(), true))
	}
	require.Greater(t, tell.repeated, 5)
	require.NotEmpty(t, site.dump.String(), "the exchanges were dumped")
	require.Contains(t, site.dump.String(), "weir repeats", "what the vendor repeats was dumped")
	require.Contains(t, said.String(), "weir repeats")
	texts := map[string]string{"log": site.log.String(), "dump": site.dump.String(), "error": said.String()}
	require.NoError(t, filepath.WalkDir(filepath.Join(site.dir, "data"), func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var b []byte
			b, err = os.ReadFile(name)
			texts[name] = string(b)
		}
		return err
	}))
	known := slices.Sorted(maps.Keys(tell.known))
	t.Logf("%d secrets, %d times repeated", len(known), tell.repeated)
	require.NotEmpty(t, known)
	for what, text := range texts {
		for i, secret := range known {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("secret %d, %q, is in the %s: %q", i, secret, what, text[max(0, at-200):min(len(text), at+200)])
			}
		}
	}
}

// teller notes credentials, and repeats them in errors.
type teller struct {
	mu       sync.Mutex
	known    map[string]bool
	on       bool
	requests int
	repeated int
}

func (l *teller) repeat(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on = on
}

func (l *teller) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, sent, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if b, err := base64.StdEncoding.DecodeString(sent); err == nil && strings.EqualFold(scheme, "basic") {
			_, sent, _ = strings.Cut(string(b), ":")
		}
		if l.request(sent) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Okta-Request-Id", "weir repeats "+sent)
			w.Header().Set("X-GitHub-Request-Id", "weir repeats "+sent)
			w.WriteHeader([]int{500, 403, 400, 404, 502}[len(r.URL.Path)%5])
			text, _ := json.Marshal("weir repeats " + sent) //nolint:errchkjson // a string
			fmt.Fprintf(w, `{"errorCode":"E0000009","errorSummary":%[1]s,"message":%[1]s,"errors":[{"message":%[1]s}]}`, text)
			return
		}
		if r.Method != http.MethodPost {
			h.ServeHTTP(w, r)
			return
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		l.answer(rec.Body.Bytes())
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
}

// request notes what a request was sent with, and tells whether to repeat it.
func (l *teller) request(sent string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	if sent == "" {
		return false
	}
	l.known[sent] = true
	if !l.on || l.requests%5 != 0 {
		return false
	}
	l.repeated++
	return true
}

// answer notes the tokens that an answer holds.
func (l *teller) answer(body []byte) {
	var tokens struct {
		Access       string `json:"access_token"`
		Refresh      string `json:"refresh_token"`
		Installation string `json:"token"`
	}
	if json.Unmarshal(body, &tokens) != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range []string{tokens.Access, tokens.Refresh, tokens.Installation} {
		if s != "" {
			l.known[s] = true
		}
	}
}
