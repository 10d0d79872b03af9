package googleworkspace

import (
	"unsafe"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// decodeOptions take what a vendor sends, who is not strict everywhere.
var decodeOptions = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// text is a JSON string. It aliases the answer's body where the string has no
// escapes. Numbers and bools are taken as written: 64-bit numbers are strings,
// and smaller ones are not. Everything else is "".
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

// flag is a JSON bool; everything else is unknown.
type flag struct{ known, on bool }

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (f *flag) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	v, err := d.ReadValue()
	*f = flag{}
	if err == nil && (v.Kind() == 't' || v.Kind() == 'f') {
		*f = flag{true, v.Kind() == 't'}
	}
	return err
}

// alias returns bytes that will not change any more as a string.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// many is an array; of another value, or where an element has another shape,
// none. Profiles hold what people and their tools wrote.
type many[T any] []T

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (m *many[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	v, err := d.ReadValue()
	*m = nil
	if err != nil || v.Kind() != '[' {
		return err
	}
	var list []T
	if json.Unmarshal(v, &list, decodeOptions) == nil {
		*m = list
	}
	return nil
}

// wireUser is a User of the Directory.
type wireUser struct {
	ID           text `json:"id"`
	PrimaryEmail text `json:"primaryEmail"`
	Name         struct {
		Given   text `json:"givenName"`
		Family  text `json:"familyName"`
		Full    text `json:"fullName"`
		Display text `json:"displayName"`
	} `json:"name"`
	Aliases          many[text] `json:"aliases"`
	FixedAliases     many[text] `json:"nonEditableAliases"`
	IsAdmin          flag       `json:"isAdmin"`
	IsDelegatedAdmin flag       `json:"isDelegatedAdmin"`
	Suspended        flag       `json:"suspended"`
	Archived         flag       `json:"archived"`
	AgreedToTerms    flag       `json:"agreedToTerms"`
	EnrolledIn2SV    flag       `json:"isEnrolledIn2Sv"`
	IsGuest          flag       `json:"isGuestUser"`
	Guest            struct {
		Email text `json:"primaryGuestEmail"`
	} `json:"guestAccountInfo"`
	CreationTime  text               `json:"creationTime"`
	LastLoginTime text               `json:"lastLoginTime"`
	DeletionTime  text               `json:"deletionTime"`
	OrgUnitPath   text               `json:"orgUnitPath"`
	Organizations many[wireJob]      `json:"organizations"`
	Relations     many[wireRelation] `json:"relations"`
}

type wireJob struct {
	Title      text `json:"title"`
	Department text `json:"department"`
	Primary    flag `json:"primary"`
}

type wireRelation struct {
	Type  text `json:"type"`
	Value text `json:"value"`
}

// wireGroup is a Group.
type wireGroup struct {
	ID           text       `json:"id"`
	Email        text       `json:"email"`
	Name         text       `json:"name"`
	Description  text       `json:"description"`
	Aliases      many[text] `json:"aliases"`
	FixedAliases many[text] `json:"nonEditableAliases"`
}

// wireMember is a Member of a group.
type wireMember struct {
	ID    text `json:"id"`
	Email text `json:"email"` // none where it is all of the customer
	Role  text `json:"role"`
	Type  text `json:"type"`
}

// wireRole is an admin Role.
type wireRole struct {
	ID     text `json:"roleId"`
	Name   text `json:"roleName"`
	System flag `json:"isSystemRole"`
	Super  flag `json:"isSuperAdminRole"`
}

// wireAssignment is a RoleAssignment.
type wireAssignment struct {
	ID           text `json:"roleAssignmentId"`
	RoleID       text `json:"roleId"`
	AssignedTo   text `json:"assignedTo"`
	AssigneeType text `json:"assigneeType"`
	ScopeType    text `json:"scopeType"`
	OrgUnitID    text `json:"orgUnitId"`
	Condition    text `json:"condition"`
	Expiration   struct {
		Time text `json:"expireTime"`
	} `json:"expirationDetails"`
}

// wireToken is a Token: what a user allowed an app.
type wireToken struct {
	ClientID text       `json:"clientId"`
	Name     text       `json:"displayText"`
	Native   flag       `json:"nativeApp"`
	UserKey  text       `json:"userKey"`
	Scopes   many[text] `json:"scopes"`
}

// wirePassword is an Asp: a password for an app that knows no second factor.
type wirePassword struct {
	CodeID       text `json:"codeId"`
	Name         text `json:"name"`
	CreationTime text `json:"creationTime"` // seconds
	LastTimeUsed text `json:"lastTimeUsed"` // seconds; 0 never
	UserKey      text `json:"userKey"`
}
