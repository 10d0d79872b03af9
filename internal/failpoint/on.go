//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

type rule struct {
	effect string
	nth    int
	always bool
}

var (
	mu    sync.Mutex
	known = declared()
	hits  = map[string]int{}
	rules = parse(os.Getenv("WEIR_FAILPOINT"))
)

func parse(s string) map[string]rule {
	out := map[string]rule{}
	for entry := range strings.SplitSeq(s, ",") {
		name, spec, ok := strings.Cut(entry, "=")
		if !ok {
			continue
		}
		effect, n, _ := strings.Cut(spec, "@")
		r := rule{effect: effect, nth: 1}
		if n, r.always = strings.CutSuffix(n, "+"); n != "" {
			v, err := strconv.Atoi(n)
			if err != nil {
				panic(fmt.Sprintf("WEIR_FAILPOINT: %q: %v", entry, err))
			}
			r.nth = v
		}
		out[name] = r
	}
	return out
}

func declared() map[string]bool {
	out := map[string]bool{}
	for _, name := range slices.Concat(All(), ofRemap, ofActions) {
		out[name] = true
	}
	return out
}

// Hit counts a pass through the named point and applies its effect, if its
// turn has come.
func Hit(name string) error {
	if !known[name] {
		panic("fail point " + name + " is not declared")
	}
	mu.Lock()
	hits[name]++
	n := hits[name]
	r, ok := rules[name]
	mu.Unlock()
	if !ok || n < r.nth || (n > r.nth && !r.always) {
		return nil
	}
	switch r.effect {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "full":
		return fmt.Errorf("failpoint %s: %w", name, syscall.ENOSPC)
	default:
		return fmt.Errorf("failpoint %s: %w", name, syscall.EIO)
	}
}
