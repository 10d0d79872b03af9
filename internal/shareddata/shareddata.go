// Package shareddata finds the real audit logs that tests measure against. They
// are not part of the repository: they lie in a folder "shared" beside it.
package shareddata

import (
	"os"
	"path/filepath"
	"testing"
)

// Dir returns shared/data/<name>, or skips the test where it is not there.
func Dir(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if d := filepath.Join(dir, "shared", "data", name); isDir(d) {
			return d
		}
	}
	t.Skipf("shared/data/%s is not there: nothing to measure against", name)
	return ""
}

func isDir(p string) bool {
	info, err := os.Stat(p)
	return err == nil && info.IsDir()
}
