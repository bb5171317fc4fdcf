package fakeprovider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A Fault is a simulated failure. It applies to requests for a model of its name, or to those for which the provider's Plan returns its name.
type Fault struct {
	Name   string
	What   string // the provider does, in a few words
	Stream bool   // applies to streamed responses only

	serve func(*scene)
}

// Faults returns a copy of the list of all faults.
func Faults() []Fault { return append([]Fault(nil), all...) }

// all is read-only.
var all = []Fault{
	{Name: "429-once", What: "429 with `Retry-After: 2`, once", serve: once(limited("Retry-After", "2"))},
	{Name: "429-date-once", What: "429 with an HTTP date 2 s ahead, once", serve: once(func(s *scene) {
		limited("Retry-After", time.Now().Add(3*time.Second).UTC().Format(http.TimeFormat))(s) // whole seconds, rounded down
	})},
	{Name: "429-ms-once", What: "429 with `retry-after-ms: 2000`, once", serve: once(limited("Retry-After-Ms", "2000"))},
	{Name: "429-absurd", What: "429 with a `Retry-After` of a thousand years", serve: limited("Retry-After", "31536000000")},
	{Name: "429", What: "429 without `Retry-After`, always", serve: limited("", "")},
	{Name: "500-once", What: "500, once", serve: once(failWith(500, "server_error", "The server had an error."))},
	{Name: "503", What: "503, always", serve: failWith(503, "server_error", "The engine is overloaded.")},
	{Name: "reset", What: "breaks the connection before its header", serve: func(*scene) { panic(http.ErrAbortHandler) }},
	{Name: "silent", What: "accepts and never answers", serve: (*scene).wait},
	{Name: "slow-start", What: "header at once, first token late", Stream: true, serve: (*scene).slowStart},
	{Name: "cut-early", What: "stream cut before its first event", Stream: true, serve: broken(0, "")},
	{Name: "cut", What: "stream cut after 40 of 60 events", Stream: true, serve: broken(40, "")},
	{Name: "cut-event", What: "… within an event", Stream: true, serve: broken(40, `data: {"choices":[{"ind`)},
	{Name: "cut-rune", What: "… within a UTF-8 rune", Stream: true, serve: broken(40, "data: {\"choices\":[{\"delta\":{\"content\":\"\xe2\x82")},
	{Name: "stall", What: "stream that stalls after 20 events", Stream: true, serve: func(s *scene) { s.begin(20); s.wait() }},
	{Name: "broken-json", What: "stream whose tenth event is broken JSON", Stream: true, serve: (*scene).brokenJSON},
	{Name: "no-done", What: "stream that ends complete, `[DONE]` missing", Stream: true, serve: func(s *scene) { s.begin(60); s.send(s.finish()) }},
	{Name: "error-event", What: "stream whose first event is an error", Stream: true, serve: func(s *scene) {
		s.begin(0)
		s.send("data: " + envelope("server_error", "The server had an error.") + "\n\n")
	}},
	{Name: "error-200", What: "200 with an error object", serve: failWith(200, "server_error", "The server had an error.")},
	{Name: "too-long", What: "400 `context_length_exceeded`", serve: failWith(400, "context_length_exceeded", "Your prompt is too long.")},
	{Name: "filtered", What: "400 `content_filter`", serve: failWith(400, "content_filter", "The prompt was flagged.")},
	{Name: "401", What: "401, quoting the key", serve: func(s *scene) {
		failWith(401, "invalid_api_key", "Incorrect API key provided: "+s.r.Header.Get("Authorization"))(s)
	}},
	{Name: "403", What: "403", serve: failWith(403, "permission_error", "Not your model.")},
	{Name: "truncated", What: "body cut before its Content-Length", serve: (*scene).truncated},
	{Name: "html", What: "200 with HTML", serve: func(s *scene) { s.respond(200, "<html>It works!</html>") }},
	{Name: "huge", What: "answer of 100 MB", serve: (*scene).huge},
	{Name: "tiny-events", What: "10,000 tiny events in a second", Stream: true, serve: (*scene).tinyEvents},
	{Name: "huge-event", What: "event of 5 MB", Stream: true, serve: func(s *scene) {
		s.begin(0)
		s.send(s.event(strings.Repeat("x", 5<<20)) + s.finish() + done)
	}},
	{Name: "header-bomb", What: "1 MB of header", serve: (*scene).headerBomb},
	{Name: "informational", What: "three 103s before the answer", serve: func(s *scene) { s.inform(3); s.answer() }},
	{Name: "informational-flood", What: "103s without an end", serve: func(s *scene) { s.inform(100_000) }},
	{Name: "redirect", What: "redirect to elsewhere", serve: func(s *scene) {
		http.Redirect(s.w, s.r, s.p.Elsewhere, http.StatusTemporaryRedirect)
	}},
}

// find returns the fault with the name; nil if there is none.
func find(name string) *Fault {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}

const done = "data: [DONE]\n\n"

// A scene is one request that receives a fault.
type scene struct {
	p   *Provider
	w   http.ResponseWriter
	r   *http.Request
	in  *request
	nth int // of the requests for this model, from 0

	answered bool
}

func (s *scene) count() {
	if s.answered {
		s.p.served.Add(1)
	} else {
		s.p.failed.Add(1)
	}
}

// once fails the first request for a model and serves the others.
func once(fail func(*scene)) func(*scene) {
	return func(s *scene) {
		if s.nth == 0 {
			fail(s)
			return
		}
		s.answer()
	}
}

func failWith(status int, code, message string) func(*scene) {
	return func(s *scene) { s.respond(status, envelope(code, message)) }
}

// limited returns 429, with a header if the name is not "".
func limited(name, value string) func(*scene) {
	return func(s *scene) {
		if name != "" {
			s.w.Header().Set(name, value)
		}
		failWith(429, "rate_limit_exceeded", "You are sending too fast.")(s)
	}
}

// broken sends the first events of 60 and a part of one more, and aborts the connection.
func broken(events int, part string) func(*scene) {
	return func(s *scene) {
		s.begin(events)
		s.send(part)
		panic(http.ErrAbortHandler)
	}
}

func envelope(code, message string) string {
	b, _ := json.Marshal(message) // strings always marshal
	return fmt.Sprintf(`{"error":{"message":%s,"type":%q,"param":null,"code":%q}}`, b, code, code)
}

// respond writes a response with a status and a body.
func (s *scene) respond(status int, body string) {
	s.w.Header().Set("Content-Type", "application/json")
	s.w.WriteHeader(status)
	s.send(body)
}

// send writes and flushes the text. It ignores errors: they mean that the client disconnected.
func (s *scene) send(text string) {
	_, _ = s.w.Write([]byte(text))
	_ = http.NewResponseController(s.w).Flush()
}

// answer returns a successful response.
func (s *scene) answer() {
	s.answered = true
	s.p.answer(s.w, s.r, s.in)
}

// wait waits until the client disconnects.
func (s *scene) wait() { <-s.r.Context().Done() }

// begin starts a stream and sends the number of events.
func (s *scene) begin(events int) {
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.send("")
	for i := range events {
		s.send(s.event(fmt.Sprintf("%d ", i)))
	}
}

func (s *scene) event(text string) string {
	return s.data(map[string]string{"role": "assistant", "content": text}, nil)
}

// finish returns the event with the finish reason.
func (s *scene) finish() string { return s.data(map[string]string{}, "stop") }

func (s *scene) data(delta map[string]string, reason any) string {
	b, _ := json.Marshal(s.in.envelope(".chunk", s.in.choice("delta", delta, delta["content"], reason), nil)) // maps of strings always marshal
	return "data: " + string(b) + "\n\n"
}

func (s *scene) slowStart() {
	late := s.p.SlowStart
	if late == 0 {
		late = 20 * time.Second
	}
	s.begin(0)
	select {
	case <-time.After(late):
		s.send(s.event("At last.") + s.finish() + done)
	case <-s.r.Context().Done():
	}
}

func (s *scene) brokenJSON() {
	s.begin(9)
	s.send("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\n\n")
	for range 50 {
		s.send(s.event("more "))
	}
	s.send(s.finish() + done)
}

func (s *scene) truncated() {
	s.w.Header().Set("Content-Length", "1000")
	s.respond(200, `{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello`)
	panic(http.ErrAbortHandler)
}

func (s *scene) huge() {
	piece := strings.Repeat("x", 1<<20)
	s.w.Header().Set("Content-Type", "application/json")
	s.send(`{"choices":[],"padding":"`)
	for range 100 {
		s.send(piece)
	}
	s.send(`"}`)
}

func (s *scene) tinyEvents() {
	s.begin(0)
	const events, at = 10_000, 100
	tick := time.NewTicker(time.Second * at / events)
	defer tick.Stop()
	for range events / at {
		s.send(strings.Repeat("data: {}\n\n", at))
		<-tick.C
	}
	s.send(s.finish() + done)
}

func (s *scene) headerBomb() {
	for i := range 1024 {
		s.w.Header().Set(fmt.Sprintf("X-Bomb-%d", i), strings.Repeat("x", 1024))
	}
	s.answer()
}

func (s *scene) inform(times int) {
	s.w.Header().Set("Link", "</style.css>; rel=preload")
	for range times {
		if s.r.Context().Err() != nil {
			return
		}
		s.w.WriteHeader(http.StatusEarlyHints)
	}
	s.w.Header().Del("Link")
}
