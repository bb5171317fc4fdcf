package relay

import (
	"bytes"
	"io"
	"net/http"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/jsonx"
)

// large relays an answer that is too large to be held: what is held is committed, the rest follows as it comes. If that is
// then cut, so is the client's connection, for nothing else would tell the client that the answer is not whole.
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
		length = -1 // the client's ids and names have other lengths
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
		t.x.Aborted = true
		return t.truncated(rest.err)
	}
}

// largeMember returns the member of an answer as the client has it: ids of responses and the model are renamed as in smaller answers. It
// notes what the answer has used.
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
