package aws

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"weir/internal/fault"
)

// errorClasses are the classes of AWS error codes: the code decides, not the
// HTTP status, which differs between services. Codes that are not here, and
// errors without a code, are transient.
//
// Sources: S3 API reference, "Error responses"; STS API reference, "Common
// error types"; the SDK's own list of throttling codes.
var errorClasses = map[string]fault.Class{
	"SlowDown": fault.Throttled, "Throttling": fault.Throttled, "ThrottlingException": fault.Throttled, "ThrottledException": fault.Throttled,
	"RequestThrottled": fault.Throttled, "RequestThrottledException": fault.Throttled, "TooManyRequestsException": fault.Throttled,
	"RequestLimitExceeded": fault.Throttled, "BandwidthLimitExceeded": fault.Throttled, "LimitExceededException": fault.Throttled,
	"ProvisionedThroughputExceededException": fault.Throttled, "PriorRequestNotComplete": fault.Throttled, "TransactionInProgressException": fault.Throttled,

	// New credentials are on their way.
	"ExpiredToken": fault.Transient, "ExpiredTokenException": fault.Transient, "RequestExpired": fault.Transient,

	"InvalidClientTokenId": fault.Auth, "UnrecognizedClientException": fault.Auth, "InvalidAccessKeyId": fault.Auth,
	"SignatureDoesNotMatch": fault.Auth, "InvalidToken": fault.Auth, "InvalidSecurity": fault.Auth, "InvalidIdentityToken": fault.Auth,

	"AccessDenied": fault.Forbidden, "AccessDeniedException": fault.Forbidden, "AllAccessDisabled": fault.Forbidden, "AccountProblem": fault.Forbidden,
	"OptInRequired": fault.Forbidden, "RegionDisabledException": fault.Forbidden, "SubscriptionRequiredException": fault.Forbidden,

	"NoSuchBucket": fault.Permanent, "InvalidBucketName": fault.Permanent,
	"PermanentRedirect": fault.Permanent, "AuthorizationHeaderMalformed": fault.Permanent, "IllegalLocationConstraintException": fault.Permanent,

	"NoSuchKey": fault.BadData, "InvalidObjectState": fault.BadData,
}

var wrongRegion = map[string]bool{"PermanentRedirect": true, "AuthorizationHeaderMalformed": true, "IllegalLocationConstraintException": true}

const (
	throttleWait = 2 * time.Second
	maxAskedWait = 5 * time.Minute
)

// awsFault classes an error of the AWS SDK.
func awsFault(doing string, err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		if strings.Contains(err.Error(), "get credentials") || strings.Contains(err.Error(), "failed to refresh cached credentials") {
			return fault.New(fault.Auth, "%s: no usable credentials: %w", doing, err)
		}
		return fault.New(fault.Transient, "%s: %w", doing, err)
	}
	code := api.ErrorCode()
	class, known := errorClasses[code]
	if !known {
		class = fault.Transient
	}
	switch {
	case strings.HasPrefix(code, "KMS."),
		class == fault.Forbidden && strings.Contains(strings.ToLower(api.ErrorMessage()), "kms"):
		// One object's key: the other objects go on.
		return fault.New(fault.BadData, "%s: its key is refused; grant kms:Decrypt on it: %w", doing, err)
	case code == "InvalidObjectState":
		return fault.New(class, "%s: it is archived, and must be restored first: %w", doing, err)
	case wrongRegion[code]:
		return fault.New(class, "%s: wrong region; set %s in cloudtrail.url: %w", doing, regionOf(err), err)
	case class == fault.Throttled:
		return fault.After(class, askedWait(err), "%s: %w", doing, err)
	}
	return fault.New(class, "%s: %w", doing, err)
}

// header returns a header of the answer that an error came with.
func header(err error, name string) string {
	if r, ok := errors.AsType[*awshttp.ResponseError](err); ok && r.Response != nil {
		return r.Response.Header.Get(name)
	}
	return ""
}

func regionOf(err error) string {
	if r := header(err, "x-amz-bucket-region"); r != "" && len(r) < 32 {
		return fmt.Sprintf("region=%s", r)
	}
	return "region="
}

func askedWait(err error) time.Duration {
	if n, e := strconv.Atoi(header(err, "Retry-After")); e == nil && n > 0 {
		return min(time.Duration(n)*time.Second, maxAskedWait)
	}
	return throttleWait
}
