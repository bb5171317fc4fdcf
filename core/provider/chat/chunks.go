package chat

import (
	"bytes"

	"github.com/berrygate/berry/core/sse"
)

// Chunks writes the events of a stream.
type Chunks struct {
	Head         Head // set before the first chunk
	IncludeUsage bool

	choices []progress // by their index
	head    []byte     // of every event, up to its choices
}

// A progress is how far a choice has come.
type progress struct {
	begun, finished bool
	calls           int
}

// A Delta is what a chunk adds to a choice.
type Delta struct {
	Role      string  `json:"role,omitempty"`
	Content   *string `json:"content,omitempty"`
	Refusal   *string `json:"refusal,omitempty"`
	Reasoning string  `json:"reasoning_content,omitempty"`
	ToolCalls []Call  `json:"tool_calls,omitempty"`
}

type chunkChoice struct {
	Index        int       `json:"index"`
	Delta        Delta     `json:"delta"`
	Logprobs     *Logprobs `json:"logprobs"`
	FinishReason *string   `json:"finish_reason"`
}

// MaxChoices bounds what is remembered of choices; no provider allows so many.
const MaxChoices = 256

// of returns the progress of the choice with the index.
func (c *Chunks) of(index int) *progress {
	index = min(max(index, 0), MaxChoices-1)
	for len(c.choices) <= index {
		c.choices = append(c.choices, progress{})
	}
	return &c.choices[index]
}

// Add appends the event that adds the delta to the choice. The first of a choice says whose it is.
func (c *Chunks) Add(dst []byte, index int, d Delta, l *Logprobs) []byte {
	if p := c.of(index); !p.begun {
		p.begun, d.Role = true, "assistant"
	}
	return c.write(dst, []chunkChoice{{Index: index, Delta: d, Logprobs: l}}, "null")
}

// Begin appends the event that begins the choice with an empty text, unless it has begun.
func (c *Chunks) Begin(dst []byte, index int) []byte {
	if c.of(index).begun {
		return dst
	}
	return c.Add(dst, index, Delta{Content: new(string)}, nil)
}

// Text appends the event that adds the text to the choice; nothing for an empty text.
func (c *Chunks) Text(dst []byte, index int, text string, l *Logprobs) []byte {
	if text == "" {
		return dst
	}
	return c.Add(dst, index, Delta{Content: &text}, l)
}

// Reasoning appends the event that adds the reasoning to the choice; nothing for an empty one.
func (c *Chunks) Reasoning(dst []byte, index int, text string) []byte {
	if text == "" {
		return dst
	}
	return c.Add(dst, index, Delta{Reasoning: text}, nil)
}

// Parts appends the event that adds the reasoning, the text and whole calls to the choice; nothing if there are none.
func (c *Chunks) Parts(dst []byte, index int, reasoning, text string, calls []Call, l *Logprobs) []byte {
	d := Delta{Reasoning: reasoning, ToolCalls: calls}
	if text != "" {
		d.Content = &text
	}
	if reasoning == "" && text == "" && len(calls) == 0 {
		return dst
	}
	p := c.of(index)
	for i := range calls {
		n := p.calls + i
		calls[i].Index = &n
	}
	p.calls += len(calls)
	return c.Add(dst, index, d, l)
}

// Call appends the event that begins a call of a tool in the choice. It returns the call's index, for Arguments.
func (c *Chunks) Call(dst []byte, index int, call Call) ([]byte, int) {
	p := c.of(index)
	n := p.calls
	p.calls++
	call.Index = &n
	return c.Add(dst, index, Delta{ToolCalls: []Call{call}}, nil), n
}

// Arguments appends the event that adds a piece of its arguments to the call with the index.
func (c *Chunks) Arguments(dst []byte, index, call int, piece string) []byte {
	return c.Add(dst, index, Delta{ToolCalls: []Call{{Index: &call, Function: Function{Arguments: piece}}}}, nil)
}

// Calls returns how many calls the choice has.
func (c *Chunks) Calls(index int) int { return c.of(index).calls }

// Finish appends the event with the choice's finish reason. What says it again is not heard.
func (c *Chunks) Finish(dst []byte, index int, reason string) []byte {
	p := c.of(index)
	if p.finished {
		return dst
	}
	p.finished = true
	d := Delta{}
	if !p.begun {
		p.begun, d.Role = true, "assistant"
	}
	return c.write(dst, []chunkChoice{{Index: index, Delta: d, FinishReason: &reason}}, "null")
}

// End appends the usage, if the client wants it, and the terminal. It does nothing unless every choice is finished.
func (c *Chunks) End(dst []byte, u *Usage) []byte {
	if !c.finished() {
		return dst
	}
	c.choices = nil // so that it ends once
	if c.IncludeUsage && u != nil {
		dst = c.write(dst, []chunkChoice{}, string(Append(nil, u)))
	}
	return sse.Append(dst, "", []byte("[DONE]"))
}

func (c *Chunks) finished() bool {
	for _, p := range c.choices {
		if p.begun && !p.finished {
			return false
		}
	}
	return len(c.choices) > 0
}

// write appends an event. Its head is the same in all, and written out once.
func (c *Chunks) write(dst []byte, choices []chunkChoice, usage string) []byte {
	if c.head == nil {
		c.Head.Object = "chat.completion.chunk"
		c.head = bytes.TrimSuffix(Append(sse.Begin(nil, ""), c.Head), []byte("}"))
		c.head = append(c.head, `,"choices":`...)
	}
	dst = Append(append(dst, c.head...), choices)
	if c.IncludeUsage {
		dst = append(append(dst, `,"usage":`...), usage...)
	}
	return sse.End(append(dst, '}'))
}
