package googleworkspace

import (
	"net/http"
	"strings"
)

// has says whether a field is wanted.
func (m mask) has(name string) bool {
	if m == nil {
		return true
	}
	_, ok := m[name]
	_, all := m["*"]
	return ok || all
}

// under is what is wanted of a field.
func (m mask) under(name string) mask {
	if m == nil {
		return nil
	}
	if sub, ok := m[name]; ok {
		return sub
	}
	return m["*"]
}

// unknown returns a field that is not in a schema; "": all are.
func (m mask) unknown(schema mask) string {
	for name, sub := range m {
		if name == "*" {
			continue
		}
		known, ok := schema[name]
		if !ok {
			return name
		}
		if len(sub) > 0 && known != nil && known["*"] == nil {
			if bad := sub.unknown(known); bad != "" {
				return bad
			}
		}
	}
	return ""
}

func schema(text string) mask {
	m, ok := parseFields(text)
	if !ok {
		panic("a schema that cannot be read: " + text) // they are written below
	}
	return m
}

const (
	userFields = "(kind,displayName,photoLink,me,permissionId,emailAddress)"
	permFields = "(kind,id,type,role,emailAddress,domain,displayName,photoLink,allowFileDiscovery,expirationTime,deleted,pendingOwner,view,inheritedPermissionsDisabled," +
		"permissionDetails(permissionType,role,inherited,inheritedFrom),teamDrivePermissionDetails)"
	driveFields = "(kind,id,name,colorRgb,themeId,backgroundImageLink,backgroundImageFile,capabilities,createdTime,hidden,orgUnitId,restrictions)"
	fileFields  = "(kind,id,name,mimeType,description,starred,trashed,explicitlyTrashed,trashedTime,trashingUser" + userFields + ",parents,properties,appProperties,spaces,version," +
		"webContentLink,webViewLink,iconLink,hasThumbnail,thumbnailLink,thumbnailVersion,viewedByMe,viewedByMeTime,createdTime,modifiedTime,modifiedByMe,modifiedByMeTime," +
		"sharedWithMeTime,sharingUser" + userFields + ",owners" + userFields + ",teamDriveId,driveId,lastModifyingUser" + userFields + ",shared,ownedByMe,capabilities," +
		"viewersCanCopyContent,copyRequiresWriterPermission,writersCanShare,permissions" + permFields + ",permissionIds,hasAugmentedPermissions,folderColorRgb,originalFilename," +
		"fullFileExtension,fileExtension,md5Checksum,sha1Checksum,sha256Checksum,size,quotaBytesUsed,headRevisionId,contentHints,imageMediaMetadata,videoMediaMetadata," +
		"isAppAuthorized,exportLinks,shortcutDetails(targetId,targetMimeType,targetResourceKey),contentRestrictions(readOnly,reason,restrictingUser,restrictionTime,type," +
		"ownerRestricted,systemRestricted),labelInfo,resourceKey,linkShareMetadata,downloadRestrictions,inheritedPermissionsDisabled,clientEncryptionDetails)"
	revisionFields = "(kind,id,mimeType,modifiedTime,keepForever,published,publishedLink,publishAuto,publishedOutsideDomain,lastModifyingUser" + userFields +
		",originalFilename,md5Checksum,size,exportLinks)"
	changeFields = "(kind,type,changeType,removed,time,fileId,file" + fileFields + ",teamDriveId,driveId,drive" + driveFields + ",teamDrive)"
)

// resource is a kind of answer: which fields it knows, and which it has if none are
// chosen.
type resource struct{ known, usual mask }

func fieldsOf(known, usual string) resource { return resource{schema(known), schema(usual)} }

func inner(list string) string { return strings.TrimSuffix(strings.TrimPrefix(list, "("), ")") }

var (
	oneFile      = fieldsOf(inner(fileFields), "kind,id,name,mimeType,resourceKey")
	fileList     = fieldsOf("kind,incompleteSearch,nextPageToken,files"+fileFields, "kind,incompleteSearch,nextPageToken,files(kind,id,name,mimeType,resourceKey)")
	onePerm      = fieldsOf(inner(permFields), "kind,id,type,role")
	permList     = fieldsOf("kind,nextPageToken,permissions"+permFields, "kind,nextPageToken,permissions(kind,id,type,role)")
	oneRevision  = fieldsOf(inner(revisionFields), "kind,id,mimeType,modifiedTime")
	revisionList = fieldsOf("kind,nextPageToken,revisions"+revisionFields, "kind,nextPageToken,revisions(kind,id,mimeType,modifiedTime)")
	oneDrive     = fieldsOf(inner(driveFields), "kind,id,name")
	driveList    = fieldsOf("kind,nextPageToken,drives"+driveFields, "kind,nextPageToken,drives(kind,id,name)")
	changeList   = fieldsOf("kind,nextPageToken,newStartPageToken,changes"+changeFields,
		"kind,nextPageToken,newStartPageToken,changes(kind,type,changeType,removed,time,fileId,driveId,file(kind,id,name,mimeType,resourceKey),drive(kind,id,name))")
	startToken = fieldsOf("kind,startPageToken", "kind,startPageToken")
	aboutMe    = fieldsOf("kind,user"+userFields+",storageQuota,importFormats,exportFormats,maxImportSizes,maxUploadSize,appInstalled,folderColorPalette,driveThemes,teamDriveThemes,canCreateDrives,canCreateTeamDrives", "kind")
)

// wanted are the fields that a request chooses.
func (c *call) wanted(r resource) (mask, *failure) {
	text := c.q.Get("fields")
	if text == "" {
		return r.usual, nil
	}
	m, ok := parseFields(text)
	if !ok {
		return nil, badParameter("fields", "Invalid field selection %s", text)
	}
	if bad := m.unknown(r.known); bad != "" {
		return nil, badParameter("fields", "Invalid field selection %s", bad)
	}
	return m, nil
}

// flag reads a boolean of the query.
func (c *call) flag(name string) bool { return c.q.Get(name) == "true" }

// badParameter refuses what a parameter says.
func badParameter(name, format string, a ...any) *failure {
	f := refuse(http.StatusBadRequest, "invalidParameter", format, a...)
	f.location = name
	return f
}
