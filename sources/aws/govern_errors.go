package aws

import (
	"errors"

	"github.com/aws/smithy-go"

	"weir/internal/fault"
)

// actionClasses are what error codes mean of actions, where that is not what
// they mean of collecting (errorClasses).
//
// Sources: IAM API reference, errors of each action; S3 API reference, "Error
// responses". Answers to HEAD have no code: the SDK calls them by their status.
var actionClasses = map[string]fault.Class{
	"NoSuchEntity": fault.BadData, "NoSuchVersion": fault.BadData, "NotFound": fault.BadData, "NoSuchBucket": fault.BadData,
	"ValidationError": fault.BadData, "InvalidInput": fault.BadData, "InvalidTag": fault.BadData,
	"Forbidden": fault.Forbidden,

	// Nothing was done: later it may be.
	"EntityTemporarilyUnmodifiable": fault.Throttled, "ConcurrentModification": fault.Throttled,
	"OperationAborted": fault.Throttled, "ConditionalRequestConflict": fault.Throttled,

	"LimitExceeded": fault.Permanent, "UnmodifiableEntity": fault.Permanent, "MalformedPolicyDocument": fault.Permanent, "DeleteConflict": fault.Permanent,
	"EntityAlreadyExists": fault.Permanent, "PreconditionFailed": fault.Permanent, "AccessControlListNotSupported": fault.Permanent, "MalformedPolicy": fault.Permanent,
	"MethodNotAllowed": fault.Permanent, "NotImplemented": fault.Permanent, "InvalidRequest": fault.Permanent, "InvalidArgument": fault.Permanent,
}

// codeOf is the error code of an answer; "" when there was none.
func codeOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// refused classes an error of an action, and names the right it takes.
func refused(doing, right string, err error) error {
	if _, ok := errors.AsType[*fault.Fault](err); ok {
		return err
	}
	class, ok := actionClasses[codeOf(err)]
	switch {
	case ok && class == fault.Throttled:
		return fault.After(class, askedWait(err), "%s: %w", doing, err)
	case ok:
		err = fault.New(class, "%s: %w", doing, err)
	default:
		err = awsFault(doing, err)
	}
	if fault.Of(err) == fault.Forbidden {
		return fault.New(fault.Forbidden, "%w; it takes %s", err, right)
	}
	return err
}
