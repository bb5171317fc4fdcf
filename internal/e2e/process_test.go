package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// root is the module's root folder.
const root = "../../"

// folder holds the binary.
var folder string

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "berry-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// build builds the binary once for all tests and returns its path.
var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(folder, "berry")
	c := exec.Command("go", "build", "-o", path, ".")
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// binary returns the path of the binary.
func binary(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A process is the running binary.
type process struct {
	*os.Process
	file string // its output
}

// start runs the binary until the test ends.
func start(t *testing.T, environ []string, arguments ...string) *process {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c := exec.Command(binary(t), arguments...)
	c.Env = append(os.Environ(), environ...)
	c.Stdout, c.Stderr = file, file
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{c.Process, file.Name()}
	t.Cleanup(func() {
		if err := p.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := c.Wait(); err != nil {
			t.Errorf("%v: %s", err, p.output(t))
		}
	})
	return p
}

// output returns what the process has written so far.
func (p *process) output(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(p.file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wait waits until the expression matches the output, and returns the match.
func (p *process) wait(t *testing.T, expression string) []string {
	t.Helper()
	for range 600 {
		if m := regexp.MustCompile(expression).FindStringSubmatch(p.output(t)); m != nil {
			return m
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("no %s in:\n%s", expression, p.output(t))
	return nil
}

// address waits until the process says where it listens.
func (p *process) address(t *testing.T) string {
	t.Helper()
	return p.wait(t, `"address":"([^"]+)"`)[1]
}

func freePorts() []string {
	return []string{"BERRY_SERVER__LISTEN=127.0.0.1:0", "BERRY_SERVER__ADMIN_LISTEN=127.0.0.1:0"}
}
