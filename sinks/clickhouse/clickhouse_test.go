package clickhouse

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/clickhousetest"
	"weir/internal/fault"
	"weir/internal/secret"
	"weir/schemas"
	"weir/sinks"
)

var activities = schemas.ByName(schemas.TableActivities)

func config(server *clickhousetest.Server, database string) *Config {
	c := Driver.Config().(*Config)
	c.URL, c.Database, c.Timeout = server.URL(), database, 10*time.Second
	return c
}

func openSink(t testing.TB, c *Config) sinks.Sink {
	t.Helper()
	require.Empty(t, c.Validate())
	s, err := Driver.Open(t.Context(), sinks.Env{Name: "warehouse", Version: "test", Clock: clockwork.NewRealClock()}, c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// part makes a part of some batches; rows are events n..m, a day apart.
func part(t testing.TB, id string, batches, rows int) *sinks.Part {
	t.Helper()
	p := &sinks.Part{ID: id, Table: activities, SchemaVersion: schemas.Version}
	day := schemas.Time(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
	for b := range batches {
		r := &schemas.Rows{}
		for i := range rows {
			n := b*rows + i
			at := day + schemas.Time(n)*86_400_000
			r.Activities = append(r.Activities, schemas.Activity{
				EventID: fmt.Sprintf("%s-%d", id, n), Time: at, SrcIP: "192.0.2.1", TargetIDs: []string{"a", "b"}, TargetNames: []string{"", "ü"}, TargetKinds: []string{"file", "other"},
				MFA: schemas.Some(n%2 == 0), Raw: fmt.Sprintf(`{"n":%d,"text":"日本\n"}`, n),
			})
			if p.MinTime == 0 {
				p.MinTime = at
			}
			p.MaxTime = at
		}
		batchID := fmt.Sprintf("%s-batch-%d", id, b)
		e, err := schemas.NewBuilder(activities).Encode(schemas.Envelope{App: "aws", Instance: "i", ObservedAt: 1, Version: int64(1000 * (b + 1)), BatchID: batchID}, r, nil)
		require.NoError(t, err)
		p.Batches = append(p.Batches, sinks.Batch{ID: batchID, App: "aws", Instance: "i", Rows: int64(rows), MinTime: p.MinTime, MaxTime: p.MaxTime, Load: func() (schemas.Encoded, error) { return e, nil }})
		p.Rows += int64(rows)
	}
	return p
}

func commit(t testing.TB, s sinks.Sink, p *sinks.Part) (sinks.Receipt, error) {
	t.Helper()
	st, err := s.Stage(t.Context(), p)
	require.NoError(t, err)
	return st.Commit(t.Context())
}

func TestClickHouse(t *testing.T) {
	server := clickhousetest.Start(t)
	prepared := func(t *testing.T, database string) sinks.Sink {
		s := openSink(t, config(server, database))
		require.NoError(t, s.Prepare(t.Context(), schemas.Tables()))
		return s
	}

	t.Run("rows arrive unchanged, once", func(t *testing.T) {
		s := prepared(t, "plain")
		p := part(t, "p1", 3, 60) // six months of partitions
		_, err := commit(t, s, p)
		require.NoError(t, err)
		_, err = commit(t, s, p)
		require.NoError(t, err)
		require.Equal(t, "180\t180", server.Query(t, "SELECT count(), uniqExact(event_id) FROM plain.activities"))
		require.Equal(t, `{"n":7,"text":"日本\n"}`+"\t['','ü']\tfalse\t::ffff:192.0.2.1", server.Query(t, "SELECT raw, target_names, mfa, src_ip6 FROM plain.activities WHERE event_id = 'p1-7' FORMAT TSVRaw"))
		require.Equal(t, "1", server.Query(t, "SELECT countIf(mfa IS NULL) = 0 AND min(delivered_at) > now() - 100 FROM plain.activities"))
		// A new process does not know and looks first.
		r, err := commit(t, prepared(t, "plain"), p)
		require.NoError(t, err)
		require.True(t, r.Repeat)
		require.Equal(t, "180", server.Query(t, "SELECT count() FROM plain.activities"))
		require.NoError(t, s.Prepare(t.Context(), schemas.Tables()), "again")
	})

	t.Run("what is missing is inserted, what is too much is refused", func(t *testing.T) {
		s := prepared(t, "holes")
		p := part(t, "p1", 2, 50)
		_, err := commit(t, s, p)
		require.NoError(t, err)
		server.Query(t, "DELETE FROM holes.activities WHERE cityHash64(event_id) % 3 = 0")
		_, err = commit(t, prepared(t, "holes"), p)
		require.NoError(t, err)
		require.Equal(t, "100\t100", server.Query(t, "SELECT count(), uniqExact(event_id) FROM holes.activities"))
		server.Query(t, "INSERT INTO holes.activities (event_id, time, batch_id, version) SELECT 'x', '2026-01-02', 'p1-batch-0', 1")
		_, err = commit(t, prepared(t, "holes"), p)
		require.Equal(t, fault.Permanent, fault.Of(err))
		require.ErrorContains(t, err, "51 rows of batch p1-batch-0, which has 50")
	})

	t.Run("a missing column is added", func(t *testing.T) {
		s := prepared(t, "older")
		server.Query(t, "ALTER TABLE older.activities DROP COLUMN asn")
		require.NoError(t, s.Prepare(t.Context(), schemas.Tables()))
		_, err := commit(t, s, part(t, "p1", 1, 5))
		require.NoError(t, err)
		require.Equal(t, "Nullable(Int64)", server.Query(t, "SELECT type FROM system.columns WHERE database = 'older' AND table = 'activities' AND name = 'asn'"))
	})

	t.Run("tables that could do harm are refused with what to run", func(t *testing.T) {
		for name, c := range map[string]struct{ before, word string }{
			"type":     {"ALTER TABLE harm.activities MODIFY COLUMN target_count Int8", "column target_count is Int8, not Int32"},
			"nullable": {"ALTER TABLE harm.activities MODIFY COLUMN mfa Bool DEFAULT false", "column mfa is Bool, not Nullable(Bool)"},
			"window":   {"ALTER TABLE harm.activities MODIFY SETTING non_replicated_deduplication_window = 5", "a repeated one would be stored twice"},
		} {
			t.Run(name, func(t *testing.T) {
				server.Query(t, "DROP DATABASE IF EXISTS harm")
				s := prepared(t, "harm")
				server.Query(t, c.before)
				err := s.Prepare(t.Context(), schemas.Tables())
				require.Equal(t, fault.Permanent, fault.Of(err))
				require.ErrorContains(t, err, c.word)
				_, advice, ok := strings.Cut(err.Error(), "Run: ")
				require.True(t, ok, err.Error())
				server.Query(t, advice)
				require.NoError(t, s.Prepare(t.Context(), schemas.Tables()), "what it says to run helps")
			})
		}
		server.Query(t, "DROP DATABASE IF EXISTS harm")
		server.Query(t, "CREATE DATABASE harm")
		server.Query(t, "CREATE TABLE harm.activities (event_id String) ENGINE = Memory")
		require.ErrorContains(t, openSink(t, config(server, "harm")).Prepare(t.Context(), schemas.Tables()), "has the engine Memory")
	})

	t.Run("odd database names", func(t *testing.T) {
		name := "o`dd-\\ n\"a'me"
		_, err := commit(t, prepared(t, name), part(t, "p1", 1, 5))
		require.NoError(t, err)
	})

	t.Run("owners", func(t *testing.T) {
		s := prepared(t, "owned")
		none, err := s.Owner(t.Context())
		require.NoError(t, err)
		require.Equal(t, sinks.Owner{}, none)
		a := sinks.Owner{SinkID: "s", StateID: "a", Generation: 1, Heartbeat: time.Now().UTC().Truncate(time.Millisecond), Parts: 3}
		require.NoError(t, s.SetOwner(t.Context(), none, a))
		got, err := s.Owner(t.Context())
		require.NoError(t, err)
		require.True(t, got.Equal(a), "%v %v", got, a)
		b := a
		b.StateID = "b"
		require.ErrorIs(t, s.SetOwner(t.Context(), none, b), sinks.ErrOwnerChanged)
		for i := range 5 {
			next := a
			next.Parts = int64(4 + i)
			require.NoError(t, s.SetOwner(t.Context(), a, next))
			a = next
		}
		server.Query(t, "OPTIMIZE TABLE owned.weir_owner FINAL")
		require.Equal(t, "1", server.Query(t, "SELECT count() FROM owned.weir_owner"), "heartbeats do not pile up")
	})

	t.Run("https, user and password", func(t *testing.T) {
		server.Query(t, "CREATE DATABASE IF NOT EXISTS tls")
		target, err := url.Parse(server.URL())
		require.NoError(t, err)
		var mu sync.Mutex
		var users []string
		proxy := &httputil.ReverseProxy{Transport: &http.Transport{DisableKeepAlives: true}, Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			user := r.In.Header.Get("X-ClickHouse-User")
			if u, _, ok := r.In.BasicAuth(); ok {
				user = u
			}
			mu.Lock()
			users = append(users, user)
			mu.Unlock()
			for _, h := range []string{"X-ClickHouse-User", "X-ClickHouse-Key", "Authorization"} {
				r.Out.Header.Del(h)
			}
		}}
		front := httptest.NewTLSServer(proxy)
		defer front.Close()
		ca := filepath.Join(t.TempDir(), "ca.pem")
		require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600))
		t.Setenv("TEST_CH_PASSWORD", "not-to-be-seen")
		c := config(server, "tls")
		c.URL, c.Username, c.Password, c.TLS.CAFile = front.URL, "weir", secret.New("${env:TEST_CH_PASSWORD}"), ca
		s := openSink(t, c)
		// A proxy may cut a connection; what matters is that it works then.
		require.Eventually(t, func() bool { return s.Prepare(t.Context(), schemas.Tables()) == nil }, 20*time.Second, 50*time.Millisecond)
		require.Eventually(t, func() bool {
			_, err := commit(t, s, part(t, "p1", 1, 5))
			return err == nil
		}, 20*time.Second, 50*time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		for _, u := range users {
			require.Equal(t, "weir", u)
		}
		c.TLS.CAFile = ""
		err = openSink(t, c).Prepare(t.Context(), schemas.Tables())
		require.ErrorContains(t, err, "certificate")
		require.NotContains(t, err.Error(), "not-to-be-seen")
	})

	t.Run("redirects are not followed", func(t *testing.T) {
		front := httptest.NewServer(redirectTo(server.URL()))
		defer front.Close()
		c := config(server, "plain")
		c.URL = front.URL
		s := openSink(t, c)
		require.ErrorContains(t, s.Prepare(t.Context(), schemas.Tables()), "redirect")
		_, err := s.(*sink).insert(t.Context(), part(t, "p9", 1, 1))
		require.ErrorContains(t, err, "redirect")
	})

	t.Run("errors name the part and the server's words", func(t *testing.T) {
		s := prepared(t, "broken")
		server.Query(t, "DROP TABLE broken.activities")
		_, err := commit(t, s, part(t, "p1", 1, 1))
		require.ErrorContains(t, err, "part p1 of activities")
		require.NotEqual(t, fault.Permanent, fault.Of(err), "a missing table may come back")
	})
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"ftp://x", "http://", "http://user:pw@x", "http://x?database=y", "::"} {
		c := Driver.Config().(*Config)
		c.URL = u
		errs := c.Validate()
		require.Len(t, errs, 1, u)
		require.Equal(t, "url", errs[0].Key)
		require.NotContains(t, errs[0].Found, "pw")
	}
}

func redirectTo(u string) http.Handler { return http.RedirectHandler(u, http.StatusTemporaryRedirect) }
