package googleworkspace_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/rowtest"
	"weir/internal/sourcetest"
	"weir/schemas"
	"weir/sources"
	"weir/sources/googleworkspace"
)

// What is written with the session's credentials is known in the rows that are
// collected of the log, and nobody else's is.
func TestOwnWritesInTheLog(t *testing.T) {
	t.Parallel()
	f := fixture()
	var off []string
	for _, s := range googleworkspace.Connector.Streams {
		if s.Name != "activities" {
			off = append(off, s.Name+": {enabled: false}")
		}
	}
	f.Config += "\nstreams: {" + strings.Join(off, ", ") + "}"
	site := f.NewSite(t, sourcetest.SiteOptions{People: 20})
	session := site.Session().(sources.Governor)
	trace, err := session.(sources.Tracer).Trace(t.Context())
	require.NoError(t, err)
	who := plainAccounts("active")(site.Truth())[0]
	r := sources.ActionRequest{ID: "a1", Action: sources.SuspendUser, Kind: sources.TargetAccount, Target: who.ID}
	p, err := session.Plan(t.Context(), r)
	require.NoError(t, err)
	own := func() (words []string) {
		for _, row := range site.Log("lake", schemas.TableActivities) {
			text := func(column string) string { return fmt.Sprint(row[column]) }
			a := schemas.Activity{Action: text("action"), Access: text("access"), Outcome: text("outcome"), ActorID: text("actor_id"), ActorName: text("actor_name"), ClientAppID: text("client_app_id")}
			if trace.Own(&a) {
				words = append(words, a.Action+" "+targets(row))
			}
		}
		return words
	}
	site.Once()
	require.Empty(t, own())
	_, err = session.Do(t.Context(), p.Steps[0])
	require.NoError(t, err)
	site.Clock.Skip(logLag)
	site.Once()
	require.Equal(t, []string{"SUSPEND_USER " + p.Target.Name}, own())
}

func targets(row rowtest.Row) string { return fmt.Sprint(row["target_name"]) }
