// Command bench converts 200,000 CloudTrail records, 252 MB of JSON in 100
// gzip files, to Parquet: once with Weir, spool, state and fsync included, and
// once with the ClickHouse engine (cloudtrail.sql), and prints the ratio of
// their times. The two take turns in one run, so that both meet the same machine.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	pq "github.com/parquet-go/parquet-go"

	"weir/internal/demodata"
)

const weirConfig = `agent: {data_dir: %[1]q, min_free: 100MB, log_level: error}
sinks:
  lake: {type: parquet, path: %[2]q}
instances:
  trail:
    app: aws
    cloudtrail: {url: %[3]q, settle: 0s}
`

func main() {
	logs := flag.String("logs", "", "directory of log files to convert instead of made ones")
	rounds := flag.Int("rounds", 5, "rounds; the medians are compared")
	check := flag.String("compare", "", "only compare the results in this directory")
	flag.Parse()
	err := compare(*check)
	if *check == "" {
		err = run(*logs, *rounds)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type result struct {
	seconds, cpu float64
	rssMB        int64
}

func run(logs string, rounds int) error {
	dir, err := os.MkdirTemp("", "weir-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if logs == "" {
		logs = filepath.Join(dir, "logs")
		n, err := demodata.WriteBench(logs, demodata.BenchFiles, demodata.BenchRecords, 1)
		if err != nil {
			return err
		}
		fmt.Printf("made %d files, %d records, %d MB of JSON\n", demodata.BenchFiles, demodata.BenchFiles*demodata.BenchRecords, n/1e6)
	}
	if _, err := os.Stat("bench/cloudtrail.sql"); err != nil {
		return fmt.Errorf("run it in the repository's root: %w", err)
	}
	lib, err := output("internal/clickhouseserver/install.sh")
	if err != nil {
		return err
	}
	weir, engine := filepath.Join(dir, "weir"), filepath.Join(dir, "engine")
	for bin, pkg := range map[string]string{weir: ".", engine: "./internal/clickhouseserver"} {
		if _, err := output("go", "build", "-trimpath", "-o", bin, pkg); err != nil {
			return err
		}
	}
	var ours, theirs []result
	for i := range rounds {
		work := filepath.Join(dir, fmt.Sprint("round", i))
		if err := os.Mkdir(work, 0o700); err != nil {
			return err
		}
		a, err := timeWeir(weir, work, logs)
		if err != nil {
			return err
		}
		b, err := timeEngine(engine, lib, work, logs)
		if err != nil {
			return err
		}
		// In a process of its own: a child's peak of memory begins at its parent's.
		self, err := os.Executable()
		if err != nil {
			return err
		}
		if _, err := output(self, "-compare", work); err != nil {
			return err
		}
		fmt.Printf("round %d: weir %.2f s (%.2f s CPU, %d MB)   engine %.2f s (%.2f s CPU, %d MB)\n", i+1, a.seconds, a.cpu, a.rssMB, b.seconds, b.cpu, b.rssMB)
		ours, theirs = append(ours, a), append(theirs, b)
		if err := os.RemoveAll(work); err != nil {
			return err
		}
	}
	a, b := median(ours), median(theirs)
	most := slices.MaxFunc(ours, func(x, y result) int { return cmp.Compare(x.rssMB, y.rssMB) }).rssMB
	fmt.Printf("\nmedian: weir %.2f s, engine %.2f s, ratio %.2f; weir's memory at most %d MB\n", a, b, a/b, most)
	return nil
}

func timeWeir(bin, work, logs string) (result, error) {
	config := filepath.Join(work, "weir.yaml")
	yaml := fmt.Sprintf(weirConfig, filepath.Join(work, "data"), filepath.Join(work, "lake"), "file://"+logs)
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		return result{}, err
	}
	return timed(exec.Command(bin, "run", "--once", "-c", config), "")
}

// timeEngine includes the fsync that the engine leaves out.
func timeEngine(bin, lib, work, logs string) (result, error) {
	out := filepath.Join(work, "engine.parquet")
	cmd := exec.Command(bin, "--lib", lib, "--query-file", "bench/cloudtrail.sql", "--param", "in="+filepath.Join(logs, "**", "*.json.gz"), "--param", "out="+out)
	return timed(cmd, out)
}

func timed(cmd *exec.Cmd, sync string) (result, error) {
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	started := time.Now()
	if err := cmd.Run(); err != nil {
		return result{}, fmt.Errorf("%s: %w: %s", cmd.Path, err, log.String())
	}
	if sync != "" {
		f, err := os.OpenFile(sync, os.O_RDWR, 0)
		if err != nil {
			return result{}, err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return result{}, err
		}
	}
	r := result{seconds: time.Since(started).Seconds(), cpu: (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.rssMB = u.Maxrss >> 10
	}
	return r, nil
}

// compare checks that both wrote the same events.
func compare(work string) error {
	if work == "" {
		return nil
	}
	type row struct {
		EventID string `parquet:"event_id"`
	}
	ids := map[string]int{}
	read := func(glob string, bit int) error {
		files, err := filepath.Glob(glob)
		if err != nil {
			return err
		}
		for _, f := range files {
			rows, err := pq.ReadFile[row](f)
			if err != nil {
				return err
			}
			for _, r := range rows {
				ids[strings.Clone(r.EventID)] += bit
			}
		}
		return nil
	}
	const one, other = 1, 1 << 16
	if err := errors.Join(read(filepath.Join(work, "lake", "activities", "*", "*", "*.parquet"), one), read(filepath.Join(work, "engine.parquet"), other)); err != nil {
		return err
	}
	for id, n := range ids {
		if n != one+other {
			return fmt.Errorf("event %s is not once in both results", id)
		}
	}
	return nil
}

func median(r []result) float64 {
	s := make([]float64, len(r))
	for i, v := range r {
		s[i] = v.seconds
	}
	slices.Sort(s)
	return s[len(s)/2]
}

func output(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}
