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
	events = 100                  // of a streamed answer
	pause  = 5 * time.Millisecond // between two of them: a model takes longer
)

// An upstream is a provider that does nothing but answer, and count.
type upstream struct {
	plain, event      []byte
	answers, streamed atomic.Int64
}

func newUpstream() *upstream {
	text := strings.Repeat("All work and no play makes Jack a dull boy. ", 18)
	return &upstream{
		plain: fmt.Appendf(nil, `{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":200,"total_tokens":220}}`, text),
		event: []byte(`data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}` + "\n\n"),
	}
}

const (
	lastEvent = `data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	terminal  = "data: [DONE]\n\n"
)

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/count" {
		fmt.Fprintln(w, u.answers.Load(), u.streamed.Load())
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has left
	}
	wait := time.Duration(0)
	switch {
	case !bytes.Contains(body, []byte(`"stream":true`)):
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(u.plain) // whoever has left is not counted by the load either
		u.answers.Add(1)
		return
	case bytes.Contains(body, []byte("slowly")):
		wait = pause
	}
	u.stream(w, wait)
}

func (u *upstream) stream(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Content-Type", "text/event-stream")
	flusher := http.NewResponseController(w)
	for range events - 2 {
		if _, err := w.Write(u.event); err != nil || flusher.Flush() != nil {
			return
		}
		u.streamed.Add(1)
		time.Sleep(wait)
	}
	_, _ = io.WriteString(w, lastEvent+terminal)
	u.streamed.Add(2)
	u.answers.Add(1)
}

// serveProxy serves a ReverseProxy that does nothing but pass on, over the transport.
func serveProxy(ctx context.Context, target string, transport http.RoundTripper) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	return serve(ctx, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }, Transport: transport})
}

// serve says on standard output where it listens, and serves until standard input or ctx ends: with whoever started it.
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
