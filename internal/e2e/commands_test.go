package e2e

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// Every curl command that the demo prints works.
func TestDemo(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl")
	}
	demo := start(t, freePorts(), "demo")
	demo.wait(t, `(?s)(curl .*){5}\n`)
	lines := regexp.MustCompile(`(?m)curl .*$`).FindAllString(demo.output(t), -1)
	want := []string{"X-Berry-Provider: ", "data: [DONE]", "data: [DONE]", `"id":"quick"`, "model_not_allowed"}
	if len(lines) != len(want) {
		t.Fatalf("%d curl lines in\n%s", len(lines), demo.output(t))
	}
	for i, line := range lines {
		out, err := exec.Command("sh", "-c", line).Output()
		if err != nil || !strings.Contains(string(out), want[i]) {
			t.Errorf("%s: %v\n%s\nwant %s", line, err, out, want[i])
		}
	}
}

// The specification's config works: each user's list contains exactly the permitted models.
func TestSpecificationServes(t *testing.T) {
	at := start(t, freePorts(), "serve", "--config", root+"config/testdata/specification.toml").address(t)
	for token, want := range map[string]string{"berry-admin-123456": `"id":"gpt-4"`, "berry-user-789012": `"data":[]`} {
		r, err := http.NewRequest(http.MethodGet, "http://"+at+"/v1/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(b), want) {
			t.Errorf("%s: %d %s, %v; want %s", token, response.StatusCode, b, err, want)
		}
	}
}

// SIGHUP reloads the config. After concurrent signals and a broken config the process keeps serving.
func TestHangup(t *testing.T) {
	text, err := os.ReadFile(root + "config/testdata/specification.toml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.toml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(string(text))
	p := start(t, freePorts(), "serve", "--config", file)
	at := p.address(t)
	hangup := func() {
		if err := p.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hangup()
	hangup()
	p.wait(t, `"msg":"reload","result":"unchanged","cause":"SIGHUP"`)
	write("half a")
	hangup()
	p.wait(t, `"level":"ERROR","msg":"reload","result":"failed","cause":"SIGHUP",.*config.toml:1:6: there is no = in this line`)
	response, err := http.Get("http://" + at + "/health")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Error(response.StatusCode)
	}
}

// A reload changes the log level.
func TestLogLevelFollows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.toml")
	write := func(level string) string {
		toml := gatewaytest.Config("[telemetry]\nlog_level = \"" + level + "\"")
		if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
			t.Fatal(err)
		}
		return gatewaytest.Digest(toml)
	}
	write("info")
	p := start(t, nil, "serve", "--config", file)
	admin := p.wait(t, `"admin":"([^"]+)"`)[1]
	digest := write("error")
	gatewaytest.Wait(t, "the config is taken over", func() bool {
		response, err := http.Get("http://" + admin + "/admin/status")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		b, err := io.ReadAll(response.Body)
		return err == nil && strings.Contains(string(b), `"config_sha256": "`+digest)
	})
	if text := p.output(t); strings.Contains(text, digest) {
		t.Errorf("at level error the log has\n%s", text)
	}
	p.wait(t, `"result":"applied","cause":"file","config_sha256":"`+write("info"))
}

func TestAuthScript(t *testing.T) {
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("no " + tool)
		}
	}
	c := exec.Command(root + "examples/test_auth.sh")
	c.Env = append(os.Environ(), "BERRY="+binary(t))
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
