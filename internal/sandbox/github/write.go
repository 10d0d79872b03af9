package github

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"

	"weir/internal/sandbox/org"
)

// maxBody is what a write may send.
const maxBody = 64 << 10

// act is who makes the request, as the log tells it. An App that only a test
// registers is no installation of the organization: the log has nobody.
func (c *call) act() *org.Act {
	x := &org.Act{At: c.s.Now, Actor: org.Ref{Kind: org.SystemRef}, Client: &org.Client{IP: "198.51.100.20", UserAgent: c.r.UserAgent()}}
	if a := c.account(); a != nil {
		x.Actor = org.Ref{Kind: org.AccountRef, N: a.N}
	}
	return x
}

// patchRepo is PATCH /repos/{owner}/{repo}, of which visibility is known.
func (c *call) patchRepo() {
	r := c.pathRepo()
	if r == nil {
		return
	}
	var body struct{ Visibility string }
	text, err := io.ReadAll(io.LimitReader(c.r.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(text, &body)
	}
	switch {
	case err != nil:
		c.fail(http.StatusBadRequest, "Problems parsing JSON")
		return
	case !slices.Contains([]string{"private", "internal", "public"}, body.Visibility), body.Visibility == "public" && c.flavour.EMU:
		c.invalid("Repository", "visibility", "invalid", "visibility is not included in the list")
		return
	case body.Visibility != r.Visibility:
		c.s.SetVisibility(c.act(), r, body.Visibility)
	}
	c.repoDetail()
}
