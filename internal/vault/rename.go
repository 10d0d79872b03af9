package vault

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// Rename gives an instance's secrets to another name: they are sealed anew,
// because a secret is bound to its instance. It returns how many there were. It
// may be repeated.
func (v *Vault) Rename(ctx context.Context, old, name string) (moved int, err error) {
	entries, err := os.ReadDir(filepath.Join(v.dir, old))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || strings.HasSuffix(e.Name(), ".tmp") {
			continue
		}
		secret, err := v.Of(old).Load(ctx, e.Name())
		if err == nil && secret != nil {
			err = v.Of(name).Save(ctx, e.Name(), secret)
		}
		if err != nil {
			return moved, err
		}
		moved++
	}
	return moved, os.RemoveAll(filepath.Join(v.dir, old))
}
