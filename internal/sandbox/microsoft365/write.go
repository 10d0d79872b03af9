package microsoft365

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// maxContent is what an upload may send at once (9).
const maxContent = 250 << 20

// maxBody is what any other write may.
const maxBody = 4 << 20

// readBody reads what a write sends.
func readBody(r *http.Request) ([]byte, *failure) {
	most := int64(maxBody)
	if strings.HasSuffix(r.URL.Path, "/content") {
		most = maxContent
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	switch {
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "BadRequest", "The request body could not be read.")
	case int64(len(raw)) > most:
		return nil, refuse(http.StatusRequestEntityTooLarge, "invalidRequest", "The request body is too large.")
	}
	return raw, nil
}

// sent decodes what a write sends.
func (c *call) sent(into any) *failure {
	if json.Unmarshal(c.body, into) != nil {
		return refuse(http.StatusBadRequest, "BadRequest", "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.")
	}
	return nil
}

// bad refuses what a write asks for.
func (c *call) bad(format string, a ...any) *failure {
	return refuse(http.StatusBadRequest, c.h.facts.BadRequest, format, a...)
}

// act is the app that makes the request, as the logs tell it. Clients that only
// tests register act as the app that every organization has.
func (h *Handler) act(s *org.State, who *access, r *http.Request) *org.Act {
	x := &org.Act{At: s.Now, Actor: ref(org.IntegrationRef, org.AgentApp), Client: &org.Client{IP: "198.51.100.20", UserAgent: r.UserAgent()}}
	for _, in := range s.Integrations[org.Microsoft365] {
		if h.appID(in.N) == who.client {
			x.Actor.N = in.N
		}
	}
	return x
}

// settle carries a change of the directory out: at once, or as much later as the
// scenario has it. By then something else may have happened: the change must look
// again whether there still is anything to do.
func (c *call) settle(change func(x *org.Act)) {
	x := c.h.act(c.s, c.who, c.r)
	after := c.h.t.Lag(c.r)
	if after == 0 {
		change(x)
		return
	}
	c.s.Later(after, func(at time.Time) {
		x.At = at
		change(x)
	})
}

// done answers without anything.
func (c *call) done() *failure {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// made answers with what is new.
func (c *call) made(v object) *failure {
	v["@odata.context"] = c.h.graphBase() + "/v1.0/$metadata#" + c.path + "/$entity"
	sendJSON(c.w, http.StatusCreated, v)
	return nil
}

// privileged are the roles whose holders only somebody may act on who may do all;
// on those of the others a User Administrator may.
var privileged = map[string]bool{"Global Administrator": true, "Global Reader": true, "Security Reader": true, "Application Administrator": true, "Exchange Administrator": true}

// mayActOn says whether the app may disable an account or set its password (3.6):
// administrators want a role of the app's own.
func (c *call) mayActOn(a *org.Account, x *org.Act, password bool) *failure {
	need := 0
	if password {
		need = 1
	}
	have := 0
	for _, i := range instancesOf(c.s, false) {
		switch {
		case i.holder == ref(org.AccountRef, a.N) && privileged[i.r.Role]:
			need = 2
		case i.holder == ref(org.AccountRef, a.N):
			need = max(need, 1)
		case i.holder == x.Actor && i.r.Role == "Global Administrator":
			have = 2
		case i.holder == x.Actor && i.r.Role == "User Administrator":
			have = max(have, 1)
		}
	}
	if have < need {
		return refuse(http.StatusForbidden, c.h.facts.NoPermission, "Insufficient privileges to complete the operation.")
	}
	return nil
}
