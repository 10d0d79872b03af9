package setting

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	day     = 24 * time.Hour
	maxDays = 36500
)

var daysAndRest = regexp.MustCompile(`^(?:(\d{1,4})w)?(?:(\d{1,5})d)?(.*)$`)

// ParseDuration reads a duration in Go's syntax, before which weeks and days
// of 24 hours may stand: 90s, 1h30m, 7d, 1d12h. None is negative or longer than
// a hundred years.
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no duration: want a number and a unit, such as 30s, 5m, 1h or 7d", s)
	m := daysAndRest.FindStringSubmatch(s)
	if m == nil {
		return 0, bad
	}
	weeks, _ := strconv.Atoi(m[1]) // at most four digits, or none
	days, _ := strconv.Atoi(m[2])
	if days += 7 * weeks; days > maxDays {
		return 0, bad
	}
	total := time.Duration(days) * day
	if m[3] != "" || m[1]+m[2] == "" {
		rest, err := time.ParseDuration(m[3])
		if err != nil || rest < 0 || rest > maxDays*day-total {
			return 0, bad
		}
		total += rest
	}
	return total, nil
}

// FormatDuration writes a duration as ParseDuration reads it.
func FormatDuration(d time.Duration) string {
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
