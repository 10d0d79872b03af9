package microsoft365

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"strconv"
	"strings"

	"weir/internal/sandbox/org"
)

// host of a site: personal sites have one of their own.
func (h *Handler) host(s *org.State, site *org.Site) string {
	if site.Personal >= 0 {
		return s.Name + "-my.sharepoint.com"
	}
	return s.Name + ".sharepoint.com"
}

func (h *Handler) siteGUID(n int) string { return h.guid("site", n) }

// siteID is Graph's: the host and two GUIDs.
func (h *Handler) siteID(s *org.State, n int) string {
	return h.host(s, s.Office.Sites[n]) + "," + h.siteGUID(n) + "," + h.guid("web", n)
}

func (h *Handler) siteURL(s *org.State, n int) string {
	site := s.Office.Sites[n]
	u := url.URL{Scheme: "https", Host: h.host(s, site), Path: "/" + site.Path}
	return strings.TrimSuffix(u.String(), "/")
}

// driveID is "b!" and a number of its own, with what proves that it is one.
func (h *Handler) driveID(n int) string {
	sum := h.hash("drive", n)
	b := binary.BigEndian.AppendUint32(nil, uint32(n)^binary.BigEndian.Uint32(sum[28:]))
	return "b!" + base64.RawURLEncoding.EncodeToString(append(append(b, sum[:28]...), sum[:16]...))
}

// driveN finds a drive by its id; -1: there is none.
func (h *Handler) driveN(s *org.State, id string) int {
	return h.number("drive", id, len(s.Office.Drives), h.driveID)
}

// siteN finds a site by its id, the GUID in it, or "root"; -1: there is none.
func (h *Handler) siteN(s *org.State, id string) int {
	if id == "root" {
		return 0
	}
	if !strings.Contains(id, ",") {
		return h.number("site", id, len(s.Office.Sites), h.siteGUID)
	}
	return h.number("site of host", id, len(s.Office.Sites), func(n int) string { return h.siteID(s, n) })
}

var base32ID = base32.StdEncoding.WithPadding(base32.NoPadding)

// itemID is "01" and 32 letters and digits: the number, and what proves it.
func (h *Handler) itemID(drive, n int) string {
	mark := h.hash("drive items", drive)
	var b [20]byte
	binary.BigEndian.PutUint32(b[:], uint32(n)*2654435761^binary.BigEndian.Uint32(mark[:]))
	copy(b[4:], mark[8:24])
	return "01" + base32ID.EncodeToString(b[:])
}

// itemN finds an item of a drive by its id, or "root"; -1: there is none.
func (h *Handler) itemN(d *org.Drive, id string) int {
	if id == "root" {
		return 0
	}
	raw, err := base32ID.DecodeString(strings.TrimPrefix(id, "01"))
	if err != nil || len(raw) != 20 {
		return -1
	}
	mark := h.hash("drive items", d.N)
	n := (binary.BigEndian.Uint32(raw) ^ binary.BigEndian.Uint32(mark[:])) * 244002641 // the inverse of 2654435761
	if int(n) >= len(d.Items) || h.itemID(d.N, int(n)) != id {
		return -1
	}
	return int(n)
}

// uniqueID is the id by which SharePoint, and the audit log, know an item.
func (h *Handler) uniqueID(drive, n int) string {
	return h.guid("item "+strconv.Itoa(drive), n)
}

// permissionID is the same at the item where a permission is written and at all
// that inherit it.
func (h *Handler) permissionID(drive int, p *org.Permission) string {
	if p.To == org.ToLink {
		return h.guid("link "+strconv.Itoa(drive), p.N)
	}
	sum := h.hash("permission "+strconv.Itoa(drive), p.N)
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}

// itemURL is where a person opens an item: below the library.
func (h *Handler) itemURL(s *org.State, d *org.Drive, folder, name string) string {
	path := library(d)
	if folder != "" {
		path += "/" + folder
	}
	if name != "" {
		path += "/" + name
	}
	return h.siteURL(s, d.Site) + "/" + (&url.URL{Path: path}).EscapedPath()
}

// library is the name that a drive has in addresses.
func library(d *org.Drive) string {
	switch {
	case d.Owner >= 0:
		return "Documents"
	case d.Name == "Documents":
		return "Shared Documents"
	}
	return d.Name
}
