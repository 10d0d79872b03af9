package googleworkspace

import (
	"context"
	"encoding/json"
	"slices"

	"weir/internal/fault"
	"weir/sources"
)

// undoFile plans to take an effect on a file back, the last step first.
func (s *session) undoFile(ctx context.Context, e sources.Effect) (*sources.Plan, error) {
	var was fileBefore
	if json.Unmarshal(e.Before, &was) != nil {
		return nil, fault.New(fault.Permanent, "google_workspace: what was before is not readable")
	}
	u := &fileUndo{s: s, was: was, plan: &sources.Plan{Target: sources.Subject{Kind: e.Request.Kind, ID: e.Request.Target}}}
	if err := u.subjects(ctx, e); err != nil {
		return nil, err
	}
	opposites := 0
	for _, done := range slices.Backward(e.Steps) {
		a, o, err := decodeFileStep(done.Step)
		if err != nil {
			return nil, err
		}
		back, err := o.undo(ctx, u, a, fileAnswer(done.Receipt))
		if err != nil {
			return nil, err
		}
		opposites += len(back)
		still := false
		for i := range back {
			out, err := fileOp(back[i].Op).check(ctx, s, &back[i], &fileKept{})
			if err != nil && !unseen(err) {
				return nil, err
			}
			if err == nil && out == sources.Done {
				continue
			}
			still = true
			st := fileStep("undo:"+done.Step.Name+suffix(i), back[i])
			u.plan.Diff = append(u.plan.Diff, sources.Change{What: st.Doc + " (" + done.Step.Name + ")", After: "as before " + string(e.Request.Action)})
			u.plan.Steps = append(u.plan.Steps, st)
		}
		if still {
			u.now.InEffect = append(u.now.InEffect, done.Step.Name)
		}
	}
	if opposites == 0 && len(u.plan.Limits) > 0 {
		return nil, fault.New(fault.Permanent, "google_workspace: it cannot be undone: %s", u.plan.Limits[0])
	}
	u.plan.Limits = sortedUnique(u.plan.Limits)
	u.plan.Before = encode(u.now)
	return u.plan, nil
}

func suffix(i int) string {
	if i == 0 {
		return ""
	}
	return ":" + string(rune('1'+i))
}

// fileUndo is an effect that is being taken back.
type fileUndo struct {
	s    *session
	was  fileBefore
	now  fileBefore
	plan *sources.Plan
	back bool // a step that was planned puts it where it was
}

// subjects reads the file again, as who acted on it last, or who sees it now.
func (u *fileUndo) subjects(ctx context.Context, e sources.Effect) error {
	for _, done := range slices.Backward(e.Steps) {
		a, _, err := decodeFileStep(done.Step)
		if err != nil {
			return err
		}
		f, err := u.s.seen(ctx, a)
		if err != nil && !unseen(err) {
			return err
		}
		if err == nil {
			u.now = fileBefore{Owner: f.owner(), Drive: f.DriveID, Parent: f.parent(), Trashed: f.Trashed, Head: f.Head}
			u.plan.Target.Name, u.plan.Target.Aliases = f.Name, nonEmpty(f.WebViewLink)
			break
		}
	}
	if u.was.Drive != "" {
		u.plan.Also = append(u.plan.Also, sources.Subject{Kind: sources.TargetBucket, ID: u.was.Drive})
		return nil
	}
	return u.s.ownerSubject(ctx, u.plan, u.was.Owner)
}

func (u *fileUndo) limit(words string) { u.plan.Limits = append(u.plan.Limits, words) }
