// Command clickhouseserver runs the ClickHouse engine from libchdb.so: as a
// server on loopback, for tests, or for one query, as clickhouse-local does,
// for benchmarks. install.sh fetches the library.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

// serve keeps the process busy while the listeners work.
const serve = `SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP;
SELECT sleepEachRow(3) FROM numbers(1000000) SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0 FORMAT Null`

type params []string

func (p *params) String() string     { return strings.Join(*p, " ") }
func (p *params) Set(v string) error { *p = append(*p, v); return nil }

func main() {
	lib := flag.String("lib", "", "path of libchdb.so")
	dir := flag.String("path", "", "data directory of the server")
	http := flag.Int("http", 0, "HTTP port")
	tcp := flag.Int("tcp", 0, "port of the native protocol")
	query := flag.String("query-file", "", "run the queries in this file instead of serving")
	var ps params
	flag.Var(&ps, "param", "name=value for the queries; may be repeated")
	flag.Parse()

	args := []string{"clickhouse"}
	if *query != "" {
		sql, err := os.ReadFile(*query)
		if err != nil {
			fail(err)
		}
		for _, p := range ps {
			args = append(args, "--param_"+p)
		}
		args = append(args, "--multiquery", "--query", string(sql))
	} else {
		args = append(args, "--path="+*dir, "--listen_host=127.0.0.1", fmt.Sprintf("--tcp_port=%d", *tcp), fmt.Sprintf("--http_port=%d", *http), "--query", serve)
	}
	if _, err := os.Stdout.WriteString(run(*lib, args)); err != nil {
		fail(err)
	}
}

// run calls the library's clickhouse-local.
func run(lib string, args []string) string {
	handle, err := purego.Dlopen(lib, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		fail(err)
	}
	var queryStable func(argc int32, argv **byte) unsafe.Pointer
	purego.RegisterLibFunc(&queryStable, handle, "query_stable_v2")
	argv := make([]*byte, len(args)+1)
	for i, a := range args {
		argv[i] = unsafe.SliceData(append([]byte(a), 0))
	}
	r := (*result)(queryStable(int32(len(args)), unsafe.SliceData(argv)))
	runtime.KeepAlive(argv)
	if r == nil {
		fail(fmt.Errorf("the engine gave no result"))
	}
	if r.err != nil {
		fail(fmt.Errorf("%s", text(r.err)))
	}
	if r.buf == nil {
		return ""
	}
	return string(unsafe.Slice(r.buf, r.len))
}

// result is the library's local_result_v2.
type result struct {
	buf     *byte
	len     uintptr
	_       unsafe.Pointer
	elapsed float64
	rows    uint64
	bytes   uint64
	err     *byte
}

func text(p *byte) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "clickhouseserver:", err)
	os.Exit(1)
}
