package microsoft365

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

const (
	govCopy   = "/v1.0/drives/{drive}/items/{item}/copy"
	govNamed  = "/v1.0/drives/{drive}/items/{folder}:/{name}"
	govFolder = "/v1.0/drives/{drive}/items/{folder}"
)

// Ops that copy and move.
const (
	opCopy   = "copy_file"
	opUncopy = "delete_copy"
	opMove   = "move_file"
)

// Values of the parameter mode.
const (
	modeCopy = "copy"
	modeMove = "move"
)

func moveOp(name string) *op {
	switch name {
	case opCopy:
		return &op{"copy the file to the quarantine", []string{mayFiles}, copyFile, copied, func(_ context.Context, _ *session, a *args, _ *kept) (*args, string, error) {
			back := *a
			back.Op = opUncopy
			return &back, "", nil
		}}
	case opUncopy:
		return &op{"delete the copy", []string{mayFiles}, deleteCopy, copyGone, stays("the copy is in the recycle bin of the quarantine's site")}
	case opMove:
		return &op{"move the file", []string{mayFiles}, moveFile, moved, moveBack}
	}
	return nil
}

// place is a folder of a drive, with the name that a file has there.
type place struct {
	Drive  string `json:"drive"`
	Folder string `json:"folder"`
	Name   string `json:"name"`
}

func (q *place) key() string { return q.Drive + "/" + q.Folder + "/" + q.Name }

// copyAt reads a copy by its place; nil: there is none.
func (s *session) copyAt(ctx context.Context, q *place) (*govItem, error) {
	n := &govItem{}
	err := govGet(ctx, s.graph, &httpx.Request{Path: httpx.P(govNamed, q.Drive, q.Folder, q.Name), Query: url.Values{"$select": {fileColumns}}}, n)
	switch {
	case isGone(err):
		return nil, nil //nolint:nilnil // what is not there is no error here
	case err != nil:
		return nil, naming(err, mayFiles)
	case n.Parent.ID != "" && n.Parent.ID != q.Folder || n.Name != q.Name || n.File == nil:
		return nil, fault.New(fault.Permanent, "microsoft365: in the quarantine is %q, where the copy %q should be", n.Name, q.Name)
	}
	return n, nil
}

// copyFile begins a copy, which the vendor makes in its own time.
func copyFile(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	if _, err := s.unchanged(ctx, a); err != nil {
		return sources.Receipt{}, err
	}
	r := post(httpx.P(govCopy, a.Drive, a.Item), map[string]any{"parentReference": map[string]string{"driveId": a.Place.Drive, "id": a.Place.Folder}, "name": a.Place.Name})
	r.Query = url.Values{"@microsoft.graph.conflictBehavior": {"fail"}}
	receipt, resp, err := govWrite(ctx, s.graph, r)
	if err != nil {
		return receipt, err
	}
	receipt.Pending = resp.Status == http.StatusAccepted
	if at := resp.Header.Get("Location"); receipt.Pending && at != "" {
		s.gov.watch(a.Place.key(), at)
	}
	return receipt, nil
}

func (g *governing) watch(key, at string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.monitors == nil {
		g.monitors = map[string]string{}
	}
	if at == "" {
		delete(g.monitors, key)
		return
	}
	if len(g.monitors) < maxMonitors {
		g.monitors[key] = at
	}
}

const maxMonitors = 1000

// copied tells by the copy itself: it is whole when size and hash are those of
// the file. While it is not there, the vendor's monitor tells whether the job
// has failed, as long as this process knows its address.
func copied(ctx context.Context, s *session, a *args, _ *kept, pending bool) (sources.Outcome, error) {
	c, err := s.copyAt(ctx, a.Place)
	switch {
	case err != nil:
		return sources.Unknown, err
	case c != nil && c.content().holds(a.Content):
		s.gov.watch(a.Place.key(), "")
		return sources.Done, nil
	case pending:
		return s.monitored(ctx, a.Place.key())
	case c != nil:
		return sources.Unknown, nil // another's, or on its way
	}
	return sources.NotDone, nil
}

// monitored asks how a copy is doing. The monitor's address opens without
// credentials, and gets none.
func (s *session) monitored(ctx context.Context, key string) (sources.Outcome, error) {
	s.gov.mu.Lock()
	at := s.gov.monitors[key]
	s.gov.mu.Unlock()
	if at == "" {
		return sources.Pending, nil
	}
	c, r, err := s.monitor(at)
	if err != nil {
		return sources.Pending, nil //nolint:nilerr // an address elsewhere: the copy itself will tell
	}
	var job struct {
		Status string `json:"status"`
	}
	resp, err := c.Do(ctx, r)
	if err == nil {
		err = httpx.Decode(resp, &job)
	}
	switch {
	case err == nil && lower(job.Status) == "failed":
		s.gov.watch(key, "")
		return sources.NotDone, nil
	case err != nil && httpx.NotFound(err):
		s.gov.watch(key, "") // it has ended long since
	}
	return sources.Pending, nil
}

// monitor returns a client without credentials for a job's address, which must
// be one of the vendor's.
func (s *session) monitor(at string) (*httpx.Client, *httpx.Request, error) {
	u, err := url.Parse(at)
	if err != nil || u.User != nil || u.Fragment != "" {
		return nil, nil, fault.New(fault.BadData, "microsoft365: the monitor's address is none")
	}
	base := ""
	for _, b := range []string{s.hosts.graph, s.cfg.SharePointBaseURL} {
		if b != "" && strings.HasPrefix(at, b+"/") {
			base = b
		}
	}
	if base == "" && u.Scheme == "https" && u.Port() == "" && strings.HasSuffix(lower(u.Hostname()), s.hosts.sharePoint) {
		base = "https://" + u.Host
	}
	if base == "" {
		return nil, nil, fault.New(fault.BadData, "microsoft365: the monitor of a copy is at %.100q, which is no host of the vendor's", u.Host)
	}
	c, err := s.env.HTTP.Client(httpx.Config{BaseURL: base, Header: http.Header{"Accept": {"application/json"}}, Classify: classify})
	if err != nil {
		return nil, nil, err
	}
	r, err := c.Follow(at, httpx.P("/{monitor}", "monitor"))
	return c, r, err
}

// deleteCopy deletes the copy, to the recycle bin, once the file is as before.
func deleteCopy(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	n, err := s.item(ctx, a.Drive, a.Item)
	if err != nil {
		return sources.Receipt{}, err
	}
	if !n.content().holds(a.Content) {
		return sources.Receipt{}, fault.New(fault.Permanent, "microsoft365: %q is not as it was before: its copy stays", n.Name)
	}
	c, err := s.copyAt(ctx, a.Place)
	if err != nil {
		return sources.Receipt{}, err
	}
	if c == nil {
		return sources.Receipt{}, fault.New(fault.BadData, "microsoft365: the copy is gone already")
	}
	return s.graphWrite(ctx, remove(httpx.P(govFile, a.Place.Drive, c.ID)))
}

func copyGone(ctx context.Context, s *session, a *args, _ *kept, _ bool) (sources.Outcome, error) {
	c, err := s.copyAt(ctx, a.Place)
	return doneIf(err == nil && c == nil, err)
}

func moveFile(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	return s.graphWrite(ctx, patch(httpx.P(govFile, a.Drive, a.Item), map[string]any{"parentReference": map[string]string{"id": a.Place.Folder}, "name": a.Place.Name}))
}

func moved(ctx context.Context, s *session, a *args, _ *kept, _ bool) (sources.Outcome, error) {
	n, err := s.item(ctx, a.Drive, a.Item)
	return doneIf(err == nil && n.Parent.ID == a.Place.Folder && n.Name == a.Place.Name, err)
}

func moveBack(ctx context.Context, s *session, a *args, _ *kept) (*args, string, error) {
	n, err := s.item(ctx, a.Drive, a.Item)
	if err != nil {
		return nil, "", err
	}
	at := place{a.Drive, n.Parent.ID, n.Name}
	if at != *a.Place && at != *a.From {
		return nil, "", fault.New(fault.Permanent, "microsoft365: the file was moved on since: it is left alone")
	}
	back := *a
	back.Place, back.From = a.From, a.Place
	return &back, "", nil
}

// quarantineName is the name of a file in the quarantine: the same for the same
// file, so that a copy is found again.
func quarantineName(drive, item, name string) string {
	sum := sha256.Sum256([]byte(drive + "/" + item))
	const most = 100
	if len(name) > most {
		name = strings.ToValidUTF8(name[len(name)-most:], "")
	}
	return hex.EncodeToString(sum[:6]) + " " + strings.TrimSpace(name)
}

// quarantinePlace is where the plan's file goes. The folder must be there.
func (p *filePlan) quarantinePlace(ctx context.Context) (*place, error) {
	q := p.s.cfg.Actions.Quarantine
	if q.Drive == "" || q.Folder == "" {
		return nil, fault.New(fault.Permanent, "microsoft365: set actions.quarantine.drive and folder: where files in quarantine are kept")
	}
	f := &govItem{}
	err := govGet(ctx, p.s.graph, &httpx.Request{Path: httpx.P(govFolder, q.Drive, q.Folder), Query: url.Values{"$select": {fileColumns}}}, f)
	switch {
	case isGone(err):
		return nil, fault.New(fault.Permanent, "microsoft365: the quarantine's folder %s is not in drive %s", q.Folder, q.Drive)
	case err != nil:
		return nil, naming(err, mayFiles)
	case f.ID != q.Folder || f.Folder == nil:
		return nil, fault.New(fault.Permanent, "microsoft365: actions.quarantine.folder %s is no folder", q.Folder)
	}
	return &place{q.Drive, q.Folder, quarantineName(p.d.ID, p.n.ID, p.n.Name)}, nil
}

// copyAway adds a copy of the file in the quarantine.
func (p *filePlan) copyAway(ctx context.Context) error {
	to, err := p.quarantinePlace(ctx)
	if err != nil {
		return err
	}
	c, err := p.s.copyAt(ctx, to)
	if err != nil {
		return err
	}
	if c != nil && !c.content().holds(p.state.Content) {
		return fault.New(fault.Permanent, "microsoft365: the quarantine holds another content of this file as %q: move that away first", to.Name)
	}
	a := p.at(opCopy)
	a.Content, a.Place = p.state.Content, to
	if p.state.Content.Hash == "" {
		p.Limits = append(p.Limits, "The vendor tells no hash of this file: the copy is compared by its size.")
	}
	p.add(opCopy, a, sources.Change{What: "copy in the quarantine", Before: "none", After: fmt.Sprintf("%q, %d bytes", to.Name, p.n.Size)})
	return nil
}

// quarantine plans a copy out of everybody's reach, a note in the file's place,
// and the end of its sharing; or, within a drive, a move.
func (p *filePlan) quarantine(ctx context.Context) error {
	all, err := p.s.shares(ctx, p.d.ID, p.n.ID)
	if err != nil {
		return err
	}
	if p.r.Params["mode"] == modeMove {
		to, err := p.quarantinePlace(ctx)
		if err != nil {
			return err
		}
		if to.Drive != p.d.ID {
			return fault.New(fault.Permanent, "microsoft365: files do not move from drive to drive: with mode %s the quarantine must be in the file's own", modeMove)
		}
		a := p.at(opMove)
		a.Place, a.From = to, &place{p.d.ID, p.n.Parent.ID, p.n.Name}
		p.add(opMove, a, sources.Change{What: "place of " + p.n.Name, Before: "in " + first(p.n.Parent.Path, p.n.Parent.ID), After: "in the quarantine, as " + to.Name})
		p.Limits = append(p.Limits, "Who may open the quarantine's folder may open the file.")
		return p.drop(all, func(o *share) bool { return !o.owner() && !o.Inherited }, false)
	}
	versions, err := p.s.versions(ctx, p.d.ID, p.n.ID)
	if err != nil {
		return err
	}
	if len(versions) == 0 {
		return fault.New(fault.Permanent, "microsoft365: the versions of %q cannot be listed", p.n.Name)
	}
	if err := p.copyAway(ctx); err != nil {
		return err
	}
	if err := p.overwrite(versions[0].ID, fmt.Sprintf(textQuarantined, p.r.ID)); err != nil {
		return err
	}
	return p.drop(all, func(o *share) bool { return !o.owner() }, true)
}
