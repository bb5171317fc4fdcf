package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A load is a kind of request.
type load struct {
	name, unit string
	body       string // of about 1 KB
	event      bool   // the unit is an event, not a request
}

func loads() []load {
	request := func(model string, stream bool, text string) string {
		return fmt.Sprintf(`{"model":%q,"stream":%t,"messages":[{"role":"user","content":"%s %s"}]}`, model, stream, text, strings.Repeat("What is it that I want? ", 38))
	}
	return []load{
		{"plain, 1 KB each way", "request", request("smart", false, ""), false},
		{fmt.Sprintf("streamed, an event each %v", pause), "event", request("smart", true, "slowly"), true},
		{"streamed, all events at once", "event", request("smart", true, "quickly"), true},
		{"translated, 1 KB each way", "request", request("claude", false, ""), false},
		{"translated, all events at once", "event", request("claude", true, "quickly"), true},
	}
}

const token = "berry-bench-0123456789"

// A loader keeps the connections busy with requests for the duration. It returns the number of failed requests.
type loader func(ctx context.Context, url, body string, connections int, d time.Duration) (failed int64, err error)

// newLoader returns wrk if it is installed, else a loader in Go, and the loader's name.
func newLoader(folder string) (loader, string) {
	if path, err := exec.LookPath("wrk"); err == nil {
		return func(ctx context.Context, url, body string, connections int, d time.Duration) (int64, error) {
			return wrk(ctx, path, folder, url, body, connections, d)
		}, "wrk"
	}
	return clients, "built-in clients (install wrk to use less CPU)"
}

// script makes wrk send the body and print the number of failed requests.
const script = `
wrk.method = "POST"
wrk.body = %q
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
function done(summary)
  local e = summary.errors
  io.write(string.format("failed: %%d\n", e.connect + e.read + e.write + e.status))
end
`

func wrk(ctx context.Context, path, folder, url, body string, connections int, d time.Duration) (failed int64, err error) {
	file := filepath.Join(folder, "post.lua")
	if err := os.WriteFile(file, fmt.Appendf(nil, script, body, token), 0o600); err != nil {
		return 0, err
	}
	seconds := fmt.Sprintf("%ds", max(1, int(d.Seconds())))
	out, err := exec.CommandContext(ctx, path, "-t1", fmt.Sprintf("-c%d", connections), "-d"+seconds, "-s", file, url).CombinedOutput()
	_, said, _ := strings.Cut(string(out), "failed: ")
	if err == nil {
		_, err = fmt.Sscan(said, &failed)
	}
	if err != nil {
		return 0, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	return failed, nil
}

// clients is the loader without wrk.
func clients(ctx context.Context, url, body string, connections int, d time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	var failed atomic.Int64
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := ask(ctx, client, url, body); err != nil && ctx.Err() == nil {
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	return failed.Load(), nil
}

func ask(ctx context.Context, client *http.Client, url, body string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
