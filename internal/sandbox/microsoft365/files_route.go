package microsoft365

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// Permissions that let an app read sites and files, the least first (3.6).
var (
	readSites    = []string{"Sites.Read.All", "Sites.ReadWrite.All", "Sites.FullControl.All"}
	readAllFiles = append([]string{"Files.Read.All", "Files.ReadWrite.All"}, readSites...)
)

// What requests about files cost in resource units (6), in the terms of a route.
const (
	costsOne = iota
	costsList
	costsDelta
	costsPermissions
)

// driveRoot is the path of a drive's root folder.
const driveRoot = "drives/*/root"

func fileRoutes() []route {
	sites := func(pattern string, cost int, serve func(*call) *failure) route {
		return route{http.MethodGet, segments(pattern), bucketFiles, cost, readSites, serve}
	}
	files := func(pattern string, cost int, serve func(*call) *failure) route {
		return route{http.MethodGet, segments(pattern), bucketFiles, cost, readAllFiles, serve}
	}
	return []route{
		sites("sites", costsList, (*call).sites),
		sites("sites/getAllSites", costsList, (*call).allSites),
		sites("sites/delta", costsDelta, (*call).sitesDelta),
		sites("sites/*", costsOne, (*call).site),
		sites("sites/*/drives", costsList, (*call).siteDrives),
		files("users/*/drive", costsOne, (*call).userDrive),
		files("groups/*/drives", costsList, (*call).groupDrives),
		files("drives/*", costsOne, (*call).oneDrive),
		files(driveRoot, costsOne, (*call).item),
		files(driveRoot+"/delta", costsDelta, (*call).delta),
		files(driveRoot+"/permissions", costsPermissions, (*call).permissions),
		files("drives/*/items/*", costsOne, (*call).item),
		files("drives/*/items/*/permissions", costsPermissions, (*call).permissions),
		files("drives/*/items/*/permissions/*", costsPermissions, (*call).permission),
	}
}

// units are what a request costs.
func (c *call) units(cost int) int {
	f := &c.h.facts.OfficeFacts
	switch {
	case cost == costsPermissions:
		return f.PermitUnits
	case cost == costsDelta && c.q.Get("token")+c.q.Get("$deltatoken")+c.q.Get("$skiptoken") != "":
		return f.DeltaUnits
	case cost == costsDelta || cost == costsList:
		return f.ListUnits
	}
	return 1
}

// spend takes units of an app's, tells what is left when it is little, and refuses
// what is too much: with 429, and every fourth time with 503.
func (c *call) spend(rt *route) *failure {
	h, f := c.h, &c.h.facts.OfficeFacts
	cost, factor := c.units(rt.units), unitsFactor(len(c.s.Accounts[org.Microsoft365]))
	limit := f.UnitsPerMinute * factor
	used, left := h.limits.take("files minute "+c.who.client, c.s.Now, cost, time.Minute)
	today, untilMidnight := h.limits.take("files day "+c.who.client, c.s.Now, cost, day)
	if today > f.UnitsDay*factor {
		used, left = limit+1, untilMidnight
	}
	seconds := strconv.Itoa(max(1, int((left+time.Second-1)/time.Second)))
	if used*10 >= limit*8 {
		head := c.w.Header()
		head.Set("RateLimit-Limit", strconv.Itoa(limit))
		head.Set("RateLimit-Remaining", strconv.Itoa(max(0, limit-used)))
		head.Set("RateLimit-Reset", seconds)
	}
	if used <= limit {
		return nil
	}
	c.w.Header().Set("Retry-After", seconds)
	if h.refusals.Add(1)%4 == 0 {
		return refuse(http.StatusServiceUnavailable, "serviceNotAvailable", "The service is too busy.")
	}
	return refuse(f.TooManyStatus, "activityLimitReached", "The app or user has been throttled.")
}

// unitsFactor is how many times the smallest organization's units one of so many
// licences has.
func unitsFactor(licences int) int {
	factor := 1
	for _, most := range []int{1000, 5000, 15_000, 50_000} {
		if licences > most {
			factor++
		}
	}
	return factor
}

func noItem() *failure {
	return refuse(http.StatusNotFound, "itemNotFound", "The resource could not be found.")
}

// sites lists them for a search, which has to be for all.
func (c *call) sites() *failure {
	if c.q.Get("search") != "*" {
		return refuse(http.StatusBadRequest, "invalidRequest", "The sandbox lists sites by getAllSites, delta or search=*.")
	}
	return c.allSites()
}

func (c *call) allSites() *failure {
	most := c.h.facts.SitesPage
	return c.list(Page{most, most}, len(c.s.Office.Sites), c.siteView)
}

// sitesDelta lists the sites from a token on: they are made, but never change.
func (c *call) sitesDelta() *failure {
	all, from := len(c.s.Office.Sites), 0
	const list = "sites delta"
	switch token := c.q.Get("$deltatoken"); token {
	case "":
	case "latest":
		from = all
	default:
		if !c.h.unseal(list, token, &from) || from < 0 || from > all {
			return c.crafted(token)
		}
	}
	at, f := c.position()
	if f != nil {
		return f
	}
	most := c.h.facts.SitesPage
	top, f := c.top(Page{most, most})
	if f != nil {
		return f
	}
	at = max(at, from)
	end := min(at+top, all)
	value := []object{}
	for n := at; n < end; n++ {
		value = append(value, c.chosen(c.siteView(n), c.option("$select")))
	}
	c.page(value, func(out object) {
		if end < all {
			out[c.h.facts.NextLink] = c.link(c.h.seal(c.path, end))
			return
		}
		q := url.Values{"$deltatoken": {c.h.seal(list, end)}}
		for _, k := range []string{"$select", "$top"} {
			if v := c.q.Get(k); v != "" {
				q.Set(k, v)
			}
		}
		out[c.h.facts.DeltaLink] = c.url(q)
	})
	return nil
}

func (c *call) site() *failure {
	n := c.h.siteN(c.s, c.args[0])
	if n < 0 {
		return noItem()
	}
	return c.one(c.siteView(n))
}

func (c *call) siteDrives() *failure {
	n := c.h.siteN(c.s, c.args[0])
	if n < 0 {
		return noItem()
	}
	return c.drivesOf(c.s.Office.Sites[n])
}

func (c *call) drivesOf(site *org.Site) *failure {
	for _, n := range site.Drives {
		if c.s.Office.Drives[n].Locked {
			return c.locked()
		}
	}
	return c.list(Page{200, 200}, len(site.Drives), func(i int) object { return c.driveView(c.s.Office.Drives[site.Drives[i]]) })
}

func (c *call) locked() *failure {
	return refuse(c.h.facts.LockedStatus, "resourceLocked", "Access to this site has been blocked.")
}

func (c *call) userDrive() *failure {
	a := c.findAccount(c.args[0])
	if a == nil {
		return c.notFound(c.args[0])
	}
	n := c.s.Office.DriveOf(a.N)
	if n < 0 {
		return refuse(c.h.facts.NoDriveStatus, "ResourceNotFound", "User's mysite not found.")
	}
	d := c.s.Office.Drives[n]
	if d.Locked {
		return c.locked()
	}
	return c.one(c.driveView(d))
}

func (c *call) groupDrives() *failure {
	group := c.h.groupN(c.s, c.args[0])
	for _, s := range c.s.Office.Sites {
		if group >= 0 && s.Group == group {
			return c.drivesOf(s)
		}
	}
	return c.notFound(c.args[0])
}

// place finds the drive that a path names, and its item: the root, if it names
// none.
func (c *call) place() (*org.Drive, int, *failure) {
	n := c.h.driveN(c.s, c.args[0])
	if n < 0 {
		return nil, 0, noItem()
	}
	d, item := c.s.Office.Drives[n], 0
	if d.Locked {
		return nil, 0, c.locked()
	}
	if len(c.args) > 1 {
		item = c.h.itemN(d, c.args[1])
	}
	if item < 0 || d.Items[item].Trashed != 0 {
		return nil, 0, noItem()
	}
	return d, item, nil
}

func (c *call) oneDrive() *failure {
	d, _, f := c.place()
	if f != nil {
		return f
	}
	return c.one(c.driveView(d))
}

func (c *call) item() *failure {
	d, item, f := c.place()
	if f != nil {
		return f
	}
	v := c.itemView(d, item, prefers(c.r), false)
	if i := &d.Items[item]; i.Parent >= 0 { // which no listing tells
		path := "/drives/" + c.h.driveID(d.N) + "/root:"
		if folder := d.Path(int(i.Parent)); folder != "" {
			path += "/" + (&url.URL{Path: folder}).EscapedPath()
		}
		v["parentReference"].(object)["path"] = path
	}
	return c.one(v)
}

// itemNamed returns an item by its name in a folder: "{folder}:/{name}". Of longer
// paths the sandbox knows none.
func (c *call) itemNamed() *failure {
	folder, ok := strings.CutSuffix(c.args[1], ":")
	if !ok {
		return refuse(http.StatusBadRequest, c.h.facts.BadRequest, "Resource not found for the segment '%s'.", c.args[2])
	}
	name := c.args[2]
	c.args = []string{c.args[0], folder}
	d, parent, f := c.place()
	if f != nil {
		return f
	}
	for n := range d.Items {
		if i := &d.Items[n]; int(i.Parent) == parent && i.Trashed == 0 && strings.EqualFold(i.Name, name) {
			return c.one(c.itemView(d, n, prefers(c.r), false))
		}
	}
	return noItem()
}

func (c *call) permission() *failure {
	d, item, f := c.place()
	if f != nil {
		return f
	}
	grants, at := d.Effective(item)
	for i := range grants {
		if c.h.permissionID(d.N, &grants[i]) == c.args[2] {
			return c.one(c.permissionView(d, item, at[i], &grants[i]))
		}
	}
	return noItem()
}
