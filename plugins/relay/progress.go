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
	head                  // what carries nothing of the answer yet, but belongs to it: a role, an id
	chunk                 // a piece of the answer
	done                  // the terminal
	failure               // an error object
	malformed             // data that is no JSON
	final                 // a piece of the answer that ends it
)

// A state is how far a choice has come.
type state uint8

const (
	unseen state = iota
	open         // seen, without a finish reason
	closed       // with one
)

// progress follows a stream to its terminal: of chat or completion chunks a finish reason for every choice, then [DONE]; of other
// events one of the operation's type.
type progress struct {
	terminal string   // the type of the event that ends the stream; "" if [DONE] does
	over     bool     // the last event was of that type
	choices  []state  // by their index
	heard    []report // in the event that is being looked at
	carried  bool     // an event has carried something of the answer
	carries  bool     // the event that is being looked at does
	held     int      // bytes of events before that
	usage    core.Usage
	last     shape  // of the last chunk that was walked, if it told nothing but of choices
	strings  []span // room for the cursor's
}

// take looks at an event's data.
func (p *progress) take(data []byte) kind {
	if p.last.fits(data) {
		return chunk
	}
	c := &cursor{text: data, strings: p.strings[:0]}
	defer func() { p.strings = c.strings }()
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

// object looks at an event that is an object. What it says of choices counts only if all of it is JSON: else nobody gets it.
func (p *progress) object(c *cursor) kind {
	failed, over, used := false, false, core.Usage{}
	p.heard, p.carries = p.heard[:0], p.carried || p.terminal != ""
	valid := c.object(func(key []byte) bool {
		switch string(key) {
		case "error":
			failed = failed || c.peek() != 'n'
		case "type":
			if p.terminal != "" && c.peek() == '"' {
				name, ok := c.string()
				over = string(name) == p.terminal
				return ok
			}
		case "choices":
			if c.peek() == '[' {
				c.strings = c.strings[:0] // what stands before is the same in all events of a stream
				return c.array(func() bool { return p.choice(c) })
			}
		case "usage":
			strings := len(c.strings)
			value, ok := c.raw()
			if ok {
				used = usage(core.ViewJSON(value))
			}
			c.strings = c.strings[:strings]
			return ok
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
	case p.terminal == "" && p.carries: // else an event that differs in its type alone would be its like
		p.last.set(c.text, c.strings)
	}
	p.over = over
	for _, h := range p.heard {
		p.note(h)
	}
	if p.held += len(c.text); !p.carries && p.held <= maxHeads {
		return head
	}
	p.carried = true
	return chunk
}

// maxHeads bounds the events that are held back because they carry nothing of the answer yet, in bytes; more than that commit.
const maxHeads = 1 << 20

// A report is what one event says of one choice.
type report struct {
	index    int
	finished bool
}

func (p *progress) choice(c *cursor) bool {
	if c.peek() != '{' {
		return c.value()
	}
	var r report
	valid := c.object(func(key []byte) bool {
		strings := len(c.strings)
		if !p.carries && string(key) == "delta" && c.peek() == '{' {
			return c.object(func(key []byte) bool {
				value, ok := c.raw()
				p.carries = p.carries || string(key) != "role" && !isEmpty(value)
				return ok
			})
		}
		value, ok := c.raw()
		switch string(key) {
		case "index":
			r.index, _ = strconv.Atoi(string(value)) // 0 if it is none
		case "text", "message", "delta":
			p.carries = p.carries || !isEmpty(value)
		case "finish_reason":
			r.finished = !isEmpty(value)
			p.carries = p.carries || r.finished
			c.strings = c.strings[:strings] // an event with another reason is not its like
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

func (p *progress) note(r report) {
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

// finished tells whether the provider has said all: every choice that was seen has its finish reason, and there was one, or the
// last event was the terminal. (A stream of several images has a terminal for each.)
func (p *progress) finished() bool {
	if p.terminal != "" {
		return p.over
	}
	return slices.Contains(p.choices, closed) && !slices.Contains(p.choices, open)
}

func (p *progress) closing() []byte {
	if p.terminal != "" {
		return nil // without it, the stream is not finished
	}
	return []byte("data: [DONE]\n\n")
}

func (p *progress) used() core.Usage { return p.usage }

func (p *progress) told(envelope []byte) []byte { return dataEvent(envelope) }
