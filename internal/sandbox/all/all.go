// Package all lists the vendors that the sandbox serves.
package all

import (
	"weir/internal/sandbox"
	"weir/internal/sandbox/okta"
)

// Vendors are in alphabetical order.
var Vendors = []sandbox.Vendor{
	okta.Vendor(),
}
