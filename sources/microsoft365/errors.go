package microsoft365

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

// codeNoSuchThing is the directory's code for what does not exist.
const codeNoSuchThing = "Request_ResourceNotFound"

// codes are the classes of error codes, whatever the status. Others go by
// status.
var codes = map[string]fault.Class{
	"Authorization_RequestDenied":                           fault.Forbidden,
	"accessDenied":                                          fault.Forbidden,
	"Authentication_MSGraphPermissionMissing":               fault.Forbidden,
	"Authentication_RequestFromNonPremiumTenantOrB2CTenant": fault.NotLicensed,
	"InvalidAuthenticationToken":                            fault.Auth,
	codeNoSuchThing:                                         fault.BadData,
	"itemNotFound":                                          fault.BadData,
	"ResourceNotFound":                                      fault.BadData,
	"syncStateNotFound":                                     fault.Expired,
	"resyncRequired":                                        fault.Expired,
	"TooManyRequests":                                       fault.Throttled,
	"activityLimitReached":                                  fault.Throttled,
	"resourceLocked":                                        fault.Transient,
	"lockMismatch":                                          fault.Transient,
	"quotaLimitReached":                                     fault.BadData,
	"AF429":                                                 fault.Throttled, // the Management Activity API's, with status 403
	"AF10001":                                               fault.Forbidden,
	"AF20001":                                               fault.Permanent,
	"AF20002":                                               fault.Permanent,
	"AF20003":                                               fault.Permanent,
	"AF20010":                                               fault.Permanent,
	"AF20011":                                               fault.Permanent,
	"AF20012":                                               fault.Permanent,
	"AF20013":                                               fault.Permanent,
	"AF20020":                                               fault.Permanent,
	"AF20022":                                               fault.BadData, // no subscription
	"AF20023":                                               fault.BadData, // disabled by an administrator
	"AF20024":                                               fault.BadData, // started already
	"AF20030":                                               fault.BadData,
	"AF20031":                                               fault.Expired,
	"AF20050":                                               fault.BadData,
	"AF20051":                                               fault.BadData,
	"AF20055":                                               fault.BadData,
	"AF50000":                                               fault.Transient,
	"AF50005":                                               fault.Transient,
	"AF50006":                                               fault.Transient,
}

var statuses = map[int]fault.Class{
	http.StatusBadRequest: fault.BadData, http.StatusForbidden: fault.Forbidden,
	http.StatusMethodNotAllowed: fault.Permanent, http.StatusConflict: fault.BadData, http.StatusGone: fault.Expired,
	http.StatusPreconditionFailed: fault.BadData, http.StatusTooManyRequests: fault.Throttled, 509: fault.Throttled,
}

// classify classes an answer of Graph, the Management Activity API or
// SharePoint. The code decides before the status: throttling comes as 403 too.
func classify(r *httpx.Response) error {
	if r.Status >= 200 && r.Status < 300 {
		return nil
	}
	code, message := refusal(r)
	class, known := codes[code]
	if !known {
		class, known = statuses[r.Status]
	}
	switch {
	case r.Status == http.StatusUnauthorized && class != fault.Forbidden: // AF10001 comes with it
		class = fault.Auth
	case r.Status == http.StatusServiceUnavailable && r.Header.Get("Retry-After") != "":
		class = fault.Throttled // so SharePoint throttles too
	case !known:
		class = fault.Transient // also a 404 of a proxy's, which proves nothing
	}
	advice := ""
	switch {
	case isAuditOff(message):
		class, advice = fault.Forbidden, "; the unified audit log is off: switch it on (Set-AdminAuditLogConfig -UnifiedAuditLogIngestionEnabled $true)"
	case class == fault.Auth:
		advice = "; check the app registration, its secret or certificate, and tenant_id"
	case class == fault.NotLicensed:
		advice = "; the tenant has no licence for this (Entra ID P1 or P2)"
	case class == fault.Forbidden:
		advice = "; grant the app the application permission, with an administrator's consent"
	}
	err := httpx.Fail(r, class, code, message+advice)
	if f, ok := errors.AsType[*fault.Fault](err); ok && class == fault.Throttled {
		f.RetryAfter = max(f.RetryAfter, resetIn(r))
	}
	return err
}

// isAuditOff tells the Management Activity API's words for a tenant without the
// unified audit log, which has no code of its own.
func isAuditOff(message string) bool {
	return strings.HasPrefix(message, "Tenant ") && strings.Contains(message, " does not exist")
}

// wireError is an error of Graph's: codes get more exact inwards.
type wireError struct {
	Code    text       `json:"code"`
	Message message    `json:"message"`
	Inner   *wireError `json:"innerError"`
	Inner2  *wireError `json:"innererror"` // so it is spelled elsewhere
}

// refusal reads what an answer says of why. An answer that is not JSON (a
// proxy's page) has no code.
func refusal(r *httpx.Response) (code, words string) {
	var body struct {
		Error   *wireError `json:"error"`
		OData   *wireError `json:"odata.error"`
		Message text       `json:"Message"`
	}
	if json.Unmarshal(r.Body, &body, decodeOptions) != nil {
		// The Management Activity API quotes some bodies as no JSON does.
		code, words = loose(string(r.Body), "code"), loose(string(r.Body), "message")
		if code == "" {
			words = first(words, "no JSON")
		}
		return code, words
	}
	words = string(body.Message)
	e := body.Error
	if e == nil {
		e = body.OData
	}
	for depth := 0; e != nil && depth < 10; depth++ {
		words = first(words, string(e.Message))
		if _, known := codes[string(e.Code)]; known || code == "" {
			code = string(e.Code)
		}
		if e.Inner != nil {
			e = e.Inner
		} else {
			e = e.Inner2
		}
	}
	return code, words
}

// loose finds a member's text in what would be JSON, were it not for its quotes.
func loose(body, name string) string {
	for _, quote := range []string{"'", `"`} {
		_, rest, ok := strings.Cut(body, quote+name+quote)
		if !ok {
			continue
		}
		if rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " \t\r\n:"), quote); !ok {
			continue
		}
		for from := 0; ; from++ {
			i := strings.Index(rest[from:], quote)
			if i < 0 {
				break
			}
			from += i
			// An apostrophe inside ends nothing.
			if after := strings.TrimLeft(rest[from+1:], " \t\r\n"); after == "" || after[0] == ',' || after[0] == '}' {
				return rest[:from]
			}
		}
	}
	return ""
}

// isGone tells that an object does not exist, or that these credentials cannot
// see it. A page of a proxy's with the same status tells nothing.
func isGone(err error) bool {
	if httpx.StatusOf(err) != http.StatusNotFound {
		return false
	}
	switch httpx.CodeOf(err) {
	case codeNoSuchThing, "itemNotFound", "ResourceNotFound":
		return true
	}
	return false
}

// denied tells that credentials or plan do not allow something, so that what it
// would have told is unknown.
func denied(err error) bool {
	c := fault.Of(err)
	return c == fault.Forbidden || c == fault.NotLicensed
}

// cursorRefused tells whether an answer to a request for a stored place means
// that the place is of no use any more.
func cursorRefused(err error) bool {
	c := fault.Of(err)
	return c == fault.Expired || c == fault.BadData
}

// quota reads SharePoint's rate limit headers, which come above four fifths of
// the app's budget. Of the directory and the logs nothing tells how much is
// left.
func quota(r *httpx.Response) httpx.Quota {
	limit, err1 := strconv.ParseInt(r.Header.Get("RateLimit-Limit"), 10, 64)
	remaining, err2 := strconv.ParseInt(r.Header.Get("RateLimit-Remaining"), 10, 64)
	reset := resetIn(r)
	if err1 != nil || err2 != nil || limit < 0 || remaining < 0 || reset <= 0 {
		return httpx.Quota{}
	}
	return httpx.Quota{Known: true, Limit: limit, Remaining: remaining, Reset: r.At.Add(reset), Park: remaining == 0}
}

// resetIn returns how long it takes until SharePoint's budget is whole again; 0
// when the answer does not say.
func resetIn(r *httpx.Response) time.Duration {
	seconds, err := strconv.ParseFloat(r.Header.Get("RateLimit-Reset"), 64)
	if err != nil || !(seconds > 0) {
		return 0
	}
	return time.Duration(min(seconds, time.Hour.Seconds()) * float64(time.Second))
}

// Buckets of Microsoft Graph: each service behind it has limits of its own.
const (
	bucketDirectory = "directory"
	bucketBatches   = "batches" // of requests to the directory
	bucketReports   = "reports"
	bucketFiles     = "files"
)

// bucketOf names the quota bucket of a request.
func bucketOf(r *httpx.Request) string {
	template := r.Path.String()
	_, p, _ := strings.Cut(strings.TrimPrefix(template, "/"), "/") // without the version
	switch {
	case template == pathBatch:
		return bucketBatches
	case strings.HasPrefix(p, "auditLogs/"), strings.HasPrefix(p, "reports/"):
		return bucketReports
	case template == pathFilesBatch, strings.HasPrefix(p, "sites"), strings.HasPrefix(p, "drives"), strings.HasSuffix(p, "/drive"), strings.HasSuffix(p, "/drives"):
		return bucketFiles
	}
	return bucketDirectory
}

// Static limits. The logs and reports take 5 requests in 10 s; the directory at
// least 3,500 units in 10 s, of which a request takes up to 5, and a batch of 20
// up to 60.
var (
	buckets = map[string]httpx.Limit{
		bucketDirectory: {Concurrency: 8, PerSecond: 40, Burst: 20},
		bucketBatches:   {Concurrency: 4, PerSecond: 4},
		bucketReports:   {Concurrency: 1, PerSecond: 0.5},
		bucketFiles:     {Concurrency: 4},
	}
	manageBuckets = map[string]httpx.Limit{"": {Concurrency: 4, PerSecond: 20, Burst: 20}}
)

func first(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}
