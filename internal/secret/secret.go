// Package secret holds configuration values that must not be seen: references
// that are resolved when used, so that a rotated file is picked up at once.
package secret

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
)

// maxFile bounds a secret read from a file, in bytes.
const maxFile = 64 << 10

// Secret is "${env:NAME}", "${file:/path}" or, discouraged, the value itself.
// It prints, logs and marshals as ***.
type Secret struct{ ref string }

// New takes a reference or a literal as it stands in the configuration.
func New(ref string) Secret { return Secret{ref} }

// IsZero reports whether nothing was configured.
func (s Secret) IsZero() bool { return s.ref == "" }

// IsLiteral reports whether the value itself stands in the configuration.
func (s Secret) IsLiteral() bool { return s.ref != "" && !IsReference(s.ref) }

// File returns the path of "${file:/path}"; "" of others.
func (s Secret) File() string {
	if m := reference.FindStringSubmatch(s.ref); m != nil {
		return m[2]
	}
	return ""
}

// Value resolves the reference, afresh at each call. A trailing line break of
// a file is not part of the value.
func (s Secret) Value() (string, error) {
	if !strings.Contains(s.ref, "${") {
		return s.ref, nil
	}
	return Expand(s.ref, os.LookupEnv)
}

func (Secret) String() string               { return "***" }
func (Secret) GoString() string             { return "***" }
func (Secret) LogValue() slog.Value         { return slog.StringValue("***") }
func (Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

var reference = regexp.MustCompile(`^\$\{(?:env:([A-Za-z_][A-Za-z0-9_]*)|file:(/[^{}\x00-\x1f]+))\}$`)

// IsReference reports whether s is, as a whole, one ${env:NAME} or one
// ${file:/path}.
func IsReference(s string) bool { return reference.MatchString(s) }

// Expand resolves one reference; lookup is os.LookupEnv or the like. Its errors
// name the reference, never a value.
func Expand(ref string, lookup func(string) (string, bool)) (string, error) {
	m := reference.FindStringSubmatch(ref)
	switch {
	case m == nil:
		return "", errors.New("want ${env:NAME} or ${file:/path}") // what stands there may be a secret
	case m[1] != "":
		v, ok := lookup(m[1])
		if !ok {
			return "", fmt.Errorf("%s: environment variable %s is not set", ref, m[1])
		}
		return v, nil
	}
	v, err := readFile(m[2])
	if err != nil {
		return "", fmt.Errorf("%s: %w", ref, err)
	}
	return v, nil
}

func readFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxFile {
		return "", fmt.Errorf("file is larger than %d bytes", maxFile)
	}
	v := strings.TrimRight(string(b), "\r\n")
	if v == "" {
		return "", errors.New("file is empty") // being rewritten, perhaps
	}
	return v, nil
}
