package govern_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/agent/govern"
	"weir/schemas"
)

// Rows made to have something done that nobody may: each is answered, none has
// an effect, and what is good is carried out all the same.
func TestHostileRows(t *testing.T) {
	t.Parallel()
	b, c := polled(t)
	b.config.Governance.MaxPending = 100
	b.config.Governance.MaxPerRequester = 100
	b.config.Instances[0].Governance.Allow = []string{"suspend_user"}
	b.config.Instances[0].Governance.Protect = []string{"login:ceo@acme.example"}
	b.vendor.subject.Logins = []string{"ann"}
	target := func(id string) func(*schemas.ActionRow) {
		return func(r *schemas.ActionRow) { r.TargetID = id }
	}
	params := func(text string) func(*schemas.ActionRow) {
		return func(r *schemas.ActionRow) { r.Params = text }
	}
	hostile := map[string]func(*schemas.ActionRow){
		"path up": target("u1/../u2"), "path on": target("u1/lifecycle/deactivate?x="), "path encoded": target("u1%2f..%2fu2"), "path twice encoded": target("u1%252fu2"),
		"query": target("u1?activate=true"), "fragment": target("u1#"), "matrix": target("u1;x=y"), "backslash": target(`u1\u2`), "host": target("//other.example/u1"),
		"line": target("u1\nu2"), "header": target("u1\r\nX-Admin: 1"), "tab": target("u1\t"), "space": target(" u1"), "NUL": target("u1\x00"), "NUL within": target("u1\x00.json"),
		"SQL": target("u1' OR '1'='1"), "SOQL": target("u1' OR Name LIKE '%"), "OData": target("u1') or (1 eq 1"), "SCIM": target(`u1" or userName pr`),
		"Drive q": target(`u1' or name contains 'a`), "ServiceNow": target("u1^NQactive=true"), "GraphQL": target(`u1"){id} x:user(login:"u2`), "SOAP": target("u1</id><id>u2"),
		"XML entity": target("&xxe;"), "LDAP": target("*)(uid=*"), "template": target("{{7*7}}"), "shell": target("$(reboot)"), "format": target("%s%n"), "JSON": target(`{"$ne":null}`),
		"look-alike digit": target("u\uff11"), "look-alike letter": target("\u057d1"), "direction": target("u\u202e1"), "no width": target("u\u200b1"), "no UTF-8": target("u\xff1"), "joiner": target("u1\u034f"),
		"empty": target(""), "dot": target("."), "dots": target(".."), "star": target("*"), "long": target("u" + strings.Repeat("1", 10_000)), "folder": target("u1/"), "login for id": target("ann"),
		"unknown": target("u777"), "another kind": func(r *schemas.ActionRow) { r.TargetKind = "group" }, "no kind": func(r *schemas.ActionRow) { r.TargetKind = "" },
		"no such action": func(r *schemas.ActionRow) { r.Action = "delete_user" }, "action by case": func(r *schemas.ActionRow) { r.Action = "Suspend_User" }, "action with more": func(r *schemas.ActionRow) { r.Action = "suspend_user; revoke_key" },
		"not allowed": func(r *schemas.ActionRow) { r.Action = "sign_out_user" }, "no such instance": func(r *schemas.ActionRow) { r.Instance = "acme2" }, "instance by case": func(r *schemas.ActionRow) { r.Instance = "ACME" },
		"no instance": func(r *schemas.ActionRow) { r.Instance = "" }, "params no object": params("[]"), "params twice": params(`{"a":"1","a":"2"}`), "params of numbers": params(`{"a":1}`), "params and more": params(`{} {}`),
		"params of others": params(`{"group":"g1"}`), "params huge": params(`{"a":"` + strings.Repeat("x", 10<<20) + `"}`), "params deep": params(strings.Repeat("[", 100_000)), "params secret": params(`{"password":"x"}`),
		"expired": func(r *schemas.ActionRow) { r.NotAfter = r.ReceivedAt - 1 }, "never": func(r *schemas.ActionRow) { r.NotBefore, r.NotAfter = r.ReceivedAt+10, r.ReceivedAt+5 },
		"stale": func(r *schemas.ActionRow) {
			r.ReceivedAt -= schemas.Time((23*time.Hour + 59*time.Minute).Milliseconds())
			r.NotAfter = r.ReceivedAt + 1
		},
		"undo of nothing": func(r *schemas.ActionRow) { r.Action, r.TargetKind, r.TargetID = "undo", "action", "nope" }, "undo of itself": func(r *schemas.ActionRow) { r.Action, r.TargetKind, r.TargetID = "undo", "action", r.ID },
		"everybody": func(r *schemas.ActionRow) {
			r.Instance, r.Action, r.TargetKind, r.TargetID = "", "contain_user", "person", "*@acme.example"
		},
		"wrong language": func(r *schemas.ActionRow) {
			r.Instance, r.Action, r.TargetKind, r.TargetID = "", "contain_user", "person", `a" or profile.email pr`
		},
		"nobody known": func(r *schemas.ActionRow) { r.DBUser = "mallory" }, "nobody": func(r *schemas.ActionRow) { r.DBUser = "" }, "by case": func(r *schemas.ActionRow) { r.DBUser = "Alice" },
		"who may approve only": func(r *schemas.ActionRow) { r.DBUser, r.RequestedBy = "bob", "alice" },
		"id with a path":       func(r *schemas.ActionRow) { r.ID = "../a" }, "id of bytes": func(r *schemas.ActionRow) { r.ID = "a\x00" }, "id empty": func(r *schemas.ActionRow) { r.ID = "" }, "id long": func(r *schemas.ActionRow) { r.ID = strings.Repeat("a", 65) },
	}
	signed := signing(b)
	for name, change := range signed.hostile() {
		require.NotContains(t, hostile, name)
		hostile[name] = change
	}
	require.GreaterOrEqual(t, len(hostile), 80)
	n := 0
	ids := map[string]string{}
	for name, change := range hostile {
		n++
		r := b.row(fmt.Sprintf("h%03d", n), "alice", 0)
		change(&r)
		r.RowHash = fmt.Sprint(n)
		ids[name] = r.ID
		c.requests = append(c.requests, r)
	}
	for range 3 {
		require.NoError(t, b.runner.Poll(t.Context()))
		b.tick()
		require.NoError(t, b.runner.Tick(t.Context(), ""))
		b.clock.Advance(time.Second)
	}
	for name, id := range ids {
		rec, known, err := b.state.Action(t.Context(), id)
		require.NoError(t, err)
		if !known {
			require.Contains(t, []string{"nobody known", "nobody", "by case", "id with a path", "id of bytes", "id empty", "id long"}, name)
			continue
		}
		a, err := govern.Read(rec)
		require.NoError(t, err)
		require.Contains(t, []govern.State{govern.Rejected, govern.Expired}, a.State, "%s: %s", name, a.Note)
		require.NotEmpty(t, a.Note, name)
		require.Less(t, len(a.Note), 1000, name)
		if strings.HasPrefix(name, "signature: ") {
			require.Contains(t, a.Note, "sign", name)
		}
		require.Less(t, len(rec.Data), 64<<10, name)
	}
	for _, why := range []string{`"mallory"`, `"Alice"`, `4 requests`} { // four ids that are none
		require.Contains(t, b.told("rejected"), why)
	}
	require.Empty(t, b.vendor.writes)

	c.requests = append(c.requests, b.row("good", "alice", 0))
	require.NoError(t, b.runner.Poll(t.Context()))
	b.tick()
	a := b.get("good")
	require.Equal(t, govern.Awaiting, a.State, a.Note)
	// Approvals that are none: by who asked, nobody, another hash, an old plan.
	for i, d := range []schemas.ApprovalRow{
		{DBUser: "alice", RequestHash: a.RequestHash, PlanHash: a.PlanHash, Decision: "approve"},
		{DBUser: "ALICE", RequestHash: a.RequestHash, PlanHash: a.PlanHash, Decision: "approve"},
		{DBUser: "mallory", RequestHash: a.RequestHash, PlanHash: a.PlanHash, Decision: "approve"},
		{DBUser: "bob", RequestHash: "", PlanHash: a.PlanHash, Decision: "approve"},
		{DBUser: "bob", RequestHash: a.RequestHash, PlanHash: "", Decision: "approve"},
		{DBUser: "bob", RequestHash: a.RequestHash, PlanHash: a.RequestHash, Decision: "approve"},
		{DBUser: "bob", RequestHash: a.RequestHash, PlanHash: a.PlanHash, Decision: "APPROVE"},
		{DBUser: "bob", RequestHash: a.RequestHash, PlanHash: a.PlanHash, Decision: "approve\x00"},
		{DBUser: "bob", RequestHash: a.RequestHash + " ", PlanHash: a.PlanHash, Decision: "approve"},
		{DBUser: "bob", RequestHash: a.PlanHash, PlanHash: a.RequestHash, Decision: "approve"},
	} {
		d.ActionID, d.ReceivedAt, d.RowHash = "good", schemas.Time(b.clock.Now().UnixMilli()), fmt.Sprint(i)
		c.approvals = append(c.approvals, d)
	}
	require.NoError(t, b.runner.Poll(t.Context()))
	b.tick()
	require.Empty(t, b.vendor.writes)
	require.Empty(t, b.get("good").Approvals)
	require.NoError(t, b.approve(2, "good"))
	require.Equal(t, govern.Verified, b.settle("good").State)
	b.audited("good")
}
