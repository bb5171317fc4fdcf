package anthropic

import "github.com/berrygate/berry/core/provider/chat"

// An event is one of a stream (https://docs.anthropic.com/en/docs/build-with-claude/streaming): which fields it has
// depends on its type.
type event struct {
	Type    string `json:"type"`
	Index   int    `json:"index"`         // of a block
	Message *reply `json:"message"`       // of message_start
	Block   piece  `json:"content_block"` // of content_block_start
	Delta   delta  `json:"delta"`         // of content_block_delta, message_delta
	Usage   usage  `json:"usage"`         // of message_delta; its numbers are of the whole message
	Error   *fault `json:"error"`
}

type delta struct {
	Type        string       `json:"type"`
	Text        string       `json:"text"`
	Thinking    string       `json:"thinking"`
	PartialJSON string       `json:"partial_json"`
	StopReason  string       `json:"stop_reason"`
	StopDetails *stopDetails `json:"stop_details"`
}

// An open is the call of a tool whose block is under way. Blocks follow one another.
type open struct {
	is    bool
	block int // its index
	call  int // among the calls
	said  bool
}

// Event translates an event. The head of a message alone is not passed on: until the model says something, the answer can
// still be another provider's. Events of types that are not known are left out, as Anthropic asks for.
func (a *answer) Event(dst, data []byte) ([]byte, bool) {
	var e event
	if !chat.Decode(data, &e) {
		return dst, false
	}
	return a.translate(dst, &e), true
}

func (a *answer) translate(dst []byte, e *event) []byte {
	switch e.Type {
	case "message_start":
		if e.Message != nil {
			a.chunks.Head = chat.NewHead(a.call, e.Message.ID, e.Message.Model)
			a.usage = e.Message.Usage
		}
	case "content_block_start":
		return a.begin(dst, e)
	case "content_block_delta":
		return a.add(dst, e)
	case "content_block_stop":
		return a.end(dst)
	case "message_delta":
		a.usage.update(e.Usage)
		if e.Delta.StopReason == "" {
			return dst
		}
		if refusal := e.Delta.StopDetails.refusal(e.Delta.StopReason); refusal != nil {
			dst = a.chunks.Add(dst, 0, chat.Delta{Refusal: refusal}, nil)
		}
		return a.chunks.Finish(a.end(dst), 0, finish(e.Delta.StopReason))
	case "message_stop":
		return a.End(dst, true)
	case "error":
		if e.Error == nil {
			e.Error = &fault{}
		}
		return e.Error.translate(0).Event(dst)
	}
	return dst
}

// End says that the message is whole, if it is.
func (a *answer) End(dst []byte, _ bool) []byte { return a.chunks.End(dst, a.usage.translate()) }

func (a *answer) begin(dst []byte, e *event) []byte {
	dst = a.end(dst)
	switch e.Block.Type {
	case "text":
		return a.chunks.Text(dst, 0, e.Block.Text, nil)
	case "thinking", "redacted_thinking": // the model is at work, though it may be long before it says something
		return a.chunks.Reasoning(a.chunks.Begin(dst, 0), 0, e.Block.Thinking)
	case "tool_use":
		a.open = open{is: true, block: e.Index}
		arguments := e.Block.arguments() // mostly empty; they come piece by piece
		if a.open.said = arguments != "{}"; !a.open.said {
			arguments = ""
		}
		dst, a.open.call = a.chunks.Call(dst, 0, chat.NewCall(e.Block.ID, e.Block.Name, arguments, ""))
	}
	return dst
}

func (a *answer) add(dst []byte, e *event) []byte {
	switch d := &e.Delta; d.Type {
	case "text_delta":
		return a.chunks.Text(dst, 0, d.Text, nil)
	case "thinking_delta":
		return a.chunks.Reasoning(dst, 0, d.Thinking)
	case "input_json_delta":
		switch {
		case !a.open.is || a.open.block != e.Index: // whose arguments these are, nobody can tell
			lost := chat.Error{Type: chat.TypeServer, Code: "server_error", Message: "The provider sent a tool's arguments out of order."}
			return lost.Event(dst)
		case d.PartialJSON != "":
			a.open.said = true
			return a.chunks.Arguments(dst, 0, a.open.call, d.PartialJSON)
		}
	}
	return dst
}

// end ends the call that is open. One without arguments gets an empty object, as OpenAI writes it.
func (a *answer) end(dst []byte) []byte {
	if a.open.is && !a.open.said {
		dst = a.chunks.Arguments(dst, 0, a.open.call, "{}")
	}
	a.open = open{}
	return dst
}

// update takes over what later knows better.
func (u *usage) update(later usage) {
	u.Input = max(u.Input, later.Input)
	u.CacheWrite = max(u.CacheWrite, later.CacheWrite)
	u.CacheRead = max(u.CacheRead, later.CacheRead)
	u.Output = max(u.Output, later.Output)
	u.Details.Thinking = max(u.Details.Thinking, later.Details.Thinking)
}
