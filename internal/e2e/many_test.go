package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Fifty instances, and one, in one agent, on the real clock: little memory, each up to
// date, and no rule of a vendor's broken.
func TestFiftyInstances(t *testing.T) { // alone, because it measures
	if testing.Short() {
		t.Skip("takes more than a minute")
	}
	const tenants, every = 17, 15 * time.Second // each at three vendors that are asked
	dir := t.TempDir()
	sandboxAddr, agentAddr := freeAddr(t), freeAddr(t)
	var names []string
	for i := range tenants {
		names = append(names, fmt.Sprintf("t%d", i+1))
	}
	args := []string{"sandbox", "--people", "40", "--seed", "3", "--listen", sandboxAddr, "--tenants", strings.Join(names, ",")}
	print := exec.Command(binary(t), append(args, "--print-config")...)
	print.Dir = dir
	config, err := print.Output()
	require.NoError(t, err)
	text := strings.Replace(string(config), "agent:\n", fmt.Sprintf("agent:\n  listen: %s\n  min_free: 1MB\n", agentAddr), 1)
	for _, app := range []string{"okta", "github", "aws"} {
		text = strings.ReplaceAll(text, "    app: "+app+"\n", fmt.Sprintf("    app: %s\n    streams: {activities: {every: %s}}\n", app, every))
	}
	for _, app := range []string{"google_workspace", "microsoft365"} { // which take minutes for what they keep of the past
		text = strings.ReplaceAll(text, "    app: "+app+"\n", "    app: "+app+"\n    enabled: false\n")
	}
	file := filepath.Join(dir, "weir.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))

	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command(binary(t), args...)
		cmd.Dir = dir
		log, err := os.Create(filepath.Join(dir, args[0]+".log"))
		require.NoError(t, err)
		cmd.Stdout, cmd.Stderr = log, log
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_, _ = cmd.Process.Wait()
			_ = log.Close()
		})
		return cmd
	}
	run(args...)
	get(t, "http://"+sandboxAddr+"/_sandbox/violations")
	agent := run("run", "-c", file)

	var most int64
	worst := map[string]float64{}
	begun := time.Now()
	for time.Since(begun) < 90*time.Second {
		time.Sleep(time.Second)
		most = max(most, memory(t, agent.Process.Pid))
		if time.Since(begun) < 45*time.Second {
			continue // the backlog
		}
		now := float64(time.Now().UnixMilli()) / 1000
		for name, at := range metricsOf(t, "http://"+agentAddr+"/metrics", "weir_caught_up_timestamp_seconds") {
			if strings.Contains(name, `stream="activities"`) {
				worst[name] = max(worst[name], now-at)
			}
		}
	}
	t.Logf("resident at most %d MB", most>>20)
	require.Less(t, most, int64(300<<20))
	require.Len(t, worst, 3*tenants)
	for name, lag := range worst {
		require.LessOrEqual(t, lag, 2*every.Seconds(), name)
	}
	require.Empty(t, get(t, "http://"+sandboxAddr+"/_sandbox/violations"))
}

func freeAddr(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// get waits for a server to answer.
func get(t testing.TB, url string) (body string) {
	require.Eventually(t, func() bool {
		resp, err := http.Get(url)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		body = string(b)
		return err == nil && resp.StatusCode == http.StatusOK
	}, time.Minute, 100*time.Millisecond, url)
	return body
}

// memory is a process's resident memory, in bytes.
func memory(t testing.TB, pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			require.NoError(t, err)
			return n << 10
		}
	}
	return 0
}

// metricsOf returns one metric's values by name and labels.
func metricsOf(t testing.TB, url, name string) map[string]float64 {
	out := map[string]float64{}
	scan := bufio.NewScanner(bytes.NewBufferString(get(t, url)))
	for scan.Scan() {
		if rest, ok := strings.CutPrefix(scan.Text(), name); ok {
			at := strings.LastIndex(rest, " ")
			v, err := strconv.ParseFloat(rest[at+1:], 64)
			require.NoError(t, err)
			out[rest[:at]] = v
		}
	}
	return out
}
