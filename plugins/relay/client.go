package relay

import (
	"net/http"
	"time"
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

// newClient returns the client at w. Between two writes of its answer the provider may be silent for so long: over HTTP/2
// net/http ends a stream whose write deadline passes, though nothing is being written.
func newClient(w http.ResponseWriter, silence time.Duration) *client {
	return &client{w: w, connection: http.NewResponseController(w), silence: silence}
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
