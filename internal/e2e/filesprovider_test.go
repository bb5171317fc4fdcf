package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A filesProvider is a provider of files and batches, as OpenAI's API has them. A batch has ended as soon as it is made: its output has
// a line for each of its input's. It is safe for concurrent use.
type filesProvider struct {
	key string

	mu      sync.Mutex
	files   []storedObject // in the order in which they came
	batches []storedObject
	n       int // of ids
}

// A storedObject is an object that the filesProvider keeps.
type storedObject struct {
	object  map[string]any
	content []byte // of a file
}

func (a storedObject) id() string { return a.object["id"].(string) }

func (a *filesProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+a.key {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	all := &a.files
	if path[0] == "batches" {
		all = &a.batches
	}
	if len(path) == 1 {
		if r.Method == http.MethodGet {
			show(w, http.StatusOK, page(*all, r))
			return
		}
		a.make(w, r, all)
		return
	}
	at := slices.IndexFunc(*all, func(o storedObject) bool { return o.id() == path[1] })
	switch {
	case at < 0:
		refuse(w, http.StatusNotFound, "No such object: "+path[1])
	case r.Method == http.MethodDelete:
		*all = slices.Delete(*all, at, at+1)
		show(w, http.StatusOK, map[string]any{"id": path[1], "object": "file", "deleted": true})
	case r.URL.Path == "/v1/files/"+path[1]+"/content":
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write((*all)[at].content)
	case len(path) == 3: // a cancelled batch
		refuse(w, http.StatusConflict, "The batch has ended.")
	default:
		show(w, http.StatusOK, (*all)[at].object)
	}
}

// page returns what a list shows: limit objects after the one with the id.
func page(all []storedObject, r *http.Request) map[string]any {
	q := r.URL.Query()
	all = all[slices.IndexFunc(all, func(o storedObject) bool { return o.id() == q.Get("after") })+1:]
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil {
		limit = len(all)
	}
	shown := []map[string]any{}
	for _, o := range all[:min(limit, len(all))] {
		shown = append(shown, o.object)
	}
	return map[string]any{"object": "list", "data": shown, "has_more": limit < len(all)}
}

// make makes a file of a form, or a batch of JSON.
func (a *filesProvider) make(w http.ResponseWriter, r *http.Request, all *[]storedObject) {
	var made storedObject
	if all == &a.files {
		file, header, err := r.FormFile("file")
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		content, err := io.ReadAll(file)
		if err != nil {
			return
		}
		made = a.keep(header.Filename, r.FormValue("purpose"), content)
	} else {
		var in struct {
			File     string `json:"input_file_id"`
			Endpoint string
		}
		err := json.NewDecoder(r.Body).Decode(&in)
		at := slices.IndexFunc(a.files, func(o storedObject) bool { return o.id() == in.File })
		if err != nil || at < 0 {
			refuse(w, http.StatusBadRequest, "There is no input file.")
			return
		}
		output := a.keep("output.jsonl", "batch_output", bytes.ReplaceAll(a.files[at].content, []byte("ask"), []byte("answer")))
		a.n++
		made = storedObject{object: map[string]any{
			"id": fmt.Sprintf("batch_%d", a.n), "object": "batch", "endpoint": in.Endpoint, "status": "completed", "input_file_id": in.File,
			"output_file_id": output.id(), "completion_window": "24h", "created_at": 1,
		}}
		a.batches = append(a.batches, made)
	}
	show(w, http.StatusOK, made.object)
}

// keep keeps a file.
func (a *filesProvider) keep(name, purpose string, content []byte) storedObject {
	a.n++
	made := storedObject{map[string]any{
		"id": fmt.Sprintf("file-%d", a.n), "object": "file", "filename": name, "purpose": purpose, "bytes": len(content), "created_at": 1, "status": "processed",
	}, content}
	a.files = append(a.files, made)
	return made
}

func refuse(w http.ResponseWriter, status int, message string) {
	show(w, status, map[string]any{"error": map[string]any{"message": message, "type": "invalid_request_error", "param": nil, "code": nil}})
}

func show(w http.ResponseWriter, status int, object map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(object)
}
