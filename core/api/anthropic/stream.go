package anthropic

import (
	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/sse"
)

// stream parses a streamed message: a stop reason, then message_stop, ends it
// (https://docs.anthropic.com/en/docs/build-with-claude/streaming).
type stream struct {
	eager   bool // of a translation, whose beginning comes with the first text, and commits
	begun   bool // message_start has come
	stopped bool // a stop reason has come
	usage   usage
	last    jsonx.Template // of the latest content_block_delta
	strings []jsonx.Span
}

// Parse implements api.Stream. The beginning of a message, or a ping, contains nothing of it yet: until a block begins, another backend can
// respond.
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
		return api.Chunk // not the API's, but passed on
	}
	return api.Malformed
}

func (p *stream) object(c *jsonx.Scanner) api.EventKind {
	var typ, message, delta, used []byte
	failed := false
	valid := c.Object(func(key []byte) (ok bool) {
		switch string(key) {
		case "type":
			if c.Peek() == '"' { // events of another type do not match
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

// usage is the tokens of a message. Later reports are of the whole message.
type usage struct{ input, cacheWrite, cacheRead, output uint32 }

func (u *usage) read(v gjson.Result) {
	u.input = max(u.input, api.Tokens(v.Get("input_tokens")))
	u.cacheWrite = max(u.cacheWrite, api.Tokens(v.Get("cache_creation_input_tokens")))
	u.cacheRead = max(u.cacheRead, api.Tokens(v.Get("cache_read_input_tokens")))
	u.output = max(u.output, api.Tokens(v.Get("output_tokens")))
}

// total returns the usage, with cached tokens as a part of the input.
func (u *usage) total() api.Usage {
	const most = 1<<31 - 1
	return api.Usage{InputTokens: uint32(min(uint64(u.input)+uint64(u.cacheWrite)+uint64(u.cacheRead), most)), OutputTokens: u.output}
}
