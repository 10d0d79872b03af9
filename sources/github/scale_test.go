package github_test

import (
	"testing"

	sandboxgithub "weir/internal/sandbox/github"
	"weir/internal/sourcetest"
)

func TestScale(t *testing.T) {
	facts := sandboxgithub.Default()
	facts.CorePerHour, facts.AuditPerHour, facts.GraphQLPerHour, facts.SecondaryPerMinute = 1<<30, 1<<30, 1<<30, 1<<30
	f := fixture()
	f.Scale(t, sourcetest.SiteOptions{Vendor: vendor(facts)})
}
