package aws

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

var stsCalls = map[string]queryCall{
	"GetCallerIdentity": {serve: (*call).callerIdentity},
	"AssumeRole":        {serve: (*call).assumeRole},
}

func (c *call) callerIdentity() (string, *failure) {
	arn, is := "", ""
	if c.who.role >= 0 {
		r := c.s.Cloud.Roles[c.who.role]
		arn, is = c.h.sessionARN(r, c.who.session.name), id(c.h.seed, prefixRole, r.N)+":"+c.who.session.name
	} else {
		for _, u := range c.s.Cloud.Users {
			if u.N == c.who.user {
				arn, is = c.h.userARN(u), id(c.h.seed, prefixUser, u.N)
			}
		}
	}
	return text("Arn", arn) + text("UserId", is) + text("Account", c.h.account), nil
}

// Bounds of a session, in seconds.
const (
	sessionMin     = 900
	sessionMax     = 43200
	sessionDefault = 3600
	sessionChained = 3600 // of a role taken on by a role
)

const externalMax = 1224 // characters of an external id

var (
	sessionName  = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	externalName = regexp.MustCompile(`^[\w+=,.@:/-]+$`)
)

func (c *call) assumeRole() (string, *failure) {
	f := c.form
	e := org.CloudCall{Service: "sts.amazonaws.com", Name: "AssumeRole", Region: org.CloudRegion, ReadOnly: true}
	for _, p := range [][2]string{{"RoleArn", "roleArn"}, {"RoleSessionName", "roleSessionName"}, {"ExternalId", "externalId"}} {
		if f.Has(p[0]) {
			e.Params = append(e.Params, org.Change{Name: p[1], New: f.Get(p[0])})
		}
	}
	seconds := sessionDefault
	if f.Has("DurationSeconds") {
		seconds, _ = strconv.Atoi(f.Get("DurationSeconds"))
	}
	if !sessionName.MatchString(f.Get("RoleSessionName")) || seconds < sessionMin || seconds > sessionMax || c.who.role >= 0 && seconds > sessionChained ||
		f.Has("ExternalId") && (len(f.Get("ExternalId")) > externalMax || !externalName.MatchString(f.Get("ExternalId"))) {
		return "", refuse(http.StatusBadRequest, "ValidationError", "RoleSessionName, DurationSeconds or ExternalId is out of bounds")
	}
	r := c.s.Cloud.Role(lastPart(f.Get("RoleArn")))
	if r == nil || c.h.roleARN(r) != f.Get("RoleArn") || r.Trusts != "agent" || r.ExternalID != f.Get("ExternalId") || !c.agent() {
		bad := refuse(http.StatusForbidden, "AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c.who.key, f.Get("RoleArn"))
		c.tell(e, bad)
		return "", bad
	}
	if bad := c.allowed("sts:AssumeRole", f.Get("RoleArn")); bad != nil {
		c.tell(e, bad)
		return "", bad
	}
	h := c.h
	at, err := time.Parse(timeFormat, c.r.Header.Get("X-Amz-Date"))
	if err != nil {
		at = c.now // it has been read before
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.sessions)
	held := &session{
		role: r.N, name: f.Get("RoleSessionName"), secret: hexOf(h.seed, "session secret", n, 40), token: strings.Repeat(hexOf(h.seed, "session token", n, 64), 3),
		issued: at, expires: at.Add(time.Duration(seconds) * time.Second),
	}
	key := id(h.seed, prefixSession, n)
	h.sessions[key] = held
	r.LastUsed = c.now
	c.tell(e, nil)
	return element("Credentials", text("AccessKeyId", key)+text("SecretAccessKey", held.secret)+text("SessionToken", held.token)+text("Expiration", stamp(held.expires))) +
		element("AssumedRoleUser", text("AssumedRoleId", id(h.seed, prefixRole, r.N)+":"+held.name)+text("Arn", h.sessionARN(r, held.name))), nil
}

// agent tells whether the caller is whom the agent's roles trust: its user, and
// the sessions of its roles.
func (c *call) agent() bool {
	if c.who.role >= 0 {
		return c.s.Cloud.Roles[c.who.role].Trusts == "agent"
	}
	u := c.s.Cloud.User(org.AgentUser)
	return u != nil && u.N == c.who.user
}
