package e2e

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	pq "github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"weir/internal/clickhousetest"
	"weir/internal/shareddata"
	"weir/sinks/parquet"
)

// The same file under a second trail's name, a second run, a new file under an
// old day: exactly what is new arrives.
func TestRunsAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first := s.addFile(500)
	s.addFile(300)
	second := filepath.Join(s.logs, "second", filepath.FromSlash(key(0)))
	require.NoError(t, os.MkdirAll(filepath.Dir(second), 0o755))
	b, err := os.ReadFile(first)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(second, b, 0o644))
	// Above AWSLogs, so that both trails are found.
	o := s.clean()
	s.check()
	require.Contains(t, o.stdout, " 800  500 ", "rows and duplicates: "+o.stdout)
	o = s.clean()
	s.check()
	require.Contains(t, o.stdout, " 0  0 ")
	s.addFile(11)
	s.clean()
	s.check()
}

// Bad files are parked with their reason, the rest goes on, and a mended file is
// taken up.
func TestBadFilesAreParked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addFile(400)
	cut := s.addFile(1500)
	whole, err := os.ReadFile(cut)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cut, whole[:len(whole)/2], 0o644))
	folder := filepath.Dir(cut)
	writeGzip(t, filepath.Join(folder, "foreign.json.gz"), `{"hello":"world"}`)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "text.json"), []byte("no JSON at all"), 0o644))
	writeGzip(t, filepath.Join(folder, "row.json.gz"), `{"Records":[{"eventVersion":"1.08","eventTime":"2026-10-01T00:00:00Z"}]}`)
	writeGzip(t, filepath.Join(folder, "rows.json.gz"), `{"Records":[`+strings.Repeat(`{"a":1},`, 30_000)+`{}]}`)
	digest := filepath.Join(s.logs, "AWSLogs", account, "CloudTrail-Digest", "us-east-1", "2026", "10", "01", "d.json.gz")
	writeGzip(t, digest, `{"digestVersion":1}`)

	o := s.run("")
	require.Zero(t, o.code, o.stderr)
	list := s.deadletters()
	require.Contains(t, list, "more than 10000 of its records cannot be mapped")
	require.Contains(t, list, "it is cut short after record")
	require.Contains(t, list, `no "Records" in it`)
	require.Contains(t, list, "the record has no eventID")
	require.NotContains(t, list, "Digest")

	require.NoError(t, os.WriteFile(cut, whole, 0o644))
	s.clean()
	s.check()
}

func (s *site) deadletters() string {
	out, err := s.command(nil, "deadletter", "list", "--limit", "20000", "-c", s.config()).CombinedOutput()
	require.NoError(s.t, err, string(out))
	return string(out)
}

// A state restored from an older copy, a second agent, a sink of another state:
// refused, in words, and nothing is harmed.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addFile(300)
	s.clean()
	copied := s.data() + ".copy"
	copyTree(t, s.data(), copied)
	s.addFile(300)
	s.clean()
	newest := s.data() + ".newest"
	copyTree(t, s.data(), newest)

	copyTree(t, copied, s.data())
	o := s.run("")
	require.Equal(t, 1, o.code)
	require.Contains(t, o.stderr, "this state is older than the sink")
	copyTree(t, newest, s.data())
	s.clean()
	s.check()

	require.NoError(t, os.Rename(s.data(), newest+"2"))
	o = s.run("")
	require.Equal(t, 1, o.code)
	require.Contains(t, o.stderr, "another agent writes this sink")
	require.NoError(t, os.RemoveAll(s.data()))
	require.NoError(t, os.Rename(newest+"2", s.data()))

	running := s.command(nil, "run", "-c", s.config())
	log, err := os.Create(filepath.Join(s.dir, "log"))
	require.NoError(t, err)
	defer log.Close()
	running.Stderr = log
	require.NoError(t, running.Start())
	defer func() { _ = running.Process.Kill() }()
	require.Eventually(t, func() bool {
		b, err := os.ReadFile(log.Name())
		return err == nil && strings.Contains(string(b), "weir starts")
	}, 30*time.Second, 20*time.Millisecond)
	o = s.run("")
	require.Equal(t, 1, o.code)
	require.Contains(t, o.stderr, "is in use by another agent")
	require.NoError(t, running.Process.Signal(syscall.SIGTERM))
	require.NoError(t, running.Wait())
	s.clean()
	s.check()

	// A sink is taken away while it is owed something.
	s.extra = "  drain_timeout: 1s\n"
	s.addFile(100)
	require.Equal(t, 1, s.run("part.rename=error@1+").code)
	cfg, err := os.ReadFile(s.config())
	require.NoError(t, err)
	other := filepath.Join(s.dir, "other.yaml")
	require.NoError(t, os.WriteFile(other, bytes.Replace(cfg, []byte("  lake:"), []byte("  other:"), 1), 0o600))
	out, err := s.command(nil, "run", "--once", "-c", other).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), `sink "lake" has`)
	s.extra = ""
	s.clean()
	s.check()
}

// Following the marks while the agent runs shows every part once, whole, in
// order; new files are collected as they come.
func TestFollowMarksWhileRunning(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addFile(200)
	config := s.config()
	b, err := os.ReadFile(config)
	require.NoError(t, err)
	b = bytes.Replace(b, []byte("target_size: 1MiB"), []byte("target_size: 1MiB, max_delay: 100ms, late_delay: 200ms"), 1)
	b = append(b, []byte("    streams: {activities: {every: 1s}}\n")...)
	b = bytes.Replace(b, []byte("settle: 0s"), []byte("settle: 0s, sweep_every: 1m"), 1)
	require.NoError(t, os.WriteFile(config, b, 0o600))
	agent := s.command(nil, "run", "-c", config)
	var log bytes.Buffer
	agent.Stderr = &log
	require.NoError(t, agent.Start())
	defer func() { _ = agent.Process.Kill() }()
	seen, order := map[string]int64{}, []string{}
	var rows int64
	today := 0
	require.Eventually(t, func() bool {
		if today < 4 && rows >= int64(len(s.truth)) {
			s.addToday(today, 150)
			today++
		}
		marks, err := parquet.ReadMarks(s.lake(), "activities")
		require.NoError(t, err)
		for i, m := range marks {
			if i < len(order) {
				require.Equal(t, order[i], m.Part, "the order changed")
				continue
			}
			order = append(order, m.Part)
			for _, f := range m.Files {
				got, err := pq.ReadFile[lakeRow](filepath.Join(s.lake(), f.Path))
				require.NoError(t, err, "a marked file is whole")
				require.Len(t, got, int(f.Rows))
				for _, r := range got {
					require.NotContains(t, seen, r.EventID)
					seen[strings.Clone(r.EventID)] = 1
				}
				rows += f.Rows
			}
		}
		return today == 4 && rows == int64(len(s.truth))
	}, 60*time.Second, 50*time.Millisecond, "%s", &log)
	require.NoError(t, agent.Process.Signal(syscall.SIGTERM))
	require.NoError(t, agent.Wait(), log.String())
	s.check()
}

// addToday writes a file as a trail delivers it now.
func (s *site) addToday(n, records int) {
	name := s.addFile(records)
	now := time.Now().UTC()
	to := filepath.Join(s.logs, "AWSLogs", account, "CloudTrail", "us-east-1", now.Format("2006/01/02"),
		account+"_CloudTrail_us-east-1_"+now.Format("20060102T1504")+"Z_today"+strings.Repeat("x", n)+".json.gz")
	require.NoError(s.t, os.MkdirAll(filepath.Dir(to), 0o755))
	require.NoError(s.t, os.Rename(name, to))
}

// Health and metrics of a running agent.
func TestHealth(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addFile(50)
	config := s.config()
	b, err := os.ReadFile(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(config, bytes.Replace(b, []byte(`listen: ""`), []byte("listen: 127.0.0.1:18489"), 1), 0o600))
	agent := s.command(nil, "run", "-c", config)
	require.NoError(t, agent.Start())
	defer func() { _ = agent.Process.Kill() }()
	get := func(path string) (int, string) {
		resp, err := http.Get("http://127.0.0.1:18489" + path)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		_, err = b.ReadFrom(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, b.String()
	}
	require.Eventually(t, func() bool {
		code, _ := get("/readyz")
		_, metrics := get("/metrics")
		return code == 200 && strings.Contains(metrics, `weir_rows_total{instance="trail",stream="activities"} 50`) &&
			strings.Contains(metrics, "weir_lag_seconds") // set at the end of a round
	}, 30*time.Second, 50*time.Millisecond)
	code, body := get("/healthz")
	require.Equal(t, 200, code)
	require.Equal(t, "ok\n", body)
	_, metrics := get("/metrics")
	for _, name := range []string{"weir_lag_seconds", "weir_spool_bytes", "weir_sink_up", "weir_received_bytes_total"} {
		require.Contains(t, metrics, name)
	}
	require.NoError(t, agent.Process.Signal(syscall.SIGTERM))
	require.NoError(t, agent.Wait())
}

// The real logs, into both sinks; ClickHouse reads the Parquet and agrees.
func TestRealLogs(t *testing.T) {
	dir := shareddata.Dir(t, "cloudtrail")
	s := newSite(t)
	s.clickhouse = clickhousetest.Start(t)
	require.NoError(t, os.CopyFS(s.logs, os.DirFS(dir)))
	s.loadTruth()
	require.Len(t, s.truth, 2900)

	// One file once more, under a second trail's name.
	var one string
	require.NoError(t, filepath.WalkDir(s.logs, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			one = p
		}
		return err
	}))
	b, err := os.ReadFile(one)
	require.NoError(t, err)
	rel, err := filepath.Rel(s.logs, one)
	require.NoError(t, err)
	twin := filepath.Join(s.logs, "second-trail", rel)
	require.NoError(t, os.MkdirAll(filepath.Dir(twin), 0o755))
	require.NoError(t, os.WriteFile(twin, b, 0o644))

	s.clean()
	s.check()
	s.clean()
	s.check()
	lake := "file('" + s.lake() + "/activities/*/*/*.parquet', Parquet)"
	columns := "event_id, time, actor_id, action, src_ip, mfa, target_ids, target_count, raw"
	for _, q := range []string{
		"SELECT count(), sum(cityHash64(" + columns + ")) FROM %s",
		"SELECT service, outcome, count() FROM %s GROUP BY 1, 2 ORDER BY 1, 2",
	} {
		require.Equal(t, s.clickhouse.Query(t, strings.Replace(q, "%s", "weir.activities", 1)), s.clickhouse.Query(t, strings.Replace(q, "%s", lake, 1)), q)
	}
	require.Equal(t, "2900\t2900\t2900", s.clickhouse.Query(t, "SELECT count(), uniqExact(event_id), countIf(actor_id != '' OR actor_name != '') FROM weir.activities"))
	require.Equal(t, "1", s.clickhouse.Query(t, "SELECT min(ok) FROM (SELECT (src_ip = '') != (src_host = '') AS ok FROM weir.activities)"))
}

// loadTruth takes the records of the log files as they are.
func (s *site) loadTruth() {
	out, err := exec.Command("sh", "-c", "find '"+s.logs+"' -name '*.gz' | sort").Output()
	require.NoError(s.t, err)
	for _, f := range strings.Fields(string(out)) {
		for id, raw := range recordsOf(s.t, f) {
			s.truth[id] = raw
		}
	}
}
