package relay_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// A listener is a provider that keeps what it was sent last.
type listener struct {
	answer http.HandlerFunc
	hasty  bool // answers before it has read

	mu     sync.Mutex
	asked  int
	kind   string
	length int64
	body   []byte
	err    error
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if !l.hasty {
		l.body, l.err = io.ReadAll(r.Body)
		l.kind, l.length = r.Header.Get("Content-Type"), r.ContentLength
	}
	l.answer(w, r)
}

const formType = "multipart/form-data; boundary=b0und"

// formOf joins parts with the boundary.
func formOf(parts ...string) string {
	return "--b0und\r\n" + strings.Join(parts, "\r\n--b0und\r\n") + "\r\n--b0und--\r\n"
}

func formField(name, value string) string {
	return fmt.Sprintf("Content-Disposition: form-data; name=%q\r\n\r\n%s", name, value)
}

func formFile(content string) string {
	return "Content-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\n" + content
}

// post sends a form to be transcribed; with length -1 in chunks.
func post(t *testing.T, g *gatewaytest.Gateway, path, kind string, body io.Reader, length int64) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, g.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = length
	r.Header.Set("Authorization", "Bearer "+gatewaytest.Token)
	r.Header.Set("Content-Type", kind)
	response, err := g.Client.Do(r)
	if err != nil {
		t.Fatalf("%d bytes: %v", length, err)
	}
	return gatewaytest.Read(t, response)
}

func uploadGateway(t *testing.T, first, second http.Handler) *gatewaytest.Gateway {
	return gatewaytest.Start(t, gatewaytest.Config("[settings]\nmax_retries = 2",
		gatewaytest.Provider("p", gatewaytest.Serve(t, first)), gatewaytest.Provider("q", gatewaytest.Serve(t, second)),
		gatewaytest.Model("m", "failover", "p"), "[[models.m.backends]]\nprovider = \"q\"\nmodel = \"the-second\"\npriority = 1\n"))
}

// Wherever the model stands, its value alone is replaced. A form whose file comes first can be sent again, one whose file follows
// cannot.
func TestUpload(t *testing.T) {
	model, file := formField("model", "m"), formFile(strings.Repeat("sound\r\n--b0un", 100_000))
	for name, body := range map[string]string{
		"model first": formOf(model, formField("language", "de"), file),
		"file first":  formOf(file, model, formField("language", "de")),
		"small":       formOf(model, formFile("abc")),
		"in between":  formOf(file, model, file),
	} {
		for _, length := range []int64{int64(len(body)), -1} {
			t.Run(fmt.Sprint(name, length), func(t *testing.T) {
				t.Parallel()
				first, second := &listener{answer: say(500, `{"error":{"message":"no"}}`)}, &listener{answer: say(200, `{"text":"hello"}`)}
				g := uploadGateway(t, first, second)
				response, text := post(t, g, "/v1/audio/transcriptions", formType, struct{ io.Reader }{strings.NewReader(body)}, length)
				if want := strings.Replace(body, "\r\n\r\nm\r\n", "\r\n\r\none\r\n", 1); string(first.body) != want || first.err != nil || first.kind != formType {
					t.Errorf("the provider got %d bytes of %s, %v; want %d", len(first.body), first.kind, first.err, len(want))
				}
				if length >= 0 && first.length != length+2 {
					t.Errorf("a length of %d", first.length)
				}
				repeatable := name == "file first" || name == "small"
				if response.Close {
					t.Error("the connection is not kept")
				}
				if repeatable != (response.StatusCode == 200) || repeatable != (second.asked == 1) {
					t.Fatalf("%d %s, %d asked", response.StatusCode, text, second.asked)
				}
				if want := strings.Replace(body, "\r\n\r\nm\r\n", "\r\n\r\nthe-second\r\n", 1); repeatable && string(second.body) != want {
					t.Errorf("the second got %d bytes; want %d", len(second.body), len(want))
				}
			})
		}
	}
}

// Of a form whose provider cannot be connected to nothing was sent: another one gets it.
func TestUploadMovesOnBeforeItsFile(t *testing.T) {
	t.Parallel()
	second := &listener{answer: say(200, "1\n00:00 hello", "Content-Type", "text/plain; charset=utf-8")}
	g := gatewaytest.Start(t, gatewaytest.Config(
		gatewaytest.Provider("p", "http://127.0.0.1:1"), gatewaytest.Provider("q", gatewaytest.Serve(t, second)),
		gatewaytest.Model("m", "failover", "p"), "[[models.m.backends]]\nprovider = \"q\"\nmodel = \"two\"\npriority = 1\n"))
	body := formOf(formField("model", "m"), formFile(strings.Repeat("x", 1<<20)))
	if response, text := post(t, g, "/v1/audio/translations", formType, strings.NewReader(body), int64(len(body))); response.StatusCode != 200 || text != "1\n00:00 hello" {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	if len(second.body) != len(body)+2 {
		t.Errorf("%d bytes", len(second.body))
	}
}

// A transcript may come as events, even if the form says so behind its file.
func TestUploadStreams(t *testing.T) {
	t.Parallel()
	provider := &listener{answer: events("transcript.text.delta", "transcript.text.done")}
	g := uploadGateway(t, provider, provider)
	for _, body := range []string{
		formOf(formField("model", "m"), formField("stream", "true"), formFile("abc")),
		formOf(formField("model", "m"), formFile(strings.Repeat("x", 200_000)), formField("stream", "true")),
	} {
		response, text := post(t, g, "/v1/audio/transcriptions", formType, strings.NewReader(body), int64(len(body)))
		if response.StatusCode != 200 || !strings.Contains(text, "event: transcript.text.done\n") || strings.Contains(text, "[DONE]") {
			t.Errorf("%d %s", response.StatusCode, text)
		}
	}
}

// What is wrong with a form is told, whether it is found before or after a part of it was sent, and counts against nobody.
func TestBadUploads(t *testing.T) {
	model, large := formField("model", "m"), formFile(strings.Repeat("x", 200_000))
	provider := &listener{answer: say(200, `{}`)}
	g := uploadGateway(t, provider, provider)
	for name, test := range map[string]struct {
		kind, body string
		status     int
		code       string
	}{
		"JSON":                  {"application/json", `{"model":"m"}`, 400, "invalid_form"},
		"no boundary":           {"multipart/form-data", formOf(model), 400, "invalid_form"},
		"nothing":               {formType, "", 400, "invalid_form"},
		"no model":              {formType, formOf(large), 400, "missing_model"},
		"an unknown model":      {formType, formOf(formField("model", "x"), large), 404, "model_not_found"},
		"two models":            {formType, formOf(model, model, large), 400, "invalid_model"},
		"another after a file":  {formType, formOf(model, large, model), 400, "invalid_model"},
		"no last boundary":      {formType, strings.TrimSuffix(formOf(model, large), "--b0und--\r\n"), 400, "invalid_form"},
		"a header of 1 MB":      {formType, formOf(model, "X: "+strings.Repeat("x", 1<<20)+"\r\n"+large), 400, "invalid_form"},
		"a header after a file": {formType, formOf(model, large, "X: "+strings.Repeat("x", 1<<20)+"\r\n"+large), 400, "invalid_form"},
		"too large":             {formType, formOf(model, formFile(strings.Repeat("x", 40<<20))), 413, "request_too_large"},
	} {
		for _, length := range []int64{int64(len(test.body)), -1} {
			response, text := post(t, g, "/v1/audio/transcriptions", test.kind, struct{ io.Reader }{strings.NewReader(test.body)}, length)
			if response.StatusCode != test.status || !strings.Contains(text, `"code":"`+test.code+`"`) {
				t.Errorf("%s: %d %s", name, response.StatusCode, text)
			}
		}
	}
	status := g.Status(t).Models[0].Backends
	if status[0].State != "healthy" || status[0].Attempts.Failed > 0 || status[1].Attempts.Answered > 0 {
		t.Errorf("%+v", status)
	}
}

// An error that the provider returns before it has read the body reaches the client.
func TestUploadRefusedEarly(t *testing.T) {
	t.Parallel()
	provider := &listener{hasty: true, answer: say(413, `{"error":{"message":"too large"}}`)}
	g := uploadGateway(t, provider, provider)
	body := formOf(formField("model", "m"), formFile(strings.Repeat("x", 300_000)))
	if response, text := post(t, g, "/v1/audio/transcriptions", formType, strings.NewReader(body), int64(len(body))); response.StatusCode != 413 {
		t.Errorf("%d %s", response.StatusCode, text)
	}
}

// A disconnect within an upload cancels it at the provider; a stalled upload times out with an error.
func TestUploadStops(t *testing.T) {
	t.Parallel()
	provider := &listener{answer: say(200, `{}`)}
	g := uploadGateway(t, provider, provider)
	begin := func() net.Conn {
		c, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		body := formOf(formField("model", "m"), formFile(strings.Repeat("x", 300_000)))
		fmt.Fprintf(c, "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			gatewaytest.Token, formType, len(body), body[:200_000])
		return c
	}
	begin().Close()
	gatewaytest.Wait(t, "the provider is told", func() bool {
		provider.mu.Lock()
		defer provider.mu.Unlock()
		return provider.asked == 1 && provider.err != nil
	})
	c := begin()
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(3 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(io.LimitReader(c, 12)); err != nil || !strings.Contains(answer.String(), "408") {
		t.Errorf("%q, %v", answer.String(), err)
	}
	if status := g.Status(t).Models[0].Backends[0]; status.State != "healthy" || status.Attempts.Cancelled != 2 {
		t.Errorf("%+v", status)
	}
}
