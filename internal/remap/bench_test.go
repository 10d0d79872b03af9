package remap_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/remap"
	"weir/internal/shareddata"
	"weir/schemas"
	"weir/sources"
	"weir/sources/aws"
	"weir/sources/okta"
)

// BenchmarkMap measures the mapping, with comparing and encoding, in rows per
// second of one core's time.
func BenchmarkMap(b *testing.B) {
	for _, c := range []*sources.Connector{aws.Connector, okta.Connector} {
		b.Run(c.App, func(b *testing.B) {
			records := recordsOf(b, c.App)
			m, err := remap.New(remap.Options{Instances: []remap.Instance{{Name: "i", Connector: c, Config: c.Config()}}, From: math.MinInt64, To: math.MaxInt64})
			require.NoError(b, err)
			one, err := c.Mapper(c.Config())
			require.NoError(b, err)
			builder := schemas.NewBuilder(schemas.ByName(schemas.TableActivities))
			var delivered schemas.Rows
			for _, raw := range records {
				require.NoError(b, one.Map(sources.MapInput{Tenant: "t"}, raw, &delivered))
			}
			env := make([]schemas.Envelope, len(records))
			for i := range env {
				env[i] = schemas.Envelope{App: c.App, Instance: "i", Tenant: "t", ObservedAt: schemas.Time(time.Now().UnixMilli())}
			}
			rows := schemas.Rows{Activities: make([]schemas.Activity, len(records))}
			from := cpu(b)
			for b.Loop() {
				copy(rows.Activities, delivered.Activities)
				require.NoError(b, m.Map(env, &rows, false))
				_, err := builder.EncodeEach(env, &rows, nil)
				require.NoError(b, err)
			}
			require.Equal(b, m.Report().Rows, m.Report().Mapped)
			require.Zero(b, m.Report().Changed)
			b.ReportMetric(float64(len(records)*b.N)/(cpu(b)-from).Seconds(), "rows/cpu-s")
		})
	}
}

// cpu is the process's time on the cores, which other processes do not change.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func recordsOf(b *testing.B, app string) (out []string) {
	if app == "okta" {
		page, err := os.ReadFile(filepath.Join("..", "..", "sources", "okta", "testdata", "logs_page.json"))
		require.NoError(b, err)
		var events []json.RawMessage
		require.NoError(b, json.Unmarshal(page, &events))
		m, err := okta.Connector.Mapper(okta.Connector.Config())
		require.NoError(b, err)
		for len(out) < 2000 {
			for _, v := range events {
				if m.Map(sources.MapInput{}, string(v), &schemas.Rows{}) == nil {
					out = append(out, string(v))
				}
			}
		}
		return out[:2000]
	}
	s := openLogs(b, shareddata.Dir(b, "cloudtrail"))
	for _, stream := range s.Streams() {
		for lanes, err := range stream.Lanes(b.Context(), "") {
			require.NoError(b, err)
			for _, l := range lanes.Lanes {
				for page, err := range stream.Read(b.Context(), l, "") {
					require.NoError(b, err)
					for _, a := range page.Rows.Activities {
						out = append(out, strings.Clone(a.Raw))
					}
				}
			}
		}
	}
	return out
}

func openLogs(b *testing.B, dir string) sources.Session {
	cfg := aws.Connector.Config().(*aws.Config)
	cfg.CloudTrail.URL, cfg.CloudTrail.Settle = "file://"+dir, 0
	s, err := aws.Connector.Open(b.Context(), sources.Env{Instance: "i", Clock: clockwork.NewRealClock()}, cfg)
	require.NoError(b, err)
	return s
}
