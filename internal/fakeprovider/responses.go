package fakeprovider

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Responses is a provider of the Responses API that echoes the input and stores its responses. The zero value is ready to use. It is safe for
// concurrent use.
type Responses struct {
	Name string // prefix of its responses' ids

	mu    sync.Mutex
	n     int
	kept  map[string]object
	Asked []string // methods and URLs of the requests, in order; read it only while no request is in flight
}

type storeRequest struct {
	Model    string
	Input    any
	Previous string `json:"previous_response_id"`
	Stream   bool
}

// ServeHTTP serves /responses and the paths below it, after any path prefix.
func (s *Responses) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	_, rest, _ := strings.Cut(r.URL.Path, "/responses")
	s.mu.Lock()
	s.Asked = append(s.Asked, r.Method+" "+r.URL.RequestURI())
	id, tail, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	response := s.kept[id]
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case id == "":
		s.create(w, body)
	case response == nil:
		missing(w, http.StatusNotFound, id)
	case r.Method == http.MethodDelete:
		s.mu.Lock()
		delete(s.kept, id)
		s.mu.Unlock()
		_, _ = w.Write(marshal(object{"id": id, "object": "response.deleted", "deleted": true}))
	case tail == "input_items":
		_, _ = w.Write(marshal(object{"object": "list", "data": []any{}, "first_id": nil, "last_id": nil, "has_more": false}))
	case r.URL.Query().Get("stream") == "true":
		sendEvents(w, response)
	default:
		_, _ = w.Write(marshal(response))
	}
}

func missing(w http.ResponseWriter, status int, id string) {
	w.WriteHeader(status)
	_, _ = w.Write(marshal(object{"error": object{"message": "Response with id '" + id + "' not found.", "type": "invalid_request_error", "param": nil, "code": nil}}))
}

func (s *Responses) create(w http.ResponseWriter, body []byte) {
	var in storeRequest
	if json.Unmarshal(body, &in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	before := ""
	var previous any
	if in.Previous != "" {
		p := s.kept[in.Previous]
		if p == nil {
			s.mu.Unlock()
			missing(w, http.StatusBadRequest, in.Previous)
			return
		}
		before, previous = p["said"].(string)+", then ", in.Previous
	}
	s.n++
	text := fmt.Sprintf("%s%s heard: %v", before, in.Model, in.Input)
	id := fmt.Sprintf("resp_%s%d", s.Name, s.n)
	response := object{
		"id": id, "object": "response", "created_at": 1, "status": "completed", "error": nil, "model": in.Model, "said": text,
		"previous_response_id": previous, "usage": object{"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
		"output": []any{object{
			"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
			"content": []any{object{"type": "output_text", "text": text, "annotations": []any{}}},
		}},
	}
	if s.kept == nil {
		s.kept = map[string]object{}
	}
	s.kept[id] = response
	s.mu.Unlock()
	if in.Stream {
		sendEvents(w, response)
		return
	}
	_, _ = w.Write(marshal(response))
}

// sendEvents sends the response as a stream of events.
func sendEvents(w http.ResponseWriter, response object) {
	w.Header().Set("Content-Type", "text/event-stream")
	n := 0
	send := func(kind string, event object) {
		event["type"], event["sequence_number"] = kind, n
		n++
		_, _ = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", kind, marshal(event))
		_ = http.NewResponseController(w).Flush()
	}
	send("response.created", object{"response": object{
		"id": response["id"], "object": "response", "status": "in_progress", "model": response["model"], "output": []any{}, "error": nil,
	}})
	send("response.output_item.added", object{"output_index": 0, "item": object{
		"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []any{},
	}})
	send("response.content_part.added", object{
		"item_id": "msg_1", "output_index": 0, "content_index": 0, "part": object{"type": "output_text", "text": "", "annotations": []any{}},
	})
	for _, word := range strings.SplitAfter(response["said"].(string), " ") {
		send("response.output_text.delta", object{"item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": word})
	}
	send("response.completed", object{"response": response})
}
