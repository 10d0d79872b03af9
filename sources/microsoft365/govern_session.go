package microsoft365

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// governing is what actions keep of a session beside its settings: clients of
// hosts that only a site's address names, and what does not change.
type governing struct {
	own        atomic.Pointer[ownApp]
	mu         sync.Mutex
	sharepoint map[string]*httpx.Client // by origin
	monitors   map[string]string        // of copies under way, by drive and name: the addresses open without credentials, and are kept nowhere else
}

// ownApp is the service principal that the session itself is.
type ownApp struct{ id, name string }

// Waits and delays of writes.
const (
	lockedWait   = time.Minute     // while somebody edits the file
	sessionDelay = 5 * time.Minute // until a change of a user shows
	copyDelay    = 2 * time.Minute // until a copy that was accepted is there
)

// odata writes a text of a query, or of a function's argument in a path.
func odata(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// govGet reads one object.
func govGet(ctx context.Context, c *httpx.Client, r *httpx.Request, into any) error {
	resp, err := c.Do(ctx, r)
	if err != nil {
		return err
	}
	return httpx.Decode(resp, into)
}

// govEach calls f with every element of a listing, all pages of it.
func govEach(ctx context.Context, c *httpx.Client, list *httpx.Request, f func(raw []byte) error) error {
	at := ""
	for r := list; ; {
		resp, err := c.Do(ctx, r)
		if err != nil {
			return err
		}
		for raw, err := range httpx.ElementsAt(resp, "value") {
			if err == nil {
				err = f(raw)
			}
			if err != nil {
				return err
			}
		}
		var links struct {
			Next string `json:"@odata.nextLink"`
		}
		switch err := httpx.Decode(resp, &links); {
		case err != nil:
			return err
		case links.Next == "":
			return nil
		case links.Next == at:
			return fault.New(fault.Transient, "%s: the link to the next page leads to the page itself", resp.Endpoint)
		}
		at = links.Next
		if r, err = c.Follow(at, list.Path); err != nil {
			return err
		}
		r.Header = list.Header
	}
}

// govList decodes every element of a listing.
func govList[T any](ctx context.Context, c *httpx.Client, list *httpx.Request) (out []T, err error) {
	err = govEach(ctx, c, list, func(raw []byte) error {
		var v T
		if err := decode(raw, &v); err != nil {
			return err
		}
		out = append(out, v)
		return nil
	})
	return out, err
}

// write makes a request of an action, once. Of the answer only its id is kept,
// and what the caller decodes.
func govWrite(ctx context.Context, c *httpx.Client, r *httpx.Request) (sources.Receipt, *httpx.Response, error) {
	r.Once = true
	resp, err := c.Do(ctx, r)
	if err != nil {
		return sources.Receipt{}, nil, refusedWrite(err)
	}
	ref := first(resp.Header.Get("request-id"), resp.Header.Get("SPRequestGuid"))
	return sources.Receipt{Ref: ref[:min(len(ref), 256)]}, resp, nil
}

// refusedWrite classes what a write alone is refused with.
func refusedWrite(err error) error {
	switch httpx.StatusOf(err) {
	case http.StatusLocked:
		return fault.After(fault.Throttled, lockedWait, "the file is locked, most likely somebody edits it: %w", err)
	case http.StatusPreconditionFailed:
		return fault.New(fault.Permanent, "it was changed meanwhile: %w", err)
	case http.StatusConflict:
		return fault.New(fault.BadData, "it conflicts with what is there: %w", err)
	case http.StatusInsufficientStorage:
		return fault.New(fault.Permanent, "the storage is full: %w", err)
	}
	return err
}

// naming adds to a refusal what to grant.
func naming(err error, permissions ...string) error {
	if fault.Of(err) != fault.Forbidden {
		return err
	}
	return fault.New(fault.Forbidden, "%w; it takes the application permission %s", err, strings.Join(permissions, " and "))
}

// encode writes a connector's own part of a plan.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // structs of texts
	}
	return b
}

// ownPrincipal returns the service principal that the credentials are of.
func (s *session) ownPrincipal(ctx context.Context) (*ownApp, error) {
	if own := s.gov.own.Load(); own != nil {
		return own, nil
	}
	query := url.Values{"$select": {"id,appId,displayName"}, "$top": {"999"}} // once a session
	all, err := govList[govPrincipal](ctx, s.graph, &httpx.Request{Path: httpx.P(pathServices), Query: query})
	if err != nil {
		return nil, fault.New(fault.Of(err), "which service principal the agent's own is: %w", naming(err, "Application.Read.All"))
	}
	for i := range all {
		if all[i].ID != "" && strings.EqualFold(all[i].AppID, s.cfg.Auth.ClientID) {
			own := &ownApp{all[i].ID, all[i].DisplayName}
			s.gov.own.Store(own)
			return own, nil
		}
	}
	return nil, fault.New(fault.Transient, "the tenant shows no service principal of the agent's own app")
}
