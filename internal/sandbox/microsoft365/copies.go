package microsoft365

import (
	"net/http"
	"strings"
	"sync"
)

// monitorPath is where copies are watched, below SharePoint's host.
const monitorPath = "/_api/v2.0/monitor/"

// copies are those that were begun.
type copies struct {
	mu   sync.Mutex
	list map[string]*copyJob
}

type copyJob struct {
	done     bool
	resource string // "": it failed
}

func (j *copies) begin(h *Handler) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.list == nil {
		j.list = map[string]*copyJob{}
	}
	id := h.guid("copy", len(j.list))
	j.list[id] = &copyJob{}
	return id
}

func (j *copies) end(id, resource string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list[id] = &copyJob{done: true, resource: resource}
}

// monitor tells how far a copy is. Its address is as good as a token: whoever
// sends theirs here has given it away.
func (h *Handler) monitor(w http.ResponseWriter, r *http.Request) {
	r.Pattern = r.Method + " /sharepoint" + monitorPath + "*"
	if r.Header.Get("Authorization") != "" {
		h.t.Violate("token for a pre-authenticated address", r.Method+" "+r.URL.Path)
	}
	h.jobs.mu.Lock()
	job := h.jobs.list[strings.TrimPrefix(r.URL.Path, "/sharepoint"+monitorPath)]
	h.jobs.mu.Unlock()
	switch {
	case job == nil || r.Method != http.MethodGet:
		sendJSON(w, http.StatusNotFound, object{"error": object{"code": "itemNotFound", "message": "There is no such operation."}})
	case !job.done:
		sendJSON(w, http.StatusAccepted, object{"operation": "itemCopy", "percentageComplete": 27.8, "status": "inProgress"})
	case job.resource == "":
		sendJSON(w, http.StatusOK, object{"operation": "itemCopy", "status": "failed", "error": object{"code": "nameAlreadyExists", "message": "Name already exists"}})
	default:
		sendJSON(w, http.StatusOK, object{"operation": "itemCopy", "percentageComplete": 100.0, "status": "completed", "resourceId": job.resource})
	}
}
