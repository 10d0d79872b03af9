// Package all lists the vendors that the sandbox serves.
package all

import (
	"weir/internal/sandbox"
	"weir/internal/sandbox/aws"
	"weir/internal/sandbox/github"
	"weir/internal/sandbox/googleworkspace"
	"weir/internal/sandbox/microsoft365"
	"weir/internal/sandbox/okta"
)

// Vendors are in alphabetical order.
var Vendors = []sandbox.Vendor{aws.Vendor(), github.Vendor(), googleworkspace.Vendor(), microsoft365.Vendor(), okta.Vendor()}
