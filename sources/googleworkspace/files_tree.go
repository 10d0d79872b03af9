package googleworkspace

import (
	"context"
	"net/url"
	"strings"

	"weir/sources/httpx"
)

const (
	// maxFolders bounds the folders of a drive that are known from its listing;
	// others are asked for as they are needed, and maxAsked of those are kept.
	maxFolders = 50_000
	maxAsked   = 5_000
	maxDepth   = 200 // of folders; Drive has a limit of 100

	folderFields = "id,name,parents,hasAugmentedPermissions,inheritedPermissionsDisabled"
	queryFolders = "mimeType='" + mimeFolder + "'"
)

// folder is one of a drive's, as far as paths, and what reaches items, need it.
type folder struct {
	name, parent string
	granted      bool // it has permissions of its own
	cut          bool // it inherits none
}

func (w *wireFile) folder() folder {
	f := folder{name: w.Name, granted: w.Augmented, cut: w.Cut}
	if len(w.Parents) > 0 {
		f.parent = w.Parents[0]
	}
	return f
}

// tree knows the folders of a drive: all of them, as far as there is room, or
// those that were asked for.
type tree struct {
	root    string
	folders map[string]folder
	asked   map[string]folder
	ask     func(ctx context.Context, id string) (folder, error)
}

func newTree(root string, ask func(ctx context.Context, id string) (folder, error)) *tree {
	return &tree{root: root, folders: map[string]folder{}, asked: map[string]folder{}, ask: ask}
}

// know keeps a folder of a listing.
func (t *tree) know(w *wireFile) {
	if len(t.folders) < maxFolders && w.ID != "" {
		t.folders[w.ID] = w.folder()
	}
}

// path is where an item is, below the root, or below the highest folder that can
// be seen.
func (t *tree) path(ctx context.Context, w *wireFile) (string, error) {
	names := []string{w.Name}
	at := ""
	if len(w.Parents) > 0 {
		at = w.Parents[0]
	}
	for at != "" && at != t.root && len(names) < maxDepth {
		f, err := t.folder(ctx, at)
		if err != nil {
			return "", err
		}
		if f == (folder{}) {
			break // out of sight
		}
		names = append(names, f.name)
		at = f.parent
	}
	var b strings.Builder
	for i := len(names) - 1; i >= 0; i-- {
		b.WriteString(names[i])
		if i > 0 {
			b.WriteByte('/')
		}
	}
	return b.String(), nil
}

// folder returns a folder; the zero one is out of sight.
func (t *tree) folder(ctx context.Context, id string) (folder, error) {
	if f, ok := t.folders[id]; ok {
		return f, nil
	}
	if f, ok := t.asked[id]; ok {
		return f, nil
	}
	f, err := t.ask(ctx, id)
	if err != nil && !invisible(err) {
		return folder{}, err
	}
	if len(t.asked) >= maxAsked {
		clear(t.asked)
	}
	t.asked[id] = f
	return f, nil
}

// askFolder asks for a folder.
func (l *library) askFolder(c *httpx.Client) func(ctx context.Context, id string) (folder, error) {
	return func(ctx context.Context, id string) (folder, error) {
		resp, err := c.Do(ctx, &httpx.Request{Path: httpx.P(pathFile, id), Query: url.Values{"supportsAllDrives": {"true"}, "fields": {folderFields}}})
		if err != nil {
			return folder{}, err
		}
		var w wireFile
		if err := httpx.Decode(resp, &w); err != nil {
			return folder{}, err
		}
		return w.folder(), nil
	}
}
