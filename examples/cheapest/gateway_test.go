package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// The README's build line and its config, as they stand there, change where requests go.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	build := regexp.MustCompile("(?m)^GOOS=.*$").FindString(string(readme))
	module := t.TempDir() + "/cheapest.wasm"
	if out, err := exec.Command("sh", "-c", strings.Replace(build, "cheapest.wasm", module, 1)).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	config := regexp.MustCompile("(?s)```toml\n(.*?)```").FindStringSubmatch(string(readme))[1]
	config = strings.Replace(config, `"cheapest.wasm"`, `"`+module+`"`, 1)

	cheap, expensive := &fakeprovider.Provider{Name: "cheap"}, &fakeprovider.Provider{Name: "expensive"}
	providers := gatewaytest.Provider("cheap", gatewaytest.Serve(t, cheap)) + gatewaytest.Provider("expensive", gatewaytest.Serve(t, expensive))
	ask := func(config string) {
		g := gatewaytest.Start(t, gatewaytest.Config(providers, config))
		for range 10 {
			if response, text := g.Chat(t, "chat"); response.StatusCode != 200 {
				t.Fatalf("%d %s", response.StatusCode, text)
			}
		}
	}
	ask(strings.Replace(config, `strategy = "cheapest"`, `strategy = "failover"`, 1))
	if expensive.Served() != 10 || cheap.Served() != 0 {
		t.Errorf("failover: %d to the expensive one, %d to the cheap one", expensive.Served(), cheap.Served())
	}
	ask(config)
	if expensive.Served() != 10 || cheap.Served() != 10 {
		t.Errorf("cheapest: %d to the expensive one, %d to the cheap one", expensive.Served()-10, cheap.Served())
	}
}
