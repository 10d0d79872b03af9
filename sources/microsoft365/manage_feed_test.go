package microsoft365

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/testclock"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

const feedTenant = "41463f53-8812-40f4-890f-865bf6e35190"

var feedNoon = time.Date(2026, 5, 8, 12, 0, 0, 0, time.UTC)

// feedVendor answers the Management Activity API's requests by a script and
// remembers them.
type feedVendor struct {
	server *httptest.Server
	clock  clockwork.Clock
	script func(w http.ResponseWriter, r *http.Request)

	mu   sync.Mutex
	seen []*http.Request
}

func newFeedVendor(t *testing.T, script func(w http.ResponseWriter, r *http.Request)) *feedVendor {
	v := &feedVendor{clock: testclock.Fast(feedNoon, 50), script: script}
	v.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.mu.Lock()
		v.seen = append(v.seen, r)
		v.mu.Unlock()
		w.Header().Set("Date", v.clock.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Get("PublisherIdentifier") != feedTenant {
			http.Error(w, `{"error":{"code":"AF20020","message":"no PublisherIdentifier"}}`, http.StatusBadRequest)
			return
		}
		v.script(w, r)
	}))
	t.Cleanup(v.server.Close)
	return v
}

// requests returns what was asked for by paths that end so.
func (v *feedVendor) requests(suffix string) (out []*http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, r := range v.seen {
		if strings.HasSuffix(r.URL.Path, suffix) {
			out = append(out, r)
		}
	}
	return out
}

func (v *feedVendor) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen = nil
}

func (v *feedVendor) feed(t *testing.T, types ...string) *feed {
	t.Helper()
	base, err := httpx.New(httpx.Options{Instance: "test", Clock: v.clock, Wall: clockwork.NewRealClock(), UserAgent: "weir/test"})
	require.NoError(t, err)
	t.Cleanup(base.Close)
	client, err := base.Client(httpx.Config{BaseURL: v.server.URL, Classify: classify})
	require.NoError(t, err)
	return newFeed(client, feedTenant, v.clock, types, 7*24*time.Hour)
}

func refuseWith(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"code":%q,"message":"so it is"}}`, code)
}

func subscribed(types ...string) string {
	var b []string
	for _, t := range types {
		b = append(b, fmt.Sprintf(`{"contentType":%q,"status":"enabled","webhook":null}`, t))
	}
	return "[" + strings.Join(b, ",") + "]"
}

// listFeed reads a listing to its end.
func listFeed(t *testing.T, f *feed, c sources.Cursor) (lanes []sources.Lane, last *sources.LanePage, err error) {
	t.Helper()
	for page, e := range f.lanes(t.Context(), c) {
		if e != nil {
			return lanes, last, e
		}
		require.LessOrEqual(t, len(page.Next), sources.MaxCursor)
		lanes, last = append(lanes, page.Lanes...), page
	}
	return lanes, last, nil
}

// A listing asks for windows of at most a day, as far back as it may, follows
// NextPageUri under either of its paths, and lists the last day again.
func TestFeedWindows(t *testing.T) {
	t.Parallel()
	var v *feedVendor
	v = newFeedVendor(t, func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); {
		case strings.HasSuffix(r.URL.Path, "/list"):
			fmt.Fprint(w, subscribed("Audit.General"))
		case q.Get("nextPage") == "":
			link := v.server.URL + "/api/v1/" + feedTenant + "/activity/feed/subscriptions/content?contentType=Audit.General&startTime=" + q.Get("startTime") + "&endTime=" + q.Get("endTime") + "&nextPage=2026R1"
			w.Header()["NextPageUri"] = []string{link}
			fmt.Fprintf(w, `[{"contentType":"Audit.General","contentId":"a$%s","contentUri":"x","contentExpiration":"e"}]`, q.Get("startTime"))
		default:
			fmt.Fprintf(w, `[{"contentType":"Audit.General","contentId":"b$%s","contentUri":"x","contentExpiration":"e"}]`, q.Get("startTime"))
		}
	})
	f := v.feed(t, "Audit.General")
	lanes, last, err := listFeed(t, f, "")
	require.NoError(t, err)
	require.Len(t, lanes, 14)
	require.True(t, last.Complete)
	require.WithinDuration(t, feedNoon.Add(-manageLateness), time.UnixMilli(int64(last.CoveredTo)), time.Minute)
	require.WithinDuration(t, feedNoon.Add(-manageOldest), time.UnixMilli(int64(last.Since)), time.Minute)
	var end time.Time
	for i, r := range v.requests("/content") {
		from := startOf(t, r)
		to, err := time.Parse("2006-01-02T15:04:05", r.URL.Query().Get("endTime"))
		require.NoError(t, err)
		require.LessOrEqual(t, to.Sub(from), manageWindow)
		require.False(t, from.Before(v.clock.Now().Add(-manageRetention)))
		if i%2 == 0 {
			require.True(t, i == 0 || from.Equal(end), "half-open windows that meet")
		}
		end = to
	}
	v.forget()
	again, _, err := listFeed(t, f, last.Next)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(again), 2)
	require.WithinDuration(t, feedNoon.Add(-manageAgain), startOf(t, v.requests("/content")[0]), time.Minute, "the day before, again")
	require.Equal(t, lanes[0].Hint, again[0].Hint, "a hint that changes would have a blob read again")
}

func startOf(t *testing.T, r *http.Request) time.Time {
	t.Helper()
	from, err := time.Parse("2006-01-02T15:04:05", r.URL.Query().Get("startTime"))
	require.NoError(t, err)
	return from
}

// A listing that is cut short goes on behind its last page.
func TestFeedListingResumes(t *testing.T) {
	t.Parallel()
	v := newFeedVendor(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/list") {
			fmt.Fprint(w, subscribed("Audit.General", "Audit.Exchange"))
			return
		}
		fmt.Fprintf(w, `[{"contentType":%q,"contentId":"%s$%s"}]`, r.URL.Query().Get("contentType"), r.URL.Query().Get("contentType"), r.URL.Query().Get("startTime")[:10])
	})
	f := v.feed(t, "Audit.General", "Audit.Exchange")
	whole, _, err := listFeed(t, f, "")
	require.NoError(t, err)
	var got []string
	cursor := sources.Cursor("")
	for range 40 { // one page each
		done := false
		for page, err := range f.lanes(t.Context(), cursor) {
			require.NoError(t, err)
			for _, l := range page.Lanes {
				got = append(got, l.ID)
			}
			cursor, done = page.Next, page.Complete
			break
		}
		if done {
			break
		}
	}
	for _, l := range whole {
		require.Contains(t, got, l.ID)
	}
}

// A subscription is started once in 15 minutes, whatever becomes of it.
func TestFeedStartsSubscriptions(t *testing.T) {
	t.Parallel()
	answers := map[string]string{}
	v := newFeedVendor(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/list"):
			fmt.Fprint(w, `[{"contentType":"Audit.General","status":"disabled","webhook":null}]`)
		case strings.HasSuffix(r.URL.Path, "/start"):
			if code := answers[r.URL.Query().Get("contentType")]; code != "" {
				refuseWith(w, http.StatusBadRequest, code)
				return
			}
			fmt.Fprint(w, `{}`)
		default:
			fmt.Fprint(w, `[]`)
		}
	})
	answers["Audit.Exchange"] = "AF20024" // started already
	f := v.feed(t, "Audit.General", "Audit.Exchange")
	_, last, err := listFeed(t, f, "")
	require.NoError(t, err)
	require.Len(t, v.requests("/start"), 2)
	require.WithinDuration(t, feedNoon, time.UnixMilli(int64(last.Since)), time.Minute, "what was there before a subscription is not to be had")
	v.forget()
	_, _, err = listFeed(t, f, last.Next)
	require.Equal(t, fault.Transient, fault.Of(err))
	require.Empty(t, v.requests("/start"))
	require.Greater(t, fault.RetryAfter(err), 10*time.Minute)
}

// A content type whose right is missing, or that fails, does not stop the
// others; of one that fails the listing is not complete.
func TestFeedTypesFailAlone(t *testing.T) {
	t.Parallel()
	status, code := http.StatusForbidden, "AF10001"
	v := newFeedVendor(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/list"):
			fmt.Fprint(w, subscribed("DLP.All", "Audit.General"))
		case r.URL.Query().Get("contentType") == "DLP.All":
			refuseWith(w, status, code)
		default:
			fmt.Fprint(w, `[{"contentType":"Audit.General","contentId":"`+r.URL.Query().Get("startTime")+`"}]`)
		}
	})
	lanes, last, err := listFeed(t, v.feed(t, "DLP.All", "Audit.General"), "")
	require.NoError(t, err)
	require.Len(t, lanes, 7)
	require.True(t, last.Complete)
	_, _, err = listFeed(t, v.feed(t, "DLP.All"), "")
	require.Equal(t, fault.Forbidden, fault.Of(err))
	status, code = http.StatusBadRequest, "AF20030"
	lanes, last, err = listFeed(t, v.feed(t, "DLP.All", "Audit.General"), "")
	require.ErrorContains(t, err, "AF20030")
	require.Len(t, lanes, 7)
	require.False(t, last.Complete)
}

// An agent that was away for longer than the vendor keeps blobs says so.
func TestFeedGap(t *testing.T) {
	t.Parallel()
	v := newFeedVendor(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/list") {
			fmt.Fprint(w, subscribed("Audit.General"))
			return
		}
		fmt.Fprint(w, `[]`)
	})
	p := feedPlace{V: feedVersion, Types: map[string]*typePlace{"Audit.General": {To: feedNoon.AddDate(0, 0, -9).UnixMilli(), Since: 1}}}
	c, err := p.cursor()
	require.NoError(t, err)
	_, last, err := listFeed(t, v.feed(t, "Audit.General"), c)
	require.NoError(t, err)
	require.WithinDuration(t, feedNoon.Add(-manageOldest), time.UnixMilli(int64(last.Since)), time.Minute)
}

// readBlobLane reads a blob's lane.
func readBlobLane(t *testing.T, f *feed, l sources.Lane, c sources.Cursor) (ids []string, rejected int, next sources.Cursor, err error) {
	t.Helper()
	for page, e := range f.read(t.Context(), l, c) {
		if e != nil {
			return ids, rejected, next, e
		}
		for i := range page.Rows.Activities {
			ids = append(ids, strings.Clone(page.Rows.Activities[i].EventID))
		}
		rejected += len(page.Rejected)
		next = page.Next
	}
	return ids, rejected, next, nil
}

// A blob is fetched by its own link; one that is gone is told as lost; a bad
// record costs its neighbours nothing.
func TestFeedBlobs(t *testing.T) {
	t.Parallel()
	body, status, code := "", http.StatusOK, ""
	v := newFeedVendor(t, func(w http.ResponseWriter, _ *http.Request) {
		if status != http.StatusOK {
			refuseWith(w, status, code)
			return
		}
		fmt.Fprint(w, body)
	})
	f := v.feed(t, "Audit.General")
	lane := sources.Lane{ID: "20260501003051748005825$20260501003251112003221$audit_general$x", Once: true}
	hint := blobHint{URI: v.server.URL + "/api/v1.0/" + feedTenant + "/activity/feed/audit/20260501003051748005825$x", Type: "Audit.General", Expires: "2026-05-08T00:32:51.112Z"}
	lane.Hint = hint.String()

	sample, err := os.ReadFile("testdata/manage/blob.json")
	require.NoError(t, err)
	body = string(sample)
	ids, rejected, _, err := readBlobLane(t, f, lane, "")
	require.NoError(t, err)
	require.Equal(t, []string{"80c76bd2-…"}, ids)
	require.Zero(t, rejected)
	require.Len(t, v.requests("audit/20260501003051748005825$x"), 1)
	from, to := f.span(lane)
	require.Equal(t, "2026-04-30T00:32:51.000Z 2026-05-01T00:32:52.000Z", from.String()+" "+to.String())

	body = `[{"Id":"1","Operation":"x"},{"Id":"2","Operation":01},7,{"Operation":"x"},{"Id":"3","Operation":"x"}]`
	ids, rejected, _, err = readBlobLane(t, f, lane, "")
	require.NoError(t, err)
	require.Equal(t, []string{"1", "3"}, ids)
	require.Equal(t, 3, rejected)

	body = `[{"Id":"1","Operation":"DlpRuleMatch","PolicyDetails":[{"Rules":[{"ConditionsMatched":{"SensitiveInformation":[{"Count":1,"SensitiveInformationDetections":{"DetectedValues":[{"Name":"4111","Value":"x"}]}}]}}]}]}]`
	for page, err := range f.read(t.Context(), lane, "") {
		require.NoError(t, err)
		require.NotContains(t, page.Rows.Activities[0].Raw, "4111")
		require.Contains(t, page.Rows.Activities[0].Raw, `"Count":1`)
	}

	body = `[{"Id":"1","Operation":"x"},{"Id":"2","Opera`
	ids, _, next, err := readBlobLane(t, f, lane, "")
	require.Equal(t, fault.Transient, fault.Of(err))
	require.Equal(t, []string{"1"}, ids)
	body = `[{"Id":"1","Operation":"x"},{"Id":"2","Operation":"x"}]`
	ids, _, _, err = readBlobLane(t, f, lane, next)
	require.NoError(t, err)
	require.Equal(t, []string{"2"}, ids)

	many := make([]string, 2500)
	for i := range many {
		many[i] = fmt.Sprintf(`{"Id":"%d","Operation":"x"}`, i)
	}
	body = "[" + strings.Join(many, ",") + "]"
	ids, _, next, err = readBlobLane(t, f, lane, "1:1700")
	require.NoError(t, err)
	require.Len(t, ids, 800)
	require.Equal(t, sources.Cursor("1:2500"), next)

	for _, b := range []string{"", "<html>", `{"error":1}`, "[", "[1,2", "null"} {
		body = b
		_, _, _, err = readBlobLane(t, f, lane, "")
		require.Equal(t, fault.Transient, fault.Of(err), b)
		require.Error(t, err, b)
	}
	status, code = http.StatusBadRequest, "AF20051"
	_, _, _, err = readBlobLane(t, f, lane, "")
	require.Equal(t, fault.BadData, fault.Of(err))
	require.ErrorContains(t, err, "expired (2026-05-08T00:32:51.112Z)")
	status, code = http.StatusForbidden, "AF10001"
	_, _, _, err = readBlobLane(t, f, lane, "")
	require.Equal(t, fault.Transient, fault.Of(err), "a right that is missing for one content type")
	require.Equal(t, forbiddenPause, fault.RetryAfter(err))

	lane.Hint = blobHint{URI: "https://elsewhere.example/x"}.String()
	_, _, _, err = readBlobLane(t, f, lane, "")
	require.Equal(t, fault.BadData, fault.Of(err), "credentials go to the API's own host only")
}

// The past is the windows again, from the span on and a day longer.
func TestFeedPast(t *testing.T) {
	t.Parallel()
	v := newFeedVendor(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/list") {
			fmt.Fprint(w, subscribed(contentTypes...))
			return
		}
		fmt.Fprintf(w, `[{"contentType":"t","contentId":"%s%s"}]`, r.URL.Query().Get("contentType"), r.URL.Query().Get("startTime"))
	})
	f := v.feed(t, contentTypes...)
	var ids []string
	complete := false
	for page, err := range f.past(t.Context(), feedNoon.Add(-72*time.Hour), feedNoon.Add(-48*time.Hour), "") {
		require.NoError(t, err)
		for _, l := range page.Lanes {
			require.True(t, strings.HasPrefix(l.ID, sources.PastLane))
			require.True(t, l.Once)
			ids = append(ids, l.ID)
		}
		complete = page.Complete
	}
	require.True(t, complete)
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(ids))), 10)
}

// The listing of the vendor's documentation, byte for byte.
func TestFeedSampleListing(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/manage/content.json")
	require.NoError(t, err)
	var blobs []wireBlob
	require.NoError(t, json.Unmarshal(b, &blobs, jsontext.AllowDuplicateNames(true)))
	lanes, err := (&feed{}).lanesOf("", blobs)
	require.NoError(t, err)
	require.Equal(t, "20260501003051748005825$20260501003251112003221$audit_general$Audit_General$na0030", lanes[0].ID)
	require.Contains(t, lanes[0].Hint, "2026-05-08T00:32:51.112Z")
}

func FuzzAuditBlob(f *testing.F) {
	for _, s := range []string{`[{"Id":"1","Operation":"x"}]`, `[]`, `[1,{"Id":"2","Operation":"y","Actor":[{"ID":"User_x","Type":2}]},`, `[{"Id":"1","Operation":"x","EventData":"<a>b</a><c"}]`, "[\"", `[{"Id":"\ud800","Operation":"a"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		p := newAuditPage()
		rows := 0
		err := p.read([]byte(body), 0, func() error {
			for i := range p.rows.Activities {
				checkActivity(t, &p.rows.Activities[i])
			}
			rows += len(p.rows.Activities) + len(p.page.Rejected)
			return nil
		})
		var all []jsontext.Value
		if json.Unmarshal([]byte(body), &all, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) == nil && strings.HasPrefix(strings.TrimSpace(body), "[") {
			require.NoError(t, err)
			require.Equal(t, len(all), rows)
		}
	})
}

func FuzzMapAudit(f *testing.F) {
	f.Add(`{"Id":"1","Operation":"Add member to role.","RecordType":8,"Target":[{"ID":"User_9d8001cb-a159-4252-a3a1-c2dc689f322a","Type":2}],"ModifiedProperties":[{"Name":"Role.ObjectID","NewValue":"[\"x\"]"}]}`)
	f.Add(`{"Id":"1","Operation":"SharingSet","Workload":"OneDrive","ItemType":"File","EventData":"<Permissions granted>x</Permissions granted>","ClientIP":"[fd00::1]:443, 1.2.3.4"}`)
	f.Add(`{"Id":"1","Operation":"MailItemsAccessed","RecordType":"50","MailboxOwnerUPN":"a@b.c","Folders":[{"FolderItems":[{"InternetMessageId":"<1>"}]}]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		if !validRecord(raw) {
			return
		}
		var a schemas.Activity
		m := newAuditMapper()
		if m.mapRecord(&a, raw) == "" {
			checkActivity(t, &a)
		}
	})
}

// What is no subscription costs the others nothing.
func TestOddSubscription(t *testing.T) {
	t.Parallel()
	f := newFeedVendor(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`[{"contentType":"Audit.General","status":"enabled"},[],7,{"contentType":3},{"contentType":"Audit.Exchange","status":"disabled"},{"contentType":"DLP.All"}]`))
	}).feed(t)
	enabled, _, err := f.subscriptions(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"Audit.General": true, "Audit.Exchange": false, "DLP.All": true}, enabled)
}
