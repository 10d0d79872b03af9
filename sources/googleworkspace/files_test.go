package googleworkspace

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// scanned is what a reading of lanes has told.
type scanned struct {
	schemas.Rows
	gone   []sources.Gone
	reject []sources.Reject
	pages  int
	delta  sources.Cursor
	next   sources.Cursor
	err    error
	unseen string
}

func take(seq func(func(*sources.Page, error) bool)) (out scanned) {
	for page, err := range seq {
		if err != nil {
			out.err = err
			break
		}
		out.pages++
		out.Files = append(out.Files, page.Rows.Files...)
		out.FilePermissions = append(out.FilePermissions, page.Rows.FilePermissions...)
		out.gone = append(out.gone, page.Gone...)
		out.reject = append(out.reject, page.Rejected...)
		out.delta, out.next, out.unseen = page.Delta, page.Next, page.Unseen
	}
	return out
}

func fileLanesOf(t *testing.T, s *session) (out []sources.Lane) {
	for page, err := range fileStream(t, s).Lanes(t.Context(), "") {
		require.NoError(t, err)
		out = append(out, page.Lanes...)
	}
	return out
}

func fileStream(t *testing.T, s *session) sources.Stream {
	t.Helper()
	all := s.Streams()
	i := slices.IndexFunc(all, func(st sources.Stream) bool { return st.Info.Name == streamFiles })
	require.GreaterOrEqual(t, i, 0)
	return all[i]
}

func fileNamed(rows *schemas.Rows, id string) *schemas.File {
	i := slices.IndexFunc(rows.Files, func(f schemas.File) bool { return f.FileID == id })
	if i < 0 {
		return nil
	}
	return &rows.Files[i]
}

var anaLane = sources.Lane{ID: laneUser + ana, Hint: anaMail}

// furnished has a few files, those in folders before their folders.
func furnished(t testing.TB) *drives {
	d := newDrives(t)
	d.add(&doc{id: "1FileDeepInside", name: "deep.txt", mime: "text/plain", owner: anaMail, parent: "1FolderB", revs: text1("deep")})
	d.add(&doc{id: "1FolderB", name: "b", mime: mimeFolder, owner: anaMail, parent: "1FolderA"}, to(typeGroup, "team@example.com", "reader"))
	d.add(&doc{id: "1FolderA", name: "a", mime: mimeFolder, owner: anaMail})
	d.add(&doc{id: "1FilePublic", name: "public", mime: "application/vnd.google-apps.document", owner: anaMail}, to(typeAnyone, "", "reader"), to(typeUser, benMail, "writer"))
	d.add(&doc{id: "1FileForeign", name: "foreign", mime: "text/plain", owner: anaMail, trashed: true}, to(typeUser, "eve@else.test", "commenter"))
	d.add(&doc{id: "1FileDomain", name: "domain", mime: "text/plain", owner: anaMail}, to(typeDomain, "example.com", "reader"), to(typeDomain, "x.audience.googledomains.com", "reader"))
	d.add(&doc{id: "1FileAtBen", name: "of ben", mime: "text/plain", owner: benMail}, to(typeUser, anaMail, "reader"))
	d.docs[sharedDrive].perms = []*grantOn{to(typeUser, "held@example.com", roleOrganizer), to(typeUser, "eve@else.test", "reader"), to(typeUser, benMail, "fileOrganizer"), to(typeUser, anaMail, "reader")}
	d.off["held@example.com"] = "domainPolicy"
	d.docs[sharedDrive].perms[1] = to(typeGroup, "team@example.com", "reader")
	d.add(&doc{id: "1SharedFolder", name: "plans", mime: mimeFolder, drive: sharedDrive}, to(typeUser, "eve@else.test", "reader"))
	d.add(&doc{id: "1SharedFile", name: "plan", mime: "text/plain", drive: sharedDrive, parent: "1SharedFolder", revs: text1("the plan")})
	d.add(&doc{id: "1SharedTop", name: "top", mime: "text/plain", drive: sharedDrive})
	d.add(&doc{id: "1SharedCut", name: "cut", mime: "text/plain", drive: sharedDrive, parent: "1SharedFolder", cut: true}, to(typeUser, benMail, "writer"))
	return d
}

func TestMyDrive(t *testing.T) {
	t.Parallel()
	for _, most := range []int{0, 2} {
		d := furnished(t)
		d.most = most
		s := d.session(nil)
		got := take(fileStream(t, s).Read(t.Context(), anaLane, ""))
		require.NoError(t, got.err)
		require.Empty(t, got.reject)
		require.Len(t, got.Files, 7, "the container and six items; none that others own")
		require.NotEmpty(t, got.delta)
		require.Equal(t, "a/b/deep.txt", fileNamed(&got.Rows, "1FileDeepInside").Path)
		require.Equal(t, "a", fileNamed(&got.Rows, "1FolderA").Path)
		require.Equal(t, []string{rootFolder(anaMail)}, fileNamed(&got.Rows, "mydrive:"+ana).AliasIDs)
		golden(t, "files_mine", tableFiles, &got.Rows)
		golden(t, "file_permissions_mine", tablePermissions, &got.Rows)
		require.NotContains(t, strings.Join(d.asked, "\n"), "1FolderA", "what is listed is not asked for")
		if most > 0 {
			require.Greater(t, got.pages, 1)
		} else {
			require.Equal(t, 1, got.pages)
		}
	}
}

func TestSharedDrive(t *testing.T) {
	t.Parallel()
	d := furnished(t)
	d.most = 2
	s := d.session(nil)
	lanes := fileLanesOf(t, s)
	require.Contains(t, lanes, anaLane)
	require.Contains(t, lanes, sources.Lane{ID: laneDrive + sharedDrive})
	got := take(fileStream(t, s).Read(t.Context(), sources.Lane{ID: laneDrive + sharedDrive}, ""))
	require.NoError(t, got.err, "the organizer is refused, and another member reads")
	require.Contains(t, string(got.delta), benMail)
	golden(t, "files_shared", tableFiles, &got.Rows)
	golden(t, "file_permissions_shared", tablePermissions, &got.Rows)
	require.Equal(t, "external", fileNamed(&got.Rows, "1SharedFile").Sharing, "through its folder")
	require.Equal(t, "internal", fileNamed(&got.Rows, "1SharedTop").Sharing)
	require.Equal(t, "internal", fileNamed(&got.Rows, "1SharedCut").Sharing, "it inherits nothing")
	require.Equal(t, "plans/plan", fileNamed(&got.Rows, "1SharedFile").Path)

	d.docs[quarDrive].perms = []*grantOn{to(typeUser, "eve@else.test", roleOrganizer)}
	got = take(fileStream(t, s).Read(t.Context(), sources.Lane{ID: laneDrive + quarDrive}, ""))
	require.NoError(t, got.err)
	require.Contains(t, got.unseen, "no user of the organization is a member")
	require.Len(t, got.Files, 1, "the drive itself is told")
	require.Len(t, got.FilePermissions, 1)
	d.docs[quarDrive].perms = []*grantOn{to(typeGroup, "team@example.com", roleOrganizer)}
	got = take(fileStream(t, s).Read(t.Context(), sources.Lane{ID: laneDrive + quarDrive}, ""))
	require.NoError(t, got.err)
	require.Contains(t, got.unseen, "refused", "the group's members are tried")
	require.Contains(t, strings.Join(d.asked, "\n"), anaMail+" GET changes/startPageToken")
}

func TestUserWithoutDrive(t *testing.T) {
	t.Parallel()
	d := furnished(t)
	s := d.session(nil)
	d.off[anaMail] = "domainPolicy"
	got := take(fileStream(t, s).Read(t.Context(), anaLane, ""))
	require.NoError(t, got.err)
	require.Contains(t, got.unseen, "has no Drive")
	got = take(fileStream(t, s).Read(t.Context(), sources.Lane{ID: laneUser + "99", Hint: "nobody@example.com"}, ""))
	require.NoError(t, got.err)
	require.Contains(t, got.unseen, "has no Drive")
	got = take(fileStream(t, s).Read(t.Context(), sources.Lane{ID: laneUser + ben, Hint: benMail}, ""))
	require.NoError(t, got.err, "others go on")
	require.NoError(t, s.Probe(t.Context(), streamFiles))
	require.NoError(t, s.Probe(t.Context(), partDrives))
	d.change(func() { d.missing = []string{scopeMetadata} })
	s = d.session(nil)
	require.Equal(t, fault.Forbidden, fault.Of(s.Probe(t.Context(), streamFiles)))
}

// An answer that is too large is asked for in smaller pages.
func TestLargePages(t *testing.T) {
	t.Parallel()
	d := furnished(t)
	d.large = 200
	got := take(fileStream(t, d.session(nil)).Read(t.Context(), anaLane, ""))
	require.NoError(t, got.err)
	require.Len(t, got.Files, 7)
}

func TestFileChanges(t *testing.T) {
	t.Parallel()
	d := furnished(t)
	s := d.session(nil)
	stream := fileStream(t, s)
	at := take(stream.Read(t.Context(), anaLane, "")).delta
	d.change(func() {
		d.docs["1FileDeepInside"].name = "deeper.txt"
		d.changed(anaMail, anaMail, "1FileDeepInside")
		d.changed(anaMail, anaMail, "1FileAtBen")
		delete(d.docs, "1FilePublic")
		d.changed(anaMail, anaMail, "1FilePublic")
	})
	got := take(stream.Delta(t.Context(), anaLane, at))
	require.NoError(t, got.err)
	require.Equal(t, 2, got.pages)
	require.Len(t, got.Files, 1, "Ben's is told by his lane")
	require.Equal(t, "a/b/deeper.txt", got.Files[0].Path)
	require.Equal(t, []sources.Gone{{Table: tableFiles, Key: []string{"1FilePublic"}, Reason: "unknown", Own: true}}, got.gone)
	got = take(stream.Delta(t.Context(), anaLane, got.next))
	require.NoError(t, got.err)
	require.Empty(t, got.Files)
	for _, status := range []int{http.StatusBadRequest, http.StatusNotFound, http.StatusGone} {
		d.change(func() { d.expired = status })
		got := take(stream.Delta(t.Context(), anaLane, at))
		require.Equal(t, fault.Expired, fault.Of(got.err), "%d: %v", status, got.err)
	}
}

func TestSharedDriveChanges(t *testing.T) {
	t.Parallel()
	d := furnished(t)
	s := d.session(nil)
	stream, lane := fileStream(t, s), sources.Lane{ID: laneDrive + sharedDrive}
	at := take(stream.Read(t.Context(), lane, "")).delta
	log := func(id string, removed bool) {
		c := object{"changeType": "file", "fileId": id, "removed": removed}
		if !removed {
			c["file"] = d.render(benMail, d.docs[id])
		}
		d.logs[sharedDrive] = append(d.logs[sharedDrive], c)
	}
	d.change(func() {
		log("1SharedTop", true) // out of the reader's sight only
		delete(d.docs, "1SharedFile")
		log("1SharedFile", true)
		log("1SharedCut", false)
		d.logs[sharedDrive] = append(d.logs[sharedDrive], object{"changeType": "drive", "driveId": sharedDrive, "drive": object{"id": sharedDrive}})
	})
	got := take(stream.Delta(t.Context(), lane, at))
	require.NoError(t, got.err)
	require.Equal(t, []sources.Gone{{Table: tableFiles, Key: []string{"1SharedFile"}, Reason: "deleted", Own: true}}, got.gone, "what another member sees is not gone")
	require.NotNil(t, fileNamed(&got.Rows, "1SharedCut"))
	require.NotNil(t, fileNamed(&got.Rows, sharedDrive))
	d.change(func() { d.off[benMail] = "domainPolicy" })
	got = take(stream.Delta(t.Context(), lane, at))
	require.Equal(t, fault.Expired, fault.Of(got.err), "another reads it anew: %v", got.err)
	got = take(stream.Read(t.Context(), lane, ""))
	require.NoError(t, got.err)
	require.Contains(t, string(got.delta), anaMail)
}

func TestWhoseChanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		changes string
		of      []string
		lane    sources.Lane
		want    bool
	}{
		{changesAll, nil, anaLane, true},
		{changesNever, nil, anaLane, false},
		{changesNever, nil, sources.Lane{ID: laneDrive + sharedDrive}, false},
		{changesSome, nil, anaLane, false},
		{changesSome, []string{"ANA@example.com"}, anaLane, true},
		{changesSome, nil, sources.Lane{ID: laneDrive + sharedDrive}, true},
	} {
		d := furnished(t)
		s := d.session(func(cfg *Config) { cfg.Files.Changes, cfg.Files.ChangesOf = c.changes, c.of })
		got := take(fileStream(t, s).Read(t.Context(), c.lane, ""))
		require.NoError(t, got.err)
		require.Equal(t, c.want, got.delta != "", "%+v", c)
	}
}

func TestFileLanes(t *testing.T) {
	t.Parallel()
	d := furnished(t)
	all := fileLanesOf(t, d.session(nil))
	require.Len(t, all, 9)
	s := d.session(func(c *Config) {
		c.Files = FileSettings{Users: []string{"Ana@example.com"}, SharedDrives: true, Drives: []string{sharedDrive}}
	})
	require.Equal(t, []sources.Lane{anaLane, {ID: laneDrive + sharedDrive}}, fileLanesOf(t, s))
	s = d.session(func(c *Config) { c.Files.SharedDrives = false })
	require.Len(t, fileLanesOf(t, s), 7)
	d.change(func() { d.missing = []string{scopeDriveRead} })
	var last error
	for _, err := range fileStream(t, d.session(nil)).Lanes(t.Context(), "") {
		last = err
	}
	require.Equal(t, fault.Forbidden, fault.Of(last))
	require.ErrorContains(t, last, "files.shared_drives")
	c := FileSettings{Users: []string{"ana"}, Drives: []string{"x y"}}
	require.Len(t, c.validate(), 2)
}
