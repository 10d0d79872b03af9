// Weir collects what happens in SaaS and cloud apps and delivers it, exactly
// once, to Parquet and ClickHouse.
package main

import (
	"os"

	"weir/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
