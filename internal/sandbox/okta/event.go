package okta

import (
	"strings"

	"weir/internal/sandbox/org"
)

// renderer appends events of one state. It is for one goroutine.
type renderer struct {
	f       *Facts
	s       *org.State
	targets []target
}

// append appends an event of the System Log.
func (r *renderer) append(b []byte, e *org.Event) []byte {
	f, s := r.f, r.s
	v := verbOf(s, e)
	r.targets = appendTargets(r.targets[:0], s, e)
	system := e.Actor.Kind == org.SystemRef

	b = append(append(append(b, '{', '"'), f.UUID...), `":"`...)
	b = appendUUID(b, seedOf(s), e.N)
	b = append(append(append(b, `","`...), f.Published...), `":"`...)
	b = appendTime(b, e.At)
	b = append(append(append(b, `","`...), f.EventType...), `":"`...)
	b = append(b, v.event...)
	b = append(append(b, `","version":"0","severity":"`...), severity(v, e)...)
	b = append(append(b, `","displayMessage":"`...), v.message...)
	b = append(b, '"')
	if v.legacy != "" {
		b = append(append(append(b, `,"legacyEventType":"`...), v.legacy...), '"')
	} else if e.N%2 == 0 {
		b = append(b, `,"legacyEventType":null`...)
	}
	b = r.actor(append(b, `,"actor":`...), e)
	b = r.client(append(b, `,"client":`...), e)
	b = append(b, `,"device":null,"authenticationContext":{"authenticationProvider":null,"credentialProvider":null,"credentialType":`...)
	switch {
	case e.Verb == org.MFAVerify:
		b = append(b, `"OTP"`...)
	case e.Verb == org.SignIn && e.N%2 == 0:
		b = append(b, `"PASSWORD"`...)
	default:
		b = append(b, "null"...)
	}
	b = append(b, `,"issuer":null,"interface":null,"authenticationStep":0`...)
	b = appendMemberOrNull(b, "rootSessionId", e.Session)
	b = append(appendMemberOrNull(b, "externalSessionId", e.Session), '}')
	b = r.outcome(b, e)
	b = r.security(b, e)
	b = r.context(b, e, system)
	b = append(b, `,"request":{"ipChain":[`...)
	if c := visible(e); c != nil {
		b = append(append(append(b, `{"ip":"`...), c.IP...), `","geographicalContext":`...)
		b = r.geo(b, e, c)
		b = append(b, `,"version":"V4","source":null}`...)
		if e.N%16 == 3 { // through a proxy
			b = append(b, `,{"ip":"198.51.100.9","version":"V4","source":null}`...)
		}
	}
	b = append(append(append(b, `]},"`...), f.Target...), `":`...)
	b = r.target(b, e)
	return append(b, `,"insertionTimestamp":null}`...)
}

func severity(v verb, e *org.Event) string {
	switch {
	case v.severity != "":
		return v.severity
	case e.Failed:
		return "WARN"
	}
	return "INFO"
}

// visible is where a request came from; nil for what the vendor does by itself.
func visible(e *org.Event) *org.Client {
	if e.Client == nil || e.Client.IP == "" || e.Actor.Kind == org.SystemRef && e.Verb == org.AccountLock {
		return nil
	}
	return e.Client
}

func (r *renderer) actor(b []byte, e *org.Event) []byte {
	s := r.s
	switch e.Actor.Kind {
	case org.AccountRef:
		a := s.Accounts[org.Okta][e.Actor.N]
		b = appendIDMember(append(b, '{'), "id", seedOf(s), kindUser, a.N)
		b = appendMember(b, "type", typeUser)
		b = appendMember(b, "alternateId", a.Login)
		b = appendMember(b, "displayName", fullName(s.People[a.Person]))
	case org.IntegrationRef:
		b = appendIDMember(append(b, '{'), "id", seedOf(s), kindApp, e.Actor.N)
		b = appendMember(b, "type", typeClient)
		b = appendIDMember(b, "alternateId", seedOf(s), kindApp, e.Actor.N)
		b = appendMember(b, "displayName", s.Integrations[org.Okta][e.Actor.N].Label)
	case org.AnonymousRef:
		b = appendMember(append(b, '{'), "id", "unknown")
		b = appendMember(b, "type", typeUser)
		b = appendMember(b, "alternateId", e.Text)
		b = appendMember(b, "displayName", "unknown")
	default:
		b = appendMember(append(b, '{'), "id", "system")
		b = appendMember(b, "type", r.f.SystemActor)
		b = appendMember(b, "alternateId", "system@okta.com")
		b = appendMember(b, "displayName", "Okta System")
	}
	return append(b, `,"detailEntry":null}`...)
}

func (r *renderer) client(b []byte, e *org.Event) []byte {
	c := visible(e)
	if c == nil {
		return append(b, "null"...)
	}
	b = append(b, `{"userAgent":{"rawUserAgent":`...)
	b = appendString(b, c.UserAgent)
	b = append(append(b, `,"os":"`...), osOf(c.UserAgent)...)
	b = append(append(b, `","browser":"`...), browserOf(c.UserAgent)...)
	b = append(b, `"},"zone":`...)
	if e.N%4 == 0 {
		b = append(b, `"BlockedIpZone"`...)
	} else {
		b = appendString(b, r.f.NullZone)
	}
	b = appendMember(b, "device", c.Device)
	b = append(b, `,"id":`...)
	if n := clientApp(e); n >= 0 {
		b = append(appendID(append(b, '"'), seedOf(r.s), kindApp, n), '"')
	} else {
		b = append(b, "null"...)
	}
	b = append(append(b, `,"ipAddress":"`...), c.IP...)
	b = r.geo(append(b, `","geographicalContext":`...), e, c)
	return append(b, '}')
}

// clientApp is the OAuth client that a request was made by; -1 none.
func clientApp(e *org.Event) int {
	switch {
	case e.Via.Kind == org.IntegrationRef:
		return e.Via.N
	case e.Actor.Kind == org.IntegrationRef:
		return e.Actor.N
	}
	return -1
}

func (r *renderer) geo(b []byte, e *org.Event, c *org.Client) []byte {
	if c.Country == "" {
		return append(b, "null"...)
	}
	b = appendMember(append(b, '{'), "city", c.City)
	b = append(b, `,"state":null`...)
	b = appendMember(b, "country", c.Country)
	if e.N%8 == 5 {
		b = append(b, `,"postalCode":10013`...)
	} else {
		b = append(b, `,"postalCode":"10013"`...)
	}
	return append(b, `,"geolocation":{"lat":40.3,"lon":-74.0}}`...)
}

func (r *renderer) outcome(b []byte, e *org.Event) []byte {
	b = append(append(append(b, `,"`...), r.f.Outcome...), `":{"result":"`...)
	b = append(b, result(r.f, e)...)
	b = append(b, '"')
	return append(appendMemberOrNull(b, "reason", reason(e)), '}')
}

func result(f *Facts, e *org.Event) string {
	switch {
	case e.Failed:
		return f.Failure
	case e.Verb == org.PolicyUpdate && e.N%2 == 0:
		return f.Allow
	}
	return f.Success
}

// reason is why something failed, or what was seen.
func reason(e *org.Event) string {
	if e.Verb == org.ThreatDetected {
		return e.Text
	}
	return e.Reason
}

func (r *renderer) security(b []byte, e *org.Event) []byte {
	c := visible(e)
	if c == nil || c.ASN == 0 {
		return append(b, `,"securityContext":{"asNumber":null,"asOrg":null,"isp":null,"domain":null,"isProxy":null}`...)
	}
	b = append(b, `,"securityContext":{"asNumber":`...)
	b = appendInt(b, c.ASN)
	return append(b, `,"asOrg":"example network","isp":"example network","domain":null,"isProxy":false}`...)
}

// context appends the transaction and the debug context.
func (r *renderer) context(b []byte, e *org.Event, system bool) []byte {
	s := r.s
	kind := "WEB"
	if system {
		kind = "JOB"
	}
	b = append(append(b, `,"transaction":{"type":"`...), kind...)
	b = append(b, `","id":"`...)
	b = appendID(b, seedOf(s), kindTransaction, e.N)
	b = append(b, `","detail":{`...)
	if e.Via.Kind == org.GrantRef && s.Grants[org.Okta][e.Via.N].Kind == org.GrantAPIToken {
		b = appendIDMember(b, "requestApiTokenId", seedOf(s), kindAPIToken, e.Via.N)
	}
	b = append(b, `}},"debugContext":{"debugData":{`...)
	switch e.Verb {
	case org.SignIn:
		b = append(b, `"requestUri":"/idp/idx/authenticators/poll","url":"/idp/idx/authenticators/poll?"`...)
	case org.MFAVerify, org.MFAEnroll:
		b = appendMember(b, "factor", e.Text)
	case org.RoleGrantVerb:
		if len(e.Targets) > 1 && e.Targets[1].Kind == org.RoleRef {
			b = appendMember(b, "privilegeGranted", roleLabel(s, s.Roles[org.Okta][e.Targets[1].N]))
		}
	default:
		b = append(b, `"requestUri":"/api/v1"`...)
	}
	return append(b, '}', '}')
}

func (r *renderer) target(b []byte, e *org.Event) []byte {
	if len(r.targets) == 0 {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i := range r.targets {
		t := &r.targets[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"id":"`...)
		b = t.appendID(b, seedOf(r.s))
		b = append(append(b, `","type":"`...), t.typ...)
		b = append(b, '"')
		b = appendMemberOrNull(b, "alternateId", t.alt)
		b = appendMemberOrNull(b, "displayName", t.name)
		b = append(b, `,"detailEntry":null`...)
		if i == 0 && len(e.Changes) > 0 {
			b = append(b, `,"changeDetails":{"from":{`...)
			for _, c := range e.Changes {
				b = appendMember(b, c.Name, c.Old)
			}
			b = append(b, `},"to":{`...)
			for _, c := range e.Changes {
				b = appendMember(b, c.Name, c.New)
			}
			b = append(b, '}', '}')
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

func (t *target) appendID(b []byte, seed uint64) []byte {
	if t.id != "" {
		return append(b, t.id...)
	}
	return appendID(b, seed, t.kind, t.n)
}

func osOf(agent string) string {
	switch {
	case strings.Contains(agent, "Windows"):
		return "Windows 10"
	case strings.Contains(agent, "Mac OS"):
		return "Mac OS X"
	case strings.Contains(agent, "Linux"):
		return "Linux"
	}
	return "Unknown"
}

func browserOf(agent string) string {
	switch {
	case strings.Contains(agent, "Firefox"):
		return "FIREFOX"
	case strings.Contains(agent, "Chrome"):
		return "CHROME"
	case strings.Contains(agent, "Safari"):
		return "SAFARI"
	}
	return "UNKNOWN"
}
