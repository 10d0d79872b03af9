package microsoft365

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
)

// Every capability can be asked for, and works where nothing is refused.
func TestProbeOfEveryCapability(t *testing.T) {
	t.Parallel()
	s := newVendor(t, func(r *http.Request) answer {
		if strings.Contains(r.URL.Path, "/activity/feed/") {
			return answer{body: `[]`}
		}
		return answer{}
	}).open(nil)
	for _, c := range Connector.Capabilities {
		require.NoError(t, s.Probe(t.Context(), c.Name), c.Name)
	}
	require.ErrorContains(t, s.Probe(t.Context(), "mail"), "no capability")
}

func TestProbesOfLogsAndFiles(t *testing.T) {
	t.Parallel()
	const feed = "/api/v1.0/" + testTenant + "/activity/feed/subscriptions/"
	f := func(capability, path string, a answer, class fault.Class, want string) {
		t.Helper()
		asked := false
		v := newVendor(t, func(r *http.Request) answer {
			switch r.URL.Path {
			case path:
				asked = true
				return a
			case "/v1.0/sites/getAllSites":
				return answer{body: `{"value":[{"id":"contoso.sharepoint.com,1,2"}]}`}
			case "/v1.0/sites/contoso.sharepoint.com,1,2/drives":
				return answer{body: `{"value":[{"id":"b!drive"}]}`}
			}
			return answer{}
		})
		err := v.open(nil).Probe(t.Context(), capability)
		require.True(t, asked, "it asks %s", path)
		if class == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, want)
		require.Equal(t, class, fault.Of(err), err)
	}
	refused := func(status int, body string) answer { return answer{status: status, body: body} }
	denied := refused(403, `{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges to complete the operation.","innerError":{"request-id":"r"}}}`)
	free := refused(403, `{"error":{"code":"Authentication_RequestFromNonPremiumTenantOrB2CTenant","message":"Neither tenant is B2C or tenant doesn't have premium license"}}`)
	f("directory_audits", "/v1.0/auditLogs/directoryAudits", denied, fault.Forbidden, "Authorization_RequestDenied")
	f("sign_ins", "/v1.0/auditLogs/signIns", free, fault.NotLicensed, "premium license")
	f("sign_ins/all_kinds", "/beta/auditLogs/signIns", free, fault.NotLicensed, "premium license")
	f("files", "/v1.0/sites/getAllSites", denied, fault.Forbidden, "Insufficient privileges")
	f("files/items", "/v1.0/drives/b!drive/root/delta", refused(403, `{"error":{"code":"accessDenied","message":"Access denied"}}`), fault.Forbidden, "accessDenied")
	f("activities", feed+"list", refused(401, `{"error":{"code":"AF10001","message":"The permission set () sent in the request did not include the expected permission ActivityFeed.Read."}}`), fault.Forbidden, "ActivityFeed.Read")
	f("activities", feed+"list", refused(403, `{'error':{'code':'AF10001','message':'The permission set isn't enough.'}}`), fault.Forbidden, "AF10001")
	f("activities", feed+"list", refused(400, `{"error":{"code":"AF20055","message":"Tenant 41463f53 does not exist."}}`), fault.Forbidden, "unified audit log is off")
	f("activities/DLP.All", feed+"content", refused(403, `{"error":{"code":"AF10001","message":"ActivityFeed.ReadDlp is missing"}}`), fault.Forbidden, "ReadDlp")
	f("activities/Audit.Exchange", feed+"content", refused(400, `{"error":{"code":"AF20022","message":"No subscription found for the specified content type"}}`), "", "")
	f("activities/Audit.Exchange", feed+"content", answer{body: `[]`}, "", "")
}
