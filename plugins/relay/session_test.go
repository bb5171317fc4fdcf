package relay

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/responseid"
	"github.com/berrygate/berry/core/upstream"
)

// Whatever a session's client says and passes: however it is read, it names no other model, and nothing else of it has changed.
func FuzzModelGuard(f *testing.F) {
	for _, seed := range []string{
		`{"type":"session.update","session":{"model":"m","voice":"ash"}}`, `{"session":{"model":"gpt"}}`, `{"Session":{"model":"gpt"}}`,
		`{"session":{"model":"m","MODEL":"gpt"}}`, `{"session":{"model":"m"},"session":{"model":"gpt"}}`, `{"\u0073ession":{"mod\u0065l":"gpt"}}`,
		`{"session":{"audio":{"input":{"transcription":{"model":"m"}}},"input_audio_transcription":{"model":"p/1"}}}`, `{"session":{"audio":{"input":{"transcription":{"model":"w"}}}}}`,
		`{"session":{"audio":{"input":{},"Input":{"transcription":{"model":"w"}}}}}`, `{"session":null,"item":{"model":"x"}}`, `[]`, `{"session":{"model":null}}`, "{\"\u017fession\":{\"model\":\"gpt\"}}",
	} {
		f.Add([]byte(seed))
	}
	g := modelGuard{client: "m", provider: "p/1", transcribes: true}
	f.Fuzz(func(t *testing.T, message []byte) {
		out, refused := g.check(message)
		if refused != nil {
			return
		}
		for _, place := range g.places() {
			if model := folded(t, out, place); model != nil && string(model) != `"p/1"` {
				t.Fatalf("%s passes as %s", message, out)
			}
		}
		if !strings.Contains(string(message), `\`) && strings.ReplaceAll(string(out), `"p/1"`, `"m"`) != strings.ReplaceAll(string(message), `"p/1"`, `"m"`) { // nothing else differs
			t.Fatalf("%s passes as %s", message, out)
		}
	})
}

// folded returns what stands at the place for a parser that folds case and takes the last of two; nil if nothing does.
func folded(t *testing.T, message json.RawMessage, place []string) json.RawMessage {
	for _, name := range place {
		var object map[string]json.RawMessage
		if json.Unmarshal(message, &object) != nil {
			return nil
		}
		message = nil
		for key, value := range object {
			if strings.EqualFold(key, name) {
				if message != nil {
					t.Fatalf("%q stands for two", name)
				}
				message = value
			}
		}
	}
	return message
}

// Whatever a provider answers stays JSON that says the same, but for its ids and the model.
func FuzzOwned(f *testing.F) {
	for _, seed := range []string{
		`{"id":"resp_1","model":"x","previous_response_id":null,"output":[{"id":"msg_1"}]}`,
		` {"type":"response.created","response_id":"resp_1","response":{"id":"resp_1","model":"x","previous_response_id":"resp_0"}}`,
		`{"id":"resp_1","id":"resp_2"}`, `[1]`, `{"response":{"id":""}}`, `{"id":7}`,
	} {
		f.Add([]byte(seed))
	}
	b := &core.Backend{Upstream: &upstream.Upstream{Provider: &upstream.Provider{ID: "p"}, Model: "x"}, Stored: responseid.NewKey([]byte("s"))}
	x := &core.Exchange{Model: &core.Model{Name: "m", OwnName: true}, Request: &http.Request{}, Operation: core.Operation{Path: "/responses"}}
	f.Fuzz(func(t *testing.T, answer []byte) {
		if !jsonx.Valid(answer) {
			return
		}
		tr := &attemptRun{relayer: &relayer{x: x}, a: &core.Attempt{Backend: b}}
		out := tr.named(answer)
		if !jsonx.Valid(out) {
			t.Fatalf("%s became %s", answer, out)
		}
		if id := jsonx.View(out).Get("id"); jsonx.View(answer).IsObject() && !jsonx.View(answer).Get("response").IsObject() {
			theirs := jsonx.View(answer).Get("id")
			if s, ok := responseid.Parse(id.Str); ok && (s.ID != theirs.Str || !b.Stored.Confirms(s, "")) && id.Str != theirs.Str {
				t.Fatalf("%s became %s", answer, out)
			}
		}
		var before, after any
		if json.Unmarshal(answer, &before) != nil || json.Unmarshal(out, &after) != nil {
			return
		}
		if keys(before) != keys(after) {
			t.Fatalf("%s became %s", answer, out)
		}
	})
}

// Where a provider's id of a response stands in an error, the client reads its own; nothing else changes.
func TestOurID(t *testing.T) {
	x := &core.Exchange{Stored: &core.Stored{GatewayID: "resp_ours", ProviderID: "resp_1"}}
	tr := &attemptRun{relayer: &relayer{x: x}}
	for said, want := range map[string]string{
		`{"error":{"message":"No 'resp_1', nor resp_1.","code":null}}`:    `{"error":{"message":"No 'resp_ours', nor resp_ours.","code":null}}`,
		`{"error":{"message":"\"resp_1\" is \u00fc","param":["resp_1"]}}`: `{"error":{"message":"\"resp_ours\" is ü","param":["resp_ours"]}}`,
		`{"error":{"message":"resp_12, xresp_1, resp_1-x"}}`:              `{"error":{"message":"resp_12, xresp_1, resp_1-x"}}`,
		"resp_1 is gone": "resp_ours is gone",
		"":               "",
	} {
		if got := string(tr.gatewayID([]byte(said))); got != want {
			t.Errorf("%s became %s", said, got)
		}
	}
	deep := strings.Repeat("[", 9000) + `"resp_1"` + strings.Repeat("]", 9000) // as deep as no error is
	if got := string(tr.gatewayID([]byte(`["resp_1",` + deep + `]`))); got != `["resp_ours",`+deep+`]` {
		t.Errorf("%.100s", got)
	}
	many := strings.Repeat(`"resp_1",`, 100_000) + `"resp_1"` // and more than any has
	if got := tr.gatewayID([]byte("[" + many + "]")); bytes.Count(got, []byte("resp_ours")) != quotedMost || !jsonx.Valid(got) {
		t.Errorf("%d ids are renamed, want %d", bytes.Count(got, []byte("resp_ours")), quotedMost)
	}
	x.Stored.ProviderID = "1"
	if got := string(tr.gatewayID([]byte(`{"error":{"code":1,"message":"1"}}`))); got != `{"error":{"code":1,"message":"resp_ours"}}` {
		t.Error(got)
	}
}

func keys(v any) int {
	m, _ := v.(map[string]any)
	return len(m)
}
