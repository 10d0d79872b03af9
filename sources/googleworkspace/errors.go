package googleworkspace

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// Reasons that more than the table below asks for.
const (
	reasonAuth        = "authError"
	reasonForbidden   = "forbidden"
	reasonNotFound    = "notFound"
	reasonUserRate    = "userRateLimitExceeded"
	reasonSharingRate = "sharingRateLimitExceeded"
	reasonDailyLimit  = "dailyLimitExceeded"
	reasonScopes      = "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
	reasonDisabled    = "SERVICE_DISABLED"
)

// reasons are the classes of errors[0].reason and ErrorInfo.reason, whatever the
// status: throttling comes as 403, and missing privileges as 401. Others go by
// status.
var reasons = map[string]fault.Class{
	reasonAuth:                                  fault.Auth,
	"insufficientPermissions":                   fault.Forbidden,
	reasonScopes:                                fault.Forbidden,
	"accessNotConfigured":                       fault.Forbidden,
	reasonDisabled:                              fault.Forbidden,
	reasonForbidden:                             fault.Forbidden,
	"insufficientAdministratorPrivileges":       fault.Forbidden,
	"noListTeamDrivesAdministratorPrivilege":    fault.Forbidden,
	"insufficientFilePermissions":               fault.BadData, // another subject may do it
	"teamDriveMembershipRequired":               fault.BadData,
	"cannotShareTeamDriveWithNonGoogleAccounts": fault.BadData,
	"domainPolicy":                              fault.BadData, // the service is off for the subject
	reasonUserRate:                              fault.Throttled,
	"rateLimitExceeded":                         fault.Throttled,
	"quotaExceeded":                             fault.Throttled,
	reasonSharingRate:                           fault.Throttled,
	reasonDailyLimit:                            fault.Throttled,
	reasonNotFound:                              fault.BadData,
	"permissionNotFound":                        fault.BadData,
	"invalid":                                   fault.BadData,
	"badRequest":                                fault.BadData,
	"duplicate":                                 fault.BadData,
	"conflict":                                  fault.BadData,
	"conditionNotMet":                           fault.BadData,
	"internalError":                             fault.Transient,
	"badGateway":                                fault.Transient,
	"backendError":                              fault.Transient,
	"gatewayTimeout":                            fault.Transient,
	"transientError":                            fault.Transient,
}

var statuses = map[int]fault.Class{
	http.StatusBadRequest: fault.BadData, http.StatusUnauthorized: fault.Auth, http.StatusForbidden: fault.Forbidden,
	http.StatusMethodNotAllowed: fault.Permanent, http.StatusConflict: fault.BadData, http.StatusGone: fault.BadData,
	http.StatusPreconditionFailed: fault.BadData, http.StatusTooManyRequests: fault.Throttled,
}

// dailyWait is how long to wait where a day's quota is used up: when it is
// counted anew is not told.
const dailyWait = 30 * time.Minute

// classify classes an answer of any of Google's APIs, by the reason and, where
// that is not enough, by the words. Some answers are plain text or a page.
func classify(r *httpx.Response) error {
	if r.Status >= 200 && r.Status < 300 {
		return nil
	}
	e := refusal(r)
	class, known := reasons[e.reason]
	if !known {
		class, known = statuses[r.Status]
	}
	advice := ""
	switch {
	case e.reason == reasonAuth && strings.Contains(e.message, "not authorized to read activity records"):
		class, advice = fault.Forbidden, "; give the subject an admin role with the privilege Reports"
	case strings.HasPrefix(e.message, "Active session is invalid"):
		class = fault.BadData // the service is off for the subject
	case e.throttles(r.Status):
		class = fault.Throttled
	case !known:
		class = fault.Transient // also a 404 of a proxy's, which proves nothing
	case class == fault.Auth:
		advice = "; check the service account, its delegation and the subject"
	case e.reason == "accessNotConfigured" || e.reason == reasonDisabled:
		advice = "; enable the API in the project of the service account or client" + e.activation()
	case e.reason == reasonScopes || e.reason == "insufficientPermissions":
		advice = "; a scope is missing: authorize it, or grant access anew with weir connect"
	case e.reason == reasonForbidden:
		advice = "; give the subject an admin role that may do this"
	}
	err := httpx.Fail(r, class, e.reason, e.message+advice)
	if f, ok := errors.AsType[*fault.Fault](err); ok && e.reason == reasonDailyLimit {
		f.RetryAfter = max(f.RetryAfter, dailyWait)
	}
	return err
}

// personal tells whether a throttled answer is about the quota of the user that
// was acted as.
func personal(r *httpx.Response) bool {
	reason := refusal(r).reason
	return reason == reasonUserRate || reason == reasonSharingRate
}

// refused is what an answer says of why.
type refused struct {
	reason, domain, message, url string
}

// throttles tells of answers that no reason in the table explains.
func (e *refused) throttles(status int) bool {
	if _, known := reasons[e.reason]; known {
		return false
	}
	switch status {
	case http.StatusTooManyRequests:
		return true
	case http.StatusForbidden, http.StatusServiceUnavailable:
		return e.domain == "usageLimits" || strings.HasPrefix(e.message, "Request rate higher than") || strings.HasPrefix(e.message, "Quota exceeded")
	}
	return false
}

// activation is where an API is enabled; "" where the answer does not say.
func (e *refused) activation() string {
	if !strings.HasPrefix(e.url, "https://console.") {
		return ""
	}
	return ": " + e.url
}

const maxPlain = 200 // of the words of an answer that is not JSON, in bytes

// refusal reads what an answer says of why. An answer that is not JSON has no
// reason; a page has no words either.
func refusal(r *httpx.Response) (e refused) {
	var body struct {
		Error struct {
			Message text `json:"message"`
			Status  text `json:"status"`
			Errors  []struct {
				Domain       text `json:"domain"`
				Reason       text `json:"reason"`
				Message      text `json:"message"`
				ExtendedHelp text `json:"extendedHelp"`
			} `json:"errors"`
			Details []struct {
				Reason   text `json:"reason"`
				Metadata struct {
					URL text `json:"activationUrl"`
				} `json:"metadata"`
			} `json:"details"`
		} `json:"error"`
	}
	if json.Unmarshal(r.Body, &body, decodeOptions) != nil {
		words := strings.TrimSpace(string(r.Body))
		if words == "" || words[0] == '<' || words[0] == '{' {
			return refused{message: "no JSON"}
		}
		return refused{message: strings.ToValidUTF8(words[:min(len(words), maxPlain)], "")}
	}
	e.message = string(body.Error.Message)
	if len(body.Error.Errors) > 0 {
		first := &body.Error.Errors[0]
		e.reason, e.domain, e.url = string(first.Reason), string(first.Domain), string(first.ExtendedHelp)
		if e.message == "" {
			e.message = string(first.Message)
		}
	}
	for _, d := range body.Error.Details {
		if _, known := reasons[e.reason]; !known || d.Reason == reasonScopes || d.Reason == reasonDisabled {
			if d.Reason != "" {
				e.reason = string(d.Reason)
			}
		}
		if d.Metadata.URL != "" {
			e.url = string(d.Metadata.URL)
		}
	}
	return e
}

// isGone tells that an object does not exist, or that these credentials cannot
// see it. A page of a proxy's with the same status tells nothing.
func isGone(err error) bool {
	return httpx.StatusOf(err) == http.StatusNotFound && httpx.CodeOf(err) == reasonNotFound
}

// denied tells that credentials or edition do not allow something, so that what
// it would have told is unknown.
func denied(err error) bool {
	c := fault.Of(err)
	return c == fault.Forbidden || c == fault.NotLicensed
}

// Buckets of the Admin SDK. All requests of one administrator share 2,400 a
// minute in the directory; the reports have as many again.
const (
	bucketDirectory = "directory"
	bucketSecurity  = "security" // tokens and app passwords, two requests a user
	bucketReports   = "reports"
	bucketTransfer  = "transfer"
)

// bucketOf names the quota bucket of a request to the Admin SDK.
func bucketOf(r *httpx.Request) string {
	switch p := r.Path.String(); {
	case strings.HasPrefix(p, "/admin/reports"):
		return bucketReports
	case strings.HasPrefix(p, "/admin/datatransfer"):
		return bucketTransfer
	case p == pathTokens || p == pathPasswords:
		return bucketSecurity
	}
	return bucketDirectory
}

// Static limits, since no header tells any.
var (
	buckets = map[string]httpx.Limit{
		bucketDirectory: {Concurrency: 8, PerSecond: 12, Burst: 20},
		bucketSecurity:  {Concurrency: 8, PerSecond: 26, Burst: 20},
		bucketReports:   {Concurrency: 4, PerSecond: 38, Burst: 20},
		bucketTransfer:  {Concurrency: 1, PerSecond: 5},
	}
	driveBuckets = map[string]httpx.Limit{"": {Concurrency: 8, PerSecond: 150, Burst: 100}}
	// driveUserLimit is of one user: 325,000 units a minute, of which a list
	// takes 100.
	driveUserLimit = httpx.Limit{Concurrency: 4, PerSecond: 50, Burst: 20}
)
