package microsoft365

import (
	"unsafe"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The structs here are the vendor's, reduced to the fields that are used. What
// is null or missing stays zero; unknown fields are passed over.

var decodeOptions = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// text is a JSON string. It aliases the answer's body where the string has no
// escapes. Numbers and bools are taken as written; everything else is "".
type text string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (t *text) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	*t = ""
	switch v.Kind() {
	case '"':
		in := v[1 : len(v)-1]
		for _, c := range in {
			if c == '\\' {
				b, err := jsontext.AppendUnquote(nil, v)
				*t = text(b)
				return err
			}
		}
		*t = text(alias(in))
	case '0', 't', 'f':
		*t = text(alias(v))
	default:
	}
	return nil
}

// alias returns bytes that will not change any more as a string.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// message is an error's: text, or OData's object that holds it.
type message string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (m *message) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	var t text
	if d.PeekKind() != '{' {
		err := t.UnmarshalJSONFrom(d)
		*m = message(t)
		return err
	}
	var of struct {
		Value text `json:"value"`
	}
	err := json.UnmarshalDecode(d, &of, decodeOptions)
	*m = message(of.Value)
	return err
}

// wireLinks are those of a page.
type wireLinks struct {
	Next  text `json:"@odata.nextLink"`
	Delta text `json:"@odata.deltaLink"`
}

// wireRemoved says, in a delta, that an object is not there any more.
type wireRemoved struct {
	Reason text `json:"reason"` // changed: it can be restored; deleted: it cannot
}

// reason is removed_reason.
func (r *wireRemoved) reason() string {
	if r.Reason == "changed" {
		return "soft_deleted"
	}
	return "deleted"
}

// wireObject is what any element of a listing has.
type wireObject struct {
	ID      text         `json:"id"`
	Type    text         `json:"@odata.type"`
	Removed *wireRemoved `json:"@removed"`
}

// wireUser is a user; in a delta only with the properties that have a value.
type wireUser struct {
	wireObject
	UserPrincipalName text  `json:"userPrincipalName"`
	Mail              text  `json:"mail"`
	DisplayName       text  `json:"displayName"`
	AccountEnabled    *bool `json:"accountEnabled"`
	UserType          text  `json:"userType"`
	ExternalUserState text  `json:"externalUserState"`
	Created           text  `json:"createdDateTime"`
	Deleted           text  `json:"deletedDateTime"`
	Department        text  `json:"department"`
	JobTitle          text  `json:"jobTitle"`
	CompanyName       text  `json:"companyName"`
	OnPremisesDN      text  `json:"onPremisesDistinguishedName"`
	PasswordChanged   text  `json:"lastPasswordChangeDateTime"`
	Manager           struct {
		ID text `json:"id"`
	} `json:"manager"`
}

// wireSignIns is when a user signed in last.
type wireSignIns struct {
	ID       text `json:"id"`
	Activity struct {
		Successful     text `json:"lastSuccessfulSignInDateTime"`
		Interactive    text `json:"lastSignInDateTime"`
		NonInteractive text `json:"lastNonInteractiveSignInDateTime"`
	} `json:"signInActivity"`
}

// wireRegistration is a user's row of the report on authentication methods.
type wireRegistration struct {
	ID         text  `json:"id"`
	Admin      *bool `json:"isAdmin"`
	Registered *bool `json:"isMfaRegistered"`
}

// wireService is a service principal.
type wireService struct {
	wireObject
	AppID             text   `json:"appId"`
	DisplayName       text   `json:"displayName"`
	Kind              text   `json:"servicePrincipalType"`
	AccountEnabled    *bool  `json:"accountEnabled"`
	Owner             text   `json:"appOwnerOrganizationId"`
	Created           text   `json:"createdDateTime"`
	PublisherName     text   `json:"publisherName"`
	ReplyURLs         []text `json:"replyUrls"`
	DisabledStatus    text   `json:"disabledByMicrosoftStatus"`
	VerifiedPublisher struct {
		DisplayName text `json:"displayName"`
		ID          text `json:"verifiedPublisherId"`
	} `json:"verifiedPublisher"`
	Passwords []wireCredential `json:"passwordCredentials"`
	Keys      []wireCredential `json:"keyCredentials"`
	Roles     []struct {
		ID    text `json:"id"`
		Value text `json:"value"`
	} `json:"appRoles"`
}

// wireCredential is a secret or certificate, without its value.
type wireCredential struct {
	KeyID text `json:"keyId"`
	End   text `json:"endDateTime"`
}

// wireGroup is a group; in a delta with who joined and left.
type wireGroup struct {
	wireObject
	DisplayName     text         `json:"displayName"`
	Description     text         `json:"description"`
	Mail            text         `json:"mail"`
	MailEnabled     bool         `json:"mailEnabled"`
	SecurityEnabled bool         `json:"securityEnabled"`
	GroupTypes      []text       `json:"groupTypes"`
	Created         text         `json:"createdDateTime"`
	Members         []wireObject `json:"members@delta"`
	Owners          []wireObject `json:"owners@delta"`
}

// wireRole is the definition of a directory role.
type wireRole struct {
	ID      text  `json:"id"`
	Name    text  `json:"displayName"`
	BuiltIn *bool `json:"isBuiltIn"`
}

// wireAssignment is a role assignment, or a schedule instance of Privileged
// Identity Management.
type wireAssignment struct {
	ID             text       `json:"id"`
	PrincipalID    text       `json:"principalId"`
	RoleID         text       `json:"roleDefinitionId"`
	DirectoryScope text       `json:"directoryScopeId"`
	AppScope       text       `json:"appScopeId"`
	Condition      text       `json:"condition"`
	Principal      wireObject `json:"principal"`
	Start          text       `json:"startDateTime"`
	End            text       `json:"endDateTime"`
	MemberType     text       `json:"memberType"`
	Origin         text       `json:"roleAssignmentOriginId"` // of an instance: the assignment it shows
}

// wireDelegated is a delegated permission grant.
type wireDelegated struct {
	ID          text `json:"id"`
	ClientID    text `json:"clientId"` // a service principal's object id
	ConsentType text `json:"consentType"`
	PrincipalID text `json:"principalId"`
	ResourceID  text `json:"resourceId"`
	Scope       text `json:"scope"`
}

// wireAppRole is an assignment of an app's role.
type wireAppRole struct {
	ID            text `json:"id"`
	RoleID        text `json:"appRoleId"`
	Created       text `json:"createdDateTime"`
	PrincipalID   text `json:"principalId"`
	PrincipalType text `json:"principalType"`
	PrincipalName text `json:"principalDisplayName"`
	ResourceID    text `json:"resourceId"`
	ResourceName  text `json:"resourceDisplayName"`
}
