package fakeprovider

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// Translate returns a provider of the type (openai, azure, anthropic or gemini) that returns the responses of h, which implements OpenAI's API. It
// translates complete responses, errors and events; anything else, such as a truncated event, passes unchanged. It follows the providers'
// documentation and shares no code with core/provider.
func Translate(typ string, h http.Handler) http.Handler {
	switch typ {
	case "azure":
		return azure(h)
	case "anthropic":
		return counting(&handler{h, func() format { return &anthropic{} }})
	case "gemini":
		return &handler{h, func() format { return &gemini{} }}
	default:
		return h
	}
}

// A format is a provider's API, for one exchange.
type format interface {
	// decodeRequest returns OpenAI's form of a request: its path, body and key. It fails if the provider would reject the request.
	decodeRequest(r *http.Request, body []byte) (path string, out any, key string, err error)
	// encodeResponse returns a plain response, encodeChunk an event of a stream, encodeDone the stream's last event.
	encodeResponse(a *answer) any
	encodeChunk(a *answer) []byte
	encodeDone() []byte
	encodeError(status int, e *fault) (int, any)
}

// An answer is a response of OpenAI's API, or a chunk of one.
type answer struct {
	ID      string
	Model   string
	Choices []choice
	Usage   *usage
	Error   *fault
	Data    []struct{ Embedding []float64 }
}

type choice struct {
	Index          int
	Message, Delta message
	FinishReason   *string `json:"finish_reason"`
}

type message struct {
	Content   *string
	ToolCalls []call `json:"tool_calls"`
}

type call struct {
	Index    int
	ID       string
	Function struct{ Name, Arguments string }
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
}

type fault struct{ Message, Type, Code string }

type handler struct {
	inner http.Handler
	make  func() format
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := h.make()
	out := &writer{ResponseWriter: w, format: s, status: http.StatusOK}
	if r.Method == http.MethodGet { // the list of models, of which callers read only the status
		h.inner.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	path, converted, key, err := s.decodeRequest(r, body)
	if err != nil {
		out.Header().Set("Content-Type", "application/json")
		out.WriteHeader(http.StatusBadRequest)
		b, _ := json.Marshal(map[string]fault{"error": {err.Error(), "invalid_request_error", "invalid_request_error"}})
		_, _ = out.Write(b)
		return
	}
	inner := r.Clone(r.Context())
	b, err := json.Marshal(converted)
	if err != nil {
		panic(err)
	}
	inner.URL.Path, inner.Body, inner.ContentLength = path, io.NopCloser(bytes.NewReader(b)), int64(len(b))
	inner.Header.Set("Authorization", "Bearer "+key)
	h.inner.ServeHTTP(out, inner)
	if !out.wrote && out.status != http.StatusOK {
		w.WriteHeader(out.status) // without a body
	}
}

// A writer translates the response that is written to it into the format.
type writer struct {
	http.ResponseWriter
	format format
	status int
	wrote  bool
}

// Unwrap lets http.ResponseController flush.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(status int) {
	if status < 200 {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.status = status // written with the body, whose translation may change it
}

func (w *writer) Write(b []byte) (int, error) {
	first := !w.wrote
	w.wrote = true
	out := b
	var a answer
	switch {
	case strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream"):
		out = w.stream(b)
	case json.Unmarshal(b, &a) != nil: // not JSON, or truncated
	case a.Error != nil && first:
		var body any
		w.status, body = w.format.encodeError(w.status, a.Error)
		out = marshal(body)
	case first && (a.Choices != nil || a.Data != nil):
		out = marshal(w.format.encodeResponse(&a))
	}
	if first {
		w.ResponseWriter.WriteHeader(w.status)
	}
	_, err := w.ResponseWriter.Write(out)
	return len(b), err
}

// stream translates complete events.
func (w *writer) stream(b []byte) []byte {
	if !bytes.HasSuffix(b, []byte("\n\n")) {
		return b
	}
	var out []byte
	for event := range strings.SplitSeq(strings.TrimSuffix(string(b), "\n\n"), "\n\n") {
		data := strings.TrimPrefix(event, "data: ")
		var a answer
		switch {
		case data == "[DONE]":
			out = append(out, w.format.encodeDone()...)
		case json.Unmarshal([]byte(data), &a) != nil:
			out = append(out, event+"\n\n"...)
		default:
			out = append(out, w.format.encodeChunk(&a)...)
		}
	}
	return out
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// strictly decodes a provider's request. It fails on fields that the provider does not document.
func strictly(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// object is a JSON object to marshal.
type object = map[string]any

// azure imitates an Azure resource: the path of a deployment or of the v1 API, and the key in the header Api-Key.
func azure(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if _, below, ok := strings.Cut(path, "/openai/deployments/"); ok {
			_, path, _ = strings.Cut(below, "/")
			if r.URL.Query().Get("api-version") == "" {
				http.Error(w, `{"error":{"code":"404","message":"Resource not found"}}`, http.StatusNotFound)
				return
			}
		} else if _, below, ok := strings.Cut(path, "/openai/responses"); ok { // the body names the deployment
			path = "responses" + below
		} else if strings.HasSuffix(path, "/openai/realtime") && r.URL.Query().Get("deployment") != "" {
			path = "realtime"
		} else if _, path, ok = strings.Cut(path, "/openai/v1/"); !ok {
			http.Error(w, `{"error":{"code":"404","message":"Resource not found"}}`, http.StatusNotFound)
			return
		}
		inner := r.Clone(r.Context())
		inner.URL.Path = "/v1/" + path
		inner.Header.Set("Authorization", "Bearer "+r.Header.Get("Api-Key"))
		h.ServeHTTP(w, inner)
	})
}
