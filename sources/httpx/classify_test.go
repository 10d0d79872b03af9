package httpx

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	want := map[int]fault.Class{
		200: "", 201: "", 204: "", 299: "", 304: "",
		401: fault.Auth, 402: fault.Forbidden, 403: fault.Forbidden, 404: fault.BadData, 410: fault.BadData,
		408: fault.Transient, 425: fault.Transient, 429: fault.Throttled,
		500: fault.Transient, 501: fault.Transient, 502: fault.Transient, 503: fault.Transient, 504: fault.Transient, 599: fault.Transient,
		100: fault.Permanent, 300: fault.Permanent, 302: fault.Permanent, 400: fault.Permanent, 405: fault.Permanent, 409: fault.Permanent,
		412: fault.Permanent, 418: fault.Permanent, 422: fault.Permanent, 451: fault.Permanent,
	}
	for status, class := range want {
		err := Classify(&Response{Status: status, Endpoint: "GET /x", Header: http.Header{"Retry-After": {"7"}, "X-Acme-Request-Id": {"abc-1"}}})
		if class == "" {
			require.NoError(t, err)
			continue
		}
		require.Error(t, err)
		require.Equal(t, class, fault.Of(err), "%d", status)
		require.Equal(t, status, StatusOf(err))
		require.Equal(t, status == 404 || status == 410, NotFound(err))
		if class == fault.Transient || class == fault.Throttled {
			require.Equal(t, 7*time.Second, fault.RetryAfter(err))
		} else {
			require.Zero(t, fault.RetryAfter(err))
		}
		require.ErrorContains(t, err, "GET /x: HTTP ")
		require.ErrorContains(t, err, "(request abc-1)")
	}
	require.Zero(t, StatusOf(fault.New(fault.BadData, "x")))
	require.False(t, NotFound(nil))
}

func TestFail(t *testing.T) {
	t.Parallel()
	r := &Response{Status: 403, Endpoint: "GET /x", Header: http.Header{}}
	err := Fail(r, fault.NotLicensed, "E0000015", "You do not have\n\tpermission. access_token=abcdef "+strings.Repeat("ü", 400))
	require.Equal(t, fault.NotLicensed, fault.Of(err))
	require.Equal(t, "E0000015", CodeOf(err))
	require.Empty(t, CodeOf(fault.New(fault.Auth, "x")))
	require.ErrorContains(t, err, "GET /x: HTTP 403 E0000015: You do not have permission. access_token=*** ü")
	require.Less(t, len(err.Error()), 400)
	require.NotContains(t, err.Error(), "\ufffd")
	require.EqualError(t, Fail(r, fault.Forbidden, "", ""), "GET /x: HTTP 403 Forbidden")
	require.EqualError(t, Fail(r, fault.Forbidden, "", "no"), "GET /x: HTTP 403: no")
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "0": 0, "-5": 0, "5": 5 * time.Second, " 5 ": 5 * time.Second, "1.5": 1500 * time.Millisecond, "NaN": 0, "Inf": maxHint, "1e300": maxHint,
		"Sun, 01 Mar 2026 13:00:30 GMT": 30 * time.Second, "Sun, 01 Mar 2026 11:00:00 GMT": 0, "Sun, 01 Mar 2099 11:00:00 GMT": maxHint, "tomorrow": 0,
	} {
		require.Equal(t, want, RetryAfter(&Response{Header: http.Header{"Retry-After": {v}}, At: at, Skew: time.Hour}), v)
	}
}

func TestSkew(t *testing.T) {
	t.Parallel()
	var s skew
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	told := func(at, vendor time.Duration) time.Duration {
		return s.measure(http.Header{"Date": {now.Add(vendor).Format(http.TimeFormat)}}, now.Add(at))
	}
	require.Zero(t, s.measure(http.Header{}, now))
	require.Zero(t, s.measure(http.Header{"Date": {"today"}}, now))
	require.Equal(t, 5*time.Second, told(time.Second, 6*time.Second))
	require.Equal(t, 5*time.Second, told(10*time.Second, 6*time.Second), "that answer was slow")
	require.Equal(t, 9*time.Second, told(11*time.Second, 20*time.Second))
	require.Equal(t, 9*time.Second, told(6*time.Minute, 6*time.Minute+2*time.Second), "the last span counts")
	require.Equal(t, 2*time.Second, told(12*time.Minute, 12*time.Minute), "and ends")
	require.Equal(t, -time.Hour, told(2*time.Hour, time.Hour), "a clock was set back")
	require.Equal(t, time.Hour, told(2*time.Hour, 3*time.Hour), "or on")
}
