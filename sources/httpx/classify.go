package httpx

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/internal/fault"
)

// Error is an answer that is none. It is in the chain of the error that Fail
// makes.
type Error struct {
	Endpoint  string
	Status    int
	Code      string // the vendor's own, "" none
	Message   string // the vendor's words, without secrets, cut to a few hundred bytes
	RequestID string // by which the vendor's support finds the request
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: HTTP %d", e.Endpoint, e.Status)
	switch {
	case e.Code != "":
		b.WriteString(" " + e.Code)
	case e.Message == "":
		b.WriteString(" " + http.StatusText(e.Status))
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.RequestID != "" {
		b.WriteString(" (request " + e.RequestID + ")")
	}
	return b.String()
}

// StatusOf returns the status of the answer that err is about; 0 when it is
// about none.
func StatusOf(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}

// CodeOf returns the vendor's code of the answer that err is about; "" none.
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// NotFound reports whether err is an answer that what was asked for does not
// exist (404) or not any more (410). What that proves is the connector's to say:
// vendors answer so for what they hide, too.
func NotFound(err error) bool {
	s := StatusOf(err)
	return s == http.StatusNotFound || s == http.StatusGone
}

// Classify classes an answer by its status alone:
//
//	2xx, 304              good (304 answers a condition that the request made)
//	401                   Auth
//	402, 403              Forbidden
//	404, 410              BadData: see NotFound
//	408, 425, 5xx         Transient, not before Retry-After
//	429                   Throttled, not before Retry-After
//	1xx, other 3xx, 4xx   Permanent
func Classify(r *Response) error {
	class := fault.Permanent
	switch s := r.Status; {
	case s >= 200 && s < 300, s == http.StatusNotModified:
		return nil
	case s == http.StatusUnauthorized:
		class = fault.Auth
	case s == http.StatusPaymentRequired, s == http.StatusForbidden:
		class = fault.Forbidden
	case s == http.StatusNotFound, s == http.StatusGone:
		class = fault.BadData
	case s == http.StatusTooManyRequests:
		class = fault.Throttled
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly, s >= 500:
		class = fault.Transient
	}
	return Fail(r, class, "", "")
}

const (
	maxMessage = 300
	maxCode    = 100
)

// Fail makes the error of an answer, for a connector's Classify: with the
// vendor's own code and message, where the connector found them. Of a Transient
// or Throttled one RetryAfter is the answer's Retry-After.
func Fail(r *Response, class fault.Class, code, message string) error {
	e := &Error{
		Endpoint: r.Endpoint, Status: r.Status, Code: clean(r, code, maxCode), Message: clean(r, message, maxMessage),
		RequestID: clean(r, requestID(r.Header), maxCode),
	}
	f := &fault.Fault{Class: class, Err: e}
	if class == fault.Throttled || class == fault.Transient {
		f.RetryAfter = RetryAfter(r)
	}
	return f
}

// RetryAfter returns how long an answer's Retry-After (RFC 9110, 10.2.3: seconds
// or a date, of the vendor's clock) asks to wait; 0 when it does not. At most a
// day.
func RetryAfter(r *Response) time.Duration {
	v := strings.TrimSpace(r.Header.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if secs, err := strconv.ParseFloat(v, 64); err == nil {
		if !(secs > 0) { // NaN too
			return 0
		}
		return time.Duration(min(secs, maxHint.Seconds()) * float64(time.Second))
	}
	date, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(r.LocalTime(date).Sub(r.At), 0), maxHint)
}

// requestID returns the answer's id, under whatever name: vendors agree only on
// how it ends.
func requestID(h http.Header) string {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if strings.HasSuffix(name, "Request-Id") || strings.HasSuffix(name, "Requestid") {
			return h.Get(name)
		}
	}
	return ""
}

// clean makes one short line without secrets of a vendor's words.
func clean(r *Response, s string, most int) string {
	s = r.redact.text(s)
	s = strings.Join(strings.FieldsFunc(s, func(c rune) bool { return c <= ' ' || c == 0x7f }), " ")
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
