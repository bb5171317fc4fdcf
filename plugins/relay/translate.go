package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/sdk/abi"
)

var errTooLarge = errors.New("the answer is too large to be translated")

// untranslatable is the failure of nobody: the backend was not asked, for it has no words for the request. Another may have.
func (g *relayer) untranslatable(err error) *core.Failure {
	f := &core.Failure{Result: abi.ClientError, Untranslatable: true, Err: err}
	var param *adapter.ParamError
	if errors.As(err, &f.ClientError) {
		return f
	}
	if errors.As(err, &param) {
		e := apierror.Invalid(http.StatusBadRequest, param.Code, param.Param, "%s", param.Message)
		f.Answer = &core.Answer{Status: e.Status, Header: http.Header{"Content-Type": {"application/json"}}, Body: g.envelope(e)}
	}
	return f
}

// refusal returns a provider's error in OpenAI's words, or as it came where bytes pass as they are.
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

// whole returns a plain answer in the client's words.
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

// events returns a stream in the client's words.
func (t *attemptRun) events(src io.Reader) io.Reader {
	if t.translator == nil {
		return src
	}
	return adapter.NewReader(src, t.translator, t.options.MaxEvent, t.buffers.resize)
}

// used returns what a stream has used: what its events have said, or what the provider has said that its client did not want
// to hear.
func (t *attemptRun) used(seen core.Usage) core.Usage {
	if t.translator == nil {
		return seen
	}
	const most = 1<<31 - 1
	input, output := t.translator.Usage()
	return core.Usage{InputTokens: uint32(min(max(input, 0), most)), OutputTokens: uint32(min(max(output, 0), most))}
}

// renamesMembers reports whether the client has other ids or another name of the model than the provider.
func (t *attemptRun) renamesMembers() bool { return isResponses(t.x) || t.x.Model.OwnName }

// renames returns the changes of an answer's JSON, or of an event's, by which it has the client's name of the model, if that is wanted,
// and the client's ids of responses.
func (t *attemptRun) renames(answer []byte) []change {
	switch root := jsonx.View(answer); {
	case isResponses(t.x):
		return t.responseRenames(root)
	case t.x.Model.OwnName:
		if model := t.modelOf(root); model.Exists() && model.Index > 0 {
			return []change{{model, t.x.Model.Name}}
		}
	}
	return nil
}

// named returns the answer's JSON with the client's names.
func (t *attemptRun) named(answer []byte) []byte { return apply(answer, t.renames(answer)) }

// namedEvent is named for an event and its data.
func (t *attemptRun) namedEvent(k kind, event, data []byte) []byte {
	if k == comment || k == done || !t.renamesMembers() {
		return event
	}
	changes := t.renames(data)
	if len(changes) == 0 {
		return event
	}
	if at := bytes.Index(event, data); at >= 0 {
		for i := range changes {
			changes[i].value.Index += at
		}
		return apply(event, changes)
	}
	var line bytes.Buffer // it stands in several
	if json.Compact(&line, apply(data, changes)) != nil {
		return event
	}
	if t.x.Operation.Anthropic { // where only heads name a model
		return fmt.Appendf(nil, "event: message_start\ndata: %s\n\n", line.Bytes())
	}
	return dataEvent(line.Bytes())
}
