package demodata

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var end = time.Date(2026, 3, 4, 15, 26, 7, 0, time.UTC)

type record struct {
	EventID, EventName, EventSource, EventTime, EventType, EventCategory, AwsRegion string
	SourceIPAddress, RecipientAccountID, ErrorCode, SharedEventID                   string
	UserIdentity                                                                    struct{ Type, UserName string }
	InsightDetails, Addendum                                                        json.RawMessage
}

// files returns the content of the files below dir, as stored.
func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	require.NoError(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, p)
		require.NoError(t, err)
		all[filepath.ToSlash(name)], err = os.ReadFile(p)
		return err
	}))
	return all
}

// found is what a careful reader sees in a set of files.
type found struct {
	files   map[string][]byte // content as stored, by path
	records []record
	raw     [][]byte
	damaged []string
	json    int64
}

func look(t testing.TB, dir string) *found {
	t.Helper()
	f := &found{files: files(t, dir)}
	for name, stored := range f.files {
		data := stored
		if strings.HasSuffix(name, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(stored))
			require.NoError(t, err)
			data, err = io.ReadAll(z)
			if errors.Is(err, io.ErrUnexpectedEOF) {
				f.damaged = append(f.damaged, name)
			} else {
				require.NoError(t, err, name)
				require.True(t, json.Valid(data), name)
			}
		}
		f.json += int64(len(data))
		if strings.Contains(name, "CloudTrail-Digest") {
			require.NotContains(t, string(data), `"Records"`)
			continue
		}
		d := json.NewDecoder(bytes.NewReader(data))
		for range 3 { // {"Records":[
			_, err := d.Token()
			require.NoError(t, err)
		}
		for d.More() {
			var raw json.RawMessage
			if err := d.Decode(&raw); err != nil {
				require.Contains(t, f.damaged, name)
				break
			}
			var r record
			require.NoError(t, json.Unmarshal(raw, &r))
			f.records = append(f.records, r)
			f.raw = append(f.raw, raw)
		}
	}
	return f
}

func write(t testing.TB, seed uint64) (string, Stats) {
	t.Helper()
	dir := t.TempDir()
	s, err := Write(dir, seed, end)
	require.NoError(t, err)
	return dir, s
}

// The tests look at one set, in turn.
func TestWrite(t *testing.T) {
	t.Parallel()
	dir, stats := write(t, 1)
	f := look(t, dir)
	t.Logf("%+v", stats)
	t.Run("content", func(t *testing.T) { testContent(t, f, stats) })
	t.Run("names", func(t *testing.T) { testNames(t, dir, f, stats) })
	t.Run("invented", func(t *testing.T) { testInvented(t, f) })
	t.Run("same seed, same bytes", func(t *testing.T) {
		again, _ := write(t, 1)
		require.Equal(t, f.files, files(t, again))
		other, _ := write(t, 2)
		require.NotEqual(t, f.files, files(t, other))
	})
}

func testContent(t *testing.T, f *found, stats Stats) {
	require.Len(t, f.files, stats.Files)
	require.Len(t, f.records, stats.Records)
	require.Len(t, f.damaged, stats.Damaged)
	require.InDelta(t, 6000, stats.Records, 200)
	require.InDelta(t, 130, stats.Files, 30)
	var bytes int64
	plain := 0
	for name, content := range f.files {
		bytes += int64(len(content))
		if strings.HasSuffix(name, ".json") {
			plain++
		}
	}
	require.Equal(t, bytes, stats.Bytes)
	require.GreaterOrEqual(t, plain, 3)

	ids := map[string]int{}
	identities, names, kinds, categories, shared := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	for i, r := range f.records {
		ids[r.EventID]++
		identities[r.UserIdentity.Type]++
		names[r.EventName]++
		kinds[r.EventType]++
		categories[r.EventCategory]++
		shared[r.SharedEventID]++
		require.NotEmpty(t, r.EventID)
		at, err := time.Parse(time.RFC3339, r.EventTime)
		require.NoError(t, err)
		require.False(t, at.After(end), r.EventTime)
		require.True(t, at.After(stats.From) || at.Before(stats.From.AddDate(0, 0, -30)), "%s", f.raw[i])
	}
	require.Len(t, ids, stats.Distinct)
	twice := slices.DeleteFunc(slices.Collect(maps.Keys(ids)), func(id string) bool { return ids[id] == 1 })
	require.Len(t, twice, 1, "one event is delivered a second time")
	require.Equal(t, 2, ids[twice[0]])
	require.Equal(t, stats.Records-1, stats.Distinct)

	for _, typ := range []string{
		"Root", "IAMUser", "AssumedRole", "Role", "FederatedUser", "SAMLUser", "WebIdentityUser",
		"IdentityCenterUser", "AWSAccount", "AWSService", "Directory", "Unknown", "",
	} {
		require.NotZero(t, identities[typ], "userIdentity.type %q", typ)
	}
	for _, name := range []string{
		"ConsoleLogin", "AssumeRole", "AssumeRoleWithSAML", "CreateAccessKey", "AttachUserPolicy", "StopLogging",
		"GetObject", "Decrypt", "RunInstances", "CredentialVerification", "CheckMfa",
	} {
		require.NotZero(t, names[name], name)
	}
	for _, k := range []string{"AwsApiCall", "AwsServiceEvent", "AwsConsoleSignIn", "AwsCloudTrailInsight", "AwsVpceEvents"} {
		require.NotZero(t, kinds[k], k)
	}
	for _, c := range []string{"Management", "Data", "Insight", "NetworkActivity"} {
		require.NotZero(t, categories[c], c)
	}
}

var (
	fileName = regexp.MustCompile(`^AWSLogs/(o-weirdemo00/)?(\d{12})/(CloudTrail|CloudTrail-Insight)/([a-z0-9-]+)/(\d{4})/(\d\d)/(\d\d)/(\d{12})_(CloudTrail|CloudTrail-Insight)_([a-z0-9-]+)_(\d{8}T\d{4}Z)_[A-Za-z0-9]{16}\.json(\.gz)?$`)
	keys     = regexp.MustCompile(`\b(AKIA|ASIA|AIDA|AROA)\w*`)
	owners   = regexp.MustCompile(`"(?:accountId|recipientAccountId)":"(\d+)"`)
	emails   = regexp.MustCompile(`[\w.-]+@[\w.-]+`)
)

func testNames(t *testing.T, dir string, f *found, stats Stats) {
	for name := range f.files {
		if strings.Contains(name, "CloudTrail-Digest") {
			continue
		}
		m := fileName.FindStringSubmatch(filepath.ToSlash(name))
		require.NotNil(t, m, name)
		require.Equal(t, m[2], m[8])
		require.Equal(t, m[3], m[9])
		require.Equal(t, m[4], m[10])
		require.Equal(t, m[5]+m[6]+m[7], m[11][:8])
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.False(t, info.ModTime().After(stats.To), "a file from the future would be taken for one under way")
	}
}

// Nothing in the files can be taken for a real account, address or person.
func testInvented(t *testing.T, f *found) {
	documentation := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	for i, r := range f.raw {
		var head record
		require.NoError(t, json.Unmarshal(r, &head))
		if ip, err := netip.ParseAddr(head.SourceIPAddress); err == nil {
			require.True(t, slices.ContainsFunc(documentation, func(p netip.Prefix) bool { return p.Contains(ip) }), "record %d: %s", i, ip)
		}
		for _, key := range keys.FindAllString(string(r), -1) {
			require.True(t, strings.HasSuffix(key, "EXAMPLE"), key)
		}
		for _, e := range emails.FindAllString(string(r), -1) {
			require.True(t, strings.HasSuffix(e, "@example.com"), e)
		}
		for _, a := range owners.FindAllStringSubmatch(string(r), -1) {
			require.Contains(t, []string{management, production, sandbox, partner}, a[1])
		}
	}
}

// The story is whole whatever the hour is.
func TestEveryHour(t *testing.T) {
	t.Parallel()
	for _, hour := range []int{0, 12, 20, 23} {
		dir := t.TempDir()
		s, err := Write(dir, 1, end.Truncate(24*time.Hour).Add(time.Duration(hour)*time.Hour))
		require.NoError(t, err)
		require.True(t, s.Story.Began.Add(time.Hour).Before(s.To))
		require.True(t, s.Story.Began.After(s.From))
	}
}

func TestWriteBench(t *testing.T) {
	t.Parallel()
	const n, perFile = 2, BenchRecords
	first, second := t.TempDir(), t.TempDir()
	size, err := WriteBench(first, n, perFile, 1)
	require.NoError(t, err)
	f := look(t, first)
	require.Len(t, f.files, n)
	require.Len(t, f.records, n*perFile)
	require.Equal(t, f.json, size)

	ids, stored := map[string]bool{}, int64(0)
	for _, r := range f.records {
		ids[r.EventID] = true
	}
	for _, content := range f.files {
		stored += int64(len(content))
	}
	require.Len(t, ids, n*perFile)
	perRecord, ratio := float64(size)/(n*perFile), float64(size)/float64(stored)
	t.Logf("%.0f bytes a record, compressed %.1f times", perRecord, ratio)
	require.InDelta(t, 1260, perRecord, 25, "real records have 1262 bytes on average")
	require.InDelta(t, 9.7, ratio, 1.7, "real files of 2,000 records are compressed 9.7 times")

	_, err = WriteBench(second, n, perFile, 1)
	require.NoError(t, err)
	require.Equal(t, f.files, files(t, second))
}
