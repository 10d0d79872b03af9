package sourcetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/rowtest"
	"weir/schemas"
	"weir/sources"
)

// remaps makes every delivered event anew from its raw and tenant alone: the
// row must be the one that was delivered, column for column. What differs is in
// no raw, so that rows could not be made anew by a later mapping either.
func remaps(t *testing.T, f *Fixture) {
	site := f.NewSite(t, SiteOptions{People: 200})
	if f.Connector.Mapper == nil {
		for _, s := range f.Connector.Streams {
			require.NotContains(t, s.Tables, schemas.TableActivities, "%s needs a Mapper", s.Name)
		}
		return
	}
	site.Once()
	cfg := site.Config()
	m, err := f.Connector.Mapper(cfg.Instances[0].Config)
	require.NoError(t, err)
	table := schemas.ByName(schemas.TableActivities)
	delivered := site.Log("lake", schemas.TableActivities)
	require.NotEmpty(t, delivered)
	for _, row := range delivered {
		var rows schemas.Rows
		m.Reset()
		require.NotEmpty(t, row["raw"], row["event_id"])
		require.NoError(t, m.Map(sources.MapInput{Tenant: row["tenant"].(string)}, row["raw"].(string), &rows))
		require.Len(t, rows.Activities, 1)
		for name, v := range rowtest.List(table, &rows)[0] {
			require.Equal(t, row[name], v, "%s of %s", name, row["event_id"])
		}
	}
	for _, bad := range []string{"", "{", "[]", "null", `"text"`, "{}", `{"Records":1}`, "\xff\xfe", delivered[0]["raw"].(string)[1:]} {
		var rows schemas.Rows
		require.Error(t, m.Map(sources.MapInput{}, bad, &rows), "%q", bad)
		require.Empty(t, rows.Activities)
	}
}
