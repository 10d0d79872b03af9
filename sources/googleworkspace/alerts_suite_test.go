package googleworkspace_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sourcetest"
	"weir/schemas"
)

// Alerts that the configuration asks for are collected, once while they stay as
// they are. The sandbox's truth does not hold them.
func TestAlertsOfTheSandbox(t *testing.T) {
	sourcetest.NotUnderRace(t)
	f := fixture()
	site := f.NewSite(t, sourcetest.SiteOptions{People: 20, Tenant: "alerts-acme", Extra: "streams: {alerts: {enabled: true}}", History: 5 * 24 * time.Hour})
	alerts := func() map[any]int {
		out := map[any]int{}
		for _, row := range site.Log("lake", schemas.TableActivities) {
			if row["service"] == "alertcenter" {
				require.Equal(t, "alert", row["kind"])
				require.EqualValues(t, schemas.ClassDetectionFinding, row["class_uid"])
				require.NotEmpty(t, row["action"])
				require.NotEmpty(t, row["scope_id"])
				out[row["event_id"]]++
			}
		}
		return out
	}
	site.Once()
	some := alerts()
	require.NotEmpty(t, some)
	site.Clock.Skip(2 * time.Hour) // all of them are listed again
	site.Once()
	require.Equal(t, some, alerts())
}
