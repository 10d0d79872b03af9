package microsoft365

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// inner is a request of a batch.
type inner struct {
	ID        string            `json:"id"`
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers"`
	Body      json.RawMessage   `json:"body"`
	DependsOn []string          `json:"dependsOn"`
}

// recorder keeps an answer.
type recorder struct {
	head   http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.head }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

const batchPath = "$batch"

// batchWrites says whether a batch has a request that changes something.
func batchWrites(raw []byte) bool {
	var in struct{ Requests []inner }
	if json.Unmarshal(raw, &in) != nil {
		return false // it is refused
	}
	return slices.ContainsFunc(in.Requests, func(q inner) bool { return q.Method != http.MethodGet })
}

// batch answers several requests in one (5.0), in another order than they came.
func (c *call) batch() *failure {
	h := c.h
	var in struct{ Requests []inner }
	if json.Unmarshal(c.body, &in) != nil || len(in.Requests) == 0 {
		return refuse(http.StatusBadRequest, "BadRequest", "Invalid batch payload format.")
	}
	if len(in.Requests) > h.facts.BatchMax {
		h.t.Violate("batch over the cap", "")
		return refuse(http.StatusBadRequest, "BadRequest", "Number of batch request steps exceeds the maximum value of %d.", h.facts.BatchMax)
	}
	status := map[string]int{}
	for _, q := range in.Requests {
		if _, twice := status[q.ID]; twice || q.ID == "" || q.Method == "" || q.URL == "" || strings.Contains(q.URL, "://") || c.depth > 0 {
			return refuse(http.StatusBadRequest, "BadRequest", "Invalid batch payload format: ids must be there and unique, and URLs relative.")
		}
		for _, d := range q.DependsOn {
			if _, before := status[d]; !before {
				return refuse(http.StatusBadRequest, "BadRequest", "A step depends on one that does not come before it.")
			}
		}
		status[q.ID] = 0
	}
	var out []object
	for _, q := range in.Requests {
		a := c.step(q, status)
		status[q.ID] = a["status"].(int)
		out = append(out, a)
	}
	// Answers may come in any order: here the last comes first.
	for i, k := 0, len(out)-1; i < k; i, k = i+1, k-1 {
		out[i], out[k] = out[k], out[i]
	}
	c.send(object{"responses": out})
	return nil
}

// step answers one request of a batch.
func (c *call) step(q inner, status map[string]int) object {
	h := c.h
	w := &recorder{head: http.Header{"Request-Id": c.w.Header()["Request-Id"]}, status: http.StatusOK}
	d := &call{h: h, w: w, s: c.s, who: c.who, roles: c.roles, beta: c.beta, depth: 1, body: q.Body}
	path, query, _ := strings.Cut(strings.TrimPrefix(q.URL, "/"), "?")
	values, err := url.ParseQuery(query)
	r, err2 := http.NewRequestWithContext(c.r.Context(), q.Method, "/graph/v1.0/"+path, bytes.NewReader(q.Body))
	if d.q = values; err == nil {
		err = err2
	}
	if err != nil {
		d.r = c.r
		d.fail(refuse(http.StatusBadRequest, "BadRequest", "The step could not be read."))
		return answerOf(q.ID, w)
	}
	d.path = strings.TrimPrefix(r.URL.Path, "/graph/v1.0/") // without what was escaped
	r.URL.RawQuery = query
	for k, v := range q.Headers {
		r.Header.Set(k, v)
	}
	d.r = r
	failed := false
	for _, on := range q.DependsOn {
		failed = failed || status[on] >= 400
	}
	n := h.steps.Add(1)
	every := h.Faults().BrokenBatch
	switch {
	case failed:
		d.fail(refuse(h.facts.DependencyStatus, "FailedDependency", "A step that this one depends on has failed."))
	case every > 0 && n%uint64(every) == 0:
		w.head.Set("Retry-After", h.retryAfter(2128e6))
		d.fail(h.tooMany())
	default:
		d.answer()
	}
	return answerOf(q.ID, w)
}

func answerOf(id string, w *recorder) object {
	head := map[string]string{}
	for k := range w.head {
		head[k] = w.head.Get(k)
	}
	a := object{"id": id, "status": w.status, "headers": head}
	if w.body.Len() > 0 {
		a["body"] = json.RawMessage(w.body.Bytes())
	}
	return a
}
