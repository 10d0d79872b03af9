package googleworkspace

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources"
)

const testDoc = "1FileDeepInside"

func onFileOf(a sources.Action, container, file string, params ...string) sources.ActionRequest {
	r := on(a, sources.TargetFile, file, append([]string{"container", container}, params...)...)
	return r
}

func onDoc(a sources.Action, params ...string) sources.ActionRequest {
	return onFileOf(a, containerMine+ana, testDoc, params...)
}

func stepNames(p *sources.Plan) (out []string) {
	for _, st := range p.Steps {
		out = append(out, st.Name)
	}
	return out
}

// governed has a quarantine, and a file that is shared in every way.
func governed(t *testing.T) (*drives, *session) {
	d := furnished(t)
	d.add(&doc{id: quarFolder, name: "quarantine", mime: mimeFolder, owner: quarMail})
	o := d.docs[testDoc]
	o.perms = append(o.perms, to(typeAnyone, "", "reader"), to(typeUser, benMail, "writer"), to(typeUser, "eve@else.test", "commenter"))
	o.perms[len(o.perms)-1].Expires = "2026-09-01T00:00:00.000Z"
	d.docs[quarDrive].perms = []*grantOn{to(typeUser, benMail, roleOrganizer)}
	return d, d.session(nil)
}

func (d *drives) state(id string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.docs[id]
	var perms []string
	for _, p := range o.perms {
		perms = append(perms, strings.Join([]string{p.ID, p.Type, p.Role, p.Email, p.Domain, p.Expires}, " "))
	}
	content := ""
	if n := len(o.revs); n > 0 {
		content = o.revs[n-1].mime + ":" + o.revs[n-1].content
	}
	keep := ""
	for _, v := range o.revs {
		if v.keep {
			keep += " " + v.id
		}
	}
	return strings.Join([]string{o.owner, o.drive, o.parent, content, keep, strings.Join(sortedUnique(perms), "\n")}, "\n")
}

func TestQuarantine(t *testing.T) {
	t.Parallel()
	d, s := governed(t)
	before := d.state(testDoc)
	r := onDoc(sources.QuarantineFile)
	p := plan(t, s, r)
	require.Equal(t, []string{"move:root", "remove_permission:" + idOf("eve@else.test"), "remove_permission:anyoneWithLink", "remove_permission:" + idOf(benMail), "transfer", "remove_permission:former_owner", "move:quarantine"}, stepNames(p))
	require.Equal(t, anaMail, p.Also[0].Logins[0])
	done := carry(t, d.forge, s, p)
	o := d.docs[testDoc]
	require.Equal(t, []string{quarMail, quarFolder}, []string{o.owner, o.parent})
	require.Len(t, o.perms, 1)
	_, err := s.Plan(t.Context(), r)
	require.Equal(t, fault.BadData, fault.Of(err), "its owner sees it no more: %v", err)
	_, err = s.Plan(t.Context(), onFileOf(sources.TrashFile, containerMine+"107", testDoc))
	require.Equal(t, fault.Permanent, fault.Of(err), "it is in the quarantine: %v", err)
	for _, st := range done { // long afterwards
		require.Equal(t, sources.Done, outcomeOf(t, s, st.Step), st.Step.Name)
	}
	undo(t, d.forge, s, r, p, done)
	require.Equal(t, before, d.state(testDoc))
	require.Equal(t, 2, d.mails, "of the transfers; Google insists")
}

func TestQuarantineShared(t *testing.T) {
	t.Parallel()
	d, s := governed(t)
	const id = "1SharedCut"
	r := onFileOf(sources.QuarantineFile, sharedDrive, id)
	_, err := s.Plan(t.Context(), r)
	require.Equal(t, fault.Permanent, fault.Of(err), "nobody is organizer of both: %v", err)
	d.change(func() {
		d.docs[sharedDrive].perms[2].Role, d.docs[id].cut = roleOrganizer, false
		d.docs[id].perms[0] = to(typeUser, anaMail, "writer")
	})
	before := d.state(id)
	p := plan(t, s, r)
	require.Equal(t, []string{"move:quarantine", "remove_permission:" + idOf(anaMail)}, stepNames(p))
	done := carry(t, d.forge, s, p)
	require.Equal(t, quarDrive, d.docs[id].parent)
	undo(t, d.forge, s, r, p, done)
	require.Equal(t, before, d.state(id))
}

func TestTrashFile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ container, id string }{{containerMine + ana, testDoc}, {sharedDrive, "1SharedTop"}} {
		d, s := governed(t)
		r := onFileOf(sources.TrashFile, c.container, c.id)
		p := plan(t, s, r)
		done := carry(t, d.forge, s, p)
		require.True(t, d.docs[c.id].trashed)
		require.Empty(t, plan(t, s, r).Steps)
		undo(t, d.forge, s, r, p, done)
		require.False(t, d.docs[c.id].trashed)
		d.change(func() { d.docs[c.id].trashed = true })
		r.Action = sources.RestoreFile
		carry(t, d.forge, s, plan(t, s, r))
		require.False(t, d.docs[c.id].trashed)
	}
}

func TestOverwriteFile(t *testing.T) {
	t.Parallel()
	d, s := governed(t)
	before := d.state(testDoc)
	r := onDoc(sources.OverwriteFile)
	p := plan(t, s, r)
	require.Equal(t, []string{"keep_revision", "overwrite"}, stepNames(p))
	d.change(func() {
		d.docs[testDoc].revs = append(d.docs[testDoc].revs, &rev{id: "r9", mime: "text/plain", content: "by its author"})
	})
	_, err := s.Do(t.Context(), p.Steps[1])
	require.Equal(t, fault.Permanent, fault.Of(err), "it was changed meanwhile: %v", err)
	d.change(func() { d.docs[testDoc].revs = d.docs[testDoc].revs[:1] })
	var done []sources.StepDone
	for _, st := range p.Steps {
		receipt, err := s.Do(t.Context(), st)
		require.NoError(t, err)
		require.Equal(t, sources.Done, outcomeOf(t, s, st))
		done = append(done, sources.StepDone{Step: st, Receipt: receipt})
	}
	require.Contains(t, d.state(testDoc), "r1")
	require.Contains(t, d.docs[testDoc].revs[1].content, "replaced by Weir")
	e := sources.Effect{Request: r, Before: p.Before, Steps: done}
	back, err := s.Undo(t.Context(), e)
	require.NoError(t, err)
	require.NoError(t, back.Validate(r))
	require.Equal(t, []string{"undo:overwrite", "undo:keep_revision"}, stepNames(back))
	for _, st := range back.Steps {
		_, err := s.Do(t.Context(), st)
		require.NoError(t, err)
		require.Equal(t, sources.Done, outcomeOf(t, s, st))
	}
	require.Equal(t, before, d.state(testDoc))

	version := onDoc(sources.RestoreFile, "version", "r2")
	require.Equal(t, []string{"keep_revision", "revert"}, stepNames(plan(t, s, version)))
	_, err = s.Plan(t.Context(), onDoc(sources.RestoreFile, "version", "r7"))
	require.Equal(t, fault.BadData, fault.Of(err))
	_, err = s.Plan(t.Context(), onFileOf(sources.OverwriteFile, containerMine+ana, "1FilePublic"))
	require.Equal(t, fault.BadData, fault.Of(err), "a document of Google's editors: %v", err)
}

// What somebody has changed since is left alone.
func TestUndoOfChanged(t *testing.T) {
	t.Parallel()
	d, s := governed(t)
	r := onDoc(sources.OverwriteFile)
	p := plan(t, s, r)
	var done []sources.StepDone
	for _, st := range p.Steps {
		receipt, err := s.Do(t.Context(), st)
		require.NoError(t, err)
		done = append(done, sources.StepDone{Step: st, Receipt: receipt})
	}
	d.change(func() {
		d.docs[testDoc].revs = append(d.docs[testDoc].revs, &rev{id: "r9", mime: "text/plain", content: "new work"})
	})
	_, err := s.Undo(t.Context(), sources.Effect{Request: r, Before: p.Before, Steps: done})
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
}

func TestRemoveSharing(t *testing.T) {
	t.Parallel()
	eve, link, bens := "remove_permission:"+idOf("eve@else.test"), "remove_permission:anyoneWithLink", "remove_permission:"+idOf(benMail)
	for _, c := range []struct {
		params []string
		want   []string
	}{
		{nil, []string{link}},
		{[]string{"who", whoPublic}, []string{link}},
		{[]string{"who", whoExternal}, []string{eve, link}},
		{[]string{"who", whoEditors}, []string{bens}},
		{[]string{"who", whoAll}, []string{eve, link, bens}},
		{[]string{"permission", idOf(benMail)}, []string{bens}},
	} {
		d, s := governed(t)
		before := d.state(testDoc)
		r := onDoc(sources.RemoveSharing, c.params...)
		p := plan(t, s, r)
		require.ElementsMatch(t, c.want, stepNames(p), "%v", c.params)
		require.Contains(t, strings.Join(p.Limits, " "), "team@example.com", "what it inherits stays, and is said")
		done := carry(t, d.forge, s, p)
		undo(t, d.forge, s, r, p, done)
		require.Equal(t, before, d.state(testDoc))
		require.Zero(t, d.mails)
	}
	_, s := governed(t)
	for id, class := range map[string]fault.Class{"nobody": fault.BadData, idOf(anaMail): fault.Permanent, idOf("team@example.com"): fault.Permanent} {
		_, err := s.Plan(t.Context(), onDoc(sources.RemoveSharing, "permission", id))
		require.Equal(t, class, fault.Of(err), "%s: %v", id, err)
	}
}

func TestMakePrivate(t *testing.T) {
	t.Parallel()
	d, s := governed(t)
	before := d.state(testDoc)
	_, err := s.Plan(t.Context(), onDoc(sources.MakePrivate))
	require.Equal(t, fault.Permanent, fault.Of(err), "it is shared through its folder: %v", err)
	r := onDoc(sources.MakePrivate, "move", "yes")
	p := plan(t, s, r)
	require.Equal(t, "move:root", p.Steps[0].Name)
	require.Len(t, p.Steps, 4)
	done := carry(t, d.forge, s, p)
	require.Len(t, d.effective(d.docs[testDoc]), 1)
	undo(t, d.forge, s, r, p, done)
	require.Equal(t, before, d.state(testDoc))
	_, err = s.Plan(t.Context(), onFileOf(sources.MakePrivate, sharedDrive, "1SharedCut"))
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
}

// Whose file it is may not be known, or not be so any more.
func TestFindFile(t *testing.T) {
	t.Parallel()
	d, s := governed(t)
	require.Len(t, plan(t, s, onFileOf(sources.TrashFile, containerMine+ana, "1FileAtBen")).Steps, 1, "Ana sees it, and Ben owns it")
	last := d.asked[len(d.asked)-1]
	require.Contains(t, last, benMail)
	for _, c := range [][2]string{{containerMine + "99", testDoc}, {"0ANoSuchDrive", testDoc}, {sharedDrive, testDoc}, {containerMine + ana, "1FolderA"}, {containerMine + ana, "1NoSuchFile"}} {
		_, err := s.Plan(t.Context(), onFileOf(sources.TrashFile, c[0], c[1]))
		require.Equal(t, fault.BadData, fault.Of(err), "%v: %v", c, err)
	}
	d.change(func() { d.docs[testDoc].perms = append(d.docs[testDoc].perms, to(typeUser, agentSubject, "reader")) })
	require.Len(t, plan(t, s, on(sources.TrashFile, sources.TargetFile, testDoc)).Steps, 1, "the administrator sees it")
}
