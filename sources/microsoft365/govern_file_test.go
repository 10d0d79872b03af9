package microsoft365

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources"
)

func (f *forge) file() (content string, permissions []string, binned bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.files[testFile]
	for _, o := range d.perms {
		permissions = append(permissions, o["id"].(string))
	}
	return d.current(), permissions, d.binned != ""
}

func limitsOf(p *sources.Plan) string { return strings.Join(p.Limits, " ") }

func stepNames(p *sources.Plan) (out []string) {
	for _, st := range p.Steps {
		out = append(out, st.Name)
	}
	return out
}

func TestQuarantine(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(true)
	r := onTestFile(sources.QuarantineFile)
	require.NoError(t, Connector.Action(sources.QuarantineFile).Check(&r))
	p := plan(t, s, r)
	require.Equal(t, []string{opCopy, opOverwrite, opUnshare + ":p-bob", opUnshare + ":p-eve", opUnshare + ":p-link", opBreak}, stepNames(p))
	require.Contains(t, p.Target.Aliases, unique(testFile))
	require.Contains(t, string(encode(p.Also)), ada, "who owns the drive is known")
	require.NotContains(t, string(encode(p))+string(p.Before), "secretlink", "a link's address is a secret")
	require.Contains(t, limitsOf(p), "new address")
	done := carry(t, f, s, p)
	content, left, _ := f.file()
	require.Contains(t, content, "r1", "the note names the request")
	require.Equal(t, []string{"p-owner"}, left)
	f.change(func() { require.Equal(t, "the plan itself", f.copyOf().current()) })
	_, err := s.Plan(t.Context(), r)
	require.Equal(t, fault.Permanent, fault.Of(err), "a second time: %v", err)

	back := undo(t, f, s, r, p, done)
	require.Equal(t, "undo:"+opBreak, back.Steps[0].Name, "the last first")
	require.Equal(t, "undo:"+opCopy, back.Steps[len(back.Steps)-1].Name)
	content, left, _ = f.file()
	require.Equal(t, "the plan itself", content)
	require.Len(t, left, 5, "%v", left)
	f.change(func() { require.Nil(t, f.copyOf(), "the copy is gone") })
}

func (f *forge) copyOf() *file {
	for _, d := range f.files {
		if d.parent == testFolder && d.binned == "" {
			return d
		}
	}
	return nil
}

// The original is touched only when its copy is there, and the same.
func TestQuarantineNeedsTheCopy(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(false)
	p := plan(t, s, onTestFile(sources.QuarantineFile, "mode", modeCopy))
	require.Contains(t, limitsOf(p), "Visitors", "without a certificate what it inherits stays, and is said")
	cp, over := p.Steps[0], p.Steps[1]
	receipt, err := s.Do(t.Context(), cp)
	require.NoError(t, err)
	require.True(t, receipt.Pending)
	require.NotContains(t, string(encode(receipt)), "opens-the-job", "the monitor's address is a secret")
	require.Equal(t, sources.Pending, outcomeOf(t, s, cp, receipt))
	f.change(func() { require.Equal(t, []string{""}, f.asked, "the monitor gets no credentials") })
	require.Equal(t, sources.NotDone, outcomeOf(t, s, cp, sources.Receipt{}), "its answer was lost")
	_, err = s.Do(t.Context(), over)
	require.ErrorContains(t, err, "not in place")
	f.finish()
	f.change(func() { f.copyOf().write("half of it") })
	require.Equal(t, sources.Pending, outcomeOf(t, s, cp, receipt))
	require.Equal(t, sources.Unknown, outcomeOf(t, s, cp, sources.Receipt{}))
	_, err = s.Do(t.Context(), over)
	require.Equal(t, fault.Permanent, fault.Of(err))
	f.change(func() { f.copyOf().write("the plan itself") })
	require.Equal(t, sources.Done, outcomeOf(t, s, cp, receipt))
	f.change(func() { f.files[testFile].write("a change by its author") })
	_, err = s.Do(t.Context(), over)
	require.ErrorContains(t, err, "changed meanwhile")
	content, _, _ := f.file()
	require.Equal(t, "a change by its author", content)
}

func TestCopyFails(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.failed = true
	s := f.open(false)
	p := plan(t, s, onTestFile(sources.QuarantineFile, "mode", modeCopy))
	receipt, err := s.Do(t.Context(), p.Steps[0])
	require.NoError(t, err)
	require.Equal(t, sources.NotDone, outcomeOf(t, s, p.Steps[0], receipt), "the vendor gave up")
}

// An address that is not the vendor's is not asked.
func TestMonitorElsewhere(t *testing.T) {
	t.Parallel()
	s := newForge(t).open(false)
	for _, at := range []string{"http://127.0.0.1:1/x", "https://evil.example/monitor/1", "https://evilsharepoint.com/x", "https://contoso.sharepoint.com:444/x", "https://u@contoso.sharepoint.com/x", "/x", "%"} {
		_, _, err := s.monitor(at)
		require.Error(t, err, at)
	}
	_, r, err := s.monitor("https://contoso.sharepoint.com/_api/v2.0/monitor/1?t=2")
	require.NoError(t, err)
	require.Equal(t, "t=2", r.RawQuery)
	for _, at := range []string{"http://contoso.sharepoint.com/sites/hr", "https://contoso.sharepoint.com.evil.example/sites/hr", "https://127.0.0.1/sites/hr", "https://contoso.sharepoint.com/sites/hr?x=1"} {
		_, _, err := newForge(t).open(true).sharePoint(at)
		require.Equal(t, fault.BadData, fault.Of(err), at)
	}
	_, _, err = s.sharePoint(siteAt)
	require.ErrorContains(t, err, "certificate")
}

func TestMoveToQuarantine(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(false)
	_, err := s.Plan(t.Context(), onTestFile(sources.QuarantineFile, "mode", modeMove))
	require.ErrorContains(t, err, "drive to drive")
	s.cfg.Actions.Quarantine.Drive = testDrive
	f.change(func() { f.files[testFolder].drive = testDrive })
	r := onTestFile(sources.QuarantineFile, "mode", modeMove)
	p := plan(t, s, r)
	done := carry(t, f, s, p)
	require.Equal(t, testFolder, f.files[testFile].parent)
	undo(t, f, s, r, p, done)
	require.Equal(t, "01PARENT0000000", f.files[testFile].parent)
	require.Equal(t, "plan's.docx", f.files[testFile].name)
}

func TestTrashAndRestore(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(true)
	r := onTestFile(sources.TrashFile)
	p := plan(t, s, r)
	require.Empty(t, p.NoUndo)
	done := carry(t, f, s, p)
	_, err := s.Do(t.Context(), p.Steps[0])
	require.Equal(t, fault.BadData, fault.Of(err), "it is gone already: %v", err)
	undo(t, f, s, r, p, done)

	receipt, err := s.Do(t.Context(), p.Steps[0])
	require.NoError(t, err)
	require.Equal(t, f.files[testFile].binned, decodeAnswer(receipt).Bin)
	_, err = s.Plan(t.Context(), onTestFile(sources.RestoreFile))
	require.ErrorContains(t, err, "params.bin or params.name")
	_, err = s.Plan(t.Context(), onTestFile(sources.RestoreFile, "name", "another.docx"))
	require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
	r = onTestFile(sources.RestoreFile, "name", "plan's.docx")
	p = plan(t, s, r)
	done = carry(t, f, s, p)
	require.Empty(t, plan(t, s, r).Steps, "it is where it was")
	f.change(func() { f.files[testFile].tag = 0 })
	undo(t, f, s, r, p, done)
	_, _, binned := f.file()
	require.True(t, binned)
}

func TestTrashWithoutCertificate(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(false)
	p := plan(t, s, onTestFile(sources.TrashFile))
	require.Contains(t, p.NoUndo, "certificate")
	done := carry(t, f, s, p)
	_, err := s.Undo(t.Context(), sources.Effect{Request: onTestFile(sources.TrashFile), Before: p.Before, Steps: done})
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
	_, err = s.Plan(t.Context(), onTestFile(sources.RestoreFile, "name", "plan's.docx"))
	require.ErrorContains(t, err, "certificate")
}

func TestOverwrite(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(false)
	r := onTestFile(sources.OverwriteFile)
	p := plan(t, s, r)
	require.Equal(t, []string{opOverwrite}, stepNames(p), "an older version shows that versions are kept")
	f.change(func() {
		f.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut {
				return false
			}
			f.answer = nil
			f.files[testFile].write("a change in between")
			return false
		}
	})
	_, err := s.Do(t.Context(), p.Steps[0])
	require.Equal(t, fault.Permanent, fault.Of(err), "the etag has moved: %v", err)
	p = plan(t, s, r)
	done := carry(t, f, s, p)
	undo(t, f, s, r, p, done)
	content, _, _ := f.file()
	require.Equal(t, "a change in between", content)

	p = plan(t, s, r)
	done = carry(t, f, s, p)
	f.change(func() { f.files[testFile].write("what somebody wrote since") })
	_, err = s.Undo(t.Context(), sources.Effect{Request: r, Before: p.Before, Steps: done})
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)

	f.change(func() { f.files[testFile].versions = []string{"the only one"} })
	p = plan(t, s, r)
	require.Equal(t, []string{opCopy, opOverwrite}, stepNames(p), "a copy first")
	done = carry(t, f, s, p)
	f.change(func() { f.files[testFile].versions = f.files[testFile].versions[1:] })
	f.change(func() { f.files[testFile].versions = append([]string{}, f.files[testFile].versions...) })
	s.cfg.Actions.Quarantine = Quarantine{}
	f.change(func() { f.files[testFile].versions = []string{"the only one"} })
	_, err = s.Plan(t.Context(), r)
	require.ErrorContains(t, err, "actions.quarantine")
	require.Len(t, done, 2)
}

func TestRestoreVersion(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(false)
	r := onTestFile(sources.RestoreFile, "version", "1.0")
	p := plan(t, s, r)
	done := carry(t, f, s, p)
	content, _, _ := f.file()
	require.Equal(t, "draft of the plan", content)
	undo(t, f, s, r, p, done)
	content, _, _ = f.file()
	require.Equal(t, "the plan itself", content)
	_, err := s.Plan(t.Context(), onTestFile(sources.RestoreFile, "version", "99.0"))
	require.Equal(t, fault.BadData, fault.Of(err))
}

func TestRemoveSharing(t *testing.T) {
	t.Parallel()
	for want, params := range map[string][]string{
		"remove_permission:p-link": {"who", whoPublic}, "remove_permission:p-eve remove_permission:p-link": {"who", whoExternal},
		"remove_permission:p-bob remove_permission:p-eve remove_permission:p-link": {"who", whoAll}, "remove_permission:p-bob": {"permission", "p-bob"},
	} {
		f := newForge(t)
		s := f.open(false)
		r := onTestFile(sources.RemoveSharing, params...)
		p := plan(t, s, r)
		require.Equal(t, want, strings.Join(stepNames(p), " "))
		done := carry(t, f, s, p)
		undo(t, f, s, r, p, done)
		_, left, _ := f.file()
		require.Len(t, left, 5)
	}
	f := newForge(t)
	s := f.open(false)
	require.Contains(t, limitsOf(plan(t, s, onTestFile(sources.RemoveSharing, "who", whoAll))), "Visitors")
	_, err := s.Plan(t.Context(), onTestFile(sources.RemoveSharing, "permission", "p-owner"))
	require.Equal(t, fault.Permanent, fault.Of(err))
	_, err = s.Plan(t.Context(), onTestFile(sources.RemoveSharing, "permission", "p-none"))
	require.Equal(t, fault.BadData, fault.Of(err))
	_, err = s.Plan(t.Context(), onTestFile(sources.MakePrivate))
	require.ErrorContains(t, err, "auth.certificate")
	// What cannot be given back is said.
	f.change(func() {
		d := f.files[testFile]
		d.perms = []object{{"id": "p-pw", "link": object{"type": "view", "scope": "anonymous"}, "hasPassword": true}}
	})
	p := plan(t, s, onTestFile(sources.RemoveSharing, "who", whoPublic))
	require.Contains(t, limitsOf(p), "nobody knows the password")
	_, err = s.Undo(t.Context(), sources.Effect{Request: onTestFile(sources.RemoveSharing, "who", whoPublic), Before: p.Before, Steps: carry(t, f, s, p)})
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
}

func TestMakePrivate(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(true)
	r := onTestFile(sources.MakePrivate)
	p := plan(t, s, r)
	done := carry(t, f, s, p)
	_, left, _ := f.file()
	require.Equal(t, []string{"p-owner"}, left)
	require.Empty(t, plan(t, s, r).Steps)
	undo(t, f, s, r, p, done)
	_, left, _ = f.file()
	require.Len(t, left, 5)
}

// Folders, and files of the quarantine itself, are no targets.
func TestFileRefused(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(true)
	f.change(func() {
		f.files["01COPY000000001"] = &file{name: "kept", parent: testFolder, drive: testVault, versions: []string{"x"}}
	})
	for target, words := range map[string]string{testVault + "/" + testFolder: "no file", testVault + "/01COPY000000001": "in the quarantine", testDrive + "/01NOBODY0000": ""} {
		for _, a := range []sources.Action{sources.TrashFile, sources.QuarantineFile, sources.OverwriteFile, sources.RemoveSharing, sources.MakePrivate} {
			_, err := s.Plan(t.Context(), on(a, sources.TargetFile, target))
			require.Contains(t, []fault.Class{fault.BadData, fault.Permanent}, fault.Of(err), "%s: %v", target, err)
			require.ErrorContains(t, err, words)
		}
	}
}
