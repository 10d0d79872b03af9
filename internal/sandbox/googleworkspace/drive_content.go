package googleworkspace

import (
	"bytes"
	"crypto/md5"  //nolint:gosec // the vendor's checksum
	"crypto/sha1" //nolint:gosec // the vendor's checksum
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"weir/internal/sandbox/org"
)

// content is what a revision of a file holds: what was uploaded, or what is made
// up of its size.
func content(n int32, r *org.Revision) []byte {
	if r.Data != nil {
		return r.Data
	}
	line := fmt.Appendf(nil, "This is revision %d of file %d.\n", r.N, n)
	return bytes.Repeat(line, int(r.Size)/len(line)+1)[:r.Size]
}

// checksums of a file's content.
type checksums struct{ md5, sha1, sha256 string }

func checksumsOf(data []byte) checksums {
	m, s1, s256 := md5.Sum(data), sha1.Sum(data), sha256.Sum256(data) //nolint:gosec // as above
	return checksums{hex.EncodeToString(m[:]), hex.EncodeToString(s1[:]), hex.EncodeToString(s256[:])}
}

// head is a file's revision now.
func head(s *org.State, n int32) *org.Revision {
	list := s.Revisions(n)
	return &list[len(list)-1]
}
