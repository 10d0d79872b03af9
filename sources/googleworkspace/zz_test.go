package googleworkspace_test

import (
	"context"
	"slices"
	"testing"

	"weir/internal/setting"
	"weir/internal/sourcetest"
	"weir/sources"
	"weir/sources/googleworkspace"
)

type noFiles struct{ sources.Session }

func isFiles(n string) bool { return n == "files" }

func (s noFiles) Streams() []sources.Stream {
	return slices.DeleteFunc(s.Session.Streams(), func(s sources.Stream) bool { return isFiles(s.Info.Name) })
}

func TestZZ(t *testing.T) {
	f := fixture()
	c := *googleworkspace.Connector
	c.Streams = slices.DeleteFunc(slices.Clone(c.Streams), func(s sources.StreamInfo) bool { return isFiles(s.Name) })
	c.Capabilities = slices.DeleteFunc(slices.Clone(c.Capabilities), func(s sources.Capability) bool { return len(s.Name) > 4 && isFiles(s.Name[:5]) })
	open := c.Open
	c.Open = func(ctx context.Context, env sources.Env, cfg setting.Struct) (sources.Session, error) {
		s, err := open(ctx, env, cfg)
		if err != nil {
			return nil, err
		}
		return noFiles{s}, nil
	}
	f.Connector = &c
	delete(f.Scopes, "files")
	sourcetest.Run(t, f)
}
