package microsoft365

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/internal/sandbox/sandboxtest"
	"weir/internal/shareddata"
	"weir/schemas"
)

const publisher = "0f0f0f0f-1111-2222-3333-444444444444"

// reader reads the Management Activity API of one tenant.
type reader struct {
	t *testing.T
	s *sandboxtest.Sandbox
	h *Handler
}

func readFeed(t *testing.T, o sandbox.Options) *reader {
	o.Vendors = []sandbox.Vendor{Vendor()}
	s := sandboxtest.Start(t, o)
	return &reader{t, s, s.Tenant(org.Microsoft365, "acme").Handler().(*Handler)}
}

// call makes a request below the feed, or to an address, with the publisher.
func (r *reader) call(method, what string, q url.Values) (int, http.Header, string) {
	r.t.Helper()
	if !strings.HasPrefix(what, "http") {
		what = r.s.URL + "/microsoft365/acme/manage/api/v1.0/" + r.h.tenantID + "/activity/feed/" + what
	}
	u, err := url.Parse(what)
	require.NoError(r.t, err)
	all := u.Query()
	for k, v := range q {
		all[k] = v
	}
	all.Set("PublisherIdentifier", publisher)
	u.RawQuery = all.Encode()
	return request(r.t, r.h, method, u.String())
}

func (r *reader) start(kind string) {
	r.t.Helper()
	status, _, body := r.call(http.MethodPost, "subscriptions/start", url.Values{"contentType": {kind}})
	require.Equal(r.t, 200, status, body)
}

type described struct {
	ContentID, ContentURI string
	ContentCreated        time.Time
}

// list follows a window's pages to the end.
func (r *reader) list(kind string, from, to time.Time) (out []described, pages int) {
	r.t.Helper()
	const layout = "2006-01-02T15:04:05"
	next, q := "subscriptions/content", url.Values{"contentType": {kind}, "startTime": {from.Format(layout)}, "endTime": {to.Format(layout)}}
	for next != "" {
		status, head, body := r.call(http.MethodGet, next, q)
		require.Equal(r.t, 200, status, body)
		var page []described
		require.NoError(r.t, json.Unmarshal([]byte(body), &page))
		out = append(out, page...)
		next, q = head.Get("NextPageUri"), nil
		pages++
	}
	return out, pages
}

// all reads every record of a content type that is there.
func (r *reader) all(kind string) (records []json.RawMessage) {
	r.t.Helper()
	now := r.s.Clock.Now()
	for from := now.Add(-7*24*time.Hour + time.Minute); from.Before(now); from = from.Add(24 * time.Hour) {
		blobs, _ := r.list(kind, from, from.Add(24*time.Hour))
		for _, b := range blobs {
			require.False(r.t, b.ContentCreated.Before(from) || !b.ContentCreated.Before(from.Add(24*time.Hour)))
			status, _, body := r.call(http.MethodGet, b.ContentURI, nil)
			require.Equal(r.t, 200, status, body)
			var list []json.RawMessage
			require.NoError(r.t, json.Unmarshal([]byte(body), &list))
			records = append(records, list...)
		}
	}
	return records
}

type told struct {
	ID, Operation, Workload, CreationTime string
	RecordType                            any
}

// Every event is told, in one blob or more, of every workload and content type.
func TestFeedTellsAll(t *testing.T) {
	t.Parallel()
	r := readFeed(t, sandbox.Options{})
	want := map[string]bool{}
	r.s.World("acme").View(func(s *org.State) {
		rows := new(schemas.Rows)
		(&truth{r.h, s, rows}).feedActivities()
		for _, a := range rows.Activities {
			want[a.EventID] = true
			require.NotEmpty(t, a.Action)
			require.NotZero(t, a.ClassUID, a.Action)
		}
		require.Len(t, want, len(rows.Activities))
	})
	ids, workloads, repeated, unordered := map[string]bool{}, map[string]bool{}, 0, 0
	unknown := false
	for _, kind := range contentTypes {
		r.start(kind)
		last := ""
		for _, raw := range r.all(kind) {
			var x told
			require.NoError(t, json.Unmarshal(raw, &x))
			if ids[x.ID] {
				repeated++
			}
			if x.CreationTime < last {
				unordered++
			}
			last = x.CreationTime
			ids[x.ID], workloads[x.Workload] = true, true
			unknown = unknown || x.RecordType == float64(newRecordType)
		}
	}
	for id := range want {
		require.True(t, ids[id], "%s is true and was not told", id)
	}
	for id := range ids {
		require.True(t, want[id], "%s was told and is not true", id)
	}
	require.Positive(t, repeated)
	require.Positive(t, unordered)
	require.True(t, unknown)
	for _, w := range []string{
		"AzureActiveDirectory", "Exchange", "SharePoint", "OneDrive", "MicrosoftTeams", "PowerBI", "MicrosoftFlow", "PowerApps", "PowerPlatform", "CRM", "SkypeForBusiness", "Yammer", "Office",
		"SecurityComplianceCenter", "ThreatIntelligence", "Quarantine", "Endpoint",
	} {
		require.True(t, workloads[w], w)
	}
	r.s.NoViolations()
}

// A blob never changes, and a listing tells of it once.
func TestFeedIsStable(t *testing.T) {
	t.Parallel()
	r := readFeed(t, sandbox.Options{})
	r.h.facts.ContentPage = 7
	r.start(contentSharePoint)
	now := r.s.Clock.Now()
	first, pages := r.list(contentSharePoint, now.Add(-20*time.Hour), now.Add(4*time.Hour))
	require.Greater(t, pages, 1)
	_, _, body := r.call(http.MethodGet, first[0].ContentURI, nil)
	r.s.Fake.Advance(3 * time.Hour)
	again, _ := r.list(contentSharePoint, now.Add(-20*time.Hour), now.Add(4*time.Hour))
	require.Equal(t, first, again[:len(first)], "what comes is at the end")
	require.Greater(t, len(again), len(first))
	seen := map[string]bool{}
	for _, b := range again {
		require.False(t, seen[b.ContentID])
		seen[b.ContentID] = true
	}
	_, _, later := r.call(http.MethodGet, first[0].ContentURI, nil)
	require.Equal(t, body, later)
	r.s.Fake.Advance(7 * 24 * time.Hour)
	status, _, expired := r.call(http.MethodGet, first[0].ContentURI, nil)
	require.Equal(t, 400, status)
	require.Contains(t, expired, "AF20051")
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	r := readFeed(t, sandbox.Options{})
	now := r.s.Clock.Now()
	content := func() string {
		_, _, body := r.call(http.MethodGet, "subscriptions/content", url.Values{"contentType": {contentExchange}})
		return body
	}
	list := func() string {
		_, _, body := r.call(http.MethodGet, "subscriptions/list", nil)
		return strings.TrimSpace(body)
	}
	require.Equal(t, "[]", list())
	require.Contains(t, content(), "AF20022")
	r.start(contentExchange)
	require.JSONEq(t, `[{"contentType":"Audit.Exchange","status":"enabled","webhook":null}]`, list())
	require.Contains(t, content(), "contentUri")
	r.s.NoViolations()
	status, _, body := r.call(http.MethodPost, "subscriptions/start", url.Values{"contentType": {contentExchange}})
	require.Equal(t, 400, status)
	require.Contains(t, body, "AF20024")
	require.Equal(t, "start_again", r.s.Violations()[0].Rule)

	r.h.DisableSubscription(contentExchange)
	require.Contains(t, content(), "AF20023")
	r.s.Fake.Advance(20 * time.Minute)
	r.start(contentExchange)

	before, _ := r.list(contentExchange, now.Add(-20*time.Hour), now.Add(4*time.Hour))
	status, _, _ = r.call(http.MethodPost, "subscriptions/stop", url.Values{"contentType": {contentExchange}})
	require.Equal(t, 200, status)
	require.Contains(t, content(), "AF20022")
	r.s.Fake.Advance(2 * time.Hour)
	r.start(contentExchange)
	after, _ := r.list(contentExchange, now.Add(-20*time.Hour), now.Add(4*time.Hour))
	require.Equal(t, before, after, "what came while it was stopped is lost")

	r.h.SetFaults(Faults{OfficeFaults: OfficeFaults{WarmUp: 12 * time.Hour}})
	require.Equal(t, "[]", strings.TrimSpace(content()))
	r.h.SetFaults(Faults{OfficeFaults: OfficeFaults{AuditOff: true}})
	require.Contains(t, content(), "does not exist.")
}

func TestFeedRefuses(t *testing.T) {
	t.Parallel()
	r := readFeed(t, sandbox.Options{})
	r.start(contentGeneral)
	now := r.s.Clock.Now()
	refuses := func(want, what string, q url.Values) {
		t.Helper()
		status, _, body := r.call(http.MethodGet, what, q)
		require.GreaterOrEqual(t, status, 400)
		require.Contains(t, body, want)
	}
	window := func(from, to string) url.Values {
		return url.Values{"contentType": {contentGeneral}, "startTime": {from}, "endTime": {to}}
	}
	at := func(d time.Duration) string { return now.Add(d).Format("2006-01-02T15:04:05") }
	const content = "subscriptions/content"
	refuses("AF20001", content, nil)
	refuses("AF20020", content, url.Values{"contentType": {"Audit.Teams"}})
	refuses("AF20030", content, window(at(-25*time.Hour), at(0)))
	refuses("AF20030", content, window(at(-7*24*time.Hour-time.Second), at(-7*24*time.Hour+time.Hour)))
	refuses("AF20030", content, window(at(0), at(-time.Hour)))
	refuses("AF20030", content, window(at(-time.Hour)+"Z", at(0)))
	refuses("AF20030", content, url.Values{"contentType": {contentGeneral}, "startTime": {at(-time.Hour)}})
	q := window(at(-time.Hour), at(0))
	q.Set("nextPage", "20150101R000000001")
	refuses("AF20031", content, q)
	refuses("AF20050", "audit/20260501$nothing", nil)
	refuses("AF20010", r.s.URL+"/microsoft365/acme/manage/api/v1.0/"+publisher+"/activity/feed/subscriptions/list", nil)
	refuses("AF20013", r.s.URL+"/microsoft365/acme/manage/api/v1.0/acme/activity/feed/subscriptions/list", nil)

	blobs, _ := r.list(contentGeneral, now.Add(-20*time.Hour), now)
	r.h.SetFaults(Faults{OfficeFaults: OfficeFaults{BrokenBlobs: 1, BrokenUntil: now.Add(time.Hour)}})
	refuses("AF50000", blobs[0].ContentURI, nil)
	r.s.Fake.Advance(time.Hour)
	status, _, _ := r.call(http.MethodGet, blobs[0].ContentURI, nil)
	require.Equal(t, 200, status)
	r.h.facts.FeedPerMinute = 3
	for range 4 {
		status, _, _ = r.call(http.MethodGet, "subscriptions/list", nil)
	}
	require.Equal(t, 403, status)
	refuses("AF429", "subscriptions/list", nil)
}

// Faults that are the same for all vendors speak the feed's language here.
func TestFeedFaults(t *testing.T) {
	t.Parallel()
	for want, status := range map[string]int{"403 AF429": 429, "503 AF50000": 503} {
		r := readFeed(t, sandbox.Options{Scenario: &sandbox.Scenario{Faults: []sandbox.Fault{{Kind: sandbox.StatusFault, Share: 1, Status: status, Endpoint: "/manage/**"}}}})
		got, _, body := r.call(http.MethodGet, "subscriptions/list", nil)
		require.Equal(t, want[:3], strconv.Itoa(got))
		require.Contains(t, body, want[4:])
	}
}

func TestReplay(t *testing.T) {
	t.Parallel()
	records := []string{`{"Id":"1","CreationTime":"2021-05-16T09:58:25","Url":"a\/b"}`, `{"Id":"2"}`, `{"Id":"1","CreationTime":"2021-05-16T09:58:25","Url":"a\/b"}`}
	r := readFeed(t, sandbox.Options{Replay: map[string]string{org.Microsoft365: writeRecords(t, map[string]string{contentGeneral + recordSuffix: strings.Join(records, "\n")})}})
	r.start(contentGeneral)
	r.start(contentExchange)
	var got []string
	for _, raw := range r.all(contentGeneral) {
		got = append(got, string(raw))
	}
	require.Equal(t, records, got, "byte for byte, and as often")
	require.Empty(t, r.all(contentExchange), "nothing but the records")
}

func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	_, err := sandbox.New(sandbox.Options{Vendors: []sandbox.Vendor{Vendor()}, Clock: clockwork.NewFakeClock(), Replay: map[string]string{org.Microsoft365: t.TempDir()}})
	require.ErrorContains(t, err, "replay microsoft365: no records in")
}

// Real records, natural duplicates included.
func TestReplayOfRealRecords(t *testing.T) {
	t.Parallel()
	r := readFeed(t, sandbox.Options{Replay: map[string]string{org.Microsoft365: shareddata.Dir(t, "o365")}})
	n, ids := 0, map[string]bool{}
	for _, kind := range contentTypes {
		r.start(kind)
		for _, raw := range r.all(kind) {
			var x told
			require.NoError(t, json.Unmarshal(raw, &x))
			ids[x.ID] = true
			n++
		}
	}
	require.Equal(t, 4790, n)
	require.Len(t, ids, 2690)
	r.s.NoViolations()
}

// bearer asks for a token for an API and puts it on a request.
func bearer(t *testing.T, h *Handler, r *http.Request, audience string) {
	t.Helper()
	text, _ := h.auth.issue(h.auth.client(ClientID), audience, false, h.t.Clock.Now())
	r.Header.Set("Authorization", "Bearer "+text)
	r.Header.Set("User-Agent", "test")
}

func request(t *testing.T, h *Handler, method, address string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	require.NoError(t, err)
	bearer(t, h, req, "https://manage.office.com")
	if method == http.MethodPost {
		req.Header.Set("Content-Length", "0")
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, string(body)
}
