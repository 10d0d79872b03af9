package pipeline

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources"
)

// One lane that the credentials do not allow costs nobody else anything: the
// others' rows come and go, its own stand, and it comes back by itself.
func TestRefusedLane(t *testing.T) {
	t.Parallel()
	w := newWorld()
	people(w, "a", 30)
	people(w, "b", 30)
	stream := w.stream(sources.StreamInfo{Disjoint: true})
	s := newScanSite(t, "one")
	s.round(stream)
	require.Equal(t, w.all(), s.sinks["one"].fold())

	refuse := func(lanes ...string) {
		w.fault = func(what, lane, _ string) error {
			for _, l := range lanes {
				if what == "read" && lane == l {
					return fault.New(fault.Forbidden, "the scope b is missing")
				}
			}
			return nil
		}
	}
	refuse("b")
	w.del("a", "a-003")
	w.set("a", "a-new", "new")
	w.del("b", "b-003") // cannot be seen
	s.add("two")
	for range 3 {
		_, err := s.once(stream)
		require.Equal(t, fault.Forbidden, fault.Of(err))
		require.ErrorContains(t, err, `1 of 2 lanes are refused or could not be read, such as "b"`)
		require.ErrorContains(t, err, "the scope b is missing")
	}
	one := s.sinks["one"].fold()
	require.NotContains(t, one, "a-003", "its absence is proved without b")
	require.Contains(t, one, "a-new")
	require.Contains(t, one, "b-003", "who cannot look cannot say that it is gone")
	require.Len(t, one, 60)
	require.Len(t, s.sinks["two"].fold(), 30, "the rows of b cannot be shown")

	refuse()
	s.round(stream)
	s.round(stream)
	s.round(stream)
	require.Equal(t, w.all(), s.sinks["one"].fold())
	require.Equal(t, w.all(), s.sinks["two"].fold(), "a new sink is not done before it has had the rows of b")

	refuse("a", "b")
	_, err := s.once(stream)
	require.Equal(t, fault.Forbidden, fault.Of(err))
	require.Equal(t, w.all(), s.sinks["one"].fold())
}

// So is a lane that fails again and again.
func TestFailingLanePassedOver(t *testing.T) {
	t.Parallel()
	w := newWorld()
	people(w, "a", 30)
	people(w, "b", 30)
	stream := w.stream(sources.StreamInfo{Disjoint: true})
	s := newScanSite(t, "one")
	s.round(stream)
	w.fault = func(what, lane, _ string) error {
		if what == "read" && lane == "b" {
			return fault.New(fault.BadData, "no JSON")
		}
		return nil
	}
	w.del("a", "a-003")
	w.set("a", "a-new", "new")
	w.del("b", "b-003")
	for range 3 {
		_, err := s.once(stream)
		require.ErrorContains(t, err, `1 of 2 lanes could not be read, such as "b"`)
		require.ErrorContains(t, err, "no JSON")
	}
	one := s.sinks["one"].fold()
	require.NotContains(t, one, "a-003", "its absence is proved without b")
	require.Contains(t, one, "a-new")
	require.Contains(t, one, "b-003")
	require.Len(t, one, 60)

	w.fault = nil
	s.round(stream)
	s.round(stream)
	require.Equal(t, w.all(), s.sinks["one"].fold())
}

// While a lane is refused, rows that several lanes may show stand, though the
// others of the stream do not.
func TestRefusedLaneMayShowIt(t *testing.T) {
	t.Parallel()
	for _, shared := range [][]string{nil, {"accounts"}} {
		w := newWorld()
		people(w, "a", 3)
		people(w, "b", 3)
		stream := w.stream(sources.StreamInfo{Disjoint: true, Shared: shared})
		s := newScanSite(t, "one")
		s.round(stream)
		w.fault = func(what, lane, _ string) error {
			if what == "read" && lane == "b" {
				return fault.New(fault.Forbidden, "b is refused")
			}
			return nil
		}
		w.del("a", "a-001") // b may show it
		for range 3 {
			_, err := s.once(stream)
			require.Error(t, err)
		}
		_, stands := s.sinks["one"].fold()["a-001"]
		require.Equal(t, shared != nil, stands)
		w.fault = nil
		s.round(stream)
		s.round(stream)
		require.NotContains(t, s.sinks["one"].fold(), "a-001")
	}
}

// A lane of which nothing can be seen fails no run; its rows stand, and those of
// others do not.
func TestUnseenLane(t *testing.T) {
	t.Parallel()
	w := newWorld()
	people(w, "a", 5)
	people(w, "b", 5)
	s := newScanSite(t, "one")
	stream := w.stream(sources.StreamInfo{Disjoint: true})
	s.round(stream)
	w.more = func(p *sources.Page) {
		if len(p.Rows.Accounts) > 0 && strings.HasPrefix(p.Rows.Accounts[0].AccountID, "b") {
			p.Rows.Accounts, p.More, p.Unseen = nil, false, "the service is off"
		}
	}
	w.del("a", "a-001")
	w.del("b", "b-001") // cannot be seen
	s.add("two")
	s.round(stream)
	s.round(stream)
	one := s.sinks["one"].fold()
	require.NotContains(t, one, "a-001")
	require.Contains(t, one, "b-001")
	require.Len(t, one, 9)
	require.Len(t, s.sinks["two"].fold(), 4)
	w.more = nil
	s.round(stream)
	s.round(stream)
	require.Equal(t, w.all(), s.sinks["one"].fold())
}
