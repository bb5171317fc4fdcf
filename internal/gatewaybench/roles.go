package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

const (
	events = 100                  // of a streamed response
	pause  = 5 * time.Millisecond // between two events; real models are slower
)

// An upstream is a provider that returns fixed responses, in OpenAI's or Anthropic's format, and counts them.
type upstream struct {
	openai, anthropic answer
	answers, streamed atomic.Int64
}

// An answer is an upstream's response: plain, or the events of a stream, of which event is repeated.
type answer struct{ plain, first, event, last []byte }

func newUpstream() *upstream {
	text := strings.Repeat("All work and no play makes Jack a dull boy. ", 18)
	chunk := func(delta, reason string) string {
		return `data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":` + delta + `,"finish_reason":` + reason + "}]}\n\n"
	}
	event := func(typ, fields string) string {
		return "event: " + typ + "\ndata: {\"type\":\"" + typ + "\"" + fields + "}\n\n"
	}
	return &upstream{
		openai: answer{
			plain: fmt.Appendf(nil, `{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":200,"total_tokens":220}}`, text),
			event: []byte(chunk(`{"content":" token"}`, "null")),
			last:  []byte(chunk("{}", `"stop"`) + "data: [DONE]\n\n"),
		},
		anthropic: answer{
			plain: fmt.Appendf(nil, `{"id":"1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":%q}],"stop_reason":"end_turn","usage":{"input_tokens":20,"output_tokens":200}}`, text),
			first: []byte(event("message_start", `,"message":{"id":"1","type":"message","role":"assistant","content":[],"model":"m","usage":{"input_tokens":20,"output_tokens":1}}`) +
				event("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)),
			event: []byte(event("content_block_delta", `,"index":0,"delta":{"type":"text_delta","text":" token"}`)),
			last: []byte(event("content_block_stop", `,"index":0`) +
				event("message_delta", `,"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":200}`) + event("message_stop", "")),
		},
	}
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/count" {
		fmt.Fprintln(w, u.answers.Load(), u.streamed.Load())
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client disconnected
	}
	says, wait := &u.openai, time.Duration(0)
	if strings.HasSuffix(r.URL.Path, "/messages") {
		says = &u.anthropic
	}
	switch {
	case !bytes.Contains(body, []byte(`"stream":true`)):
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(says.plain) // fails only if the client disconnected, which the loader does not count
		u.answers.Add(1)
		return
	case bytes.Contains(body, []byte("slowly")):
		wait = pause
	}
	u.stream(w, says, wait)
}

func (u *upstream) stream(w http.ResponseWriter, says *answer, wait time.Duration) {
	w.Header().Set("Content-Type", "text/event-stream")
	flusher := http.NewResponseController(w)
	_, _ = w.Write(says.first)
	for range events - 2 {
		if _, err := w.Write(says.event); err != nil || flusher.Flush() != nil {
			return
		}
		u.streamed.Add(1)
		time.Sleep(wait)
	}
	_, _ = w.Write(says.last)
	u.streamed.Add(2)
	u.answers.Add(1)
}

// serveProxy serves a bare ReverseProxy over the transport.
func serveProxy(ctx context.Context, target string, transport http.RoundTripper) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	return serve(ctx, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }, Transport: transport})
}

// serve prints its address to standard output and serves until ctx is done or standard input ends, which happens when the parent process exits.
func serve(ctx context.Context, h http.Handler) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = s.Close()
	}()
	fmt.Println(l.Addr())
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
