package microsoft365

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// feedPlace is the listing's cursor.
type feedPlace struct {
	V     int                   `json:"v"`
	Types map[string]*typePlace `json:"t,omitempty"`
	End   int64                 `json:"end,omitempty"` // of the listing under way, milliseconds
	// The page under way, of one content type.
	Type string `json:"at,omitempty"`
	From int64  `json:"from,omitempty"` // its window's beginning, milliseconds
	Link string `json:"link,omitempty"`
}

// typePlace is how far a content type has been listed.
type typePlace struct {
	To      int64 `json:"to,omitempty"`    // listed up to here, milliseconds; 0: never
	Since   int64 `json:"s,omitempty"`     // from here on without a gap
	Started int64 `json:"start,omitempty"` // when its subscription was last asked for
	Done    bool  `json:"d,omitempty"`     // in the listing under way
}

const (
	feedVersion = 1
	resumeFor   = time.Hour // a listing that was cut short before is begun anew
	maxPageLink = 2 << 10   // of a page; behind a longer one the window begins again
)

func parseFeedPlace(c sources.Cursor) feedPlace {
	var p feedPlace
	if json.Unmarshal([]byte(c), &p) != nil || p.V != feedVersion {
		p = feedPlace{V: feedVersion} // everything is listed anew, which loses nothing
	}
	if p.Types == nil {
		p.Types = map[string]*typePlace{}
	}
	return p
}

func (p *feedPlace) of(contentType string) *typePlace {
	t := p.Types[contentType]
	if t == nil {
		t = &typePlace{}
		p.Types[contentType] = t
	}
	return t
}

func (p *feedPlace) cursor() (sources.Cursor, error) {
	if len(p.Link) > maxPageLink {
		p.Link = ""
	}
	b, err := json.Marshal(p, json.Deterministic(true))
	return sources.Cursor(b), err
}

// lanes implements sources.Stream.Lanes: of each content type, what has become
// available since the last listing, and the day before that again.
func (f *feed) lanes(ctx context.Context, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		if err := f.listLanes(ctx, parseFeedPlace(c), yield); err != nil && !errors.Is(err, errTurned) {
			yield(nil, err)
		}
	}
}

func (f *feed) listLanes(ctx context.Context, p feedPlace, yield func(*sources.LanePage, error) bool) error {
	enabled, now, err := f.subscriptions(ctx)
	if err != nil {
		return err
	}
	if end := time.UnixMilli(p.End).UTC(); p.End != 0 && !end.After(now) && now.Sub(end) < resumeFor {
		now = end
	} else {
		p.begin()
	}
	p.End = now.UnixMilli()
	give := func(page *sources.LanePage) error {
		if page.Next, err = p.cursor(); err != nil {
			return err
		}
		if !yield(page, nil) {
			return errTurned
		}
		return nil
	}
	var since, to time.Time
	var failed, refused error
	listed := 0
	for _, t := range f.types {
		at := p.of(t)
		if at.Done { // before the listing was cut short
			listed, since, to = listed+1, later(since, at.Since), now
			continue
		}
		if !enabled[t] {
			if err = f.ensure(ctx, at, t, now); err == nil {
				err = give(&sources.LanePage{}) // when it was asked for is kept
			}
		} else {
			err = nil
		}
		if err == nil {
			err = f.listType(ctx, &p, t, now, give)
		}
		if notSubscribed(err) { // whatever the list of subscriptions says
			if err = f.ensure(ctx, at, t, now); err == nil {
				err = f.listType(ctx, &p, t, now, give)
			}
		}
		switch class := fault.Of(err); {
		case err == nil:
			listed, since, to = listed+1, later(since, at.Since), now
		case errors.Is(err, errTurned), ctx.Err() != nil, class == fault.Auth:
			return err
		case class == fault.Forbidden, class == fault.NotLicensed:
			refused = err // one content type's right does not stop the others
		default:
			failed = cmp.Or(failed, err)
		}
		p.Type, p.From, p.Link = "", 0, ""
	}
	p.begin()
	switch {
	case failed != nil: // the next listing is not to stop where this one would have
		if err := give(&sources.LanePage{}); err != nil {
			return err
		}
		return failed
	case listed == 0 && refused != nil:
		return refused
	}
	return give(&sources.LanePage{
		Complete: true, Since: schemas.Time(since.UnixMilli()), CoveredTo: schemas.Time(to.Add(-manageLateness).UnixMilli()),
	})
}

// begin forgets a listing that was under way.
func (p *feedPlace) begin() {
	p.End, p.Type, p.From, p.Link = 0, "", 0, ""
	for name := range p.Types {
		p.of(name).Done = false
	}
}

func later(t time.Time, ms int64) time.Time {
	if u := time.UnixMilli(ms); u.After(t) {
		return u
	}
	return t
}

// ensure starts a content type's subscription, but not twice within 15 minutes.
// What was available before it is not to be had.
func (f *feed) ensure(ctx context.Context, at *typePlace, contentType string, now time.Time) error {
	if wait := startPause - now.Sub(time.UnixMilli(at.Started)); at.Started != 0 && wait > 0 && wait <= startPause {
		return fault.After(fault.Transient, wait, "%s: the subscription to %s was asked for less than 15 minutes ago and is not there yet", pathStart, contentType)
	}
	at.Started = now.UnixMilli()
	if err := f.start(ctx, contentType); err != nil {
		return err
	}
	at.Since = max(at.Since, now.UnixMilli())
	return nil
}

// listType lists a content type up to now.
func (f *feed) listType(ctx context.Context, p *feedPlace, contentType string, now time.Time, give func(*sources.LanePage) error) error {
	at := p.of(contentType)
	oldest := now.Add(-manageOldest)
	from, gap := now.Add(-f.since), at.To == 0
	if at.To != 0 {
		from = time.UnixMilli(at.To).Add(-manageAgain)
		gap = time.UnixMilli(at.To).Before(oldest) // nothing shows what there was in between
	}
	if from.Before(oldest) {
		from = oldest
	}
	if gap {
		at.Since = max(at.Since, from.UnixMilli())
	}
	link := ""
	if p.Type == contentType && p.From >= oldest.UnixMilli() && p.From <= now.UnixMilli() {
		from, link = time.UnixMilli(p.From), p.Link
	}
	err := f.eachPage(ctx, contentType, from.UTC(), now, link, func(reached time.Time, next string, blobs []wireBlob) error {
		lanes, err := f.lanesOf("", blobs)
		if err != nil {
			return err
		}
		p.Type, p.From, p.Link = contentType, reached.UnixMilli(), next
		if len(lanes) == 0 && next == "" {
			return nil
		}
		return give(&sources.LanePage{Lanes: lanes})
	}, func(from time.Time) { at.Since = max(at.Since, from.UnixMilli()) })
	if err == nil {
		at.To, at.Done = now.UnixMilli(), true
	}
	return err
}

// past implements sources.Stream.Past: what happened in a span is in blobs that
// became available from then on, and a while after it.
func (f *feed) past(ctx context.Context, from, to time.Time, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		if err := f.listPast(ctx, from, to, parseFeedPlace(c), yield); err != nil && !errors.Is(err, errTurned) {
			yield(nil, err)
		}
	}
}

func (f *feed) listPast(ctx context.Context, from, to time.Time, p feedPlace, yield func(*sources.LanePage, error) bool) error {
	_, now, err := f.subscriptions(ctx)
	if err != nil {
		return err
	}
	if oldest := now.Add(-manageOldest); from.Before(oldest) {
		from = oldest
	}
	if to = to.Add(manageLateness); to.After(now) {
		to = now
	}
	give := func(lanes []sources.Lane, complete bool) error {
		next, err := p.cursor()
		if err != nil {
			return err
		}
		if !yield(&sources.LanePage{Lanes: lanes, Next: next, Complete: complete}, nil) {
			return errTurned
		}
		return nil
	}
	var refused error
	listed := 0
	for _, t := range f.types {
		at := p.of(t)
		begin, link := from, ""
		switch {
		case at.To != 0: // listed already
			listed++
			continue
		case p.Type == t:
			begin, link = time.UnixMilli(max(p.From, from.UnixMilli())), p.Link
		}
		err := f.eachPage(ctx, t, begin.UTC().Truncate(time.Second), to, link, func(reached time.Time, next string, blobs []wireBlob) error {
			lanes, err := f.lanesOf(sources.PastLane, blobs)
			if err != nil {
				return err
			}
			p.Type, p.From, p.Link = t, reached.UnixMilli(), next
			return give(lanes, false)
		}, func(time.Time) {})
		switch class := fault.Of(err); {
		case err == nil:
			listed++
			at.To = 1
		case notSubscribed(err):
			listed++ // there is nothing of it
		case class == fault.Forbidden, class == fault.NotLicensed:
			refused = err
		default:
			return err
		}
		p.Type, p.From, p.Link = "", 0, ""
	}
	if listed == 0 && refused != nil {
		return refused
	}
	return give(nil, true)
}

// span implements sources.Stream.Span: the second time in a blob's id is when it
// became available; what happened comes to its blob within the lateness, as far
// as anybody tells.
func (f *feed) span(l sources.Lane) (from, to schemas.Time) {
	parts := strings.SplitN(strings.TrimPrefix(l.ID, sources.PastLane), "$", 3)
	if len(parts) < 2 || len(parts[1]) < 14 {
		return 0, 0
	}
	made, err := time.Parse("20060102150405", parts[1][:14])
	if err != nil {
		return 0, 0
	}
	return schemas.Time(made.Add(-manageLateness).UnixMilli()), schemas.Time(made.Add(time.Second).UnixMilli())
}
