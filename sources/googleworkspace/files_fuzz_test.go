package googleworkspace

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

var fileWho = &whose{
	people:  &people{accounts: map[string]string{anaMail: ana}, groups: map[string]string{"team@example.com": team}},
	domains: domains{"example.com": true},
}

// The sheet's own sample.
const sampleFile = `{"id":"1AbC","name":"plan.xlsx","mimeType":"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet","parents":["0AKr"],` +
	`"owners":[{"emailAddress":"ana@example.com","permissionId":"0934"}],"size":"18233","md5Checksum":"9e107d","createdTime":"2026-03-01T09:00:00.000Z",` +
	`"modifiedTime":"2026-09-30T17:20:11.000Z","trashed":false,"shared":true,"webViewLink":"https://docs.google.com/x","headRevisionId":"0B","version":"17",` +
	`"permissions":[{"id":"0934","type":"user","role":"owner","emailAddress":"ana@example.com"},{"id":"anyoneWithLink","type":"anyone","role":"reader","allowFileDiscovery":false},` +
	`{"id":"1","type":"user","role":"reader","emailAddress":"x@example.com","deleted":true},{"id":"2","type":"group","role":"reader","emailAddress":"Team@example.com","view":"published"}]}`

func TestSampleFile(t *testing.T) {
	t.Parallel()
	var w wireFile
	require.NoError(t, decode([]byte(sampleFile), &w))
	var f schemas.File
	require.Empty(t, mapFile(&f, &w, &box{id: "mydrive:" + ana, name: "My Drive"}, fileWho, "plan.xlsx", sampleFile))
	rows := &schemas.Rows{}
	widest, ok := (&permissionRows{rows: rows, rejected: func(string, string, string) { t.Fail() }}).inline(w.ID, sampleFile, fileWho)
	require.True(t, ok)
	f.Sharing = sharingWords[widest]
	rows.Files = []schemas.File{f}
	golden(t, "file_sample", tableFiles, rows)
	golden(t, "file_permission_sample", tablePermissions, rows)
}

func TestAudience(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]int{
		`{"type":"user","role":"owner","emailAddress":"ana@example.com"}`:               sharedPrivate,
		`{"type":"user","role":"reader","emailAddress":"Ben@Example.com"}`:              sharedInternal,
		`{"type":"user","role":"reader","emailAddress":"eve@else.test"}`:                sharedExternal,
		`{"type":"group","role":"reader","emailAddress":"all@else.test"}`:               sharedExternal,
		`{"type":"group","role":"organizer","emailAddress":"team@example.com"}`:         sharedInternal,
		`{"type":"domain","role":"reader","domain":"Example.com"}`:                      sharedInternal,
		`{"type":"domain","role":"reader","domain":"else.test"}`:                        sharedExternal,
		`{"type":"domain","role":"reader","domain":"03a.audience.googledomains.com"}`:   sharedInternal,
		`{"type":"anyone","role":"reader"}`:                                             sharedPublic,
		`{"type":"anyone","role":"reader","view":"published"}`:                          sharedPrivate,
		`{"type":"user","role":"reader","emailAddress":"eve@else.test","deleted":true}`: sharedPrivate,
	} {
		var p wireFilePermission
		require.NoError(t, decode([]byte(raw), &p))
		require.Equal(t, want, p.audience(fileWho), raw)
	}
	unknown := &whose{people: fileWho.people} // no right to see the domains
	require.Equal(t, sharedInternal, (&wireFilePermission{Type: typeUser, Role: "reader", Email: anaMail}).audience(unknown))
	require.Equal(t, sharedExternal, (&wireFilePermission{Type: typeUser, Role: "reader", Email: "eve@else.test"}).audience(unknown))
}

func FuzzMapFile(f *testing.F) {
	f.Add(sampleFile)
	f.Add(`{"id":"x","permissions":[{"id":"1","type":"domain"},7,null,{"id":"2","type":"anyone","permissionDetails":[{"inherited":true}]}]}`)
	f.Add(`{"permissions":{"id":"x"}}`)
	f.Fuzz(func(t *testing.T, raw string) {
		if !json.Valid([]byte(raw)) {
			return
		}
		var w wireFile
		if decode([]byte(raw), &w) != nil {
			return
		}
		var row schemas.File
		reason := mapFile(&row, &w, &box{id: "b", shared: true}, fileWho, "", raw)
		require.Equal(t, reason == "", row.FileID != "")
		rows := &schemas.Rows{}
		widest, _ := (&permissionRows{rows: rows, rejected: func(_, reason, _ string) { require.NotEmpty(t, reason) }}).inline(w.ID, raw, fileWho)
		require.NotEmpty(t, sharingWords[widest])
		for _, p := range rows.FilePermissions {
			require.NotEmpty(t, p.PermissionID)
			require.NotEmpty(t, p.GranteeKind)
		}
	})
}

func FuzzFilePlace(f *testing.F) {
	f.Add("")
	f.Add(`{"v":1,"token":"~!!~AI9","start":"8213","as":"ana@example.com","size":10,"denied":"no","end":true}`)
	f.Fuzz(func(t *testing.T, s string) {
		at, err := parseFilePlace(sources.Cursor(s))
		if err != nil {
			require.Equal(t, fault.Expired, fault.Of(err))
			return
		}
		c, err := at.cursor()
		if err != nil {
			require.Greater(t, len(s), sources.MaxCursor/7, "what was too long")
			return
		}
		again, err := parseFilePlace(c)
		require.NoError(t, err)
		if utf8.ValidString(s) && len(at.Denied) <= maxDenied {
			require.Equal(t, at, again)
		}
	})
}

func FuzzFileStep(f *testing.F) {
	f.Add(`{"op":"file.trash","as":"ana@example.com","file":"1AbCdEfGhIj"}`)
	f.Add(`{"op":"file.remove_permission","share":null}`)
	f.Fuzz(func(t *testing.T, s string) {
		a, o, err := decodeFileStep(sources.Step{Name: "x", Args: []byte(s)})
		require.Equal(t, err == nil, a != nil && o != nil)
		if err == nil {
			require.True(t, strings.HasPrefix(a.Op, fileOps))
		}
	})
}
