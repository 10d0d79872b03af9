package e2e

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/agent"
	"weir/configs"
	"weir/internal/clickhousetest"
	"weir/internal/rowtest"
	"weir/internal/sandbox"
	"weir/internal/sandbox/microsoft365"
	"weir/internal/shareddata"
	"weir/schemas"
	sinkregistry "weir/sinks/registry"
	sourceregistry "weir/sources/registry"
)

// Real records of Office 365, replayed through the Management Activity API with
// their repetitions, are in both sinks: each once, and nothing is rejected.
func TestRealOfficeRecords(t *testing.T) {
	t.Parallel()
	warehouse := clickhousetest.Start(t)
	warehouse.Query(t, "CREATE DATABASE office")
	vendor, err := sandbox.New(sandbox.Options{
		Vendors: []sandbox.Vendor{microsoft365.Vendor()}, Seed: 5, People: 12, EventsPerDay: -1, Clock: clockwork.NewRealClock(),
		Replay: map[string]string{"microsoft365": shareddata.Dir(t, "o365")},
	})
	require.NoError(t, err)
	server := httptest.NewServer(vendor)
	t.Cleanup(func() {
		server.Close()
		vendor.Close()
	})
	tenant, err := vendor.Tenant("microsoft365", "acme", server.URL)
	require.NoError(t, err)
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	text := fmt.Sprintf("agent: {data_dir: %q, listen: \"\", min_free: 1MB}\nsinks:\n  lake: {type: parquet, path: %q}\n  warehouse: {type: clickhouse, url: %q, database: office}\ninstances:\n  acme:\n    streams:\n",
		filepath.Join(dir, "data"), lake, warehouse.URL())
	for _, s := range []string{"accounts", "groups", "privileges", "apps", "directory_audits", "sign_ins", "files"} {
		text += "      " + s + ": {enabled: false}\n"
	}
	for line := range strings.Lines(tenant.Handler().Config(tenant.Base)) {
		text += "    " + line
	}
	name := filepath.Join(dir, "weir.yaml")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	for range 2 { // the second time brings nothing
		cfg, err := configs.Load(name, nil, sourceregistry.All, sinkregistry.All)
		require.NoError(t, err)
		var log bytes.Buffer
		a, err := agent.New(t.Context(), agent.Options{Config: cfg, Clock: clockwork.NewRealClock(), Log: slog.New(slog.NewTextHandler(&log, nil)), Once: true})
		require.NoError(t, err)
		require.NoError(t, a.Run(t.Context()), &log)

		rows, err := rowtest.LakeLog(t.Context(), lake, schemas.ByName(schemas.TableActivities), "acme")
		require.NoError(t, err)
		var ids []string
		for _, r := range rows {
			ids = append(ids, r["event_id"].(string))
		}
		slices.Sort(ids)
		require.Len(t, slices.Compact(ids), 2690)
		require.Len(t, rows, 2690)
		require.Equal(t, "2690\t2690", warehouse.Query(t, "SELECT count(), uniqExact(event_id) FROM office.activities"))
		require.Equal(t, strings.Join(ids, "\n"), warehouse.Query(t, "SELECT event_id FROM office.activities ORDER BY event_id"))
		require.Equal(t, "0", warehouse.Query(t, "SELECT sum(rejected) FROM office.collection_runs"))
	}
}
