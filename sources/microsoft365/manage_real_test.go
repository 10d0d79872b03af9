package microsoft365

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"weir/internal/shareddata"
	"weir/schemas"
)

// realRecords returns the distinct real records, in the order of their files.
func realRecords(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(shareddata.Dir(t, "o365"), "Audit.*.ndjson.gz"))
	require.NoError(t, err)
	seen := map[string]bool{}
	var out []string
	for _, name := range files {
		f, err := os.Open(name)
		require.NoError(t, err)
		z, err := gzip.NewReader(f)
		require.NoError(t, err)
		lines := bufio.NewScanner(z)
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			var id struct {
				ID string `json:"Id"`
			}
			if len(lines.Bytes()) == 0 {
				continue
			}
			require.NoError(t, json.Unmarshal(lines.Bytes(), &id, jsontext.AllowInvalidUTF8(true)))
			if !seen[id.ID] {
				seen[id.ID] = true
				out = append(out, lines.Text())
			}
		}
		require.NoError(t, lines.Err())
		require.NoError(t, f.Close())
	}
	return out
}

// The real records: every bar of the mapping that can be measured.
func TestRealAuditRecords(t *testing.T) {
	t.Parallel()
	records := realRecords(t)
	require.Len(t, records, 2690)
	m, again := newAuditMapper(), newAuditMapper()
	n := map[string]int{}
	for _, raw := range records {
		var a schemas.Activity
		m.reset()
		require.Empty(t, m.mapRecord(&a, raw))
		var r struct {
			UserID                                             string `json:"UserId"`
			Operation, Workload, MailboxOwnerUPN, CreationTime string
			RecordType                                         int
		}
		require.NoError(t, json.Unmarshal([]byte(raw), &r, jsontext.AllowInvalidUTF8(true)))
		n["all"]++
		require.Equal(t, raw, a.Raw, "raw is the source's bytes")
		var anew schemas.Rows
		require.NoError(t, again.mapKept(raw, &anew))
		require.Equal(t, []schemas.Activity{a}, anew.Activities, "a row is made of its raw alone")
		again.reset()
		checkActivity(t, &a)
		require.Equal(t, r.CreationTime, strings.TrimSuffix(a.Time.String(), ".000Z"))
		require.NotEmpty(t, a.ActorID+a.ActorName, raw)
		count := func(what string, holds bool) {
			if holds {
				n[what]++
			}
		}
		count("src_ip", a.SrcIP != "")
		if strings.Contains(r.UserID, "@") {
			n["addresses"]++
			require.Equal(t, strings.ToLower(cmp.Or(homeAddress(r.UserID), r.UserID)), a.ActorEmail)
		}
		count("actor guid", isObjectID(a.ActorID))
		if strings.HasPrefix(r.UserID, `NT AUTHORITY`) {
			n["nt authority"]++
			require.Equal(t, "system", a.ActorKind)
		}
		if r.Operation == "UserLoginFailed" {
			n["failed"]++
			require.Equal(t, "failure", a.Outcome)
			require.NotEmpty(t, a.ErrorCode)
			require.NotEmpty(t, a.Reason)
		}
		switch r.Workload {
		case "SharePoint", "OneDrive", "MicrosoftTeams":
			require.NotEqual(t, "unknown", a.Outcome)
		}
		count("changes", len(a.ChangeNames) > 0)
		count("targets", a.TargetID != "")
		count("unknown access", a.Access == "unknown")
		count("unknown actor", a.ActorKind == "unknown")
		count("unknown outcome", a.Outcome == "unknown")
		count("kind "+a.Kind, true)
		count("actor "+a.ActorKind, true)
		count("service "+a.Service, true)
		if r.MailboxOwnerUPN != "" && !strings.EqualFold(r.MailboxOwnerUPN, r.UserID) {
			n["other's mailbox"]++
			require.Equal(t, r.MailboxOwnerUPN, a.EffectiveID)
			require.Equal(t, r.MailboxOwnerUPN, a.EffectiveName)
		} else {
			require.Empty(t, a.EffectiveID)
		}
		if r.RecordType == 40 {
			n["alerts"]++
			require.Equal(t, "alert", a.Kind)
			require.Equal(t, schemas.ClassDetectionFinding, a.ClassUID)
		}
		if r.Operation == "New-InboxRule" {
			n["rules"]++
			require.Equal(t, "user", a.Kind)
			require.Contains(t, a.ChangeNames, "ForwardTo")
			require.NotContains(t, a.SrcIP, "]")
		}
		if r.Operation == "Add member to role." {
			n["roles"]++
			require.Equal(t, []string{"account", "role"}, a.TargetKinds)
			require.True(t, isObjectID(a.ActorID))
			require.Contains(t, a.ChangeNames, "Role.DisplayName")
		}
		if r.RecordType == 8 {
			require.LessOrEqual(t, a.TargetCount, int32(2), "one target an object: %v", a.TargetIDs)
			require.NotEmpty(t, a.TargetID)
		}
	}
	t.Logf("%v", n)
	require.GreaterOrEqual(t, n["src_ip"], 642)
	require.Equal(t, 790, n["addresses"])
	require.GreaterOrEqual(t, n["actor guid"], 450)
	require.Equal(t, 1831, n["nt authority"])
	require.Equal(t, 118, n["failed"])
	require.GreaterOrEqual(t, n["changes"], 2000)
	require.Equal(t, 6, n["other's mailbox"])
	require.Equal(t, 4, n["alerts"])
	require.Equal(t, 1, n["rules"])
	require.Equal(t, 15, n["roles"])
	require.Zero(t, n["unknown access"])
}

// A blob of all of them is read whole, page by page, and nothing of it rejected.
func TestRealAuditBlob(t *testing.T) {
	t.Parallel()
	records := realRecords(t)
	body := []byte("[" + strings.Join(records, ",\n") + "]")
	p := newAuditPage()
	seen := map[string]bool{}
	pages := 0
	require.NoError(t, p.read(body, 0, func() error {
		require.Empty(t, p.page.Rejected)
		require.LessOrEqual(t, len(p.rows.Activities), auditPageRecords)
		for i := range p.rows.Activities {
			seen[strings.Clone(p.rows.Activities[i].EventID)] = true
		}
		pages++
		return nil
	}))
	require.Len(t, seen, len(records))
	require.Equal(t, 3, pages)
}

// checkActivity holds what is true of every row.
func checkActivity(t testing.TB, a *schemas.Activity) {
	t.Helper()
	table := schemas.ByName(schemas.TableActivities)
	for name, v := range map[string]string{"kind": a.Kind, "access": a.Access, "outcome": a.Outcome, "actor_kind": a.ActorKind} {
		require.Contains(t, table.Column(name).Enum, v, name)
	}
	seen := map[string]bool{}
	for i, id := range a.TargetIDs {
		require.NotEmpty(t, id)
		require.Contains(t, table.Column("target_kind").Enum, a.TargetKinds[i])
		require.False(t, seen[id], "one target an object")
		seen[id] = true
	}
	require.Len(t, a.TargetNames, len(a.TargetIDs))
	require.Len(t, a.TargetKinds, len(a.TargetIDs))
	require.LessOrEqual(t, len(a.TargetIDs), schemas.MaxTargets)
	require.Len(t, a.ChangeOld, len(a.ChangeNames))
	require.Len(t, a.ChangeNew, len(a.ChangeNames))
	require.LessOrEqual(t, len(a.ChangeNames), schemas.MaxChanges)
	for _, list := range [][]string{a.ChangeNames, a.ChangeOld, a.ChangeNew} {
		for _, s := range list {
			require.LessOrEqual(t, len(s), schemas.MaxChangeBytes)
		}
	}
	for i, ip := range a.IPs {
		addr, err := netip.ParseAddr(ip)
		require.NoError(t, err)
		require.Equal(t, addr.Unmap().WithZone("").String(), ip)
		require.True(t, i > 0 || ip == a.SrcIP)
	}
	require.Equal(t, a.ActorEmail, strings.ToLower(a.ActorEmail))
	require.NotZero(t, a.ClassUID)
	require.NotZero(t, a.SeverityID)
}

func BenchmarkMapAudit(b *testing.B) {
	records := realRecords(b)
	m := newAuditMapper()
	var a schemas.Activity
	var bytes int64
	for _, r := range records {
		bytes += int64(len(r))
	}
	b.SetBytes(bytes)
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range records {
			m.reset()
			m.mapRecord(&a, r)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(records)), "ns/record")
}
