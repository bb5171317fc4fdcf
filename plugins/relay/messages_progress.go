package relay

import (
	"fmt"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core"
)

// messageProgress follows a stream of Anthropic's Messages API to its terminal: a reason to stop, then message_stop
// (https://docs.anthropic.com/en/docs/build-with-claude/streaming).
type messageProgress struct {
	eager   bool // the head comes with the first word, as it does from a translation, and commits
	begun   bool // the head has come
	stopped bool // the reason has
	usage   messageUsage
	last    shape // of the last piece of a block
	strings []span
}

// take looks at an event's data. A message's head says nothing yet, nor does a ping: until a block begins, another backend can
// still answer.
func (p *messageProgress) take(data []byte) kind {
	switch {
	case data == nil:
		return comment
	case p.last.fits(data):
		return chunk
	}
	c := &cursor{text: data, strings: p.strings[:0]}
	defer func() { p.strings = c.strings }()
	if c.peek() == '{' {
		return p.object(c)
	}
	if c.value() && c.end() {
		return chunk // of what, only the client knows
	}
	return malformed
}

func (p *messageProgress) object(c *cursor) kind {
	var typ, message, delta, used []byte
	failed := false
	valid := c.object(func(key []byte) (ok bool) {
		switch string(key) {
		case "type":
			if c.peek() == '"' { // an event of another type is not its like
				typ, ok = c.string()
				return ok
			}
		case "error":
			failed = failed || c.peek() != 'n'
		case "message":
			message, ok = c.raw()
			return ok
		case "delta":
			delta, ok = c.raw()
			return ok
		case "usage":
			used, ok = c.raw()
			return ok
		}
		return c.value()
	})
	switch {
	case !valid || !c.end():
		return malformed
	case failed:
		return failure
	}
	switch string(typ) {
	case "error":
		return failure
	case "ping":
		return comment
	case "message_start":
		p.usage.read(core.ViewJSON(message).Get("usage"))
		if !p.begun && !p.eager && len(c.text) <= maxHeads {
			p.begun = true
			return head
		}
	case "content_block_delta":
		p.last.set(c.text, c.strings)
	case "message_delta":
		p.usage.read(core.ViewJSON(used))
		p.stopped = p.stopped || core.ViewJSON(delta).Get("stop_reason").Type == gjson.String
	case "message_stop":
		return done
	}
	return chunk
}

func (p *messageProgress) finished() bool { return p.stopped }

func (p *messageProgress) closing() []byte {
	return []byte("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
}

func (p *messageProgress) used() core.Usage { return p.usage.total() }

func (p *messageProgress) told(envelope []byte) []byte {
	return fmt.Appendf(nil, "event: error\ndata: %s\n\n", envelope)
}

// messageUsage is what a message took, in tokens. What is reported later is of the whole message, too.
type messageUsage struct{ input, cacheWrite, cacheRead, output uint32 }

func (u *messageUsage) read(v gjson.Result) {
	u.input = max(u.input, tokens(v.Get("input_tokens")))
	u.cacheWrite = max(u.cacheWrite, tokens(v.Get("cache_creation_input_tokens")))
	u.cacheRead = max(u.cacheRead, tokens(v.Get("cache_read_input_tokens")))
	u.output = max(u.output, tokens(v.Get("output_tokens")))
}

// total returns the usage with what came from the cache, or went there, among the input.
func (u *messageUsage) total() core.Usage {
	const most = 1<<31 - 1
	return core.Usage{InputTokens: uint32(min(uint64(u.input)+uint64(u.cacheWrite)+uint64(u.cacheRead), most)), OutputTokens: u.output}
}
