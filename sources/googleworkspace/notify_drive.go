package googleworkspace

import (
	"context"
	"net/url"
	"strings"

	"weir/sources"
	"weir/sources/httpx"
)

const (
	pathWatchChanges = pathChanges + "/watch"
	pathStopDrive    = "/drive/v3/channels/stop"

	changesLife = 7 * day
	maxDrives   = 1000 // whose changes are told: others are read when they are due

	channelMine   = 'm' // of a user's My Drive
	channelShared = 's' // of a shared drive
)

// wantedDrives lists the drives there are to be told of.
func (s *session) wantedDrives(ctx context.Context, h sources.Hook) (out []watching, err error) {
	for lane, err := range h.Lanes(ctx, streamFiles) {
		if err != nil {
			return nil, err
		}
		w := watching{life: changesLife, stops: pathStopDrive, open: func(ctx context.Context) (*watchCall, error) { return s.library().watch(ctx, lane) }}
		if id, ok := strings.CutPrefix(lane.ID, laneUser); ok {
			w.kind, w.of = channelMine, id
		} else if id, ok := strings.CutPrefix(lane.ID, laneDrive); ok {
			w.kind, w.of = channelShared, id
		} else {
			continue
		}
		if out = append(out, w); len(out) >= maxDrives {
			break
		}
	}
	return out, nil
}

// watch returns how the change log of a lane is watched, as who reads it; nil
// where none is read, or nobody can.
func (l *library) watch(ctx context.Context, lane sources.Lane) (*watchCall, error) {
	r := &fileRead{library: l, lane: lane}
	query := url.Values{"supportsAllDrives": {"true"}}
	var err error
	if id, shared := strings.CutPrefix(lane.ID, laneDrive); shared {
		r.drive = id
		query.Set("driveId", id)
		query.Set("includeItemsFromAllDrives", "true")
		err = r.begin(ctx)
	} else if r.c = l.as(lane.Hint, scopeMetadata); r.polled() {
		err = r.start(ctx)
	}
	switch {
	case err != nil && (unfit(err) || isGone(err)), err == nil && r.at.Start == "":
		return nil, nil
	case err != nil:
		return nil, err
	}
	query.Set("pageToken", r.at.Start)
	return &watchCall{r.c, httpx.P(pathWatchChanges), query}, nil
}
