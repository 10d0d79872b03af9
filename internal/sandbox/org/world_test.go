package org

import (
	"testing"
	"time"
)

func TestQuick(t *testing.T) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	for _, n := range []int{1, 20, 200, 2000, 20000} {
		start := time.Now()
		w := New(Options{Name: "acme", Seed: 1, People: n, Now: now, History: 14 * 24 * time.Hour, EventsPerDay: 2})
		w.View(func(s *State) {
			t.Log(n, time.Since(start), len(s.Events[Okta]), len(s.Events[GitHub]), len(s.Accounts[GitHub]), len(s.Repos), len(s.Grants[Okta]))
			t.Log(float64(len(s.Events[Okta])+len(s.Events[GitHub]))/float64(n)/10, "events per day")
		})
	}
}
