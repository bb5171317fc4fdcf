package relay

import "github.com/berrygate/berry/core"

// A streamParser follows a stream of the API that the client speaks to its end.
type streamParser interface {
	// parse says what an event's data is to the relay.
	parse(data []byte) kind
	// finished tells whether the answer is whole, though its last event may be missing.
	finished() bool
	// terminalEvent returns that last event, to be supplied where it is missing; nil if a whole stream needs none.
	terminalEvent() []byte
	// reported returns the tokens that the stream has reported.
	reported() core.Usage
	// errorEvent returns the event that ends the stream with an error, whose envelope is in the client's words.
	errorEvent(envelope []byte) []byte
}

var _, _, _ streamParser = (*chatStream)(nil), (*messagesStream)(nil), (*responsesStream)(nil)

// newStreamParser returns that of the exchange's API, at its beginning. For that of chats, of which there are most, the try has room.
func (t *attemptRun) newStreamParser() streamParser {
	switch {
	case t.x.Operation.Anthropic:
		return &messagesStream{eager: t.translator != nil}
	case isResponses(t.x):
		return &responsesStream{stored: t.x.Passthrough != nil}
	default:
		t.chat.terminal = t.x.Operation.Terminal
		return &t.chat
	}
}
