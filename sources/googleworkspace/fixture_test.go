package googleworkspace_test

import (
	sandboxgoogle "weir/internal/sandbox/googleworkspace"
	"weir/internal/sourcetest"
	"weir/sources/googleworkspace"
)

func fixture() sourcetest.Fixture {
	return sourcetest.Fixture{Connector: googleworkspace.Connector, Vendor: sandboxgoogle.Vendor()}
}
