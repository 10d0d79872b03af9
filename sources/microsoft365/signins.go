package microsoft365

import (
	"slices"
	"strings"
	"time"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/sources"
)

// SignIns is about Entra's sign-in log.
type SignIns struct {
	Kinds    []string      `key:"kinds" doc:"which sign-ins: interactiveUser, nonInteractiveUser, servicePrincipal, managedIdentity. Only Graph's beta lists others than those of people at a screen; interactiveUser alone is asked of v1.0"`
	Since    time.Duration `key:"since" doc:"how far back the first collection goes; Entra keeps 30 days"`
	Lateness time.Duration `key:"lateness" doc:"how late after it happened a sign-in may appear, or be written anew, and still be collected: every hour as much of the log is read again"`
}

// signInKinds are the kinds of sign-ins, in the order of the docs.
var signInKinds = []string{interactiveUser, "nonInteractiveUser", "servicePrincipal", "managedIdentity"}

const (
	pathSignIns     = "/v1.0/auditLogs/signIns"
	pathAllSignIns  = "/beta/auditLogs/signIns"
	signInsPerPage  = "1000"
	timeOfSignIn    = "createdDateTime"
	withoutPremium  = "; the stream activities has sign-ins (RecordType 15) without that licence"
	alsoToReadUsers = permissionLogs + " and Directory.Read.All"
)

// validate returns what is wrong with the settings.
func (c *SignIns) validate() (errs []setting.KeyError) {
	errs = append(badSince("sign_ins.since", c.Since), badLateness("sign_ins.lateness", c.Lateness)...)
	if len(c.Kinds) == 0 {
		errs = append(errs, setting.KeyError{Key: "sign_ins.kinds", Accepted: strings.Join(signInKinds, ", ")})
	}
	for _, k := range c.Kinds {
		if !slices.Contains(signInKinds, k) {
			errs = append(errs, setting.KeyError{Key: "sign_ins.kinds", Found: k, Accepted: strings.Join(signInKinds, ", ")})
		}
	}
	return errs
}

func defaultSignIns() SignIns {
	return SignIns{Kinds: slices.Clone(signInKinds), Since: logRetention, Lateness: usualLateness}
}

func (s *session) signInsStream() sources.Stream {
	c := &s.cfg.SignIns
	l := &entraLog{
		info: lateLog(infoSignIns, c.Lateness, logRetention), at: timeOfSignIn, top: signInsPerPage,
		since: min(c.Since, logRetention), lateness: c.Lateness, record: (*entraMapper).signIn, explain: explainSignIns,
	}
	l.path, l.also = c.listing()
	return sources.Stream{Info: l.info, Read: s.readEntra(l), Past: entraPast}
}

// listing is where the kinds are listed, and the condition that asks for them:
// without one beta too shows interactive sign-ins alone.
func (c *SignIns) listing() (path, condition string) {
	if slices.Equal(c.Kinds, []string{interactiveUser}) {
		return pathSignIns, ""
	}
	var kinds []string
	for _, k := range signInKinds {
		if slices.Contains(c.Kinds, k) {
			kinds = append(kinds, "t eq '"+k+"'")
		}
	}
	return pathAllSignIns, "(signInEventTypes/any(t: " + strings.Join(kinds, " or ") + "))"
}

// explainSignIns tells what to do without the licence, and which permissions the
// log needs.
func explainSignIns(err error) error {
	switch fault.Of(err) {
	case fault.NotLicensed:
		return fault.New(fault.NotLicensed, "%w%s", err, withoutPremium)
	case fault.Forbidden:
		return fault.New(fault.Forbidden, "%w (%s)", err, alsoToReadUsers)
	default:
		return err
	}
}
