package e2e

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berrygate/berry/internal/complexitytest"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// Five at once of the bodies that take most to translate leave the binary below 1 GiB, and others are answered meanwhile. (BERRY_SOAK=1 tries
// all shapes. At openai they pass untranslated: what others wait there is what so many bytes cost in any case.)
func TestFiveLargeBodiesAtOnce(t *testing.T) {
	const size = 32<<20 - 4096 // what max_body_bytes lets in
	bodies := complexitytest.Bodies()
	names := []string{"chat: a schema", "chat: one text", "messages: one text"} // the worst
	if os.Getenv("BERRY_SOAK") != "" {
		names = slices.Sorted(maps.Keys(bodies))
	}
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, `{"error":{"message":"no"}}`)
	}))
	toml := []string{"[settings]\nmax_retries = 0\nfailure_threshold = 1000000\n"}
	for _, typ := range []string{"openai", "anthropic", "gemini"} {
		toml = append(toml, gatewaytest.Provider(typ, url)+fmt.Sprintf("type = %q\n", typ), gatewaytest.Model(typ, "failover", typ))
	}
	file := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, []byte(gatewaytest.Config(toml...)), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, freePorts(), "serve", "--config", file)
	at, admin := "http://"+p.address(t), p.wait(t, `"admin":"([^"]+)"`)[1]
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	post := func(path, body string) (int, time.Duration) {
		r, err := http.NewRequest(http.MethodPost, at+path, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0, 0
		}
		r.Header.Set("Authorization", "Bearer "+gatewaytest.Token)
		began := time.Now()
		response, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return 0, 0
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode, time.Since(began)
	}
	const small = `{"model":"openai","messages":[{"role":"user","content":"Hi!"}]}`
	for _, name := range names {
		for _, typ := range []string{"openai", "anthropic", "gemini"} {
			body := bodies[name].Build(typ, size)
			p.resident(t, admin)
			if err := os.WriteFile("/proc/"+strconv.Itoa(p.Pid)+"/clear_refs", []byte("5"), 0); err != nil {
				t.Skip("this system does not tell a process's peak of memory")
			}
			before := p.status(t).VmRSS
			alone := slowest(func() time.Duration { _, took := post("/v1/chat/completions", small); return took }, 100, nil)
			var all sync.WaitGroup
			var status atomic.Int64
			done := make(chan struct{})
			for range 5 {
				all.Go(func() {
					got, _ := post(bodies[name].Path, body)
					status.Store(int64(got))
				})
			}
			go func() { all.Wait(); close(done) }()
			beside := slowest(func() time.Duration { _, took := post("/v1/chat/completions", small); return took }, 0, done)
			peak := p.status(t).VmHWM
			t.Logf("%-24s %-9s %d, %4d MiB, at most %4d MiB; others' p99 %v, alone %v", name, typ, status.Load(), before>>20, peak>>20, beside, alone)
			if peak > 1<<30 {
				t.Errorf("%s, %s: at most %d MiB, want at most 1024", name, typ, peak>>20)
			}
		}
	}
}

// slowest makes calls, count of them or until done, and returns how long the slowest of a hundred took.
func slowest(call func() time.Duration, count int, done <-chan struct{}) time.Duration {
	var took []time.Duration
	for len(took) < count || done != nil {
		took = append(took, call())
		select {
		case <-done:
			done = nil
		default:
			time.Sleep(time.Millisecond)
		}
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}
