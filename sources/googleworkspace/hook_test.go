package googleworkspace_test

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sourcetest"
	"weir/sources"
)

// The sandbox's channels are opened, proved and renewed as the sheet has them.
func TestHooksOfTheSandbox(t *testing.T) {
	f := fixture()
	site := f.NewSite(t, sourcetest.SiteOptions{People: 20})
	session := site.Session().(sources.Listener)
	type told struct {
		state string
		got   sources.Reaction
	}
	notified := make(chan told, 1000)
	var hook sources.Hook
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got := session.Notified(hook, &sources.Notification{Method: r.Method, Query: r.URL.Query(), Header: r.Header, Body: body})
		notified <- told{r.Header.Get("X-Goog-Resource-State"), got}
		w.WriteHeader(got.Status)
	}))
	defer close(notified)
	defer server.Close() // waits for what is being told
	lanes := map[string][]sources.Lane{}
	for _, s := range session.Streams() {
		if s.Info.Name != "activities" && s.Info.Name != "files" {
			lanes[s.Info.Name] = []sources.Lane{{}}
			continue
		}
		for p, err := range s.Lanes(t.Context(), "") {
			require.NoError(t, err)
			lanes[s.Info.Name] = append(lanes[s.Info.Name], p.Lanes...)
			if p.Complete {
				break
			}
		}
	}
	hook = sources.Hook{URL: server.URL + "/hooks/0123", Secret: strings.Repeat("s", 64), Lanes: func(_ context.Context, stream string) iter.Seq2[sources.Lane, error] {
		return func(yield func(sources.Lane, error) bool) {
			for _, l := range lanes[stream] {
				if !yield(l, nil) {
					return
				}
			}
		}
	}}
	again, err := session.Subscribe(t.Context(), hook)
	require.NoError(t, err)
	require.True(t, again.After(site.Clock.Now()))
	site.Tenant.World.Thaw()
	woken := map[string]int{}
	states := map[string]int{}
	deadline := time.After(time.Minute)
	for woken["activities"] == 0 || woken["files"] == 0 {
		select {
		case x := <-notified:
			require.Equal(t, 200, x.got.Status, x.state)
			states[x.state]++
			for _, w := range x.got.Wake {
				woken[w.Stream]++
			}
		case <-deadline:
			t.Fatal(woken, states)
		}
	}
	require.Greater(t, states["sync"], 30, "the first on each channel says that it is open")

	// Those of the logs end soon: others take their place.
	site.Tenant.World.Freeze()
	site.Clock.Skip(5 * time.Hour)
	go func() {
		for range notified { // nobody else listens
		}
	}()
	_, err = session.Subscribe(t.Context(), hook)
	require.NoError(t, err)
}
