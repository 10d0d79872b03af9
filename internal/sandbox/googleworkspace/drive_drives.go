package googleworkspace

import (
	"net/http"

	"weir/internal/sandbox/org"
)

var drivePages = listing{name: "drives", sizeName: "pageSize"}

// driveView is a shared drive.
func (c *driveCall) driveView(k *org.Corpus) object {
	v := object{
		"kind": "drive#drive", "id": c.h.fileID(c.s, k.Root), "name": c.s.Docs.Name(k.Root), "createdTime": msTime(k.Created.UnixMilli()), "hidden": false, "colorRgb": "#0f9d58",
		"restrictions": object{"adminManagedRestrictions": false, "copyRequiresWriterPermission": false, "domainUsersOnly": false, "driveMembersOnly": false},
		"capabilities": object{"canAddChildren": true},
	}
	if c.flag("useDomainAdminAccess") {
		v["orgUnitId"] = c.h.unitID(0)
	}
	return v
}

// listDrives lists the shared drives that the subject is a member of, or all.
func (c *driveCall) listDrives(m mask) *failure {
	admin := c.flag("useDomainAdminAccess")
	if admin {
		if f := c.domainAdmin("noListTeamDrivesAdministratorPrivilege"); f != nil {
			return f
		}
	}
	var drives []*org.Corpus
	for _, k := range c.s.Docs.Corpora {
		if k.Shared() && (admin || !c.idle && c.lists(k.Root)) {
			drives = append(drives, k)
		}
	}
	if q := c.q.Get("q"); q != "" {
		return invalid("The sandbox lists shared drives without a query.")
	}
	l := drivePages
	l.size, l.life = c.h.facts.Drives, c.h.facts.FileTokenLife
	page, next, f := paged(c.call, &l, len(drives), func(i int) object { return c.driveView(drives[i]) })
	if f != nil {
		return f
	}
	out := object{"kind": "drive#driveList", "drives": page}
	if next != "" {
		out["nextPageToken"] = next
	}
	return c.reply(m, out)
}

func (c *driveCall) getDrive(m mask) *failure {
	n := c.h.docN(c.s, c.args[0])
	found := n >= 0 && c.s.Docs.IsRoot(n) && c.corpus(n).Shared()
	if found && c.flag("useDomainAdminAccess") {
		if f := c.domainAdmin("insufficientAdministratorPrivileges"); f != nil {
			return f
		}
	} else if !found || c.idle || !c.lists(n) {
		return refuse(http.StatusNotFound, "notFound", "Shared drive not found: %s", c.args[0])
	}
	return c.reply(m, c.driveView(c.corpus(n)))
}
