package microsoft365_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/rowtest"
	"weir/internal/sandbox/org"
	"weir/internal/shareddata"
	"weir/internal/sourcetest"
	"weir/schemas"
)

// Real records, some of them in several blobs, as the sandbox replays them: each
// distinct one is collected once, with what is known of their columns.
func TestReplay(t *testing.T) {
	t.Parallel()
	sourcetest.NotUnderRace(t)
	f := fixture()
	site := f.NewSite(t, sourcetest.SiteOptions{
		People: 20, Replay: map[string]string{org.Microsoft365: shareddata.Dir(t, "o365")},
		Extra: "streams: {accounts: {enabled: false}, groups: {enabled: false}, privileges: {enabled: false}, directory_audits: {enabled: false}, " +
			"sign_ins: {enabled: false}, apps: {enabled: false}, files: {enabled: false}}",
	})
	site.Once()
	require.Empty(t, site.DeadLetters())
	rows := site.Log("lake", schemas.TableActivities)
	require.Len(t, rows, 2690)
	ids, n := map[string]bool{}, map[string]int{}
	text := func(r rowtest.Row, column string) string { return r[column].(string) }
	for _, r := range rows {
		ids[text(r, "event_id")] = true
		var record struct {
			ID     string `json:"Id"`
			UserID string `json:"UserId"`
		}
		require.NoError(t, json.Unmarshal([]byte(strings.ToValidUTF8(text(r, "raw"), "?")), &record))
		require.Equal(t, record.ID, text(r, "event_id"))
		count := func(what string, holds bool) {
			if holds {
				n[what]++
			}
		}
		count("src_ip", text(r, "src_ip") != "")
		count("actor_email of an address", strings.Contains(record.UserID, "@") && text(r, "actor_email") != "")
		count("object id", len(text(r, "actor_id")) == 36)
		count("system", strings.HasPrefix(record.UserID, "NT AUTHORITY") && text(r, "actor_kind") == "system")
		count("failed login", text(r, "action") == "UserLoginFailed" && text(r, "outcome") == "failure")
		count("change_names", len(r["change_names"].([]string)) > 0)
		count("unknown outcome", text(r, "outcome") == "unknown" && slices.Contains([]string{"SharePoint", "OneDrive", "Teams"}, text(r, "service")))
		targets := r["target_ids"].([]string)
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(targets))), len(targets), "one target an object")
	}
	require.Len(t, ids, 2690)
	t.Logf("%v", n)
	require.GreaterOrEqual(t, n["src_ip"], 642)
	require.Equal(t, 790, n["actor_email of an address"])
	require.GreaterOrEqual(t, n["object id"], 450)
	require.Equal(t, 1831, n["system"])
	require.Equal(t, 118, n["failed login"])
	require.GreaterOrEqual(t, n["change_names"], 2000)
	require.Zero(t, n["unknown outcome"])
	site.Once()
	require.Len(t, site.Log("lake", schemas.TableActivities), 2690, "and nothing the second time")
}
