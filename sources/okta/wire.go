package okta

import (
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"
)

// The structs here are the vendor's, reduced to the fields that are used. What
// is null or missing stays zero; unknown fields are passed over.

// text is a JSON string. It aliases the answer's body where the string has no
// escapes. Numbers and bools are taken as written, since the vendor is not
// strict everywhere (a postal code is either); everything else is "".
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

// value is any JSON value, as it stands in the answer's body.
type value jsontext.Value

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (v *value) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	raw, err := d.ReadValue()
	*v = value(raw)
	return err
}

// alias returns bytes that will not change any more as a string.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// wireEvent is a LogEvent.
type wireEvent struct {
	UUID      text `json:"uuid"`
	Published text `json:"published"`
	EventType text `json:"eventType"`
	Severity  text `json:"severity"`
	Actor     struct {
		ID          text `json:"id"`
		Type        text `json:"type"`
		AlternateID text `json:"alternateId"`
		DisplayName text `json:"displayName"`
	} `json:"actor"`
	Client struct {
		ID        text `json:"id"`
		IPAddress text `json:"ipAddress"`
		UserAgent struct {
			Raw text `json:"rawUserAgent"`
		} `json:"userAgent"`
		Geo struct {
			City    text `json:"city"`
			Country text `json:"country"`
		} `json:"geographicalContext"`
	} `json:"client"`
	Device struct {
		ID text `json:"id"`
	} `json:"device"`
	Authentication struct {
		ExternalSessionID text `json:"externalSessionId"`
	} `json:"authenticationContext"`
	Outcome struct {
		Result text `json:"result"`
		Reason text `json:"reason"`
	} `json:"outcome"`
	Security struct {
		ASNumber text `json:"asNumber"`
	} `json:"securityContext"`
	Transaction struct {
		ID     text `json:"id"`
		Detail struct {
			RequestAPITokenID text `json:"requestApiTokenId"`
		} `json:"detail"`
	} `json:"transaction"`
	Request struct {
		IPChain []wireIP `json:"ipChain"`
	} `json:"request"`
	Target []wireTarget `json:"target"`
}

// reset empties the event and keeps its slices' memory.
func (e *wireEvent) reset() {
	chain, targets := e.Request.IPChain, e.Target
	*e = wireEvent{}
	e.Request.IPChain, e.Target = chain[:0], targets[:0]
}

type wireIP struct {
	IP text `json:"ip"`
}

type wireTarget struct {
	ID            text  `json:"id"`
	Type          text  `json:"type"`
	AlternateID   text  `json:"alternateId"`
	DisplayName   text  `json:"displayName"`
	DetailEntry   value `json:"detailEntry"`
	ChangeDetails struct {
		From value `json:"from"`
		To   value `json:"to"`
	} `json:"changeDetails"`
}

// wireUser is a User.
type wireUser struct {
	ID              text `json:"id"`
	Status          text `json:"status"`
	Created         text `json:"created"`
	LastLogin       text `json:"lastLogin"`
	LastUpdated     text `json:"lastUpdated"`
	PasswordChanged text `json:"passwordChanged"`
	Type            struct {
		ID text `json:"id"`
	} `json:"type"`
	Profile struct {
		Login        text `json:"login"`
		Email        text `json:"email"`
		DisplayName  text `json:"displayName"`
		FirstName    text `json:"firstName"`
		LastName     text `json:"lastName"`
		Organization text `json:"organization"`
		Division     text `json:"division"`
		Department   text `json:"department"`
		Title        text `json:"title"`
		ManagerID    text `json:"managerId"`
		UserType     text `json:"userType"`
	} `json:"profile"`
}

// wireFactor is one enrolled factor of a user.
type wireFactor struct {
	FactorType text `json:"factorType"`
	Type       text `json:"type"`
	Status     text `json:"status"`
}

// wireGroup is a Group.
type wireGroup struct {
	ID                    text `json:"id"`
	Type                  text `json:"type"`
	Created               text `json:"created"`
	LastUpdated           text `json:"lastUpdated"`
	LastMembershipUpdated text `json:"lastMembershipUpdated"`
	Profile               struct {
		Name        text `json:"name"`
		Description text `json:"description"`
	} `json:"profile"`
}

// wireOwner is a user, or a group of users, that owns a group.
type wireOwner struct {
	ID   text `json:"id"`
	Type text `json:"type"`
}

// wireNext are the links of a page that has them in the body.
type wireNext struct {
	Next struct {
		Href text `json:"href"`
	} `json:"next"`
}

// wireRole is a role that a principal holds.
type wireRole struct {
	ID             text `json:"id"`
	Type           text `json:"type"`
	Label          text `json:"label"`
	Status         text `json:"status"`
	Created        text `json:"created"`
	AssignmentType text `json:"assignmentType"`
	Role           text `json:"role"`         // of a custom role
	ResourceSet    text `json:"resource-set"` // of a custom role
	Links          struct {
		Assignee struct {
			Href text `json:"href"`
		} `json:"assignee"`
	} `json:"_links"`
	Embedded struct {
		Targets struct {
			Groups []struct {
				ID text `json:"id"`
			} `json:"groups"`
			Catalog struct {
				Apps []struct {
					ID   text `json:"id"`
					Name text `json:"name"`
				} `json:"apps"`
			} `json:"catalog"`
		} `json:"targets"`
	} `json:"_embedded"`
}

// wirePermissions are those of a custom role.
type wirePermissions struct {
	Permissions []struct {
		Label text `json:"label"`
	} `json:"permissions"`
}

// wireApp is an Application.
type wireApp struct {
	ID          text `json:"id"`
	Name        text `json:"name"`
	Label       text `json:"label"`
	Status      text `json:"status"`
	SignOnMode  text `json:"signOnMode"`
	Created     text `json:"created"`
	Credentials struct {
		OAuthClient struct {
			ClientID text `json:"client_id"`
		} `json:"oauthClient"`
	} `json:"credentials"`
	Settings struct {
		OAuthClient struct {
			RedirectURIs []text `json:"redirect_uris"`
		} `json:"oauthClient"`
	} `json:"settings"`
}

// wireGrant is any of the five records that become an app_grants row.
type wireGrant struct {
	ID            text   `json:"id"`
	Name          text   `json:"name"`
	Type          text   `json:"type"`
	Status        text   `json:"status"`
	Source        text   `json:"source"`
	ScopeID       text   `json:"scopeId"`
	Scopes        []text `json:"scopes"`
	GrantedScopes []text `json:"grantedScopes"`
	ClientID      text   `json:"clientId"`
	ClientName    text   `json:"clientName"`
	UserID        text   `json:"userId"`
	Issuer        text   `json:"issuer"`
	Created       text   `json:"created"`
	CreatedAt     text   `json:"createdAt"`
	ExpiresAt     text   `json:"expiresAt"`
	TokenWindow   text   `json:"tokenWindow"`
	Links         struct {
		Client struct {
			Title text `json:"title"`
		} `json:"client"`
	} `json:"_links"`
}
