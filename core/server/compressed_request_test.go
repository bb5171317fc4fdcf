package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/server"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// Every operation rejects a compressed body with 415 in the client's API's error format, before reading the body.
func TestCompressedRequests(t *testing.T) {
	asked := &filesProvider{}
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, asked)), gatewaytest.Model("m", "failover", "p")))
	for _, op := range server.Operations() {
		if _, stored := op.Resolver.(core.StoredResponse); op.Method != http.MethodPost || stored || strings.HasSuffix(op.Path, "/cancel") {
			continue // it has no body
		}
		for _, codings := range [][]string{{"gzip"}, {"Identity"}, {"GZIP"}, {"br, zstd"}, {"identity", "deflate"}, {"unheard-of"}} {
			r := call(t, g.URL, op, "m", gatewaytest.Token)
			if r.ContentLength == 0 { // of a file, or a batch
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader("{}")), 2
			}
			r.Header["Content-Encoding"] = codings
			response, err := g.Client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_, text := gatewaytest.Read(t, response)
			if codings[0] == "Identity" {
				if response.StatusCode == http.StatusUnsupportedMediaType {
					t.Errorf("%s, %q: got %d %s", op.Path, codings, response.StatusCode, text)
				}
				continue
			}
			e := gjson.Get(text, "error")
			want := `invalid_request_error unsupported_media_type Content-Encoding`
			got := e.Get("type").Str + " " + e.Get("code").Str + " " + e.Get("param").Str
			if op.Protocol.RequestID() != "" {
				want, got = "error invalid_request_error", gjson.Get(text, "type").Str+" "+e.Get("type").Str
			}
			if response.StatusCode != http.StatusUnsupportedMediaType || got != want || response.Header.Get("Accept-Encoding") != "identity" || !strings.Contains(text, "without a Content-Encoding") {
				t.Errorf("%s, %q: got %d %s; want 415 %s", op.Path, codings, response.StatusCode, text, want)
			}
		}
	}
}
