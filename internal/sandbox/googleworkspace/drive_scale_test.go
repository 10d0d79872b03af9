package googleworkspace

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
)

// A customer with half a million files in thousands of drives can be listed in a
// time that a test has.
func TestDriveScale(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	r := newDriveRig(t, sandbox.Options{Files: 500_000, People: 50, EventsPerDay: -1})
	r.h.SetFaults(Faults{DriveFaults: DriveFaults{Units: -1}})
	began := time.Now()
	n := 0
	for _, a := range r.users()[:5] {
		n += len(r.as(a).all("files?q='me' in owners&pageSize=1000&"+ownerFields, "files"))
	}
	mine := time.Since(began)
	began = time.Now()
	var members []int
	var drives []string
	r.state(func(s *org.State) {
		for _, k := range s.Docs.Corpora {
			if k.Shared() && len(drives) < 300 && s.Docs.All[k.Root].Sharing != nil {
				for _, g := range s.Docs.All[k.Root].Sharing.Grants {
					if g.Account >= 0 && s.Accounts[app][g.Account].Status == org.Active {
						members, drives = append(members, g.Account), append(drives, r.h.fileID(s, k.Root))
						break
					}
				}
			}
		}
	})
	m := 0
	for i, id := range drives {
		m += len(r.as(members[i]).all("files?corpora=drive&driveId="+id+"&includeItemsFromAllDrives=true&supportsAllDrives=true&pageSize=1000&"+ownerFields, "files"))
	}
	shared := time.Since(began)
	began = time.Now()
	all := len(r.as(0).all("drives?useDomainAdminAccess=true&pageSize=100", "drives"))
	require.Equal(t, 5000, all)
	admin := time.Since(began)
	began = time.Now()
	rows := r.sandbox.Truth(app, "acme")
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	t.Logf("%d files of owners in %s, %d of %d drives in %s, %d drives in %s, truth of %d files and %d permissions in %s, %d MB of heap", n, mine, m, len(drives), shared, all, admin,
		len(rows.Files), len(rows.FilePermissions), time.Since(began), mem.HeapAlloc>>20)
	require.Greater(t, m, 10_000)
}
