package anthropic

import (
	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/sse"
)

// stream follows a stream of Anthropic's Messages API to its terminal: a reason to stop, then message_stop
// (https://docs.anthropic.com/en/docs/build-with-claude/streaming).
type stream struct {
	eager   bool // the head comes with the first word, as it does from a translation, and commits
	begun   bool // the head has come
	stopped bool // the reason has
	usage   usage
	last    jsonx.Template // of the last piece of a block
	strings []jsonx.Span
}

// Parse looks at an event's data. A message's head says nothing yet, nor does a ping: until a block begins, another backend can
// still answer.
func (p *stream) Parse(data []byte) api.EventKind {
	switch {
	case data == nil:
		return api.Comment
	case p.last.Match(data):
		return api.Chunk
	}
	c := &jsonx.Scanner{Text: data, Strings: p.strings[:0]}
	defer func() { p.strings = c.Strings }()
	if c.Peek() == '{' {
		return p.object(c)
	}
	if c.Skip() && c.AtEnd() {
		return api.Chunk // of what, only the client knows
	}
	return api.Malformed
}

func (p *stream) object(c *jsonx.Scanner) api.EventKind {
	var typ, message, delta, used []byte
	failed := false
	valid := c.Object(func(key []byte) (ok bool) {
		switch string(key) {
		case "type":
			if c.Peek() == '"' { // an event of another type is not its like
				typ, ok = c.Str()
				return ok
			}
		case "error":
			failed = failed || c.Peek() != 'n'
		case "message":
			message, ok = c.Raw()
			return ok
		case "delta":
			delta, ok = c.Raw()
			return ok
		case "usage":
			used, ok = c.Raw()
			return ok
		}
		return c.Skip()
	})
	switch {
	case !valid || !c.AtEnd():
		return api.Malformed
	case failed:
		return api.Failure
	}
	switch string(typ) {
	case "error":
		return api.Failure
	case "ping":
		return api.Comment
	case "message_start":
		p.usage.read(jsonx.View(message).Get("usage"))
		if !p.begun && !p.eager && len(c.Text) <= api.MaxHead {
			p.begun = true
			return api.Head
		}
	case "content_block_delta":
		p.last.Set(c.Text, c.Strings)
	case "message_delta":
		p.usage.read(jsonx.View(used))
		p.stopped = p.stopped || jsonx.View(delta).Get("stop_reason").Type == gjson.String
	case "message_stop":
		return api.Done
	}
	return api.Chunk
}

func (p *stream) Finished() bool { return p.stopped }

func (p *stream) TerminalEvent() []byte {
	return sse.Append(nil, "message_stop", []byte(`{"type":"message_stop"}`))
}

func (p *stream) Usage() api.Usage { return p.usage.total() }

func (p *stream) ErrorEvent(envelope []byte) []byte {
	return sse.Append(nil, "error", envelope)
}

// usage is what a message took, in tokens. What is reported later is of the whole message, too.
type usage struct{ input, cacheWrite, cacheRead, output uint32 }

func (u *usage) read(v gjson.Result) {
	u.input = max(u.input, api.Tokens(v.Get("input_tokens")))
	u.cacheWrite = max(u.cacheWrite, api.Tokens(v.Get("cache_creation_input_tokens")))
	u.cacheRead = max(u.cacheRead, api.Tokens(v.Get("cache_read_input_tokens")))
	u.output = max(u.output, api.Tokens(v.Get("output_tokens")))
}

// total returns the usage with what came from the cache, or went there, among the input.
func (u *usage) total() api.Usage {
	const most = 1<<31 - 1
	return api.Usage{InputTokens: uint32(min(uint64(u.input)+uint64(u.cacheWrite)+uint64(u.cacheRead), most)), OutputTokens: u.output}
}
