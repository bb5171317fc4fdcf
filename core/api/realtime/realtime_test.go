package realtime

import (
	"encoding/json"
	"strings"
	"testing"
)

// Whatever a session's client says and passes: however it is read, it names no other model, and nothing else of it has changed.
func FuzzGuard(f *testing.F) {
	for _, seed := range []string{
		`{"type":"session.update","session":{"model":"m","voice":"ash"}}`, `{"session":{"model":"gpt"}}`, `{"Session":{"model":"gpt"}}`,
		`{"session":{"model":"m","MODEL":"gpt"}}`, `{"session":{"model":"m"},"session":{"model":"gpt"}}`, `{"\u0073ession":{"mod\u0065l":"gpt"}}`,
		`{"session":{"audio":{"input":{"transcription":{"model":"m"}}},"input_audio_transcription":{"model":"p/1"}}}`, `{"session":{"audio":{"input":{"transcription":{"model":"w"}}}}}`,
		`{"session":{"audio":{"input":{},"Input":{"transcription":{"model":"w"}}}}}`, `{"session":null,"item":{"model":"x"}}`, `[]`, `{"session":{"model":null}}`, "{\"\u017fession\":{\"model\":\"gpt\"}}",
	} {
		f.Add([]byte(seed))
	}
	g := Guard{Client: "m", Provider: "p/1", Transcribes: true}
	f.Fuzz(func(t *testing.T, message []byte) {
		out, refused := g.Check(message)
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
