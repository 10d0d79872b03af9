package github

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// apiError is an answer of 400 or above.
type apiError struct {
	Status  int
	Text    string // ours: endpoint, status, the vendor's message, what to do
	Message string // the vendor's
}

func (e *apiError) Error() string { return e.Text }

// statusOf returns the HTTP status of the answer that an error tells of; 0 when
// it tells of none.
func statusOf(err error) int {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e.Status
	}
	return 0
}

// maxMessage bounds what of a vendor's message goes into an error.
const maxMessage = 300

// classify makes an error of an answer, by status, headers and message.
//
// Sources: "Troubleshooting the REST API", "Rate limits for the REST API",
// "Authenticating to the REST API".
func classify(r *httpx.Response) error {
	if r.Status < 400 {
		// With single sign-on GitHub may leave out what the credentials are not
		// authorized for: a listing that lacks rows must not pass for a whole one.
		if sso := r.Header.Get("X-Github-Sso"); strings.HasPrefix(sso, "partial-results") {
			return fault.New(fault.Forbidden, "%s: GitHub left out organizations that the credentials are not authorized for (%s): authorize them for single sign-on", r.Endpoint, clip(sso))
		}
		return httpx.Classify(r)
	}
	var body struct {
		Message string `json:"message"`
	}
	if len(r.Body) > 0 && json.Unmarshal(r.Body, &body) != nil {
		return fault.New(fault.Transient, "%s: HTTP %d, and the answer is not GitHub's", r.Endpoint, r.Status)
	}
	message := clip(body.Message)
	if wait, ok := throttled(r, body.Message); ok {
		return fault.After(fault.Throttled, wait, "%s: HTTP %d: %s", r.Endpoint, r.Status, message)
	}
	class, hint := classOf(r, body.Message)
	e := &apiError{Status: r.Status, Message: message, Text: fmt.Sprintf("%s: HTTP %d", r.Endpoint, r.Status)}
	if message != "" {
		e.Text += ": " + message
	}
	if hint != "" {
		e.Text += ": " + hint
	}
	return fault.New(class, "%w", e)
}

// classOf says what can be done about an answer, and hints at how.
func classOf(r *httpx.Response, message string) (fault.Class, string) {
	has := func(s string) bool { return strings.Contains(message, s) }
	switch r.Status {
	case http.StatusUnauthorized:
		return fault.Auth, "the credentials are revoked or have expired"
	case http.StatusForbidden:
		switch {
		case has("IP allow list"):
			return fault.Auth, "add the agent's address to the organization's IP allow list"
		case has("OAuth App access restrictions"):
			return fault.Forbidden, "an owner must approve the OAuth app in the organization's settings, under Third-party access"
		case strings.HasPrefix(r.Header.Get("X-Github-Sso"), "required"):
			return fault.Forbidden, "authorize the credentials for single sign-on: " + clip(r.Header.Get("X-Github-Sso"))
		}
		return fault.Forbidden, needs(r)
	case http.StatusNotFound:
		return fault.Forbidden, join("it does not exist, or a scope, role or plan for it is missing", needs(r))
	case http.StatusConflict, http.StatusGone, http.StatusUnavailableForLegalReasons:
		return fault.BadData, ""
	case http.StatusUnprocessableEntity:
		if strings.HasSuffix(r.Endpoint, "/audit-log") {
			return fault.Expired, "the place in the audit log is no longer known"
		}
		return fault.BadData, ""
	case http.StatusRequestTimeout:
		return fault.Transient, ""
	}
	if r.Status >= 500 {
		return fault.Transient, ""
	}
	return fault.Permanent, ""
}

// needs names what the endpoint asks for, where GitHub tells.
func needs(r *httpx.Response) string {
	if p := r.Header.Get("X-Accepted-Github-Permissions"); p != "" {
		return "it needs the permission " + clip(p)
	}
	if s := r.Header.Get("X-Accepted-Oauth-Scopes"); s != "" {
		return join("it needs one of the scopes "+clip(s), "granted are: "+clip(r.Header.Get("X-Oauth-Scopes")))
	}
	return ""
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// secondaryWait is how long to wait when GitHub asks to slow down without
// saying for how long.
const secondaryWait = time.Minute

// throttled tells whether an answer asks to wait, and how long.
func throttled(r *httpx.Response, message string) (time.Duration, bool) {
	if r.Status != http.StatusForbidden && r.Status != http.StatusTooManyRequests {
		return 0, false
	}
	exhausted := r.Header.Get("X-Ratelimit-Remaining") == "0"
	after, asked := retryAfter(r)
	if r.Status == http.StatusForbidden && !exhausted && !asked && !strings.Contains(strings.ToLower(message), "rate limit") {
		return 0, false
	}
	if asked {
		return after, true
	}
	if at, ok := reset(r); ok && exhausted {
		return max(at.Sub(r.At), time.Second), true
	}
	return secondaryWait, true
}

func retryAfter(r *httpx.Response) (time.Duration, bool) {
	n, err := strconv.ParseInt(r.Header.Get("Retry-After"), 10, 32)
	if err != nil || n < 0 {
		return 0, false
	}
	return time.Duration(n) * time.Second, true
}

// reset is when the quota begins anew, by the agent's clock.
func reset(r *httpx.Response) (time.Time, bool) {
	n, err := strconv.ParseInt(r.Header.Get("X-Ratelimit-Reset"), 10, 40)
	if err != nil || n <= 0 {
		return time.Time{}, false
	}
	return r.LocalTime(time.Unix(n, 0)), true
}

// quota reads the rate limit headers.
func quota(r *httpx.Response) httpx.Quota {
	limit, err := strconv.ParseInt(r.Header.Get("X-Ratelimit-Limit"), 10, 64)
	remaining, err2 := strconv.ParseInt(r.Header.Get("X-Ratelimit-Remaining"), 10, 64)
	at, ok := reset(r)
	if err != nil || err2 != nil || !ok {
		return httpx.Quota{}
	}
	return httpx.Quota{Known: true, Limit: limit, Remaining: remaining, Reset: at, Park: remaining <= 0}
}

func clip(s string) string {
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "..."
	}
	return s
}
