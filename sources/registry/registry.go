// Package registry lists every connector, one line each.
package registry

import (
	"weir/sources"
	"weir/sources/aws"
	"weir/sources/github"
)

// All are the connectors of this build, in alphabetical order.
var All = []*sources.Connector{
	aws.Connector,
	github.Connector,
}
