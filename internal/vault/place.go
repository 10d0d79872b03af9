package vault

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Misplaced says why a key file does not protect what is in the data directory
// from who gets hold of that; "" when it does. What does not exist yet, or
// cannot be looked at, is not judged.
func Misplaced(keyFile, dataDir string) string {
	key, err := filepath.EvalSymlinks(keyFile)
	if err != nil {
		return ""
	}
	if dir, err := filepath.EvalSymlinks(dataDir); err == nil {
		dataDir = dir
	}
	if rel, err := filepath.Rel(dataDir, key); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		return fmt.Sprintf("%s is inside data_dir %s: who copies the directory has the key to it; keep it elsewhere", keyFile, dataDir)
	}
	var st unix.Stat_t
	if unix.Stat(key, &st) != nil {
		return ""
	}
	if st.Mode&0o077 != 0 {
		return fmt.Sprintf("%s can be read by others (mode %o): chmod 600 %s", keyFile, st.Mode&0o777, keyFile)
	}
	device := st.Dev
	for dir := dataDir; ; dir = filepath.Dir(dir) { // which may not be made yet
		err := unix.Stat(dir, &st)
		if err == nil || dir == filepath.Dir(dir) || !os.IsNotExist(err) {
			if err == nil && st.Dev == device {
				return fmt.Sprintf("%s is on the same volume as data_dir %s: who gets that volume, or its snapshot, has both; keep it on another one, or have a secret manager mount it", keyFile, dataDir)
			}
			return ""
		}
	}
}
