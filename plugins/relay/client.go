package relay

import (
	"net/http"
	"time"

	"github.com/berrygate/berry/core"
)

// clientPause is how long a client may take to read a piece of its response, give or take a quarter. A client that reads nothing for so long
// is disconnected.
const clientPause = 2 * time.Minute

// piece is the size of a write with one deadline, in bytes.
const piece = 64 << 10

// A client is the connection to which a response is written.
type client struct {
	w          http.ResponseWriter
	connection *http.ResponseController
	deadline   time.Time // for writes
	silence    time.Duration
}

// newClient returns the exchange's client. Over HTTP/2, net/http ends a stream whose write deadline passes even if nothing is being written;
// so there the deadline includes the provider's idle timeout, twice.
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

// Send writes b and flushes.
func (c *client) Send(b []byte) error {
	if _, err := c.Write(b); err != nil {
		return err
	}
	return c.connection.Flush()
}

// extend moves the deadline for the next piece. It does not do so for each one: a stream has many, and moving the deadline costs more than
// writing an event.
func (c *client) extend() error {
	now := time.Now()
	if c.deadline.Sub(now) > clientPause*3/4+c.silence {
		return nil
	}
	c.deadline = now.Add(clientPause + c.silence)
	return c.connection.SetWriteDeadline(c.deadline)
}
