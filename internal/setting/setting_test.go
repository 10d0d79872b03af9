package setting

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseSize(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]Size{
		"0": 0, "1": 1, "17B": 17, "128MB": 128e6, "128 MB": 128e6, " 2GiB ": 2 << 30, "1KiB": 1024, "1KB": 1000, "3TiB": 3 << 40, "4611686018427387904": 1 << 62,
	} {
		got, err := ParseSize(s)
		require.NoError(t, err, s)
		require.Equal(t, want, got, s)
	}
	for _, s := range []string{"", "B", "MB", "-1", "-1MB", "1.5GiB", "1 parrot", "1gb", "0x10", "4611686018427387905", "9999999TiB", "1MB1MB"} {
		_, err := ParseSize(s)
		require.ErrorContains(t, err, "is no size", s)
	}
}

func TestSizeString(t *testing.T) {
	t.Parallel()
	for size, want := range map[Size]string{
		0: "0", 1: "1", 1000: "1KB", 1023: "1023", 1024: "1KiB", 128e6: "128MB", 128 << 20: "128MiB", 10 << 30: "10GiB", 1<<30 + 1: "1073741825",
	} {
		require.Equal(t, want, size.String())
	}
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"128MB", "2GiB", "0", "1 KiB", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		size, err := ParseSize(s)
		if err != nil {
			return
		}
		again, err := ParseSize(size.String())
		require.NoError(t, err)
		require.Equal(t, size, again)
	})
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "30s": 30 * time.Second, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "7d": 7 * day, "2w": 14 * day,
		"1w1d1h": 8*day + time.Hour, "1d12h": 36 * time.Hour, "0d": 0, "36500d": maxDays * day, "20ms": 20 * time.Millisecond,
	} {
		got, err := ParseDuration(s)
		require.NoError(t, err, s)
		require.Equal(t, want, got, s)
	}
	for _, s := range []string{
		"", " ", "5", "5 parsecs", "-5m", "1d-5m", "1.5d", "d", "w", "1d1w", "1d ", " 1d", "36501d", "36500d1ns", "9999w", "99999d", "876001h", "99999999h", "1d\n",
	} {
		_, err := ParseDuration(s)
		require.ErrorContains(t, err, "is no duration", s)
	}
}

func TestFormatDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h30m", 90 * time.Second: "1m30s",
		10 * time.Minute: "10m", 20 * time.Hour: "20h", day: "1d", 36 * time.Hour: "36h", 7 * day: "7d", 10 * time.Second: "10s", time.Hour + time.Second: "1h0m1s",
		20 * time.Millisecond: "20ms",
	} {
		require.Equal(t, want, FormatDuration(d))
	}
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"30s", "1d12h", "2w", "1h0m0s", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, d, time.Duration(0))
		again, err := ParseDuration(FormatDuration(d))
		require.NoError(t, err)
		require.Equal(t, d, again)
	})
}
