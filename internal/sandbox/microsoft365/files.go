package microsoft365

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

func stampOf(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }

func (c *call) siteView(n int) object {
	s := c.s.Office.Sites[n]
	v := object{
		"id": c.h.siteID(c.s, n), "displayName": s.Name, "name": s.Path[strings.LastIndexByte(s.Path, '/')+1:], "webUrl": c.h.siteURL(c.s, n),
		"createdDateTime": s.Created.Format(time.RFC3339), "lastModifiedDateTime": s.Modified.Format(time.RFC3339),
		"siteCollection": object{"hostname": c.h.host(c.s, s)}, "isPersonalSite": s.Personal >= 0,
	}
	if s.Path == "" {
		v["root"] = object{}
	}
	return v
}

func (c *call) driveView(d *org.Drive) object {
	v := object{
		"id": c.h.driveID(d.N), "name": d.Name, "driveType": "documentLibrary", "webUrl": c.h.itemURL(c.s, d, "", ""), "createdDateTime": d.Created.Format(time.RFC3339),
		"quota": object{"state": "normal", "total": int64(1) << 40},
	}
	if d.Owner >= 0 {
		v["driveType"], v["owner"] = "business", object{"user": c.userOf(d.Owner)}
	} else if g := c.s.Office.Sites[d.Site].Group; g >= 0 {
		v["owner"] = object{"group": object{"id": c.h.groupID(g), "displayName": c.s.Groups[org.Microsoft365][g].Name}}
	}
	return v
}

func (c *call) userOf(account int) object {
	a := c.s.Accounts[org.Microsoft365][account]
	return object{"id": c.h.accountID(account), "displayName": nameOf(c.s, a), "email": c.s.People[a.Person].Email}
}

// nameOf is the name of an account's person.
func nameOf(s *org.State, a *org.Account) string {
	p := s.People[a.Person]
	return p.Given + " " + p.Family
}

// prefers are the values of the Prefer headers (5.8.3).
func prefers(r *http.Request) map[string]bool {
	out := map[string]bool{}
	for _, line := range r.Header.Values("Prefer") {
		for v := range strings.SplitSeq(line, ",") {
			out[strings.ToLower(strings.TrimSpace(v))] = true
		}
	}
	return out
}

// Values of Prefer that make another listing.
var deltaPrefers = []string{"deltashowremovedasdeleted", "deltatraversepermissiongaps", "deltashowsharingchanges", "hierarchicalsharing"}

// preferSet is which of them a request has, a digit for each.
func preferSet(prefer map[string]bool) string {
	set := make([]byte, len(deltaPrefers))
	for i, p := range deltaPrefers {
		if set[i] = '0'; prefer[p] {
			set[i] = '1'
		}
	}
	return string(set)
}

// deltaToken is where a client is in a drive: in the enumeration of what is there
// (At, from the change Since on), or after so many changes (At < 0).
type deltaToken struct {
	Drive, At, Since int
	Prefer           string // preferSet
}

const deltaList = "drive delta"

// delta lists what is in a drive, or what changed since a token.
func (c *call) delta() *failure {
	d, _, failed := c.place()
	if failed != nil {
		return failed
	}
	f := &c.h.facts.OfficeFacts
	prefer := prefers(c.r)
	if prefer["deltashowsharingchanges"] && !(prefer["deltashowremovedasdeleted"] && prefer["deltatraversepermissiongaps"]) {
		c.h.t.Violate("prefer", "deltashowsharingchanges wants deltashowremovedasdeleted and deltatraversepermissiongaps beside it")
		prefer["deltashowsharingchanges"] = false
	}
	t := deltaToken{Drive: d.N, Since: len(d.Log), Prefer: preferSet(prefer)}
	switch given := c.q.Get("token"); given {
	case "":
	case "latest":
		t.At = -1
	default:
		now := t
		if !c.h.unseal(deltaList, given, &t) || t.Drive != d.N {
			return c.crafted(given)
		}
		if t.Prefer != now.Prefer || c.h.t.CursorExpired(c.r) || c.h.Faults().resync(t.At) {
			return c.resync(d, now)
		}
	}
	top, failed := c.top(Page{f.DeltaPage, f.DeltaPage})
	if failed != nil {
		return failed
	}
	chosen := c.option("$select")
	value := []object{}
	if t.At >= 0 { // an enumeration
		for ; t.At < len(d.Items) && len(value) < top; t.At++ {
			if d.Items[t.At].Trashed == 0 {
				value = append(value, c.chosen(c.itemView(d, t.At, prefer, false), chosen))
			}
		}
		if t.At == len(d.Items) {
			t.At = -1
		}
	} else {
		for ; t.Since < len(d.Log) && len(value) < top; t.Since++ {
			n := int(d.Log[t.Since])
			i := &d.Items[n]
			marked := i.SharedChanged && int(i.Changed) == t.Since+1
			if marked && !prefer["deltashowsharingchanges"] {
				continue // trap 10
			}
			v := c.chosen(c.itemView(d, n, prefer, true), chosen)
			if marked {
				v[f.SharedChanged] = "True"
			}
			value = append(value, v)
		}
	}
	c.page(value, func(out object) {
		link := c.h.facts.DeltaLink
		if t.At >= 0 || t.Since < len(d.Log) {
			link = c.h.facts.NextLink
		}
		out[link] = c.deltaURL(t)
	})
	return nil
}

// deltaURL is the address of the delta from a token on, with the query's other
// parameters.
func (c *call) deltaURL(t deltaToken) string {
	q := url.Values{"token": {c.h.seal(deltaList, t)}}
	for _, k := range []string{"$select", "$top"} {
		if v := c.q.Get(k); v != "" {
			q.Set(k, v)
		}
	}
	return c.url(q)
}

// resync refuses a token that is known no more, with a link to begin anew. What a
// client should do with what only it has differs by drive, as codes do.
func (c *call) resync(d *org.Drive, anew deltaToken) *failure {
	c.w.Header().Set("Location", c.deltaURL(anew))
	f := refuse(http.StatusGone, c.h.facts.Resync, "Resync required. Replace any local items with the server's version.")
	f.inner = []string{"resyncChangesApplyDifferences", "resyncChangesUploadDifferences"}[d.N%2]
	return f
}

// itemView is an item as a listing shows it. A delta tells of what is deleted no
// more than its id and parent.
func (c *call) itemView(d *org.Drive, n int, prefer map[string]bool, changes bool) object {
	i := &d.Items[n]
	id := c.h.itemID(d.N, n)
	parent := object{"driveType": "documentLibrary", "driveId": c.h.driveID(d.N), "siteId": c.h.siteID(c.s, d.Site)}
	if d.Owner >= 0 {
		parent["driveType"] = "business"
	}
	if i.Parent >= 0 {
		parent["id"] = c.h.itemID(d.N, int(i.Parent))
	}
	v := object{"id": id, "parentReference": parent}
	if i.Trashed != 0 {
		v[c.h.facts.DeletedFacet] = object{"state": "deleted"}
		return v
	}
	folder, name := "", ""
	if i.Parent >= 0 {
		folder, name = d.Path(int(i.Parent)), i.Name
	}
	v["name"], v["size"] = i.Name, i.Size
	v["eTag"] = c.h.eTag(d.N, n, i)
	v["createdDateTime"], v["lastModifiedDateTime"] = stampOf(i.Created), stampOf(i.Modified)
	v["createdBy"], v["lastModifiedBy"] = c.byView(i.CreatedBy), c.byView(i.ModifiedBy)
	v["webUrl"] = c.h.itemURL(c.s, d, folder, name)
	v["fileSystemInfo"] = object{"createdDateTime": stampOf(i.Created), "lastModifiedDateTime": stampOf(i.Modified)}
	if strings.Contains(c.q.Get("$select"), "sharepointIds") {
		v["sharepointIds"] = object{
			"listId": c.h.guid("list", d.N), "listItemId": strconv.Itoa(n), "listItemUniqueId": c.h.uniqueID(d.N, n), "siteId": c.h.siteGUID(d.Site),
			"siteUrl": c.h.siteURL(c.s, d.Site), "webId": c.h.guid("web", d.Site),
		}
	}
	if !changes {
		v["cTag"] = c.h.cTag(d.N, n, i)
	}
	switch {
	case i.Parent < 0:
		v["root"], v["folder"] = object{}, object{"childCount": 0}
	case i.Folder:
		v["folder"] = object{"childCount": 0}
	default:
		v["file"] = object{"mimeType": org.FileTypes[i.Type].Media, "hashes": object{"quickXorHash": c.h.hashOf(d, n)}}
	}
	if shared := c.shared(d, n, prefer["hierarchicalsharing"]); shared != nil {
		v["shared"] = shared
	}
	return v
}

func (h *Handler) eTag(drive, n int, i *org.Item) string {
	return fmt.Sprintf("\"{%s},%d\"", strings.ToUpper(h.uniqueID(drive, n)), i.Tag)
}

// quickXor is the hash of an item's content, which there is none of.
func (h *Handler) quickXor(drive, n int, i *org.Item) string {
	sum := h.hash("content "+strconv.Itoa(drive)+" "+strconv.Itoa(int(i.Version)), n)
	return base64.StdEncoding.EncodeToString(sum[:20])
}

// shared is the facet of an item with permissions of its own; it is empty where
// those are no links. Without hierarchicalsharing all below has it too.
func (c *call) shared(d *org.Drive, n int, hierarchical bool) object {
	for at := n; at >= 0; at = int(d.Items[at].Parent) {
		if s := d.Items[at].Sharing; s != nil && (at > 0 || n == 0) {
			v := object{}
			for _, scope := range []string{"anonymous", "organization", "users"} {
				if slices.ContainsFunc(s.Grants, func(p org.Permission) bool { return p.To == org.ToLink && p.Scope == scope }) {
					v["scope"] = scope
					break
				}
			}
			return v
		}
		if hierarchical {
			return nil
		}
	}
	return nil
}

// tellsOrigin says whether a drive's permissions tell where they come from:
// business drives may not (5.8.4).
func (f *OfficeFacts) tellsOrigin(drive int) bool { return f.InheritedFrom != "" && drive%7 != 3 }

// permissions lists what an item grants and inherits.
func (c *call) permissions() *failure {
	d, n, f := c.place()
	if f != nil {
		return f
	}
	grants, at := d.Effective(n)
	return c.list(Page{200, 200}, len(grants), func(i int) object { return c.permissionView(d, n, at[i], &grants[i]) })
}

func (c *call) permissionView(d *org.Drive, n, at int, p *org.Permission) object {
	f := &c.h.facts.OfficeFacts
	v := object{"id": c.h.permissionID(d.N, p), "roles": []string{p.Role}, "expirationDateTime": f.NoExpiry, "hasPassword": p.Password}
	if !p.Expires.IsZero() {
		v["expirationDateTime"] = p.Expires.Format(time.RFC3339)
	}
	if at != n && f.tellsOrigin(d.N) {
		v[f.InheritedFrom] = object{"driveId": c.h.driveID(d.N), "id": c.h.itemID(d.N, at), "path": "/drives/" + c.h.driveID(d.N) + "/root:/" + d.Path(at)}
	}
	switch p.To {
	case org.ToLink:
		kind := map[string]string{"read": "view", "write": "edit"}[p.Role]
		v["shareId"] = "u!" + c.h.permissionID(d.N, p)
		v["link"] = object{"type": kind, "scope": p.Scope, "webUrl": "https://" + c.h.host(c.s, c.s.Office.Sites[d.Site]) + "/:x:/s/" + c.h.permissionID(d.N, p), "preventsDownload": false}
		if p.Scope == "users" {
			people := []object{}
			for _, a := range p.People {
				people = append(people, object{"user": c.userOf(a)})
			}
			for _, e := range p.Emails {
				people = append(people, object{"user": object{"displayName": e, "email": e}})
			}
			v["grantedToIdentitiesV2"] = people
		}
	case org.ToAccount:
		if p.Account < 0 {
			v["invitation"] = object{"email": p.Email, "signInRequired": true}
			v[f.GrantedTo] = object{"user": object{"displayName": p.Email, "email": p.Email}}
			break
		}
		u := c.userOf(p.Account)
		v[f.GrantedTo] = object{"user": u, "siteUser": object{"id": strconv.Itoa(10 + p.Account), "displayName": u["displayName"], "email": u["email"], "loginName": "i:0#.f|membership|" + strings.ToLower(c.s.Accounts[org.Microsoft365][p.Account].Login)}}
		v["grantedTo"] = object{"user": u}
	case org.ToGroup:
		v[f.GrantedTo] = object{"group": object{"id": c.h.groupID(p.Group), "displayName": c.s.Groups[org.Microsoft365][p.Group].Name}}
	case org.ToSiteGroup:
		v[f.GrantedTo] = object{"siteGroup": object{"id": c.h.siteGroupID(d, p), "displayName": p.Name, "loginName": p.Name}}
	case org.ToApp:
		v[f.GrantedTo] = object{"application": object{"id": c.h.guid("backup app", 0), "displayName": p.Name}}
	}
	return v
}

// siteGroupID numbers a site's groups, which are known within it alone.
func (h *Handler) siteGroupID(_ *org.Drive, p *org.Permission) string {
	for i, name := range []string{org.SiteOwners, org.SiteVisitors, org.SiteMembers} {
		if strings.HasSuffix(p.Name, " "+name) {
			return strconv.Itoa(3 + i)
		}
	}
	return "9"
}
