package relay

import (
	"errors"
	"net/http"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/contentcoding"
)

var errEncoded = errors.New("the answer is compressed in an unknown way, which was not asked for")

// decode makes the response one that is not compressed. Providers are asked for such answers, but some, and proxies before them,
// compress all the same. It fails if the content coding is unknown.
func decode(response *http.Response) error {
	header := response.Header["Content-Encoding"]
	if len(header) == 0 {
		return nil
	}
	codings := contentcoding.Of(header)
	body, err := contentcoding.NewReader(response.Body, codings)
	if err != nil {
		return err
	}
	if len(codings) > 0 {
		response.Body, response.ContentLength = body, -1
	}
	return nil
}

// undecodable is the failure of a provider whose answer has an unknown content coding. An error's status and header mean what they
// mean of any other, unless only the body could say whose fault it is.
func (t *attemptRun) undecodable(response *http.Response) *core.Failure {
	if response.StatusCode > 299 {
		if f := t.classify(t.refusal(response, nil)); f.Retryable {
			f.Answer = nil
			return f
		}
	}
	return invalidResponse(errEncoded)
}
