package messages

import (
	"bytes"
	"encoding/json"

	"github.com/berrygate/berry/core/provider/chat"
	"github.com/berrygate/berry/core/sse"
)

// A stream is how far the stream of a message has come. Its blocks follow one another.
type stream struct {
	begun, ended bool
	blocks       int    // begun so far
	open         string // the type of the block under way; "" is none
	call         int    // of an open tool_use: the index of the call
	callID       string // as the provider has said it
	calls        int    // begun so far
	refused      bool
	last         *choice // that gave a reason to stop
	said         []byte  // by the inner answer
}

// Event translates an event.
func (a *answer) Event(dst, data []byte) ([]byte, bool) {
	if a.inner == nil {
		return a.chunk(dst, data)
	}
	said, ok := a.inner.Event(a.stream.said[:0], data)
	a.stream.said = said
	return a.decodeChunk(dst, said), ok
}

// decodeChunk translates events that the inner answer has written.
func (a *answer) decodeChunk(dst, events []byte) []byte {
	for event := range bytes.SplitSeq(events, []byte("\n\n")) {
		switch data, ok := bytes.CutPrefix(event, []byte("data: ")); {
		case !ok: // what follows the last one: nothing
		case string(data) == "[DONE]":
			dst = a.finish(dst)
		default:
			dst, _ = a.chunk(dst, data) // which is JSON
		}
	}
	return dst
}

// End says that the message is whole, if it is.
func (a *answer) End(dst []byte, done bool) []byte {
	if a.inner != nil {
		return a.decodeChunk(dst, a.inner.End(nil, done))
	}
	if done || a.stream.last != nil {
		return a.finish(dst)
	}
	return dst
}

// chunk translates a chunk of a chat completion.
func (a *answer) chunk(dst, data []byte) ([]byte, bool) {
	var r reply
	s := &a.stream
	switch {
	case !chat.Decode(data, &r):
		return dst, false
	case s.ended:
		return dst, true
	case r.Error != nil:
		s.ended = true
		return event(dst, "error", json.RawMessage(a.failed(data))), true
	}
	if r.Usage != nil {
		a.usage = *r.Usage
	}
	if len(r.Choices) == 0 {
		return dst, true
	}
	c := &r.Choices[0]
	says := c.FinishReason != "" || c.Delta.Content != "" || c.Delta.Refusal != "" || c.Delta.reasoning() != "" || len(c.Delta.ToolCalls) > 0
	if says && !s.begun {
		dst = a.begin(dst, &r)
	}
	return a.say(dst, c), true
}

// begin appends the head, with the first word that the model says, be it a thought that is not shown.
func (a *answer) begin(dst []byte, r *reply) []byte {
	a.stream.begun = true
	m := a.head(r)
	m.Usage = count(&a.usage)
	return event(dst, "message_start", struct {
		Type    string   `json:"type"`
		Message *message `json:"message"`
	}{"message_start", m})
}

// say appends what a chunk's choice says.
func (a *answer) say(dst []byte, c *choice) []byte {
	s := &a.stream
	if thoughts := c.Delta.reasoning(); a.thoughts && thoughts != "" {
		dst = s.piece(dst, thinkingBlock(""), delta{Type: "thinking_delta", Thinking: thoughts})
	}
	if text := c.Delta.Content + c.Delta.Refusal; text != "" {
		s.refused = s.refused || c.Delta.Refusal != ""
		dst = s.piece(dst, textBlock(""), delta{Type: "text_delta", Text: text})
	}
	for i := range c.Delta.ToolCalls {
		dst = a.use(dst, &c.Delta.ToolCalls[i])
	}
	if c.FinishReason != "" && !s.ended {
		s.last = c
		dst = s.stop(dst)
	}
	return dst
}

// use appends a call of a tool, or a piece of one's arguments.
func (a *answer) use(dst []byte, c *chat.Call) []byte {
	s := &a.stream
	index := s.call
	if c.Index != nil {
		index = *c.Index
	}
	same := s.open == "tool_use" && index == s.call && (c.ID == "" || c.ID == s.callID)
	switch {
	case s.ended:
		return dst
	case !same && c.Function.Name == "": // whose arguments these are, nobody can tell
		s.ended = true
		const lost = "The provider sent a tool's arguments out of order, or without the tool's name."
		return event(dst, "error", json.RawMessage(envelope("api_error", lost, a.call.ID)))
	case !same:
		dst = s.start(dst, useBlock(a.callID(c, s.calls), c.Function.Name, []byte("{}")))
		s.call, s.callID = index, c.ID
		s.calls++
	}
	if c.Function.Arguments == "" {
		return dst
	}
	return s.piece(dst, block{Type: "tool_use"}, delta{Type: "input_json_delta", PartialJSON: c.Function.Arguments})
}

// A delta is what an event adds to a block.
type delta struct {
	Type        string `json:"type"`
	Text        string `json:"text,omitempty"`
	Thinking    string `json:"thinking,omitempty"`
	PartialJSON string `json:"partial_json,omitempty"`
}

// piece appends the event that adds d to a block like b, which it begins if none is under way.
func (s *stream) piece(dst []byte, b block, d delta) []byte {
	if s.open != b.Type {
		dst = s.start(dst, b)
	}
	return event(dst, "content_block_delta", struct {
		Type  string `json:"type"`
		Index int    `json:"index"`
		Delta delta  `json:"delta"`
	}{"content_block_delta", s.blocks - 1, d})
}

// start appends the event that begins a block, after the end of the one that is under way.
func (s *stream) start(dst []byte, b block) []byte {
	dst = s.stop(dst)
	s.open = b.Type
	s.blocks++
	return event(dst, "content_block_start", struct {
		Type  string `json:"type"`
		Index int    `json:"index"`
		Block block  `json:"content_block"`
	}{"content_block_start", s.blocks - 1, b})
}

// stop appends the end of the block that is under way.
func (s *stream) stop(dst []byte) []byte {
	if s.open == "" {
		return dst
	}
	s.open = ""
	return event(dst, "content_block_stop", struct {
		Type  string `json:"type"`
		Index int    `json:"index"`
	}{"content_block_stop", s.blocks - 1})
}

// finish appends the message's end, if it has begun: why it ends, what it took, and the terminal.
func (a *answer) finish(dst []byte) []byte {
	s := &a.stream
	if !s.begun || s.ended {
		return dst
	}
	s.ended = true
	if s.last == nil {
		s.last = &choice{}
	}
	type ending struct {
		StopReason   string  `json:"stop_reason"`
		StopSequence *string `json:"stop_sequence"`
	}
	var e ending
	e.StopReason, e.StopSequence = a.stopped(s.last, s.calls > 0, s.refused)
	dst = event(s.stop(dst), "message_delta", struct {
		Type  string `json:"type"`
		Delta ending `json:"delta"`
		Usage usage  `json:"usage"`
	}{"message_delta", e, count(&a.usage)})
	return event(dst, "message_stop", struct {
		Type string `json:"type"`
	}{"message_stop"})
}

// event appends an event of the type, which its data has, too.
func event(dst []byte, typ string, data any) []byte {
	return sse.End(chat.Append(sse.Begin(dst, typ), data))
}
