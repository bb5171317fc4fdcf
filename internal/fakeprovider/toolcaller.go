package fakeprovider

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
)

// A ToolCaller is a provider that implements OpenAI's API: it calls every tool of the request, twice, and then returns the texts and images
// that the request contains. Its responses depend only on the request.
type ToolCaller struct {
	Key    string
	Down   atomic.Bool // abort every connection
	Served atomic.Int64
	Store  Responses
	Talk   Realtime
}

type toolCallerRequest struct {
	Model   string
	Stream  bool
	Options struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Messages []struct {
		Role      string
		Content   any
		ToolCalls []any `json:"tool_calls"`
	}
	Tools  []struct{ Function struct{ Name string } }
	Format struct{ Type string } `json:"response_format"`
	Input  any
	As     string `json:"encoding_format"`
}

// Rounds is the number of times that a ToolCaller calls the tools.
const Rounds = 2

func (b *ToolCaller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.Down.Load() {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Authorization") != "Bearer "+b.Key {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write(marshal(object{"error": fault{"Incorrect API key.", "authentication_error", "invalid_api_key"}}))
		return
	}
	if strings.HasSuffix(r.URL.Path, "/realtime") {
		b.Served.Add(1)
		b.Talk.ServeHTTP(w, r)
		return
	}
	if strings.Contains(r.URL.Path, "/responses") {
		b.Served.Add(1)
		b.Store.ServeHTTP(w, r)
		return
	}
	var in toolCallerRequest
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.Served.Add(1)
	switch {
	case strings.HasSuffix(r.URL.Path, "/embeddings"):
		_, _ = w.Write(marshal(in.embeddings()))
	case in.Stream:
		w.Header().Set("Content-Type", "text/event-stream")
		in.stream(w)
	default:
		calls, text, reason := in.reply()
		message := object{"role": "assistant", "content": nil, "refusal": nil}
		if calls != nil {
			message["tool_calls"] = calls
		} else {
			message["content"] = text
		}
		choice := object{"index": 0, "message": message, "logprobs": nil, "finish_reason": reason}
		_, _ = w.Write(marshal(object{
			"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": in.Model, "choices": []any{choice}, "usage": in.usage(),
		}))
	}
}

func (in *toolCallerRequest) usage() object {
	return object{"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
}

// reply returns the calls, or the text, of the response, and its finish reason.
func (in *toolCallerRequest) reply() (calls []object, text, reason string) {
	round := 0
	for _, m := range in.Messages {
		if len(m.ToolCalls) > 0 {
			round++
		}
	}
	if round < Rounds && len(in.Tools) > 0 {
		for i, t := range in.Tools {
			arguments := fmt.Sprintf(`{"round":%d,"city":"M\u00fcnchen \"\\%d\""}`, round+1, i)
			calls = append(calls, object{
				"id": fmt.Sprintf("call_%d_%d", round+1, i), "type": "function", "function": object{"name": t.Function.Name, "arguments": arguments},
			})
		}
		return calls, "", "tool_calls"
	}
	text = strings.Join(in.received(), "|")
	if in.Format.Type == "json_schema" {
		text = string(marshal(object{"said": text}))
	}
	return nil, text, "stop"
}

// received returns every text and image of the request, in order.
func (in *toolCallerRequest) received() []string {
	var out []string
	for _, m := range in.Messages {
		switch c := m.Content.(type) {
		case string:
			out = append(out, m.Role+": "+c)
		case []any:
			for _, p := range c {
				p, _ := p.(object)
				if text, ok := p["text"].(string); ok {
					out = append(out, m.Role+": "+text)
				}
				if image, ok := p["image_url"].(object); ok {
					out = append(out, fmt.Sprint("image: ", image["url"]))
				}
			}
		}
	}
	return out
}

// stream sends the reply in pieces, which may end anywhere except within a rune.
func (in *toolCallerRequest) stream(w http.ResponseWriter) {
	send := func(delta object, reason any) {
		choice := object{"index": 0, "delta": delta, "logprobs": nil, "finish_reason": reason}
		chunk := object{"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": in.Model, "choices": []any{choice}}
		if reason != nil && !in.Options.IncludeUsage {
			chunk["usage"] = in.usage() // unconditionally, as some providers do
		}
		_, _ = fmt.Fprintf(w, "data: %s\n\n", marshal(chunk))
		_ = http.NewResponseController(w).Flush()
	}
	calls, text, reason := in.reply()
	send(object{"role": "assistant", "content": ""}, nil)
	for _, piece := range pieces(text) {
		send(object{"content": piece}, nil)
	}
	for i, c := range calls {
		f, _ := c["function"].(object)
		arguments, _ := f["arguments"].(string)
		send(object{"tool_calls": []any{object{"index": i, "id": c["id"], "type": "function", "function": object{"name": f["name"], "arguments": ""}}}}, nil)
		for _, piece := range pieces(arguments) {
			send(object{"tool_calls": []any{object{"index": i, "function": object{"arguments": piece}}}}, nil)
		}
	}
	send(object{}, reason)
	if in.Options.IncludeUsage {
		_, _ = fmt.Fprintf(w, "data: %s\n\n", marshal(object{
			"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": in.Model, "choices": []any{}, "usage": in.usage(),
		}))
	}
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

func pieces(s string) []string {
	const size = 3
	var out []string
	runes := []rune(s)
	for len(runes) > 0 {
		n := min(size, len(runes))
		out, runes = append(out, string(runes[:n])), runes[n:]
	}
	return out
}

// embeddings returns for each text its length and two numbers more.
func (in *toolCallerRequest) embeddings() object {
	texts, ok := in.Input.([]any)
	if !ok {
		texts = []any{in.Input}
	}
	data := []any{}
	for i, t := range texts {
		s, _ := t.(string)
		numbers := []float32{float32(len(s)), -0.25, 0.5}
		var embedding any = numbers
		if in.As == "base64" {
			var b []byte
			for _, n := range numbers {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(n))
			}
			embedding = base64.StdEncoding.EncodeToString(b)
		}
		data = append(data, object{"object": "embedding", "index": i, "embedding": embedding})
	}
	return object{"object": "list", "data": data, "model": in.Model, "usage": object{"prompt_tokens": 2, "total_tokens": 2}}
}
