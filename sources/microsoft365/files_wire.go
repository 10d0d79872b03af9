package microsoft365

import (
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"weir/schemas"
)

// wireSite is a site. Its id is the host's name, the site collection's id and
// the web's, with commas between.
type wireSite struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
	WebURL      string `json:"webUrl"`
	Created     string `json:"createdDateTime"`
	Modified    string `json:"lastModifiedDateTime"`
	IsPersonal  bool   `json:"isPersonalSite"`
}

// wireDrive is a document library, or a person's OneDrive.
type wireDrive struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	DriveType string          `json:"driveType"`
	WebURL    string          `json:"webUrl"`
	Created   string          `json:"createdDateTime"`
	Modified  string          `json:"lastModifiedDateTime"`
	Owner     *wireIdentities `json:"owner"`
	Quota     *struct {
		Used *int64 `json:"used"`
	} `json:"quota"`
}

// wireIdentity is a person, group or app.
type wireIdentity struct {
	ID          string `json:"id"`
	DisplayName string `json:"displayName"`
	Email       string `json:"email"`
	UPN         string `json:"userPrincipalName"`
	LoginName   string `json:"loginName"`
}

// wireIdentities is one identity, in the member that says what it is.
type wireIdentities struct {
	User        *wireIdentity `json:"user"`
	Group       *wireIdentity `json:"group"`
	SiteUser    *wireIdentity `json:"siteUser"`
	SiteGroup   *wireIdentity `json:"siteGroup"`
	Application *wireIdentity `json:"application"`
}

// wireItem is a file or folder.
type wireItem struct {
	ID         string          `json:"id"`
	Name       string          `json:"name"`
	Size       *int64          `json:"size"`
	ETag       string          `json:"eTag"`
	WebURL     string          `json:"webUrl"`
	Created    string          `json:"createdDateTime"`
	Modified   string          `json:"lastModifiedDateTime"`
	CreatedBy  *wireIdentities `json:"createdBy"`
	ModifiedBy *wireIdentities `json:"lastModifiedBy"`
	Parent     struct {
		ID   string `json:"id"`
		Path string `json:"path"`
	} `json:"parentReference"`
	File *struct {
		MimeType string `json:"mimeType"`
		Hashes   struct {
			QuickXor string `json:"quickXorHash"`
			SHA1     string `json:"sha1Hash"`
		} `json:"hashes"`
	} `json:"file"`
	Folder        jsontext.Value `json:"folder"`
	Root          jsontext.Value `json:"root"`
	Remote        jsontext.Value `json:"remoteItem"`
	Shared        jsontext.Value `json:"shared"`
	Deleted       jsontext.Value `json:"deleted"`
	SharedChanged string         `json:"@microsoft.graph.sharedChanged"`
	SharePointIDs struct {
		ListItemUniqueID string `json:"listItemUniqueId"`
	} `json:"sharepointIds"`
}

// sharing says that an item has permissions of its own, or had: an empty facet
// means unique permissions without a link.
func (i *wireItem) sharing() bool {
	return i.Shared != nil && i.Shared.Kind() != 'n' || strings.EqualFold(i.SharedChanged, "true")
}

// wirePermission is a grant on an item.
type wirePermission struct {
	ID          string           `json:"id"`
	Roles       []string         `json:"roles"`
	GrantedTo   *wireIdentities  `json:"grantedToV2"`
	Identities  []wireIdentities `json:"grantedToIdentitiesV2"`
	Inherited   jsontext.Value   `json:"inheritedFrom"`
	Expires     string           `json:"expirationDateTime"`
	Link        *wireLink        `json:"link"`
	Invitation  *wireInvitation  `json:"invitation"`
	OldGrantees *wireIdentities  `json:"grantedTo"` // deprecated, but some drives have no other
}

type wireLink struct {
	Type  string `json:"type"`
	Scope string `json:"scope"`
}

type wireInvitation struct {
	Email string `json:"email"`
}

// fileTime reads a time; unknown, where it stands for none: the year 0001.
func fileTime(s string) schemas.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 1970 {
		return 0
	}
	return schemas.Time(t.UnixMilli())
}
