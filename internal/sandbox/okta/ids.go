package okta

import (
	"encoding/base32"
	"math/big"
	"math/bits"

	"weir/internal/sandbox/org"
)

// Ids of the vendor are 20 characters: a prefix that tells the kind, then what
// this package makes from the organization's seed, the kind and the number. An
// id can be turned back into its number, so none is kept.
type kind string

// seedOf is what an organization's ids are made from: no two organizations of a
// sandbox have one in common.
func seedOf(s *org.State) uint64 { return s.Seed ^ kindHash(kind(s.Name)) }

const (
	kindUser        kind = "00u"
	kindGroup       kind = "00g"
	kindApp         kind = "0oa"
	kindAppUser     kind = "0ua"
	kindAPIToken    kind = "00T"
	kindGrant       kind = "oag"
	kindRefresh     kind = "oar"
	kindAssignment  kind = "ra"
	kindGroupAssign kind = "gra"
	kindRole        kind = "cr"
	kindResourceSet kind = "iam"
	kindOrg         kind = "00o"
	kindUserType    kind = "oty"
	kindFactor      kind = "fct"
	kindPolicy      kind = "00p"
	kindTransaction kind = "req"
)

const (
	idLen  = 20
	digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	// spread numbers are below 62^7 and keep 7 characters of an id.
	spreadLen = 7
	spreadMod = 62 * 62 * 62 * 62 * 62 * 62 * 62
	// spread is odd and no multiple of 31: it has an inverse.
	spread = 1_234_567_891_011
)

var unspread = new(big.Int).ModInverse(big.NewInt(spread), big.NewInt(spreadMod)).Uint64()

// appendID appends the id of number n of a kind.
func appendID(b []byte, seed uint64, k kind, n int) []byte {
	b = append(b, k...)
	h := mix(seed ^ kindHash(k))
	x := mulmod((uint64(n)+h)%spreadMod, spread)
	tail := mix(h ^ uint64(n))
	for i := range idLen - len(k) - spreadLen {
		if i == 8 {
			tail = mix(tail)
		}
		b = append(b, digits[tail%62])
		tail /= 62
	}
	for range spreadLen {
		b = append(b, digits[x%62])
		x /= 62
	}
	return b
}

func id(seed uint64, k kind, n int) string {
	return string(appendID(make([]byte, 0, idLen), seed, k, n))
}

// number returns what appendID made an id from.
func number(seed uint64, k kind, s string) (int, bool) {
	if len(s) != idLen || s[:len(k)] != string(k) {
		return 0, false
	}
	var x uint64
	for i := idLen - 1; i >= idLen-spreadLen; i-- {
		d := digitOf(s[i])
		if d < 0 {
			return 0, false
		}
		x = x*62 + uint64(d)
	}
	h := mix(seed^kindHash(k)) % spreadMod
	n := int((mulmod(x, unspread) + spreadMod - h) % spreadMod)
	var want [idLen]byte
	return n, n < 1<<31 && string(appendID(want[:0], seed, k, n)) == s
}

// groupRoleID is the id of a standard role that a group holds: the vendor makes
// it from the role's type, so that it is the same for every group.
func groupRoleID(role string) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(role))
}

// appendUUID appends an event's uuid.
func appendUUID(b []byte, seed uint64, n int) []byte {
	hi := mix(seed ^ mix(uint64(n)^0x6576656e74))
	lo := mix(hi ^ uint64(n))
	const hex = "0123456789abcdef"
	hi = hi&^0xf000 | 0x1000
	lo = lo&^(3<<62) | 2<<62
	for i := range 16 {
		if i == 8 || i == 12 {
			b = append(b, '-')
		}
		b = append(b, hex[hi>>(60-4*i)&15])
	}
	for i := range 16 {
		if i == 0 || i == 4 {
			b = append(b, '-')
		}
		b = append(b, hex[lo>>(60-4*i)&15])
	}
	return b
}

// grantKind is the kind of a grant's id.
func grantKind(g *org.Grant) kind {
	switch g.Kind {
	case org.GrantAPIToken:
		return kindAPIToken
	case org.GrantRefresh:
		return kindRefresh
	default:
		return kindGrant
	}
}

func mulmod(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return bits.Rem64(hi, lo, spreadMod)
}

func digitOf(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'Z':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 36
	}
	return -1
}

func kindHash(k kind) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(k) {
		h = (h ^ uint64(k[i])) * 1099511628211
	}
	return h
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
