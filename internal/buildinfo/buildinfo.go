// Package buildinfo says which Weir this is.
package buildinfo

import "runtime/debug"

var version string // set by the linker

// Version is the release, else the module's version, else "dev".
func Version() string {
	if version != "" {
		return version
	}
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" && bi.Main.Version != "(devel)" {
		return bi.Main.Version
	}
	return "dev"
}
