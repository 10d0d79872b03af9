package aws

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
	for f := members(raw); ; {
		name, v, ok := f.next()
		if !ok {
			return r
		}
		switch name {
		case "userIdentity":
			r.userIdentity = v
		case "eventTime":
			r.eventTime = text(v)
		case "eventSource":
			r.eventSource = text(v)
		case "eventName":
			r.eventName = text(v)
		case "awsRegion":
			r.awsRegion = text(v)
		case "sourceIPAddress":
			r.sourceIPAddress = text(v)
		case "userAgent":
			r.userAgent = text(v)
		case "errorCode":
			r.errorCode = text(v)
		case "errorMessage":
			r.errorMessage = text(v)
		case "requestParameters":
			r.requestParameters = v
		case "responseElements":
			r.responseElements = v
		case "additionalEventData":
			r.additionalEventData = v
		case "requestID":
			r.requestID = text(v)
		case "eventID":
			r.eventID = text(v)
		case "eventType":
			r.eventType = text(v)
		case "resources":
			r.resources = v
		case "readOnly":
			r.readOnly = text(v)
		case "recipientAccountId":
			r.recipientAccountID = text(v)
		case "serviceEventDetails":
			r.serviceEventDetails = v
		case "eventCategory":
			r.eventCategory = text(v)
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
	for f := members(v); ; {
		name, v, ok := f.next()
		if !ok {
			return id
		}
		switch name {
		case "type":
			id.typ = text(v)
		case "principalId":
			id.principalID = text(v)
		case "arn":
			id.arn = text(v)
		case "accountId":
			id.accountID = text(v)
		case "accessKeyId":
			id.accessKeyID = text(v)
		case "userName":
			id.userName = visible(text(v))
		case "invokedBy":
			id.invokedBy = text(v)
		case "credentialId":
			id.credentialID = text(v)
		case "onBehalfOf":
			id.onBehalfOf = text(member(v, "userId"))
		case "sessionContext":
			id.session(v)
		}
	}
}

func (id *identity) session(v string) {
	for f := members(v); ; {
		name, v, ok := f.next()
		if !ok {
			return
		}
		switch name {
		case "sessionIssuer":
			id.issuerARN, id.issuerName = text(member(v, "arn")), text(member(v, "userName"))
		case "attributes":
			id.mfa, id.hasSession = text(member(v, "mfaAuthenticated")), true
		case "webIdFederationData":
			id.federatedProvider = text(member(v, "federatedProvider"))
		case "sourceIdentity":
			id.sourceIdentity = text(v)
		case "ec2RoleDelivery":
			id.ec2RoleDelivery = text(v)
		case "signInSessionArn":
			id.signInSessionARN = text(v)
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
