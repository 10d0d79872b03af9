package microsoft365

import (
	"crypto/sha256"
	"fmt"
	"hash/fnv"

	"weir/internal/sandbox/org"
)

// Ids of what the vendor itself gives to all: of its company, and of the apps that
// stand for its APIs.
const microsoftTenant = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"

var apiApps = []string{org.GraphAPI: "00000003-0000-0000-c000-000000000000", org.SharePointAPI: "00000003-0000-0ff1-ce00-000000000000", org.ManagementAPI: "c5393580-f805-4401-95e8-94b7a6ef2fc2"}

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

func (h *Handler) guid(kind string, n int) string {
	b := h.hash(kind, n)
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

func (h *Handler) accountID(n int) string          { return h.guid("account", n) }
func (h *Handler) groupID(n int) string            { return h.guid("group", n) }
func (h *Handler) servicePrincipalID(n int) string { return h.guid("service principal", n) }
func (h *Handler) roleID(name string) string       { return h.guid("role "+name, 0) }
func (h *Handler) assignmentID(n int) string       { return h.guid("role assignment", n) }
func (h *Handler) grantID(n int) string            { return h.guid("grant", n) }

// appID is the id of an app over all tenants.
func (h *Handler) appID(n int) string {
	switch {
	case n < len(apiApps):
		return apiApps[n]
	case n == org.AgentApp:
		return ClientID
	}
	return h.guid("app", n)
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

func (h *Handler) accountN(s *org.State, id string) int {
	return h.number("account", id, len(s.Accounts[org.Microsoft365]), h.accountID)
}

func (h *Handler) groupN(s *org.State, id string) int {
	return h.number("group", id, len(s.Groups[org.Microsoft365]), h.groupID)
}

func (h *Handler) servicePrincipalN(s *org.State, id string) int {
	return h.number("service principal", id, len(s.Integrations[org.Microsoft365]), h.servicePrincipalID)
}

// findAccount returns the user that a path names by id or principal name, unless
// deleted.
func (c *call) findAccount(id string) *org.Account {
	accounts := c.s.Accounts[org.Microsoft365]
	if n := c.h.accountN(c.s, id); n >= 0 && present(accounts[n]) {
		return accounts[n]
	}
	for _, a := range accounts {
		if a.Login == id && present(a) {
			return a
		}
	}
	return nil
}

// present says whether a user is there and not deleted.
func present(a *org.Account) bool { return a.Gone.IsZero() && a.Status != org.Deprovisioned }
