package microsoft365

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// maxBatch is how many requests the vendor takes in one.
const maxBatch = 20

type batchRequest struct {
	ID     string `json:"id"`
	Method string `json:"method"`
	URL    string `json:"url"` // without host and version
}

type batchAnswer struct {
	ID     text           `json:"id"`
	Status int            `json:"status"`
	Body   jsontext.Value `json:"body"`
}

// batch asks for the first pages of up to 20 listings in one request, of the
// bucket that path is in. One that did not come well, whatever the reason, is
// nil: asked for alone, it meets the bucket that waits, and the classes of
// errors.
func (s *session) batch(ctx context.Context, path httpx.Path, all []listing) ([]*httpx.Response, error) {
	var body struct {
		Requests []batchRequest `json:"requests"`
	}
	for i, l := range all {
		target := strings.TrimPrefix(l.path.Escaped(), "/v1.0")
		if len(l.query) > 0 {
			target += "?" + l.query.Encode()
		}
		body.Requests = append(body.Requests, batchRequest{strconv.Itoa(i + 1), http.MethodGet, target})
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fault.New(fault.Permanent, "a batch of requests: %w", err)
	}
	resp, err := s.graph.Do(ctx, &httpx.Request{Method: http.MethodPost, Path: path, Body: b, Idempotent: true})
	if err != nil {
		return nil, err
	}
	var got struct {
		Responses []batchAnswer `json:"responses"`
	}
	if err := httpx.Decode(resp, &got); err != nil {
		return nil, err
	}
	out := make([]*httpx.Response, len(all))
	for _, a := range got.Responses {
		i, err := strconv.Atoi(string(a.ID))
		if err != nil || i < 1 || i > len(all) || a.Status != http.StatusOK {
			continue
		}
		one := *resp
		one.Header, one.Body, one.Endpoint = nil, a.Body, "GET "+all[i-1].path.String()
		out[i-1] = &one
	}
	return out, nil
}
