package googleworkspace

import (
	"context"

	"weir/internal/setting"
	"weir/sources"
)

// FileSettings is about files.
type FileSettings struct{}

func defaultFiles() FileSettings { return FileSettings{} }

func (f *FileSettings) validate() []setting.KeyError { return nil }

var (
	fileInfos        []sources.StreamInfo
	fileCapabilities []sources.Capability
	fileLimits       []string
)

// fileState is what the streams of files keep in a session.
type fileState struct{}

func (f *fileState) init() {}

func (s *session) fileStreams() []sources.Stream { return nil }

// probeFiles answers Probe for the capabilities of files; ok is whether it is
// one of them.
func (s *session) probeFiles(context.Context, string) (ok bool, err error) { return false, nil }
