package microsoft365

import (
	"cmp"
	"strings"

	"weir/internal/rawjson"
	"weir/schemas"
)

// targets sets what was acted on.
func (m *auditMapper) targets(a *schemas.Activity, r *auditRecord) {
	l := &m.lists
	switch {
	case r.target != "":
		directoryTargets(l, r)
	case a.Kind == "alert":
		alertTargets(l, r)
	case r.mailboxOwner != "" || r.item != "" || r.affected != "" || r.folders != "":
		mailboxTargets(l, r)
	case r.itemType != "":
		sharePointTargets(l, r)
	case r.recordType == typeExchangeAdmin:
		exchangeTargets(l, r)
	default:
		otherTargets(l, r)
	}
	l.SetTargets(a)
}

// directoryTargets adds the objects of an Entra record. Target lists the forms of one
// object's name (User_<id>, the id, "User", the UPN, the PUID); an object that
// it was put in relation to stands among what changed.
func directoryTargets(l *schemas.Lists, r *auditRecord) {
	var id, name, upn, kind, other string
	flush := func() {
		l.Target(cmp.Or(id, other), cmp.Or(upn, name), cmp.Or(kind, "other"))
		id, name, upn, kind, other = "", "", "", "", ""
	}
	for e := rawjson.Elements(r.target); ; {
		v, ok := e.Next()
		if !ok {
			break
		}
		s, typ := rawjson.Text(rawjson.Member(v, "ID")), rawjson.Text(rawjson.Member(v, "Type"))
		word, object, isObject := strings.Cut(s, "_")
		switch {
		case s == "" || s == "Unknown":
		case isObject && isObjectID(object) && directoryKinds[word] != "":
			if id != "" && id != object {
				flush()
			}
			id, kind = object, directoryKinds[word]
		case typ == "0": // of a sign-in: the app that was signed in to
			other, kind = s, "app"
		case typ == "1":
			name = cmp.Or(name, s)
		case typ == "5":
			upn = cmp.Or(upn, s)
		case typ == "2" && directoryKinds[s] != "":
			kind = cmp.Or(kind, directoryKinds[s])
		case typ == "2" || typ == "3" || typ == "4":
			other = cmp.Or(other, s)
		}
	}
	flush()
	for e := rawjson.Elements(r.modified); ; {
		v, ok := e.Next()
		if !ok {
			break
		}
		word, isRelated := strings.CutSuffix(rawjson.Text(rawjson.Member(v, "Name")), ".ObjectID")
		if kind := directoryKinds[word]; isRelated && kind != "" {
			related := either(v)
			if kind == "role" { // roles are known by their template's id
				related = cmp.Or(property(r.modified, word, ".TemplateId"), related)
			}
			l.Target(related, cmp.Or(property(r.modified, word, ".UPN"), property(r.modified, word, ".DisplayName"), property(r.modified, word, ".Name")), kind)
		}
	}
}

// either is a changed property's value: the new one, or what it was when it was
// taken away.
func either(v string) string {
	return cmp.Or(innerValue(rawjson.Member(v, "NewValue")), innerValue(rawjson.Member(v, "OldValue")))
}

// property finds a changed property by the two parts of its name.
func property(modified, word, suffix string) string {
	for e := rawjson.Elements(modified); ; {
		v, ok := e.Next()
		if !ok {
			return ""
		}
		if rest, ok := strings.CutPrefix(rawjson.Text(rawjson.Member(v, "Name")), word); ok && rest == suffix {
			return either(v)
		}
	}
}

// mailboxTargets adds messages and folders of a mailbox, then its owner.
func mailboxTargets(l *schemas.Lists, r *auditRecord) {
	message := func(v string) {
		if id := rawjson.Text(rawjson.Member(v, "InternetMessageId")); id != "" {
			l.Target(id, rawjson.Text(rawjson.Member(v, "Subject")), "message")
		}
	}
	for e := rawjson.Elements(r.affected); ; {
		v, ok := e.Next()
		if !ok {
			break
		}
		message(v)
	}
	for e := rawjson.Elements(r.folders); ; {
		v, ok := e.Next()
		if !ok {
			break
		}
		for items := rawjson.Elements(rawjson.Member(v, "FolderItems")); ; {
			item, ok := items.Next()
			if !ok {
				break
			}
			message(item)
		}
	}
	message(r.item)
	parent := rawjson.Member(r.item, "ParentFolder")
	if l.Targets() == 0 && parent != "" {
		l.Target(rawjson.Text(rawjson.Member(parent, "Id")), cmp.Or(folderPath(parent), rawjson.Text(rawjson.Member(parent, "Name"))), "folder")
		if who := rawjson.Text(rawjson.Member(parent, "MemberUpn")); who != "" {
			l.Target(who, who, "account")
		}
	}
	if l.Targets() == 0 && r.folder != "" {
		l.Target(rawjson.Text(rawjson.Member(r.folder, "Id")), folderPath(r.folder), "folder")
	}
	l.LastTarget(r.mailboxOwner, r.mailboxOwner, "account") // not lost among the messages
}

func folderPath(v string) string {
	if s := rawjson.Text(rawjson.Member(v, "Path")); s != "Not Available" {
		return s
	}
	return ""
}

// itemKinds is target_kind by ItemType.
var itemKinds = map[string]string{
	"File": "file", "Folder": "folder", "Page": "file", "Web": "site", "Site": "site", "SiteCollection": "site",
	"List": "container", "DocumentLibrary": "drive", "ListItem": "record", "Tenant": "org",
}

// sharePointTargets adds the file, list or site of a record, then with whom it was
// shared. A file's id is the one that files.alias_ids holds.
func sharePointTargets(l *schemas.Lists, r *auditRecord) {
	kind := cmp.Or(itemKinds[r.itemType], "other")
	if r.itemType == "Page" && r.listItemID == "" {
		kind = "site" // a page that is no item of a library
	}
	switch kind {
	case "site":
		l.Target(cmp.Or(r.webID, r.site, r.objectID), r.objectID, kind)
	case "container", "drive":
		l.Target(cmp.Or(r.listID, r.objectID), cmp.Or(notID(r.listTitle, r.listID), r.objectID), kind)
	default:
		l.Target(cmp.Or(r.listItemID, r.objectID), cmp.Or(r.sourceName, lastPart(r.objectID)), kind)
	}
	switch r.granteeType {
	case "Group", "SecurityGroup", "SharePointGroup":
		if id := claimedGroup(r.grantee); id != "" {
			l.Target(id, "", "group")
		} else {
			l.Target(r.grantee, r.grantee, "group")
		}
	default:
		l.Target(r.grantee, r.grantee, "account")
	}
}

// claimedGroup is the object id in SharePoint's name of one of Entra's groups:
// c:0t.c|tenant|<id>, c:0o.c|federateddirectoryclaimprovider|<id>, the latter
// with _o behind it for its owners.
func claimedGroup(claim string) string {
	if !strings.HasPrefix(claim, "c:0") {
		return ""
	}
	id := strings.TrimSuffix(claim[strings.LastIndexByte(claim, '|')+1:], "_o")
	if !isObjectID(id) {
		return ""
	}
	return id
}

func notID(s, id string) string {
	if s == id {
		return ""
	}
	return s
}

// cmdletKinds is target_kind by the end of a cmdlet's noun, the first that fits.
var cmdletKinds = []struct{ noun, kind string }{
	{"InboxRule", "policy"},
	{"Rule", "policy"},
	{"MailboxPlan", "policy"},
	{"Policy", "policy"},
	{"Config", "policy"},
	{"Connector", "policy"},
	{"RoleGroupMember", "role"},
	{"RoleGroup", "role"},
	{"ManagementRole", "role"},
	{"ManagementRoleAssignment", "role"},
	{"DistributionGroupMember", "group"},
	{"Group", "group"},
	{"GroupMember", "group"},
	{"GroupLinks", "group"},
	{"Permission", "account"},
	{"Mailbox", "account"},
	{"User", "account"},
	{"MailContact", "account"},
	{"AutoReplyConfiguration", "account"},
	{"Domain", "domain"},
	{"App", "app"},
	{"MobileDevice", "device"},
	{"Version", "org"},
}

// exchangeTargets adds what a cmdlet was about, then whom it names beside that.
func exchangeTargets(l *schemas.Lists, r *auditRecord) {
	_, noun, _ := strings.Cut(r.operation, "-")
	kind := "other"
	for _, k := range cmdletKinds {
		if strings.HasSuffix(noun, k.noun) {
			kind = k.kind
			break
		}
	}
	object := r.objectID
	if object == "" {
		object = cmp.Or(named(r.parameters, "Identity"), named(r.parameters, "Name"))
	}
	l.Target(object, lastPart(object), kind)
	for e := rawjson.Elements(r.parameters); ; {
		v, ok := e.Next()
		if !ok {
			return
		}
		switch rawjson.Text(rawjson.Member(v, "Name")) {
		case "User", "Trustee", "Member", "GrantSendOnBehalfTo":
			who := rawjson.Text(rawjson.Member(v, "Value"))
			l.Target(who, lastPart(who), "account")
		}
	}
}

// lastPart is the last part of a path, of a URL, or of a rule's place.
func lastPart(s string) string {
	s = strings.TrimRight(s, `/\`)
	return s[strings.LastIndexAny(s, `/\`)+1:]
}

// entityKinds is target_kind by an alert's EntityType.
var entityKinds = map[string]string{
	"User": "account", "Recipient": "account", "Sender": "account", "MailMessage": "message", "MalwareFamily": "other", "File": "file",
}

// alertTargets adds whom or what an alert is about, then the policy that raised it.
func alertTargets(l *schemas.Lists, r *auditRecord) {
	if entity := cmp.Or(r.alertEntity, rawjson.Text(rawjson.Member(r.data, "eid"))); entity != "" {
		l.Target(entity, entity, cmp.Or(entityKinds[r.entityType], "other"))
	} else if who := rawjson.Text(rawjson.Member(r.data, "f3u")); who != "" {
		l.Target(who, who, "account")
	}
	for _, meta := range [...]string{r.sharePointMeta, r.endpointMeta} {
		if meta != "" {
			l.Target(cmp.Or(rawjson.Text(rawjson.Member(meta, "UniqueID")), rawjson.Text(rawjson.Member(meta, "UniqueId")), rawjson.Text(rawjson.Member(meta, "FilePathUrl"))),
				cmp.Or(rawjson.Text(rawjson.Member(meta, "FileName")), rawjson.Text(rawjson.Member(meta, "FilePathUrl"))), "file")
		}
	}
	if meta := r.exchangeMeta; meta != "" {
		l.Target(cmp.Or(rawjson.Text(rawjson.Member(meta, "MessageID")), rawjson.Text(rawjson.Member(meta, "UniqueID"))), rawjson.Text(rawjson.Member(meta, "Subject")), "message")
	}
	if l.Targets() == 0 {
		l.Target(r.objectID, "", "other")
	}
	if r.policyID != "" {
		l.Target(r.policyID, r.name, "policy")
	}
	for e := rawjson.Elements(r.policyDetails); ; {
		v, ok := e.Next()
		if !ok {
			return
		}
		l.Target(rawjson.Text(rawjson.Member(v, "PolicyId")), rawjson.Text(rawjson.Member(v, "PolicyName")), "policy")
	}
}

// otherTargets adds the people a record lists, what its own members name, and the
// ObjectId where nothing else does.
func otherTargets(l *schemas.Lists, r *auditRecord) {
	for e := rawjson.Elements(r.members); ; {
		v, ok := e.Next()
		if !ok {
			break
		}
		l.Target(rawjson.Text(rawjson.Member(v, "UPN")), rawjson.Text(rawjson.Member(v, "DisplayName")), "account")
	}
	for _, holds := range [...]bool{false, true} {
		for i := range r.npairs {
			if p := &r.pairs[i]; p.holds() == holds {
				l.Target(p.id, p.name, p.kind)
			}
		}
	}
	if l.Targets() == 0 && r.objectID != "" {
		l.Target(r.objectID, lastPart(r.objectID), "other")
	}
}
