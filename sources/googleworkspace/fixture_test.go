package googleworkspace_test

import (
	sandboxgoogle "weir/internal/sandbox/googleworkspace"
	"weir/internal/sourcetest"
	"weir/sources/googleworkspace"
)

const scopes = "https://www.googleapis.com/auth/"

func fixture() sourcetest.Fixture {
	return sourcetest.Fixture{
		Connector: googleworkspace.Connector,
		Vendor:    sandboxgoogle.Vendor(),
		// Not here: users are a part of all that is asked for each of them.
		Scopes: map[string][]string{
			"groups":     {scopes + "admin.directory.group.readonly"},
			"privileges": {scopes + "admin.directory.rolemanagement.readonly"},
			"apps":       {scopes + "admin.directory.user.security"},
			"activities": {scopes + "admin.reports.audit.readonly"},
		},
		Lists:  []string{"users", "groups", "members", "items", "files", "drives", "changes", "permissions"},
		Recent: "activities: {since: 1h}",
		Words:  []string{"displayText", "name", "fullName"},
	}
}
