package openai

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/sse"
)

// A state is how far a choice has come.
type state uint8

const (
	unseen state = iota
	open         // seen, without a finish reason
	closed       // with one
)

// stream follows a stream to its terminal: of chat or completion chunks a finish reason for every choice, then [DONE]; of other
// events one of the operation's type.
type stream struct {
	terminal string   // the type of the event that ends the stream; "" if [DONE] does
	over     bool     // the last event was of that type
	choices  []state  // by their index
	heard    []report // in the event that is being looked at
	carried  bool     // an event has carried something of the answer
	carries  bool     // the event that is being looked at does
	held     int      // bytes of events before that
	usage    api.Usage
	last     jsonx.Template // of the last chunk that was walked, if it told nothing but of choices
	strings  []jsonx.Span   // room for the cursor's
}

// Parse looks at an event's data.
func (p *stream) Parse(data []byte) api.EventKind {
	if p.last.Match(data) {
		return api.Chunk
	}
	c := &jsonx.Scanner{Text: data, Strings: p.strings[:0]}
	defer func() { p.strings = c.Strings }()
	switch {
	case data == nil:
		return api.Comment
	case c.Peek() == '{':
		return p.object(c)
	case bytes.Equal(bytes.TrimSpace(data), []byte("[DONE]")):
		return api.Done
	case c.Skip() && c.AtEnd():
		return api.Chunk // of what, only the client knows
	default:
		return api.Malformed
	}
}

// object looks at an event that is an object. What it says of choices counts only if all of it is JSON: else nobody gets it.
func (p *stream) object(c *jsonx.Scanner) api.EventKind {
	failed, over, used := false, false, api.Usage{}
	p.heard, p.carries = p.heard[:0], p.carried || p.terminal != ""
	valid := c.Object(func(key []byte) bool {
		switch string(key) {
		case "error":
			failed = failed || c.Peek() != 'n'
		case "type":
			if p.terminal != "" && c.Peek() == '"' {
				name, ok := c.Str()
				over = string(name) == p.terminal
				return ok
			}
		case "choices":
			if c.Peek() == '[' {
				c.Strings = c.Strings[:0] // what stands before is the same in all events of a stream
				return c.Array(func() bool { return p.choice(c) })
			}
		case "usage":
			strings := len(c.Strings)
			value, ok := c.Raw()
			if ok {
				used = api.ReadUsage(jsonx.View(value))
			}
			c.Strings = c.Strings[:strings]
			return ok
		}
		return c.Skip()
	})
	switch {
	case !valid || !c.AtEnd():
		return api.Malformed
	case failed:
		return api.Failure
	case used != api.Usage{}:
		p.usage = used
	case p.terminal == "" && p.carries: // else an event that differs in its type alone would be its like
		p.last.Set(c.Text, c.Strings)
	}
	p.over = over
	for _, h := range p.heard {
		p.note(h)
	}
	if p.held += len(c.Text); !p.carries && p.held <= api.MaxHead {
		return api.Head
	}
	p.carried = true
	return api.Chunk
}

// A report is what one event says of one choice.
type report struct {
	index    int
	finished bool
}

func (p *stream) choice(c *jsonx.Scanner) bool {
	if c.Peek() != '{' {
		return c.Skip()
	}
	var r report
	valid := c.Object(func(key []byte) bool {
		strings := len(c.Strings)
		if !p.carries && string(key) == "delta" && c.Peek() == '{' {
			return c.Object(func(key []byte) bool {
				value, ok := c.Raw()
				p.carries = p.carries || string(key) != "role" && !isEmpty(value)
				return ok
			})
		}
		value, ok := c.Raw()
		switch string(key) {
		case "index":
			r.index, _ = strconv.Atoi(string(value)) // 0 if it is none
		case "text", "message", "delta":
			p.carries = p.carries || !isEmpty(value)
		case "finish_reason":
			r.finished = !isEmpty(value)
			p.carries = p.carries || r.finished
			c.Strings = c.Strings[:strings] // an event with another reason is not its like
		}
		return ok
	})
	p.heard = append(p.heard, r)
	return valid
}

// isEmpty reports whether a value says nothing.
func isEmpty(value []byte) bool {
	switch string(value) {
	case "null", `""`, "[]", "{}":
		return true
	default:
		return false
	}
}

// maxChoices bounds what is remembered of a stream's choices; OpenAI allows 128. Those beyond count as one.
const maxChoices = 1024

func (p *stream) note(r report) {
	index := min(max(r.index, 0), maxChoices)
	if index >= len(p.choices) {
		p.choices = append(p.choices, make([]state, index+1-len(p.choices))...)
	}
	switch s := &p.choices[index]; {
	case r.finished:
		*s = closed
	case *s == unseen: // what comes after the reason does not take it back
		*s = open
	}
}

// Finished tells whether the provider has said all: every choice that was seen has its finish reason, and there was one, or the
// last event was the terminal. (A stream of several images has a terminal for each.)
func (p *stream) Finished() bool {
	if p.terminal != "" {
		return p.over
	}
	return slices.Contains(p.choices, closed) && !slices.Contains(p.choices, open)
}

func (p *stream) TerminalEvent() []byte {
	if p.terminal != "" {
		return nil // without it, the stream is not finished
	}
	return sse.Append(nil, "", []byte("[DONE]"))
}

func (p *stream) Usage() api.Usage { return p.usage }

func (p *stream) ErrorEvent(envelope []byte) []byte { return Protocol{}.Event(envelope) }
