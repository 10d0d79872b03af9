package aws

import "weir/internal/rawjson"

// record is a CloudTrail record's top level, values as written.
//
// Source: CloudTrail user guide, "CloudTrail record contents" and "CloudTrail
// Insights events".
type record struct {
	userIdentity, eventTime, eventSource, eventName, awsRegion, sourceIPAddress, userAgent string
	errorCode, errorMessage, requestParameters, responseElements, additionalEventData      string
	requestID, eventID, eventType, resources, readOnly, recipientAccountID                 string
	serviceEventDetails, eventCategory, addendum, insightDetails                           string
}

func parseRecord(raw string) (r record) {
	for f := rawjson.Members(raw); ; {
		name, v, ok := f.Next()
		if !ok {
			return r
		}
		switch name {
		case "userIdentity":
			r.userIdentity = v
		case "eventTime":
			r.eventTime = rawjson.Text(v)
		case "eventSource":
			r.eventSource = rawjson.Text(v)
		case "eventName":
			r.eventName = rawjson.Text(v)
		case "awsRegion":
			r.awsRegion = rawjson.Text(v)
		case "sourceIPAddress":
			r.sourceIPAddress = rawjson.Text(v)
		case "userAgent":
			r.userAgent = rawjson.Text(v)
		case "errorCode":
			r.errorCode = rawjson.Text(v)
		case "errorMessage":
			r.errorMessage = rawjson.Text(v)
		case "requestParameters":
			r.requestParameters = v
		case "responseElements":
			r.responseElements = v
		case "additionalEventData":
			r.additionalEventData = v
		case "requestID":
			r.requestID = rawjson.Text(v)
		case "eventID":
			r.eventID = rawjson.Text(v)
		case "eventType":
			r.eventType = rawjson.Text(v)
		case "resources":
			r.resources = v
		case "readOnly":
			r.readOnly = rawjson.Text(v)
		case "recipientAccountId":
			r.recipientAccountID = rawjson.Text(v)
		case "serviceEventDetails":
			r.serviceEventDetails = v
		case "eventCategory":
			r.eventCategory = rawjson.Text(v)
		case "addendum":
			r.addendum = v
		case "insightDetails":
			r.insightDetails = v
		}
	}
}

// identity is a record's userIdentity.
//
// Source: CloudTrail user guide, "CloudTrail userIdentity element".
type identity struct {
	typ, principalID, arn, accountID, accessKeyID, userName, invokedBy, credentialID string
	onBehalfOf                                                                       string // userId
	issuerARN, issuerName                                                            string
	mfa, federatedProvider, sourceIdentity, ec2RoleDelivery, signInSessionARN        string
	hasSession                                                                       bool
}

func parseIdentity(v string) (id identity) {
	for f := rawjson.Members(v); ; {
		name, v, ok := f.Next()
		if !ok {
			return id
		}
		switch name {
		case "type":
			id.typ = rawjson.Text(v)
		case "principalId":
			id.principalID = rawjson.Text(v)
		case "arn":
			id.arn = rawjson.Text(v)
		case "accountId":
			id.accountID = rawjson.Text(v)
		case "accessKeyId":
			id.accessKeyID = rawjson.Text(v)
		case "userName":
			id.userName = visible(rawjson.Text(v))
		case "invokedBy":
			id.invokedBy = rawjson.Text(v)
		case "credentialId":
			id.credentialID = rawjson.Text(v)
		case "onBehalfOf":
			id.onBehalfOf = rawjson.Text(rawjson.Member(v, "userId"))
		case "sessionContext":
			id.session(v)
		}
	}
}

func (id *identity) session(v string) {
	for f := rawjson.Members(v); ; {
		name, v, ok := f.Next()
		if !ok {
			return
		}
		switch name {
		case "sessionIssuer":
			id.issuerARN, id.issuerName = rawjson.Text(rawjson.Member(v, "arn")), rawjson.Text(rawjson.Member(v, "userName"))
		case "attributes":
			id.mfa, id.hasSession = rawjson.Text(rawjson.Member(v, "mfaAuthenticated")), true
		case "webIdFederationData":
			id.federatedProvider = rawjson.Text(rawjson.Member(v, "federatedProvider"))
		case "sourceIdentity":
			id.sourceIdentity = rawjson.Text(v)
		case "ec2RoleDelivery":
			id.ec2RoleDelivery = rawjson.Text(v)
		case "signInSessionArn":
			id.signInSessionARN = rawjson.Text(v)
		}
	}
}

// visible drops what CloudTrail writes in place of a value it hides.
func visible(s string) string {
	if s == "HIDDEN_DUE_TO_SECURITY_REASONS" {
		return ""
	}
	return s
}
