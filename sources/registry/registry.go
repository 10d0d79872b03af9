// Package registry lists every connector, one line each.
package registry

import (
	"weir/sources"
	"weir/sources/aws"
	"weir/sources/github"
	"weir/sources/googleworkspace"
	"weir/sources/microsoft365"
	"weir/sources/okta"
)

// All are the connectors of this build, in alphabetical order.
var All = []*sources.Connector{
	aws.Connector,
	github.Connector,
	googleworkspace.Connector,
	microsoft365.Connector,
	okta.Connector,
}
