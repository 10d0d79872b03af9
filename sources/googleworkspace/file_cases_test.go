package googleworkspace_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/internal/sourcetest"
	"weir/schemas"
	"weir/sources"
)

const mine = "mydrive:"

// withQuarantine are settings with a quarantine: the last plain account, and
// the last shared drive, which stand for ones that nobody else uses.
func withQuarantine(t testing.TB, tenant *sandbox.Tenant) string {
	t.Helper()
	var truth schemas.Rows
	tenant.World.View(func(s *org.State) { tenant.Handler().Truth(s, &truth) })
	user, drive := quarantineUser(&truth), quarantineDrive(&truth)
	require.NotNil(t, user)
	require.NotEmpty(t, drive)
	return tenant.Handler().Config(tenant.Base) + fmt.Sprintf("\nactions: {quarantine: {user: %q, shared_folder: %q}}\n", user.Email, drive)
}

func quarantineUser(truth *schemas.Rows) *schemas.Account {
	for i := range slices.Backward(truth.Accounts) {
		if a := &truth.Accounts[i]; a.Status == "active" && a.Kind == "human" && !a.IsAdmin.Value {
			return a
		}
	}
	return nil
}

func quarantineDrive(truth *schemas.Rows) string {
	for i := range slices.Backward(truth.Files) {
		if f := &truth.Files[i]; f.Kind == "container" && !strings.HasPrefix(f.FileID, mine) {
			return f.FileID
		}
	}
	return ""
}

// fileTargets are the files that some condition takes, with where they are.
func fileTargets(with func(*schemas.Rows, *schemas.File) bool, params ...string) func(*schemas.Rows) []actionTarget {
	return func(truth *schemas.Rows) (out []actionTarget) {
		for i := range truth.Files {
			if f := &truth.Files[i]; f.Kind == "file" && with(truth, f) {
				t := actionTarget{ID: f.FileID, Params: map[string]string{"container": f.ContainerID}}
				for n := 0; n+1 < len(params); n += 2 {
					t.Params[params[n]] = params[n+1]
				}
				out = append(out, t)
			}
		}
		return out
	}
}

func fileOf(truth *schemas.Rows, id string) *schemas.File {
	if i := slices.IndexFunc(truth.Files, func(f schemas.File) bool { return f.FileID == id }); i >= 0 {
		return &truth.Files[i]
	}
	return nil
}

func permits(truth *schemas.Rows, id string, with func(*schemas.FilePermission) bool) bool {
	return slices.ContainsFunc(truth.FilePermissions, func(p schemas.FilePermission) bool { return p.FileID == id && with(&p) })
}

func none(with func(*schemas.FilePermission) bool) func(*schemas.Rows, actionTarget) bool {
	return func(truth *schemas.Rows, t actionTarget) bool { return !permits(truth, t.ID, with) }
}

func toAnyone(p *schemas.FilePermission) bool {
	return p.GranteeKind == "anyone" || p.GranteeKind == "link" && p.LinkScope == "anyone"
}
func toOthers(p *schemas.FilePermission) bool   { return p.Role != "owner" }
func toSomebody(p *schemas.FilePermission) bool { return p.GranteeEmail != "" && toOthers(p) }
func toOutsiders(p *schemas.FilePermission) bool {
	return toAnyone(p) || p.GranteeEmail != "" && strings.HasSuffix(p.GranteeEmail, "@partner.example")
}

func inMyDrive(f *schemas.File) bool {
	return strings.HasPrefix(f.ContainerID, mine) && !f.Trashed.Value
}

// sharedBy are files that grant something by themselves, and do not inherit it:
// what a folder grants, too, stays.
func sharedBy(with func(*schemas.FilePermission) bool) func(*schemas.Rows, *schemas.File) bool {
	return func(truth *schemas.Rows, f *schemas.File) bool {
		if !inMyDrive(f) || !permits(truth, f.FileID, with) {
			return false
		}
		for up := fileOf(truth, f.ParentID); up != nil; up = fileOf(truth, up.ParentID) {
			if permits(truth, up.FileID, toOthers) {
				return false
			}
		}
		return true
	}
}

// inSight are files whose folder their owner can open: no others can be put back.
func inSight(with func(*schemas.Rows, *schemas.File) bool) func(*schemas.Rows, *schemas.File) bool {
	return func(truth *schemas.Rows, f *schemas.File) bool { return f.ParentID != "" && with(truth, f) }
}

// elsewhere are files of shared drives but the quarantine's.
func elsewhere(truth *schemas.Rows, f *schemas.File) bool {
	return !strings.HasPrefix(f.ContainerID, mine) && f.ContainerID != quarantineDrive(truth) && !f.Trashed.Value
}

func trashed(want bool) func(*schemas.Rows, actionTarget) bool {
	return func(truth *schemas.Rows, t actionTarget) bool {
		f := fileOf(truth, t.ID)
		return f != nil && f.Trashed.Value == want
	}
}

func fileCases() []sourcetest.ActionCase {
	file := sources.TargetFile
	const scope = "https://www.googleapis.com/auth/drive"
	plain := func(_ *schemas.Rows, f *schemas.File) bool {
		return inMyDrive(f) && !strings.HasPrefix(f.MimeType, "application/vnd.google-apps.")
	}
	touched := map[string][]string{"files": {"revision", "modified_by", "raw"}, "file_permissions": {"raw"}}
	return []sourcetest.ActionCase{
		{
			Name: "quarantine", Action: sources.QuarantineFile, Kind: file, Candidates: fileTargets(inSight(sharedBy(toOthers))), Event: "change_owner", Scope: scope, Changed: touched,
			Effect: func(truth *schemas.Rows, t actionTarget) bool {
				f := fileOf(truth, t.ID)
				return f != nil && f.OwnerID == quarantineUser(truth).AccountID && !permits(truth, t.ID, toOthers)
			},
		},
		{
			Name: "quarantine in a shared drive", Action: sources.QuarantineFile, Kind: file, Candidates: fileTargets(elsewhere), Event: "move", Scope: scope, Changed: touched,
			Effect: func(truth *schemas.Rows, t actionTarget) bool {
				f := fileOf(truth, t.ID)
				return f != nil && f.ContainerID == quarantineDrive(truth)
			},
		},
		{
			Name: "restore", Action: sources.RestoreFile, Kind: file, Effect: trashed(false), Event: "untrash", Scope: scope, Changed: touched,
			Candidates: fileTargets(func(_ *schemas.Rows, f *schemas.File) bool {
				return strings.HasPrefix(f.ContainerID, mine) && f.Trashed.Value
			}),
		},
		{Name: "trash", Action: sources.TrashFile, Kind: file, Candidates: fileTargets(plain), Effect: trashed(true), Event: "trash", Scope: scope, Changed: touched},
		{Name: "overwrite", Action: sources.OverwriteFile, Kind: file, Candidates: fileTargets(plain), Event: "edit", Scope: scope, Changed: map[string][]string{"files": {"revision", "modified_by", "raw"}}, Again: true},
		{Name: "public links", Action: sources.RemoveSharing, Kind: file, Candidates: fileTargets(sharedBy(toAnyone)), Effect: none(toAnyone), Event: "change_document_visibility", Scope: scope, Changed: touched},
		{Name: "people outside", Action: sources.RemoveSharing, Kind: file, Candidates: fileTargets(sharedBy(func(p *schemas.FilePermission) bool { return !toAnyone(p) && toOutsiders(p) }), "who", "external"), Effect: none(toOutsiders), Event: "change_user_access", Scope: scope, Changed: touched},
		{Name: "make private", Action: sources.MakePrivate, Kind: file, Candidates: fileTargets(sharedBy(toSomebody)), Effect: none(toOthers), Event: "change_user_access", Scope: scope, Changed: touched},
	}
}
