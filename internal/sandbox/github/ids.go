package github

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"weir/internal/sandbox/org"
)

// kind is a space of numeric ids. People, bots and the organization share one,
// as accounts do at GitHub.
type kind uint32

const (
	kindAccount kind = iota + 1
	kindTeam
	kindRepo
	kindRole
	kindApp
	kindInstallation
	kindInvitation
	kindCredential
	kindPAT
	kindToken
	kindKey
	kindHook
	kindBusiness
	kindRepoInvitation
	kindRequest
)

// Numbers of what has none in the model, in kindAccount's space.
const (
	orgNumber = 1<<idBits - 1 - iota
	botNumber // minus the integration's
)

// Ids are idBits wide: more than there are entities, and below 2^53.
const (
	idBits = 26
	half   = idBits / 2
	mask   = 1<<half - 1
)

// id returns the numeric id of an entity: stable, unique in its kind, and in no
// order (a Feistel network is a permutation).
func (h *Handler) id(k kind, n int) int64 {
	l, r := uint64(n)>>half&mask, uint64(n)&mask
	for i := range uint64(4) {
		l, r = r, l^h.round(k, i, r)
	}
	return int64(l<<half|r) + 1_000_003
}

// number is the inverse of id; -1 for what is no id.
func (h *Handler) number(k kind, id int64) int {
	id -= 1_000_003
	if id < 0 || id >= 1<<idBits {
		return -1
	}
	l, r := uint64(id)>>half, uint64(id)&mask
	for i := range uint64(4) {
		l, r = r^h.round(k, 3-i, l), l
	}
	return int(l<<half | r)
}

func (h *Handler) round(k kind, i, x uint64) uint64 {
	x += h.seed ^ uint64(k)<<48 ^ i<<40
	x = (x ^ x>>31) * 0x9e3779b97f4a7c15
	x = (x ^ x>>29) * 0xbf58476d1ce4e5b9
	return x >> 32 & mask
}

// nodeID returns the global id that GraphQL and REST both show.
func (h *Handler) nodeID(prefix string, id int64) string {
	b := [7]byte{0x92, 0, 0xce}
	binary.BigEndian.PutUint32(b[3:], uint32(id))
	return prefix + "_" + base64.RawURLEncoding.EncodeToString(b[:])
}

// docID returns the document id of the event of a sequence number: 16 bytes,
// base64 for URLs, without padding.
func (h *Handler) docID(n int) (id [22]byte) {
	var b [16]byte
	x := h.seed ^ uint64(n)*0x9e3779b97f4a7c15
	for i := range 2 {
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
		binary.BigEndian.PutUint64(b[8*i:], x)
	}
	base64.RawURLEncoding.Encode(id[:], b[:])
	return id
}

// roleNumber returns the number of an organization role's definition: GitHub's
// own roles are told by their names.
func roleNumber(g *org.RoleGrant) int {
	if g.RoleN >= 0 {
		return g.RoleN
	}
	return int(xxhash.Sum64String(g.Role)&(1<<20-1)) + 1<<20
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
