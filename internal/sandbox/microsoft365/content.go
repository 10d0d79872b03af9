package microsoft365

import (
	"encoding/base64"
	"encoding/binary"

	"weir/internal/sandbox/org"
)

// maker is the account that made or changed an item; "": an app did.
func (h *Handler) maker(by int32) string {
	if r := org.By(by); r.Kind == org.AccountRef {
		return h.accountID(r.N)
	}
	return ""
}

// byView is who made or changed an item.
func (c *call) byView(by int32) object {
	r := org.By(by)
	if r.Kind == org.AccountRef {
		return object{"user": c.userOf(r.N)}
	}
	in := c.s.Integrations[org.Microsoft365][r.N]
	return object{"application": object{"id": c.h.appID(in.N), "displayName": in.Label}, "user": object{"displayName": "SharePoint App"}}
}

// hashOf is the hash of a file's content: of what was written, or one that is made
// up.
func (h *Handler) hashOf(d *org.Drive, n int) string {
	if hash := d.Hashes[n]; hash != "" {
		return hash
	}
	return h.quickXor(d.N, n, &d.Items[n])
}

// quickXorHash is the vendor's hash of content: 160 bits, in which each byte is
// put eleven bits further than the one before, and the length at the end.
func quickXorHash(content []byte) string {
	var sum [20]byte
	for i, b := range content {
		at := i * 11 % 160
		sum[at/8] ^= b << (at % 8)
		sum[(at/8+1)%20] ^= byte(uint16(b) >> (8 - at%8))
	}
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(len(content)))
	for i, b := range length {
		sum[12+i] ^= b
	}
	return base64.StdEncoding.EncodeToString(sum[:])
}
