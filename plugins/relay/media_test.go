package relay_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// sound answers with so many bytes of it, and says that there are as many as length; -1 says nothing.
func sound(n, length int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "audio/mpeg")
		if length >= 0 {
			w.Header().Set("Content-Length", fmt.Sprint(length))
		}
		_, _ = io.WriteString(w, strings.Repeat("{", n))
		if length > n {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}
}

// events answers with a stream of events of the types.
func events(types ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, typ := range types {
			fmt.Fprintf(w, "event: %s\ndata: {\"type\":%q,\"usage\":{\"input_tokens\":2,\"output_tokens\":3,\"total_tokens\":5}}\n\n", typ, typ)
		}
	}
}

// A response that is not JSON passes unchanged. A failure before its first byte is retried; a later one truncates the response.
func TestMedia(t *testing.T) {
	html := say(200, "<html>", "Content-Type", "text/html")
	for name, test := range map[string]struct {
		path, body string
		first      http.HandlerFunc
		want       string
	}{
		"sound":                      {"/v1/audio/speech", ``, sound(100_000, -1), "200 audio/mpeg 100000"},
		"sound of a known length":    {"/v1/audio/speech", ``, sound(100_000, 100_000), "200 audio/mpeg 100000"},
		"a cut before the first":     {"/v1/audio/speech", ``, sound(0, 100), "200 audio/mpeg 7"},
		"a cut after the first":      {"/v1/audio/speech", ``, sound(50_000, 100_000), "cut"},
		"no sound":                   {"/v1/audio/speech", ``, sound(0, 0), "200 audio/mpeg 7"},
		"a page":                     {"/v1/audio/speech", ``, html, "200 audio/mpeg 7"},
		"an error that says 200":     {"/v1/audio/speech", ``, say(200, `{"error":{"message":"x"}}`), "200 audio/mpeg 7"},
		"a limit":                    {"/v1/audio/speech", ``, say(429, `{"error":{}}`), "200 audio/mpeg 7"},
		"a refusal":                  {"/v1/audio/speech", ``, say(400, `{"error":{}}`), "400 application/json 12"},
		"speech as events":           {"/v1/audio/speech", `,"stream_format":"sse"`, events("speech.audio.delta", "speech.audio.done"), "200 text/event-stream speech.audio.done"},
		"speech that breaks off":     {"/v1/audio/speech", `,"stream_format":"sse"`, events("speech.audio.delta"), "200 text/event-stream error"},
		"images as events":           {"/v1/images/generations", `,"stream":true`, events("image_generation.partial_image", "image_generation.completed"), "200 text/event-stream image_generation.completed"},
		"two images":                 {"/v1/images/generations", `,"stream":true`, events("image_generation.completed", "image_generation.completed"), "200 text/event-stream image_generation.completed"},
		"an image that breaks off":   {"/v1/images/generations", `,"stream":true`, events("image_generation.partial_image"), "200 text/event-stream error"},
		"an image that is no JSON":   {"/v1/images/generations", ``, sound(100, 100), "200 application/json 7"},
		"a moderation":               {"/v1/moderations", ``, say(200, `{"results":[]}`), "200 application/json 14"},
		"a moderation with an error": {"/v1/moderations", ``, say(200, `{"error":{}}`), "200 application/json 7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := &script{steps: []http.HandlerFunc{test.first}}
			second := &script{steps: []http.HandlerFunc{say(200, `{"a":1}`, "Content-Type", "audio/mpeg")}}
			g := gatewaytest.Start(t, gatewaytest.Config("[settings]\nmax_retries = 1",
				gatewaytest.Provider("p", gatewaytest.Serve(t, first)), gatewaytest.Provider("q", gatewaytest.Serve(t, second)),
				gatewaytest.Model("m", "failover", "p"), "[[models.m.backends]]\nprovider = \"q\"\nmodel = \"two\"\npriority = 1\n"))
			response := g.Post(t, test.path, `{"model":"m"`+test.body+`}`)
			defer response.Body.Close()
			b, err := io.ReadAll(response.Body)
			got := fmt.Sprint(response.StatusCode, " ", response.Header.Get("Content-Type"), " ", len(b))
			switch {
			case err != nil:
				got = "cut"
			case response.Header.Get("Content-Type") == "text/event-stream":
				all := strings.Split(strings.TrimSuffix(string(b), "\n\n"), "\n\n")
				last := strings.TrimPrefix(strings.Split(all[len(all)-1], "\n")[0], "event: ")
				if strings.HasPrefix(last, `data: {"error"`) {
					last = "error"
				}
				got = fmt.Sprint(response.StatusCode, " text/event-stream ", last)
			}
			if got != test.want {
				t.Errorf("%s; want %s", got, test.want)
			}
		})
	}
}

// A provider that keeps the connection open after a complete response neither delays the client nor fails.
func TestSilenceAfterTheTerminal(t *testing.T) {
	t.Parallel()
	provider := &script{steps: []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		events("image_generation.completed", "image_generation.completed")(w, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}}}
	g := gatewaytest.Start(t, gatewaytest.Config("[settings]\nstream_idle_timeout_seconds = 1",
		gatewaytest.Provider("p", gatewaytest.Serve(t, provider)), gatewaytest.Model("m", "failover", "p")))
	_, text := gatewaytest.Read(t, g.Post(t, "/v1/images/generations", `{"model":"m","stream":true}`))
	if a := g.Status(t).Models[0].Backends[0].Attempts; a.Answered != 1 || strings.Contains(text, "error") {
		t.Errorf("%+v\n%s", a, text)
	}
}

// What a provider reports in other words than chat's is counted, too.
func TestUsageOfEvents(t *testing.T) {
	provider := &script{steps: []http.HandlerFunc{events("image_generation.partial_image", "image_generation.completed")}}
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, provider)), gatewaytest.Model("m", "failover", "p")))
	gatewaytest.Read(t, g.Post(t, "/v1/images/generations", `{"model":"m","stream":true}`))
	if a := g.Status(t).Models[0].Backends[0].Attempts; a.Answered != 1 || a.InputTokens != 2 || a.OutputTokens != 3 {
		t.Errorf("%+v", a)
	}
}
