package okta_test

import (
	"testing"

	sandboxokta "weir/internal/sandbox/okta"
	"weir/internal/sourcetest"
)

func TestScale(t *testing.T) {
	facts := sandboxokta.Default()
	facts.Limits = nil
	f := fixture()
	f.Scale(t, sourcetest.SiteOptions{Vendor: vendor(facts)})
}
