package googleworkspace

import (
	"strconv"
	"strings"
	"time"

	"weir/internal/rawjson"
	"weir/schemas"
)

// activityItem is an item of the Reports API: what its events share. Objects and
// lists are kept as written.
//
// Source: Admin SDK Reports discovery document, schema Activity.
type activityItem struct {
	raw string

	time, qualifier, application, customer string // of id, which together name it

	email, profile, key, caller string // of actor
	clientID, clientName        string // of actor.applicationInfo
	impersonation               bool   // an application acts as the user

	ip, asn, country     string
	deviceID, device     string
	events, resources    string
	eventsFrom, eventsTo int // where events stands in raw
}

// anonymousProfile stands in the place of a profile id where there is none.
const anonymousProfile = "105250506097979753968"

func parseActivityItem(raw string) (it activityItem) {
	it.raw = raw
	for f := rawjson.Members(raw); ; {
		name, v, ok := f.Next()
		if !ok {
			return it
		}
		switch name {
		case "id":
			it.readID(v)
		case "actor":
			it.readActor(v)
		case "ipAddress":
			it.ip = rawjson.Text(v)
		case "networkInfo":
			asns := rawjson.Elements(rawjson.Member(v, "ipAsn"))
			first, _ := asns.Next()
			it.asn, it.country = rawjson.Text(first), rawjson.Text(rawjson.Member(v, "regionCode"))
		case "userDeviceInfo":
			it.deviceID, it.device = rawjson.Text(rawjson.Member(v, "deviceId")), rawjson.Text(rawjson.Member(v, "deviceType"))
		case "resourceDetails":
			it.resources = v
		case "events":
			it.events, it.eventsTo = v, f.End()
			it.eventsFrom = it.eventsTo - len(v)
		}
	}
}

func (it *activityItem) readID(v string) {
	for f := rawjson.Members(v); ; {
		name, v, ok := f.Next()
		if !ok {
			return
		}
		switch name {
		case "time":
			it.time = rawjson.Text(v)
		case "uniqueQualifier":
			it.qualifier = rawjson.Text(v)
		case "applicationName":
			it.application = rawjson.Text(v)
		case "customerId":
			it.customer = rawjson.Text(v)
		}
	}
}

func (it *activityItem) readActor(v string) {
	for f := rawjson.Members(v); ; {
		name, v, ok := f.Next()
		if !ok {
			return
		}
		switch name {
		case "email":
			it.email = strings.ToLower(rawjson.Text(v))
		case "profileId":
			if it.profile = rawjson.Text(v); it.profile == anonymousProfile {
				it.profile = ""
			}
		case "key":
			it.key = rawjson.Text(v)
		case "callerType":
			it.caller = rawjson.Text(v)
		case "applicationInfo":
			it.clientID, it.clientName = rawjson.Text(rawjson.Member(v, "oauthClientId")), rawjson.Text(rawjson.Member(v, "applicationName"))
			it.impersonation = rawjson.Text(rawjson.Member(v, "impersonation")) == "true"
		}
	}
}

// activityEvent is one of an item's events.
type activityEvent struct {
	kind, name string // kind is its member type

	status, errorCode, errorMessage string
	parameters, resourceIDs         string
}

func parseActivityEvent(raw string) (e activityEvent) {
	for f := rawjson.Members(raw); ; {
		name, v, ok := f.Next()
		if !ok {
			return e
		}
		switch name {
		case "type":
			e.kind = rawjson.Text(v)
		case "name":
			e.name = rawjson.Text(v)
		case "parameters":
			e.parameters = v
		case "resourceIds":
			e.resourceIDs = v
		case "status":
			e.status = rawjson.Text(rawjson.Member(v, "eventStatus"))
			e.errorCode = rawjson.Text(rawjson.Member(v, "errorCode"))
			e.errorMessage = rawjson.Text(rawjson.Member(v, "errorMessage"))
		}
	}
}

// parseActivityTime reads a time; 0 when it is none.
func parseActivityTime(s string) schemas.Time {
	t, err := time.Parse(time.RFC3339, s) // it takes fractions too
	if err != nil {
		return 0
	}
	return schemas.Time(t.UnixMilli())
}

// parameter is what one of an event's parameters says: a text, or several.
type parameter struct {
	text string
	list string // an array, as written; "" it is none
}

// parseParameter reads a parameter. One that holds messages says nothing here.
func parseParameter(raw string) (name string, p parameter) {
	for f := rawjson.Members(raw); ; {
		member, v, ok := f.Next()
		if !ok {
			return name, p
		}
		switch member {
		case "name":
			name = rawjson.Text(v)
		case "value", "intValue", "boolValue":
			p.text = rawjson.Text(v)
		case "multiValue", "multiIntValue":
			p.list = v
		}
	}
}

// first is its text, or the first of its texts.
func (p parameter) first() string {
	if p.list == "" {
		return p.text
	}
	items := rawjson.Elements(p.list)
	v, _ := items.Next()
	return rawjson.Text(v)
}

// activityParameters are the parameters that a row needs. Their names are in
// upper or lower case by application; they mean the same.
type activityParameters struct {
	user, group, domain, orgUnit        string
	roleID, roleName                    string
	appID, appName, deviceID            string
	docID, docTitle, docType            string
	driveID, targetUser, targetDomain   string
	clientID, clientName, originatingID string
	setting, visibility, oldVisibility  string
	oldValue, newValue, scopes          parameter
	addedRole, removedRole              parameter
	failure, challenge, severity        string
	affected, forwarding, userAgent     string
	suspicious, secondFactor, aside     bool // aside: primary_event is false
}

// set keeps a parameter that a row needs.
func (p *activityParameters) set(name string, v parameter) {
	switch name {
	case "USER_EMAIL", "user_email":
		p.user = v.first()
	case "GROUP_EMAIL", "group_email":
		p.group = v.first()
	case "DOMAIN_NAME":
		p.domain = v.first()
	case "ORG_UNIT_NAME":
		p.orgUnit = v.first()
	case "ROLE_ID":
		p.roleID = v.first()
	case "ROLE_NAME":
		p.roleName = v.first()
	case "OAUTH2_APP_ID":
		p.appID = v.first()
	case "OAUTH2_APP_NAME":
		p.appName = v.first()
	case "APPLICATION_NAME":
		if p.appName == "" {
			p.appName = v.first()
		}
	case "DEVICE_ID", "device_id":
		p.deviceID = v.first()
	case "doc_id":
		p.docID = v.first()
	case "doc_title":
		p.docTitle = v.first()
	case "doc_type":
		p.docType = v.first()
	case "shared_drive_id":
		p.driveID = v.first()
	case "target_user":
		p.targetUser = v.first()
	case "target_domain":
		p.targetDomain = v.first()
	case "client_id":
		p.clientID = v.first()
	case "app_name", "application_name":
		p.clientName = v.first()
	case "originating_app_id":
		p.originatingID = v.first()
	case "SETTING_NAME":
		p.setting = v.first()
	case "OLD_VALUE", "old_value":
		p.oldValue = v
	case "NEW_VALUE", "new_value":
		p.newValue = v
	case "visibility":
		p.visibility = v.first()
	case "old_visibility":
		p.oldVisibility = v.first()
	case "scope", "API_SCOPES":
		p.scopes = v
	case "added_role":
		p.addedRole = v
	case "removed_role":
		p.removedRole = v
	case "login_failure_type", "failure_type", "rejection_type":
		p.failure = v.first()
	case "login_challenge_status":
		p.challenge = v.first()
	case "severity":
		p.severity = v.first()
	case "affected_email_address":
		p.affected = v.first()
	case "email_forwarding_destination_address":
		p.forwarding = v.first()
	case "user_agent":
		p.userAgent = v.first()
	case "is_suspicious":
		p.suspicious = v.text == "true"
	case "is_second_factor":
		p.secondFactor = v.text == "true"
	case "primary_event":
		p.aside = v.text == "false"
	}
}

func parseActivityParameters(list string) (p activityParameters) {
	for l := rawjson.Elements(list); ; {
		raw, ok := l.Next()
		if !ok {
			return p
		}
		name, v := parseParameter(raw)
		p.set(name, v)
	}
}

// parseASN reads the number of an autonomous system.
func parseASN(s string) (n schemas.Opt[int64]) {
	if s == "" {
		return n // the usual one, which needs no error
	}
	if v, err := strconv.ParseInt(s, 10, 64); err == nil && v > 0 {
		n = schemas.Some(v)
	}
	return n
}
