package googleworkspace

import (
	"strings"

	"weir/internal/sandbox/org"
)

// driveWorks are the events of the audit log for what was done with files.
var driveWorks = map[org.Verb]struct{ kind, name string }{
	org.DocView: {"access", "view"}, org.DocDownload: {"access", "download"}, org.DocPreview: {"access", "preview"}, org.DocPrint: {"access", "print"},
	org.DocCreate: {"access", "create"}, org.DocUpload: {"access", "upload"}, org.DocEdit: {"access", "edit"}, org.DocCopy: {"access", "copy"}, org.DocRename: {"access", "rename"},
	org.DocMove: {"access", "move"}, org.DocTrash: {"access", "trash"}, org.DocUntrash: {"access", "untrash"}, org.DocDelete: {"access", "delete"},
	org.DocAccess: {"acl_change", "change_user_access"}, org.DocVisibility: {"acl_change", "change_document_access_scope"}, org.DocOwner: {"acl_change", "change_owner"},
	org.DocClose: {"acl_change", "disable_inherited_permissions"}, org.DocOpen: {"acl_change", "enable_inherited_permissions"},
	org.DriveMember: {"acl_change", "shared_drive_membership_change"},
}

// driveItems turns an event of Drive's own kind into items of the audit log; nil:
// the event is told by its Report, or is none of Drive's. What follows from one act
// is told with it.
func (h *Handler) driveItems(s *org.State, e *org.Event) []item {
	w, does := e.Doc, driveWorks[e.Verb]
	if w == nil || does.name == "" {
		return nil
	}
	event := func(kind, name string, primary bool, more ...org.Param) org.ReportEvent {
		return org.ReportEvent{Type: kind, Name: name, Params: append(h.docParams(s, w, primary), more...)}
	}
	events := []org.ReportEvent{event(does.kind, does.name, true, h.workParams(s, e)...)}
	if w.Visibility != w.OldVisibility && does.kind == "acl_change" && e.Verb != org.DriveMember {
		events = append(events, event("acl_change", "change_document_visibility", false, h.visibilityParams(w)...))
	}
	if e.Verb == org.DocOwner && w.Owner >= 0 {
		events = append(events, event("acl_change", "change_user_access", false, text("target_user", h.login(s, w.Owner)), words("old_value", "owner"), words("new_value", "can_edit")))
	}
	return []item{{app: "drive", events: events}}
}

func text(name, value string) org.Param { return org.Param{Name: name, Value: value} }

func words(name string, values ...string) org.Param { return org.Param{Name: name, Value: values} }

func (h *Handler) login(s *org.State, account int) string { return s.Accounts[app][account].Login }

// docParams are what all events about a file tell.
func (h *Handler) docParams(s *org.State, w *org.DocWork, primary bool) []org.Param {
	list := []org.Param{
		{Name: "primary_event", Value: primary},
		{Name: "billable", Value: true},
		text("doc_id", h.fileID(s, w.Doc)), text("doc_type", docType(w.Media)), text("doc_title", w.Title),
		text("visibility", w.Visibility),
		{Name: "is_encrypted", Value: false},
		text("originating_app_id", "691301496089"),
		{Name: "actor_is_collaborator_account", Value: false},
	}
	if w.Owner >= 0 {
		return append(list, text("owner", h.login(s, w.Owner)), org.Param{Name: "owner_is_shared_drive", Value: false}, org.Param{Name: "owner_is_team_drive", Value: false})
	}
	k := s.Docs.Corpora[w.Corpus]
	id := h.fileID(s, k.Root)
	return append(list, text("owner", w.DriveName), org.Param{Name: "owner_is_shared_drive", Value: true}, org.Param{Name: "owner_is_team_drive", Value: true},
		text("shared_drive_id", id), text("team_drive_id", id))
}

// docType is a kind of file in the words of the log.
func docType(media string) string {
	google, ok := strings.CutPrefix(media, "application/vnd.google-apps.")
	switch {
	case ok:
		return map[string]string{"document": "document", "spreadsheet": "spreadsheet", "presentation": "presentation", "form": "form", "drawing": "drawing", "folder": "folder", "shortcut": "shortcut"}[google]
	case strings.HasPrefix(media, "image/"):
		return "jpeg"
	case media == "application/pdf":
		return "pdf"
	case media == "text/plain":
		return "txt"
	case strings.Contains(media, "wordprocessingml"):
		return "msword"
	case strings.Contains(media, "spreadsheetml"):
		return "msexcel"
	case strings.Contains(media, "presentationml"):
		return "mspowerpoint"
	}
	return "unknown"
}

// logRoles are the roles in the words of the log.
var logRoles = map[string]string{
	"": "none", "reader": "can_view", "commenter": "can_comment", "writer": "can_edit", "fileOrganizer": "content_manager", "organizer": "organizer", "owner": "owner",
}

func (h *Handler) visibilityParams(w *org.DocWork) []org.Param {
	change := "none"
	switch outer := func(v string) bool { return v == org.VisibleExternally || v == org.VisibleLink || v == org.VisibleWeb }; {
	case outer(w.Visibility) && !outer(w.OldVisibility):
		change = "external"
	case !outer(w.Visibility) && outer(w.OldVisibility):
		change = "internal"
	}
	return []org.Param{text("visibility_change", change), text("old_visibility", w.OldVisibility), words("old_value", w.OldVisibility), words("new_value", w.Visibility)}
}

// workParams are what an event tells beside the file.
func (h *Handler) workParams(s *org.State, e *org.Event) []org.Param {
	w := e.Doc
	switch e.Verb {
	case org.DocRename:
		return []org.Param{words("old_value", w.OldTitle), words("new_value", w.Title)}
	case org.DocMove:
		return []org.Param{
			text("source_folder_id", h.fileID(s, w.From)), text("source_folder_title", w.FromName), text("destination_folder_id", h.fileID(s, w.To)),
			text("destination_folder_title", w.ToName),
		}
	case org.DocOwner:
		return []org.Param{text("new_owner", h.login(s, w.NewOwner)), text("target_user", h.login(s, w.NewOwner))}
	case org.DocAccess, org.DocVisibility:
		list := []org.Param{words("old_value", logRoles[w.OldRole]), words("new_value", logRoles[w.NewRole])}
		if e.Verb == org.DocVisibility {
			list = append(list, h.visibilityParams(w)[:2]...)
		}
		return append(list, h.targetParams(s, &w.Grantee)...)
	case org.DriveMember:
		list := h.targetParams(s, &w.Grantee)
		switch {
		case w.OldRole == "":
			return append(list, text("membership_change_type", "add_to_shared_drive"), text("added_role", logRoles[w.NewRole]))
		case w.NewRole == "":
			return append(list, text("membership_change_type", "remove_from_shared_drive"), text("removed_role", logRoles[w.OldRole]))
		}
		return append(list, text("membership_change_type", "change_role"), text("added_role", logRoles[w.NewRole]), text("removed_role", logRoles[w.OldRole]))
	default:
	}
	return nil
}

// targetParams are who something was given to, or taken from.
func (h *Handler) targetParams(s *org.State, g *org.DocGrant) []org.Param {
	switch {
	case g.To == org.ToAnyone:
		return []org.Param{text("target_domain", "all")}
	case g.To == org.ToDomain:
		return []org.Param{text("target_domain", g.Domain)}
	case g.Account >= 0:
		return []org.Param{text("target_user", h.login(s, g.Account))}
	case g.Group >= 0:
		return []org.Param{text("target_user", groupEmail(s, s.Groups[app][g.Group]))}
	}
	return []org.Param{text("target_user", g.Email)}
}
