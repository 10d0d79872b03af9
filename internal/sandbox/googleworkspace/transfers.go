package googleworkspace

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"weir/internal/sandbox/org"
)

// driveApplication is the id of Drive and Docs, of which data can be transferred (9).
const driveApplication = "55656082996"

// TransferTakes is how long a transfer takes.
const TransferTakes = 2 * time.Minute

// transfers are what somebody has who left, on its way to another.
type transfers struct {
	mu   sync.Mutex
	list []*transfer
}

type transfer struct {
	id       string
	from, to int
	at       time.Time
	status   string
	apps     []transferApp
}

type transferApp struct {
	ApplicationID             string          `json:"applicationId"`
	ApplicationTransferParams []transferParam `json:"applicationTransferParams,omitempty"`
	ApplicationTransferStatus string          `json:"applicationTransferStatus"`
}

type transferParam struct {
	Key   string   `json:"key"`
	Value []string `json:"value"`
}

func transferRoutes() []route {
	const path = "/admin/datatransfer/v1/"
	scopes := []string{"admin.datatransfer"}
	return []route{
		{http.MethodGet, path + "applications", bucketDirectory, scopes, maySuper, (*call).transferApps},
		{http.MethodPost, path + "transfers", bucketDirectory, scopes, maySuper, (*call).insertTransfer},
		{http.MethodGet, path + "transfers", bucketDirectory, scopes, maySuper, (*call).listTransfers},
		{http.MethodGet, path + "transfers/*", bucketDirectory, scopes, maySuper, (*call).getTransfer},
	}
}

func (c *call) transferApps() *failure {
	return c.send(object{"kind": "admin#datatransfer#applicationsList", "etag": c.h.etag("applications"), "applications": []object{{
		"kind": "admin#datatransfer#ApplicationResource", "id": driveApplication, "name": "Drive and Docs", "etag": c.h.etag("drive"),
		"transferParams": []object{{"key": "PRIVACY_LEVEL", "value": []string{"SHARED", "PRIVATE"}}},
	}}})
}

// view is a transfer; the transfers are held.
func (x *transfer) view(h *Handler) object {
	apps := slices.Clone(x.apps)
	for i := range apps {
		apps[i].ApplicationTransferStatus = x.status
	}
	return object{
		"kind": "admin#datatransfer#DataTransfer", "etag": h.etag("transfer", x.id, x.status), "id": x.id, "oldOwnerUserId": h.userID(x.from), "newOwnerUserId": h.userID(x.to),
		"requestTime": stamp(x.at), "overallTransferStatusCode": x.status, "applicationDataTransfers": apps,
	}
}

func (c *call) insertTransfer() *failure {
	var in struct {
		OldOwnerUserID, NewOwnerUserID string
		ApplicationDataTransfers       []transferApp
	}
	if f := c.read(&in); f != nil {
		return f
	}
	from, to := c.h.account(c.s, in.OldOwnerUserID), c.h.account(c.s, in.NewOwnerUserID)
	switch {
	case from == nil || to == nil || !listed(from) || !listed(to):
		return notFound("userKey")
	case from == to || to.Status != org.Active || len(in.ApplicationDataTransfers) == 0:
		return invalid("Invalid Input")
	}
	levels := []string{}
	for _, a := range in.ApplicationDataTransfers {
		if a.ApplicationID != driveApplication {
			return invalid("Invalid value for: applicationId")
		}
		for _, p := range a.ApplicationTransferParams {
			levels = append(levels, p.Value...)
		}
	}
	if c.s.Docs.Mine(from.N) == nil || c.s.Docs.Mine(to.N) == nil || len(levels) == 0 {
		return invalid("Invalid Input")
	}
	t := &c.h.transfers
	t.mu.Lock()
	defer t.mu.Unlock()
	x := &transfer{from: from.N, to: to.N, at: c.s.Now, status: "inProgress", apps: in.ApplicationDataTransfers}
	x.id = "AKrEtI" + letters(c.h.hash("transfer", len(t.list)), 26)
	t.list = append(t.list, x)
	act, s := c.act(), c.s
	s.Later(TransferTakes, func(at time.Time) {
		act.At = at
		s.HandOver(act, x.from, x.to, slices.Contains(levels, "PRIVATE"), slices.Contains(levels, "SHARED"))
		t.mu.Lock()
		defer t.mu.Unlock()
		x.status = "completed"
	})
	return c.send(x.view(c.h))
}

func (c *call) getTransfer() *failure {
	t := &c.h.transfers
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range t.list {
		if x.id == c.args[0] {
			return c.send(x.view(c.h))
		}
	}
	return notFound("dataTransferId")
}

func (c *call) listTransfers() *failure {
	t := &c.h.transfers
	t.mu.Lock()
	defer t.mu.Unlock()
	out := object{"kind": "admin#datatransfer#dataTransfersList", "etag": c.h.etag("transfers", len(t.list))}
	var list []object
	for _, x := range t.list {
		wants := func(name, is string) bool { return c.q.Get(name) == "" || c.q.Get(name) == is }
		if wants("oldOwnerUserId", c.h.userID(x.from)) && wants("newOwnerUserId", c.h.userID(x.to)) && wants("status", x.status) {
			list = append(list, x.view(c.h))
		}
	}
	if len(list) > 0 {
		out["dataTransfers"] = list
	}
	return c.send(out)
}
