package relay

import "github.com/berrygate/berry/core"

// A grammar follows a stream of the API that the client speaks to its end.
type grammar interface {
	// take says what an event's data is to the relay.
	take(data []byte) kind
	// finished tells whether the answer is whole, though its last event may be missing.
	finished() bool
	// closing returns that last event, to be supplied where it is missing; nil if a whole stream needs none.
	closing() []byte
	// used returns the tokens that the stream has reported.
	used() core.Usage
	// told returns the event that ends the stream with an error, whose envelope is in the client's words.
	told(envelope []byte) []byte
}

var _, _, _ grammar = (*progress)(nil), (*messageProgress)(nil), (*responseProgress)(nil)

// grammar returns that of the exchange's API, at its beginning. For that of chats, of which there are most, the try has room.
func (t *try) grammar() grammar {
	switch {
	case t.x.Operation.Anthropic:
		return &messageProgress{eager: t.translator != nil}
	case isResponses(t.x):
		return &responseProgress{stored: t.x.Onward != nil}
	default:
		t.chat.terminal = t.x.Operation.Terminal
		return &t.chat
	}
}
