package googleworkspace

import (
	"fmt"
	"net/http"
	"strings"
)

// failure is an error of an API (7).
type failure struct {
	status          int
	domain          string // "" global
	reason, message string
	location        string
	info            string // reason of ErrorInfo; "" none
	scopes          string // that would have been enough
	plain           string // the body, in place of JSON; "" none
	html            bool
}

func refuse(status int, reason, format string, a ...any) *failure {
	return &failure{status: status, reason: reason, message: fmt.Sprintf(format, a...)}
}

// The failures that many calls have in common.

func notFound(what string) *failure {
	return refuse(http.StatusNotFound, "notFound", "Resource Not Found: %s", what)
}

func invalid(format string, a ...any) *failure {
	return refuse(http.StatusBadRequest, "invalid", format, a...)
}

// notAuthorized is what somebody is told who lacks a privilege.
func notAuthorized() *failure {
	return refuse(http.StatusForbidden, "forbidden", "Not Authorized to access this resource/api")
}

func badCredentials() *failure {
	f := refuse(http.StatusUnauthorized, "authError", "Invalid Credentials")
	f.location = "Authorization"
	return f
}

// insufficientScope is what a token is told that lacks a scope.
func insufficientScope(scopes []string) *failure {
	f := refuse(http.StatusForbidden, "insufficientPermissions", "Request had insufficient authentication scopes.")
	f.info = "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
	for i, s := range scopes {
		if i > 0 {
			f.scopes += " "
		}
		f.scopes += scopeURL(s)
	}
	return f
}

// statusWords are those of google.rpc.Code.
var statusWords = map[int]string{
	400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS", 412: "FAILED_PRECONDITION", 429: "RESOURCE_EXHAUSTED",
	500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}

// fail answers with an error.
func (c *call) fail(f *failure) { c.h.sendFailure(c.w, f) }

func (h *Handler) sendFailure(w http.ResponseWriter, f *failure) {
	if f.plain != "" {
		kind := "text/plain; charset=UTF-8"
		if f.html {
			kind = "text/html; charset=UTF-8"
		}
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(f.status)
		_, _ = w.Write([]byte(f.plain)) // a client that went away is no concern of the vendor's
		return
	}
	domain := f.domain
	if domain == "" {
		domain = "global"
	}
	one := object{"domain": domain, h.facts.Reason: f.reason, "message": f.message}
	if f.location != "" {
		one["location"], one["locationType"] = f.location, "header"
	}
	e := object{"code": f.status, "message": f.message, "errors": []object{one}}
	if word := statusWords[f.status]; word != "" {
		e["status"] = word
	}
	if f.info != "" {
		e["details"] = []object{{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": f.info, "domain": "googleapis.com", "metadata": object{}}}
	}
	if f.scopes != "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="insufficient_scope", scope="`+f.scopes+`"`)
	}
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="invalid_token"`)
	}
	sendJSON(w, f.status, object{"error": e})
}

// tooMany is one of the ways in which the vendor says that there were too many
// requests (6).
func (h *Handler) tooMany() *failure {
	usage := func(status int, reason, message string) *failure {
		return &failure{status: status, domain: "usageLimits", reason: reason, message: message}
	}
	plain := func(status int, text string) *failure { return &failure{status: status, plain: text} }
	switch h.requests.Load() % 6 {
	case 0:
		return usage(h.facts.UserRateStatus, h.facts.UserRate, "User Rate Limit Exceeded")
	case 1:
		return usage(http.StatusTooManyRequests, "rateLimitExceeded", "Rate Limit Exceeded")
	case 2:
		return plain(http.StatusForbidden, "Request rate higher than configured.")
	case 3:
		return plain(http.StatusTooManyRequests, "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute per user' of service 'admin.googleapis.com'.")
	case 4:
		return usage(http.StatusForbidden, "quotaExceeded", "Quota exceeded.")
	}
	return plain(http.StatusServiceUnavailable, "Quota exceeded for the current request")
}

// Throttled refuses a request that has not been counted, as too many.
func (h *Handler) Throttled(w http.ResponseWriter, r *http.Request) {
	h.requests.Add(1)
	if !isAPI(r.URL.Path) {
		sendJSON(w, http.StatusServiceUnavailable, object{"error": "internal_failure", "error_description": "Backend Error"})
		return
	}
	h.sendFailure(w, h.tooMany())
}

// Failed answers with another error.
func (h *Handler) Failed(w http.ResponseWriter, r *http.Request, status int) {
	if !isAPI(r.URL.Path) {
		sendJSON(w, status, object{"error": "internal_failure", "error_description": "Backend Error"})
		return
	}
	h.sendFailure(w, outage(status))
}

// outage is a failure that has nothing to do with the request.
func outage(status int) *failure {
	switch status {
	case http.StatusUnauthorized:
		return badCredentials()
	case http.StatusForbidden:
		return notAuthorized()
	case http.StatusNotFound:
		return notFound("userKey")
	case http.StatusServiceUnavailable:
		return refuse(status, "backendError", "Service unavailable. Please try again")
	case http.StatusInternalServerError:
		return refuse(status, "internalError", "Internal Error")
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		text := "<!DOCTYPE html>\n<html lang=en>\n<title>Error " + fmt.Sprint(status) + " (Server Error)!!1</title>\n<p>The server encountered a temporary error and could not complete your request.\n</html>\n"
		return &failure{status: status, plain: text, html: true}
	}
	return refuse(status, "badRequest", "%s", strings.TrimSpace(http.StatusText(status)))
}
