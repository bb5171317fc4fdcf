package relay_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// compressed returns the body in the coding.
func compressed(t *testing.T, coding string, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch strings.ToLower(coding) {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		var err error
		if w, err = zstd.NewWriter(&b); err != nil {
			t.Fatal(err)
		}
	default:
		return body
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// encoding compresses what h answers.
func encoding(t *testing.T, coding string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("the provider is asked for %q", got)
		}
		whole := &recorder{header: w.Header(), status: 200}
		h.ServeHTTP(whole, r)
		w.Header().Set("Content-Encoding", coding)
		w.Header().Del("Content-Length")
		w.WriteHeader(whole.status)
		_, _ = w.Write(compressed(t, coding, whole.body.Bytes()))
	})
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorder) Flush()                      {}

// An answer that comes compressed, though nobody asked for that, means what it says, to clients of each API.
func TestCompressedAnswers(t *testing.T) {
	for _, typ := range []string{"openai", "anthropic", "gemini"} {
		for _, coding := range []string{"gzip", "GZIP", "deflate", "br", "zstd", "Identity"} {
			t.Run(typ+" "+coding, func(t *testing.T) {
				t.Parallel()
				url := func(h http.Handler) string { return gatewaytest.Serve(t, encoding(t, coding, h)) }
				limited := fakeprovider.Translate(typ, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", "120")
					say(429, `{"error":{"message":"slow","type":"rate_limit_exceeded","code":"rate_limit_exceeded"}}`)(w, nil)
				}))
				refuses := func(status int, code string) http.Handler {
					return fakeprovider.Translate(typ, say(status, `{"error":{"message":"top_p: too much","type":"invalid_request_error","code":"`+code+`"}}`))
				}
				g := gatewaytest.Start(t, gatewaytest.Config("[settings]\nmax_retries = 0\n",
					typed(typ, "good", url(fakeprovider.Translate(typ, &fakeprovider.ToolCaller{Key: "sk-good"}))), gatewaytest.Model("good", "failover", "good"),
					typed(typ, "limited", url(limited)), gatewaytest.Model("limited", "failover", "limited"),
					typed(typ, "bad", url(refuses(400, "invalid_request_error"))), gatewaytest.Model("bad", "failover", "bad"),
					typed(typ, "key", url(refuses(401, "invalid_api_key"))), gatewaytest.Model("key", "failover", "key")))
				for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
					for _, test := range []struct {
						model  string
						stream bool
						status int
						says   string
					}{
						{"good", false, 200, "user: Hi!"}, {"good", true, 200, "Hi!"}, {"bad", false, 400, "top_p: too much"}, {"key", false, 502, "error"},
						{"limited", false, 429, "slow"}, {"limited", false, 503, "error"},
					} {
						if path == "/v1/messages" && test.status == 429 {
							continue // the provider is left alone by now
						}
						response, text := gatewaytest.Read(t, g.Post(t, path, fmt.Sprintf(`{"model":%q,"stream":%v,"max_tokens":9,"messages":[{"role":"user","content":"Hi!"}]}`, test.model, test.stream)))
						if response.StatusCode != test.status || !strings.Contains(text, test.says) || response.Header.Get("Content-Encoding") != "" {
							t.Errorf("%s %s, stream %v: %d %.200s", path, test.model, test.stream, response.StatusCode, text)
						}
						if test.status == 429 && response.Header.Get("Retry-After") != "120" {
							t.Errorf("Retry-After %q", response.Header.Get("Retry-After"))
						}
					}
				}
			})
		}
	}
}

// A stream is one by what it says, whatever its type.
func TestStreamsUnderAnotherName(t *testing.T) {
	good := chunk("hello", `"stop"`) + "data: [DONE]\n\n"
	var kinds, befores, toml []string
	for _, kind := range []string{"", "text/plain", "application/json", "application/octet-stream", "Text/Event-Stream; charset=utf-8"} {
		for _, before := range []string{"", "\n\n", ": wait\n\n", "event: x\n"} {
			id := fmt.Sprintf("p%d", len(kinds))
			url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{kind}
				if kind == "" {
					w.Header()["Content-Type"] = nil
				}
				_, _ = io.WriteString(w, before+good)
			}))
			kinds, befores = append(kinds, kind), append(befores, before)
			toml = append(toml, gatewaytest.Provider(id, url), gatewaytest.Model(id, "failover", id))
		}
	}
	g := gatewaytest.Start(t, gatewaytest.Config(toml...))
	for i, kind := range kinds {
		response, text := gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", fmt.Sprintf(`{"model":"p%d","stream":true}`, i)))
		if got := response.Header.Get("Content-Type"); response.StatusCode != 200 || !strings.HasSuffix(text, good) || !strings.HasPrefix(strings.ToLower(got), "text/event-stream") {
			t.Errorf("%q, %q first: %d %s %q", kind, befores[i], response.StatusCode, got, text)
		}
	}
}

// A request that is compressed is refused in the client's words before it is read.
func TestCompressedRequests(t *testing.T) {
	g := one(t, "openai", "", say(200, answer))
	for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/v1/embeddings", "/v1/responses", "/v1/audio/transcriptions"} {
		r, err := http.NewRequest(http.MethodPost, g.URL+path, bytes.NewReader(compressed(t, "gzip", []byte(`{"model":"m"}`))))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+gatewaytest.Token)
		r.Header.Set("Content-Encoding", "gzip")
		r.Header.Set("Content-Type", "application/json")
		if strings.Contains(path, "audio") {
			r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		}
		response, err := g.Client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, text := gatewaytest.Read(t, response); response.StatusCode != http.StatusUnsupportedMediaType || !strings.Contains(text, "error") {
			t.Errorf("%s: %d %s", path, response.StatusCode, text)
		}
	}
}
