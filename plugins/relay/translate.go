package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/provider/dialect"
	"github.com/berrygate/berry/sdk/abi"
)

var errTooLarge = errors.New("the answer is too large to be translated")

// unfit is the failure of nobody: the backend was not asked, for it has no words for the request. Another may have.
func (g *passage) unfit(err error) *core.Failure {
	f := &core.Failure{Result: abi.ClientError, Unfit: true, Err: err}
	var param *dialect.ParamError
	if errors.As(err, &param) {
		e := core.Invalid(http.StatusBadRequest, param.Code, param.Param, "%s", param.Message)
		f.Answer = &core.Answer{Status: e.Status, Header: http.Header{"Content-Type": {"application/json"}}, Body: g.envelope(e)}
	}
	return f
}

// refusal returns a provider's error in OpenAI's words, or as it came where bytes pass as they are.
func (t *try) refusal(response *http.Response, body []byte) *core.Answer {
	a := &core.Answer{Status: response.StatusCode, Header: response.Header, Body: body}
	if t.translator == nil {
		return a
	}
	refused := t.translator.Refusal(a.Status, a.Body)
	a.Status, a.Body, a.Page = refused.Status, refused.Body, refused.Page
	a.Header.Set("Content-Type", "application/json")
	if refused.RetryAfter > 0 && a.Header.Get("Retry-After") == "" {
		a.Header.Set("Retry-After", strconv.Itoa(int(math.Ceil(refused.RetryAfter.Seconds()))))
	}
	return a
}

// whole returns a plain answer in the client's words.
func (t *try) whole(response *http.Response, held []byte) ([]byte, error) {
	switch {
	case t.translator == nil:
		return held, nil
	case len(held) > holdLimit:
		return nil, errTooLarge
	}
	response.Header.Set("Content-Type", "application/json")
	return t.translator.Whole(held)
}

// events returns a stream in the client's words.
func (t *try) events(src io.Reader) io.Reader {
	if t.translator == nil {
		return src
	}
	return dialect.NewReader(src, t.translator, t.options.MaxEvent)
}

// used returns what a stream has used: what its events have said, or what the provider has said that its client did not want
// to hear.
func (t *try) used(seen core.Usage) core.Usage {
	if t.translator == nil {
		return seen
	}
	const most = 1<<31 - 1
	input, output := t.translator.Usage()
	return core.Usage{InputTokens: uint32(min(max(input, 0), most)), OutputTokens: uint32(min(max(output, 0), most))}
}

// named returns the answer's JSON with the client's name of the model, if that is wanted, instead of the provider's, and with
// the client's ids of responses.
func (t *try) named(answer []byte) []byte {
	if isResponses(t.x) {
		return t.owned(answer)
	}
	if !t.x.Model.OwnName {
		return answer
	}
	model := t.modelOf(core.ViewJSON(answer))
	if !model.Exists() || model.Index == 0 {
		return answer
	}
	name, err := json.Marshal(t.x.Model.Name)
	if err != nil { // strings always marshal
		panic(err)
	}
	return slices.Concat(answer[:model.Index], name, answer[model.Index+len(model.Raw):])
}

// namedEvent is named for an event and its data.
func (t *try) namedEvent(k kind, event, data []byte) []byte {
	if k == comment || k == done || !t.x.Model.OwnName && !isResponses(t.x) {
		return event
	}
	named := t.named(data)
	if bytes.Equal(named, data) {
		return event
	}
	if bytes.Contains(event, data) {
		return bytes.Replace(event, data, named, 1)
	}
	var line bytes.Buffer // it stands in several
	if json.Compact(&line, named) != nil {
		return event
	}
	if t.x.Operation.Anthropic { // where only heads name a model
		return fmt.Appendf(nil, "event: message_start\ndata: %s\n\n", line.Bytes())
	}
	return dataEvent(line.Bytes())
}
