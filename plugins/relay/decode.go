package relay

import (
	"errors"
	"net/http"

	"github.com/berrygate/berry/core/contentcoding"
)

var errEncoded = errors.New("the answer is compressed in an unknown way, which was not asked for")

// decode decompresses the response. The gateway asks for uncompressed responses, but some providers and proxies compress anyway. It fails if the
// content coding is unknown.
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
