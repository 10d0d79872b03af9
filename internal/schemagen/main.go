// Command schemagen writes docs/schema.md below the directory given.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"weir/schemas"
)

func main() {
	var b bytes.Buffer
	err := schemas.WriteMarkdown(&b)
	if err == nil {
		err = os.WriteFile(filepath.Join(os.Args[1], "docs", "schema.md"), b.Bytes(), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "schemagen:", err)
		os.Exit(1)
	}
}
