package googleworkspace

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/internal/spectest"
)

// TestSpec holds the answers against the vendor's own discovery documents.
func TestSpec(t *testing.T) {
	t.Parallel()
	spec := spectest.LoadDiscovery(t, []spectest.Known{
		{Detail: "/expiration: value must be a string", Reason: "an int64 is text in the documents; the vendor takes numbers, and overlooks text"},
	}, spectest.GoogleDirectory, spectest.GoogleReports)
	r := newRig(t, sandbox.Options{People: 60, History: 5 * day})
	r.unlimited()
	r.s.World("acme").Freeze()
	server := httptest.NewServer(spec.Wrap("", http.HandlerFunc(r.h.ServeHTTP)))
	t.Cleanup(server.Close)
	r.base = server.URL
	for _, u := range append(r.all("users?customer=my_customer&projection=full", "users"), r.all("users?customer=my_customer&showDeleted=true", "users")...) {
		for _, p := range []string{"", "/tokens", "/asps", "/verificationCodes"} {
			r.get("users/" + u["id"].(string) + p)
		}
	}
	for _, g := range r.all("groups?customer=my_customer", "groups") {
		r.get("groups/" + g["id"].(string))
		for _, m := range r.all("groups/"+g["id"].(string)+"/members", "members") {
			r.get("groups/" + g["id"].(string) + "/members/" + m["id"].(string))
		}
		r.get("groups/" + g["id"].(string) + "/hasMember/" + url.PathEscape(r.h.Subject()))
	}
	for _, d := range r.all("customer/my_customer/roles", "items") {
		r.get("customer/my_customer/roles/" + d["roleId"].(string))
	}
	for _, x := range r.all("customer/my_customer/roleassignments", "items") {
		r.get("customer/my_customer/roleassignments/" + x["roleAssignmentId"].(string))
	}
	for _, p := range []string{"customer/my_customer/roles/ALL/privileges", "customer/my_customer/orgunits?type=all", "customer/my_customer/domains", "customer/my_customer/domainaliases", "customers/my_customer"} {
		require.Equal(t, 200, r.get(p).status, p)
	}
	now := r.s.Clock.Now()
	for _, name := range applications {
		r.all("/admin/reports/v1/activity/users/all/applications/"+name+"?startTime="+url.QueryEscape(stamp(now.Add(-5*day)))+"&endTime="+url.QueryEscape(stamp(now)), "items")
	}

	a := r.plain()
	id := "users/" + r.h.userID(a.N)
	var roleID string
	r.state(func(*org.State) { roleID = r.h.roleID(org.GoogleHelpDesk) })
	r.send(http.MethodPut, id, object{"suspended": true})
	r.send(http.MethodPatch, id, object{"suspended": false})
	for _, p := range []string{"/signOut", "/verificationCodes/invalidate", "/twoStepVerification/turnOff"} {
		r.send(http.MethodPost, id+p, nil)
	}
	r.send(http.MethodPost, id+"/makeAdmin", object{"status": true})
	x := r.send(http.MethodPost, "customer/my_customer/roleassignments", object{"roleId": roleID, "assignedTo": r.h.userID(a.N), "scopeType": "CUSTOMER"})
	r.send(http.MethodDelete, "customer/my_customer/roleassignments/"+x.body["roleAssignmentId"].(string), nil)
	channel := object{"id": "x", "type": "web_hook", "address": "https://hooks.example/x", "expiration": now.Add(time.Hour).UnixMilli()}
	require.Equal(t, 200, r.send(http.MethodPost, "users/watch?customer=my_customer", channel).status)
	channel["id"] = "y"
	require.Equal(t, 200, r.send(http.MethodPost, "/admin/reports/v1/activity/users/all/applications/login/watch", channel).status)
	r.h.DropChannels()
	spec.Report(t)
}
