package googleworkspace

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"weir/schemas"
)

// wireFile is a file, folder or shortcut of Drive. Its permissions are read out
// of its record, one by one.
type wireFile struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	MimeType    string          `json:"mimeType"`
	Parents     []string        `json:"parents"`
	DriveID     string          `json:"driveId"`
	Owners      []wireDriveUser `json:"owners"`
	OwnedByMe   *bool           `json:"ownedByMe"`
	Size        string          `json:"size"` // as all numbers of 64 bits: a string
	MD5         string          `json:"md5Checksum"`
	SHA1        string          `json:"sha1Checksum"`
	SHA256      string          `json:"sha256Checksum"`
	Created     string          `json:"createdTime"`
	Modified    string          `json:"modifiedTime"`
	ModifiedBy  *wireDriveUser  `json:"lastModifyingUser"`
	Trashed     *bool           `json:"trashed"`
	TrashedTime string          `json:"trashedTime"` // of items in shared drives only
	WebViewLink string          `json:"webViewLink"`
	Head        string          `json:"headRevisionId"`
	Version     string          `json:"version"`
	Augmented   bool            `json:"hasAugmentedPermissions"` // of items in shared drives: it has permissions of its own
	Cut         bool            `json:"inheritedPermissionsDisabled"`
}

type wireDriveUser struct {
	Email string `json:"emailAddress"`
}

// wireFilePermission is who may do what with a file.
type wireFilePermission struct {
	ID           string                 `json:"id"`
	Type         string                 `json:"type"` // user, group, domain, anyone
	Role         string                 `json:"role"`
	Email        string                 `json:"emailAddress"`
	Domain       string                 `json:"domain"`
	Discoverable *bool                  `json:"allowFileDiscovery"`
	Expires      string                 `json:"expirationTime"`
	Deleted      bool                   `json:"deleted"`
	View         string                 `json:"view"`
	Details      []wirePermissionDetail `json:"permissionDetails"`
}

type wirePermissionDetail struct {
	Type          string `json:"permissionType"`
	Role          string `json:"role"`
	InheritedFrom string `json:"inheritedFrom"` // of items in shared drives only
	Inherited     *bool  `json:"inherited"`
}

// wireSharedDrive is a shared drive.
type wireSharedDrive struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Created string `json:"createdTime"`
}

// wireChange is an entry of a change log.
type wireChange struct {
	Type    string         `json:"changeType"` // file, drive
	Removed bool           `json:"removed"`
	FileID  string         `json:"fileId"`
	DriveID string         `json:"driveId"`
	File    jsontext.Value `json:"file"`
}

// wireFileOwner is a user of the directory, as far as files need one.
type wireFileOwner struct {
	ID           string `json:"id"`
	PrimaryEmail string `json:"primaryEmail"`
	Guest        bool   `json:"isGuestUser"`
}

// driveTime reads a time; unknown, where there is none.
func driveTime(s string) schemas.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 1971 {
		return 0
	}
	return schemas.Time(t.UnixMilli())
}

// driveNumber reads a number of 64 bits, which comes as a string.
func driveNumber(s string) schemas.Opt[int64] {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return schemas.Opt[int64]{}
	}
	return schemas.Some(n)
}
