package googleworkspace

import (
	"context"
	"strings"

	"weir/schemas"
	"weir/sources"
)

var directoryInfos []sources.StreamInfo

// directoryState is what a session knows of the directory, to look up.
type directoryState struct{}

func (s *session) directoryStreams() []sources.Stream { return nil }

// domains are a customer's own, with their aliases, lower case; nil: unknown,
// since the scope for them is missing.
type domains map[string]bool

// external tells whether an address or domain is outside of the customer.
func (d domains) external(address string) schemas.Opt[bool] {
	if d == nil || address == "" {
		return schemas.Opt[bool]{}
	}
	return schemas.Some(!d[strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])])
}

// domains returns the customer's own, which it asks for again after a while.
func (s *session) domains(context.Context) (domains, error) { return nil, nil }

// people are the ids of accounts and groups, by e-mail address, lower case,
// aliases too.
type people struct{ accounts, groups map[string]string }

// people returns who has which address, which it asks for again after a while:
// an account or group that is new may be missing.
func (s *session) people(context.Context) (*people, error) { return &people{}, nil }
