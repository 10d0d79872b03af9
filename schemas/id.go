package schemas

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// HashID makes the id of a row whose vendor gives it none, or one that is not
// unique: 32 hexadecimal digits of SHA-256 over the parts, each preceded by its
// length (8 bytes, big endian), so that no part can run into the next.
//
// A privilege's parts are principal_id, role_id, scope, via, via_id and
// condition, in this order.
func HashID(parts ...string) string {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
