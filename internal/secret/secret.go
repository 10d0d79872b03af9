// Package secret holds configuration values that must not be seen: references
// that are resolved when used, so that a rotated file is picked up at once.
package secret

import (
	"fmt"
	"io"
	"log/slog"
	"os"
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

// Value resolves the reference, afresh at each call. A trailing line break of
// a file is not part of the value.
func (s Secret) Value() (string, error) {
	if !IsReference(s.ref) {
		return s.ref, nil
	}
	return Expand(s.ref)
}

func (Secret) String() string               { return "***" }
func (Secret) GoString() string             { return "***" }
func (Secret) LogValue() slog.Value         { return slog.StringValue("***") }
func (Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// IsReference reports whether s is, as a whole, one ${env:} or ${file:}.
func IsReference(s string) bool {
	return (strings.HasPrefix(s, "${env:") || strings.HasPrefix(s, "${file:")) && strings.HasSuffix(s, "}")
}

// Expand resolves one reference. Its errors name the reference, never a value.
func Expand(ref string) (string, error) {
	kind, name, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(ref, "${"), "}"), ":")
	switch kind {
	case "env":
		v, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("%s: environment variable %s is not set", ref, name)
		}
		return v, nil
	case "file":
		f, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("%s: %w", ref, err)
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
		if err != nil {
			return "", fmt.Errorf("%s: %w", ref, err)
		}
		if len(b) > maxFile {
			return "", fmt.Errorf("%s: file is larger than %d bytes", ref, maxFile)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	return "", fmt.Errorf("%s: want ${env:NAME} or ${file:/path}", ref)
}
