package aws

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/shareddata"
	"weir/schemas"
	"weir/sources"
)

// openTest opens a session on a directory, every file of which has settled.
func openTest(t testing.TB, url string, clock clockwork.Clock) *session {
	t.Helper()
	cfg := Connector.Config().(*Config)
	cfg.CloudTrail.URL, cfg.CloudTrail.Settle = url, 0
	require.Empty(t, cfg.Validate())
	s, err := open(t.Context(), sources.Env{Instance: "trail", Clock: clock}, cfg)
	require.NoError(t, err)
	return s.(*session)
}

func listAll(t testing.TB, s *session, c sources.Cursor) (lanes []sources.Lane, next sources.Cursor) {
	t.Helper()
	for page, err := range s.lanes(t.Context(), c) {
		require.NoError(t, err)
		lanes, next = append(lanes, page.Lanes...), page.Next
		require.LessOrEqual(t, len(next), sources.MaxCursor)
	}
	return lanes, next
}

// The real records: every bar of the mapping that can be measured.
func TestRealRecords(t *testing.T) {
	t.Parallel()
	dir := shareddata.Dir(t, "cloudtrail")
	source := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(p)
		require.NoError(t, err)
		defer f.Close()
		z, err := gzip.NewReader(f)
		require.NoError(t, err)
		b, err := io.ReadAll(z)
		require.NoError(t, err)
		var file struct{ Records []json.RawMessage }
		require.NoError(t, json.Unmarshal(b, &file))
		for _, r := range file.Records {
			var id struct{ EventID string }
			require.NoError(t, json.Unmarshal(r, &id))
			source[id.EventID] = string(r)
		}
		return nil
	}))

	s := openTest(t, "file://"+dir, clockwork.NewRealClock())
	tenant, err := s.Tenant(t.Context())
	require.NoError(t, err)
	require.Equal(t, "218007301253", tenant)
	lanes, _ := listAll(t, s, "")
	seen := map[string]bool{}
	again, err := Connector.Mapper(s.cfg)
	require.NoError(t, err)
	var writes, withTarget, hosts, keys, changed int
	for _, l := range lanes {
		for page, err := range s.read(t.Context(), l, "") {
			require.NoError(t, err)
			require.Empty(t, page.Rejected)
			for _, a := range page.Rows.Activities {
				require.False(t, seen[a.EventID])
				seen[strings.Clone(a.EventID)] = true
				require.Equal(t, source[a.EventID], a.Raw, "raw is the source's bytes")
				var anew schemas.Rows
				again.Reset()
				require.NoError(t, again.Map(sources.MapInput{Tenant: tenant}, a.Raw, &anew))
				require.Equal(t, []schemas.Activity{a}, anew.Activities, "a row is made of its raw alone")
				require.NotEmpty(t, a.ActorID+a.ActorName, a.Raw)
				require.NotZero(t, a.Time)
				require.NotZero(t, a.ClassUID)
				require.NotEmpty(t, a.ScopeID)
				require.Len(t, a.TargetNames, len(a.TargetIDs))
				require.Len(t, a.TargetKinds, len(a.TargetIDs))
				require.Len(t, a.ChangeOld, len(a.ChangeNames))
				require.Len(t, a.ChangeNew, len(a.ChangeNames))
				checkEnums(t, &a)
				if a.Access == "write" {
					writes++
					if a.TargetID != "" {
						withTarget++
					}
					if len(a.ChangeNames) > 0 {
						changed++
					}
				}
				var r struct{ SourceIPAddress string }
				require.NoError(t, json.Unmarshal([]byte(a.Raw), &r))
				if ip, err := netip.ParseAddr(r.SourceIPAddress); err == nil {
					require.Equal(t, ip.String(), a.SrcIP)
					require.Equal(t, []string{a.SrcIP}, a.IPs)
				} else {
					require.Equal(t, r.SourceIPAddress, a.SrcHost)
					require.Empty(t, a.SrcIP)
					hosts++
				}
				if a.CredentialID != "" {
					keys++
				}
			}
		}
	}
	require.Len(t, seen, 2900)
	require.Len(t, source, 2900)
	require.Equal(t, 353, hosts)
	require.Equal(t, 2182, keys)
	require.Equal(t, 574, writes)
	require.GreaterOrEqual(t, withTarget, 504)
	t.Logf("%d files, %d records; %d of %d writes have a target, %d say what they set", len(lanes), len(seen), withTarget, writes, changed)
}

func checkEnums(t testing.TB, a *schemas.Activity) {
	table := schemas.ByName(schemas.TableActivities)
	for name, v := range map[string]string{"kind": a.Kind, "access": a.Access, "outcome": a.Outcome, "actor_kind": a.ActorKind} {
		require.Contains(t, table.Column(name).Enum, v, name)
	}
	for _, k := range a.TargetKinds {
		require.Contains(t, table.Column("target_kind").Enum, k)
	}
}
