package googleworkspace

import (
	"context"
	"net/url"
	"time"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

var (
	onFile = []sources.ActionTarget{{Kind: sources.TargetFile, ID: fileIDForm, Doc: "files.file_id of a file"}}

	inContainer = sources.ActionParam{
		Name: "container", Doc: "files.container_id: whose it is, or which shared drive's; without it the administrator (auth.subject) must see the file",
		Pattern: containerMine + numberForm + `|` + fileIDForm,
	}

	fileScopes = []string{
		"the scope " + scopeDrive + " (domain-wide delegation)",
		"of files in shared drives: the scope " + scopeDriveRead + ", and for the admin subject the privilege Drive and Docs > Settings",
		readTarget,
	}

	limitCopies   = "What has been copied, downloaded or synchronized before is out of reach."
	limitVersions = "Who may edit the file may open its older versions."
)

const fileDelay = 30 * time.Second // until Drive shows it for certain

// fileActions are what can be done to files. What is deleted for ever is not
// among them.
var fileActions = []sources.ActionInfo{
	{
		Action: sources.QuarantineFile, Doc: "gives a file of a My Drive to the quarantine's user, and ends all sharing; moves one of a shared drive to the quarantine's", Targets: onFile, Params: []sources.ActionParam{inContainer},
		Scopes: fileScopes, Delay: fileDelay,
		Limits: []string{"Google sends the quarantine's user a mail of the transfer.", "Of a file in a shared drive somebody must be organizer of both drives.", limitCopies},
	},
	{
		Action: sources.RestoreFile, Doc: "takes a file out of the trash, or goes back to an older revision's content", Targets: onFile,
		Params: []sources.ActionParam{inContainer, {Name: "version", Doc: "id of an older revision: its content becomes the current one", Pattern: `[A-Za-z0-9_-]{1,128}`}},
		Scopes: fileScopes, Delay: fileDelay,
		Limits: []string{"The trash keeps a file for 30 days.", "What quarantine_file has done comes back by undoing that, not by this."},
	},
	{
		Action: sources.TrashFile, Doc: "puts a file into the trash", Targets: onFile, Params: []sources.ActionParam{inContainer}, Scopes: fileScopes, Delay: fileDelay,
		Limits: []string{"The trash keeps a file for 30 days; its owner may restore it, and until then who has access to it keeps that.", limitCopies},
	},
	{
		Action: sources.OverwriteFile, Doc: "puts a short note in a file's place; the former content is kept as a revision", Targets: onFile, Params: []sources.ActionParam{inContainer}, Scopes: fileScopes, Delay: fileDelay,
		Limits: []string{limitVersions, "Documents of Google's own editors are refused.", limitCopies},
	},
	{
		Action: sources.RemoveSharing, Doc: "takes public links, external people, editors, one permission, or all direct permissions but the owner's from a file", Targets: onFile,
		Params: []sources.ActionParam{
			inContainer,
			{Name: "who", Doc: "public: anybody, with the link or without; external: those, and people, groups and domains outside; editors: who may change the file; all: every direct permission but the owner's", Default: whoPublic, Enum: []string{whoPublic, whoExternal, whoEditors, whoAll}},
			{Name: "permission", Doc: "file_permissions.permission_id: only this one", Pattern: `[A-Za-z0-9_-]{1,128}`},
		},
		Scopes: fileScopes, Delay: fileDelay,
		Limits: []string{"What the file inherits from its folder or shared drive stays: it ends there.", limitCopies},
	},
	{
		Action: sources.MakePrivate, Doc: "leaves a file of a My Drive to its owner alone", Targets: onFile,
		Params: []sources.ActionParam{inContainer, {Name: "move", Doc: "yes: a file that is shared through its folder is moved out of that, to the owner's root", Default: "no", Enum: []string{"no", "yes"}}},
		Scopes: fileScopes, Delay: fileDelay,
		Limits: []string{"Files of shared drives are refused: their members have access to all in it.", limitCopies},
	},
}

// probeFileAction tells whether an action on files can be expected to work: a
// token for what it writes, and what it needs to know.
func (s *session) probeFileAction(ctx context.Context, a sources.Action) error {
	if s.delegation == nil {
		return fault.New(fault.Forbidden, "%s", onlyOwnFiles)
	}
	if q := &s.cfg.Actions.Quarantine; a == sources.QuarantineFile && q.User == "" && q.SharedFolder == "" {
		return fault.New(fault.Permanent, "google_workspace: set actions.quarantine: where files in quarantine are kept")
	}
	_, _, err := s.fetch(ctx, listing{
		client: s.as("", scopeDrive), path: httpx.P(pathFiles), kind: kindFiles, member: "files",
		query: url.Values{"corpora": {"user"}, "q": {queryMine}, "spaces": {"drive"}, "pageSize": {"1"}, "fields": {"kind,files(id)"}},
	}, "", s.env.Clock.Now())
	if fault.Of(err) == fault.BadData { // the administrator has no Drive
		return nil
	}
	return naming(err, scopeDrive)
}
