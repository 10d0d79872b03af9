// Package clickhousetest runs a real ClickHouse for tests. `make clickhouse`
// installs it.
package clickhousetest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Server is a ClickHouse server on loopback. Its user default has no password.
type Server struct {
	HTTP, TCP int // ports

	bin, lib, dir string
	mu            sync.Mutex
	cmd           *exec.Cmd
	log           bytes.Buffer
}

// Library returns the path of the engine, or skips the test where it is not
// installed. With WEIR_REQUIRE_CLICKHOUSE=1 the test fails instead.
func Library(t testing.TB) string {
	t.Helper()
	_, self, _, _ := runtime.Caller(0)
	v, err := os.ReadFile(filepath.Join(filepath.Dir(self), "..", "clickhouseserver", "VERSION"))
	require.NoError(t, err)
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	lib := filepath.Join(cache, "weir", "clickhouse", strings.TrimSpace(string(v)), "libchdb.so")
	if _, err := os.Stat(lib); err != nil {
		if os.Getenv("WEIR_REQUIRE_CLICKHOUSE") == "1" {
			t.Fatalf("ClickHouse is required and not installed (make clickhouse): %v", err)
		}
		t.Skipf("ClickHouse is not installed (make clickhouse): %v", err)
	}
	return lib
}

var (
	buildOnce sync.Once
	builtBin  string
	buildErr  error
)

func build(t testing.TB) string {
	buildOnce.Do(func() {
		dir, err := os.MkdirTemp("", "clickhouseserver")
		if err != nil {
			buildErr = err
			return
		}
		builtBin = filepath.Join(dir, "clickhouseserver")
		cmd := exec.Command("go", "build", "-o", builtBin, "weir/internal/clickhouseserver")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			buildErr = fmt.Errorf("%w: %s", err, out)
		}
	})
	require.NoError(t, buildErr)
	return builtBin
}

// Start runs a server with an empty data directory and a database "weir". It is
// killed when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	return start(t, func(string) {})
}

// StartWithUsers is Start with further users, without passwords, each with what
// it is granted: "GRANT SELECT ON weir.t", without TO.
func StartWithUsers(t testing.TB, grants map[string][]string) *Server {
	t.Helper()
	const any = "<password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>"
	var b strings.Builder
	b.WriteString("<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default>" + any + "</default>")
	for user, queries := range grants {
		fmt.Fprintf(&b, "<%s>%s<grants>", user, any)
		for _, q := range queries {
			fmt.Fprintf(&b, "<query>%s</query>", q)
		}
		fmt.Fprintf(&b, "</grants></%s>", user)
	}
	b.WriteString("</users></clickhouse>")
	return start(t, func(dir string) {
		users := filepath.Join(dir, "users.xml")
		require.NoError(t, os.WriteFile(users, []byte(b.String()), 0o600))
		config := "<clickhouse><users_config>" + users + "</users_config></clickhouse>"
		require.NoError(t, os.WriteFile(filepath.Join(dir, "config.xml"), []byte(config), 0o600))
	})
}

func start(t testing.TB, prepare func(dir string)) *Server {
	t.Helper()
	s := &Server{lib: Library(t), bin: build(t), dir: t.TempDir(), HTTP: freePort(t), TCP: freePort(t)}
	prepare(s.dir)
	t.Cleanup(s.Kill)
	s.Restart(t)
	s.Query(t, "CREATE DATABASE IF NOT EXISTS weir")
	return s
}

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// URL is the server's HTTP address.
func (s *Server) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", s.HTTP) }

// Kill ends the server as a crash would.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// Restart starts the server on the data it had, and waits until it answers.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill()
	s.mu.Lock()
	s.log.Reset()
	s.cmd = exec.Command(s.bin, "--lib", s.lib, "--path", s.dir, "--http", fmt.Sprint(s.HTTP), "--tcp", fmt.Sprint(s.TCP))
	s.cmd.Dir = s.dir
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// The parent of Pdeathsig is the thread.
	runtime.LockOSThread()
	err := s.cmd.Start()
	runtime.UnlockOSThread()
	s.mu.Unlock()
	require.NoError(t, err)
	deadline := time.Now().Add(60 * time.Second)
	for {
		if _, err := s.query("SELECT 1"); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("ClickHouse does not answer: %s", s.log.String())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Query runs a statement and returns the answer without its last line break.
func (s *Server) Query(t testing.TB, sql string) string {
	t.Helper()
	out, err := s.query(sql)
	require.NoError(t, err, sql)
	return out
}

func (s *Server) query(sql string) (string, error) {
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}} // leaves no goroutine
	resp, err := client.Post(s.URL()+"/?wait_end_of_query=1", "text/plain", strings.NewReader(sql))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %d: %s", resp.StatusCode, b)
	}
	return strings.TrimSuffix(string(b), "\n"), err
}
