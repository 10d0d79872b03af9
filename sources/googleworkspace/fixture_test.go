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
			"files":      {scopes + "drive.metadata.readonly"},

			"files/shared_drives": {scopes + "drive.readonly"},
			"activities":          {scopes + "admin.reports.audit.readonly"},
		},
		Unjoined: map[string]string{
			"actor account":  "a service account of Google Cloud acts by its address, and is in no directory",
			"app app":        "Drive names an app by the number of its project, and Google's own apps have no tokens",
			"target account": "somebody outside with whom a file was shared has no account here",
			"target app":     "Google's own services (Drive and Docs) have no tokens",
		},
		Lists:  []string{"users", "groups", "members", "items", "files", "drives", "changes", "permissions"},
		Recent: "activities: {since: 1h}",
		Words:  []string{"displayText", "name", "fullName"},
	}
}
