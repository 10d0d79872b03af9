// Command configgen writes what is derived from the declared settings and
// connectors: the example configuration, its JSON Schema, the reference in the
// docs, a page for each connector and the matrix of what they can do. Its
// argument is the repository's folder, "." without one.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"weir/configs"
	"weir/sinks"
	sinkregistry "weir/sinks/registry"
	"weir/sources"
	sourceregistry "weir/sources/registry"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	if err := generate(root); err != nil {
		fmt.Fprintln(os.Stderr, "configgen:", err)
		os.Exit(1)
	}
}

func generate(root string) error {
	for _, f := range []struct {
		name  string
		write func(io.Writer, []*sources.Connector, []*sinks.Driver) error
	}{
		{"configs/weir.example.yaml", configs.WriteExample},
		{"configs/weir.schema.json", configs.WriteJSONSchema},
		{"docs/configuration.md", configs.WriteMarkdown},
	} {
		name := filepath.Join(root, filepath.FromSlash(f.name))
		var b bytes.Buffer
		if err := f.write(&b, sourceregistry.All, sinkregistry.All); err != nil {
			return err
		}
		if err := write(name, b.Bytes()); err != nil {
			return err
		}
	}
	for _, c := range sourceregistry.All {
		page, err := connectorPage(c)
		if err != nil {
			return err
		}
		if err := write(filepath.Join(root, "docs", "connectors", c.App+".md"), page); err != nil {
			return err
		}
	}
	return write(filepath.Join(root, "docs", "connectors", "README.md"), matrix(sourceregistry.All))
}

// write writes a generated file; a page of Markdown keeps what stands outside
// its marks.
func write(name string, content []byte) error {
	if filepath.Ext(name) == ".md" {
		page, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if content, err = configs.Splice(page, content); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return os.WriteFile(name, content, 0o644)
}
