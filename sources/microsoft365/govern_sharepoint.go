package microsoft365

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// Paths of SharePoint's REST API, below a site.
const (
	spRecycle = "/_api/web/GetFileById('{id}')/recycle()"
	spBin     = "/_api/site/RecycleBin"
	spRestore = "/_api/site/RecycleBin/RestoreByIds"
	spBreak   = "/_api/web/GetFileByServerRelativePath(DecodedUrl='{url}')/ListItemAllFields/breakroleinheritance(false)"
	spReset   = "/_api/web/GetFileByServerRelativePath(DecodedUrl='{url}')/ListItemAllFields/resetroleinheritance"
)

const maySharePoint = "Sites.FullControl.All of SharePoint (with a certificate)"

// sitePlace is where SharePoint keeps a file.
type sitePlace struct {
	URL    string `json:"url"`              // of the site
	Unique string `json:"unique,omitempty"` // listItemUniqueId
	Path   string `json:"path,omitempty"`   // from the host's root on, not escaped
}

// certified tells whether the app has the certificate without which SharePoint's
// own API refuses.
func (s *session) certified() bool { return !s.cfg.Auth.Certificate.IsZero() }

// site is where the plan's file is at SharePoint; nil: that is not told.
func (p *filePlan) site() *sitePlace {
	at := &sitePlace{URL: first(p.n.IDs.SiteURL, p.d.siteURL()), Unique: lower(p.n.IDs.Unique)}
	root, err := url.Parse(p.d.WebURL)
	_, folder, ok := strings.Cut(p.n.Parent.Path, "root:")
	if err != nil || !ok || at.URL == "" || !isGUID(at.Unique) {
		return nil
	}
	folder, err = url.PathUnescape(folder)
	if err != nil {
		return nil
	}
	at.Path = strings.TrimSuffix(root.Path, "/") + strings.TrimSuffix(folder, "/") + "/" + p.n.Name
	return at
}

// siteURL is the address of a drive's site: that of the drive, without its
// library.
func (d *govLibrary) siteURL() string {
	if d.IDs.SiteURL != "" {
		return d.IDs.SiteURL
	}
	i := strings.LastIndexByte(d.WebURL, '/')
	if u, err := url.Parse(d.WebURL); i < 0 || err != nil || u.Path == "" || u.Path == "/" {
		return ""
	}
	return d.WebURL[:i]
}

// sharePoint returns a client of a site's host, and the path of the site there.
// A host that is not SharePoint's gets no credentials.
func (s *session) sharePoint(site string) (*httpx.Client, string, error) {
	if !s.certified() {
		return nil, "", fault.New(fault.Forbidden, "microsoft365: SharePoint's REST API takes apps with a certificate alone: set auth.certificate and auth.private_key")
	}
	u, err := url.Parse(site)
	if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Port() != "" || !strings.HasSuffix(lower(u.Hostname()), s.hosts.sharePoint) {
		return nil, "", fault.New(fault.BadData, "microsoft365: a file's site is at %.200q, which is none of SharePoint's (https://*%s)", site, s.hosts.sharePoint)
	}
	origin := "https://" + lower(u.Hostname())
	s.gov.mu.Lock()
	defer s.gov.mu.Unlock()
	c := s.gov.sharepoint[origin]
	if c == nil {
		tokens, err := newTokens(s.env, s.cfg, origin)
		if err != nil {
			return nil, "", err
		}
		c, err = s.env.HTTP.Client(httpx.Config{
			BaseURL: first(s.cfg.SharePointBaseURL, origin),
			Header:  http.Header{"Accept": {"application/json;odata=nometadata"}, "Content-Type": {"application/json"}},
			Auth:    tokens, Buckets: map[string]httpx.Limit{"": {Concurrency: 4}}, Quota: quota, Classify: classify,
		})
		if err != nil {
			return nil, "", err
		}
		if s.gov.sharepoint == nil {
			s.gov.sharepoint = map[string]*httpx.Client{}
		}
		s.gov.sharepoint[origin] = c
	}
	return c, strings.Trim(u.Path, "/"), nil
}

// sitePath is the path of a request below a site.
func sitePath(site, template string, ids ...string) httpx.Path {
	if site == "" { // the root of the host
		return httpx.P(template, ids...)
	}
	return httpx.P("/{site...}"+template, append([]string{site}, ids...)...)
}

// quoted is a text between the single quotes of a function's argument.
func quoted(s string) string { return strings.ReplaceAll(s, "'", "''") }

func (s *session) siteWrite(ctx context.Context, at *sitePlace, body any, template string, ids ...string) (sources.Receipt, *httpx.Response, error) {
	c, site, err := s.sharePoint(at.URL)
	if err != nil {
		return sources.Receipt{}, nil, err
	}
	receipt, resp, err := govWrite(ctx, c, post(sitePath(site, template, ids...), body))
	return receipt, resp, naming(err, maySharePoint)
}

func (s *session) recycle(ctx context.Context, at *sitePlace) (sources.Receipt, error) {
	receipt, resp, err := s.siteWrite(ctx, at, nil, spRecycle, at.Unique)
	if err != nil {
		return receipt, err
	}
	var body struct {
		Value string `json:"value"`
	}
	if httpx.Decode(resp, &body) == nil && isGUID(body.Value) { // else the bin is searched
		receipt.Data = encode(kept{Bin: body.Value})
	}
	return receipt, nil
}

func (s *session) restoreByID(ctx context.Context, at *sitePlace, bin string) (sources.Receipt, error) {
	receipt, _, err := s.siteWrite(ctx, at, map[string][]string{"ids": {bin}}, spRestore)
	return receipt, err
}

// binRow is a file in a site's recycle bin.
type binRow struct {
	ID      string `json:"Id"`
	Leaf    string `json:"LeafName"`
	Dir     string `json:"DirName"`
	Deleted string `json:"DeletedDate"`
	Kind    int    `json:"ItemType"`
}

func (r *binRow) path() string { return "/" + strings.Trim(r.Dir, "/") + "/" + r.Leaf }

// bin lists the files in both stages of a site's recycle bin.
func (s *session) bin(ctx context.Context, siteURL string) (out []binRow, err error) {
	c, site, err := s.sharePoint(siteURL)
	if err != nil {
		return nil, err
	}
	for _, stage := range []string{"1", "2"} {
		rows, err := govList[binRow](ctx, c, &httpx.Request{Path: sitePath(site, spBin), Query: url.Values{"$filter": {"(ItemState eq " + stage + ")"}}})
		if err != nil {
			return nil, naming(err, maySharePoint)
		}
		out = append(out, rows...)
	}
	return slices.DeleteFunc(out, func(r binRow) bool { return r.Kind > 1 }), nil // folders and the like
}

// binned finds a file in the bin by where it was. When there are several of the
// name, the one that was deleted last is meant.
func (s *session) binned(ctx context.Context, at *sitePlace) (*binRow, error) {
	rows, err := s.bin(ctx, at.URL)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r binRow) bool { return r.path() != at.Path })
	slices.SortFunc(rows, func(a, b binRow) int { return strings.Compare(b.Deleted, a.Deleted) })
	if len(rows) == 0 {
		return nil, fault.New(fault.Permanent, "microsoft365: the recycle bin has no %q any more", at.Path)
	}
	if len(rows) > 1 && rows[0].Deleted == rows[1].Deleted {
		return nil, fault.New(fault.Permanent, "microsoft365: the recycle bin has several %q, deleted at the same time", at.Path)
	}
	return &rows[0], nil
}

// fromBin plans the way back from the trash. The bin does not tell which item of
// the drive a row was: who asks names it, by its id there or by its name.
func (p *filePlan) fromBin(ctx context.Context) error {
	id, name := p.r.Params["bin"], p.r.Params["name"]
	if id == "" && name == "" {
		return fault.New(fault.BadData, "microsoft365: %s is not in its drive: params.bin or params.name must say which row of the recycle bin it is", p.r.Target)
	}
	library, err := url.Parse(p.d.WebURL)
	site := p.d.siteURL()
	if err != nil || site == "" {
		return fault.New(fault.Permanent, "microsoft365: drive %s does not tell its site", p.d.ID)
	}
	rows, err := p.s.bin(ctx, site)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(r binRow) bool {
		return !strings.HasPrefix(r.path(), strings.TrimSuffix(library.Path, "/")+"/") || id != "" && !strings.EqualFold(r.ID, id) || name != "" && r.Leaf != name
	})
	switch {
	case len(rows) == 0:
		return fault.New(fault.BadData, "microsoft365: the recycle bin has no such file of drive %q", p.d.Name)
	case len(rows) > 1:
		return fault.New(fault.Permanent, "microsoft365: the recycle bin has %d files of that name, %s and %s among them: params.bin says which", len(rows), rows[0].ID, rows[1].ID)
	}
	r := rows[0]
	p.Target.Name = r.Leaf
	p.state.Name, p.state.Bin = r.Leaf, r.ID
	a := p.at(opUntrash)
	a.Bin, a.Site = r.ID, &sitePlace{URL: site, Path: r.path()}
	p.add(opUntrash, a, sources.Change{What: "file " + r.Leaf, Before: "in the recycle bin, deleted " + r.Deleted, After: "at " + r.path()})
	p.Limits = append(p.Limits, "The recycle bin does not tell which item a file was: that it is this one shows when it is back.")
	return nil
}
