package googleworkspace_test

import (
	"testing"

	"weir/internal/sourcetest"
)

// onlyFiles has the stream of files alone.
const onlyFiles = "streams: {accounts: {enabled: false}, groups: {enabled: false}, privileges: {enabled: false}, apps: {enabled: false}, activities: {enabled: false}}"

func TestFilesOnly(t *testing.T) {
	f := fixture()
	f.Config = onlyFiles
	f.Scopes = map[string][]string{"files": {scopes + "drive.metadata.readonly"}, "files/shared_drives": {scopes + "drive.readonly"}}
	sourcetest.Run(t, f)
}
