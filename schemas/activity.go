package schemas

import (
	"net/netip"
	"strings"
)

// Bounds of the lists in an activity.
const (
	MaxTargets     = 64
	MaxChanges     = 32
	MaxChangeBytes = 1 << 10 // of an entry
)

// CanonicalIP returns an address without port, brackets or zone.
func CanonicalIP(s string) (string, bool) {
	if !mayBeIP(s) {
		return "", false
	}
	var addr netip.Addr
	var err error
	if strings.Count(s, ":") == 1 || strings.Contains(s, "]:") {
		var ap netip.AddrPort
		ap, err = netip.ParseAddrPort(s)
		addr = ap.Addr()
	} else {
		addr, err = netip.ParseAddr(strings.Trim(s, "[]"))
	}
	if err != nil {
		return "", false
	}
	var buf [64]byte
	if b := addr.Unmap().WithZone("").AppendTo(buf[:0]); string(b) != s {
		return string(b), true
	}
	return s, true
}

// mayBeIP tells names of services from addresses without the parser's error.
func mayBeIP(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '%':
			return i > 0 // a zone
		case !isHex(c) && c != '.' && c != ':' && c != '[' && c != ']':
			return false
		}
	}
	return s != ""
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// ClipChange shortens a value to what a change entry may hold, at a character's edge.
func ClipChange(s string) string {
	if len(s) <= MaxChangeBytes {
		return s
	}
	end := MaxChangeBytes
	for end > 0 && s[end]&0xc0 == 0x80 {
		end--
	}
	return s[:end]
}
