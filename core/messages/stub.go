package messages

import "github.com/berrygate/berry/core/provider/dialect"

type answer struct {
	dialect.Answer
	call  dialect.Call
	inner dialect.Answer
}

func request(_ dialect.Call, _ []byte) (any, error) { return nil, dialect.Unsupported("messages") }
