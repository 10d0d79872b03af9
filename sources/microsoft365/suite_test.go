package microsoft365_test

import (
	"net/http"
	"strings"
	"testing"

	sandbox365 "weir/internal/sandbox/microsoft365"
	"weir/internal/sourcetest"
	"weir/sources/microsoft365"
)

func fixture() sourcetest.Fixture {
	return sourcetest.Fixture{
		Connector: microsoft365.Connector,
		Vendor:    sandbox365.Vendor(),
		Scopes: map[string][]string{
			"groups":              {"GroupMember.Read.All"},
			"apps/delegated":      {"Directory.Read.All"},
			"privileges/eligible": {"RoleEligibilitySchedule.Read.Directory"},
			"files":               {"Sites.Read.All", "Sites.ReadWrite.All", "Sites.FullControl.All"},
		},
		Listings: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/subscriptions/content") },
		Recent:   "activities: {since: 1h}",
		Unjoined: map[string]string{
			"target account": "somebody outside who was invited to a file by mail has no account until they come",
		},
		Secrets: []string{"sandbox-secret"},
	}
}

func TestSuite(t *testing.T) { sourcetest.Run(t, fixture()) }
