package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/provider/adapter"
)

var errTooLarge = errors.New("the answer is too large to be translated")

// refusal returns a provider's error response, in OpenAI's format if responses are translated.
func (t *attemptRun) refusal(response *http.Response, body []byte) *core.Answer {
	a := &core.Answer{Status: response.StatusCode, Header: response.Header, Body: body}
	if t.translator == nil {
		return a
	}
	refused := t.translator.TranslateError(a.Status, a.Body)
	a.Status, a.Body, a.Page = refused.Status, refused.Body, refused.Page
	a.Header.Set("Content-Type", "application/json")
	if refused.RetryAfter > 0 && a.Header.Get("Retry-After") == "" {
		a.Header.Set("Retry-After", strconv.Itoa(int(math.Ceil(refused.RetryAfter.Seconds()))))
	}
	return a
}

// whole returns a plain response in the client's format.
func (t *attemptRun) whole(response *http.Response, held []byte) ([]byte, error) {
	switch {
	case t.translator == nil:
		return held, nil
	case len(held) > holdLimit:
		return nil, errTooLarge
	case adapter.TooWide(held):
		return nil, adapter.ErrTooWide
	}
	response.Header.Set("Content-Type", "application/json")
	return t.translator.Body(held)
}

// events returns a stream in the client's format.
func (t *attemptRun) events(src io.Reader) io.Reader {
	if t.translator == nil {
		return src
	}
	return adapter.NewReader(src, t.translator, t.options.MaxEvent, t.buffers.resize)
}

// used returns the tokens that a stream has reported, in its events or, translated, in any event of the provider.
func (t *attemptRun) used(seen api.Usage) api.Usage {
	if t.translator == nil {
		return seen
	}
	const most = 1<<31 - 1
	input, output := t.translator.Usage()
	return api.Usage{InputTokens: uint32(min(max(input, 0), most)), OutputTokens: uint32(min(max(output, 0), most))}
}

// names returns the client's names for what the provider calls otherwise.
func (t *attemptRun) names() api.Names {
	n := api.Names{Stored: t.x.Stored, ID: func(id string) string { return t.x.ResponseID(t.a.Backend, id) }}
	if t.x.Model.OwnName {
		n.Model = t.x.Model.Name
	}
	return n
}

// renames reports whether responses may need other names.
func (t *attemptRun) renames() bool { return t.x.Model.OwnName || t.x.Operation.Protocol.HasIDs() }

// rename returns a response's JSON with the client's names.
func (t *attemptRun) rename(response []byte) []byte {
	if !t.renames() {
		return response
	}
	return jsonx.Apply(response, t.x.Operation.Protocol.Rename(jsonx.View(response), t.names()))
}

// renameEvent is rename for an event with the data.
func (t *attemptRun) renameEvent(k api.EventKind, event, data []byte) []byte {
	if k == api.Comment || k == api.Done || !t.renames() {
		return event
	}
	edits := t.x.Operation.Protocol.Rename(jsonx.View(data), t.names())
	if len(edits) == 0 {
		return event
	}
	if at := bytes.Index(event, data); at >= 0 {
		for i := range edits {
			edits[i].Value.Index += at
		}
		return jsonx.Apply(event, edits)
	}
	var line bytes.Buffer // the data has several lines
	if json.Compact(&line, jsonx.Apply(data, edits)) != nil {
		return event
	}
	return t.x.Operation.Protocol.Event(line.Bytes())
}
