package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// Clients that read only after sending all of 40 MB receive the error response: Python's httpx, which OpenAI's and Anthropic's clients use, and
// Node's fetch.
func TestClientsReceiveEarlyErrors(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", "http://127.0.0.1:1"), gatewaytest.Model("m", "failover", "p")))
	run := func(t *testing.T, name, script string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), name, filepath.Join("testdata", "refusals", script))
		c.Env = append(os.Environ(), "BERRY_URL="+g.URL, "BERRY_TOKEN="+gatewaytest.Token)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
	t.Run("httpx", func(t *testing.T) { run(t, pythonWith(t, "httpx"), "refusals.py") })
	t.Run("node", func(t *testing.T) { run(t, "node", "refusals.mjs") })
}

// pythonWith returns a Python that has the module: the system's, for which make test installs it, or the first in the PATH.
func pythonWith(t *testing.T, module string) string {
	t.Helper()
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import "+module).Run() == nil {
			return python
		}
	}
	t.Fatalf("no Python with %s: run make httpx", module)
	return ""
}
