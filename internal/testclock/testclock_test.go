package testclock

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHoursPassInSeconds(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	c := Fast(start, 100_000)
	at := <-c.After(time.Hour) // 36 ms
	require.GreaterOrEqual(t, at.Sub(start), time.Hour)
	require.GreaterOrEqual(t, c.Since(start), time.Hour)

	timer := c.NewTimer(24 * 365 * time.Hour)
	require.True(t, timer.Stop())
	timer.Reset(time.Hour)
	<-timer.Chan()
	timer.Reset(time.Millisecond)
	<-timer.Chan()

	done := make(chan struct{})
	c.AfterFunc(time.Minute, func() { close(done) })
	<-done
	ticker := c.NewTicker(time.Hour)
	defer ticker.Stop()
	<-ticker.Chan()
	<-ticker.Chan()
}
