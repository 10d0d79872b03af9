package cli

import (
	"fmt"
	"time"

	"weir/internal/setting"
	"weir/pipeline"
)

// parseWhen reads a time, a day, or a time back from now; zero for "".
func parseWhen(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	if d, err := setting.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%s is %q: give a time such as 2026-01-31T08:00:00Z, a day such as 2026-01-31, or how long ago such as 36h or 7d", flag, text)
}

func stamp(t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case !t.After(pipeline.Beginning):
		return "the beginning"
	}
	return t.UTC().Format(time.RFC3339)
}
