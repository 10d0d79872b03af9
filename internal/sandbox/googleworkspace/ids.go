package googleworkspace

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/internal/sandbox/org"
)

// mix spreads a number's bits.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

func hashOf(s string) uint64 {
	f := fnv.New64a()
	_, _ = f.Write([]byte(s)) // never fails
	return f.Sum64()
}

// hash is what ids of a kind are made from.
func (h *Handler) hash(kind string, n int) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%d/%s/%d", h.seed, kind, n))
}

// noise is a number below n that belongs to something.
func (h *Handler) noise(kind string, i, n int) int {
	b := h.hash(kind, i)
	return int(binary.BigEndian.Uint64(b[:8]) % uint64(n))
}

// letters writes n letters and digits.
func letters(b [32]byte, n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	out := make([]byte, n)
	for i := range out {
		out[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(out)
}

// digits writes a number of n digits, whose first is a one.
func digits(b [32]byte, n int) string {
	out := []byte{'1'}
	for i := 1; i < n; i++ {
		out = append(out, '0'+b[i]%10)
	}
	return string(out)
}

// long writes an int64 of 17 digits, as the vendor writes all int64: as text.
func long(b [32]byte) string { return digits(b, 17) }

func (h *Handler) userID(n int) string       { return digits(h.hash("user", n), 21) }
func (h *Handler) groupID(n int) string      { return "0" + letters(h.hash("group", n), 14) }
func (h *Handler) serviceID(n int) string    { return digits(h.hash("service account", n), 21) }
func (h *Handler) contactID(n int) string    { return digits(h.hash("contact", n), 21) }
func (h *Handler) roleID(n int) string       { return long(h.hash("role", n)) }
func (h *Handler) assignmentID(n int) string { return long(h.hash("role assignment", n)) }
func (h *Handler) unitID(n int) string       { return "id:03" + letters(h.hash("unit", n), 13) }

// serviceEmail is the address of a service account.
func (h *Handler) serviceEmail(s *org.State, in *org.Integration) string {
	return in.Name + "@" + s.Name + "-automation.iam.gserviceaccount.com"
}

// clientID is the id of an OAuth client: that of a service account is a number.
func (h *Handler) clientID(in *org.Integration) string {
	if in.Kind == org.ServiceAccount {
		return h.serviceID(in.N)
	}
	return in.Name
}

// number finds what has an id, among so many of a kind; -1: nothing has.
func (h *Handler) number(kind, id string, n int, of func(int) string) int {
	h.idsMu.Lock()
	defer h.idsMu.Unlock()
	m := h.known[kind]
	if m == nil {
		m = map[string]int{}
		h.known[kind] = m
	}
	for i := len(m); i < n; i++ {
		m[of(i)] = i
	}
	if i, ok := m[id]; ok {
		return i
	}
	return -1
}

// account finds an account by its id; nil: there is none.
func (h *Handler) account(s *org.State, id string) *org.Account {
	if n := h.number("user", id, len(s.Accounts[app]), h.userID); n >= 0 {
		return s.Accounts[app][n]
	}
	return nil
}

// listed says whether an account is in the directory and not deleted.
func listed(a *org.Account) bool { return a.Gone.IsZero() && a.Status != org.Deprovisioned }

// accountByKey finds an account that is not deleted by its id, its address or
// another of its addresses.
func (h *Handler) accountByKey(s *org.State, key string) *org.Account {
	if !strings.Contains(key, "@") {
		if a := h.account(s, key); a != nil && listed(a) {
			return a
		}
		return nil
	}
	for _, n := range h.addressed(s, strings.ToLower(key)) {
		if a := s.Accounts[app][n]; listed(a) {
			return a
		}
	}
	return nil
}

// index finds accounts by an address that they have, and grants by the account that
// they are of: neither changes once it is there.
type index struct {
	mu               sync.Mutex
	accounts, grants int // that have been looked at
	address          map[string][]int
	grant            map[int][]int
}

// addressed are the numbers of the accounts that have, or had, an address.
func (h *Handler) addressed(s *org.State, email string) []int {
	x := &h.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.address == nil {
		x.address = map[string][]int{}
	}
	for ; x.accounts < len(s.Accounts[app]); x.accounts++ {
		for _, a := range addresses(s.Accounts[app][x.accounts]) {
			a = strings.ToLower(a)
			x.address[a] = append(x.address[a], x.accounts)
		}
	}
	return x.address[email]
}

// givenOut are the numbers of what an account has, or had, given out.
func (h *Handler) givenOut(s *org.State, account int) []int {
	x := &h.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.grant == nil {
		x.grant = map[int][]int{}
	}
	for ; x.grants < len(s.Grants[app]); x.grants++ {
		n := s.Grants[app][x.grants].Account
		x.grant[n] = append(x.grant[n], x.grants)
	}
	return x.grant[account]
}

// addresses are an account's: the primary first.
func addresses(a *org.Account) []string { return append([]string{a.Login}, a.Aliases...) }

// group finds a group by its id or address; nil: there is none.
func (h *Handler) group(s *org.State, key string) *org.Group {
	if n := h.number("group", key, len(s.Groups[app]), h.groupID); n >= 0 && s.Groups[app][n].Gone.IsZero() {
		return s.Groups[app][n]
	}
	for _, g := range s.Groups[app] {
		if g.Gone.IsZero() && strings.EqualFold(groupEmail(s, g), key) {
			return g
		}
	}
	return nil
}

func groupEmail(s *org.State, g *org.Group) string { return g.Slug + "@" + s.Domain }

// groupAliases are other addresses of a group.
func groupAliases(s *org.State, g *org.Group) []string {
	if g.N%4 == 3 {
		return []string{"all-" + g.Slug + "@" + s.Domain}
	}
	return nil
}

// domains are the customer's own: the primary first.
func domains(s *org.State) []string {
	return []string{s.Domain, "labs." + s.Domain, "guests." + s.Domain}
}

// stamp writes a time as the directory does.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "1970-01-01T00:00:00.000Z"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func itoa[T ~int | ~int32 | ~int64](n T) string { return strconv.FormatInt(int64(n), 10) }

// etag is quoted, as the vendor has it within its objects too.
func (h *Handler) etag(parts ...any) string {
	b := sha256.Sum256(fmt.Append(nil, parts...))
	return `"` + letters(b, 22) + `"`
}
