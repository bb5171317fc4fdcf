package relay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// talk is a gateway whose model "m" fails over from "first" to an echo, which "echo" has alone.
func talk(t *testing.T, settings string, first http.Handler) (*gatewaytest.Gateway, *fakeprovider.Realtime) {
	t.Helper()
	echo := &fakeprovider.Realtime{Key: "sk-second"}
	return gatewaytest.Start(t, gatewaytest.Config("[settings]\n"+settings,
		gatewaytest.Provider("first", gatewaytest.Serve(t, first)), gatewaytest.Provider("second", gatewaytest.Serve(t, echo)), `
[users.bob]
token = "`+bob+`"
allowed_models = ["other"]
[models.m]
strategy = "failover"
[[models.m.backends]]
provider = "first"
model = "one"
priority = 1
[[models.m.backends]]
provider = "second"
model = "two"
priority = 2
[models.other]
strategy = "failover"
[[models.other.backends]]
provider = "second"
model = "two"
[models.echo]
strategy = "failover"
[[models.echo.backends]]
provider = "second"
model = "two"
`)), echo
}

// open opens a WebSocket as alice, and reads its first message.
func open(t *testing.T, g *gatewaytest.Gateway, model string) *websocket.Conn {
	t.Helper()
	c, response, err := websocket.Dial(t.Context(), g.URL+"/v1/realtime?model="+model, &websocket.DialOptions{
		HTTPClient: g.Client, HTTPHeader: http.Header{"Authorization": {"Bearer " + gatewaytest.Token}},
	})
	if err != nil {
		t.Fatalf("%v %+v", err, response)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	c.SetReadLimit(64 << 20)
	if got := hear(t, c); !strings.Contains(got, "session.created") {
		t.Fatalf("%s", got)
	}
	return c
}

func hear(t *testing.T, c *websocket.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, message, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(message)
}

func tell(t *testing.T, c *websocket.Conn, message string) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
}

// ended reads until the end, and returns the code; -1 is cut off.
func ended(t *testing.T, c *websocket.Conn) (code websocket.StatusCode, reason string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		if _, _, err := c.Read(ctx); err != nil {
			_, reason, _ := strings.Cut(err.Error(), "reason = ")
			return websocket.CloseStatus(err), reason
		}
	}
}

func TestRealtime(t *testing.T) {
	g, echo := talk(t, "", say(500, `{"error":{"message":"boom"}}`))
	c := open(t, g, "m") // by the second
	for _, message := range []string{`{"type":"x","text":"héllo"}`, ` {"type" : "conversation.item.create","item":{"model":"inner"}} `} {
		tell(t, c, message)
		if got := hear(t, c); got != message {
			t.Errorf("%s", got)
		}
	}
	for message, want := range map[string]string{
		`{"type":"session.update","session":{"voice":"ash"}}`:                                     `"model":"two"`,
		`{"type":"session.update","session":{"model":"m"}}`:                                       `"model":"two"`,
		`{"type":"session.update","event_id":"e1","session":{"model":"gpt"}}`:                     `"invalid_model"`,
		`{"type":"session.update","session":{"model":"m","Model":"gpt"}}`:                         `"invalid_model"`,
		`{"type":"session.update","session":{"model":"m"},"session":{"model":"gpt"}}`:             `"invalid_model"`,
		`{"type":"session.update","\u0073ession":{"mod\u0065l":"gpt"}}`:                           `"invalid_model"`,
		`{"type":"session.update","session":{"audio":{"input":{"transcription":{"model":"w"}}}}}`: `"transcription":{"model":"w"}`,
		`{"type":`: `"invalid_json"`,
		`[]`:       `"invalid_json"`,
	} {
		tell(t, c, message)
		got := hear(t, c)
		if !strings.Contains(got, want) || strings.Contains(message, `"e1"`) && !strings.Contains(got, `"event_id":"e1"`) {
			t.Errorf("%s: %s", message, got)
		}
	}
	tell(t, c, `{"type":"response.create"}`)
	if got := hear(t, c) + hear(t, c); !strings.Contains(got, "Hello") || !strings.Contains(got, "response.done") {
		t.Errorf("%s", got)
	}
	if err := c.Close(4321, "enough"); err != nil {
		t.Error(err)
	}
	gatewaytest.Wait(t, "the provider is closed, and all is counted", func() bool {
		return echo.Codes(4321) == 1 && strings.Contains(g.Log.String(), `"input_tokens":7,"output_tokens":3`) && strings.Contains(g.Log.String(), `"attempts":2`)
	})
	if metrics := g.Page(t, "/metrics"); !strings.Contains(metrics, `berry_model="m",outcome="ok",status="101"`) {
		t.Errorf("%s", metrics)
	}
	if r := echo.Seen[0]; r.URL.RawQuery != "model=two" || r.Header.Get("X-Request-Id") == "" {
		t.Errorf("%s %v", r.URL, r.Header)
	}
}

// Of the query passes what OpenAI documents, and the provider's model where it takes one; a session for transcripts names that later.
func TestRealtimeQuery(t *testing.T) {
	g, echo := talk(t, "", say(500, `{}`))
	for query, want := range map[string]string{
		"":                               "model=two",
		"&api-version=1&key=k&Model=one": "model=two",
		"&intent=conversation":           "intent=conversation&model=two",
		"&call_id=rtc_1%26model%3Done":   "call_id=rtc_1%26model%3Done",
		"&intent=transcription":          "intent=transcription",
	} {
		c := open(t, g, "echo"+query)
		if got := echo.Seen[len(echo.Seen)-1].URL.RawQuery; got != want {
			t.Errorf("%s became %s", query, got)
		}
		if query != "&intent=transcription" {
			continue
		}
		for message, want := range map[string]string{
			`{"type":"session.update","session":{"audio":{"input":{"transcription":{"model":"echo"}}}}}`: `"transcription":{"model":"two"}`,
			`{"type":"session.update","session":{"audio":{"input":{"transcription":{"model":"one"}}}}}`:  `"param":"session.audio.input.transcription.model"`,
			`{"type":"session.update","session":{"input_audio_transcription":{"Model":"one"}}}`:          `"invalid_model"`,
		} {
			tell(t, c, message)
			if got := hear(t, c); !strings.Contains(got, want) {
				t.Errorf("%s: %s", message, got)
			}
		}
	}
}

// What is no handshake, or one that is not allowed, gets an answer in the envelope.
func TestRealtimeRefused(t *testing.T) {
	g, echo := talk(t, "", say(500, ``))
	handshake := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
		"Authorization": {"Bearer " + gatewaytest.Token},
	}
	for name, test := range map[string]struct {
		header, value, query string
		status               int
		code                 string
	}{
		"no upgrade":    {"Upgrade", "", "?model=echo", 426, "upgrade_required"},
		"old version":   {"Sec-Websocket-Version", "8", "?model=echo", 400, "upgrade_required"},
		"no key":        {"Sec-Websocket-Key", "x", "?model=echo", 400, "upgrade_required"},
		"no token":      {"Authorization", "", "?model=echo", 401, "missing_api_key"},
		"wrong token":   {"Authorization", "Bearer nobody", "?model=echo", 401, "invalid_api_key"},
		"two tokens":    {"Sec-Websocket-Protocol", "openai-insecure-api-key.x", "?model=echo", 401, "missing_api_key"},
		"no model":      {"", "", "", 400, "missing_model"},
		"two models":    {"", "", "?model=echo&model=m", 400, "invalid_model"},
		"unknown model": {"", "", "?model=none", 404, "model_not_found"},
		"not allowed":   {"Authorization", "Bearer " + bob, "?model=echo", 403, "model_not_allowed"},
		"a call's":      {"Authorization", "Bearer " + bob, "?model=other&call_id=rtc_1", 403, "model_not_allowed"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+"/v1/realtime"+test.query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = handshake.Clone()
		if r.Header.Set(test.header, test.value); test.value == "" {
			r.Header.Del(test.header)
		}
		response, err := g.Client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response, got := gatewaytest.Read(t, response)
		if response.StatusCode != test.status || !strings.Contains(got, `"code":"`+test.code+`"`) {
			t.Errorf("%s: %d %s", name, response.StatusCode, got)
		}
		if test.status == 426 && response.Header.Get("Upgrade") != "websocket" {
			t.Errorf("%s: %v", name, response.Header)
		}
	}
	if len(echo.Seen) > 0 {
		t.Error("the provider was asked")
	}
}

// A browser's token is read from the subprotocol, and goes nowhere.
func TestRealtimeSubprotocol(t *testing.T) {
	g, echo := talk(t, "", say(500, ``))
	c, response, err := websocket.Dial(t.Context(), g.URL+"/v1/realtime?model=echo", &websocket.DialOptions{
		HTTPClient: g.Client, Subprotocols: []string{"realtime", "openai-insecure-api-key." + gatewaytest.Token, "openai-beta.realtime-v1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if c.Subprotocol() != "realtime" || strings.Contains(fmt.Sprint(response.Header), gatewaytest.Token) {
		t.Errorf("%v", response.Header)
	}
	_ = c.Close(1000, "")
	gatewaytest.Wait(t, "it is logged", func() bool { return strings.Contains(g.Log.String(), `"status":101`) })
	if seen := fmt.Sprint(echo.Seen[0].Header); strings.Contains(seen, gatewaytest.Token) || !strings.Contains(seen, "realtime,openai-beta.realtime-v1") {
		t.Errorf("%s", seen)
	}
	if strings.Contains(g.Log.String(), gatewaytest.Token) {
		t.Error("the token is in the log")
	}
}

// accept is a provider that takes a WebSocket and does something with it.
func accept(do func(*websocket.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		do(c)
	}
}

func says(message string) func(*websocket.Conn) {
	return func(c *websocket.Conn) {
		_ = c.Write(context.Background(), websocket.MessageText, []byte(message))
		_, _, _ = c.Read(context.Background())
	}
}

// Until a provider has said something useful, another one can be asked.
func TestRealtimeFailover(t *testing.T) {
	for name, first := range map[string]http.HandlerFunc{
		"reset": reset, "401": say(401, `{"error":{"message":"sk-first"}}`), "429": say(429, `{"error":{"message":"slow"}}`), "200": say(200, `{}`),
		"closed":      accept(func(c *websocket.Conn) { _ = c.Close(1011, "boom") }),
		"closed 3000": accept(func(c *websocket.Conn) { _ = c.Close(3000, "invalid_api_key: sk-first") }),
		"cut":         accept(func(*websocket.Conn) {}), "error": accept(says(`{"type":"error","error":{"code":"server_error","message":"boom"}}`)),
		"no JSON": accept(says(`hello`)), "silent": accept(func(c *websocket.Conn) { _, _, _ = c.Read(context.Background()) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, _ := talk(t, "first_token_timeout_seconds = 1\n", first)
			c := open(t, g, "m")
			_ = c.Close(1000, "")
			gatewaytest.Wait(t, "it is logged", func() bool { return strings.Contains(g.Log.String(), `"attempts":2`) })
			if strings.Contains(g.Log.String(), "sk-first") {
				t.Error("the key is in the log")
			}
		})
	}
}

// Which code each side gets when the other one ends.
func TestRealtimeCodes(t *testing.T) {
	g, echo := talk(t, "", say(500, ``))
	outcome := func(name string, end func(c *websocket.Conn), want websocket.StatusCode, outcome string) {
		t.Run(name, func(t *testing.T) {
			g.Log.Reset()
			before := echo.Codes(want)
			end(open(t, g, "echo"))
			gatewaytest.Wait(t, "the provider has it, and it is logged", func() bool {
				return (want == 0 || echo.Codes(want) > before) && strings.Contains(g.Log.String(), `"outcome":"`+outcome+`"`)
			})
		})
	}
	for _, code := range []websocket.StatusCode{1000, 1001, 3999, 4000} {
		outcome(fmt.Sprint("client ", code), func(c *websocket.Conn) { _ = c.Close(code, "bye") }, code, "ok")
	}
	outcome("client without code", func(c *websocket.Conn) { _ = c.Close(websocket.StatusNoStatusRcvd, "") }, 1005, "ok")
	outcome("client cut", func(c *websocket.Conn) { _ = c.CloseNow() }, 1001, "cancelled")
	outcome("client sends too much", func(c *websocket.Conn) {
		_ = c.Write(t.Context(), websocket.MessageText, make([]byte, 17<<20))
		if code, _ := ended(t, c); code != 1009 {
			t.Errorf("%d", code)
		}
	}, 1001, "cancelled")
	for _, test := range []struct {
		code    websocket.StatusCode
		reason  string
		want    websocket.StatusCode
		outcome string
	}{
		{1000, "done", 1000, "ok"}, {4008, "session expired", 4008, "ok"}, {1011, "boom", 1011, "failed"}, {1013, "", 1013, "failed"},
		{3000, "sk-second", 1014, "failed"}, {1008, "no sk-second", 1008, "ok"},
	} {
		outcome(fmt.Sprint("provider ", test.code), func(c *websocket.Conn) {
			tell(t, c, fmt.Sprintf(`{"type":"close","code":%d,"reason":%q}`, test.code, test.reason))
			code, reason := ended(t, c)
			secret := strings.Contains(test.reason, "sk-")
			if code != test.want || strings.Contains(reason, "sk-") || !secret && !strings.Contains(reason, test.reason) {
				t.Errorf("%d %s", code, reason)
			}
		}, 0, test.outcome)
	}
	outcome("provider cut", func(c *websocket.Conn) {
		tell(t, c, `{"type":"cut"}`)
		if got := hear(t, c); !strings.Contains(got, `"code":"upstream_error"`) {
			t.Errorf("%s", got)
		}
		if code, _ := ended(t, c); code != websocket.StatusBadGateway {
			t.Errorf("%d", code)
		}
	}, 0, "failed")
}

// What a provider says in a session of its key's refusal stays here; what it says of the client's faults passes.
func TestRealtimeWords(t *testing.T) {
	g, _ := talk(t, "", say(500, ``))
	c := open(t, g, "echo")
	const refused = `{"type":"invalid_request_error","code":"invalid_api_key","message":"Incorrect API key sk-s****nd of org-42","param":"org-42","event_id":null}`
	const told = `{"message":"No provider could answer; try again later.","type":"upstream_error","param":null,"code":"upstream_error","event_id":null}`
	for message, want := range map[string]string{
		`{"type":"error","event_id":"e1","error":` + refused + `}`:                                                                        `{"type":"error","event_id":"e1","error":` + told + `}`,
		`{"type":"response.done","response":{"status":"failed","status_details":{"type":"failed","error":` + refused + `},"usage":null}}`: `{"type":"response.done","response":{"status":"failed","status_details":{"type":"failed","error":` + told + `},"usage":null}}`,
		`{"type":"error","error":{"type":"invalid_request_error","code":"unknown_parameter","message":"no x","param":"x"}}`:               `{"type":"error","error":{"type":"invalid_request_error","code":"unknown_parameter","message":"no x","param":"x"}}`,
		`{"type":"x","error":null}`: `{"type":"x","error":null}`,
	} {
		tell(t, c, message)
		if got := hear(t, c); got != want {
			t.Errorf("%s became %s", message, got)
		}
	}
}

// Who says nothing for too long is closed; who does not even answer a ping is cut off.
func TestRealtimeSilence(t *testing.T) {
	g, echo := talk(t, "realtime_idle_timeout_seconds = 1\n", say(500, ``))
	c := open(t, g, "echo")
	if code, _ := ended(t, c); code != 1001 {
		t.Errorf("%d", code)
	}
	gatewaytest.Wait(t, "the provider has it", func() bool { return echo.Codes(1001) == 1 })

	g, echo = talk(t, "stream_idle_timeout_seconds = 1\n", say(500, ``))
	open(t, g, "echo") // and nobody reads it, so that no pong is sent
	gatewaytest.Wait(t, "the provider has it", func() bool { return echo.Codes(1001) == 1 })
}

// A gateway that ends says so.
func TestRealtimeShutdown(t *testing.T) {
	g, echo := talk(t, "", say(500, ``))
	c := open(t, g, "echo")
	stopped := make(chan error, 1)
	go func() { stopped <- g.Stop() }()
	if code, _ := ended(t, c); code != 1001 {
		t.Errorf("%d", code)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	gatewaytest.Wait(t, "the provider has it", func() bool { return echo.Codes(1001) == 1 })
}

// Many talk at once, and end in every way; then nothing is left (TestMain). BERRY_SOAK=1 has them talk for longer.
func TestRealtimeSoak(t *testing.T) {
	const many = 50
	messages := 20
	if os.Getenv("BERRY_SOAK") != "" {
		messages = 1000
	}
	g, echo := talk(t, "", say(500, ``))
	var talking sync.WaitGroup
	for i := range many {
		c := open(t, g, "echo")
		talking.Go(func() {
			for n := range messages {
				message := fmt.Sprintf(`{"type":"x","of":%d,"n":%d}`, i, n)
				tell(t, c, message)
				if got := hear(t, c); got != message {
					t.Errorf("%s, not %s", got, message)
					return
				}
			}
			switch i % 4 {
			case 0:
				_ = c.Close(websocket.StatusCode(4000+i), "")
			case 1:
				_ = c.CloseNow()
			case 2:
				tell(t, c, fmt.Sprintf(`{"type":"close","code":%d}`, 4000+i))
				if code, _ := ended(t, c); code != websocket.StatusCode(4000+i) {
					t.Errorf("%d, not %d", code, 4000+i)
				}
			default:
				tell(t, c, `{"type":"cut"}`)
				if code, _ := ended(t, c); code != websocket.StatusBadGateway {
					t.Errorf("%d", code)
				}
			}
		})
	}
	talking.Wait()
	for i := 0; i < many; i += 4 {
		gatewaytest.Wait(t, "the provider is closed", func() bool { return echo.Codes(websocket.StatusCode(4000+i)) == 1 })
	}
	gatewaytest.Wait(t, "nobody is left", func() bool {
		return echo.Codes(1001) == (many+2)/4 && strings.Count(g.Log.String(), `"status":`) >= many
	})
	var status struct {
		Models []struct {
			Backends []struct {
				InFlight *int `json:"in_flight"`
			}
		}
	}
	if err := json.Unmarshal([]byte(g.Page(t, "/admin/status")), &status); err != nil || len(status.Models) != 3 {
		t.Fatalf("%v %+v", err, status)
	}
	for _, m := range status.Models {
		for _, b := range m.Backends {
			if b.InFlight == nil || *b.InFlight != 0 {
				t.Errorf("%+v", status)
			}
		}
	}
}
