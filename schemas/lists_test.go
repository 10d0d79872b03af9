package schemas

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLists(t *testing.T) {
	t.Parallel()
	var l Lists
	row := func(fill func()) (a Activity) {
		l.Begin()
		fill()
		l.SetTargets(&a)
		l.SetChanges(&a)
		return a
	}
	one := row(func() {
		require.True(t, l.Target("u1", "", "account"))
		require.True(t, l.Target("", "Readers", "role"))
		require.True(t, l.Target("u1", "Ann", "account"), "what is said of it besides")
		require.False(t, l.Target("", "", "account"))
		l.RenameTarget("Readers", "r1")
		l.RenameTarget("u1", "r1") // which is there
		l.RenameTarget("u9", "u8")
		l.Change("Status", "on", "off")
		l.Change("", "x", "y")
		l.Change("Long", "", strings.Repeat("ä", MaxChangeBytes))
	})
	two := row(func() {})
	three := row(func() {
		for i := range MaxTargets + 5 {
			l.Target(fmt.Sprint("t", i), "", "file")
			l.Change(fmt.Sprint("c", i), "", "")
		}
		l.LastTarget("owner", "Owner", "account")
	})
	require.Equal(t, []string{"u1", "r1"}, one.TargetIDs)
	require.Equal(t, []string{"Ann", "Readers"}, one.TargetNames)
	require.Equal(t, []string{"account", "role"}, one.TargetKinds)
	require.Equal(t, [3]string{"u1", "Ann", "account"}, [3]string{one.TargetID, one.TargetName, one.TargetKind})
	require.Equal(t, int32(2), one.TargetCount)
	require.Equal(t, []string{"Status", "Long"}, one.ChangeNames)
	require.Equal(t, []string{"on", ""}, one.ChangeOld)
	require.Len(t, one.ChangeNew[1], MaxChangeBytes)
	require.Equal(t, Activity{}, two, "nothing is left of the row before")
	require.Len(t, three.TargetIDs, MaxTargets)
	require.Equal(t, "owner", three.TargetIDs[MaxTargets-1])
	require.Equal(t, int32(MaxTargets+6), three.TargetCount)
	require.Len(t, three.ChangeNames, MaxChanges)
	require.Nil(t, l.Keep())

	l.Release()
	l.Begin()
	l.LastTarget("owner", "", "account")
	var a Activity
	l.SetTargets(&a)
	require.Equal(t, []string{"owner"}, a.TargetIDs)
}
