package relay

import (
	"bytes"
	"io"
	"net/http"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/jsonx"
)

// large relays a response that is too large to buffer: it commits what was read, and the rest follows as it arrives. If the response is
// truncated then, the client's connection is closed, since nothing else would show it.
func (t *attemptRun) large(response *http.Response, held []byte) *core.Failure {
	if !bytes.HasPrefix(bytes.TrimLeft(held, " \t\r\n"), []byte("{")) {
		return notJSON(response, held)
	}
	if !t.limit.Stop() {
		return t.truncated(errSilent)
	}
	if !t.inTime() {
		return t.deadlinePassed()
	}
	t.answers()
	length := response.ContentLength
	if t.renames() {
		length = -1 // the client's names have other lengths
	}
	t.begin(response, length)
	to := jsonx.NewMemberWriter(t.to, t.largeMember)
	if _, err := to.Write(held); err != nil {
		return clientLeft(err)
	}
	rest := &idleReader{attemptRun: t, src: response.Body}
	_, err := io.Copy(to, rest)
	switch {
	case err == nil:
		return nil
	case rest.err == nil:
		return clientLeft(err)
	default:
		t.x.Abort()
		return t.truncated(rest.err)
	}
}

// largeMember returns a member's value with the client's names, as in smaller responses, and records the response's usage.
func (t *attemptRun) largeMember(key string, value []byte) []byte {
	switch key {
	case "usage":
		if t.x.Passthrough == nil {
			t.a.Usage = t.x.Operation.Protocol.Usage(jsonx.View(object(key, value)))
		}
	case "id", "previous_response_id", "response_id", "model":
		if t.renames() {
			member := object(key, value)
			renamed := t.rename(member)
			return renamed[len(member)-len(value)-1 : len(renamed)-1]
		}
	}
	return value
}

// object returns a JSON object with one member.
func object(key string, value []byte) []byte {
	return append(append([]byte(`{"`+key+`":`), value...), '}')
}
