// Package testclock is a clock that runs faster than the real one, so that an
// agent and a sandbox that share it live through hours in seconds. Unlike a
// fake clock, nobody has to move it.
package testclock

import (
	"sync/atomic"
	"time"

	"github.com/jonboulle/clockwork"
)

// Fast returns a clock that shows start now and runs factor times as fast as
// the real one.
func Fast(start time.Time, factor int) *Clock {
	return Join(start, clockwork.NewRealClock().Now(), factor)
}

// Join returns the clock that has been running since began, by the real clock:
// two processes that join one live at the same time.
func Join(start, began time.Time, factor int) *Clock {
	wall := clockwork.NewRealClock()
	return &Clock{Clock: wall, wall: wall, began: began, start: start, factor: time.Duration(factor)}
}

// Clock runs fast.
type Clock struct {
	clockwork.Clock // the rest: contexts keep real deadlines
	wall            clockwork.Clock
	began, start    time.Time
	factor          time.Duration
	skipped         atomic.Int64
}

// Skip lets time pass at once. Timers that run are not hurried by it.
func (f *Clock) Skip(d time.Duration) { f.skipped.Add(int64(d)) }

func (f *Clock) Now() time.Time {
	return f.start.Add(f.wall.Since(f.began)*f.factor + time.Duration(f.skipped.Load()))
}
func (f *Clock) Since(t time.Time) time.Duration        { return f.Now().Sub(t) }
func (f *Clock) Until(t time.Time) time.Duration        { return t.Sub(f.Now()) }
func (f *Clock) Sleep(d time.Duration)                  { f.wall.Sleep(d / f.factor) }
func (f *Clock) After(d time.Duration) <-chan time.Time { return f.NewTimer(d).Chan() }

func (f *Clock) NewTimer(d time.Duration) clockwork.Timer {
	c := make(chan time.Time, 1)
	t := f.wall.AfterFunc(d/f.factor, func() {
		select {
		case c <- f.Now():
		default:
		}
	})
	return &timer{t, c, f}
}

func (f *Clock) AfterFunc(d time.Duration, fn func()) clockwork.Timer {
	return &timer{f.wall.AfterFunc(d/f.factor, fn), nil, f}
}

func (f *Clock) NewTicker(d time.Duration) clockwork.Ticker {
	return &ticker{f.wall.NewTicker(max(d/f.factor, 1)), f}
}

type timer struct {
	t clockwork.Timer
	c chan time.Time
	f *Clock
}

func (t *timer) Chan() <-chan time.Time { return t.c }
func (t *timer) Stop() bool             { return t.t.Stop() }

// Reset forgets a firing that was not received, as time.Timer does.
func (t *timer) Reset(d time.Duration) bool {
	was := t.t.Stop()
	select {
	case <-t.c:
	default:
	}
	t.t.Reset(d / t.f.factor)
	return was
}

type ticker struct {
	clockwork.Ticker
	f *Clock
}

func (t *ticker) Reset(d time.Duration) { t.Ticker.Reset(max(d/t.f.factor, 1)) }
