package othermodels_test

import (
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/othermodels"
)

// In a realtime session, an event may name the user's models only, wherever it does. (plugins/permission tests bodies and forms.)
func TestEvent(t *testing.T) {
	check := othermodels.Check(func(model string) bool { return model == "mine" })
	for event, refused := range map[string]bool{
		`{"type":"session.update","session":{"model":"mine"}}`:                                                             false,
		`{"type":"session.update","session":{"audio":{"input":{"transcription":{"model":"mine"}}}}}`:                       false,
		`{"type":"session.update","session":{"audio":{"input":{"transcription":{"model":"whisper"}}}}}`:                    true,
		`{"type":"transcription_session.update","session":{"input_audio_transcription":{"model":"whisper"}}}`:              true,
		`{"type":"session.update","Session":{"inputAudioTranscription":{"Model":"whisper"}}}`:                              true,
		`{"type":"session.update","session":{"models":["mine"],"fallbacks":["other"]}}`:                                    true,
		`{"type":"session.update","session":{"tools":[{"type":"image_generation","model":"other"}]}}`:                      true,
		`{"type":"session.update","session":{"tools":[{"type":"function","name":"f","parameters":{"model":"T-Ford"}}]}}`:   false,
		`{"type":"session.update","session":{"prompt":{"id":"p","variables":{"model":"T-Ford"}}}}`:                         false,
		`{"type":"response.create","response":{"metadata":{"model":"T-Ford"},"tool_choice":"auto"}}`:                       false,
		`{"type":"conversation.item.create","item":{"type":"message","content":[{"type":"input_text","text":"a model"}]}}`: false,
	} {
		if err := check.Event(gjson.Parse(event)); (err != nil) != refused {
			t.Errorf("%s: got %v, want refused %t", event, err, refused)
		}
	}
}

// A name's end counts, however long it is, and an error message does not repeat all of it.
func TestLongNames(t *testing.T) {
	check := othermodels.Check(func(string) bool { return false })
	body := gjson.Parse(`{"` + strings.Repeat("é", 100_000) + `_fallbacks":["other"]}`)
	err := check.Body(body)
	if err == nil || len(err.Message) > 1000 {
		t.Errorf("got %.200v, want a short error", err)
	}
}
