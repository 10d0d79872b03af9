package aws

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"math/big"
	"strings"

	"weir/internal/sandbox/org"
)

// Ids are made from the organization's seed, a kind and a number, and never kept.

func seedOf(s *org.State) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.Name)) // never fails
	return s.Seed ^ h.Sum64()
}

func hash(seed uint64, kind string, n int) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%d/%s/%d", seed, kind, n))
}

// Prefixes of ids, which tell their kinds.
const (
	prefixUser    = "AIDA"
	prefixRole    = "AROA"
	prefixKey     = "AKIA" // long-lived
	prefixSession = "ASIA" // temporary
)

func id(seed uint64, prefix string, n int) string {
	h := hash(seed, prefix, n)
	length := 17
	if prefix == prefixKey || prefix == prefixSession {
		length = 16
	}
	return prefix + base32.StdEncoding.EncodeToString(h[:])[:length]
}

func digits(h [32]byte, n int) string {
	mod := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
	return fmt.Sprintf("%0*d", n, mod.Mod(new(big.Int).SetBytes(h[:]), mod))
}

func hexOf(seed uint64, kind string, n, length int) string {
	h := hash(seed, kind, n)
	return hex.EncodeToString(h[:])[:length]
}

func uuid(seed uint64, kind string, n int) string {
	h := hexOf(seed, kind, n, 32)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
}

// versionID names a version of an object.
func (h *Handler) versionID(v *org.Version) string {
	if v.N < 0 {
		return "null"
	}
	return hexOf(h.seed, "version", v.N, 32)
}

// canonical is the id of an account in access lists.
func (h *Handler) canonical(account string) string {
	switch account {
	case org.CloudOwner:
		return hexOf(h.seed, "canonical", 0, 64)
	case org.CloudPartner:
		return hexOf(0, "canonical", 1, 64)
	}
	return account
}

// grantee is canonical's inverse.
func (h *Handler) grantee(canonical string) string {
	for _, a := range []string{org.CloudOwner, org.CloudPartner} {
		if h.canonical(a) == canonical {
			return a
		}
	}
	return canonical
}

func (h *Handler) iamARN(resource string) string { return "arn:aws:iam::" + h.account + ":" + resource }

func (h *Handler) userARN(u *org.CloudUser) string { return h.iamARN("user/" + u.Name) }

func (h *Handler) roleARN(r *org.CloudRole) string { return h.iamARN("role" + r.Path + r.Name) }

func (h *Handler) sessionARN(r *org.CloudRole, name string) string {
	return "arn:aws:sts::" + h.account + ":assumed-role/" + r.Name + "/" + name
}

func policyARN(name string) string { return "arn:aws:iam::aws:policy/" + name }

// etag is the MD5 of the content, as of objects in one part without a key.
func etag(body []byte) string {
	sum := md5.Sum(body)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
