package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// A held is a provider that begins streams and ends them when the channel is closed.
type held chan struct{}

func (h held) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n")
	_ = http.NewResponseController(w).Flush()
	select {
	case <-h:
		_, _ = io.WriteString(w, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	case <-r.Context().Done():
	}
}

// Idle connections and open streams each cost a bounded amount of memory, and every stream completes.
// (BERRY_SOAK=1 holds 10,000 and 2,000 of them.)
func TestOpenConnections(t *testing.T) {
	idle, open := 500, 100
	if os.Getenv("BERRY_SOAK") != "" {
		idle, open = 10_000, 2_000
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if need := idle + 3*open; limit.Cur < uint64(need) {
		t.Skipf("this needs %d open files, and %d are allowed", need, limit.Cur)
	}
	provider := make(held)
	file := filepath.Join(t.TempDir(), "config.toml")
	toml := gatewaytest.Config("[settings]\nstream_idle_timeout_seconds = 600", gatewaytest.Provider("p", gatewaytest.Serve(t, provider)), gatewaytest.Model("m", "failover", "p"))
	if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, freePorts(), "serve", "--config", file)
	at, admin := p.address(t), p.wait(t, `"admin":"([^"]+)"`)[1]
	first := p.resident(t, admin)
	for range idle {
		c := dial(t, at)
		fmt.Fprint(c, "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
		if response, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || response.StatusCode != 200 {
			t.Fatal(err)
		}
	}
	second := p.resident(t, admin)
	streams := make([]*bufio.Reader, open)
	for i := range streams {
		c := dial(t, at)
		const body = `{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi!"}]}`
		fmt.Fprintf(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", gatewaytest.Token, len(body), body)
		streams[i] = bufio.NewReader(c)
		if line, err := streams[i].ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Fatalf("%q, %v", line, err)
		}
	}
	third := p.resident(t, admin)
	perIdle, perStream := (second-first)/idle, (third-second)/open
	t.Logf("%d MiB at first; %d idle connections take %d KiB each, %d open streams %d KiB each", first>>20, idle, perIdle>>10, open, perStream>>10)
	if perIdle > 64<<10 || perStream > 256<<10 {
		t.Error("that is too much")
	}
	close(provider)
	var all sync.WaitGroup
	for _, s := range streams {
		all.Go(func() {
			var text strings.Builder
			for !strings.Contains(text.String(), "[DONE]") {
				line, err := s.ReadString('\n')
				if err != nil {
					t.Errorf("%q, %v", text.String(), err)
					return
				}
				text.WriteString(line)
			}
		})
	}
	all.Wait()
}

// The gateway buffers a bounded part of a response of any size.
func TestLargeAnswersAreBounded(t *testing.T) {
	var models strings.Builder
	large := []string{"huge", "huge-event", "header-bomb", "tiny-events", "informational-flood"}
	for _, m := range large {
		fmt.Fprintf(&models, "[models.%s]\nstrategy = \"failover\"\n[[models.%s.backends]]\nprovider = \"p\"\nmodel = %q\n", m, m, m)
	}
	file := filepath.Join(t.TempDir(), "config.toml")
	toml := gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, &fakeprovider.Provider{})), models.String())
	if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, freePorts(), "serve", "--config", file)
	at, admin := p.address(t), p.wait(t, `"admin":"([^"]+)"`)[1]
	before := p.resident(t, admin)
	for _, m := range large {
		r, err := http.NewRequest(http.MethodPost, "http://"+at+"/v1/chat/completions", strings.NewReader(fmt.Sprintf(`{"model":%q,"stream":%v}`, m, strings.HasSuffix(m, "event") || strings.HasSuffix(m, "events"))))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+gatewaytest.Token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, response.Body)
		response.Body.Close()
		peak := p.status(t).VmHWM
		t.Logf("%s: %d, %d bytes, %v; at most %d MiB more than before", m, response.StatusCode, n, err, (int(peak)-before)>>20)
		if int(peak)-before > 64<<20 {
			t.Error("that is too much")
		}
	}
}

// dial returns a connection that is closed when the test ends.
func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// resident returns the process's resident memory in bytes after a garbage collection.
func (p *process) resident(t *testing.T, admin string) int {
	t.Helper()
	response, err := http.Get("http://" + admin + "/debug/pprof/heap?gc=1")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return int(p.status(t).VmRSS)
}

func (p *process) status(t *testing.T) procfs.ProcStatus {
	t.Helper()
	stat, err := procfs.NewProc(p.Pid)
	if err != nil {
		t.Skip("this system does not tell a process's memory")
	}
	status, err := stat.NewStatus()
	if err != nil {
		t.Fatal(err)
	}
	return status
}
