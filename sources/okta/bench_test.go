package okta

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/sources/httpx"
)

// benchPage is a full page of events of some 2.5 KB each.
func benchPage() *httpx.Response {
	const event = `{"actor":{"id":"00u%[1]d","type":"User","alternateId":"user%[1]d@acme.example","displayName":"First Last","detailEntry":null},` +
		`"client":{"userAgent":{"rawUserAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36","os":"Mac OS X","browser":"CHROME"},"zone":"null","device":"Computer","id":null,"ipAddress":"203.0.113.7",` +
		`"geographicalContext":{"city":"New York","state":"New York","country":"United States","postalCode":"10013","geolocation":{"lat":40.3,"lon":-74.0}}},` +
		`"device":{"id":"guo%[1]d","name":"laptop","os_platform":"OSX","managed":false,"registered":true},` +
		`"authenticationContext":{"authenticationProvider":null,"credentialProvider":null,"credentialType":null,"issuer":null,"interface":null,"authenticationStep":0,"externalSessionId":"idxBagerXXXXXXXXXXXXXXX","rootSessionId":"idxBagerXXXXXXXXXXXXXXX"},` +
		`"displayMessage":"User single sign on to app","eventType":"user.authentication.sso","outcome":{"result":"SUCCESS","reason":null},"published":"2026-10-01T00:00:20.353Z",` +
		`"securityContext":{"asNumber":394089,"asOrg":"example telecom","isp":"example","domain":"example.net","isProxy":false},"severity":"INFO",` +
		`"debugContext":{"debugData":{"initiationType":"IDP_INITIATED","authnRequestId":"ab609228fe84ce59cdcbfa690bce016","signOnMode":"SAML 2.0","dtHash":"%[2]s","requestId":"ab609228fe84ce59cdcbfa690bcce016","requestUri":"/app/salesforce/exk1/sso/saml","url":"/app/salesforce/exk1/sso/saml?","behaviors":"{New Geo-Location=NEGATIVE, New Device=NEGATIVE, New IP=NEGATIVE, New State=NEGATIVE, New Country=NEGATIVE, Velocity=NEGATIVE, New City=NEGATIVE}","risk":"{level=LOW}"}},` +
		`"legacyEventType":"app.auth.sso","transaction":{"type":"WEB","id":"ab609228fe84ce59cdcbfa690bcce016","detail":{}},"uuid":"dc9fd3c0-598c-11ef-8478-2b758%07[1]d","version":"0",` +
		`"request":{"ipChain":[{"ip":"203.0.113.7","geographicalContext":{"city":"New York","state":"New York","country":"United States","postalCode":"10013","geolocation":{"lat":40.3,"lon":-74.0}},"version":"V4","source":null}]},` +
		`"target":[{"id":"0oatxlef9sQvvqInq5d6","type":"AppInstance","alternateId":"Salesforce","displayName":"Salesforce","detailEntry":{"signOnModeType":"SAML_2_0"}},{"id":"0ua%[1]d","type":"AppUser","alternateId":"user%[1]d@acme.example","displayName":"First Last","detailEntry":null}]}`
	var b bytes.Buffer
	for i := range pageEvents {
		b.WriteString(map[bool]string{true: "[", false: ","}[i == 0])
		fmt.Fprintf(&b, event, i, strings.Repeat("0123456789abcdef", 4))
	}
	b.WriteString("]")
	return &httpx.Response{Status: http.StatusOK, Header: http.Header{}, Body: b.Bytes(), URL: &url.URL{}}
}

// A page is decoded and mapped with next to no garbage.
func TestFillAllocates(t *testing.T) {
	r, p := benchPage(), newLogPage()
	require.NoError(t, p.fill(r, "00o1"))
	require.Len(t, p.rows.Activities, pageEvents)
	require.Empty(t, p.page.Rejected)
	got := testing.AllocsPerRun(10, func() { _ = p.fill(r, "00o1") })
	require.Less(t, got/pageEvents, 0.1, "allocations an event")
}

func BenchmarkFill(b *testing.B) {
	r, p := benchPage(), newLogPage()
	b.ReportAllocs()
	b.SetBytes(int64(len(r.Body)))
	for b.Loop() {
		if err := p.fill(r, "00o1"); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(pageEvents)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
