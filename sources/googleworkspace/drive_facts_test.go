package googleworkspace_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/rowtest"
	sandboxgoogle "weir/internal/sandbox/googleworkspace"
	"weir/internal/sourcetest"
	"weir/schemas"
	"weir/sources"
)

// What only changes and actions show of Drive is as the sheet has it: each fact
// told wrongly is noticed.
func TestDriveFacts(t *testing.T) {
	t.Parallel()
	sourcetest.NotUnderRace(t)
	byName := map[string]sandboxgoogle.Flip{}
	for _, f := range slices.Concat(sandboxgoogle.Flips(), sandboxgoogle.DriveFlips()) {
		byName[f.Name] = f
	}
	for _, c := range []struct {
		flip string
		try  func(ctx context.Context, site *sourcetest.Site) error
	}{
		{"", changesAreTrue},
		{"the token of what changes later is called startPageToken", changesAreTrue},
		{"", overwritten},
		{"md5Checksum is md5", overwritten},
	} {
		t.Run(c.flip, func(t *testing.T) {
			t.Parallel()
			facts := sandboxgoogle.Default()
			if c.flip != "" {
				require.Contains(t, byName, c.flip)
				flip := byName[c.flip]
				flip.Apply(&facts)
			}
			f := fixture()
			site := f.NewSite(t, sourcetest.SiteOptions{People: 30, Vendor: vendor(facts), Speed: 3600})
			err := c.try(t.Context(), site)
			if c.flip == "" {
				require.NoError(t, err)
			} else {
				require.Error(t, err, "nobody noticed")
				t.Logf("noticed: %.200v", err)
			}
		})
	}
}

// changesAreTrue reads every drive, lets the organization live for a day, and
// then only the changes: what was and what changed must be the truth.
func changesAreTrue(ctx context.Context, site *sourcetest.Site) error {
	all := site.Session().Streams()
	files := all[slices.IndexFunc(all, func(s sources.Stream) bool { return s.Info.Name == "files" })]
	table := schemas.ByName("files")
	have, from := map[string]rowtest.Row{}, map[sources.Lane]sources.Cursor{}
	lane := map[string]sources.Lane{} // who showed a row last
	take := func(l sources.Lane, page *sources.Page) {
		for key, row := range must(rowtest.ByKey(table, page.Rows)) {
			have[key], lane[key] = row, l
		}
		for _, g := range page.Gone {
			for key, row := range have {
				if g.Table == "files" && row["file_id"] == g.Key[0] && (!g.Own || lane[key] == l) {
					delete(have, key)
				}
			}
		}
	}
	read := func(l sources.Lane) error {
		for p, err := range files.Read(ctx, l, "") {
			if err != nil {
				return err
			}
			take(l, p)
			from[l] = p.Delta
		}
		return nil
	}
	for page, err := range files.Lanes(ctx, "") {
		if err != nil {
			return err
		}
		for _, l := range page.Lanes {
			if err := read(l); err != nil {
				return err
			}
		}
	}
	site.Tenant.World.Thaw()
	<-site.Clock.After(24 * time.Hour)
	site.Truth() // it lives as far as somebody looks
	site.Tenant.World.Freeze()
	changed := 0
	for l, at := range from {
		if at == "" {
			continue
		}
		for p, err := range files.Delta(ctx, l, at) {
			if fault.Of(err) == fault.Expired { // its reader is no member any more
				if err := read(l); err != nil {
					return err
				}
				break
			}
			if err != nil {
				return fmt.Errorf("changes of %s: %w", l.ID, err)
			}
			changed += len(p.Rows.Files) + len(p.Gone)
			take(l, p)
		}
	}
	if changed == 0 {
		return fmt.Errorf("nothing changed")
	}
	var wrong []string
	for key, want := range must(rowtest.ByKey(table, site.Truth())) {
		got := have[key]
		// Not parent_id: that a folder is not seen any more no log of its items tells.
		for _, column := range []string{"name", "trashed", "hash", "revision", "owner_id"} {
			if fmt.Sprint(got[column]) != fmt.Sprint(want[column]) {
				wrong = append(wrong, fmt.Sprintf("%s: %s is %v, want %v", key, column, got[column], want[column]))
			}
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d columns are wrong: %s", len(wrong), strings.Join(wrong[:min(5, len(wrong))], "; "))
	}
	return nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// overwritten plans that a file's content is replaced.
func overwritten(ctx context.Context, site *sourcetest.Site) error {
	truth := site.Truth()
	governor := site.Session().(sources.Governor)
	for i := range truth.Files {
		f := &truth.Files[i]
		if f.Kind != "file" || f.Hash == "" || f.Trashed.Value || !strings.HasPrefix(f.ContainerID, "mydrive:") {
			continue
		}
		_, err := governor.Plan(ctx, sources.ActionRequest{
			ID: "a1", Action: sources.OverwriteFile, Kind: sources.TargetFile, Target: f.FileID, Params: map[string]string{"container": f.ContainerID},
		})
		return err
	}
	return fmt.Errorf("there is no file")
}
