// Package realtime is OpenAI's Realtime API (https://platform.openai.com/docs/guides/realtime): what the gateway reads and writes of the events in a
// WebSocket.
package realtime

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/othermodels"
	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/sdk/abi"
)

// A Guard rejects events of a session's client that name another model than the one that the session was opened for.
type Guard struct {
	Client      string            // the client's name of the model
	Provider    string            // the provider's
	Transcribes bool              // the session's model is that of its transcripts
	Others      othermodels.Check // nil if the user may use all models
}

// places returns the paths at which an event can name the session's model, or that of one of its responses.
func (g *Guard) places() [][]string {
	places := [][]string{{"session", "model"}, {"response", "model"}}
	if g.Transcribes {
		places = append(places, []string{"session", "audio", "input", "transcription", "model"}, []string{"session", "input_audio_transcription", "model"})
	}
	return places
}

// Check returns the event as the provider receives it: with the provider's name of the model. It fails if the event names another model, or
// if some parser could read it so.
func (g *Guard) Check(message []byte) ([]byte, *apierror.Error) {
	if !utf8.Valid(message) || !jsonx.Valid(message) || !jsonx.View(message).IsObject() {
		return nil, apierror.Invalid(http.StatusBadRequest, apierror.CodeInvalidJSON, "", "A message must be one JSON object.")
	}
	var named []jsonx.Edit
	for _, place := range g.places() {
		model, ok := memberAt(jsonx.View(message), place)
		switch {
		case !ok:
			return nil, apierror.Ambiguous(http.StatusBadRequest, apierror.CodeInvalidModel, strings.Join(place, "."))
		case !model.Exists():
			continue
		case model.Type != gjson.String || model.Str != g.Client && model.Str != g.Provider:
			return nil, apierror.Invalid(http.StatusBadRequest, apierror.CodeInvalidModel, strings.Join(place, "."),
				"This session's model is %q, as its query says; open another session for another model.", g.Client)
		}
		named = append(named, jsonx.Edit{Value: model, Text: g.Provider})
	}
	if g.Others != nil {
		if err := g.Others.Event(jsonx.View(message)); err != nil {
			return nil, err
		}
	}
	return jsonx.Apply(message, named), nil
}

// memberAt returns the value at the path within the object. It returns false if parsers could disagree about the path.
func memberAt(object gjson.Result, place []string) (value gjson.Result, ok bool) {
	value = object
	for _, name := range place {
		if !value.IsObject() {
			return gjson.Result{}, true
		}
		if value, ok = jsonx.Unique(value, name); !ok {
			return value, false
		}
	}
	return value, true
}

// HideRefusedKey returns a provider's event with e in place of an error that rejects the gateway's key. It returns false if the event has none.
func HideRefusedKey(message []byte, e *apierror.Error) ([]byte, bool) {
	if !bytes.Contains(message, []byte(`"error"`)) {
		return nil, false
	}
	for _, at := range []string{"error", "response.status_details.error"} {
		failed := jsonx.View(message).Get(at)
		if !failed.IsObject() || route.ClassifyError(fmt.Appendf(nil, `{"error":%s}`, failed.Raw), nil, route.Call{}, time.Now()).Result != abi.AuthRefused {
			continue
		}
		words := jsonx.View(e.Envelope()).Get("error").Raw
		words = strings.TrimSuffix(words, "}") + `,"event_id":null}` // as in other errors of a session
		return slices.Concat(message[:failed.Index], []byte(words), message[failed.Index+len(failed.Raw):]), true
	}
	return nil, false
}

// ErrorEvent returns the error event for a client. about is the client's event that it answers; nil: none.
func ErrorEvent(e *apierror.Error, about []byte) []byte {
	var envelope struct{ Error map[string]any }
	if err := json.Unmarshal(e.Envelope(), &envelope); err != nil { // it is JSON
		panic(err)
	}
	envelope.Error["event_id"] = nil
	if jsonx.Valid(about) {
		if id := jsonx.View(about).Get("event_id"); id.Type == gjson.String {
			envelope.Error["event_id"] = id.Str
		}
	}
	b, err := json.Marshal(map[string]any{"type": "error", "event_id": "event_" + rand.Text(), "error": envelope.Error})
	if err != nil { // strings always marshal
		panic(err)
	}
	return b
}
