package api

import (
	"github.com/tidwall/gjson"
)

// An EventKind is what an event of a stream means to the gateway.
type EventKind int

// The kinds of events.
const (
	Comment   EventKind = iota // no data
	Head                       // the beginning of a response that contains nothing of it yet: a role, an id
	Chunk                      // a part of the response
	Done                       // the terminal event
	Failure                    // an error
	Malformed                  // data that is not JSON
	Final                      // a part of the response, after which nothing follows
)

// MaxHead bounds the events that a stream may have before the first part of a response, in bytes. More of them commit the response.
const MaxHead = 1 << 20

// A Stream parses the events of one streamed response. It is not safe for concurrent use.
type Stream interface {
	// Parse returns the kind of an event by its data. nil is an event without data.
	Parse(data []byte) EventKind
	// Finished reports whether the response is complete, though its terminal event may be missing.
	Finished() bool
	// TerminalEvent returns the terminal event, to supply where it is missing; nil if a complete response needs none.
	TerminalEvent() []byte
	// Usage returns the tokens that the stream has reported so far.
	Usage() Usage
	// ErrorEvent returns the event that ends the stream with an error. envelope is the error's body in the client's API.
	ErrorEvent(envelope []byte) []byte
}

// ReadUsage returns the tokens in a "usage" object of OpenAI's APIs; zeros if it is none.
func ReadUsage(u gjson.Result) Usage {
	if !u.IsObject() {
		return Usage{}
	}
	input, output := u.Get("prompt_tokens"), u.Get("completion_tokens")
	if !input.Exists() && !output.Exists() { // of all but chats and completions
		input, output = u.Get("input_tokens"), u.Get("output_tokens")
	}
	return Usage{InputTokens: Tokens(input), OutputTokens: Tokens(output)}
}

// Tokens returns a number of tokens; 0 for anything else.
func Tokens(n gjson.Result) uint32 {
	if n.Type != gjson.Number || !(n.Num >= 0 && n.Num < 1<<31) {
		return 0
	}
	return uint32(n.Num)
}
