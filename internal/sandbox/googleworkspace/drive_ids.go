package googleworkspace

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"weir/internal/sandbox/org"
)

// rootMark is how ids of roots end.
const rootMark = "Uk9PVA"

// scramble and unscramble a number, so that ids of neighbours do not look alike.
func scramble(n uint32) uint32   { return n * 2654435761 }
func unscramble(n uint32) uint32 { return n * 244002641 }

// fileID is the id of a doc: a number, and what proves that it is one. That of a
// shared drive's root is the drive's.
func (h *Handler) fileID(s *org.State, n int32) string {
	mark := h.driveMark
	var b [24]byte
	binary.BigEndian.PutUint32(b[:], scramble(uint32(n))^binary.BigEndian.Uint32(mark[:]))
	if s.Docs.IsRoot(n) {
		copy(b[4:8], mark[4:])
		return "0A" + base64.RawURLEncoding.EncodeToString(b[:8]) + rootMark
	}
	copy(b[4:], mark[4:24])
	for i := range 20 { // they differ at the end, too
		b[4+i] ^= b[i%4]
	}
	return "1" + base64.RawURLEncoding.EncodeToString(b[:])
}

// docN finds a doc by its id; -1: there is none.
func (h *Handler) docN(s *org.State, id string) int32 {
	text, root := strings.CutSuffix(id, rootMark)
	text, ok := strings.CutPrefix(text, map[bool]string{true: "0A", false: "1"}[root])
	if !ok {
		return -1
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) < 4 {
		return -1
	}
	n := unscramble(binary.BigEndian.Uint32(raw) ^ binary.BigEndian.Uint32(h.driveMark[:]))
	if int64(n) >= int64(len(s.Docs.All)) || h.fileID(s, int32(n)) != id {
		return -1
	}
	return int32(n)
}

// granteeID is the id by which all permissions know somebody.
func (h *Handler) granteeID(kind string, of string) string {
	sum := h.hash("grantee "+kind+" "+of, 0)
	return fmt.Sprintf("%020d", binary.BigEndian.Uint64(sum[:]))
}

// permissionID is the id of a permission: that of whom it is to.
func (h *Handler) permissionID(g *org.DocGrant) string {
	switch {
	case g.To == org.ToAnyone && g.Findable:
		return "anyone"
	case g.To == org.ToAnyone:
		return "anyoneWithLink"
	case g.To == org.ToDomain:
		return h.granteeID("domain", g.Domain) + "k"
	case g.Group >= 0:
		return h.granteeID("group", strconv.Itoa(g.Group))
	case g.Account >= 0:
		return h.userPermissionID(g.Account)
	}
	return h.granteeID("outside", g.Email)
}

func (h *Handler) userPermissionID(account int) string {
	return h.granteeID("account", strconv.Itoa(account))
}

// revisionID is the id of a revision: of Google's own editors a number.
func (h *Handler) revisionID(s *org.State, n, revision int32) string {
	if s.Docs.All[n].Kind == org.EditorDoc {
		return strconv.Itoa(int(revision))
	}
	sum := h.hash("revision "+strconv.Itoa(int(revision)), int(n))
	return "0B" + base64.RawURLEncoding.EncodeToString(sum[:18])
}

// webLink is where a person opens a doc.
func (h *Handler) webLink(s *org.State, n int32) string {
	id := h.fileID(s, n)
	x := &s.Docs.All[n]
	switch x.Kind {
	case org.FolderDoc:
		return "https://drive.google.com/drive/folders/" + id
	case org.EditorDoc:
		kind := []string{"document", "spreadsheets", "presentation", "forms", "drawings"}[x.Type]
		return "https://docs.google.com/" + kind + "/d/" + id + "/edit?usp=drivesdk"
	}
	return "https://drive.google.com/file/d/" + id + "/view?usp=drivesdk"
}
