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
func HashID(parts ...string) string { return string(AppendID(nil, parts...)) }

// AppendID is HashID for mappings of many records: it appends the id to dst.
func AppendID(dst []byte, parts ...string) []byte {
	var memory [256]byte
	b := memory[:0]
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	return hex.AppendEncode(dst, sum[:16])
}
