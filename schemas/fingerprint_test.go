package schemas

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFingerprint(t *testing.T) {
	t.Parallel()
	const day = Time(20_000 * 86_400_000)
	f := NewFingerprinter(ByName("accounts"), [16]byte{1})
	changed := func(a, b Account) (names []string, hash bool) {
		rows := &Rows{Accounts: []Account{a, b}}
		h1, fp := f.Row(rows, 0, nil)
		h2, fp := f.Row(rows, 1, fp)
		n := len(f.Columns())
		require.Len(t, fp, 2*n)
		for i, name := range f.Columns() {
			if fp[i] != fp[n+i] {
				names = append(names, name)
			}
		}
		return names, h1 != h2
	}
	is := func(a, b Account, hash bool, want ...string) {
		t.Helper()
		names, differs := changed(a, b)
		require.Equal(t, want, names)
		require.Equal(t, hash, differs)
	}
	is(Account{}, Account{}, false)
	is(Account{AccountID: "a"}, Account{AccountID: "b", Diff: Diff{Change: "added", ScanID: "x"}}, false)
	is(Account{Login: "a"}, Account{Login: "b"}, true, "login")
	is(Account{Login: "a", Email: "b"}, Account{Login: "ab"}, true, "login", "email")
	is(Account{Emails: []string{"a", "b"}}, Account{Emails: []string{"b", "a", "b"}}, false)
	is(Account{Emails: []string{"ab"}}, Account{Emails: []string{"a", "b"}}, true, "emails")
	is(Account{IsAdmin: Some(false)}, Account{}, true, "is_admin")
	is(Account{IsAdmin: Some(false)}, Account{IsAdmin: Some(true)}, true, "is_admin")
	is(Account{LastLoginAt: day + 1}, Account{LastLoginAt: day + 86_399_999}, false)
	is(Account{LastLoginAt: day - 1}, Account{LastLoginAt: day}, true, "last_login_at")
	is(Account{CreatedAt: day}, Account{CreatedAt: day + 1}, true, "created_at")
	is(Account{Raw: "a"}, Account{Raw: "b"}, false, "raw")

	weights := map[string]Weight{}
	for _, name := range []string{"accounts", "files"} {
		f := NewFingerprinter(ByName(name), [16]byte{})
		for i, c := range f.Columns() {
			weights[c] = f.Weights()[i]
		}
	}
	require.Equal(t, Ignored, weights["path"])
	require.Equal(t, Daily, weights["raw"])
	require.Equal(t, Daily, weights["revision"])
	require.Equal(t, Compared, weights["last_login_at"])
	require.NotContains(t, weights, "account_id")
}

func TestKeys(t *testing.T) {
	t.Parallel()
	members := ByName("group_members")
	f := NewFingerprinter(members, [16]byte{2})
	rows := &Rows{GroupMembers: []GroupMember{{GroupID: "g", MemberID: "m\xff"}, {GroupID: "g"}, {GroupID: "gm", MemberID: "\ufffd"}}}
	key, ok := f.AppendKey(nil, rows, 0)
	require.True(t, ok, "a role may be empty")
	split, ok := f.SplitKey(string(key))
	require.True(t, ok)
	require.Equal(t, []string{"g", "m\ufffd", ""}, split)
	joined, ok := f.JoinKey(nil, split)
	require.True(t, ok)
	require.Equal(t, key, joined)
	_, ok = f.AppendKey(nil, rows, 1)
	require.False(t, ok)
	other, _ := f.AppendKey(nil, rows, 2)
	require.NotEqual(t, f.KeyHash(1, key), f.KeyHash(1, other))
	require.NotEqual(t, f.KeyHash(1, key), f.KeyHash(2, key))
	_, ok = f.JoinKey(nil, []string{"g"})
	require.False(t, ok)
	for _, bad := range []string{"", "\x05a", "\xff", string(key) + "x", strings.Repeat("\x80", 20)} {
		_, ok := f.SplitKey(bad)
		require.False(t, ok, "%q", bad)
	}
	var out Rows
	out.AddKey(members, split)
	require.Equal(t, []GroupMember{{GroupID: "g", MemberID: "m\ufffd"}}, out.GroupMembers)
	out.Diff(members, 0).Change = "removed"
	require.Equal(t, "removed", out.GroupMembers[0].Change)
}

func TestSnapshotTables(t *testing.T) {
	t.Parallel()
	for _, table := range Tables() {
		s := table.Snapshot()
		require.Equal(t, table.Entity, s != nil, table.Name)
		if s == nil {
			continue
		}
		require.Same(t, s, ByName(table.Name+"_snapshot"))
		require.Equal(t, table.Columns, s.Columns)
		rows := &Rows{}
		rows.AddKey(table, []string{"a", "b", "c"}[:len(table.Key)-1])
		e, err := NewBuilder(s).Encode(Envelope{}, rows, nil)
		require.NoError(t, err)
		rec, err := Decode(s, e)
		require.NoError(t, err)
		rec.Release()
		_, err = Decode(table, e)
		require.ErrorContains(t, err, "it is of table \""+s.Name+"\"")
	}
}

func TestFingerprintAllocates(t *testing.T) {
	f := NewFingerprinter(ByName("accounts"), [16]byte{1})
	rows := &Rows{Accounts: []Account{{AccountID: "a", Emails: []string{"b", "a"}, Raw: strings.Repeat("x", 2000)}}}
	fp, key := make([]uint16, 0, 64), make([]byte, 0, 64)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, fp = f.Row(rows, 0, fp[:0])
		key, _ = f.AppendKey(key[:0], rows, 0)
		f.KeyHash(1, key)
	}))
}

func BenchmarkFingerprint(b *testing.B) {
	f := NewFingerprinter(ByName("accounts"), [16]byte{1})
	rows := &Rows{Accounts: []Account{{
		AccountID: "00u1234567890", Login: "jane.doe@acme.example", Email: "jane.doe@acme.example", Emails: []string{"jane.doe@acme.example"},
		DisplayName: "Jane Doe", Status: "active", Kind: "human", CreatedAt: 1, ModifiedAt: 2, LastLoginAt: 3, Raw: strings.Repeat("x", 1500),
	}}}
	fp := make([]uint16, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		_, fp = f.Row(rows, 0, fp[:0])
	}
}
