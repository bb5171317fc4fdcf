package relay

import (
	"net/http"
	"time"
)

// clientPause is how long a client may take for a piece of its answer; one that reads nothing for so long is given up.
const clientPause = 2 * time.Minute

// piece is how much is written under one such limit, in bytes.
const piece = 64 << 10

// A client is where an answer goes.
type client struct {
	w          http.ResponseWriter
	connection *http.ResponseController
}

func newClient(w http.ResponseWriter) *client { return &client{w, http.NewResponseController(w)} }

// Write writes b, however slowly the client reads, as long as it reads.
func (c *client) Write(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		if err := c.connection.SetWriteDeadline(time.Now().Add(clientPause)); err != nil {
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

// Flush sends what was written.
func (c *client) Flush() error {
	if err := c.connection.SetWriteDeadline(time.Now().Add(clientPause)); err != nil {
		return err
	}
	return c.connection.Flush()
}
