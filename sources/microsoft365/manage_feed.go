package microsoft365

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// The Management Activity API lists content blobs by the time at which they
// became available, in windows. Nothing tells when the events in them happened.
const (
	manageWindow    = 24 * time.Hour                   // the longest that may be asked for
	manageRetention = 7 * 24 * time.Hour               // blobs are gone after that
	manageOldest    = 167*time.Hour + 55*time.Minute   // as far back as a window may begin, with some room
	manageAgain     = 24 * time.Hour                   // listed again each time: blobs turn up behind others
	manageLateness  = 24 * time.Hour                   // most workloads take 90 minutes, some longer; nothing is promised
	manageKeep      = manageRetention + 3*24*time.Hour // a listing may show a blob for as long as it exists
	startPause      = 15 * time.Minute                 // between two attempts to start a subscription
	forbiddenPause  = time.Hour                        // until a blob is asked for again whose right is missing
)

// contentTypes are all that exist. Audit.General carries every workload that has
// none of its own.
var contentTypes = []string{"Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General", dlp}

const dlp = "DLP.All"

const (
	pathList    = "/api/v1.0/{tenant}/activity/feed/subscriptions/list"
	pathStart   = "/api/v1.0/{tenant}/activity/feed/subscriptions/start"
	pathContent = "/api/v1.0/{tenant}/activity/feed/subscriptions/content"
	pathBlob    = "/api/v1.0/{tenant}/activity/feed/audit/{content}"
)

// feed reads the Management Activity API of a tenant.
type feed struct {
	client *httpx.Client // of the API's origin
	tenant string        // also whose quota it is: PublisherIdentifier
	clock  clockwork.Clock
	types  []string
	since  time.Duration // how far back the first listing goes
	pages  sync.Pool     // of *auditPage
}

func newFeed(client *httpx.Client, tenant string, clock clockwork.Clock, types []string, since time.Duration) *feed {
	f := &feed{client: client, tenant: tenant, clock: clock, types: types, since: since}
	f.pages.New = func() any { return newAuditPage() }
	return f
}

// query is a request's, with the identifier that gives it a quota of its own.
func (f *feed) query(more ...string) url.Values {
	q := url.Values{"PublisherIdentifier": {f.tenant}}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return q
}

// follow makes the request that a link of the vendor's asks for, with the
// identifier appended where it is missing.
func (f *feed) follow(link string, like httpx.Path) (*httpx.Request, error) {
	r, err := f.client.Follow(link, like)
	if err != nil {
		return nil, err
	}
	for part := range strings.SplitSeq(r.RawQuery, "&") {
		if name, _, _ := strings.Cut(part, "="); strings.EqualFold(name, "PublisherIdentifier") {
			return r, nil
		}
	}
	r.Query = f.query()
	return r, nil
}

// subscriptions returns which content types are enabled, and the vendor's time. An
// entry that cannot be understood enables nothing, and costs no other.
func (f *feed) subscriptions(ctx context.Context) (enabled map[string]bool, now time.Time, err error) {
	r, err := f.client.Do(ctx, &httpx.Request{Path: httpx.P(pathList, f.tenant), Query: f.query()})
	if err != nil {
		return nil, now, err
	}
	enabled = map[string]bool{}
	for raw, err := range httpx.Elements(r) {
		if err != nil {
			return nil, now, err
		}
		var s struct {
			ContentType string `json:"contentType"`
			Status      string `json:"status"`
		}
		if decode(raw, &s) == nil {
			// One documented sample has no status.
			enabled[s.ContentType] = s.Status == "" || strings.EqualFold(s.Status, "enabled")
		}
	}
	now = f.clock.Now()
	if r.Skew < 0 {
		now = now.Add(r.Skew) // its own clock is behind: a window may not end in its future
	}
	return enabled, now.UTC().Truncate(time.Second), nil
}

// start starts the subscription to a content type. One that is started already
// is as good.
func (f *feed) start(ctx context.Context, contentType string) error {
	_, err := f.client.Do(ctx, &httpx.Request{Method: "POST", Path: httpx.P(pathStart, f.tenant), Query: f.query("contentType", contentType)})
	if httpx.CodeOf(err) == "AF20024" {
		return nil
	}
	return err
}

// notSubscribed says that an answer is one to a content type without a
// subscription, or with one that was disabled.
func notSubscribed(err error) bool {
	code := httpx.CodeOf(err)
	return code == "AF20022" || code == "AF20023"
}

// expired says that a blob is gone, or was never there.
func expired(err error) bool {
	code := httpx.CodeOf(err)
	return code == "AF20050" || code == "AF20051" || httpx.NotFound(err)
}

// probe asks whether a content type's blobs can be listed; "" any of them.
func (f *feed) probe(ctx context.Context, contentType string) error {
	_, now, err := f.subscriptions(ctx)
	if err != nil || contentType == "" {
		return err
	}
	_, err = f.client.Do(ctx, &httpx.Request{Path: httpx.P(pathContent, f.tenant), Query: f.window(contentType, now.Add(-time.Minute), now)})
	if notSubscribed(err) {
		return nil // collecting starts it
	}
	return err
}

// window is the query for a content type's blobs of [from,to).
func (f *feed) window(contentType string, from, to time.Time) url.Values {
	const layout = "2006-01-02T15:04:05"
	return f.query("contentType", contentType, "startTime", from.UTC().Format(layout), "endTime", to.UTC().Format(layout))
}

// wireBlob is an entry of a listing.
type wireBlob struct {
	ContentType string `json:"contentType"`
	ContentID   string `json:"contentId"`
	ContentURI  string `json:"contentUri"`
	Expiration  string `json:"contentExpiration"`
}

// list lists one page of a content type's blobs. link is the page's, "" the
// first one's.
func (f *feed) list(ctx context.Context, contentType string, from, to time.Time, link string) (blobs []wireBlob, next string, err error) {
	r := &httpx.Request{Path: httpx.P(pathContent, f.tenant), Query: f.window(contentType, from, to)}
	if link != "" {
		if r, err = f.follow(link, httpx.P(pathContent, f.tenant)); err != nil {
			return nil, "", err
		}
	}
	resp, err := f.client.Do(ctx, r)
	if err != nil {
		return nil, "", err
	}
	if err := httpx.Decode(resp, &blobs); err != nil {
		return nil, "", err
	}
	return blobs, resp.Header.Get("NextPageUri"), nil
}

// errTurned ends a walk whose taker has had enough.
var errTurned = errors.New("stop")

// eachPage lists the blobs of [from,to), window by window of at most a day, and
// their pages, from a page's link on. While it goes on the oldest go out of
// reach: skipped is told where a window began later for that.
func (f *feed) eachPage(ctx context.Context, contentType string, from, to time.Time, link string, give func(at time.Time, next string, blobs []wireBlob) error, skipped func(time.Time)) error {
	for from.Before(to) {
		if oldest := f.oldest(); link == "" && from.Before(oldest) {
			from = oldest
			skipped(from)
		}
		end := from.Add(manageWindow)
		if end.After(to) {
			end = to
		}
		if !from.Before(end) {
			return nil
		}
		blobs, next, err := f.list(ctx, contentType, from, end, link)
		if link != "" && (httpx.CodeOf(err) == "AF20031" || fault.Of(err) == fault.BadData && err != nil) {
			link = "" // the page's place is not known any more: the window from its beginning
			continue
		}
		if err != nil {
			return err
		}
		if next == link && next != "" {
			return fault.New(fault.Transient, "%s: the listing of %s leads to itself", pathContent, contentType)
		}
		at := from
		if next == "" {
			at = end
		}
		if err := give(at, next, blobs); err != nil {
			return err
		}
		if link = next; link == "" {
			from = end
		}
	}
	return nil
}

// oldest is how far back a window may begin now.
func (f *feed) oldest() time.Time {
	return f.clock.Now().Add(-manageOldest).UTC().Truncate(time.Second)
}

// lanesOf are the once-lanes of blobs.
func (f *feed) lanesOf(prefix string, blobs []wireBlob) ([]sources.Lane, error) {
	lanes := make([]sources.Lane, 0, len(blobs))
	for _, b := range blobs {
		hint := blobHint{URI: b.ContentURI, Type: b.ContentType, Expires: b.Expiration}
		l := sources.Lane{ID: prefix + b.ContentID, Hint: hint.String(), Once: true}
		if len(l.Hint) > sources.MaxHint { // its place follows from its id
			hint.URI = ""
			l.Hint = hint.String()
		}
		if b.ContentID == "" || len(l.ID) > sources.MaxLaneID || len(l.Hint) > sources.MaxHint {
			return nil, fault.New(fault.BadData, "%s: a blob whose contentId has %d bytes, and contentUri %d", pathContent, len(b.ContentID), len(b.ContentURI))
		}
		lanes = append(lanes, l)
	}
	return lanes, nil
}
