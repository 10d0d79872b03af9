package okta_test

import (
	"testing"

	sandboxokta "weir/internal/sandbox/okta"
	"weir/internal/sourcetest"
	"weir/sources/okta"
)

func fixture() sourcetest.Fixture {
	return sourcetest.Fixture{
		Connector: okta.Connector,
		Vendor:    sandboxokta.Vendor(),
		Config:    "grants: {per_user: true}",
		Scopes: map[string][]string{
			"activities": {"okta.logs.read"},
			"groups":     {"okta.groups.read"},
			"privileges": {"okta.roles.read"},
		},
		Secrets: []string{sandboxokta.TokenValid},
	}
}

func TestSuite(t *testing.T) { sourcetest.Run(t, fixture()) }
