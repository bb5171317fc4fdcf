package openai

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/sse"
)

// A state is the progress of a choice.
type state uint8

const (
	unseen state = iota
	open         // without a finish reason
	closed       // with a finish reason
)

// stream parses a stream. Chat and completion chunks end with a finish reason for every choice, then [DONE]; other events with one of the
// operation's type.
type stream struct {
	terminal string   // the type of the last event; "" is [DONE]
	over     bool     // the last event was of that type
	choices  []state  // by their index
	heard    []report // of the current event
	carried  bool     // an event has contained a part of the response
	carries  bool     // the current event contains one
	held     int      // bytes of events before the first that did
	usage    api.Usage
	last     jsonx.Template // of the latest chunk with nothing but choices
	strings  []jsonx.Span   // memory for the scanner's
}

// Parse implements api.Stream.
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
		return api.Chunk // not the API's, but passed on
	default:
		return api.Malformed
	}
}

// object parses an event that is an object. It records nothing of an event that is not valid JSON: the client will not receive it.
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
				c.Strings = c.Strings[:0] // what precedes is the same in all events of a stream
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
	case p.terminal == "" && p.carries: // else events that differ in their type would match
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

// A report is what one event says about one choice.
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
			r.index, _ = strconv.Atoi(string(value)) // 0 if it is not a number
		case "text", "message", "delta":
			p.carries = p.carries || !isEmpty(value)
		case "finish_reason":
			r.finished = !isEmpty(value)
			p.carries = p.carries || r.finished
			c.Strings = c.Strings[:strings] // an event with another reason does not match
		}
		return ok
	})
	p.heard = append(p.heard, r)
	return valid
}

// isEmpty reports whether a JSON value has no content.
func isEmpty(value []byte) bool {
	switch string(value) {
	case "null", `""`, "[]", "{}":
		return true
	default:
		return false
	}
}

// maxChoices limits the choices of a stream that are tracked; OpenAI allows 128. Further ones count as one.
const maxChoices = 1024

func (p *stream) note(r report) {
	index := min(max(r.index, 0), maxChoices)
	if index >= len(p.choices) {
		p.choices = append(p.choices, make([]state, index+1-len(p.choices))...)
	}
	switch s := &p.choices[index]; {
	case r.finished:
		*s = closed
	case *s == unseen: // later chunks do not reopen it
		*s = open
	}
}

// Finished implements api.Stream: every choice has its finish reason, and there is one; or the last event was the terminal. (A stream of
// several images has a terminal for each.)
func (p *stream) Finished() bool {
	if p.terminal != "" {
		return p.over
	}
	return slices.Contains(p.choices, closed) && !slices.Contains(p.choices, open)
}

func (p *stream) TerminalEvent() []byte {
	if p.terminal != "" {
		return nil // a stream without it is not finished
	}
	return sse.Append(nil, "", []byte("[DONE]"))
}

func (p *stream) Usage() api.Usage { return p.usage }

func (p *stream) ErrorEvent(envelope []byte) []byte { return Protocol{}.Event(envelope) }
