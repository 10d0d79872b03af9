// Command schemagen writes docs/schema.md below the directory given.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"weir/schemas"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "schemagen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: schemagen DIRECTORY")
	}
	var b bytes.Buffer
	if err := schemas.WriteMarkdown(&b); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(args[0], "docs", "schema.md"), b.Bytes(), 0o644)
}
