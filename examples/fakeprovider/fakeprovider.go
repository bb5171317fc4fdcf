// Package fakeprovider is an LLM provider that thinks of nothing: it speaks OpenAI's API, streams, reports usage, is as slow
// or as unreliable as it is told to be, and counts. The demo and the tests put it behind the gateway.
package fakeprovider

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// A Provider answers as one LLM provider would. Its fields are set before it serves; it is safe for concurrent use.
type Provider struct {
	Name       string
	Models     []string      // what GET /models lists
	Latency    time.Duration // before the first byte
	TokenDelay time.Duration // before each further event of a stream
	FailEvery  int           // every n-th request for an answer gets a 500; 0 is never
	Key        string        // the API key that is wanted; "" takes any or none

	requests, served, failed atomic.Int64
}

var _ http.Handler = (*Provider)(nil)

// Served returns how many requests got an answer.
func (p *Provider) Served() int64 { return p.served.Load() }

// Failed returns how many requests got an error on purpose.
func (p *Provider) Failed() int64 { return p.failed.Load() }

// request is what the provider looks at of a request.
type request struct {
	Model    string `json:"model"`
	Stream   bool   `json:"stream"`
	Prompt   any    `json:"prompt"`
	Messages []struct {
		Content any `json:"content"`
	} `json:"messages"`
}

// ServeHTTP answers chat completions, completions, embeddings and the list of models, below any prefix.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.Key != "" && r.Header.Get("Authorization") != "Bearer "+p.Key {
		refuse(w, http.StatusUnauthorized, "invalid_api_key", "Incorrect API key provided.")
		return
	}
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/models") {
		p.list(w)
		return
	}
	var in request
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid_json", err.Error())
		return
	}
	select {
	case <-time.After(p.Latency):
	case <-r.Context().Done():
		return
	}
	if n := p.requests.Add(1); p.FailEvery > 0 && n%int64(p.FailEvery) == 0 {
		p.failed.Add(1)
		refuse(w, http.StatusInternalServerError, "server_error", p.Name+" has one of its moments.")
		return
	}
	p.served.Add(1)
	p.answer(w, r, &in)
}

func (p *Provider) answer(w http.ResponseWriter, r *http.Request, in *request) {
	text := fmt.Sprintf("Hello from %s, model %s. You said: %s", p.Name, in.Model, in.said())
	switch {
	case strings.HasSuffix(r.URL.Path, "/embeddings"):
		write(w, http.StatusOK, map[string]any{
			"object": "list", "model": in.Model, "usage": map[string]int{"prompt_tokens": 3, "total_tokens": 3},
			"data": []any{map[string]any{"object": "embedding", "index": 0, "embedding": []float64{0.1, -0.2, 0.3}}},
		})
	case !strings.HasSuffix(r.URL.Path, "/completions"):
		refuse(w, http.StatusNotFound, "not_found", "Unknown path.")
	case in.Stream:
		p.stream(w, r, in, text)
	default:
		message := map[string]string{"role": "assistant", "content": text}
		write(w, http.StatusOK, in.envelope("", in.choice("message", message, text, "stop"), usage(in.said(), text)))
	}
}

// stream sends the text word by word.
func (p *Provider) stream(w http.ResponseWriter, r *http.Request, in *request, text string) {
	w.Header().Set("Content-Type", "text/event-stream")
	flusher := http.NewResponseController(w)
	send := func(delta map[string]string, finish, usage any) bool {
		b, err := json.Marshal(in.envelope(".chunk", in.choice("delta", delta, delta["content"], finish), usage))
		if err == nil {
			_, err = fmt.Fprintf(w, "data: %s\n\n", b)
		}
		return err == nil && flusher.Flush() == nil
	}
	for i, word := range strings.SplitAfter(text, " ") {
		if i > 0 && p.TokenDelay > 0 {
			select {
			case <-time.After(p.TokenDelay):
			case <-r.Context().Done():
				return
			}
		}
		if !send(map[string]string{"role": "assistant", "content": word}, nil, nil) {
			return
		}
	}
	if send(map[string]string{}, "stop", usage(in.said(), text)) {
		_, _ = io.WriteString(w, "data: [DONE]\n\n") // a client that has left needs no terminal
	}
}

func (p *Provider) list(w http.ResponseWriter) {
	data := []any{}
	for _, m := range p.Models {
		data = append(data, map[string]string{"id": m, "object": "model", "owned_by": p.Name})
	}
	write(w, http.StatusOK, map[string]any{"object": "list", "data": data})
}

// envelope returns what a choice comes in, for either kind of completion.
func (in *request) envelope(suffix string, choice, usage any) map[string]any {
	object := "text_completion"
	if in.Messages != nil {
		object = "chat.completion" + suffix
	}
	return map[string]any{
		"id": "fake-1", "object": object, "created": time.Now().Unix(), "model": in.Model, "choices": []any{choice}, "usage": usage,
	}
}

// choice returns the one choice: for a chat the value under key, for a prompt the text.
func (in *request) choice(key string, value any, text string, finish any) map[string]any {
	c := map[string]any{"index": 0, "finish_reason": finish}
	if in.Messages != nil {
		c[key] = value
	} else {
		c["text"] = text
	}
	return c
}

// said returns the last thing that the client said.
func (in *request) said() string {
	if n := len(in.Messages); n > 0 {
		return fmt.Sprint(in.Messages[n-1].Content)
	}
	if in.Prompt != nil {
		return fmt.Sprint(in.Prompt)
	}
	return "nothing"
}

// usage counts words, as if they were tokens.
func usage(in, out string) map[string]int {
	i, o := len(strings.Fields(in)), len(strings.Fields(out))
	return map[string]int{"prompt_tokens": i, "completion_tokens": o, "total_tokens": i + o}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	write(w, status, map[string]any{"error": map[string]any{"message": message, "type": code, "param": nil, "code": code}})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that has left needs no answer
}
