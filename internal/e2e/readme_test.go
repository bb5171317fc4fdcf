package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// blocks returns the fenced blocks of a language in a Markdown file.
func blocks(t *testing.T, file, language string) []string {
	t.Helper()
	b, err := os.ReadFile(root + file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(string(b), -1) {
		out = append(out, m[1])
	}
	if len(out) == 0 {
		t.Fatalf("%s has no block of %s", file, language)
	}
	return out
}

// masked hides what differs from run to run in the demo's answer: who answered, and when.
func masked(answer string) string {
	answer = regexp.MustCompile(`"created":\d+`).ReplaceAllString(answer, `"created":…`)
	return strings.TrimSpace(regexp.MustCompile(`fast|slow`).ReplaceAllString(answer, "…"))
}

// The README's curl commands return the responses shown below them. (TestDemo tests make run.)
func TestREADMECurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl")
	}
	at := start(t, freePorts(), "demo").address(t)
	for _, block := range blocks(t, "README.md", "console") {
		command, want, _ := strings.Cut(strings.TrimPrefix(block, "$ "), "\n")
		command = strings.Replace(command, "127.0.0.1:3000", at, 1)
		out, err := exec.Command("sh", "-c", command).Output()
		if err != nil || masked(string(out)) != masked(want) {
			t.Errorf("%s: %v\n%s\nthe README shows\n%s", command, err, masked(string(out)), masked(want))
		}
	}
}

// The README's two commands are targets of the Makefile.
func TestREADMECommands(t *testing.T) {
	for _, block := range blocks(t, "README.md", "sh") {
		c := exec.Command("sh", "-c", strings.Replace(block, "make", "make --dry-run", 1))
		c.Dir = root
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", block, err, out)
		}
	}
}

func TestREADMEConfig(t *testing.T) {
	for _, block := range blocks(t, "README.md", "toml") {
		file := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(file, []byte(block), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(binary(t), "check", file).CombinedOutput()
		if err != nil || strings.Contains(string(out), "warning") {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// The examples of the authentication's guide work in their order: each config is taken over while the gateway serves, each
// command prints what stands below it, and the log has the audit's line.
func TestAuthREADME(t *testing.T) {
	for _, tool := range []string{"curl", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("no " + tool)
		}
	}
	const readme = "plugins/auth/README.md"
	text, err := os.ReadFile(root + readme)
	if err != nil {
		t.Fatal(err)
	}
	rest := gatewaytest.Provider("nobody", "http://127.0.0.1:9") + // what the gateway has beside its users
		gatewaytest.Model("smart", "failover", "nobody") + gatewaytest.Model("fast", "failover", "nobody")
	file := filepath.Join(t.TempDir(), "config.toml")
	var p *process
	for i, m := range regexp.MustCompile("(?ms)^```(toml|console)\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
		if m[1] == "toml" {
			toml := m[2] + rest
			if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
				t.Fatal(err)
			}
			if p == nil {
				p = start(t, freePorts(), "serve", "--config", file)
			} else {
				p.wait(t, `"result":"applied","cause":"file","config_sha256":"`+gatewaytest.Digest(toml)+`"`)
			}
			continue
		}
		command, want, _ := strings.Cut(strings.TrimPrefix(m[2], "$ "), "\n")
		out, err := exec.Command("sh", "-c", strings.ReplaceAll(command, "127.0.0.1:3000", p.address(t))).Output()
		if err != nil || strings.TrimSpace(string(out)) != strings.TrimSpace(want) {
			t.Errorf("block %d: %s: %v\n%s\nthe README shows\n%s", i, command, err, out, want)
		}
	}
	audit := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(blocks(t, readme, "json")[0])), "…", `[^"]+`)
	p.wait(t, audit)
}

// The config's README shows the exact output of berry check.
func TestConfigREADME(t *testing.T) {
	command, want, _ := strings.Cut(blocks(t, "config/README.md", "console")[0], "\n")
	c := exec.Command(binary(t), strings.Fields(command)[2:]...) // after "$ berry"
	c.Dir = root
	var got strings.Builder
	c.Stderr = &got // warnings go to stdout
	if err := c.Run(); err == nil || strings.TrimSpace(got.String()) != strings.TrimSpace(want) {
		t.Errorf("%v; got\n%s\nwant\n%s", err, got.String(), want)
	}
}

// The strategy in the SDK's README compiles with the command shown there.
func TestSDKREADME(t *testing.T) {
	folder, err := os.MkdirTemp(root+"examples", "readme-") // within the module, where its imports are found
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.WriteFile(filepath.Join(folder, "main.go"), []byte(blocks(t, "sdk/README.md", "go")[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("sh", "-c", blocks(t, "sdk/README.md", "sh")[0])
	c.Dir = folder
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
