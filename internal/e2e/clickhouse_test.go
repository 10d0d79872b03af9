package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/clickhousetest"
)

// ClickHouse is down at the start and dies in the middle: Parquet is complete
// meanwhile, ClickHouse at the end.
func TestClickHouseComesAndGoes(t *testing.T) {
	s := newSite(t)
	s.clickhouse = clickhousetest.Start(t)
	s.clickhouse.Kill()
	s.extra = "  drain_timeout: 2s\n"
	s.addFile(1200)
	s.addFile(800)
	o := s.run("")
	require.Equal(t, 1, o.code, o.stderr)
	require.Contains(t, o.stderr, "sink warehouse: 2")
	s.checkLakeRows()

	s.clickhouse.Restart(t)
	s.clean()
	s.check()

	s.extra = ""
	config := s.config()
	b, err := os.ReadFile(config)
	require.NoError(t, err)
	b = append(b, []byte("    streams: {activities: {every: 1s}}\n")...)
	b = bytes.ReplaceAll(b, []byte("target_size: 1MiB"), []byte("target_size: 1MiB, max_delay: 50ms, late_delay: 50ms"))
	require.NoError(t, os.WriteFile(config, b, 0o600))
	agent := s.command(nil, "run", "-c", config)
	var log bytes.Buffer
	agent.Stderr = &log
	require.NoError(t, agent.Start())
	defer func() { _ = agent.Process.Kill() }()
	for i := range 6 {
		s.addToday(i, 900)
		if i == 2 {
			s.clickhouse.Kill()
		}
		if i == 4 {
			s.clickhouse.Restart(t)
		}
		want := len(s.truth)
		require.Eventually(t, func() bool { return s.lakeRows() == want }, 30*time.Second, 50*time.Millisecond, "Parquet waits for ClickHouse: %s", &log)
	}
	require.Eventually(t, func() bool {
		return s.clickhouse.Query(t, "SELECT uniqExact(event_id) >= "+itoa(len(s.truth))+" FROM weir.activities") == "1"
	}, 60*time.Second, 100*time.Millisecond, "%s", &log)
	require.NoError(t, agent.Process.Signal(syscall.SIGTERM))
	require.NoError(t, agent.Wait(), log.String())
	s.check()
}

// A server, or something before it, that lies or falls silent.
func TestClickHouseMisbehaves(t *testing.T) {
	faults := map[string]func(forward func(io.Reader) (*http.Response, []byte), w http.ResponseWriter, r *http.Request){
		"answers 200, stores nothing": func(_ func(io.Reader) (*http.Response, []byte), w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(200)
		},
		"claims the rows, stores nothing": func(_ func(io.Reader) (*http.Response, []byte), w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("X-ClickHouse-Summary", `{"written_rows":"700"}`)
			w.WriteHeader(200)
		},
		"stores, then cuts the answer": func(forward func(io.Reader) (*http.Response, []byte), w http.ResponseWriter, r *http.Request) {
			forward(r.Body)
			panic(http.ErrAbortHandler)
		},
		"stores, then answers too late": func(forward func(io.Reader) (*http.Response, []byte), w http.ResponseWriter, r *http.Request) {
			forward(r.Body)
			select {
			case <-r.Context().Done():
			case <-time.After(10 * time.Second):
			}
		},
		"takes half the body": func(forward func(io.Reader) (*http.Response, []byte), w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			forward(io.MultiReader(bytes.NewReader(b[:len(b)/2]), failing{}))
			panic(http.ErrAbortHandler)
		},
		"says 500, has stored": func(forward func(io.Reader) (*http.Response, []byte), w http.ResponseWriter, r *http.Request) {
			forward(r.Body)
			http.Error(w, "Code: 999. the proxy is confused", 500)
		},
	}
	server := clickhousetest.Start(t)
	n := 0
	for name, fault := range faults {
		n++
		db := "lies_" + itoa(n)
		t.Run(name, func(t *testing.T) {
			var inserts atomic.Int64
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				forward := func(body io.Reader) (*http.Response, []byte) {
					req, err := http.NewRequest(r.Method, server.URL()+r.URL.RequestURI(), body)
					if err != nil {
						return nil, nil
					}
					req.Header = r.Header.Clone()
					resp, err := http.DefaultTransport.RoundTrip(req)
					if err != nil {
						return nil, nil
					}
					defer resp.Body.Close()
					b, _ := io.ReadAll(resp.Body)
					return resp, b
				}
				isInsert := strings.HasPrefix(r.URL.Query().Get("query"), "INSERT INTO `"+db+"`.`activities`")
				if isInsert && inserts.Add(1)%2 == 1 && inserts.Load() < 8 {
					fault(forward, w, r)
					return
				}
				resp, b := forward(r.Body)
				if resp == nil {
					panic(http.ErrAbortHandler)
				}
				for k, v := range resp.Header {
					if k != "Content-Length" {
						w.Header()[k] = v
					}
				}
				w.WriteHeader(resp.StatusCode)
				_, _ = w.Write(b)
			}))
			defer proxy.Close()
			s := newSite(t)
			s.clickhouse, s.chURL, s.database = server, proxy.URL, db
			s.extra = "  drain_timeout: 60s\n"
			for range 4 {
				s.addFile(700)
			}
			s.clean()
			s.check()
			require.GreaterOrEqual(t, inserts.Load(), int64(3), "the fault was not met")
		})
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
