package github

import (
	"context"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// gqlError is an error within an answer of GraphQL, which is HTTP 200.
type gqlError struct {
	Type       string           `json:"type"`
	Path       []jsontext.Value `json:"path"` // names of fields and indexes of lists
	Message    string           `json:"message"`
	Extensions struct {
		SAMLFailure bool `json:"saml_failure"`
	} `json:"extensions"`
}

// field is the innermost field that an error is about.
func (e *gqlError) field() string {
	for i := len(e.Path) - 1; i >= 0; i-- {
		if e.Path[i].Kind() == '"' {
			return string(scalarOf(e.Path[i]))
		}
	}
	return ""
}

// query asks GraphQL and decodes the answer's data. Errors about fields that
// are null then are returned beside the data, by field; all others are err.
func (s *session) query(ctx context.Context, query string, variables map[string]any, data any) (nulls map[string]error, err error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables}, json.Deterministic(true))
	if err != nil {
		return nil, fault.New(fault.Permanent, "github: %w", err)
	}
	r, err := s.graph.Do(ctx, &httpx.Request{Method: http.MethodPost, Path: s.graphPath, Body: body, Idempotent: true})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data   jsontext.Value `json:"data"`
		Errors []gqlError     `json:"errors"`
	}
	if err := httpx.Decode(r, &answer); err != nil {
		return nil, err
	}
	known := len(answer.Data) > 0 && answer.Data.Kind() == '{'
	for i := range answer.Errors {
		e := &answer.Errors[i]
		err, field := s.gqlFault(r, e), e.field()
		if !known || field == "" || field == "organization" || fault.Of(err) != fault.Forbidden {
			return nil, err
		}
		if nulls == nil {
			nulls = map[string]error{}
		}
		nulls[field] = err
	}
	if !known {
		return nil, fault.New(fault.Transient, "%s: the answer holds no data", r.Endpoint)
	}
	if err := decode(answer.Data, data); err != nil {
		return nil, fault.New(fault.BadData, "%s: the data has an unexpected shape: %w", r.Endpoint, err)
	}
	return nulls, nil
}

// gqlFault classes an error of GraphQL.
func (s *session) gqlFault(r *httpx.Response, e *gqlError) error {
	message := clip(e.Message)
	switch {
	case r.Header.Get("X-Ratelimit-Remaining") == "0", strings.Contains(strings.ToLower(e.Message), "rate limit"):
		wait, asked := retryAfter(r)
		if !asked {
			wait = secondaryWait
			if at, ok := reset(r); ok && r.Header.Get("X-Ratelimit-Remaining") == "0" {
				wait = max(wait, at.Sub(r.At))
			}
		}
		return fault.After(fault.Throttled, wait, "%s: %s", r.Endpoint, message)
	case e.Extensions.SAMLFailure:
		return fault.New(fault.Forbidden, "%s: %s: authorize the credentials for single sign-on, at %s/orgs/%s/sso", r.Endpoint, message, s.urls.web, s.cfg.Org)
	}
	switch e.Type {
	case "FORBIDDEN", "INSUFFICIENT_SCOPES", "NOT_FOUND":
		return fault.New(fault.Forbidden, "%s: %s", r.Endpoint, message)
	}
	return fault.New(fault.Transient, "%s: %s", r.Endpoint, message)
}
