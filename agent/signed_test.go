package agent

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/agent/govern"
	"weir/internal/clickhousetest"
	"weir/schemas"
)

// Rows that weir actions sign has signed, inserted by two users of a real
// ClickHouse, are carried out; one whose author signs nothing, or whose row was
// touched on the way, is not.
func TestSignedRowsInClickHouse(t *testing.T) {
	t.Parallel()
	server := clickhousetest.StartWithUsers(t, map[string][]string{
		"alice": {"GRANT INSERT ON weir.actions"}, "bob": {"GRANT INSERT ON weir.action_approvals"}, "agent": {"GRANT ALL ON *.*"},
	})
	var ddl bytes.Buffer
	require.NoError(t, schemas.WriteClickHouse(&ddl, "weir"))
	for statement := range strings.SplitSeq(ddl.String(), ";\n") {
		if strings.TrimSpace(statement) != "" {
			server.Query(t, statement)
		}
	}
	insert := func(user, table string, row []byte) {
		resp, err := http.Post(server.URL()+"/?"+url.Values{"user": {user}, "query": {"INSERT INTO weir." + table + " FORMAT JSONEachRow"}}.Encode(), "text/plain", bytes.NewReader(row))
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Empty(t, string(body))
	}
	key := func(n byte) (ed25519.PrivateKey, string) {
		k := ed25519.NewKeyFromSeed(append(make([]byte, 31), n))
		return k, "ed25519:" + base64.StdEncoding.EncodeToString(k.Public().(ed25519.PublicKey))
	}
	alice, alicePublic := key(1)
	bob, bobPublic := key(2)
	cfg, writes := governedBy(t, fmt.Sprintf(`{control: warehouse, poll: 100ms, require_signature: true, principals: {me: {uid: "%d", may: [approve/revoke_key]}, alice: {db_user: alice, may: [request], keys: ["%s"]}, bob: {db_user: bob, may: [approve], keys: ["%s"]}}}`,
		os.Getuid(), alicePublic, bobPublic), `, warehouse: {type: clickhouse, url: "`+server.URL()+`", database: weir, username: agent, max_delay: 100ms}`)
	cfg.Instances[0].Governance.Approvals = 1
	a := startActing(t, cfg, RoleGovern)
	defer a.stop()
	_, err := a.tell("resume", GovernReason{Reason: "begin"})
	require.NoError(t, err)

	request := `{"id":"%s","instance":"acme","action":"suspend_user","target_kind":"account","target_id":"u1","params":"{\"reapply\":\"no\"}","reason":"über","requested_by":"Alice","not_after":"2099-12-31 23:59:59.5","dry_run":false}`
	sign := func(key ed25519.PrivateKey, row string) []byte {
		signed, err := govern.SignRow([]byte(row), key)
		require.NoError(t, err)
		return signed
	}
	good := sign(alice, fmt.Sprintf(request, "a1"))
	insert("alice", "actions", []byte(fmt.Sprintf(request, "unsigned")))
	insert("alice", "actions", bytes.Replace(good, []byte(`"id":"a1"`), []byte(`"id":"copied"`), 1))
	insert("alice", "actions", bytes.Replace(sign(alice, fmt.Sprintf(request, "aimed")), []byte(`"u1"`), []byte(`"u2"`), 1))
	a.comesTo("unsigned", govern.Rejected, "it is not signed")
	a.comesTo("copied", govern.Rejected, "by none of the keys of alice")
	a.comesTo("aimed", govern.Rejected, "by none of the keys of alice")
	insert("alice", "actions", good)
	a.comesTo("a1", govern.Awaiting, "")
	rec, _, err := a.Pipeline.State().Action(t.Context(), "a1")
	require.NoError(t, err)
	action, err := govern.Read(rec)
	require.NoError(t, err)
	decision := fmt.Sprintf(`{"action_id":"a1","request_hash":"%s","plan_hash":"%s","decision":"approve","reason":"HR"}`, action.RequestHash, action.PlanHash)
	insert("bob", "action_approvals", []byte(decision))
	insert("bob", "action_approvals", sign(alice, decision))
	require.Eventually(t, func() bool {
		rec, _, err := a.Pipeline.State().Action(t.Context(), "a1")
		require.NoError(t, err)
		action, err = govern.Read(rec)
		return err == nil && action.Ignored == 2
	}, 60*time.Second, 20*time.Millisecond)
	require.Zero(t, writes.Load())
	insert("bob", "action_approvals", sign(bob, decision))
	a.comesTo("a1", govern.Verified, "")
	require.EqualValues(t, 1, writes.Load())
}
