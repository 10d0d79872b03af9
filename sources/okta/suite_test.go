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
		// Not here: groups are a part of privileges too, API service integrations
		// of two streams, and accounts of all that is asked for each user.
		Scopes: map[string][]string{
			"activities":            {"okta.logs.read"},
			"privileges":            {"okta.roles.read"},
			"app_grants/scopes":     {"okta.appGrants.read"},
			"app_grants/api_tokens": {"okta.apiTokens.read"},
		},
		Recent:  "logs: {since: 1h}",
		Words:   []string{"eventType", "severity", "result", "reason", "displayMessage"},
		Secrets: []string{sandboxokta.TokenValid},
	}
}

func TestSuite(t *testing.T) { sourcetest.Run(t, fixture()) }
