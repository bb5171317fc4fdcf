package relay

import (
	"net/http"
	"time"

	"github.com/berrygate/berry/core"
)

// clientPause is how long a client may take for a piece of its answer, give or take a quarter; one that reads nothing for so
// long is given up.
const clientPause = 2 * time.Minute

// piece is how much is written under one such limit, in bytes.
const piece = 64 << 10

// A client is where an answer goes.
type client struct {
	w          http.ResponseWriter
	connection *http.ResponseController
	deadline   time.Time // for writes
	silence    time.Duration
}

// newClient returns the exchange's client. Over HTTP/2 net/http ends a stream whose write deadline passes, though nothing is being
// written; so there the deadline allows for the provider's silence, which is noticed a little late.
func newClient(x *core.Exchange, silence time.Duration) *client {
	c := &client{w: x.Writer, connection: http.NewResponseController(x.Writer)}
	if x.Request.ProtoMajor == 2 {
		c.silence = 2 * silence
	}
	return c
}

// Write writes b, however slowly the client reads, as long as it reads.
func (c *client) Write(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		if err := c.extend(); err != nil {
			return n, err
		}
		m, err := c.w.Write(b[n:min(len(b), n+piece)])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Send writes b and sends all that was written.
func (c *client) Send(b []byte) error {
	if _, err := c.Write(b); err != nil {
		return err
	}
	return c.connection.Flush()
}

// extend gives the client time for the next piece. It does not move the deadline for each one: a stream has many, and that
// would cost more than to write them.
func (c *client) extend() error {
	now := time.Now()
	if c.deadline.Sub(now) > clientPause*3/4+c.silence {
		return nil
	}
	c.deadline = now.Add(clientPause + c.silence)
	return c.connection.SetWriteDeadline(c.deadline)
}
