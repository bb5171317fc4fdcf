package gateway_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// The health check of each type fetches its list of models, if it has one, with the key in the right header, and detects a rejected key.
func TestHealthChecksOfTypes(t *testing.T) {
	type place struct{ path, header string }
	places := map[string]place{
		"openai":    {"/v1/models", "Authorization"},
		"azure":     {"/openai/v1/models", "Api-Key"},
		"anthropic": {"/v1/models", "X-Api-Key"},
		"gemini":    {"/v1/models", "X-Goog-Api-Key"},
	}
	var mu sync.Mutex
	seen := map[string]place{}
	var toml []string
	for typ, want := range places {
		url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got := place{path: r.URL.Path}
			if key := r.Header.Get(want.header); key == "secret" || key == "Bearer secret" {
				got.header = want.header
			}
			mu.Lock()
			defer mu.Unlock()
			seen[typ] = got
			if typ == "gemini" {
				w.WriteHeader(http.StatusForbidden)
			}
		}))
		toml = append(toml, "[providers."+typ+"]\ntype = \""+typ+"\"\nbase_url = \""+url+"/v1\"\napi_key = \"secret\"\n", gatewaytest.Model(typ, "failover", typ))
		if typ == "azure" {
			toml[len(toml)-2] = "[providers.azure]\ntype = \"azure\"\nbase_url = \"" + url + "\"\napi_key = \"secret\"\n"
		}
	}
	g := gatewaytest.Start(t, gatewaytest.Config(append(toml, "[settings]\nhealth_check_interval_seconds = 1\n")...))
	gatewaytest.Wait(t, "every provider is checked", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == len(places)
	})
	mu.Lock()
	for typ, want := range places {
		if seen[typ] != want {
			t.Errorf("%s: %+v; want %+v", typ, seen[typ], want)
		}
	}
	mu.Unlock()
	gatewaytest.Wait(t, "the refused key is seen", func() bool {
		for _, p := range g.Status(t).Providers {
			if p.ID == "gemini" {
				return p.State == "refused"
			}
		}
		return false
	})
}
