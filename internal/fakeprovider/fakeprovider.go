// Package fakeprovider implements fake LLM providers for tests, benchmarks and the demo. Provider implements OpenAI's API; it returns a fixed
// text with the latency and the faults that its fields set. Translate turns it into a provider of another type.
package fakeprovider

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Provider is a fake LLM provider. Set its fields before it serves. It is safe for concurrent use.
type Provider struct {
	Name       string
	Models     []string      // of GET /models
	Latency    time.Duration // before the first byte
	TokenDelay time.Duration // before each further event of a stream
	FailEvery  int           // every n-th request to a model fails with 500; 0: none
	Key        string        // required API key; "" accepts any or none

	Plan      func(n int) string // returns the fault of the n-th request to a model, from 0; "" is none. If Plan is nil, the model's name selects the fault
	SlowStart time.Duration      // delay of the first token with the fault slow-start; 0 is 20 s
	Elsewhere string             // target URL of the fault redirect

	served, failed atomic.Int64
	down           atomic.Bool

	mu       sync.Mutex
	requests int            // to any model
	byModel  map[string]int // requests by model
	log      []*Request
}

// A Request is a log entry: one request to a model.
type Request struct {
	At     time.Time
	Model  string
	Fault  string // from Plan; without a Plan the model's name
	Stream bool
	Left   time.Time // when the client disconnected; zero if it did not
}

// logged is the number of requests that the log keeps.
const logged = 20_000

// Log returns the latest requests to models, in order of arrival.
func (p *Provider) Log() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Request, len(p.log))
	for i, r := range p.log {
		out[i] = *r
	}
	return out
}

// SetDown makes the provider abort every connection that sends a request, health checks included, or ends that.
func (p *Provider) SetDown(down bool) { p.down.Store(down) }

// record adds a request to the log. It returns the entry and, for faults that occur once, the number of earlier requests to the same model.
func (p *Provider) record(in *request) (entry *Request, nth int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	entry = &Request{At: time.Now(), Model: in.Model, Fault: in.Model, Stream: in.Stream}
	if p.Plan != nil {
		entry.Fault = p.Plan(p.requests)
	}
	p.requests++
	if p.byModel == nil {
		p.byModel = map[string]int{}
	}
	if p.Plan == nil { // a plan decides how often a fault occurs
		nth = p.byModel[in.Model]
	}
	p.byModel[in.Model]++
	if len(p.log) >= 2*logged {
		p.log = append([]*Request(nil), p.log[logged:]...)
	}
	p.log = append(p.log, entry)
	return entry, nth
}

var _ http.Handler = (*Provider)(nil)

// Served returns the number of successful requests.
func (p *Provider) Served() int64 { return p.served.Load() }

// Failed returns the number of requests that received a simulated failure.
func (p *Provider) Failed() int64 { return p.failed.Load() }

// request contains the fields of a request that the provider reads.
type request struct {
	Model    string `json:"model"`
	Stream   bool   `json:"stream"`
	Prompt   any    `json:"prompt"`
	Messages []struct {
		Content any `json:"content"`
	} `json:"messages"`
}

// ServeHTTP serves chat completions, completions, embeddings and the list of models, below any path prefix.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.down.Load() {
		panic(http.ErrAbortHandler)
	}
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
	entry, nth := p.record(&in)
	defer func() {
		if r.Context().Err() != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			entry.Left = time.Now()
		}
	}()
	select {
	case <-time.After(p.Latency):
	case <-r.Context().Done():
		return
	}
	if fault := find(entry.Fault); fault != nil {
		s := &scene{p: p, w: w, r: r, in: &in, nth: nth}
		defer s.count()
		fault.serve(s)
		return
	}
	if p.FailEvery > 0 && (nth+1)%p.FailEvery == 0 {
		p.failed.Add(1)
		refuse(w, http.StatusInternalServerError, "server_error", p.Name+" failed on purpose.")
		return
	}
	p.served.Add(1)
	p.answer(w, r, &in)
}

func (p *Provider) answer(w http.ResponseWriter, r *http.Request, in *request) {
	text := fmt.Sprintf("Hello from %s, model %s. You said: %s", p.Name, in.Model, in.lastMessage())
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
		write(w, http.StatusOK, in.envelope("", in.choice("message", message, text, "stop"), countWords(in.lastMessage(), text)))
	}
}

// stream sends the text one word per event.
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
	if send(map[string]string{}, "stop", countWords(in.lastMessage(), text)) {
		_, _ = io.WriteString(w, "data: [DONE]\n\n") // a client that disconnected does not need it
	}
}

func (p *Provider) list(w http.ResponseWriter) {
	data := []any{}
	for _, m := range p.Models {
		data = append(data, map[string]string{"id": m, "object": "model", "owned_by": p.Name})
	}
	write(w, http.StatusOK, map[string]any{"object": "list", "data": data})
}

// envelope returns a chat completion or a completion that contains the choice.
func (in *request) envelope(suffix string, choice, usage any) map[string]any {
	object := "text_completion"
	if in.Messages != nil {
		object = "chat.completion" + suffix
	}
	return map[string]any{
		"id": "fake-1", "object": object, "created": time.Now().Unix(), "model": in.Model, "choices": []any{choice}, "usage": usage,
	}
}

// choice returns the only choice: the value under key for a chat, the text for a prompt.
func (in *request) choice(key string, value any, text string, finish any) map[string]any {
	c := map[string]any{"index": 0, "finish_reason": finish}
	if in.Messages != nil {
		c[key] = value
	} else {
		c["text"] = text
	}
	return c
}

// lastMessage returns the text of the last message.
func (in *request) lastMessage() string {
	if n := len(in.Messages); n > 0 {
		return fmt.Sprint(in.Messages[n-1].Content)
	}
	if in.Prompt != nil {
		return fmt.Sprint(in.Prompt)
	}
	return "nothing"
}

// countWords returns a usage that counts each word as one token.
func countWords(in, out string) map[string]int {
	i, o := len(strings.Fields(in)), len(strings.Fields(out))
	return map[string]int{"prompt_tokens": i, "completion_tokens": o, "total_tokens": i + o}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	write(w, status, map[string]any{"error": map[string]any{"message": message, "type": code, "param": nil, "code": code}})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails only if the client disconnected
}
