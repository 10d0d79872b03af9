package googleworkspace

import (
	"context"

	"weir/internal/setting"
	"weir/sources"
)

// ActivitySettings is about the audit logs.
type ActivitySettings struct{}

func defaultActivities() ActivitySettings { return ActivitySettings{} }

func (a *ActivitySettings) validate() []setting.KeyError { return nil }

var (
	activityInfos        []sources.StreamInfo
	activityCapabilities []sources.Capability
	activityLimits       []string
)

// notifies is what the vendor tells a hook of; "" nothing.
const notifies = ""

// activityState is what the streams of the logs keep in a session.
type activityState struct{}

func (a *activityState) init() {}

func (s *session) activityStreams() []sources.Stream { return nil }

// probeActivities answers Probe for the capabilities of the logs; ok is whether
// it is one of them.
func (s *session) probeActivities(context.Context, string) (ok bool, err error) { return false, nil }

// adjust implements sources.Connector.Adjust.
func adjust(_ setting.Struct, info sources.StreamInfo) sources.StreamInfo { return info }

// newRemapper implements sources.Connector.Mapper.
var newRemapper func(setting.Struct) (sources.Mapper, error)
