// Package messages is Anthropic's front door: it lets clients of the Messages API (https://docs.anthropic.com/en/api/messages) ask
// backends that do not speak it. A message becomes a chat completion, and what answers that becomes a message.
package messages

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/berrygate/berry/core/provider/adapter"
)

// Translate returns the dialect through which d is asked in Anthropic's words for calls that it serves as the path via.
func Translate(d adapter.Adapter, via string) adapter.Translator { return &translator{d, via} }

type translator struct {
	adapter.Adapter
	via string
}

// SetTarget directs r as the call that it has become.
func (f *translator) SetTarget(r *http.Request, c adapter.Call) {
	c.Path = f.via
	f.Adapter.SetTarget(r, c)
}

// Translate returns the body as a chat completion's, or as what d makes of one.
func (f *translator) Translate(ctx context.Context, c adapter.Call, body []byte) ([]byte, adapter.ResponseTranslator, error) {
	asked, err := parse(ctx, c, body)
	if err != nil {
		return nil, nil, err
	}
	out, a := asked.body(), &answer{call: c, stop: asked.Stop, thoughts: asked.thoughts}
	c.Path = f.via
	if d, ok := f.Adapter.(adapter.Translator); ok {
		if out, a.inner, err = d.Translate(ctx, c, out); err != nil {
			return nil, nil, renamed(err)
		}
	}
	return out, a, nil
}

// renamed returns the error with Anthropic's name of the parameter at fault. Where within the messages it stands is not said: they have
// been cut anew.
func renamed(err error) error {
	var e *adapter.ParamError
	if !errors.As(err, &e) {
		return err
	}
	name, said := e.Param, strings.TrimPrefix(e.Message, e.Param)
	if end := strings.IndexAny(name, ".["); end > 0 {
		name = name[:end]
	}
	switch name {
	case "parallel_tool_calls":
		name = "tool_choice.disable_parallel_tool_use"
	case "max_completion_tokens":
		name = "max_tokens"
	case "stop":
		name = "stop_sequences"
	case "reasoning_effort":
		name = "thinking"
	case "response_format":
		name = "output_config.format"
	case "user":
		name = "metadata.user_id"
	}
	return &adapter.ParamError{Param: name, Code: e.Code, Message: name + said}
}
