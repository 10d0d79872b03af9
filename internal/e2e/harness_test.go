// Package e2e tests the built binary as a user runs it: real files, a real S3
// server, a real ClickHouse, kill -9.
package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	pq "github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"weir/internal/clickhousetest"
	"weir/sinks/parquet"
)

var (
	binOnce sync.Once
	binDir  string
	errBin  error
)

// binary builds Weir once, with fail points.
func binary(t testing.TB) string {
	t.Helper()
	binOnce.Do(func() {
		if binDir, errBin = os.MkdirTemp("", "weir-e2e"); errBin != nil {
			return
		}
		cmd := exec.Command("go", "build", "-tags", "failpoint", "-o", filepath.Join(binDir, "weir"), "weir")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			errBin = fmt.Errorf("%w: %s", err, out)
		}
	})
	require.NoError(t, errBin)
	return filepath.Join(binDir, "weir")
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binDir != "" {
		_ = os.RemoveAll(binDir)
	}
	os.Exit(code)
}

// site is one installation: its configuration, and what it should deliver.
type site struct {
	t          testing.TB
	dir, logs  string
	url        string // of the log files
	clickhouse *clickhousetest.Server
	chURL      string // where Weir reaches it, a proxy perhaps
	database   string
	truth      map[string]string // raw by event id
	files      int
	extra      string // YAML lines of the agent section
}

func newSite(t testing.TB) *site {
	s := &site{t: t, dir: t.TempDir(), truth: map[string]string{}, database: "weir"}
	s.logs = filepath.Join(s.dir, "logs")
	s.url = "file://" + s.logs
	require.NoError(t, os.MkdirAll(s.logs, 0o755))
	return s
}

const account = "111111111111"

// key is the n-th file's name under a trail's folder.
func key(n int) string {
	return fmt.Sprintf("AWSLogs/%s/CloudTrail/us-east-1/2026/10/01/%s_CloudTrail_us-east-1_20261001T%02d%02dZ_%016d.json.gz", account, account, n/60, n%60, n)
}

// addFile writes one more log file of so many records.
func (s *site) addFile(records int) string {
	var out []string
	for i := range records {
		id := fmt.Sprintf("00000000-0000-4000-8000-%06d%06d", s.files, i)
		raw := fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLE%05d","arn":"arn:aws:iam::%s:user/demo-%d","accountId":"%s","userName":"demo-%d"},`+
			`"eventTime":"2026-10-01T%02d:%02d:%02dZ","eventSource":"ec2.amazonaws.com","eventName":"StopInstances","awsRegion":"us-east-1","sourceIPAddress":"192.0.2.%d","userAgent":"aws-cli/2.17",`+
			`"requestParameters":{"instanceId":"i-%017d","note":"%s"},"responseElements":null,"requestID":"r-%d","eventID":"%s","readOnly":false,"eventType":"AwsApiCall","recipientAccountId":"%s","eventCategory":"Management"}`,
			i%50, account, i%50, account, i%50, i%24, i%60, s.files%60, i%250, i, strings.Repeat(fmt.Sprintf("%x", i*2654435761), 30), i, id, account)
		out = append(out, raw)
		s.truth[id] = raw
	}
	name := filepath.Join(s.logs, filepath.FromSlash(key(s.files)))
	s.files++
	writeGzip(s.t, name, `{"Records":[`+strings.Join(out, ",")+`]}`)
	return name
}

func writeGzip(t testing.TB, name, content string) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(content))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, b.Bytes(), 0o644))
}

func (s *site) lake() string { return filepath.Join(s.dir, "lake") }
func (s *site) data() string { return filepath.Join(s.dir, "data") }

func (s *site) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "agent:\n  data_dir: %q\n  min_free: 1MB\n  listen: \"\"\n%s", s.data(), s.extra)
	if !strings.Contains(s.extra, "drain_timeout") {
		b.WriteString("  drain_timeout: 20s\n")
	}
	fmt.Fprintf(&b, "sinks:\n  lake: {type: parquet, path: %q, target_size: 1MiB}\n", s.lake())
	if s.clickhouse != nil {
		u := s.chURL
		if u == "" {
			u = s.clickhouse.URL()
		}
		fmt.Fprintf(&b, "  warehouse: {type: clickhouse, url: %q, database: %s, target_size: 1MiB, timeout: 5s}\n", u, s.database)
	}
	fmt.Fprintf(&b, "instances:\n  trail:\n    app: aws\n    cloudtrail: {url: %q, settle: 0s}\n", s.url)
	name := filepath.Join(s.dir, "weir.yaml")
	require.NoError(s.t, os.WriteFile(name, []byte(b.String()), 0o600))
	return name
}

// outcome is how a run of the binary ended.
type outcome struct {
	code           int
	killed         bool
	stdout, stderr string
}

func (s *site) command(env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(binary(s.t), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// run runs `weir run --once` with a fail point rule.
func (s *site) run(rule string, args ...string) outcome {
	s.t.Helper()
	var env []string
	if rule != "" {
		env = []string{"WEIR_FAILPOINT=" + rule}
	}
	cmd := s.command(env, append([]string{"run", "--once", "-c", s.config()}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(s.t, cmd.Start())
	timer := time.AfterFunc(40*time.Second, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) })
	err := cmd.Wait()
	timer.Stop()
	o := outcome{stdout: out.String(), stderr: errs.String(), code: cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		ws, ok := exit.Sys().(syscall.WaitStatus)
		o.killed = ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL
	}
	return o
}

// clean runs without faults, which must succeed.
func (s *site) clean() outcome {
	s.t.Helper()
	o := s.run("")
	require.Zero(s.t, o.code, o.stdout+o.stderr)
	return o
}

type lakeRow struct {
	EventID string `parquet:"event_id"`
	BatchID string `parquet:"batch_id"`
	Raw     string `parquet:"raw"`
}

// check compares both sinks with the truth: every event once, byte for byte.
func (s *site) check() {
	s.t.Helper()
	s.checkLake()
	if s.clickhouse != nil {
		s.checkClickHouse()
	}
}

func (s *site) checkLake() {
	s.t.Helper()
	seen := map[string]string{}
	files := map[string]bool{}
	require.NoError(s.t, filepath.WalkDir(filepath.Join(s.lake(), "activities"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(s.lake(), p)
		require.NoError(s.t, err)
		files[filepath.ToSlash(rel)] = true
		rows, err := pq.ReadFile[lakeRow](p)
		require.NoError(s.t, err, p)
		for _, r := range rows {
			require.NotContains(s.t, seen, r.EventID, "twice: %s", p)
			seen[strings.Clone(r.EventID)] = strings.Clone(r.Raw)
		}
		return nil
	}))
	require.Len(s.t, seen, len(s.truth))
	for id, raw := range s.truth {
		require.Equal(s.t, raw, seen[id])
	}
	marks, err := parquet.ReadMarks(s.lake(), "activities")
	require.NoError(s.t, err)
	var rows int64
	for _, m := range marks {
		for _, f := range m.Files {
			require.True(s.t, files[f.Path], "marked and not there: %s", f.Path)
			delete(files, f.Path)
			rows += f.Rows
		}
	}
	require.Empty(s.t, files, "there and not marked")
	require.EqualValues(s.t, len(s.truth), rows)
	entries, err := os.ReadDir(filepath.Join(s.data(), "spool"))
	require.NoError(s.t, err)
	require.Empty(s.t, entries, "the spool is empty once every sink has everything")
}

func (s *site) checkClickHouse() {
	s.t.Helper()
	out := s.clickhouse.Query(s.t, "SELECT event_id, raw FROM "+s.database+".activities FORMAT JSONCompactEachRow")
	seen := map[string]string{}
	d := json.NewDecoder(strings.NewReader(out))
	for {
		var row [2]string
		err := d.Decode(&row)
		if err == io.EOF {
			break
		}
		require.NoError(s.t, err)
		require.NotContains(s.t, seen, row[0], "twice in ClickHouse")
		seen[row[0]] = row[1]
	}
	require.Equal(s.t, len(s.truth), len(seen))
	for id, raw := range s.truth {
		require.Equal(s.t, raw, seen[id])
	}
}

func copyTree(t testing.TB, from, to string) {
	require.NoError(t, os.RemoveAll(to))
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
}

// recordsOf reads a log file's records, byte for byte.
func recordsOf(t testing.TB, name string) map[string]string {
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	var file struct{ Records []json.RawMessage }
	require.NoError(t, json.Unmarshal(b, &file))
	out := map[string]string{}
	for _, r := range file.Records {
		var id struct{ EventID string }
		require.NoError(t, json.Unmarshal(r, &id))
		out[id.EventID] = string(r)
	}
	return out
}

func itoa(n int) string { return strconv.Itoa(n) }

// lakeRows counts the activities that are marked in the lake.
func (s *site) lakeRows() (n int) {
	marks, err := parquet.ReadMarks(s.lake(), "activities")
	require.NoError(s.t, err)
	for _, m := range marks {
		n += int(m.Rows)
	}
	return n
}

// checkLakeRows compares the lake with the truth while another sink is behind.
func (s *site) checkLakeRows() {
	s.t.Helper()
	require.Equal(s.t, len(s.truth), s.lakeRows())
}
