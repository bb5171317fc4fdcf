package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// A whole exchange through sockets, one after the other: client, gateway and provider in one process. What the gateway alone
// costs under load, make bench-gateway measures.
func BenchmarkExchange(b *testing.B) {
	for name, stream := range map[string]string{"plain": "false", "streamed": "true"} {
		b.Run(name, func(b *testing.B) {
			g := gatewaytest.Start(b, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(b, fake())), gatewaytest.Model("m", "weighted_random", "p")))
			body := `{"model":"m","stream":` + stream + `,"messages":[{"role":"user","content":"` + strings.Repeat("lorem ipsum ", 80) + `"}]}`
			b.ReportAllocs()
			for b.Loop() {
				response, text := gatewaytest.Read(b, g.Post(b, "/v1/chat/completions", body))
				if response.StatusCode != http.StatusOK {
					b.Fatal(text)
				}
			}
		})
	}
}
