package okta

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// Bounds of a wait for quota: Okta's windows are of a minute.
const (
	minWait  = time.Second
	maxWait  = 2 * time.Minute
	pastWait = 2 * time.Second // beyond the reset, which is told in whole seconds
)

// codes are the classes of error codes, by status and code. Others go by status.
var codes = map[string]fault.Class{
	"401 E0000011":           fault.Auth,
	"401 E0000015":           fault.NotLicensed,
	"400 consent_required":   fault.Forbidden,
	"400 invalid_scope":      fault.Forbidden,
	"400 invalid_dpop_proof": fault.Auth,
	"400 use_dpop_nonce":     fault.Auth,
	"400 invalid_request":    fault.Auth, // a bound token sent as a bearer's
	"404 E0000007":           fault.BadData,
	"410 E0000156":           fault.BadData,
	"403 E0000017":           fault.BadData,
	"403 E0000038":           fault.BadData,
	"429 E0000047":           fault.Throttled,
}

var statuses = map[int]fault.Class{
	http.StatusBadRequest: fault.BadData, http.StatusUnauthorized: fault.Auth, http.StatusForbidden: fault.Forbidden,
	http.StatusMethodNotAllowed: fault.Permanent, http.StatusLengthRequired: fault.Permanent, http.StatusTooManyRequests: fault.Throttled,
}

// classify classes an answer. The code and the status decide, never the text.
func classify(r *httpx.Response) error {
	if r.Status >= 200 && r.Status < 300 {
		return nil
	}
	code, message := refusal(r)
	class, known := codes[strconv.Itoa(r.Status)+" "+code]
	if !known {
		class, known = statuses[r.Status]
	}
	if !known {
		class = fault.Transient
	}
	err := httpx.Fail(r, class, code, message+advice(class, code))
	if f, ok := errors.AsType[*fault.Fault](err); ok && class == fault.Throttled {
		f.RetryAfter = untilReset(r)
	}
	return err
}

// refusal reads what an answer says of why. An answer that is not JSON (a
// proxy's page) has no code.
func refusal(r *httpx.Response) (code, message string) {
	var body struct {
		Code        text `json:"errorCode"`
		Summary     text `json:"errorSummary"`
		Error       text `json:"error"`
		Description text `json:"error_description"`
	}
	if err := json.Unmarshal(r.Body, &body, decodeOptions); err != nil {
		message = "no JSON"
	}
	code = first(string(body.Code), string(body.Error), challenge(r.Header.Get("WWW-Authenticate")))
	return code, first(string(body.Summary), string(body.Description), message)
}

// challenge returns the error of a WWW-Authenticate header.
func challenge(h string) string {
	_, rest, _ := strings.Cut(h, `error="`)
	code, _, _ := strings.Cut(rest, `"`)
	return code
}

func advice(c fault.Class, code string) string {
	switch {
	case c == fault.Auth:
		return "; check that the token or key is active, that its owner is, and that it may be used from this network"
	case c == fault.NotLicensed:
		return "; the organization does not have this feature"
	case code == "E0000006":
		return "; grant the app, or the token's owner, an admin role that may do this"
	case c == fault.Forbidden:
		return "; grant the app the scope, and an admin role that may do this"
	}
	return ""
}

// isGone tells that an object does not exist, or that these credentials cannot
// see it. A page of a proxy's with the same status tells nothing.
func isGone(err error) bool {
	switch httpx.StatusOf(err) {
	case http.StatusNotFound:
		return httpx.CodeOf(err) == "E0000007"
	case http.StatusGone:
		return httpx.CodeOf(err) == "E0000156"
	}
	return false
}

// cursorRefused tells whether an answer to a request for a stored place means
// that the place is of no use any more.
func cursorRefused(err error) bool {
	status := httpx.StatusOf(err)
	return status >= 400 && status < 500 && status != http.StatusUnauthorized && status != http.StatusForbidden &&
		status != http.StatusTooManyRequests && fault.Of(err) != fault.Auth && fault.Of(err) != fault.Forbidden
}

// denied tells that credentials or plan do not allow something, so that what it
// would have told is unknown.
func denied(err error) bool {
	c := fault.Of(err)
	return c == fault.Forbidden || c == fault.NotLicensed
}

// quota reads the rate limit headers. Reset is in seconds of the vendor's
// clock, which the Date header tells. Below a tenth the bucket rests: the rest
// is for the organization's other integrations.
func quota(r *httpx.Response) httpx.Quota {
	limit, err1 := strconv.ParseInt(r.Header.Get("X-Rate-Limit-Limit"), 10, 64)
	remaining, err2 := strconv.ParseInt(r.Header.Get("X-Rate-Limit-Remaining"), 10, 64)
	throttled := r.Status == http.StatusTooManyRequests
	if (err1 != nil || err2 != nil || limit < 0 || remaining < 0) && !throttled {
		return httpx.Quota{}
	}
	return httpx.Quota{
		Known: true, Limit: max(limit, 0), Remaining: max(remaining, 0),
		Reset: r.At.Add(untilReset(r)), Park: throttled || remaining*10 <= limit,
	}
}

// untilReset returns how long it takes until the bucket is full again.
func untilReset(r *httpx.Response) time.Duration {
	seconds, err := strconv.ParseInt(r.Header.Get("X-Rate-Limit-Reset"), 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return minWait + pastWait
	}
	wait := time.Unix(seconds, 0).Sub(vendorNow(r)) + pastWait
	return min(max(wait, minWait), maxWait)
}

// vendorNow is when an answer was made, by the vendor's clock.
func vendorNow(r *httpx.Response) time.Time { return r.At.Add(r.Skew) }

// bucketOf names the quota bucket of a request, as Okta divides them: by
// endpoint, the organization's own.
func bucketOf(r *httpx.Request) string {
	switch p := r.Path.String(); {
	case p == pathLogs:
		return "logs"
	case p == pathUsers:
		return "users"
	case p == pathUser:
		return "user"
	case p == pathGroups:
		return "groups"
	case p == pathGroup:
		return "group"
	case strings.HasPrefix(p, pathApps):
		return "apps"
	case strings.HasPrefix(p, pathClients):
		return "clients"
	case strings.HasPrefix(p, pathIntegrations):
		return "integrations"
	}
	return "other"
}

// Static limits: Okta takes 75 requests at a time from an organization's
// integrations together (35 on free plans); its rates come from the headers.
var buckets = map[string]httpx.Limit{
	"logs": {Concurrency: 1}, "users": {Concurrency: 1}, "user": {Concurrency: 1}, "groups": {Concurrency: 1}, "group": {Concurrency: 1},
	"apps": {Concurrency: 1}, "clients": {Concurrency: 1}, "integrations": {Concurrency: 1}, "other": {Concurrency: 2},
}

func cut(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}

func first(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}
