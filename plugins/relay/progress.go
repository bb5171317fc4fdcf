package relay

import (
	"bytes"

	"github.com/tidwall/gjson"

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

// progress follows a stream of chat or completion chunks to its terminal: a finish reason for every choice, then [DONE].
type progress struct {
	open  map[int64]bool // choices seen, and whether each still lacks its finish reason
	usage core.Usage
}

// take looks at an event's data.
func (p *progress) take(data []byte) kind {
	switch {
	case data == nil:
		return comment
	case bytes.Equal(bytes.TrimSpace(data), []byte("[DONE]")):
		return done
	case !core.ValidJSON(data):
		return malformed
	}
	what := chunk
	core.ViewJSON(data).ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "error":
			if value.Type != gjson.Null {
				what = failure
			}
		case "choices":
			value.ForEach(p.choice)
		case "usage":
			if u := usage(value); u != (core.Usage{}) {
				p.usage = u
			}
		}
		return what == chunk
	})
	return what
}

func (p *progress) choice(_, c gjson.Result) bool {
	index, finished := int64(0), false
	c.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "index":
			index = value.Int()
		case "finish_reason":
			finished = value.Type != gjson.Null
		}
		return true
	})
	if p.open == nil {
		p.open = make(map[int64]bool, 1)
	}
	if _, seen := p.open[index]; finished || !seen { // what comes after the reason does not take it back
		p.open[index] = !finished
	}
	return true
}

// finished tells whether every choice that was seen has its finish reason, and there was one.
func (p *progress) finished() bool {
	for _, open := range p.open {
		if open {
			return false
		}
	}
	return len(p.open) > 0
}
