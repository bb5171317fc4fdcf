package relay

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/berrygate/berry/core"
)

// A kind is what an event of a stream is to the relay.
type kind int

const (
	comment   kind = iota // no data
	chunk                 // a piece of the answer
	done                  // [DONE]
	failure               // an error object
	malformed             // data that is no JSON
)

// A state is how far a choice has come.
type state uint8

const (
	unseen state = iota
	open         // seen, without a finish reason
	closed       // with one
)

// progress follows a stream of chat or completion chunks to its terminal: a finish reason for every choice, then [DONE].
type progress struct {
	choices []state // by their index
	usage   core.Usage
}

// take looks at an event's data.
func (p *progress) take(data []byte) kind {
	c := &cursor{text: data}
	switch {
	case data == nil:
		return comment
	case c.peek() == '{':
		return p.object(c)
	case bytes.Equal(bytes.TrimSpace(data), []byte("[DONE]")):
		return done
	case c.value() && c.end():
		return chunk // of what, only the client knows
	default:
		return malformed
	}
}

func (p *progress) object(c *cursor) kind {
	failed, used := false, core.Usage{}
	valid := c.object(func(key []byte) bool {
		switch string(key) {
		case "error":
			failed = failed || c.peek() != 'n'
		case "choices":
			if c.peek() == '[' {
				return c.array(func() bool { return p.choice(c) })
			}
		case "usage":
			c.peek()
			begin := c.at
			valid := c.value()
			if valid {
				used = usage(core.ViewJSON(c.text[begin:c.at]))
			}
			return valid
		}
		return c.value()
	})
	switch {
	case !valid || !c.end():
		return malformed
	case failed:
		return failure
	case used != core.Usage{}:
		p.usage = used
	}
	return chunk
}

func (p *progress) choice(c *cursor) bool {
	if c.peek() != '{' {
		return c.value()
	}
	index, finished := 0, false
	valid := c.object(func(key []byte) bool {
		switch string(key) {
		case "index":
			c.peek()
			begin := c.at
			valid := c.value()
			index, _ = strconv.Atoi(string(c.text[begin:c.at])) // 0 if it is none
			return valid
		case "finish_reason":
			finished = c.peek() != 'n'
		}
		return c.value()
	})
	if valid {
		p.note(index, finished)
	}
	return valid
}

// maxChoices bounds what is remembered of a stream's choices; OpenAI allows 128. Those beyond count as one.
const maxChoices = 1024

func (p *progress) note(index int, finished bool) {
	index = min(max(index, 0), maxChoices)
	if index >= len(p.choices) {
		p.choices = append(p.choices, make([]state, index+1-len(p.choices))...)
	}
	switch s := &p.choices[index]; {
	case finished:
		*s = closed
	case *s == unseen: // what comes after the reason does not take it back
		*s = open
	}
}

// finished tells whether every choice that was seen has its finish reason, and there was one.
func (p *progress) finished() bool {
	return slices.Contains(p.choices, closed) && !slices.Contains(p.choices, open)
}
