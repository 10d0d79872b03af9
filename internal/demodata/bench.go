package demodata

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
)

// BenchFiles and BenchRecords are the set that benchmarks measure: 200,000
// records, 252 MB of JSON.
const (
	BenchFiles   = 100
	BenchRecords = 2000 // per file
)

// benchDay is the day of the first file.
var benchDay = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// WriteBench makes an organization trail's log files below dir, for
// benchmarks, and returns the bytes of JSON in them. Their records are those of
// ordinary days; in number, size, variety and compressibility they are like
// real ones.
func WriteBench(dir string, files, recordsPerFile int, seed uint64) (jsonBytes int64, err error) {
	sizes := make([]int64, files)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for n := range files {
		group.Go(func() error {
			g := newGenerator(rand.NewPCG(seed, uint64(n)+2))
			account, region := accounts[n%len(accounts)], regions[n/len(accounts)%len(regions)]
			from := benchDay.Add(time.Duration(n) * time.Hour)
			events := g.quietAt(from, from.Add(time.Hour), recordsPerFile, account, region)
			for i := range events {
				events[i].account = account
			}
			data := encodeFile(events)
			sizes[n] = int64(len(data))
			p := filepath.Join(dir, filepath.FromSlash(g.logFile(Organization+"/", account, "CloudTrail", region, from.Add(65*time.Minute)))+".gz")
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				return fmt.Errorf("making benchmark files: %w", err)
			}
			if err := os.WriteFile(p, compress(data), 0o644); err != nil {
				return fmt.Errorf("making benchmark files: %w", err)
			}
			return nil
		})
	}
	err = group.Wait()
	for _, s := range sizes {
		jsonBytes += s
	}
	return jsonBytes, err
}
