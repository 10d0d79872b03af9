package microsoft365

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/testclock"
	"weir/schemas"
	"weir/sources"
)

// logVendor is Entra's sign-in log as the contract has it: filters of ge and le,
// pages by links, newest first unless $orderby asks otherwise.
type logVendor struct {
	*vendor
	clock *testclock.Clock

	events  []logEvent
	page    int                          // records a page
	probes  bool                         // of capabilities, without a window
	padding string                       // in links
	newest  bool                         // $orderby is not obeyed
	refuse  func(skip int) (int, string) // by how deep a link leads; 0: it is answered
	behind  time.Duration                // the vendor's clock
	asked   []logAsked
}

type logEvent struct {
	id       string
	at, seen time.Time // when it happened, and from when it is listed
}

// logAsked is one request.
type logAsked struct {
	path     string
	from, to time.Time
	link     bool
}

func newLogVendor(t *testing.T) *logVendor {
	v := &logVendor{page: 1000, clock: testclock.Fast(noon, 300)}
	v.vendor = newVendor(t, v.answer)
	v.vendor.clock = v.clock
	return v
}

var logFilter = regexp.MustCompile(`^(?:\(signInEventTypes/any\(t: [^()]*\)\) and )?(\w+) ge (\S+) and (\w+) le (\S+)$`)

func (v *logVendor) answer(r *http.Request) answer {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.clock.Now().Add(-v.behind)
	out := answer{header: map[string]string{"Date": now.UTC().Format(http.TimeFormat)}}
	q := r.URL.Query()
	if v.probes && q.Get("$top") == "1" {
		window := "x ge 2026-01-01T00:00:00Z and x le 2026-01-01T00:00:00Z"
		if q.Has("$filter") {
			window = q.Get("$filter") + " and " + window
		}
		q.Set("$filter", window)
		q.Set("$orderby", "x")
	}
	m := logFilter.FindStringSubmatch(q.Get("$filter"))
	if m == nil || m[1] != m[3] || q.Get("$orderby") != m[1] {
		v.t.Errorf("asked for %s", r.URL)
		out.status = http.StatusBadRequest
		return out
	}
	from, errA := time.Parse(time.RFC3339, m[2])
	to, errB := time.Parse(time.RFC3339, m[4])
	if errA != nil || errB != nil {
		v.t.Errorf("asked for %s", r.URL)
	}
	skip, _ := strconv.Atoi(q.Get("$skiptoken"))
	v.asked = append(v.asked, logAsked{r.URL.Path, from, to, skip > 0})
	if v.refuse != nil {
		if status, code := v.refuse(skip); status != 0 {
			out.status, out.body = status, fmt.Sprintf(`{"error":{"code":%q,"message":"no"}}`, code)
			return out
		}
	}
	var list []logEvent
	for _, e := range v.events {
		if !e.at.Before(from) && !e.at.After(to) && !e.seen.After(now) {
			list = append(list, e)
		}
	}
	slices.SortStableFunc(list, func(a, b logEvent) int { return a.at.Compare(b.at) })
	if v.newest {
		slices.Reverse(list)
	}
	records := []any{}
	for _, e := range list[min(skip, len(list)):min(skip+v.page, len(list))] {
		records = append(records, map[string]any{"id": e.id, "createdDateTime": e.at.UTC().Format(time.RFC3339Nano), "activityDateTime": e.at.UTC().Format(time.RFC3339Nano), "activityDisplayName": "Add user"})
	}
	body := map[string]any{"value": records}
	if skip+v.page < len(list) {
		q.Set("$skiptoken", strconv.Itoa(skip+v.page))
		if v.padding != "" {
			q.Set("$padding", v.padding)
		}
		body["@odata.nextLink"] = base + r.URL.Path + "?" + q.Encode()
	}
	b, err := json.Marshal(body)
	if err != nil {
		v.t.Error(err)
	}
	out.body = string(b)
	return out
}

func (v *logVendor) windows() (out []logAsked) {
	v.mu.Lock()
	defer v.mu.Unlock()
	out, v.asked = v.asked, nil
	return out
}

// add adds events that are listed as they happen.
func (v *logVendor) add(times ...time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, at := range times {
		v.events = append(v.events, logEvent{"e" + strconv.Itoa(len(v.events)), at, at})
	}
}

// open returns a session that begins a day ago.
func (v *logVendor) open(change func(*Config)) *session {
	return v.vendor.open(func(c *Config) {
		c.SignIns.Since, c.DirectoryAudits.Since = day, day
		if change != nil {
			change(c)
		}
	})
}

// logRead is what a reading gave.
type logRead struct {
	ids       []string
	since     schemas.Time
	watermark schemas.Time
	next      sources.Cursor
	pages     int
	err       error
}

// readLog reads a lane to its end, or to the page with a number.
func readLog(t *testing.T, st sources.Stream, lane sources.Lane, c sources.Cursor, pages int) (r logRead) {
	t.Helper()
	r.next = c
	for r.readOn(t, st, lane, pages); fault.Of(r.err) == fault.Throttled; r.readOn(t, st, lane, pages) {
		r.err = nil // a busy machine: the clock runs faster than requests are sent
	}
	return r
}

func (r *logRead) readOn(t *testing.T, st sources.Stream, lane sources.Lane, pages int) {
	t.Helper()
	for page, err := range st.Read(t.Context(), lane, r.next) {
		if err != nil {
			r.err = err
			return
		}
		require.LessOrEqual(t, len(page.Next), sources.MaxCursor)
		require.Empty(t, page.Rejected)
		for _, a := range page.Rows.Activities {
			r.ids = append(r.ids, a.EventID)
		}
		r.since = cmp.Or(r.since, page.Since)
		r.watermark, r.next = page.Watermark, page.Next
		if r.pages++; r.pages == pages {
			return
		}
	}
}

func (v *logVendor) all() (out []string) {
	for _, e := range v.events {
		out = append(out, e.id)
	}
	return out
}

func uniq(ids []string) []string {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	return slices.Compact(ids)
}

// The first reading goes back as far as is asked for, in windows that follow
// each other; later ones begin a little before where the last one ended, and
// every hour behind what may still come.
func TestLogPolls(t *testing.T) {
	t.Parallel()
	v := newLogVendor(t)
	for i := range 24 {
		v.add(v.clock.Now().Add(-time.Duration(i)*time.Hour - time.Minute))
	}
	st := v.open(nil).signInsStream()
	r := readLog(t, st, sources.Lane{}, "", 0)
	require.NoError(t, r.err)
	require.ElementsMatch(t, v.all(), uniq(r.ids))
	near := func(want time.Time, got schemas.Time) {
		t.Helper()
		require.WithinDuration(t, want, time.UnixMilli(int64(got)), 10*time.Minute)
	}
	near(noon.Add(-day), r.since)
	near(noon.Add(-2*time.Hour), r.watermark)
	asked := v.windows()
	for i, q := range asked {
		require.Equal(t, pathAllSignIns, q.path)
		require.LessOrEqual(t, q.to.Sub(q.from), logWidest)
		if i > 0 {
			require.Equal(t, asked[i-1].to, q.from, "windows meet")
		}
	}
	require.Less(t, len(asked), 8, "windows grow where there is little")

	mark := asked[len(asked)-1].to
	v.clock.Skip(5 * time.Minute)
	again := readLog(t, st, sources.Lane{}, r.next, 0)
	require.NoError(t, again.err)
	require.Zero(t, again.since)
	require.Equal(t, r.watermark, again.watermark, "nothing has become final")
	asked = v.windows()
	require.Len(t, asked, 1)
	require.WithinDuration(t, mark.Add(-logOverlap), asked[0].from, time.Minute) // the vendor's clock is known to a few seconds

	v.clock.Skip(time.Hour)
	deep := readLog(t, st, sources.Lane{}, again.next, 0)
	require.NoError(t, deep.err)
	asked = v.windows()
	require.Equal(t, time.UnixMilli(int64(r.watermark)).UTC(), asked[0].from)
	near(noon.Add(-55*time.Minute), deep.watermark)
}

// Whatever is listed late, within the lateness, is delivered, and the watermark
// never says that a time is complete of which something still comes: also where
// the agent's clock is ahead of the vendor's.
func TestLogIsComplete(t *testing.T) {
	t.Parallel()
	for _, behind := range []time.Duration{0, 40 * time.Minute} {
		t.Run(behind.String(), func(t *testing.T) {
			t.Parallel()
			v := newLogVendor(t)
			v.page, v.behind = 7, behind
			random := rand.New(rand.NewPCG(1, 2))
			for i := range 300 {
				at := noon.Add(time.Duration(random.Int64N(int64(14*time.Hour))) - 8*time.Hour)
				v.events = append(v.events, logEvent{"e" + strconv.Itoa(i), at, at.Add(time.Duration(random.Int64N(int64(2 * time.Hour))))})
			}
			st := v.open(nil).directoryAuditsStream()
			had := map[string]bool{}
			var next sources.Cursor
			var watermark schemas.Time
			for v.clock.Now().Before(noon.Add(9*time.Hour + behind)) {
				r := readLog(t, st, sources.Lane{}, next, 1+random.IntN(12)) // cut off anywhere
				require.NoError(t, r.err)
				require.GreaterOrEqual(t, r.watermark, watermark)
				next, watermark = r.next, r.watermark
				for _, id := range r.ids {
					had[id] = true
				}
				for _, e := range v.events {
					require.True(t, had[e.id] || e.at.UnixMilli() >= int64(watermark), "%v came after %v was told to be complete", e, watermark)
				}
				v.clock.Skip(5 * time.Minute)
			}
			require.Len(t, had, len(v.events))
			require.Greater(t, watermark, schemas.Time(noon.Add(5*time.Hour).UnixMilli()))
		})
	}
}

// A window that loses its link begins anew where it was, whatever the vendor
// says of the link.
func TestLogLinkIsLost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int
		code   string
		deep   bool // every link that leads so far
	}{
		{"gone", 410, "syncStateNotFound", false},
		{"bad", 400, "BadRequest", false},
		{"slow", 504, "UnknownError", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := newLogVendor(t)
			v.page = 10
			for i := range 60 {
				v.add(v.clock.Now().Add(-time.Duration(60-i) * 30 * time.Second))
			}
			links := 0
			v.refuse = func(skip int) (int, string) {
				if skip == 0 {
					return 0, ""
				}
				if links++; c.deep && skip >= 30 || !c.deep && links >= 3 && links < 12 {
					return c.status, c.code
				}
				return 0, ""
			}
			st := v.open(func(c *Config) { c.SignIns.Since = 2 * time.Hour }).signInsStream()
			var ids []string
			var next sources.Cursor
			for range 20 {
				r := readLog(t, st, sources.Lane{}, next, 0)
				ids = append(ids, r.ids...)
				next = cmp.Or(r.next, next)
				if r.err == nil {
					break
				}
				require.Contains(t, []fault.Class{fault.Transient, fault.BadData}, fault.Of(r.err), "%v", r.err)
			}
			require.Len(t, uniq(ids), 60)
			require.Less(t, len(ids), 120, "it began anew where it was")
		})
	}
}

// Links that are always refused, in a window that cannot begin anew anywhere but
// where it is, end a reading each time, until one is taken.
func TestLogLinksAreRefused(t *testing.T) {
	t.Parallel()
	v := newLogVendor(t)
	v.page = 2
	at := v.clock.Now().Add(-time.Minute).Truncate(time.Second)
	v.add(at, at, at, at, at)
	refused := true
	v.refuse = func(skip int) (int, string) {
		if skip > 0 && refused {
			return http.StatusGone, "syncStateNotFound"
		}
		return 0, ""
	}
	st := v.open(func(c *Config) { c.SignIns.Since = time.Hour }).signInsStream()
	var next sources.Cursor
	for range 3 {
		r := readLog(t, st, sources.Lane{}, next, 50)
		require.Error(t, r.err)
		require.Equal(t, fault.Transient, fault.Of(r.err))
		next = r.next
	}
	v.mu.Lock()
	refused = false
	v.mu.Unlock()
	r := readLog(t, st, sources.Lane{}, next, 50)
	require.NoError(t, r.err)
	require.Len(t, uniq(r.ids), 5-2) // the page before was delivered
}

// Many pages are no deep link, and a link that no cursor holds is none at all.
func TestLogCutsWindows(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*logVendor){
		"deep": func(*logVendor) {},
		"long": func(v *logVendor) { v.padding = strings.Repeat("x", sources.MaxCursor) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newLogVendor(t)
			v.page = 5
			change(v)
			for i := range 200 {
				v.add(v.clock.Now().Add(-time.Duration(200-i) * 15 * time.Second))
			}
			r := readLog(t, v.open(func(c *Config) { c.SignIns.Since = time.Hour }).signInsStream(), sources.Lane{}, "", 0)
			require.NoError(t, r.err)
			require.Len(t, uniq(r.ids), 200)
			row := 0
			for _, q := range v.windows() {
				if row++; !q.link {
					row = 0
				}
				require.Less(t, row, logPages)
			}
		})
	}
}

// Where a second has more events than a page, a link that no cursor holds is an
// error, and nothing is passed over.
func TestLogLinkTooLong(t *testing.T) {
	t.Parallel()
	v := newLogVendor(t)
	v.page, v.padding = 2, strings.Repeat("x", sources.MaxCursor)
	at := v.clock.Now().Add(-time.Minute).Truncate(time.Second)
	v.add(at, at, at, at)
	st := v.open(func(c *Config) { c.SignIns.Since = time.Hour }).signInsStream()
	r := readLog(t, st, sources.Lane{}, "", 0)
	for range 3 {
		if r.err != nil {
			break
		}
		r = readLog(t, st, sources.Lane{}, r.next, 0)
	}
	require.Equal(t, fault.Permanent, fault.Of(r.err), "%v", r.err)
}

// A vendor that lists the newest first, whatever is asked for, costs no event.
func TestLogOutOfOrder(t *testing.T) {
	t.Parallel()
	v := newLogVendor(t)
	v.page, v.newest = 5, true
	for i := range 150 {
		v.add(v.clock.Now().Add(-time.Duration(i+1) * 20 * time.Second))
	}
	links := 0
	v.refuse = func(skip int) (int, string) {
		if skip > 0 {
			if links++; links == 10 {
				return 410, "syncStateNotFound"
			}
		}
		return 0, ""
	}
	r := readLog(t, v.open(func(c *Config) { c.SignIns.Since = time.Hour }).signInsStream(), sources.Lane{}, "", 0)
	require.NoError(t, r.err)
	require.Len(t, uniq(r.ids), 150)
}

// What the vendor has dropped while nobody read is told.
func TestLogAwayForLong(t *testing.T) {
	t.Parallel()
	v := newLogVendor(t)
	s := v.open(func(c *Config) { c.DirectoryAudits.Retention = 7 * day })
	st := s.directoryAuditsStream()
	require.Equal(t, 7*day, st.Info.Retention)
	r := readLog(t, st, sources.Lane{}, "", 0)
	require.NoError(t, r.err)
	v.clock.Skip(10 * day)
	v.add(v.clock.Now().Add(-time.Hour))
	later := readLog(t, st, sources.Lane{}, r.next, 0)
	require.NoError(t, later.err)
	require.Len(t, uniq(later.ids), 1)
	require.WithinDuration(t, v.clock.Now().Add(-7*day), time.UnixMilli(int64(later.since)), 10*time.Minute)
}

// The past is listed newest first, without gaps, and holds every event.
func TestLogPast(t *testing.T) {
	t.Parallel()
	v := newLogVendor(t)
	v.page = 3
	from, to := noon.Add(-20*time.Hour), noon.Add(-3*time.Hour+time.Millisecond)
	for i := range 40 {
		v.add(from.Add(time.Duration(i) * to.Sub(from) / 40))
	}
	st := v.open(nil).signInsStream()
	var ids []string
	end := to
	for page, err := range st.Past(t.Context(), from, to, "") {
		require.NoError(t, err)
		require.True(t, page.Complete)
		for _, lane := range page.Lanes {
			require.True(t, lane.Once)
			a, b, err := parsePast(lane.ID)
			require.NoError(t, err)
			require.Equal(t, end.UnixMilli(), b)
			end = time.UnixMilli(a)
			r := readLog(t, st, lane, "", 1)
			if v.mu.Lock(); len(v.asked) > 0 {
				require.False(t, v.asked[len(v.asked)-1].to.After(to.Add(time.Second)))
			}
			v.mu.Unlock()
			ids = append(ids, r.ids...)
			var at logCursor
			at, err = parseLogCursor(r.next)
			require.NoError(t, err)
			if at.Began != 0 {
				r = readLog(t, st, lane, r.next, 0)
				require.NoError(t, r.err)
				require.Zero(t, r.watermark)
				ids = append(ids, r.ids...)
			}
		}
	}
	require.Equal(t, from.UnixMilli(), end.UnixMilli())
	require.ElementsMatch(t, v.all(), uniq(ids))
	require.Equal(t, fault.Permanent, fault.Of(readLog(t, st, sources.Lane{ID: sources.PastLane + "x"}, "", 0).err))
}

// A refusal says what is missing.
func TestLogRefused(t *testing.T) {
	t.Parallel()
	v := newLogVendor(t)
	s := v.open(nil)
	for _, c := range []struct {
		code  string
		class fault.Class
		words string
	}{
		{"Authentication_RequestFromNonPremiumTenantOrB2CTenant", fault.NotLicensed, "RecordType 15"},
		{"Authentication_MSGraphPermissionMissing", fault.Forbidden, "AuditLog.Read.All and Directory.Read.All"},
	} {
		v.mu.Lock()
		v.refuse = func(int) (int, string) { return http.StatusForbidden, c.code }
		v.mu.Unlock()
		r := readLog(t, s.signInsStream(), sources.Lane{}, "", 0)
		require.Equal(t, c.class, fault.Of(r.err))
		require.ErrorContains(t, r.err, c.words)
	}
	require.ErrorContains(t, readLog(t, s.directoryAuditsStream(), sources.Lane{}, "", 0).err, permissionLogs)
}

// Interactive sign-ins alone are asked of v1.0; other kinds are chosen in beta.
func TestSignInKinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kinds           []string
		path, condition string
	}{
		{[]string{interactiveUser}, pathSignIns, ""},
		{[]string{"managedIdentity", "interactiveUser"}, pathAllSignIns, "(signInEventTypes/any(t: t eq 'interactiveUser' or t eq 'managedIdentity'))"},
		{signInKinds, pathAllSignIns, "(signInEventTypes/any(t: t eq 'interactiveUser' or t eq 'nonInteractiveUser' or t eq 'servicePrincipal' or t eq 'managedIdentity'))"},
	} {
		path, condition := (&SignIns{Kinds: c.kinds}).listing()
		require.Equal(t, [2]string{c.path, c.condition}, [2]string{path, condition})
	}
}

func TestLogSettings(t *testing.T) {
	t.Parallel()
	for key, change := range map[string]func(*Config){
		"directory_audits.since":     func(c *Config) { c.DirectoryAudits.Since = 0 },
		"directory_audits.lateness":  func(c *Config) { c.DirectoryAudits.Lateness = time.Minute },
		"directory_audits.retention": func(c *Config) { c.DirectoryAudits.Retention = 31 * day },
		"sign_ins.since":             func(c *Config) { c.SignIns.Since = -1 },
		"sign_ins.lateness":          func(c *Config) { c.SignIns.Lateness = 8 * day },
		"sign_ins.kinds":             func(c *Config) { c.SignIns.Kinds = []string{interactiveUser, "interactive"} },
	} {
		c := defaults()
		require.Empty(t, slices.Concat(c.DirectoryAudits.validate(), c.SignIns.validate()))
		change(c)
		errs := slices.Concat(c.DirectoryAudits.validate(), c.SignIns.validate())
		require.Len(t, errs, 1, key)
		require.Equal(t, key, errs[0].Key)
	}
	none := SignIns{Since: day, Lateness: time.Hour}
	require.Len(t, none.validate(), 1)
}

// An instance declares what its settings say.
func TestLogDeclares(t *testing.T) {
	t.Parallel()
	c := defaults()
	c.DirectoryAudits.Retention, c.DirectoryAudits.Lateness, c.SignIns.Lateness = 7*day, 4*time.Hour, day
	audits, signIns := adjust(c, infoAudits), adjust(c, infoSignIns)
	require.Equal(t, 7*day, audits.Retention)
	require.Equal(t, 5*time.Hour, audits.Lateness)
	require.Equal(t, 30*day, signIns.Retention)
	require.Equal(t, 25*time.Hour, signIns.Lateness)
	require.True(t, signIns.Mutable && signIns.Back && signIns.ShowsLate)
	require.Equal(t, infoApps, adjust(c, infoApps))
	s := newLogVendor(t).open(func(to *Config) { to.DirectoryAudits, to.SignIns = c.DirectoryAudits, c.SignIns })
	require.Equal(t, []sources.StreamInfo{audits, signIns}, []sources.StreamInfo{s.directoryAuditsStream().Info, s.signInsStream().Info})
	require.Equal(t, infoAudits, adjust(defaults(), infoAudits))
	require.Equal(t, infoSignIns, adjust(defaults(), infoSignIns))
}

// Capabilities are tried with the cheapest request.
func TestLogProbes(t *testing.T) {
	t.Parallel()
	v := newLogVendor(t)
	v.probes = true
	s := v.open(nil)
	require.NoError(t, s.Probe(t.Context(), streamAudits))
	require.NoError(t, s.Probe(t.Context(), streamSignIns))
	require.NoError(t, s.Probe(t.Context(), capAllKinds))
	v.mu.Lock()
	v.refuse = func(int) (int, string) {
		return http.StatusForbidden, "Authentication_RequestFromNonPremiumTenantOrB2CTenant"
	}
	v.mu.Unlock()
	err := s.Probe(t.Context(), streamSignIns)
	require.Equal(t, fault.NotLicensed, fault.Of(err))
	require.ErrorContains(t, err, "RecordType 15")
}

func FuzzLogCursor(f *testing.F) {
	f.Add(`{"v":1,"mark":1,"final":1,"swept":1,"began":2,"deep":true,"span":3600,"from":1,"to":2,"link":"/v1.0/x?$skiptoken=1","seen":2,"pages":1}`)
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseLogCursor(sources.Cursor(s))
		if err != nil {
			require.Equal(t, fault.Expired, fault.Of(err))
			return
		}
		again, err := parseLogCursor(c.cursor())
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}
